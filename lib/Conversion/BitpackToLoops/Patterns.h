//===- Patterns.h - the patterns of packed ops ------------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_PATTERNS_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_PATTERNS_H

#include "Loops.h"

namespace hwgq {

/// A pattern that lowers one op with the options of the target: `emit` builds
/// the loops and returns the memory of the result.
template <typename OpTy> struct LoopPattern : mlir::OpConversionPattern<OpTy> {
  using Adaptor = typename OpTy::Adaptor;

  LoopPattern(const mlir::TypeConverter &converter, mlir::MLIRContext *context,
              const LoopOptions &options)
      : mlir::OpConversionPattern<OpTy>(converter, context), options(options) {}

  virtual mlir::FailureOr<mlir::Value> emit(LoopBuilder &b, OpTy op,
                                            Adaptor adaptor) const = 0;

  mlir::LogicalResult
  matchAndRewrite(OpTy op, Adaptor adaptor,
                  mlir::ConversionPatternRewriter &rewriter) const override {
    LoopBuilder b(op.getLoc(), rewriter, options);
    mlir::FailureOr<mlir::Value> result = emit(b, op, adaptor);
    if (failed(result))
      return mlir::failure();
    rewriter.replaceOp(op, *result);
    return mlir::success();
  }

  LoopOptions options;
};

inline mlir::RankedTensorType tensorType(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}

void populatePackedElementwise(mlir::RewritePatternSet &patterns,
                               const mlir::TypeConverter &converter,
                               const LoopOptions &options);
void populatePackedMoves(mlir::RewritePatternSet &patterns,
                         const mlir::TypeConverter &converter,
                         const LoopOptions &options);
void populatePackedPools(mlir::RewritePatternSet &patterns,
                         const mlir::TypeConverter &converter,
                         const LoopOptions &options);
void populatePlainPools(mlir::RewritePatternSet &patterns,
                        const mlir::TypeConverter &converter,
                        const LoopOptions &options);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_PATTERNS_H
