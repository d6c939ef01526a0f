//===- ConvertOnnxToHwgqReduce.cpp - reductions, ArgMax, TopK -------------===//
//
// Float sums run in row-major order from +0. TopK counts ranks: element i
// stands at position #{j : x_j before x_i}.
//
//===----------------------------------------------------------------------===//
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;
using arith::CmpFPredicate;
using arith::CmpIPredicate;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

namespace {

enum class Fold { Sum, Product, Max, Min };

bool isUnsignedType(Type type) {
  return type.isUnsignedInteger() || type.isInteger(1);
}

Value combine(OpBuilder &b, Fold fold, Type onnx, Value a, Value e) {
  Location loc = e.getLoc();
  bool real = isa<FloatType>(e.getType()), bare = isUnsignedType(onnx);
  switch (fold) {
  case Fold::Sum:
    return real ? arith::AddFOp::create(b, loc, a, e).getResult()
                : arith::AddIOp::create(b, loc, a, e).getResult();
  case Fold::Product:
    return real ? arith::MulFOp::create(b, loc, a, e).getResult()
                : arith::MulIOp::create(b, loc, a, e).getResult();
  case Fold::Max:
    return real   ? arith::MaximumFOp::create(b, loc, a, e).getResult()
           : bare ? arith::MaxUIOp::create(b, loc, a, e).getResult()
                  : arith::MaxSIOp::create(b, loc, a, e).getResult();
  case Fold::Min:
    return real   ? arith::MinimumFOp::create(b, loc, a, e).getResult()
           : bare ? arith::MinUIOp::create(b, loc, a, e).getResult()
                  : arith::MinSIOp::create(b, loc, a, e).getResult();
  }
  llvm_unreachable("every fold is listed");
}

/// The neutral element.
TypedAttr neutral(OpBuilder &b, Fold fold, Type onnx, Type element) {
  if (auto type = dyn_cast<FloatType>(element)) {
    double inf = std::numeric_limits<double>::infinity();
    double value = fold == Fold::Sum       ? 0
                   : fold == Fold::Product ? 1
                   : fold == Fold::Max     ? -inf
                                           : inf;
    return b.getFloatAttr(type, value);
  }
  unsigned width = element.getIntOrFloatBitWidth();
  APInt value(width, 0);
  if (fold == Fold::Product)
    value = APInt(width, 1);
  else if (fold == Fold::Max)
    value = isUnsignedType(onnx) ? APInt::getMinValue(width)
                                 : APInt::getSignedMinValue(width);
  else if (fold == Fold::Min)
    value = isUnsignedType(onnx) ? APInt::getMaxValue(width)
                                 : APInt::getSignedMaxValue(width);
  return IntegerAttr::get(element, value);
}

FailureOr<SmallVector<int64_t>> reducedAxes(Node &n) {
  int64_t rank = n.type(0).getRank();
  SmallVector<int64_t> axes;
  if (n.has(1)) {
    auto listed = n.ints(1);
    if (!listed)
      return n.error() << "needs constant axes", failure();
    axes = *listed;
  }
  if (axes.empty() && !n.attr("noop_with_empty_axes", 0))
    axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  return n.axes(axes, rank);
}

/// The mean over an image is the average pool over it, so that it stays on
/// codes: [2, 3] of NCHW, [1, 2] of NHWC.
Value imageMean(Node &n, Value x, ArrayRef<int64_t> axes) {
  RankedTensorType type = typeOf(x);
  if (type.getRank() != 4 || axes.size() != 2 || axes[1] != axes[0] + 1 ||
      axes[0] == 0 || !type.getElementType().isF32())
    return {};
  SpatialWindow w;
  for (int64_t a : axes) {
    if (type.isDynamicDim(a) || type.getDimSize(a) == 0)
      return {};
    w.kernel.push_back(type.getDimSize(a));
  }
  w.strides = w.dilations = {1, 1};
  w.low = w.high = {0, 0};
  bool first = axes[0] == 2;
  Value y = averagePool(n, first ? n.toChannelsLast(x) : x, w, {1, 1}, false);
  int64_t batch = type.getDimSize(0), channels = type.getDimSize(first ? 1 : 3);
  return n.reshape(first ? n.toChannelsFirst(y) : y, {batch, channels});
}

template <Fold fold, bool mean = false> LogicalResult lowerReduce(Node &n) {
  auto axes = reducedAxes(n);
  if (failed(axes))
    return failure();
  Type onnx = n.type(0).getElementType();
  bool real = isa<FloatType>(onnx);
  bool shadow = n.isShadow(0) && (fold == Fold::Max || fold == Fold::Min);
  Value x = real || shadow ? n.real(0) : n.in(0);
  auto finish = [&](Value y) {
    if (n.attr("keepdims", 1))
      y = n.keepDims(y, *axes, n.type(0).getRank());
    return shadow ? n.setShadow(y) : real ? n.setReal(y) : n.set(y);
  };
  if (axes->empty())
    return shadow ? n.setShadow(x) : real ? n.setReal(x) : n.set(x);
  double count = 1;
  for (int64_t a : *axes) {
    if (mean && typeOf(x).isDynamicDim(a))
      return n.error() << "over a dynamic size is not supported", failure();
    count *= double(typeOf(x).getDimSize(a));
  }
  if (mean)
    if (Value y = imageMean(n, x, *axes))
      return finish(y);
  Value y =
      n.reduce(x, *axes, neutral(n.b, fold, onnx, typeOf(x).getElementType()),
               [&](OpBuilder &b, Value a, Value e) {
                 return combine(b, fold, onnx, a, e);
               });
  if (mean) {
    if (real)
      y = n.make<arith::DivFOp>(y, n.splat(y, count));
    else if (count == 0)
      return n.error() << "over nothing is not supported", failure();
    else
      y = isUnsignedType(onnx) ? n.make<arith::DivUIOp>(y, n.splat(y, count))
                               : n.make<arith::DivSIOp>(y, n.splat(y, count));
  }
  return finish(y);
}

/// "a stands before e" for a selection of the largest or smallest; `tie` says
/// whether a wins among equals. NaN stands before all numbers.
Value before(OpBuilder &b, Type onnx, bool largest, Value a, Value e,
             Value tie) {
  Location loc = e.getLoc();
  auto both = [&](Value x, Value y) -> Value {
    return arith::AndIOp::create(b, loc, x, y);
  };
  auto either = [&](Value x, Value y) -> Value {
    return arith::OrIOp::create(b, loc, x, y);
  };
  if (!isa<FloatType>(a.getType())) {
    CmpIPredicate p = isUnsignedType(onnx)
                          ? (largest ? CmpIPredicate::ugt : CmpIPredicate::ult)
                          : (largest ? CmpIPredicate::sgt : CmpIPredicate::slt);
    Value wins = arith::CmpIOp::create(b, loc, p, a, e);
    Value equal = arith::CmpIOp::create(b, loc, CmpIPredicate::eq, a, e);
    return either(wins, both(equal, tie));
  }
  CmpFPredicate p = largest ? CmpFPredicate::OGT : CmpFPredicate::OLT;
  Value wins = arith::CmpFOp::create(b, loc, p, a, e);
  Value equal = arith::CmpFOp::create(b, loc, CmpFPredicate::OEQ, a, e);
  Value aNaN = arith::CmpFOp::create(b, loc, CmpFPredicate::UNO, a, a);
  Value eNaN = arith::CmpFOp::create(b, loc, CmpFPredicate::UNO, e, e);
  Value eNumber = arith::CmpFOp::create(b, loc, CmpFPredicate::ORD, e, e);
  wins = either(wins, both(aNaN, eNumber));
  return either(wins, both(either(equal, both(aNaN, eNaN)), tie));
}

AffineMap identity(TensorBuilder &b, int64_t rank) {
  return b.b.getMultiDimIdentityMap(rank);
}

/// Loops over the elements of a tensor, each against all along one axis.
struct AgainstAxis {
  AgainstAxis(MLIRContext *context, int64_t rank, int64_t axis)
      : iterators(rank, utils::IteratorType::parallel) {
    SmallVector<AffineExpr> here, there;
    for (int64_t d = 0; d < rank; ++d) {
      here.push_back(getAffineDimExpr(d, context));
      there.push_back(getAffineDimExpr(d == axis ? rank : d, context));
    }
    own = AffineMap::get(rank + 1, 0, here, context);
    other = AffineMap::get(rank + 1, 0, there, context);
    iterators.push_back(utils::IteratorType::reduction);
  }

