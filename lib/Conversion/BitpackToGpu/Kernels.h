//===- Kernels.h - the GPU kernels of contractions --------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOGPU_KERNELS_H
#define HWGQ_LIB_CONVERSION_BITPACKTOGPU_KERNELS_H

#include "../BitpackToLoops/Contraction.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace hwgq {

/// Emits a `gpu.launch` that fills the result of a contraction. What the
/// kernel reads (weights, tables) is made in front of the launch.
using GpuKernelEmitter = mlir::FailureOr<mlir::gpu::LaunchOp> (*)(LoopBuilder &,
                                                                  ConvLoops &);

/// `thread-popcount`: one thread computes 8 neighbouring output channels of
/// one pixel.
mlir::FailureOr<mlir::gpu::LaunchOp> emitThreadPopcount(LoopBuilder &b,
                                                        ConvLoops &conv);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOGPU_KERNELS_H
