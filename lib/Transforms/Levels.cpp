//===- Levels.cpp - the values that a float tensor can hold ---------------===//
//
// Sets of values, from codes through movement, average pools and element-wise
// ops: of one tensor the values of its function, of several those of all
// combinations, which may hold some that never meet.
//
//===----------------------------------------------------------------------===//
#include "hwgq/Transforms/Codes.h"
#include "hwgq/Transforms/Thresholds.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <set>

using namespace mlir;
using namespace hwgq;

namespace {

/// Distinct values, by their bits.
using ValueSet = SmallVector<Scalar, 0>;

class ValueSets {
public:
  explicit ValueSets(ConstantReader &constants) : constants(constants) {}

  /// The values of a tensor, null where they are not known or too many.
  const ValueSet *get(Value value) {
    auto found = known.find(value);
    if (found != known.end())
      return found->second.get();
    if (depth == kMaxDepth)
      return nullptr;
    ++depth;
    std::optional<ValueSet> set = find(value);
    --depth;
    auto &entry = known[value];
    if (set && normalise(*set))
      entry = std::make_unique<ValueSet>(std::move(*set));
    return entry.get();
  }

private:
  static constexpr size_t kMaxValues = 1 << 16;
  static constexpr unsigned kMaxDepth = 64;

  static bool normalise(ValueSet &set) {
    llvm::sort(set, [](const Scalar &a, const Scalar &b) { return a.i < b.i; });
    set.erase(std::unique(
                  set.begin(), set.end(),
                  [](const Scalar &a, const Scalar &b) { return a.i == b.i; }),
              set.end());
    return set.size() <= kMaxValues;
  }

  std::optional<ValueSet> find(Value value) {
    if (const ChannelConstant *constant = constants.get(value))
      return ValueSet(constant->values.begin(), constant->values.end());
    Operation *op = value.getDefiningOp();
    if (!op)
      return std::nullopt;
    if (auto constant = dyn_cast<arith::ConstantOp>(op))
      return elements(dyn_cast<ElementsAttr>(constant.getValue()));
    if (std::optional<Coded> coded = matchCodes(value))
      return levelsOf(*coded);
    if (auto pool = dyn_cast<AvgPoolOp>(op))
      return averages(pool);
    if (auto broadcast = dyn_cast<linalg::BroadcastOp>(op))
      return copy(broadcast.getInput());
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      return gathered(generic);
    if (isMovement(op))
      return moved(op);
    if (!isElementwise(op))
      return std::nullopt;
    if (std::optional<ValueSet> set = image(value))
      return set;
    return combinations(op);
  }

  std::optional<ValueSet> copy(Value value) {
    const ValueSet *set = get(value);
    return set ? std::optional(*set) : std::nullopt;
  }

  std::optional<ValueSet> elements(ElementsAttr attr) {
    auto values = attr && attr.getElementType().isF32()
                      ? getElementValues<float>(attr)
                      : std::nullopt;
    if (!values || !spend(values->size()))
      return std::nullopt;
    ValueSet set;
    for (float value : *values)
      set.push_back(Scalar::ofF32(value));
    return set;
  }

  bool spend(int64_t count) { return (budget -= count) >= 0; }

  std::optional<ValueSet> levelsOf(const Coded &coded) {
    NumberRange range = reachableNumbers(coded.codes);
    int64_t stride = coded.getType().getStride();
    if (!spend((range.high - range.low + 1) * coded.scales.size()))
      return std::nullopt;
    ValueSet set;
    for (float scale : coded.scales)
      for (int64_t n = range.low; n <= range.high; n += stride)
        set.push_back(Scalar::ofF32(float(n) * scale));
    return set;
  }

  /// Along one dimension, the taps in bounds of each window and its count.
  static std::set<std::pair<int64_t, int64_t>> windows(AvgPoolOp pool,
                                                       unsigned d) {
    auto from = cast<RankedTensorType>(pool.getInput().getType());
    auto to = cast<RankedTensorType>(pool.getType());
    int64_t in = from.getDimSize(d + 1), out = to.getDimSize(d + 1);
    int64_t taps = pool.getKernel()[d], low = pool.getPads()[d];
    int64_t padded = in + low + pool.getPads()[d + 2];
    std::set<std::pair<int64_t, int64_t>> result;
    for (int64_t o = 0; o < out; ++o) {
      int64_t inside = 0, within = 0;
      for (int64_t k = 0; k < taps; ++k) {
        int64_t at = o * pool.getStrides()[d] + k * pool.getDilations()[d];
        within += at < padded;
        inside += at >= low && at < low + in;
      }
      result.insert({inside, pool.getCountIncludePad() ? within : inside});
    }
    return result;
  }