  AffineMap own, other; ///< The element, and the one that it is held against.
  SmallVector<utils::IteratorType> iterators;
};

/// The position of each element along `axis` in the order of `before`, i64.
Value positions(TensorBuilder &b, Value x, int64_t axis, Type onnx,
                bool largest) {
  int64_t rank = typeOf(x).getRank();
  AgainstAxis loops(b.b.getContext(), rank, axis);
  AffineMap maps[] = {loops.own, loops.other, loops.own};
  Value init = b.filled(b.sizes(x), b.b.getI64IntegerAttr(0));
  return linalg::GenericOp::create(
             b.b, b.loc, TypeRange(init.getType()), ValueRange{x, x},
             ValueRange(init), maps, loops.iterators,
             [&](OpBuilder &at, Location loc, ValueRange args) {
               Value i = linalg::IndexOp::create(at, loc, axis);
               Value j = linalg::IndexOp::create(at, loc, rank);
               Value tie =
                   arith::CmpIOp::create(at, loc, CmpIPredicate::ult, j, i);
               Value ahead = before(at, onnx, largest, args[1], args[0], tie);
               Value step =
                   arith::ExtUIOp::create(at, loc, at.getI64Type(), ahead);
               Value sum = arith::AddIOp::create(at, loc, args[2], step);
               linalg::YieldOp::create(at, loc, sum);
             })
      ->getResult(0);
}

/// Element p along `axis` of the result: the one (or its index) whose position
/// is p, for p below k.
Value pick(TensorBuilder &b, Value x, Value position, int64_t axis, int64_t k,
           bool index) {
  int64_t rank = typeOf(x).getRank();
  AgainstAxis loops(b.b.getContext(), rank, axis);
  AffineMap maps[] = {loops.other, loops.other, loops.own};
  SmallVector<OpFoldResult> sizes = b.sizes(x);
  sizes[axis] = b.b.getIndexAttr(k);
  Type element = index ? b.b.getI64Type() : typeOf(x).getElementType();
  Value init = b.filled(sizes, cast<TypedAttr>(b.b.getZeroAttr(element)));
  return linalg::GenericOp::create(
             b.b, b.loc, TypeRange(init.getType()), ValueRange{x, position},
             ValueRange(init), maps, loops.iterators,
             [&](OpBuilder &at, Location loc, ValueRange args) {
               Value p = linalg::IndexOp::create(at, loc, axis);
               p = arith::IndexCastOp::create(at, loc, at.getI64Type(), p);
               Value hit = arith::CmpIOp::create(at, loc, CmpIPredicate::eq,
                                                 args[1], p);
               Value found = args[0];
               if (index) {
                 found = linalg::IndexOp::create(at, loc, rank);
                 found = arith::IndexCastOp::create(at, loc, at.getI64Type(),
                                                    found);
               }
               Value next =
                   arith::SelectOp::create(at, loc, hit, found, args[2]);
               linalg::YieldOp::create(at, loc, next);
             })
      ->getResult(0);
}

LogicalResult lowerTopK(Node &n) {
  auto axis = n.axis(n.attr("axis", -1), n.type(0).getRank());
  auto k = n.ints(1);
  if (failed(axis))
    return failure();
  if (!k || k->size() != 1)
    return n.error() << "needs a constant k; bind it with --bind", failure();
  Type onnx = n.type(0).getElementType();
  Value x = isa<FloatType>(onnx) ? n.real(0) : n.in(0);
  int64_t size = typeOf(x).getDimSize(*axis);
  if (ShapedType::isDynamic(size) || k->front() < 1 || k->front() > size)
    return n.error() << "needs 1 <= k <= the size of the axis", failure();
  Value position = positions(n, x, *axis, onnx, n.attr("largest", 1));
  Value values = pick(n, x, position, *axis, k->front(), false);
  if (failed(isa<FloatType>(onnx) ? n.setReal(values) : n.set(values)))
    return failure();
  if (n.op->getNumResults() < 2)
    return success();
  return n.set(pick(n, x, position, *axis, k->front(), true), 1);
}

template <bool largest> LogicalResult lowerArg(Node &n) {
  auto axis = n.axis(n.attr("axis", 0), n.type(0).getRank());
  if (failed(axis))
    return failure();
  Type onnx = n.type(0).getElementType();
  Value x = isa<FloatType>(onnx) || n.isShadow(0) ? n.real(0) : n.in(0);
  if (typeOf(x).isDynamicDim(*axis))
    return n.error() << "over a dynamic size is not supported", failure();
  if (isUnsignedType(onnx) && isa<IntegerType>(typeOf(x).getElementType()))
    x = n.cast(x, onnx, n.b.getI64Type());
  Value y = argExtreme(n, x, *axis, largest, n.attr("select_last_index", 0));
  if (n.attr("keepdims", 1))
    y = n.keepDims(y, {*axis}, n.type(0).getRank());
  return n.set(y);
}

} // namespace

