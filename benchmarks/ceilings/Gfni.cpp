//===- Gfni.cpp - shifts of bytes beside tables of 64 entries -------------===//

#include "VVbmi.h"

namespace hwgq::ceilings {
namespace {
struct VGfni : VVbmi {
  /// Matrices over bits: bit i of a byte becomes bit i - 4, and i + 4.
  static Vec shr4(Vec x) {
    return _mm512_gf2p8affine_epi64_epi8(
        x, _mm512_set1_epi64(0x1020408000000000), 0);
  }
  static Vec shl4(Vec x) {
    return _mm512_gf2p8affine_epi64_epi8(x, _mm512_set1_epi64(0x01020408), 0);
  }
};

const Variant pairs[] = {HWGQ_PAIRS(VGfni, 4, 2, 42),
                         HWGQ_PAIRS(VGfni, 7, 2, 42)};
} // namespace

const Loop gfniLoops[1] = {
    {"lookup vpermb 512 pairs", "gfni", Kind::Pairs64, pairs, count(pairs)}};

} // namespace hwgq::ceilings
