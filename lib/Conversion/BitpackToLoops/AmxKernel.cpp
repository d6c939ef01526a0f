//===- AmxKernel.cpp - contractions of codes in bytes on AMX --------------===//
//
// Tiles of 16 outputs whose inputs lie at equal distances: a "run". With stride
// 1 the padded rows of a whole strip of an image are one run, in which the
// outputs between rows are computed and dropped, so that small images fill
// tiles; else every output row is a run. The last tile of a run begins early
// enough to end with it. What follows the sums of a block is computed beside
// the products of the next.
//
// Weights are read as bytes, made once per module; where each is used in one
// block of tiles alone (small images), one-bit weights are read as bits and
// expanded in front of their use: eight times fewer bytes come from the caches.
//
//===----------------------------------------------------------------------===//
#include "Accumulator.h"
#include "AmxTile.h"
#include "Epilogue.h"
#include "OrderedWeights.h"

using namespace mlir;
using namespace hwgq;

namespace {

/// Outputs one after another: those of image n from (y, 0) on, `length` of
/// them; the input of the first begins at byte `start`.
struct Run {
  Value n, y, start, length;
};

class AmxKernel {
public:
  AmxKernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), in(conv.input), out(conv.output) {}

  FailureOr<Value> emit() {
    FailureOr<SmallVector<uint8_t>> codes = conv.weightCodes();
    if (failed(codes))
      return failure();
    chooseTile();
    chooseTasks();
    orderWeights(*codes);
    int64_t covered = blocksOfGroup * tile.channels();
    accumulator.emplace(b, conv, *codes, covered * conv.groups,
                        Accumulator::Weights::Numbers);
    epilogue.emplace(b, conv, AmxTile::kLanes, covered);
    Tasking tasking(b, conv, blocksOfGroup, taskRows, taskSplits);
    forEachTask(b, conv, tasking, [&](const Task &task) { emitTask(task); });
    return conv.result;
  }

private:
  //===--------------------------------------------------------------------===//
  // Shapes
  //===--------------------------------------------------------------------===//

  /// Outputs of a run of `rows` rows, at most.
  int64_t runLength(int64_t rows) const {
    return isFlat() ? (rows - 1) * in.fullWidth() + out.width : out.width;
  }

  bool isFlat() const {
    return !conv.op.isMatMul && conv.strideX == 1 && conv.strideY == 1;
  }

  void chooseTile() {
    int64_t taps = conv.kw, bytes = in.pixelSize();
    tile.kh = conv.kh;
    tile.strideY = conv.dilationY * in.rowSize();
    tile.strideX = conv.dilationX * in.pixelSize();
    if (conv.groups > 1)
      bytes = conv.groupIn;
    else if (conv.dilationX == 1) { // the taps of a filter row are one place
      bytes *= conv.kw;
      taps = 1;
    }
    tile.kw = taps;
    // Equal steps, of whole groups of four bytes.
    for (tile.steps = llvm::divideCeil(bytes, 64); bytes % (4 * tile.steps);)
      ++tile.steps;
    tile.depth = bytes / tile.steps;
    tile.pixelStep = conv.strideX * in.pixelSize();

    int64_t tiles = llvm::divideCeil(longestRun(), AmxTile::kRows);
    int64_t channelTiles = llvm::divideCeil(conv.groupOut, AmxTile::kLanes);
    tile.pixelTiles = tiles == 1 ? 1 : tiles <= 2 || tiles > 4 ? 2 : tiles;
    tile.channelTiles = tile.pixelTiles == 1 ? 4 : tile.pixelTiles == 2 ? 2 : 1;
    tile.channelTiles = std::min(tile.channelTiles, channelTiles);
    if (conv.groups > 1)
      while (channelTiles % tile.channelTiles)
        --tile.channelTiles;
    if (tile.channelTiles == 1)
      tile.pixelTiles = std::min<int64_t>(tiles, 4);
    blocksOfGroup = llvm::divideCeil(channelTiles, tile.channelTiles);
  }

  /// Outputs of the longest run that there may be.
  int64_t longestRun() const {
    if (!conv.op.isMatMul)
      return runLength(out.height);
    constexpr int64_t kMatrixRows = 256;
    return std::min(conv.rowLength(kMatrixRows), kMatrixRows);
  }

  void chooseTasks() {
    constexpr double kRate = 1200, kTask = 15e3; // MAC/ns, ns
    constexpr int64_t kTasks = 16;
    int64_t height = std::max<int64_t>(1, out.height);
    double whole = double(conv.op.macs()) / kRate;
    int64_t tasks = std::clamp<int64_t>(int64_t(whole / kTask), 1, kTasks);
    taskSplits = std::clamp<int64_t>(tasks / conv.groups, 1, blocksOfGroup);
    int64_t strips =
        std::clamp<int64_t>(tasks / (taskSplits * conv.groups), 1, height);
    taskRows = llvm::divideCeil(height, strips);
    int64_t perBlock = taskRows == height && (isFlat() || height == 1);
    if (conv.op.isMatMul) {
      taskRows = longestRun();
      whole *= double(taskRows);
      taskSplits =
          std::clamp<int64_t>(int64_t(whole / kTask), 1, blocksOfGroup);
      perBlock = true;
    }
    // One run of one block of tiles for each block of channels.
    fromBits = conv.weightCode().getBits() == 1 && perBlock &&
               longestRun() <= tile.pixels();
  }

