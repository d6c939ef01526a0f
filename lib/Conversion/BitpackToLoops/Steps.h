//===- Steps.h - vectors through step functions and scales ------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_STEPS_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_STEPS_H

#include "Loops.h"

namespace hwgq {

/// Channels of a vector of 32-bit elements whose masks fill whole bytes.
inline int64_t chunkLanes(const LoopOptions &options) {
  return std::max<int64_t>(8, options.vectorBytes / 4);
}

/// Masks of lanes that are no channels become 0.
void maskTail(LoopBuilder &b, Values &planes, int64_t lanes, int64_t valid);

/// Code of x under a step function, as planes. With m_i = "x passes breakpoint
/// i" (nested, as the breakpoints are sorted), bit p of the code is its bit
/// for x below all, xor m_i for each i where the bit changes. Of many
/// breakpoints the number passed is found instead: almost even ones by a line
/// in f32, which tells it up to one, and a look at two of them (checked here
/// for every breakpoint), any others by halving.
class StepPlanes {
public:
  StepPlanes(LoopBuilder &b, StepAttr step, CodeType code);

  /// The planes (vectors of i1) of a vector of f32.
  Values planes(LoopBuilder &b, mlir::Value x) const;

private:
  std::vector<float> leastOfEach() const;
  void fitLine(llvm::ArrayRef<float> least);
  mlir::Value byLine(LoopBuilder &b, mlir::Value x) const;
  mlir::Value byHalves(LoopBuilder &b, mlir::Value x) const;
  float lineAt(float x) const;

  /// passed ~ (x - base) * factor + 1, between 0 and the number of breakpoints.
  struct Line {
    float base, factor;
  };

  StepAttr step;
  std::optional<Line> line;
  mlir::Value reached; // [i] is the least x that passes i breakpoints, NaN
                       // from the last on; null for few breakpoints
  mlir::Value codeOf;  // of a number passed, as i32; for halving
  llvm::SmallVector<uint8_t> codes;
  uint8_t nan;
  unsigned bits;
};

/// f32(f32(n) * scale) for chunks of channels.
class ScaleTable {
public:
  ScaleTable(LoopBuilder &b, llvm::ArrayRef<float> scale);

  /// `numbers` are vectors of i32, of up to 64 channels from `channel`.
  mlir::Value apply(LoopBuilder &b, mlir::Value numbers,
                    mlir::Value channel) const;

private:
  mlir::Value table; // null for a single scale
  float single = 1;
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_STEPS_H
