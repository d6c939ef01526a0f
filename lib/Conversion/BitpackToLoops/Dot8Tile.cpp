//===- Dot8Tile.cpp - register tiles of products of bytes -----------------===//
#include "Dot8Tile.h"
#include "hwgq/Conversion/TargetIntrinsics.h"
#include "hwgq/Dialect/Kernels.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace hwgq;

static constexpr int64_t kMostNarrow = 32767;

static Dot8Target getNeonTarget(const LoopOptions &options, int64_t maxCode,
                                int64_t maxWeight, int64_t bytes) {
  if (options.i8mm && bytes % 8 == 0)
    return {Dot8Target::Matrix, "usmmla", 4, 4, 6};
  if (options.i8mm)
    return {Dot8Target::Dot, "usdot", 4, 4, 6};
  if (options.dotprod)
    return {Dot8Target::SignDot, "sdot", 4, 4, 6, 0, maxCode > 127};
  return {Dot8Target::Lanes, "", 8, 2, 6, kMostNarrow / (maxCode * maxWeight)};
}

int64_t Dot8Target::equalPixels(int64_t row, int64_t most) const {
  int64_t equal = bitpack::getEqualPart(row, most);
  return equal > 1 ? llvm::alignTo(equal, pixelsTogether()) : equal;
}

Dot8Target hwgq::getDot8Target(const LoopOptions &options, CodeType codes,
                               CodeType numbers, int64_t bytes) {
  return getDot8Target(
      options, (1 << codes.getBits()) - 1,
      std::max(std::abs(numbers.getMin()), std::abs(numbers.getMax())), bytes);
}

Dot8Target hwgq::getDot8Target(const LoopOptions &options, int64_t maxCode,
                               int64_t maxWeight, int64_t bytes) {
  maxWeight = std::max<int64_t>(1, maxWeight);
  if (options.neon)
    return getNeonTarget(options, maxCode, maxWeight, bytes);
  int64_t lanes = options.vectorBytes / 4;
  bool wide = lanes == 16;
  auto named = [&](StringRef at512, StringRef at256, StringRef at128) {
    return wide ? at512 : lanes == 8 ? at256 : at128;
  };
  if (wide ? options.avx512Vnni : lanes == 8 && options.avxVnni)
    return {Dot8Target::Dot, named("vpdpbusd512", "vpdpbusd256", ""), lanes,
            wide ? 4 : 2, 6};
  int64_t pair = 2 * maxCode * maxWeight;
  if (pair <= kMostNarrow)
    return {Dot8Target::Pairs,
            named("pmaddubsw512", "pmaddubsw256", "pmaddubsw128"),
            lanes,
            wide ? 4 : 2,
            wide ? 6 : 4,
            kMostNarrow / pair};
  return {Dot8Target::Words, named("pmaddwd512", "pmaddwd256", "pmaddwd128"),
          lanes, wide ? 4 : 2, wide ? 5 : 4};
}

std::pair<int64_t, int64_t> hwgq::getDot8Weight(const Dot8Target &target,
                                                int64_t at) {
  if (target.form != Dot8Target::Words)
    return {at / target.depth(), at % target.depth()};
  // First the pairs of even bytes of all lanes, then those of the odd ones.
  int64_t half = at / (2 * target.lanes), rest = at % (2 * target.lanes);
  return {rest / 2, rest % 2 * 2 + half};
}

namespace {

class TileEmitter {
public:
  TileEmitter(LoopBuilder &b, const Dot8Target &target, const Dot8Tile &tile,
              Value acts, Value at, Value weights, Value weightsAt)
      : b(b), target(target), tile(tile), acts(acts), at(at), weights(weights),
        weightsAt(weightsAt), sumType(b.vec(target.lanes, b.getI32Type())) {
    bytesType = b.vec(target.lanes * 4, b.getI8Type());
    wordsType = b.vec(target.lanes * 2, b.getI16Type());
    narrowType = !target.narrowSteps ? sumType
                 : target.form == Dot8Target::Pairs
                     ? wordsType
                     : b.vec(target.lanes, b.getI16Type());
  }

