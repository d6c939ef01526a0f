//===- ConvertOnnxToHwgqNormalize.cpp - batch norm, softmax and kin -------===//
#include "MathExpansion.h"
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

/// All dimensions but `dim`.
static SmallVector<int64_t> others(int64_t rank, int64_t dim) {
  SmallVector<int64_t> dims;
  for (int64_t d = 0; d < rank; ++d)
    if (d != dim)
      dims.push_back(d);
  return dims;
}

static Value addF(OpBuilder &at, Value a, Value e) {
  return arith::AddFOp::create(at, e.getLoc(), a, e);
}

/// The slope and offset of a batch norm:
///   a = f32(g / sqrt(v + eps)), the bracket in f64;  b = f32(beta - f32(mean *
///   a))
static void foldBatchNorm(ArrayRef<double> g, ArrayRef<double> beta,
                          ArrayRef<double> mean, ArrayRef<double> variance,
                          double epsilon, SmallVector<float> &slope,
                          SmallVector<float> &offset) {
  for (size_t c = 0; c < g.size(); ++c) {
    float a = static_cast<float>(g[c] / std::sqrt(variance[c] + epsilon));
    float shift = static_cast<float>(mean[c]) * a;
    slope.push_back(a);
    offset.push_back(static_cast<float>(beta[c]) - shift);
  }
}

static LogicalResult lowerBatchNormalization(Node &n) {
  Type element = n.type(0).getElementType();
  if (!isa<FloatType>(element) || element.isF64())
    return n.error() << "on " << element
                     << " is not supported; float32 and float16 are",
           failure();
  if (n.attr("training_mode", 0))
    return n.error() << "in training mode is not supported; export the model "
                        "for inference",
           failure();
  Value x = n.real(0);
  if (typeOf(x).getRank() < 2)
    return n.error() << "needs an input of rank 2 or more", failure();
  int64_t channels = typeOf(x).getDimSize(1);
  for (unsigned i = 1; i < 5; ++i)
    if (n.type(i).getRank() != 1 || n.type(i).getDimSize(0) != channels)
      return n.error() << "needs parameters of " << channels
                       << " channels, not " << n.type(i),
             failure();
  double epsilon = n.attrF("epsilon", 1e-5);
  auto g = n.floats(1), beta = n.floats(2), mean = n.floats(3), v = n.floats(4);
  Value slope, offset;
  if (g && beta && mean && v) {
    SmallVector<float> a, b;
    foldBatchNorm(*g, *beta, *mean, *v, epsilon, a, b);
    slope = n.alongDim(x, a, 1);
    offset = n.alongDim(x, b, 1);
  } else {
    Type wide = n.b.getF64Type(), f32 = n.b.getF32Type();
    Value variance = n.cast(n.real(4), f32, wide);
    Value gain = n.cast(n.real(1), f32, wide);
    Value root = n.make<math::SqrtOp>(
        n.make<arith::AddFOp>(variance, n.splat(variance, epsilon)));
    Value a = n.cast(n.make<arith::DivFOp>(gain, root), wide, f32);
    Value b =
        n.make<arith::SubFOp>(n.real(2), n.make<arith::MulFOp>(n.real(3), a));
    auto dims = others(typeOf(x).getRank(), 1);
    slope = n.broadcastDims(a, n.sizes(x), dims);
    offset = n.broadcastDims(b, n.sizes(x), dims);
  }
  return n.setReal(
      n.make<arith::AddFOp>(n.make<arith::MulFOp>(x, slope), offset));
}

/// x - max over the axis, and the sum of its exp: both at full shape.
static std::pair<Value, Value> centredExp(Node &n, Value x, int64_t axis) {
  double lowest = -std::numeric_limits<double>::infinity();
  Type element = typeOf(x).getElementType();
  Value top = n.reduce(x, {axis}, n.b.getFloatAttr(element, lowest),
                       [](OpBuilder &at, Value a, Value e) -> Value {
                         return arith::MaximumFOp::create(at, e.getLoc(), a, e);
                       });
  Value centred =
      n.make<arith::SubFOp>(x, n.broadcastDims(top, n.sizes(x), {axis}));
  return {centred, expandExp(n, centred)};
}

static Value sumOver(Node &n, Value x, int64_t axis) {
  Value sum = n.reduce(x, {axis},
                       n.b.getFloatAttr(typeOf(x).getElementType(), 0), addF);
  return n.broadcastDims(sum, n.sizes(x), {axis});
}

/// exp(x - max) / sum of exp(x - max), the sum in order of the index.
static LogicalResult lowerSoftmax(Node &n) {
  auto axis = n.axis(n.attr("axis", -1), n.type(0).getRank());
  if (failed(axis))
    return failure();
  auto [centred, e] = centredExp(n, n.real(0), *axis);
  return n.setReal(n.make<arith::DivFOp>(e, sumOver(n, e, *axis)));
}

/// (x - max) - log(sum of exp(x - max))
static LogicalResult lowerLogSoftmax(Node &n) {
  auto axis = n.axis(n.attr("axis", -1), n.type(0).getRank());
  if (failed(axis))
    return failure();
  auto [centred, e] = centredExp(n, n.real(0), *axis);
  Value sum = n.reduce(e, {*axis},
                       n.b.getFloatAttr(typeOf(e).getElementType(), 0), addF);
  Value log = n.broadcastDims(expandLog(n, sum), n.sizes(e), {*axis});
  return n.setReal(n.make<arith::SubFOp>(centred, log));
}

