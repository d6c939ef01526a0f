//===- LookupTileTest.cpp - lookup tiles against scalar loops -------------===//
//
// Each case is compiled for this machine and run, in the forms of the byte
// shuffles that it has.
//
//===----------------------------------------------------------------------===//

#include "../../../lib/Conversion/BitpackToLoops/LookupTile.h"
#include "Jit.h"

#include "llvm/TargetParser/Host.h"

#include <gtest/gtest.h>

#include <random>

using namespace mlir;
using namespace hwgq;

namespace {

LoopOptions form(unsigned bytes, bool permute) {
  LoopOptions options;
  options.vectorBytes = bytes;
  options.vectorRegisters = bytes == 64 ? 32 : 16;
  options.bytePermute = permute;
  return options;
}

struct Form {
  const char *feature;
  LoopOptions options;
};
const Form forms[] = {{"avx512vbmi", form(64, true)},
                      {"avx512bw", form(64, false)},
                      {"avx2", form(32, false)},
                      {"ssse3", form(16, false)}};

/// Bytes as aligned as registers.
struct alignas(64) Line {
  uint8_t bytes[64];
};
std::vector<Line> align(const std::vector<uint8_t> &bytes) {
  std::vector<Line> lines(llvm::divideCeil(bytes.size(), 64));
  std::copy(bytes.begin(), bytes.end(), lines.front().bytes);
  return lines;
}

/// A square convolution over an input that is already padded.
struct Case {
  int64_t size, inputs, channels, planesA, planesW, filter, stride, dilation;
  bool ones;
  bool paired = false;
  bool half = false;  // a weight is 1 in half of its bits, and runs are known
  int64_t shared = 0; // registers of channels, where tables are in registers

  int64_t words() const { return llvm::divideCeil(inputs, 64); }
  int64_t outSize() const {
    return (size - dilation * (filter - 1) - 1) / stride + 1;
  }
};

class Conv {
public:
  Conv(const LoopOptions &options, const Case &c)
      : options(options), target(getLookupTarget(options)), c(c) {
    tile.planesA = c.planesA;
    tile.planesW = c.planesW;
    tile.paired = c.paired;
    tile.kh = tile.kw = c.filter;
    tile.channels = c.inputs;
    tile.columns = tile.ring = c.size;
    tile.pixelStep = c.stride;
    tile.tapStepX = tile.tapStepY = c.dilation;
    tile.shared = std::min(c.shared, target.mostShared());
    // The second pixels of pairs are those of the right half.
    tile.pixels = getLookupPixels(
        target, c.paired ? c.outSize() / 2 : c.outSize(), tile.shared);
    blocks =
        llvm::alignTo(llvm::divideCeil(c.channels, target.lanes), registers());
    std::mt19937_64 rng(1);
    for (int64_t i = 0; i < c.size * c.size * c.words() * c.planesA; ++i)
      acts.push_back(c.ones ? ~0ull : rng());
    for (int64_t i = 0; i < blocks * target.lanes * c.filter * c.filter *
                                c.words() * c.planesW;
         ++i)
      weights.push_back((c.half   ? 0x5555555555555555
                         : c.ones ? ~0ull
                                  : rng()) &
                        wordMask(i / c.planesW % c.words()));
    if (c.half)
      tile.run = getLookupRun(target, tile, weightCodes());
  }
  int64_t run() const { return tile.run; }

  std::vector<int32_t> results() {
    std::vector<uint8_t> rows = getLookupRows(target, tile);
    std::vector<uint8_t> indices = packIndices();
    std::vector<Line> tables = align(std::vector<uint8_t>(tableBytes()));
    std::vector<Line> alignedIndices = align(indices);
    std::vector<int32_t> out(outElements(), 0x5a5a5a5a);
    EXPECT_TRUE(runConv(*build(rows.size(), indices.size()),
                        {acts.data(), rows.data(), tables.data(),
                         alignedIndices.data(), out.data()}));
    return out;
  }

  std::vector<int32_t> expected() const {
    std::vector<int32_t> out;
    for (int64_t y = 0; y < c.outSize(); ++y)
      for (int64_t x = 0; x < c.outSize(); ++x)
        for (int64_t k = 0; k < blocks * target.lanes; ++k)
          out.push_back(sum(y, x, k));
    return out;
  }

private:
  /// The bits of a word that stand for channels.
  uint64_t wordMask(int64_t word) const {
    return llvm::maskTrailingOnes<uint64_t>(
        std::min<int64_t>(64, c.inputs - word * 64));
  }
  /// Registers of channels of a tile.
  int64_t registers() const { return std::max<int64_t>(1, tile.shared); }
  int64_t parts() const { return target.parts(tile.tableBits()); }
  int64_t tableBytes() const {
    return c.size * c.size * target.tables(c.inputs) * target.entries();
  }
  int64_t outElements() const {
    return c.outSize() * c.outSize() * blocks * target.lanes;
  }
  uint64_t weight(int64_t k, int64_t ky, int64_t kx, int64_t word,
                  int64_t q) const {
    return weights[(((k * c.filter + ky) * c.filter + kx) * c.words() + word) *
                       c.planesW +
                   q];
  }

