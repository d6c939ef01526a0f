//===- LookupTile.cpp - the inner loops of lookup kernels -----------------===//
#include "LookupTile.h"
#include "hwgq/Conversion/TargetIntrinsics.h"
#include <map>

using namespace mlir;
using namespace hwgq;

LookupTarget hwgq::getLookupTarget(const LoopOptions &options) {
  if (options.neon)
    return {"tbl", 16, 4, 21};
  if (options.vectorBytes == 64 && options.bytePermute)
    return {"vpermb512", 64, 6, 21};
  if (options.vectorBytes == 64)
    return {"pshufb512", 64, 4, 21};
  if (options.vectorBytes == 32)
    return {"pshufb256", 32, 4, 12};
  return {"pshufb128", 16, 4, 12};
}

int64_t hwgq::getLookupPixels(const LookupTarget &target, int64_t width) {
  int64_t most = target.accumulators / 3;
  // The fewest tiles, then the most even ones.
  return llvm::divideCeil(width, llvm::divideCeil(width, most));
}

std::vector<uint8_t> hwgq::getLookupRows(const LookupTarget &target,
                                         int64_t planes) {
  std::vector<uint8_t> rows;
  int64_t step = target.rowPlanes(), entries = target.entries();
  for (int64_t first = 0; first < planes; first += step)
    for (int64_t a = 0; a < int64_t(1) << (step * target.group); ++a)
      for (int64_t w = 0; w < entries; ++w) {
        uint8_t sum = 0;
        for (int64_t p = 0; p < step && first + p < planes; ++p)
          sum += llvm::popcount(uint64_t((a >> (p * target.group)) & w))
                 << (first + p);
        rows.push_back(sum);
      }
  return rows;
}

/// The numbers of the rows of a word's tables, as fields of i64: table t has
/// bits [shift, ...) of the value.
static std::pair<Value, int64_t> rowField(const LookupTarget &target,
                                          ValueRange fields, int64_t t) {
  if (target.rowPlanes() == 1)
    return {fields[0], t * target.group};
  return {fields[t % 2], t / 2 * 8};
}

/// Fields of planes: as they are, or the nibbles of two planes side by side in
/// the bytes of an even and an odd word.
static Values rowFields(LoopBuilder &b, const LookupTarget &target,
                        ValueRange planes) {
  if (target.rowPlanes() == 1)
    return {planes[0]};
  Value low = b.i64(0x0f0f0f0f0f0f0f0f), four = b.i64(4);
  Value even = b.andi(planes[0], low),
        odd = b.andi(b.shr(planes[0], four), low);
  if (planes.size() == 1)
    return {even, odd};
  return {b.ori(even, b.shl(b.andi(planes[1], low), four)),
          b.ori(odd, b.andi(planes[1], b.i64(0xf0f0f0f0f0f0f0f0)))};
}

void hwgq::emitLookupTables(LoopBuilder &b, const LookupTarget &target,
                            int64_t planes, Value rows, Value acts, Value at,
                            Value tables, Value to) {
  int64_t entries = target.entries(), step = target.rowPlanes();
  int64_t rowBits = step * target.group;
  VectorType type = b.vec(entries, b.getI8Type());
  std::vector<Values> fields;
  for (int64_t p = 0; p < planes; p += step) {
    Values words;
    for (int64_t q = p; q < std::min(planes, p + step); ++q)
      words.push_back(b.load(acts, b.add(at, q)));
    fields.push_back(rowFields(b, target, words));
  }
  for (int64_t t = 0; t < target.wordTables(); ++t) {
    Value table;
    for (auto [i, words] : llvm::enumerate(fields)) {
      auto [word, first] = rowField(target, words, t);
      // A row has 2^group bytes.
      int64_t shift = first - target.group;
      Value bits =
          shift < 0 ? b.shl(word, b.i64(-shift)) : b.shr(word, b.i64(shift));
      uint64_t mask = ((uint64_t(1) << rowBits) - 1) << target.group;
      Value row = b.toIndex(b.andi(bits, b.i64(mask)));
      Value part =
          b.load(type, rows, b.add(row, int64_t(i) * (entries << rowBits)));
      table = table ? b.add(table, part) : part;
    }
    b.store(table, tables, b.add(to, t * entries));
  }
}

void hwgq::emitLookupTable(LoopBuilder &b, const LookupTarget &target,
                           int64_t planes, Value rows, Value acts, Value at,
                           Value t, Value tables, Value to) {
  assert(target.rowPlanes() == 1 && "a row for each plane");
  int64_t entries = target.entries();
  Value word = b.add(at, b.mul(b.div(t, target.wordTables()), planes));
  Value shift = b.toI64(b.mul(b.rem(t, target.wordTables()), target.group));
  VectorType type = b.vec(entries, b.getI8Type());
  Value table;
  for (int64_t p = 0; p < planes; ++p) {
    Value bits = b.shr(b.load(acts, b.add(word, p)), shift);
    Value row = b.shl(b.andi(bits, b.i64(entries - 1)), b.i64(target.group));
    Value part = b.load(type, rows,
                        b.add(b.toIndex(row), p * (entries << target.group)));
    table = table ? b.add(table, part) : part;
  }
  b.store(table, tables, to);
}

int64_t hwgq::getLookupWeightBytes(const LookupTarget &target,
                                   const LookupTile &tile, int64_t blocks) {
  return blocks * tile.planesW * tile.kh * target.tables(tile.words) * tile.kw *
         target.lanes;
}

