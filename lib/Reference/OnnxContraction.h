//===- OnnxContraction.h - ONNX convolutions and products -------*- C++ -*-===//
#ifndef HWGQ_LIB_REFERENCE_ONNXCONTRACTION_H
#define HWGQ_LIB_REFERENCE_ONNXCONTRACTION_H

#include "Contraction.h"
#include "Handlers.h"

#include <vector>

namespace hwgq::reference {

/// The sizes of a Conv, ConvInteger or QLinearConv of x [N, C, ...] by
/// w [M, C/g, ...] with the attributes of the op, checked.
mlir::FailureOr<ContractionShape>
getConvolution(mlir::Operation *op, const Tensor &x, const Tensor &w);
/// [N, M, ...] of its result.
llvm::SmallVector<int64_t> getResultShape(const ContractionShape &shape);

/// The convolution of x [N, C, ...] by w [M, C/g, ...] as [N, M, ...].
template <typename T>
std::vector<T> convolveImages(const ContractionShape &shape,
                              llvm::ArrayRef<T> x, llvm::ArrayRef<T> w);

/// NumPy's matmul; sets the shape of the product.
template <typename T>
mlir::FailureOr<std::vector<T>>
multiplyMatrices(mlir::Operation *op, llvm::ArrayRef<int64_t> aShape,
                 llvm::ArrayRef<T> a, llvm::ArrayRef<int64_t> bShape,
                 llvm::ArrayRef<T> b, llvm::SmallVectorImpl<int64_t> &shape);

} // namespace hwgq::reference

#endif // HWGQ_LIB_REFERENCE_ONNXCONTRACTION_H
