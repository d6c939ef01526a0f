//===- WindowSums.h - sums of codes over windows ----------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_WINDOWSUMS_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_WINDOWSUMS_H

#include "Contraction.h"

namespace hwgq {

/// S of Accumulator: for each output pixel of a task the sum of the codes of
/// all taps and channels (of its group), from bit planes or bytes; the halo
/// adds 0.
class WindowSums {
public:
  /// `acts` is viewRows of the input. Allocates memory for all tasks.
  WindowSums(LoopBuilder &b, const ConvLoops &conv, const Tasking &tasking,
             mlir::Value acts);

  /// Computes the sums of a task.
  void compute(LoopBuilder &b, const Task &task) const;

  /// The sum (i32) of pixel (n, y, x).
  mlir::Value get(LoopBuilder &b, const Task &task, mlir::Value n,
                  mlir::Value y, mlir::Value x) const;

private:
  int64_t columns() const;
  int64_t ring() const;
  mlir::Value groupStart(LoopBuilder &b, const Task &task) const;
  mlir::Value wordsSum(LoopBuilder &b, mlir::Value n, mlir::Value row,
                       mlir::Value at, mlir::Value sum) const;
  mlir::Value bytesSum(LoopBuilder &b, mlir::Value n, mlir::Value row,
                       mlir::Value at, mlir::Value sum) const;
  mlir::Value columnSum(LoopBuilder &b, mlir::Value n, mlir::Value y,
                        mlir::Value at, int64_t taps) const;
  void sumRow(LoopBuilder &b, const Task &task, mlir::Value row) const;

  const ConvLoops &conv;
  const Image &in;
  mlir::Value acts, scratch;
  int64_t span;               // elements of a pixel that belong to a group
  int64_t lanes;              // of a vector of sums
  int64_t width;              // of a line of scratch
  int64_t lineSize, taskSize; // of scratch
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_WINDOWSUMS_H
