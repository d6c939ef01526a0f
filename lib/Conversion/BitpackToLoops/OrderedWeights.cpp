//===- OrderedWeights.cpp - weights in the order of a kernel --------------===//
#include "OrderedWeights.h"

using namespace mlir;
using namespace hwgq;

Value OrderedWeights::bits(LoopBuilder &b, int64_t extra) const {
  int64_t planes = code.getBits();
  std::vector<uint64_t> words((llvm::divideCeil(codes.size(), 64) + extra) *
                              planes);
  for (size_t i = 0; i < codes.size(); ++i)
    for (int64_t p = 0; p < planes; ++p)
      words[i / 64 * planes + p] |= uint64_t(codes[i] >> p & 1) << (i % 64);
  int64_t size = words.size();
  auto type = RankedTensorType::get({size}, b.getI64Type());
  return b.constant(
      MemRefType::get({size}, b.getI64Type()),
      makeElements(type,
                   ArrayRef(reinterpret_cast<const char *>(words.data()),
                            words.size() * sizeof(uint64_t)),
                   "weights"));
}

Value OrderedWeights::expand(LoopBuilder &b, CodeType code, Type element,
                             Value bits, Value word) {
  VectorType type = b.vec(64, element);
  // Sums are right modulo 2^width.
  auto splat = [&](int64_t value) {
    return b.splat(type,
                   llvm::SignExtend64(value, element.getIntOrFloatBitWidth()));
  };
  Value numbers;
  for (int64_t p = 0; p < code.getBits(); ++p) {
    Value at = b.add(b.mul(word, code.getBits()), p);
    Value mask =
        vector::BitCastOp::create(b, b.vec(64, b.getI1Type()),
                                  b.load(b.vec(1, b.getI64Type()), bits, at));
    int64_t zero = p ? 0 : code.getOffset();
    Value part = b.select(mask, splat(zero + (int64_t(code.getStride()) << p)),
                          splat(zero));
    numbers = numbers ? b.add(numbers, part) : part;
  }
  return numbers;
}

Value OrderedWeights::numbers(LoopBuilder &b, Type element) const {
  int64_t words = llvm::divideCeil(codes.size(), 64);
  return b.prepared(MemRefType::get({words * 64}, element), [&](Value memory) {
    Value packed = bits(b);
    b.loop(words, [&](Value word) {
      b.store(expand(b, code, element, packed, word), memory, b.mul(word, 64));
    });
  });
}
