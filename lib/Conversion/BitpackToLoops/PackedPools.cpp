//===- PackedPools.cpp - pools of packed codes ----------------------------===//
#include "Patterns.h"
#include "PoolWindow.h"

using namespace mlir;
using namespace hwgq;

namespace {

/// Falling channels are complemented before and after, so that their minimum is
/// a maximum and code 0 is below every candidate. In planes 64 channels at a
/// time: a replaces b where it is greater, found from the top plane down.
struct MaxPoolPattern : LoopPattern<bitpack::MaxPoolOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, bitpack::MaxPoolOp op,
                        Adaptor adaptor) const override {
    Image in = viewImage(b, tensorType(op.getInput()), adaptor.getInput());
    Value result;
    Image out = allocateImage(b, tensorType(op.getResult()), in.batch, result);
    PoolWindow window(op, in);
    if (!in.isPlanes() || !out.isPlanes()) {
      emitCodes(b, op, window, in, out);
      return result;
    }
    Value flips = fallingWords(b, op, out);
    double cost = double(out.width * out.words * out.planes) *
                  double(window.kernel[0] * window.kernel[1]) * 3;
    forEachRow(b, out, cost, [&](Value n, Value y) {
      if (out.hasHalo())
        out.clearRow(b, n, y);
      window.forEachColumn(b, out.width, [&](Value x, bool inside) {
        Value to = out.at(b, n, y, x);
        b.loop(out.words, [&](Value word) {
          Value flip = flips ? b.load(flips, word) : Value();
          Value offset = b.mul(word, out.planes);
          Values best = window.reduce(
              b, y, x, Values(out.planes, b.i64(0)),
              [&](Value iy, Value ix, ValueRange best) {
                Value from = b.add(in.at(b, n, iy, ix), offset);
                return maximum(b, in, from, flip, best);
              },
              inside);
          for (auto [p, value] : llvm::enumerate(best)) {
            // Bits that are no channels came back as flip & ~0: none are set.
            Value bits = flip ? b.xori(value, flip) : value;
            b.store(bits, out.memory, b.add(b.add(to, offset), int64_t(p)));
          }
        });
      });
    });
    return result;
  }

  /// Vectors of codes, one a lane: bytes where both sides are, else i32.
  static void emitCodes(LoopBuilder &b, bitpack::MaxPoolOp op,
                        const PoolWindow &window, const Image &in,
                        const Image &out) {
    bool bytes = !in.isPlanes() && !out.isPlanes();
    int64_t lanes =
        std::max<int64_t>(8, b.options.vectorBytes / (bytes ? 1 : 4));
    Type element = bytes ? b.getI8Type() : b.getI32Type();
    Value flips = fallingCodes(b, op, out, bytes);
    double cost = double(out.width * out.channels) *
                  double(window.kernel[0] * window.kernel[1]) / double(lanes);
    forEachRow(b, out, cost, [&](Value n, Value y) {
      out.clearRow(b, n, y);
      window.forEachColumn(b, out.width, [&](Value x, bool inside) {
        Value to = out.at(b, n, y, x);
        forEachChunk(
            b, out.channels, lanes,
            [&](Value word, int64_t offset, int64_t size, int64_t valid) {
              VectorType type = b.vec(size, element);
              Value channel = b.add(b.mul(word, 64), offset);
              Value flip = flips ? b.load(type, flips, channel) : Value();
              auto flipped = [&](Value codes) {
                return flip ? b.xori(codes, flip) : codes;
              };
              Value best = window.reduce(
                  b, y, x, {b.splat(type, int64_t(0))},
                  [&](Value iy, Value ix, ValueRange best) {
                    Value from = in.at(b, n, iy, ix);
                    Value codes =
                        bytes
                            ? b.loadPart(type, in.memory, b.add(from, channel),
                                         valid)
                            : loadCodes(b, in, from, word, offset, size, valid);
                    return Values{b.createOrFold<arith::MaxUIOp>(flipped(codes),
                                                                 best[0])};
                  },
                  inside)[0];
              best = flipped(best);
              if (bytes)
                b.storePart(best, out.memory, b.add(to, channel), valid);
              else
                storeCodes(b, out, to, word, b.index(offset),
                           toPlanes(b, best, out.planes), valid);
            });
      });
    });
  }

  static bool anyFalls(bitpack::MaxPoolOp op) {
    return op.getFalling() &&
           llvm::any_of(*op.getFalling(), [](bool f) { return f; });
  }

  /// The largest code for falling channels, else 0; null when none falls.
  static Value fallingCodes(LoopBuilder &b, bitpack::MaxPoolOp op,
                            const Image &out, bool bytes) {
    if (!anyFalls(op))
      return {};
    std::vector<int32_t> flips(out.words * 64, 0);
    for (auto [c, falls] : llvm::enumerate(*op.getFalling()))
      flips[c] = falls ? (1 << out.planes) - 1 : 0;
    if (!bytes)
      return b.constant(ArrayRef<int32_t>(flips));
    return b.constant(
        ArrayRef<uint8_t>(std::vector<uint8_t>(flips.begin(), flips.end())));
  }

  /// All ones for falling channels, by words; null when none falls.
  static Value fallingWords(LoopBuilder &b, bitpack::MaxPoolOp op,
                            const Image &out) {
    if (!anyFalls(op))
      return {};
    std::vector<uint64_t> words(out.words, 0);
    for (auto [c, falls] : llvm::enumerate(*op.getFalling()))
      words[c / 64] |= uint64_t(falls) << (c % 64);
    auto type = RankedTensorType::get({out.words}, b.getI64Type());
    return b.constant(
        MemRefType::get({out.words}, b.getI64Type()),
        makeElements(type,
                     ArrayRef(reinterpret_cast<const char *>(words.data()),
                              words.size() * 8),
                     "falling"));
  }

  static Values maximum(LoopBuilder &b, const Image &in, Value from, Value flip,
                        ValueRange best) {
    Value ones = b.i64(~uint64_t(0)), greater = b.i64(0), equal = ones;
    Values a;
    for (int64_t p = 0; p < in.planes; ++p) {
      Value bits = b.load(in.memory, b.add(from, p));
      a.push_back(flip ? b.xori(bits, flip) : bits);
    }
    if (in.planes == 1)
      return {b.ori(a[0], best[0])};
    Values differ(in.planes);
    for (int64_t p = in.planes - 1; p >= 0; --p) {
      differ[p] = b.xori(a[p], best[p]);
      Value wins = b.andi(equal, b.andi(a[p], differ[p]));
      greater = b.ori(greater, wins);
      equal = b.andi(equal, b.xori(differ[p], ones));
    }
    Values result;
    for (int64_t p = 0; p < in.planes; ++p)
      result.push_back(b.xori(best[p], b.andi(differ[p], greater)));
    return result;
  }
};

} // namespace

