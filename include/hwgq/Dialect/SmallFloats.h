//===- SmallFloats.h - floats of 4, 8 and 16 bits as bits -------*- C++ -*-===//
//
// float8 and float4 are only stored: Cast converts them, arrays and the hwgq
// phase hold them as bytes. bfloat16 is converted as bits, too, since targets
// flush its denormals or call a library.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_DIALECT_SMALLFLOATS_H
#define HWGQ_DIALECT_SMALLFLOATS_H

#include "hwgq/Dialect/TensorBuilder.h"

namespace hwgq {

/// float8 e4m3fn, e4m3fnuz, e5m2, e5m2fnuz and float4 e2m1.
bool isSmallFloat(mlir::Type type);

/// The float32 of small floats, given as i8.
mlir::Value decodeSmallFloat(TensorBuilder &b, mlir::Value bits,
                             mlir::FloatType type);

/// float32 rounded to nearest, ties to even, as i8. What is too large, infinity
/// among it, becomes the largest number with `saturate` (float4 always), else
/// infinity, or NaN where there is none. float4 has no NaN; it becomes -0.
mlir::Value encodeSmallFloat(TensorBuilder &b, mlir::Value x,
                             mlir::FloatType type, bool saturate);

/// bfloat16 to float32 and back, to nearest, ties to even.
mlir::Value extendBFloat(TensorBuilder &b, mlir::Value x);
mlir::Value truncateToBFloat(TensorBuilder &b, mlir::Value x);

} // namespace hwgq

#endif // HWGQ_DIALECT_SMALLFLOATS_H