  Values emit() {
    int64_t steps = tile.bytes / target.depth(), parts = 1;
    int64_t most = target.narrowSteps;
    while (most && (steps % parts || steps / parts > most))
      ++parts;
    counts = {tile.kh, tile.kw, parts, steps / parts};
    // The outermost loop whose whole work a narrow sum takes.
    narrowFrom = 0;
    for (int64_t work = tile.kh * tile.kw * steps; most && work > most;)
      work /= counts[narrowFrom++];
    Values sums = nest(0, Values(), zeros(narrowFrom ? sumType : narrowType));
    return target.form == Dot8Target::Matrix ? split(sums) : sums;
  }

private:
  Values zeros(VectorType type) {
    int64_t pixels = llvm::alignTo(tile.pixels, target.pixelsTogether());
    return Values(pixels * tile.vectors, b.splat(type, int64_t(0)));
  }

  /// The loops from level `level` on, inside of those of `indices`.
  Values nest(size_t level, Values indices, Values sums) {
    if (level == narrowFrom && level > 0) {
      Values narrow = inner(level, indices, zeros(narrowType));
      for (auto [sum, part] : llvm::zip(sums, narrow))
        sum = b.add(sum, widen(part));
      return sums;
    }
    if (level == narrowFrom) {
      Values narrow = inner(level, indices, sums);
      for (Value &sum : narrow)
        sum = widen(sum);
      return narrow;
    }
    return b.carry(counts[level], sums, [&](Value i, ValueRange carried) {
      Values inside = indices;
      inside.push_back(i);
      return nest(level + 1, inside, Values(carried));
    });
  }

  Values inner(size_t level, Values indices, Values sums) {
    if (level == counts.size())
      return step(indices, sums);
    return b.carry(counts[level], sums, [&](Value i, ValueRange carried) {
      Values inside = indices;
      inside.push_back(i);
      return inner(level + 1, inside, Values(carried));
    });
  }

  /// Narrow sums as i32.
  Value widen(Value narrow) {
    if (!target.narrowSteps)
      return narrow;
    if (target.form == Dot8Target::Lanes)
      return arith::ExtSIOp::create(b, sumType, narrow);
    StringRef name = target.lanes == 16  ? "pmaddwd512"
                     : target.lanes == 8 ? "pmaddwd256"
                                         : "pmaddwd128";
    return createTargetIntrinsic(b, b.getLoc(), name,
                                 {narrow, b.splat(wordsType, int64_t(1))});
  }

  Values step(ValueRange i, Values sums) {
    int64_t depth = target.depth(), steps = tile.bytes / depth;
    Value place = b.add(b.mul(i[0], tile.kw), i[1]);
    Value s = b.add(b.mul(i[2], counts[3]), i[3]);
    Value k = b.add(b.mul(place, steps), s);
    int64_t elements = target.stepElements();
    Value from = b.add(weightsAt, b.mul(k, tile.vectors * elements));
    Value window =
        b.add(b.add(at, b.mul(s, depth)),
              b.add(b.mul(i[0], tile.strideY), b.mul(i[1], tile.strideX)));
    if (target.form == Dot8Target::Matrix)
      return matrixStep(window, from, sums);
    Values channels;
    for (int64_t v = 0; v < tile.vectors; ++v)
      channels.push_back(
          b.load(b.vec(elements, b.getIntegerType(target.weightBits())),
                 weights, b.add(from, v * elements)));
    for (int64_t p = 0; p < tile.pixels; ++p) {
      Values codes = load(b.add(window, p * tile.pixelStep));
      for (int64_t v = 0; v < tile.vectors; ++v) {
        Value &sum = sums[p * tile.vectors + v];
        sum = multiply(sum, codes, channels[v]);
      }
    }
    return sums;
  }

  //===--------------------------------------------------------------------===//
  // Blocks of two pixels: sums of pair j and vector v are the 2x2 blocks
  // [2j * vectors + v] of channels 0, 1 and [(2j + 1) * vectors + v] of 2, 3
  //===--------------------------------------------------------------------===//

  Values matrixStep(Value window, Value from, Values sums) {
    Values pairs;
    for (int64_t p = 0; p < tile.pixels; p += 2)
      pairs.push_back(loadPair(window, p));
    for (int64_t half = 0; half < 2 * tile.vectors; ++half) {
      Value channels = b.load(bytesType, weights, b.add(from, half * 16));
      for (auto [j, pair] : llvm::enumerate(pairs)) {
        Value &sum = sums[(2 * j + half % 2) * tile.vectors + half / 2];
        sum = multiply(sum, {pair}, channels);
      }
    }
    return sums;
  }

