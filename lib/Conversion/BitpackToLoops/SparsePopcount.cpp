//===- SparsePopcount.cpp - one output position, inputs of 0 left out -----===//
//
// With one output position every weight is used once, and reading it is what
// takes the time. P = sum of c * w over the inputs; those with code c = 0 need
// no weights. For each other code v the inputs that have it are listed, and
// the weights of an input, a bit for each output, are counted in bit planes,
// sixteen inputs at a time by carry-save adders (Mula, Kurz, Lemire: Faster
// Population Counts Using AVX2 Instructions, 2018): P = sum of v * count_v.
//
//===----------------------------------------------------------------------===//
#include "Accumulator.h"
#include "Epilogue.h"
#include "WindowSums.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace hwgq;

/// Outputs of a block: their bits of one input are a line of the caches.
static constexpr int64_t kBlock = 512, kBlockBytes = kBlock / 8;
/// Inputs that are counted together.
static constexpr int64_t kStep = 16;

namespace {

class SparsePopcount {
public:
  SparsePopcount(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), in(conv.input), bits(conv.inputCode().getBits()),
        inputs(conv.kh * conv.kw * conv.groupIn),
        blocks(llvm::divideCeil(conv.groupOut, kBlock)),
        planes(llvm::Log2_64_Ceil(inputs + 1)),
        unit(std::min<int64_t>(b.options.vectorBytes, kBlockBytes)),
        lanes(std::max<int64_t>(8, b.options.vectorBytes / 4)) {}

  FailureOr<Value> emit() {
    FailureOr<SmallVector<uint8_t>> codes = conv.weightCodes();
    if (failed(codes))
      return failure();
    orderWeights(*codes);
    accumulator.emplace(b, conv, *codes, blocks * kBlock);
    epilogue.emplace(b, conv, lanes, blocks * kBlock);
    acts = b.flat(in.memory);
    int64_t worth = int64_t(conv.weightTime() / kTaskTime);
    Tasking tasking(b, conv, blocks, 1, evenSplits(worth, blocks));
    tasking.joined = 1; // tasks list the same inputs
    if (accumulator->needsSums())
      sums.emplace(b, conv, tasking, viewRows(b, conv, in));
    forEachTask(b, conv, tasking, [&](const Task &task) {
      list = b.local(MemRefType::get({inputs + 2 * kStep}, b.getI16Type()));
      counts = b.local(
          MemRefType::get({blocks * planes * kBlockBytes}, b.getI8Type()));
      products = b.local(MemRefType::get({blocks * kBlock}, b.getI32Type()));
      emitTask(task);
    });
    return conv.result;
  }

private:
  int64_t rowBytes() const { return blocks * kBlockBytes; }

  /// [input][output] x i1, and a row of zeros.
  void orderWeights(ArrayRef<uint8_t> codes) {
    std::vector<uint8_t> rows((inputs + 1) * rowBytes());
    for (int64_t byte = 0; byte * 8 < conv.groupOut; ++byte)
      for (int64_t i = 0; i < inputs; ++i)
        for (int64_t k = byte * 8;
             k < std::min<int64_t>(byte * 8 + 8, conv.groupOut); ++k)
          rows[i * rowBytes() + byte] |= codes[k * inputs + i] << (k % 8);
    weights = b.constant(ArrayRef<uint8_t>(rows));
  }

  void emitTask(const Task &task) {
    if (sums)
      sums->compute(b, task);
    Value first = b.mul(task.block0, kBlock), end = b.mul(task.block1, kBlock);
    b.zero(products, first, b.sub(end, first));
    b.loop(b.index(1), b.index(1 << bits), 1, [&](Value code) {
      Value count = listInputs(code);
      countInputs(task, count);
      b.loop(first, end, lanes, [&](Value k) { addCounts(code, k); });
    });
    Value zero = b.index(0);
    Value sum = sums ? sums->get(b, task, zero, zero, zero) : Value();
    b.loop(first, end, lanes, [&](Value k) {
      Value part = b.load(b.vec(lanes, b.getI32Type()), products, k);
      part = accumulator->get(b, part, sum, zero, zero, k);
      epilogue->finish(b, part, zero, zero, zero, k);
    });
  }

  /// Lists the inputs that have a code, and rows of zeros behind them up to
  /// whole steps and to what the last step asks for. Returns how many have it.
  Value listInputs(Value code) {
    Values flips; // of a plane, so that its bit is 1 where it is that of `code`
    for (int64_t p = 0; p < bits; ++p) {
      Value bit = b.andi(b.shr(b.toI64(code), b.i64(p)), b.i64(1));
      flips.push_back(b.sub(bit, b.i64(1)));
    }
    auto store = [&](Value input, Value at) {
      b.store(arith::TruncIOp::create(b, b.getI16Type(), input), list, at);
    };
    int64_t words = llvm::divideCeil(conv.groupIn, 64);
    Value count = b.carry(
        conv.kh * conv.kw, {b.index(0)}, [&](Value tap, ValueRange before) {
          Value y = b.mul(b.div(tap, conv.kw), conv.dilationY);
          Value x = b.mul(b.rem(tap, conv.kw), conv.dilationX);
          Value pixel =
              in.at(b, b.index(0), b.add(y, -conv.top), b.add(x, -conv.left));
          Value first = b.mul(tap, conv.groupIn);
          return b.carry(words, before, [&](Value word, ValueRange found) {
            Value at = b.add(pixel, b.mul(word, bits)), has;
            for (int64_t p = 0; p < bits; ++p) {
              Value plane = b.xori(b.load(acts, b.add(at, p)), flips[p]);
              has = has ? b.andi(has, plane) : plane;
            }
            Value input = b.toI64(b.add(first, b.mul(word, 64)));
            Value ones = b.toIndex(math::CtPopOp::create(b, has));
            b.carry(b.index(0), ones, 1, {has}, [&](Value i, ValueRange rest) {
              Value bit = math::CountTrailingZerosOp::create(b, rest[0]);
              store(b.add(input, bit), b.add(found[0], i));
              return Values{b.andi(rest[0], b.sub(rest[0], b.i64(1)))};
            });
            return Values{b.add(found[0], ones)};
          });
        })[0];
    b.loop(2 * kStep, [&](Value i) { store(b.i64(inputs), b.add(count, i)); });
    return count;
  }

