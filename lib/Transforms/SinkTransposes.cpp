//===- SinkTransposes.cpp - transposes through other ops ------------------===//
#include "ActivationProducts.h"
#include "SinkPatterns.h"

using namespace mlir;
using namespace hwgq;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

bool hwgq::isPointwise(Operation *op) {
  if (!op || op->getNumResults() != 1 ||
      !isa<RankedTensorType>(op->getResult(0).getType()))
    return false;
  if (isa<QuantizeOp>(op))
    return true;
  if (!OpTrait::hasElementwiseMappableTraits(op) || op->getNumOperands() == 0)
    return false;
  auto shape = typeOf(op->getResult(0)).getShape();
  return llvm::all_of(op->getOperands(), [&](Value v) {
    auto type = dyn_cast<RankedTensorType>(v.getType());
    return type && type.getShape() == shape;
  });
}

bool hwgq::isAdaptable(Value v) {
  Operation *op = v.getDefiningOp();
  return isa_and_nonnull<arith::ConstantOp, linalg::BroadcastOp>(op);
}

SmallVector<int64_t> hwgq::inverse(ArrayRef<int64_t> perm) {
  SmallVector<int64_t> result(perm.size());
  for (auto [i, p] : llvm::enumerate(perm))
    result[p] = i;
  return result;
}

bool hwgq::isToChannelsFirst(ArrayRef<int64_t> perm) {
  int64_t rank = perm.size();
  if (rank < 4 || perm[0] != 0 || perm[1] != rank - 1)
    return false;
  for (int64_t d = 2; d < rank; ++d)
    if (perm[d] != d - 1)
      return false;
  return true;
}

bool hwgq::isToChannelsLast(ArrayRef<int64_t> perm) {
  return perm.size() >= 4 && isToChannelsFirst(inverse(perm));
}

Value hwgq::adaptTransposed(TensorBuilder &b, Value v, ArrayRef<int64_t> perm,
                            ArrayRef<OpFoldResult> sizes) {
  auto broadcast = v.getDefiningOp<linalg::BroadcastOp>();
  if (!broadcast)
    return b.transpose(v, perm);
  SmallVector<int64_t> place = inverse(perm), dims;
  for (int64_t d : broadcast.getDimensions())
    dims.push_back(place[d]);
  llvm::sort(dims);
  // Where the kept dimensions of the source go.
  SmallVector<std::pair<int64_t, int64_t>> kept;
  for (int64_t d = 0, next = 0; d < int64_t(perm.size()); ++d)
    if (!llvm::is_contained(broadcast.getDimensions(), d))
      kept.push_back({place[d], next++});
  llvm::sort(kept);
  SmallVector<int64_t> order;
  for (auto [to, from] : kept)
    order.push_back(from);
  return b.broadcastDims(b.transpose(broadcast.getInput(), order), sizes, dims);
}

Value hwgq::rebuildPointwise(OpBuilder &b, Operation *op,
                             ArrayRef<Value> operands) {
  Operation *made = b.clone(*op);
  made->setOperands(operands);
  auto type = typeOf(op->getResult(0));
  made->getResult(0).setType(
      type.clone(typeOf(operands[0]).getShape(), type.getElementType()));
  return made->getResult(0);
}

