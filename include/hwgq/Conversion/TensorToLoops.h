//===- TensorToLoops.h - upstream tensor ops to loops -----------*- C++ -*-===//
#ifndef HWGQ_CONVERSION_TENSORTOLOOPS_H
#define HWGQ_CONVERSION_TENSORTOLOOPS_H

#include "hwgq/Conversion/BitpackToLoops.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Transforms/DialectConversion.h"

#include <memory>

namespace hwgq {

/// Adds the patterns that turn linalg.generic and the tensor dialect's data
/// movement into parallel loops over memrefs.
void populateTensorToLoopsPatterns(mlir::RewritePatternSet &patterns,
                                   const mlir::TypeConverter &converter,
                                   const LoopOptions &options);

/// Whether each op of the body has a form on vectors.
inline bool hasVectorBody(mlir::linalg::GenericOp op) {
  return llvm::all_of(op.getRegion().front().without_terminator(),
                      [](mlir::Operation &inner) {
                        return inner.hasTrait<mlir::OpTrait::ConstantLike>() ||
                               inner.hasTrait<mlir::OpTrait::Vectorizable>();
                      });
}

class GenericLowering;

/// An element-wise linalg.generic whose result is an image [N][H][W][C], for
/// whoever takes it row by row and needs no memory for all of it.
class ImageRows {
public:
  /// Null where its rows cannot be computed one by one.
  static std::unique_ptr<ImageRows>
  get(mlir::linalg::GenericOp op, mlir::ConversionPatternRewriter &rewriter,
      const LoopOptions &options);
  ~ImageRows();

  /// N.
  mlir::Value batch();
  /// Writes row y of image n to the flat `memory` from element `at` on.
  void emit(mlir::OpBuilder &builder, mlir::Value n, mlir::Value y,
            mlir::Value memory, mlir::Value at);

private:
  explicit ImageRows(std::unique_ptr<GenericLowering> lowering);
  std::unique_ptr<GenericLowering> lowering;
};

} // namespace hwgq

#endif // HWGQ_CONVERSION_TENSORTOLOOPS_H
