//===- LookupTile.cpp - the inner loops of lookup kernels -----------------===//
#include "LookupTile.h"
#include "hwgq/Conversion/TargetIntrinsics.h"
#include "hwgq/Dialect/Kernels.h"
#include <map>
#include <numeric>

using namespace mlir;
using namespace hwgq;

namespace {

class TileEmitter {
public:
  TileEmitter(LoopBuilder &b, const LookupTarget &target,
              const LookupTile &tile, const LookupOperands &in, Value sums,
              BetweenLookups between)
      : b(b), target(target), tile(tile), in(in), out(sums), between(between),
        bytes(b.vec(target.lanes, b.getI8Type())),
        halves(b.vec(target.lanes / 2, b.getI16Type())),
        sumType(b.vec(target.lanes / 2, b.getIntegerType(tile.sumBits()))),
        count(target.tables(tile.channels)) {
    byteLookups = target.byteLookups(tile.planesA);
    int64_t parts =
        llvm::divideCeil(tile.kw, std::min<int64_t>(maxSharing, byteLookups));
    sharing = llvm::divideCeil(tile.kw, parts);
    chunk = std::max<int64_t>(byteLookups / tile.kw, 1);
    if (tile.run > chunk) {
      bool unrolls = !tile.paired && chunk <= maxUnrolled;
      chunk = unrolls ? std::min(tile.run, maxUnrolled) : tile.run;
      byteLookups = std::max(byteLookups, chunk * tile.kw);
    }
    chunk = bitpack::getEqualPart(count, chunk);
  }

  void emit() {
    if (tile.shared)
      return emitShared();
    if (tile.paired)
      return emitPairs();
    Values sums;
    for (int64_t q = 0; q < tile.planesW; ++q) {
      plane = q;
      Values part = sumType == halves ? shortSums() : longSums();
      for (auto [i, value] : llvm::enumerate(part)) {
        if (q == 0)
          sums.push_back(value);
        else
          sums[i] = b.add(sums[i], b.shl(value, b.splat(sumType, q)));
      }
    }
    for (auto [i, sum] : llvm::enumerate(sums))
      b.store(sum, out, b.index(int64_t(i) * target.lanes / 2));
  }

private:
  /// Taps that one load of a table serves.
  static constexpr int64_t maxSharing = 3;
  /// Tables whose lookups stand in straight-line code.
  static constexpr int64_t maxUnrolled = 8;

  /// For each pixel the sum of bytes as 16-bit lanes, and of their upper bytes.
  Values zeros() {
    return Values(2 * tile.pixels, b.splat(halves, int64_t(0)));
  }

  Values shortSums() {
    return split(overRows(zeros(), [&](Value ky, ValueRange totals) {
      return lookups(ky, b.index(0), count, totals);
    }));
  }

  /// The filter rows in a loop, or each by itself where something runs between
  /// their lookups.
  Values overRows(ValueRange inits, LoopBuilder::CarryBody body) {
    if (!between)
      return b.carry(tile.kh, inits, body);
    return b.unroll(tile.kh, tile.kh, inits, [&](Value ky, ValueRange sums) {
      filterRow = *getConstantIntValue(ky);
      return body(ky, sums);
    });
  }

  /// The same where 16 bits are too few: i32 after each run of tables.
  Values longSums() {
    int64_t most = (int64_t(1) << tile.planesA) - 1;
    int64_t run =
        std::clamp<int64_t>(65535 / (tile.kw * target.group * most), 1, count);
    auto add = [&](Value ky, Value first, int64_t size, ValueRange sums) {
      Values part = split(lookups(ky, first, size, zeros()));
      Values result;
      for (auto [sum, value] : llvm::zip(sums, part))
        result.push_back(b.add(sum, arith::ExtUIOp::create(b, sumType, value)));
      return result;
    };
    Values none(2 * tile.pixels, b.splat(sumType, int64_t(0)));
    return overRows(none, [&](Value ky, ValueRange start) {
      int64_t whole = count / run * run;
      Values sums = b.carry(b.index(0), b.index(whole), run, start,
                            [&](Value first, ValueRange part) {
                              return add(ky, first, run, part);
                            });
      return whole < count ? add(ky, b.index(whole), count - whole, sums)
                           : sums;
    });
  }

