//===- MathExpansion.cpp - exp, log and their family in arith ops ---------===//
#include "MathExpansion.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;
using arith::CmpFPredicate;

namespace {

/// f64 arithmetic on tensors of one shape; `isSingle`: of values that come from
/// float32, or less, and are rounded to it in the end.
struct Wide {
  Wide(TensorBuilder &b, Value like, bool isSingle)
      : b(b), like(like), isSingle(isSingle) {}

  Value c(double v) { return b.splat(like, b.b.getF64Type(), v); }
  Value add(Value x, Value y) { return b.make<arith::AddFOp>(x, y); }
  Value sub(Value x, Value y) { return b.make<arith::SubFOp>(x, y); }
  Value mul(Value x, Value y) { return b.make<arith::MulFOp>(x, y); }
  Value div(Value x, Value y) { return b.make<arith::DivFOp>(x, y); }
  Value abs(Value x) { return b.make<math::AbsFOp>(x); }
  Value is(CmpFPredicate p, Value x, double v) { return b.cmpf(p, x, c(v)); }
  Value select(Value s, Value x, Value y) { return b.select(s, x, y); }

  /// coefficients[0] + coefficients[1] * x + ... by Estrin's scheme: pairs
  /// a + b x are the coefficients of a polynomial in x^2, and so on, so that a
  /// processor has sums beside each other to work on.
  Value polynomial(Value x, ArrayRef<double> coefficients) {
    SmallVector<Value> terms;
    for (double k : coefficients)
      terms.push_back(c(k));
    while (true) {
      SmallVector<Value> pairs;
      for (size_t i = 0; i + 1 < terms.size(); i += 2)
        pairs.push_back(add(terms[i], mul(terms[i + 1], x)));
      if (terms.size() % 2)
        pairs.push_back(terms.back());
      terms = std::move(pairs);
      if (terms.size() == 1)
        return terms.front();
      x = mul(x, x);
    }
  }

  /// 2^n of n + 1.5 * 2^52, n whole and an exponent of normal numbers.
  Value power2(Value n) {
    auto i64 = TensorBuilder::withElement(n, b.b.getI64Type());
    Value k = b.make<arith::BitcastOp>(i64, n);
    k = b.make<arith::AddIOp>(k, b.splat(k, 1023));
    k = b.make<arith::ShLIOp>(k, b.splat(k, 52));
    return b.make<arith::BitcastOp>(n.getType(), k);
  }

  Value exp(Value x);
  Value log(Value x);

  TensorBuilder &b;
  Value like;
  bool isSingle;
};

/// exp(x) = 2^n exp(r), n = round(x / ln 2), r = x - n ln 2 with ln 2 in two
/// parts (Cody and Waite), exp(r) its Taylor series of degree 13, whose rest
/// is below 2^-57 for |r| <= ln(2)/2. A sum with 1.5 * 2^52 rounds to a whole
/// number, which is in its lowest bits.
Value Wide::exp(Value x) {
  // Beyond these float32 (or f64) has infinity and 0; NaN is the lower one.
  double low = isSingle ? -200 : -746, high = isSingle ? 200 : 710;
  Value y = select(is(CmpFPredicate::OGT, x, low), x, c(low));
  y = select(is(CmpFPredicate::OLT, y, high), y, c(high));
  constexpr double kRound = 0x1.8p52;
  Value rounded = add(mul(y, c(0x1.71547652b82fep+0)), c(kRound));
  Value n = sub(rounded, c(kRound));
  Value r = sub(y, mul(n, c(0x1.62e42feep-1)));
  r = sub(r, mul(n, c(0x1.a39ef35793c76p-33)));
  SmallVector<double> taylor = {1};
  for (int k = 1; k <= 13; ++k)
    taylor.push_back(taylor.back() / k);
  Value p = polynomial(r, taylor);
  if (isSingle) { // 2^n is a normal number
    p = mul(p, power2(rounded));
  } else {
    Value half = b.make<math::FloorOp>(mul(n, c(0.5)));
    p = mul(p, power2(add(half, c(kRound))));
    p = mul(p, power2(add(sub(n, half), c(kRound))));
  }
  return select(b.cmpf(CmpFPredicate::ORD, x, x), p, x);
}

/// log(m 2^e) = e ln 2 + 2 (s + s^3/3 + s^5/5 + ...), s = (m - 1) / (m + 1),
/// m in [sqrt(1/2), sqrt(2)], so s^2 < 0.0295 and 11 terms suffice.
Value Wide::log(Value x) {
  auto i64 = TensorBuilder::withElement(x, b.b.getI64Type());
  auto i32 = TensorBuilder::withElement(x, b.b.getI32Type());
  // Denormals are brought into the normal range.
  Value tiny = is(CmpFPredicate::OLT, x, 0x1p-1022);
  Value y = select(tiny, mul(x, c(0x1p54)), x);
  Value bits = b.make<arith::BitcastOp>(i64, y);
  Value e = b.make<arith::ShRUIOp>(bits, b.splat(bits, 52));
  e = b.make<arith::SIToFPOp>(x.getType(), b.make<arith::TruncIOp>(i32, e));
  e = sub(e, select(tiny, c(1023 + 54), c(1023)));
  Value mask = b.splat(bits, double((int64_t(1) << 52) - 1));
  Value m = b.make<arith::AndIOp>(bits, mask);
  m = b.make<arith::OrIOp>(m, b.splat(bits, double(int64_t(1023) << 52)));
  m = b.make<arith::BitcastOp>(x.getType(), m);
  Value high = is(CmpFPredicate::OGT, m, 0x1.6a09e667f3bcdp+0);
  m = select(high, mul(m, c(0.5)), m);
  e = select(high, add(e, c(1)), e);
  Value s = div(sub(m, c(1)), add(m, c(1)));
  SmallVector<double> series;
  for (int k = 0; k < 11; ++k)
    series.push_back(2.0 / (2 * k + 1));
  Value p = mul(s, polynomial(mul(s, s), series));
  Value result = add(mul(e, c(0x1.62e42fefa39efp-1)), p);
  double inf = std::numeric_limits<double>::infinity();
  result = select(is(CmpFPredicate::OEQ, x, inf), x, result);
  result = select(is(CmpFPredicate::OEQ, x, 0), c(-inf), result);
  Value bad = is(CmpFPredicate::ULT, x, 0);
  return select(bad, c(std::numeric_limits<double>::quiet_NaN()), result);
}

/// Applies an f64 function to f32 or f64 values.
Value inWide(TensorBuilder &b, Value x,
             llvm::function_ref<Value(Wide &, Value)> fn) {
  Type element = getElementTypeOrSelf(x), wide = b.b.getF64Type();
  Value y = b.cast(x, element, wide);
  Wide w(b, y, element != wide);
  return b.cast(fn(w, y), wide, element);
}

} // namespace

