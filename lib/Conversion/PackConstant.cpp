//===- PackConstant.cpp - codes as they lie in memory ---------------------===//
#include "PackConstant.h"
#include "hwgq/Dialect/Bitpack.h"

using namespace mlir;
using namespace hwgq;

/// Calls visit(first element, bit address of its channel 0, channels) for each
/// row of the last dimension.
static void forEachRow(
    RankedTensorType type,
    llvm::function_ref<void(int64_t, bitpack::BitAddress, int64_t)> visit) {
  ArrayRef<int64_t> shape = type.getShape();
  int64_t channels = shape.back();
  SmallVector<int64_t> index(shape.size(), 0);
  for (int64_t at = 0; at < type.getNumElements(); at += channels) {
    visit(at, bitpack::getBitAddress(type, shape, index), channels);
    for (int64_t d = int64_t(shape.size()) - 2; d >= 0; --d) {
      if (++index[d] < shape[d])
        break;
      index[d] = 0;
    }
  }
}

/// Words from one 64-channel group to the next.
static int64_t groupStride(RankedTensorType type) {
  int64_t bits = cast<CodeType>(type.getElementType()).getBits();
  return bits * std::max<int64_t>(1, bitpack::getLayout(type).getBlock());
}

ElementsAttr hwgq::packConstant(RankedTensorType type,
                                ArrayRef<uint8_t> codes) {
  int64_t count = 1;
  for (int64_t size : bitpack::getLayout(type).getPhysicalShape(type))
    count *= size;
  std::vector<uint64_t> words(count, 0);
  unsigned bits = cast<CodeType>(type.getElementType()).getBits();
  int64_t stride = groupStride(type);
  forEachRow(type, [&](int64_t at, bitpack::BitAddress base, int64_t channels) {
    for (int64_t c = 0; c < channels; ++c)
      for (unsigned p = 0; p < bits; ++p)
        words[base.element + c / 64 * stride + p * base.planeStride] |=
            uint64_t((codes[at + c] >> p) & 1) << (c % 64);
  });
  return makeElements(
      RankedTensorType::get({count}, IntegerType::get(type.getContext(), 64)),
      ArrayRef(reinterpret_cast<const char *>(words.data()), count * 8),
      "packed");
}

std::optional<SmallVector<uint8_t>> hwgq::unpackConstant(RankedTensorType type,
                                                         ElementsAttr attr) {
  auto words = getElementValues<uint64_t>(attr);
  if (!words)
    return std::nullopt;
  SmallVector<uint8_t> codes(type.getNumElements(), 0);
  unsigned bits = cast<CodeType>(type.getElementType()).getBits();
  int64_t stride = groupStride(type);
  forEachRow(type, [&](int64_t at, bitpack::BitAddress base, int64_t channels) {
    for (int64_t c = 0; c < channels; ++c)
      for (unsigned p = 0; p < bits; ++p)
        codes[at + c] |=
            (((*words)[base.element + c / 64 * stride + p * base.planeStride] >>
              (c % 64)) &
             1)
            << p;
  });
  return codes;
}
