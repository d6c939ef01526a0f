//===- F32Kernel.cpp - contractions of floats -----------------------------===//
//
// One chain of fma from +0 over (kh, kw, c) an output. Padded taps take part
// with x = +0 (an infinite weight then gives NaN), so the input is copied into
// a buffer with its pads first. Weights are floats, or codes that stay packed:
// tiles of few outputs widen them in registers. A task of many outputs takes
// as many taps at a time as the nearest cache holds, codes widened once for all
// outputs, with the sums in memory between the parts of their chains. One row
// of a matrix product leaves out inputs of 0, whose weights are then not read.
//
//===----------------------------------------------------------------------===//
#include "Epilogue.h"
#include "FloatTile.h"
#include "FloatWeights.h"

using namespace mlir;
using namespace hwgq;

namespace {

class F32Kernel {
public:
  F32Kernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), in(conv.input), out(conv.output),
        code(conv.weightCode()) {}

  FailureOr<Value> emit() {
    choosePlan();
    chooseStrip();
    padInput();
    if (!strip)
      acts = viewRows(b, conv, padded);
    FailureOr<FloatWeights> packed = FloatWeights::pack(b, conv, block);
    if (failed(packed))
      return failure();
    weights = std::move(*packed);
    skipsZeros = canSkipZeros();
    if (few)
      few->epilogue.emplace(b, conv, few->shape.block, covered());
    if (many)
      many->epilogue.emplace(b, conv, many->shape.block, covered());
    forEachTask(b, conv, tasking(), [&](const Task &task) {
      if (strip)
        fillStrip(task);
      emitTask(task);
    });
    return conv.result;
  }

private:
  /// A register tile of up to shape.pixels outputs, and what follows it.
  struct Tile {
    FloatTile shape;
    std::optional<Epilogue> epilogue;
  };

  /// Outputs from which on it pays to widen weights in memory, or to read them
  /// in parts.
  static constexpr int64_t kMany = 4;

  /// Whether it is a matrix of a dynamic number of rows.
  bool hasAnyRows() const {
    return conv.op.isMatMul && conv.op.inputType().isDynamicDim(0);
  }

  int64_t covered() { return weights->blocksOfGroup() * block; }

  /// Nanoseconds of an output row.
  double cost() {
    return conv.macsOfRow() /
           (b.options.fma ? double(b.options.vectorBytes) : 1.0);
  }

  /// Rows of the input, with their pads, that `rows` rows of outputs read.
  int64_t inputRows(int64_t rows) {
    return (rows - 1) * conv.strideY + (conv.kh - 1) * conv.dilationY + 1;
  }

  /// Where the input is made element by element, each task makes the rows that
  /// it reads, if it can hold them.
  void chooseStrip() {
    padded = in;
    ArrayRef<int64_t> pads = conv.op.window.pads;
    padded.top = pads[0];
    padded.left = pads[1];
    padded.bottom = pads[2];
    padded.right = pads[3];
    if (conv.op.isMatMul)
      strip = conv.producer ? matrixRows : 0;
    if (conv.op.isMatMul || !conv.producer || many || conv.groups > 1)
      return;
    strip = evenRows([&](int64_t size) {
      return inputRows(size) * padded.rowSize() * 4 <= bitpack::kTaskBytes;
    });
  }

  /// The most rows of outputs that divide an image, and leave enough tasks or
  /// take no more time than one; 0 where none fits.
  int64_t evenRows(llvm::function_ref<bool(int64_t)> fits) {
    constexpr int64_t kTasks = 8;
    int64_t small = rowsPerTask(cost());
    for (int64_t size = out.height; size > 0; --size)
      if (out.height % size == 0 &&
          (size <= small || out.height / size >= kTasks) && fits(size))
        return size;
    return 0;
  }

  /// A copy of the input with its pads, in memory for all tasks.
  void padInput() {
    bool pads = padded.fullHeight() != in.height || padded.left || padded.right;
    if (strip || !(pads || conv.producer))
      return;
    padded.memory = memref::AllocOp::create(
        b, MemRefType::get({ShapedType::kDynamic}, b.getF32Type()),
        ValueRange{b.mul(in.batch, padded.imageSize())},
        b.getI64IntegerAttr(64));
    forEachRow(b, in, double(in.rowSize()) / 8, [&](Value n, Value y) {
      padded.clearRow(b, n, y);
      makeRow(n, y, padded.memory, padded.at(b, n, y, b.index(0)));
    });
  }

