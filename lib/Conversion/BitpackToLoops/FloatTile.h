//===- FloatTile.h - the inner loops of f32 contractions --------*- C++ -*-===//
//
// Register tiles of f32 dot products. Every output is one chain of fma from +0
// over (kh, kw, c), whatever the tile: a tile only runs many chains at once.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_FLOATTILE_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_FLOATTILE_H

#include "hwgq/Conversion/BitpackToLoops.h"

namespace hwgq {

/// One tile: `pixels` outputs of one row times `block` output channels.
/// Distances are in elements, between rows in rows.
struct FloatTile {
  int64_t pixels = 1;
  int64_t block = 4;      // output channels
  int64_t kh = 1, kw = 1; // filter
  int64_t channels = 1;   // input channels of a tap
  int64_t pixelStep = 0;  // from an output pixel to the next: stride * C
  int64_t tapStepX = 0;   // from a tap to the next: dilation * C
  int64_t tapStepY = 1;   // rows from a tap to the next: dilation
  /// Products with the weights are exact (weights are -1, 0 or 1), so that a
  /// product and a sum are a fused multiply-add.
  bool exactProducts = false;

  /// Whether the elements of a filter row lie side by side.
  bool dense() const { return kw == 1 || tapStepX == channels; }
};

/// Output channels of a tile: registers of weights, or less where there are
/// fewer channels.
int64_t getFloatBlock(const LoopOptions &options, int64_t channels);

/// The largest block up to `most` (a power of two) of which the last one is not
/// mostly empty.
int64_t getFloatBlock(const LoopOptions &options, int64_t channels,
                      int64_t most);

/// Pixels of a tile in rows of `width` outputs; what is left of a row is a
/// tile of its own, of width % pixels.
int64_t getFloatPixels(const LoopOptions &options, int64_t block,
                       int64_t width);

/// Vectors of the weights of a block at (ky, kx * channels + c).
using FloatWeightsAt = llvm::function_ref<llvm::SmallVector<mlir::Value>(
    mlir::Value, mlir::Value)>;

/// The elements of a filter row that take part, in order: `count` of them, of
/// which number i is at(i).
struct FloatElements {
  mlir::Value count;
  llvm::function_ref<mlir::Value(mlir::Value)> at;
};

/// Emits the sums of a tile: a vector<block x f32> for each pixel.
/// acts: memref<N x rows x elements-of-a-row x f32>, padded, channels
/// innermost; the first tap of the first pixel is at [n, row, column].
/// `some` is for dense tiles: without it all elements take part.
llvm::SmallVector<mlir::Value>
emitFloatTile(mlir::OpBuilder &builder, mlir::Location loc,
              const LoopOptions &options, const FloatTile &tile,
              mlir::Value acts, mlir::Value n, mlir::Value row,
              mlir::Value column, FloatWeightsAt weights,
              const FloatElements *some = nullptr);

/// A part of it: adds to `sums`, registers of each pixel after those of the
/// pixel before, the products of elements of a row, of which those side by side
/// begin at [n, row, column] for the first pixel. weights(i): of element i.
llvm::SmallVector<mlir::Value> emitFloatTaps(
    mlir::OpBuilder &builder, mlir::Location loc, const LoopOptions &options,
    const FloatTile &tile, mlir::Value acts, mlir::Value n, mlir::Value row,
    mlir::Value column, const FloatElements &elements, mlir::ValueRange sums,
    llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value)> weights);

/// A register of the sums of a tile.
mlir::VectorType getFloatRegister(mlir::OpBuilder &builder,
                                  const LoopOptions &options,
                                  const FloatTile &tile);

} // namespace hwgq

#endif