namespace {

using linalg::TransposeOp;

/// The transposes among `values` that go down: one common permutation, the
/// others adaptable, or anything where it is to channels-first.
std::optional<SmallVector<int64_t>> sinkingPermutation(ValueRange values) {
  std::optional<SmallVector<int64_t>> perm;
  bool others = false;
  for (Value v : values) {
    if (auto transpose = v.getDefiningOp<TransposeOp>()) {
      ArrayRef<int64_t> own = transpose.getPermutation();
      if (!isToChannelsLast(own) && (!perm || *perm == own)) {
        perm = llvm::to_vector(own);
        continue;
      }
    }
    others |= !isAdaptable(v);
  }
  if (perm && others && !isToChannelsFirst(*perm))
    return std::nullopt;
  return perm;
}

/// The operands before the common transpose.
SmallVector<Value> sources(TensorBuilder &b, ValueRange values,
                           ArrayRef<int64_t> perm) {
  SmallVector<int64_t> back = inverse(perm);
  SmallVector<OpFoldResult> sizes;
  SmallVector<Value> result;
  for (Value v : values) {
    auto transpose = v.getDefiningOp<TransposeOp>();
    if (transpose && transpose.getPermutation() == perm && sizes.empty())
      sizes = b.sizes(transpose.getInput());
  }
  for (Value v : values) {
    auto transpose = v.getDefiningOp<TransposeOp>();
    if (transpose && transpose.getPermutation() == perm)
      result.push_back(transpose.getInput());
    else if (isAdaptable(v))
      result.push_back(adaptTransposed(b, v, back, sizes));
    else
      result.push_back(b.transpose(v, back));
  }
  return result;
}

struct SinkThroughPointwise : RewritePattern {
  SinkThroughPointwise(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    if (!isPointwise(op))
      return failure();
    auto perm = sinkingPermutation(op->getOperands());
    if (!perm)
      return failure();
    TensorBuilder b(rewriter, op->getLoc());
    SmallVector<Value> operands = sources(b, op->getOperands(), *perm);
    Value made = rebuildPointwise(rewriter, op, operands);
    rewriter.replaceOp(op, b.transpose(made, *perm));
    return success();
  }
};

struct SinkThroughConcat : OpRewritePattern<tensor::ConcatOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ConcatOp op,
                                PatternRewriter &rewriter) const override {
    auto perm = sinkingPermutation(op.getInputs());
    if (!perm || llvm::any_of(op.getInputs(), [](Value v) {
          return isAdaptable(v) && v.getDefiningOp<linalg::BroadcastOp>();
        }))
      return failure();
    TensorBuilder b(rewriter, op.getLoc());
    SmallVector<Value> operands = sources(b, op.getInputs(), *perm);
    Value made = b.concat(operands, (*perm)[op.getDim()]);
    rewriter.replaceOp(op, b.transpose(made, *perm));
    return success();
  }
};

/// The transpose that defines `v` and may go down, or null.
TransposeOp sinkable(Value v) {
  auto transpose = v.getDefiningOp<TransposeOp>();
  if (!transpose || isToChannelsLast(transpose.getPermutation()))
    return {};
  return transpose;
}

struct SinkThroughSlice : OpRewritePattern<tensor::ExtractSliceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ExtractSliceOp op,
                                PatternRewriter &rewriter) const override {
    TransposeOp transpose = sinkable(op.getSource());
    if (!transpose || op.getType().getRank() != op.getSourceType().getRank())
      return failure();
    SmallVector<int64_t> back = inverse(transpose.getPermutation());
    auto reordered = [&](SmallVector<OpFoldResult> list) {
      SmallVector<OpFoldResult> result;
      for (int64_t d : back)
        result.push_back(list[d]);
      return result;
    };
    TensorBuilder b(rewriter, op.getLoc());
    Value made = b.make<tensor::ExtractSliceOp>(
        transpose.getInput(), reordered(op.getMixedOffsets()),
        reordered(op.getMixedSizes()), reordered(op.getMixedStrides()));
    rewriter.replaceOp(op, b.transpose(made, transpose.getPermutation()));
    return success();
  }
};

struct SinkThroughPad : OpRewritePattern<PadOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(PadOp op,
                                PatternRewriter &rewriter) const override {
    TransposeOp transpose = sinkable(op.getInput());
    if (!transpose)
      return failure();
    SmallVector<int64_t> back = inverse(transpose.getPermutation()), low, high,
                         shape;
    for (int64_t d : back) {
      low.push_back(op.getLow()[d]);
      high.push_back(op.getHigh()[d]);
      shape.push_back(typeOf(op.getResult()).getDimSize(d));
    }
    TensorBuilder b(rewriter, op.getLoc());
    auto type = typeOf(op.getResult()).clone(shape);
    Value made = b.make<PadOp>(
        type, transpose.getInput(), rewriter.getDenseI64ArrayAttr(low),
        rewriter.getDenseI64ArrayAttr(high), op.getValue());
    rewriter.replaceOp(op, b.transpose(made, transpose.getPermutation()));
    return success();
  }
};

