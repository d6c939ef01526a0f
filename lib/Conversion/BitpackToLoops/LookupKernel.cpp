//===- LookupKernel.cpp - contractions by tables of partial sums ----------===//
#include "../PackConstant.h"
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
    conv.alignGroups(b);
    chooseTile();
    tile.run = getLookupRun(target, tile, *codes);
    prepareWeights(*codes);
    int64_t covered = blocksOfGroup * target.lanes;
    shortSums = Epilogue::prefers16(conv) && tile.sumBits() == 16;
    unsigned bits = shortSums ? 16 : 32;
    accumulator.emplace(b, conv, *codes, covered * conv.groups, CodeType(),
                        bits);
    epilogue.emplace(b, conv, partLanes(), covered, bits);
    rows = b.constant(ArrayRef(getLookupRows(target, tile)));
    acts = b.flat(in.memory);
    Tasking tasking(b, conv, blocksOfGroup / registers(), cost(),
                    tile.shared ? 0 : tableCost());
    if (accumulator->needsSums())
      sums.emplace(b, conv, tasking, viewRows(b, conv, in));
    int64_t taskSize = tile.shared ? 0 : tile.ring * rowBytes();
    bool local = taskSize + fieldSize() * 2 <= stackBytes;
    auto type = MemRefType::get({local ? taskSize : ShapedType::kDynamic},
                                b.getI8Type());
    if (!local && taskSize)
      tables = memref::AllocOp::create(
          b, type, ValueRange{b.mul(tasking.bound, taskSize)},
          b.getI64IntegerAttr(64));
    auto fieldType = MemRefType::get(
        {local ? fieldSize() : ShapedType::kDynamic}, b.getI16Type());
    if (!local)
      found = memref::AllocOp::create(
          b, fieldType, ValueRange{b.mul(tasking.bound, fieldSize())},
          b.getI64IntegerAttr(64));
    forEachTask(b, conv, tasking, [&](const Task &task) {
      if (local && taskSize)
        tables = b.local(type);
      if (local)
        found = b.local(fieldType);
      // The sums of a tile wait here, so that its results are made in a loop:
      // in one block with the lookups they would be scheduled among them.
      results = b.local(
          MemRefType::get({fields() * pixels * registers() * target.lanes},
                          b.getIntegerType(tile.sumBits())));
      base = local ? b.index(0) : b.mul(task.number, taskSize);
      foundBase = local ? b.index(0) : b.mul(task.number, fieldSize());
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
    return 0.8 * double(pixelTables() * tile.tableBits() / fields()) *
           double(conv.op.isMatMul ? 1 : out.width);
  }

  void chooseTile() {
    tile.planesA = a.getBits();
    tile.planesW = w.getBits();
    tile.kh = conv.kh;
    tile.kw = conv.kw;
    tile.channels = conv.groupIn;
    tile.pixelStep = conv.kw == 1 ? 1 : conv.strideX;
    tile.tapStepX = conv.dilationX;
    tile.tapStepY = conv.dilationY;
    tile.ring = (conv.kh - 1) * conv.dilationY + 1;
    tile.paired = !conv.op.isMatMul && out.width > 1 && canPair(target, tile);
    blocksOfGroup = llvm::divideCeil(conv.groupOut, target.lanes);
    if (conv.kh * conv.kw == 1 && !tile.paired)
      shareTables();
    if (conv.op.isMatMul) { // tables of a tile that the second cache holds
      pixels = getLookupPixels(target, conv.rowLength(out.width), tile.shared);
      pixels = std::clamp<int64_t>(matrixBytes / pixelBytes(), 1, pixels);
      tile.columns = pixels;
    } else {
      chooseStrip();
    }
  }

  /// Even parts of the registers of channels; registers of padding fill the
  /// last one, but in groups.
  void shareTables() {
    int64_t most = target.mostShared();
    tile.shared = bitpack::getEqualPart(blocksOfGroup, most);
    while (conv.groups > 1 && blocksOfGroup % tile.shared)
      --tile.shared;
    blocksOfGroup = llvm::alignTo(blocksOfGroup, tile.shared);
  }

  /// Registers of output channels of a tile, which are a block of a task.
  int64_t registers() const { return std::max<int64_t>(1, tile.shared); }

  /// Outputs of a tile position: two of a pair.
  int64_t fields() const { return tile.paired ? 2 : 1; }

  /// Columns of tables that so many pixels (or pairs) side by side read.
  int64_t columnsOf(int64_t width) const {
    return (width - 1) * tile.pixelStep + (conv.kw - 1) * conv.dilationX + 1;
  }

  /// As many tiles as leave the tables of a strip in the nearest cache, and of
  /// pairs about as many in each strip: the second pixels are those of its
  /// right half.
  void chooseStrip() {
    int64_t width = llvm::divideCeil(out.width, fields());
    pixels = getLookupPixels(target, width, tile.shared);
    strip = pixels;
    while (strip < width &&
           tile.ring * columnsOf(strip + pixels) * pixelBytes() <= stripBytes)
      strip += pixels;
    strip = std::min(strip, width);
    if (tile.paired) {
      strip = bitpack::getEqualPart(width, strip);
      pixels = getLookupPixels(target, strip);
    }
    tile.columns = columnsOf(strip);
  }

  /// The indices, from the words of the constant, once per opened module.
  void prepareWeights(ArrayRef<uint8_t> codes) {
    auto constant = conv.op.weight.getDefiningOp<bitpack::ConstantOp>();
    RankedTensorType type = conv.op.weightType();
    bitpack::LayoutAttr layout = bitpack::getLayout(type);
    int64_t width = layout.getBlock(), size = 1;
    for (int64_t dim : layout.getPhysicalShape(type))
      size *= dim;
    ElementsAttr packed =
        conv.op.joined > 1 ? packConstant(type, codes) : constant.getWords();
    int64_t blocks = blocksOfGroup * conv.groups;
    weights =
        b.prepared(MemRefType::get({getLookupWeightBytes(target, tile, blocks)},
                                   b.getI8Type()),
                   [&](Value memory) {
                     Value words = b.constant(
                         MemRefType::get({size}, b.getI64Type()), packed);
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
    b.loop(tile.kh * tile.kw, [&](Value tap) {
      eachWord([&](Value word, int64_t count) {
        Value kx = b.rem(tap, tile.kw), ky = b.div(tap, tile.kw);
        for (int64_t q = 0; q < tile.planesW; ++q) {
          Value at = b.add(b.mul(b.div(k, width), tile.kh * tile.kw), tap);
          at = b.add(b.mul(at, tile.words()), word);
          at = b.add(b.mul(b.add(b.mul(at, tile.planesW), q), width),
                     b.rem(k, width));
          Value bits = b.select(valid, b.load(words, at), b.i64(0));
          Value row =
              b.add(b.mul(b.add(b.mul(block, tile.planesW), q), tile.kh), ky);
          Value table = b.add(b.mul(row, pixelTables()),
                              b.mul(word, target.wordTables()));
          Value to = b.add(
              b.mul(b.add(b.mul(table, tile.kw), kx), target.lanes), lane);
          for (int64_t j = 0; j < count; ++j) {
            Value index = b.andi(b.shr(bits, b.i64(j * target.group)),
                                 b.i64(target.entries() - 1));
            b.store(arith::TruncIOp::create(b, b.getI8Type(), index), memory,
                    b.add(to, j * tile.kw * target.lanes));
          }
        }
      });
    });
  }

  /// body(word, tables of it): the last word may have fewer than the others.
  void eachWord(llvm::function_ref<void(Value, int64_t)> body) {
    int64_t whole = tile.channels / 64;
    b.loop(whole, [&](Value word) { body(word, target.wordTables()); });
    if (whole < tile.words())
      body(b.index(whole), pixelTables() - whole * target.wordTables());
  }

  //===--------------------------------------------------------------------===//
  // Tables
  //===--------------------------------------------------------------------===//

  int64_t pixelTables() const { return target.tables(tile.channels); }
  /// Of tables, or of where their rows lie.
  int64_t pixelBytes() const {
    return pixelTables() * (tile.shared ? 2 * target.parts(tile.tableBits())
                                        : target.entries());
  }
  int64_t rowBytes() const { return tile.columns * pixelBytes(); }

  /// Where the rows of the tables of a row of them lie, part by part.
  int64_t fieldSize() const {
    return target.parts(tile.tableBits()) * fieldStride();
  }
  int64_t fieldStride() const {
    return tile.columns * pixelTables() + lookupFields;
  }

  /// A column of tables: where the words of its row of the image begin, its
  /// column there, and the first of its tables: its number in the row of tables
  /// and its byte.
  struct Place {
    Value row, column, number, tables;
  };
  Place advance(const Place &place, Value columns) {
    int64_t step = conv.kw == 1 ? conv.strideX : 1;
    return {place.row, b.add(place.column, b.mul(columns, step)),
            b.add(place.number, b.mul(columns, pixelTables())),
            b.add(place.tables, b.mul(columns, pixelBytes()))};
  }
  /// The first column of row y (of the image with its halo) for outputs from x0
  /// on, with the slot of row `slot`.
  Place rowAt(const Task &task, Value n, Value y, Value x0, Value slot) {
    Value row = b.mul(b.add(b.mul(n, in.fullHeight()), y), in.rowSize());
    return {b.add(row, b.mul(task.group, tile.words() * in.planes)),
            b.add(b.mul(x0, conv.strideX), in.left - conv.left), b.index(0),
            b.add(base, b.mul(b.rem(slot, tile.ring), rowBytes()))};
  }

  /// The words of a column that its tables are made of, from word `word` on.
  /// Second pixels behind the last column that outputs read are of no output.
  Values wordsOf(const Place &place, Value word) {
    Values words;
    Value first = b.add(place.row, b.mul(word, in.planes));
    if (!tile.paired) {
      Value at = b.add(first, b.mul(place.column, in.pixelSize()));
      for (int64_t p = 0; p < tile.planesA; ++p)
        words.push_back(b.add(at, p));
      return words;
    }
    Value second = b.add(place.column, strip * conv.strideX);
    int64_t last = in.left - conv.left + (out.width - 1) * conv.strideX +
                   (conv.kw - 1) * conv.dilationX;
    if (out.width % (2 * strip))
      second = b.min(second, b.index(last));
    for (Value x : {place.column, second})
      words.push_back(b.add(first, b.mul(x, in.pixelSize())));
    return words;
  }

  /// The tables of columns [low, high) of a row.
  void buildColumns(const Place &row, Value low, Value high) {
    findRows(row, low, high);
    if (tile.shared)
      return;
    auto build = [&](Value first, int64_t count) {
      for (int64_t i = 0; i < count; ++i)
        buildTable(row, b.add(first, i));
    };
    if (tile.channels % 64 == 0) // all words of the columns alike
      return b.loop(b.mul(low, tile.words()), b.mul(high, tile.words()), 1,
                    [&](Value word) {
                      build(b.mul(word, target.wordTables()),
                            target.wordTables());
                    });
    b.loop(low, high, 1, [&](Value x) {
      eachWord([&](Value word, int64_t count) {
        build(b.add(b.mul(x, pixelTables()), b.mul(word, target.wordTables())),
              count);
      });
    });
  }

  /// Finds the rows of the tables of columns [low, high) of a row, in order,
  /// since what is written for a word reaches into the next one.
  void findRows(const Place &row, Value low, Value high) {
    b.loop(low, high, 1, [&](Value x) {
      Place place = advance(row, x);
      b.loop(tile.words(), [&](Value word) {
        Value t = b.add(place.number, b.mul(word, target.wordTables()));
        Values words = wordsOf(place, word);
        for (auto [p, part] : llvm::enumerate(partsOf(words)))
          emitLookupFields(b, target, acts, part, found, fieldAt(p, t));
      });
    });
  }
  /// The words of each part.
  SmallVector<ValueRange> partsOf(ValueRange words) const {
    SmallVector<ValueRange> parts;
    for (size_t step = target.rowBits(); !words.empty();
         words = words.drop_front(parts.back().size()))
      parts.push_back(words.take_front(std::min(step, words.size())));
    return parts;
  }
  Value fieldAt(int64_t p, Value number) {
    return b.add(b.add(foundBase, number), p * fieldStride());
  }

  /// Table t of those from a place on, whose rows have been found.
  void buildTable(const Place &place, Value t) {
    Values at;
    for (int64_t p = 0; p < target.parts(tile.tableBits()); ++p)
      at.push_back(fieldAt(p, b.add(place.number, t)));
    b.store(emitLookupTable(b, target, rows, found, at), tables,
            b.add(place.tables, b.mul(t, target.entries())));
  }

  /// Whether the tables of the next output row are made between the lookups of
  /// this one, in the place of those that no tile reads any more.
  bool buildsAhead() const {
    constexpr int64_t mostRows = 5, mostBlocks = 8;
    return target.rowBits() == 1 && !conv.op.isMatMul && tile.planesW == 1 &&
           conv.strideY == 1 && conv.strideX == 1 && conv.kh > 1 &&
           conv.kh <= mostRows && blocksOfGroup <= mostBlocks;
  }

  /// One row of a strip: outputs [x0, x1), of pairs their first pixels.
  struct Strip {
    const Task &task;
    Value n, y;
    Value first = {}; // row of the input
    Value x0 = {}, x1 = {};
  };

  /// The place of the row that the next output row adds, at a column, in the
  /// slot of the first row of this one. Behind the last row that outputs read
  /// it is made of that, and not read.
  Place nextRow(const Strip &at, Value column) {
    Value y = b.add(at.first, tile.ring);
    int64_t last = in.top - conv.top + out.height - 1 + tile.ring - 1;
    Value inside = b.min(y, b.index(last));
    return advance(rowAt(at.task, at.n, inside, at.x0, y), column);
  }

  /// Table t of the columns that a tile of `count` pixels is the last to read,
  /// those of them that are made during filter row ky: all behind row 0.
  void buildBetween(const Place &next, int64_t count, int64_t ky, Value t) {
    for (int64_t i = 0; i < count; ++i)
      if (ky == 1 + i * (conv.kh - 1) / count)
        buildTable(advance(next, b.index(i)), t);
  }

  //===--------------------------------------------------------------------===//
  // Tiles
  //===--------------------------------------------------------------------===//

  /// Strips of columns, whose tables stay in the nearest cache from row to row.
  void emitRows(const Task &task) {
    bool ahead = buildsAhead();
    b.loop(b.index(0), b.index(out.width), strip * fields(), [&](Value x0) {
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

  /// The tables that an output row reads, but those that the row above left or
  /// made.
  void buildRows(const Strip &at, Value row, bool ahead) {
    auto equal = arith::CmpIPredicate::eq;
    Value fresh =
        b.ori(b.cmp(equal, row, at.task.row0), b.cmp(equal, at.y, b.index(0)));
    int64_t kept =
        ahead ? tile.ring : std::max<int64_t>(0, tile.ring - conv.strideY);
    Value columns = columnsOf(at);
    b.loop(b.select(fresh, b.index(0), b.index(kept)), b.index(tile.ring), 1,
           [&](Value r) {
             Value y = b.add(at.first, r);
             buildColumns(rowAt(at.task, at.n, y, at.x0, y), b.index(0),
                          columns);
           });
  }

  Value columnsOf(const Strip &at) {
    Value last = b.sub(b.sub(at.x1, at.x0), b.index(1));
    return b.add(b.mul(last, tile.pixelStep), columnsOf(1));
  }

  /// The tiles of a block; `ahead`: and the tables of the next row.
  void emitBlock(const Strip &at, Value block, bool ahead) {
    // What whole strips and the last one leave of a tile.
    int64_t last = out.width % (strip * fields());
    SmallVector<int64_t> rests;
    if (last)
      rests.push_back(std::min(last, strip) % pixels);
    if (out.width > last && !llvm::is_contained(rests, strip % pixels))
      rests.push_back(strip % pixels);
    auto tilesAt = [&](Value low, Value high, int64_t count) {
      b.loop(low, high, count, [&](Value x) {
        Value column = b.mul(b.sub(x, at.x0), tile.pixelStep);
        std::optional<Place> next;
        if (ahead)
          next = nextRow(at, column);
        emitTile(at, x, column, count, block, next);
      });
    };
    Value size = b.sub(at.x1, at.x0);
    if (ahead)
      findRows(nextRow(at, b.index(0)), b.index(0), size);
    Value whole = b.add(at.x0, b.mul(b.div(size, pixels), pixels));
    tilesAt(at.x0, whole, pixels);
    for (int64_t rest : rests) {
      if (!rest)
        continue;
      auto emit = [&] { tilesAt(whole, at.x1, rest); };
      if (rests.size() == 1)
        emit();
      else
        b.when(
            b.cmp(arith::CmpIPredicate::eq, b.sub(at.x1, whole), b.index(rest)),
            emit);
    }
    if (!ahead)
      return;
    // Columns behind those of the last tile.
    buildColumns(nextRow(at, b.index(0)), size, columnsOf(at));
  }

  void emitMatrix(const Task &task) {
    Value zero = b.index(0);
    Value words = b.mul(task.group, tile.words() * in.planes);
    auto part = [&](Value x, int64_t count) {
      buildColumns({words, x, zero, base}, zero, b.index(count));
      b.loop(task.block0, task.block1, 1, [&](Value block) {
        emitTile({task, zero, zero, zero}, x, zero, count, block);
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

  void emitTile(const Strip &at, Value x, Value column, int64_t count,
                Value block, const std::optional<Place> &next = {}) {
    LookupTile part = tile;
    part.pixels = count;
    auto between = [&](int64_t ky, Value t) {
      buildBetween(*next, count, ky, t);
    };
    LookupOperands operands{tables, base,    at.first,
                            column, weights, b.mul(block, registers())};
    operands.rows = rows;
    operands.fields = found;
    operands.field = fieldAt(0, b.mul(column, pixelTables()));
    operands.fieldStride = fieldStride();
    emitLookupTile(b, target, part, operands, results,
                   next ? BetweenLookups(between) : BetweenLookups());
    Value channel = b.mul(operands.block, target.lanes);
    for (int64_t r = 0; r < registers(); ++r)
      b.loop(count, [&](Value p) {
        finish(at, b.add(p, r * count), b.add(x, p),
               b.add(channel, r * target.lanes));
      });
    if (!tile.paired)
      return;
    Value second = b.add(x, strip);
    Value inside = b.min(b.sub(b.index(out.width), second), b.index(count));
    b.loop(b.index(0), out.width % (2 * strip) ? inside : b.index(count), 1,
           [&](Value p) {
             finish(at, b.add(p, count), b.add(second, p), channel);
           });
  }

  /// Channels that the epilogue takes at a time.
  int64_t partLanes() const {
    if (shortSums)
      return target.lanes;
    return std::min<int64_t>(target.lanes / 2,
                             std::max<int64_t>(8, b.options.vectorBytes / 4));
  }

  /// From P of output `p` of a tile to the result of pixel x.
  void finish(const Strip &at, Value p, Value x, Value channel) {
    Value sum = sums ? sums->get(b, at.task, at.n, at.y, x) : Value();
    Type element = cast<MemRefType>(results.getType()).getElementType();
    VectorType type = b.vec(partLanes(), b.getIntegerType(shortSums ? 16 : 32));
    for (int64_t lane = 0; lane < target.lanes; lane += partLanes()) {
      Value part = b.load(type.clone(element), results,
                          b.add(b.mul(p, target.lanes), lane));
      if (part.getType() != type)
        part = arith::ExtUIOp::create(b, type, part);
      Value first = b.add(channel, lane);
      part = accumulator->get(b, part, sum, at.y, x, first);
      epilogue->finish(b, part, at.n, at.y, x, first);
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
  int64_t pixels = 1, blocksOfGroup = 1; // pixels or pairs of a tile
  int64_t strip = 1;                     // and of a strip
  bool shortSums = false;
  Value weights, rows, acts, tables, base, found, foundBase, results;
  std::optional<WindowSums> sums;
  std::optional<Accumulator> accumulator;
  std::optional<Epilogue> epilogue;
};

} // namespace

FailureOr<Value> hwgq::emitLookupKernel(LoopBuilder &b, ConvLoops &conv) {
  return LookupKernel(b, conv).emit();
}