  /// [group][block][ky][kx][step][channel tile][depth / 4][16 channels][4]
  void orderWeights(ArrayRef<uint8_t> codes) {
    OrderedWeights ordered(conv.weightCode());
    for (int64_t group = 0; group < conv.groups; ++group)
      for (int64_t block = 0; block < blocksOfGroup; ++block)
        for (int64_t k = 0; k < tile.totalSteps(); ++k)
          for (int64_t j = 0; j < tile.channelTiles; ++j)
            for (int64_t at = 0; at < tile.depth * AmxTile::kLanes; ++at) {
              int64_t channel =
                  (block * tile.channelTiles + j) * AmxTile::kLanes +
                  at / 4 % AmxTile::kLanes;
              int64_t byte = (k % tile.steps) * tile.depth +
                             at / (4 * AmxTile::kLanes) * 4 + at % 4;
              ordered.push_back(conv.codeOfByte(codes, group, channel, tile.kw,
                                                k / tile.steps, byte));
            }
    if (fromBits)
      weights = ordered.bits(b, kAhead * stepWords());
    else
      weights = ordered.numbers(b, b.getI8Type());
  }

  //===--------------------------------------------------------------------===//
  // Weights from bits
  //===--------------------------------------------------------------------===//

  /// Steps from the expansion of weights to their use, and places for them.
  static constexpr int64_t kAhead = 3, kPlaces = 8;

  int64_t stepWords() const { return tile.stepBytes() / 64; }

  /// The byte of `ring` where the weights of step g of all blocks stand.
  Value placeOf(Value g) {
    return b.mul(b.andi(g, b.index(kPlaces - 1)), tile.stepBytes());
  }

  void expandStep(Value g) {
    for (int64_t i = 0; i < stepWords(); ++i) {
      Value word = b.add(b.mul(g, stepWords()), i);
      b.store(OrderedWeights::expand(b, conv.weightCode(), b.getI8Type(),
                                     weights, word),
              ring, b.add(placeOf(g), i * 64));
    }
  }

  /// The address of the weights of step k of a block.
  Value weightsOf(Value block, Value k) {
    Value g = b.add(b.mul(block, tile.totalSteps()), k);
    if (!fromBits)
      return emitAddress(b, weights, b.mul(g, tile.stepBytes()));
    expandStep(b.add(g, kAhead));
    return emitAddress(b, ring, placeOf(g));
  }

  //===--------------------------------------------------------------------===//
  // Loops
  //===--------------------------------------------------------------------===//

  void emitTask(const Task &task) {
    config = b.local(MemRefType::get({64}, b.getI8Type()));
    scratch = b.local(
        MemRefType::get({2 * tile.pixels() * tile.channels()}, b.getI32Type()));
    if (fromBits) {
      ring =
          b.local(MemRefType::get({kPlaces * tile.stepBytes()}, b.getI8Type()));
      Value first = b.mul(task.block0, tile.totalSteps());
      for (int64_t i = 0; i < kAhead; ++i)
        expandStep(b.add(first, i));
    }
    // One configuration serves runs that fill tiles.
    bool oneHeight = !isFlat() || out.width >= AmxTile::kRows;
    if (oneHeight) {
      Value length =
          conv.op.isMatMul ? b.sub(task.x1, task.x0) : b.index(out.width);
      configure(length);
    }
    b.loop(task.block0, task.block1, 1, [&](Value block) {
      forEachRun(task, [&](const Run &run) {
        if (!oneHeight)
          configure(run.length);
        emitRun(task, run, block);
      });
    });
    emitAmxRelease(b);
  }

  void configure(Value length) {
    emitAmxConfigure(b, tile, b.min(length, b.index(AmxTile::kRows)), config);
  }

  /// The runs of a task, whose rows may lie in several images.
  void forEachRun(const Task &task,
                  llvm::function_ref<void(const Run &)> body) {
    Value zero = b.index(0);
    if (conv.op.isMatMul)
      return body({zero, zero, b.mul(task.x0, in.pixelSize()),
                   b.sub(task.x1, task.x0)});
    auto start = [&](Value n, Value y) {
      Value at = in.at(b, n, b.add(b.mul(y, conv.strideY), -conv.top),
                       b.index(-conv.left));
      return b.add(at, b.mul(task.group, conv.groups > 1 ? conv.groupIn : 0));
    };
    if (!isFlat())
      return b.loop(task.row0, task.row1, 1, [&](Value row) {
        Value n = b.div(row, out.height), y = b.rem(row, out.height);
        body({n, y, start(n, y), b.index(out.width)});
      });
    Value last = b.add(b.div(b.add(task.row1, -1), out.height), 1);
    b.loop(b.div(task.row0, out.height), last, 1, [&](Value n) {
      Value row = b.mul(n, out.height);
      Value y0 = b.max(b.sub(task.row0, row), zero);
      Value y1 = b.min(b.sub(task.row1, row), b.index(out.height));
      Value length =
          b.add(b.mul(b.add(b.sub(y1, y0), -1), in.fullWidth()), out.width);
      body({n, y0, start(n, y0), length});
    });
  }

