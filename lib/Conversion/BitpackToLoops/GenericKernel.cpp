//===- GenericKernel.cpp - contractions as plain loops --------------------===//
//
// One output at a time, tap by tap, 64 channels a step for codes:
//   sum (oa + sa*ca)(ow + sw*cw) = sa*sw*P + ow*sa*A + oa*sw*W + oa*ow*n
// with P, A, W the sums of ca*cw, ca, cw over the n channels. Codes in bytes
// and floats go channel by channel.
//
//===----------------------------------------------------------------------===//
#include "Epilogue.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace hwgq;

namespace {

class GenericKernel {
public:
  GenericKernel(LoopBuilder &b, ConvLoops &conv) : b(b), conv(conv) {
    weights = b.flat(conv.weightMemory);
    words = llvm::divideCeil(conv.groupIn, 64);
  }

  Value emit() {
    const Image &out = conv.output;
    int64_t covered = llvm::alignTo(out.channels, kLanes);
    Epilogue epilogue(b, conv, kLanes, covered, 1, out.channels);
    double cost = conv.macsOfRow() *
                  (conv.inputCode() && conv.input.isPlanes() ? 0.1 : 1.0);
    Type element = conv.inputCode() ? Type(b.getI32Type()) : b.getF32Type();
    VectorType type = b.vec(kLanes, element);
    forEachRow(b, out, cost, [&](Value n, Value y) {
      if (out.packed())
        out.clearRow(b, n, y);
      b.loop(out.width, [&](Value x) {
        b.loop(b.index(0), b.index(covered), kLanes, [&](Value channel) {
          Value acc = arith::ConstantOp::create(b, b.getZeroAttr(type));
          acc = b.carry(kLanes, {acc}, [&](Value lane, ValueRange sums) {
            // Lanes beyond the last channel repeat it.
            Value k = b.min(b.add(channel, lane), b.index(out.channels - 1));
            return Values{vector::InsertOp::create(b, dot(n, y, x, k), sums[0],
                                                   OpFoldResult(lane))};
          })[0];
          epilogue.finish(b, acc, n, y, x, channel);
        });
      });
    });
    return conv.result;
  }

private:
  static constexpr int64_t kLanes = 8;

  /// The accumulator of output channel k, i32 or f32.
  Value dot(Value n, Value y, Value x, Value k) {
    bool codes = bool(conv.inputCode());
    Value zero = codes ? b.i64(0) : b.f32(0);
    Value sum = b.carry(conv.kh, {zero}, [&](Value kh, ValueRange outer) {
      Value iy = position(y, kh, conv.strideY, conv.dilationY, conv.top);
      return b.carry(conv.kw, outer, [&](Value kw, ValueRange acc) {
        Value ix = position(x, kw, conv.strideX, conv.dilationX, conv.left);
        Value inside =
            b.andi(within(iy, conv.input.height), within(ix, conv.input.width));
        return Values{codes ? codeTap(n, iy, ix, inside, kh, kw, k, acc[0])
                            : floatTap(n, iy, ix, inside, kh, kw, k, acc[0])};
      });
    })[0];
    return codes ? b.toI32(sum) : sum;
  }

  Value position(Value out, Value tap, int64_t stride, int64_t dilation,
                 int64_t pad) {
    return b.sub(b.add(b.mul(out, stride), b.mul(tap, dilation)), b.index(pad));
  }
  Value within(Value at, int64_t size) { // unsigned: covers at < 0
    return b.cmp(arith::CmpIPredicate::ult, at, b.index(size));
  }

  Value floatTap(Value n, Value iy, Value ix, Value inside, Value kh, Value kw,
                 Value k, Value acc) {
    Value group = b.div(k, conv.groupOut);
    return b.carry(conv.groupIn, {acc}, [&](Value c, ValueRange sum) {
      Value x = b.when(
          inside, b.getF32Type(),
          [&] {
            Value at = b.add(conv.input.at(b, n, iy, ix),
                             b.add(b.mul(group, conv.groupIn), c));
            return Values{b.load(conv.input.memory, at)};
          },
          [&] { return Values{b.f32(0)}; })[0];
      return Values{b.fma(x, floatWeight(k, kh, kw, c), sum[0])};
    })[0];
  }

  /// acc + the products of the numbers of all channels of a pixel in bytes.
  Value byteTap(Value pixel, Value kh, Value kw, Value k, Value acc) {
    Value group = b.mul(b.div(k, conv.groupOut), conv.groupIn);
    return b.carry(conv.groupIn, {acc}, [&](Value c, ValueRange sum) {
      Value byte = b.load(conv.input.memory, b.add(pixel, b.add(group, c)));
      Value code = arith::ExtUIOp::create(b, b.getI32Type(), byte);
      Value product = b.mul(toNumbers(b, conv.inputCode(), code),
                            weightNumber(k, kh, kw, c));
      return Values{b.add(sum[0], b.toI64(product))};
    })[0];
  }

