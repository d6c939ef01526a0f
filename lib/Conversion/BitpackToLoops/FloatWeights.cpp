//===- FloatWeights.cpp - weights of chains of floats ---------------------===//
//
//   f32(n) = sum over planes p of (p = 0 ? offset : 0) + stride * 2^p * bit,
// exact, since |n| < 2^24. With mask registers a plane is a select, without
// them a byte of bits selects a row of a table of eight floats.
//
//===----------------------------------------------------------------------===//
#include "FloatWeights.h"
#include "mlir/IR/Matchers.h"
#include <cmath>

using namespace mlir;
using namespace hwgq;

FloatWeights::FloatWeights(const ConvLoops &conv, int64_t block)
    : code(conv.weightCode()), size(block),
      blocks(llvm::divideCeil(conv.groupOut, block)), kh(conv.kh),
      rowTaps(conv.kw * conv.groupIn) {}

FailureOr<FloatWeights>
FloatWeights::pack(LoopBuilder &b, const ConvLoops &conv, int64_t block) {
  FloatWeights result(conv, block);
  if (result.code) {
    FailureOr<SmallVector<uint8_t>> codes = conv.weightCodes();
    if (failed(codes))
      return failure();
    result.packCodes(b, conv, *codes);
    return result;
  }
  ElementsAttr attr;
  std::optional<SmallVector<float>> values;
  if (matchPattern(conv.op.weight, m_Constant(&attr)))
    values = getElementValues<float>(attr);
  if (!values)
    return conv.op.op->emitError("the weights have no readable values");
  result.packFloats(b, conv, *values);
  return result;
}

/// Calls visit(place, lane, index) for each weight, with its index in
/// [K][kh][kw][c].
static void
forEachWeight(const ConvLoops &conv, int64_t block, int64_t blocks,
              llvm::function_ref<void(int64_t, int64_t, int64_t)> visit) {
  int64_t taps = conv.kh * conv.kw * conv.groupIn;
  for (int64_t k = 0; k < conv.op.outChannels; ++k) {
    int64_t group = k / conv.groupOut, inside = k % conv.groupOut;
    int64_t number = group * blocks + inside / block;
    for (int64_t t = 0; t < taps; ++t)
      visit(number * taps + t, inside % block, k * taps + t);
  }
}

void FloatWeights::packFloats(LoopBuilder &b, const ConvLoops &conv,
                              ArrayRef<float> values) {
  std::vector<float> packed(conv.groups * blocks * kh * rowTaps * size, 0.0f);
  forEachWeight(conv, size, blocks,
                [&](int64_t place, int64_t lane, int64_t at) {
                  packed[place * size + lane] = values[at];
                });
  memory = b.constant(ArrayRef<float>(packed));
  normal = llvm::all_of(values, [](float w) {
    return std::isfinite(w) && (w == 0 || std::abs(w) >= kNormal);
  });
}

void FloatWeights::packCodes(LoopBuilder &b, const ConvLoops &conv,
                             ArrayRef<uint8_t> codes) {
  int64_t bits = code.getBits(), bytes = size / 8;
  std::vector<uint8_t> packed(conv.groups * blocks * kh * rowTaps * bits *
                              bytes);
  forEachWeight(conv, size, blocks,
                [&](int64_t place, int64_t lane, int64_t at) {
                  for (int64_t p = 0; p < bits; ++p)
                    packed[(place * bits + p) * bytes + lane / 8] |=
                        ((codes[at] >> p) & 1) << (lane % 8);
                });
  memory = b.constant(ArrayRef<uint8_t>(packed));
  // Tables of two planes fit beside weights and sums in the nearest cache.
  if (b.options.vectorBytes == 64 || bits > 2)
    return;
  for (int64_t p = 0; p < bits; ++p) {
    float low = p == 0 ? float(code.getOffset()) : 0.0f;
    std::vector<float> table;
    for (int64_t row = 0; row < 256; ++row)
      for (int64_t lane = 0; lane < 8; ++lane)
        table.push_back(low + float(code.getStride() << p) *
                                  float((row >> lane) & 1));
    tables.push_back(b.constant(ArrayRef<float>(table)));
  }
}

Value FloatWeights::place(LoopBuilder &b, Value block, Value ky,
                          Value tap) const {
  return b.add(b.mul(b.add(b.mul(block, kh), ky), rowTaps), tap);
}

Value FloatWeights::widenBits(LoopBuilder &b, Value byte, int64_t offset,
                              VectorType type, int64_t plane) const {
  if (!tables.empty()) {
    Value row = arith::IndexCastUIOp::create(
        b, b.getIndexType(), b.load(memory, b.add(byte, offset / 8)));
    return b.load(type, tables[plane], b.add(b.mul(row, 8), offset % 8));
  }
  int64_t lanes = type.getNumElements(), whole = std::max<int64_t>(8, lanes);
  auto wide = b.vec(whole, b.getF32Type());
  Value bits =
      b.load(b.vec(whole / 8, b.getI8Type()), memory, b.add(byte, offset / 8));
  Value set = vector::BitCastOp::create(b, b.vec(whole, b.getI1Type()), bits);
  float low = plane == 0 ? float(code.getOffset()) : 0.0f;
  float high = low + float(code.getStride() << plane);
  return b.slice(b.select(set, b.splat(wide, high), b.splat(wide, low)),
                 offset % 8, lanes);
}

Values FloatWeights::load(LoopBuilder &b, Value place, Value channel,
                          int64_t count) const {
  int64_t lanes = std::min<int64_t>(b.options.vectorBytes / 4, count);
  while (count % lanes)
    lanes /= 2;
  VectorType type = b.vec(lanes, b.getF32Type());
  Values result;
  Value start = code ? b.div(channel, 8) : b.add(b.mul(place, size), channel);
  for (int64_t at = 0; at < count; at += lanes) {
    Value sum = code ? Value() : b.load(type, memory, b.add(start, at));
    for (int64_t p = 0; code && p < code.getBits(); ++p) {
      Value row = b.add(b.mul(place, code.getBits()), p);
      Value byte = b.add(b.mul(row, size / 8), start);
      Value term = widenBits(b, byte, at, type, p);
      sum = sum ? Value(arith::AddFOp::create(b, sum, term)) : term;
    }
    result.push_back(sum);
  }
  return result;
}

void FloatWeights::widen(LoopBuilder &b, Value place, Value places,
                         Value channel, int64_t count, Value to) const {
  b.loop(b.index(0), places, 1, [&](Value i) {
    Value at = b.mul(i, count);
    for (Value vector : load(b, b.add(place, i), channel, count)) {
      b.store(vector, to, at);
      at = b.add(at, cast<VectorType>(vector.getType()).getNumElements());
    }
  });
}
