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
                          TapBody body, bool inside) const {
  auto position = [&](Value at, Value tap, unsigned d) {
    return b.sub(b.add(b.mul(at, strides[d]), b.mul(tap, dilations[d])),
                 b.index(pads[d]));
  };
  auto [y0, y1] = range(b, y, 0, 0, sizes[0]);
  std::pair<Value, Value> columns;
  if (!inside)
    columns = range(b, x, 1, 0, sizes[1]);
  return b.carry(y0, y1, 1, inits, [&](Value ky, ValueRange outer) {
    Value iy = position(y, ky, 0);
    auto tap = [&](Value kx, ValueRange inner) {
      return body(iy, position(x, kx, 1), inner);
    };
    constexpr int64_t kUnrolled = 8;
    if (inside)
      return b.unroll(kernel[1], kUnrolled, outer, tap);
    return b.carry(columns.first, columns.second, 1, outer, tap);
  });
}

void PoolWindow::forEachColumn(
    LoopBuilder &b, int64_t width,
    llvm::function_ref<void(Value, bool)> body) const {
  // The first column whose taps begin in bounds, the last whose taps end there.
  int64_t left = std::min(width, (pads[1] + strides[1] - 1) / strides[1]);
  int64_t room = sizes[1] - 1 - (kernel[1] - 1) * dilations[1] + pads[1];
  int64_t right =
      room < 0 ? left : std::clamp<int64_t>(room / strides[1] + 1, left, width);
  auto loop = [&](int64_t from, int64_t to, bool inside) {
    b.loop(b.index(from), b.index(to), 1, [&](Value x) { body(x, inside); });
  };
  loop(0, left, false);
  loop(left, right, true);
  loop(right, width, false);
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

PoolOutput PoolOutput::into(LoopBuilder &b, const Image &image) {
  auto store = [&b, image](Value value, const Site &site) {
    Value at = b.add(image.at(b, site.n, site.y, site.x), site.channel);
    b.storePart(value, image.memory, at, site.valid);
  };
  return {image, [](Value, Value) {}, store};
}

void hwgq::forEachSpan(LoopBuilder &b, int64_t channels,
                       llvm::function_ref<void(Value, int64_t, int64_t)> body) {
  constexpr int64_t kVectors = 4;
  int64_t lanes = chunkLanes(b.options), span = kVectors * lanes;
  int64_t whole = channels / span * span;
  b.loop(b.index(0), b.index(whole), span,
         [&](Value c) { body(c, lanes, span); });
  if (channels > whole)
    body(b.index(whole), lanes, channels - whole);
}

namespace {

/// One pool on a plain tensor: a fold of vectors over the taps in bounds.
class PlainPool {
public:
  template <typename OpTy>
  PlainPool(LoopBuilder &b, OpTy op, Value input)
      : b(b), in(viewImage(b, tensorType(op.getInput()), input)),
        window(op, in), element(tensorType(op.getInput()).getElementType()) {}
  virtual ~PlainPool() = default;

  void emit(const PoolOutput &out) {
    const Image &shape = out.shape;
    double cost = 0.05 * double(shape.width * shape.channels) *
                  double(window.kernel[0] * window.kernel[1]);
    forEachRow(b, shape, cost, [&](Value n, Value y) {
      out.beginRow(n, y);
      window.forEachColumn(b, shape.width, [&](Value x, bool inside) {
        Value extra = pixel(y, x);
        forEachSpan(b, shape.channels,
                    [&](Value channel, int64_t lanes, int64_t count) {
                      span(out, {n, y, x, channel, lanes, count}, inside,
                           extra);
                    });
      });
    });
  }

protected:
  /// What all channels of an output share; null for nothing.
  virtual Value pixel(Value y, Value x) { return {}; }
  virtual Value init(VectorType type, Value channel) = 0;
  virtual Value combine(Value sum, Value value, Value channel) = 0;
  virtual Value finish(Value sum, Value extra) { return sum; }

  LoopBuilder &b;
  Image in;
  PoolWindow window;
  Type element;

private:
  /// Channels [channel, channel + valid) in vectors.
  void span(const PoolOutput &out, const Site &site, bool inside, Value extra) {
    VectorType type = b.vec(site.lanes, element);
    SmallVector<Site> sites;
    Values inits;
    for (int64_t at = 0; at < site.valid; at += site.lanes) {
      Site part = site;
      part.channel = b.add(site.channel, at);
      part.valid = std::min(site.lanes, site.valid - at);
      sites.push_back(part);
      inits.push_back(init(type, part.channel));
    }
    Values sums = window.reduce(
        b, site.y, site.x, inits,
        [&](Value iy, Value ix, ValueRange sums) {
          Value from = in.at(b, site.n, iy, ix);
          Values next;
          for (auto [part, sum] : llvm::zip(sites, sums)) {
            Value value = b.loadPart(type, in.memory, b.add(from, part.channel),
                                     part.valid);
            next.push_back(combine(sum, value, part.channel));
          }
          return next;
        },
        inside);
    for (auto [part, sum] : llvm::zip(sites, sums))
      out.sink(finish(sum, extra), part);
  }
};

class MaxPool : public PlainPool {
public:
  MaxPool(LoopBuilder &b, hwgq::MaxPoolOp op, Value input)
      : PlainPool(b, op, input) {
    if (!op.getFalling() ||
        llvm::none_of(*op.getFalling(), [](bool f) { return f; }))
      return;
    constexpr int64_t kWidest = 64;
    std::vector<int32_t> table(in.channels + kWidest, 0);
    for (auto [c, falling] : llvm::enumerate(*op.getFalling()))
      table[c] = falling;
    falls = b.constant(ArrayRef<int32_t>(table));
  }

private:
  /// Which channels fall, as a mask; null when none does.
  Value falling(VectorType type, Value channel) {
    if (!falls)
      return {};
    VectorType flags = b.vec(type.getNumElements(), b.getI32Type());
    return b.cmp(arith::CmpIPredicate::ne, b.load(flags, falls, channel),
                 b.splat(flags, int64_t(0)));
  }

  /// What every candidate replaces: -inf or the smallest integer, and the
  /// opposite for falling channels.
  Value init(VectorType type, Value channel) override {
    float inf = std::numeric_limits<float>::infinity();
    using Limits = std::numeric_limits<int32_t>;
    bool isFloat = isa<FloatType>(element);
    Value low =
        isFloat ? b.splat(type, -inf) : b.splat(type, int64_t(Limits::min()));
    Value fall = falling(type, channel);
    if (!fall)
      return low;
    return b.select(fall,
                    isFloat ? b.splat(type, inf)
                            : b.splat(type, int64_t(Limits::max())),
                    low);
  }

  Value combine(Value best, Value value, Value channel) override {
    bool isFloat = isa<FloatType>(element);
    Value high = isFloat ? Value(arith::MaximumFOp::create(b, best, value))
                         : Value(arith::MaxSIOp::create(b, best, value));
    Value fall = falling(cast<VectorType>(value.getType()), channel);
    if (!fall)
      return high;
    Value low = isFloat ? Value(arith::MinimumFOp::create(b, best, value))
                        : Value(arith::MinSIOp::create(b, best, value));
    return b.select(fall, low, high);
  }

  Value falls; // 1 for falling channels, null when none
};

class AvgPool : public PlainPool {
public:
  AvgPool(LoopBuilder &b, hwgq::AvgPoolOp op, Value input)
      : PlainPool(b, op, input), includePad(op.getCountIncludePad()) {}

private:
  Value pixel(Value y, Value x) override {
    return arith::SIToFPOp::create(b, b.getF32Type(),
                                   b.toI32(window.count(b, y, x, includePad)));
  }
  Value init(VectorType type, Value) override { return b.splat(type, 0.0f); }
  Value combine(Value sum, Value value, Value) override {
    return arith::AddFOp::create(b, sum, value);
  }
  Value finish(Value sum, Value count) override {
    auto type = cast<VectorType>(sum.getType());
    return arith::DivFOp::create(b, sum, b.broadcast(type, count));
  }

  bool includePad;
};

} // namespace

void hwgq::emitPool(LoopBuilder &b, Operation *pool, Value input,
                    const PoolOutput &out) {
  if (auto max = dyn_cast<hwgq::MaxPoolOp>(pool))
    MaxPool(b, max, input).emit(out);
  else if (auto average = dyn_cast<hwgq::AvgPoolOp>(pool))
    AvgPool(b, average, input).emit(out);
  else
    emitPackedAvgPool(b, cast<bitpack::AvgPoolOp>(pool), input, out);
}

namespace {

template <typename OpTy> struct PoolPattern : LoopPattern<OpTy> {
  using LoopPattern<OpTy>::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, OpTy op,
                        typename OpTy::Adaptor adaptor) const override {
    RankedTensorType type = tensorType(op.getInput());
    if (isa<CodeType>(type.getElementType()) && !bitpack::isPacked(type))
      return op.emitError("codes need a layout here");
    Value result;
    Image image = allocateImage(b, tensorType(op.getResult()),
                                getBatch(b, type, adaptor.getInput()), result);
    emitPool(b, op, adaptor.getInput(), PoolOutput::into(b, image));
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
  patterns.add<PoolPattern<hwgq::MaxPoolOp>, PoolPattern<hwgq::AvgPoolOp>,
               PoolPattern<bitpack::AvgPoolOp>, PlainPadPattern>(
      converter, patterns.getContext(), options);
}
