//===- Tiles.h - Register tiles over any vector type ----------------------===//
//
// V describes one instruction set's vector: Vec, bytes, load, and what the
// loop needs of zero, add8, add16, add64, and_, sad8, cnt8, shuffle, ... All
// loops over P and KV are unrolled, so that the accumulators are registers.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_BENCHMARKS_TILES_H
#define HWGQ_BENCHMARKS_TILES_H

#include <stdint.h>
#include <string.h>

#define HWGQ_UNROLL _Pragma("GCC unroll 32")

namespace hwgq::ceilings {
namespace {

/// Depth of the tiles, a multiple of all chunk lengths below.
constexpr int tileDepth = 96;
constexpr int tableDepth = 84;
constexpr int pairsDepth = 252;

/// Popcounts of bytes are at most 8: 24 of them fit a byte.
constexpr int popcountChunk = 24;
/// Twelve lookups of at most 18 fit a byte (14, but not in whole filter rows of
/// three), and 21 of at most 12.
constexpr int tableChunk(int tableBytes) { return tableBytes == 64 ? 12 : 21; }

/// f32: V has fma(a, w, acc), broadcastF32, loadF32, storeF32.
template <typename V, int P, int KV>
void f32Tile(const void *aData, const void *wData, void *out) {
  constexpr int lanes = V::bytes / 4;
  auto *a = static_cast<const float *>(aData);
  auto *w = static_cast<const float *>(wData);
  typename V::Float acc[P][KV];
  HWGQ_UNROLL for (int p = 0; p < P; ++p)
      HWGQ_UNROLL for (int k = 0; k < KV; ++k) acc[p][k] =
          V::broadcastF32(0.0f);
#pragma GCC unroll 1
  for (int d = 0; d < tileDepth; ++d, a += P, w += KV * lanes) {
    typename V::Float wv[KV];
    HWGQ_UNROLL for (int k = 0; k < KV; ++k) wv[k] = V::loadF32(w + k * lanes);
    HWGQ_UNROLL for (int p = 0; p < P; ++p) {
      typename V::Float av = V::broadcastF32(a[p]);
      HWGQ_UNROLL for (int k = 0; k < KV; ++k) acc[p][k] =
          V::fma(av, wv[k], acc[p][k]);
    }
  }
  auto *o = static_cast<float *>(out);
  HWGQ_UNROLL for (int p = 0; p < P; ++p)
      HWGQ_UNROLL for (int k = 0; k < KV; ++k)
          V::storeF32(o + (p * KV + k) * lanes, acc[p][k]);
}

/// Popcount with an instruction for 64-bit lanes: V has cnt64.
template <typename V, int P, int KV>
void popcountTile(const void *aData, const void *wData, void *out) {
  auto *a = static_cast<const uint64_t *>(aData);
  auto *w = static_cast<const char *>(wData);
  typename V::Vec acc[P][KV];
  HWGQ_UNROLL for (int p = 0; p < P; ++p)
      HWGQ_UNROLL for (int k = 0; k < KV; ++k) acc[p][k] = V::zero();
#pragma GCC unroll 1
  for (int d = 0; d < tileDepth; ++d, a += P, w += KV * V::bytes) {
    typename V::Vec wv[KV];
    HWGQ_UNROLL for (int k = 0; k < KV; ++k) wv[k] = V::load(w + k * V::bytes);
    HWGQ_UNROLL for (int p = 0; p < P; ++p) {
      typename V::Vec av = V::broadcast64(a[p]);
      HWGQ_UNROLL for (int k = 0; k < KV; ++k) acc[p][k] =
          V::add64(acc[p][k], V::cnt64(V::and_(av, wv[k])));
    }
  }
  auto *o = static_cast<char *>(out);
  HWGQ_UNROLL for (int p = 0; p < P; ++p)
      HWGQ_UNROLL for (int k = 0; k < KV; ++k)
          V::store(o + (p * KV + k) * V::bytes, acc[p][k]);
}

/// Popcount of bytes, summed in bytes and widened every popcountChunk steps:
/// V has cnt8 and sum8to64.
template <typename V, int P, int KV>
void bytePopcountTile(const void *aData, const void *wData, void *out) {
  auto *a = static_cast<const uint64_t *>(aData);
  auto *w = static_cast<const char *>(wData);
  auto *o = static_cast<char *>(out);
  memset(o, 0, P * KV * V::bytes);
#pragma GCC unroll 1
  for (int chunk = 0; chunk < tileDepth / popcountChunk; ++chunk) {
    typename V::Vec acc[P][KV];
    HWGQ_UNROLL for (int p = 0; p < P; ++p)
        HWGQ_UNROLL for (int k = 0; k < KV; ++k) acc[p][k] = V::zero();
#pragma GCC unroll 1
    for (int d = 0; d < popcountChunk; ++d, a += P, w += KV * V::bytes) {
      typename V::Vec wv[KV];
      HWGQ_UNROLL for (int k = 0; k < KV; ++k) wv[k] =
          V::load(w + k * V::bytes);
      HWGQ_UNROLL for (int p = 0; p < P; ++p) {
        typename V::Vec av = V::broadcast64(a[p]);
        HWGQ_UNROLL for (int k = 0; k < KV; ++k) acc[p][k] =
            V::add8(acc[p][k], V::cnt8(V::and_(av, wv[k])));
      }
    }
    HWGQ_UNROLL for (int p = 0; p < P; ++p)
        HWGQ_UNROLL for (int k = 0; k < KV; ++k) {
      char *to = o + (p * KV + k) * V::bytes;
      V::store(to, V::add64(V::load(to), V::sum8to64(acc[p][k])));
    }
  }
}

/// Bytes u8 x s8 into 32-bit lanes: V has dot8(acc, a, w) and broadcast32.
template <typename V, int P, int KV>
void dot8Tile(const void *aData, const void *wData, void *out) {
  auto *a = static_cast<const uint32_t *>(aData);
  auto *w = static_cast<const char *>(wData);
  typename V::Vec acc[P][KV];
  HWGQ_UNROLL for (int p = 0; p < P; ++p)
      HWGQ_UNROLL for (int k = 0; k < KV; ++k) acc[p][k] = V::zero();
#pragma GCC unroll 1
  for (int d = 0; d < tileDepth; ++d, a += P, w += KV * V::bytes) {
    typename V::Vec wv[KV];
    HWGQ_UNROLL for (int k = 0; k < KV; ++k) wv[k] = V::load(w + k * V::bytes);
    HWGQ_UNROLL for (int p = 0; p < P; ++p) {
      typename V::Vec av = V::broadcast32(a[p]);
      HWGQ_UNROLL for (int k = 0; k < KV; ++k) acc[p][k] =
          V::dot8(acc[p][k], av, wv[k]);
    }
  }
  auto *o = static_cast<char *>(out);
  HWGQ_UNROLL for (int p = 0; p < P; ++p)
      HWGQ_UNROLL for (int k = 0; k < KV; ++k)
          V::store(o + (p * KV + k) * V::bytes, V::finishDot8(acc[p][k]));
}

/// Table lookup: one register of a pixel's table (16 or 64 entries), indexed
/// by a register of packed weight bits; bytes are widened every tableChunk()
/// lookups by
///   total += acc (as 16-bit lanes), high += acc >> 8,
///   low = total - (high << 8) once at the end.
/// V has loadTable, lookup(table, index), addFull (of bytes of which none
/// overflows), shr16, shl16, add16, sub16, zip16.
template <typename V, int P, int KV>
void tableTile(const void *aData, const void *wData, void *out) {
  constexpr int chunkSize = tableChunk(V::tableBytes);
  auto *a = static_cast<const char *>(aData);
  auto *w = static_cast<const char *>(wData);
  typename V::Vec total[P][KV], high[P][KV];
  HWGQ_UNROLL for (int p = 0; p < P; ++p)
      HWGQ_UNROLL for (int k = 0; k < KV; ++k) total[p][k] = high[p][k] =
          V::zero();
#pragma GCC unroll 1
  for (int chunk = 0; chunk < tableDepth / chunkSize; ++chunk) {
    typename V::Vec acc[P][KV];
    auto step = [&](auto use) {
      typename V::Vec index[KV];
      HWGQ_UNROLL for (int k = 0; k < KV; ++k) index[k] =
          V::load(w + k * V::bytes);
      HWGQ_UNROLL for (int p = 0; p < P; ++p) {
        typename V::Vec table = V::loadTable(a + p * V::tableBytes);
        HWGQ_UNROLL for (int k = 0; k < KV; ++k)
            use(acc[p][k], V::lookup(table, index[k]));
      }
      a += P * V::tableBytes;
      w += KV * V::bytes;
    };
    step([](auto &sum, auto found) { sum = found; });
#pragma GCC unroll 1
    for (int d = 1; d < chunkSize; ++d)
      step([](auto &sum, auto found) { sum = V::addFull(sum, found); });
    HWGQ_UNROLL for (int p = 0; p < P; ++p)
        HWGQ_UNROLL for (int k = 0; k < KV; ++k) {
      total[p][k] = V::add16(total[p][k], acc[p][k]);
      high[p][k] = V::add16(high[p][k], V::shr16(acc[p][k]));
    }
  }
  auto *o = static_cast<char *>(out);
  HWGQ_UNROLL for (int p = 0; p < P; ++p)
      HWGQ_UNROLL for (int k = 0; k < KV; ++k) {
    char *to = o + 2 * (p * KV + k) * V::bytes;
    V::store(to, V::sub16(total[p][k], V::shl16(high[p][k])));
    V::store(to + V::bytes, high[p][k]);
  }
}

/// Lookup in tables of two pixels, whose sums lie in the halves of a byte: J
/// lookups are added before a half may be full, then
///   all += joined, upper += joined >> 4,  lower = all - 16 upper
/// every C lookups, when bytes of `upper` and of `lower` may be full. V has
/// what tableTile needs, and shr4 and shl4 of bytes.
template <typename V, int P, int J, int C>
void pairsTile(const void *aData, const void *wData, void *out) {
  auto *a = static_cast<const char *>(aData);
  auto *w = static_cast<const char *>(wData);
  auto *o = static_cast<char *>(out);
  memset(o, 0, 4 * P * V::bytes);
  auto add = [&](int output, typename V::Vec sum) {
    char *to = o + 2 * output * V::bytes;
    typename V::Vec high = V::shr16(sum);
    V::store(to, V::add16(V::load(to), V::sub16(sum, V::shl16(high))));
    V::store(to + V::bytes, V::add16(V::load(to + V::bytes), high));
  };
#pragma GCC unroll 1
  for (int chunk = 0; chunk < pairsDepth / C; ++chunk) {
    typename V::Vec all[P], upper[P];
    HWGQ_UNROLL for (int p = 0; p < P; ++p) all[p] = upper[p] = V::zero();
#pragma GCC unroll 1
    for (int d = 0; d < C; d += J) {
      typename V::Vec joined[P];
      HWGQ_UNROLL for (int j = 0; j < J; ++j) {
        typename V::Vec index = V::load(w);
        HWGQ_UNROLL for (int p = 0; p < P; ++p) {
          typename V::Vec x =
              V::lookup(V::loadTable(a + p * V::tableBytes), index);
          joined[p] = j ? V::addFull(joined[p], x) : x;
        }
        a += P * V::tableBytes;
        w += V::bytes;
      }
      HWGQ_UNROLL for (int p = 0; p < P; ++p) {
        all[p] = V::add8(all[p], joined[p]);
        upper[p] = V::add8(upper[p], V::shr4(joined[p]));
      }
    }
    HWGQ_UNROLL for (int p = 0; p < P; ++p) {
      add(p, V::sub8(all[p], V::shl4(upper[p])));
      add(P + p, upper[p]);
    }
  }
}

/// The variant of pairsTile: 2 P outputs.
#define HWGQ_PAIRS(V, P, J, C)                                                 \
  {pairsTile<V, P, J, C>, 2 * (P), V::bytes, pairsDepth, V::bytes}

/// The variant of a tile template: N lanes of `lanes` to each of KV registers.
#define HWGQ_VARIANT(tile, V, P, KV, laneBytes, depth)                         \
  {tile<V, P, KV>, P, (KV) * V::bytes / (laneBytes), depth, V::bytes}

template <int N> constexpr int count(const Variant (&)[N]) { return N; }

} // namespace
} // namespace hwgq::ceilings

#endif
