//===- CodeParts.h - parts of concatenated codes ----------------*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_CODEPARTS_H
#define HWGQ_TRANSFORMS_CODEPARTS_H

#include "hwgq/Transforms/Codes.h"

namespace hwgq {

/// The tensors that `value` joins along its channels, pools and pads brought in
/// front of them; empty where it is no concatenation.
llvm::SmallVector<mlir::Value> partsOf(mlir::OpBuilder &builder,
                                       mlir::Value value);

/// Channels first to first + count - 1 of coded weights.
mlir::Value sliceInputs(mlir::OpBuilder &builder, ConstantOp weights,
                        int64_t first, int64_t count);

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_CODEPARTS_H
