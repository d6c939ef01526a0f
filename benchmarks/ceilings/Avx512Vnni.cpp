//===- Avx512Vnni.cpp - vpdpbusd in 512-bit registers ---------------------===//

#include "V512.h"

namespace hwgq::ceilings {
namespace {
struct VVnni : V512 {
  static Vec dot8(Vec acc, Vec a, Vec w) {
    return _mm512_dpbusd_epi32(acc, a, w);
  }
};

const Variant dot[] = {HWGQ_VARIANT(dot8Tile, VVnni, 6, 4, 4, tileDepth),
                       HWGQ_VARIANT(dot8Tile, VVnni, 8, 3, 4, tileDepth),
                       HWGQ_VARIANT(dot8Tile, VVnni, 12, 2, 4, tileDepth)};
} // namespace

const Loop avx512VnniLoops[1] = {
    {"dot8 vpdpbusd 512", "avx512vnni", Kind::Dot8, dot, count(dot)}};

} // namespace hwgq::ceilings