namespace {

class TileEmitter {
public:
  TileEmitter(LoopBuilder &b, const LookupTarget &target,
              const LookupTile &tile, Value tables, Value base, Value row,
              Value column, Value weights, Value block, BetweenLookups between)
      : b(b), target(target), tile(tile), tables(tables), base(base), row(row),
        column(column), weights(weights), block(block), between(between),
        bytes(b.vec(target.lanes, b.getI8Type())),
        halves(b.vec(target.lanes / 2, b.getI16Type())),
        sumType(tile.bound() < 65536 ? halves
                                     : b.vec(target.lanes / 2, b.getI32Type())),
        count(target.tables(tile.words)) {
    int64_t most = target.byteLookups(tile.planesA);
    byteLookups = most;
    int64_t parts =
        llvm::divideCeil(tile.kw, std::min<int64_t>(maxSharing, most));
    sharing = llvm::divideCeil(tile.kw, parts);
    chunk = std::clamp<int64_t>(most / tile.kw, 1, count);
    chunk = llvm::divideCeil(count, llvm::divideCeil(count, chunk));
  }

  Values emit() {
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
    return sums;
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
    int64_t pixelBytes = count * target.entries();
    Value y = b.add(row, b.mul(ky, tile.tapStepY));
    Value at = b.add(b.mul(b.rem(y, tile.ring), tile.columns), column);
    Value table = b.add(base, b.mul(at, pixelBytes));
    int64_t tapBytes = tile.kw * target.lanes;
    Value w =
        b.add(b.mul(b.mul(block, tile.planesW), tile.kh), plane * tile.kh);
    w = b.mul(b.add(w, ky), count * tapBytes);
    auto run = [&](Value from, int64_t tables, ValueRange sums) {
      Value g = b.add(first, from);
      return addChunk(g, b.add(table, b.mul(g, target.entries())),
                      b.add(w, b.mul(g, tapBytes)), tables, sums);
    };
    int64_t step = std::min(chunk, size), whole = size / step * step;
    Values result = b.carry(
        b.index(0), b.index(whole), step, totals,
        [&](Value from, ValueRange sums) { return run(from, step, sums); });
    return whole < size ? run(b.index(whole), size - whole, result) : result;
  }

  /// All taps of a row in `size` tables from the `first` on, which is at
  /// `table`; the byte sums are added to `totals`.
  Values addChunk(Value first, Value table, Value w, int64_t size,
                  ValueRange totals) {
    Values sums(tile.pixels), result(totals);
    int64_t pending = 0;
    int64_t straight = size <= maxUnrolled ? size : 1;
    for (int64_t g = 0; g < straight; ++g) {
      pending =
          addTable(b.add(table, g * target.entries()),
                   b.add(w, g * tile.kw * target.lanes), pending, sums, result);
      if (between)
        between(filterRow, b.add(first, g));
    }
    if (straight < size)
      sums = b.carry(b.index(1), b.index(size), 1, sums,
                     [&](Value g, ValueRange part) {
                       Values next(part);
                       addTable(b.add(table, b.mul(g, target.entries())),
                                b.add(w, b.mul(g, tile.kw * target.lanes)), 0,
                                next, result);
                       if (between)
                         between(filterRow, b.add(first, g));
                       return next;
                     });
    widen(sums, result);
    return result;
  }

  /// The taps of a row in one table; returns the lookups in the byte sums.
  int64_t addTable(Value table, Value w, int64_t pending, Values &sums,
                   Values &totals) {
    for (int64_t kx = 0; kx < tile.kw; kx += sharing) {
      int64_t taps = std::min(sharing, tile.kw - kx);
      if (pending + taps > byteLookups) {
        widen(sums, totals);
        pending = 0;
      }
      addTaps(table, w, kx, taps, sums);
      pending += taps;
    }
    return pending;
  }

  void addTaps(Value table, Value w, int64_t first, int64_t taps,
               Values &sums) {
    Values indices;
    std::map<int64_t, SmallVector<std::pair<int64_t, int64_t>>> uses;
    for (int64_t t = 0; t < taps; ++t) {
      indices.push_back(
          load(bytes, weights, b.add(w, (first + t) * target.lanes)));
      for (int64_t p = 0; p < tile.pixels; ++p)
        uses[p * tile.pixelStep + (first + t) * tile.tapStepX].emplace_back(p,
                                                                            t);
    }
    int64_t pixelBytes = count * target.entries();
    for (auto &[x, users] : uses) {
      Value entries = loadTable(b.add(table, x * pixelBytes));
      for (auto [p, t] : users) {
        Value found = lookup(entries, indices[t]);
        sums[p] = sums[p] ? b.add(sums[p], found) : found;
      }
    }
  }

  Value load(VectorType type, Value memory, Value at) {
    return vector::LoadOp::create(b, type, memory, ValueRange{at},
                                  /*nontemporal=*/false,
                                  llvm::MaybeAlign(type.getNumElements()));
  }

  /// A table in every part of a register that a shuffle treats alone.
  Value loadTable(Value at) {
    int64_t entries = target.entries();
    Value table = load(b.vec(entries, b.getI8Type()), tables, at);
    if (entries == target.lanes)
      return table;
    SmallVector<int64_t> mask;
    for (int64_t i = 0; i < target.lanes; ++i)
      mask.push_back(i % entries);
    return vector::ShuffleOp::create(b, table, table, mask);
  }

  Value lookup(Value table, Value index) {
    return createTargetIntrinsic(b, b.getLoc(), target.shuffle, {table, index});
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
  Value tables, base, row, column, weights, block;
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

Values hwgq::emitLookupTile(LoopBuilder &b, const LookupTarget &target,
                            const LookupTile &tile, Value tables, Value base,
                            Value row, Value column, Value weights, Value block,
                            BetweenLookups between) {
  return TileEmitter(b, target, tile, tables, base, row, column, weights, block,
                     between)
      .emit();
}
