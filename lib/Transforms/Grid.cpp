//===- Grid.cpp - real values as scaled integers --------------------------===//
#include "hwgq/Transforms/Grid.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace hwgq;

static constexpr int32_t kMaxNumber = 255;
static constexpr double kLevelTolerance = 0x1p-22;
static constexpr double kWeightTolerance = 0x1p-16;

static double largestMagnitude(ArrayRef<float> values) {
  double largest = 0;
  for (float v : values)
    largest = std::max(largest, std::fabs(double(v)));
  return largest;
}

/// f32(L / N).
static float scaleOf(double largest, int32_t n) { return float(largest / n); }

//===----------------------------------------------------------------------===//
// Levels
//===----------------------------------------------------------------------===//

/// Numbers of the levels when the largest is `n`, where they fit.
static std::optional<LevelGrid> fitLevels(ArrayRef<float> levels,
                                          double largest, int32_t n) {
  LevelGrid grid;
  std::optional<float> one;
  for (float level : levels) {
    double exact = double(level) * n / largest;
    int32_t number = int32_t(std::nearbyint(exact));
    if (std::fabs(exact - number) > kLevelTolerance * n)
      return std::nullopt;
    if (number == 1)
      one = level;
    grid.numbers.push_back(number);
  }
  grid.scale = one.value_or(scaleOf(largest, n));
  for (auto [level, number] : llvm::zip(levels, grid.numbers)) {
    double snap =
        std::fabs(double(level) - double(grid.scale) * number) / largest;
    if (snap > kLevelTolerance)
      return std::nullopt;
    grid.snap = std::max(grid.snap, snap);
  }
  return grid;
}

