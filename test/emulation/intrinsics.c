/*===- intrinsics.c - instructions of other machines in plain C -----------===*/
#include "intrinsics.h"

/** out[i] = acc[i] + sum over k < 4 of a[4i+k] * b[4i+k], modulo 2^32; a is
    unsigned or signed. */
static void dot4(void *out, const void *acc, const void *a, const void *b,
                 int lanes, int is_signed) {
  const uint8_t *x = a;
  const int8_t *y = b;
  for (int i = 0; i < lanes; ++i) {
    uint32_t sum = ((const uint32_t *)acc)[i];
    for (int k = 4 * i; k < 4 * i + 4; ++k)
      sum += (uint32_t)((is_signed ? (int8_t)x[k] : (int)x[k]) * y[k]);
    ((uint32_t *)out)[i] = sum;
  }
}

void hwgq_emulate_vpdpbusd512(void *out, const void *acc, const void *a,
                              const void *b) {
  dot4(out, acc, a, b, 16, 0);
}
void hwgq_emulate_vpdpbusd256(void *out, const void *acc, const void *a,
                              const void *b) {
  dot4(out, acc, a, b, 8, 0);
}
void hwgq_emulate_sdot(void *out, const void *acc, const void *a,
                       const void *b) {
  dot4(out, acc, a, b, 4, 1);
}
void hwgq_emulate_usdot(void *out, const void *acc, const void *a,
                        const void *b) {
  dot4(out, acc, a, b, 4, 0);
}

/** out[i][j] = acc[i][j] + sum over k < 8 of a[i][k] * b[j][k], 2x2. */
void hwgq_emulate_usmmla(void *out, const void *acc, const void *a,
                         const void *b) {
  const uint8_t *x = a;
  const int8_t *y = b;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j) {
      uint32_t sum = ((const uint32_t *)acc)[2 * i + j];
      for (int k = 0; k < 8; ++k)
        sum += (uint32_t)(x[8 * i + k] * y[8 * j + k]);
      ((uint32_t *)out)[2 * i + j] = sum;
    }
}

/** Pairs of products u8 x s8, saturated. */
static void maddubs(void *out, const void *a, const void *b, int lanes) {
  const uint8_t *x = a;
  const int8_t *y = b;
  for (int i = 0; i < lanes; ++i) {
    int sum = x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1];
    ((int16_t *)out)[i] = (int16_t)(sum > INT16_MAX   ? INT16_MAX
                                    : sum < INT16_MIN ? INT16_MIN
                                                      : sum);
  }
}

void hwgq_emulate_pmaddubsw512(void *out, const void *a, const void *b) {
  maddubs(out, a, b, 32);
}
void hwgq_emulate_pmaddubsw256(void *out, const void *a, const void *b) {
  maddubs(out, a, b, 16);
}
void hwgq_emulate_pmaddubsw128(void *out, const void *a, const void *b) {
  maddubs(out, a, b, 8);
}

/** Pairs of products of i16, modulo 2^32 (which four times -2^15 reach). */
static void maddwd(void *out, const void *a, const void *b, int lanes) {
  const int16_t *x = a, *y = b;
  for (int i = 0; i < lanes; ++i)
    ((uint32_t *)out)[i] = (uint32_t)(x[2 * i] * y[2 * i]) +
                           (uint32_t)(x[2 * i + 1] * y[2 * i + 1]);
}

void hwgq_emulate_pmaddwd512(void *out, const void *a, const void *b) {
  maddwd(out, a, b, 16);
}
void hwgq_emulate_pmaddwd256(void *out, const void *a, const void *b) {
  maddwd(out, a, b, 8);
}
void hwgq_emulate_pmaddwd128(void *out, const void *a, const void *b) {
  maddwd(out, a, b, 4);
}

/** Within each 16 bytes: 0 where the index has its top bit, else the byte of
    the table at its low four bits. */
static void pshufb(void *out, const void *table, const void *index, int bytes) {
  const uint8_t *from = table, *at = index;
  for (int i = 0; i < bytes; ++i)
    ((uint8_t *)out)[i] = at[i] & 0x80 ? 0 : from[(i & ~15) + (at[i] & 15)];
}

void hwgq_emulate_pshufb512(void *out, const void *table, const void *index) {
  pshufb(out, table, index, 64);
}
void hwgq_emulate_pshufb256(void *out, const void *table, const void *index) {
  pshufb(out, table, index, 32);
}
void hwgq_emulate_pshufb128(void *out, const void *table, const void *index) {
  pshufb(out, table, index, 16);
}

void hwgq_emulate_vpermb512(void *out, const void *table, const void *index) {
  const uint8_t *from = table, *at = index;
  for (int i = 0; i < 64; ++i)
    ((uint8_t *)out)[i] = from[at[i] & 63];
}

void hwgq_emulate_vpmultishiftqb256(void *out, const void *places,
                                    const void *words) {
  for (int i = 0; i < 32; ++i) {
    const uint8_t *word = (const uint8_t *)words + (i & ~7);
    int first = ((const uint8_t *)places)[i] & 63, byte = 0;
    for (int j = 0; j < 8; ++j) {
      int bit = (first + j) & 63;
      byte |= (word[bit >> 3] >> (bit & 7) & 1) << j;
    }
    ((uint8_t *)out)[i] = byte;
  }
}

