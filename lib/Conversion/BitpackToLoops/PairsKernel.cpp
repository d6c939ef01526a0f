//===- PairsKernel.cpp - products of two activations in bytes -------------===//
//
// The right operand of each pair is brought to the order of the tile and to
// signed bytes first, with what its rows add where codes have offsets; then
// tiles of products of bytes run over the rows of the left one.
//
//===----------------------------------------------------------------------===//
#include "Accumulator.h"
#include "Dot8Tile.h"
#include "Epilogue.h"
#include "Pairs.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace hwgq;

namespace {

class PairsKernel {
public:
  PairsKernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), pairs(b, conv),
        numbers(bitpack::getByteNumbers(conv.weightCode())) {}

  Value emit() {
    chooseTile();
    orderWeights();
    accumulator.emplace(conv, numbers, bases);
    epilogue.emplace(b, conv, lanesTogether(), columns());
    if (conv.hasUnwritten())
      forEachRow(b, conv.output, double(conv.output.rowSize()) / 32,
                 [&](Value n, Value y) { conv.clearRow(b, n, y); });
    int64_t part = llvm::alignTo(rowsPerTask(cost()), pixels);
    Value parts = b.ceilDiv(pairs.rows, part);
    b.tasks(b.mul(pairs.count, parts), [&](Value task) {
      Value pair = arith::DivUIOp::create(b, task, parts);
      Value low = b.mul(arith::RemUIOp::create(b, task, parts), part);
      Value high = b.min(b.add(low, part), pairs.rows);
      if (accumulator->needsSums())
        sumRows(pair, low, high, part);
      b.loop(blocks, [&](Value block) { emitBlock(pair, block, low, high); });
    });
    return conv.result;
  }

private:
  /// Lanes that the epilogue takes at a time.
  int64_t lanesTogether() const { return std::max<int64_t>(8, target.lanes); }
  /// Columns of the result that tiles cover.
  int64_t columns() const { return blocks * tile.vectors * target.lanes; }
  int64_t steps() const { return tile.bytes / target.depth(); }
  /// Elements of the ordered weights of a block.
  int64_t blockSize() const {
    return steps() * tile.vectors * target.stepElements();
  }
  /// Nanoseconds of a row of the result.
  double cost() const {
    return double(columns() * tile.bytes) / (8.0 * double(target.lanes));
  }

  void chooseTile() {
    tile.bytes = pairs.input.pixelSize();
    tile.pixelStep = pairs.inputStep(pairs.m);
    target = getDot8Target(b.options, conv.inputCode(), numbers, tile.bytes);
    int64_t together = lanesTogether() / target.lanes;
    int64_t vectors =
        llvm::divideCeil(conv.groupOut, lanesTogether()) * together;
    tile.vectors = std::min(std::max(target.vectors, together), vectors);
    blocks = llvm::divideCeil(vectors, tile.vectors);
    int64_t most = target.mostPixels(tile.vectors);
    pixels = target.equalPixels(
        ShapedType::isDynamic(pairs.staticRows) ? most : pairs.staticRows,
        most);
  }

  //===--------------------------------------------------------------------===//
  // The right operand
  //===--------------------------------------------------------------------===//

  Value allocate(int64_t size, Type element) {
    return memref::AllocOp::create(
        b, MemRefType::get({ShapedType::kDynamic}, element),
        ValueRange{b.mul(pairs.count, size)}, b.getI64IntegerAttr(64));
  }

  /// weights: [pair][block][step][vector][elements of a step]
  /// bases: [pair][column]
  void orderWeights() {
    constexpr double kVector = 10; // ns
    weights =
        allocate(blocks * blockSize(), b.getIntegerType(target.weightBits()));
    bool needsBases = conv.inputCode().getOffset() || target.shifted;
    if (needsBases) {
      std::vector<uint8_t> values(tile.bytes, target.shifted ? 129 : 1);
      ones = b.constant(ArrayRef(values));
      bases = allocate(columns(), b.getI32Type());
    }
    int64_t part = rowsPerTask(kVector * double(steps() * tile.vectors));
    Value all = b.mul(pairs.count, blocks);
    b.tasks(b.ceilDiv(all, part), [&](Value task) {
      Value low = b.mul(task, part), high = b.min(b.add(low, part), all);
      b.loop(low, high, 1, [&](Value number) {
        Value pair = b.div(number, blocks), block = b.rem(number, blocks);
        Values at = pairs.first(b, pair);
        b.loop(tile.vectors, [&](Value v) {
          orderVector(at, b.add(b.mul(block, tile.vectors), v),
                      b.add(b.mul(number, blockSize()),
                            b.mul(v, target.stepElements())));
        });
        if (needsBases)
          makeBases(pair, block, b.mul(number, blockSize()));
      });
    });
  }