Value conversion::argExtreme(TensorBuilder &b, Value x, int64_t axis,
                             bool largest, bool last) {
  int64_t rank = typeOf(x).getRank(), size = typeOf(x).getDimSize(axis);
  MLIRContext *context = b.b.getContext();
  SmallVector<AffineExpr> kept;
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators[axis] = utils::IteratorType::reduction;
  SmallVector<OpFoldResult> sizes = b.sizes(x), to;
  for (int64_t d = 0; d < rank; ++d)
    if (d != axis) {
      kept.push_back(getAffineDimExpr(d, context));
      to.push_back(sizes[d]);
    }
  AffineMap keep = AffineMap::get(rank, 0, kept, context);
  AffineMap maps[] = {identity(b, rank), keep, keep};
  // The running best starts as the first element.
  Value first = b.slice(x, axis, 0, size ? 1 : 0);
  SmallVector<int64_t> shape;
  for (int64_t d = 0; d < rank; ++d)
    if (d != axis)
      shape.push_back(typeOf(x).getDimSize(d));
  Value best = b.reshape(first, shape);
  Value index = b.filled(to, b.b.getI64IntegerAttr(0));
  Type onnx = typeOf(x).getElementType();
  return linalg::GenericOp::create(
             b.b, b.loc, TypeRange{best.getType(), index.getType()},
             ValueRange(x), ValueRange{best, index}, maps, iterators,
             [&](OpBuilder &at, Location loc, ValueRange args) {
               Value tie =
                   arith::ConstantOp::create(at, loc, at.getBoolAttr(last));
               Value wins = before(at, onnx, largest, args[0], args[1], tie);
               Value i = linalg::IndexOp::create(at, loc, axis);
               i = arith::IndexCastOp::create(at, loc, at.getI64Type(), i);
               Value x =
                   arith::SelectOp::create(at, loc, wins, args[0], args[1]);
               Value p = arith::SelectOp::create(at, loc, wins, i, args[2]);
               linalg::YieldOp::create(at, loc, ValueRange{x, p});
             })
      ->getResult(1);
}

void conversion::addReduceLowerings(LoweringTable &table) {
  table["ReduceSum"] = lowerReduce<Fold::Sum>;
  table["ReduceMean"] = lowerReduce<Fold::Sum, true>;
  table["ReduceProd"] = lowerReduce<Fold::Product>;
  table["ReduceMax"] = lowerReduce<Fold::Max>;
  table["ReduceMin"] = lowerReduce<Fold::Min>;
  table["ArgMax"] = lowerArg<true>;
  table["ArgMin"] = lowerArg<false>;
  table["TopK"] = lowerTopK;
}
