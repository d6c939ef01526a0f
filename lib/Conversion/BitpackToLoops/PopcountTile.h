//===- PopcountTile.h - the inner loops of popcount kernels -----*- C++ -*-===//
//
// Register tiles of bit-packed dot products, as loops over vectors. One
// skeleton serves every target: with an instruction that counts the bits of
// 64-bit lanes, or by byte counts that are widened late.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POPCOUNTTILE_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POPCOUNTTILE_H

#include "mlir/IR/Builders.h"

namespace hwgq {

class LoopBuilder;

/// How a target counts bits, and the tile that measurement found best for it.
struct PopcountTarget {
  int64_t lanes;         // 64-bit lanes of a vector register
  bool countsWords;      // ctpop of 64-bit lanes is one instruction
  int64_t accumulators;  // registers that the sums of a tile may take
  int64_t maxPixels;     // pixels of a tile
  int64_t block;         // output channels of a tile where there are enough
  bool scalable = false; // `lanes` are the least; the machine knows how many
};

/// The popcount form of a target with `vectorRegisters` registers of
/// `vectorBytes`, which counts the bits of 64-bit lanes by one instruction
/// (`vectorPopcount`) or the bits of bytes.
PopcountTarget getPopcountTarget(int64_t vectorBytes, int64_t vectorRegisters,
                                 bool vectorPopcount);

/// The same for scalable registers (SVE), of at least 128 bits.
PopcountTarget getScalablePopcountTarget();

/// One tile: `pixels` outputs of one row times `block` output channels.
/// Distances in the row of words are in words, between rows in rows.
struct PopcountTile {
  int64_t pixels = 1;
  int64_t block = 8;                     // of the weight layout
  int64_t planesA = 1, planesW = 1;      // bits of a code
  bool signedA = false, signedW = false; // the top plane counts negative
  int64_t kh = 1, kw = 1;                // filter
  int64_t words = 1;                     // 64-channel words of a pixel
  int64_t pixelStep =
      0; // from an output pixel to the next: stride*words*planesA
  int64_t tapStepX = 0;    // from a tap to the next: dilation*words*planesA
  int64_t tapStepY = 1;    // rows from a tap to the next: dilation
  bool prefetches = false; // weights that no nearer cache will hold

  /// Plane a of the input against plane w of the weights, whose count weighs
  /// 2^(a + w), negative or not.
  struct PlanePair {
    int64_t a, w;
    bool negative;
  };
  int64_t numPlanePairs() const { return planesA * planesW; }
  PlanePair planePair(int64_t number) const {
    int64_t a = number % planesA, w = number / planesA;
    return {a, w,
            (signedA && a == planesA - 1) != (signedW && w == planesW - 1)};
  }
};

/// Registers of sums of a tile for each pixel and pair of planes, and pairs of
/// planes that are counted at a time.
int64_t getPopcountVectors(const PopcountTarget &target,
                           const PopcountTile &tile);
int64_t getPopcountPlanePairs(const PopcountTarget &target,
                              const PopcountTile &tile);

/// Output channels that one block of weights should hold, a multiple of 8.
int64_t getPopcountBlock(const PopcountTarget &target, int64_t channels);

/// Pixels of a tile in rows of `width` outputs; what is left of a row is a
/// tile of its own, of width % pixels.
int64_t getPopcountPixels(const PopcountTarget &target,
                          const PopcountTile &tile, int64_t width);

/// Emits the sums of a tile: for each pixel a vector<block x i32> of
///   sum over taps, words, planes p of a and q of w of
///     c_p * c_q * popcount(a[p] & w[q]),  c = 2^plane, the top one negative if
///     signed.
/// acts: memref<N x rows x words-of-a-row x i64>, channel words and planes
/// innermost; the first tap of the first pixel is at [n, row, column].
/// weights: memref<blocks x kh x (kw*words) x (planesW*block) x i64>.
llvm::SmallVector<mlir::Value>
emitPopcountTile(mlir::OpBuilder &builder, mlir::Location loc,
                 const PopcountTarget &target, const PopcountTile &tile,
                 mlir::Value acts, mlir::Value n, mlir::Value row,
                 mlir::Value column, mlir::Value weights, mlir::Value block);

/// The same sums on scalable registers of any length, stored to
/// sums: memref<i32> of pixels x block.
void emitScalablePopcountTile(LoopBuilder &builder,
                              const PopcountTarget &target,
                              const PopcountTile &tile, mlir::Value acts,
                              mlir::Value n, mlir::Value row,
                              mlir::Value column, mlir::Value weights,
                              mlir::Value block, mlir::Value sums);

/// The planes of the code that counts how many thresholds `acc` reaches
/// (acc >= T), lowest plane first: vectors of i1. `thresholds` are 2^k - 1
/// vectors like `acc`, ascending in each lane; a lane with fewer thresholds
/// ends in the largest i32. One compare a plane: the next lower plane compares
/// with a threshold selected by the planes above it.
llvm::SmallVector<mlir::Value>
emitThresholdPlanes(mlir::OpBuilder &builder, mlir::Location loc,
                    mlir::Value acc, llvm::ArrayRef<mlir::Value> thresholds);

/// Stores a vector of i1 (a multiple of 8) as bytes at `indices` of a memref
/// of i8; lane 0 is the lowest bit of the first byte.
void emitStoreMask(mlir::OpBuilder &builder, mlir::Location loc,
                   mlir::Value mask, mlir::Value bytes,
                   mlir::ValueRange indices);

} // namespace hwgq

#endif
