//===- Quantizer.cpp - quantisers at the end of a chain -------------------===//
#include "hwgq/Transforms/Quantizer.h"

using namespace mlir;
using namespace hwgq;

/// Channels of a tensor: its last dimension, 1 where that is unknown.
static int64_t channelsOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getRank() == 0 || ShapedType::isDynamic(type.getShape().back()))
    return 1;
  return type.getShape().back();
}

/// Sorted distinct levels; -0 counts as 0.
static SmallVector<float> distinctLevels(ArrayRef<float> values) {
  SmallVector<float> levels;
  for (float v : values)
    levels.push_back(v == 0 ? 0.0f : v);
  llvm::sort(levels);
  levels.erase(llvm::unique(levels), levels.end());
  return levels;
}

static unsigned levelIndex(ArrayRef<float> levels, float value) {
  return llvm::lower_bound(levels, value) - levels.begin();
}

/// All values of a step function; NaN's only where it is a level.
static SmallVector<float> valuesOf(const StepFunction &step) {
  SmallVector<float> values;
  for (const Plateau &plateau : step.plateaus)
    values.push_back(plateau.value.f32);
  if (std::isfinite(step.nan.f32))
    values.push_back(step.nan.f32);
  return values;
}

/// Fills the parts of a quantiser that a step function gives.
static void describe(const StepFunction &step, Quantizer &quantizer) {
  quantizer.levels = distinctLevels(valuesOf(step));
  quantizer.plateaus = step.plateaus;
  for (const Plateau &plateau : step.plateaus)
    quantizer.levelOf.push_back(
        levelIndex(quantizer.levels, plateau.value.f32));
  quantizer.nanLevel = std::isfinite(step.nan.f32)
                           ? levelIndex(quantizer.levels, step.nan.f32)
                           : 0;
  quantizer.grid = fitLevels(quantizer.levels);
  if (quantizer.grid)
    quantizer.scales = {quantizer.grid->scale};
}

/// Whether a row steps where the quantiser does, to the same numbers; gives the
/// row's scale.
static std::optional<float> matchRow(const StepFunction &step,
                                     const Quantizer &quantizer) {
  if (!quantizer.grid || step.plateaus.size() != quantizer.plateaus.size())
    return std::nullopt;
  Quantizer row;
  describe(step, row);
  for (auto [a, b] : llvm::zip(step.plateaus, quantizer.plateaus))
    if (a.start != b.start)
      return std::nullopt;
  if (!row.grid || row.grid->numbers != quantizer.grid->numbers ||
      row.levelOf != quantizer.levelOf || row.nanLevel != quantizer.nanLevel)
    return std::nullopt;
  return row.grid->scale;
}

namespace {
/// The result of looking at one cut.
enum class Outcome { Step, Levels, No };
} // namespace

/// One step function for all channels, up to the scale. Levels of all channels
/// are collected where `allLevels` is given and the channels differ.
static Outcome tryCut(Value cut, Value value, ConstantReader &constants,
                      Quantizer &quantizer, SmallVectorImpl<float> *allLevels) {
  ElementFunction function(channelsOf(value));
  std::string reason;
  if (failed(function.append(cut, value, constants, reason)))
    return Outcome::No;
  int64_t rows = function.isUniform() ? 1 : function.getRows();
  Quantizer found;
  found.input = cut;
  bool same = true;
  for (int64_t r = 0; r < rows; ++r) {
    FailureOr<StepFunction> step = findStepFunction(function, r, reason);
    if (failed(step)) {
      if (reason != "more than 256 levels")
        quantizer.reason = reason;
      return Outcome::No;
    }
    if (allLevels)
      llvm::append_range(*allLevels, valuesOf(*step));
    if (r == 0) {
      describe(*step, found);
      continue;
    }
    std::optional<float> scale = matchRow(*step, found);
    same &= scale.has_value();
    if (scale)
      found.scales.push_back(*scale);
    if (!same && !allLevels)
      return Outcome::No;
    if (allLevels)
      *allLevels = distinctLevels(*allLevels);
    if (!same && allLevels->size() > 256)
      return Outcome::No;
  }
  if (!same)
    return Outcome::Levels;
  if (llvm::all_equal(found.scales) && !found.scales.empty())
    found.scales.resize(1);
  quantizer = std::move(found);
  return Outcome::Step;
}

