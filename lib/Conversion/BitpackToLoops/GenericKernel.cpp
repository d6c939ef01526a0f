//===- GenericKernel.cpp - contractions as plain loops --------------------===//
//
// Eight output channels of a pixel at a time, tap by tap, for codes in planes
// 64 input channels a step:
//   sum (oa + sa*ca)(ow + sw*cw) = sa*sw*P + ow*sa*A + oa*sw*W + oa*ow*n
// with P, A, W the sums of ca*cw, ca, cw over the n channels. Codes in bytes,
// few codes of many bits and floats go channel by channel.
//
//===----------------------------------------------------------------------===//
#include "Epilogue.h"
#include "Pairs.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace hwgq;

namespace {

class GenericKernel {
public:
  GenericKernel(LoopBuilder &b, ConvLoops &conv) : b(b), conv(conv) {
    weights = b.flat(conv.weightMemory);
    words = llvm::divideCeil(conv.groupIn, 64);
    if (conv.weightCode())
      block = bitpack::getLayout(conv.op.weightType()).getBlock();
    byWords =
        conv.input.isPlanes() &&
        conv.groupIn * kPairs > conv.input.planes * conv.weightCode().getBits();
    Type element = !conv.inputCode() ? Type(b.getF32Type())
                   : byWords         ? b.getI64Type()
                                     : b.getI32Type();
    sums = b.vec(kLanes, element);
  }

  Value emit() {
    const Image &out = conv.output;
    int64_t covered = llvm::alignTo(out.channels, kLanes);
    Epilogue epilogue(b, conv, kLanes, covered, 1, out.channels);
    double cost = conv.macsOfRow() * (byWords ? 0.02 : 0.4);
    forEachRow(b, out, cost, [&](Value n, Value y) {
      conv.clearRow(b, n, y);
      b.loop(out.width, [&](Value x) {
        b.loop(b.index(0), b.index(covered), kLanes, [&](Value k) {
          epilogue.finish(b, dot(n, y, x, k), n, y, x, k);
        });
      });
    });
    return conv.result;
  }

private:
  static constexpr int64_t kLanes = 8;
  /// Pairs of planes of a word that cost as much as a channel.
  static constexpr int64_t kPairs = 8;

  /// The accumulators of output channels [k, k + kLanes), i32 or f32.
  Value dot(Value n, Value y, Value x, Value k) {
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(sums));
    Value sum = b.carry(conv.kh, {zero}, [&](Value kh, ValueRange outer) {
      Value iy = position(y, kh, conv.strideY, conv.dilationY, conv.top);
      return b.carry(conv.kw, outer, [&](Value kw, ValueRange acc) {
        Value ix = position(x, kw, conv.strideX, conv.dilationX, conv.left);
        Value inside =
            b.andi(within(iy, conv.input.height), within(ix, conv.input.width));
        Value pixel = conv.input.at(b, n, iy, ix);
        if (!conv.inputCode())
          return Values{floatTap(pixel, inside, kh, kw, k, acc[0])};
        return b.when(
            inside, {sums},
            [&] {
              return Values{byWords ? wordsTap(pixel, kh, kw, k, acc[0])
                                    : codesTap(pixel, kh, kw, k, acc[0])};
            },
            [&] { return Values(acc); });
      });
    })[0];
    return byWords ? toI32(sum) : sum;
  }

  Value position(Value out, Value tap, int64_t stride, int64_t dilation,
                 int64_t pad) {
    return b.sub(b.add(b.mul(out, stride), b.mul(tap, dilation)), b.index(pad));
  }
  Value within(Value at, int64_t size) { // unsigned: covers at < 0
    return b.cmp(arith::CmpIPredicate::ult, at, b.index(size));
  }
  Value toI32(Value vector) {
    return arith::TruncIOp::create(b, b.vec(kLanes, b.getI32Type()), vector);
  }

  /// get(channel) of channels [k, k + kLanes) in a vector; lanes beyond the
  /// last channel repeat it. `same`: it has one value for all.
  Value gather(Value k, bool same, llvm::function_ref<Value(Value)> get) {
    Value first = get(k);
    Value all = b.broadcast(b.vec(kLanes, first.getType()), first);
    for (int64_t lane = 1; !same && lane < kLanes; ++lane) {
      Value channel = b.min(b.add(k, lane), b.index(conv.output.channels - 1));
      all = vector::InsertOp::create(b, get(channel), all, lane);
    }
    return all;
  }

