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

/// An element-wise linalg.generic for whoever takes its result row by row and
/// needs no memory for all of it: a row is what follows the first `leading`
/// dimensions, 2 of images [N][H][W][C] and 1 of matrices.
class ImageRows {
public:
  /// Null where its rows cannot be computed one by one.
  static std::unique_ptr<ImageRows>
  get(mlir::linalg::GenericOp op, unsigned leading,
      mlir::ConversionPatternRewriter &rewriter, const LoopOptions &options);
  ~ImageRows();

  /// The first dimension.
  mlir::Value batch();
  /// Writes the row at `index` to the flat `memory` from element `at` on.
  void emit(mlir::OpBuilder &builder, llvm::ArrayRef<mlir::Value> index,
            mlir::Value memory, mlir::Value at);

private:
  explicit ImageRows(std::unique_ptr<GenericLowering> lowering);
  std::unique_ptr<GenericLowering> lowering;
};

} // namespace hwgq

#endif // HWGQ_CONVERSION_TENSORTOLOOPS_H
