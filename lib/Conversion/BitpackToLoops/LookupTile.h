//===- LookupTile.h - the inner loops of lookup kernels ---------*- C++ -*-===//
//
// Dot products of codes with bits by tables of partial sums: for a few
// channels of a pixel a table holds, for every pattern of weight bits, the sum
// of the codes where the bit is 1. A byte shuffle looks up one pattern for each
// lane, and lanes are output channels (T-MAC, EuroSys 2025, arXiv 2407.00088).
// The price does not depend on the width of the codes while sums fit a byte.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_LOOKUPTILE_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_LOOKUPTILE_H

#include "Loops.h"

namespace hwgq {

/// The byte shuffle of a target.
struct LookupTarget {
  llvm::StringRef shuffle; // a row of the table of target intrinsics
  int64_t lanes;           // bytes of a register: output channels of a tile
  int64_t group;           // channels of a table
  int64_t accumulators;    // registers that the sums of a tile may take

  /// Bytes of a table.
  int64_t entries() const { return int64_t(1) << group; }
  /// Planes of a code that one ready row is for: 64 rows of 64 bytes, or 256 of
  /// 16.
  int64_t rowPlanes() const { return group == 4 ? 2 : 1; }
  /// Tables of a word of 64 channels; the last may be of fewer channels.
  int64_t wordTables() const { return llvm::divideCeil(64, group); }
  /// Tables of a pixel.
  int64_t tables(int64_t words) const { return words * wordTables(); }
  /// Lookups whose sum surely fits a byte, for codes of `planes` bits.
  int64_t byteLookups(int64_t planes) const {
    return 255 / (group * ((int64_t(1) << planes) - 1));
  }
};

LookupTarget getLookupTarget(const LoopOptions &options);

/// One tile: `pixels` outputs of one row times `lanes` output channels.
/// Distances along x are in pixels of the tables.
struct LookupTile {
  int64_t pixels = 1;
  int64_t planesA = 1, planesW = 1;
  int64_t kh = 1, kw = 1;
  int64_t words = 1;     // 64-channel words of a pixel
  int64_t columns = 1;   // pixels of a row of tables
  int64_t ring = 1;      // rows of tables; row y lies in slot y % ring
  int64_t pixelStep = 1; // from an output pixel to the next
  int64_t tapStepX = 1, tapStepY = 1; // from a tap to the next

  /// An upper bound of the sums.
  int64_t bound() const {
    return kh * kw * words * 64 * ((int64_t(1) << planesA) - 1) *
           ((int64_t(1) << planesW) - 1);
  }
};

/// Pixels of a tile in rows of `width` outputs.
int64_t getLookupPixels(const LookupTarget &target, int64_t width);

/// The rows that tables are sums of, for each rowPlanes planes and patterns a_p
/// of their bits, lowest plane lowest: row[w] = sum of popcount(a_p & w) << p.
std::vector<uint8_t> getLookupRows(const LookupTarget &target, int64_t planes);

/// Stores the tables of the word of `acts` (flat, i64, planes innermost) at
/// `at` to bytes [to, to + wordTables * entries) of `tables`. `rows` holds
/// getLookupRows.
void emitLookupTables(LoopBuilder &b, const LookupTarget &target,
                      int64_t planes, mlir::Value rows, mlir::Value acts,
                      mlir::Value at, mlir::Value tables, mlir::Value to);

/// Stores table `t` (of all tables of a pixel, whose first word is at `at`) at
/// byte `to`, for targets whose rows are for one plane.
void emitLookupTable(LoopBuilder &b, const LookupTarget &target, int64_t planes,
                     mlir::Value rows, mlir::Value acts, mlir::Value at,
                     mlir::Value t, mlir::Value tables, mlir::Value to);

/// Bytes of the indices of `blocks` blocks of output channels:
///   [block][plane of w][ky][table][kx][lane].
int64_t getLookupWeightBytes(const LookupTarget &target, const LookupTile &tile,
                             int64_t blocks);

/// The output channel of a block that lies in byte `lane`: even lanes hold the
/// lower half of the channels, so that 16-bit sums come out in order.
inline int64_t getLookupChannel(const LookupTarget &target, int64_t lane) {
  return lane % 2 * (target.lanes / 2) + lane / 2;
}
inline mlir::Value getLookupChannel(LoopBuilder &b, const LookupTarget &target,
                                    mlir::Value lane) {
  return b.add(b.mul(b.rem(lane, 2), target.lanes / 2), b.div(lane, 2));
}

/// Called behind the lookups in table `t` of filter row ky, to emit what may
/// run beside them.
using BetweenLookups = llvm::function_ref<void(int64_t ky, mlir::Value t)>;

/// Emits the sums of a tile: for each pixel two vectors, of the lower and the
/// upper half of the block's channels, of
///   sum over taps, channels of code(a) * code(w),
/// unsigned i16 where tile.bound() fits, else i32.
/// tables: memref<? x i8>, rows of columns * tables(words) * entries bytes from
/// byte `base` on. The first tap of the first pixel is at (row, column).
/// weights: memref<? x i8> of getLookupWeightBytes. Filter rows stand one after
/// the other where `between` is given, and in a loop otherwise.
Values emitLookupTile(LoopBuilder &b, const LookupTarget &target,
                      const LookupTile &tile, mlir::Value tables,
                      mlir::Value base, mlir::Value row, mlir::Value column,
                      mlir::Value weights, mlir::Value block,
                      BetweenLookups between = nullptr);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_LOOKUPTILE_H
