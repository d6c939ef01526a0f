//===- Accumulator.cpp - from popcounts to accumulators -------------------===//
#include "Accumulator.h"

using namespace mlir;
using namespace hwgq;

namespace {

/// Classes of output positions along one dimension by which taps are valid.
struct TapClasses {
  SmallVector<SmallVector<int64_t>> taps; // valid taps of each class
  SmallVector<int32_t> classOf;           // of each position

  TapClasses(int64_t outputs, int64_t inputs, int64_t kernel, int64_t stride,
             int64_t dilation, int64_t pad) {
    for (int64_t o = 0; o < outputs; ++o) {
      SmallVector<int64_t> valid;
      for (int64_t k = 0; k < kernel; ++k) {
        int64_t at = o * stride + k * dilation - pad;
        if (at >= 0 && at < inputs)
          valid.push_back(k);
      }
      auto found = llvm::find(taps, valid);
      classOf.push_back(found - taps.begin());
      if (found == taps.end())
        taps.push_back(valid);
    }
  }
};

} // namespace

Accumulator::Accumulator(LoopBuilder &b, const ConvLoops &conv,
                         ArrayRef<uint8_t> codes, int64_t channels,
                         CodeType multiplied, unsigned bits)
    : a(conv.inputCode()), w(conv.weightCode()), channels(channels),
      bits(bits) {
  multiplyWith(multiplied);
  if (a.getOffset())
    makeBase(b, conv, codes);
}

Accumulator::Accumulator(const ConvLoops &conv, CodeType multiplied, Value base)
    : a(conv.inputCode()), w(conv.weightCode()), channels(0), bits(32),
      base(base) {
  multiplyWith(multiplied);
}

void Accumulator::multiplyWith(CodeType multiplied) {
  weightStride = w.getStride() / (multiplied ? multiplied.getStride() : 1);
  weightOffset =
      w.getOffset() - (multiplied ? weightStride * multiplied.getOffset() : 0);
}

bool Accumulator::fits16(const ConvLoops &conv) {
  auto most = [](CodeType code) {
    return std::max<int64_t>(std::abs(int64_t(code.getMin())),
                             std::abs(int64_t(code.getMax())));
  };
  return conv.kh * conv.kw * conv.groupIn * most(conv.inputCode()) *
             most(conv.weightCode()) <
         INT16_MAX;
}

void Accumulator::makeBase(LoopBuilder &b, const ConvLoops &conv,
                           ArrayRef<uint8_t> codes) {
  const Image &in = conv.input, &out = conv.output;
  TapClasses rows(out.height, in.height, conv.kh, conv.strideY, conv.dilationY,
                  conv.top);
  TapClasses cols(out.width, in.width, conv.kw, conv.strideX, conv.dilationX,
                  conv.left);
  int64_t taps = conv.kh * conv.kw;
  // Per output channel and tap: oa * sum of n.
  std::vector<int32_t> sums(out.channels * taps, 0);
  for (int64_t i = 0; i < out.channels * taps; ++i)
    for (int64_t c = 0; c < conv.groupIn; ++c)
      sums[i] += a.getOffset() * w.toNumber(codes[i * conv.groupIn + c]);
  std::vector<int32_t> table;
  for (ArrayRef<int64_t> kys : rows.taps)
    for (ArrayRef<int64_t> kxs : cols.taps)
      for (int64_t k = 0; k < channels; ++k) {
        int32_t sum = 0;
        for (int64_t ky : kys)
          for (int64_t kx : kxs)
            sum += k < out.channels ? sums[k * taps + ky * conv.kw + kx] : 0;
        table.push_back(sum);
      }
  base = bits == 16 ? b.constant(ArrayRef(
                          std::vector<int16_t>(table.begin(), table.end())))
                    : b.constant(ArrayRef(table));
  colClasses = cols.taps.size();
  if (rows.taps.size() > 1)
    rowClass = b.constant(ArrayRef<int32_t>(rows.classOf));
  if (cols.taps.size() > 1)
    colClass = b.constant(ArrayRef<int32_t>(cols.classOf));
}

Value Accumulator::baseOf(LoopBuilder &b, Value y, Value x) const {
  Value row =
      rowClass ? b.mul(b.toIndex(b.load(rowClass, y)), colClasses) : b.index(0);
  if (colClass)
    row = b.add(row, b.toIndex(b.load(colClass, x)));
  return b.mul(row, channels);
}

Value Accumulator::get(LoopBuilder &b, Value products, Value sum, Value y,
                       Value x, Value channel) const {
  Type type = products.getType();
  auto vector = dyn_cast<VectorType>(type);
  Value acc = products;
  int64_t product = a.getStride() * weightStride;
  if (product != 1)
    acc = llvm::isPowerOf2_64(product)
              ? b.shl(acc, b.splat(type, int64_t(llvm::Log2_64(product))))
              : b.mul(acc, b.splat(type, product));
  int64_t factor = weightOffset * a.getStride();
  if (factor != 0) {
    Value term = factor == -1 ? sum : b.mul(sum, b.i32(factor));
    if (bits == 16)
      term = arith::TruncIOp::create(b, b.getI16Type(), term);
    if (vector)
      term = b.broadcast(vector, term);
    acc = factor == -1 ? b.sub(acc, term) : b.add(acc, term);
  }
  if (base) {
    Value at = b.add(baseOf(b, y, x), channel);
    acc = b.add(acc, vector ? b.load(vector, base, at) : b.load(base, at));
  }
  return acc;
}
