//===- ThresholdEstimate.h - codes of many thresholds -----------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_THRESHOLDESTIMATE_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_THRESHOLDESTIMATE_H

#include "Loops.h"

namespace hwgq {

/// The number of thresholds that an accumulator reaches, where a channel has
/// many that lie almost evenly: a line in f32 tells it up to one, and a look at
/// two thresholds corrects it. Exact: whether the line is near enough is
/// checked here for every threshold.
class ThresholdEstimate {
public:
  /// `levels[i * channels + c]` is threshold i of channel c, ascending; the
  /// smallest and largest i32 are always and never reached. Channels with
  /// `keeps[c]` 0 only meet the accumulator 0. Nothing where there are few
  /// thresholds or a channel's are too uneven.
  static std::optional<ThresholdEstimate> get(LoopBuilder &b,
                                              llvm::ArrayRef<int32_t> levels,
                                              llvm::ArrayRef<int32_t> keeps,
                                              int64_t channels);

  /// The codes (vector of i32) of accumulators (the same) of channels
  /// [channel, ...); of the only one where `get` was given one channel.
  mlir::Value codes(LoopBuilder &b, mlir::Value acc, mlir::Value channel) const;

private:
  int64_t count = 0, channels = 0;
  mlir::Value base, factor, first; // of the line, f32 a channel
  mlir::Value low, high;           // its ends, f32
  mlir::Value sorted; // [channel][smallest, thresholds, largest] x i32
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_THRESHOLDESTIMATE_H
