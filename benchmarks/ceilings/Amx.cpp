//===- Amx.cpp - tdpbusd, both tiles loaded -------------------------------===//

#include "Ceilings.h"

#include <immintrin.h>

namespace hwgq::ceilings {
namespace {
constexpr int rows = 16, tileBytes = 1024, pixels = 32, channels = 32;

struct alignas(64) Config {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t columnBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rowCount[16] = {rows, rows, rows, rows, rows, rows, rows, rows};
};

/// Configures the tiles once: a kernel does it once for many outputs.
void configure() {
  static const Config config;
  static bool done = false;
  if (!done)
    _tile_loadconfig(&config);
  done = true;
}

/// 32 pixels x 32 channels; a step is 64 bytes of depth. Tiles 0-3 accumulate,
/// 4 and 5 hold pixels, 6 and 7 channels.
template <int steps>
void tile(const void *aData, const void *wData, void *outData) {
  auto *a = static_cast<const char *>(aData);
  auto *w = static_cast<const char *>(wData);
  auto *out = static_cast<int32_t *>(outData);
  configure();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
#pragma GCC unroll 1
  for (int s = 0; s < steps; ++s, a += 2 * tileBytes, w += 2 * tileBytes) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, w, 64);
    _tile_loadd(7, w + tileBytes, 64);
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_loadd(5, a + tileBytes, 64);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_stored(0, out, channels * 4);
  _tile_stored(1, out + 16, channels * 4);
  _tile_stored(2, out + rows * channels, channels * 4);
  _tile_stored(3, out + rows * channels + 16, channels * 4);
}

const Variant variants[] = {{tile<8>, pixels, channels, 8 * rows, 64},
                            {tile<32>, pixels, channels, 32 * rows, 64}};
} // namespace

const Loop amxLoops[1] = {
    {"dot8 amx tdpbusd", "amx-int8", Kind::Dot8Rows, variants, 2}};

} // namespace hwgq::ceilings
