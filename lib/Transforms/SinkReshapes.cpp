//===- SinkReshapes.cpp - reshapes through other ops ----------------------===//
#include "SinkPatterns.h"
#include "hwgq/Transforms/Codes.h"

using namespace mlir;
using namespace hwgq;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

namespace {

using Groups = SmallVector<ReassociationIndices>;

//===----------------------------------------------------------------------===//
// Adaptable values under reshapes
//===----------------------------------------------------------------------===//

/// `v`, adaptable, of the collapsed shape, in the shape before the collapse.
Value adaptCollapsed(TensorBuilder &b, Value v, const Groups &groups,
                     ArrayRef<int64_t> shape, ArrayRef<OpFoldResult> sizes) {
  auto broadcast = v.getDefiningOp<linalg::BroadcastOp>();
  if (!broadcast)
    return b.reshape(v, shape);
  SmallVector<int64_t> dims, source;
  for (auto [g, group] : llvm::enumerate(groups)) {
    bool spread = llvm::is_contained(broadcast.getDimensions(), int64_t(g));
    for (int64_t d : group)
      spread ? dims.push_back(d) : source.push_back(shape[d]);
  }
  return b.broadcastDims(b.reshape(broadcast.getInput(), source), sizes, dims);
}

/// Whether a value of the expanded shape is constant along, or varies freely
/// over, each whole group.
bool fitsExpansion(Value v, const Groups &groups) {
  auto broadcast = v.getDefiningOp<linalg::BroadcastOp>();
  if (!broadcast)
    return v.getDefiningOp<arith::ConstantOp>();
  RankedTensorType type = typeOf(v);
  for (const ReassociationIndices &group : groups) {
    bool spread = false, kept = false;
    for (int64_t d : group)
      if (type.getDimSize(d) != 1)
        (llvm::is_contained(broadcast.getDimensions(), d) ? spread : kept) =
            true;
    if (spread && kept)
      return false;
  }
  return true;
}

/// `v`, adaptable, of the expanded shape, in the shape before the expansion.
Value adaptExpanded(TensorBuilder &b, Value v, const Groups &groups,
                    ArrayRef<int64_t> shape, ArrayRef<OpFoldResult> sizes) {
  auto broadcast = v.getDefiningOp<linalg::BroadcastOp>();
  if (!broadcast)
    return b.reshape(v, shape);
  RankedTensorType type = typeOf(v);
  SmallVector<int64_t> dims, source;
  for (auto [g, group] : llvm::enumerate(groups)) {
    bool kept = false;
    for (int64_t d : group)
      kept |= type.getDimSize(d) != 1 &&
              !llvm::is_contained(broadcast.getDimensions(), d);
    kept ? source.push_back(shape[g]) : dims.push_back(g);
  }
  return b.broadcastDims(b.reshape(broadcast.getInput(), source), sizes, dims);
}

//===----------------------------------------------------------------------===//
// Reshapes through pointwise ops
//===----------------------------------------------------------------------===//

/// Whether a tensor of rank 4 is an image: made by a window op, before
/// pointwise ops and data movement.
bool isImage(Value v) {
  for (unsigned depth = 0; depth < 256; ++depth) {
    Operation *op = v.getDefiningOp();
    if (!op || typeOf(v).getRank() != 4)
      return false;
    if (isa<Conv2DOp, MaxPoolOp, AvgPoolOp>(op))
      return true;
    if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
      if (isToChannelsLast(transpose.getPermutation()))
        return true;
    } else if (!isPointwise(op) &&
               !isa<PadOp, tensor::ConcatOp, tensor::ExtractSliceOp>(op)) {
      return false;
    }
    Value next;
    for (Value operand : op->getOperands())
      if (isa<RankedTensorType>(operand.getType()) && !isAdaptable(operand)) {
        next = operand;
        break;
      }
    if (!next)
      return false;
    v = next;
  }
  return false;
}

/// Whether a collapse flattens an image, or only drops unit sizes of one.
bool collapsesImage(tensor::CollapseShapeOp op) {
  return op.getSrcType().getRank() == 4 && isImage(op.getSrc());
}

/// The common reshape of the operands that are not adaptable.
template <typename OpTy> OpTy commonReshape(Operation *op) {
  OpTy common;
  for (Value v : op->getOperands()) {
    if (isAdaptable(v))
      continue;
    auto own = v.getDefiningOp<OpTy>();
    if (!own ||
        (common &&
         (own.getSrcType().getShape() != common.getSrcType().getShape() ||
          own.getReassociation() != common.getReassociation())))
      return {};
    if (!common)
      common = own;
  }
  return common;
}