  /// Writes row y of the input, without pads, to `memory` from `at` on.
  void makeRow(Value n, Value y, Value memory, Value at) {
    if (conv.producer)
      return conv.producer->emit(b, {n, y}, memory, at);
    b.copy(in.memory, in.at(b, n, y, b.index(0)), memory, at,
           b.index(in.rowSize()));
  }

  /// The rows that a task reads, in memory of its own.
  void fillStrip(const Task &task) {
    int64_t rows = inputRows(strip), size = padded.rowSize();
    Value memory = b.local(MemRefType::get({rows * size}, b.getF32Type()));
    if (conv.op.isMatMul) {
      acts = b.reshape(memory, {1, 1, rows * size}, {});
      stripRow = b.index(0);
      return b.loop(task.x0, task.x1, 1, [&](Value row) {
        Value at = b.mul(b.sub(row, task.x0), size);
        conv.producer->emit(b, {row}, memory, at);
      });
    }
    acts = b.reshape(memory, {1, rows, size}, {});
    Value n = b.div(task.row0, out.height);
    stripRow = b.mul(b.rem(task.row0, out.height), conv.strideY);
    b.loop(rows, [&](Value row) {
      Value y = b.sub(b.add(stripRow, row), b.index(padded.top));
      Value at = b.mul(row, size);
      int64_t left = padded.left * in.channels,
              right = padded.right * in.channels;
      auto make = [&] {
        b.zero(memory, at, b.index(left));
        makeRow(n, y, memory, b.add(at, left));
        b.zero(memory, b.add(at, size - right), b.index(right));
        return Values();
      };
      if (padded.fullHeight() == in.height)
        return void(make());
      b.when(b.cmp(arith::CmpIPredicate::ult, y, b.index(in.height)), {}, make,
             [&] {
               b.zero(memory, at, b.index(size));
               return Values();
             });
    });
  }

  /// Where the first tap of output row (n, y) lies in `acts`.
  std::pair<Value, Value> rowOf(Value n, Value y) {
    Value row = b.mul(y, conv.strideY);
    return strip ? std::pair(b.index(0), b.sub(row, stripRow))
                 : std::pair(n, row);
  }

  //===--------------------------------------------------------------------===//
  // Tiles and tasks
  //===--------------------------------------------------------------------===//

  void choosePlan() {
    if (conv.producer) // whose rows a task holds
      matrixRows = std::clamp<int64_t>(bitpack::kTaskBytes / (4 * in.channels),
                                       1, matrixRows);
    int64_t channels = getFloatBlock(b.options, conv.groupOut);
    if (conv.group || code) // whose codes fill whole bytes
      channels = llvm::alignTo(channels, 8);
    block = channels;
    constexpr int64_t kBlock = 64;
    if (code)
      block = std::max(block, getFloatBlock(b.options, conv.groupOut, kBlock));
    int64_t width = conv.rowLength(matrixRows);
    int64_t outputs = conv.op.isMatMul ? width : width * out.height;
    constexpr int64_t kFar = 256 << 10; // bytes that outer caches hold
    bool far = conv.kh * conv.kw * conv.groupIn * channels * 4 > kFar;
    if ((code || far) && outputs >= kMany)
      planMany(channels, width);
    if (many && !hasAnyRows())
      return;
    if (many)
      width = 1;
    // More channels a tile where there are few outputs.
    while (code && 2 * channels <= block &&
           getFloatPixels(b.options, 2 * channels, width) == width)
      channels *= 2;
    few.emplace(makeTile(channels, width));
  }

