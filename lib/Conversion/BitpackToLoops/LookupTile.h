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
  llvm::StringRef shuffle;  // a row of the table of target intrinsics
  int64_t lanes;            // bytes of a register: output channels of a tile
  int64_t group;            // channels of a table
  int64_t accumulators;     // registers that the sums of a tile may take
  llvm::StringRef add = {}; // a row for sums of bytes, or the plain sum

  /// Bytes of a table.
  int64_t entries() const { return int64_t(1) << group; }
  /// Bits of a channel that one ready row is for: 64 rows of 64 bytes, or 256
  /// of 16.
  int64_t rowBits() const { return group == 4 ? 2 : 1; }
  /// Ready rows that a table of `bits` bits of each channel is the sum of.
  int64_t parts(int64_t bits) const {
    return llvm::divideCeil(bits, rowBits());
  }
  /// Tables of a word of 64 channels; the last may be of fewer channels.
  int64_t wordTables() const { return llvm::divideCeil(64, group); }
  /// Tables of a pixel.
  int64_t tables(int64_t channels) const {
    return channels / 64 * wordTables() +
           llvm::divideCeil(channels % 64, group);
  }
  /// Registers of channels that a table made in a register may serve.
  int64_t mostShared() const { return accumulators > 16 ? 4 : 2; }
  /// Lookups whose sum surely fits a byte, for codes of `planes` bits.
  int64_t byteLookups(int64_t planes) const {
    return 255 / (group * ((int64_t(1) << planes) - 1));
  }
  /// Lookups of codes of one bit whose sum surely fits half a byte.
  int64_t nibbleLookups() const { return 15 / group; }
};

LookupTarget getLookupTarget(const LoopOptions &options);

/// One tile: `pixels` outputs of one row times `lanes` output channels.
/// Distances along x are in columns of the tables.
struct LookupTile {
  int64_t pixels = 1;
  int64_t planesA = 1, planesW = 1;
  /// Codes of one bit: a table is for two pixels, the sums of the second in the
  /// upper halves of its bytes, and `pixels` counts pairs.
  bool paired = false;
  int64_t kh = 1, kw = 1;
  int64_t channels = 64; // of a pixel, in words of 64
  int64_t columns = 1;   // pixels of a row of tables
  int64_t ring = 1;      // rows of tables; row y lies in slot y % ring
  /// Tables of a filter row side by side whose lookups, of all taps, fit a byte
  /// together (for pairs: each of their sums), as the weights are; 0 where
  /// nothing is known of them.
  int64_t run = 0;
  /// With 1x1 filters a table serves one pixel: it is made in a register, for
  /// as many registers of output channels (at most mostShared() of the target).
  /// 0: tables are read from memory, for one register.
  int64_t shared = 0;
  int64_t pixelStep = 1;              // from an output pixel to the next
  int64_t tapStepX = 1, tapStepY = 1; // from a tap to the next

  int64_t words() const { return llvm::divideCeil(channels, 64); }

  /// An upper bound of the sums.
  int64_t bound() const {
    return kh * kw * channels * ((int64_t(1) << planesA) - 1) *
           ((int64_t(1) << planesW) - 1);
  }
  /// Bits of the sums that a tile makes.
  unsigned sumBits() const { return bound() < 65536 ? 16 : 32; }
  /// Outputs of a tile, each of a register of channels.
  int64_t outputs() const {
    return pixels * (paired ? 2 : std::max<int64_t>(1, shared));
  }
  /// Bits of a channel that a table is made of: planes, or pixels of a pair.
  int64_t tableBits() const { return paired ? 2 : planesA; }
};

/// Whether pairs of pixels may share tables: codes of one bit, and no more taps
/// in a row than lookups that a byte holds.
bool canPair(const LookupTarget &target, const LookupTile &tile);

/// LookupTile::run of weights with these codes, [channel][ky][kx][channels]:
/// the sum of a run is the largest code times its bits of one at most.
int64_t getLookupRun(const LookupTarget &target, const LookupTile &tile,
                     llvm::ArrayRef<uint8_t> codes);

/// Pixels (or pairs) of a tile in rows of `width` of them; `shared` as in
/// LookupTile.
int64_t getLookupPixels(const LookupTarget &target, int64_t width,
                        int64_t shared = 0);

/// The rows that tables are sums of, for each rowBits() bits of the channels
/// and patterns a_p of them, lowest lowest: row[w] = sum of popcount(a_p & w)
/// times 1 << p, or 1 << 4 p for pairs.
std::vector<uint8_t> getLookupRows(const LookupTarget &target,
                                   const LookupTile &tile);

/// Where rows of the tables of a word of 64 channels lie, as i16 bytes of
/// getLookupRows for rowBits() bits of the channels, in elements [at, at +
/// 16) of `fields`, of which those of the channels mean something. `words` are
/// the addresses in `acts` (flat, i64) of these bits.
void emitLookupFields(LoopBuilder &b, const LookupTarget &target,
                      mlir::Value acts, mlir::ValueRange words,
                      mlir::Value fields, mlir::Value at);
constexpr int64_t lookupFields = 16;

/// The table whose rows `fields` names at `at`, one for each of its parts.
mlir::Value emitLookupTable(LoopBuilder &b, const LookupTarget &target,
                            mlir::Value rows, mlir::Value fields,
                            mlir::ValueRange at);

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

/// Where a tile finds its operands.
struct LookupOperands {
  /// memref<? x i8>, 64-byte aligned, rows of columns * tables(channels) *
  /// entries bytes from byte `base` on.
  mlir::Value tables, base;
  /// The first tap of the first pixel.
  mlir::Value row, column;
  /// memref<? x i8> of getLookupWeightBytes, and the (first) register of
  /// channels.
  mlir::Value weights, block;
  /// Where tables are made in registers: getLookupRows, and what
  /// emitLookupFields stored. Part i of table t of pixel p is element
  /// field + i * fieldStride + p * tables(channels) + t.
  mlir::Value rows = {}, fields = {}, field = {};
  int64_t fieldStride = 0;
};

/// Called behind the lookups in table `t` of filter row ky, to emit what may
/// run beside them.
using BetweenLookups = llvm::function_ref<void(int64_t ky, mlir::Value t)>;

/// Emits the sums of a tile into `sums`, memref<outputs * lanes x sumBits>: of
/// each output (of a tile of pairs all first ones before the second ones, of
/// several registers of channels all pixels of one before the next) and channel
///   sum over taps, channels of code(a) * code(w).
/// Filter rows stand one after the other where `between` is given, and in a
/// loop otherwise.
void emitLookupTile(LoopBuilder &b, const LookupTarget &target,
                    const LookupTile &tile, const LookupOperands &operands,
                    mlir::Value sums, BetweenLookups between = nullptr);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_LOOKUPTILE_H
