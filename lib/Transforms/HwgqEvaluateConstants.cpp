//===- HwgqEvaluateConstants.cpp - constant subgraphs to constants --------===//
#include "ConstantRemarks.h"
#include "hwgq/Dialect/Bitpack.h"
#include "hwgq/Passes.h"
#include "hwgq/Reference/Interpreter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace hwgq {
#define GEN_PASS_DEF_HWGQEVALUATECONSTANTS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;
using reference::Tensor;

static bool isOnnx(Operation *op) {
  return op->getName().getDialectNamespace() == "onnx";
}

static bool isNamed(Operation *op, StringRef name) {
  return op->getName().getStringRef() == name;
}

static bool isConstantOp(Operation *op) {
  return isa<arith::ConstantOp, hwgq::ConstantOp, bitpack::ConstantOp>(op) ||
         isNamed(op, "onnx.Constant") || isNamed(op, "onnx.NoValue");
}

/// Bytes of values of a type; 0 for none and undefined tensors.
static int64_t bytesOf(Value value) {
  if (value.getDefiningOp<tensor::EmptyOp>())
    return 0;
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return 8;
  return reference::storageBytes(type).value_or(
      std::numeric_limits<int32_t>::max());
}

namespace {
/// Folds one block.
class Folder {
public:
  explicit Folder(Block &block) : block(block) {}
  LogicalResult run();
  unsigned numFolded = 0;

private:
  bool isFoldable(Operation &op) const;
  bool isConstant(Value value) const;
  LogicalResult fold(Operation &op);
  FailureOr<Tensor> valueOf(Value value);
  void materialize(Value value, const Tensor &tensor);

  Block &block;
  DenseSet<Operation *> foldable;
  DenseMap<Value, Tensor> values;    ///< Results that folds still need.
  DenseMap<Value, unsigned> pending; ///< Folds that will read a value.
};
} // namespace

bool Folder::isConstant(Value value) const {
  Operation *op = value.getDefiningOp();
  return op && (isConstantOp(op) || foldable.contains(op));
}

/// The sizes of a shape are known without the value that has it.
static bool isStaticShapeQuery(Operation &op) {
  if ((!isNamed(&op, "onnx.Shape") && !isNamed(&op, "onnx.Size")) ||
      op.getNumOperands() != 1)
    return false;
  auto type = dyn_cast<RankedTensorType>(op.getOperand(0).getType());
  return type && type.hasStaticShape();
}

bool Folder::isFoldable(Operation &op) const {
  if (isConstantOp(&op) || op.getNumResults() == 0 ||
      op.hasTrait<OpTrait::IsTerminator>() || (!isOnnx(&op) && !isPure(&op)) ||
      !reference::canEvaluate(&op))
    return false;
  if (isStaticShapeQuery(op))
    return true;
  SmallVector<Value> inputs = reference::getInputValues(&op);
  if (!llvm::all_of(inputs, [&](Value v) { return isConstant(v); }))
    return false;
  int64_t read = 0, written = 0;
  for (Value input : inputs)
    read += bytesOf(input);
  for (Value result : op.getResults()) {
    auto type = dyn_cast<RankedTensorType>(result.getType());
    if (type && !type.hasStaticShape())
      return false;
    written += bytesOf(result);
  }
  // A broadcast costs less as an op than as a constant.
  constexpr int64_t kGrowth = 4, kSmall = 4096;
  return isOnnx(&op) || written <= std::max(kGrowth * read, kSmall);
}

FailureOr<Tensor> Folder::valueOf(Value value) {
  if (auto it = values.find(value); it != values.end()) {
    Tensor tensor = it->second;
    if (--pending[value] == 0)
      values.erase(it);
    return tensor;
  }
  if (isa<NoneType>(value.getType()))
    return Tensor();
  std::optional<Tensor> tensor;
  if (Operation *op = value.getDefiningOp())
    tensor = reference::getConstantTensor(op);
  if (!tensor)
    return failure();
  return *tensor;
}

