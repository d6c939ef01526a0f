//===- PackedElementwise.cpp - quantize, threshold, affine, constant ------===//
#include "Patterns.h"

using namespace mlir;
using namespace hwgq;

namespace {

/// Channels of a vector of 32-bit elements whose masks fill whole bytes.
int64_t chunkLanes(const LoopOptions &options) {
  return std::max<int64_t>(8, options.vectorBytes / 4);
}

/// Makes every packed pixel of `out` from chunks of channels:
/// planes(n, y, x, word, offset, lanes, valid) gives vectors of i1.
void emitPacked(LoopBuilder &b, const Image &out, double costPerChannel,
                llvm::function_ref<Values(Value, Value, Value, Value, int64_t,
                                          int64_t, int64_t)>
                    planes) {
  double cost = costPerChannel * double(out.width * out.channels);
  bool clear = out.hasHalo() || out.hasPadding();
  forEachRow(b, out, cost, [&](Value n, Value y) {
    if (clear)
      out.clearRow(b, n, y);
    b.loop(out.width, [&](Value x) {
      Value pixel = out.at(b, n, y, x);
      forEachChunk(
          b, out.channels, chunkLanes(b.options),
          [&](Value word, int64_t offset, int64_t lanes, int64_t valid) {
            storeCodes(b, out, pixel, word, b.index(offset),
                       planes(n, y, x, word, offset, lanes, valid), valid);
          });
    });
  });
}

/// Masks of lanes that are no channels become 0.
void maskTail(LoopBuilder &b, Values &planes, int64_t lanes, int64_t valid) {
  if (valid == lanes)
    return;
  VectorType type = b.vec(lanes, b.getI1Type());
  SmallVector<bool> keep(lanes, false);
  std::fill_n(keep.begin(), valid, true);
  Value mask = arith::ConstantOp::create(
      b, DenseElementsAttr::get(type, ArrayRef(keep)));
  for (Value &plane : planes)
    plane = b.andi(plane, mask);
}

//===----------------------------------------------------------------------===//
// quantize
//===----------------------------------------------------------------------===//

/// Code of x under a step function, as planes. With m_i = "x passes breakpoint
/// i" (nested, as the breakpoints are sorted), bit p of the code is its bit
/// for x below all, xor m_i for each i where the bit changes.
class StepPlanes {
public:
  StepPlanes(LoopBuilder &b, StepAttr step, CodeType code) : step(step) {
    for (int32_t n : step.getValues().asArrayRef())
      codes.push_back(code.toCode(n));
    nan = code.toCode(step.getNan());
    bits = code.getBits();
  }

  Values planes(LoopBuilder &b, Value x) const {
    auto type = cast<VectorType>(x.getType());
    VectorType mask = b.vec(type.getNumElements(), b.getI1Type());
    Values result;
    for (unsigned p = 0; p < bits; ++p)
      result.push_back(b.splat(mask, int64_t((codes[0] >> p) & 1)));
    for (size_t i = 0; i + 1 < codes.size(); ++i) {
      uint8_t changes = codes[i] ^ codes[i + 1];
      if (!changes)
        continue;
      auto predicate = step.getClosed()[i] ? arith::CmpFPredicate::OGE
                                           : arith::CmpFPredicate::OGT;
      Value passed = arith::CmpFOp::create(
          b, predicate, x, b.splat(type, step.getBreakpoints()[i]));
      for (unsigned p = 0; p < bits; ++p)
        if ((changes >> p) & 1)
          result[p] = b.xori(result[p], passed);
    }
    // Comparisons with NaN fail, so that it has code 0 of the list so far.
    if (uint8_t changes = codes[0] ^ nan) {
      Value isNan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
      for (unsigned p = 0; p < bits; ++p)
        if ((changes >> p) & 1)
          result[p] = b.xori(result[p], isNan);
    }
    return result;
  }

private:
  StepAttr step;
  SmallVector<uint8_t> codes;
  uint8_t nan;
  unsigned bits;
};

struct QuantizePattern : LoopPattern<bitpack::QuantizeOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, bitpack::QuantizeOp op,
                        Adaptor adaptor) const override {
    Image in = viewImage(b, tensorType(op.getInput()), adaptor.getInput());
    Value result;
    Image out = allocateImage(b, tensorType(op.getResult()), in.batch, result);
    StepPlanes step(b, op.getStep(), out.code);
    double cost = 0.05 * double(op.getStep().getValues().size());
    emitPacked(b, out, cost,
               [&](Value n, Value y, Value x, Value word, int64_t offset,
                   int64_t lanes, int64_t valid) {
                 Value at =
                     b.add(in.at(b, n, y, x), b.add(b.mul(word, 64), offset));
                 Values planes =
                     step.planes(b, b.loadPart(b.vec(lanes, b.getF32Type()),
                                               in.memory, at, valid));
                 maskTail(b, planes, lanes, valid);
                 return planes;
               });
    return result;
  }
};

//===----------------------------------------------------------------------===//
// threshold
//===----------------------------------------------------------------------===//

