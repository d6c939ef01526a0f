//===- PopcountTileTest.cpp - popcount tiles against scalar loops ---------===//
//
// Each case is compiled for this machine and run. A tile uses no instruction
// that LLVM cannot legalise elsewhere, so that the form of every target runs
// on every machine.
//
//===----------------------------------------------------------------------===//

#include "../../../lib/Conversion/BitpackToLoops/PopcountTile.h"
#include "Jit.h"

#include <gtest/gtest.h>

#include <random>

using namespace mlir;
using namespace hwgq;

namespace {
const std::pair<const char *, PopcountTarget> targets[] = {
    {"avx512vpopcntdq", getPopcountTarget(64, 32, true)},
    {"avx512bw", getPopcountTarget(64, 32, false)},
    {"avx2", getPopcountTarget(32, 16, false)},
    {"ssse3", getPopcountTarget(16, 16, false)},
    {"neon", getPopcountTarget(16, 32, false)},
};

/// A square convolution over an input that is already padded.
struct Case {
  int64_t size, words, channels, planesA, planesW, filter, stride, dilation;
  bool signedA, signedW, ones;

  int64_t outSize() const {
    return (size - dilation * (filter - 1) - 1) / stride + 1;
  }
};

class Conv {
public:
  Conv(const PopcountTarget &target, const Case &c) : target(target), c(c) {
    tile.block = getPopcountBlock(target, c.channels);
    tile.planesA = c.planesA;
    tile.planesW = c.planesW;
    tile.signedA = c.signedA;
    tile.signedW = c.signedW;
    tile.kh = tile.kw = c.filter;
    tile.words = c.words;
    tile.pixelStep = c.stride * c.words * c.planesA;
    tile.tapStepX = c.dilation * c.words * c.planesA;
    tile.tapStepY = c.dilation;
    tile.pixels = getPopcountPixels(target, tile, c.outSize());
    blocks = (c.channels + tile.block - 1) / tile.block;
    std::mt19937_64 rng(1);
    for (int64_t i = 0; i < c.size * c.size * c.words * c.planesA; ++i)
      acts.push_back(c.ones ? ~0ull : rng());
    for (int64_t i = 0;
         i < blocks * c.filter * c.filter * c.words * c.planesW * tile.block;
         ++i)
      weights.push_back(c.ones ? ~0ull : rng());
  }

  /// Runs the emitted loops.
  std::vector<int32_t> run() {
    std::vector<int32_t> out(outElements(), 0x5a5a5a5a);
    EXPECT_TRUE(runConv(*build(), {acts.data(), weights.data(), out.data()}));
    return out;
  }

  /// The same sums one by one.
  std::vector<int32_t> expected() const {
    std::vector<int32_t> out;
    for (int64_t y = 0; y < c.outSize(); ++y)
      for (int64_t x = 0; x < c.outSize(); ++x)
        for (int64_t k = 0; k < blocks * tile.block; ++k)
          out.push_back(sum(y, x, k));
    return out;
  }

private:
  int64_t outElements() const {
    return c.outSize() * c.outSize() * blocks * tile.block;
  }

  int32_t sum(int64_t y, int64_t x, int64_t k) const {
    int64_t total = 0;
    for (int64_t ky = 0; ky < c.filter; ++ky)
      for (int64_t kx = 0; kx < c.filter; ++kx)
        for (int64_t word = 0; word < c.words; ++word)
          total += wordSum(
              y * c.stride + ky * c.dilation, x * c.stride + kx * c.dilation,
              word,
              (((k / tile.block) * c.filter + ky) * c.filter + kx) * c.words +
                  word,
              k % tile.block);
    return int32_t(total);
  }

  int64_t wordSum(int64_t y, int64_t x, int64_t word, int64_t weightWord,
                  int64_t lane) const {
    int64_t total = 0;
    for (int64_t p = 0; p < c.planesA; ++p)
      for (int64_t q = 0; q < c.planesW; ++q) {
        uint64_t a = acts[((y * c.size + x) * c.words + word) * c.planesA + p];
        uint64_t w = weights[(weightWord * c.planesW + q) * tile.block + lane];
        int64_t count = int64_t(llvm::popcount(a & w)) << (p + q);
        bool negative = (c.signedA && p == c.planesA - 1) !=
                        (c.signedW && q == c.planesW - 1);
        total += negative ? -count : count;
      }
    return total;
  }

