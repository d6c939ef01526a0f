//===- Internal.h - shared pieces of TensorToLoops --------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_TENSORTOLOOPS_INTERNAL_H
#define HWGQ_LIB_CONVERSION_TENSORTOLOOPS_INTERNAL_H

#include "hwgq/Conversion/BitpackToLoops.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Transforms/DialectConversion.h"

namespace hwgq {

/// One scf.forall over the product of `sizes`; the body gets one index for
/// each size. No sizes: a single task.
void emitTasks(
    mlir::OpBuilder &builder, mlir::Location loc,
    llvm::ArrayRef<mlir::OpFoldResult> sizes,
    llvm::function_ref<void(mlir::OpBuilder &, mlir::ValueRange)> body);

void populateGenericToLoopsPatterns(mlir::RewritePatternSet &patterns,
                                    const mlir::TypeConverter &converter,
                                    const LoopOptions &options);
void populateDataToLoopsPatterns(mlir::RewritePatternSet &patterns,
                                 const mlir::TypeConverter &converter,
                                 const LoopOptions &options);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_TENSORTOLOOPS_INTERNAL_H
