//===- AmxKernel.cpp - contractions of codes in bytes on AMX --------------===//
//
// With stride 1 the padded rows of a strip of an image are one run of pixels at
// equal distances, in which the outputs between rows are computed and dropped,
// so that small images fill tiles; else a tile lies in one output row. The last
// tile of a run or row begins early enough to end with it. What follows the
// sums of a block is computed beside the products of the next.
//
// Weights of few bits are read as bits and expanded in front of their first
// use: eight times fewer bytes come from the outer caches.
//
//===----------------------------------------------------------------------===//
#include "Accumulator.h"
#include "AmxShape.h"
#include "Epilogue.h"
#include "OrderedWeights.h"
#include "WindowSums.h"

using namespace mlir;
using namespace hwgq;

namespace {

/// What a task computes: outputs of image n from row y on, the input of the
/// first at byte `start`; `length` of them in a row or run, in `tiles` tiles.
struct Strip {
  Value n, y, x, start, length, tiles;
};

/// A block of tiles: number t of its strip times block `channels`, the
/// `number`th that the task computes.
struct Block {
  Value number, t, channels;
};

class AmxKernel {
public:
  AmxKernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), in(conv.input), out(conv.output),
        numbers(bitpack::getByteNumbers(conv.weightCode())), shape(conv),
        tile(shape.tile) {}

  FailureOr<Value> emit() {
    FailureOr<SmallVector<uint8_t>> codes = conv.weightCodes();
    if (failed(codes))
      return failure();
    orderWeights(*codes);
    int64_t covered = shape.blocksOfGroup * tile.channels();
    unsigned bits = shape.pairs ? 16 : 32;
    accumulator.emplace(b, conv, *codes, covered * conv.groups, numbers, bits);
    epilogue.emplace(b, conv, lanes(), covered, bits);
    linear = isLinear();
    Tasking tasking(b, conv, shape.blocksOfGroup, shape.taskRows,
                    shape.taskSplits);
    if (accumulator->needsSums())
      windowSums.emplace(b, conv, tasking, viewRows(b, conv, in));
    forEachTask(b, conv, tasking, [&](const Task &task) {
      current = &task;
      if (windowSums)
        windowSums->compute(b, task);
      emitTask(task);
    });
    return conv.result;
  }

private:
  using Form = AmxShape::Form;
  using Weights = AmxShape::Weights;

  /// Channels of a vector of sums.
  int64_t lanes() const {
    return shape.pairs ? 2 * AmxTile::kLanes : AmxTile::kLanes;
  }

  /// Whether pixels need no row: those of a run are one after another in the
  /// results, too.
  bool isLinear() const {
    if (shape.form != Form::Run || in.fullWidth() != out.width ||
        accumulator->needsPlace())
      return false;
    return conv.group ? conv.group->isLinear() : !out.hasHalo();
  }

  //===--------------------------------------------------------------------===//
  // Weights
  //===--------------------------------------------------------------------===//

  /// Steps from the expansion of weights to their use, and places of a ring.
  static constexpr int64_t kAhead = 3, kPlaces = 8;

  /// [group][block][ky][kx][step][channel tile][depth / 4][16 channels][4]
  void orderWeights(ArrayRef<uint8_t> codes) {
    OrderedWeights ordered(numbers);
    for (int64_t group = 0; group < conv.groups; ++group)
      for (int64_t block = 0; block < shape.blocksOfGroup; ++block)
        for (int64_t k = 0; k < tile.totalSteps(); ++k)
          for (int64_t j = 0; j < tile.channelTiles; ++j)
            for (int64_t at = 0; at < tile.depth * AmxTile::kLanes; ++at) {
              int64_t channel = block * tile.channels() +
                                shape.channelOf(j, at / 4 % AmxTile::kLanes);
              int64_t byte = (k % tile.steps) * tile.depth +
                             at / (4 * AmxTile::kLanes) * 4 + at % 4;
              ordered.push_back(conv.codeOfByte(codes, group, channel, tile.kw,
                                                k / tile.steps, byte));
            }
    if (shape.weights == Weights::Bytes)
      weights = ordered.numbers(b, b.getI8Type());
    else
      weights = ordered.bits(b, kAhead * stepWords());
  }