  /// The number (i32) of a coded weight.
  Value weightNumber(Value k, Value kh, Value kw, Value c) {
    CodeType code = conv.weightCode();
    Value word = b.div(c, 64), bit = b.toI64(b.rem(c, 64)), sum = b.i64(0);
    for (int64_t p = 0; p < code.getBits(); ++p) {
      Value bits = b.shr(weightWord(k, kh, kw, word, p), bit);
      sum = b.ori(sum, b.shl(b.andi(bits, b.i64(1)), b.i64(p)));
    }
    return toNumbers(b, code, b.toI32(sum));
  }

  Value floatWeight(Value k, Value kh, Value kw, Value c) {
    if (!conv.weightCode()) {
      Value tap = b.add(b.mul(b.add(b.mul(k, conv.kh), kh), conv.kw), kw);
      return b.load(weights, b.add(b.mul(tap, conv.groupIn), c));
    }
    return arith::SIToFPOp::create(b, b.getF32Type(),
                                   weightNumber(k, kh, kw, c));
  }

  /// A word of the weights, `[K/block][KH][KW][words][planes][block]`.
  Value weightWord(Value k, Value kh, Value kw, Value word, int64_t plane) {
    int64_t block = bitpack::getLayout(conv.op.weightType()).getBlock();
    Value tap =
        b.add(b.mul(b.add(b.mul(b.div(k, block), conv.kh), kh), conv.kw), kw);
    Value at = b.add(
        b.mul(b.add(b.mul(tap, words), word), conv.weightCode().getBits()),
        plane);
    return b.load(weights, b.add(b.mul(at, block), b.rem(k, block)));
  }

  Value codeTap(Value n, Value iy, Value ix, Value inside, Value kh, Value kw,
                Value k, Value acc) {
    return b.when(
        inside, b.getI64Type(),
        [&] {
          Value pixel = conv.input.at(b, n, iy, ix);
          if (!conv.input.isPlanes())
            return Values{byteTap(pixel, kh, kw, k, acc)};
          return b.carry(words, {acc}, [&](Value j, ValueRange sum) {
            return Values{b.add(sum[0], codeWord(pixel, kh, kw, k, j))};
          });
        },
        [&] { return Values{acc}; })[0];
  }

  /// Bits of plane p of the 64 channels j of the group of k.
  Value inputWord(Value pixel, Value k, Value j, int64_t p) {
    const Image &in = conv.input;
    auto word = [&](Value w) {
      return b.load(in.memory, b.add(b.add(pixel, b.mul(w, in.planes)), p));
    };
    if (conv.groups == 1)
      return word(j);
    Value first =
        b.add(b.mul(b.div(k, conv.groupOut), conv.groupIn), b.mul(j, 64));
    Value w = b.div(first, 64), shift = b.toI64(b.rem(first, 64));
    Value next = b.min(b.add(w, 1), b.index(in.words - 1));
    Value none = b.cmp(arith::CmpIPredicate::eq, shift, b.i64(0));
    Value up = b.andi(b.sub(b.i64(64), shift), b.i64(63));
    Value high = b.select(none, b.i64(0), b.shl(word(next), up));
    Value bits = b.ori(b.shr(word(w), shift), high);
    int64_t tail = conv.groupIn % 64;
    if (!tail)
      return bits;
    Value last = b.cmp(arith::CmpIPredicate::eq, j, b.index(words - 1));
    return b.select(last, b.andi(bits, b.i64((uint64_t(1) << tail) - 1)), bits);
  }

  Value ones(Value word) { return math::CtPopOp::create(b, word); }

  /// coefficient * value, nothing for 0.
  void addTerm(Value &sum, int64_t coefficient, Value value) {
    if (coefficient == 0)
      return;
    Value term = b.mul(value, b.i64(coefficient));
    sum = sum ? b.add(sum, term) : term;
  }

  Value codeWord(Value pixel, Value kh, Value kw, Value k, Value j) {
    CodeType a = conv.inputCode(), w = conv.weightCode();
    int64_t oa = a.getOffset(), sa = a.getStride();
    int64_t ow = w.getOffset(), sw = w.getStride();
    Values as, ws;
    Value sum;
    for (int64_t p = 0; p < a.getBits(); ++p) {
      as.push_back(inputWord(pixel, k, j, p));
      if (ow)
        addTerm(sum, ow * sa * (int64_t(1) << p), ones(as[p]));
    }
    for (int64_t q = 0; q < w.getBits(); ++q) {
      ws.push_back(weightWord(k, kh, kw, j, q));
      if (oa)
        addTerm(sum, oa * sw * (int64_t(1) << q), ones(ws[q]));
    }
    for (int64_t p = 0; p < a.getBits(); ++p)
      for (int64_t q = 0; q < w.getBits(); ++q)
        addTerm(sum, sa * sw * (int64_t(1) << (p + q)),
                ones(b.andi(as[p], ws[q])));
    Value channels =
        b.min(b.index(64), b.sub(b.index(conv.groupIn), b.mul(j, 64)));
    addTerm(sum, oa * ow, b.toI64(channels));
    return sum;
  }

  LoopBuilder &b;
  ConvLoops &conv;
  Value weights;
  int64_t words;
};

} // namespace

FailureOr<Value> hwgq::emitGenericKernel(LoopBuilder &b, ConvLoops &conv) {
  return GenericKernel(b, conv).emit();
}
