//===- FloatWeights.h - weights of chains of floats -------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_FLOATWEIGHTS_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_FLOATWEIGHTS_H

#include "Contraction.h"

namespace hwgq {

/// Constant weights that multiply floats, read as f32: floats, or codes that
/// stay packed, [block][kh][kw][c][bit][channel of the block], and are widened
/// to f32(n) where they are loaded. Blocks hold channels of one group.
class FloatWeights {
public:
  /// Blocks of `block` channels, a multiple of 8 for codes; an error on the op
  /// where the weights are no readable constant.
  static mlir::FailureOr<FloatWeights>
  pack(LoopBuilder &b, const ConvLoops &conv, int64_t block);

  int64_t block() const { return size; }
  int64_t blocksOfGroup() const { return blocks; }
  /// Whether they are floats, finite, and each is 0 or of at least kNormal.
  bool areNormal() const { return normal; }
  /// A sum of products of two floats that are 0 or not below 2^-50, from +0 on,
  /// is a multiple of 2^-146: it does not underflow, and is no -0.
  static constexpr float kNormal = 0x1p-50f;
  /// The number of the tap c of (ky, kx) in a block, counted over all blocks.
  mlir::Value place(LoopBuilder &b, mlir::Value block, mlir::Value ky,
                    mlir::Value tap) const;

  /// Channels [channel, channel + count) of a block at a place, in vectors of
  /// at most a register; for codes `channel` and `count` are multiples of 8.
  Values load(LoopBuilder &b, mlir::Value place, mlir::Value channel,
              int64_t count) const;
  /// The same for places [place, place + places), stored as [places][count].
  void widen(LoopBuilder &b, mlir::Value place, mlir::Value places,
             mlir::Value channel, int64_t count, mlir::Value to) const;

private:
  FloatWeights(const ConvLoops &conv, int64_t block);
  void packFloats(LoopBuilder &b, const ConvLoops &conv,
                  llvm::ArrayRef<float> values);
  void packCodes(LoopBuilder &b, const ConvLoops &conv,
                 llvm::ArrayRef<uint8_t> codes);
  mlir::Value widenBits(LoopBuilder &b, mlir::Value byte, int64_t offset,
                        mlir::VectorType type, int64_t plane) const;

  CodeType code; // null for floats
  int64_t size, blocks, kh, rowTaps;
  bool normal = false;
  mlir::Value memory;
  Values tables; // [256][8] x f32 a plane; none where masks are registers
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_FLOATWEIGHTS_H