  /// Where the weights of input i of the list begin.
  Value rowOf(Value i) {
    Value input = arith::ExtUIOp::create(b, b.getI64Type(), b.load(list, i));
    return b.mul(b.toIndex(input), rowBytes());
  }

  /// Counts the weights of the listed inputs, whose lines are asked for a step
  /// ahead.
  void countInputs(const Task &task, Value count) {
    Value first = b.mul(task.block0, kBlockBytes);
    Value end = b.mul(task.block1, kBlockBytes);
    b.zero(counts, b.mul(first, planes), b.mul(b.sub(end, first), planes));
    b.loop(b.index(0), count, kStep, [&](Value step) {
      Values rows, next;
      for (int64_t i = 0; i < kStep; ++i) {
        rows.push_back(rowOf(b.add(step, i)));
        next.push_back(rowOf(b.add(step, i + kStep)));
      }
      b.loop(first, end, kBlockBytes, [&](Value at) {
        for (Value row : next)
          memref::PrefetchOp::create(b, weights, ValueRange{b.add(row, at)},
                                     /*isWrite=*/false, /*localityHint=*/3,
                                     /*isDataCache=*/true);
      });
      b.loop(first, end, unit, [&](Value at) { addRows(rows, at); });
    });
  }

  /// Adds a step's bits at byte `at` of their rows to the counts there:
  /// [at / unit][plane][unit]. Plane p takes pairs of bits that weigh 2^p, and
  /// carries half as many to the next one.
  void addRows(ValueRange rows, Value at) {
    VectorType type = b.vec(unit, b.getI8Type());
    Values carried;
    for (Value row : rows)
      carried.push_back(b.load(type, weights, b.add(row, at)));
    Value place = b.mul(at, planes);
    for (int64_t p = 0; p < planes; ++p, place = b.add(place, unit)) {
      Value sum = b.load(type, counts, place);
      Values next;
      if (carried.size() == 1) { // half adder
        next.push_back(b.andi(sum, carried[0]));
        sum = b.xori(sum, carried[0]);
      }
      for (size_t i = 0; i + 1 < carried.size(); i += 2) { // full adders
        Value x = carried[i], y = carried[i + 1], other = b.xori(sum, x);
        next.push_back(b.ori(b.andi(sum, x), b.andi(other, y)));
        sum = b.xori(other, y);
      }
      b.store(sum, counts, place);
      carried = next;
    }
  }

  /// Adds the counts of outputs [k, k + lanes), times a code, to the products.
  void addCounts(Value code, Value k) {
    VectorType type = b.vec(lanes, b.getI32Type());
    Value byte = b.div(k, 8), inside = b.rem(byte, unit);
    Value at = b.add(b.mul(b.sub(byte, inside), planes), inside);
    Value sum = b.splat(type, int64_t(0));
    for (int64_t p = 0; p < planes; ++p) {
      Value part =
          b.load(b.vec(lanes / 8, b.getI8Type()), counts, b.add(at, p * unit));
      Value set =
          vector::BitCastOp::create(b, b.vec(lanes, b.getI1Type()), part);
      sum = b.add(sum, b.select(set, b.splat(type, int64_t(1) << p),
                                b.splat(type, int64_t(0))));
    }
    Value times = b.mul(sum, b.broadcast(type, b.toI32(code)));
    b.store(b.add(b.load(type, products, k), times), products, k);
  }

  LoopBuilder &b;
  ConvLoops &conv;
  const Image &in;
  int64_t bits, inputs, blocks;
  int64_t planes; // of a count
  int64_t unit;   // bytes of weights in a register
  int64_t lanes;  // of products in a register
  Value weights, acts;
  Value list;     // [inputs and what follows] x i16
  Value counts;   // of the inputs of one code
  Value products; // P
  std::optional<WindowSums> sums;
  std::optional<Accumulator> accumulator;
  std::optional<Epilogue> epilogue;
};

} // namespace

bool hwgq::fitsSparsePopcount(const ConvLoops &conv) {
  constexpr int64_t kFar = 256 << 10, kMostInputs = (1 << 15) - 1,
                    kMostOutputs = 1 << 14;
  int64_t inputs = conv.kh * conv.kw * conv.groupIn;
  bool one = conv.op.inputType().getDimSize(0) == 1 &&
             (conv.op.isMatMul ? conv.rowLength(2) == 1
                               : conv.output.height * conv.output.width == 1);
  return one && conv.groups == 1 && conv.inputCode().getBits() <= 2 &&
         conv.weightCode().getBits() == 1 && inputs <= kMostInputs &&
         conv.groupOut <= kMostOutputs && inputs * conv.groupOut / 8 > kFar;
}

FailureOr<Value> hwgq::emitSparsePopcount(LoopBuilder &b, ConvLoops &conv) {
  return SparsePopcount(b, conv).emit();
}