struct ThresholdPattern : LoopPattern<bitpack::ThresholdOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, bitpack::ThresholdOp op,
                        Adaptor adaptor) const override {
    Image in = viewImage(b, tensorType(op.getInput()), adaptor.getInput());
    Value result;
    Image out = allocateImage(b, tensorType(op.getResult()), in.batch, result);
    ThresholdTable table(b, op.getThresholds(), op.getDirection(), out.channels,
                         chunkLanes(options), out.code);
    emitPacked(b, out, 0.2,
               [&](Value n, Value y, Value x, Value word, int64_t offset,
                   int64_t lanes, int64_t valid) {
                 Value channel = b.add(b.mul(word, 64), offset);
                 Value pixel = in.at(b, n, y, x), acc;
                 if (in.packed())
                   acc = toNumbers(
                       b, in.code,
                       loadCodes(b, in, pixel, word, offset, lanes, valid));
                 else
                   acc = b.loadPart(b.vec(lanes, b.getI32Type()), in.memory,
                                    b.add(pixel, channel), valid);
                 Values planes = table.planes(b, acc, channel);
                 maskTail(b, planes, lanes, valid);
                 return planes;
               });
    return result;
  }
};

//===----------------------------------------------------------------------===//
// affine, constant
//===----------------------------------------------------------------------===//

/// f32(f32(n) * scale) for chunks of channels.
class ScaleTable {
public:
  ScaleTable(LoopBuilder &b, ArrayRef<float> scale, int64_t lanes) {
    if (scale.size() == 1) {
      single = scale[0];
      return;
    }
    std::vector<float> padded(scale.begin(), scale.end());
    padded.resize(llvm::alignTo(padded.size(), lanes));
    table = b.constant(ArrayRef<float>(padded));
  }

  Value apply(LoopBuilder &b, Value numbers, Value channel) const {
    VectorType type = b.vec(
        cast<VectorType>(numbers.getType()).getNumElements(), b.getF32Type());
    Value value = arith::SIToFPOp::create(b, type, numbers);
    if (!table && single == 1.0f)
      return value;
    Value scale = table ? b.load(type, table, channel) : b.splat(type, single);
    return arith::MulFOp::create(b, value, scale);
  }

private:
  Value table;
  float single = 1;
};

struct PackedAffinePattern : LoopPattern<bitpack::AffineOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, bitpack::AffineOp op,
                        Adaptor adaptor) const override {
    Image in = viewImage(b, tensorType(op.getInput()), adaptor.getInput());
    Value result;
    Image out = allocateImage(b, tensorType(op.getResult()), in.batch, result);
    int64_t lanes = chunkLanes(options);
    ScaleTable scale(b, op.getScale(), lanes);
    forEachRow(
        b, out, 0.1 * double(out.width * out.channels), [&](Value n, Value y) {
          b.loop(out.width, [&](Value x) {
            Value from = in.at(b, n, y, x), to = out.at(b, n, y, x);
            forEachChunk(
                b, out.channels, lanes,
                [&](Value word, int64_t offset, int64_t size, int64_t valid) {
                  Value channel = b.add(b.mul(word, 64), offset);
                  Value numbers = toNumbers(
                      b, in.code,
                      loadCodes(b, in, from, word, offset, size, valid));
                  b.storePart(scale.apply(b, numbers, channel), out.memory,
                              b.add(to, channel), valid);
                });
          });
        });
    return result;
  }
};

struct PlainAffinePattern : LoopPattern<hwgq::AffineOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, hwgq::AffineOp op,
                        Adaptor adaptor) const override {
    Image in = viewImage(b, tensorType(op.getInput()), adaptor.getInput());
    if (in.packed())
      return op.emitError("codes need a layout here");
    Value result;
    Image out = allocateImage(b, tensorType(op.getResult()), in.batch, result);
    int64_t lanes = chunkLanes(options);
    ScaleTable scale(b, op.getScale(), lanes);
    forEachRow(
        b, out, 0.1 * double(out.width * out.channels), [&](Value n, Value y) {
          b.loop(out.width, [&](Value x) {
            Value at = in.at(b, n, y, x);
            forEachChunk(
                b, out.channels, lanes,
                [&](Value word, int64_t offset, int64_t size, int64_t valid) {
                  Value channel = b.add(b.mul(word, 64), offset);
                  Value from = b.add(at, channel);
                  Value numbers = b.loadPart(b.vec(size, b.getI32Type()),
                                             in.memory, from, valid);
                  b.storePart(scale.apply(b, numbers, channel), out.memory,
                              from, valid);
                });
          });
        });
    return result;
  }
};

struct ConstantPattern : LoopPattern<bitpack::ConstantOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, bitpack::ConstantOp op,
                        Adaptor adaptor) const override {
    auto type = getTypeConverter()->convertType<MemRefType>(op.getType());
    return b.constant(type, op.getWords());
  }
};

} // namespace

void hwgq::populatePackedElementwise(RewritePatternSet &patterns,
                                     const TypeConverter &converter,
                                     const LoopOptions &options) {
  patterns.add<QuantizePattern, ThresholdPattern, PackedAffinePattern,
               PlainAffinePattern, ConstantPattern>(
      converter, patterns.getContext(), options);
}