  /// get(first input channel of a channel's group) of all lanes.
  Value gatherInput(Value k, llvm::function_ref<Value(Value)> get) {
    bool same = conv.groups == 1 || conv.groupOut % kLanes == 0;
    return gather(k, same, [&](Value channel) {
      return get(b.mul(b.div(channel, conv.groupOut), conv.groupIn));
    });
  }

  //===--------------------------------------------------------------------===//
  // Channel by channel
  //===--------------------------------------------------------------------===//

  /// `acc` after body(c, weights of c, acc) for all input channels of a group;
  /// codes are given as their numbers (i32).
  Value overChannels(
      Value kh, Value kw, Value k, Value acc,
      llvm::function_ref<Value(Value c, Value weight, Value acc)> body) {
    CodeType code = conv.weightCode();
    if (!code)
      return b.carry(conv.groupIn, {acc}, [&](Value c, ValueRange sum) {
        Value weight = gather(k, false, [&](Value channel) {
          Value tap =
              b.add(b.mul(b.add(b.mul(channel, conv.kh), kh), conv.kw), kw);
          return b.load(weights, b.add(b.mul(tap, conv.groupIn), c));
        });
        return Values{body(c, weight, sum[0])};
      })[0];
    return b.carry(words, {acc}, [&](Value j, ValueRange outer) {
      Values planes;
      for (int64_t p = 0; p < code.getBits(); ++p)
        planes.push_back(weightWords(k, kh, kw, j, p));
      Value first = b.mul(j, 64);
      return b.carry(b.index(0), channelsOfWord(j), 1, outer,
                     [&](Value bit, ValueRange sum) {
                       Value weight =
                           toNumbers(b, code, codesOfBit(planes, bit));
                       return Values{body(b.add(first, bit), weight, sum[0])};
                     });
    })[0];
  }

  Value channelsOfWord(Value j) {
    return b.min(b.index(64), b.sub(b.index(conv.groupIn), b.mul(j, 64)));
  }

  /// The codes (i32) whose bits are bit `bit` of vectors of words.
  Value codesOfBit(ValueRange planes, Value bit) {
    Type type = planes[0].getType();
    Value shift = b.broadcast(cast<VectorType>(type), b.toI64(bit)), codes;
    for (auto [p, plane] : llvm::enumerate(planes)) {
      Value part = b.shl(b.andi(b.shr(plane, shift), b.splat(type, int64_t(1))),
                         b.splat(type, int64_t(p)));
      codes = codes ? b.ori(codes, part) : part;
    }
    return toI32(codes);
  }

  Value floatTap(Value pixel, Value inside, Value kh, Value kw, Value k,
                 Value acc) {
    auto body = [&](Value c, Value weight, Value acc) -> Value {
      Value x = b.when(
          inside, {sums},
          [&] {
            return Values{gatherInput(k, [&](Value first) {
              return b.load(conv.input.memory, b.add(pixel, b.add(first, c)));
            })};
          },
          [&] { return Values{b.splat(sums, 0.0f)}; })[0];
      if (conv.weightCode())
        weight = arith::SIToFPOp::create(b, sums, weight);
      return b.fma(x, weight, acc);
    };
    return overChannels(kh, kw, k, acc, body);
  }

  Value codesTap(Value pixel, Value kh, Value kw, Value k, Value acc) {
    auto body = [&](Value c, Value weight, Value acc) {
      Value codes = gatherInput(k, [&](Value first) {
        return loadCode(b, conv.input, pixel, b.add(first, c));
      });
      return b.add(acc, b.mul(toNumbers(b, conv.inputCode(), codes), weight));
    };
    return overChannels(kh, kw, k, acc, body);
  }

  //===--------------------------------------------------------------------===//
  // Word by word
  //===--------------------------------------------------------------------===//

  Value wordsTap(Value pixel, Value kh, Value kw, Value k, Value acc) {
    return b.carry(words, {acc}, [&](Value j, ValueRange sum) {
      return Values{b.add(sum[0], wordProducts(pixel, kh, kw, k, j))};
    })[0];
  }

