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
      // The sums of a tile wait here, so that its results are made in a loop:
      // in one block with the lookups they would be scheduled among them.
      results = b.local(
          MemRefType::get({pixels * target.lanes},
                          b.getIntegerType(tile.bound() < 65536 ? 16 : 32)));
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

  /// Elements of `acts` from a column of tables to the next.
  int64_t columnStep() const {
    return (conv.kw == 1 ? conv.strideX : 1) * in.pixelSize();
  }

  /// The tables of the words from `at` on, at byte `to`.
  void buildPixel(Value at, Value to) {
    b.loop(tile.words, [&](Value word) {
      emitLookupTables(
          b, target, tile.planesA, rows, acts,
          b.add(at, b.mul(word, in.planes)), tables,
          b.add(to, b.mul(word, target.wordTables() * target.entries())));
    });
  }

  /// Where a column lies: its first word, and its first table.
  struct Place {
    Value acts, tables;
  };
  Place advance(const Place &place, Value columns) {
    return {b.add(place.acts, b.mul(columns, columnStep())),
            b.add(place.tables, b.mul(columns, pixelBytes()))};
  }
  /// The first column of row y (of the image with its halo) for outputs from x0
  /// on, and its slot.
  Place rowAt(const Task &task, Value n, Value y, Value x0) {
    Value from =
        b.add(b.add(b.mul(b.add(b.mul(n, in.fullHeight()), y), in.fullWidth()),
                    b.mul(x0, conv.strideX)),
              in.left - conv.left);
    return {b.add(b.mul(from, in.pixelSize()),
                  b.mul(task.group, tile.words * in.planes)),
            b.add(base, b.mul(b.rem(y, tile.ring), rowBytes()))};
  }

  /// Columns of tables that outputs [x0, x1) read.
  Value columnsOf(Value x0, Value x1) {
    Value last = b.mul(b.sub(b.sub(x1, x0), b.index(1)), tile.pixelStep);
    return b.add(last, (conv.kw - 1) * conv.dilationX + 1);
  }

  /// The tables of columns [low, high) of a row.
  void buildColumns(const Place &row, Value low, Value high) {
    b.loop(low, high, 1, [&](Value x) {
      Place column = advance(row, x);
      buildPixel(column.acts, column.tables);
    });
  }

  /// Whether the tables of the next output row are made between the lookups of
  /// this one, in the place of those that no tile reads any more.
  bool buildsAhead() const {
    constexpr int64_t mostRows = 5, mostBlocks = 4;
    return target.rowPlanes() == 1 && !conv.op.isMatMul && tile.planesW == 1 &&
           conv.kh > 1 && conv.kh <= mostRows && blocksOfGroup <= mostBlocks &&
           conv.strideY <= (conv.kh - 1) * conv.dilationY;
  }

  /// The places of the rows that the next output row adds, at a column. Behind
  /// the image it is made of the last row, and not read.
  SmallVector<Place> nextRows(const Task &task, Value n, Value first, Value x0,
                              Value column) {
    SmallVector<Place> places;
    for (int64_t j = 0; j < conv.strideY; ++j) {
      Value y = b.add(first, tile.ring + j);
      Place from = rowAt(task, n, b.min(y, b.index(in.fullHeight() - 1)), x0);
      from.tables = b.add(base, b.mul(b.rem(y, tile.ring), rowBytes()));
      places.push_back(advance(from, column));
    }
    return places;
  }

  /// Table t of the columns that a tile of `count` pixels is the last to read,
  /// those of them that are made during filter row ky: a row j of the window is
  /// free behind its own lookups.
  void buildBetween(ArrayRef<Place> next, int64_t count, int64_t ky, Value t) {
    int64_t columns = count * tile.pixelStep;
    int64_t all = columns * conv.strideY;
    for (int64_t i = 0; i < all; ++i) {
      int64_t j = i / columns;
      if (ky != std::max(1 + i * (conv.kh - 1) / all, 1 + j / conv.dilationY))
        continue;
      Place at = advance(next[j], b.index(i % columns));
      emitLookupTable(b, target, tile.planesA, rows, acts, at.acts, t, tables,
                      b.add(at.tables, b.mul(t, target.entries())));
    }
  }

  //===--------------------------------------------------------------------===//
  // Tiles
  //===--------------------------------------------------------------------===//

  /// Strips of columns, whose tables stay in the nearest cache from row to row.
  void emitRows(const Task &task) {
    bool ahead = buildsAhead();
    b.loop(b.index(0), b.index(out.width), strip, [&](Value x0) {
      Value x1 = b.min(b.add(x0, strip), b.index(out.width));
      b.loop(task.row0, task.row1, 1, [&](Value row) {
        Strip at{task, b.div(row, out.height), b.rem(row, out.height)};
        at.first = conv.firstRow(b, at.y);
        at.x0 = x0;
        at.x1 = x1;
        buildRows(at, row, ahead);
        Value last = ahead ? b.sub(task.block1, b.index(1)) : task.block1;
        b.loop(task.block0, last, 1,
               [&](Value block) { emitBlock(at, block, false); });
        if (ahead)
          emitBlock(at, last, true);
      });
    });
  }

  /// One row of a strip.
  struct Strip {
    const Task &task;
    Value n, y;
    Value first = {}; // row of the input
    Value x0 = {}, x1 = {};
  };

  /// The tiles of a block; `ahead`: and the tables of the next row.
  void emitBlock(const Strip &at, Value block, bool ahead) {
    int64_t rest = out.width % pixels;
    Value whole = b.min(at.x1, b.index(out.width - rest));
    auto tilesAt = [&](Value low, Value high, int64_t count) {
      b.loop(low, high, count, [&](Value x) {
        Value column = b.mul(b.sub(x, at.x0), tile.pixelStep);
        SmallVector<Place> next;
        if (ahead)
          next = nextRows(at.task, at.n, at.first, at.x0, column);
        emitTile(at.task, at.n, at.y, at.first, x, column, count, block, next);
      });
    };
    tilesAt(at.x0, whole, pixels);
    if (rest)
      tilesAt(whole, at.x1, rest);
    if (!ahead)
      return;
    // Columns behind those of the last tile.
    Value low = b.mul(b.sub(at.x1, at.x0), tile.pixelStep);
    Value high = columnsOf(at.x0, at.x1);
    for (const Place &row :
         nextRows(at.task, at.n, at.first, at.x0, b.index(0)))
      buildColumns(row, low, high);
  }

  /// The tables that an output row reads, but those that the row above left or
  /// made.
  void buildRows(const Strip &at, Value row, bool ahead) {
    auto equal = arith::CmpIPredicate::eq;
    Value fresh =
        b.ori(b.cmp(equal, row, at.task.row0), b.cmp(equal, at.y, b.index(0)));
    int64_t kept =
        ahead ? tile.ring : std::max<int64_t>(0, tile.ring - conv.strideY);
    Value columns = columnsOf(at.x0, at.x1);
    b.loop(b.select(fresh, b.index(0), b.index(kept)), b.index(tile.ring), 1,
           [&](Value r) {
             buildColumns(rowAt(at.task, at.n, b.add(at.first, r), at.x0),
                          b.index(0), columns);
           });
  }

  void emitMatrix(const Task &task) {
    Value zero = b.index(0);
    auto part = [&](Value x, int64_t count) {
      b.loop(count, [&](Value i) {
        buildPixel(b.add(b.mul(b.add(x, i), in.pixelSize()),
                         b.mul(task.group, tile.words * in.planes)),
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
                Value column, int64_t count, Value block,
                ArrayRef<Place> next = {}) {
    LookupTile part = tile;
    part.pixels = count;
    auto between = [&](int64_t ky, Value t) {
      buildBetween(next, count, ky, t);
    };
    Values products = emitLookupTile(
        b, target, part, tables, base, row, column, weights, block,
        next.empty() ? BetweenLookups() : BetweenLookups(between));
    int64_t half = target.lanes / 2;
    for (auto [i, sum] : llvm::enumerate(products))
      b.store(sum, results, b.index(int64_t(i) * half));
    Value channel = b.mul(block, target.lanes);
    b.loop(count, [&](Value p) { finish(task, p, n, y, x, channel); });
  }

  /// Channels that the epilogue takes at a time.
  int64_t partLanes() const {
    if (shortSums)
      return target.lanes;
    return std::min<int64_t>(target.lanes / 2,
                             std::max<int64_t>(8, b.options.vectorBytes / 4));
  }

  /// From P of pixel `p` of a tile to its result.
  void finish(const Task &task, Value p, Value n, Value y, Value x,
              Value channel) {
    Value pixel = b.add(x, p);
    Value sum = sums ? sums->get(b, task, n, y, pixel) : Value();
    Type element = cast<MemRefType>(results.getType()).getElementType();
    VectorType type = b.vec(partLanes(), b.getIntegerType(shortSums ? 16 : 32));
    for (int64_t lane = 0; lane < target.lanes; lane += partLanes()) {
      Value part = b.load(type.clone(element), results,
                          b.add(b.mul(p, target.lanes), lane));
      if (part.getType() != type)
        part = arith::ExtUIOp::create(b, type, part);
      Value at = b.add(channel, lane);
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
  Value weights, rows, acts, tables, base, results;
  std::optional<WindowSums> sums;
  std::optional<Accumulator> accumulator;
  std::optional<Epilogue> epilogue;
};

} // namespace

FailureOr<Value> hwgq::emitLookupKernel(LoopBuilder &b, ConvLoops &conv) {
  return LookupKernel(b, conv).emit();
}