  /// f32(f32(sum of n) * f32(scale / count)) over all sums of all windows.
  std::optional<ValueSet> averages(AvgPoolOp pool) {
    auto code = dyn_cast<CodeType>(getElementTypeOrSelf(pool.getInput()));
    auto shapes = {cast<RankedTensorType>(pool.getInput().getType()),
                   cast<RankedTensorType>(pool.getType())};
    for (RankedTensorType type : shapes)
      if (!code || type.isDynamicDim(1) || type.isDynamicDim(2) ||
          !spend(type.getDimSize(1) + type.getDimSize(2)))
        return std::nullopt;
    NumberRange range = reachableNumbers(pool.getInput());
    int64_t stride = code.getStride();
    double scale = pool.getScale().convertToFloat();
    ValueSet set;
    for (auto [tapsY, countY] : windows(pool, 0))
      for (auto [tapsX, countX] : windows(pool, 1)) {
        int64_t taps = tapsY * tapsX, count = countY * countX;
        if (!spend(taps * ((range.high - range.low) / stride) + 1))
          return std::nullopt;
        for (int64_t n = taps * range.low; n <= taps * range.high; n += stride)
          set.push_back(Scalar::ofF32(float(n) * float(scale / count)));
      }
    return set;
  }

  /// What a gather takes its elements from.
  std::optional<ValueSet> gathered(linalg::GenericOp op) {
    auto yield = cast<linalg::YieldOp>(op.getBody()->getTerminator());
    auto extract = op.getNumResults() == 1
                       ? yield.getOperand(0).getDefiningOp<tensor::ExtractOp>()
                       : tensor::ExtractOp();
    if (!extract || extract.getTensor().getParentBlock() == op.getBody())
      return std::nullopt;
    return copy(extract.getTensor());
  }

  std::optional<ValueSet> moved(Operation *op) {
    if (auto pool = dyn_cast<MaxPoolOp>(op); pool && pool.getFalling())
      return std::nullopt;
    ValueSet set;
    if (auto pad = dyn_cast<PadOp>(op)) {
      auto border = dyn_cast<FloatAttr>(pad.getValue());
      if (!border || !border.getType().isF32())
        return std::nullopt;
      set.push_back(Scalar::ofF32(border.getValue().convertToFloat()));
    }
    for (Value source : sourcesOf(op)) {
      const ValueSet *some = get(source);
      if (!some)
        return std::nullopt;
      llvm::append_range(set, *some);
    }
    return set;
  }

  /// The values of a chain behind the farthest tensor whose values are known.
  std::optional<ValueSet> image(Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    bool known = type.getRank() && !type.isDynamicDim(type.getRank() - 1);
    std::string ignored;
    SmallVector<Value> cuts = findCuts(value, constants);
    for (Value cut : llvm::reverse(cuts)) {
      const ValueSet *from = get(cut);
      ElementFunction function(known ? type.getShape().back() : 1);
      if (!from || failed(function.append(cut, value, constants, ignored)))
        continue;
      int64_t rows = function.isUniform() ? 1 : function.getRows();
      int64_t nodes = function.getNodes().size();
      if (!spend(rows * from->size() * nodes))
        return std::nullopt;
      ValueSet set;
      for (int64_t row = 0; row < rows; ++row)
        for (const Scalar &x : *from)
          set.push_back(function.evaluate(x, row));
      return set;
    }
    return std::nullopt;
  }

  std::optional<ValueSet> combinations(Operation *op) {
    SmallVector<const ValueSet *, 3> sets;
    size_t count = 1;
    for (Value operand : op->getOperands()) {
      sets.push_back(get(operand));
      if (!sets.back() || sets.back()->empty() ||
          (count *= sets.back()->size()) > kMaxValues)
        return std::nullopt;
    }
    if (!spend(count))
      return std::nullopt;
    ValueSet set;
    SmallVector<Scalar, 3> operands(sets.size());
    for (size_t i = 0; i < count; ++i) {
      size_t rest = i;
      for (auto [operand, from] : llvm::zip(operands, sets)) {
        operand = (*from)[rest % from->size()];
        rest /= from->size();
      }
      std::optional<Scalar> value = reference::evaluateScalar(op, operands);
      if (!value)
        return std::nullopt;
      set.push_back(*value);
    }
    return set;
  }

