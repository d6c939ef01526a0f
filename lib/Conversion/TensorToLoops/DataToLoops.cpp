//===- DataToLoops.cpp - data movement of the tensor dialect --------------===//
#include "Internal.h"
#include "hwgq/Conversion/TensorToLoops.h"
#include "hwgq/Dialect/HWGQ.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace hwgq;

void hwgq::emitTasks(OpBuilder &builder, Location loc,
                     ArrayRef<OpFoldResult> sizes,
                     function_ref<void(OpBuilder &, ValueRange)> body) {
  Value count = arith::ConstantIndexOp::create(builder, loc, 1);
  SmallVector<Value> extents;
  for (OpFoldResult size : sizes) {
    extents.push_back(getValueOrCreateConstantIndexOp(builder, loc, size));
    count = arith::MulIOp::create(builder, loc, count, extents.back());
  }
  OpFoldResult upper = count;
  if (std::optional<int64_t> product = [&]() -> std::optional<int64_t> {
        int64_t p = 1;
        for (OpFoldResult size : sizes) {
          std::optional<int64_t> s = getConstantIntValue(size);
          if (!s)
            return std::nullopt;
          p *= *s;
        }
        return p;
      }())
    upper = builder.getIndexAttr(*product);
  scf::ForallOp::create(
      builder, loc, ArrayRef<OpFoldResult>(upper), ValueRange{}, std::nullopt,
      [&](OpBuilder &inner, Location l, ValueRange iv) {
        SmallVector<Value> index(sizes.size());
        Value rest = iv[0];
        for (size_t d = sizes.size(); d-- > 1;) {
          index[d] = arith::RemUIOp::create(inner, l, rest, extents[d]);
          rest = arith::DivUIOp::create(inner, l, rest, extents[d]);
        }
        if (!sizes.empty())
          index[0] = rest;
        body(inner, index);
        scf::InParallelOp::create(inner, l);
      });
}

namespace {

/// A rectangular copy: target[targetOffset + i] = source[sourceOffset + i *
/// stride].
struct Copy {
  Value source, target;
  SmallVector<OpFoldResult> sizes;
  SmallVector<OpFoldResult> sourceOffsets, sourceStrides;
  SmallVector<OpFoldResult> targetOffsets, targetStrides;

  static Copy whole(OpBuilder &b, Location loc, Value source, Value target) {
    Copy copy{source, target, {}, {}, {}, {}, {}};
    auto type = cast<MemRefType>(source.getType());
    for (int64_t d = 0; d < type.getRank(); ++d)
      copy.sizes.push_back(memref::getMixedSize(b, loc, source, d));
    copy.sourceOffsets = copy.targetOffsets =
        SmallVector<OpFoldResult>(type.getRank(), b.getIndexAttr(0));
    copy.sourceStrides = copy.targetStrides =
        SmallVector<OpFoldResult>(type.getRank(), b.getIndexAttr(1));
    return copy;
  }

  Value at(OpBuilder &b, Location loc, Value iv, OpFoldResult offset,
           OpFoldResult stride) {
    Value index = iv;
    if (!isConstantIntValue(stride, 1))
      index = arith::MulIOp::create(
          b, loc, index, getValueOrCreateConstantIndexOp(b, loc, stride));
    if (!isConstantIntValue(offset, 0))
      index = arith::AddIOp::create(
          b, loc, index, getValueOrCreateConstantIndexOp(b, loc, offset));
    return index;
  }

  void element(OpBuilder &b, Location loc, ArrayRef<Value> ivs, int64_t lanes) {
    SmallVector<Value> from, to;
    for (size_t d = 0; d < ivs.size(); ++d) {
      from.push_back(at(b, loc, ivs[d], sourceOffsets[d], sourceStrides[d]));
      to.push_back(at(b, loc, ivs[d], targetOffsets[d], targetStrides[d]));
    }
    if (!lanes) {
      Value v = memref::LoadOp::create(b, loc, source, from);
      memref::StoreOp::create(b, loc, v, target, to);
      return;
    }
    auto type =
        VectorType::get({lanes}, getElementTypeOrSelf(source.getType()));
    Value v = vector::LoadOp::create(b, loc, type, source, from);
    vector::StoreOp::create(b, loc, v, target, to);
  }

