//===- Neon.cpp - 128-bit FMA, cnt and tbl --------------------------------===//

#include "Ceilings.h"
#include "Tiles.h"

#include <arm_neon.h>

namespace hwgq::ceilings {
namespace {
struct VNeon {
  using Vec = uint8x16_t;
  using Float = float32x4_t;
  static constexpr int bytes = 16, tableBytes = 16;
  static uint16x8_t as16(Vec x) { return vreinterpretq_u16_u8(x); }
  static Vec from16(uint16x8_t x) { return vreinterpretq_u8_u16(x); }
  static uint64x2_t as64(Vec x) { return vreinterpretq_u64_u8(x); }
  static Float broadcastF32(float x) { return vdupq_n_f32(x); }
  static Float loadF32(const float *p) { return vld1q_f32(p); }
  static void storeF32(float *p, Float v) { vst1q_f32(p, v); }
  static Float fma(Float a, Float w, Float c) { return vfmaq_f32(c, a, w); }
  static Vec zero() { return vdupq_n_u8(0); }
  static Vec load(const void *p) {
    return vld1q_u8(static_cast<const uint8_t *>(p));
  }
  static void store(void *p, Vec v) { vst1q_u8(static_cast<uint8_t *>(p), v); }
  static Vec broadcast64(uint64_t x) {
    return vreinterpretq_u8_u64(vdupq_n_u64(x));
  }
  static Vec and_(Vec x, Vec y) { return vandq_u8(x, y); }
  static Vec add8(Vec x, Vec y) { return vaddq_u8(x, y); }
  static Vec addFull(Vec x, Vec y) { return add8(x, y); }
  static Vec sub8(Vec x, Vec y) { return vsubq_u8(x, y); }
  static Vec shr4(Vec x) { return vshrq_n_u8(x, 4); }
  static Vec shl4(Vec x) { return vshlq_n_u8(x, 4); }
  static Vec cnt8(Vec x) { return vcntq_u8(x); }
  static Vec add16(Vec x, Vec y) { return from16(vaddq_u16(as16(x), as16(y))); }
  static Vec sub16(Vec x, Vec y) { return from16(vsubq_u16(as16(x), as16(y))); }
  static Vec shr16(Vec x) { return from16(vshrq_n_u16(as16(x), 8)); }
  static Vec shl16(Vec x) { return from16(vshlq_n_u16(as16(x), 8)); }
  static Vec add64(Vec x, Vec y) {
    return vreinterpretq_u8_u64(vaddq_u64(as64(x), as64(y)));
  }
  static Vec sum8to64(Vec x) {
    return vreinterpretq_u8_u64(vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(x))));
  }
  static Vec loadTable(const void *p) { return load(p); }
  static Vec lookup(Vec table, Vec index) { return vqtbl1q_u8(table, index); }
};

const Variant f32[] = {HWGQ_VARIANT(f32Tile, VNeon, 6, 4, 4, tileDepth)};
const Variant popcount[] = {
    HWGQ_VARIANT(bytePopcountTile, VNeon, 4, 4, 8, tileDepth),
    HWGQ_VARIANT(bytePopcountTile, VNeon, 2, 8, 8, tileDepth)};
const Variant table[] = {HWGQ_VARIANT(tableTile, VNeon, 4, 2, 1, tableDepth),
                         HWGQ_VARIANT(tableTile, VNeon, 4, 4, 1, tableDepth)};
const Variant pairs[] = {HWGQ_PAIRS(VNeon, 4, 3, 63),
                         HWGQ_PAIRS(VNeon, 7, 3, 63)};
} // namespace

const Loop neonLoops[4] = {
    {"f32 fma 128", "neon", Kind::F32, f32, count(f32)},
    {"popcount cnt 128", "neon", Kind::Popcount, popcount, count(popcount)},
    {"lookup tbl 128", "neon", Kind::Table16, table, count(table)},
    {"lookup tbl 128 pairs", "neon", Kind::Pairs16, pairs, count(pairs)}};

} // namespace hwgq::ceilings
