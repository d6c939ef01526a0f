//===- ThresholdSearch.cpp - codes of many thresholds ---------------------===//
#include "ThresholdSearch.h"

using namespace mlir;
using namespace hwgq;

namespace {

constexpr int32_t kAlways = std::numeric_limits<int32_t>::min();
constexpr int32_t kNever = std::numeric_limits<int32_t>::max();

/// code ~ (f32(acc) - base) * factor + first, between low and high.
struct Line {
  float base = 0, factor = 0, first = 0, low = 0, high = 0;

  /// As the code that is made computes it: each operation rounds.
  int64_t at(int32_t acc) const {
    volatile float distance = float(acc) - base;
    volatile float rise = distance * factor;
    volatile float code = rise + first;
    return int64_t(std::max(std::min(float(code), high), low));
  }

  static Line constant(int64_t code) {
    return {0, 0, float(code), float(code), float(code)};
  }
};

} // namespace

/// A line that is never further than one from the number of `sorted` reached.
static std::optional<Line> fit(ArrayRef<int32_t> sorted) {
  int64_t low = llvm::count(sorted, kAlways);
  int64_t high = int64_t(sorted.size()) - llvm::count(sorted, kNever);
  if (low >= high)
    return Line::constant(low);
  float width = float(sorted[high - 1]) - float(sorted[low]);
  Line line{float(sorted[low]), width > 0 ? float(high - 1 - low) / width : 0,
            float(low + 1), float(low), float(high)};
  // Both are monotone, and the number changes at thresholds only.
  for (int64_t i = low; i < high; ++i)
    for (int32_t acc : {sorted[i] - 1, sorted[i]}) {
      int64_t reached = llvm::upper_bound(sorted, acc) - sorted.begin();
      if (std::abs(line.at(acc) - reached) > 1)
        return std::nullopt;
    }
  return line;
}

/// The number of thresholds that `acc` reaches.
static int32_t countReached(ArrayRef<int32_t> sorted, int64_t acc) {
  acc = std::min<int64_t>(acc, kNever - 1);
  return llvm::upper_bound(sorted, acc) - sorted.begin();
}

std::optional<ThresholdSearch> ThresholdSearch::get(LoopBuilder &b,
                                                    ArrayRef<int32_t> levels,
                                                    ArrayRef<int32_t> keeps,
                                                    int64_t channels) {
  ThresholdSearch search;
  search.count = int64_t(levels.size()) / channels;
  search.channels = channels;
  if (search.count < kMany)
    return std::nullopt;
  Rows rows(channels);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < search.count; ++i)
      rows[c].push_back(levels[i * channels + c]);
  if (!search.makeTable(b, rows) && !search.makeLine(b, rows, keeps))
    search.makeSorted(b, rows);
  return search;
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

bool ThresholdSearch::makeTable(LoopBuilder &b, const Rows &rows) {
  constexpr int64_t kBytes = 128 << 10, kLongest = 512;
  std::vector<int32_t> starts;
  int64_t last = 0; // entry
  for (const std::vector<int32_t> &row : rows) {
    auto from = llvm::find_if(row, [](int32_t t) { return t != kAlways; });
    auto to = std::find(from, row.end(), kNever);
    starts.push_back(from == to ? 0 : *from - 1);
    if (from != to)
      last = std::max(last, int64_t(*(to - 1)) - starts.back());
  }
  size = last + 1;
  if (size > kLongest || size * channels * 4 > kBytes)
    return false;
  std::vector<int32_t> codes;
  for (auto [row, from] : llvm::zip(rows, starts))
    for (int64_t i = 0; i < size; ++i)
      codes.push_back(countReached(row, int64_t(from) + i));
  start = b.constant(ArrayRef<int32_t>(starts));
  entries = b.constant(ArrayRef<int32_t>(codes));
  return true;
}

Value ThresholdSearch::fromTable(LoopBuilder &b, Value acc,
                                 Value channel) const {
  auto type = cast<VectorType>(acc.getType());
  // acc - start where that lies in the table; no difference overflows.
  Value from = perChannel(b, type, start, channel);
  acc = arith::MaxSIOp::create(b, acc, from);
  Value index =
      arith::MinUIOp::create(b, b.sub(acc, from), b.splat(type, size - 1));
  return gather(b, channel, index);
}

//===----------------------------------------------------------------------===//
// Lines
//===----------------------------------------------------------------------===//

