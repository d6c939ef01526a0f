//===- LookupKernel.cpp - contractions by tables of partial sums ----------===//
#include "Accumulator.h"
#include "Epilogue.h"
#include "LookupTile.h"
#include "WindowSums.h"

using namespace mlir;
using namespace hwgq;

namespace {

class LookupKernel {
public:
  LookupKernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), in(conv.input), out(conv.output), a(conv.inputCode()),
        w(conv.weightCode()), target(getLookupTarget(b.options)) {}

  FailureOr<Value> emit() {
    FailureOr<SmallVector<uint8_t>> codes = conv.weightCodes();
    if (failed(codes))
      return failure();
    chooseTile();
    prepareWeights();
    int64_t covered = blocksOfGroup * target.lanes;
    shortSums = Epilogue::prefers16(conv) && tile.bound() < 65536;
    unsigned bits = shortSums ? 16 : 32;
    accumulator.emplace(b, conv, *codes, covered * conv.groups,
                        CodeType(), bits);
    epilogue.emplace(b, conv, partLanes(), covered, bits);
    rows = b.constant(ArrayRef(getLookupRows(target, tile.planesA)));
    acts = b.flat(in.memory);
    Tasking tasking(b, conv, blocksOfGroup, cost(), tableCost());
    if (accumulator->needsSums())
      sums.emplace(b, conv, tasking, viewRows(b, conv, in));
    taskBytes = tile.ring * rowBytes();
    bool local = taskBytes <= stackBytes;
    auto type = MemRefType::get({local ? taskBytes : ShapedType::kDynamic},
                                b.getI8Type());
    if (!local)
      tables = memref::AllocOp::create(
          b, type, ValueRange{b.mul(tasking.bound, taskBytes)},
          b.getI64IntegerAttr(64));
    forEachTask(b, conv, tasking, [&](const Task &task) {
      if (local)
        tables = b.local(type);
      base = local ? b.index(0) : b.mul(task.number, taskBytes);
      if (sums)
        sums->compute(b, task);
      if (conv.op.isMatMul)
        emitMatrix(task);
      else
        emitRows(task);
    });
    return conv.result;
  }

private:
  /// Nanoseconds of one output row of all channels (or of one pixel).
  double cost() {
    double rate = double(target.lanes * target.group) * 1.5;
    return conv.macsOfRow() * w.getBits() / rate;
  }

  /// Nanoseconds of the tables of one row (or pixel).
  double tableCost() {
    return 0.8 * double(target.tables(tile.words) * tile.planesA) *
           double(conv.op.isMatMul ? 1 : out.width);
  }

  void chooseTile() {
    tile.planesA = a.getBits();
    tile.planesW = w.getBits();
    tile.kh = conv.kh;
    tile.kw = conv.kw;
    tile.words = llvm::divideCeil(conv.groupIn, 64);
    tile.pixelStep = conv.kw == 1 ? 1 : conv.strideX;
    tile.tapStepX = conv.dilationX;
    tile.tapStepY = conv.dilationY;
    pixels = getLookupPixels(target, conv.rowLength(out.width));
    if (conv.op.isMatMul) // tables of a tile that the second cache holds
      pixels = std::clamp<int64_t>(matrixBytes / pixelBytes(), 1, pixels);
    tile.ring = (conv.kh - 1) * conv.dilationY + 1;
    blocksOfGroup = llvm::divideCeil(conv.groupOut, target.lanes);
    chooseStrip();
  }

  /// As many tiles as leave the tables of a strip in the nearest cache.
  void chooseStrip() {
    auto columns = [&](int64_t width) {
      return (width - 1) * tile.pixelStep + (conv.kw - 1) * conv.dilationX + 1;
    };
    strip = pixels;
    while (strip < out.width &&
           tile.ring * columns(strip + pixels) * pixelBytes() <= stripBytes)
      strip += pixels;
    strip = std::min(strip, int64_t(llvm::alignTo(out.width, pixels)));
    tile.columns = conv.op.isMatMul ? pixels : columns(strip);
  }

  /// The indices, from the words of the constant, once per opened module.
  void prepareWeights() {
    auto constant = conv.op.weight.getDefiningOp<bitpack::ConstantOp>();
    RankedTensorType type = conv.op.weightType();
    bitpack::LayoutAttr layout = bitpack::getLayout(type);
    int64_t width = layout.getBlock(), size = 1;
    for (int64_t dim : layout.getPhysicalShape(type))
      size *= dim;
    int64_t blocks = blocksOfGroup * conv.groups;
    weights =
        b.prepared(MemRefType::get({getLookupWeightBytes(target, tile, blocks)},
                                   b.getI8Type()),
                   [&](Value memory) {
                     Value words =
                         b.constant(MemRefType::get({size}, b.getI64Type()),
                                    constant.getWords());
                     b.loop(blocks, [&](Value block) {
                       b.loop(target.lanes, [&](Value lane) {
                         prepareLane(memory, words, width, block, lane);
                       });
                     });
                   });
  }

