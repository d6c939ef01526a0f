//===- MathExpansion.h - exp, log and their family in arith ops -*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_MATHEXPANSION_H
#define HWGQ_LIB_CONVERSION_MATHEXPANSION_H

#include "OnnxLowering.h"

namespace hwgq::conversion {

// Each takes a tensor of f32 or f64 and gives one of the same type, written in
// arith ops and floor/roundeven alone: no call, no table, the same bits
// everywhere. All are computed in f64 and rounded once; for f32 the f64 error
// is below 2^-28 relative, so results are within 0.51 ulp of the true value.

Value expandExp(Builder &b, Value x);
/// exp(x) - 1
Value expandExpm1(Builder &b, Value x);
/// NaN below zero, -inf at both zeros.
Value expandLog(Builder &b, Value x);
/// x to the power y as C's pow defines its special cases.
Value expandPow(Builder &b, Value x, Value y);
Value expandTanh(Builder &b, Value x);
Value expandErf(Builder &b, Value x);
/// 1 / (1 + exp(-x))
Value expandSigmoid(Builder &b, Value x);
/// log(1 + exp(x))
Value expandSoftplus(Builder &b, Value x);

} // namespace hwgq::conversion

#endif // HWGQ_LIB_CONVERSION_MATHEXPANSION_H
