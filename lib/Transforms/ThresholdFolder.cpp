//===- ThresholdFolder.cpp - quantisers behind accumulators ---------------===//
#include "ThresholdFolder.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static int64_t channelsOf(Value value) {
  RankedTensorType type = typeOf(value);
  return type.getRank() ? type.getShape().back() : 1;
}

FailureOr<Value> ThresholdFolder::fold(QuantizeOp op) {
  quantize = op;
  reason.clear();
  SmallVector<Stage> stages;
  FailureOr<Result> result = emit(op.getInput(), stages);
  if (failed(result))
    return failure();
  return result->codes;
}

/// The numbers of integers of few bits, such as the bytes of an image, where
/// all that computes with them widens them, and in one way.
static std::optional<NumberRange> rangeOfIntegers(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  if (!element.isInteger(8) && !element.isInteger(16))
    return std::nullopt;
  bool isSigned = false, isUnsigned = false;
  for (Operation *user : value.getUsers()) {
    if (isa<arith::SIToFPOp, arith::ExtSIOp>(user))
      isSigned = true;
    else if (isa<arith::UIToFPOp, arith::ExtUIOp>(user))
      isUnsigned = true;
    else if (isElementwise(user))
      return std::nullopt;
  }
  if (isSigned == isUnsigned)
    return std::nullopt;
  int64_t count = int64_t(1) << element.getIntOrFloatBitWidth();
  int64_t low = isSigned ? -count / 2 : 0;
  return NumberRange{low, low + count - 1};
}

/// Integers in `range` as what thresholds compare: i32, or codes.
static Value widen(OpBuilder &builder, Location loc, Value value,
                   NumberRange range) {
  Type element = getElementTypeOrSelf(value.getType());
  if (!element.isInteger(8) && !element.isInteger(16))
    return value;
  Type wide = typeOf(value).clone(builder.getI32Type());
  if (range.low < 0)
    return arith::ExtSIOp::create(builder, loc, wide, value);
  return arith::ExtUIOp::create(builder, loc, wide, value);
}

/// An integer tensor whose elements a function may start from.
static bool isSource(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  return rangeOfIntegers(value) ||
         (element.isInteger(32) &&
          isa_and_nonnull<Conv2DOp, MatMulOp, ProductOp,
                          tensor::CollapseShapeOp, tensor::ExpandShapeOp>(
              value.getDefiningOp()));
}

/// What a source can hold, see reachableSums.
static SmallVector<NumberRange> rangesOf(Value source) {
  if (std::optional<NumberRange> range = rangeOfIntegers(source))
    return {*range};
  return reachableSums(source);
}

/// The farthest value that `value` is an element-wise function of alone.
static Value sourceOf(Value value, ConstantReader &constants) {
  SmallVector<Value> cuts = findCuts(value, constants);
  return cuts.empty() ? value : cuts.back();
}

/// Whether an element-wise chain reads a tensor that has one element for all
/// channels of a pixel, and is no constant.
static bool hasScalePerPixel(Value value, ConstantReader &constants) {
  SmallVector<Value> values = {value};
  SetVector<Value> seen;
  while (!values.empty()) {
    Value at = values.pop_back_val();
    if (!seen.insert(at))
      continue;
    Operation *op = at.getDefiningOp();
    if (auto broadcast = dyn_cast_or_null<linalg::BroadcastOp>(op)) {
      int64_t last = typeOf(at).getRank() - 1;
      if (broadcast.getInput().getType().getRank() > 0 &&
          llvm::is_contained(broadcast.getDimensions(), last) &&
          !constants.get(broadcast.getInput()))
        return true;
    } else if (op && isElementwise(op)) {
      llvm::append_range(values, op->getOperands());
    }
  }
  return false;
}

/// Why the way up from a quantiser ends at `value`, and what would help.
std::string ThresholdFolder::whyNoAccumulator(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return "its input is an input of the network, which no accumulator made";
  if (hasScalePerPixel(value, constants))
    return "its input is scaled per pixel or token (XNOR-Net's K, BitNet's "
           "scale), and thresholds are per channel; a network without it folds";
  if (isElementwise(op))
    return "its input depends on several tensors, as behind a residual sum; "
           "thresholds compare one accumulator with constants";
  if (isa<Conv2DOp, MatMulOp>(op))
    return "the layer in front of it computes on floats";
  return ("its input comes from '" + op->getName().getStringRef() +
          "', which is no contraction of codes")
      .str();
}

