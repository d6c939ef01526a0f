//===- PopcountTile.cpp ---------------------------------------------------===//

#include "PopcountTile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace mlir;

namespace hwgq {

PopcountTarget getPopcountTarget(int64_t vectorBytes, int64_t vectorRegisters,
                                 bool vectorPopcount) {
  int64_t lanes = vectorBytes / 8;
  if (lanes >= 8)
    return {lanes, vectorPopcount, 16, 4, 32};
  // Byte counts need registers for tables, masks and halves.
  bool few = vectorRegisters < 32 && lanes < 4;
  return {lanes, vectorPopcount, 8, few ? 1 : 2, 8};
}

PopcountTarget getScalablePopcountTarget() {
  return {2, /*countsWords=*/true, 16, 4, 32, /*scalable=*/true};
}

int64_t getPopcountVectors(const PopcountTarget &target,
                           const PopcountTile &tile) {
  int64_t least = llvm::divideCeil(tile.block, target.lanes);
  // A longer register holds a block of 8 in two, one of 32 in four.
  return target.scalable ? std::min<int64_t>(tile.block <= 8 ? 2 : 4, least)
                         : least;
}

int64_t getPopcountPlanePairs(const PopcountTarget &target,
                              const PopcountTile &tile) {
  int64_t vectors = getPopcountVectors(target, tile);
  return std::clamp<int64_t>(target.accumulators / vectors, 1,
                             tile.planesA * tile.planesW);
}

int64_t getPopcountBlock(const PopcountTarget &target, int64_t channels) {
  int64_t whole = llvm::alignTo(std::max<int64_t>(channels, 1), 8);
  if (whole <= target.block)
    return whole;
  // A block that leaves the fewest empty lanes, the largest of these.
  int64_t best = target.block;
  for (int64_t block = target.block; block >= 8; block /= 2)
    if (llvm::alignTo(whole, block) < llvm::alignTo(whole, best))
      best = block;
  return best;
}

namespace {
/// A byte holds the counts of 31 words (31 * 8 < 256).
constexpr int64_t maxByteSteps = 31;
/// Steps by which weights that are read once are asked for ahead.
constexpr int64_t prefetchSteps = 16;
/// A 16-bit lane takes two bytes a step.
constexpr int64_t maxHalfSteps = 65535 / 16;

class TileEmitter {
public:
  TileEmitter(OpBuilder &b, Location loc, const PopcountTarget &target,
              const PopcountTile &tile, Value acts, Value n, Value row,
              Value column, Value weights, Value block)
      : b(b), loc(loc), target(target), tile(tile), acts(acts), n(n), row(row),
        column(column), weights(weights), block(block) {
    // A block narrower than a register is one register of fewer lanes.
    lanes = std::min(target.lanes, tile.block);
    while (tile.block % lanes)
      lanes /= 2;
    vectors = tile.block / lanes;
    words = VectorType::get(lanes, b.getI64Type());
    halves = VectorType::get(lanes * 4, b.getI16Type());
    bytes = VectorType::get(lanes * 8, b.getI8Type());
    rowSteps = tile.kw * tile.words;
    steps = tile.kh * rowSteps;
  }

