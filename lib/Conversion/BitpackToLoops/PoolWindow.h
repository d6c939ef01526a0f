//===- PoolWindow.h - the taps of a pool in bounds --------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POOLWINDOW_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POOLWINDOW_H

#include "Loops.h"

namespace hwgq {

/// The window of a pool over an image.
class PoolWindow {
public:
  template <typename OpTy>
  PoolWindow(OpTy op, const Image &in)
      : kernel(llvm::to_vector(op.getKernel())),
        strides(llvm::to_vector(op.getStrides())),
        pads(llvm::to_vector(op.getPads())),
        dilations(llvm::to_vector(op.getDilations())),
        sizes({in.height, in.width}) {}

  llvm::SmallVector<int64_t> kernel, strides, pads, dilations, sizes;

  using TapBody =
      llvm::function_ref<Values(mlir::Value, mlir::Value, mlir::ValueRange)>;

  /// Folds body(input y, input x, values) over the taps in bounds of output
  /// (y, x), in the order (kh, kw).
  Values reduce(LoopBuilder &b, mlir::Value y, mlir::Value x,
                mlir::ValueRange inits, TapBody body) const;

  /// The number of taps in bounds, or of those in the padded input.
  mlir::Value count(LoopBuilder &b, mlir::Value y, mlir::Value x,
                    bool includePad) const;

private:
  /// First and one past the last tap along dimension d with low <= input
  /// position < high.
  std::pair<mlir::Value, mlir::Value> range(LoopBuilder &b, mlir::Value at,
                                            unsigned d, int64_t low,
                                            int64_t high) const;
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POOLWINDOW_H
