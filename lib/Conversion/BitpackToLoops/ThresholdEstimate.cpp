//===- ThresholdEstimate.cpp - codes of many thresholds -------------------===//
#include "ThresholdEstimate.h"

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

std::optional<ThresholdEstimate>
ThresholdEstimate::get(LoopBuilder &b, ArrayRef<int32_t> levels,
                       ArrayRef<int32_t> keeps, int64_t channels) {
  constexpr int64_t kMany = 63;
  ThresholdEstimate estimate;
  estimate.count = int64_t(levels.size()) / channels;
  estimate.channels = channels;
  if (estimate.count < kMany)
    return std::nullopt;
  std::vector<float> bases, factors, firsts, lows, highs;
  std::vector<int32_t> table;
  for (int64_t c = 0; c < channels; ++c) {
    std::vector<int32_t> sorted;
    for (int64_t i = 0; i < estimate.count; ++i)
      sorted.push_back(levels[i * channels + c]);
    std::optional<Line> line =
        keeps[c]
            ? fit(sorted)
            : Line::constant(llvm::upper_bound(sorted, 0) - sorted.begin());
    if (!line)
      return std::nullopt;
    bases.push_back(line->base);
    factors.push_back(line->factor);
    firsts.push_back(line->first);
    lows.push_back(line->low);
    highs.push_back(line->high);
    table.push_back(kAlways);
    table.insert(table.end(), sorted.begin(), sorted.end());
    table.push_back(kNever);
  }
  estimate.base = b.constant(ArrayRef<float>(bases));
  estimate.factor = b.constant(ArrayRef<float>(factors));
  estimate.first = b.constant(ArrayRef<float>(firsts));
  estimate.low = b.constant(ArrayRef<float>(lows));
  estimate.high = b.constant(ArrayRef<float>(highs));
  estimate.sorted = b.constant(ArrayRef<int32_t>(table));
  return estimate;
}

Value ThresholdEstimate::codes(LoopBuilder &b, Value acc, Value channel) const {
  int64_t lanes = cast<VectorType>(acc.getType()).getNumElements();
  VectorType floats = b.vec(lanes, b.getF32Type());
  VectorType integers = b.vec(lanes, b.getI32Type());
  auto row = [&](Value table) -> Value {
    if (channels == 1)
      return b.broadcast(floats, b.load(table, b.index(0)));
    return b.load(floats, table, channel);
  };
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
  SmallVector<int32_t> starts;
  for (int64_t i = 0; i < lanes; ++i)
    starts.push_back(channels == 1 ? 0 : int32_t(i * (count + 2)));
  Value at = b.add(code, arith::ConstantOp::create(
                             b, DenseElementsAttr::get(
                                    integers, ArrayRef<int32_t>(starts))));
  Value origin = channels == 1 ? b.index(0) : b.mul(channel, count + 2);
  Value mask = b.splat(b.vec(lanes, b.getI1Type()), int64_t(1));
  Value zero = b.splat(integers, int64_t(0));
  Value result = b.add(code, b.splat(integers, int64_t(-1)));
  for (int64_t next : {0, 1}) {
    Value threshold = vector::GatherOp::create(
        b, integers, sorted, b.add(origin, next), at, mask, zero);
    Value reached = b.cmp(arith::CmpIPredicate::sge, acc, threshold);
    result = b.add(result, arith::ExtUIOp::create(b, integers, reached));
  }
  return result;
}