/// A generic op reads the source of a transpose through another map.
struct AbsorbInGeneric : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &rewriter) const override {
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    bool changed = false;
    for (OpOperand *operand : op.getDpsInputOperands()) {
      unsigned i = operand->getOperandNumber();
      auto transpose = operand->get().getDefiningOp<TransposeOp>();
      if (!transpose)
        continue;
      SmallVector<AffineExpr> exprs(maps[i].getNumResults());
      for (auto [d, from] : llvm::enumerate(transpose.getPermutation()))
        exprs[from] = maps[i].getResult(d);
      maps[i] = AffineMap::get(maps[i].getNumDims(), maps[i].getNumSymbols(),
                               exprs, op.getContext());
      rewriter.modifyOpInPlace(op, [&] { operand->set(transpose.getInput()); });
      changed = true;
    }
    if (!changed)
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      op.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    });
    return success();
  }
};

/// A product of two activations writes its result in another order.
struct AbsorbInProduct : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op,
                                PatternRewriter &rewriter) const override {
    auto product = op.getInput().getDefiningOp<linalg::GenericOp>();
    ArrayRef<int64_t> perm = op.getPermutation();
    if (!product || !product->hasOneUse() || !matchProduct(product) ||
        perm.back() + 1 != int64_t(perm.size()))
      return failure();
    TensorBuilder b(rewriter, op.getLoc());
    SmallVector<AffineMap> maps = product.getIndexingMapsArray();
    SmallVector<OpFoldResult> from = b.sizes(op.getInput()), sizes;
    SmallVector<AffineExpr> exprs;
    for (int64_t d : perm) {
      sizes.push_back(from[d]);
      exprs.push_back(maps[2].getResult(d));
    }
    maps[2] = AffineMap::get(maps[2].getNumDims(), 0, exprs, op.getContext());
    Type element = typeOf(op.getInput()).getElementType();
    Value init =
        b.filled(sizes, cast<TypedAttr>(rewriter.getZeroAttr(element)));
    rewriter.setInsertionPoint(op);
    auto made = linalg::GenericOp::create(
        rewriter, product.getLoc(), TypeRange(init.getType()),
        product.getInputs(), ValueRange(init), maps,
        product.getIteratorTypesArray());
    rewriter.inlineRegionBefore(product.getRegion(), made.getRegion(),
                                made.getRegion().begin());
    rewriter.replaceOp(op, made.getResults());
    rewriter.eraseOp(product);
    return success();
  }
};

/// transpose(constant), at compile time.
struct FoldConstant : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op,
                                PatternRewriter &rewriter) const override {
    auto constant = op.getInput().getDefiningOp<arith::ConstantOp>();
    auto elements =
        constant ? dyn_cast<ElementsAttr>(constant.getValue()) : ElementsAttr();
    ElementsAttr turned = elements
                              ? transposeElements(elements, op.getPermutation())
                              : ElementsAttr();
    if (!turned)
      return failure();
    rewriter.replaceOpWithNewOp<arith::ConstantOp>(
        op, mlir::cast<TypedAttr>(turned));
    return success();
  }
};

