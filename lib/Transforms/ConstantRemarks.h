//===- ConstantRemarks.h - what quantising a constant loses -----*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_CONSTANTREMARKS_H
#define HWGQ_TRANSFORMS_CONSTANTREMARKS_H

#include "hwgq/Reference/Tensor.h"

namespace hwgq {

/// Remarks on an op that has been evaluated on constants: a Quant that clips
/// more than a tenth of them, a Sign that leaves zeros.
void remarkOnConstants(mlir::Operation *op,
                       llvm::ArrayRef<reference::Tensor> inputs,
                       llvm::ArrayRef<reference::Tensor> results);

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_CONSTANTREMARKS_H