void hwgq::describeLevels(Value value, ArrayRef<float> all,
                          Quantizer &quantizer) {
  quantizer = Quantizer();
  quantizer.input = value;
  quantizer.levels = distinctLevels(all);
  for (auto [i, level] : llvm::enumerate(quantizer.levels)) {
    float below = i ? quantizer.levels[i - 1] : 0;
    float start = i ? float((double(below) + double(level)) / 2)
                    : -std::numeric_limits<float>::infinity();
    if (i && start <= below)
      start = level;
    if (start == 0)
      start = -0.0f; // the first of the two zeros
    quantizer.plateaus.push_back({floatIndex(start), Scalar::ofF32(level)});
    quantizer.levelOf.push_back(i);
  }
  quantizer.grid = fitLevels(quantizer.levels);
  if (quantizer.grid)
    quantizer.scales = {quantizer.grid->scale};
}

/// Whether a quantiser of a longer chain is the same one, or does without some
/// of the levels: what stands before may never give them.
static bool joins(const Quantizer &longer, const Quantizer &shorter) {
  if (longer.levels == shorter.levels)
    return longer.scales == shorter.scales;
  return longer.scales.size() == 1 &&
         llvm::all_of(longer.levels, [&](float level) {
           return llvm::is_contained(shorter.levels, level);
         });
}

LogicalResult hwgq::findQuantizer(Value value, ConstantReader &constants,
                                  Quantizer &quantizer) {
  std::optional<SmallVector<float>> levels;
  bool found = false;
  for (Value cut : findCuts(value, constants)) {
    if (!getElementTypeOrSelf(cut.getType()).isF32())
      continue;
    if (found) { // earlier ops join as long as the channels stay alike
      Quantizer longer;
      if (tryCut(cut, value, constants, longer, nullptr) != Outcome::Step ||
          !joins(longer, quantizer))
        break;
      quantizer = std::move(longer);
      continue;
    }
    SmallVector<float> all;
    switch (tryCut(cut, value, constants, quantizer, levels ? nullptr : &all)) {
    case Outcome::Step:
      found = true;
      break;
    case Outcome::Levels:
      levels = std::move(all);
      break;
    case Outcome::No:
      break;
    }
  }
  if (found)
    return success();
  if (!levels || distinctLevels(*levels).size() > 256)
    return failure();
  describeLevels(value, *levels, quantizer);
  return success();
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

static FailureOr<Value> build(OpBuilder &builder, Location loc,
                              const Quantizer &quantizer,
                              ArrayRef<int32_t> numbers, int32_t nan,
                              CodeType type) {
  std::string reason;
  FailureOr<StepAttr> step =
      makeStep(builder.getContext(), quantizer.plateaus, numbers, nan, reason);
  if (failed(step)) {
    emitRemark(loc, "not a step function: ") << reason;
    return failure();
  }
  auto input = cast<RankedTensorType>(quantizer.input.getType());
  return Value(QuantizeOp::create(builder, loc, input.clone(type),
                                  quantizer.input, *step));
}

FailureOr<Value> hwgq::buildQuantize(OpBuilder &builder, Location loc,
                                     const Quantizer &quantizer) {
  CodeType type = chooseCodeType(builder.getContext(), quantizer.grid->numbers);
  if (!type) {
    emitRemark(loc, "the levels of the quantiser need more than 8 bits");
    return failure();
  }
  SmallVector<int32_t> numbers;
  for (unsigned level : quantizer.levelOf)
    numbers.push_back(quantizer.grid->numbers[level]);
  return build(builder, loc, quantizer, numbers,
               quantizer.grid->numbers[quantizer.nanLevel], type);
}

FailureOr<Value>
hwgq::buildPlane(OpBuilder &builder, Location loc, const Quantizer &quantizer,
                 llvm::function_ref<bool(unsigned level)> isSet) {
  SmallVector<int32_t> numbers;
  for (unsigned level : quantizer.levelOf)
    numbers.push_back(isSet(level));
  return build(builder, loc, quantizer, numbers, isSet(quantizer.nanLevel),
               CodeType::getUnsigned(builder.getContext(), 1));
}

void hwgq::eraseDeadOps(Operation *root) {
  SmallVector<Operation *> ops;
  // What an op contains goes with it, and comes first in reverse.
  root->walk<WalkOrder::PreOrder>([&](Operation *op) { ops.push_back(op); });
  for (Operation *op : llvm::reverse(ops))
    if (op != root && isOpTriviallyDead(op))
      op->erase();
}