/// 1 exactly at the first maximum along the axis.
static LogicalResult lowerHardmax(Node &n) {
  auto axis = n.axis(n.attr("axis", -1), n.type(0).getRank());
  if (failed(axis))
    return failure();
  Value x = n.real(0);
  Value at = argExtreme(n, x, *axis, true, false);
  Value spread = n.broadcastDims(at, n.sizes(x), {*axis});
  int64_t size = typeOf(x).getDimSize(*axis);
  SmallVector<int64_t> indices = llvm::to_vector(llvm::seq<int64_t>(0, size));
  Value own = n.broadcastDims(n.constant({size}, indices), n.sizes(x),
                              others(typeOf(x).getRank(), *axis));
  Value hit = n.cmpi(arith::CmpIPredicate::eq, spread, own);
  return n.setReal(n.select(hit, n.splat(x, 1), n.splat(x, 0)));
}

/// Mean over dimensions, then its broadcast back.
static Value meanOver(Node &n, Value x, ArrayRef<int64_t> dims) {
  double count = 1;
  for (int64_t d : dims)
    count *= double(typeOf(x).getDimSize(d));
  Value sum =
      n.reduce(x, dims, n.b.getFloatAttr(typeOf(x).getElementType(), 0), addF);
  return n.make<arith::DivFOp>(sum, n.splat(sum, count));
}

/// (x - mean) / sqrt(variance + eps) over `dims`, statistics as plain sums.
static Value standardise(Node &n, Value x, ArrayRef<int64_t> dims,
                         double epsilon) {
  Value mean = n.broadcastDims(meanOver(n, x, dims), n.sizes(x), dims);
  Value centred = n.make<arith::SubFOp>(x, mean);
  Value square = n.make<arith::MulFOp>(centred, centred);
  Value variance = meanOver(n, square, dims);
  Value root = n.make<math::SqrtOp>(
      n.make<arith::AddFOp>(variance, n.splat(variance, epsilon)));
  return n.make<arith::DivFOp>(centred,
                               n.broadcastDims(root, n.sizes(x), dims));
}

static LogicalResult lowerInstanceNormalization(Node &n) {
  Value x = n.real(0);
  int64_t rank = typeOf(x).getRank();
  if (rank < 3)
    return n.error() << "needs an input of rank 3 or more", failure();
  SmallVector<int64_t> spatial = llvm::to_vector(llvm::seq<int64_t>(2, rank));
  Value y = standardise(n, x, spatial, n.attrF("epsilon", 1e-5));
  auto dims = others(rank, 1);
  y = n.make<arith::MulFOp>(y, n.broadcastDims(n.real(1), n.sizes(x), dims));
  return n.setReal(
      n.make<arith::AddFOp>(y, n.broadcastDims(n.real(2), n.sizes(x), dims)));
}

/// x / (bias + alpha / size * sum of squares over `size` channels)^beta.
static LogicalResult lowerLRN(Node &n) {
  Value x = n.real(0);
  int64_t rank = typeOf(x).getRank(), size = n.attr("size", 0);
  if (rank < 3 || size < 1 || size > (1 << 20))
    return n.error()
               << "needs an input of rank 3 or more and a size of 1 or more",
           failure();
  SmallVector<int64_t> low(rank, 0), high(rank, 0);
  low[1] = (size - 1) / 2;
  high[1] = size - 1 - low[1];
  Value square = n.pad(n.make<arith::MulFOp>(x, x), low, high, 0);
  MLIRContext *context = n.b.getContext();
  SmallVector<AffineExpr> from;
  for (int64_t d = 0; d < rank; ++d)
    from.push_back(getAffineDimExpr(d, context));
  AffineExpr tap = getAffineDimExpr(rank, context);
  SmallVector<AffineExpr> to = from;
  from[1] = from[1] + tap;
  AffineMap maps[] = {AffineMap::get(rank + 1, 0, from, context),
                      AffineMap::get(rank + 1, 0, tap, context),
                      AffineMap::get(rank + 1, 0, to, context)};
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators.push_back(utils::IteratorType::reduction);
  Type element = typeOf(x).getElementType();
  Value taps = n.empty({n.b.getIndexAttr(size)}, element);
  Value init = n.filled(n.sizes(x), n.b.getFloatAttr(element, 0));
  Value sum =
      linalg::GenericOp::create(
          n.b, n.loc, TypeRange(init.getType()), ValueRange{square, taps},
          ValueRange(init), maps, iterators,
          [&](OpBuilder &at, Location loc, ValueRange args) {
            linalg::YieldOp::create(at, loc, addF(at, args[2], args[0]));
          })
          ->getResult(0);
  float scale = float(n.attrF("alpha", 1e-4)) / float(size);
  Value base = n.make<arith::MulFOp>(n.splat(x, scale), sum);
  base = n.make<arith::AddFOp>(n.splat(x, n.attrF("bias", 1)), base);
  Value power = expandPow(n, base, n.splat(x, n.attrF("beta", 0.75)));
  return n.setReal(n.make<arith::DivFOp>(x, power));
}

void conversion::addNormalizeLowerings(LoweringTable &table) {
  table["BatchNormalization"] = lowerBatchNormalization;
  table["Softmax"] = lowerSoftmax;
  table["LogSoftmax"] = lowerLogSoftmax;
  table["Hardmax"] = lowerHardmax;
  table["InstanceNormalization"] = lowerInstanceNormalization;
  table["LRN"] = lowerLRN;
}
