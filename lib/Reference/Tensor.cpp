//===- Tensor.cpp - values of the reference interpreter -------------------===//
#include "hwgq/Reference/Tensor.h"
#include "hwgq/Dialect/Bitpack.h"
#include "hwgq/Dialect/SmallFloats.h"
#include "hwgq/Reference/Scalar.h"

#include <cstdlib>

using namespace mlir;
using namespace hwgq;
using namespace hwgq::reference;

unsigned hwgq::reference::getStorageWidth(Type element) {
  if (isa<CodeType>(element))
    return 1;
  if (element.isIndex())
    return 8;
  if (!element.isIntOrFloat() || element.getIntOrFloatBitWidth() > 64 ||
      (isa<FloatType>(element) && !getScalarKind(element) &&
       !isSmallFloat(element)))
    return 0;
  unsigned bytes = llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  return bytes <= 2 ? bytes : llvm::PowerOf2Ceil(bytes);
}

std::optional<int64_t> hwgq::reference::countElements(ArrayRef<int64_t> shape) {
  int64_t count = 1;
  bool empty = false;
  for (int64_t size : shape) {
    if (size < 0)
      return std::nullopt;
    if (size == 0)
      empty = true;
    else if (llvm::MulOverflow(count, size, count) ||
             count > (int64_t(1) << 62))
      return std::nullopt;
  }
  return empty ? 0 : count;
}

std::optional<int64_t> hwgq::reference::storageBytes(RankedTensorType type) {
  if (!type.hasStaticShape() || !countElements(type.getShape()))
    return std::nullopt;
  SmallVector<int64_t> shape(type.getShape());
  int64_t width = getStorageWidth(type.getElementType());
  if (bitpack::isPacked(type)) {
    bitpack::LayoutAttr layout = bitpack::getLayout(type);
    shape = layout.getPhysicalShape(type);
    width = layout.getElementType().getIntOrFloatBitWidth() / 8;
  }
  std::optional<int64_t> count = countElements(shape);
  int64_t bytes;
  if (!width || !count || llvm::MulOverflow(*count, width, bytes) ||
      bytes > Tensor::kMaxBytes)
    return std::nullopt;
  return bytes;
}

FailureOr<Tensor> Tensor::allocate(Location loc, RankedTensorType type) {
  std::optional<int64_t> bytes = storageBytes(type);
  if (!bytes)
    return emitError(loc) << "cannot hold a tensor of type " << type
                          << ": at most " << (kMaxBytes >> 30)
                          << " GiB of integers, floats of 16, 32 or 64 bits, "
                             "or codes";
  size_t rounded = llvm::alignTo(std::max<int64_t>(*bytes, 1), 64);
  auto *memory = static_cast<char *>(std::aligned_alloc(64, rounded));
  if (!memory)
    return emitError(loc) << "out of memory for a tensor of type " << type;
  std::memset(memory, 0, rounded);
  Tensor result;
  result.type = type;
  result.owner = std::shared_ptr<char>(memory, std::free);
  result.data = ArrayRef(memory, *bytes);
  return result;
}

Tensor Tensor::borrow(RankedTensorType type, ArrayRef<char> data) {
  Tensor result;
  result.type = type;
  result.data = data;
  return result;
}

Tensor Tensor::ofIndex(MLIRContext *context, int64_t value) {
  auto type = RankedTensorType::get({}, IndexType::get(context));
  Tensor result = *allocate(UnknownLoc::get(context), type);
  result.asMutable<int64_t>()[0] = value;
  return result;
}

Tensor Tensor::withType(RankedTensorType newType) const {
  Tensor result = *this;
  result.type = newType;
  return result;
}

