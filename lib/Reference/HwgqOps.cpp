//===- HwgqOps.cpp - codes, steps, thresholds and pools -------------------===//
#include "HwgqOps.h"
#include "Chunks.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

/// The last dimension, 1 for rank 0.
static int64_t channelsOf(const Tensor &t) {
  return t.getRank() ? t.getShape().back() : 1;
}

/// The integer n of element i of codes or i32.
static int32_t numberAt(const Tensor &t, CodeType code, int64_t i) {
  return code ? code.toNumber(t.as<uint8_t>()[i]) : t.as<int32_t>()[i];
}

FailureOr<Tensor> hwgq::reference::applyAffine(Operation *op, const Tensor &x,
                                               ArrayRef<float> scale) {
  int64_t channels = channelsOf(x);
  if (scale.size() != 1 && int64_t(scale.size()) != channels)
    return op->emitError("has ")
           << scale.size() << " scales for " << channels << " channels";
  FailureOr<Tensor> y =
      makeTensor(op, x.getShape(), Float32Type::get(op->getContext()));
  if (failed(y))
    return failure();
  auto code = dyn_cast<CodeType>(x.getElementType());
  for (int64_t i = 0; i < x.size(); ++i)
    y->asMutable<float>()[i] = float(numberAt(x, code, i)) *
                               scale[scale.size() == 1 ? 0 : i % channels];
  return y;
}

FailureOr<Tensor> hwgq::reference::applyStep(Operation *op, const Tensor &x,
                                             StepAttr step, CodeType code) {
  FailureOr<Tensor> y = makeTensor(op, x.getShape(), code);
  if (failed(y))
    return failure();
  for (int64_t i = 0; i < x.size(); ++i) {
    int32_t n = step.evaluate(x.as<float>()[i]);
    if (!code.contains(n))
      return op->emitError("the step function gives ")
             << n << ", which is not a number of " << code;
    y->asMutable<uint8_t>()[i] = code.toCode(n);
  }
  return y;
}

FailureOr<Tensor> hwgq::reference::applyThresholds(Operation *op,
                                                   const Tensor &x,
                                                   ElementsAttr thresholds,
                                                   ArrayRef<int8_t> direction,
                                                   CodeType code) {
  auto values = getElementValues<int32_t>(thresholds);
  int64_t rows = direction.size(), channels = channelsOf(x);
  if (!values || rows == 0 || values->size() % rows ||
      (rows != 1 && rows != channels))
    return op->emitError("has thresholds that do not fit its channels");
  int64_t count = values->size() / rows;
  FailureOr<Tensor> y = makeTensor(op, x.getShape(), code);
  if (failed(y))
    return failure();
  auto inputCode = dyn_cast<CodeType>(x.getElementType());
  for (int64_t i = 0; i < x.size(); ++i) {
    int64_t row = rows == 1 ? 0 : i % channels;
    const int32_t *t = values->data() + row * count;
    int32_t n = numberAt(x, inputCode, i), result = 0;
    if (direction[row] == 0)
      result = t[0];
    else
      for (int64_t j = 0; j < count; ++j)
        result += direction[row] > 0 ? n >= t[j] : n <= t[j];
    y->asMutable<uint8_t>()[i] = uint8_t(result);
  }
  return y;
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

/// Calls `tap(flat pixel, in bounds)` for each tap of the window at (oh, ow).
template <typename F>
static void forEachTap(const Window &window, ArrayRef<int64_t> in, int64_t oh,
                       int64_t ow, F &&tap) {
  for (int64_t kh = 0; kh < window.kernel[0]; ++kh)
    for (int64_t kw = 0; kw < window.kernel[1]; ++kw) {
      int64_t h =
          oh * window.strides[0] + kh * window.dilations[0] - window.pads[0];
      int64_t w =
          ow * window.strides[1] + kw * window.dilations[1] - window.pads[1];
      bool inside = h >= 0 && h < in[1] && w >= 0 && w < in[2];
      // Within the padded input; ceil rounding may reach beyond it.
      bool padded = h < in[1] + window.pads[2] && w < in[2] + window.pads[3];
      tap(inside ? h * in[2] + w : -1, padded);
    }
}

/// Sizes of a pool's result; dynamic ones by floor rounding.
static SmallVector<int64_t> poolShape(const Tensor &x, const Window &window,
                                      ArrayRef<int64_t> outputSize) {
  SmallVector<int64_t> shape = {x.getDimSize(0)};
  for (unsigned d : {0, 1})
    shape.push_back(ShapedType::isDynamic(outputSize[d])
                        ? window.outputSize(x.getDimSize(d + 1), d)
                        : outputSize[d]);
  shape.push_back(x.getDimSize(3));
  return shape;
}

/// Calls `body(n, oh, ow)` for each pixel of a result.
template <typename F>
static void forEachPixel(ArrayRef<int64_t> shape, F &&body) {
  for (int64_t n = 0; n < shape[0]; ++n)
    for (int64_t oh = 0; oh < shape[1]; ++oh)
      for (int64_t ow = 0; ow < shape[2]; ++ow)
        body(n, oh, ow);
}

/// Whether `a` replaces `b`: larger, or smaller where falling; NaN wins, and
/// -0 is below +0.
template <typename T> static bool wins(T a, T b, bool falling) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b))
      return !std::isnan(b);
    if (a == b)
      return std::signbit(a) == falling && std::signbit(b) != falling;
  }
  return falling ? a < b : a > b;
}

