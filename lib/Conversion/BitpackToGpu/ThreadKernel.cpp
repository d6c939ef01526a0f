//===- ThreadKernel.cpp - eight channels of a pixel a thread --------------===//
//
// Thread i of the grid takes octet i % octets (8 output channels, one byte of
// each plane of a packed result) of pixel i / octets. Pixels of a packed result
// include its halo and octets the rest of its last word: each byte of the
// result is stored once, with 0 where there is no output.
//
//===----------------------------------------------------------------------===//
#include "../BitpackToLoops/Accumulator.h"
#include "Kernels.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace hwgq;

namespace {

constexpr int64_t kLanes = 8; // output channels of a thread
constexpr int64_t kBlock = 128;

class ThreadKernel {
public:
  ThreadKernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), in(conv.input), out(conv.output),
        words(llvm::divideCeil(conv.groupIn, 64)) {}

  FailureOr<gpu::LaunchOp> emit() {
    FailureOr<SmallVector<uint8_t>> codes = conv.weightCodes();
    if (failed(codes))
      return failure();
    weights = b.flat(conv.weightMemory);
    int64_t padded = llvm::alignTo(out.channels, kLanes);
    accumulator.emplace(b, conv, *codes, padded);
    if (conv.op.thresholds)
      thresholds.emplace(b, conv.op.thresholds, conv.op.direction, out.channels,
                         kLanes, out.code);
    octets = out.packed() ? out.words * 8 : padded / kLanes;
    Value total = b.mul(out.batch, out.fullHeight() * out.fullWidth() * octets);

    Value one = b.index(1);
    auto launch = gpu::LaunchOp::create(b, b.ceilDiv(total, kBlock), one, one,
                                        b.index(kBlock), one, one);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&launch.getBody().front());
    if (std::optional<int64_t> known = getConstantIntValue(total))
      total = b.index(*known); // no parameter of the kernel
    Value id =
        b.add(b.mul(launch.getBlockIds().x, kBlock), launch.getThreadIds().x);
    b.when(b.cmp(arith::CmpIPredicate::ult, id, total), [&] { thread(id); });
    gpu::TerminatorOp::create(b);
    return launch;
  }