  std::vector<uint8_t> weightCodes() const {
    std::vector<uint8_t> codes;
    for (int64_t k = 0; k < blocks * target.lanes; ++k)
      for (int64_t tap = 0; tap < c.filter * c.filter; ++tap)
        for (int64_t i = 0; i < c.inputs; ++i) {
          uint8_t code = 0;
          for (int64_t q = 0; q < c.planesW; ++q)
            code |= (weight(k, tap / c.filter, tap % c.filter, i / 64, q) >>
                         (i % 64) &
                     1)
                    << q;
          codes.push_back(code);
        }
    return codes;
  }

  int32_t sum(int64_t y, int64_t x, int64_t k) const {
    int64_t total = 0;
    for (int64_t ky = 0; ky < c.filter; ++ky)
      for (int64_t kx = 0; kx < c.filter; ++kx)
        for (int64_t word = 0; word < c.words(); ++word)
          for (int64_t p = 0; p < c.planesA; ++p)
            for (int64_t q = 0; q < c.planesW; ++q)
              total += int64_t(llvm::popcount(
                           acts[(((y * c.stride + ky * c.dilation) * c.size +
                                  x * c.stride + kx * c.dilation) *
                                     c.words() +
                                 word) *
                                    c.planesA +
                                p] &
                           weight(k, ky, kx, word, q)))
                       << (p + q);
    return int32_t(total);
  }

  std::vector<uint8_t> packIndices() const {
    std::vector<uint8_t> result;
    for (int64_t block = 0; block < blocks; ++block)
      for (int64_t q = 0; q < c.planesW; ++q)
        for (int64_t ky = 0; ky < c.filter; ++ky)
          for (int64_t t = 0; t < target.tables(c.inputs); ++t)
            for (int64_t kx = 0; kx < c.filter; ++kx)
              for (int64_t lane = 0; lane < target.lanes; ++lane) {
                uint64_t word = weight(block * target.lanes +
                                           getLookupChannel(target, lane),
                                       ky, kx, t / target.wordTables(), q);
                result.push_back(word >>
                                     (t % target.wordTables() * target.group) &
                                 uint64_t(target.entries() - 1));
              }
    EXPECT_EQ(int64_t(result.size()),
              getLookupWeightBytes(target, tile, blocks));
    return result;
  }

  OwningOpRef<ModuleOp> build(int64_t rowBytes, int64_t indexBytes) {
    OpBuilder builder(&context);
    Type i64 = builder.getI64Type(), i32 = builder.getI32Type(),
         i8 = builder.getI8Type();
    LoopBuilder b(builder.getUnknownLoc(), builder, options);
    int64_t words = c.size * c.size * c.words();
    MemRefType types[] = {
        MemRefType::get({words * c.planesA}, i64),
        MemRefType::get({rowBytes}, i8), MemRefType::get({tableBytes()}, i8),
        MemRefType::get({indexBytes}, i8),
        MemRefType::get({c.outSize(), c.outSize(), blocks * target.lanes},
                        i32)};
    int64_t width = c.paired ? c.outSize() / 2 : c.outSize();
    return buildConv(
        builder, types, blocks / registers(), c.outSize(), width, tile.pixels,
        [&](ValueRange arguments, Value k, Value y, Value x, int64_t pixels) {
          b.setInsertionPoint(builder.getInsertionBlock(),
                              builder.getInsertionPoint());
          LookupTile shape = tile;
          shape.pixels = pixels;
          Value sums =
              b.local(MemRefType::get({shape.outputs() * target.lanes},
                                      b.getIntegerType(shape.sumBits())));
          Value first = b.mul(k, registers());
          LookupOperands operands{arguments[2],       b.index(0),
                                  b.mul(y, c.stride), b.mul(x, c.stride),
                                  arguments[3],       first};
          // All tables again for each tile: slow, but one place to emit.
          if (tile.shared)
            findTables(b, arguments, shape, operands);
          else
            b.loop(c.size * c.size, [&](Value pixel) {
              for (int64_t word = 0; word < c.words(); ++word)
                emitTables(b, arguments, pixel, word);
            });
          emitLookupTile(b, target, shape, operands, sums);
          k = first;
          store(b, shape, sums, arguments[4], k, y, x);
        });
  }

