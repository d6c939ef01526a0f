//===- SmallFloats.cpp - floats of 4, 8 and 16 bits as bits ---------------===//
#include "hwgq/Dialect/SmallFloats.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>

using namespace mlir;
using namespace hwgq;

namespace {
/// sign, `exponent` bits, `mantissa` bits; codes without their sign.
struct Format {
  unsigned exponent, mantissa;
  int bias;
  unsigned largest;  ///< The largest number.
  unsigned overflow; ///< What is too large, where nothing saturates.
  unsigned nan;      ///< What NaN becomes.
  bool noMinusZero;  ///< fnuz: the code of -0 is NaN.

  unsigned signBit() const { return exponent + mantissa; }
};
} // namespace

bool hwgq::isSmallFloat(Type type) {
  return isa_and_nonnull<Float8E4M3FNType, Float8E4M3FNUZType, Float8E5M2Type,
                         Float8E5M2FNUZType, Float4E2M1FNType>(type);
}

static Format getFormat(FloatType type) {
  if (isa<Float8E4M3FNType>(type))
    return {4, 3, 7, 0x7e, 0x7f, 0x7f, false};
  if (isa<Float8E4M3FNUZType>(type))
    return {4, 3, 8, 0x7f, 0x80, 0x80, true};
  if (isa<Float8E5M2Type>(type))
    return {5, 2, 15, 0x7b, 0x7c, 0x7e, false};
  if (isa<Float8E5M2FNUZType>(type))
    return {5, 2, 16, 0x7f, 0x80, 0x80, true};
  return {2, 1, 1, 7, 7, 8, false};
}

namespace {
/// Integer arithmetic on a tensor of i32.
class Bits {
public:
  Bits(TensorBuilder &b, Value like) : b(b), like(like) {}

  Value number(int64_t value) { return b.splat(like, b.b.getI32Type(), value); }
  Value shl(Value x, unsigned by) {
    return by ? b.make<arith::ShLIOp>(x, number(by)) : x;
  }
  Value shr(Value x, unsigned by) {
    return by ? b.make<arith::ShRUIOp>(x, number(by)) : x;
  }
  Value conj(Value x, int64_t mask) {
    return b.make<arith::AndIOp>(x, number(mask));
  }
  Value disj(Value x, Value y) { return b.make<arith::OrIOp>(x, y); }
  Value add(Value x, Value y) { return b.make<arith::AddIOp>(x, y); }
  Value compare(arith::CmpIPredicate predicate, Value x, int64_t with) {
    return b.cmpi(predicate, x, number(with));
  }
  Value toFloat(Value x) {
    return b.make<arith::BitcastOp>(
        TensorBuilder::withElement(x, b.b.getF32Type()), x);
  }
  Value fromFloat(Value x) {
    return b.make<arith::BitcastOp>(
        TensorBuilder::withElement(x, b.b.getI32Type()), x);
  }
  /// Rounds the lowest `cut` bits away, ties to even.
  Value round(Value x, unsigned cut) {
    Value odd = conj(shr(x, cut), 1);
    return shr(add(add(x, number((1 << (cut - 1)) - 1)), odd), cut);
  }

private:
  TensorBuilder &b;
  Value like;
};
} // namespace

using Predicate = arith::CmpIPredicate;

Value hwgq::decodeSmallFloat(TensorBuilder &b, Value code, FloatType type) {
  Format f = getFormat(type);
  Bits i(b, code);
  Value u = b.make<arith::ExtUIOp>(
      TensorBuilder::withElement(code, b.b.getI32Type()), code);
  Value magnitude = i.conj(u, (1 << f.signBit()) - 1);
  // Denormals of either format mean mantissa * 2^(1 - bias - mantissa bits),
  // so that one multiplication moves the bias of all numbers, exactly.
  Value scaled = i.toFloat(i.shl(magnitude, 23 - f.mantissa));
  Value value = b.make<arith::MulFOp>(
      scaled, b.splat(scaled, std::ldexp(1, 127 - f.bias)));
  Value result = i.fromFloat(value);
  if (f.overflow == 0x7c && f.nan != f.overflow) // e5m2 has infinities
    result = b.select(i.compare(Predicate::eq, magnitude, f.overflow),
                      i.number(0x7f800000), result);
  Value sign = i.shl(i.shr(u, f.signBit()), 31);
  if (f.noMinusZero) {
    result = i.disj(result, sign);
    return i.toFloat(b.select(i.compare(Predicate::eq, u, f.nan),
                              i.number(0x7fc00000), result));
  }
  if (f.signBit() == 7) // float4 has no NaN
    result = b.select(i.compare(Predicate::ugt, magnitude,
                                f.overflow == f.nan ? f.nan - 1 : f.overflow),
                      i.number(0x7fc00000), result);
  return i.toFloat(i.disj(result, sign));
}

