//===- Thresholds.cpp - functions of accumulators as thresholds -----------===//
#include "hwgq/Transforms/Thresholds.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq;

static constexpr int64_t kMaxRowValues = 1 << 16;
static constexpr int64_t kMaxValues = 1 << 22;

//===----------------------------------------------------------------------===//
// Ranges
//===----------------------------------------------------------------------===//

static CodeType codeOf(Value value) {
  return dyn_cast<CodeType>(getElementTypeOrSelf(value.getType()));
}

static NumberRange join(NumberRange a, NumberRange b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high)};
}

static NumberRange numbersOfThreshold(ThresholdOp op) {
  CodeType type = codeOf(op.getResult());
  auto table = cast<RankedTensorType>(op.getThresholds().getType());
  auto values = getElementValues<int32_t>(op.getThresholds());
  int64_t count = table.getDimSize(1), low = count, high = 0;
  for (auto [row, direction] : llvm::enumerate(op.getDirection())) {
    int64_t constant = values ? (*values)[row * count] : 0;
    low = std::min(low, direction ? 0 : constant);
    high = std::max(high, direction ? count : constant);
  }
  return {type.toNumber(low), type.toNumber(high)};
}

NumberRange hwgq::reachableNumbers(Value codes) {
  CodeType type = codeOf(codes);
  NumberRange all = {type.getMin(), type.getMax()};
  Operation *op = codes.getDefiningOp();
  if (!op)
    return all;
  if (auto quantize = dyn_cast<QuantizeOp>(op)) {
    StepAttr step = quantize.getStep();
    NumberRange range = {step.getNan(), step.getNan()};
    for (int32_t n : step.getValues().asArrayRef())
      range = join(range, {n, n});
    return range;
  }
  if (auto threshold = dyn_cast<ThresholdOp>(op))
    return numbersOfThreshold(threshold);
  if (auto pad = dyn_cast<PadOp>(op)) {
    int64_t n = cast<IntegerAttr>(pad.getValue()).getValue().getSExtValue();
    return join(reachableNumbers(pad.getInput()), {n, n});
  }
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    NumberRange range = reachableNumbers(concat.getInputs()[0]);
    for (Value input : concat.getInputs().drop_front())
      range = join(range, reachableNumbers(input));
    return range;
  }
  if (isa<MaxPoolOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp,
          tensor::ExtractSliceOp, tensor::CastOp, linalg::TransposeOp>(op))
    return reachableNumbers(op->getOperand(0));
  return all;
}

/// Sums of products of the numbers of two tensors of codes, k terms each.
static NumberRange sumsOfPairs(ProductOp op) {
  NumberRange x = reachableNumbers(op.getInput()),
              w = reachableNumbers(op.getWeight());
  auto [low, high] = std::minmax(
      {x.low * w.low, x.low * w.high, x.high * w.low, x.high * w.high});
  int64_t terms =
      op.getInput().getType().getDimSize(getInnerDim(op.getInputDims()));
  return {terms * low, terms * high};
}

/// Sums over rows of constant weights.
static SmallVector<NumberRange> sumsOfRows(Value weight, NumberRange x) {
  SmallVector<NumberRange> ranges;
  CodeType type = codeOf(weight);
  auto shape = cast<RankedTensorType>(weight.getType());
  auto constant = weight.getDefiningOp<ConstantOp>();
  if (!constant || shape.getDimSize(0) < 1)
    return ranges;
  SmallVector<uint8_t> codes = getCodes(constant);
  int64_t rows = shape.getDimSize(0), size = shape.getNumElements() / rows;
  for (int64_t r = 0; r < rows; ++r) {
    NumberRange sum = {0, 0};
    for (int64_t i = 0; i < size; ++i) {
      int64_t w = type.toNumber(codes[r * size + i]);
      sum.low += w > 0 ? w * x.low : w * x.high;
      sum.high += w > 0 ? w * x.high : w * x.low;
    }
    ranges.push_back(sum);
  }
  return ranges;
}

