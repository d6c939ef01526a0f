//===- ContractionRewriter.h - contractions on codes ------------*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_CONTRACTIONREWRITER_H
#define HWGQ_TRANSFORMS_CONTRACTIONREWRITER_H

#include "ActivationProducts.h"
#include "hwgq/Transforms/Codes.h"

namespace hwgq {

/// One operand of a contraction, in the best form known: a sum of planes, of
/// which affine codes are the case of one, or floats.
struct Operand {
  mlir::Value real;                ///< The float tensor.
  llvm::SmallVector<Plane> planes; ///< Empty for floats.
  bool affine = false;             ///< One plane that carries the scale.
  std::string reason;              ///< Why it is not on codes.
};

/// Rewrites `hwgq.conv2d`, `hwgq.matmul` and products of two activations (see
/// matchProduct) on floats to contractions on codes.
class ContractionRewriter {
public:
  /// Puts one contraction on codes as far as its operands allow, or writes
  /// `hwgq.reason` on it, with a remark. True when both operands are codes now.
  /// Fails with an error where the sum of codes may leave int32.
  mlir::FailureOr<bool> rewrite(mlir::Operation *op);

private:
  /// The geometry that stays the same whatever the operands are.
  struct Shape {
    mlir::Operation *op; ///< The contraction as it stood.
    int64_t groups = 1;
    int64_t outputs = 0;    ///< Output channels.
    bool flattened = false; ///< A matmul that has become a conv2d.
    /// Of a product of two activations.
    std::optional<ProductDims> product = std::nullopt;
  };

  /// `partner` says whether the other operand is on codes: only then are codes
  /// made of a tensor that is float in the graph and takes few values.
  Operand readActivation(mlir::OpBuilder &builder, mlir::Value value,
                         bool partner);
  Operand readWeight(mlir::OpBuilder &builder, mlir::Value value, int64_t rows);
  void mergePad(Conv2DOp op);
  bool unflatten(mlir::OpBuilder &builder, MatMulOp op, mlir::Value &input,
                 mlir::Value &weight);
  mlir::Value contract(mlir::OpBuilder &builder, const Shape &shape,
                       mlir::Value input, mlir::Value weight);
  mlir::Value flatten(mlir::OpBuilder &builder, const Shape &shape,
                      mlir::Value value);
  mlir::Value sumOfPlanes(mlir::OpBuilder &builder, const Shape &shape,
                          const Operand &x, const Operand &w);
  /// v becomes fma(f32(acc), products of coefficients, v), +0 at first.
  bool addProduct(mlir::OpBuilder &builder, const Shape &shape, const Plane &x,
                  const Plane &w, mlir::Value &v);
  /// The product with an input that is a concatenation of codes with different
  /// scales: one contraction a part. Null where it is none.
  mlir::FailureOr<mlir::Value> sumOfParts(mlir::OpBuilder &builder,
                                          const Shape &shape, mlir::Value input,
                                          const Operand &w);
  /// The same of a product of two activations; leaves floats as they are.
  mlir::FailureOr<bool> rewriteProduct(Shape shape);
  /// Fails with an error where a sum of codes may leave int32.
  mlir::LogicalResult checkInt32(const Shape &shape, const Operand &x,
                                 const Operand &w);
  mlir::Value affineProduct(mlir::OpBuilder &builder, const Shape &shape,
                            const Operand &x, const Operand &w);
  mlir::Value mixedProduct(mlir::OpBuilder &builder, const Shape &shape,
                           const Operand &x, const Operand &w);
  /// The coefficients of an activation per output channel, or one; nothing
  /// where it has a scale per channel that the contraction sums over.
  std::optional<llvm::SmallVector<double>>
  perOutput(const Shape &shape, llvm::ArrayRef<double> coefficients,
            int64_t inputChannels);

  ConstantReader constants;
};

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_CONTRACTIONREWRITER_H