template <typename T>
static void poolMaxOf(const Tensor &x, const Window &window, Tensor &y,
                      std::optional<ArrayRef<bool>> falling, bool &empty) {
  ArrayRef<int64_t> shape = y.getShape(), in = x.getShape();
  ArrayRef<T> from = x.as<T>();
  int64_t channels = in[3], row = 0;
  forEachPixel(shape, [&](int64_t n, int64_t oh, int64_t ow) {
    T *best = y.asMutable<T>().data() + row++ * channels;
    bool first = true;
    forEachTap(window, in, oh, ow, [&](int64_t pixel, bool) {
      if (pixel < 0)
        return;
      const T *tap = from.data() + (n * in[1] * in[2] + pixel) * channels;
      for (int64_t c = 0; c < channels; ++c)
        if (first || wins(tap[c], best[c], falling && (*falling)[c]))
          best[c] = tap[c];
      first = false;
    });
    empty |= first;
  });
}

FailureOr<Tensor>
hwgq::reference::poolMax(Operation *op, const Tensor &x, const Window &window,
                         ArrayRef<int64_t> outputSize,
                         std::optional<ArrayRef<bool>> falling) {
  FailureOr<Tensor> y =
      makeTensor(op, poolShape(x, window, outputSize), x.getElementType());
  if (failed(y))
    return failure();
  bool empty = false;
  if (isa<CodeType>(x.getElementType()))
    poolMaxOf<uint8_t>(x, window, *y, falling, empty);
  else if (x.getElementType().isF32())
    poolMaxOf<float>(x, window, *y, falling, empty);
  else
    poolMaxOf<int32_t>(x, window, *y, falling, empty);
  if (empty)
    return op->emitError("has a window without a tap in bounds");
  return y;
}

FailureOr<Tensor> hwgq::reference::poolAverage(Operation *op, const Tensor &x,
                                               const Window &window,
                                               ArrayRef<int64_t> outputSize,
                                               bool countIncludePad,
                                               float scale) {
  FailureOr<Tensor> y = makeTensor(op, poolShape(x, window, outputSize),
                                   Float32Type::get(op->getContext()));
  if (failed(y))
    return failure();
  auto code = dyn_cast<CodeType>(x.getElementType());
  ArrayRef<int64_t> in = x.getShape();
  int64_t channels = in[3], row = 0;
  bool empty = false;
  std::vector<float> sums(channels);
  std::vector<int64_t> numbers(channels);
  forEachPixel(y->getShape(), [&](int64_t n, int64_t oh, int64_t ow) {
    int64_t count = 0;
    std::fill(sums.begin(), sums.end(), 0.0f);
    std::fill(numbers.begin(), numbers.end(), 0);
    forEachTap(window, in, oh, ow, [&](int64_t pixel, bool padded) {
      count += countIncludePad ? padded : pixel >= 0;
      if (pixel < 0)
        return;
      int64_t at = (n * in[1] * in[2] + pixel) * channels;
      for (int64_t c = 0; c < channels; ++c)
        if (code)
          numbers[c] += code.toNumber(x.as<uint8_t>()[at + c]);
        else
          sums[c] += x.as<float>()[at + c];
    });
    empty |= count == 0;
    float *out = y->asMutable<float>().data() + row++ * channels;
    float factor = float(double(scale) / double(count));
    for (int64_t c = 0; c < channels; ++c)
      out[c] = code ? float(numbers[c]) * factor : sums[c] / float(count);
  });
  if (empty)
    return op->emitError("has a window without a tap to count");
  return y;
}