  ConstantReader &constants;
  llvm::DenseMap<Value, std::unique_ptr<ValueSet>> known;
  int64_t budget = 1 << 22; // evaluations
  unsigned depth = 0;
};

} // namespace

static void sortLevels(SmallVectorImpl<float> &levels) {
  for (float &level : levels)
    level = level == 0 ? 0.0f : level;
  llvm::sort(levels);
  levels.erase(llvm::unique(levels), levels.end());
}

std::optional<SmallVector<float>> hwgq::findLevels(Value value,
                                                   ConstantReader &constants) {
  SmallVector<float> levels;
  if (std::optional<Coded> coded = matchCodes(value)) {
    CodeType type = coded->getType();
    for (float scale : coded->scales)
      for (int code = 0; code < 1 << type.getBits(); ++code)
        levels.push_back(float(type.toNumber(code)) * scale);
    sortLevels(levels);
    return levels.size() <= 256 ? std::optional(levels) : std::nullopt;
  }
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (!isMovement(op)) {
    Quantizer quantizer;
    if (!isElementwise(op) ||
        failed(findQuantizer(value, constants, quantizer)) ||
        quantizer.scales.size() > 1)
      return std::nullopt;
    return quantizer.levels;
  }
  if (auto pool = dyn_cast<MaxPoolOp>(op); pool && pool.getFalling())
    return std::nullopt;
  for (Value source : sourcesOf(op)) {
    std::optional<SmallVector<float>> some = findLevels(source, constants);
    if (!some)
      return std::nullopt;
    llvm::append_range(levels, *some);
  }
  if (auto pad = dyn_cast<PadOp>(op)) {
    auto border = dyn_cast<FloatAttr>(pad.getValue());
    if (!border || !border.getValue().isFinite())
      return std::nullopt;
    levels.push_back(border.getValue().convertToFloat());
  }
  sortLevels(levels);
  return levels.size() <= 256 ? std::optional(levels) : std::nullopt;
}

std::optional<SmallVector<float>> hwgq::findImage(Value value,
                                                  ConstantReader &constants) {
  ValueSets sets(constants);
  const ValueSet *set =
      getElementTypeOrSelf(value.getType()).isF32() ? sets.get(value) : nullptr;
  if (!set)
    return std::nullopt;
  SmallVector<float> levels;
  for (const Scalar &level : *set) {
    if (!std::isfinite(level.f32))
      return std::nullopt;
    levels.push_back(level.f32);
  }
  sortLevels(levels);
  return levels.size() <= 256 ? std::optional(levels) : std::nullopt;
}

std::optional<SmallVector<float>>
hwgq::enumerateLevels(Value value, ConstantReader &constants) {
  constexpr int64_t kMaxRowValues = 1 << 16, kMaxValues = 1 << 22;
  SmallVector<Value> cuts = findCuts(value, constants);
  auto affine =
      cuts.empty() ? AffineOp() : cuts.back().getDefiningOp<AffineOp>();
  int64_t channels = cast<RankedTensorType>(value.getType()).getShape().back();
  if (!affine || isa<CodeType>(getElementTypeOrSelf(affine.getInput())) ||
      ShapedType::isDynamic(channels))
    return std::nullopt;
  ElementFunction function(channels);
  std::string ignored;
  function.appendAffine(affine.getScale(), [](int64_t r) { return r; });
  if (failed(function.append(cuts.back(), value, constants, ignored)))
    return std::nullopt;
  SmallVector<NumberRange> ranges = reachableSums(affine.getInput());
  std::set<float> levels;
  int64_t budget = kMaxValues;
  for (int64_t r = 0; r < channels; ++r) {
    NumberRange range = ranges[ranges.size() == 1 ? 0 : r];
    int64_t size = range.high - range.low + 1;
    if (size > kMaxRowValues || (budget -= size) < 0)
      return std::nullopt;
    for (const Plateau &plateau : enumeratePlateaus(
             function, r, Domain::integers(range.low, range.high))) {
      if (!std::isfinite(plateau.value.f32))
        return std::nullopt;
      levels.insert(plateau.value.f32 + 0.0f);
    }
    if (levels.size() > 256)
      return std::nullopt;
  }
  return SmallVector<float>(levels.begin(), levels.end());
}
