//===- ThresholdSearch.h - codes of many thresholds -------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_THRESHOLDSEARCH_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_THRESHOLDSEARCH_H

#include "Loops.h"

namespace hwgq {

/// The number of thresholds that an accumulator reaches, where a channel has
/// many, by gathers instead of a comparison with each. Three ways, all exact:
/// - thresholds near each other (of bytes: an image): a table of the codes of
///   all accumulators from below the first threshold to the last;
/// - almost even ones: a line in f32 tells the number up to one, which is
///   checked here for every threshold, and a look at two corrects it;
/// - any others: halving, a threshold a bit of the code.
class ThresholdSearch {
public:
  /// So many thresholds of a channel, filled up to 2^k - 1, are worth it.
  static constexpr int64_t kMany = 63;

  /// `levels[i * channels + c]` is threshold i of channel c, ascending; the
  /// smallest and largest i32 are always and never reached. Channels with
  /// `keeps[c]` 0 only meet the accumulator 0. Nothing where there are few
  /// thresholds.
  static std::optional<ThresholdSearch> get(LoopBuilder &b,
                                            llvm::ArrayRef<int32_t> levels,
                                            llvm::ArrayRef<int32_t> keeps,
                                            int64_t channels);

  /// The codes (vector of i32) of accumulators (the same) of channels
  /// [channel, ...); of the only one where `get` was given one channel.
  mlir::Value codes(LoopBuilder &b, mlir::Value acc, mlir::Value channel) const;

private:
  using Rows = std::vector<std::vector<int32_t>>; // thresholds by channel

  bool makeTable(LoopBuilder &b, const Rows &rows);
  bool makeLine(LoopBuilder &b, const Rows &rows,
                llvm::ArrayRef<int32_t> keeps);
  void makeSorted(LoopBuilder &b, const Rows &rows);

  mlir::Value fromTable(LoopBuilder &b, mlir::Value acc,
                        mlir::Value channel) const;
  mlir::Value fromLine(LoopBuilder &b, mlir::Value acc,
                       mlir::Value channel) const;
  mlir::Value byHalves(LoopBuilder &b, mlir::Value acc,
                       mlir::Value channel) const;
  /// Of the rows of each lane's channel in `entries`, the element at `index`.
  mlir::Value gather(LoopBuilder &b, mlir::Value channel, mlir::Value index,
                     int64_t offset = 0) const;
  /// A vector of a number of each channel.
  mlir::Value perChannel(LoopBuilder &b, mlir::VectorType type,
                         mlir::Value table, mlir::Value channel) const;

  int64_t count = 0, channels = 0;
  mlir::Value entries; // [channel][size] x i32
  int64_t size = 0;
  // Of the table: what its first code stands for, i32 a channel.
  mlir::Value start;
  // Of the line, and its ends, f32 a channel.
  mlir::Value base, factor, first, low, high;
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_THRESHOLDSEARCH_H