FailureOr<ThresholdFolder::Result>
ThresholdFolder::emit(Value value, SmallVectorImpl<Stage> &stages) {
  constexpr size_t kMaxStages = 256;
  if (stages.size() > kMaxStages)
    return fail("the way to the accumulator is too long");
  Operation *op = value.getDefiningOp();
  if (auto affine = dyn_cast_or_null<AffineOp>(op))
    return emitThreshold(affine.getInput(), affine, stages);
  if (isSource(value))
    return emitThreshold(value, {}, stages);
  if (auto concat = dyn_cast_or_null<tensor::ConcatOp>(op))
    return emitConcat(concat, stages);
  if (isMovement(op) && !isa<PadOp>(op))
    return emitMove(op, stages);
  if (Value source = sourceOf(value, constants); source != value) {
    stages.push_back({source, value});
    FailureOr<Result> result = emit(source, stages);
    stages.pop_back();
    return result;
  }
  return fail(whyNoAccumulator(value));
}

//===----------------------------------------------------------------------===//
// Data movement
//===----------------------------------------------------------------------===//

/// Whether the last dimension keeps its meaning.
static bool keepsChannels(Operation *op) {
  if (isa<MaxPoolOp, tensor::CastOp>(op))
    return true;
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
    ArrayRef<int64_t> order = transpose.getPermutation();
    return order.empty() || order.back() == int64_t(order.size()) - 1;
  }
  Value from = op->getOperand(0), to = op->getResult(0);
  return channelsOf(from) == channelsOf(to) &&
         !ShapedType::isDynamic(channelsOf(from)) &&
         (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op) ||
          typeOf(from).getRank() == typeOf(to).getRank());
}

FailureOr<ThresholdFolder::Result>
ThresholdFolder::emitMove(Operation *op, SmallVectorImpl<Stage> &stages) {
  auto pool = dyn_cast<MaxPoolOp>(op);
  if (pool && pool.getFalling())
    return fail("a pool that takes minima");
  // Integers lie in memory, where another shape costs nothing.
  Value before = op->getOperand(0);
  if (auto transpose = before.getDefiningOp<linalg::TransposeOp>())
    before = transpose.getInput();
  if (rangeOfIntegers(sourceOf(before, constants)))
    if (FailureOr<Result> flat = emitFlattened(op, stages);
        succeeded(flat) || mismatch)
      return flat;
  Stage stage;
  stage.move = op;
  stages.push_back(stage);
  FailureOr<Result> inner = emit(op->getOperand(0), stages);
  stages.pop_back();
  if (failed(inner) && mismatch)
    return failure();
  if (failed(inner))
    return emitFlattened(op, stages);
  OpBuilder builder(quantize);
  Result result;
  result.codes = rebuildMovement(builder, op, {inner->codes});
  for (auto &[other, falling] : inner->falling)
    if (other != op)
      result.falling[other] = falling;
  if (pool && llvm::is_contained(inner->falling[op], true))
    result.codes.getDefiningOp<MaxPoolOp>().setFallingAttr(
        builder.getDenseBoolArrayAttr(inner->falling[op]));
  return result;
}

FailureOr<ThresholdFolder::Result>
ThresholdFolder::emitConcat(tensor::ConcatOp op,
                            SmallVectorImpl<Stage> &stages) {
  if (int64_t(op.getDim()) != typeOf(op.getResult()).getRank() - 1)
    return fail("a concatenation along another dimension than the channels");
  Stage stage;
  stage.move = op;
  SmallVector<Value> codes;
  Result result;
  for (Value input : op.getInputs()) {
    stages.push_back(stage);
    FailureOr<Result> part = emit(input, stages);
    stages.pop_back();
    if (failed(part))
      return failure();
    codes.push_back(part->codes);
    for (auto &[pool, falling] : part->falling)
      llvm::append_range(result.falling[pool], falling);
    stage.offset += channelsOf(input);
  }
  OpBuilder builder(quantize);
  result.codes = rebuildMovement(builder, op, codes);
  return result;
}

