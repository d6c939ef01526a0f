//===- LookupTables.cpp - tables of partial sums --------------------------===//
#include "LookupTile.h"

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

bool hwgq::canPair(const LookupTarget &target, const LookupTile &tile) {
  return tile.planesA == 1 && tile.kw <= target.byteLookups(1);
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

/// The numbers of the rows of a word's tables, as fields of i64: table t has
/// bits [shift, ...) of the value.
static std::pair<Value, int64_t> rowField(const LookupTarget &target,
                                          ValueRange fields, int64_t t) {
  if (target.rowBits() == 1)
    return {fields[0], t * target.group};
  return {fields[t % 2], t / 2 * 8};
}

/// Fields of words: as they are, or the nibbles of two words side by side in
/// the bytes of an even and an odd word.
static Values rowFields(LoopBuilder &b, const LookupTarget &target,
                        ValueRange words) {
  if (target.rowBits() == 1)
    return {words[0]};
  Value low = b.i64(0x0f0f0f0f0f0f0f0f), four = b.i64(4);
  Value even = b.andi(words[0], low), odd = b.andi(b.shr(words[0], four), low);
  if (words.size() == 1)
    return {even, odd};
  return {b.ori(even, b.shl(b.andi(words[1], low), four)),
          b.ori(odd, b.andi(words[1], b.i64(0xf0f0f0f0f0f0f0f0)))};
}

void hwgq::emitLookupTables(LoopBuilder &b, const LookupTarget &target,
                            const LookupTile &tile, Value rows, Value acts,
                            ValueRange words, Value tables, Value to) {
  int64_t entries = target.entries(), step = target.rowBits();
  int64_t rowBits = step * target.group;
  VectorType type = b.vec(entries, b.getI8Type());
  SmallVector<Values> fields;
  for (int64_t p = 0; p < tile.tableBits(); p += step) {
    Values part;
    for (Value at : words.slice(p, std::min(step, tile.tableBits() - p)))
      part.push_back(b.load(acts, at));
    fields.push_back(rowFields(b, target, part));
  }
  for (int64_t t = 0; t < target.wordTables(); ++t) {
    Value table;
    for (auto [i, parts] : llvm::enumerate(fields)) {
      auto [word, first] = rowField(target, parts, t);
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
                           const LookupTile &tile, Value rows, Value acts,
                           ValueRange words, Value t, Value tables, Value to) {
  assert(target.rowBits() == 1 && "a row for each bit");
  int64_t entries = target.entries();
  Value shift = b.toI64(b.mul(t, target.group));
  VectorType type = b.vec(entries, b.getI8Type());
  Value table;
  for (auto [p, at] : llvm::enumerate(words)) {
    Value bits = b.andi(b.shr(b.load(acts, at), shift), b.i64(entries - 1));
    Value row = b.toIndex(b.shl(bits, b.i64(target.group)));
    Value part =
        b.load(type, rows, b.add(row, int64_t(p) * (entries << target.group)));
    table = table ? b.add(table, part) : part;
  }
  b.store(table, tables, to);
}

int64_t hwgq::getLookupWeightBytes(const LookupTarget &target,
                                   const LookupTile &tile, int64_t blocks) {
  return blocks * tile.planesW * tile.kh * target.tables(tile.words) * tile.kw *
         target.lanes;
}
