//===- ScalarMath.h - one function for each element-wise op -----*- C++ -*-===//
#ifndef HWGQ_LIB_REFERENCE_SCALARMATH_H
#define HWGQ_LIB_REFERENCE_SCALARMATH_H

#include "hwgq/Reference/Scalar.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/bit.h"

#include <cmath>
#include <limits>

namespace hwgq::reference {

#pragma STDC FP_CONTRACT OFF

struct Add {
  template <typename T> static T apply(T a, T b) { return a + b; }
};
struct Sub {
  template <typename T> static T apply(T a, T b) { return a - b; }
};
struct Mul {
  template <typename T> static T apply(T a, T b) { return a * b; }
};
struct Div {
  template <typename T> static T apply(T a, T b) { return a / b; }
};
struct Rem {
  template <typename T> static T apply(T a, T b) { return std::fmod(a, b); }
};
/// NaN if either is NaN; -0 < +0.
struct Maximum {
  template <typename T> static T apply(T a, T b) {
    if (std::isnan(a) || std::isnan(b))
      return std::numeric_limits<T>::quiet_NaN();
    if (a == b)
      return std::signbit(a) ? b : a;
    return a > b ? a : b;
  }
};
struct Minimum {
  template <typename T> static T apply(T a, T b) {
    if (std::isnan(a) || std::isnan(b))
      return std::numeric_limits<T>::quiet_NaN();
    if (a == b)
      return std::signbit(a) ? a : b;
    return a < b ? a : b;
  }
};
/// The other one if one is NaN; -0 < +0.
struct MaxNum {
  template <typename T> static T apply(T a, T b) {
    return std::isnan(a) ? b : std::isnan(b) ? a : Maximum::apply(a, b);
  }
};
struct MinNum {
  template <typename T> static T apply(T a, T b) {
    return std::isnan(a) ? b : std::isnan(b) ? a : Minimum::apply(a, b);
  }
};
struct Neg {
  template <typename T> static T apply(T a) { return -a; }
};
/// To nearest, ties to even, whatever the rounding mode.
struct RoundEven {
  template <typename T> static T apply(T a) {
    // Beyond this magnitude every value is an integer.
    const T whole = std::numeric_limits<T>::digits == 24
                        ? T(8388608)
                        : T(4503599627370496.0);
    if (!(std::fabs(a) < whole))
      return a;
    T floor = std::floor(a), part = a - floor;
    T result = part < T(0.5)                 ? floor
               : part > T(0.5)               ? floor + 1
               : std::fmod(floor, T(2)) == 0 ? floor
                                             : floor + 1;
    return std::copysign(result, a);
  }
};
struct Floor {
  template <typename T> static T apply(T a) { return std::floor(a); }
};
struct Ceil {
  template <typename T> static T apply(T a) { return std::ceil(a); }
};
/// To nearest, ties away from zero.
struct Round {
  template <typename T> static T apply(T a) { return std::round(a); }
};
struct Trunc {
  template <typename T> static T apply(T a) { return std::trunc(a); }
};
struct Abs {
  template <typename T> static T apply(T a) { return std::fabs(a); }
};
struct Sqrt {
  template <typename T> static T apply(T a) { return std::sqrt(a); }
};
struct CopySign {
  template <typename T> static T apply(T a, T b) { return std::copysign(a, b); }
};

/// Integer arithmetic is done on uint64_t, where it wraps.
struct AddI {
  static int64_t apply(uint64_t a, uint64_t b, unsigned) { return a + b; }
};
struct SubI {
  static int64_t apply(uint64_t a, uint64_t b, unsigned) { return a - b; }
};
struct MulI {
  static int64_t apply(uint64_t a, uint64_t b, unsigned) { return a * b; }
};
struct DivS {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    a = toSigned(a, w), b = toSigned(b, w);
    return b == -1 ? int64_t(0 - uint64_t(a)) : a / b;
  }
};
struct RemS {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    a = toSigned(a, w), b = toSigned(b, w);
    return b == -1 ? 0 : a % b;
  }
};
struct FloorDivS {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    int64_t r = RemS::apply(a, b, w);
    return DivS::apply(a, b, w) - (r != 0 && (r < 0) != (toSigned(b, w) < 0));
  }
};
struct CeilDivS {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    int64_t r = RemS::apply(a, b, w);
    return DivS::apply(a, b, w) + (r != 0 && (r < 0) == (toSigned(b, w) < 0));
  }
};
struct DivU {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    return toUnsigned(a, w) / toUnsigned(b, w);
  }
};
struct RemU {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    return toUnsigned(a, w) % toUnsigned(b, w);
  }
};
struct CeilDivU {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    return DivU::apply(a, b, w) + (RemU::apply(a, b, w) != 0);
  }
};
struct And {
  static int64_t apply(int64_t a, int64_t b, unsigned) { return a & b; }
};
struct Or {
  static int64_t apply(int64_t a, int64_t b, unsigned) { return a | b; }
};
struct Xor {
  static int64_t apply(int64_t a, int64_t b, unsigned) { return a ^ b; }
};
/// Shifts by the width or more shift everything out.
struct ShL {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    return toUnsigned(b, w) >= w ? 0 : uint64_t(a) << b;
  }
};
struct ShRU {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    return toUnsigned(b, w) >= w ? 0 : toUnsigned(a, w) >> b;
  }
};
struct ShRS {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    return toSigned(a, w) >> (toUnsigned(b, w) >= w ? w - 1 : b);
  }
};
struct MaxS {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    return std::max(toSigned(a, w), toSigned(b, w));
  }
};
struct MinS {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    return std::min(toSigned(a, w), toSigned(b, w));
  }
};
struct MaxU {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    return std::max(toUnsigned(a, w), toUnsigned(b, w));
  }
};
struct MinU {
  static int64_t apply(int64_t a, int64_t b, unsigned w) {
    return std::min(toUnsigned(a, w), toUnsigned(b, w));
  }
};
struct Signed {
  static int64_t apply(int64_t a, unsigned w) { return toSigned(a, w); }
};
struct Unsigned {
  static int64_t apply(int64_t a, unsigned w) { return toUnsigned(a, w); }
};
struct PopCount {
  static int64_t apply(int64_t a, unsigned w) {
    return llvm::popcount(toUnsigned(a, w));
  }
};
struct AbsI {
  static int64_t apply(int64_t a, unsigned w) {
    a = toSigned(a, w);
    return a < 0 ? 0 - uint64_t(a) : uint64_t(a);
  }
};