int64_t Tensor::getInt(int64_t i) const {
  bool isUnsigned = getElementType().isUnsignedInteger();
  switch (getStorageWidth(getElementType())) {
  case 1:
    return isUnsigned ? as<uint8_t>()[i] : as<int8_t>()[i];
  case 2:
    return isUnsigned ? as<uint16_t>()[i] : as<int16_t>()[i];
  case 4:
    return isUnsigned ? as<uint32_t>()[i] : as<int32_t>()[i];
  default:
    return as<int64_t>()[i];
  }
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

/// Whether elements fill their storage.
static bool isWhole(Type element) {
  return element.isIndex() ||
         getStorageWidth(element) * 8 == element.getIntOrFloatBitWidth();
}

/// Brings the unused bits of stored integers to the form described in Tensor.
static FailureOr<Tensor> normalizeBits(Location loc, const Tensor &view) {
  FailureOr<Tensor> result = Tensor::allocate(loc, view.getType());
  if (failed(result))
    return failure();
  unsigned storage = getStorageWidth(view.getElementType());
  unsigned width = view.getElementType().getIntOrFloatBitWidth();
  for (int64_t i = 0; i < view.size(); ++i) {
    int64_t value = view.getElementType().isUnsignedInteger()
                        ? int64_t(toUnsigned(view.getInt(i), width))
                        : wrapInteger(view.getInt(i), width);
    std::memcpy(result->mutableBytes().data() + i * storage, &value, storage);
  }
  return result;
}

/// Elements of less than a byte, or in a form that must be read one by one.
static FailureOr<Tensor> readIntegers(Location loc, DenseElementsAttr attr,
                                      RankedTensorType type) {
  FailureOr<Tensor> result = Tensor::allocate(loc, type);
  if (failed(result))
    return failure();
  bool isUnsigned = type.getElementType().isUnsignedInteger();
  unsigned storage = getStorageWidth(type.getElementType());
  char *out = result->mutableBytes().data();
  for (const APInt &value : attr.getValues<APInt>()) {
    int64_t number = isUnsigned || value.getBitWidth() == 1
                         ? int64_t(value.getZExtValue())
                         : value.getSExtValue();
    std::memcpy(out, &number, storage); // little-endian
    out += storage;
  }
  return result;
}

FailureOr<Tensor> Tensor::fromElements(Location loc, ElementsAttr attr) {
  auto type = dyn_cast<RankedTensorType>(attr.getType());
  std::optional<int64_t> bytes =
      type ? storageBytes(type) : std::optional<int64_t>();
  if (!bytes)
    return emitError(loc) << "a constant of type " << attr.getType()
                          << " cannot be evaluated";
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attr)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob || int64_t(blob->getData().size()) != *bytes)
      return emitError(loc) << "the resource of a constant of type " << type
                            << " has the wrong size";
    Tensor view = borrow(type, blob->getData());
    if (type.getElementType().isIntOrIndex() && !isWhole(type.getElementType()))
      return normalizeBits(loc, view);
    return view;
  }
  auto dense = dyn_cast<DenseElementsAttr>(attr);
  if (!dense)
    return emitError(loc) << "only dense and dense_resource constants are "
                             "supported";
  Type element = type.getElementType();
  bool wholeBytes =
      element.isIndex() || element.getIntOrFloatBitWidth() % 8 == 0;
  if (!wholeBytes ||
      (element.isIntOrIndex() &&
       getStorageWidth(element) * 8 !=
           (element.isIndex() ? 64 : element.getIntOrFloatBitWidth())))
    return readIntegers(loc, dense, type);
  if (!dense.isSplat())
    return borrow(type, dense.getRawData());
  FailureOr<Tensor> result = allocate(loc, type);
  if (failed(result))
    return failure();
  ArrayRef<char> raw = dense.getRawData();
  char *out = result->mutableBytes().data();
  for (int64_t i = 0; i < *bytes; i += raw.size())
    std::memcpy(out + i, raw.data(), raw.size());
  return result;
}

ElementsAttr Tensor::toElements(StringRef name) const {
  Type element = getElementType();
  if (element.isIntOrIndex() &&
      (element.isIndex() || element.getIntOrFloatBitWidth() % 8)) {
    unsigned width = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
    SmallVector<APInt> values;
    for (int64_t i = 0; i < size(); ++i)
      values.emplace_back(width, toUnsigned(getInt(i), width));
    return DenseElementsAttr::get(type, values);
  }
  return makeElements(type, data, name);
}
