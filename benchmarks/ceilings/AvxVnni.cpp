//===- AvxVnni.cpp - vpdpbusd in 256-bit registers ------------------------===//

#include "Ceilings.h"
#include "Tiles.h"

#include <immintrin.h>

namespace hwgq::ceilings {
namespace {
struct VVnni {
  using Vec = __m256i;
  static constexpr int bytes = 32;
  static Vec zero() { return _mm256_setzero_si256(); }
  static Vec load(const void *p) {
    return _mm256_loadu_si256(static_cast<const Vec *>(p));
  }
  static void store(void *p, Vec v) {
    _mm256_storeu_si256(static_cast<Vec *>(p), v);
  }
  static Vec broadcast32(uint32_t x) { return _mm256_set1_epi32(int32_t(x)); }
  static Vec dot8(Vec acc, Vec a, Vec w) {
    return _mm256_dpbusd_avx_epi32(acc, a, w);
  }
  static Vec finishDot8(Vec acc) { return acc; }
};

const Variant dot[] = {HWGQ_VARIANT(dot8Tile, VVnni, 6, 2, 4, tileDepth),
                       HWGQ_VARIANT(dot8Tile, VVnni, 4, 3, 4, tileDepth)};
} // namespace

const Loop avxVnniLoops[1] = {
    {"dot8 vpdpbusd 256", "avxvnni", Kind::Dot8, dot, count(dot)}};

} // namespace hwgq::ceilings