/// An attribute for the elements; one that holds a single value where all are
/// equal.
static ElementsAttr toAttribute(const Tensor &tensor) {
  ArrayRef<char> bytes = tensor.bytes();
  unsigned width = reference::getStorageWidth(tensor.getElementType());
  bool whole = tensor.getElementType().isIntOrFloat() &&
               tensor.getElementType().getIntOrFloatBitWidth() == 8 * width;
  bool splat = whole && tensor.size() > 1 &&
               std::memcmp(bytes.data(), bytes.data() + width,
                           bytes.size() - width) == 0;
  if (splat)
    return DenseElementsAttr::getFromRawBuffer(tensor.getType(),
                                               bytes.take_front(width));
  return tensor.toElements("folded");
}

/// Replaces the uses of a folded result by a constant.
void Folder::materialize(Value value, const Tensor &tensor) {
  Operation *op = value.getDefiningOp();
  OpBuilder builder(op);
  Location loc = op->getLoc();
  Value constant;
  if (isOnnx(op)) {
    OperationState state(loc, "onnx.Constant");
    state.addTypes(tensor.getType());
    state.addAttribute("value", toAttribute(tensor));
    constant = builder.create(state)->getResult(0);
  } else if (bitpack::isPacked(tensor.getType())) {
    Type element = bitpack::getLayout(tensor.getType()).getElementType();
    int64_t count = tensor.bytes().size() * 8 / element.getIntOrFloatBitWidth();
    auto flat = RankedTensorType::get({count}, element);
    constant = bitpack::ConstantOp::create(
        builder, loc, tensor.getType(),
        makeElements(flat, tensor.bytes(), "words"));
  } else if (isa<CodeType>(tensor.getElementType())) {
    constant =
        createConstant(builder, loc, tensor.getType(), tensor.as<uint8_t>());
  } else {
    TypedAttr attr = cast<TypedAttr>(toAttribute(tensor));
    if (!isa<RankedTensorType>(value.getType()))
      attr =
          cast<TypedAttr>(*cast<ElementsAttr>(attr).value_begin<Attribute>());
    constant = arith::ConstantOp::create(builder, loc, attr);
  }
  value.replaceUsesWithIf(constant, [&](OpOperand &use) {
    return !foldable.contains(block.findAncestorOpInBlock(*use.getOwner()));
  });
}

LogicalResult Folder::fold(Operation &op) {
  SmallVector<Tensor> inputs;
  if (isStaticShapeQuery(op)) {
    inputs.push_back(
        Tensor::borrow(cast<RankedTensorType>(op.getOperand(0).getType()), {}));
    if (auto it = pending.find(op.getOperand(0));
        it != pending.end() && values.count(it->first) && --it->second == 0)
      values.erase(it->first);
  } else {
    for (Value value : reference::getInputValues(&op)) {
      FailureOr<Tensor> input = valueOf(value);
      if (failed(input))
        return failure();
      inputs.push_back(*input);
    }
  }
  FailureOr<SmallVector<Tensor>> results = reference::evaluateOp(&op, inputs);
  if (failed(results))
    return failure();
  remarkOnConstants(&op, inputs, *results);
  for (auto [value, tensor] : llvm::zip(op.getResults(), *results)) {
    bool kept = llvm::any_of(value.getUsers(), [&](Operation *user) {
      return !foldable.contains(block.findAncestorOpInBlock(*user));
    });
    if (pending.lookup(value))
      values[value] = tensor;
    // What is undefined stays an op.
    if (kept && !isa<tensor::EmptyOp>(op))
      materialize(value, tensor);
  }
  ++numFolded;
  return success();
}

LogicalResult Folder::run() {
  for (Operation &op : block)
    if (isFoldable(op))
      foldable.insert(&op);
  for (Operation &op : block)
    if (foldable.contains(&op))
      for (Value value : reference::getInputValues(&op))
        ++pending[value];
  for (Operation &op : llvm::make_early_inc_range(block))
    if (foldable.contains(&op) && failed(fold(op)))
      return failure();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (op.use_empty() &&
        (foldable.contains(&op) || isConstantOp(&op) || isOnnx(&op)))
      op.erase();
  return success();
}

namespace {
struct HwgqEvaluateConstants
    : hwgq::impl::HwgqEvaluateConstantsBase<HwgqEvaluateConstants> {
  void runOnOperation() override {
    func::FuncOp func = getOperation();
    for (Block &block : func.getBody()) {
      Folder folder(block);
      if (failed(folder.run()))
        return signalPassFailure();
      numFolded += folder.numFolded;
    }
  }
};
} // namespace
