//===- Dot8Tile.h - register tiles of products of bytes ---------*- C++ -*-===//
//
// Dot products of unsigned bytes (codes of activations) with signed bytes
// (numbers of weights) in vector registers, by what a target has for it.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_DOT8TILE_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_DOT8TILE_H

#include "Loops.h"

namespace hwgq {

/// How a target multiplies bytes.
struct Dot8Target {
  enum Form {
    Dot,     // one instruction: i32 lanes += sums of 4 products u8 x s8
    SignDot, // the same for s8 x s8
    Matrix,  // 2x2 blocks (pixels x channels) of i32 += 2x8 times 8x2 bytes
    Pairs,   // pmaddubsw: i16 lanes, sums of 2 products
    Words,   // pmaddwd on bytes widened to i16: sums of 2 products in i32
    Lanes,   // products in i16, one input channel at a time
  };
  Form form;
  llvm::StringRef instruction; // row of the table of target intrinsics
  int64_t lanes;               // i32 lanes of one vector of sums
  int64_t vectors, pixels;     // of a tile where there are enough
  /// How many steps a narrow sum takes before it is widened; 0: it is i32.
  int64_t narrowSteps = 0;
  /// Codes are read as code - 128.
  bool shifted = false;

  /// Input channels of a step.
  int64_t depth() const { return form == Lanes ? 1 : form == Matrix ? 8 : 4; }
  /// Pixels that one instruction takes: tiles of as many waste nothing.
  int64_t pixelsTogether() const { return form == Matrix ? 2 : 1; }
  /// The most pixels of a tile of so many vectors.
  int64_t mostPixels(int64_t tileVectors) const {
    constexpr int64_t kMost = 12;
    return std::min(pixels * vectors / tileVectors, kMost);
  }
  /// Pixels of the tiles, of about equal size, of a row.
  int64_t equalPixels(int64_t row, int64_t most) const;
  /// Elements of weights of a step for one vector of sums.
  int64_t stepElements() const { return lanes * depth(); }
  unsigned weightBits() const { return form == Words ? 16 : 8; }
};

/// The best form for codes up to `maxCode` (at most 255), weights whose numbers
/// are at most `maxWeight` (128) in magnitude, and places of `bytes` bytes (see
/// Dot8Tile).
Dot8Target getDot8Target(const LoopOptions &options, int64_t maxCode,
                         int64_t maxWeight, int64_t bytes);
/// The same by the types of the codes and of the numbers.
Dot8Target getDot8Target(const LoopOptions &options, CodeType codes,
                         CodeType numbers, int64_t bytes);

/// One tile: `pixels` outputs of one row times `vectors` vectors of output
/// channels, over kh x kw places of `bytes` bytes each. Distances are in bytes.
struct Dot8Tile {
  int64_t pixels = 1, vectors = 1;
  int64_t kh = 1, kw = 1, bytes = 4; // bytes: a multiple of 4
  int64_t strideY = 0, strideX = 0;  // from a place to the next
  int64_t pixelStep = 0;             // from an output's input to the next

  int64_t steps(const Dot8Target &target) const {
    return kh * kw * bytes / target.depth();
  }
};

/// Channel and byte of the place that element `at` of the weights of a step
/// for one vector stands for.
std::pair<int64_t, int64_t> getDot8Weight(const Dot8Target &target, int64_t at);

/// Emits the sums of a tile, `vectors` vectors of i32 for each pixel; for
/// shifted codes those of (code - 128) * weight.
/// acts: flat i8; the first pixel's window begins at `at`. weights: flat, with
/// the block's at `weightsAt`: [ky][kx][step][vector][stepElements].
Values emitDot8Tile(LoopBuilder &b, const Dot8Target &target,
                    const Dot8Tile &tile, mlir::Value acts, mlir::Value at,
                    mlir::Value weights, mlir::Value weightsAt);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_DOT8TILE_H
