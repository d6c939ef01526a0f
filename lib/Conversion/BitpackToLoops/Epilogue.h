//===- Epilogue.h - from accumulators to the result -------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_EPILOGUE_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_EPILOGUE_H

#include "Contraction.h"

namespace hwgq {

/// What follows the dot products of a contraction, the same for every kernel:
/// thresholds and codes in the form of the result, the accumulators as they
/// are, or the element-wise ops of its group. The only place where the result
/// of a contraction is stored.
class Epilogue {
public:
  /// `lanes` channels come at a time: a multiple of 8, and a power of two up to
  /// 64 where a group has more than one vector. Vectors may be handed over for
  /// the first `covered` channels of each group of `groupOut`: what lies
  /// beyond the group is dropped. Results in planes need covered == groupOut,
  /// or one group.
  /// Accumulators are of `bits` bits, 32, or 16 where none is the largest i16.
  Epilogue(LoopBuilder &b, const ConvLoops &conv, int64_t lanes,
           int64_t covered, int64_t groups, int64_t groupOut,
           unsigned bits = 32);
  Epilogue(LoopBuilder &b, const ConvLoops &conv, int64_t lanes,
           int64_t covered, unsigned bits = 32)
      : Epilogue(b, conv, lanes, covered, conv.groups, conv.groupOut, bits) {}

  /// Whether accumulators of 16 bits are worth while, since they fit and are
  /// only compared with few thresholds, or widened once two registers are
  /// one.
  static bool prefers16(const ConvLoops &conv);

  /// Stores the outputs of channels [channel, channel + lanes) of pixel (n, y,
  /// x), whose accumulators (vector of i32, i16 or f32) are `acc`. A channel is
  /// a multiple of `lanes` within its group.
  void finish(LoopBuilder &b, mlir::Value acc, mlir::Value n, mlir::Value y,
              mlir::Value x, mlir::Value channel) const;

private:
  /// Calls store(valid) with the number of lanes that are channels: what is
  /// known to be whole without a test.
  void guard(LoopBuilder &b, mlir::Value channel,
             llvm::function_ref<void(int64_t)> store) const;

  const Image &out;
  const Pointwise *group;
  int64_t lanes, covered, groups, groupOut;
  std::optional<ThresholdTable> thresholds;
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_EPILOGUE_H
