//===- PopcountKernel.cpp - contractions of codes on bit planes -----------===//
//
// P comes from register tiles of popcounts, S (see Accumulator.h) once per
// pixel from scalar popcounts.
//
//===----------------------------------------------------------------------===//
#include "../PackConstant.h"
#include "Accumulator.h"
#include "Epilogue.h"
#include "PopcountTile.h"
#include "WindowSums.h"

using namespace mlir;
using namespace hwgq;

namespace {

class PopcountKernel {
public:
  PopcountKernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), in(conv.input), a(conv.inputCode()),
        w(conv.weightCode()),
        target(b.options.sve ? getScalablePopcountTarget()
                             : getPopcountTarget(b.options.vectorBytes,
                                                 b.options.vectorRegisters,
                                                 b.options.vectorPopcount)) {}

  FailureOr<Value> emit() {
    FailureOr<SmallVector<uint8_t>> codes = conv.weightCodes();
    if (failed(codes))
      return failure();
    conv.alignGroups(b);
    chooseTile();
    packWeights(*codes);
    int64_t covered = blocksOfGroup * tile.block;
    accumulator.emplace(b, conv, *codes, covered * conv.groups);
    epilogue.emplace(b, conv, lanesTogether(), covered);
    acts = viewRows(b, conv, in);
    Tasking tasking(b, conv, blocksOfGroup, cost());
    if (accumulator->needsSums())
      sums.emplace(b, conv, tasking, acts);
    forEachTask(b, conv, tasking, [&](const Task &task) {
      if (target.scalable)
        counts =
            b.local(MemRefType::get({pixels * tile.block}, b.getI32Type()));
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
    double rate = target.countsWords ? 600 : 40.0 * double(target.lanes);
    return conv.macsOfRow() * a.getBits() * w.getBits() / rate;
  }

  /// Lanes that the epilogue takes at a time.
  int64_t lanesTogether() const { return target.scalable ? 8 : tile.block; }

  void chooseTile() {
    tile.block = getPopcountBlock(target, conv.groupOut);
    if (conv.groups > 1) // blocks end where groups end, and lie in one word
      while (conv.groupOut % tile.block || 64 % tile.block)
        tile.block = llvm::bit_floor(uint64_t(tile.block - 1));
    tile.planesA = a.getBits();
    tile.planesW = w.getBits();
    tile.kh = conv.kh;
    tile.kw = conv.kw;
    tile.words = llvm::divideCeil(conv.groupIn, 64);
    tile.pixelStep = conv.strideX * in.pixelSize();
    tile.tapStepX = conv.dilationX * in.pixelSize();
    tile.tapStepY = conv.dilationY;
    pixels = getPopcountPixels(target, tile, conv.rowLength(target.maxPixels));
    blocksOfGroup = llvm::divideCeil(conv.groupOut, tile.block);
  }

  void packWeights(ArrayRef<uint8_t> codes) {
    auto layout = bitpack::LayoutAttr::get(b.getContext(), "planes",
                                           {0, 0, 0, 0}, tile.block);
    RankedTensorType old = conv.op.weightType();
    auto type =
        RankedTensorType::get(old.getShape(), old.getElementType(), layout);
    weights = b.constant(
        MemRefType::get({blocksOfGroup * conv.groups, conv.kh,
                         conv.kw * tile.words, tile.planesW * tile.block},
                        b.getI64Type()),
        packConstant(type, codes));
  }

  //===--------------------------------------------------------------------===//
  // Tiles
  //===--------------------------------------------------------------------===//

  void emitBlock(const Task &task, Value block) {
    Value group = b.mul(task.group, tile.words * in.planes);
    forEachTile(
        b, conv, task, pixels, [&](Value n, Value y, Value x, int64_t count) {
          PopcountTile part = tile;
          part.pixels = count;
          part.prefetches = conv.op.isMatMul && count == 1;
          Value column =
              b.add(b.mul(b.add(b.mul(x, conv.strideX), in.left - conv.left),
                          in.pixelSize()),
                    group);
          Values accs = emitTile(part, n, conv.firstRow(b, y), column, block);
          for (int64_t p = 0; p < count; ++p)
            finish(ArrayRef(accs).slice(p * accs.size() / count,
                                        accs.size() / count),
                   sums ? sums->get(b, task, n, y, b.add(x, p)) : Value(), n, y,
                   b.add(x, p), block);
        });
  }

  /// P of each pixel, in vectors of `lanesTogether` channels.
  Values emitTile(const PopcountTile &part, Value n, Value row, Value column,
                  Value block) {
    if (!target.scalable)
      return emitPopcountTile(b, b.getLoc(), target, part, acts, n, row, column,
                              weights, block);
    emitScalablePopcountTile(b, target, part, acts, n, row, column, weights,
                             block, counts);
    Values accs;
    for (int64_t at = 0; at < part.pixels * tile.block; at += lanesTogether())
      accs.push_back(
          b.load(b.vec(lanesTogether(), b.getI32Type()), counts, b.index(at)));
    return accs;
  }

  /// From P to the result of one pixel and block.
  void finish(ArrayRef<Value> accs, Value sum, Value n, Value y, Value x,
              Value block) {
    Value channel = b.mul(block, tile.block);
    for (Value acc : accs) {
      acc = accumulator->get(b, acc, sum, y, x, channel);
      epilogue->finish(b, acc, n, y, x, channel);
      channel = b.add(channel, lanesTogether());
    }
  }

  LoopBuilder &b;
  ConvLoops &conv;
  const Image &in;
  CodeType a, w;
  PopcountTarget target;
  PopcountTile tile;
  int64_t pixels = 1, blocksOfGroup = 1;
  Value weights, acts;
  Value counts; // of a tile, of the task; where vectors are scalable
  std::optional<WindowSums> sums;
  std::optional<Accumulator> accumulator;
  std::optional<Epilogue> epilogue;
};

} // namespace

FailureOr<Value> hwgq::emitPopcountKernel(LoopBuilder &b, ConvLoops &conv) {
  return fitsSparsePopcount(conv) ? emitSparsePopcount(b, conv)
                                  : PopcountKernel(b, conv).emit();
}