  void prepareLane(Value memory, Value words, int64_t width, Value block,
                   Value lane) {
    Value inGroup = b.add(b.mul(b.rem(block, blocksOfGroup), target.lanes),
                          getLookupChannel(b, target, lane));
    Value valid =
        b.cmp(arith::CmpIPredicate::ult, inGroup, b.index(conv.groupOut));
    Value k = b.select(
        valid,
        b.add(b.mul(b.div(block, blocksOfGroup), conv.groupOut), inGroup),
        b.index(0));
    int64_t taps = tile.kh * tile.kw * tile.words;
    b.loop(taps, [&](Value tap) {
      Value word = b.rem(tap, tile.words), t = b.div(tap, tile.words);
      Value kx = b.rem(t, tile.kw), ky = b.div(t, tile.kw);
      for (int64_t q = 0; q < tile.planesW; ++q) {
        Value at = b.add(b.mul(b.div(k, width), taps), tap);
        at = b.add(b.mul(b.add(b.mul(at, tile.planesW), q), width),
                   b.rem(k, width));
        Value bits = b.select(valid, b.load(words, at), b.i64(0));
        Value row =
            b.add(b.mul(b.add(b.mul(block, tile.planesW), q), tile.kh), ky);
        Value table = b.add(b.mul(row, target.tables(tile.words)),
                            b.mul(word, target.wordTables()));
        Value to =
            b.add(b.mul(b.add(b.mul(table, tile.kw), kx), target.lanes), lane);
        for (int64_t j = 0; j < target.wordTables(); ++j) {
          Value index = b.andi(b.shr(bits, b.i64(j * target.group)),
                               b.i64(target.entries() - 1));
          b.store(arith::TruncIOp::create(b, b.getI8Type(), index), memory,
                  b.add(to, j * tile.kw * target.lanes));
        }
      }
    });
  }

  //===--------------------------------------------------------------------===//
  // Tables
  //===--------------------------------------------------------------------===//

  int64_t pixelBytes() const {
    return target.tables(tile.words) * target.entries();
  }
  int64_t rowBytes() const { return tile.columns * pixelBytes(); }

  /// The tables of the words from `at` on, at byte `to`.
  void buildPixel(const Task &task, Value at, Value to) {
    at = b.add(at, b.mul(task.group, tile.words * in.planes));
    b.loop(tile.words, [&](Value word) {
      emitLookupTables(
          b, target, tile.planesA, rows, acts,
          b.add(at, b.mul(word, in.planes)), tables,
          b.add(to, b.mul(word, target.wordTables() * target.entries())));
    });
  }

  /// The tables of row y (of the image with its halo) in its slot, for outputs
  /// [x0, x1).
  void buildRow(const Task &task, Value n, Value y, Value x0, Value x1) {
    Value to = b.add(base, b.mul(b.rem(y, tile.ring), rowBytes()));
    int64_t step = conv.kw == 1 ? conv.strideX : 1;
    Value from =
        b.add(b.add(b.mul(b.add(b.mul(n, in.fullHeight()), y), in.fullWidth()),
                    b.mul(x0, conv.strideX)),
              in.left - conv.left);
    Value last = b.mul(b.sub(b.sub(x1, x0), b.index(1)), tile.pixelStep);
    Value columns = b.add(last, (conv.kw - 1) * conv.dilationX + 1);
    b.loop(b.index(0), columns, 1, [&](Value x) {
      buildPixel(task, b.mul(b.add(from, b.mul(x, step)), in.pixelSize()),
                 b.add(to, b.mul(x, pixelBytes())));
    });
  }

  //===--------------------------------------------------------------------===//
  // Tiles
  //===--------------------------------------------------------------------===//

  /// Strips of columns, whose tables stay in the nearest cache from row to row.
  void emitRows(const Task &task) {
    int64_t rest = out.width % pixels;
    b.loop(b.index(0), b.index(out.width), strip, [&](Value x0) {
      Value x1 = b.min(b.add(x0, strip), b.index(out.width));
      Value whole = b.min(x1, b.index(out.width - rest));
      b.loop(task.row0, task.row1, 1, [&](Value row) {
        Value n = b.div(row, out.height), y = b.rem(row, out.height);
        Value first = conv.firstRow(b, y);
        buildRows(task, row, n, y, first, x0, x1);
        auto tileAt = [&](Value x, int64_t count, Value block) {
          Value column = b.mul(b.sub(x, x0), tile.pixelStep);
          emitTile(task, n, y, first, x, column, count, block);
        };
        b.loop(task.block0, task.block1, 1, [&](Value block) {
          b.loop(x0, whole, pixels, [&](Value x) { tileAt(x, pixels, block); });
          if (rest)
            b.loop(whole, x1, rest, [&](Value x) { tileAt(x, rest, block); });
        });
      });
    });
  }

