//===- F32Kernel.cpp - contractions of floats -----------------------------===//
//
// One chain of fma from +0 over (kh, kw, c) an output. Padded taps take part
// with x = +0 (an infinite weight then gives NaN), so the input is copied into
// a buffer with its pads first. Weights are floats, or codes kept as the bits
// of one plane after the other and widened to f32(n) in registers.
//
//===----------------------------------------------------------------------===//
#include "Epilogue.h"
#include "FloatTile.h"

using namespace mlir;
using namespace hwgq;

namespace {

class F32Kernel {
public:
  F32Kernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), in(conv.input), out(conv.output),
        code(conv.weightCode()) {}

  FailureOr<Value> emit() {
    padInput();
    acts = viewRows(b, conv, padded);
    chooseTile();
    if (failed(code ? packBits() : packFloats()))
      return failure();
    epilogue.emplace(b, conv, tile.block, blocksOfGroup * tile.block);
    Tasking tasking(b, conv, blocksOfGroup, cost());
    forEachTask(b, conv, tasking, [&](const Task &task) {
      b.loop(task.block0, task.block1, 1,
             [&](Value block) { emitBlock(task, block); });
    });
    return conv.result;
  }

private:
  double cost() {
    return conv.macsOfRow() /
           (b.options.fma ? double(b.options.vectorBytes) : 1.0);
  }

  void padInput() {
    padded = in;
    ArrayRef<int64_t> pads = conv.op.window.pads;
    if (llvm::all_of(pads, [](int64_t p) { return p == 0; }))
      return;
    padded.top = pads[0];
    padded.left = pads[1];
    padded.bottom = pads[2];
    padded.right = pads[3];
    padded.memory = memref::AllocOp::create(
        b, MemRefType::get({ShapedType::kDynamic}, b.getF32Type()),
        ValueRange{b.mul(in.batch, padded.imageSize())},
        b.getI64IntegerAttr(64));
    forEachRow(b, in, double(in.rowSize()) / 8, [&](Value n, Value y) {
      padded.clearRow(b, n, y);
      Value zero = b.index(0);
      b.copy(in.memory, in.at(b, n, y, zero), padded.memory,
             padded.at(b, n, y, zero), b.index(in.rowSize()));
    });
  }

  void chooseTile() {
    tile.block = getFloatBlock(b.options, conv.groupOut);
    if (conv.group) // whose codes fill whole bytes
      tile.block = llvm::alignTo(tile.block, 8);
    if (code) {
      tile.block = llvm::alignTo(tile.block, 8);
      tile.lanes = std::max<int64_t>(8, b.options.vectorBytes / 4);
      tile.exactProducts = code.getMin() >= -1 && code.getMax() <= 1;
    }
    tile.kh = conv.kh;
    tile.kw = conv.kw;
    tile.channels = conv.groupIn;
    tile.pixelStep = conv.strideX * in.channels;
    tile.tapStepX = conv.dilationX * in.channels;
    tile.tapStepY = conv.dilationY;
    constexpr int64_t kManyRows = 64;
    int64_t width = conv.rowLength(kManyRows);
    pixels = getFloatPixels(b.options, tile.block, width);
    // Equal tiles leave no narrow rest.
    pixels = llvm::divideCeil(width, llvm::divideCeil(width, pixels));
    blocksOfGroup = llvm::divideCeil(conv.groupOut, tile.block);
  }

  /// Calls visit(block, lane, tap, index) for each weight: taps of
  /// [kh][kw][c] and its place in [K][kh][kw][c].
  void forEachWeight(
      llvm::function_ref<void(int64_t, int64_t, int64_t, int64_t)> visit) {
    int64_t taps = conv.kh * conv.kw * conv.groupIn;
    for (int64_t k = 0; k < out.channels; ++k) {
      int64_t group = k / conv.groupOut, inside = k % conv.groupOut;
      int64_t block = group * blocksOfGroup + inside / tile.block;
      for (int64_t t = 0; t < taps; ++t)
        visit(block, inside % tile.block, t, k * taps + t);
    }
  }