SmallVector<NumberRange> hwgq::reachableSums(Value sums) {
  if (codeOf(sums))
    return {reachableNumbers(sums)};
  // Sums that a thing else makes may be any int32 whose neighbours are int32.
  SmallVector<NumberRange> any = {{std::numeric_limits<int32_t>::min() + 1,
                                   std::numeric_limits<int32_t>::max() - 1}};
  Operation *op = sums.getDefiningOp();
  if (isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op)) {
    SmallVector<NumberRange> inner = reachableSums(op->getOperand(0));
    auto from = cast<RankedTensorType>(op->getOperand(0).getType());
    auto to = cast<RankedTensorType>(sums.getType());
    bool kept = from.getRank() && to.getRank() &&
                from.getShape().back() == to.getShape().back();
    if (kept || inner.size() == 1)
      return inner;
    NumberRange all = inner[0];
    for (NumberRange range : inner)
      all = join(all, range);
    return {all};
  }
  if (auto product = dyn_cast_or_null<ProductOp>(op))
    return {sumsOfPairs(product)};
  if (!isa_and_nonnull<Conv2DOp, MatMulOp>(op) || !codeOf(op->getOperand(0)) ||
      !codeOf(op->getOperand(1)))
    return any;
  NumberRange x = reachableNumbers(op->getOperand(0));
  if (auto conv = dyn_cast<Conv2DOp>(op))
    if (llvm::any_of(conv.getPads(), [](int64_t p) { return p > 0; }))
      x = join(x, {0, 0});
  SmallVector<NumberRange> ranges = sumsOfRows(op->getOperand(1), x);
  return ranges.empty() ? any : ranges;
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

int64_t ThresholdTable::evaluate(int64_t n, int64_t row) const {
  auto values = ArrayRef(thresholds).slice(row * count, count);
  int8_t direction = directions[row];
  if (direction == 0)
    return values[0];
  return llvm::count_if(
      values, [&](int32_t t) { return direction > 0 ? n >= t : n <= t; });
}

namespace {
/// The codes of one row: from n on, this code.
struct Run {
  int64_t start;
  int64_t code;
};
} // namespace

/// Runs of equal codes of one row; fails where the codes rise and fall or leave
/// the type.
static FailureOr<SmallVector<Run>>
findRuns(const ElementFunction &function, int64_t row, CodeType type,
         const Domain &domain, int64_t &budget, std::string &reason) {
  constexpr size_t kMaxRuns = 1024; // before equal codes are joined
  SmallVector<Plateau> plateaus;
  FailureOr<SmallVector<Plateau>> found =
      findPlateaus(function, row, domain, kMaxRuns, reason);
  if (succeeded(found)) {
    plateaus = std::move(*found);
  } else {
    if (domain.size() > kMaxRowValues || domain.size() > budget)
      return failure();
    budget -= domain.size();
    plateaus = enumeratePlateaus(function, row, domain);
  }
  SmallVector<Run> runs;
  for (const Plateau &plateau : plateaus) {
    int64_t n = plateau.value.i;
    if (!type.contains(n)) {
      reason = "a value outside the code type";
      return failure();
    }
    runs.push_back({domain.at(plateau.start).i, type.toCode(n)});
  }
  bool rises = false, falls = false;
  for (size_t i = 1; i < runs.size(); ++i) {
    rises |= runs[i].code > runs[i - 1].code;
    falls |= runs[i].code < runs[i - 1].code;
  }
  if (rises && falls) {
    reason = "channel " + std::to_string(row) + " rises and falls";
    return failure();
  }
  return runs;
}

/// The thresholds of a row whose largest code may be below `count`.
static void appendRow(ThresholdTable &table, ArrayRef<Run> runs, int64_t low,
                      int64_t high, int64_t stride) {
  bool falling = runs.front().code > runs.back().code;
  if (runs.front().code == runs.back().code) {
    table.directions.push_back(0);
    table.thresholds.append(table.count, int32_t(runs[0].code));
    return;
  }
  table.directions.push_back(falling ? -1 : 1);
  for (int64_t code = 1; code <= table.count; ++code) {
    // Rising: the first n with at least this code; falling: the last.
    int64_t t = falling ? low - 1 : high + 1;
    for (size_t i = 0; i < runs.size(); ++i) {
      if (runs[i].code < code)
        continue;
      if (!falling) {
        t = runs[i].start;
        break;
      }
      t = i + 1 < runs.size() ? runs[i + 1].start - stride : high;
    }
    table.thresholds.push_back(int32_t(t));
  }
}

