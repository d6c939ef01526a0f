//===- PlainPools.cpp - pools and pads of floats and accumulators ---------===//
#include "Patterns.h"
#include "PoolWindow.h"

using namespace mlir;
using namespace hwgq;

std::pair<Value, Value> PoolWindow::range(LoopBuilder &b, Value at, unsigned d,
                                          int64_t low, int64_t high) const {
  // position(k) = start + k * dilation, start = at * stride - pad.
  int64_t pad = pads[d], dilation = dilations[d];
  Value start = b.sub(b.mul(at, strides[d]), b.index(pad));
  bool inside = pad <= -low; // never before the first position
  Value zero = b.index(0), first = zero;
  if (!inside)
    first = b.min(b.ceilDiv(b.max(b.sub(b.index(low), start), zero), dilation),
                  b.index(kernel[d]));
  Value last =
      b.min(b.ceilDiv(b.max(b.sub(b.index(high), start), zero), dilation),
            b.index(kernel[d]));
  return {first, last};
}

Values PoolWindow::reduce(LoopBuilder &b, Value y, Value x, ValueRange inits,
                          TapBody body) const {
  auto position = [&](Value at, Value tap, unsigned d) {
    return b.sub(b.add(b.mul(at, strides[d]), b.mul(tap, dilations[d])),
                 b.index(pads[d]));
  };
  auto [y0, y1] = range(b, y, 0, 0, sizes[0]);
  auto [x0, x1] = range(b, x, 1, 0, sizes[1]);
  return b.carry(
      y0, y1, 1, inits, [&, x0 = x0, x1 = x1](Value ky, ValueRange outer) {
        Value iy = position(y, ky, 0);
        return b.carry(x0, x1, 1, outer, [&](Value kx, ValueRange inner) {
          return body(iy, position(x, kx, 1), inner);
        });
      });
}

Value PoolWindow::count(LoopBuilder &b, Value y, Value x,
                        bool includePad) const {
  auto taps = [&](Value at, unsigned d) -> Value {
    int64_t low = includePad ? -pads[d] : 0;
    int64_t high = sizes[d] + (includePad ? pads[d + 2] : 0);
    auto [first, last] = range(b, at, d, low, high);
    return b.sub(last, first);
  };
  return b.mul(taps(y, 0), taps(x, 1));
}

