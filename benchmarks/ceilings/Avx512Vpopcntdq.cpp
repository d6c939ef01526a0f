//===- Avx512Vpopcntdq.cpp - popcount of 64-bit lanes ---------------------===//

#include "V512.h"

namespace hwgq::ceilings {
namespace {
struct VPopcnt : V512 {
  static Vec cnt64(Vec x) { return _mm512_popcnt_epi64(x); }
};

const Variant popcount[] = {
    HWGQ_VARIANT(popcountTile, VPopcnt, 2, 4, 8, tileDepth),
    HWGQ_VARIANT(popcountTile, VPopcnt, 4, 4, 8, tileDepth),
    HWGQ_VARIANT(popcountTile, VPopcnt, 8, 2, 8, tileDepth)};
} // namespace

const Loop avx512VpopcntdqLoops[1] = {{"popcount vpopcntq 512",
                                       "avx512vpopcntdq", Kind::Popcount,
                                       popcount, count(popcount)}};

} // namespace hwgq::ceilings