  /// Where the rows of the tables of a tile of pixels lie.
  void findTables(LoopBuilder &b, ValueRange arguments, const LookupTile &shape,
                  LookupOperands &operands) {
    int64_t count = target.tables(c.inputs);
    operands.rows = arguments[1];
    operands.field = b.index(0);
    operands.fieldStride = shape.pixels * count + lookupFields;
    operands.fields = b.local(
        MemRefType::get({c.planesA * operands.fieldStride}, b.getI16Type()));
    for (int64_t x = 0; x < shape.pixels; ++x)
      for (int64_t word = 0; word < c.words(); ++word) {
        Value pixel = b.add(b.mul(operands.row, c.size),
                            b.add(operands.column, x * c.stride));
        findWord(b, arguments, b.add(b.mul(pixel, c.words()), word),
                 operands.fields, operands.fieldStride,
                 x * count + word * target.wordTables());
      }
  }

  /// Where the rows of the tables of a word lie, part p in elements from at + p
  /// * stride on.
  void findWord(LoopBuilder &b, ValueRange arguments, Value word, Value fields,
                int64_t stride, int64_t at) {
    Values words = wordsOf(b, word);
    for (int64_t p = 0; p < parts(); ++p) {
      size_t first = p * target.rowBits();
      auto part = ValueRange(words).slice(
          first, std::min<size_t>(target.rowBits(), words.size() - first));
      emitLookupFields(b, target, arguments[0], part, fields,
                       b.index(at + p * stride));
    }
  }

  void emitTables(LoopBuilder &b, ValueRange arguments, Value pixel,
                  int64_t word) {
    int64_t count = target.tables(c.inputs), first = word * target.wordTables();
    int64_t stride = lookupFields;
    Value fields = b.local(MemRefType::get({parts() * stride}, b.getI16Type()));
    findWord(b, arguments, b.add(b.mul(pixel, c.words()), word), fields, stride,
             0);
    for (int64_t t = first; t < std::min(count, first + target.wordTables());
         ++t) {
      Values at;
      for (int64_t p = 0; p < parts(); ++p)
        at.push_back(b.index(p * stride + t - first));
      b.store(emitLookupTable(b, target, arguments[1], fields, at),
              arguments[2],
              b.mul(b.add(b.mul(pixel, count), t), target.entries()));
    }
  }

  /// The words of the tables of word `word` of the image: planes, or those of
  /// the two pixels of a pair.
  Values wordsOf(LoopBuilder &b, Value word) const {
    Values result;
    for (int64_t p = 0; p < c.planesA; ++p)
      result.push_back(b.add(b.mul(word, c.planesA), p));
    if (c.paired) // behind the image nobody reads it
      result.push_back(
          b.min(b.add(word, c.outSize() / 2 * c.stride * c.words()),
                b.index(c.size * c.size * c.words() - 1)));
    return result;
  }

  void store(LoopBuilder &b, const LookupTile &shape, Value sums, Value out,
             Value k, Value y, Value x) {
    VectorType type = b.vec(target.lanes, b.getI32Type());
    VectorType narrow = b.vec(target.lanes, b.getIntegerType(shape.sumBits()));
    for (int64_t i = 0; i < shape.outputs(); ++i) {
      Value sum = b.load(narrow, sums, b.index(i * target.lanes));
      if (narrow != type)
        sum = arith::ExtUIOp::create(b, type, sum);
      // Behind the first pixels: the second ones of pairs, or more channels.
      int64_t part = i / shape.pixels, p = i % shape.pixels;
      Value at = b.add(x, c.paired ? p + part * (c.outSize() / 2) : p);
      Value block = c.paired ? k : b.add(k, part);
      vector::StoreOp::create(b, sum, out,
                              ValueRange{y, at, b.mul(block, target.lanes)});
    }
  }