Value conversion::expandExp(TensorBuilder &b, Value x) {
  return inWide(b, x, [](Wide &w, Value v) { return w.exp(v); });
}

Value conversion::expandExpm1(TensorBuilder &b, Value x) {
  return inWide(b, x, [](Wide &w, Value v) {
    // x + x^2/2 where the difference would cancel.
    Value small = w.is(CmpFPredicate::OLT, w.abs(v), 0x1p-16);
    Value series = w.add(v, w.mul(w.mul(v, v), w.c(0.5)));
    return w.select(small, series, w.sub(w.exp(v), w.c(1)));
  });
}

Value conversion::expandLog(TensorBuilder &b, Value x) {
  return inWide(b, x, [](Wide &w, Value v) { return w.log(v); });
}

Value conversion::expandPow(TensorBuilder &b, Value x, Value y) {
  Type wide = b.b.getF64Type();
  Value p = b.cast(y, getElementTypeOrSelf(y), wide);
  return inWide(b, x, [&](Wide &w, Value v) {
    Value size = w.abs(v);
    Value magnitude = w.exp(w.mul(p, w.log(size)));
    Value one = w.is(CmpFPredicate::OEQ, size, 1);
    magnitude = w.select(one, w.c(1), magnitude);
    Value half = w.mul(p, w.c(0.5));
    Value whole = b.cmpf(CmpFPredicate::OEQ, b.make<math::FloorOp>(p), p);
    Value odd = b.make<arith::AndIOp>(
        whole, b.cmpf(CmpFPredicate::ONE, b.make<math::FloorOp>(half), half));
    Value signedPower =
        w.select(odd, b.make<math::CopySignOp>(magnitude, v), magnitude);
    // A negative finite base has powers at whole exponents alone.
    Value finite =
        w.is(CmpFPredicate::OGT, v, -std::numeric_limits<double>::infinity());
    Value bad = b.make<arith::AndIOp>(w.is(CmpFPredicate::OLT, v, 0), finite);
    Value broken = b.cmpf(CmpFPredicate::ONE, b.make<math::FloorOp>(p), p);
    bad = b.make<arith::AndIOp>(bad, broken);
    Value result = w.select(bad, w.c(std::numeric_limits<double>::quiet_NaN()),
                            signedPower);
    Value unit = b.make<arith::OrIOp>(w.is(CmpFPredicate::OEQ, p, 0),
                                      w.is(CmpFPredicate::OEQ, v, 1));
    return w.select(unit, w.c(1), result);
  });
}

