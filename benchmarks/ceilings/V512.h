//===- V512.h - 512-bit vectors of AVX-512 F, BW, DQ, VL ------------------===//
#ifndef HWGQ_BENCHMARKS_V512_H
#define HWGQ_BENCHMARKS_V512_H

#include "Ceilings.h"
#include "Tiles.h"

#include <immintrin.h>

namespace hwgq::ceilings {
namespace {
struct V512 {
  using Vec = __m512i;
  using Float = __m512;
  static constexpr int bytes = 64, tableBytes = 16;
  static Float broadcastF32(float x) { return _mm512_set1_ps(x); }
  static Float loadF32(const float *p) { return _mm512_loadu_ps(p); }
  static void storeF32(float *p, Float v) { _mm512_storeu_ps(p, v); }
  static Float fma(Float a, Float w, Float c) {
    return _mm512_fmadd_ps(a, w, c);
  }
  static Vec zero() { return _mm512_setzero_si512(); }
  static Vec load(const void *p) { return _mm512_loadu_si512(p); }
  static void store(void *p, Vec v) { _mm512_storeu_si512(p, v); }
  static Vec broadcast32(uint32_t x) { return _mm512_set1_epi32(int32_t(x)); }
  static Vec broadcast64(uint64_t x) { return _mm512_set1_epi64(int64_t(x)); }
  static Vec and_(Vec x, Vec y) { return _mm512_and_si512(x, y); }
  static Vec add8(Vec x, Vec y) { return _mm512_add_epi8(x, y); }
  /// Of sums of bytes, Intel makes these on the one port that 512-bit shuffles
  /// leave free.
  static Vec addFull(Vec x, Vec y) { return _mm512_adds_epu8(x, y); }
  static Vec sub8(Vec x, Vec y) { return _mm512_sub_epi8(x, y); }
  static Vec shr4(Vec x) {
    return and_(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15));
  }
  static Vec shl4(Vec x) {
    return and_(_mm512_slli_epi16(x, 4), _mm512_set1_epi8(-16));
  }
  static Vec add16(Vec x, Vec y) { return _mm512_add_epi16(x, y); }
  static Vec sub16(Vec x, Vec y) { return _mm512_sub_epi16(x, y); }
  static Vec shr16(Vec x) { return _mm512_srli_epi16(x, 8); }
  static Vec shl16(Vec x) { return _mm512_slli_epi16(x, 8); }
  static Vec add64(Vec x, Vec y) { return _mm512_add_epi64(x, y); }
  static Vec sum8to64(Vec x) { return _mm512_sad_epu8(x, zero()); }
  static Vec cnt8(Vec x) {
    const Vec counts = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const Vec nibble = _mm512_set1_epi8(15);
    Vec high = _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble);
    return _mm512_add_epi8(_mm512_shuffle_epi8(counts, and_(x, nibble)),
                           _mm512_shuffle_epi8(counts, high));
  }
  static Vec loadTable(const void *p) {
    return _mm512_broadcast_i32x4(
        _mm_loadu_si128(static_cast<const __m128i *>(p)));
  }
  static Vec lookup(Vec table, Vec index) {
    return _mm512_shuffle_epi8(table, index);
  }
  static Vec dot8(Vec acc, Vec a, Vec w) {
    Vec pairs = _mm512_maddubs_epi16(a, w);
    return _mm512_add_epi32(acc,
                            _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
  static Vec finishDot8(Vec acc) { return acc; }
};
} // namespace
} // namespace hwgq::ceilings

#endif
