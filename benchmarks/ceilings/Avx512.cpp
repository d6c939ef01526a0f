//===- Avx512.cpp - 512-bit FMA, byte shuffles and byte products ----------===//

#include "V512.h"

namespace hwgq::ceilings {
namespace {
/// Small codes: pairs are summed in 16 bits and joined once at the end.
struct V512Small : V512 {
  static Vec dot8(Vec acc, Vec a, Vec w) {
    return _mm512_add_epi16(acc, _mm512_maddubs_epi16(a, w));
  }
  static Vec finishDot8(Vec acc) {
    return _mm512_madd_epi16(acc, _mm512_set1_epi16(1));
  }
};

const Variant f32[] = {HWGQ_VARIANT(f32Tile, V512, 8, 3, 4, tileDepth),
                       HWGQ_VARIANT(f32Tile, V512, 6, 4, 4, tileDepth),
                       HWGQ_VARIANT(f32Tile, V512, 12, 2, 4, tileDepth)};
const Variant popcount[] = {
    HWGQ_VARIANT(bytePopcountTile, V512, 4, 1, 8, tileDepth),
    HWGQ_VARIANT(bytePopcountTile, V512, 2, 4, 8, tileDepth),
    HWGQ_VARIANT(bytePopcountTile, V512, 4, 4, 8, tileDepth)};
const Variant table[] = {HWGQ_VARIANT(tableTile, V512, 4, 1, 1, tableDepth),
                         HWGQ_VARIANT(tableTile, V512, 4, 2, 1, tableDepth)};
const Variant pairs[] = {HWGQ_PAIRS(V512, 4, 3, 63),
                         HWGQ_PAIRS(V512, 7, 3, 63)};
const Variant dot[] = {HWGQ_VARIANT(dot8Tile, V512, 6, 4, 4, tileDepth),
                       HWGQ_VARIANT(dot8Tile, V512, 4, 4, 4, tileDepth)};
const Variant dotSmall[] = {
    HWGQ_VARIANT(dot8Tile, V512Small, 6, 4, 4, tileDepth),
    HWGQ_VARIANT(dot8Tile, V512Small, 4, 4, 4, tileDepth)};
} // namespace

const Loop avx512Loops[6] = {
    {"f32 fma 512", "avx512bw", Kind::F32, f32, count(f32)},
    {"popcount pshufb 512", "avx512bw", Kind::Popcount, popcount,
     count(popcount)},
    {"lookup pshufb 512", "avx512bw", Kind::Table16, table, count(table)},
    {"lookup pshufb 512 pairs", "avx512bw", Kind::Pairs16, pairs, count(pairs)},
    {"dot8 maddubs 512", "avx512bw", Kind::Dot8, dot, count(dot)},
    {"dot8 maddubs 512 small", "avx512bw", Kind::Dot8Small, dotSmall,
     count(dotSmall)}};

} // namespace hwgq::ceilings
