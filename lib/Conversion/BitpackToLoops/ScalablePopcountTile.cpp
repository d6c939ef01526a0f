//===- ScalablePopcountTile.cpp - popcount tiles on scalable vectors ------===//
//
// The tile of PopcountTile.cpp for registers whose length the machine knows:
// lanes are output channels, a block is as many registers as it takes, and a
// predicate holds the lanes beyond its end. One instruction counts the bits of
// 64-bit lanes.
//
//===----------------------------------------------------------------------===//
#include "Loops.h"
#include "PopcountTile.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace hwgq;

namespace {

class ScalableTile {
public:
  ScalableTile(LoopBuilder &b, const PopcountTarget &target,
               const PopcountTile &tile, ArrayRef<Value> acts, Value weights,
               Value block, Value sums)
      : b(b), tile(tile), acts(acts), weights(weights), block(block),
        sums(sums), vectors(getPopcountVectors(target, tile)),
        most(getPopcountPlanePairs(target, tile)),
        lanes(b.mul(vector::VectorScaleOp::create(b), target.lanes)),
        words(VectorType::get(target.lanes, b.getI64Type(), true)),
        halves(VectorType::get(target.lanes, b.getI32Type(), true)),
        predicate(VectorType::get(target.lanes, b.getI1Type(), true)) {}

  /// The registers of a block, `vectors` at a time.
  void emit() {
    scf::ForOp::create(b, b.index(0), b.index(tile.block),
                       b.mul(lanes, vectors), ValueRange(),
                       [&](OpBuilder &, Location, Value first, ValueRange) {
                         emitVectors(first);
                         scf::YieldOp::create(b);
                       });
  }

private:
  void emitVectors(Value first) {
    channels.clear();
    inside.clear();
    for (int64_t v = 0; v < vectors; ++v) {
      channels.push_back(b.add(first, b.mul(lanes, v)));
      inside.push_back(vector::CreateMaskOp::create(
          b, predicate, b.sub(b.index(tile.block), channels[v])));
    }
    Values total(tile.pixels * vectors);
    int64_t pairs = tile.numPlanePairs();
    for (firstPair = 0; firstPair < pairs; firstPair += most) {
      numPairs = std::min(most, pairs - firstPair);
      combine(countPairs(), total);
    }
    for (int64_t p = 0; p < tile.pixels; ++p)
      for (int64_t v = 0; v < vectors; ++v)
        vector::MaskedStoreOp::create(
            b, sums, ValueRange{b.add(channels[v], p * tile.block)}, inside[v],
            arith::TruncIOp::create(b, halves, total[p * vectors + v]));
  }

  /// The counts of these pairs of planes: [pair][pixel][vector].
  Values countPairs() {
    Values zeros(numPairs * tile.pixels * vectors, b.splat(words, int64_t(0)));
    return b.carry(tile.kh, zeros, [&](Value ky, ValueRange row) {
      return b.carry(tile.kw * tile.words, row,
                     [&](Value tap, ValueRange carried) {
                       return step(ky, tap, Values(carried));
                     });
    });
  }

  /// The word of a tap of a filter row, from the first one.
  Value offsetOf(Value tap) {
    if (tile.kw == 1 || tile.tapStepX == tile.words * tile.planesA)
      return b.mul(tap, tile.planesA);
    return b.add(b.mul(b.div(tap, tile.words), tile.tapStepX),
                 b.mul(b.rem(tap, tile.words), tile.planesA));
  }

  Values step(Value ky, Value tap, Values counts) {
    Value y = b.add(acts[2], b.mul(ky, tile.tapStepY));
    Value x = b.add(acts[3], offsetOf(tap));
    SmallVector<Values> ws(tile.planesW);
    for (int64_t pair = 0; pair < numPairs; ++pair) {
      PopcountTile::PlanePair planes = tile.planePair(firstPair + pair);
      Values &w = ws[planes.w];
      if (w.empty())
        w = loadWeights(ky, tap, planes.w);
      for (int64_t p = 0; p < tile.pixels; ++p) {
        Value word = memref::LoadOp::create(
            b, acts[0],
            ValueRange{acts[1], y, b.add(x, p * tile.pixelStep + planes.a)});
        Value a = b.broadcast(words, word);
        for (int64_t v = 0; v < vectors; ++v) {
          Value &sum = counts[(pair * tile.pixels + p) * vectors + v];
          sum = b.add(sum, math::CtPopOp::create(b, b.andi(a, w[v])));
        }
      }
    }
    return counts;
  }

  Values loadWeights(Value ky, Value tap, int64_t plane) {
    Values loaded;
    for (int64_t v = 0; v < vectors; ++v)
      loaded.push_back(vector::MaskedLoadOp::create(
          b, words, weights,
          ValueRange{block, ky, tap, b.add(channels[v], plane * tile.block)},
          inside[v], b.splat(words, int64_t(0))));
    return loaded;
  }

  /// total += c_p * c_q * counts.
  void combine(ValueRange counts, Values &total) {
    for (int64_t pair = 0; pair < numPairs; ++pair) {
      auto [pa, pw, negative] = tile.planePair(firstPair + pair);
      for (auto [i, sum] : llvm::enumerate(total)) {
        Value c = counts[pair * total.size() + i];
        if (pa + pw)
          c = b.shl(c, b.splat(words, pa + pw));
        Value base = sum ? sum : b.splat(words, int64_t(0));
        sum = negative ? b.sub(base, c) : b.add(base, c);
      }
    }
  }

  LoopBuilder &b;
  const PopcountTile &tile;
  ArrayRef<Value> acts; // memory, n, row, column
  Value weights, block, sums;
  int64_t vectors, most; // registers, and pairs of planes, at a time
  Value lanes;           // of a register
  VectorType words, halves, predicate;
  Values channels, inside; // of each register: its first one, its predicate
  int64_t firstPair = 0, numPairs = 1;
};

} // namespace

void hwgq::emitScalablePopcountTile(LoopBuilder &b,
                                    const PopcountTarget &target,
                                    const PopcountTile &tile, Value acts,
                                    Value n, Value row, Value column,
                                    Value weights, Value block, Value sums) {
  Value place[] = {acts, n, row, column};
  ScalableTile(b, target, tile, place, weights, block, sums).emit();
}
