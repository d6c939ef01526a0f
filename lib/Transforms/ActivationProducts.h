//===- ActivationProducts.h - products of two activations -------*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_ACTIVATIONPRODUCTS_H
#define HWGQ_TRANSFORMS_ACTIVATIONPRODUCTS_H

#include "hwgq/Dialect/HWGQ.h"
#include "mlir/IR/Builders.h"

namespace hwgq {

/// What the dimensions of two activations are in their product, as in
/// hwgq.product.
struct ProductDims {
  llvm::SmallVector<int64_t> input, weight;
};

/// The dimensions of a batched product of floats, a chain of fma from +0, that
/// hwgq.product has a form for.
std::optional<ProductDims> matchProduct(mlir::Operation *op);

/// Whether codes of the operands of a product may be packed: no size but that
/// of the first dimension is dynamic, and none is 0.
bool hasKnownSizes(mlir::Operation *product);

/// The product of codes; transposes that make them become a part of it.
mlir::Value createProduct(mlir::OpBuilder &builder, mlir::Location loc,
                          ProductDims dims, mlir::Value input,
                          mlir::Value weight);

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_ACTIVATIONPRODUCTS_H
