//===- PlainPools.cpp - pools and pads of floats and accumulators ---------===//
#include "Patterns.h"
#include "PoolWindow.h"

using namespace mlir;
using namespace hwgq;

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
  PlainPool(LoopBuilder &b, OpTy op, Value input, ImageRows *rows)
      : b(b), rows(rows),
        in(rows ? describeImage(tensorType(op.getInput()), rows->batch())
                : viewImage(b, tensorType(op.getInput()), input)),
        window(op, in), element(tensorType(op.getInput()).getElementType()) {}
  virtual ~PlainPool() = default;

  const PoolWindow &getWindow() const { return window; }

  double costOfRow(const Image &shape) const {
    return 0.05 * double(shape.width * shape.channels) *
           double(window.kernel[0] * window.kernel[1]);
  }

  void emitRow(const PoolOutput &out, Value n, Value y) {
    out.beginRow(n, y);
    if (rows)
      makeRows(n, y);
    window.forEachColumn(b, out.shape.width, [&](Value x, bool inside) {
      Value extra = pixel(y, x);
      forEachSpan(b, out.shape.channels,
                  [&](Value channel, int64_t lanes, int64_t count) {
                    span(out, {n, y, x, channel, lanes, count}, inside, extra);
                  });
    });
  }

protected:
  /// What all channels of an output share; null for nothing.
  virtual Value pixel(Value y, Value x) { return {}; }
  /// The state of a vector of channels before the first tap, after some taps of
  /// a row, and the result.
  virtual Values init(VectorType type) = 0;
  virtual Values combine(ValueRange state, ArrayRef<Value> taps) = 0;
  virtual Value finish(ValueRange state, Value extra) = 0;
  /// What is read and what comes out, at a vector of channels.
  virtual Value turn(Value value, Value channel) { return value; }

  LoopBuilder &b;
  ImageRows *rows; // of an input that has no memory
  Image in;
  PoolWindow window;
  Type element;

private:
  /// The rows of the input that output row y reads, in memory of the task.
  void makeRows(Value n, Value y) {
    int64_t count = (window.kernel[0] - 1) * window.dilations[0] + 1;
    in.memory = b.local(MemRefType::get({count * in.rowSize()}, element));
    firstRow = b.sub(b.mul(y, window.strides[0]), b.index(window.pads[0]));
    b.loop(b.index(0), b.index(count), window.dilations[0], [&](Value i) {
      Value row = b.add(firstRow, i);
      b.when(b.cmp(arith::CmpIPredicate::ult, row, b.index(in.height)), [&] {
        rows->emit(b, {n, row}, in.memory, b.mul(i, in.rowSize()));
      });
    });
  }

  /// Where pixel (n, y, x) of the input lies.
  Value at(Value n, Value y, Value x) {
    if (!rows)
      return in.at(b, n, y, x);
    return b.mul(b.add(b.mul(b.sub(y, firstRow), in.width), x), in.channels);
  }

  /// Channels [channel, channel + valid) in vectors.
  void span(const PoolOutput &out, const Site &site, bool inside, Value extra) {
    VectorType type = b.vec(site.lanes, element);
    SmallVector<Site> sites;
    Values inits;
    size_t each = 0; // values to a state
    for (int64_t at = 0; at < site.valid; at += site.lanes) {
      Site part = site;
      part.channel = b.add(site.channel, at);
      part.valid = std::min(site.lanes, site.valid - at);
      sites.push_back(part);
      Values state = init(type);
      each = state.size();
      inits.append(state);
    }
    auto taps = [&](Value iy, ArrayRef<Value> columns, ValueRange states) {
      Values from, next;
      for (Value ix : columns)
        from.push_back(at(site.n, iy, ix));
      for (auto [i, part] : llvm::enumerate(sites)) {
        Values values;
        for (Value pixel : from)
          values.push_back(
              turn(b.loadPart(type, in.memory, b.add(pixel, part.channel),
                              part.valid),
                   part.channel));
        next.append(combine(states.slice(i * each, each), values));
      }
      return next;
    };
    Values states = window.reduceRows(b, site.y, site.x, inits, taps, inside);
    for (auto [i, part] : llvm::enumerate(sites))
      out.sink(turn(finish(ArrayRef(states).slice(i * each, each), extra),
                    part.channel),
               part);
  }

  Value firstRow; // of the input, in the task's memory
};

/// Minima of falling channels are maxima of what is turned: ~x of integers, -x
/// of floats.
class MaxPool : public PlainPool {
public:
  MaxPool(LoopBuilder &b, hwgq::MaxPoolOp op, Value input, ImageRows *rows)
      : PlainPool(b, op, input, rows), isFloat(isa<FloatType>(element)) {
    if (!op.getFalling() ||
        llvm::none_of(*op.getFalling(), [](bool f) { return f; }))
      return;
    constexpr int64_t kWidest = 64;
    int32_t flip = isFloat ? kSign : -1;
    std::vector<int32_t> table(in.channels + kWidest, 0);
    for (auto [c, falling] : llvm::enumerate(*op.getFalling()))
      table[c] = falling ? flip : 0;
    flips = b.constant(ArrayRef<int32_t>(table));
  }

protected:
  Values init(VectorType type) override {
    if (!isFloat)
      return {b.splat(type, int64_t(std::numeric_limits<int32_t>::min()))};
    return {b.splat(type, -std::numeric_limits<float>::infinity())};
  }

  Values combine(ValueRange state, ArrayRef<Value> taps) override {
    Value best = state[0];
    for (Value tap : taps)
      best = isFloat ? Value(arith::MaximumFOp::create(b, best, tap))
                     : Value(arith::MaxSIOp::create(b, best, tap));
    return {best};
  }