  /// Brings the columns of vector number `vector` of a pair to `to`.
  void orderVector(Values at, Value vector, Value to) {
    int64_t whole = conv.groupOut / target.lanes;
    int64_t rest = conv.groupOut % target.lanes;
    auto order = [&](int64_t lanes) {
      Values first = at;
      first[pairs.n()] = b.mul(vector, target.lanes);
      Value from = pairs.weightRow(b, first);
      if (!pairs.weightRows())
        from = b.add(from, first[pairs.n()]);
      orderColumns(from, to, lanes);
    };
    b.when(
        b.cmp(arith::CmpIPredicate::ult, vector, b.index(whole)), {},
        [&] {
          order(target.lanes);
          return Values();
        },
        [&] { // vectors beyond the last column give what is dropped
          order(rest);
          return Values();
        });
  }

  void orderColumns(Value from, Value to, int64_t lanes) {
    int64_t depth = target.depth(), whole = conv.groupIn / depth;
    int64_t size = tile.vectors * target.stepElements();
    auto store = [&](Value step, int64_t valid) {
      b.store(loadStep(from, step, lanes, valid), weights,
              b.add(to, b.mul(step, size)));
    };
    b.loop(whole, [&](Value step) { store(step, depth); });
    for (int64_t step = whole; step < steps(); ++step)
      store(b.index(step),
            std::clamp<int64_t>(conv.groupIn - step * depth, 0, depth));
  }

  /// The numbers of the first `lanes` columns from `from` on, `valid` terms of
  /// a step; 0 for the others.
  Value loadStep(Value from, Value step, int64_t lanes, int64_t valid) {
    VectorType type =
        b.vec(target.stepElements(), b.getIntegerType(target.weightBits()));
    Value zero = b.splat(type, int64_t(0));
    if (lanes == 0 || valid == 0)
      return zero;
    Value codes = pairs.weightRows() ? loadRows(from, step, lanes)
                                     : loadColumns(from, step, lanes, valid);
    SmallVector<int64_t> order;
    SmallVector<bool> exists;
    for (int64_t i = 0; i < target.stepElements(); ++i) {
      auto [lane, byte] = getDot8Weight(target, i);
      order.push_back(pairs.weightRows() ? lane * target.depth() + byte
                                         : byte * target.lanes + lane);
      exists.push_back(lane < lanes && byte < valid);
    }
    if (!llvm::is_sorted(order))
      codes = vector::ShuffleOp::create(b, codes, codes, order);
    if (target.weightBits() > 8)
      codes = arith::ExtUIOp::create(b, type, codes);
    Value result = toNumbers(b, numbers, codes);
    if (llvm::all_of(exists, [](bool e) { return e; }))
      return result;
    auto mask = DenseElementsAttr::get(type.clone(b.getI1Type()), exists);
    return b.select(arith::ConstantOp::create(b, mask), result, zero);
  }

