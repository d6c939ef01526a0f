//===- VectorBody.h - scalar bodies on vectors ------------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_VECTORBODY_H
#define HWGQ_LIB_CONVERSION_VECTORBODY_H

#include "hwgq/Conversion/BitpackToLoops.h"
#include "mlir/IR/IRMapping.h"

namespace hwgq {

/// `value` itself where it is a vector, else `lanes` copies of it.
mlir::Value broadcastLanes(mlir::OpBuilder &builder, mlir::Location loc,
                           mlir::Value value, int64_t lanes);

/// The scalar op `inner` on vectors of `lanes` elements: operands and results
/// by `map`; constants stay scalar. fma as the target computes it. The op is
/// `Vectorizable` or a constant.
void cloneOnVectors(mlir::OpBuilder &builder, mlir::Operation &inner,
                    mlir::IRMapping &map, int64_t lanes,
                    const LoopOptions &options);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_VECTORBODY_H