  void loops(OpBuilder &b, Location loc, SmallVector<Value> &ivs, size_t depth,
             int64_t lanes) {
    if (depth == sizes.size())
      return element(b, loc, ivs, 0);
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    Value upper = getValueOrCreateConstantIndexOp(b, loc, sizes[depth]);
    bool last = depth + 1 == sizes.size();
    auto loop = [&](Value from, Value to, Value step, bool vector) {
      scf::ForOp::create(
          b, loc, from, to, step, ValueRange{},
          [&](OpBuilder &inner, Location l, Value iv, ValueRange) {
            ivs[depth] = iv;
            if (last)
              element(inner, l, ivs, vector ? lanes : 0);
            else
              loops(inner, l, ivs, depth + 1, lanes);
            scf::YieldOp::create(inner, l);
          });
    };
    std::optional<int64_t> size = getConstantIntValue(sizes[depth]);
    bool contiguous = last && isConstantIntValue(sourceStrides[depth], 1) &&
                      isConstantIntValue(targetStrides[depth], 1) &&
                      !getElementTypeOrSelf(source.getType()).isInteger(1);
    if (!contiguous || (size && *size < lanes))
      return loop(zero, upper, one, false);
    Value step = arith::ConstantIndexOp::create(b, loc, lanes);
    Value whole = arith::SubIOp::create(
        b, loc, upper, arith::RemUIOp::create(b, loc, upper, step));
    loop(zero, whole, step, true);
    loop(whole, upper, one, false);
  }

  /// Emits the copy as tasks over all but the last two dimensions.
  void emit(OpBuilder &b, Location loc, int64_t lanes) {
    size_t outer = sizes.size() > 2 ? sizes.size() - 2 : (sizes.size() == 2);
    emitTasks(b, loc, ArrayRef(sizes).take_front(outer),
              [&](OpBuilder &inner, ValueRange task) {
                SmallVector<Value> ivs(sizes.size());
                llvm::copy(task, ivs.begin());
                loops(inner, loc, ivs, outer, lanes);
              });
  }
};

/// A new buffer of the converted result type; dynamic sizes from `sizes`.
Value allocate(OpBuilder &b, Location loc, MemRefType type,
               ArrayRef<OpFoldResult> sizes) {
  SmallVector<Value> dynamic;
  for (auto [d, size] : llvm::enumerate(type.getShape()))
    if (ShapedType::isDynamic(size))
      dynamic.push_back(getValueOrCreateConstantIndexOp(b, loc, sizes[d]));
  return memref::AllocOp::create(b, loc, type, dynamic);
}

template <typename OpTy> struct DataPattern : OpConversionPattern<OpTy> {
  DataPattern(const TypeConverter &converter, MLIRContext *context,
              int64_t lanes)
      : OpConversionPattern<OpTy>(converter, context), lanes(lanes) {}

  MemRefType memrefType(Type type) const {
    return cast<MemRefType>(this->getTypeConverter()->convertType(type));
  }

  int64_t lanes;
};

struct ConvertEmpty : DataPattern<tensor::EmptyOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::EmptyOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<memref::AllocOp>(op, memrefType(op.getType()),
                                                 adaptor.getDynamicSizes());
    return success();
  }
};

/// Constants become globals with the alignment of the widest vectors.
struct ConvertConstant : DataPattern<arith::ConstantOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(arith::ConstantOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    auto type = dyn_cast<RankedTensorType>(op.getType());
    auto value = dyn_cast<ElementsAttr>(op.getValue());
    if (!type || !value)
      return failure();
    rewriter.replaceOp(op, createGlobalConstant(rewriter, op.getLoc(),
                                                memrefType(type), value));
    return success();
  }
};

