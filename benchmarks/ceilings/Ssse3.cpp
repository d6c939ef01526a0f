//===- Ssse3.cpp - 128-bit byte shuffles ----------------------------------===//

#include "Ceilings.h"
#include "Tiles.h"

#include <immintrin.h>

namespace hwgq::ceilings {
namespace {
struct V128 {
  using Vec = __m128i;
  static constexpr int bytes = 16, tableBytes = 16;
  static Vec zero() { return _mm_setzero_si128(); }
  static Vec load(const void *p) {
    return _mm_loadu_si128(static_cast<const Vec *>(p));
  }
  static void store(void *p, Vec v) {
    _mm_storeu_si128(static_cast<Vec *>(p), v);
  }
  static Vec broadcast64(uint64_t x) { return _mm_set1_epi64x(int64_t(x)); }
  static Vec and_(Vec x, Vec y) { return _mm_and_si128(x, y); }
  static Vec add8(Vec x, Vec y) { return _mm_add_epi8(x, y); }
  static Vec addFull(Vec x, Vec y) { return add8(x, y); }
  static Vec sub8(Vec x, Vec y) { return _mm_sub_epi8(x, y); }
  static Vec shr4(Vec x) {
    return and_(_mm_srli_epi16(x, 4), _mm_set1_epi8(15));
  }
  static Vec shl4(Vec x) {
    return and_(_mm_slli_epi16(x, 4), _mm_set1_epi8(-16));
  }
  static Vec add16(Vec x, Vec y) { return _mm_add_epi16(x, y); }
  static Vec sub16(Vec x, Vec y) { return _mm_sub_epi16(x, y); }
  static Vec shr16(Vec x) { return _mm_srli_epi16(x, 8); }
  static Vec shl16(Vec x) { return _mm_slli_epi16(x, 8); }
  static Vec add64(Vec x, Vec y) { return _mm_add_epi64(x, y); }
  static Vec sum8to64(Vec x) { return _mm_sad_epu8(x, zero()); }
  static Vec cnt8(Vec x) {
    const Vec counts =
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const Vec nibble = _mm_set1_epi8(15);
    return _mm_add_epi8(
        _mm_shuffle_epi8(counts, _mm_and_si128(x, nibble)),
        _mm_shuffle_epi8(counts, _mm_and_si128(_mm_srli_epi16(x, 4), nibble)));
  }
  static Vec loadTable(const void *p) { return load(p); }
  static Vec lookup(Vec table, Vec index) {
    return _mm_shuffle_epi8(table, index);
  }
};

const Variant popcount[] = {
    HWGQ_VARIANT(bytePopcountTile, V128, 4, 1, 8, tileDepth),
    HWGQ_VARIANT(bytePopcountTile, V128, 2, 2, 8, tileDepth),
    HWGQ_VARIANT(bytePopcountTile, V128, 2, 4, 8, tileDepth)};
const Variant table[] = {HWGQ_VARIANT(tableTile, V128, 4, 1, 1, tableDepth),
                         HWGQ_VARIANT(tableTile, V128, 4, 2, 1, tableDepth)};
const Variant pairs[] = {HWGQ_PAIRS(V128, 3, 3, 63),
                         HWGQ_PAIRS(V128, 4, 3, 63)};
} // namespace

const Loop ssse3Loops[3] = {
    {"popcount pshufb 128", "ssse3", Kind::Popcount, popcount, count(popcount)},
    {"lookup pshufb 128", "ssse3", Kind::Table16, table, count(table)},
    {"lookup pshufb 128 pairs", "ssse3", Kind::Pairs16, pairs, count(pairs)}};

} // namespace hwgq::ceilings