  OwningOpRef<ModuleOp> build() {
    OpBuilder b(&context);
    Type i64 = b.getI64Type(), i32 = b.getI32Type();
    MemRefType types[] = {
        MemRefType::get({1, c.size, c.size * c.words * c.planesA}, i64),
        MemRefType::get(
            {blocks, c.filter, c.filter * c.words, c.planesW * tile.block},
            i64),
        MemRefType::get({c.outSize(), c.outSize(), blocks * tile.block}, i32)};
    return buildConv(
        b, types, blocks, c.outSize(), c.outSize(), tile.pixels,
        [&](ValueRange arguments, Value k, Value y, Value x, int64_t pixels) {
          PopcountTile shape = tile;
          shape.pixels = pixels;
          Location loc = b.getUnknownLoc();
          SmallVector<Value> sums =
              emitPopcountTile(b, loc, target, shape, arguments[0],
                               constant(b, 0), times(b, y, c.stride),
                               times(b, x, tile.pixelStep), arguments[1], k);
          storeTile(b, sums, arguments[2], k, y, x, tile.block);
        });
  }

  JitContext context;
  const PopcountTarget &target;
  Case c;
  PopcountTile tile;
  int64_t blocks;
  std::vector<uint64_t> acts, weights;
};

void checkOnEveryTarget(const Case &c) {
  for (const auto &[name, target] : targets) {
    SCOPED_TRACE(name);
    Conv conv(target, c);
    EXPECT_EQ(conv.run(), conv.expected());
  }
}

class PopcountTileTest : public testing::Test {
protected:
  static void SetUpTestSuite() { initializeJit(); }
};

// size, words, channels, planesA, planesW, filter, stride, dilation,
// signedA, signedW, all bits one
TEST_F(PopcountTileTest, RestOfARow) {
  checkOnEveryTarget({9, 1, 10, 1, 1, 3, 1, 1, false, false, false});
}
TEST_F(PopcountTileTest, StrideAndSignedPlanes) {
  checkOnEveryTarget({9, 2, 40, 2, 2, 3, 2, 1, false, true, false});
}
TEST_F(PopcountTileTest, Dilation) {
  checkOnEveryTarget({8, 2, 24, 1, 1, 3, 1, 2, false, false, false});
}
TEST_F(PopcountTileTest, MorePlanesThanRegisters) {
  checkOnEveryTarget({4, 1, 32, 8, 3, 2, 1, 1, true, true, false});
}
TEST_F(PopcountTileTest, OneByOne) {
  checkOnEveryTarget({5, 3, 64, 2, 1, 1, 1, 1, false, false, false});
}
// Byte counts are widened after each row, within rows, and in 64 bits.
TEST_F(PopcountTileTest, BytesFullInARow) {
  checkOnEveryTarget({4, 10, 8, 1, 1, 3, 1, 1, false, false, true});
}
TEST_F(PopcountTileTest, BytesFullWithinARow) {
  checkOnEveryTarget({3, 25, 9, 1, 1, 3, 1, 1, false, false, true});
}
TEST_F(PopcountTileTest, HalvesFull) {
  checkOnEveryTarget({1, 4700, 8, 1, 1, 1, 1, 1, false, false, true});
}

TEST(PopcountBlock, LeavesFewEmptyLanes) {
  PopcountTarget wide = targets[0].second, narrow = targets[2].second;
  EXPECT_EQ(getPopcountBlock(wide, 1), 8);
  EXPECT_EQ(getPopcountBlock(wide, 24), 24);
  EXPECT_EQ(getPopcountBlock(wide, 64), 32);
  EXPECT_EQ(getPopcountBlock(wide, 48), 16);
  EXPECT_EQ(getPopcountBlock(wide, 1000), 8);
  EXPECT_EQ(getPopcountBlock(narrow, 512), 8);
}
} // namespace
