//===- HwgqOps.h - arithmetic shared by hwgq and bitpack ops ----*- C++ -*-===//
#ifndef HWGQ_LIB_REFERENCE_HWGQOPS_H
#define HWGQ_LIB_REFERENCE_HWGQOPS_H

#include "Handlers.h"
#include "hwgq/Dialect/HWGQ.h"

namespace hwgq::reference {

/// A convolution of NHWC by OHWI: n is i32 for two code tensors, else a chain
/// of f32 fma. A matmul is one with 1x1 images.
struct Convolution {
  llvm::ArrayRef<int64_t> strides, pads, dilations;
  int64_t groups;
};
mlir::FailureOr<Tensor> convolve(mlir::Operation *op, const Tensor &x,
                                 const Tensor &w, const Convolution &shape);
mlir::FailureOr<Tensor> multiply(mlir::Operation *op, const Tensor &x,
                                 const Tensor &w);
/// The products of hwgq.product: two code tensors to i32.
mlir::FailureOr<Tensor> multiplyPairs(mlir::Operation *op, const Tensor &x,
                                      const Tensor &w,
                                      llvm::ArrayRef<int64_t> inputDims,
                                      llvm::ArrayRef<int64_t> weightDims);

/// The codes (unpacked, of element type `code`) of i32 or code input.
mlir::FailureOr<Tensor> applyThresholds(mlir::Operation *op, const Tensor &x,
                                        mlir::ElementsAttr thresholds,
                                        llvm::ArrayRef<int8_t> direction,
                                        CodeType code);
mlir::FailureOr<Tensor> applyStep(mlir::Operation *op, const Tensor &x,
                                  StepAttr step, CodeType code);
mlir::FailureOr<Tensor> applyAffine(mlir::Operation *op, const Tensor &x,
                                    llvm::ArrayRef<float> scale);
/// `outputSize` is the height and width of the result type, dynamic or not.
mlir::FailureOr<Tensor> poolMax(mlir::Operation *op, const Tensor &x,
                                const Window &window,
                                llvm::ArrayRef<int64_t> outputSize,
                                std::optional<llvm::ArrayRef<bool>> falling);
mlir::FailureOr<Tensor> poolAverage(mlir::Operation *op, const Tensor &x,
                                    const Window &window,
                                    llvm::ArrayRef<int64_t> outputSize,
                                    bool countIncludePad, float scale);
/// Tensors side by side along `dim`.
mlir::FailureOr<Tensor> concatTensors(mlir::Operation *op, Operands in,
                                      int64_t dim);
/// `value` is a number n for codes.
mlir::FailureOr<Tensor> padTensor(mlir::Operation *op, const Tensor &x,
                                  llvm::ArrayRef<int64_t> low,
                                  llvm::ArrayRef<int64_t> high,
                                  mlir::Attribute value);

} // namespace hwgq::reference

#endif // HWGQ_LIB_REFERENCE_HWGQOPS_H