void ThresholdSearch::makeSorted(LoopBuilder &b, const Rows &rows) {
  size = count + 2;
  std::vector<int32_t> sorted;
  for (const std::vector<int32_t> &row : rows) {
    sorted.push_back(kAlways);
    sorted.insert(sorted.end(), row.begin(), row.end());
    sorted.push_back(kNever);
  }
  entries = b.constant(ArrayRef<int32_t>(sorted));
}

bool ThresholdSearch::makeLine(LoopBuilder &b, const Rows &rows,
                               ArrayRef<int32_t> keeps) {
  std::vector<float> bases, factors, firsts, lows, highs;
  for (auto [row, keep] : llvm::zip(rows, keeps)) {
    std::optional<Line> line =
        keep ? fit(row) : Line::constant(countReached(row, 0));
    if (!line)
      return false;
    bases.push_back(line->base);
    factors.push_back(line->factor);
    firsts.push_back(line->first);
    lows.push_back(line->low);
    highs.push_back(line->high);
  }
  makeSorted(b, rows);
  base = b.constant(ArrayRef<float>(bases));
  factor = b.constant(ArrayRef<float>(factors));
  first = b.constant(ArrayRef<float>(firsts));
  low = b.constant(ArrayRef<float>(lows));
  high = b.constant(ArrayRef<float>(highs));
  return true;
}

Value ThresholdSearch::fromLine(LoopBuilder &b, Value acc,
                                Value channel) const {
  auto integers = cast<VectorType>(acc.getType());
  VectorType floats = b.vec(integers.getNumElements(), b.getF32Type());
  auto row = [&](Value table) { return perChannel(b, floats, table, channel); };
  Value line = arith::SubFOp::create(b, arith::SIToFPOp::create(b, floats, acc),
                                     row(base));
  line = arith::MulFOp::create(b, line, row(factor));
  line = arith::AddFOp::create(b, line, row(first));
  auto choose = [&](arith::CmpFPredicate better, Value other) {
    Value keep = arith::CmpFOp::create(b, better, line, other);
    line = arith::SelectOp::create(b, keep, line, other);
  };
  choose(arith::CmpFPredicate::OLT, row(high));
  choose(arith::CmpFPredicate::OGT, row(low));
  Value code = arith::FPToSIOp::create(b, integers, line);
  // code - 1 + (acc >= threshold code - 1) + (acc >= threshold code)
  Value result = b.add(code, b.splat(integers, int64_t(-1)));
  for (int64_t next : {0, 1}) {
    Value reached =
        b.cmp(arith::CmpIPredicate::sge, acc, gather(b, channel, code, next));
    result = b.add(result, arith::ExtUIOp::create(b, integers, reached));
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Halving
//===----------------------------------------------------------------------===//

/// From the highest bit of the code down: it is set where the threshold that
/// the code would then have passed last is reached. There are 2^k - 1.
Value ThresholdSearch::byHalves(LoopBuilder &b, Value acc,
                                Value channel) const {
  auto type = cast<VectorType>(acc.getType());
  Value code = b.splat(type, int64_t(0));
  for (int64_t bit = llvm::PowerOf2Ceil(count) / 2; bit; bit /= 2) {
    Value reached =
        b.cmp(arith::CmpIPredicate::sge, acc, gather(b, channel, code, bit));
    code = b.add(
        code, b.select(reached, b.splat(type, bit), b.splat(type, int64_t(0))));
  }
  return code;
}

//===----------------------------------------------------------------------===//
// Codes
//===----------------------------------------------------------------------===//

Value ThresholdSearch::perChannel(LoopBuilder &b, VectorType type, Value table,
                                  Value channel) const {
  if (channels == 1)
    return b.broadcast(type, b.load(table, b.index(0)));
  return b.load(type, table, channel);
}

Value ThresholdSearch::gather(LoopBuilder &b, Value channel, Value index,
                              int64_t offset) const {
  auto type = cast<VectorType>(index.getType());
  SmallVector<int32_t> starts;
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    starts.push_back(channels == 1 ? 0 : int32_t(i * size));
  Value at =
      b.add(index, arith::ConstantOp::create(
                       b, DenseElementsAttr::get(type, ArrayRef(starts))));
  Value origin = channels == 1 ? b.index(0) : b.mul(channel, size);
  Value mask = b.splat(b.vec(type.getNumElements(), b.getI1Type()), int64_t(1));
  return vector::GatherOp::create(b, type, entries, b.add(origin, offset), at,
                                  mask, b.splat(type, int64_t(0)));
}

Value ThresholdSearch::codes(LoopBuilder &b, Value acc, Value channel) const {
  return start  ? fromTable(b, acc, channel)
         : base ? fromLine(b, acc, channel)
                : byHalves(b, acc, channel);
}
