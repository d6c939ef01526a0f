//===- ConvertOnnxToHwgqElementwise.cpp - one value in, one value out -----===//
//
// Element-wise operators become arith and math ops on whole tensors, in the
// graph's order, every operand broadcast to the full shape first.
//
//===----------------------------------------------------------------------===//
#include "MathExpansion.h"
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;
using arith::CmpFPredicate;
using arith::CmpIPredicate;

namespace {

bool isFloat(Type type) { return isa<FloatType>(type); }

bool isUnsignedType(Type type) {
  return type.isUnsignedInteger() || type.isInteger(1);
}

/// Sizes of the numpy broadcast of values.
SmallVector<OpFoldResult> broadcastSizes(Node &n, ArrayRef<Value> values) {
  size_t rank = 0;
  for (Value v : values)
    rank =
        std::max<size_t>(rank, cast<RankedTensorType>(v.getType()).getRank());
  SmallVector<OpFoldResult> sizes(rank, n.b.getIndexAttr(1));
  for (Value v : values) {
    SmallVector<OpFoldResult> own = n.sizes(v);
    size_t lead = rank - own.size();
    for (size_t d = 0; d < own.size(); ++d)
      if (getConstantIntValue(own[d]) != 1)
        sizes[lead + d] = own[d];
  }
  return sizes;
}

/// Brings values to their common shape.
void broadcastTogether(Node &n, MutableArrayRef<Value> values) {
  SmallVector<OpFoldResult> sizes = broadcastSizes(n, values);
  for (Value &v : values)
    v = n.broadcastTo(v, sizes);
}

/// The element type in which an operation on `type` is computed; the sub-byte
/// integers and narrow floats are widened.
using Binary = Value (*)(Node &, Value, Value, Type);

/// Integer division rounds toward zero; a zero divisor gives 0, and the
/// quotient that does not fit wraps.
Value divideInts(Node &n, Value x, Value y, Type type) {
  Value zero = n.splat(x, 0), one = n.splat(x, 1);
  Value isZero = n.cmpi(CmpIPredicate::eq, y, zero);
  if (isUnsignedType(type)) {
    Value q = n.make<arith::DivUIOp>(x, n.select(isZero, one, y));
    return n.select(isZero, zero, q);
  }
  Value isMinusOne = n.cmpi(CmpIPredicate::eq, y, n.splat(x, -1));
  Value safe = n.make<arith::OrIOp>(isZero, isMinusOne);
  Value q = n.make<arith::DivSIOp>(x, n.select(safe, one, y));
  q = n.select(isMinusOne, n.make<arith::SubIOp>(zero, x), q);
  return n.select(isZero, zero, q);
}

Value add(Node &n, Value x, Value y, Type t) {
  return isFloat(t) ? n.make<arith::AddFOp>(x, y) : n.make<arith::AddIOp>(x, y);
}
Value sub(Node &n, Value x, Value y, Type t) {
  return isFloat(t) ? n.make<arith::SubFOp>(x, y) : n.make<arith::SubIOp>(x, y);
}
Value mul(Node &n, Value x, Value y, Type t) {
  return isFloat(t) ? n.make<arith::MulFOp>(x, y) : n.make<arith::MulIOp>(x, y);
}
Value div(Node &n, Value x, Value y, Type t) {
  return isFloat(t) ? n.make<arith::DivFOp>(x, y) : divideInts(n, x, y, t);
}
Value max(Node &n, Value x, Value y, Type t) {
  return isFloat(t)          ? n.make<arith::MaximumFOp>(x, y)
         : isUnsignedType(t) ? n.make<arith::MaxUIOp>(x, y)
                             : n.make<arith::MaxSIOp>(x, y);
}
Value min(Node &n, Value x, Value y, Type t) {
  return isFloat(t)          ? n.make<arith::MinimumFOp>(x, y)
         : isUnsignedType(t) ? n.make<arith::MinUIOp>(x, y)
                             : n.make<arith::MinSIOp>(x, y);
}
Value bitAnd(Node &n, Value x, Value y, Type) {
  return n.make<arith::AndIOp>(x, y);
}
Value bitOr(Node &n, Value x, Value y, Type) {
  return n.make<arith::OrIOp>(x, y);
}
Value bitXor(Node &n, Value x, Value y, Type) {
  return n.make<arith::XOrIOp>(x, y);
}

/// Whether every float operand of the node is a narrow float or a shadow, so
/// that the node is computed in f32.
Value operand(Node &n, unsigned i) {
  Type t = n.type(i).getElementType();
  return isFloat(t) || n.isShadow(i) ? n.real(i) : n.in(i);
}

/// The element type of the computation of operands of ONNX type `t`.
Type computeType(Node &n, Type t, bool shadow) {
  if (shadow || (isFloat(t) && t.getIntOrFloatBitWidth() < 32))
    return n.b.getF32Type();
  return t;
}

LogicalResult setLike(Node &n, Value v, bool shadow) {
  if (shadow)
    return n.setShadow(v);
  if (isFloat(n.resultType().getElementType()))
    return n.setReal(v);
  Type t = n.resultType().getElementType();
  if (isa<IntegerType>(t) && t.getIntOrFloatBitWidth() > 1 &&
      t.getIntOrFloatBitWidth() < 8)
    v = n.cast(v, IntegerType::get(t.getContext(), 8), t);
  return n.set(v);
}

/// Two operands of one type. Shadows stay shadows only where the operation
/// cannot leave the integers that they hold.
template <Binary fn, bool keepsRange = false>
LogicalResult lowerBinary(Node &n) {
  Type t = n.type(0).getElementType();
  bool shadow = keepsRange && (n.isShadow(0) || n.isShadow(1));
  Value values[2];
  for (unsigned i : {0, 1})
    values[i] = isFloat(t) || shadow ? n.real(i) : n.in(i);
  broadcastTogether(n, values);
  return setLike(n, fn(n, values[0], values[1], computeType(n, t, shadow)),
                 shadow);
}

template <CmpFPredicate f, CmpIPredicate s, CmpIPredicate u>
LogicalResult lowerCompare(Node &n) {
  Type t = n.type(0).getElementType();
  bool real = isFloat(t) || n.isShadow(0) || n.isShadow(1);
  Value values[2];
  for (unsigned i : {0, 1})
    values[i] = real ? n.real(i) : n.in(i);
  broadcastTogether(n, values);
  return n.set(real ? n.cmpf(f, values[0], values[1])
                    : n.cmpi(isUnsignedType(t) ? u : s, values[0], values[1]));
}

LogicalResult lowerNot(Node &n) {
  Value x = n.in(0);
  return n.set(n.make<arith::XOrIOp>(x, n.splat(x, 1)));
}

LogicalResult lowerWhere(Node &n) {
  Value values[] = {n.in(0), n.in(1), n.in(2)};
  broadcastTogether(n, values);
  return n.set(n.select(values[0], values[1], values[2]));
}

LogicalResult lowerCast(Node &n) {
  Type from = n.type(0).getElementType(), to = n.resultType().getElementType();
  if (n.isShadow(0) && isFloat(to))
    return n.setReal(n.real(0));
  return n.set(n.cast(n.in(0), from, to, n.attr("saturate", 1)));
}

/// max(x, lo) then min(.., hi), so that hi wins where lo > hi.
LogicalResult lowerClip(Node &n) {
  bool shadow = n.isShadow(0);
  Type t = computeType(n, n.type(0).getElementType(), shadow);
  Value x = operand(n, 0);
  auto bound = [&](unsigned i) {
    return n.broadcastLike(shadow ? n.real(i) : operand(n, i), x);
  };
  if (n.has(1))
    x = max(n, x, bound(1), t);
  if (n.has(2))
    x = min(n, x, bound(2), t);
  return setLike(n, x, shadow);
}

LogicalResult lowerRelu(Node &n) {
  bool shadow = n.isShadow(0);
  Type t = computeType(n, n.type(0).getElementType(), shadow);
  Value x = operand(n, 0);
  return setLike(n, max(n, x, n.splat(x, 0), t), shadow);
}

//===----------------------------------------------------------------------===//
// Unary
//===----------------------------------------------------------------------===//

using Unary = Value (*)(Node &, Value);

template <Unary fn> LogicalResult lowerUnary(Node &n) {
  if (!isFloat(n.type(0).getElementType())) {
    n.error() << "is supported on floats, not on "
              << n.type(0).getElementType();
    return failure();
  }
  return n.setReal(fn(n, n.real(0)));
}

/// A function of MathExpansion.
template <Value (*fn)(TensorBuilder &, Value)>
LogicalResult lowerMath(Node &n) {
  if (!isFloat(n.type(0).getElementType()))
    return n.error() << "is supported on floats, not on "
                     << n.type(0).getElementType(),
           failure();
  return n.setReal(fn(n, n.real(0)));
}

/// Float function; integers take `whole`.
template <Unary fn, Unary whole> LogicalResult lowerUnaryAny(Node &n) {
  if (isFloat(n.type(0).getElementType()))
    return n.setReal(fn(n, n.real(0)));
  return setLike(n, whole(n, n.in(0)), false);
}

template <typename OpTy> Value one(Node &n, Value x) { return n.make<OpTy>(x); }

/// 1 above zero, -1 below, +0 at both zeros, NaN at NaN.
Value sign(Node &n, Value x) {
  Value zero = n.splat(x, 0);
  Value y = n.select(n.cmpf(CmpFPredicate::OEQ, x, zero), zero, x);
  y = n.select(n.cmpf(CmpFPredicate::OLT, x, zero), n.splat(x, -1), y);
  return n.select(n.cmpf(CmpFPredicate::OGT, x, zero), n.splat(x, 1), y);
}

Value negateInt(Node &n, Value x) {
  return n.make<arith::SubIOp>(n.splat(x, 0), x);
}

Value absInt(Node &n, Value x) {
  if (isUnsignedType(n.type(0).getElementType()))
    return x;
  return n.make<arith::MaxSIOp>(x, negateInt(n, x));
}

Value signInt(Node &n, Value x) {
  Value unit = n.splat(x, 1);
  if (isUnsignedType(n.type(0).getElementType()))
    return n.make<arith::MinUIOp>(x, unit);
  return n.make<arith::MaxSIOp>(n.make<arith::MinSIOp>(x, unit),
                                n.splat(x, -1));
}

Value same(Node &, Value x) { return x; }

Value reciprocal(Node &n, Value x) {
  return n.make<arith::DivFOp>(n.splat(x, 1), x);
}

Value softsign(Node &n, Value x) {
  Value d = n.make<arith::AddFOp>(n.splat(x, 1), n.make<math::AbsFOp>(x));
  return n.make<arith::DivFOp>(x, d);
}

/// x where x >= 0, else slope * x.
Value leaky(Node &n, Value x, Value slope) {
  Value positive = n.cmpf(CmpFPredicate::OGE, x, n.splat(x, 0));
  return n.select(positive, x, n.make<arith::MulFOp>(slope, x));
}

LogicalResult lowerLeakyRelu(Node &n) {
  Value x = n.real(0);
  return n.setReal(leaky(n, x, n.splat(x, n.attrF("alpha", 0.01))));
}

LogicalResult lowerPRelu(Node &n) {
  Type t = n.type(0).getElementType();
  if (!isFloat(t)) {
    n.error() << "is supported on floats, not on " << t;
    return failure();
  }
  Value x = n.real(0);
  return n.setReal(leaky(n, x, n.broadcastLike(n.real(1), x)));
}

LogicalResult lowerElu(Node &n) {
  Value x = n.real(0);
  Value tail = n.make<arith::MulFOp>(n.splat(x, n.attrF("alpha", 1.0)),
                                     expandExpm1(n, x));
  return n.setReal(
      n.select(n.cmpf(CmpFPredicate::OLT, x, n.splat(x, 0)), tail, x));
}

/// gamma * (x > 0 ? x : alpha * (exp(x) - 1))
LogicalResult lowerSelu(Node &n) {
  Value x = n.real(0);
  Value alpha = n.splat(x, n.attrF("alpha", 1.67326319217681884765625));
  Value gamma = n.splat(x, n.attrF("gamma", 1.05070102214813232421875));
  Value tail = n.make<arith::MulFOp>(alpha, expandExpm1(n, x));
  Value y = n.select(n.cmpf(CmpFPredicate::OGT, x, n.splat(x, 0)), x, tail);
  return n.setReal(n.make<arith::MulFOp>(gamma, y));
}

/// max(0, x) + min(0, alpha * (exp(x / alpha) - 1))
LogicalResult lowerCelu(Node &n) {
  Value x = n.real(0), zero = n.splat(x, 0);
  Value alpha = n.splat(x, n.attrF("alpha", 1.0));
  Value tail = n.make<arith::MulFOp>(
      alpha, expandExpm1(n, n.make<arith::DivFOp>(x, alpha)));
  return n.setReal(
      n.make<arith::AddFOp>(n.make<arith::MaximumFOp>(x, zero),
                            n.make<arith::MinimumFOp>(tail, zero)));
}

LogicalResult lowerThresholdedRelu(Node &n) {
  Value x = n.real(0);
  Value above = n.cmpf(CmpFPredicate::OGT, x, n.splat(x, n.attrF("alpha", 1)));
  return n.setReal(n.select(above, x, n.splat(x, 0)));
}

LogicalResult lowerHardSigmoid(Node &n) {
  Value x = n.real(0);
  Value y = n.make<arith::MulFOp>(n.splat(x, n.attrF("alpha", 0.2)), x);
  y = n.make<arith::AddFOp>(y, n.splat(x, n.attrF("beta", 0.5)));
  y = n.make<arith::MaximumFOp>(y, n.splat(x, 0));
  return n.setReal(n.make<arith::MinimumFOp>(y, n.splat(x, 1)));
}

/// x < -lambd: x + bias; x > lambd: x - bias; else 0.
LogicalResult lowerShrink(Node &n) {
  if (!isFloat(n.type(0).getElementType())) {
    n.error() << "is supported on floats";
    return failure();
  }
  Value x = n.real(0);
  double lambd = n.attrF("lambd", 0.5);
  Value bias = n.splat(x, n.attrF("bias", 0));
  Value below = n.cmpf(CmpFPredicate::OLT, x, n.splat(x, -lambd));
  Value above = n.cmpf(CmpFPredicate::OGT, x, n.splat(x, lambd));
  Value y = n.select(above, n.make<arith::SubFOp>(x, bias), n.splat(x, 0));
  return n.setReal(n.select(below, n.make<arith::AddFOp>(x, bias), y));
}

LogicalResult lowerIsNaN(Node &n) {
  Value x = n.real(0);
  return n.set(n.cmpf(CmpFPredicate::UNO, x, x));
}

LogicalResult lowerIsInf(Node &n) {
  Value x = n.real(0);
  double inf = std::numeric_limits<double>::infinity();
  Value no = n.splat(x, n.b.getI1Type(), 0);
  Value positive = n.attr("detect_positive", 1)
                       ? n.cmpf(CmpFPredicate::OEQ, x, n.splat(x, inf))
                       : no;
  Value negative = n.attr("detect_negative", 1)
                       ? n.cmpf(CmpFPredicate::OEQ, x, n.splat(x, -inf))
                       : no;
  return n.set(n.make<arith::OrIOp>(positive, negative));
}

//===----------------------------------------------------------------------===//
// Pow, Mod, shifts
//===----------------------------------------------------------------------===//

/// x^k by repeated squaring for small whole k.
Value wholePower(Node &n, Value x, int64_t k) {
  Value result;
  for (uint64_t bits = std::abs(k); bits; bits >>= 1) {
    if (bits & 1)
      result = result ? n.make<arith::MulFOp>(result, x) : x;
    if (bits > 1)
      x = n.make<arith::MulFOp>(x, x);
  }
  if (!result)
    return n.splat(x, 1);
  return k < 0 ? reciprocal(n, result) : result;
}

LogicalResult lowerPow(Node &n) {
  Type t = n.type(0).getElementType(), to = n.resultType().getElementType();
  bool wide = t.isF64() || isa<IntegerType>(t);
  auto exponent = n.floats(1);
  bool uniform = exponent && !exponent->empty() && llvm::all_equal(*exponent) &&
                 n.type(1).getNumElements() == 1;
  Type compute = wide ? Type(n.b.getF64Type()) : Type(n.b.getF32Type());
  Value x = n.real(0);
  x = n.cast(x, getElementTypeOrSelf(x), compute);
  Value y;
  double e = uniform ? exponent->front() : 0;
  if (uniform && e == std::nearbyint(e) && std::fabs(e) <= 4) {
    x = n.broadcastTo(x, broadcastSizes(n, {x, n.in(1)}));
    y = wholePower(n, x, static_cast<int64_t>(e));
  } else if (uniform && e == 0.5) {
    // pow(-0, .5) = +0 and pow(-inf, .5) = +inf, unlike sqrt.
    x = n.broadcastTo(x, broadcastSizes(n, {x, n.in(1)}));
    double inf = std::numeric_limits<double>::infinity();
    y = n.make<math::SqrtOp>(n.make<arith::AddFOp>(x, n.splat(x, 0)));
    y = n.select(n.cmpf(CmpFPredicate::OEQ, x, n.splat(x, -inf)),
                 n.splat(x, inf), y);
  } else {
    Value p = n.real(1);
    p = n.cast(p, getElementTypeOrSelf(p), compute);
    Value values[] = {x, p};
    broadcastTogether(n, values);
    y = expandPow(n, values[0], values[1]);
    // The error of the last bits of a whole power must not show.
    if (isa<IntegerType>(t)) {
      Value whole = n.make<math::RoundEvenOp>(y);
      Value near = n.make<arith::MulFOp>(n.make<math::AbsFOp>(whole),
                                         n.splat(whole, 0x1p-48));
      Value error = n.make<math::AbsFOp>(n.make<arith::SubFOp>(y, whole));
      y = n.select(n.cmpf(CmpFPredicate::OLE, error, near), whole, y);
    }
  }
  return n.set(n.cast(y, compute, to));
}

/// fmod = 1: C's fmod; else the result has the divisor's sign. A zero divisor
/// of integers gives 0.
LogicalResult lowerMod(Node &n) {
  Type t = n.type(0).getElementType();
  if (isFloat(t)) {
    if (t.isF64())
      return n.error() << "on f64 is not supported; float32, float16 and "
                          "integers are",
             failure();
    Value values[] = {n.real(0), n.real(1)};
    broadcastTogether(n, values);
    return n.setReal(expandFmod(n, values[0], values[1]));
  }
  Value values[] = {n.in(0), n.in(1)};
  broadcastTogether(n, values);
  auto [x, y] = std::tie(values[0], values[1]);
  Value q = divideInts(n, x, y, t);
  Value zero = n.splat(x, 0);
  Value r = n.make<arith::SubIOp>(x, n.make<arith::MulIOp>(q, y));
  r = n.select(n.cmpi(CmpIPredicate::eq, y, zero), zero, r);
  if (isUnsignedType(t) || n.attr("fmod", 0))
    return setLike(n, r, false);
  Value differ = n.cmpi(CmpIPredicate::slt, n.make<arith::XOrIOp>(r, y), zero);
  Value nonzero = n.cmpi(CmpIPredicate::ne, r, zero);
  Value fix = n.make<arith::AndIOp>(differ, nonzero);
  return setLike(n, n.select(fix, n.make<arith::AddIOp>(r, y), r), false);
}

/// Shifts by the width or more give 0.
LogicalResult lowerBitShift(Node &n) {
  Type t = n.type(0).getElementType();
  Value values[] = {n.in(0), n.in(1)};
  broadcastTogether(n, values);
  Value x = values[0], zero = n.splat(x, 0);
  Value fits = n.cmpi(CmpIPredicate::ult, values[1],
                      n.splat(x, t.getIntOrFloatBitWidth()));
  Value by = n.select(fits, values[1], zero);
  Value y = n.attrS("direction", "") == "LEFT" ? n.make<arith::ShLIOp>(x, by)
                                               : n.make<arith::ShRUIOp>(x, by);
  return setLike(n, n.select(fits, y, zero), false);
}

LogicalResult lowerIdentity(Node &n) {
  if (n.isShadow(0))
    return n.setShadow(n.real(0));
  return n.set(n.in(0));
}

} // namespace