  /// The sums of even and of odd lanes of each pixel.
  Values split(ValueRange totals) {
    Values result;
    for (int64_t p = 0; p < tile.pixels; ++p) {
      Value high = totals[2 * p + 1];
      result.push_back(
          b.sub(totals[2 * p], b.shl(high, b.splat(halves, int64_t(8)))));
      result.push_back(high);
    }
    return result;
  }

  /// Tables [first, first + size) of filter row ky.
  Values lookups(Value ky, Value first, int64_t size, ValueRange totals) {
    int64_t unit = target.entries();
    Value y = b.add(in.row, b.mul(ky, tile.tapStepY));
    Value at = b.add(b.mul(b.rem(y, tile.ring), tile.columns), in.column);
    Value table = b.add(in.base, b.mul(at, count * unit));
    int64_t tapBytes = tile.kw * target.lanes;
    Value w =
        b.add(b.mul(b.mul(in.block, tile.planesW), tile.kh), plane * tile.kh);
    w = b.mul(b.add(w, ky), count * tapBytes);
    auto run = [&](Value from, int64_t tables, ValueRange sums) {
      Value g = b.add(first, from);
      Cursor cursor{g, b.add(table, b.mul(g, unit)),
                    b.add(w, b.mul(g, tapBytes))};
      if (!tile.paired)
        return addChunk(cursor, tables, sums);
      addPairChunk(cursor, tables);
      return Values();
    };
    int64_t step = std::min(chunk, size), whole = size / step * step;
    Values result = b.carry(
        b.index(0), b.index(whole), step, totals,
        [&](Value from, ValueRange sums) { return run(from, step, sums); });
    return whole < size ? run(b.index(whole), size - whole, result) : result;
  }

  /// A table by its number, with the place of it and of its indices.
  struct Cursor {
    Value number, table, weights;
  };
  Cursor advance(const Cursor &at, Value tables) {
    return {b.add(at.number, tables),
            b.add(at.table, b.mul(tables, target.entries())),
            b.add(at.weights, b.mul(tables, tile.kw * target.lanes))};
  }
  Cursor advance(const Cursor &at, int64_t tables) {
    return advance(at, b.index(tables));
  }

  /// All taps of a row in `size` tables; the byte sums are added to `totals`.
  Values addChunk(const Cursor &at, int64_t size, ValueRange totals) {
    Values sums(tile.pixels), result(totals);
    int64_t pending = 0;
    int64_t straight = size <= maxUnrolled ? size : 1;
    for (int64_t g = 0; g < straight; ++g)
      pending = addTable(advance(at, g), pending, sums, result);
    if (straight < size)
      sums = b.carry(b.index(1), b.index(size), 1, sums,
                     [&](Value g, ValueRange part) {
                       Values next(part);
                       addTable(advance(at, g), 0, next, result);
                       return next;
                     });
    widen(sums, result);
    return result;
  }

  /// The taps of a row in one table; returns the lookups in the byte sums.
  int64_t addTable(const Cursor &at, int64_t pending, Values &sums,
                   Values &totals) {
    for (int64_t kx = 0; kx < tile.kw; kx += sharing) {
      int64_t taps = std::min(sharing, tile.kw - kx);
      if (pending + taps > byteLookups) {
        widen(sums, totals);
        pending = 0;
      }
      addTaps(at, kx, taps, [&](int64_t p, Value found) {
        sums[p] = sums[p] ? addFound(sums[p], found) : found;
      });
      pending += taps;
    }
    if (between)
      between(filterRow, at.number);
    return pending;
  }

  /// Calls use(p, bytes) for each lookup of pixel p in a table.
  void addTaps(const Cursor &at, int64_t first, int64_t taps,
               llvm::function_ref<void(int64_t, Value)> use) {
    Values indices;
    std::map<int64_t, SmallVector<std::pair<int64_t, int64_t>>> uses;
    for (int64_t t = 0; t < taps; ++t) {
      indices.push_back(load(bytes, in.weights,
                             b.add(at.weights, (first + t) * target.lanes)));
      for (int64_t p = 0; p < tile.pixels; ++p)
        uses[p * tile.pixelStep + (first + t) * tile.tapStepX].emplace_back(p,
                                                                            t);
    }
    int64_t column = count * target.entries();
    for (auto &[x, users] : uses) {
      Value entries = loadTable(b.add(at.table, x * column));
      for (auto [p, t] : users)
        use(p, lookup(entries, indices[t]));
    }
  }