  SmallVector<Value> emit() {
    SmallVector<Value> sums(tile.pixels * vectors);
    int64_t pairs = tile.numPlanePairs();
    int64_t group = getPopcountPlanePairs(target, tile);
    for (int64_t first = 0; first < pairs; first += group) {
      firstPair = first;
      numPairs = std::min(group, pairs - first);
      combine(countPairs(), sums);
    }
    return narrow(sums);
  }

private:
  using Values = SmallVector<Value>;
  using Body = llvm::function_ref<Values(Value, ValueRange)>;

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value splat(VectorType type, int64_t value) {
    return arith::ConstantOp::create(
        b, loc,
        DenseElementsAttr::get(type,
                               b.getIntegerAttr(type.getElementType(), value)));
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value addConst(Value x, int64_t y) { return y ? add(x, index(y)) : x; }
  Value mulConst(Value x, int64_t y) {
    return y == 1 ? x : Value(arith::MulIOp::create(b, loc, x, index(y)));
  }
  Value shr(Value x, int64_t by) {
    return arith::ShRUIOp::create(b, loc, x,
                                  splat(cast<VectorType>(x.getType()), by));
  }
  Value cast_(VectorType type, Value x) {
    return vector::BitCastOp::create(b, loc, type, x);
  }
  Values zeros(VectorType type) {
    return Values(numPairs * tile.pixels * vectors, splat(type, 0));
  }

  /// for (i = low; i < high; i += step), or its body alone for one iteration.
  Values loop(Value low, Value high, int64_t step, ValueRange inits,
              Body body) {
    auto op = scf::ForOp::create(
        b, loc, low, high, index(step), inits,
        [&](OpBuilder &, Location, Value i, ValueRange args) {
          scf::YieldOp::create(b, loc, body(i, args));
        });
    return Values(op.getResults());
  }
  Values loop(int64_t count, ValueRange inits, Body body) {
    if (count == 1)
      return body(index(0), inits);
    return loop(index(0), index(count), 1, inits, body);
  }

  /// One word of each pixel against one word of each output channel.
  Values step(Value ky, Value tap, Value offset, ValueRange sums) {
    Value y = add(row, mulConst(ky, tile.tapStepY)), x = add(column, offset);
    SmallVector<Values> ws(tile.planesW);
    Values result(sums);
    for (int64_t pair = 0; pair < numPairs; ++pair) {
      PopcountTile::PlanePair planes = tile.planePair(firstPair + pair);
      Values &w = ws[planes.w];
      if (w.empty())
        w = loadWeights(ky, tap, planes.w);
      for (int64_t p = 0; p < tile.pixels; ++p) {
        Value word = memref::LoadOp::create(
            b, loc, acts,
            ValueRange{n, y, addConst(x, p * tile.pixelStep + planes.a)});
        Value a = vector::BroadcastOp::create(b, loc, words, word);
        for (int64_t v = 0; v < vectors; ++v) {
          Value &sum = result[slot(pair, p, v)];
          sum = add(sum, count(arith::AndIOp::create(b, loc, a, w[v])));
        }
      }
    }
    return result;
  }

  Values loadWeights(Value ky, Value tap, int64_t plane) {
    Values w;
    for (int64_t v = 0; v < vectors; ++v) {
      Value at = index(plane * tile.block + v * lanes);
      w.push_back(vector::LoadOp::create(b, loc, words, weights,
                                         ValueRange{block, ky, tap, at}));
      if (tile.prefetches)
        memref::PrefetchOp::create(
            b, loc, weights,
            ValueRange{block, ky, addConst(tap, prefetchSteps), at},
            /*isWrite=*/false, /*localityHint=*/3, /*isDataCache=*/true);
    }
    return w;
  }

  Value count(Value x) {
    return math::CtPopOp::create(b, loc,
                                 target.countsWords ? x : cast_(bytes, x));
  }

  int64_t slot(int64_t pair, int64_t p, int64_t v) const {
    return (pair * tile.pixels + p) * vectors + v;
  }

  /// Steps low <= j < high of filter row ky. Without dilation the words of a
  /// filter row lie side by side, so that taps and words are one loop.
  Values rowPart(Value ky, Value low, Value high, ValueRange inits) {
    int64_t dense = tile.words * tile.planesA;
    return loop(low, high, 1, inits, [&](Value j, ValueRange sums) {
      if (tile.kw == 1 || tile.tapStepX == dense)
        return step(ky, j, mulConst(j, tile.planesA), sums);
      Value kx = arith::DivUIOp::create(b, loc, j, index(tile.words));
      Value word = arith::RemUIOp::create(b, loc, j, index(tile.words));
      return step(
          ky, j, add(mulConst(kx, tile.tapStepX), mulConst(word, tile.planesA)),
          sums);
    });
  }
  Values wholeRow(Value ky, ValueRange inits) {
    return rowPart(ky, index(0), index(rowSteps), inits);
  }

  /// The counts of all pairs, pixels and vectors, in 64-bit lanes.
  Values countPairs() {
    if (target.countsWords)
      return loop(tile.kh, zeros(words), [&](Value ky, ValueRange sums) {
        return wholeRow(ky, sums);
      });
    if (steps <= maxByteSteps)
      return toWords(widen(
          loop(tile.kh, zeros(bytes),
               [&](Value ky, ValueRange sums) { return wholeRow(ky, sums); }),
          zeros(halves)));
    return countLong();
  }

  /// More steps than a byte holds: bytes are widened after each row, or after
  /// each maxByteSteps of a long row.
  Values countLong() {
    bool wide = steps > maxHalfSteps;
    auto collect = [&](Values counts, ValueRange sums) {
      if (!wide)
        return widen(counts, sums);
      Values total = toWords(widen(counts, zeros(halves)));
      for (auto [t, s] : llvm::zip(total, sums))
        t = add(t, s);
      return total;
    };
    Values sums = loop(
        tile.kh, zeros(wide ? words : halves), [&](Value ky, ValueRange sums) {
          if (rowSteps <= maxByteSteps)
            return collect(wholeRow(ky, zeros(bytes)), sums);
          Value end = index(rowSteps);
          return loop(index(0), end, maxByteSteps, sums,
                      [&](Value low, ValueRange part) {
                        Value high = arith::MinSIOp::create(
                            b, loc, addConst(low, maxByteSteps), end);
                        return collect(rowPart(ky, low, high, zeros(bytes)),
                                       part);
                      });
        });
    return wide ? sums : toWords(sums);
  }

  /// halves + the two bytes of each half.
  Values widen(ValueRange counts, ValueRange sums) {
    Values result;
    for (auto [c, sum] : llvm::zip(counts, sums)) {
      Value h = cast_(halves, c);
      Value low = arith::AndIOp::create(b, loc, h, splat(halves, 255));
      result.push_back(add(sum, add(low, shr(h, 8))));
    }
    return result;
  }

  /// The sum of the four halves of each word.
  Values toWords(ValueRange sums) {
    if (steps * 64 > 65535)
      return toLongWords(sums);
    Values result;
    for (Value h : sums) {
      Value w = cast_(words, h);
      w = add(w, shr(w, 32));
      w = add(w, shr(w, 16));
      result.push_back(arith::AndIOp::create(b, loc, w, splat(words, 65535)));
    }
    return result;
  }

  /// The same where it may exceed 16 bits.
  Values toLongWords(ValueRange sums) {
    VectorType pairs = VectorType::get(lanes * 2, b.getI32Type());
    Values result;
    for (Value h : sums) {
      Value p = cast_(pairs, h);
      Value low = arith::AndIOp::create(b, loc, p, splat(pairs, 65535));
      Value w = cast_(words, add(low, shr(p, 16)));
      Value even = arith::AndIOp::create(b, loc, w, splat(words, 0xffffffffLL));
      result.push_back(add(even, shr(w, 32)));
    }
    return result;
  }

  /// sums += c * counts for the pairs just counted.
  void combine(ValueRange counts, Values &sums) {
    for (int64_t pair = 0; pair < numPairs; ++pair) {
      auto [pa, pw, negative] = tile.planePair(firstPair + pair);
      for (int64_t i = 0; i < tile.pixels * vectors; ++i) {
        Value c = counts[pair * tile.pixels * vectors + i];
        if (pa + pw)
          c = arith::ShLIOp::create(b, loc, c, splat(words, pa + pw));
        Value base = sums[i] ? sums[i] : (negative ? splat(words, 0) : Value());
        if (negative)
          sums[i] = arith::SubIOp::create(b, loc, base, c);
        else
          sums[i] = base ? add(base, c) : c;
      }
    }
  }

  /// The low 32 bits of all lanes of a pixel, side by side.
  Values narrow(ValueRange sums) {
    VectorType pairs = VectorType::get(lanes * 2, b.getI32Type());
    Values result;
    for (int64_t p = 0; p < tile.pixels; ++p) {
      Values parts;
      for (int64_t v = 0; v < vectors; v += 2) {
        Value first = cast_(pairs, sums[p * vectors + v]);
        bool two = v + 1 < vectors;
        Value second = two ? cast_(pairs, sums[p * vectors + v + 1]) : first;
        SmallVector<int64_t> even;
        for (int64_t i = 0; i < (two ? 2 : 1) * lanes; ++i)
          even.push_back(2 * i);
        parts.push_back(vector::ShuffleOp::create(b, loc, first, second, even));
      }
      result.push_back(concat(parts));
    }
    return result;
  }

  /// One vector of all lanes of `parts`; the last part may be shorter.
  Value concat(ValueRange parts) {
    Value all = parts.front();
    for (Value part : parts.drop_front()) {
      int64_t size = cast<VectorType>(all.getType()).getNumElements() +
                     cast<VectorType>(part.getType()).getNumElements();
      auto order = llvm::to_vector(llvm::seq<int64_t>(0, size));
      all = vector::ShuffleOp::create(b, loc, all, part, order);
    }
    return all;
  }

  OpBuilder &b;
  Location loc;
  const PopcountTarget &target;
  const PopcountTile &tile;
  Value acts, n, row, column, weights, block;
  int64_t lanes, vectors, rowSteps, steps, firstPair = 0, numPairs = 1;
  VectorType words, halves, bytes;
};
} // namespace

int64_t getPopcountPixels(const PopcountTarget &target,
                          const PopcountTile &tile, int64_t width) {
  int64_t sums =
      getPopcountVectors(target, tile) * getPopcountPlanePairs(target, tile);
  int64_t fit = std::max<int64_t>(1, target.accumulators / sums);
  return std::max<int64_t>(1, std::min({fit, target.maxPixels, width}));
}

SmallVector<Value> emitPopcountTile(OpBuilder &builder, Location loc,
                                    const PopcountTarget &target,
                                    const PopcountTile &tile, Value acts,
                                    Value n, Value row, Value column,
                                    Value weights, Value block) {
  return TileEmitter(builder, loc, target, tile, acts, n, row, column, weights,
                     block)
      .emit();
}

SmallVector<Value> emitThresholdPlanes(OpBuilder &b, Location loc, Value acc,
                                       ArrayRef<Value> thresholds) {
  assert(llvm::isPowerOf2_64(thresholds.size() + 1) && "2^k - 1 thresholds");
  SmallVector<Value> left(thresholds), planes;
  while (!left.empty()) {
    size_t middle = left.size() / 2;
    Value reached = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge,
                                          acc, left[middle]);
    planes.insert(planes.begin(), reached);
    SmallVector<Value> next;
    for (size_t i = 0; i < middle; ++i)
      next.push_back(arith::SelectOp::create(b, loc, reached,
                                             left[middle + 1 + i], left[i]));
    left = std::move(next);
  }
  return planes;
}

void emitStoreMask(OpBuilder &b, Location loc, Value mask, Value bytes,
                   ValueRange indices) {
  int64_t lanes = cast<VectorType>(mask.getType()).getNumElements();
  auto type = VectorType::get(lanes / 8, b.getI8Type());
  Value packed = vector::BitCastOp::create(b, loc, type, mask);
  vector::StoreOp::create(b, loc, packed, bytes, indices);
}

} // namespace hwgq
