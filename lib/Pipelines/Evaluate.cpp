//===- Evaluate.cpp - @main on arrays -------------------------------------===//
#include "hwgq/Pipelines/Evaluate.h"
#include "hwgq/Conversion/Dtype.h"
#include "hwgq/Dialect/HWGQ.h"
#include "hwgq/Dialect/SmallFloats.h"
#include "hwgq_abi.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace hwgq;

bool Port::fits(uint32_t actualDtype, ArrayRef<int64_t> actualShape,
                int64_t &batch) const {
  if (actualDtype != dtype || actualShape.size() != shape.size())
    return false;
  for (auto [size, actual] : llvm::zip(shape, actualShape)) {
    if (size < 0 && batch == 0 && actual > 0 && actual % -size == 0)
      batch = actual / -size;
    if (size >= 0 ? actual != size
                  : batch == 0 || actual % -size || actual / -size != batch)
      return false;
  }
  return true;
}

bool Port::inRange(ArrayRef<char> bytes) const {
  if (bits == 0 || bits >= 8 || dtype == HWGQ_BOOL)
    return true;
  int low = dtype == HWGQ_I8 ? -(1 << (bits - 1)) : 0;
  int high = low + (1 << bits) - 1;
  return llvm::all_of(bytes, [&](char byte) {
    int value = dtype == HWGQ_I8 ? int(int8_t(byte)) : int(uint8_t(byte));
    return value >= low && value <= high;
  });
}

std::string hwgq::describeArray(uint32_t dtype, ArrayRef<int64_t> shape) {
  const char *name = hwgq_dtype_name(dtype);
  std::string text = name ? name : "unknown";
  text += "[";
  for (auto [i, size] : llvm::enumerate(shape)) {
    if (i)
      text += "x";
    text += size >= 0    ? std::to_string(size)
            : size == -1 ? "?"
                         : std::to_string(-size) + "*?";
  }
  return text + "]";
}

std::string Port::describe() const { return describeArray(dtype, shape); }

/// The type under which an element travels in arrays; 0 where there is none.
static uint32_t getArrayDtype(Type type, bool isUnsigned) {
  if (isa<CodeType>(type) || isSmallFloat(type))
    return HWGQ_U8;
  return type.isBF16() ? HWGQ_U16 : getDtype(type, isUnsigned);
}

static FailureOr<Port> makePort(ModuleOp module, DictionaryAttr attrs,
                                Type type, const std::string &fallback) {
  auto attr = [&](StringRef name) {
    return attrs ? attrs.get(name) : Attribute();
  };
  Port port;
  auto name = dyn_cast_or_null<StringAttr>(attr("hwgq.name"));
  port.name = name ? name.getValue().str() : fallback;
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || tensor.getEncoding() || tensor.getRank() > Port::kMaxRank)
    return module.emitError() << "'" << port.name << "' is not a plain tensor";
  Type element = tensor.getElementType();
  port.dtype = getArrayDtype(element, bool(attr("hwgq.unsigned")));
  if (!port.dtype)
    return module.emitError()
           << "'" << port.name << "' has a type that arrays cannot hold";
  port.bits = isa<IntegerType>(element) ? element.getIntOrFloatBitWidth() : 0;
  auto factor = dyn_cast_or_null<IntegerAttr>(attr("hwgq.batch_factor"));
  for (int64_t size : tensor.getShape())
    port.shape.push_back(!ShapedType::isDynamic(size) ? size
                         : factor                     ? -factor.getInt()
                                                      : -1);
  return port;
}

static func::FuncOp findMain(ModuleOp module) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main)
    module.emitError("the module has no function @main");
  return main;
}

FailureOr<std::vector<Port>> hwgq::getPorts(ModuleOp module, bool outputs) {
  func::FuncOp main = findMain(module);
  if (!main)
    return failure();
  std::vector<Port> ports;
  auto types = outputs ? main.getResultTypes() : main.getArgumentTypes();
  for (auto [i, type] : llvm::enumerate(types)) {
    auto port = makePort(
        module, outputs ? main.getResultAttrDict(i) : main.getArgAttrDict(i),
        type, (outputs ? "output_" : "input_") + std::to_string(i));
    if (failed(port))
      return failure();
    ports.push_back(std::move(*port));
  }
  return ports;
}

FailureOr<SmallVector<reference::Tensor>> hwgq::evaluateMain(
    ModuleOp module,
    ArrayRef<std::pair<ArrayRef<int64_t>, ArrayRef<char>>> inputs) {
  func::FuncOp main = findMain(module);
  if (!main)
    return failure();
  SmallVector<reference::Tensor> tensors;
  for (auto [type, input] : llvm::zip(main.getArgumentTypes(), inputs)) {
    auto element = cast<RankedTensorType>(type).getElementType();
    tensors.push_back(reference::Tensor::borrow(
        RankedTensorType::get(input.first, element), input.second));
  }
  return reference::evaluate(main, tensors);
}
