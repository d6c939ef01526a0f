//===- AmxTile.h - blocks of AMX tiles --------------------------*- C++ -*-===//
//
// Sums of u8 x s8 products by `tdpbusd` for a block of up to four tiles of 16
// pixels x 16 output channels: tiles 0-3 accumulate, 4-7 hold operands.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_AMXTILE_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_AMXTILE_H

#include "Loops.h"

namespace hwgq {

/// The shape of a block and of the window that it sums over: kh x kw places in
/// memory, each of `steps` runs of `depth` bytes.
struct AmxTile {
  static constexpr int64_t kRows = 16, kLanes = 16;

  int64_t pixelTiles = 2, channelTiles = 2; // at most 4 accumulators
  int64_t depth = 64;                       // a multiple of 4, at most 64
  int64_t steps = 1, kh = 1, kw = 1;
  int64_t strideY = 0, strideX = 0; // bytes from a place to the next
  int64_t pixelStep = 0;            // bytes from an output's input to the next

  int64_t pixels() const { return pixelTiles * kRows; }
  int64_t channels() const { return channelTiles * kLanes; }
  /// Steps of the whole window.
  int64_t totalSteps() const { return kh * kw * steps; }
  /// Bytes of weights of a step.
  int64_t stepBytes() const { return channelTiles * depth * kLanes; }
};

/// Configures the tiles for `rows` (index, 1 to 16) pixels a tile. `memory`
/// are 64 bytes (i8) to be overwritten.
void emitAmxConfigure(LoopBuilder &b, const AmxTile &tile, mlir::Value rows,
                      mlir::Value memory);
/// Frees the tile registers.
void emitAmxRelease(LoopBuilder &b);

/// Emits the sums of one block.
/// `acts`: for each pixel tile the address (i64) of the first byte of its first
/// pixel's window. `weights(k)`: the address of those of step k, as
/// [channelTiles][depth / 4][16 channels][4] bytes. `sums`: where they go (i64
/// address), [pixelTiles * 16][channelTiles * 16] x i32. `beside(k)` is called
/// in every step and may emit other work.
void emitAmxTile(LoopBuilder &b, const AmxTile &tile, mlir::ValueRange acts,
                 llvm::function_ref<mlir::Value(mlir::Value)> weights,
                 mlir::Value sums, LoopBuilder::Body beside);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_AMXTILE_H
