//===- RunTimeScales.h - scales that a network computes ---------*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_RUNTIMESCALES_H
#define HWGQ_TRANSFORMS_RUNTIMESCALES_H

#include "hwgq/Dialect/HWGQ.h"

namespace hwgq {

/// Factors and divisors of a contraction's input that are tensors and the same
/// for all terms of each of its sums: per token, per image, or for all; per
/// pixel where the kernel is 1x1.
class RunTimeScales {
public:
  /// The input without them; null where there are none.
  mlir::Value take(mlir::OpBuilder &builder, mlir::Operation *contraction,
                   mlir::Value input);

  /// Forgets them.
  void clear() { scales.clear(); }

  /// The contraction's result times, and by, what was taken, innermost first.
  mlir::Value apply(mlir::OpBuilder &builder, mlir::Location loc,
                    mlir::Value result);

private:
  struct Scale {
    mlir::Value tensor;
    llvm::SmallVector<int64_t> dimensions; ///< Of the input: the tensor's.
    bool divides;
  };

  /// The scale in the shape of the result, whose first dimensions are the rows.
  mlir::Value spread(mlir::OpBuilder &builder, mlir::Location loc,
                     const Scale &scale, mlir::Value result);

  llvm::SmallVector<Scale, 2> scales; ///< Outermost first.
  mlir::Value source; ///< The input, before rows became one dimension.
  int64_t rows = 0;   ///< Leading dimensions that no sum runs over.
};

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_RUNTIMESCALES_H