  int64_t stepWords() const { return tile.stepBytes() / 64; }

  /// Steps that there is room for.
  int64_t places() const {
    if (shape.weights == Weights::Ring)
      return kPlaces;
    int64_t blocks = shape.pixelsFirst ? shape.blocksOfTask() : 1;
    return blocks * tile.totalSteps() + kAhead;
  }

  /// The byte of `expanded` where step k of a block stands.
  Value placeOf(Value block, Value k) {
    if (shape.weights == Weights::Ring)
      k = b.andi(stepOf(block, k), b.index(kPlaces - 1));
    else if (shape.pixelsFirst)
      k = stepOf(b.sub(block, firstBlock), k);
    return b.mul(k, tile.stepBytes());
  }

  /// The number of step k of a block among all.
  Value stepOf(Value block, Value k) {
    return b.add(b.mul(block, tile.totalSteps()), k);
  }

  void expandStep(Value block, Value k) {
    Value word = b.mul(stepOf(block, k), stepWords()), at = placeOf(block, k);
    for (int64_t i = 0; i < stepWords(); ++i)
      b.store(OrderedWeights::expand(b, numbers, b.getI8Type(), weights,
                                     b.add(word, i)),
              expanded, b.add(at, i * 64));
  }

  void expandFirst(Value block) {
    b.loop(kAhead, [&](Value k) { expandStep(block, k); });
  }

  /// The address of the weights of step k of a block.
  Value weightsOf(const Block &block, Value k) {
    if (shape.weights == Weights::Bytes)
      return emitAddress(b, weights,
                         b.mul(stepOf(block.channels, k), tile.stepBytes()));
    auto expand = [&] { expandStep(block.channels, b.add(k, kAhead)); };
    if (shape.weights == Weights::Ring)
      expand();
    else
      b.when(isZero(block.t), expand);
    return emitAddress(b, expanded, placeOf(block.channels, k));
  }

  Value isZero(Value x) {
    return b.cmp(arith::CmpIPredicate::eq, x, b.index(0));
  }

  //===--------------------------------------------------------------------===//
  // Loops
  //===--------------------------------------------------------------------===//

  Strip stripOf(const Task &task) {
    Value zero = b.index(0);
    if (shape.form == Form::Matrix) {
      Value length = b.sub(task.x1, task.x0);
      return {zero,    zero,
              task.x0, b.mul(task.x0, in.pixelSize()),
              length,  b.ceilDiv(length, AmxTile::kRows)};
    }
    Value n = b.div(task.row0, out.height), y = b.rem(task.row0, out.height);
    Value start = conv.firstTap(b, n, y, zero);
    if (conv.groups > 1)
      start = b.add(start, b.mul(task.group, conv.groupIn));
    return {n, y, zero, start, b.index(shape.length()), b.index(shape.tiles())};
  }