void hwgq_emulate_paddusb512(void *out, const void *a, const void *b) {
  for (int i = 0; i < 64; ++i) {
    int sum = ((const uint8_t *)a)[i] + ((const uint8_t *)b)[i];
    ((uint8_t *)out)[i] = sum > 255 ? 255 : sum;
  }
}

/** 0 where the index is beyond the table. */
void hwgq_emulate_tbl(void *out, const void *table, const void *index) {
  const uint8_t *from = table, *at = index;
  for (int i = 0; i < 16; ++i)
    ((uint8_t *)out)[i] = at[i] < 16 ? from[at[i]] : 0;
}

/*===- AMX ----------------------------------------------------------------===*/

/** What is a fault (#GP or #UD) on the machine ends the process here. */
static void require(int condition) {
  if (!condition)
    __builtin_trap();
}

static void require_tile(const struct hwgq_tiles *tiles, unsigned tile) {
  require(tiles->palette == 1 && tile < 8 && tiles->rows[tile] != 0);
}

static void clear(struct hwgq_tiles *tiles, unsigned tile, int row) {
  for (; row < 16; ++row)
    for (int i = 0; i < 64; ++i)
      tiles->data[tile][row][i] = 0;
}

void hwgq_emulate_ldtilecfg(struct hwgq_tiles *tiles, const void *config) {
  const uint8_t *bytes = config;
  require(bytes[0] <= 1);
  tiles->palette = bytes[0];
  tiles->start_row = bytes[1];
  for (int i = 2; i < 16; ++i)
    require(bytes[0] == 0 || bytes[i] == 0);
  for (int t = 0; t < 16; ++t) {
    unsigned columns = bytes[16 + 2 * t] | (unsigned)bytes[17 + 2 * t] << 8;
    unsigned rows = bytes[48 + t];
    if (bytes[0] == 0)
      continue;
    if (t >= 8) {
      require(columns == 0 && rows == 0);
      continue;
    }
    require(columns <= 64 && rows <= 16 && (columns == 0) == (rows == 0));
    tiles->bytes[t] = (uint16_t)columns;
    tiles->rows[t] = (uint8_t)rows;
  }
  for (unsigned t = 0; t < 8; ++t)
    clear(tiles, t, 0);
}

void hwgq_emulate_tilerelease(struct hwgq_tiles *tiles) { tiles->palette = 0; }

void hwgq_emulate_tilezero(struct hwgq_tiles *tiles, uint8_t tile) {
  require_tile(tiles, tile);
  clear(tiles, tile, 0);
}

void hwgq_emulate_tileloadd(struct hwgq_tiles *tiles, uint8_t tile,
                            const void *memory, int64_t stride) {
  require_tile(tiles, tile);
  clear(tiles, tile, 0);
  for (int row = 0; row < tiles->rows[tile]; ++row)
    for (int i = 0; i < tiles->bytes[tile]; ++i)
      tiles->data[tile][row][i] = ((const uint8_t *)memory)[row * stride + i];
}

void hwgq_emulate_tilestored(struct hwgq_tiles *tiles, uint8_t tile,
                             void *memory, int64_t stride) {
  require_tile(tiles, tile);
  for (int row = 0; row < tiles->rows[tile]; ++row)
    for (int i = 0; i < tiles->bytes[tile]; ++i)
      ((uint8_t *)memory)[row * stride + i] = tiles->data[tile][row][i];
}

static uint32_t *lane(struct hwgq_tiles *tiles, unsigned tile, int row, int n) {
  return (uint32_t *)&tiles->data[tile][row][4 * n];
}

/** C[m][n] += sum over k, i < 4 of A[m][4k+i] (unsigned) * B[k][4n+i]. */
void hwgq_emulate_tdpbusd(struct hwgq_tiles *tiles, uint8_t c, uint8_t a,
                          uint8_t b) {
  require_tile(tiles, a);
  require_tile(tiles, b);
  require_tile(tiles, c);
  require(a != b && b != c && a != c);
  require(tiles->bytes[a] % 4 == 0 && tiles->bytes[b] % 4 == 0 &&
          tiles->bytes[c] % 4 == 0);
  require(tiles->rows[c] == tiles->rows[a] &&
          tiles->bytes[c] == tiles->bytes[b]);
  require(tiles->bytes[a] / 4 == tiles->rows[b]);
  for (int m = 0; m < tiles->rows[c]; ++m)
    for (int n = 0; n < tiles->bytes[c] / 4; ++n) {
      uint32_t sum = *lane(tiles, c, m, n);
      for (int k = 0; k < tiles->bytes[a] / 4; ++k)
        for (int i = 0; i < 4; ++i)
          sum += (uint32_t)(tiles->data[a][m][4 * k + i] *
                            (int8_t)tiles->data[b][k][4 * n + i]);
      *lane(tiles, c, m, n) = sum;
    }
  clear(tiles, c, tiles->rows[c]);
}