static Domain domainOf(ArrayRef<NumberRange> ranges, int64_t row,
                       int64_t stride) {
  NumberRange range = ranges[ranges.size() == 1 ? 0 : row];
  return Domain::integers(range.low, range.high, stride);
}

FailureOr<ThresholdTable> hwgq::findThresholds(const ElementFunction &function,
                                               CodeType type,
                                               ArrayRef<NumberRange> ranges,
                                               int64_t stride,
                                               std::string &reason) {
  ThresholdTable table;
  table.rows = function.getRows();
  table.count = 1;
  int64_t budget = kMaxValues;
  SmallVector<SmallVector<Run>> rows;
  for (int64_t r = 0; r < table.rows; ++r) {
    FailureOr<SmallVector<Run>> runs = findRuns(
        function, r, type, domainOf(ranges, r, stride), budget, reason);
    if (failed(runs))
      return failure();
    for (const Run &run : *runs)
      table.count = std::max(table.count, run.code);
    rows.push_back(std::move(*runs));
  }
  for (auto [r, runs] : llvm::enumerate(rows)) {
    NumberRange range = ranges[ranges.size() == 1 ? 0 : r];
    appendRow(table, runs, range.low, range.high, stride);
  }
  return table;
}

std::optional<std::string>
hwgq::checkThresholds(const ElementFunction &function, CodeType type,
                      ArrayRef<NumberRange> ranges, int64_t stride,
                      const ThresholdTable &table) {
  constexpr int64_t kEverything = 4096;
  for (int64_t r = 0; r < table.rows; ++r) {
    NumberRange range = ranges[ranges.size() == 1 ? 0 : r];
    SmallVector<int64_t> points = {range.low, range.high};
    if ((range.high - range.low) / stride < kEverything)
      for (int64_t n = range.low; n <= range.high; n += stride)
        points.push_back(n);
    else if (table.directions[r] != 0)
      for (int32_t t :
           ArrayRef(table.thresholds).slice(r * table.count, table.count))
        for (int64_t n : {int64_t(t) - 1, int64_t(t), int64_t(t) + 1})
          points.push_back(n);
    for (int64_t n : points) {
      if (n < range.low || n > range.high || (n - range.low) % stride)
        continue;
      int64_t value = function.evaluate(Scalar::ofInt(n), r).i;
      int64_t code = table.evaluate(n, r);
      if (!type.contains(value) || type.toCode(value) != code)
        return llvm::formatv("channel {0} at {1}: the graph gives {2}, the "
                             "thresholds give {3}",
                             r, n, value, type.toNumber(code))
            .str();
    }
  }
  return std::nullopt;
}

std::optional<Direction> hwgq::findDirection(const ElementFunction &function,
                                             int64_t row, NumberRange range,
                                             int64_t stride, unsigned node) {
  Domain domain = Domain::integers(range.low, range.high, stride);
  auto valueAt = [&](int64_t index) {
    return function.evaluate(domain.at(index), row, node);
  };
  std::string reason;
  FailureOr<SmallVector<Piece>> pieces =
      findPieces(function, row, domain, reason, node);
  SmallVector<Scalar> values;
  Direction direction = Direction::Constant;
  if (succeeded(pieces)) {
    for (const Piece &piece : *pieces) {
      values.push_back(valueAt(piece.first));
      values.push_back(valueAt(piece.last));
    }
  } else if (domain.size() <= kMaxRowValues) {
    for (int64_t i = domain.getFirst(); i <= domain.getLast(); ++i)
      values.push_back(valueAt(i));
  } else {
    return std::nullopt;
  }
  // The ends of the pieces in order tell the direction of the whole.
  for (size_t i = 0; i < values.size(); ++i) {
    if (isNaN(values[i]))
      return std::nullopt;
    if (i == 0 || sameValue(values[i - 1], values[i]))
      continue;
    Direction next = toDouble(values[i - 1]) < toDouble(values[i])
                         ? Direction::Rising
                         : Direction::Falling;
    if (direction != Direction::Constant && direction != next)
      return std::nullopt;
    direction = next;
  }
  return direction;
}
