//===- Interpreter.cpp - evaluates functions op by op ---------------------===//
#include "Chunks.h"
#include "Handlers.h"
#include "hwgq/Dialect/Bitpack.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::reference;

static const Registry &getRegistry() {
  static const Registry registry = [] {
    Registry r;
    registerTensorOps(r);
    registerLinalgOps(r);
    registerHwgqOps(r);
    registerBitpackOps(r);
    registerOnnxElementwise(r);
    registerOnnxMath(r);
    registerOnnxQonnx(r);
    registerOnnxQuantization(r);
    registerOnnxContractions(r);
    registerOnnxPooling(r);
    registerOnnxReductions(r);
    registerOnnxShapes(r);
    registerOnnxData(r);
    registerOnnxNormalization(r);
    registerOnnxResize(r);
    return r;
  }();
  return registry;
}

static Handler findHandler(Operation *op) {
  return getRegistry().lookup(op->getName().getStringRef());
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

/// The elements attribute, or the code tensor, of a constant op.
static FailureOr<Tensor> readConstant(Operation *op) {
  Location loc = op->getLoc();
  if (auto codes = dyn_cast<hwgq::ConstantOp>(op)) {
    FailureOr<Tensor> result =
        Tensor::allocate(loc, cast<RankedTensorType>(codes.getType()));
    if (succeeded(result)) {
      SmallVector<uint8_t> values = getCodes(codes);
      std::memcpy(result->mutableBytes().data(), values.data(), values.size());
    }
    return result;
  }
  if (auto words = dyn_cast<bitpack::ConstantOp>(op)) {
    FailureOr<Tensor> flat = Tensor::fromElements(loc, words.getWords());
    if (failed(flat))
      return failure();
    return flat->withType(cast<RankedTensorType>(words.getType()));
  }
  Attribute value = op->getAttr("value");
  if (auto elements = dyn_cast_or_null<ElementsAttr>(value))
    return Tensor::fromElements(loc, elements);
  std::optional<ElementKernel> kernel = getElementKernel(op);
  if (!kernel)
    return op->emitError("has a value that cannot be evaluated");
  auto type = RankedTensorType::get({}, op->getResult(0).getType());
  FailureOr<Tensor> result = Tensor::allocate(loc, type);
  if (succeeded(result))
    storeChunk(*result, 0, 1, &kernel->constant.i);
  return result;
}

static bool isConstantOp(Operation *op) {
  return isa<hwgq::ConstantOp, bitpack::ConstantOp, arith::ConstantOp>(op) ||
         op->getName().getStringRef() == "onnx.Constant";
}

std::optional<Tensor> hwgq::reference::getConstantTensor(Operation *op) {
  if (!isConstantOp(op))
    return std::nullopt;
  FailureOr<Tensor> value = readConstant(op);
  if (failed(value))
    return std::nullopt;
  return *value;
}

//===----------------------------------------------------------------------===//
// One op
//===----------------------------------------------------------------------===//

LogicalResult hwgq::reference::evaluateElementwise(Operation *op,
                                                   const ElementKernel &kernel,
                                                   Operands in, Results &out) {
  // The condition of a select may be one scalar for the whole tensor.
  ArrayRef<int64_t> shape = in.back().getShape();
  bool scalarFirst = isa<arith::SelectOp>(op) && in[0].getRank() == 0;
  for (const Tensor &operand : in.drop_front(scalarFirst))
    if (operand.getShape() != shape)
      return op->emitError("operands have different shapes");
  FailureOr<Tensor> result = makeTensor(op, shape, kernel.resultElement);
  if (failed(result))
    return failure();
  int64_t size = result->size();
  Chunk scratch[3], values;
  if (scalarFirst)
    std::fill_n(scratch[0].i, kChunk, in[0].getInt(0));
  for (int64_t first = 0; first < size; first += kChunk) {
    int64_t n = std::min(kChunk, size - first);
    const void *operands[3];
    for (size_t i = 0; i < in.size(); ++i)
      operands[i] = i == 0 && scalarFirst
                        ? &scratch[0]
                        : loadChunk(in[i], first, n, scratch[i]);
    if (!kernel.run(kernel, operands, &values, n))
      return op->emitError("divides an integer by zero");
    storeChunk(*result, first, n, &values);
  }
  out.push_back(std::move(*result));
  return success();
}

/// Whether a value of the static type `actual` may stand where `declared` is.
static bool fits(Type declared, const Tensor &actual) {
  if (actual.isNone())
    return isa<NoneType>(declared);
  auto type = dyn_cast<RankedTensorType>(declared);
  if (!type) // a scalar
    return actual.getRank() == 0 && actual.getElementType() == declared;
  if (type.getElementType() != actual.getElementType() ||
      type.getEncoding() != actual.getType().getEncoding() ||
      type.getRank() != actual.getRank())
    return false;
  return llvm::all_of(llvm::zip(type.getShape(), actual.getShape()),
                      [](auto pair) {
                        return ShapedType::isDynamic(std::get<0>(pair)) ||
                               std::get<0>(pair) == std::get<1>(pair);
                      });
}

static std::string describe(const Tensor &tensor) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (tensor.isNone())
    stream << "none";
  else
    stream << tensor.getType();
  return text;
}