namespace {

/// Calls body(channel, lanes, valid) over all channels in vectors.
void forEachVector(LoopBuilder &b, int64_t channels,
                   llvm::function_ref<void(Value, int64_t, int64_t)> body) {
  int64_t lanes = std::min<int64_t>(b.options.vectorBytes / 4,
                                    llvm::bit_ceil(uint64_t(channels)));
  int64_t whole = channels / lanes * lanes;
  b.loop(b.index(0), b.index(whole), lanes,
         [&](Value c) { body(c, lanes, lanes); });
  if (channels > whole)
    body(b.index(whole), lanes, channels - whole);
}

struct PlainMaxPoolPattern : LoopPattern<hwgq::MaxPoolOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, hwgq::MaxPoolOp op,
                        Adaptor adaptor) const override {
    Image in = viewImage(b, tensorType(op.getInput()), adaptor.getInput());
    if (isa<CodeType>(tensorType(op.getInput()).getElementType()))
      return op.emitError("codes need a layout here");
    Value result;
    Image out = allocateImage(b, tensorType(op.getResult()), in.batch, result);
    PoolWindow window(op, in);
    Type element = tensorType(op.getInput()).getElementType();
    Value falls = fallingTable(b, op, out);
    double cost = 0.1 * double(out.width * out.channels) *
                  double(window.kernel[0] * window.kernel[1]);
    forEachRow(b, out, cost, [&](Value n, Value y) {
      b.loop(out.width, [&](Value x) {
        Value to = out.at(b, n, y, x);
        forEachVector(
            b, out.channels, [&](Value c, int64_t lanes, int64_t valid) {
              VectorType type = b.vec(lanes, element);
              Value fall;
              if (falls)
                fall = b.cmp(arith::CmpIPredicate::ne,
                             b.load(b.vec(lanes, b.getI32Type()), falls, c),
                             b.splat(b.vec(lanes, b.getI32Type()), int64_t(0)));
              Value best = window.reduce(
                  b, y, x, {lowest(b, type, fall)},
                  [&](Value iy, Value ix, ValueRange best) {
                    Value from = b.add(in.at(b, n, iy, ix), c);
                    Value value = b.loadPart(type, in.memory, from, valid);
                    return Values{combine(b, best[0], value, fall)};
                  })[0];
              b.storePart(best, out.memory, b.add(to, c), valid);
            });
      });
    });
    return result;
  }

  /// 1 for falling channels, as i32 padded to whole vectors; null when none.
  Value fallingTable(LoopBuilder &b, hwgq::MaxPoolOp op,
                     const Image &out) const {
    if (!op.getFalling() ||
        llvm::none_of(*op.getFalling(), [](bool f) { return f; }))
      return {};
    std::vector<int32_t> table(llvm::alignTo(out.channels, 16), 0);
    for (auto [c, falls] : llvm::enumerate(*op.getFalling()))
      table[c] = falls;
    return b.constant(ArrayRef<int32_t>(table));
  }

  /// What every candidate replaces: -inf or the smallest integer, and the
  /// opposite for falling channels.
  static Value lowest(LoopBuilder &b, VectorType type, Value fall) {
    bool isFloat = isa<FloatType>(type.getElementType());
    float inf = std::numeric_limits<float>::infinity();
    Value low =
        isFloat ? b.splat(type, -inf)
                : b.splat(type, int64_t(std::numeric_limits<int32_t>::min()));
    if (!fall)
      return low;
    Value high =
        isFloat ? b.splat(type, inf)
                : b.splat(type, int64_t(std::numeric_limits<int32_t>::max()));
    return b.select(fall, high, low);
  }

  static Value combine(LoopBuilder &b, Value best, Value value, Value fall) {
    bool isFloat =
        isa<FloatType>(cast<VectorType>(value.getType()).getElementType());
    auto greater = [&]() -> Value {
      if (isFloat)
        return arith::MaximumFOp::create(b, best, value);
      return arith::MaxSIOp::create(b, best, value);
    };
    auto smaller = [&]() -> Value {
      if (isFloat)
        return arith::MinimumFOp::create(b, best, value);
      return arith::MinSIOp::create(b, best, value);
    };
    Value high = greater();
    return fall ? b.select(fall, smaller(), high) : high;
  }
};

struct PlainAvgPoolPattern : LoopPattern<hwgq::AvgPoolOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, hwgq::AvgPoolOp op,
                        Adaptor adaptor) const override {
    Image in = viewImage(b, tensorType(op.getInput()), adaptor.getInput());
    if (!tensorType(op.getInput()).getElementType().isF32())
      return op.emitError("codes need a layout here");
    Value result;
    Image out = allocateImage(b, tensorType(op.getResult()), in.batch, result);
    PoolWindow window(op, in);
    double cost = 0.1 * double(out.width * out.channels) *
                  double(window.kernel[0] * window.kernel[1]);
    forEachRow(b, out, cost, [&](Value n, Value y) {
      b.loop(out.width, [&](Value x) {
        Value to = out.at(b, n, y, x);
        Value count = arith::SIToFPOp::create(
            b, b.getF32Type(),
            b.toI32(window.count(b, y, x, op.getCountIncludePad())));
        forEachVector(
            b, out.channels, [&](Value c, int64_t lanes, int64_t valid) {
              VectorType type = b.vec(lanes, b.getF32Type());
              Value sum = window.reduce(
                  b, y, x, {b.splat(type, 0.0f)},
                  [&](Value iy, Value ix, ValueRange sums) {
                    Value from = b.add(in.at(b, n, iy, ix), c);
                    return Values{arith::AddFOp::create(
                        b, sums[0], b.loadPart(type, in.memory, from, valid))};
                  })[0];
              Value mean =
                  arith::DivFOp::create(b, sum, b.broadcast(type, count));
              b.storePart(mean, out.memory, b.add(to, c), valid);
            });
      });
    });
    return result;
  }
};