  void emitTask(const Task &task) {
    Value config = b.local(MemRefType::get({64}, b.getI8Type()));
    scratch = b.local(
        MemRefType::get({2 * tile.pixels() * tile.channels()}, b.getI32Type()));
    if (shape.weights != Weights::Bytes)
      expanded = b.local(
          MemRefType::get({places() * tile.stepBytes()}, b.getI8Type()));
    firstBlock = task.block0;
    Strip strip = stripOf(task);
    tileRows = b.min(strip.length, b.index(AmxTile::kRows));
    emitAmxConfigure(b, tile, tileRows, config);
    if (shape.weights == Weights::Ring)
      expandFirst(task.block0);
    Value zero = b.index(0), count = b.ceilDiv(strip.tiles, tile.pixelTiles);
    auto compute = [&](Value t, Value channels, ValueRange before) {
      Block block{b.add(before[0], 1), t, channels};
      if (shape.weights == Weights::Block)
        b.when(isZero(t), [&] { expandFirst(channels); });
      emitBlock(strip, block, {before[0], before[1], before[2]});
      return Values{block.number, t, channels};
    };
    auto tiles = [&](ValueRange before, LoopBuilder::CarryBody body) {
      return b.carry(zero, count, 1, before, body);
    };
    auto blocks = [&](ValueRange before, LoopBuilder::CarryBody body) {
      return b.carry(task.block0, task.block1, 1, before, body);
    };
    Values none = {zero, zero, zero};
    Values last = shape.pixelsFirst
                      ? tiles(none,
                              [&](Value t, ValueRange before) {
                                return blocks(before, [&](Value block,
                                                          ValueRange before) {
                                  return compute(t, block, before);
                                });
                              })
                      : blocks(none, [&](Value block, ValueRange before) {
                          return tiles(before, [&](Value t, ValueRange before) {
                            return compute(t, block, before);
                          });
                        });
    finishPixels(strip, {last[0], last[1], last[2]}, zero, tile.pixels());
    emitAmxRelease(b);
  }

  /// Tile q of a strip: the place of its first output, in its row or run, the
  /// row (of Rows), and how many of its first outputs are not its own.
  struct Place {
    Value first, row, skip;
  };

  Place placeOfTile(const Strip &strip, Value q) {
    Value begin = b.mul(q, AmxTile::kRows), row;
    Value lastFirst = b.max(b.add(strip.length, -AmxTile::kRows), b.index(0));
    Value zero = b.index(0);
    if (shape.form != Form::Rows) { // beyond the last tile: skip >= 16
      Value first = b.min(begin, lastFirst);
      return {first, zero, shape.repeats() ? b.sub(begin, first) : zero};
    }
    Value known = b.min(q, b.add(strip.tiles, -1));
    row = b.div(known, shape.tilesPerRow);
    begin = b.mul(b.rem(known, shape.tilesPerRow), AmxTile::kRows);
    Value first = b.min(begin, lastFirst);
    Value skip = zero;
    if (shape.repeats())
      skip = b.select(b.cmp(arith::CmpIPredicate::eq, q, known),
                      b.sub(begin, first), b.index(AmxTile::kRows));
    return {first, row, skip};
  }

  void emitBlock(const Strip &strip, const Block &block,
                 const Block &previous) {
    Values acts;
    for (int64_t i = 0; i < tile.pixelTiles; ++i) {
      Place place =
          placeOfTile(strip, b.add(b.mul(block.t, tile.pixelTiles), i));
      Value at = b.add(strip.start, b.mul(place.first, tile.pixelStep));
      at = b.add(at, b.mul(place.row, conv.strideY * in.rowSize()));
      acts.push_back(emitAddress(b, in.memory, at));
    }
    int64_t total = tile.totalSteps();
    // Whole tiles, or equal parts of one.
    int64_t perStep =
        llvm::PowerOf2Ceil(llvm::divideCeil(tile.pixels(), total));
    if (perStep > AmxTile::kRows)
      perStep =
          llvm::alignTo(llvm::divideCeil(tile.pixels(), total), AmxTile::kRows);
    int64_t busy = llvm::divideCeil(tile.pixels(), perStep);
    auto beside = [&](Value k) {
      Value has = b.cmp(arith::CmpIPredicate::ne, previous.number, b.index(0));
      if (busy < total)
        has = b.andi(has, b.cmp(arith::CmpIPredicate::slt, k, b.index(busy)));
      b.when(has, [&] { finishPixels(strip, previous, k, perStep); });
    };
    emitAmxTile(
        b, tile, acts, [&](Value k) { return weightsOf(block, k); },
        emitAddress(b, scratch, sumsOf(block, b.index(0))), beside);
  }

  //===--------------------------------------------------------------------===//
  // From sums to results
  //===--------------------------------------------------------------------===//