private:
  void thread(Value id) {
    Value octet = b.rem(id, octets), pixel = b.div(id, octets);
    int64_t width = out.fullWidth(), height = out.fullHeight();
    Value x = b.sub(b.rem(pixel, width), b.index(out.left));
    Value row = b.div(pixel, width);
    Value y = b.sub(b.rem(row, height), b.index(out.top));
    Value n = b.div(row, height);
    if (out.packed())
      storeBytes(n, y, x, octet);
    else
      storeSums(n, y, x, octet);
  }

  /// Whether (y, x, octet) has outputs; null where all have.
  Value hasOutputs(Value y, Value x, Value octet) {
    Value inside;
    auto require = [&](Value at, int64_t size) { // unsigned: covers at < 0
      Value here = b.cmp(arith::CmpIPredicate::ult, at, b.index(size));
      inside = inside ? b.andi(inside, here) : here;
    };
    if (out.top || out.bottom)
      require(y, out.height);
    if (out.left || out.right)
      require(x, out.width);
    if (octets * kLanes >= out.channels + kLanes)
      require(octet, llvm::divideCeil(out.channels, kLanes));
    return inside;
  }

  void storeBytes(Value n, Value y, Value x, Value octet) {
    Value inside = hasOutputs(y, x, octet);
    auto compute = [&] {
      Values accs = accumulate(n, y, x, octet), codes;
      for (int64_t lane = 0; lane < kLanes; ++lane)
        codes.push_back(thresholds->code(b, accs[lane], channel(octet, lane)));
      Values bytes;
      for (int64_t p = 0; p < out.planes; ++p)
        bytes.push_back(planeByte(codes, p));
      return bytes;
    };
    Values zeros(out.planes, b.i32(0));
    Values bytes = zeros;
    if (inside)
      bytes = b.when(inside, TypeRange(ValueRange(zeros)), compute,
                     [&] { return zeros; });
    else
      bytes = compute();
    Value word = b.div(octet, 8), byte = b.rem(octet, 8);
    Value first = b.add(out.at(b, n, y, x), b.mul(word, out.planes));
    for (int64_t p = 0; p < out.planes; ++p)
      b.store(arith::TruncIOp::create(b, b.getI8Type(), bytes[p]), out.bytes,
              b.add(b.mul(b.add(first, p), 8), byte));
  }

  /// Bit p of the codes, lane 0 lowest.
  Value planeByte(ValueRange codes, int64_t p) {
    Value byte;
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      Value bit = b.andi(b.shr(codes[lane], b.i32(p)), b.i32(1));
      bit = b.shl(bit, b.i32(lane));
      byte = byte ? b.ori(byte, bit) : bit;
    }
    return byte;
  }

  void storeSums(Value n, Value y, Value x, Value octet) {
    Values accs = accumulate(n, y, x, octet);
    Value at = b.add(out.at(b, n, y, x), b.mul(octet, kLanes));
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      auto store = [&] { b.store(accs[lane], out.memory, b.add(at, lane)); };
      if (out.channels % kLanes == 0 || lane < out.channels % kLanes)
        store();
      else // not in the last octet
        b.when(b.cmp(arith::CmpIPredicate::ult, octet,
                     b.index(out.channels / kLanes)),
               store);
    }
  }

  Value channel(Value octet, int64_t lane) {
    return b.add(b.mul(octet, kLanes), lane);
  }

  /// The accumulators of the 8 channels.
  Values accumulate(Value n, Value y, Value x, Value octet) {
    bool sums = accumulator->needsSums();
    Values zero(kLanes + sums, b.i32(0));
    Value first = b.mul(octet, kLanes);
    Values total = b.carry(conv.kh, zero, [&](Value kh, ValueRange outer) {
      Value iy = position(y, kh, conv.strideY, conv.dilationY, conv.top);
      return b.carry(conv.kw, outer, [&](Value kw, ValueRange inner) {
        Value ix = position(x, kw, conv.strideX, conv.dilationX, conv.left);
        Value acts = in.at(b, n, iy, ix);
        if (conv.groups > 1)
          acts = b.add(acts,
                       b.mul(b.div(first, conv.groupOut), words * in.planes));
        Value tap = b.add(b.mul(kh, conv.kw), kw);
        return b.carry(words, inner, [&](Value word, ValueRange acc) {
          return products(b.add(acts, b.mul(word, in.planes)),
                          weightsAt(first, tap, word), acc);
        });
      });
    });
    Values accs;
    for (int64_t lane = 0; lane < kLanes; ++lane)
      accs.push_back(accumulator->get(b, total[lane],
                                      sums ? total[kLanes] : Value(), y, x,
                                      channel(octet, lane)));
    return accs;
  }

  /// The halo of the input holds what lies outside.
  Value position(Value at, Value tap, int64_t stride, int64_t dilation,
                 int64_t pad) {
    return b.sub(b.add(b.mul(at, stride), b.mul(tap, dilation)), b.index(pad));
  }

  /// The first of 8 neighbouring words of `[K/block][KH][KW][words][planes]
  /// [block]`, plane 0.
  Value weightsAt(Value first, Value tap, Value word) {
    int64_t block = bitpack::getLayout(conv.op.weightType()).getBlock();
    Value at = b.add(b.mul(b.div(first, block), conv.kh * conv.kw), tap);
    at = b.add(b.mul(at, words), word);
    return b.add(b.mul(at, conv.weightCode().getBits() * block),
                 b.rem(first, block));
  }

  Value ones(Value word) { return b.toI32(math::CtPopOp::create(b, word)); }
  Value times(Value count, int64_t exponent) { // count * 2^exponent
    return exponent ? b.shl(count, b.i32(exponent)) : count;
  }

  /// Adds one word of the dot products to the P of 8 channels, and to S.
  Values products(Value acts, Value weight, ValueRange acc) {
    int64_t block = bitpack::getLayout(conv.op.weightType()).getBlock();
    Values next(acc), planes;
    for (int64_t p = 0; p < in.planes; ++p) {
      planes.push_back(b.load(in.memory, b.add(acts, p)));
      if (accumulator->needsSums())
        next[kLanes] = b.add(next[kLanes], times(ones(planes[p]), p));
    }
    for (int64_t q = 0; q < conv.weightCode().getBits(); ++q)
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        Value w = b.load(weights, b.add(weight, q * block + lane));
        for (int64_t p = 0; p < in.planes; ++p)
          next[lane] =
              b.add(next[lane], times(ones(b.andi(planes[p], w)), p + q));
      }
    return next;
  }

  LoopBuilder &b;
  ConvLoops &conv;
  const Image &in, &out;
  int64_t words, octets = 0;
  Value weights;
  std::optional<Accumulator> accumulator;
  std::optional<ThresholdTable> thresholds;
};

} // namespace

FailureOr<gpu::LaunchOp> hwgq::emitThreadPopcount(LoopBuilder &b,
                                                  ConvLoops &conv) {
  return ThreadKernel(b, conv).emit();
}