struct SinkCollapse : RewritePattern {
  SinkCollapse(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}
  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    if (!isPointwise(op))
      return failure();
    auto collapse = commonReshape<tensor::CollapseShapeOp>(op);
    if (!collapse || !collapsesImage(collapse))
      return failure();
    TensorBuilder b(rewriter, op->getLoc());
    Groups groups = collapse.getReassociationIndices();
    ArrayRef<int64_t> shape = collapse.getSrcType().getShape();
    SmallVector<OpFoldResult> sizes = b.sizes(collapse.getSrc());
    SmallVector<Value> operands;
    for (Value v : op->getOperands())
      operands.push_back(
          isAdaptable(v) ? adaptCollapsed(b, v, groups, shape, sizes)
                         : v.getDefiningOp<tensor::CollapseShapeOp>().getSrc());
    Value made = rebuildPointwise(rewriter, op, operands);
    rewriter.replaceOp(op, b.make<tensor::CollapseShapeOp>(
                               op->getResult(0).getType(), made, groups));
    return success();
  }
};

/// An expansion that adds unit sizes alone.
bool addsUnits(tensor::ExpandShapeOp op) {
  RankedTensorType type = op.getResultType();
  return llvm::all_of(op.getReassociationIndices(), [&](auto &group) {
    return llvm::count_if(
               group, [&](int64_t d) { return type.getDimSize(d) != 1; }) <= 1;
  });
}

/// An input of the network in another shape, which costs nothing there.
bool isReshapedInput(tensor::ExpandShapeOp op) {
  auto collapse = op.getSrc().getDefiningOp<tensor::CollapseShapeOp>();
  return collapse && isa<BlockArgument>(collapse.getSrc());
}

struct SinkExpand : RewritePattern {
  SinkExpand(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}
  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    if (!isPointwise(op))
      return failure();
    auto expand = commonReshape<tensor::ExpandShapeOp>(op);
    if (!expand || !addsUnits(expand) || isReshapedInput(expand))
      return failure();
    Groups groups = expand.getReassociationIndices();
    for (Value v : op->getOperands())
      if (isAdaptable(v) && !fitsExpansion(v, groups))
        return failure();
    TensorBuilder b(rewriter, op->getLoc());
    ArrayRef<int64_t> shape = expand.getSrcType().getShape();
    SmallVector<OpFoldResult> sizes = b.sizes(expand.getSrc());
    SmallVector<Value> operands;
    for (Value v : op->getOperands())
      operands.push_back(
          isAdaptable(v) ? adaptExpanded(b, v, groups, shape, sizes)
                         : v.getDefiningOp<tensor::ExpandShapeOp>().getSrc());
    Value made = rebuildPointwise(rewriter, op, operands);
    rewriter.replaceOp(op, b.make<tensor::ExpandShapeOp>(
                               op->getResult(0).getType(), made, groups,
                               expand.getMixedOutputShape()));
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Transposes through reshapes
//===----------------------------------------------------------------------===//

/// expand(transpose(x)) = transpose(expand(x)), group by group.
struct SinkThroughExpand : OpRewritePattern<tensor::ExpandShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ExpandShapeOp op,
                                PatternRewriter &rewriter) const override {
    auto transpose = op.getSrc().getDefiningOp<linalg::TransposeOp>();
    if (!transpose || isToChannelsLast(transpose.getPermutation()))
      return failure();
    ArrayRef<int64_t> perm = transpose.getPermutation();
    Groups groups = op.getReassociationIndices(), made;
    SmallVector<OpFoldResult> sizes = op.getMixedOutputShape(), newSizes;
    SmallVector<int64_t> shape, place(sizes.size());
    for (int64_t from : inverse(perm)) {
      ReassociationIndices group;
      for (int64_t d : groups[from]) {
        place[d] = shape.size();
        group.push_back(shape.size());
        shape.push_back(op.getResultType().getDimSize(d));
        newSizes.push_back(sizes[d]);
      }
      made.push_back(group);
    }
    TensorBuilder b(rewriter, op.getLoc());
    Value expanded = b.make<tensor::ExpandShapeOp>(
        op.getResultType().clone(shape), transpose.getInput(), made, newSizes);
    rewriter.replaceOp(op, b.transpose(expanded, place));
    return success();
  }
};

