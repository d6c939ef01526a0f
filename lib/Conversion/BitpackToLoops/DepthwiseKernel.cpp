//===- DepthwiseKernel.cpp - one filter a channel -------------------------===//
//
// Vectors lie along the channels: acc[c] += n_x[c] * n_w[tap][c] over the taps
// in bounds, in 16 bits where they hold all sums.
//
//===----------------------------------------------------------------------===//
#include "Epilogue.h"
#include "OrderedWeights.h"
#include "PoolWindow.h"

using namespace mlir;
using namespace hwgq;

namespace {

class DepthwiseKernel {
public:
  DepthwiseKernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), window(conv.op.window, conv.input),
        bits(Epilogue::prefers16(conv) ? 16 : 32),
        lanes(chunkLanes(b.options) * 32 / bits),
        stride(llvm::alignTo(conv.output.channels, kWord)) {}

  FailureOr<Value> emit() {
    FailureOr<SmallVector<uint8_t>> codes = conv.weightCodes();
    if (failed(codes))
      return failure();
    const Image &out = conv.output;
    OrderedWeights ordered(conv.weightCode());
    int64_t taps = conv.kh * conv.kw;
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t c = 0; c < stride; ++c)
        ordered.push_back(c < out.channels ? (*codes)[c * taps + tap] : 0);
    weights = ordered.numbers(b, b.getIntegerType(bits));
    Epilogue epilogue(b, conv, lanes, llvm::alignTo(out.channels, lanes), 1,
                      out.channels, bits);
    constexpr double kNsPerStep = 1.0;
    double cost = kNsPerStep * conv.macsOfRow() / double(lanes);
    forEachRow(b, out, cost, [&](Value n, Value y) {
      conv.clearRow(b, n, y);
      window.forEachColumn(b, out.width, [&](Value x, bool inside) {
        forEachVector([&](Value word, int64_t offset, int64_t valid) {
          Value acc = sum(n, y, x, inside, word, offset, valid);
          epilogue.finish(b, acc, n, y, x, b.add(b.mul(word, kWord), offset));
        });
      });
    });
    return conv.result;
  }

private:
  static constexpr int64_t kWord = 64;

  /// Calls body(word, offset, valid) for vectors that cover all channels.
  void forEachVector(llvm::function_ref<void(Value, int64_t, int64_t)> body) {
    int64_t whole = conv.output.channels / kWord;
    int64_t tail = conv.output.channels % kWord;
    b.loop(whole, [&](Value word) {
      for (int64_t offset = 0; offset < kWord; offset += lanes)
        body(word, offset, lanes);
    });
    for (int64_t offset = 0; offset < tail; offset += lanes)
      body(b.index(whole), offset, std::min(lanes, tail - offset));
  }

  Value sum(Value n, Value y, Value x, bool inside, Value word, int64_t offset,
            int64_t valid) {
    VectorType type = b.vec(lanes, b.getIntegerType(bits));
    const Image &in = conv.input;
    if (in.pixelSize() >= int64_t(llvm::alignTo(in.channels, lanes)))
      valid = lanes; // bytes of the padding are there
    auto tapOf = [&](Value position, Value out, unsigned d) {
      Value first =
          b.sub(b.mul(out, window.strides[d]), b.index(window.pads[d]));
      return b.div(b.sub(position, first), window.dilations[d]);
    };
    Value zero = b.splat(type, int64_t(0));
    auto tap = [&](Value iy, Value ix, ValueRange sums) {
      Value at = b.add(b.mul(tapOf(iy, y, 0), conv.kw), tapOf(ix, x, 1));
      Value weight =
          b.load(type, weights,
                 b.add(b.mul(at, stride), b.add(b.mul(word, kWord), offset)));
      Value byte =
          b.add(in.at(b, n, iy, ix), b.add(b.mul(word, kWord), offset));
      Value codes = arith::ExtUIOp::create(
          b, type,
          b.loadPart(b.vec(lanes, b.getI8Type()), in.memory, byte, valid));
      Value product = b.mul(toNumbers(b, conv.inputCode(), codes), weight);
      return Values{b.add(sums[0], product)};
    };
    return window.reduce(b, y, x, {zero}, tap, inside)[0];
  }

  LoopBuilder &b;
  ConvLoops &conv;
  PoolWindow window;
  unsigned bits;         // of sums: 16 where they fit
  int64_t lanes, stride; // of a vector; of a tap's weights
  Value weights;         // n_w of [tap][channels up to whole words]
};

} // namespace

FailureOr<Value> hwgq::emitDepthwiseKernel(LoopBuilder &b, ConvLoops &conv) {
  return DepthwiseKernel(b, conv).emit();
}