  JitContext context;
  const LoopOptions &options;
  LookupTarget target;
  Case c;
  LookupTile tile;
  int64_t blocks;
  std::vector<uint64_t> acts, weights;
};

void checkOnEveryForm(const Case &c) {
  auto host = llvm::sys::getHostCPUFeatures();
  for (const auto &[feature, options] : forms) {
    if (!host.lookup(feature))
      continue;
    SCOPED_TRACE(feature);
    Conv conv(options, c);
    EXPECT_EQ(conv.results(), conv.expected());
  }
}

class LookupTileTest : public testing::Test {
protected:
  static void SetUpTestSuite() { initializeJit(); }
};

// size, inputs, channels, planesA, planesW, filter, stride, dilation, all bits
// one
TEST_F(LookupTileTest, RestOfARow) {
  checkOnEveryForm({11, 28, 10, 2, 1, 3, 1, 1, false});
}
TEST_F(LookupTileTest, Bits) {
  checkOnEveryForm({5, 192, 70, 1, 1, 3, 1, 1, true});
}
TEST_F(LookupTileTest, StrideAndPlanes) {
  checkOnEveryForm({9, 100, 40, 2, 2, 3, 2, 1, false});
}
TEST_F(LookupTileTest, Dilation) {
  checkOnEveryForm({8, 64, 24, 3, 1, 3, 1, 2, true});
}
// A byte holds fewer lookups than the filter has taps.
TEST_F(LookupTileTest, WideCodes) {
  checkOnEveryForm({6, 64, 32, 5, 3, 4, 1, 1, true});
}
TEST_F(LookupTileTest, OneByOne) {
  checkOnEveryForm({5, 192, 64, 4, 1, 1, 1, 1, true});
}
// Two outputs in each byte, which is full behind 42 (or 63) lookups.
TEST_F(LookupTileTest, Pairs) {
  checkOnEveryForm({10, 33, 70, 1, 1, 3, 1, 1, false, true});
}
TEST_F(LookupTileTest, PairsOfOnes) {
  checkOnEveryForm({8, 192, 64, 1, 1, 5, 1, 1, true, true});
}
TEST_F(LookupTileTest, PairsWithStrideAndPlanes) {
  checkOnEveryForm({9, 128, 40, 1, 2, 2, 2, 1, false, true});
}
TEST_F(LookupTileTest, LongSumsOfPairs) {
  checkOnEveryForm({4, 8320, 16, 1, 4, 1, 1, 1, true, true});
}
// Bytes that are as full as the weights let them be.
TEST_F(LookupTileTest, LongRuns) {
  checkOnEveryForm({9, 128, 64, 2, 1, 3, 1, 1, true, false, true});
}
TEST_F(LookupTileTest, LongRunsOfPairs) {
  checkOnEveryForm({10, 192, 64, 1, 1, 3, 1, 1, true, true, true});
}
TEST_F(LookupTileTest, LongRunsOfOneTap) {
  checkOnEveryForm({5, 192, 64, 2, 2, 1, 1, 1, true, false, true});
}
// Tables in registers, where a table serves no other tap.
TEST_F(LookupTileTest, Shared) {
  checkOnEveryForm({7, 97, 250, 2, 1, 1, 1, 1, false, false, false, 4});
}
TEST_F(LookupTileTest, SharedByOne) {
  checkOnEveryForm({11, 192, 64, 1, 1, 1, 1, 1, true, false, false, 1});
}
TEST_F(LookupTileTest, SharedRunsAndPlanes) {
  checkOnEveryForm({9, 150, 180, 2, 2, 1, 2, 1, true, false, true, 3});
}
TEST_F(LookupTileTest, LongSharedSums) {
  checkOnEveryForm({3, 2560, 128, 5, 2, 1, 1, 1, true, false, false, 2});
}
// Sums of more than 16 bits, widened within a filter row.
TEST_F(LookupTileTest, LongSums) {
  checkOnEveryForm({3, 3200, 16, 5, 1, 3, 1, 1, true});
}

TEST(LookupRun, IsTheLongestThatFits) {
  LookupTarget target = getLookupTarget(forms[0].options);
  LookupTile tile;
  tile.channels = 128;
  tile.planesA = 2;
  tile.kw = 3;
  // Two filter rows of one channel. 85 bits of one in a run are a full byte.
  std::vector<uint8_t> codes(2 * 3 * 128);
  auto run = [&] { return getLookupRun(target, tile, codes); };
  EXPECT_EQ(run(), 22);
  std::fill(codes.begin() + 384, codes.begin() + 384 + 85, 1);
  EXPECT_EQ(run(), 22);
  codes.back() = 1; // of the last table: all but the first one are in a run
  EXPECT_EQ(run(), 21);
  std::fill(codes.begin(), codes.end(), 1); // 18 in each of 4 tables
  EXPECT_EQ(run(), 4);
  tile.planesA = 8;
  EXPECT_EQ(run(), 0);
}

TEST(LookupPixels, AreEven) {
  LookupTarget target = getLookupTarget(forms[0].options);
  EXPECT_EQ(getLookupPixels(target, 56), 7);
  EXPECT_EQ(getLookupPixels(target, 7), 7);
  EXPECT_EQ(getLookupPixels(target, 13), 7);
  EXPECT_EQ(getLookupPixels(target, 8), 4);
  EXPECT_EQ(getLookupPixels(target, 1), 1);
  EXPECT_EQ(getLookupPixels(target, 14, 4), 5);
  EXPECT_EQ(getLookupPixels(target, 7, 4), 4);
  EXPECT_EQ(getLookupPixels(target, 56, 1), 10);
}
} // namespace