  Value finish(ValueRange state, Value) override { return state[0]; }

  Value turn(Value value, Value channel) override {
    if (!flips)
      return value;
    VectorType bits = bitsOf(value);
    Value flip = b.load(bits, flips, channel);
    return asType(b.xori(asType(value, bits), flip), value.getType());
  }

  static constexpr int32_t kSign = std::numeric_limits<int32_t>::min();

  VectorType bitsOf(Value vector) {
    return cast<VectorType>(vector.getType()).clone(b.getI32Type());
  }
  Value asType(Value value, Type type) {
    return b.createOrFold<vector::BitCastOp>(type, value);
  }

  bool isFloat;

private:
  Value flips; // of falling channels, null when there are none
};

/// Maxima of floats where the instruction for a > b ? a : b knows neither NaN
/// nor the sign of zero: beside the maximum of what is no NaN, the signs that
/// all taps have, and whether one of them is NaN. The sign of the maximum is
/// that of all taps together, of zeros too: a tap with a positive sign is at
/// least +0, and without one the maximum is at most -0.
class MaxPoolX86 : public MaxPool {
public:
  using MaxPool::MaxPool;

private:
  /// Comparisons give masks in registers of their own, else lanes of all ones.
  bool masks() const { return b.options.vectorBytes == 64; }

  Values init(VectorType type) override {
    Type flags = masks() ? b.getI1Type() : b.getI32Type();
    VectorType bits = type.clone(b.getI32Type());
    Value signs = b.splat(bits, int64_t(-1));
    return {MaxPool::init(type)[0], signs,
            b.splat(type.clone(flags), int64_t(masks() ? 1 : 0))};
  }

  Values combine(ValueRange state, ArrayRef<Value> taps) override {
    Value best = state[0], signs = state[1], flags = state[2];
    VectorType bits = bitsOf(best);
    for (Value tap : taps) {
      Value more =
          arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, tap, best);
      best = b.select(more, tap, best);
      signs = b.andi(signs, asType(tap, bits));
    }
    // One comparison finds the NaNs of two taps.
    for (size_t i = 0; i < taps.size(); i += 2) {
      Value other = taps[std::min(i + 1, taps.size() - 1)];
      auto predicate =
          masks() ? arith::CmpFPredicate::ORD : arith::CmpFPredicate::UNO;
      Value found = arith::CmpFOp::create(b, predicate, taps[i], other);
      flags = masks() ? b.andi(flags, found)
                      : b.ori(flags, arith::ExtSIOp::create(b, bits, found));
    }
    return {best, signs, flags};
  }

  Value finish(ValueRange state, Value) override {
    Value best = state[0];
    VectorType bits = bitsOf(best);
    Value size = b.andi(asType(best, bits), b.splat(bits, int64_t(~kSign)));
    Value sign = b.andi(state[1], b.splat(bits, int64_t(kSign)));
    Value nan = b.splat(bits, int64_t(0x7fc00000));
    Value whole = b.ori(size, sign);
    // All ones are a NaN as well.
    Value result =
        masks() ? b.select(state[2], whole, nan) : b.ori(whole, state[2]);
    return asType(result, best.getType());
  }
};

class AvgPool : public PlainPool {
public:
  AvgPool(LoopBuilder &b, hwgq::AvgPoolOp op, Value input, ImageRows *rows)
      : PlainPool(b, op, input, rows), includePad(op.getCountIncludePad()) {}

private:
  Value pixel(Value y, Value x) override {
    return arith::SIToFPOp::create(b, b.getF32Type(),
                                   b.toI32(window.count(b, y, x, includePad)));
  }
  Values init(VectorType type) override { return {b.splat(type, 0.0f)}; }
  Values combine(ValueRange state, ArrayRef<Value> taps) override {
    Value sum = state[0];
    for (Value tap : taps)
      sum = arith::AddFOp::create(b, sum, tap);
    return {sum};
  }
  Value finish(ValueRange state, Value count) override {
    auto type = cast<VectorType>(state[0].getType());
    return arith::DivFOp::create(b, state[0], b.broadcast(type, count));
  }

  bool includePad;
};

} // namespace

static std::shared_ptr<PlainPool> makePlainPool(LoopBuilder &b, Operation *pool,
                                                Value input, ImageRows *rows) {
  if (auto average = dyn_cast<hwgq::AvgPoolOp>(pool))
    return std::make_shared<AvgPool>(b, average, input, rows);
  auto max = cast<hwgq::MaxPoolOp>(pool);
  if (tensorType(max.getInput()).getElementType().isF32() && !b.options.neon)
    return std::make_shared<MaxPoolX86>(b, max, input, rows);
  return std::make_shared<MaxPool>(b, max, input, rows);
}

PoolRows hwgq::makePool(LoopBuilder &b, Operation *pool, Value input,
                        ImageRows *rows, const PoolOutput &out) {
  std::shared_ptr<PlainPool> plain = makePlainPool(b, pool, input, rows);
  return {plain->getWindow(), out.shape, plain->costOfRow(out.shape),
          [plain, out](Value n, Value y) { plain->emitRow(out, n, y); }};
}

void hwgq::emitPool(LoopBuilder &b, Operation *pool, Value input,
                    ImageRows *made, const PoolOutput &out) {
  if (auto average = dyn_cast<bitpack::AvgPoolOp>(pool))
    return emitPackedAvgPool(b, average, input, out);
  PoolRows rows = makePool(b, pool, input, made, out);
  forEachRow(b, rows.shape, rows.cost, rows.emit);
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
    emitPool(b, op, adaptor.getInput(), nullptr, PoolOutput::into(b, image));
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
