//===- StepFinder.cpp - where functions of one element change -------------===//
#include "hwgq/Transforms/StepFinder.h"
#include "PieceAnalysis.h"

using namespace mlir;
using namespace hwgq;

/// Pieces beyond which a function is not worth following.
static constexpr size_t kMaxPieces = 4096;

int64_t hwgq::floatIndex(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  int64_t magnitude = bits & 0x7fffffffu;
  return bits >> 31 ? -magnitude - 1 : magnitude;
}

float hwgq::indexedFloat(int64_t index) {
  uint32_t bits =
      index < 0 ? uint32_t(-index - 1) | 0x80000000u : uint32_t(index);
  return llvm::bit_cast<float>(bits);
}

Domain Domain::floats() {
  float infinity = std::numeric_limits<float>::infinity();
  return Domain(floatIndex(-infinity), floatIndex(infinity), 0, 0);
}

Domain Domain::integers(int64_t first, int64_t last, int64_t stride) {
  return Domain(0, (last - first) / stride, first, stride);
}

Scalar Domain::at(int64_t index) const {
  return isFloat() ? Scalar::ofF32(indexedFloat(index))
                   : Scalar::ofInt(offset + stride * index);
}

FailureOr<SmallVector<Piece>> hwgq::findPieces(const ElementFunction &function,
                                               int64_t row,
                                               const Domain &domain,
                                               std::string &reason,
                                               std::optional<unsigned> node) {
  unsigned result = node.value_or(function.getResult());
  SmallVector<Piece> pieces;
  SmallVector<std::pair<int64_t, int64_t>> open = {
      {domain.getFirst(), domain.getLast()}};
  while (!open.empty()) {
    auto [first, last] = open.pop_back_val();
    PieceAnalysis analysis(function, row, domain, first, last);
    if (analysis.run(result)) {
      pieces.push_back({first, last, analysis.getFact(result).direction});
      continue;
    }
    if (!analysis.split) {
      reason = analysis.reason;
      return failure();
    }
    if (open.size() + pieces.size() > kMaxPieces) {
      reason = "the function has too many pieces";
      return failure();
    }
    open.push_back({*analysis.split, last});
    open.push_back({first, *analysis.split - 1});
  }
  return pieces;
}

FailureOr<SmallVector<Plateau>>
hwgq::findPlateaus(const ElementFunction &function, int64_t row,
                   const Domain &domain, size_t limit, std::string &reason) {
  FailureOr<SmallVector<Piece>> pieces =
      findPieces(function, row, domain, reason);
  if (failed(pieces))
    return failure();
  auto valueAt = [&](int64_t index) {
    return function.evaluate(domain.at(index), row);
  };
  SmallVector<Plateau> plateaus;
  for (const Piece &piece : *pieces) {
    int64_t start = piece.first;
    Scalar value = valueAt(start), end = valueAt(piece.last);
    while (true) {
      if (plateaus.empty() || !sameValue(plateaus.back().value, value))
        plateaus.push_back({start, value});
      if (plateaus.size() > limit) {
        reason = "more than " + std::to_string(limit) + " steps";
        return failure();
      }
      if (sameValue(value, end))
        break;
      int64_t same = start, other = piece.last;
      while (other - same > 1) {
        int64_t middle = same + (other - same) / 2;
        (sameValue(valueAt(middle), value) ? same : other) = middle;
      }
      start = other;
      value = valueAt(other);
    }
  }
  return plateaus;
}

SmallVector<Plateau> hwgq::enumeratePlateaus(const ElementFunction &function,
                                             int64_t row,
                                             const Domain &domain) {
  SmallVector<Plateau> plateaus;
  for (int64_t i = domain.getFirst(); i <= domain.getLast(); ++i) {
    Scalar value = function.evaluate(domain.at(i), row);
    if (plateaus.empty() || !sameValue(plateaus.back().value, value))
      plateaus.push_back({i, value});
  }
  return plateaus;
}

/// Whether a few arguments over the whole line already give more than 256
/// values, as any function that is not flat does.
static bool takesManyValues(const ElementFunction &function, int64_t row) {
  llvm::SmallDenseSet<int64_t> seen;
  Domain line = Domain::floats();
  constexpr int64_t kSamples = 4099;
  for (int64_t i = 0; i < kSamples; ++i) {
    int64_t index =
        line.getFirst() + (line.getLast() - line.getFirst()) / kSamples * i;
    seen.insert(function.evaluate(line.at(index), row).i);
    if (seen.size() > 300)
      return true;
  }
  return false;
}

FailureOr<StepFunction> hwgq::findStepFunction(const ElementFunction &function,
                                               int64_t row,
                                               std::string &reason) {
  constexpr size_t kMaxNodes = 1024;
  if (function.getNodes().size() > kMaxNodes) {
    reason = "the chain is too long";
    return failure();
  }
  if (takesManyValues(function, row)) {
    reason = "more than 256 levels";
    return failure();
  }
  FailureOr<SmallVector<Plateau>> plateaus =
      findPlateaus(function, row, Domain::floats(), 256, reason);
  if (failed(plateaus))
    return failure();
  for (const Plateau &plateau : *plateaus)
    if (!std::isfinite(toDouble(plateau.value))) {
      float x = indexedFloat(plateau.start);
      reason = llvm::formatv("the value at {0} is not finite", x).str();
      return failure();
    }
  StepFunction step{std::move(*plateaus), {}};
  float nan = std::numeric_limits<float>::quiet_NaN();
  step.nan = function.evaluate(Scalar::ofF32(nan), row);
  return step;
}

/// Digits that a decimal needs to give the float back; none for 0.
static int decimalDigits(float value) {
  if (value == 0)
    return 0;
  for (int digits = 1; digits < 9; ++digits) {
    char text[40];
    snprintf(text, sizeof text, "%.*e", digits - 1, double(value));
    if (std::strtof(text, nullptr) == value)
      return digits;
  }
  return 9;
}

FailureOr<StepAttr> hwgq::makeStep(MLIRContext *context,
                                   ArrayRef<Plateau> plateaus,
                                   ArrayRef<int32_t> numbers, int32_t nan,
                                   std::string &reason) {
  SmallVector<float> points;
  SmallVector<bool> closed;
  SmallVector<int32_t> values;
  for (auto [plateau, n] : llvm::zip(plateaus, numbers)) {
    if (!values.empty() && values.back() == n)
      continue;
    if (!values.empty()) {
      float before = indexedFloat(plateau.start - 1);
      float after = indexedFloat(plateau.start);
      if (before == after) {
        reason = "it tells -0 from +0";
        return failure();
      }
      bool finite = std::isfinite(before) && std::isfinite(after);
      bool above = finite ? decimalDigits(before) < decimalDigits(after)
                          : std::isfinite(before);
      float point = above ? before : after;
      points.push_back(point == 0 ? 0.0f : point);
      closed.push_back(!above);
    }
    values.push_back(n);
  }
  if (points.size() > 255) {
    reason = "more than 255 breakpoints";
    return failure();
  }
  return StepAttr::get(context, DenseF32ArrayAttr::get(context, points),
                       DenseBoolArrayAttr::get(context, closed),
                       DenseI32ArrayAttr::get(context, values), nan);
}