  /// The tables that output row y reads, but those that the row above left.
  void buildRows(const Task &task, Value row, Value n, Value y, Value first,
                 Value x0, Value x1) {
    auto equal = arith::CmpIPredicate::eq;
    Value fresh =
        b.ori(b.cmp(equal, row, task.row0), b.cmp(equal, y, b.index(0)));
    int64_t kept = std::max<int64_t>(0, tile.ring - conv.strideY);
    b.loop(b.select(fresh, b.index(0), b.index(kept)), b.index(tile.ring), 1,
           [&](Value r) { buildRow(task, n, b.add(first, r), x0, x1); });
  }

  void emitMatrix(const Task &task) {
    Value zero = b.index(0);
    auto part = [&](Value x, int64_t count) {
      b.loop(count, [&](Value i) {
        buildPixel(task, b.mul(b.add(x, i), in.pixelSize()),
                   b.add(base, b.mul(i, pixelBytes())));
      });
      b.loop(task.block0, task.block1, 1, [&](Value block) {
        emitTile(task, zero, zero, zero, x, zero, count, block);
      });
    };
    Value at = task.x0;
    for (int64_t count = pixels; count > 0; count /= 2) {
      Value left = b.sub(task.x1, at);
      Value end = b.add(at, b.mul(b.div(left, count), count));
      b.loop(at, end, count, [&](Value x) { part(x, count); });
      at = end;
    }
  }

  void emitTile(const Task &task, Value n, Value y, Value row, Value x,
                Value column, int64_t count, Value block) {
    LookupTile part = tile;
    part.pixels = count;
    Values products = emitLookupTile(b, target, part, tables, base, row, column,
                                     weights, block);
    for (int64_t p = 0; p < count; ++p) {
      Value low = products[2 * p], high = products[2 * p + 1];
      Value channel = b.mul(block, target.lanes);
      if (shortSums) {
        finish(task, b.join(low, high), n, y, x, p, channel);
        continue;
      }
      finish(task, low, n, y, x, p, channel);
      finish(task, high, n, y, x, p, b.add(channel, target.lanes / 2));
    }
  }

  /// Channels that the epilogue takes at a time.
  int64_t partLanes() const {
    if (shortSums)
      return target.lanes;
    return std::min<int64_t>(target.lanes / 2,
                             std::max<int64_t>(8, b.options.vectorBytes / 4));
  }

  /// From P of a block, or of half of it, to the result.
  void finish(const Task &task, Value products, Value n, Value y, Value x,
              int64_t p, Value channel) {
    Value sum = sums ? sums->get(b, task, n, y, x, p) : Value();
    VectorType type = b.vec(partLanes(), b.getIntegerType(shortSums ? 16 : 32));
    int64_t lanes = cast<VectorType>(products.getType()).getNumElements();
    for (int64_t lane = 0; lane < lanes; lane += partLanes()) {
      Value part = b.slice(products, lane, partLanes());
      if (part.getType() != type)
        part = arith::ExtUIOp::create(b, type, part);
      Value at = b.add(channel, lane), pixel = b.add(x, p);
      part = accumulator->get(b, part, sum, y, pixel, at);
      epilogue->finish(b, part, n, y, pixel, at);
    }
  }

  /// Bytes of tables that may stand on the stack of a task.
  static constexpr int64_t stackBytes = 160 << 10;
  /// Bytes of the tables of a tile of a matrix.
  static constexpr int64_t matrixBytes = 256 << 10;
  /// Bytes of the tables that tiles of a strip read again and again.
  static constexpr int64_t stripBytes = 40 << 10;

  LoopBuilder &b;
  ConvLoops &conv;
  const Image &in, &out;
  CodeType a, w;
  LookupTarget target;
  LookupTile tile;
  int64_t pixels = 1, blocksOfGroup = 1, strip = 1, taskBytes = 0;
  bool shortSums = false;
  Value weights, rows, acts, tables, base;
  std::optional<WindowSums> sums;
  std::optional<Accumulator> accumulator;
  std::optional<Epilogue> epilogue;
};

} // namespace

FailureOr<Value> hwgq::emitLookupKernel(LoopBuilder &b, ConvLoops &conv) {
  return LookupKernel(b, conv).emit();
}