  /// The rows of a task, and a tile whose sums for all of them fit beside the
  /// weights; none where no tile is that narrow.
  void planMany(int64_t channels, int64_t width) {
    constexpr int64_t kEnough = 48, kSums = 64 << 10, kWeights = 16 << 10;
    rows = conv.op.isMatMul
               ? matrixRows
               : std::clamp<int64_t>(out.height, 1,
                                     llvm::divideCeil(kEnough, width));
    outputsOfTask = conv.op.isMatMul ? rows : rows * width;
    while (channels > 8 && outputsOfTask * channels * 4 > kSums)
      channels /= 2;
    if (outputsOfTask * channels * 4 > kSums)
      return;
    many.emplace(makeTile(channels, width));
    run = many->shape.dense() ? conv.kw * conv.groupIn : conv.groupIn;
    int64_t fit = std::max<int64_t>(1, kWeights / (4 * channels));
    taps = bitpack::getEqualPart(run, fit);
  }

  Tile makeTile(int64_t channels, int64_t width) {
    FloatTile shape;
    shape.block = channels;
    shape.exactProducts = code && code.getMin() >= -1 && code.getMax() <= 1;
    shape.kh = conv.kh;
    shape.kw = conv.kw;
    shape.channels = conv.groupIn;
    shape.pixelStep = conv.strideX * in.channels;
    shape.tapStepX = conv.dilationX * in.channels;
    shape.tapStepY = conv.dilationY;
    int64_t pixels = getFloatPixels(b.options, channels, width);
    // Equal tiles leave no narrow rest.
    shape.pixels = bitpack::getEqualPart(width, pixels);
    return {shape, std::nullopt};
  }

  Tasking tasking() {
    Tasking result = cutTasks();
    result.joined = skipsZeros; // tasks of one row list the same inputs
    return result;
  }

  Tasking cutTasks() {
    int64_t blocks = weights->blocksOfGroup();
    if (strip && !conv.op.isMatMul)
      return Tasking(b, conv, blocks, strip, 1);
    if (!many && conv.pool) // which reads most rows while they are near
      return Tasking(b, conv, blocks, evenRows([](int64_t) { return true; }),
                     1);
    if (!many && !conv.op.isMatMul)
      return Tasking(b, conv, blocks, cost());
    if (conv.op.isMatMul)
      rows = matrixRows;
    constexpr int64_t kTasks = 16;
    int64_t lines =
        conv.op.isMatMul ? conv.rowLength(1) : std::max<int64_t>(1, out.height);
    int64_t rowTasks = llvm::divideCeil(lines, rows);
    double whole = cost() * double(lines) + conv.weightTime();
    int64_t worth = int64_t(whole / kTaskTime) / conv.groups;
    int64_t splits = std::min(kTasks, worth) / rowTasks;
    return Tasking(b, conv, blocks, rows, evenSplits(splits, blocks));
  }

  //===--------------------------------------------------------------------===//
  // The loops of a task
  //===--------------------------------------------------------------------===//

  void emitTask(const Task &task) {
    if (many) { // at the top of the task
      auto memory = [&](int64_t size) {
        return b.local(
            MemRefType::get({size * many->shape.block}, b.getF32Type()));
      };
      sums = memory(outputsOfTask);
      if (code)
        wide = memory(taps);
    }
    if (skipsZeros)
      listed = b.local(MemRefType::get({in.channels}, b.getI16Type()));
    if (!few)
      return emitMany(task);
    if (!many)
      return emitFew(task);
    Value count = b.sub(task.x1, task.x0);
    Value less = b.cmp(arith::CmpIPredicate::ult, count, b.index(kMany));
    auto either = [&](auto emit) {
      return [this, emit, &task] {
        (this->*emit)(task);
        return Values();
      };
    };
    b.when(less, {}, either(&F32Kernel::emitFew), either(&F32Kernel::emitMany));
  }

  /// Calls body(block, channel of the block, output channel) for the tiles of
  /// channels of a task.
  void forEachBlock(const Task &task, const Tile &tile,
                    llvm::function_ref<void(Value, Value, Value)> body) {
    b.loop(task.block0, task.block1, 1, [&](Value number) {
      Value inside = b.sub(number, b.mul(task.group, weights->blocksOfGroup()));
      Value first =
          b.add(b.mul(task.group, conv.groupOut), b.mul(inside, block));
      b.loop(b.index(0), b.index(block), tile.shape.block, [&](Value channel) {
        body(number, channel, b.add(first, channel));
      });
    });
  }