  /// Words of the weights of all lanes,
  /// `[K/block][KH][KW][words][planes][block]`.
  Value weightWords(Value k, Value kh, Value kw, Value word, int64_t plane) {
    auto at = [&](Value k) {
      Value tap =
          b.add(b.mul(b.add(b.mul(b.div(k, block), conv.kh), kh), conv.kw), kw);
      Value line = b.add(
          b.mul(b.add(b.mul(tap, words), word), conv.weightCode().getBits()),
          plane);
      return b.add(b.mul(line, block), b.rem(k, block));
    };
    if (block % kLanes == 0)
      return b.load(b.vec(kLanes, b.getI64Type()), weights, at(k));
    return gather(k, false,
                  [&](Value channel) { return b.load(weights, at(channel)); });
  }

  /// Bits of plane p of the 64 channels j of the group that begins at `group`.
  Value inputWord(Value pixel, Value group, Value j, int64_t p) {
    const Image &in = conv.input;
    auto word = [&](Value w) {
      return b.load(in.memory, b.add(b.add(pixel, b.mul(w, in.planes)), p));
    };
    if (conv.groups == 1)
      return word(j);
    Value first = b.add(group, b.mul(j, 64));
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

  /// sum += coefficient * value, nothing for 0.
  void addTerm(Value &sum, int64_t coefficient, Value value) {
    if (coefficient == 0)
      return;
    Value term = b.mul(value, b.splat(sums, coefficient));
    sum = sum ? b.add(sum, term) : term;
  }

  /// The sums of codes whose bits are `planes`.
  Value sumOfCodes(ValueRange planes) {
    Value sum;
    for (Value plane : llvm::reverse(planes))
      sum = sum ? b.add(b.add(sum, sum), ones(plane)) : ones(plane);
    return sum;
  }

  /// P: with the products of planes p and q counted 2^(p + q) times.
  Value sumOfProducts(ValueRange as, ValueRange ws) {
    Value sum;
    for (int64_t weight = as.size() + ws.size() - 2; weight >= 0; --weight) {
      if (sum)
        sum = b.add(sum, sum);
      for (int64_t p = 0; p < int64_t(as.size()); ++p)
        if (int64_t q = weight - p; q >= 0 && q < int64_t(ws.size())) {
          Value count = ones(b.andi(as[p], ws[q]));
          sum = sum ? b.add(sum, count) : count;
        }
    }
    return sum;
  }

  Value wordProducts(Value pixel, Value kh, Value kw, Value k, Value j) {
    CodeType a = conv.inputCode(), w = conv.weightCode();
    int64_t oa = a.getOffset(), sa = a.getStride();
    int64_t ow = w.getOffset(), sw = w.getStride();
    Values as, ws;
    for (int64_t p = 0; p < a.getBits(); ++p)
      as.push_back(gatherInput(
          k, [&](Value group) { return inputWord(pixel, group, j, p); }));
    for (int64_t q = 0; q < w.getBits(); ++q)
      ws.push_back(weightWords(k, kh, kw, j, q));
    Value sum;
    addTerm(sum, sa * sw, sumOfProducts(as, ws));
    if (ow)
      addTerm(sum, ow * sa, gatherInput(k, [&](Value group) {
                Values planes;
                for (int64_t p = 0; p < a.getBits(); ++p)
                  planes.push_back(inputWord(pixel, group, j, p));
                return sumOfCodes(planes);
              }));
    if (oa)
      addTerm(sum, oa * sw, sumOfCodes(ws));
    addTerm(sum, oa * ow, b.broadcast(sums, b.toI64(channelsOfWord(j))));
    return sum;
  }

  LoopBuilder &b;
  ConvLoops &conv;
  Value weights;
  int64_t words, block = 0; // of the input channels of a group; of the weights
  bool byWords;             // or channel by channel
  VectorType sums;          // of a tile: i64 of words, i32 of codes, or f32
};

} // namespace

FailureOr<Value> hwgq::emitGenericKernel(LoopBuilder &b, ConvLoops &conv) {
  if (conv.op.isProduct())
    return emitGenericPairs(b, conv);
  return GenericKernel(b, conv).emit();
}