  /// Codes [lane][term] of a step, from rows of terms.
  Value loadRows(Value from, Value step, int64_t lanes) {
    int64_t depth = target.depth(), rowStep = pairs.weightStep(pairs.n());
    Type word = b.getIntegerType(8 * depth);
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(word));
    Value at = b.add(from, b.mul(step, depth));
    Values words(target.lanes, zero);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      Value pointer = LLVM::IntToPtrOp::create(
          b, LLVM::LLVMPointerType::get(b.getContext()),
          emitAddress(b, pairs.weight.memory, b.add(at, lane * rowStep)));
      words[lane] = LLVM::LoadOp::create(b, word, pointer, /*alignment=*/1);
    }
    Value all =
        vector::FromElementsOp::create(b, b.vec(target.lanes, word), words);
    return vector::BitCastOp::create(
        b, b.vec(target.stepElements(), b.getI8Type()), all);
  }

  /// Codes [term][lane] of a step, from rows of columns.
  Value loadColumns(Value from, Value step, int64_t lanes, int64_t valid) {
    VectorType type = b.vec(target.lanes, b.getI8Type());
    int64_t rowStep = pairs.weightStep(pairs.rank);
    Value at = b.add(from, b.mul(step, target.depth() * rowStep));
    Values rows(target.depth(), b.splat(type, int64_t(0)));
    for (int64_t term = 0; term < valid; ++term)
      rows[term] = b.loadPart(type, pairs.weight.memory,
                              b.add(at, term * rowStep), lanes);
    while (rows.size() > 1) {
      for (size_t i = 0; i < rows.size() / 2; ++i)
        rows[i] = b.join(rows[2 * i], rows[2 * i + 1]);
      rows.resize(rows.size() / 2);
    }
    return rows[0];
  }

  /// What columns add whatever the row: with m the numbers that are multiplied,
  /// n = o + s m, oa sum of n + 128 sa s sum of m where codes are shifted.
  void makeBases(Value pair, Value block, Value at) {
    CodeType a = conv.inputCode(), w = conv.weightCode();
    int64_t scale = w.getStride() / numbers.getStride();
    int64_t offset = w.getOffset() - scale * numbers.getOffset();
    Dot8Tile single = tile;
    single.pixels = 1;
    Values sums =
        emitDot8Tile(b, target, single, ones, b.index(0), weights, at);
    int64_t factor =
        scale * (a.getOffset() + (target.shifted ? 128 * a.getStride() : 0));
    int64_t constant = a.getOffset() * offset * conv.groupIn;
    Value to = b.add(b.mul(pair, columns()),
                     b.mul(block, tile.vectors * target.lanes));
    for (auto [v, sum] : llvm::enumerate(sums)) {
      Type type = sum.getType();
      Value base =
          b.add(b.mul(sum, b.splat(type, factor)), b.splat(type, constant));
      b.store(base, bases, b.add(to, v * target.lanes));
    }
  }

  //===--------------------------------------------------------------------===//
  // Tiles
  //===--------------------------------------------------------------------===//

  /// Sums of the codes of rows [low, high) of the left operand.
  void sumRows(Value pair, Value low, Value high, int64_t most) {
    sums = b.local(MemRefType::get({most}, b.getI32Type()));
    firstSum = low;
    int64_t lanes = 8; // rows have whole steps of 8 bytes
    VectorType type = b.vec(lanes, b.getI32Type());
    b.loop(low, high, 1, [&](Value row) {
      Value from = rowOf(pair, row);
      Value sum =
          b.carry(b.index(0), b.index(tile.bytes), lanes,
                  {b.splat(type, int64_t(0))}, [&](Value i, ValueRange part) {
                    Value codes = b.load(b.vec(lanes, b.getI8Type()),
                                         pairs.input.memory, b.add(from, i));
                    return Values{
                        b.add(part[0], arith::ExtUIOp::create(b, type, codes))};
                  })[0];
      b.store(vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum),
              sums, b.sub(row, low));
    });
  }

  Value rowOf(Value pair, Value row) {
    Values at = pairs.first(b, pair);
    at[pairs.m] = row;
    return pairs.inputRow(b, at);
  }

  void emitBlock(Value pair, Value block, Value low, Value high) {
    auto whole = b.add(low, b.mul(b.div(b.sub(high, low), pixels), pixels));
    b.loop(low, whole, pixels,
           [&](Value row) { emitTile(pair, block, row, pixels); });
    if (ShapedType::isDynamic(pairs.staticRows))
      return b.loop(whole, high, 1,
                    [&](Value row) { emitTile(pair, block, row, 1); });
    if (int64_t rest = pairs.staticRows % pixels)
      b.when(b.cmp(arith::CmpIPredicate::ult, whole, high),
             [&] { emitTile(pair, block, whole, rest); });
  }

  void emitTile(Value pair, Value block, Value row, int64_t count) {
    Dot8Tile part = tile;
    part.pixels = count;
    Value number = b.add(b.mul(pair, blocks), block);
    Values products =
        emitDot8Tile(b, target, part, pairs.input.memory, rowOf(pair, row),
                     weights, b.mul(number, blockSize()));
    Values at = pairs.first(b, pair);
    for (int64_t p = 0; p < count; ++p) {
      at[pairs.m] = b.add(row, p);
      finish(ArrayRef(products).slice(p * tile.vectors, tile.vectors), at, pair,
             block);
    }
  }

  /// From the products of one row and block to the result.
  void finish(ArrayRef<Value> products, ArrayRef<Value> at, Value pair,
              Value block) {
    int64_t lanes = lanesTogether(), together = lanes / target.lanes;
    auto [n, y, x] = pairs.pixel(b, at);
    Value sum = sums ? b.load(sums, b.sub(at[pairs.m], firstSum)) : Value();
    for (int64_t v = 0; v < tile.vectors; v += together) {
      Value acc =
          together == 1 ? products[v] : b.join(products[v], products[v + 1]);
      Value channel =
          b.add(b.mul(block, tile.vectors * target.lanes), v * target.lanes);
      Value column = b.add(b.mul(pair, columns()), channel);
      acc = accumulator->get(b, acc, sum, y, x, column);
      epilogue->finish(b, acc, n, y, x, channel);
    }
  }

  LoopBuilder &b;
  ConvLoops &conv;
  Pairs pairs;
  CodeType numbers; // of the right operand, as they are multiplied
  Dot8Target target{};
  Dot8Tile tile;
  int64_t pixels = 1, blocks = 1;
  Value weights, bases; // bases: null without need
  Value ones;           // a row whose codes are multiplied as 1
  Value sums, firstSum; // of the rows of a task; null without need
  std::optional<Accumulator> accumulator;
  std::optional<Epilogue> epilogue;
};

} // namespace

FailureOr<Value> hwgq::emitPairsKernel(LoopBuilder &b, ConvLoops &conv) {
  return PairsKernel(b, conv).emit();
}