FailureOr<Tensor> hwgq::reference::padTensor(Operation *op, const Tensor &x,
                                             ArrayRef<int64_t> low,
                                             ArrayRef<int64_t> high,
                                             Attribute value) {
  SmallVector<int64_t> shape;
  for (int64_t d = 0; d < x.getRank(); ++d)
    shape.push_back(x.getDimSize(d) + low[d] + high[d]);
  FailureOr<Tensor> fill = makeTensor(op, {}, x.getElementType());
  if (failed(fill))
    return failure();
  if (auto number = dyn_cast<FloatAttr>(value))
    fill->asMutable<float>()[0] = number.getValue().convertToFloat();
  else if (auto code = dyn_cast<CodeType>(x.getElementType()))
    fill->asMutable<uint8_t>()[0] =
        code.toCode(cast<IntegerAttr>(value).getInt());
  else
    fill->asMutable<int32_t>()[0] = cast<IntegerAttr>(value).getInt();
  FailureOr<Tensor> y =
      copyStrided(op, *fill, shape, SmallVector<int64_t>(shape.size(), 0));
  if (failed(y))
    return failure();
  SmallVector<int64_t> strides = getStrides(shape);
  int64_t start = 0;
  for (size_t d = 0; d < shape.size(); ++d)
    start += low[d] * strides[d];
  writeStrided(x, *y, strides, start);
  return y;
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

static LogicalResult give(FailureOr<Tensor> result, Results &out) {
  if (failed(result))
    return failure();
  out.push_back(std::move(*result));
  return success();
}

template <typename OpTy> static CodeType resultCode(OpTy op) {
  return cast<CodeType>(getElementTypeOrSelf(op.getType()));
}

template <typename OpTy> static Window windowOf(OpTy op) {
  return {SmallVector<int64_t, 2>(op.getKernel()),
          SmallVector<int64_t, 2>(op.getStrides()),
          SmallVector<int64_t, 2>(op.getDilations()),
          SmallVector<int64_t, 4>(op.getPads())};
}

template <typename OpTy> static ArrayRef<int64_t> outputSizeOf(OpTy op) {
  return cast<RankedTensorType>(op.getType()).getShape().slice(1, 2);
}

static LogicalResult evaluateConv(Operation *op, Operands in, Results &out) {
  auto conv = cast<Conv2DOp>(op);
  return give(convolve(op, in[0], in[1],
                       {conv.getStrides(), conv.getPads(), conv.getDilations(),
                        int64_t(conv.getGroups())}),
              out);
}

static LogicalResult evaluateMatMul(Operation *op, Operands in, Results &out) {
  return give(multiply(op, in[0], in[1]), out);
}

static LogicalResult evaluateProduct(Operation *op, Operands in, Results &out) {
  auto p = cast<ProductOp>(op);
  return give(
      multiplyPairs(op, in[0], in[1], p.getInputDims(), p.getWeightDims()),
      out);
}

static LogicalResult evaluateAffine(Operation *op, Operands in, Results &out) {
  return give(applyAffine(op, in[0], cast<AffineOp>(op).getScale()), out);
}

static LogicalResult evaluateQuantize(Operation *op, Operands in,
                                      Results &out) {
  auto quantize = cast<QuantizeOp>(op);
  return give(applyStep(op, in[0], quantize.getStep(), resultCode(quantize)),
              out);
}

static LogicalResult evaluateThreshold(Operation *op, Operands in,
                                       Results &out) {
  auto threshold = cast<ThresholdOp>(op);
  return give(applyThresholds(op, in[0], threshold.getThresholds(),
                              threshold.getDirection(), resultCode(threshold)),
              out);
}

static LogicalResult evaluateMaxPool(Operation *op, Operands in, Results &out) {
  auto pool = cast<MaxPoolOp>(op);
  return give(
      poolMax(op, in[0], windowOf(pool), outputSizeOf(pool), pool.getFalling()),
      out);
}

static LogicalResult evaluateAvgPool(Operation *op, Operands in, Results &out) {
  auto pool = cast<AvgPoolOp>(op);
  return give(poolAverage(op, in[0], windowOf(pool), outputSizeOf(pool),
                          pool.getCountIncludePad(),
                          pool.getScale().convertToFloat()),
              out);
}

static LogicalResult evaluatePad(Operation *op, Operands in, Results &out) {
  auto pad = cast<PadOp>(op);
  return give(padTensor(op, in[0], pad.getLow(), pad.getHigh(), pad.getValue()),
              out);
}

void hwgq::reference::registerHwgqOps(Registry &r) {
  r["hwgq.conv2d"] = evaluateConv;
  r["hwgq.matmul"] = evaluateMatMul;
  r["hwgq.product"] = evaluateProduct;
  r["hwgq.affine"] = evaluateAffine;
  r["hwgq.quantize"] = evaluateQuantize;
  r["hwgq.threshold"] = evaluateThreshold;
  r["hwgq.max_pool"] = evaluateMaxPool;
  r["hwgq.avg_pool"] = evaluateAvgPool;
  r["hwgq.pad"] = evaluatePad;
}
