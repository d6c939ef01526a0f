//===- LookupTables.cpp - tables of partial sums --------------------------===//
#include "LookupTile.h"
#include "hwgq/Conversion/TargetIntrinsics.h"
#include "hwgq/Dialect/Kernels.h"
#include <numeric>

using namespace mlir;
using namespace hwgq;

LookupTarget hwgq::getLookupTarget(const LoopOptions &options) {
  if (options.neon)
    return {"tbl", 16, 4, 21};
  if (options.vectorBytes == 64 && options.bytePermute)
    return {"vpermb512", 64, 6, 21, "paddusb512"};
  if (options.vectorBytes == 64)
    return {"pshufb512", 64, 4, 21, "paddusb512"};
  if (options.vectorBytes == 32)
    return {"pshufb256", 32, 4, 12};
  return {"pshufb128", 16, 4, 12};
}

int64_t hwgq::getLookupPixels(const LookupTarget &target, int64_t width,
                              int64_t shared) {
  constexpr int64_t mostAlone = 10;
  int64_t most = shared ? std::min(target.accumulators / shared, mostAlone)
                        : target.accumulators / 3;
  return bitpack::getEqualPart(width, most);
}

bool hwgq::canPair(const LookupTarget &target, const LookupTile &tile) {
  return tile.planesA == 1 && tile.kw <= target.byteLookups(1);
}

int64_t hwgq::getLookupRun(const LookupTarget &target, const LookupTile &tile,
                           ArrayRef<uint8_t> codes) {
  int64_t count = target.tables(tile.channels), row = tile.kw * tile.channels;
  int64_t most = 255 / ((int64_t(1) << tile.planesA) - 1), run = count;
  // sums[t]: bits of one in the tables before t of a filter row.
  SmallVector<int64_t> sums(count + 1);
  for (; !codes.empty(); codes = codes.drop_front(row))
    for (int64_t q = 0; q < tile.planesW; ++q) {
      std::fill(sums.begin(), sums.end(), 0);
      for (int64_t i = 0; i < row; ++i) {
        int64_t c = i % tile.channels;
        int64_t t = c / 64 * target.wordTables() + c % 64 / target.group;
        sums[t + 1] += codes[i] >> q & 1;
      }
      std::partial_sum(sums.begin(), sums.end(), sums.begin());
      for (int64_t t = 0; t + run <= count; ++t)
        while (run && sums[t + run] - sums[t] > most)
          --run;
    }
  return run;
}

std::vector<uint8_t> hwgq::getLookupRows(const LookupTarget &target,
                                         const LookupTile &tile) {
  std::vector<uint8_t> rows;
  int64_t step = target.rowBits(), entries = target.entries();
  int64_t weight = tile.paired ? 4 : 1;
  for (int64_t first = 0; first < tile.tableBits(); first += step)
    for (int64_t a = 0; a < int64_t(1) << (step * target.group); ++a)
      for (int64_t w = 0; w < entries; ++w) {
        uint8_t sum = 0;
        for (int64_t p = 0; p < step && first + p < tile.tableBits(); ++p)
          sum += llvm::popcount(uint64_t((a >> (p * target.group)) & w))
                 << ((first + p) * weight);
        rows.push_back(sum);
      }
  return rows;
}

/// i16 elements of the constant.
static Value constantHalves(LoopBuilder &b, ArrayRef<int16_t> values) {
  VectorType type = b.vec(int64_t(values.size()), b.getI16Type());
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, values));
}

/// Bits 6 t to 6 t + 5 of a word as bits 6 to 11 of element t, of which the
/// first wordTables() are wanted: rows of 64 bytes.
static Value sixes(LoopBuilder &b, Value word) {
  constexpr int64_t count = lookupFields;
  SmallVector<int8_t> places;
  SmallVector<int16_t> masks;
  for (int64_t t = 0; t < count; ++t) {
    places.push_back((6 * t - 6) & 63);
    places.push_back((6 * t + 2) & 63);
    int64_t bits = std::clamp<int64_t>(64 - 6 * t, 0, 6);
    masks.push_back(((1 << bits) - 1) << 6);
  }
  VectorType bytes = b.vec(2 * count, b.getI8Type());
  Value words = b.broadcast(b.vec(count / 4, b.getI64Type()), word);
  Value found = createTargetIntrinsic(
      b, b.getLoc(), "vpmultishiftqb256",
      {arith::ConstantOp::create(
           b, DenseElementsAttr::get(bytes, ArrayRef<int8_t>(places))),
       vector::BitCastOp::create(b, bytes, words)});
  return b.andi(
      vector::BitCastOp::create(b, b.vec(count, b.getI16Type()), found),
      constantHalves(b, masks));
}

/// The nibbles of one or two words as bits 4 to 11 of the elements, those of
/// the first word lower: rows of 16 bytes.
static Value nibbles(LoopBuilder &b, ValueRange words) {
  Value low = b.i64(0x0f0f0f0f0f0f0f0f), four = b.i64(4);
  Value even = b.andi(words[0], low), odd = b.andi(b.shr(words[0], four), low);
  if (words.size() == 2) {
    Value high = b.i64(0xf0f0f0f0f0f0f0f0);
    odd = b.ori(odd, b.andi(words[1], high));
    even = b.ori(even, b.andi(b.shl(words[1], four), high));
  }
  auto bytesOf = [&](Value word) -> Value {
    return vector::BitCastOp::create(
        b, b.vec(8, b.getI8Type()),
        b.broadcast(b.vec(1, b.getI64Type()), word));
  };
  Value numbers = vector::InterleaveOp::create(b, bytesOf(even), bytesOf(odd));
  VectorType type = b.vec(lookupFields, b.getI16Type());
  return b.shl(arith::ExtUIOp::create(b, type, numbers),
               b.splat(type, int64_t(4)));
}

void hwgq::emitLookupFields(LoopBuilder &b, const LookupTarget &target,
                            Value acts, ValueRange words, Value fields,
                            Value at) {
  Values loaded;
  for (Value word : words)
    loaded.push_back(b.load(acts, word));
  b.store(target.rowBits() == 1 ? sixes(b, loaded.front()) : nibbles(b, loaded),
          fields, at);
}

Value hwgq::emitLookupTable(LoopBuilder &b, const LookupTarget &target,
                            Value rows, Value fields, ValueRange at) {
  int64_t entries = target.entries();
  int64_t partBytes = entries << (target.rowBits() * target.group);
  VectorType type = b.vec(entries, b.getI8Type());
  Value table;
  for (auto [p, place] : llvm::enumerate(at)) {
    Value row = arith::IndexCastUIOp::create(b, b.getIndexType(),
                                             b.load(fields, place));
    Value part = b.load(type, rows, b.add(row, int64_t(p) * partBytes));
    table = table ? b.add(table, part) : part;
  }
  return table;
}

int64_t hwgq::getLookupWeightBytes(const LookupTarget &target,
                                   const LookupTile &tile, int64_t blocks) {
  return blocks * tile.planesW * tile.kh * target.tables(tile.channels) *
         tile.kw * target.lanes;
}