/// Rows of the last dimension: copied where they lie inside, else filled.
struct PlainPadPattern : LoopPattern<hwgq::PadOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, hwgq::PadOp op,
                        Adaptor adaptor) const override {
    RankedTensorType from = tensorType(op.getInput());
    RankedTensorType to = tensorType(op.getResult());
    if (isa<CodeType>(from.getElementType()))
      return op.emitError("codes need a layout here");
    if (to.getRank() == 0)
      return adaptor.getInput();
    Value source = b.flat(adaptor.getInput());
    Values dynamic, sizes;
    for (int64_t d = 0; d < to.getRank(); ++d) {
      if (to.isDynamicDim(d)) {
        dynamic.push_back(memref::DimOp::create(b, adaptor.getInput(), d));
        sizes.push_back(dynamic.back());
      } else {
        sizes.push_back(b.index(to.getDimSize(d)));
      }
    }
    Value result = memref::AllocOp::create(
        b, MemRefType::get(to.getShape(), to.getElementType()), dynamic,
        b.getI64IntegerAttr(64));
    Value memory = b.flat(result);
    Value rows = b.index(1);
    for (Value size : ArrayRef(sizes).drop_back())
      rows = b.mul(rows, size);
    Value fill = arith::ConstantOp::create(b, cast<TypedAttr>(op.getValue()));
    int64_t rank = to.getRank(), last = to.getShape().back();
    int64_t inner = from.getShape().back(), low = op.getLow().back();
    int64_t block = rowsPerTask(0.5 * double(last));
    b.tasks(b.ceilDiv(rows, block), [&](Value task) {
      Value first = b.mul(task, block);
      b.loop(first, b.min(b.add(first, block), rows), 1, [&](Value row) {
        // Position in the source of the row's other dimensions.
        Value rest = row, inside, at = b.index(0), stride = b.index(1);
        for (int64_t d = rank - 2; d >= 0; --d) {
          Value here =
              d == 0 ? rest : Value(arith::RemUIOp::create(b, rest, sizes[d]));
          if (d)
            rest = arith::DivUIOp::create(b, rest, sizes[d]);
          Value position = b.sub(here, b.index(op.getLow()[d]));
          int64_t pads = op.getLow()[d] + op.getHigh()[d];
          Value size = pads ? b.sub(sizes[d], b.index(pads)) : sizes[d];
          if (pads) {
            Value ok = b.cmp(arith::CmpIPredicate::ult, position, size);
            inside = inside ? b.andi(inside, ok) : ok;
          }
          at = b.add(at, b.mul(position, stride));
          stride = b.mul(stride, size);
        }
        Value target = b.mul(row, last);
        auto fillRange = [&](int64_t begin, int64_t end) {
          b.loop(b.index(begin), b.index(end), 1,
                 [&](Value c) { b.store(fill, memory, b.add(target, c)); });
        };
        auto copyRow = [&] {
          fillRange(0, low);
          b.copy(source, b.mul(at, inner), memory, b.add(target, low),
                 b.index(inner));
          fillRange(low + inner, last);
        };
        if (!inside)
          return copyRow();
        b.when(
            inside, {},
            [&] {
              copyRow();
              return Values();
            },
            [&] {
              fillRange(0, last);
              return Values();
            });
      });
    });
    return result;
  }
};

} // namespace

void hwgq::populatePlainPools(RewritePatternSet &patterns,
                              const TypeConverter &converter,
                              const LoopOptions &options) {
  patterns.add<PlainMaxPoolPattern, PlainAvgPoolPattern, PlainPadPattern>(
      converter, patterns.getContext(), options);
}