  //===--------------------------------------------------------------------===//
  // Pairs of pixels
  //===--------------------------------------------------------------------===//

  /// The sums of pairs wait in `out`, and get a byte sum of each chunk.
  void emitPairs() {
    clearOut();
    for (int64_t q = 0; q < tile.planesW; ++q) {
      plane = q;
      overRows({}, [&](Value ky, ValueRange) {
        return lookups(ky, b.index(0), count, {});
      });
    }
  }

  /// Bytes of a tile of pairs: the sums of lookups (of both pixels, modulo
  /// 256), those of the upper halves, and lookups whose halves are not full.
  struct PairSums {
    Values all, upper, joined;
    SmallVector<int64_t> joins;
  };

  void addPairChunk(const Cursor &at, int64_t size) {
    // Tables whose lookups fill halves of bytes, some lookups together.
    int64_t join = target.nibbleLookups();
    int64_t step = join / std::gcd(join, tile.kw);
    while (step * tile.kw < maxSharing * 2)
      step *= 2;
    step = std::min(step, size);
    int64_t whole = size / step * step;
    auto run = [&](Value from, int64_t tables, ValueRange carried) {
      PairSums sums{Values(carried.take_front(tile.pixels)),
                    Values(carried.drop_front(tile.pixels)),
                    Values(tile.pixels), SmallVector<int64_t>(tile.pixels, 0)};
      for (int64_t g = 0; g < tables; ++g)
        addPairTable(advance(advance(at, from), g), sums);
      for (int64_t p = 0; p < tile.pixels; ++p)
        flush(sums, p);
      sums.all.append(sums.upper);
      return sums.all;
    };
    Values sums(2 * tile.pixels, b.splat(bytes, int64_t(0)));
    sums = b.carry(b.index(0), b.index(whole), step, sums,
                   [&](Value from, ValueRange carried) {
                     return run(from, step, carried);
                   });
    if (whole < size)
      sums = run(b.index(whole), size - whole, sums);
    splitPairs(sums);
  }
  void addPairTable(const Cursor &at, PairSums &sums) {
    for (int64_t kx = 0; kx < tile.kw; kx += sharing)
      addTaps(at, kx, std::min(sharing, tile.kw - kx),
              [&](int64_t p, Value found) {
                Value &joined = sums.joined[p];
                joined = joined ? addFound(joined, found) : found;
                if (++sums.joins[p] == target.nibbleLookups())
                  flush(sums, p);
              });
    if (between)
      between(filterRow, at.number);
  }

  /// Adds up what halves of bytes hold.
  void flush(PairSums &sums, int64_t p) {
    Value joined = std::exchange(sums.joined[p], Value());
    sums.joins[p] = 0;
    if (!joined)
      return;
    Value upper = b.shr(joined, b.splat(bytes, int64_t(4)));
    sums.all[p] = b.add(sums.all[p], joined);
    sums.upper[p] = b.add(sums.upper[p], upper);
  }

  /// lower = all - 16 upper, both added to the sums in `out`.
  void splitPairs(ValueRange sums) {
    for (int64_t p = 0; p < tile.pixels; ++p) {
      Value upper = sums[tile.pixels + p];
      Value lower = b.sub(sums[p], b.shl(upper, b.splat(bytes, int64_t(4))));
      addTo(p, lower);
      addTo(tile.pixels + p, upper);
    }
  }

  /// Adds the bytes of an output to its sums.
  void addTo(int64_t output, Value sum) {
    Value pairs = vector::BitCastOp::create(b, halves, sum);
    Value parts[] = {b.andi(pairs, b.splat(halves, int64_t(255))),
                     b.shr(pairs, b.splat(halves, int64_t(8)))};
    for (auto [i, part] : llvm::enumerate(parts)) {
      Value at = b.index((2 * output + int64_t(i)) * target.lanes / 2);
      if (sumType != halves)
        part = arith::ExtUIOp::create(b, sumType, part);
      if (plane)
        part = b.shl(part, b.splat(sumType, plane));
      b.store(b.add(b.load(sumType, out, at), part), out, at);
    }
  }

  void clearOut() {
    for (int64_t i = 0; i < 2 * tile.outputs(); ++i)
      b.store(b.splat(sumType, int64_t(0)), out, b.index(i * target.lanes / 2));
  }

  //===--------------------------------------------------------------------===//
  // Tables in registers
  //===--------------------------------------------------------------------===//