  /// 8 bytes of pixels p and p + 1; of p twice where it is the last.
  Value loadPair(Value window, int64_t p) {
    VectorType half = b.vec(8, b.getI8Type());
    Value first = b.load(half, acts, b.add(window, p * tile.pixelStep));
    if (p + 1 == tile.pixels)
      return b.join(first, first);
    return b.join(first,
                  b.load(half, acts, b.add(window, (p + 1) * tile.pixelStep)));
  }

  /// The sums of each pixel from those of pairs.
  Values split(ValueRange blocks) {
    Values sums;
    for (int64_t p = 0; p < tile.pixels; ++p)
      for (int64_t v = 0; v < tile.vectors; ++v) {
        int64_t at = p / 2 * 2 * tile.vectors + v, row = p % 2 * 2;
        sums.push_back(vector::ShuffleOp::create(
            b, blocks[at], blocks[at + tile.vectors],
            ArrayRef<int64_t>{row, row + 1, row + 4, row + 5}));
      }
    return sums;
  }

  /// The codes of a step at `from` in all lanes, in the forms that `multiply`
  /// takes.
  Values load(Value from) {
    if (target.form == Dot8Target::Lanes) {
      Value code = b.load(acts, from);
      return {b.broadcast(narrowType,
                          arith::ExtUIOp::create(b, b.getI16Type(), code))};
    }
    Value word = loadWord(from);
    if (target.shifted)
      word = b.xori(word, b.i32(int32_t(0x80808080)));
    Value all = b.broadcast(sumType, word);
    if (target.form != Dot8Target::Words)
      return {vector::BitCastOp::create(b, bytesType, all)};
    Value words = vector::BitCastOp::create(b, wordsType, all);
    return {b.andi(words, b.splat(wordsType, int64_t(0xff))),
            b.shr(words, b.splat(wordsType, int64_t(8)))};
  }

  /// Four bytes at `from`, as i32.
  Value loadWord(Value from) {
    if (b.options.neon) { // LLVM loads four bytes there one by one
      Value pointer = LLVM::IntToPtrOp::create(
          b, LLVM::LLVMPointerType::get(b.getContext()),
          emitAddress(b, acts, from));
      return LLVM::LoadOp::create(b, b.getI32Type(), pointer, /*alignment=*/1);
    }
    Value bytes = b.load(b.vec(4, b.getI8Type()), acts, from);
    return vector::ExtractOp::create(
        b, vector::BitCastOp::create(b, b.vec(1, b.getI32Type()), bytes),
        int64_t(0));
  }

  Value multiply(Value sum, ValueRange codes, Value channels) {
    auto call = [&](ValueRange operands) {
      return createTargetIntrinsic(b, b.getLoc(), target.instruction, operands);
    };
    switch (target.form) {
    case Dot8Target::Dot:
    case Dot8Target::SignDot:
    case Dot8Target::Matrix:
      return call({sum, codes[0], channels});
    case Dot8Target::Pairs:
      return b.add(sum, call({codes[0], channels}));
    case Dot8Target::Words: {
      int64_t half = 2 * target.lanes;
      sum = b.add(sum, call({codes[0], b.slice(channels, 0, half)}));
      return b.add(sum, call({codes[1], b.slice(channels, half, half)}));
    }
    case Dot8Target::Lanes:
      return b.add(sum, b.mul(codes[0],
                              arith::ExtSIOp::create(b, narrowType, channels)));
    }
    llvm_unreachable("all forms are here");
  }

  LoopBuilder &b;
  const Dot8Target &target;
  const Dot8Tile &tile;
  Value acts, at, weights, weightsAt;
  VectorType sumType, bytesType, wordsType, narrowType;
  SmallVector<int64_t> counts; // of the loops ky, kx, part, step
  size_t narrowFrom = 0;
};

} // namespace

Values hwgq::emitDot8Tile(LoopBuilder &b, const Dot8Target &target,
                          const Dot8Tile &tile, Value acts, Value at,
                          Value weights, Value weightsAt) {
  return TileEmitter(b, target, tile, acts, at, weights, weightsAt).emit();
}
