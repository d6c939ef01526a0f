//===- FloatTile.h - the inner loops of f32 contractions --------*- C++ -*-===//
//
// Register tiles of f32 dot products. Every output is one chain of fma from +0
// over (kh, kw, c), whatever the tile: a tile only runs many chains at once.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_FLOATTILE_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_FLOATTILE_H

#include "hwgq/Conversion/BitpackToLoops.h"
#include <functional>

namespace hwgq {

/// One tile: `pixels` outputs of one row times `block` output channels.
/// Distances are in elements, between rows in rows.
struct FloatTile {
  int64_t pixels = 1;
  int64_t block = 4;      // of the weight layout
  int64_t kh = 1, kw = 1; // filter
  int64_t channels = 1;   // input channels of a tap
  int64_t pixelStep = 0;  // from an output pixel to the next: stride * C
  int64_t tapStepX = 0;   // from a tap to the next: dilation * C
  int64_t tapStepY = 1;   // rows from a tap to the next: dilation
  /// Lanes of the vectors of a block; 0 for whole registers.
  int64_t lanes = 0;
  /// Products with the weights are exact (weights are -1, 0 or 1), so that a
  /// product and a sum are a fused multiply-add.
  bool exactProducts = false;
  /// Vectors of weights at (ky, kx * channels + c) of a block that is not
  /// stored as floats.
  std::function<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::Value)>
      loadWeights;
};

/// Output channels that one block of weights should hold: registers of
/// weights, or less where there are fewer channels.
int64_t getFloatBlock(const LoopOptions &options, int64_t channels);

/// Pixels of a tile in rows of `width` outputs; what is left of a row is a
/// tile of its own, of width % pixels.
int64_t getFloatPixels(const LoopOptions &options, int64_t block,
                       int64_t width);

/// Emits the sums of a tile: a vector<block x f32> for each pixel.
/// acts: memref<N x rows x elements-of-a-row x f32>, padded, channels
/// innermost; the first tap of the first pixel is at [n, row, column].
/// weights: memref<blocks x kh x (kw*channels) x block x f32>.
llvm::SmallVector<mlir::Value>
emitFloatTile(mlir::OpBuilder &builder, mlir::Location loc,
              const LoopOptions &options, const FloatTile &tile,
              mlir::Value acts, mlir::Value n, mlir::Value row,
              mlir::Value column, mlir::Value weights, mlir::Value block);

} // namespace hwgq

#endif