std::optional<LevelGrid> hwgq::fitLevels(ArrayRef<float> levels) {
  double largest = largestMagnitude(levels);
  if (largest == 0)
    return LevelGrid{1, SmallVector<int32_t>(levels.size(), 0), 0};
  for (int32_t n = 1; n <= kMaxNumber; ++n)
    if (std::optional<LevelGrid> grid = ::fitLevels(levels, largest, n))
      return grid;
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Code types
//===----------------------------------------------------------------------===//

CodeType hwgq::chooseCodeType(MLIRContext *context, ArrayRef<int32_t> numbers) {
  if (numbers.empty())
    return {};
  int32_t low = *llvm::min_element(numbers), high = *llvm::max_element(numbers);
  int32_t stride = 0;
  for (int32_t n : numbers)
    stride = std::gcd(stride, n - low);
  if (low == high) { // one value: keep 0 on the grid
    low = std::min(low, 0);
    high = std::max(high, 0);
    stride = std::max(1, high - low);
  }
  unsigned steps = (high - low) / stride;
  unsigned bits = std::max(1u, llvm::Log2_32_Ceil(steps + 1));
  if (bits > 8)
    return {};
  if (low == -1 && high == 1 && stride == 1)
    return CodeType::get(context, 2, -1, 1);
  if (low >= 0 && high < (1 << bits))
    return CodeType::getUnsigned(context, bits);
  if (low >= -(1 << (bits - 1)) && high < (1 << (bits - 1)))
    return CodeType::get(context, bits, -(1 << (bits - 1)), 1);
  // The numbers of a type reach as far as its bits do.
  auto fits = [&](int64_t offset) {
    return std::abs(offset) <= kMaxNumber &&
           std::abs(offset + int64_t(stride) * ((1 << bits) - 1)) <= kMaxNumber;
  };
  if (fits(low))
    return CodeType::get(context, bits, low, stride);
  int32_t offset = high - stride * ((1 << bits) - 1);
  if (fits(offset))
    return CodeType::get(context, bits, offset, stride);
  return {};
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// Fits one row to `scale * n`; appends its numbers. The tolerance is relative
/// to the row's own largest magnitude.
static bool fitRow(ArrayRef<float> row, float scale, double tolerance,
                   SmallVectorImpl<int16_t> &numbers, double &snap) {
  for (float w : row) {
    double exact = scale == 0 ? 0 : double(w) / scale;
    if (std::fabs(exact) > kMaxNumber + 0.5)
      return false;
    int32_t n = int32_t(std::nearbyint(exact));
    double difference = std::fabs(double(w) - double(scale) * n);
    if (difference > tolerance)
      return false;
    if (tolerance > 0)
      snap = std::max(snap, difference / tolerance * kWeightTolerance);
    numbers.push_back(n);
  }
  return true;
}

namespace {
/// A grid of all rows, before a type is chosen.
struct Candidate {
  SmallVector<int16_t> numbers;
  SmallVector<float> scales;
  double snap = 0, evidence = 0;
};
} // namespace

/// log2 of how unlikely the numbers of one scale are by chance.
static double evidenceOf(ArrayRef<int16_t> numbers) {
  std::array<bool, kMaxNumber + 1> seen = {};
  int32_t largest = 1, distinct = 0;
  for (int32_t n : numbers) {
    int32_t magnitude = std::abs(n);
    largest = std::max(largest, magnitude);
    distinct += magnitude && !seen[magnitude];
    seen[magnitude] = true;
  }
  return std::max(0, distinct - 1) * (15 - std::log2(double(largest)));
}

/// One scale for the whole tensor.
static std::optional<Candidate> fitTensor(ArrayRef<float> weights,
                                          int64_t rows) {
  int64_t size = weights.size() / rows;
  double largest = largestMagnitude(weights);
  SmallVector<double> tolerances;
  for (int64_t r = 0; r < rows; ++r)
    tolerances.push_back(largestMagnitude(weights.slice(r * size, size)) *
                         kWeightTolerance);
  for (int32_t n = 1; n <= kMaxNumber; ++n) {
    Candidate candidate;
    candidate.scales = {scaleOf(largest, n)};
    candidate.numbers.reserve(weights.size());
    bool fits = true;
    for (int64_t r = 0; fits && r < rows; ++r)
      fits = fitRow(weights.slice(r * size, size), candidate.scales[0],
                    tolerances[r], candidate.numbers, candidate.snap);
    if (!fits)
      continue;
    candidate.evidence = evidenceOf(candidate.numbers);
    return candidate;
  }
  return std::nullopt;
}

/// A scale for each row.
static std::optional<Candidate> fitRows(ArrayRef<float> weights, int64_t rows) {
  int64_t size = weights.size() / rows;
  Candidate candidate;
  candidate.numbers.reserve(weights.size());
  for (int64_t r = 0; r < rows; ++r) {
    ArrayRef<float> row = weights.slice(r * size, size);
    double largest = largestMagnitude(row);
    bool fits = false;
    size_t before = candidate.numbers.size();
    for (int32_t n = 1; !fits && n <= kMaxNumber; ++n) {
      double snap = candidate.snap;
      candidate.numbers.truncate(before);
      fits = fitRow(row, scaleOf(largest, n), largest * kWeightTolerance,
                    candidate.numbers, snap);
      if (!fits)
        continue;
      candidate.snap = snap;
      candidate.scales.push_back(scaleOf(largest, n));
    }
    if (!fits)
      return std::nullopt;
    candidate.evidence +=
        evidenceOf(ArrayRef(candidate.numbers).drop_front(before));
  }
  if (llvm::all_equal(candidate.scales))
    candidate.scales.resize(1);
  return candidate;
}

/// The type of a candidate. Rows of zeros do not ask for a 0 on the grid: their
/// scale is 0 and their numbers are any.
static CodeType typeOf(MLIRContext *context, Candidate &candidate,
                       int64_t rows) {
  int64_t size = candidate.numbers.size() / rows;
  std::array<bool, 2 * kMaxNumber + 1> used = {};
  SmallVector<int64_t> zeroRows;
  for (int64_t r = 0; r < rows; ++r) {
    auto row = ArrayRef(candidate.numbers).slice(r * size, size);
    bool zero = llvm::all_of(row, [](int32_t n) { return n == 0; });
    if (zero)
      zeroRows.push_back(r);
    for (int32_t n : row)
      used[n + kMaxNumber] |= !zero;
  }
  SmallVector<int32_t> numbers;
  for (int32_t n = -kMaxNumber; n <= kMaxNumber; ++n)
    if (used[n + kMaxNumber])
      numbers.push_back(n);
  bool perRow = int64_t(candidate.scales.size()) == rows;
  if (numbers.empty() || (!zeroRows.empty() && !perRow))
    numbers.push_back(0);
  CodeType type = chooseCodeType(context, numbers);
  if (type && !type.contains(0))
    for (int64_t r : zeroRows)
      std::fill_n(candidate.numbers.begin() + r * size, size, type.getMax());
  return type;
}

std::optional<WeightGrid> hwgq::classifyWeights(MLIRContext *context,
                                                ArrayRef<float> weights,
                                                int64_t rows,
                                                std::string &reason) {
  if (weights.empty() || rows < 1 || weights.size() % rows) {
    reason = "there are no weights";
    return std::nullopt;
  }
  if (!llvm::all_of(weights, [](float w) { return std::isfinite(w); })) {
    reason = "the weights are not all finite";
    return std::nullopt;
  }
  std::optional<WeightGrid> best;
  auto consider = [&](std::optional<Candidate> candidate) {
    if (!candidate)
      return;
    CodeType type = typeOf(context, *candidate, rows);
    if (!type || (best && best->type.getBits() <= type.getBits()))
      return;
    if (type.getBits() > 4 && candidate->evidence < 24) {
      reason = "the weights are too few to tell a grid from chance";
      return;
    }
    best = WeightGrid{type, std::move(candidate->numbers),
                      std::move(candidate->scales), candidate->snap};
  };
  reason = "the weights are not on a grid of 8 bits or fewer";
  consider(fitTensor(weights, rows));
  if (!best || best->type.getBits() > 1)
    consider(fitRows(weights, rows));
  return best;
}

//===----------------------------------------------------------------------===//
// Weights off the grid
//===----------------------------------------------------------------------===//

/// The distinct values of a row, ascending, each the one of largest magnitude
/// among those that are close; nothing where there are more than 8.
static std::optional<SmallVector<double>> levelsOf(ArrayRef<float> row,
                                                   double tolerance) {
  constexpr size_t kMaxLevels = 8;
  SmallVector<double> levels;
  for (float w : row) {
    if (!std::isfinite(w))
      return std::nullopt;
    auto near = llvm::find_if(
        levels, [&](double v) { return std::fabs(v - w) <= tolerance; });
    if (near != levels.end()) {
      if (std::fabs(*near) < std::fabs(w))
        *near = w;
    } else {
      if (levels.size() == kMaxLevels)
        return std::nullopt;
      levels.push_back(w);
    }
  }
  llvm::sort(levels);
  return levels;
}

namespace {
/// The values of one row and which of them is the base.
struct RowLevels {
  SmallVector<double> levels;
  int64_t base = 0;

  int64_t above() const { return int64_t(levels.size()) - 1 - base; }
  int64_t indexOf(float w) const {
    auto distance = [&](double v) { return std::fabs(v - w); };
    return llvm::min_element(
               levels,
               [&](double a, double b) { return distance(a) < distance(b); }) -
           levels.begin();
  }
};
} // namespace

/// Makes 0 the base of a row, a level of its own where it is none.
static void addZero(RowLevels &row, double tolerance) {
  auto zero = llvm::find_if(
      row.levels, [&](double v) { return std::fabs(v) <= tolerance; });
  if (zero != row.levels.end())
    *zero = 0;
  else
    row.levels.insert(llvm::lower_bound(row.levels, 0.0), 0.0);
  row.base = llvm::find(row.levels, 0.0) - row.levels.begin();
}

std::optional<WeightPlanes> hwgq::splitLevels(ArrayRef<float> weights,
                                              int64_t rows) {
  if (weights.empty() || rows < 1 || weights.size() % rows)
    return std::nullopt;
  int64_t size = weights.size() / rows;
  SmallVector<RowLevels> found(rows);
  SmallVector<double> tolerances;
  bool zero = false, ternary = true, isLong = true;
  for (int64_t r = 0; r < rows; ++r) {
    ArrayRef<float> row = weights.slice(r * size, size);
    double tolerance = largestMagnitude(row) * kWeightTolerance;
    auto levels = levelsOf(row, tolerance);
    if (!levels)
      return std::nullopt;
    auto isZero = [&](double v) { return std::fabs(v) <= tolerance; };
    zero |= llvm::any_of(*levels, isZero);
    for (bool negative : {false, true})
      ternary &= llvm::count_if(*levels, [&](double v) {
                   return !isZero(v) && (v < 0) == negative;
                 }) <= 1;
    isLong &= size >= 4 * int64_t(levels->size());
    tolerances.push_back(tolerance);
    found[r].levels = std::move(*levels);
  }
  if (!ternary && !isLong)
    return std::nullopt;
  zero |= ternary;
  int64_t below = 0, above = 0;
  for (auto [row, tolerance] : llvm::zip(found, tolerances)) {
    if (zero)
      addZero(row, tolerance);
    below = std::max(below, row.base);
    above = std::max(above, row.above());
  }

  // Step s lies between two neighbouring levels; steps next to the base share a
  // plane in all rows, and a row without a step has coefficient 0.
  WeightPlanes result;
  for (int64_t s = zero ? -below : -1; s < above; ++s) {
    WeightPlanes::Plane plane;
    bool base = !zero && s == -1;
    for (int64_t r = 0; r < rows; ++r) {
      const RowLevels &row = found[r];
      int64_t low = row.base + s; // The level below the step.
      bool exists = base || (low >= 0 && low + 1 < int64_t(row.levels.size()));
      double step = !exists ? 0
                    : base  ? row.levels[0]
                            : row.levels[low + 1] - row.levels[low];
      plane.coefficients.push_back(s < 0 && !base ? -step : step);
      for (float w : weights.slice(r * size, size)) {
        int64_t level = row.indexOf(w);
        bool set = base || (s < 0 ? level <= low : level > low);
        plane.bits.push_back(exists && set);
      }
    }
    result.planes.push_back(std::move(plane));
  }
  return result;
}