  /// The sums wait in `out`, and get the byte sums of each run of tables.
  void emitShared() {
    clearOut();
    int64_t run = std::min(std::max(tile.run, byteLookups), count);
    int64_t whole = count / run * run;
    for (plane = 0; plane < tile.planesW; ++plane) {
      b.loop(b.index(0), b.index(whole), run,
             [&](Value first) { addRun(first, run); });
      if (whole < count)
        addRun(b.index(whole), count - whole);
    }
  }

  void addRun(Value first, int64_t size) {
    Values sums(tile.outputs());
    addSharedTables(first, sums);
    sums = b.carry(b.index(1), b.index(size), 1, sums,
                   [&](Value t, ValueRange part) {
                     Values next(part);
                     addSharedTables(b.add(first, t), next);
                     return next;
                   });
    for (auto [output, sum] : llvm::enumerate(sums))
      addTo(int64_t(output), sum);
  }

  /// Table t of each pixel.
  void addSharedTables(Value t, Values &sums) {
    Values indices;
    for (int64_t r = 0; r < tile.shared; ++r) {
      Value row = b.add(b.mul(b.add(in.block, r), tile.planesW), plane);
      Value number = b.add(b.mul(row, count), t);
      indices.push_back(load(bytes, in.weights, b.mul(number, target.lanes)));
    }
    for (int64_t p = 0; p < tile.pixels; ++p) {
      Values at;
      for (int64_t i = 0; i < target.parts(tile.tableBits()); ++i)
        at.push_back(b.add(b.add(in.field, t), i * in.fieldStride + p * count));
      Value table = spread(emitLookupTable(b, target, in.rows, in.fields, at));
      for (int64_t r = 0; r < tile.shared; ++r) {
        Value &sum = sums[r * tile.pixels + p];
        Value found = lookup(table, indices[r]);
        sum = sum ? addFound(sum, found) : found;
      }
    }
  }

  //===--------------------------------------------------------------------===//
  // Tables
  //===--------------------------------------------------------------------===//

  Value load(VectorType type, Value memory, Value at) {
    return vector::LoadOp::create(b, type, memory, ValueRange{at},
                                  /*nontemporal=*/false,
                                  llvm::MaybeAlign(type.getNumElements()));
  }

  Value loadTable(Value at) {
    return spread(load(b.vec(target.entries(), b.getI8Type()), in.tables, at));
  }

  /// A table in every part of a register that a shuffle treats alone.
  Value spread(Value table) {
    if (target.entries() == target.lanes)
      return table;
    SmallVector<int64_t> mask;
    for (int64_t i = 0; i < target.lanes; ++i)
      mask.push_back(i % target.entries());
    return vector::ShuffleOp::create(b, table, table, mask);
  }

  Value lookup(Value table, Value index) {
    return createTargetIntrinsic(b, b.getLoc(), target.shuffle, {table, index});
  }

  /// The sum of bytes of which none overflows.
  Value addFound(Value sum, Value found) {
    if (target.add.empty())
      return b.add(sum, found);
    return createTargetIntrinsic(b, b.getLoc(), target.add, {sum, found});
  }

  void widen(Values &sums, Values &totals) {
    for (int64_t p = 0; p < tile.pixels; ++p) {
      if (!sums[p])
        continue;
      Value pairs = vector::BitCastOp::create(b, halves, sums[p]);
      totals[2 * p] = b.add(totals[2 * p], pairs);
      totals[2 * p + 1] =
          b.add(totals[2 * p + 1], b.shr(pairs, b.splat(halves, int64_t(8))));
      sums[p] = Value();
    }
  }

  LoopBuilder &b;
  const LookupTarget &target;
  const LookupTile &tile;
  const LookupOperands &in;
  Value out;
  BetweenLookups between;
  VectorType bytes, halves, sumType;
  int64_t count;       // tables of a pixel
  int64_t byteLookups; // lookups that a byte holds
  int64_t sharing;     // taps that a load of a table serves
  int64_t chunk;       // tables between two widenings
  int64_t plane = 0;   // of the weights
  int64_t filterRow = 0;
};

} // namespace

void hwgq::emitLookupTile(LoopBuilder &b, const LookupTarget &target,
                          const LookupTile &tile,
                          const LookupOperands &operands, Value sums,
                          BetweenLookups between) {
  TileEmitter(b, target, tile, operands, sums, between).emit();
}
