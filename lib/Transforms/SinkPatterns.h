//===- SinkPatterns.h - moving transposes and reshapes ----------*- C++ -*-===//
#ifndef HWGQ_LIB_TRANSFORMS_SINKPATTERNS_H
#define HWGQ_LIB_TRANSFORMS_SINKPATTERNS_H

#include "hwgq/Dialect/HWGQ.h"
#include "hwgq/Dialect/TensorBuilder.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace hwgq {

/// Whether `op` gives each element from the elements at the same place.
bool isPointwise(mlir::Operation *op);

/// Whether a value can be made in any layout at no cost: a constant or a
/// broadcast.
bool isAdaptable(mlir::Value v);

/// transpose(v, perm) of an adaptable value; `sizes` are the result's.
mlir::Value adaptTransposed(TensorBuilder &b, mlir::Value v,
                            llvm::ArrayRef<int64_t> perm,
                            llvm::ArrayRef<mlir::OpFoldResult> sizes);

/// A clone of a pointwise op on `operands`, in their shape.
mlir::Value rebuildPointwise(mlir::OpBuilder &b, mlir::Operation *op,
                             llvm::ArrayRef<mlir::Value> operands);

llvm::SmallVector<int64_t> inverse(llvm::ArrayRef<int64_t> perm);

/// [0, 3, 1, 2] and its like: channels last to channels first, rank 4 or more.
bool isToChannelsFirst(llvm::ArrayRef<int64_t> perm);
/// [0, 2, 3, 1] and its like.
bool isToChannelsLast(llvm::ArrayRef<int64_t> perm);

void addTransposePatterns(mlir::RewritePatternSet &patterns);
void addReshapePatterns(mlir::RewritePatternSet &patterns);
/// Transposes that move unit sizes alone become reshapes: the last step, since
/// reshapes stop other transposes.
void addUnitPatterns(mlir::RewritePatternSet &patterns);

} // namespace hwgq

#endif // HWGQ_LIB_TRANSFORMS_SINKPATTERNS_H
