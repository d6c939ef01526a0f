//===- Avx2.cpp - 256-bit FMA, byte shuffles and byte products ------------===//

#include "Ceilings.h"
#include "Tiles.h"

#include <immintrin.h>

namespace hwgq::ceilings {
namespace {
struct V256 {
  using Vec = __m256i;
  using Float = __m256;
  static constexpr int bytes = 32, tableBytes = 16;
  static Float broadcastF32(float x) { return _mm256_set1_ps(x); }
  static Float loadF32(const float *p) { return _mm256_loadu_ps(p); }
  static void storeF32(float *p, Float v) { _mm256_storeu_ps(p, v); }
  static Float fma(Float a, Float w, Float c) {
    return _mm256_fmadd_ps(a, w, c);
  }
  static Vec zero() { return _mm256_setzero_si256(); }
  static Vec load(const void *p) {
    return _mm256_loadu_si256(static_cast<const Vec *>(p));
  }
  static void store(void *p, Vec v) {
    _mm256_storeu_si256(static_cast<Vec *>(p), v);
  }
  static Vec broadcast32(uint32_t x) { return _mm256_set1_epi32(int32_t(x)); }
  static Vec broadcast64(uint64_t x) { return _mm256_set1_epi64x(int64_t(x)); }
  static Vec and_(Vec x, Vec y) { return _mm256_and_si256(x, y); }
  static Vec add8(Vec x, Vec y) { return _mm256_add_epi8(x, y); }
  static Vec addFull(Vec x, Vec y) { return add8(x, y); }
  static Vec sub8(Vec x, Vec y) { return _mm256_sub_epi8(x, y); }
  static Vec shr4(Vec x) {
    return and_(_mm256_srli_epi16(x, 4), _mm256_set1_epi8(15));
  }
  static Vec shl4(Vec x) {
    return and_(_mm256_slli_epi16(x, 4), _mm256_set1_epi8(-16));
  }
  static Vec add16(Vec x, Vec y) { return _mm256_add_epi16(x, y); }
  static Vec sub16(Vec x, Vec y) { return _mm256_sub_epi16(x, y); }
  static Vec shr16(Vec x) { return _mm256_srli_epi16(x, 8); }
  static Vec shl16(Vec x) { return _mm256_slli_epi16(x, 8); }
  static Vec add64(Vec x, Vec y) { return _mm256_add_epi64(x, y); }
  static Vec sum8to64(Vec x) { return _mm256_sad_epu8(x, zero()); }
  static Vec cnt8(Vec x) {
    const Vec counts = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const Vec nibble = _mm256_set1_epi8(15);
    Vec high = _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble);
    return _mm256_add_epi8(_mm256_shuffle_epi8(counts, and_(x, nibble)),
                           _mm256_shuffle_epi8(counts, high));
  }
  static Vec loadTable(const void *p) {
    return _mm256_broadcastsi128_si256(
        _mm_loadu_si128(static_cast<const __m128i *>(p)));
  }
  static Vec lookup(Vec table, Vec index) {
    return _mm256_shuffle_epi8(table, index);
  }
  static Vec dot8(Vec acc, Vec a, Vec w) {
    Vec pairs = _mm256_maddubs_epi16(a, w);
    return _mm256_add_epi32(acc,
                            _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static Vec finishDot8(Vec acc) { return acc; }
};

/// Small codes: pairs are summed in 16 bits and joined once at the end.
struct V256Small : V256 {
  static Vec dot8(Vec acc, Vec a, Vec w) {
    return _mm256_add_epi16(acc, _mm256_maddubs_epi16(a, w));
  }
  static Vec finishDot8(Vec acc) {
    return _mm256_madd_epi16(acc, _mm256_set1_epi16(1));
  }
};

const Variant f32[] = {HWGQ_VARIANT(f32Tile, V256, 6, 2, 4, tileDepth),
                       HWGQ_VARIANT(f32Tile, V256, 4, 3, 4, tileDepth)};
const Variant popcount[] = {
    HWGQ_VARIANT(bytePopcountTile, V256, 4, 1, 8, tileDepth),
    HWGQ_VARIANT(bytePopcountTile, V256, 2, 2, 8, tileDepth),
    HWGQ_VARIANT(bytePopcountTile, V256, 2, 4, 8, tileDepth)};
const Variant table[] = {HWGQ_VARIANT(tableTile, V256, 4, 1, 1, tableDepth),
                         HWGQ_VARIANT(tableTile, V256, 4, 2, 1, tableDepth)};
const Variant pairs[] = {HWGQ_PAIRS(V256, 3, 3, 63),
                         HWGQ_PAIRS(V256, 4, 3, 63)};
const Variant dot[] = {HWGQ_VARIANT(dot8Tile, V256, 4, 2, 4, tileDepth),
                       HWGQ_VARIANT(dot8Tile, V256, 3, 3, 4, tileDepth)};
const Variant dotSmall[] = {
    HWGQ_VARIANT(dot8Tile, V256Small, 4, 2, 4, tileDepth),
    HWGQ_VARIANT(dot8Tile, V256Small, 4, 3, 4, tileDepth)};
} // namespace

const Loop avx2Loops[6] = {
    {"f32 fma 256", "avx2", Kind::F32, f32, count(f32)},
    {"popcount pshufb 256", "avx2", Kind::Popcount, popcount, count(popcount)},
    {"lookup pshufb 256", "avx2", Kind::Table16, table, count(table)},
    {"lookup pshufb 256 pairs", "avx2", Kind::Pairs16, pairs, count(pairs)},
    {"dot8 maddubs 256", "avx2", Kind::Dot8, dot, count(dot)},
    {"dot8 maddubs 256 small", "avx2", Kind::Dot8Small, dotSmall,
     count(dotSmall)}};

} // namespace hwgq::ceilings