struct ConvertDim : DataPattern<tensor::DimOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::DimOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<memref::DimOp>(op, adaptor.getSource(),
                                               adaptor.getIndex());
    return success();
  }
};

struct ConvertExpand : DataPattern<tensor::ExpandShapeOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::ExpandShapeOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    SmallVector<OpFoldResult> sizes = getMixedValues(
        op.getStaticOutputShape(), adaptor.getOutputShape(), rewriter);
    rewriter.replaceOpWithNewOp<memref::ExpandShapeOp>(
        op, memrefType(op.getType()), adaptor.getSrc(),
        op.getReassociationIndices(), sizes);
    return success();
  }
};

struct ConvertCollapse : DataPattern<tensor::CollapseShapeOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::CollapseShapeOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<memref::CollapseShapeOp>(
        op, memrefType(op.getType()), adaptor.getSrc(),
        op.getReassociationIndices());
    return success();
  }
};

struct ConvertCast : DataPattern<tensor::CastOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::CastOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<memref::CastOp>(op, memrefType(op.getType()),
                                                adaptor.getSource());
    return success();
  }
};

struct ConvertExtractSlice : DataPattern<tensor::ExtractSliceOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::ExtractSliceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    // The copy has the rank of the source; dropped unit dimensions come off
    // by a reshape.
    SmallVector<OpFoldResult> sizes =
        getMixedValues(op.getStaticSizes(), adaptor.getSizes(), rewriter);
    SmallVector<int64_t> shape(op.getStaticSizes());
    auto full = MemRefType::get(shape, op.getType().getElementType());
    Value buffer = allocate(rewriter, loc, full, sizes);
    Copy copy = Copy::whole(rewriter, loc, buffer, buffer);
    copy.source = adaptor.getSource();
    copy.sizes = sizes;
    copy.sourceOffsets =
        getMixedValues(op.getStaticOffsets(), adaptor.getOffsets(), rewriter);
    copy.sourceStrides =
        getMixedValues(op.getStaticStrides(), adaptor.getStrides(), rewriter);
    copy.emit(rewriter, loc, lanes);
    MemRefType result = memrefType(op.getType());
    if (result.getRank() != full.getRank()) {
      std::optional<SmallVector<ReassociationIndices>> groups =
          getReassociationIndicesForReshape(
              RankedTensorType::get(shape, full.getElementType()),
              op.getType());
      if (!groups)
        return rewriter.notifyMatchFailure(op, "rank reduction has no reshape");
      buffer = memref::CollapseShapeOp::create(rewriter, loc, result, buffer,
                                               *groups);
    }
    rewriter.replaceOp(op, buffer);
    return success();
  }
};

struct ConvertInsertSlice : DataPattern<tensor::InsertSliceOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::InsertSliceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    if (op.getSourceType().getRank() != op.getType().getRank())
      return rewriter.notifyMatchFailure(op, "rank-reducing insertion");
    Value dest = adaptor.getDest();
    SmallVector<OpFoldResult> shape;
    for (int64_t d = 0; d < op.getType().getRank(); ++d)
      shape.push_back(memref::getMixedSize(rewriter, loc, dest, d));
    Value buffer = allocate(rewriter, loc, memrefType(op.getType()), shape);
    if (!op.getDest().getDefiningOp<tensor::EmptyOp>())
      Copy::whole(rewriter, loc, dest, buffer).emit(rewriter, loc, lanes);
    Copy copy = Copy::whole(rewriter, loc, adaptor.getSource(), buffer);
    copy.targetOffsets =
        getMixedValues(op.getStaticOffsets(), adaptor.getOffsets(), rewriter);
    copy.targetStrides =
        getMixedValues(op.getStaticStrides(), adaptor.getStrides(), rewriter);
    copy.emit(rewriter, loc, lanes);
    rewriter.replaceOp(op, buffer);
    return success();
  }
};

