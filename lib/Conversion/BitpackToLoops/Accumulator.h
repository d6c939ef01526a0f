//===- Accumulator.h - from popcounts to accumulators -----------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_ACCUMULATOR_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_ACCUMULATOR_H

#include "Contraction.h"

namespace hwgq {

/// The accumulator of a contraction of codes. With n = o + s*c on both sides,
///   acc = sa*sw*P + ow*sa*S + base
/// P = sum of ca*cw over the window, S = sum of ca (the halo adds 0), base =
/// sum over the valid taps of oa*(ow + sw*cw), a table per row and column
/// class of the output position. A kernel may multiply with numbers m = om +
/// sm*cw instead, sm a divisor of sw: then P = sum of ca*m, with sw / sm in
/// place of sw and ow - om * sw / sm in place of ow.
class Accumulator {
public:
  /// `codes` are those of the weights, one a byte in row-major order. Tables
  /// get `channels` columns, at least the output channels; 0 beyond those.
  /// `multiplied` gives the numbers m; null for the codes themselves.
  /// Products are of `bits` bits, 32, or 16 where fits16.
  Accumulator(LoopBuilder &b, const ConvLoops &conv,
              llvm::ArrayRef<uint8_t> codes, int64_t channels,
              CodeType multiplied = {}, unsigned bits = 32);

  /// For products of two activations: `base`, null without need, is read at the
  /// `channel` that get() is given, and holds what P lacks otherwise, too.
  Accumulator(const ConvLoops &conv, CodeType multiplied, mlir::Value base);

  /// Whether every accumulator fits 16 bits and is not the largest i16.
  static bool fits16(const ConvLoops &conv);

  /// Whether S is needed.
  bool needsSums() const { return weightOffset != 0; }

  /// Whether accumulators depend on where in the image the output lies.
  bool needsPlace() const { return rowClass || colClass; }

  /// The accumulators of channels [channel, ...) of output (y, x): `products`
  /// are their P, i32 or a vector of i32 or i16; `sum` is S, i32, or null
  /// without need.
  mlir::Value get(LoopBuilder &b, mlir::Value products, mlir::Value sum,
                  mlir::Value y, mlir::Value x, mlir::Value channel) const;

private:
  void multiplyWith(CodeType multiplied);
  void makeBase(LoopBuilder &b, const ConvLoops &conv,
                llvm::ArrayRef<uint8_t> codes);
  mlir::Value baseOf(LoopBuilder &b, mlir::Value y, mlir::Value x) const;

  CodeType a, w;
  int64_t weightOffset, weightStride; // of what P is made with
  int64_t channels, colClasses = 1;
  unsigned bits;
  mlir::Value base, rowClass, colClass; // null without need
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_ACCUMULATOR_H