/// Pointwise ops between one value and transposes to channels-last: the
/// transpose goes above them all.
struct HoistAboveCone : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;

  /// Collects the ops above `root` that nothing else reads; false where they
  /// start from more than one value.
  static bool collect(TransposeOp root, SmallVector<Operation *> &cone,
                      Value &leaf) {
    DenseSet<Operation *> inside;
    SmallVector<Value> work = {root.getInput()};
    auto onlyInside = [&](Operation *op) {
      return llvm::all_of(op->getUsers(), [&](Operation *user) {
        auto transpose = dyn_cast<TransposeOp>(user);
        return inside.contains(user) ||
               (transpose && op == root.getInput().getDefiningOp() &&
                transpose.getPermutation() == root.getPermutation());
      });
    };
    // Users come first when walking backwards, so one reverse pass decides.
    Operation *first = root.getInput().getDefiningOp();
    if (!isPointwise(first) || first->getBlock() != root->getBlock())
      return false;
    DenseSet<Value> needed = {root.getInput()};
    for (Operation *op = first; op; op = op->getPrevNode()) {
      if (op->getNumResults() != 1 || !needed.contains(op->getResult(0)))
        continue;
      if (!isPointwise(op) || !onlyInside(op)) {
        if (isAdaptable(op->getResult(0)))
          continue;
        if (leaf && leaf != op->getResult(0))
          return false;
        leaf = op->getResult(0);
        continue;
      }
      inside.insert(op);
      cone.push_back(op);
      for (Value v : op->getOperands()) {
        needed.insert(v);
        if (!v.getDefiningOp()) {
          if (leaf && leaf != v)
            return false;
          leaf = v;
        }
      }
    }
    return leaf && !cone.empty();
  }

  LogicalResult matchAndRewrite(TransposeOp op,
                                PatternRewriter &rewriter) const override {
    if (!isToChannelsLast(op.getPermutation()))
      return failure();
    SmallVector<Operation *> cone;
    Value leaf;
    if (!collect(op, cone, leaf))
      return failure();
    TensorBuilder b(rewriter, op.getLoc());
    rewriter.setInsertionPointAfterValue(leaf);
    IRMapping moved;
    moved.map(leaf, b.transpose(leaf, op.getPermutation()));
    SmallVector<OpFoldResult> sizes = b.sizes(moved.lookup(leaf));
    for (Operation *inner : llvm::reverse(cone)) {
      rewriter.setInsertionPoint(inner);
      TensorBuilder at(rewriter, inner->getLoc());
      SmallVector<Value> operands;
      for (Value v : inner->getOperands())
        operands.push_back(
            moved.contains(v)
                ? moved.lookup(v)
                : adaptTransposed(at, v, op.getPermutation(), sizes));
      moved.map(inner->getResult(0),
                rebuildPointwise(rewriter, inner, operands));
    }
    Value old = op.getInput(), now = moved.lookup(old);
    for (Operation *user : llvm::make_early_inc_range(old.getUsers()))
      rewriter.replaceOp(user, now);
    return success();
  }
};

/// tensor.dim of a computed tensor, from where the size comes.
struct FollowSize : OpRewritePattern<tensor::DimOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::DimOp op,
                                PatternRewriter &rewriter) const override {
    auto dim = op.getConstantIndex();
    auto type = dyn_cast<RankedTensorType>(op.getSource().getType());
    if (!dim || !type || *dim >= type.getRank() || !type.isDynamicDim(*dim) ||
        !op.getSource().getDefiningOp())
      return failure();
    TensorBuilder b(rewriter, op.getLoc());
    OpFoldResult size = b.size(op.getSource(), *dim);
    Value now = dyn_cast<Value>(size);
    auto made = now ? now.getDefiningOp<tensor::DimOp>() : nullptr;
    if (!now || (made && made.getSource() == op.getSource()))
      return failure();
    rewriter.replaceOp(op, now);
    return success();
  }
};

} // namespace

void hwgq::addTransposePatterns(RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  patterns.add<SinkThroughPointwise, SinkThroughConcat, SinkThroughSlice,
               SinkThroughPad, AbsorbInGeneric, AbsorbInProduct, FoldConstant,
               HoistAboveCone, FollowSize>(context);
  TransposeOp::getCanonicalizationPatterns(patterns, context);
}
