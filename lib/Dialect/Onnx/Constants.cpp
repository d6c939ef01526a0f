//===- Constants.cpp - elements of constants ------------------------------===//
#include "hwgq/Dialect/OnnxOperators.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/ADT/APFloat.h"
#include <cstring>

using namespace hwgq::onnx;
using mlir::failure;

/// Tensors of up to as many bytes are written into the IR's text.
static constexpr size_t kInlineBytes = 1024;

unsigned hwgq::onnx::getElementBytes(mlir::Type elementType) {
  return elementType.isIntOrFloat()
             ? (elementType.getIntOrFloatBitWidth() + 7) / 8
             : 0;
}

mlir::ElementsAttr hwgq::onnx::makeElements(mlir::RankedTensorType type,
                                            llvm::ArrayRef<char> bytes) {
  if (type.getElementType().isInteger(1)) {
    llvm::SmallVector<bool> bools;
    bools.reserve(bytes.size());
    for (char byte : bytes)
      bools.push_back(byte != 0);
    return mlir::DenseElementsAttr::get(type, bools);
  }
  // Values of 2 and 4 bits lie one a byte in both attributes; the bits above
  // them are zero in a dense one.
  if (bytes.size() <= kInlineBytes || type.getNumElements() == 0) {
    unsigned width = type.getElementType().getIntOrFloatBitWidth();
    if (width >= 8)
      return mlir::DenseElementsAttr::getFromRawBuffer(type, bytes);
    llvm::SmallVector<llvm::APInt> values;
    for (char byte : bytes)
      values.emplace_back(width, uint64_t(uint8_t(byte)) & ((1u << width) - 1));
    return mlir::DenseElementsAttr::get(type, values);
  }
  mlir::AsmResourceBlob blob =
      mlir::HeapAsmResourceBlob::allocateAndCopyWithAlign(bytes, 64);
  return mlir::DenseResourceElementsAttr::get(type, "constant",
                                              std::move(blob));
}

/// The bytes of a dense attribute, one element after the other.
static std::vector<char> getDenseBytes(mlir::DenseElementsAttr dense) {
  unsigned size = getElementBytes(dense.getElementType());
  std::vector<char> bytes;
  bytes.reserve(dense.getNumElements() * size);
  auto append = [&](const llvm::APInt &bits) {
    uint64_t word = bits.getZExtValue();
    const char *data = reinterpret_cast<const char *>(&word);
    bytes.insert(bytes.end(), data, data + size);
  };
  if (mlir::isa<mlir::FloatType>(dense.getElementType()))
    for (const llvm::APFloat &value : dense.getValues<llvm::APFloat>())
      append(value.bitcastToAPInt());
  else
    for (const llvm::APInt &value : dense.getValues<llvm::APInt>())
      append(value);
  return bytes;
}

mlir::FailureOr<std::vector<char>>
hwgq::onnx::getElementsBytes(mlir::ElementsAttr value) {
  unsigned size = getElementBytes(value.getElementType());
  if (size == 0 || size > 8)
    return failure();
  if (auto dense = mlir::dyn_cast<mlir::DenseElementsAttr>(value)) {
    if (!dense.isSplat() && value.getElementType().getIntOrFloatBitWidth() >= 8)
      return dense.getRawData().vec();
    return getDenseBytes(dense);
  }
  auto resource = mlir::dyn_cast<mlir::DenseResourceElementsAttr>(value);
  if (!resource || !resource.getRawHandle().getBlob())
    return failure();
  llvm::ArrayRef<char> data = resource.getRawHandle().getBlob()->getData();
  if (data.size() != size_t(value.getNumElements()) * size)
    return failure();
  return data.vec();
}

mlir::ElementsAttr hwgq::onnx::getConstant(mlir::Value value) {
  mlir::Operation *op = value.getDefiningOp();
  if (!op || op->getName().getStringRef() != "onnx.Constant")
    return {};
  return op->getAttrOfType<mlir::ElementsAttr>("value");
}

std::optional<llvm::SmallVector<int64_t>>
hwgq::onnx::getConstantInts(mlir::Value value) {
  mlir::ElementsAttr elements = getConstant(value);
  if (!elements)
    return std::nullopt;
  auto type = mlir::dyn_cast<mlir::IntegerType>(elements.getElementType());
  mlir::FailureOr<std::vector<char>> bytes = getElementsBytes(elements);
  if (!type || failed(bytes))
    return std::nullopt;
  unsigned size = getElementBytes(type);
  bool zeroExtend = type.isUnsigned() || type.getWidth() == 1;
  llvm::SmallVector<int64_t> values;
  for (size_t at = 0; at < bytes->size(); at += size) {
    uint64_t word = 0;
    std::memcpy(&word, bytes->data() + at, size);
    llvm::APInt bits = llvm::APInt(64, word).trunc(type.getWidth());
    values.push_back(zeroExtend ? static_cast<int64_t>(bits.getZExtValue())
                                : bits.getSExtValue());
  }
  return values;
}

std::optional<llvm::SmallVector<double>>
hwgq::onnx::getConstantFloats(mlir::Value value) {
  mlir::ElementsAttr elements = getConstant(value);
  if (!elements)
    return std::nullopt;
  auto type = mlir::dyn_cast<mlir::FloatType>(elements.getElementType());
  mlir::FailureOr<std::vector<char>> bytes = getElementsBytes(elements);
  if (!type || failed(bytes))
    return std::nullopt;
  unsigned size = getElementBytes(type);
  llvm::SmallVector<double> values;
  for (size_t at = 0; at < bytes->size(); at += size) {
    uint64_t word = 0;
    std::memcpy(&word, bytes->data() + at, size);
    llvm::APFloat number(type.getFloatSemantics(),
                         llvm::APInt(64, word).trunc(type.getWidth()));
    bool inexact;
    number.convert(llvm::APFloat::IEEEdouble(),
                   llvm::APFloat::rmNearestTiesToEven, &inexact);
    values.push_back(number.convertToDouble());
  }
  return values;
}