Value hwgq::encodeSmallFloat(TensorBuilder &b, Value x, FloatType type,
                             bool saturate) {
  Format f = getFormat(type);
  Bits i(b, x);
  Value bits = i.fromFloat(x);
  Value a = i.conj(bits, 0x7fffffff);
  // From the least normal number on the bits are rounded where they stand,
  // below it multiples of the least denormal are counted.
  int64_t least = int64_t(128 - f.bias) << 23;
  Value isSmall = i.compare(Predicate::ult, a, least);
  Value normal = i.add(i.round(a, 23 - f.mantissa),
                       i.number(-(int64_t(127 - f.bias) << f.mantissa)));
  Value small = i.toFloat(b.select(isSmall, a, i.number(0)));
  Value count = b.make<math::RoundEvenOp>(b.make<arith::MulFOp>(
      small, b.splat(small, std::ldexp(1, f.bias - 1 + int(f.mantissa)))));
  Value denormal = b.make<arith::FPToSIOp>(
      TensorBuilder::withElement(count, b.b.getI32Type()), count);
  Value code = b.select(isSmall, denormal, normal);
  Value sign = i.shl(i.shr(bits, 31), f.signBit());
  // Infinity is beyond every number, and NaN beyond infinity.
  Value isNan = i.compare(Predicate::ugt, a, 0x7f800000);
  Value tooLarge = i.compare(Predicate::sgt, code, f.largest);
  Value signedZero = f.noMinusZero ? b.select(i.compare(Predicate::eq, code, 0),
                                              i.number(0), sign)
                                   : sign;
  bool bare = f.noMinusZero && !saturate; // the one NaN has no sign
  unsigned over = saturate ? f.largest : f.overflow;
  Value number = i.disj(code, signedZero);
  Value beyond = bare ? i.number(over) : i.disj(i.number(over), sign);
  number = b.select(tooLarge, beyond, number);
  Value nan = i.number(f.nan);
  if (f.nan < 1u << f.signBit())
    nan = i.disj(nan, sign);
  number = b.select(isNan, nan, number);
  return b.make<arith::TruncIOp>(
      TensorBuilder::withElement(number, b.b.getI8Type()), number);
}

Value hwgq::extendBFloat(TensorBuilder &b, Value x) {
  Bits i(b, x);
  Value bits = b.make<arith::BitcastOp>(
      TensorBuilder::withElement(x, b.b.getI16Type()), x);
  Value wide = b.make<arith::ExtUIOp>(
      TensorBuilder::withElement(x, b.b.getI32Type()), bits);
  return i.toFloat(i.shl(wide, 16));
}

Value hwgq::truncateToBFloat(TensorBuilder &b, Value x) {
  Bits i(b, x);
  Value bits = i.fromFloat(x);
  Value isNan = i.compare(Predicate::ugt, i.conj(bits, 0x7fffffff), 0x7f800000);
  Value nan = i.disj(i.conj(i.shr(bits, 16), 0x8000), i.number(0x7fc0));
  Value rounded = b.select(isNan, nan, i.round(bits, 16));
  Value narrow = b.make<arith::TruncIOp>(
      TensorBuilder::withElement(x, b.b.getI16Type()), rounded);
  return b.make<arith::BitcastOp>(
      TensorBuilder::withElement(x, b.b.getBF16Type()), narrow);
}
