//===- Constants.cpp - packed codes and raw elements ----------------------===//
#include "hwgq/Dialect/HWGQ.h"

using namespace mlir;

SmallVector<uint8_t> hwgq::packCodes(ArrayRef<uint8_t> codes, unsigned bits) {
  SmallVector<uint8_t> bytes(packedCodeBytes(codes.size(), bits), 0);
  for (size_t i = 0; i < codes.size(); ++i)
    for (unsigned b = 0; b < bits; ++b) {
      size_t bit = i * bits + b;
      bytes[bit / 8] |= ((codes[i] >> b) & 1) << (bit % 8);
    }
  return bytes;
}

SmallVector<uint8_t> hwgq::unpackCodes(ArrayRef<uint8_t> bytes, unsigned bits,
                                       int64_t count) {
  SmallVector<uint8_t> codes(count, 0);
  for (int64_t i = 0; i < count; ++i)
    for (unsigned b = 0; b < bits; ++b) {
      int64_t bit = i * bits + b;
      codes[i] |= ((bytes[bit / 8] >> (bit % 8)) & 1) << b;
    }
  return codes;
}

std::optional<ArrayRef<char>>
hwgq::getElementBytes(ElementsAttr attr, SmallVectorImpl<char> &storage) {
  auto type = dyn_cast<RankedTensorType>(attr.getType());
  if (!type || !type.getElementType().isIntOrFloat())
    return std::nullopt;
  unsigned width = type.getElementTypeBitWidth();
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attr)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob || width % 8 ||
        blob->getData().size() != size_t(type.getNumElements()) * (width / 8))
      return std::nullopt;
    return blob->getData();
  }
  auto dense = dyn_cast<DenseElementsAttr>(attr);
  if (!dense)
    return std::nullopt;
  ArrayRef<char> raw = dense.getRawData();
  if (width % 8) { // i1 and the like: one byte an element
    if (width != 1)
      return std::nullopt;
    for (bool b : dense.getValues<bool>())
      storage.push_back(b);
    return ArrayRef<char>(storage);
  }
  if (!dense.isSplat())
    return raw;
  storage.resize(type.getNumElements() * (width / 8));
  for (size_t i = 0; i < storage.size(); ++i)
    storage[i] = raw[i % (width / 8)];
  return ArrayRef<char>(storage);
}

ElementsAttr hwgq::makeElements(RankedTensorType type, ArrayRef<char> data,
                                StringRef name) {
  constexpr int64_t kInlineElements = 64;
  if (type.getNumElements() <= kInlineElements)
    return DenseElementsAttr::getFromRawBuffer(type, data);
  AsmResourceBlob blob = HeapAsmResourceBlob::allocateAndCopyWithAlign(
      data, /*align=*/64, /*dataIsMutable=*/false);
  return DenseResourceElementsAttr::get(type, name, std::move(blob));
}

SmallVector<uint8_t> hwgq::getCodes(ConstantOp op) {
  auto type = cast<RankedTensorType>(op.getType());
  SmallVector<char> storage;
  auto bytes = getElementBytes(op.getCodes(), storage);
  unsigned bits = cast<CodeType>(type.getElementType()).getBits();
  if (!bytes)
    return SmallVector<uint8_t>(type.getNumElements(), 0);
  return unpackCodes(
      ArrayRef(reinterpret_cast<const uint8_t *>(bytes->data()), bytes->size()),
      bits, type.getNumElements());
}

hwgq::ConstantOp hwgq::createConstant(OpBuilder &builder, Location loc,
                                      RankedTensorType type,
                                      ArrayRef<uint8_t> codes) {
  unsigned bits = cast<CodeType>(type.getElementType()).getBits();
  SmallVector<uint8_t> bytes = packCodes(codes, bits);
  auto attrType =
      RankedTensorType::get({int64_t(bytes.size())}, builder.getIntegerType(8));
  ElementsAttr attr = makeElements(
      attrType,
      ArrayRef(reinterpret_cast<const char *>(bytes.data()), bytes.size()),
      "codes");
  return ConstantOp::create(builder, loc, type, attr);
}