void hwgq::emitPackedAvgPool(LoopBuilder &b, bitpack::AvgPoolOp op, Value input,
                             const PoolOutput &out) {
  Image in = viewImage(b, tensorType(op.getInput()), input);
  PoolWindow window(op, in);
  SmallVector<float> factors = {0.0f};
  int64_t most = window.kernel[0] * window.kernel[1];
  for (int64_t count = 1; count <= most; ++count)
    factors.push_back(
        float(double(op.getScale().convertToFloat()) / double(count)));
  Value table = b.constant(ArrayRef<float>(factors));
  const Image &shape = out.shape;
  double cost = 0.2 * double(shape.width * shape.channels * most);
  auto pixel = [&](Value n, Value y, Value x, bool inside) {
    Value factor =
        b.load(table, window.count(b, y, x, op.getCountIncludePad()));
    auto chunk = [&](Value word, int64_t offset, int64_t lanes, int64_t valid) {
      // Sums of n over the taps in bounds, then one product with scale / count.
      Value sum = b.splat(b.vec(lanes, b.getI32Type()), int64_t(0));
      auto tap = [&](Value iy, Value ix, ValueRange sums) {
        Value codes =
            loadCodes(b, in, in.at(b, n, iy, ix), word, offset, lanes, valid);
        return Values{b.add(sums[0], toNumbers(b, in.code, codes))};
      };
      sum = window.reduce(b, y, x, {sum}, tap, inside)[0];
      VectorType type = b.vec(lanes, b.getF32Type());
      Value mean = arith::MulFOp::create(
          b, arith::SIToFPOp::create(b, type, sum), b.broadcast(type, factor));
      out.sink(mean, {n, y, x, b.add(b.mul(word, 64), offset), lanes, valid});
    };
    forEachChunk(b, shape.channels, chunkLanes(b.options), chunk);
  };
  forEachRow(b, shape, cost, [&](Value n, Value y) {
    out.beginRow(n, y);
    window.forEachColumn(b, shape.width,
                         [&](Value x, bool inside) { pixel(n, y, x, inside); });
  });
}

void hwgq::populatePackedPools(RewritePatternSet &patterns,
                               const TypeConverter &converter,
                               const LoopOptions &options) {
  patterns.add<MaxPoolPattern>(converter, patterns.getContext(), options);
}
