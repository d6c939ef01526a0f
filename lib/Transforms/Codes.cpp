//===- Codes.cpp - tensors that stand for scaled integers -----------------===//
#include "hwgq/Transforms/Codes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

std::optional<Coded> hwgq::matchCodes(Value value) {
  auto affine = value.getDefiningOp<AffineOp>();
  if (!affine || !isa<CodeType>(getElementTypeOrSelf(affine.getInput())))
    return std::nullopt;
  return Coded{affine.getInput(), llvm::to_vector(affine.getScale())};
}

Value hwgq::broadcastConstant(OpBuilder &builder, Location loc,
                              ArrayRef<float> values, Value like) {
  RankedTensorType type = typeOf(like);
  bool uniform = values.size() == 1;
  auto constantType = RankedTensorType::get(
      uniform ? ArrayRef<int64_t>() : type.getShape().take_back(1),
      builder.getF32Type());
  Value constant = arith::ConstantOp::create(
      builder, loc, DenseElementsAttr::get(constantType, values));
  SmallVector<Value> sizes;
  for (int64_t d = 0; d < type.getRank(); ++d)
    if (type.isDynamicDim(d))
      sizes.push_back(tensor::DimOp::create(builder, loc, like, d));
  Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(),
                                        builder.getF32Type(), sizes);
  SmallVector<int64_t> added;
  for (int64_t d = 0; d < type.getRank() - (uniform ? 0 : 1); ++d)
    added.push_back(d);
  return linalg::BroadcastOp::create(builder, loc, constant, empty, added)
      ->getResult(0);
}

//===----------------------------------------------------------------------===//
// Data movement
//===----------------------------------------------------------------------===//

bool hwgq::isMovement(Operation *op) {
  return isa_and_nonnull<linalg::TransposeOp, tensor::CollapseShapeOp,
                         tensor::ExpandShapeOp, tensor::ExtractSliceOp,
                         tensor::CastOp, tensor::ConcatOp, PadOp, MaxPoolOp>(
      op);
}

bool hwgq::readsInput(Value value) {
  SetVector<Value> values;
  values.insert(value);
  for (size_t i = 0; i < values.size(); ++i) { // grows
    Operation *op = values[i].getDefiningOp();
    if (!op)
      return true;
    if (!isa<Conv2DOp, MatMulOp, ProductOp, MaxPoolOp, AvgPoolOp,
             tensor::DimOp>(op))
      values.insert(op->operand_begin(), op->operand_end());
  }
  return false;
}

SmallVector<Value> hwgq::sourcesOf(Operation *op) {
  if (auto concat = dyn_cast<tensor::ConcatOp>(op))
    return llvm::to_vector(concat.getInputs());
  return {op->getOperand(0)};
}

static Operation *rebuild(OpBuilder &builder, Operation *op,
                          ArrayRef<Value> inputs) {
  Type element = getElementTypeOrSelf(inputs[0].getType());
  auto type = cast<RankedTensorType>(op->getResult(0).getType()).clone(element);
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
    SmallVector<Value> sizes;
    for (auto [d, from] : llvm::enumerate(transpose.getPermutation()))
      if (type.isDynamicDim(d))
        sizes.push_back(
            tensor::DimOp::create(builder, op->getLoc(), inputs[0], from));
    Value empty = tensor::EmptyOp::create(builder, op->getLoc(),
                                          type.getShape(), element, sizes);
    return linalg::TransposeOp::create(builder, op->getLoc(), inputs[0], empty,
                                       transpose.getPermutation());
  }
  IRMapping mapping;
  for (auto [from, to] : llvm::zip(sourcesOf(op), inputs))
    mapping.map(from, to);
  Operation *clone = builder.clone(*op, mapping);
  clone->getResult(0).setType(type);
  return clone;
}

Value hwgq::rebuildMovement(OpBuilder &builder, Operation *op,
                            ArrayRef<Value> inputs) {
  return rebuild(builder, op, inputs)->getResult(0);
}

