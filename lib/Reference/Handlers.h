//===- Handlers.h - what the op families register ---------------*- C++ -*-===//
#ifndef HWGQ_LIB_REFERENCE_HANDLERS_H
#define HWGQ_LIB_REFERENCE_HANDLERS_H

#include "hwgq/Reference/Interpreter.h"
#include "llvm/ADT/StringMap.h"

namespace hwgq::reference {

using Operands = llvm::ArrayRef<Tensor>;
using Results = llvm::SmallVectorImpl<Tensor>;

/// Evaluates an op, reporting errors on it. The number and static sizes of the
/// operands have been checked against the op's types.
using Handler = llvm::LogicalResult (*)(mlir::Operation *op, Operands in,
                                        Results &out);
using Registry = llvm::StringMap<Handler>;

void registerTensorOps(Registry &registry);
void registerLinalgOps(Registry &registry);
void registerHwgqOps(Registry &registry);
void registerBitpackOps(Registry &registry);
void registerOnnxElementwise(Registry &registry);
void registerOnnxMath(Registry &registry);
void registerOnnxQonnx(Registry &registry);
void registerOnnxQuantization(Registry &registry);
void registerOnnxContractions(Registry &registry);
void registerOnnxPooling(Registry &registry);
void registerOnnxReductions(Registry &registry);
void registerOnnxShapes(Registry &registry);
void registerOnnxData(Registry &registry);
void registerOnnxNormalization(Registry &registry);
void registerOnnxResize(Registry &registry);

/// Runs an element-wise arith or math op over tensors of one shape.
llvm::LogicalResult evaluateElementwise(mlir::Operation *op,
                                        const ElementKernel &kernel,
                                        Operands in, Results &out);

/// A zero tensor of this shape and element type, with errors at the op.
mlir::FailureOr<Tensor> makeTensor(mlir::Operation *op,
                                   llvm::ArrayRef<int64_t> shape,
                                   mlir::Type element);

/// A tensor of `shape` whose element at index i is the source's element
/// offset + sum of i[d] * strides[d], counted in elements. The caller
/// guarantees that all of these lie in the source.
mlir::FailureOr<Tensor> copyStrided(mlir::Operation *op, const Tensor &source,
                                    llvm::ArrayRef<int64_t> shape,
                                    llvm::ArrayRef<int64_t> strides,
                                    int64_t offset = 0);

/// The reverse: writes `source` in row-major order to the elements
/// offset + sum of i[d] * strides[d] of `target`.
void writeStrided(const Tensor &source, Tensor &target,
                  llvm::ArrayRef<int64_t> strides, int64_t offset);

/// Row-major strides of a shape, in elements.
llvm::SmallVector<int64_t> getStrides(llvm::ArrayRef<int64_t> shape);

/// Calls `body` with the index of each element of a shape, in row-major order.
void forEachIndex(llvm::ArrayRef<int64_t> shape,
                  llvm::function_ref<void(llvm::ArrayRef<int64_t>)> body);

} // namespace hwgq::reference

#endif // HWGQ_LIB_REFERENCE_HANDLERS_H