  /// Where tile i of block t of a run begins.
  Value firstOutput(const Run &run, Value t, Value i) {
    Value last = b.max(b.add(run.length, -AmxTile::kRows), b.index(0));
    return b.min(b.add(b.mul(t, tile.pixels()), b.mul(i, AmxTile::kRows)),
                 last);
  }

  void emitRun(const Task &task, const Run &run, Value block) {
    Value count = b.ceilDiv(run.length, tile.pixels());
    int64_t total = tile.totalSteps();
    int64_t perStep = llvm::divideCeil(tile.pixels(), total);
    b.loop(b.index(0), count, 1, [&](Value t) {
      Values acts;
      for (int64_t i = 0; i < tile.pixelTiles; ++i) {
        Value first = firstOutput(run, t, b.index(i));
        acts.push_back(emitAddress(
            b, in.memory, b.add(run.start, b.mul(first, tile.pixelStep))));
      }
      auto stepWeights = [&](Value k) { return weightsOf(block, k); };
      Value previous = b.add(t, -1);
      auto beside = [&](Value k) {
        b.when(b.cmp(arith::CmpIPredicate::sgt, t, b.index(0)), [&] {
          finishPixels(run, previous, block, b.mul(k, perStep), perStep,
                       total * perStep != tile.pixels());
        });
      };
      emitAmxTile(b, tile, acts, stepWeights,
                  emitAddress(b, scratch, sumsOf(t, b.index(0))), beside);
    });
    b.loop(tile.pixels(), [&](Value p) {
      finishPixels(run, b.add(count, -1), block, p, 1, false);
    });
  }

  /// The element of scratch where pixel p of block t begins.
  Value sumsOf(Value t, Value p) {
    Value half = b.andi(t, b.index(1));
    return b.mul(b.add(b.mul(half, tile.pixels()), p), tile.channels());
  }

  /// From the sums of pixels [from, from + count) of block t to the results;
  /// `beyond` where those may be more than there are.
  void finishPixels(const Run &run, Value t, Value block, Value from,
                    int64_t count, bool beyond) {
    b.loop(count, [&](Value i) {
      Value p = b.add(from, i);
      Value tileOfP = b.div(p, AmxTile::kRows);
      Value at = b.add(firstOutput(run, t, tileOfP), b.rem(p, AmxTile::kRows));
      Value keep; // whether this is an output
      auto require = [&](Value low, Value high) {
        Value inside = b.cmp(arith::CmpIPredicate::ult, low, high);
        keep = keep ? b.andi(keep, inside) : inside;
      };
      if (beyond)
        require(p, b.index(tile.pixels()));
      if (conv.op.isMatMul || out.width < AmxTile::kRows)
        require(at, run.length);
      Value y = run.y, x = at;
      if (isFlat()) {
        y = b.add(run.y, b.div(at, in.fullWidth()));
        x = b.rem(at, in.fullWidth());
        if (in.fullWidth() != out.width)
          require(x, b.index(out.width));
      } else if (conv.op.isMatMul) {
        x = b.add(b.div(run.start, in.pixelSize()), at);
      }
      auto finish = [&] { finishPixel(run.n, y, x, sumsOf(t, p), block); };
      keep ? b.when(keep, finish) : finish();
    });
  }

  void finishPixel(Value n, Value y, Value x, Value sums, Value block) {
    VectorType type = b.vec(AmxTile::kLanes, b.getI32Type());
    for (int64_t j = 0; j < tile.channelTiles; ++j) {
      Value channel = b.add(b.mul(block, tile.channels()), j * AmxTile::kLanes);
      Value acc = b.load(type, scratch, b.add(sums, j * AmxTile::kLanes));
      acc = accumulator->get(b, acc, Value(), y, x, channel);
      epilogue->finish(b, acc, n, y, x, channel);
    }
  }

  LoopBuilder &b;
  ConvLoops &conv;
  const Image &in, &out;
  AmxTile tile;
  int64_t blocksOfGroup = 1, taskRows = 1, taskSplits = 1;
  bool fromBits = false;
  Value weights;               // bytes, or words of bits
  Value config, scratch, ring; // of the task
  std::optional<Accumulator> accumulator;
  std::optional<Epilogue> epilogue;
};

} // namespace

FailureOr<Value> hwgq::emitAmxKernel(LoopBuilder &b, ConvLoops &conv) {
  return AmxKernel(b, conv).emit();
}
