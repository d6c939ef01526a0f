//===- NeonDot.cpp - sdot -------------------------------------------------===//

#include "Ceilings.h"
#include "Tiles.h"

#include <arm_neon.h>

namespace hwgq::ceilings {
namespace {
/// The codes of this loop are at most 127, so that they are signed bytes too.
struct VDot {
  using Vec = int32x4_t;
  static constexpr int bytes = 16;
  static Vec zero() { return vdupq_n_s32(0); }
  static Vec load(const void *p) {
    return vld1q_s32(static_cast<const int32_t *>(p));
  }
  static void store(void *p, Vec v) { vst1q_s32(static_cast<int32_t *>(p), v); }
  static Vec broadcast32(uint32_t x) { return vdupq_n_s32(int32_t(x)); }
  static Vec dot8(Vec acc, Vec a, Vec w) {
    return vdotq_s32(acc, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(w));
  }
  static Vec finishDot8(Vec acc) { return acc; }
};

const Variant dot[] = {HWGQ_VARIANT(dot8Tile, VDot, 6, 4, 4, tileDepth)};
} // namespace

const Loop neonDotLoops[1] = {
    {"dot8 sdot 128", "neon-dotprod", Kind::Dot8, dot, count(dot)}};

} // namespace hwgq::ceilings