/// collapse(transpose(x)) = transpose(collapse(transpose(x))) where the inner
/// transpose brings the dimensions of each group together, in the order of x
/// otherwise, and the outer one moves whole groups.
struct SinkThroughCollapse : OpRewritePattern<tensor::CollapseShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::CollapseShapeOp op,
                                PatternRewriter &rewriter) const override {
    auto transpose = op.getSrc().getDefiningOp<linalg::TransposeOp>();
    if (!transpose || isToChannelsLast(transpose.getPermutation()) ||
        op.getResultType().getRank() == 0)
      return failure();
    ArrayRef<int64_t> perm = transpose.getPermutation();
    // Dimensions of x by group, the groups ordered by their first one.
    SmallVector<std::pair<ReassociationIndices, int64_t>> groups;
    for (auto [g, group] : llvm::enumerate(op.getReassociationIndices())) {
      ReassociationIndices from;
      for (int64_t d : group)
        from.push_back(perm[d]);
      groups.push_back({from, int64_t(g)});
    }
    llvm::sort(groups, [](auto &a, auto &b) {
      return *llvm::min_element(a.first) < *llvm::min_element(b.first);
    });
    Groups made;
    SmallVector<int64_t> inner, shape, place(groups.size());
    for (auto [i, entry] : llvm::enumerate(groups)) {
      ReassociationIndices group;
      for (int64_t d : entry.first) {
        group.push_back(inner.size());
        inner.push_back(d);
      }
      made.push_back(group);
      shape.push_back(op.getResultType().getDimSize(entry.second));
      place[entry.second] = i;
    }
    // Nothing moves past the collapse, or it would take two transposes in
    // place of one that keeps rows together.
    SmallVector<int64_t> moved = inner;
    llvm::erase_if(moved, [&](int64_t d) {
      return typeOf(transpose.getInput()).getDimSize(d) == 1;
    });
    if (llvm::is_sorted(place) ||
        (!llvm::is_sorted(moved) && perm.back() + 1 == int64_t(perm.size())))
      return failure();
    TensorBuilder b(rewriter, op.getLoc());
    Value together = b.transpose(transpose.getInput(), inner);
    Value collapsed = b.make<tensor::CollapseShapeOp>(
        op.getResultType().clone(shape), together, made);
    rewriter.replaceOp(op, b.transpose(collapsed, place));
    return success();
  }
};

/// matmul(collapse(transpose(x)), w): the weights take the order of x. Not that
/// of an input, with which the order of the sums would change.
struct PermuteWeights : OpRewritePattern<MatMulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MatMulOp op,
                                PatternRewriter &rewriter) const override {
    auto collapse = op.getInput().getDefiningOp<tensor::CollapseShapeOp>();
    if (!collapse || !op.getWeight().getDefiningOp<arith::ConstantOp>())
      return failure();
    auto transpose = collapse.getSrc().getDefiningOp<linalg::TransposeOp>();
    Groups groups = collapse.getReassociationIndices();
    if (!transpose || groups.size() != 2 || groups[0].size() != 1 ||
        transpose.getPermutation()[0] != 0 || readsInput(transpose.getInput()))
      return failure();
    ArrayRef<int64_t> perm = transpose.getPermutation();
    RankedTensorType flat = typeOf(collapse.getSrc());
    SmallVector<int64_t> shape = {typeOf(op.getWeight()).getDimSize(0)};
    llvm::append_range(shape, flat.getShape().drop_front());
    TensorBuilder b(rewriter, op.getLoc());
    Value w = b.transpose(b.reshape(op.getWeight(), shape), inverse(perm));
    w = b.reshape(w, typeOf(op.getWeight()).getShape());
    Value x = b.make<tensor::CollapseShapeOp>(collapse.getResultType(),
                                              transpose.getInput(), groups);
    rewriter.replaceOpWithNewOp<MatMulOp>(op, op.getType(), x, w);
    return success();
  }
};

/// A transpose that moves unit sizes alone is a reshape.
struct TransposeOfUnits : OpRewritePattern<linalg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::TransposeOp op,
                                PatternRewriter &rewriter) const override {
    RankedTensorType type = typeOf(op.getInput());
    int64_t last = -1;
    for (int64_t d : op.getPermutation()) {
      if (type.getDimSize(d) == 1)
        continue;
      if (d < last)
        return failure();
      last = d;
    }
    TensorBuilder b(rewriter, op.getLoc());
    rewriter.replaceOp(
        op, b.reshape(op.getInput(), typeOf(op->getResult(0)).getShape()));
    return success();
  }
};

} // namespace

void hwgq::addReshapePatterns(RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  patterns.add<SinkCollapse, SinkExpand, SinkThroughExpand, SinkThroughCollapse,
               PermuteWeights>(context);
  tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, context);
  tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, context);
}

void hwgq::addUnitPatterns(RewritePatternSet &patterns) {
  patterns.add<TransposeOfUnits>(patterns.getContext());
}
