//===- Thresholds.h - functions of accumulators as thresholds ---*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_THRESHOLDS_H
#define HWGQ_TRANSFORMS_THRESHOLDS_H

#include "hwgq/Transforms/StepFinder.h"

namespace hwgq {

/// Integers low..high.
struct NumberRange {
  int64_t low, high;
};

/// The n that a tensor of codes can hold, from what makes it.
NumberRange reachableNumbers(mlir::Value codes);

/// The sums that each channel of an accumulator tensor can reach, or one range
/// for all: from the weights of each output channel and the reachable numbers
/// of the input, padding included; of a tensor of codes, its numbers.
llvm::SmallVector<NumberRange> reachableSums(mlir::Value sums);

/// Rows of `hwgq.threshold`.
struct ThresholdTable {
  int64_t rows = 0, count = 0;
  llvm::SmallVector<int32_t> thresholds;
  llvm::SmallVector<int8_t> directions;

  /// The code of n in a row, as `hwgq.threshold` defines it.
  int64_t evaluate(int64_t n, int64_t row) const;
};

/// Finds the thresholds of a function from integers n to the numbers of `type`,
/// row by row over `ranges` (one, or one a row) in steps of `stride`. Rows that
/// are not monotone by construction are enumerated up to 2^16 values a row and
/// 2^22 in all. Fails where a row rises and falls; `reason` says which.
mlir::FailureOr<ThresholdTable>
findThresholds(const ElementFunction &function, CodeType type,
               llvm::ArrayRef<NumberRange> ranges, int64_t stride,
               std::string &reason);

/// Evaluates the function at T - 1, T and T + 1 of every threshold and at both
/// ends of the range, everywhere where the range has at most 4096 values, and
/// compares with the table. Gives the first difference as text, or nothing.
std::optional<std::string> checkThresholds(const ElementFunction &function,
                                           CodeType type,
                                           llvm::ArrayRef<NumberRange> ranges,
                                           int64_t stride,
                                           const ThresholdTable &table);

/// How node `node` moves over the range on a row: one direction throughout and
/// never NaN, or nothing.
std::optional<Direction> findDirection(const ElementFunction &function,
                                       int64_t row, NumberRange range,
                                       int64_t stride, unsigned node);

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_THRESHOLDS_H
