//===- Scalar.cpp - The same sums by plain loops --------------------------===//

#include "Ceilings.h"

#include <string.h>

namespace hwgq::ceilings {

int productsPerStep(Kind kind) {
  switch (kind) {
  case Kind::F32:
    return 1;
  case Kind::Popcount:
    return 64;
  case Kind::Dot8:
  case Kind::Dot8Small:
  case Kind::Dot8Rows:
    return 4;
  case Kind::Table64:
  case Kind::Pairs64:
    return 6;
  case Kind::Table16:
  case Kind::Pairs16:
    return 4;
  }
  return 0;
}

namespace {
/// Knuth's 64-bit congruential generator; the high bits are the good ones.
struct Rng {
  uint64_t state;
  uint32_t operator()() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state >> 32);
  }
};

void fillBytes(Rng &rng, void *to, size_t count, int low, int high) {
  for (size_t i = 0; i < count; ++i)
    static_cast<int8_t *>(to)[i] =
        static_cast<int8_t>(low + int(rng() % uint32_t(high - low + 1)));
}

/// Two values of 0..high in the halves of each byte.
void fillPairs(Rng &rng, void *to, size_t count, uint32_t high) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t lower = rng() % (high + 1), upper = rng() % (high + 1);
    static_cast<uint8_t *>(to)[i] = uint8_t(lower | upper << 4);
  }
}

/// Multiples of 2^-15 in -1..1.
void fillFloats(Rng &rng, void *to, size_t count) {
  for (size_t i = 0; i < count; ++i)
    static_cast<float *>(to)[i] = float(int(rng() >> 16) - 32768) / 32768;
}

template <typename T> T at(const void *data, size_t i) {
  T value;
  memcpy(&value, static_cast<const char *>(data) + i * sizeof(T), sizeof(T));
  return value;
}

int32_t dot4(const void *a, const void *w) {
  int32_t sum = 0;
  for (int i = 0; i < 4; ++i)
    sum += at<uint8_t>(a, i) * at<int8_t>(w, i);
  return sum;
}

bool checkF32(const Variant &v, const void *a, const void *w, const void *out,
              int p, int n) {
  float sum = 0;
  for (int d = 0; d < v.depth; ++d)
    sum = __builtin_fmaf(at<float>(a, size_t(d) * v.pixels + p),
                         at<float>(w, size_t(d) * v.channels + n), sum);
  return sum == at<float>(out, size_t(p) * v.channels + n);
}

/// What a table of two pixels holds for one of them.
int64_t halfByte(const Variant &v, const char *tables, int entries, int d,
                 int p, uint8_t index) {
  int first = v.pixels / 2;
  size_t table = size_t(d) * first + p % first;
  auto both = at<uint8_t>(tables, entries * table + index);
  return p < first ? both & 15 : both >> 4;
}

int64_t scalarStep(Kind kind, const Variant &v, const void *a, const void *w,
                   int d, int p, int n) {
  size_t ia = size_t(d) * v.pixels + p, iw = size_t(d) * v.channels + n;
  const char *bytesA = static_cast<const char *>(a);
  const char *bytesW = static_cast<const char *>(w);
  switch (kind) {
  case Kind::Popcount:
    return __builtin_popcountll(at<uint64_t>(a, ia) & at<uint64_t>(w, iw));
  case Kind::Dot8:
  case Kind::Dot8Small:
    return dot4(bytesA + 4 * ia, bytesW + 4 * iw);
  case Kind::Dot8Rows:
    return dot4(
        bytesA + 4 * ((size_t(d / 16) * v.pixels + p) * 16 + d % 16),
        bytesW +
            4 * (((size_t(d / 16) * (v.channels / 16) + n / 16) * 16 + d % 16) *
                     16 +
                 n % 16));
  case Kind::Table64:
    return at<uint8_t>(a, 64 * ia + at<uint8_t>(w, iw));
  case Kind::Table16:
    return at<uint8_t>(a, 16 * ia + at<uint8_t>(w, iw));
  case Kind::Pairs64:
    return halfByte(v, bytesA, 64, d, p, at<uint8_t>(w, iw));
  case Kind::Pairs16:
    return halfByte(v, bytesA, 16, d, p, at<uint8_t>(w, iw));
  case Kind::F32:
    break;
  }
  return 0;
}

int64_t result(Kind kind, const Variant &v, const void *out, int p, int n) {
  size_t i = size_t(p) * v.channels + n;
  if (kind == Kind::Popcount)
    return at<int64_t>(out, i);
  if (kind < Kind::Table64)
    return at<int32_t>(out, i);
  int lane = n % v.bytes;
  return at<uint16_t>(out, i - lane + lane / 2 + lane % 2 * (v.bytes / 2));
}
} // namespace

void fill(Kind kind, const Variant &v, void *a, void *w) {
  Rng rng{1};
  size_t na = size_t(v.pixels) * v.depth, nw = size_t(v.channels) * v.depth;
  switch (kind) {
  case Kind::F32:
    fillFloats(rng, a, na);
    fillFloats(rng, w, nw);
    return;
  case Kind::Popcount:
    fillBytes(rng, a, 8 * na, -128, 127);
    fillBytes(rng, w, 8 * nw, -128, 127);
    return;
  case Kind::Dot8:
  case Kind::Dot8Rows:
    fillBytes(rng, a, 4 * na, 0, 127);
    fillBytes(rng, w, 4 * nw, -127, 127);
    return;
  case Kind::Dot8Small:
    fillBytes(rng, a, 4 * na, 0, 3);
    for (size_t i = 0; i < 4 * nw; ++i)
      static_cast<int8_t *>(w)[i] = rng() >> 31 ? 1 : -1;
    return;
  case Kind::Table64:
    fillBytes(rng, a, 64 * na, 0, 18);
    fillBytes(rng, w, nw, 0, 63);
    return;
  case Kind::Table16:
    fillBytes(rng, a, 16 * na, 0, 12);
    fillBytes(rng, w, nw, 0, 15);
    return;
  case Kind::Pairs64:
    fillPairs(rng, a, 64 * na / 2, 6);
    fillBytes(rng, w, nw, 0, 63);
    return;
  case Kind::Pairs16:
    fillPairs(rng, a, 16 * na / 2, 4);
    fillBytes(rng, w, nw, 0, 15);
    return;
  }
}

bool check(Kind kind, const Variant &v, const void *a, const void *w,
           const void *out) {
  for (int p = 0; p < v.pixels; ++p)
    for (int n = 0; n < v.channels; ++n) {
      if (kind == Kind::F32) {
        if (!checkF32(v, a, w, out, p, n))
          return false;
        continue;
      }
      int64_t sum = 0;
      for (int d = 0; d < v.depth; ++d)
        sum += scalarStep(kind, v, a, w, d, p, n);
      if (result(kind, v, out, p, n) != sum)
        return false;
    }
  return true;
}

} // namespace hwgq::ceilings
