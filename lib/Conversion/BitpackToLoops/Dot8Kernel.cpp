//===- Dot8Kernel.cpp - contractions of codes in bytes on vectors ---------===//
#include "Accumulator.h"
#include "Dot8Tile.h"
#include "Epilogue.h"
#include "OrderedWeights.h"
#include "WindowSums.h"

using namespace mlir;
using namespace hwgq;

namespace {

class Dot8Kernel {
public:
  Dot8Kernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), in(conv.input),
        numbers(bitpack::getByteNumbers(conv.weightCode())) {}

  FailureOr<Value> emit() {
    FailureOr<SmallVector<uint8_t>> codes = conv.weightCodes();
    if (failed(codes))
      return failure();
    choosePlaces();
    target = getDot8Target(b.options, conv.inputCode(), numbers, tile.bytes);
    chooseTile();
    orderWeights(*codes);
    int64_t covered = blocksOfGroup * tile.vectors * target.lanes;
    accumulator.emplace(b, conv, *codes, covered * conv.groups, numbers);
    epilogue.emplace(b, conv, lanesTogether(), covered);
    Tasking tasking(b, conv, blocksOfGroup, cost());
    if (accumulator->needsSums())
      sums.emplace(b, conv, tasking, viewRows(b, conv, in));
    forEachTask(b, conv, tasking, [&](const Task &task) {
      if (sums)
        sums->compute(b, task);
      b.loop(task.block0, task.block1, 1,
             [&](Value block) { emitBlock(task, block); });
    });
    return conv.result;
  }

private:
  /// Nanoseconds of one output row of all channels (or of one pixel).
  double cost() {
    double rate = target.form == Dot8Target::Matrix ? 24 // MAC/ns a lane
                  : target.form == Dot8Target::Dot  ? 12
                                                    : 8;
    return conv.macsOfRow() / (rate * double(target.lanes));
  }

  /// Lanes that the epilogue takes at a time.
  int64_t lanesTogether() const { return std::max<int64_t>(8, target.lanes); }

  /// What of the window is one place.
  void choosePlaces() {
    tile.kh = conv.kh;
    tile.kw = conv.kw;
    tile.strideY = conv.dilationY * in.rowSize();
    tile.strideX = conv.dilationX * in.pixelSize();
    tile.pixelStep = conv.strideX * in.pixelSize();
    tile.bytes = conv.groups > 1 ? conv.groupIn : in.pixelSize();
    if (conv.groups == 1 && conv.dilationX == 1) {
      tile.bytes *= conv.kw; // the taps of a filter row are one place
      tile.kw = 1;
    }
  }

  void chooseTile() {
    int64_t together = lanesTogether() / target.lanes;
    int64_t vectors =
        llvm::divideCeil(conv.groupOut, lanesTogether()) * together;
    tile.vectors = std::min(std::max(target.vectors, together), vectors);
    if (conv.groups > 1)
      while (vectors % tile.vectors || tile.vectors % together)
        --tile.vectors;
    blocksOfGroup = llvm::divideCeil(vectors, tile.vectors);
    int64_t most = target.mostPixels(tile.vectors);
    pixels = target.equalPixels(conv.rowLength(most), most);
  }

  /// [group][block][ky][kx][step][vector][elements of a step]
  void orderWeights(ArrayRef<uint8_t> codes) {
    OrderedWeights ordered(numbers);
    int64_t steps = tile.bytes / target.depth();
    int64_t perVector = target.stepElements();
    int64_t channels = tile.vectors * target.lanes;
    std::vector<int32_t> shift(conv.groups * blocksOfGroup * channels, 0);
    for (int64_t group = 0; group < conv.groups; ++group)
      for (int64_t block = 0; block < blocksOfGroup; ++block)
        for (int64_t k = 0; k < tile.steps(target); ++k)
          for (int64_t i = 0; i < tile.vectors * perVector; ++i) {
            auto [lane, byte] = getDot8Weight(target, i % perVector);
            int64_t at = i / perVector * target.lanes + lane;
            uint8_t code =
                conv.codeOfByte(codes, group, block * channels + at, tile.kw,
                                k / steps, k % steps * target.depth() + byte);
            ordered.push_back(code);
            // (code - 128) * weight lacks 128 * weight.
            shift[(group * blocksOfGroup + block) * channels + at] +=
                128 * numbers.toNumber(code);
          }
    weights = ordered.numbers(b, b.getIntegerType(target.weightBits()));
    if (target.shifted)
      shifts = b.constant(ArrayRef<int32_t>(shift));
  }

  void emitBlock(const Task &task, Value block) {
    int64_t size = tile.steps(target) * tile.vectors * target.stepElements();
    Value weightsAt = b.mul(block, size);
    forEachTile(
        b, conv, task, pixels, [&](Value n, Value y, Value x, int64_t count) {
          Dot8Tile part = tile;
          part.pixels = count;
          Value at = conv.op.isMatMul ? b.mul(x, in.pixelSize())
                                      : conv.firstTap(b, n, y, x);
          if (conv.groups > 1)
            at = b.add(at, b.mul(task.group, conv.groupIn));
          Values products =
              emitDot8Tile(b, target, part, in.memory, at, weights, weightsAt);
          for (int64_t p = 0; p < count; ++p)
            finish(ArrayRef(products).slice(p * tile.vectors, tile.vectors),
                   sums ? sums->get(b, task, n, y, b.add(x, p)) : Value(), n, y,
                   b.add(x, p), block);
        });
  }

  /// From the products and the window sum (or null) of one pixel and block to
  /// the result.
  void finish(ArrayRef<Value> products, Value sum, Value n, Value y, Value x,
              Value block) {
    int64_t lanes = lanesTogether(), together = lanes / target.lanes;
    Value first = b.mul(block, tile.vectors * target.lanes);
    for (int64_t v = 0; v < tile.vectors; v += together) {
      Value acc = products[v];
      if (together == 2)
        acc = vector::ShuffleOp::create(
            b, acc, products[v + 1],
            llvm::to_vector(llvm::seq<int64_t>(0, lanes)));
      Value channel = b.add(first, v * target.lanes);
      if (shifts)
        acc = b.add(acc, b.load(b.vec(lanes, b.getI32Type()), shifts, channel));
      acc = accumulator->get(b, acc, sum, y, x, channel);
      epilogue->finish(b, acc, n, y, x, channel);
    }
  }

  LoopBuilder &b;
  ConvLoops &conv;
  const Image &in;
  CodeType numbers; // of the weights, as they are multiplied
  Dot8Target target{};
  Dot8Tile tile;
  int64_t pixels = 1, blocksOfGroup = 1;
  Value weights, shifts; // shifts: null without need
  std::optional<WindowSums> sums;
  std::optional<Accumulator> accumulator;
  std::optional<Epilogue> epilogue;
};

} // namespace

FailureOr<Value> hwgq::emitDot8Kernel(LoopBuilder &b, ConvLoops &conv) {
  return Dot8Kernel(b, conv).emit();
}
