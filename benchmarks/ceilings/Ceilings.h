//===- Ceilings.h - Loops that show what one core can do ------------------===//
//
// A loop computes one tile, P pixels x N output channels, of a dot product of
// depth D. Both operands are loaded from memory in each step, as a real kernel
// must, and the accumulators stay in registers. The result of each loop is
// compared with a scalar loop before it is timed.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_BENCHMARKS_CEILINGS_H
#define HWGQ_BENCHMARKS_CEILINGS_H

#include <stddef.h>
#include <stdint.h>

namespace hwgq::ceilings {

/// What a loop computes; it fixes the form of the operands.
///   F32:      out[p][n] = fma over d of a[d][p] * w[d][n], from +0, d
///   ascending Popcount: out[p][n] = sum over d of popcount(a[d][p] & w[d][n]),
///   64-bit Dot8:     out[p][n] = sum over d and 0 <= i < 4 of a[d][p][i] *
///   w[d][n][i],
///             a in 0..127, w in -127..127
///   Dot8Small: the same with a in 0..3 and w = -1 or +1
///   Dot8Rows: as Dot8, in the tiles of AMX: a is stored as [d/16][p][d%16][i],
///             w as [d/16][n/16][d%16][n%16][i]
///   Table64:  out[p][n] = sum over d of a[d][p][w[d][n]], a: 64 bytes in 0..18
///   Table16:  the same, a: 16 bytes in 0..12
///             Tables leave 16-bit sums: of each register of indices first the
///             even, then the odd bytes.
///   Pairs64:  tables of two pixels, p and p + P/2, 0..6 of each: a[d][p] has
///             the first in the lower and the second in the upper half-bytes
///   Pairs16:  the same, a: 16 bytes of 0..4 of each
enum class Kind {
  F32,
  Popcount,
  Dot8,
  Dot8Small,
  Dot8Rows,
  Table64,
  Table16,
  Pairs64,
  Pairs16
};

/// Computes one tile. `out` has P * N elements of 32 bits (64 for Popcount,
/// 16 for tables).
using TileFn = void (*)(const void *a, const void *w, void *out);

/// One tiling of a loop.
struct Variant {
  TileFn run;
  int pixels;   // P
  int channels; // N
  int depth;    // D
  int bytes;    // of a register
};

/// One row of the table; the fastest variant is the ceiling.
struct Loop {
  const char *name;
  const char *isa; // the name under which Cpu.cpp detects the features
  Kind kind;
  const Variant *variants;
  int numVariants;
};

/// The largest tile any loop may use, in bytes of each operand and elements of
/// the result.
constexpr size_t maxOperandBytes = 1 << 17;
constexpr size_t maxOutputs = 1 << 13;

/// Products of one bit, one byte or one float that one step of one output
/// stands for.
int productsPerStep(Kind kind);

/// Fills the operands of `kind` with reproducible pseudo-random values in
/// their ranges.
void fill(Kind kind, const Variant &variant, void *a, void *w);

/// True if `out` holds what a scalar loop computes from `a` and `w`.
bool check(Kind kind, const Variant &variant, const void *a, const void *w,
           const void *out);

/// True if this CPU and operating system have the instruction set `isa`. Asks
/// the kernel for AMX tiles where `isa` needs them.
bool hasIsa(const char *isa);

/// The CPU's own name, or "unknown".
const char *cpuName();

#if defined(__x86_64__)
extern const Loop ssse3Loops[3], avx2Loops[6], avxVnniLoops[1], avx512Loops[6],
    avx512VpopcntdqLoops[1], avx512VnniLoops[1], avx512VbmiLoops[1],
    gfniLoops[1], amxLoops[1];
#elif defined(__aarch64__)
extern const Loop neonLoops[4], neonDotLoops[1];
#endif

} // namespace hwgq::ceilings

#endif