struct SignedToFloat {
  template <typename From, typename To>
  static To apply(int64_t a, const ElementKernel &k) {
    return To(toSigned(a, k.operandWidth));
  }
};
struct UnsignedToFloat {
  template <typename From, typename To>
  static To apply(int64_t a, const ElementKernel &k) {
    return To(toUnsigned(a, k.operandWidth));
  }
};
/// Truncates; saturates beyond the range, NaN gives 0.
struct FloatToSigned {
  template <typename From, typename To>
  static int64_t apply(From a, const ElementKernel &k) {
    if (std::isnan(a))
      return 0;
    From limit = std::ldexp(From(1), int(k.resultWidth) - 1);
    uint64_t top = uint64_t(1) << (k.resultWidth - 1);
    if (a >= limit)
      return wrapInteger(int64_t(top - 1), k.resultWidth);
    if (a <= -limit)
      return wrapInteger(int64_t(0 - top), k.resultWidth);
    return wrapInteger(int64_t(a), k.resultWidth);
  }
};
struct FloatToUnsigned {
  template <typename From, typename To>
  static int64_t apply(From a, const ElementKernel &k) {
    if (!(a > 0))
      return 0;
    if (a >= std::ldexp(From(1), int(k.resultWidth)))
      return wrapInteger(-1, k.resultWidth);
    return wrapInteger(int64_t(uint64_t(a)), k.resultWidth);
  }
};
struct FloatCast {
  template <typename From, typename To>
  static To apply(From a, const ElementKernel &) {
    return To(a);
  }
};
struct BitCast {
  template <typename From, typename To>
  static To apply(From a, const ElementKernel &) {
    if constexpr (std::is_same_v<From, float>)
      return int64_t(llvm::bit_cast<int32_t>(a));
    else if constexpr (std::is_same_v<From, double>)
      return llvm::bit_cast<int64_t>(a);
    else if constexpr (std::is_same_v<To, float>)
      return llvm::bit_cast<float>(int32_t(a));
    else
      return llvm::bit_cast<double>(a);
  }
};

template <typename T>
bool compareFloats(mlir::arith::CmpFPredicate predicate, T a, T b) {
  using P = mlir::arith::CmpFPredicate;
  bool unordered = std::isnan(a) || std::isnan(b);
  switch (predicate) {
  case P::AlwaysFalse:
    return false;
  case P::OEQ:
    return a == b;
  case P::OGT:
    return a > b;
  case P::OGE:
    return a >= b;
  case P::OLT:
    return a < b;
  case P::OLE:
    return a <= b;
  case P::ONE:
    return !unordered && a != b;
  case P::ORD:
    return !unordered;
  case P::UEQ:
    return unordered || a == b;
  case P::UGT:
    return unordered || a > b;
  case P::UGE:
    return unordered || a >= b;
  case P::ULT:
    return unordered || a < b;
  case P::ULE:
    return unordered || a <= b;
  case P::UNE:
    return unordered || a != b;
  case P::UNO:
    return unordered;
  case P::AlwaysTrue:
    return true;
  }
  return false;
}

inline bool compareIntegers(mlir::arith::CmpIPredicate predicate, int64_t a,
                            int64_t b, unsigned width) {
  using P = mlir::arith::CmpIPredicate;
  int64_t sa = toSigned(a, width), sb = toSigned(b, width);
  uint64_t ua = toUnsigned(a, width), ub = toUnsigned(b, width);
  switch (predicate) {
  case P::eq:
    return ua == ub;
  case P::ne:
    return ua != ub;
  case P::slt:
    return sa < sb;
  case P::sle:
    return sa <= sb;
  case P::sgt:
    return sa > sb;
  case P::sge:
    return sa >= sb;
  case P::ult:
    return ua < ub;
  case P::ule:
    return ua <= ub;
  case P::ugt:
    return ua > ub;
  case P::uge:
    return ua >= ub;
  }
  return false;
}

} // namespace hwgq::reference

#endif // HWGQ_LIB_REFERENCE_SCALARMATH_H