  /// The element of scratch where pixel p of a block begins.
  Value sumsOf(const Block &block, Value p) {
    Value half = b.andi(block.number, b.index(1));
    return b.mul(b.add(b.mul(half, tile.pixels()), p), tile.channels());
  }

  /// Part k of the pixels of a block, `count` to a part.
  void finishPixels(const Strip &strip, const Block &block, Value k,
                    int64_t count) {
    if (count < AmxTile::kRows) {
      int64_t parts = AmxTile::kRows / count;
      return finishTile(strip, block, b.div(k, parts),
                        b.mul(b.rem(k, parts), count), count);
    }
    b.loop(count / AmxTile::kRows, [&](Value i) {
      Value number = b.add(b.mul(k, count / AmxTile::kRows), i);
      auto finish = [&] {
        finishTile(strip, block, number, b.index(0), AmxTile::kRows);
      };
      if (tile.pixels() % count == 0)
        return finish();
      b.when(b.cmp(arith::CmpIPredicate::slt, number, b.index(tile.pixelTiles)),
             finish);
    });
  }

  /// Pixels [from, from + count) of tile i of a block.
  void finishTile(const Strip &strip, const Block &block, Value i, Value from,
                  int64_t count) {
    Place place = placeOfTile(strip, b.add(b.mul(block.t, tile.pixelTiles), i));
    Value low = b.max(from, place.skip);
    Value high = b.min(b.add(from, count), tileRows);
    b.loop(low, high, 1, [&](Value r) {
      Value at = b.add(place.first, r);
      Value sums = sumsOf(block, b.add(b.mul(i, AmxTile::kRows), r));
      auto finish = [&](Value y, Value x) {
        finishPixel(strip.n, y, x, sums, block.channels);
      };
      if (shape.form != Form::Run || linear)
        return finish(b.add(strip.y, place.row), b.add(strip.x, at));
      Value y = b.add(strip.y, b.div(at, in.fullWidth()));
      Value x = b.rem(at, in.fullWidth());
      if (in.fullWidth() == out.width)
        return finish(y, x);
      b.when(b.cmp(arith::CmpIPredicate::ult, x, b.index(out.width)),
             [&] { finish(y, x); });
    });
  }

  void finishPixel(Value n, Value y, Value x, Value from, Value block) {
    Value sum = windowSums ? windowSums->get(b, *current, n, y, x) : Value();
    for (int64_t at = 0; at < tile.channels(); at += lanes()) {
      Value channel = b.add(b.mul(block, tile.channels()), at);
      Value acc =
          accumulator->get(b, sumsAt(b.add(from, at)), sum, y, x, channel);
      epilogue->finish(b, acc, n, y, x, channel);
    }
  }

  /// The sums of lanes() channels; of pairs, those of the even ones stand in
  /// front of those of the odd ones.
  Value sumsAt(Value at) {
    VectorType type = b.vec(AmxTile::kLanes, b.getI32Type());
    Value low = b.load(type, scratch, at);
    if (!shape.pairs)
      return low;
    Value high = b.load(type, scratch, b.add(at, AmxTile::kLanes));
    Value both = b.ori(b.andi(low, b.splat(type, int64_t(0xffff))),
                       b.shl(high, b.splat(type, int64_t(16))));
    return vector::BitCastOp::create(b, b.vec(lanes(), b.getI16Type()), both);
  }

  LoopBuilder &b;
  ConvLoops &conv;
  const Image &in, &out;
  CodeType numbers; // of the weights, as they are multiplied
  AmxShape shape;
  const AmxTile &tile;
  bool linear = false;
  Value weights;                                 // bytes, or words of bits
  Value scratch, expanded, tileRows, firstBlock; // of the task
  const Task *current = nullptr;
  std::optional<WindowSums> windowSums;
  std::optional<Accumulator> accumulator;
  std::optional<Epilogue> epilogue;
};

} // namespace

FailureOr<Value> hwgq::emitAmxKernel(LoopBuilder &b, ConvLoops &conv) {
  return AmxKernel(b, conv).emit();
}