Value conversion::expandFmod(TensorBuilder &b, Value x, Value y) {
  Type wide = b.b.getF64Type();
  Value divisor = b.cast(y, getElementTypeOrSelf(y), wide);
  return inWide(b, x, [&](Wide &w, Value v) {
    // Long division in digits of 28 bits, the highest first: a quotient below
    // 2^28 times 24 bits of |y| is exact. Float32 quotients are below 2^278.
    double inf = std::numeric_limits<double>::infinity();
    Value size = w.abs(divisor), rest = w.abs(v);
    for (int digit = 9; digit >= 0; --digit) {
      Value unit = w.mul(size, w.c(std::ldexp(1.0, 28 * digit)));
      Value count = b.make<math::FloorOp>(w.div(rest, unit));
      Value next = w.sub(rest, w.mul(count, unit));
      // The division may have rounded up to the next whole number.
      Value below = w.is(CmpFPredicate::OLT, next, 0);
      rest = w.select(below, w.add(next, unit), next);
    }
    rest = b.make<math::CopySignOp>(rest, v);
    rest = w.select(w.is(CmpFPredicate::OEQ, size, inf), v, rest);
    Value bad = b.make<arith::OrIOp>(
        w.is(CmpFPredicate::UEQ, w.abs(v), inf),
        b.make<arith::OrIOp>(w.is(CmpFPredicate::OEQ, size, 0),
                             b.cmpf(CmpFPredicate::UNO, size, size)));
    return w.select(bad, w.c(std::numeric_limits<double>::quiet_NaN()), rest);
  });
}

Value conversion::expandTanh(TensorBuilder &b, Value x) {
  return inWide(b, x, [](Wide &w, Value v) {
    // x - x^3/3 near zero; (e - 1) / (e + 1), e = exp(2x), elsewhere.
    Value e = w.exp(w.b.make<arith::MinimumFOp>(w.add(v, v), w.c(100)));
    Value far = w.div(w.sub(e, w.c(1)), w.add(e, w.c(1)));
    Value third = w.mul(w.mul(w.mul(v, v), v), w.c(1.0 / 3));
    Value small = w.is(CmpFPredicate::OLT, w.abs(v), 0x1p-10);
    return w.select(small, w.sub(v, third), far);
  });
}

Value conversion::expandErf(TensorBuilder &b, Value x) {
  // Below 1 the Taylor series: 2/sqrt(pi) sum (-1)^n x^(2n+1) / (n! (2n+1)).
  // From 1 to 4 erf = 1 - exp(-g), g = -log(erfc(t)) as the Chebyshev
  // interpolant of degree 10 in u = (t - 2.5) / 1.5, within 2e-9; above 4 the
  // result rounds to 1.
  SmallVector<double> taylor;
  double factorial = 1;
  for (int n = 0; n <= 13; ++n) {
    factorial *= n ? n : 1;
    taylor.push_back((n % 2 ? -1 : 1) * 0x1.20dd750429b6dp+0 /
                     (factorial * (2 * n + 1)));
  }
  return inWide(b, x, [&](Wide &w, Value v) {
    static const double kTail[] = {
        7.8068152724287501,      8.0290211105781868,
        2.1237609217719116,      0.036646308665657296,
        -0.010962973338013283,   0.0031947433167827384,
        -0.00087639292235053106, 0.00022170940297304553,
        -4.7284297596989061e-05, 2.5306707759093065e-06,
        2.3670655129854678e-06};
    Value size = w.abs(v);
    Value t = w.b.make<arith::MinimumFOp>(size, w.c(4));
    Value u = w.div(w.sub(t, w.c(2.5)), w.c(1.5));
    Value g = w.polynomial(u, kTail);
    Value far = w.sub(w.c(1), w.exp(w.b.make<arith::NegFOp>(g)));
    far = w.b.make<math::CopySignOp>(far, v);
    Value z = w.b.make<arith::MinimumFOp>(w.mul(v, v), w.c(1));
    Value near = w.mul(v, w.polynomial(z, taylor));
    return w.select(w.is(CmpFPredicate::OGE, size, 1), far, near);
  });
}

Value conversion::expandSigmoid(TensorBuilder &b, Value x) {
  return inWide(b, x, [](Wide &w, Value v) {
    Value e = w.exp(w.b.make<arith::NegFOp>(v));
    return w.div(w.c(1), w.add(w.c(1), e));
  });
}

Value conversion::expandSoftplus(TensorBuilder &b, Value x) {
  return inWide(b, x, [](Wide &w, Value v) {
    // Below -17 the sum with 1 would lose exp(x); log(1 + e) is e - e^2/2.
    Value e = w.exp(w.b.make<arith::MinimumFOp>(v, w.c(40)));
    Value near = w.sub(e, w.mul(w.mul(e, e), w.c(0.5)));
    Value middle = w.log(w.add(w.c(1), e));
    Value y = w.select(w.is(CmpFPredicate::OLT, v, -17), near, middle);
    return w.select(w.is(CmpFPredicate::OGT, v, 40), v, y);
  });
}