/// A flattened image whose following constants differ from element to element,
/// or of integers in memory: what the codes depend on is flattened, and each
/// element has thresholds of its own.
FailureOr<ThresholdFolder::Result>
ThresholdFolder::emitFlattened(Operation *op, ArrayRef<Stage> stages) {
  auto collapse = dyn_cast<tensor::CollapseShapeOp>(op);
  if (!collapse || keepsChannels(op))
    return failure();
  Value value = collapse.getSrc();
  // Elements between those of neighbouring channels.
  int64_t step = 1;
  auto transpose = value.getDefiningOp<linalg::TransposeOp>();
  if (transpose) {
    value = transpose.getInput();
    ArrayRef<int64_t> order = transpose.getPermutation();
    int64_t place = llvm::find(order, order.size() - 1) - order.begin();
    if (!llvm::is_contained(collapse.getReassociationIndices().back(), place))
      return failure();
    for (int64_t d = place + 1; d < int64_t(order.size()); ++d)
      step *= collapse.getSrcType().getDimSize(d);
  }
  Value real = sourceOf(value, constants), source = real;
  auto affine = real.getDefiningOp<AffineOp>();
  if (affine)
    source = affine.getInput();
  int64_t channels = channelsOf(value), rowCount = channelsOf(op->getResult(0));
  if ((!affine && !rangeOfIntegers(source)) ||
      ShapedType::isDynamic(rowCount) || ShapedType::isDynamic(channels) ||
      isa<CodeType>(getElementTypeOrSelf(source.getType())))
    return failure();
  ElementFunction function(rowCount);
  auto channel = [&](int64_t row) { return row / step % channels; };
  if (affine)
    function.appendAffine(affine.getScale(), channel);
  if (value != real &&
      failed(function.append(real, value, constants, channel, reason)))
    return failure();
  SmallVector<std::pair<Operation *, unsigned>> pools;
  if (failed(appendStages(function, stages, pools)))
    return failure();
  SmallVector<NumberRange> ranges, inner = rangesOf(source);
  for (int64_t r = 0; r < rowCount; ++r)
    ranges.push_back(inner[inner.size() == 1 ? 0 : channel(r)]);
  OpBuilder builder(quantize);
  if (transpose)
    source = rebuildMovement(builder, transpose,
                             {widen(builder, op->getLoc(), source, inner[0])});
  Value flat = rebuildMovement(builder, op, {source});
  return makeThreshold(flat, function, ranges, pools);
}

//===----------------------------------------------------------------------===//
// Thresholds
//===----------------------------------------------------------------------===//

/// Whether all constants of a chain repeat after `period` channels.
static bool repeats(Value from, Value to, ConstantReader &constants,
                    int64_t period) {
  std::string ignored;
  ElementFunction chain(channelsOf(to));
  if (failed(chain.append(from, to, constants, ignored)))
    return false;
  return llvm::all_of(chain.getNodes(), [&](const ElementFunction::Node &node) {
    ArrayRef<Scalar> values = node.constant.values;
    for (size_t i = period; i < values.size(); ++i)
      if (values[i].i != values[i % period].i)
        return false;
    return true;
  });
}

LogicalResult ThresholdFolder::appendStages(
    ElementFunction &function, ArrayRef<Stage> stages,
    SmallVectorImpl<std::pair<Operation *, unsigned>> &pools) {
  // Channels after a stage as a function of the row.
  int64_t offset = 0, start = 0, stride = 1;
  bool flattened = false, unknown = false;
  for (const Stage &stage : llvm::reverse(stages)) {
    if (!stage.move) {
      ElementFunction probe(unknown ? 2 : 1);
      if (unknown && (failed(probe.append(
                          stage.from, stage.to, constants,
                          [](int64_t) { return 0; }, reason)) ||
                      !repeats(stage.from, stage.to, constants, 1)))
        return fail("constants that differ along a moved dimension");
      if (flattened &&
          !repeats(stage.from, stage.to, constants, function.getRows()))
        return fail("constants that differ from element to element");
      int64_t count = channelsOf(stage.to);
      auto channel = [&](int64_t row) {
        int64_t c = (row - start) / stride + offset;
        // Rows that a slice leaves out may have any constants.
        return unknown || c < 0 || c >= count ? 0 : c;
      };
      if (failed(function.append(stage.from, stage.to, constants, channel,
                                 reason)))
        return failure();
      continue;
    }
    if (isa<tensor::ConcatOp>(stage.move)) {
      offset += stage.offset;
    } else if (auto slice = dyn_cast<tensor::ExtractSliceOp>(stage.move);
               slice && !keepsChannels(slice)) {
      if (offset || start || stride != 1 || unknown || flattened ||
          typeOf(slice.getSource()).getRank() !=
              typeOf(slice.getResult()).getRank())
        return fail("a slice behind a concatenation");
      start = slice.getStaticOffsets().back();
      stride = slice.getStaticStrides().back();
      if (ShapedType::isDynamic(start) || ShapedType::isDynamic(stride))
        return fail("a slice of unknown place");
    } else if (isa<MaxPoolOp>(stage.move)) {
      if (flattened || unknown || start || stride != 1)
        return fail("a pool behind moved channels");
      pools.push_back({stage.move, function.getResult()});
    } else if (isa<tensor::CollapseShapeOp>(stage.move) &&
               !keepsChannels(stage.move)) {
      if (offset || start || stride != 1)
        return fail("an image flattened behind a concatenation");
      flattened = true;
    } else if (!keepsChannels(stage.move)) {
      unknown = true;
    }
  }
  function.appendStep(quantize.getStep());
  return success();
}

