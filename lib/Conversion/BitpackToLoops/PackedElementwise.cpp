//===- PackedElementwise.cpp - quantize, threshold, affine, constant ------===//
#include "Patterns.h"
#include "Steps.h"

using namespace mlir;
using namespace hwgq;

namespace {

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

//===----------------------------------------------------------------------===//
// quantize
//===----------------------------------------------------------------------===//

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

struct PackedAffinePattern : LoopPattern<bitpack::AffineOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, bitpack::AffineOp op,
                        Adaptor adaptor) const override {
    Image in = viewImage(b, tensorType(op.getInput()), adaptor.getInput());
    Value result;
    Image out = allocateImage(b, tensorType(op.getResult()), in.batch, result);
    int64_t lanes = chunkLanes(options);
    ScaleTable scale(b, op.getScale());
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
    ScaleTable scale(b, op.getScale());
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
