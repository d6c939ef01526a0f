//===- ConvertOnnxToHwgqMatMul.cpp - Gemm and MatMul ----------------------===//
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

static LogicalResult checkElement(Node &n) {
  Type element = n.type(0).getElementType();
  if (isa<FloatType>(element) && !element.isF64())
    return success();
  return n.error() << "on " << element
                   << " is not supported; float32 and float16 are",
         failure();
}

/// y[..., m, n] = chain over k of a[..., m, k] * w[..., k, n], with equal or
/// absent leading dimensions.
static Value batchedProduct(TensorBuilder &b, Value x, Value w) {
  RankedTensorType xType = typeOf(x), wType = typeOf(w);
  int64_t batch = xType.getRank() - 2;
  MLIRContext *context = b.b.getContext();
  auto d = [&](int64_t i) { return getAffineDimExpr(i, context); };
  SmallVector<AffineExpr> lead;
  for (int64_t i = 0; i < batch; ++i)
    lead.push_back(d(i));
  auto map = [&](AffineExpr row, AffineExpr column, bool batched = true) {
    SmallVector<AffineExpr> exprs;
    if (batched)
      exprs = lead;
    exprs.append({row, column});
    return AffineMap::get(batch + 3, 0, exprs, context);
  };
  AffineExpr m = d(batch), n = d(batch + 1), k = d(batch + 2);
  SmallVector<OpFoldResult> sizes = b.sizes(x);
  sizes.back() = b.sizes(w).back();
  AffineMap maps[] = {map(m, k), map(k, n, wType.getRank() > 2), map(m, n)};
  SmallVector<utils::IteratorType> iterators(batch + 3,
                                             utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  Type element = xType.getElementType();
  bool isFloat = isa<FloatType>(element);
  Value init = b.filled(sizes, cast<TypedAttr>(b.b.getZeroAttr(element)));
  return linalg::GenericOp::create(
             b.b, b.loc, TypeRange(init.getType()), ValueRange{x, w},
             ValueRange(init), maps, iterators,
             [&](OpBuilder &at, Location loc, ValueRange args) {
               Value sum;
               if (isFloat) {
                 sum = math::FmaOp::create(at, loc, args[0], args[1], args[2]);
               } else {
                 sum = arith::MulIOp::create(at, loc, args[0], args[1]);
                 sum = arith::AddIOp::create(at, loc, args[2], sum);
               }
               linalg::YieldOp::create(at, loc, sum);
             })
      ->getResult(0);
}

/// ONNX MatMul: numpy semantics on values of rank >= 1.
Value conversion::matmul(TensorBuilder &b, Value x, Value w,
                         ArrayRef<int64_t> shape) {
  // Vectors become matrices; `shape` drops the added dimension again.
  if (typeOf(x).getRank() == 1)
    x = b.reshape(x, {1, typeOf(x).getDimSize(0)});
  if (typeOf(w).getRank() == 1)
    w = b.reshape(w, {typeOf(w).getDimSize(0), 1});
  RankedTensorType xType = typeOf(x), wType = typeOf(w);
  bool floats = isa<FloatType>(xType.getElementType());
  int64_t wElements = wType.hasStaticShape() ? wType.getNumElements() : -1;
  bool flatWeights =
      wElements == wType.getShape().back() * wType.getShape().end()[-2];
  if (floats && flatWeights && wElements > 0) {
    // One matrix of weights: all rows of x in one product.
    int64_t k = wType.getShape().end()[-2], n = wType.getShape().back();
    w = b.transpose(b.reshape(w, {k, n}), {1, 0});
    int64_t rows = 1;
    for (int64_t size : xType.getShape().drop_back())
      rows = ShapedType::isDynamic(size) || ShapedType::isDynamic(rows)
                 ? ShapedType::kDynamic
                 : rows * size;
    Value y = b.make<MatMulOp>(b.reshape(x, {rows, k}), w);
    return b.reshape(y, shape);
  }
  // Leading dimensions of the two are broadcast together.
  int64_t rank = std::max(xType.getRank(), wType.getRank());
  auto xSizes = b.sizes(x), wSizes = b.sizes(w);
  SmallVector<OpFoldResult> lead(rank - 2, b.b.getIndexAttr(1));
  for (auto *sizes : {&xSizes, &wSizes})
    for (size_t d = 0; d + 2 < sizes->size(); ++d)
      if (getConstantIntValue((*sizes)[d]) != 1)
        lead[rank - sizes->size() + d] = (*sizes)[d];
  auto spread = [&](Value v, ArrayRef<OpFoldResult> own) {
    SmallVector<OpFoldResult> sizes = lead;
    llvm::append_range(sizes, own.take_back(2));
    return b.broadcastTo(v, sizes);
  };
  x = spread(x, xSizes);
  w = wType.getRank() == 2 ? w : spread(w, wSizes);
  return b.reshape(batchedProduct(b, x, w), shape);
}

static LogicalResult lowerMatMul(Node &n) {
  if (failed(checkElement(n)))
    return failure();
  return n.setReal(matmul(n, n.real(0), n.real(1), n.resultType().getShape()));
}

/// alpha * (A' B') + beta * C with alpha and beta left out where they are 1.
static LogicalResult lowerGemm(Node &n) {
  if (failed(checkElement(n)))
    return failure();
  Value a = n.real(0), w = n.real(1);
  if (typeOf(a).getRank() != 2 || typeOf(w).getRank() != 2)
    return n.error() << "needs matrices", failure();
  if (n.attr("transA", 0))
    a = n.transpose(a, {1, 0});
  Value y;
  if (typeOf(w).hasStaticShape()) {
    if (!n.attr("transB", 0))
      w = n.transpose(w, {1, 0});
    if (typeOf(a).getDimSize(1) != typeOf(w).getDimSize(1))
      return n.error() << "has inner sizes " << typeOf(a).getDimSize(1)
                       << " and " << typeOf(w).getDimSize(1),
             failure();
    y = n.make<MatMulOp>(a, w);
  } else {
    if (n.attr("transB", 0))
      w = n.transpose(w, {1, 0});
    y = matmul(n, a, w, n.resultType().getShape());
  }
  double alpha = n.attrF("alpha", 1), beta = n.attrF("beta", 1);
  if (alpha != 1)
    y = n.make<arith::MulFOp>(n.splat(y, alpha), y);
  if (n.has(2)) {
    Value c = n.real(2);
    if (beta != 1)
      c = n.make<arith::MulFOp>(n.splat(c, beta), c);
    y = n.make<arith::AddFOp>(y, n.broadcastLike(c, y));
  }
  return n.setReal(y);
}

void conversion::addMatMulLowerings(LoweringTable &table) {
  table["MatMul"] = lowerMatMul;
  table["Gemm"] = lowerGemm;
}