FailureOr<ThresholdFolder::Result>
ThresholdFolder::emitThreshold(Value source, AffineOp affine,
                               ArrayRef<Stage> stages) {
  int64_t channels = channelsOf(source);
  if (ShapedType::isDynamic(channels))
    return fail("the number of channels is not known");
  ElementFunction function(channels);
  if (affine)
    function.appendAffine(affine.getScale(), [](int64_t r) { return r; });
  SmallVector<std::pair<Operation *, unsigned>> pools;
  if (failed(appendStages(function, stages, pools)))
    return failure();
  return makeThreshold(source, function, rangesOf(source), pools);
}

/// Codes that stand for themselves, as far as they occur.
static bool isIdentity(Value source, CodeType type, NumberRange range,
                       const ThresholdTable &table) {
  if (getElementTypeOrSelf(source.getType()) != Type(type))
    return false;
  for (int64_t row = 0; row < table.rows; ++row)
    for (int64_t n = range.low; n <= range.high; n += type.getStride())
      if (table.evaluate(n, row) != type.toCode(n))
        return false;
  return true;
}

/// One row where all are equal.
static void joinRows(ThresholdTable &table) {
  auto row = [&](int64_t r) {
    return ArrayRef(table.thresholds).slice(r * table.count, table.count);
  };
  for (int64_t r = 1; r < table.rows; ++r)
    if (table.directions[r] != table.directions[0] || row(r) != row(0))
      return;
  table.rows = 1;
  table.directions.resize(1);
  table.thresholds.resize(table.count);
}

FailureOr<ThresholdFolder::Result> ThresholdFolder::makeThreshold(
    Value source, const ElementFunction &function, ArrayRef<NumberRange> ranges,
    ArrayRef<std::pair<Operation *, unsigned>> pools) {
  auto type = cast<CodeType>(getElementTypeOrSelf(quantize.getType()));
  auto sourceCode = dyn_cast<CodeType>(getElementTypeOrSelf(source.getType()));
  int64_t stride = sourceCode ? sourceCode.getStride() : 1;
  FailureOr<ThresholdTable> table =
      findThresholds(function, type, ranges, stride, reason);
  if (failed(table))
    return failure();
  if (verify)
    if (auto difference =
            checkThresholds(function, type, ranges, stride, *table)) {
      mismatch = true;
      emitError(quantize.getLoc(), "folding is not exact: ") << *difference;
      return failure();
    }
  Result result;
  for (auto [pool, node] : pools) {
    SmallVector<bool> &falling = result.falling[pool];
    for (int64_t r = 0; r < table->rows; ++r) {
      auto direction = findDirection(
          function, r, ranges[ranges.size() == 1 ? 0 : r], stride, node);
      if (!direction)
        return fail("a max-pool of values that rise and fall");
      // Maximal values mean minimal codes where one falls in the other.
      falling.push_back(
          *direction != Direction::Constant && table->directions[r] != 0 &&
          (*direction == Direction::Falling) != (table->directions[r] < 0));
    }
  }
  if (isIdentity(source, type, ranges[0], *table)) {
    result.codes = source;
    return result;
  }
  joinRows(*table);
  rows += table->rows;
  OpBuilder builder(quantize);
  source = widen(builder, quantize.getLoc(), source, ranges[0]);
  auto attrType =
      RankedTensorType::get({table->rows, table->count}, builder.getI32Type());
  ElementsAttr thresholds = makeElements(
      attrType,
      ArrayRef(reinterpret_cast<const char *>(table->thresholds.data()),
               table->thresholds.size() * sizeof(int32_t)),
      "thresholds");
  result.codes = ThresholdOp::create(
      builder, quantize.getLoc(), typeOf(source).clone(type), source,
      thresholds, builder.getDenseI8ArrayAttr(table->directions));
  return result;
}
