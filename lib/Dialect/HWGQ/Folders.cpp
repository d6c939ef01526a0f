//===- Folders.cpp - algebraic folders of hwgq ----------------------------===//
//
// What holds for every input, without looking at constants: evaluation of
// constants is hwgq-evaluate-constants.
//
//===----------------------------------------------------------------------===//
#include "hwgq/Dialect/Folders.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace hwgq;

OpFoldResult hwgq::ConstantOp::fold(FoldAdaptor) { return getCodes(); }

/// Equal scales become one.
OpFoldResult AffineOp::fold(FoldAdaptor) {
  ArrayRef<float> scale = getScale();
  auto sameBits = [&](float s) {
    return llvm::bit_cast<uint32_t>(s) == llvm::bit_cast<uint32_t>(scale[0]);
  };
  if (scale.size() < 2 || !llvm::all_of(scale, sameBits))
    return {};
  setScale({scale[0]});
  return getResult();
}

/// quantize(affine(q)) = q where every code of q comes back to itself.
OpFoldResult QuantizeOp::fold(FoldAdaptor) {
  auto affine = getInput().getDefiningOp<AffineOp>();
  if (!affine || affine.getScale().size() != 1 ||
      affine.getInput().getType() != getType())
    return {};
  auto code = cast<CodeType>(getElementTypeOrSelf(getType()));
  for (int32_t n = code.getMin(); n <= code.getMax(); n += code.getStride())
    if (getStep().evaluate(float(n) * affine.getScale()[0]) != n)
      return {};
  return affine.getInput();
}

/// Equal rows become one.
OpFoldResult ThresholdOp::fold(FoldAdaptor) {
  auto type = cast<RankedTensorType>(getThresholds().getType());
  int64_t rows = type.getDimSize(0), count = type.getDimSize(1);
  if (rows < 2 || !llvm::all_equal(getDirection()))
    return {};
  auto values = getElementValues<int32_t>(getThresholds());
  if (!values || int64_t(values->size()) != rows * count)
    return {};
  ArrayRef<int32_t> all = *values, first = all.take_front(count);
  for (int64_t r = 1; r < rows; ++r)
    if (all.slice(r * count, count) != first)
      return {};
  setThresholdsAttr(DenseElementsAttr::get(
      RankedTensorType::get({1, count}, type.getElementType()), first));
  setDirection({getDirection()[0]});
  return getResult();
}

OpFoldResult hwgq::MaxPoolOp::fold(FoldAdaptor) { return foldMaxPool(*this); }

/// No border; or a border around an equal one.
OpFoldResult hwgq::PadOp::fold(FoldAdaptor) {
  if (isNoBorder(getLow(), getHigh()) && getInput().getType() == getType())
    return getInput();
  auto inner = getInput().getDefiningOp<hwgq::PadOp>();
  if (!inner || inner.getValue() != getValue())
    return {};
  SmallVector<int64_t> low(getLow()), high(getHigh());
  for (size_t d = 0; d < low.size(); ++d)
    if (llvm::AddOverflow(low[d], inner.getLow()[d], low[d]) ||
        llvm::AddOverflow(high[d], inner.getHigh()[d], high[d]))
      return {};
  setLow(low);
  setHigh(high);
  getInputMutable().assign(inner.getInput());
  return getResult();
}

namespace {

/// threshold(collapse(x)) -> collapse(threshold(x)) where the channels stay
/// the last dimension: the threshold comes to stand behind its accumulator.
struct ThresholdOfCollapse : OpRewritePattern<ThresholdOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ThresholdOp op,
                                PatternRewriter &rewriter) const override {
    auto collapse = op.getInput().getDefiningOp<tensor::CollapseShapeOp>();
    if (!collapse)
      return failure();
    RankedTensorType from = collapse.getSrcType(),
                     to = collapse.getResultType();
    if (to.getRank() == 0 || from.getShape().back() != to.getShape().back() ||
        !llvm::all_of(
            ArrayRef(collapse.getReassociationIndices().back()).drop_back(),
            [&](int64_t d) { return from.getDimSize(d) == 1; }))
      return failure();
    Type code = getElementTypeOrSelf(op.getType());
    auto inner = ThresholdOp::create(
        rewriter, op.getLoc(), RankedTensorType::get(from.getShape(), code),
        collapse.getSrc(), op.getThresholds(), op.getDirection());
    rewriter.replaceOpWithNewOp<tensor::CollapseShapeOp>(
        op, op.getType(), inner, collapse.getReassociationIndices());
    return success();
  }
};

} // namespace

void ThresholdOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<ThresholdOfCollapse>(context);
}