void conversion::addElementwiseLowerings(LoweringTable &table) {
  table["Add"] = lowerBinary<add>;
  table["Sub"] = lowerBinary<sub>;
  table["Mul"] = lowerBinary<mul>;
  table["Div"] = lowerBinary<div>;
  table["Max"] = lowerBinary<max, true>;
  table["Min"] = lowerBinary<min, true>;
  table["And"] = table["BitwiseAnd"] = lowerBinary<bitAnd>;
  table["Or"] = table["BitwiseOr"] = lowerBinary<bitOr>;
  table["Xor"] = table["BitwiseXor"] = lowerBinary<bitXor>;
  table["Greater"] =
      lowerCompare<CmpFPredicate::OGT, CmpIPredicate::sgt, CmpIPredicate::ugt>;
  table["GreaterOrEqual"] =
      lowerCompare<CmpFPredicate::OGE, CmpIPredicate::sge, CmpIPredicate::uge>;
  table["Less"] =
      lowerCompare<CmpFPredicate::OLT, CmpIPredicate::slt, CmpIPredicate::ult>;
  table["LessOrEqual"] =
      lowerCompare<CmpFPredicate::OLE, CmpIPredicate::sle, CmpIPredicate::ule>;
  table["Equal"] =
      lowerCompare<CmpFPredicate::OEQ, CmpIPredicate::eq, CmpIPredicate::eq>;
  table["Not"] = lowerNot;
  table["Where"] = lowerWhere;
  table["Cast"] = lowerCast;
  table["Clip"] = lowerClip;
  table["Relu"] = lowerRelu;
  table["Identity"] = lowerIdentity;
  table["Neg"] = lowerUnaryAny<one<arith::NegFOp>, negateInt>;
  table["Abs"] = lowerUnaryAny<one<math::AbsFOp>, absInt>;
  table["Sign"] = lowerUnaryAny<sign, signInt>;
  table["Floor"] = lowerUnaryAny<one<math::FloorOp>, same>;
  table["Ceil"] = lowerUnaryAny<one<math::CeilOp>, same>;
  table["Round"] = lowerUnaryAny<one<math::RoundEvenOp>, same>;
  table["Sqrt"] = lowerUnary<one<math::SqrtOp>>;
  table["Reciprocal"] = lowerUnary<reciprocal>;
  table["Softsign"] = lowerUnary<softsign>;
  table["Exp"] = lowerMath<expandExp>;
  table["Log"] = lowerMath<expandLog>;
  table["Tanh"] = lowerMath<expandTanh>;
  table["Erf"] = lowerMath<expandErf>;
  table["Sigmoid"] = lowerMath<expandSigmoid>;
  table["Softplus"] = lowerMath<expandSoftplus>;
  table["LeakyRelu"] = lowerLeakyRelu;
  table["PRelu"] = lowerPRelu;
  table["Elu"] = lowerElu;
  table["Selu"] = lowerSelu;
  table["Celu"] = lowerCelu;
  table["ThresholdedRelu"] = lowerThresholdedRelu;
  table["HardSigmoid"] = lowerHardSigmoid;
  table["Shrink"] = lowerShrink;
  table["IsNaN"] = lowerIsNaN;
  table["IsInf"] = lowerIsInf;
  table["Pow"] = lowerPow;
  table["Mod"] = lowerMod;
  table["BitShift"] = lowerBitShift;
}