SmallVector<Value> hwgq::reference::getInputValues(Operation *op) {
  SmallVector<Value> values(op->getOperands());
  llvm::SetVector<Value> captured;
  getUsedValuesDefinedAbove(op->getRegions(), captured);
  values.append(captured.begin(), captured.end());
  return values;
}

bool hwgq::reference::canEvaluate(Operation *op) {
  return isConstantOp(op) || findHandler(op) || getElementKernel(op);
}

FailureOr<SmallVector<Tensor>>
hwgq::reference::evaluateOp(Operation *op, ArrayRef<Tensor> operands) {
  SmallVector<Value> needed = getInputValues(op);
  if (operands.size() != needed.size())
    return op->emitError("takes ")
           << needed.size() << " operands, not " << operands.size();
  for (auto [i, operand] : llvm::enumerate(operands))
    if (!fits(needed[i].getType(), operand))
      return op->emitError("operand ")
             << i << " is " << describe(operand) << " where the type is "
             << needed[i].getType();
  SmallVector<Tensor> results;
  if (isConstantOp(op)) {
    FailureOr<Tensor> value = readConstant(op);
    if (failed(value))
      return failure();
    results.push_back(*value);
  } else if (Handler handler = findHandler(op)) {
    if (failed(handler(op, operands, results)))
      return failure();
  } else if (std::optional<ElementKernel> kernel = getElementKernel(op)) {
    if (failed(evaluateElementwise(op, *kernel, operands, results)))
      return failure();
  } else {
    return op->emitError("the reference interpreter does not know ")
           << op->getName() << " on these types";
  }
  if (results.size() != op->getNumResults())
    return op->emitError("has ") << op->getNumResults() << " results where "
                                 << results.size() << " are defined";
  for (auto [i, result] : llvm::enumerate(results))
    if (!fits(op->getResult(i).getType(), result))
      return op->emitError("result ")
             << i << " is " << describe(result) << " where the type is "
             << op->getResult(i).getType();
  return results;
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

/// Checks the inputs of a function against its arguments.
static LogicalResult checkInputs(func::FuncOp func, ArrayRef<Tensor> inputs) {
  if (func.isExternal() || !llvm::hasSingleElement(func.getBody()))
    return func.emitError("needs a body of one block");
  if (inputs.size() != func.getNumArguments())
    return func.emitError("takes ")
           << func.getNumArguments() << " inputs, not " << inputs.size();
  for (auto [i, input] : llvm::enumerate(inputs)) {
    if (fits(func.getArgument(i).getType(), input))
      continue;
    auto name = func.getArgAttrOfType<StringAttr>(i, "hwgq.name");
    return func.emitError("input ")
           << (name ? name.getValue() : StringRef("?")) << " is "
           << describe(input) << " where " << func.getArgument(i).getType()
           << " is expected";
  }
  return success();
}

FailureOr<SmallVector<Tensor>>
hwgq::reference::evaluate(func::FuncOp func, ArrayRef<Tensor> inputs) {
  if (failed(checkInputs(func, inputs)))
    return failure();
  DenseMap<Value, int64_t> uses;
  Block &body = func.getBody().front();
  for (Operation &op : body)
    for (Value value : getInputValues(&op))
      ++uses[value];
  DenseMap<Value, Tensor> values;
  auto define = [&](Value value, Tensor tensor) {
    if (uses.lookup(value))
      values[value] = std::move(tensor);
  };
  for (auto [argument, input] : llvm::zip(func.getArguments(), inputs))
    define(argument, input);
  for (Operation &op : body) {
    SmallVector<Value> needed = getInputValues(&op);
    SmallVector<Tensor> operands;
    for (Value value : needed)
      operands.push_back(values.lookup(value));
    for (Value value : needed) // values die with their last use
      if (--uses[value] == 0)
        values.erase(value);
    if (isa<func::ReturnOp>(op))
      return operands;
    FailureOr<SmallVector<Tensor>> results = evaluateOp(&op, operands);
    if (failed(results))
      return failure();
    for (auto [value, tensor] : llvm::zip(op.getResults(), *results))
      define(value, std::move(tensor));
  }
  return func.emitError("does not return");
}
