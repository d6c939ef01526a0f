//===- ByteTileTest.cpp - tiles of products of bytes against scalar loops -===//
//
// Every form is emulated, so that all of them run on every machine.
//
//===----------------------------------------------------------------------===//

#include "../../../lib/Conversion/BitpackToLoops/AmxTile.h"
#include "../../../lib/Conversion/BitpackToLoops/Dot8Tile.h"
#include "../../emulation/intrinsics.h"
#include "Jit.h"

#include <gtest/gtest.h>

#include <random>

using namespace mlir;
using namespace hwgq;

namespace {

#define EMULATED(name) {"hwgq_emulate_" #name, (void *)hwgq_emulate_##name}
const std::pair<llvm::StringRef, void *> emulation[] = {
    EMULATED(ldtilecfg),    EMULATED(tilerelease),  EMULATED(tilezero),
    EMULATED(tileloadd),    EMULATED(tilestored),   EMULATED(tdpbusd),
    EMULATED(vpdpbusd512),  EMULATED(vpdpbusd256),  EMULATED(sdot),
    EMULATED(usdot),        EMULATED(pmaddubsw512), EMULATED(pmaddubsw256),
    EMULATED(pmaddubsw128), EMULATED(pmaddwd512),   EMULATED(pmaddwd256),
    EMULATED(pmaddwd128),   EMULATED(usmmla)};

template <typename T>
std::vector<T> random(std::mt19937 &rng, size_t size, int least, int most) {
  std::uniform_int_distribution<int> values(least, most);
  std::vector<T> result(size);
  for (T &value : result)
    value = T(values(rng));
  return result;
}

/// Runs what `emit` makes of acts (i8), weights (i8 or i16) and sums (i32).
bool run(std::vector<uint8_t> &acts, void *weights, unsigned weightBits,
         size_t weightCount, std::vector<int32_t> &sums,
         const LoopOptions &options,
         llvm::function_ref<void(LoopBuilder &, ValueRange)> emit) {
  JitContext context;
  OpBuilder b(&context);
  MemRefType types[] = {
      MemRefType::get({int64_t(acts.size())}, b.getI8Type()),
      MemRefType::get({int64_t(weightCount)}, b.getIntegerType(weightBits)),
      MemRefType::get({int64_t(sums.size())}, b.getI32Type())};
  auto module =
      buildConv(b, types, 1, 1, 1, 1,
                [&](ValueRange buffers, Value, Value, Value, int64_t) {
                  LoopBuilder loops(b.getUnknownLoc(), b, options);
                  emit(loops, buffers);
                });
  void *buffers[] = {acts.data(), weights, sums.data()};
  return runConv(*module, buffers, emulation);
}

class ByteTileTest : public testing::Test {
protected:
  static void SetUpTestSuite() { initializeJit(); }
};

/// Blocks of all shapes, of whole tiles and of fewer rows.
TEST_F(ByteTileTest, SumsTiles) {
  std::mt19937 rng(1);
  struct Case {
    int64_t pixelTiles, channelTiles, depth, steps, kh, kw, rows;
  };
  for (Case c : {Case{2, 2, 64, 2, 1, 1, 16},
                 {1, 4, 48, 1, 3, 1, 7},
                 {4, 1, 32, 3, 2, 2, 16},
                 {3, 1, 4, 1, 1, 1, 1},
                 {1, 2, 60, 1, 2, 3, 14}}) {
    AmxTile tile;
    tile.pixelTiles = c.pixelTiles;
    tile.channelTiles = c.channelTiles;
    tile.depth = c.depth;
    tile.steps = c.steps;
    tile.kh = c.kh;
    tile.kw = c.kw;
    tile.pixelStep = c.depth * c.steps;
    tile.strideX = tile.pixelStep;
    tile.strideY = 16 * tile.pixelStep;
    int64_t bytes =
        (tile.pixels() + c.kw) * tile.pixelStep + c.kh * tile.strideY;
    auto acts = random<uint8_t>(rng, bytes, 0, 255);
    auto weights =
        random<int8_t>(rng, tile.totalSteps() * tile.stepBytes(), -128, 127);
    std::vector<int32_t> sums(tile.pixels() * tile.channels());
    ASSERT_TRUE(
        run(acts, weights.data(), 8, weights.size(), sums, {},
            [&](LoopBuilder &b, ValueRange m) {
              Value config = b.local(MemRefType::get({64}, b.getI8Type()));
              emitAmxConfigure(b, tile, b.index(c.rows), config);
              Values first;
              for (int64_t i = 0; i < c.pixelTiles; ++i)
                first.push_back(
                    emitAddress(b, m[0], b.index(i * 16 * tile.pixelStep)));
              emitAmxTile(
                  b, tile, first,
                  [&](Value k) {
                    return emitAddress(b, m[1], b.mul(k, tile.stepBytes()));
                  },
                  emitAddress(b, m[2], b.index(0)), [](Value) {});
              emitAmxRelease(b);
            }));
    for (int64_t p = 0; p < tile.pixels(); ++p)
      for (int64_t k = 0; k < tile.channels() && p % 16 < c.rows; ++k) {
        int32_t sum = 0;
        for (int64_t step = 0; step < tile.totalSteps(); ++step) {
          int64_t place = step / c.steps;
          int64_t at = p * tile.pixelStep + place / c.kw * tile.strideY +
                       place % c.kw * tile.strideX + step % c.steps * c.depth;
          int64_t block = step * c.channelTiles + k / 16;
          for (int64_t i = 0; i < c.depth; ++i)
            sum += acts[at + i] * weights[(block * c.depth / 4 + i / 4) * 64 +
                                          k % 16 * 4 + i % 4];
        }
        ASSERT_EQ(sum, sums[p * tile.channels() + k]) << p << ' ' << k;
      }
  }
}

struct Vectors {
  const char *name;
  void (*set)(LoopOptions &);
};
const Vectors vectors[] = {
    {"vnni 512",
     [](LoopOptions &o) {
       o.vectorBytes = 64;
       o.avx512Vnni = true;
     }},
    {"vnni 256",
     [](LoopOptions &o) {
       o.vectorBytes = 32;
       o.avxVnni = true;
     }},
    {"maddubs 512", [](LoopOptions &o) { o.vectorBytes = 64; }},
    {"maddubs 256", [](LoopOptions &o) { o.vectorBytes = 32; }},
    {"maddubs 128", [](LoopOptions &o) { o.vectorBytes = 16; }},
    {"usdot", [](LoopOptions &o) { o.neon = o.i8mm = true; }},
    {"sdot", [](LoopOptions &o) { o.neon = o.dotprod = true; }},
    {"mla", [](LoopOptions &o) { o.neon = true; }}};

/// Codes and weights of few bits, whose sums stay narrow, and extreme ones.
TEST_F(ByteTileTest, SumsVectors) {
  std::mt19937 rng(2);
  struct Range {
    int maxCode, maxWeight, bytes;
  };
  for (const Vectors &form : vectors)
    for (auto [maxCode, maxWeight, placeBytes] :
         {Range{3, 1, 12}, {3, 1, 16}, {255, 127, 12}, {255, 127, 16}}) {
      SCOPED_TRACE(std::string(form.name) + " " + std::to_string(maxCode) +
                   " " + std::to_string(placeBytes));
      LoopOptions options;
      form.set(options);
      Dot8Target target =
          getDot8Target(options, maxCode, maxWeight, placeBytes);
      Dot8Tile tile;
      tile.pixels = 3;
      tile.vectors = 2;
      tile.kh = 2;
      tile.kw = 2;
      tile.bytes = placeBytes;
      tile.pixelStep = tile.strideX = tile.bytes;
      tile.strideY = 5 * tile.bytes;
      auto acts = random<uint8_t>(rng, 10 * tile.bytes, 0, maxCode);
      int64_t steps = tile.bytes / target.depth(), all = tile.steps(target);
      int64_t each = target.stepElements(),
              channels = tile.vectors * target.lanes;
      auto weights = random<int16_t>(rng, all * tile.vectors * each, -maxWeight,
                                     maxWeight);
      std::vector<int8_t> bytes(weights.begin(), weights.end());
      bool words = target.weightBits() == 16;
      std::vector<int32_t> sums(tile.pixels * channels);
      ASSERT_TRUE(run(acts, words ? (void *)weights.data() : bytes.data(),
                      target.weightBits(), weights.size(), sums, options,
                      [&](LoopBuilder &b, ValueRange m) {
                        Values result =
                            emitDot8Tile(b, target, tile, m[0], b.index(0),
                                         m[1], b.index(0));
                        for (auto [i, vector] : llvm::enumerate(result))
                          b.store(vector, m[2], b.index(i * target.lanes));
                      }));
      std::vector<int32_t> expected(sums.size(), 0);
      for (int64_t p = 0; p < tile.pixels; ++p)
        for (int64_t step = 0; step < all; ++step)
          for (int64_t i = 0; i < tile.vectors * each; ++i) {
            auto [lane, byte] = getDot8Weight(target, i % each);
            int64_t place = step / steps;
            int64_t at = p * tile.pixelStep + place / 2 * tile.strideY +
                         place % 2 * tile.strideX +
                         step % steps * target.depth() + byte;
            int32_t code = acts[at] - (target.shifted ? 128 : 0);
            expected[p * channels + i / each * target.lanes + lane] +=
                code * weights[step * tile.vectors * each + i];
          }
      EXPECT_EQ(expected, sums);
    }
}

} // namespace