struct ConvertConcat : DataPattern<tensor::ConcatOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::ConcatOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    int64_t dim = op.getDim();
    auto sizeOf = [&](Value v, int64_t d) {
      return memref::getMixedSize(rewriter, loc, v, d);
    };
    SmallVector<OpFoldResult> sizes;
    for (int64_t d = 0; d < op.getType().getRank(); ++d)
      sizes.push_back(sizeOf(adaptor.getInputs()[0], d));
    if (op.getType().isDynamicDim(dim))
      return rewriter.notifyMatchFailure(op, "concatenation along the batch");
    Value buffer = allocate(rewriter, loc, memrefType(op.getType()), sizes);
    int64_t offset = 0;
    for (Value input : adaptor.getInputs()) {
      Copy copy = Copy::whole(rewriter, loc, input, buffer);
      copy.targetOffsets[dim] = rewriter.getIndexAttr(offset);
      copy.emit(rewriter, loc, lanes);
      offset += cast<MemRefType>(input.getType()).getDimSize(dim);
    }
    rewriter.replaceOp(op, buffer);
    return success();
  }
};

struct ConvertSplat : DataPattern<tensor::SplatOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::SplatOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Value buffer = memref::AllocOp::create(
        rewriter, loc, memrefType(op.getType()), adaptor.getDynamicSizes());
    emitTasks(rewriter, loc, {}, [&](OpBuilder &b, ValueRange) {
      SmallVector<Value> lower, upper, step;
      for (int64_t d = 0; d < op.getType().getRank(); ++d) {
        lower.push_back(arith::ConstantIndexOp::create(b, loc, 0));
        upper.push_back(memref::DimOp::create(b, loc, buffer, d));
        step.push_back(arith::ConstantIndexOp::create(b, loc, 1));
      }
      scf::buildLoopNest(b, loc, lower, upper, step,
                         [&](OpBuilder &inner, Location l, ValueRange index) {
                           memref::StoreOp::create(inner, l, adaptor.getInput(),
                                                   buffer, index);
                         });
    });
    rewriter.replaceOp(op, buffer);
    return success();
  }
};

struct ConvertExtract : DataPattern<tensor::ExtractOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::ExtractOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<memref::LoadOp>(op, adaptor.getTensor(),
                                                adaptor.getIndices());
    return success();
  }
};

struct ConvertFromElements : DataPattern<tensor::FromElementsOp> {
  using DataPattern::DataPattern;
  LogicalResult
  matchAndRewrite(tensor::FromElementsOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    MemRefType type = memrefType(op.getType());
    Value buffer = memref::AllocOp::create(rewriter, loc, type);
    emitTasks(rewriter, loc, {}, [&](OpBuilder &b, ValueRange) {
      SmallVector<int64_t> strides = computeSuffixProduct(type.getShape());
      for (auto [i, element] : llvm::enumerate(adaptor.getElements())) {
        SmallVector<Value> index;
        for (int64_t at : delinearize(int64_t(i), strides))
          index.push_back(arith::ConstantIndexOp::create(b, loc, at));
        memref::StoreOp::create(b, loc, element, buffer, index);
      }
    });
    rewriter.replaceOp(op, buffer);
    return success();
  }
};

} // namespace

void hwgq::populateDataToLoopsPatterns(RewritePatternSet &patterns,
                                       const TypeConverter &converter,
                                       const LoopOptions &options) {
  int64_t lanes = options.vectorBytes / sizeof(float);
  patterns.add<ConvertEmpty, ConvertConstant, ConvertDim, ConvertExpand,
               ConvertCollapse, ConvertCast, ConvertExtractSlice,
               ConvertInsertSlice, ConvertConcat, ConvertSplat, ConvertExtract,
               ConvertFromElements>(converter, patterns.getContext(), lanes);
}

void hwgq::populateTensorToLoopsPatterns(RewritePatternSet &patterns,
                                         const TypeConverter &converter,
                                         const LoopOptions &options) {
  populateGenericToLoopsPatterns(patterns, converter, options);
  populateDataToLoopsPatterns(patterns, converter, options);
}