/// Whether a movement keeps the index of the last dimension.
static bool keepsChannels(Operation *op) {
  if (isa<MaxPoolOp, tensor::CastOp>(op))
    return true;
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
    int64_t rank = transpose.getPermutation().size();
    return rank > 0 && transpose.getPermutation()[rank - 1] == rank - 1;
  }
  RankedTensorType from = typeOf(op->getOperand(0)),
                   to = typeOf(op->getResult(0));
  if (from.getRank() == 0 || to.getRank() == 0 ||
      from.getShape().back() != to.getShape().back() ||
      ShapedType::isDynamic(from.getShape().back()))
    return false;
  if (auto pad = dyn_cast<PadOp>(op))
    return pad.getLow().back() == 0 && pad.getHigh().back() == 0;
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return from.getRank() == to.getRank();
  return isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op);
}

/// The n of a pad value, where it is on the grid.
static std::optional<int32_t> padNumber(PadOp pad, const Coded &coded) {
  auto value = dyn_cast<FloatAttr>(pad.getValue());
  if (!value || coded.scales.size() != 1)
    return std::nullopt;
  float real = value.getValue().convertToFloat(), scale = coded.scales[0];
  float exact = scale == 0 ? 0 : std::nearbyint(real / scale);
  if (!(std::fabs(exact) <= 255) || exact * scale != real ||
      !coded.getType().contains(int32_t(exact)))
    return std::nullopt;
  return int32_t(exact);
}

static Value pullAverage(OpBuilder &builder, AvgPoolOp pool,
                         const Coded &coded) {
  if (coded.scales.size() != 1)
    return {};
  return AvgPoolOp::create(
      builder, pool.getLoc(), pool.getType(), coded.codes, pool.getKernelAttr(),
      pool.getStridesAttr(), pool.getPadsAttr(), pool.getDilationsAttr(),
      pool.getCountIncludePadAttr(), builder.getF32FloatAttr(coded.scales[0]));
}

Value hwgq::pullAffine(OpBuilder &builder, Operation *op) {
  if (auto pool = dyn_cast<AvgPoolOp>(op)) {
    std::optional<Coded> coded = matchCodes(pool.getInput());
    return coded ? pullAverage(builder, pool, *coded) : Value();
  }
  if (!isMovement(op))
    return {};
  SmallVector<Value> codes;
  SmallVector<float> scales;
  for (Value source : sourcesOf(op)) {
    std::optional<Coded> coded = matchCodes(source);
    if (!coded || (!codes.empty() &&
                   (scales != coded->scales ||
                    getElementTypeOrSelf(codes[0]) != coded->getType())))
      return {};
    codes.push_back(coded->codes);
    scales = coded->scales;
  }
  if (scales.size() != 1 && !keepsChannels(op))
    return {};
  std::optional<int32_t> border;
  if (auto pad = dyn_cast<PadOp>(op)) {
    border = padNumber(pad, Coded{codes[0], scales});
    if (!border)
      return {};
  }
  auto pool = dyn_cast<MaxPoolOp>(op);
  if (pool && pool.getFalling())
    return {};
  Operation *moved = rebuild(builder, op, codes);
  if (border)
    moved->setAttr("value", builder.getI32IntegerAttr(*border));
  if (pool && llvm::any_of(scales, [](float s) { return s < 0; })) {
    int64_t channels = typeOf(pool.getInput()).getDimSize(3);
    SmallVector<bool> falling;
    for (int64_t c = 0; c < channels; ++c)
      falling.push_back(scales[scales.size() == 1 ? 0 : c] < 0);
    cast<MaxPoolOp>(moved).setFallingAttr(
        builder.getDenseBoolArrayAttr(falling));
  }
  return AffineOp::create(builder, op->getLoc(), moved->getResult(0),
                          builder.getDenseF32ArrayAttr(scales));
}