  LogicalResult packFloats() {
    ElementsAttr attr;
    std::optional<SmallVector<float>> values;
    if (matchPattern(conv.op.weight, m_Constant(&attr)))
      values = getElementValues<float>(attr);
    if (!values)
      return conv.op.op->emitError("the weights have no readable values");
    int64_t taps = conv.kh * conv.kw * conv.groupIn;
    std::vector<float> packed(conv.groups * blocksOfGroup * taps * tile.block,
                              0.0f);
    forEachWeight([&](int64_t block, int64_t lane, int64_t t, int64_t at) {
      packed[(block * taps + t) * tile.block + lane] = (*values)[at];
    });
    weights = b.reshape(b.constant(ArrayRef<float>(packed)),
                        {conv.groups * blocksOfGroup, conv.kh,
                         conv.kw * conv.groupIn, tile.block},
                        {});
    return success();
  }

  LogicalResult packBits() {
    FailureOr<SmallVector<uint8_t>> codes = conv.weightCodes();
    if (failed(codes))
      return failure();
    int64_t taps = conv.kh * conv.kw * conv.groupIn, bits = code.getBits();
    int64_t bytes = tile.block / 8;
    std::vector<uint8_t> packed(
        conv.groups * blocksOfGroup * taps * bits * bytes, 0);
    forEachWeight([&](int64_t block, int64_t lane, int64_t t, int64_t at) {
      for (int64_t p = 0; p < bits; ++p)
        packed[((block * taps + t) * bits + p) * bytes + lane / 8] |=
            (((*codes)[at] >> p) & 1) << (lane % 8);
    });
    weights = b.constant(ArrayRef<uint8_t>(packed));
    return success();
  }

  /// Vectors of f32(n) of a tap: offset + sum of stride * 2^p where bit p is 1.
  Values loadBits(Value block, Value ky, Value tap) {
    int64_t bits = code.getBits(), bytes = tile.block / 8;
    int64_t lanes = std::min(tile.lanes, tile.block);
    VectorType type = b.vec(lanes, b.getF32Type());
    VectorType mask = b.vec(lanes, b.getI1Type());
    VectorType part = b.vec(lanes / 8, b.getI8Type());
    Value row = b.add(b.mul(block, conv.kh), ky);
    Value at =
        b.mul(b.add(b.mul(row, conv.kw * conv.groupIn), tap), bits * bytes);
    Values result;
    for (int64_t v = 0; v < tile.block / lanes; ++v) {
      Value sum;
      for (int64_t p = 0; p < bits; ++p) {
        Value set = vector::BitCastOp::create(
            b, mask,
            b.load(part, weights, b.add(at, p * bytes + v * lanes / 8)));
        float low = p == 0 ? float(code.getOffset()) : 0.0f;
        float high = low + float(code.getStride()) * float(1 << p);
        Value term = b.select(set, b.splat(type, high), b.splat(type, low));
        sum = sum ? Value(arith::AddFOp::create(b, sum, term)) : term;
      }
      result.push_back(sum);
    }
    return result;
  }

  void emitBlock(const Task &task, Value block) {
    Value group = b.mul(task.group, conv.groupIn);
    Value inside = b.sub(block, b.mul(task.group, blocksOfGroup));
    Value channel =
        b.add(b.mul(task.group, conv.groupOut), b.mul(inside, tile.block));
    forEachTile(
        b, conv, task, pixels, [&](Value n, Value y, Value x, int64_t count) {
          FloatTile part = tile;
          part.pixels = count;
          if (code)
            part.loadWeights = [&](Value ky, Value tap) {
              return loadBits(block, ky, tap);
            };
          Value row = b.mul(y, conv.strideY);
          Value column =
              b.add(b.mul(b.mul(x, conv.strideX), in.channels), group);
          Values accs = emitFloatTile(b, b.getLoc(), b.options, part, acts, n,
                                      row, column, weights, block);
          for (int64_t p = 0; p < count; ++p)
            epilogue->finish(b, accs[p], n, y, b.add(x, p), channel);
        });
  }

  LoopBuilder &b;
  ConvLoops &conv;
  const Image &in, &out;
  CodeType code; // of the weights; null for floats
  Image padded;
  FloatTile tile;
  int64_t pixels = 1, blocksOfGroup = 1;
  Value acts, weights;
  std::optional<Epilogue> epilogue;
};

} // namespace

FailureOr<Value> hwgq::emitF32Kernel(LoopBuilder &b, ConvLoops &conv) {
  return F32Kernel(b, conv).emit();
}
