//===- ThresholdFolder.h - quantisers behind accumulators -------*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_THRESHOLDFOLDER_H
#define HWGQ_TRANSFORMS_THRESHOLDFOLDER_H

#include "hwgq/Transforms/Codes.h"
#include "hwgq/Transforms/Thresholds.h"

namespace hwgq {

/// Rewrites `quantize(chain(affine(acc)))` to `hwgq.threshold` on acc. Data
/// movement and max-pools on the way move behind the threshold.
class ThresholdFolder {
public:
  explicit ThresholdFolder(bool verify) : verify(verify) {}

  /// The codes that replace a quantiser, or failure with getReason.
  mlir::FailureOr<mlir::Value> fold(QuantizeOp op);
  llvm::StringRef getReason() const { return reason; }
  /// Whether verification has found thresholds that differ from the graph; the
  /// error has been emitted.
  bool hasMismatch() const { return mismatch; }
  /// Rows of thresholds made so far.
  int64_t getRows() const { return rows; }

private:
  /// What lies between an accumulator and the quantiser, from the quantiser's
  /// side: a chain from one value to another, or an op that moves elements
  /// (with the channel at which this operand of a concatenation starts).
  struct Stage {
    mlir::Value from, to;
    mlir::Operation *move = nullptr;
    int64_t offset = 0;
  };
  /// Codes in place of a float tensor; for each max-pool that is still to come,
  /// the channels where it takes the minimum.
  struct Result {
    mlir::Value codes;
    llvm::DenseMap<mlir::Operation *, llvm::SmallVector<bool>> falling;
  };

  mlir::FailureOr<Result> emit(mlir::Value value,
                               llvm::SmallVectorImpl<Stage> &stages);
  mlir::FailureOr<Result> emitMove(mlir::Operation *op,
                                   llvm::SmallVectorImpl<Stage> &stages);
  mlir::FailureOr<Result> emitConcat(mlir::tensor::ConcatOp op,
                                     llvm::SmallVectorImpl<Stage> &stages);
  mlir::FailureOr<Result> emitThreshold(mlir::Value source, AffineOp affine,
                                        llvm::ArrayRef<Stage> stages);
  mlir::FailureOr<Result> emitFlattened(mlir::Operation *op,
                                        llvm::ArrayRef<Stage> stages);
  mlir::LogicalResult appendStages(
      ElementFunction &function, llvm::ArrayRef<Stage> stages,
      llvm::SmallVectorImpl<std::pair<mlir::Operation *, unsigned>> &pools);
  mlir::FailureOr<Result>
  makeThreshold(mlir::Value source, const ElementFunction &function,
                llvm::ArrayRef<NumberRange> ranges,
                llvm::ArrayRef<std::pair<mlir::Operation *, unsigned>> pools);
  std::string whyNoAccumulator(mlir::Value value);
  mlir::LogicalResult fail(const llvm::Twine &why) {
    reason = why.str();
    return mlir::failure();
  }

  bool verify, mismatch = false;
  int64_t rows = 0;
  std::string reason;
  QuantizeOp quantize;
  ConstantReader constants;
};

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_THRESHOLDFOLDER_H
