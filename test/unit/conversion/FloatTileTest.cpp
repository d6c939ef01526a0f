//===- FloatTileTest.cpp - f32 tiles against the fma chain ----------------===//
//
// Each case is compiled for this machine and run; the results are compared bit
// for bit.
//
//===----------------------------------------------------------------------===//

#include "../../../lib/Conversion/BitpackToLoops/FloatTile.h"
#include "Jit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace mlir;
using namespace hwgq;

namespace {
LoopOptions options(unsigned bytes, unsigned registers, bool fma) {
  LoopOptions result;
  result.vectorBytes = bytes;
  result.vectorRegisters = registers;
  result.fma = fma;
  return result;
}

const std::pair<const char *, LoopOptions> targets[] = {
    {"avx512", options(64, 32, true)},
    {"avx2", options(32, 16, true)},
    {"neon", options(16, 32, true)},
    {"without fma", options(16, 16, false)},
};

/// A square convolution over an input that is already padded.
struct Case {
  int64_t size, channels, outChannels, filter, stride, dilation;

  int64_t outSize() const {
    return (size - dilation * (filter - 1) - 1) / stride + 1;
  }
};

class Conv {
public:
  Conv(const LoopOptions &target, const Case &c) : target(target), c(c) {
    tile.block = getFloatBlock(target, c.outChannels);
    tile.kh = tile.kw = c.filter;
    tile.channels = c.channels;
    tile.pixelStep = c.stride * c.channels;
    tile.tapStepX = c.dilation * c.channels;
    tile.tapStepY = c.dilation;
    tile.pixels = getFloatPixels(target, tile.block, c.outSize());
    blocks = (c.outChannels + tile.block - 1) / tile.block;
    std::mt19937 rng(1);
    fill(rng, acts, c.size * c.size * c.channels);
    fill(rng, weights, blocks * c.filter * c.filter * c.channels * tile.block);
  }

  std::vector<float> run() {
    OpBuilder b(&context);
    Type f32 = b.getF32Type();
    MemRefType types[] = {
        MemRefType::get({1, c.size, c.size * c.channels}, f32),
        MemRefType::get({blocks, c.filter, c.filter * c.channels, tile.block},
                        f32),
        MemRefType::get({c.outSize(), c.outSize(), blocks * tile.block}, f32)};
    auto module = buildConv(
        b, types, blocks, c.outSize(), c.outSize(), tile.pixels,
        [&](ValueRange arguments, Value k, Value y, Value x, int64_t pixels) {
          FloatTile shape = tile;
          shape.pixels = pixels;
          SmallVector<Value> sums = emitFloatTile(
              b, b.getUnknownLoc(), target, shape, arguments[0], constant(b, 0),
              times(b, y, c.stride), times(b, x, tile.pixelStep),
              [&](Value ky, Value tap) {
                return load(b, arguments[1], k, ky, tap);
              });
          storeTile(b, sums, arguments[2], k, y, x, tile.block);
        });
    std::vector<float> out(c.outSize() * c.outSize() * blocks * tile.block,
                           NAN);
    EXPECT_TRUE(runConv(*module, {acts.data(), weights.data(), out.data()}));
    return out;
  }

  std::vector<float> expected() const {
    std::vector<float> out;
    for (int64_t y = 0; y < c.outSize(); ++y)
      for (int64_t x = 0; x < c.outSize(); ++x)
        for (int64_t k = 0; k < blocks * tile.block; ++k)
          out.push_back(chain(y, x, k));
    return out;
  }

private:
  /// The registers of the weights of a tap.
  SmallVector<Value> load(OpBuilder &b, Value from, Value k, Value ky,
                          Value tap) {
    VectorType type = getFloatRegister(b, target, tile);
    SmallVector<Value> result;
    for (int64_t i = 0; i < tile.block; i += type.getNumElements())
      result.push_back(
          vector::LoadOp::create(b, b.getUnknownLoc(), type, from,
                                 ValueRange{k, ky, tap, constant(b, i)}));
    return result;
  }

  /// Magnitudes of many sizes, so that roundings differ.
  static void fill(std::mt19937 &rng, std::vector<float> &to, int64_t count) {
    std::uniform_real_distribution<float> mantissa(-1, 1);
    for (int64_t i = 0; i < count; ++i)
      to.push_back(std::ldexp(mantissa(rng), int(rng() % 24) - 12));
  }

  float chain(int64_t y, int64_t x, int64_t k) const {
    float acc = 0;
    for (int64_t ky = 0; ky < c.filter; ++ky)
      for (int64_t kx = 0; kx < c.filter; ++kx)
        for (int64_t i = 0; i < c.channels; ++i) {
          int64_t pixel = (y * c.stride + ky * c.dilation) * c.size +
                          x * c.stride + kx * c.dilation;
          int64_t tap = ((k / tile.block) * c.filter + ky) * c.filter + kx;
          acc = std::fma(
              acts[pixel * c.channels + i],
              weights[(tap * c.channels + i) * tile.block + k % tile.block],
              acc);
        }
    return acc;
  }

  JitContext context;
  const LoopOptions &target;
  Case c;
  FloatTile tile;
  int64_t blocks;
  std::vector<float> acts, weights;
};

void checkOnEveryTarget(const Case &c) {
  for (const auto &[name, target] : targets) {
    SCOPED_TRACE(name);
    Conv conv(target, c);
    EXPECT_EQ(conv.run(), conv.expected());
  }
}

class FloatTileTest : public testing::Test {
protected:
  static void SetUpTestSuite() { initializeJit(); }
};

// size, channels, outChannels, filter, stride, dilation
TEST_F(FloatTileTest, FirstLayer) { checkOnEveryTarget({23, 3, 64, 7, 2, 1}); }
TEST_F(FloatTileTest, OddChannels) { checkOnEveryTarget({9, 5, 10, 3, 1, 1}); }
TEST_F(FloatTileTest, Dilation) { checkOnEveryTarget({12, 2, 24, 3, 1, 3}); }
TEST_F(FloatTileTest, OnePixel) { checkOnEveryTarget({1, 100, 33, 1, 1, 1}); }
TEST_F(FloatTileTest, OneChannelOut) { checkOnEveryTarget({5, 4, 1, 2, 1, 1}); }
} // namespace