  /// Where the first tap of output column x and group lies in a row.
  Value columnOf(const Task &task, Value x) {
    if (strip && conv.op.isMatMul) // of the rows that the task has made
      x = b.sub(x, task.x0);
    return b.add(b.mul(b.mul(x, conv.strideX), in.channels),
                 b.mul(task.group, conv.groupIn));
  }

  /// fma(0, w, sum) is `sum`, but where `sum` is -0 or w is not finite.
  /// Weights that caches hold are read as fast as a list of inputs is.
  bool canSkipZeros() {
    constexpr int64_t kFar = 256 << 10, kMost = 1 << 15;
    return few && conv.op.isMatMul &&
           (few->shape.pixels == 1 || hasAnyRows()) && weights->areNormal() &&
           in.channels <= kMost && in.channels * out.channels * 4 > kFar;
  }

  /// Lists the inputs that the tiles of one row read: all, but where the task
  /// has one row those that are not 0. Returns how many.
  Value listInputs(const Task &task) {
    auto list = [&](Value at, Value i) {
      b.store(arith::TruncIOp::create(b, b.getI16Type(), b.toI32(i)), listed,
              at);
    };
    auto listAll = [&] {
      b.loop(in.channels, [&](Value i) { list(i, i); });
      return b.index(in.channels);
    };
    auto equal = arith::CmpIPredicate::eq, less = arith::CmpIPredicate::ult;
    Value one = b.cmp(equal, b.sub(task.x1, task.x0), b.index(1));
    auto listSome = [&] {
      constexpr int32_t kMagnitude = 0x7fffffff;
      Value least = b.i32(llvm::bit_cast<int32_t>(FloatWeights::kNormal) - 1);
      Value zero = b.index(0), first = columnOf(task, task.x0);
      Value none = b.cmp(less, zero, zero);
      Values some =
          b.carry(in.channels, {zero, none}, [&](Value i, ValueRange before) {
            Value x = memref::LoadOp::create(
                b, acts, ValueRange{zero, zero, b.add(first, i)});
            Value bits = b.andi(arith::BitcastOp::create(b, b.getI32Type(), x),
                                b.i32(kMagnitude));
            list(before[0], i);
            Value next = b.add(before[0], 1);
            Value small = b.cmp(less, b.sub(bits, b.i32(1)), least);
            return Values{
                b.select(b.cmp(equal, bits, b.i32(0)), before[0], next),
                b.ori(before[1], small)};
          });
      // A sum may underflow to -0, which a product of +0 then makes +0.
      return b.when(
          some[1], b.getIndexType(), [&] { return Values{listAll()}; },
          [&] { return Values{some[0]}; });
    };
    return b.when(one, b.getIndexType(), listSome,
                  [&] { return Values{listAll()}; })[0];
  }

  void emitFew(const Task &task) {
    auto inputAt = [&](Value i) {
      return b.toIndex(
          arith::ExtUIOp::create(b, b.getI32Type(), b.load(listed, i)));
    };
    FloatElements some{skipsZeros ? listInputs(task) : Value(), inputAt};
    forEachBlock(task, *few, [&](Value number, Value from, Value channel) {
      forEachTile(b, conv, task, few->shape.pixels,
                  [&](Value n, Value y, Value x, int64_t count) {
                    FloatTile part = few->shape;
                    part.pixels = count;
                    auto [image, row] = rowOf(n, y);
                    Values accs = emitFloatTile(
                        b, b.getLoc(), b.options, part, acts, image, row,
                        columnOf(task, x),
                        [&](Value ky, Value tap) {
                          Value place = weights->place(b, number, ky, tap);
                          return weights->load(b, place, from, part.block);
                        },
                        skipsZeros && count == 1 ? &some : nullptr);
                    for (int64_t p = 0; p < count; ++p)
                      few->epilogue->finish(b, accs[p], n, y, b.add(x, p),
                                            channel);
                  });
    });
  }

