//===- MathExpansion.h - exp, log and their family in arith ops -*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_MATHEXPANSION_H
#define HWGQ_LIB_CONVERSION_MATHEXPANSION_H

#include "OnnxLowering.h"

namespace hwgq::conversion {

// Each takes a tensor of f32 or f64 and gives one of the same type, written in
// arith ops and floor/roundeven alone: no call, no table, the same bits
// everywhere. All are computed in f64 and rounded once; for f32 the f64 error
// is below 2^-28 relative, so results should be within 0.51 ulp of the
// true value (estimated, not measured).

Value expandExp(TensorBuilder &b, Value x);
/// exp(x) - 1
Value expandExpm1(TensorBuilder &b, Value x);
/// NaN below zero, -inf at both zeros.
Value expandLog(TensorBuilder &b, Value x);
/// x to the power y as C's pow defines its special cases.
Value expandPow(TensorBuilder &b, Value x, Value y);
/// C's fmod of f32, exact.
Value expandFmod(TensorBuilder &b, Value x, Value y);
Value expandTanh(TensorBuilder &b, Value x);
Value expandErf(TensorBuilder &b, Value x);
/// 1 / (1 + exp(-x))
Value expandSigmoid(TensorBuilder &b, Value x);
/// log(1 + exp(x))
Value expandSoftplus(TensorBuilder &b, Value x);

} // namespace hwgq::conversion

#endif // HWGQ_LIB_CONVERSION_MATHEXPANSION_H