  void emitMany(const Task &task) {
    const FloatTile &shape = many->shape;
    // Sums of outputs in the order of the task.
    auto sumsOf = [&](Value n, Value y, Value x) {
      Value row = b.add(b.mul(n, out.height), y);
      Value output = conv.op.isMatMul
                         ? b.sub(x, task.x0)
                         : b.add(b.mul(b.sub(row, task.row0), out.width), x);
      return b.mul(output, shape.block);
    };
    forEachBlock(task, *many, [&](Value number, Value from, Value channel) {
      b.zero(sums, b.index(0), b.index(outputsOfTask * shape.block));
      b.loop(conv.kh, [&](Value ky) {
        b.loop(conv.kw * conv.groupIn / run, [&](Value kx) {
          b.loop(b.index(0), b.index(run), taps, [&](Value tap) {
            Value count = run % taps
                              ? b.min(b.sub(b.index(run), tap), b.index(taps))
                              : b.index(taps);
            Value place =
                weights->place(b, number, ky, b.add(b.mul(kx, run), tap));
            if (code)
              weights->widen(b, place, count, from, shape.block, wide);
            auto weightsOf = [&](Value i) {
              return code
                         ? loadWide(i)
                         : weights->load(b, b.add(place, i), from, shape.block);
            };
            Value shift = b.add(b.mul(kx, shape.tapStepX), tap);
            forEachTile(b, conv, task, shape.pixels,
                        [&](Value n, Value y, Value x, int64_t pixels) {
                          Value row = b.add(b.mul(y, conv.strideY),
                                            b.mul(ky, conv.dilationY));
                          Value column = b.add(columnOf(task, x), shift);
                          addTaps(n, row, column, count, pixels,
                                  sumsOf(n, y, x), weightsOf);
                        });
          });
        });
      });
      auto type = b.vec(shape.block, b.getF32Type());
      forEachTile(b, conv, task, 1, [&](Value n, Value y, Value x, int64_t) {
        many->epilogue->finish(b, b.load(type, sums, sumsOf(n, y, x)), n, y, x,
                               channel);
      });
    });
  }

  /// The registers of widened weights of tap i.
  Values loadWide(Value i) {
    int64_t channels = many->shape.block;
    VectorType type = getFloatRegister(b, b.options, many->shape);
    Values result;
    for (int64_t at = 0; at < channels; at += type.getNumElements())
      result.push_back(b.load(type, wide, b.add(b.mul(i, channels), at)));
    return result;
  }

  /// Adds `count` taps to the sums at `at`.
  void addTaps(Value n, Value row, Value column, Value count, int64_t pixels,
               Value at, llvm::function_ref<Values(Value)> weightsOf) {
    FloatTile part = many->shape;
    part.pixels = pixels;
    VectorType type = getFloatRegister(b, b.options, part);
    int64_t lanes = type.getNumElements();
    Values accs;
    for (int64_t i = 0; i < pixels * part.block; i += lanes)
      accs.push_back(b.load(type, sums, b.add(at, i)));
    auto same = [](Value i) { return i; };
    accs = emitFloatTaps(b, b.getLoc(), b.options, part, acts, n, row, column,
                         {count, same}, accs, weightsOf);
    for (auto [i, acc] : llvm::enumerate(accs))
      b.store(acc, sums, b.add(at, i * lanes));
  }

  LoopBuilder &b;
  ConvLoops &conv;
  const Image &in, &out;
  CodeType code; // of the weights; null for floats
  Image padded;
  Value acts;
  int64_t strip = 0; // rows of a task that makes its input itself; 0: none does
  int64_t matrixRows = 32; // of a task
  Value stripRow;          // of the padded image, the first of the task's
  int64_t block = 0;       // channels that weights are packed by
  std::optional<FloatWeights> weights;
  std::optional<Tile> few, many; // weights in registers, and in memory
  // Of `many`: rows of a task and their outputs, taps side by side in a row,
  // and how many of them are widened at a time.
  int64_t rows = 1, outputsOfTask = 0, run = 1, taps = 0;
  Value sums, wide;
  bool skipsZeros = false;
  Value listed; // [channels] x i16, the inputs that tiles of one row read
};

} // namespace

FailureOr<Value> hwgq::emitF32Kernel(LoopBuilder &b, ConvLoops &conv) {
  return F32Kernel(b, conv).emit();
}
