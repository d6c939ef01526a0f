//===- OnnxQuantization.cpp - QuantizeLinear and the integer layers -------===//
#include "OnnxContraction.h"
#include "OnnxOps.h"
#include "ScalarMath.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

namespace {
/// A scale or zero point: one for all, or one for each index of an axis.
struct Parameter {
  int64_t count = 1, inner = 1;
  int64_t indexOf(int64_t element) const {
    return count == 1 ? 0 : element / inner % count;
  }
};
} // namespace

/// How `parameter` applies to x; blocked ones are refused.
static FailureOr<Parameter> locate(Operation *op, const Tensor &x,
                                   const Tensor &parameter, int64_t axis) {
  if (parameter.size() == 1 && parameter.getRank() <= 1)
    return Parameter();
  if (intAttr(op, "block_size", 0) != 0 || parameter.getRank() > 1)
    return op->emitError("blocked quantisation is not supported; scales per "
                         "tensor and per axis are");
  FailureOr<int64_t> at = normalizeAxis(op, axis, x.getRank());
  if (failed(at))
    return failure();
  AxisSplit split = splitAt(x.getShape(), *at);
  if (split.length != parameter.size())
    return op->emitError("has ")
           << parameter.size() << " scales or zero points "
           << "for " << split.length << " channels";
  return Parameter{split.length, split.inner};
}

/// Saturates round_half_even(value) + zero to an integer type; NaN gives its
/// least number.
static int64_t saturate(float value, int64_t zero, IntegerRange range) {
  if (std::isnan(value))
    return range.low;
  float rounded = RoundEven::apply(value);
  if (rounded > 1e9f)
    return range.high;
  if (rounded < -1e9f)
    return range.low;
  return std::clamp(int64_t(rounded) + zero, range.low, range.high);
}

static std::vector<int64_t> zeroPoints(Operands in, size_t i, size_t count) {
  return has(in, i) ? toVector<int64_t>(in[i]) : std::vector<int64_t>(count, 0);
}

/// saturate(round_half_even(x / scale) + zero point).
static LogicalResult evaluateQuantize(Operation *op, Operands in,
                                      Results &out) {
  if (failed(checkOperands(op, in, 2, 3)))
    return failure();
  FailureOr<Parameter> p = locate(op, in[0], in[1], intAttr(op, "axis", 1));
  if (failed(p))
    return failure();
  Type element = resultElement(op);
  if (!isa<IntegerType>(element) || !getScalarKind(in[0].getElementType()))
    return op->emitError("gives integers of 2 to 32 bits, not ") << element;
  if (has(in, 2) && in[2].size() != in[1].size())
    return op->emitError("scale and zero point have different sizes");
  std::vector<float> x = toVector<float>(in[0]), scale = toVector<float>(in[1]);
  std::vector<int64_t> zero = zeroPoints(in, 2, scale.size()), codes(x.size());
  // The quotient has the type of x, where that is a float.
  Type quotient = isa<FloatType>(in[0].getElementType())
                      ? in[0].getElementType()
                      : in[1].getElementType();
  for (size_t i = 0; i < x.size(); ++i) {
    int64_t c = p->indexOf(i);
    codes[i] = saturate(roundToElement(x[i] / scale[c], quotient), zero[c],
                        rangeOf(element));
  }
  return give<int64_t>(op, in[0].getShape(), codes, out);
}

/// (x - zero point) * scale.
static LogicalResult evaluateDequantize(Operation *op, Operands in,
                                        Results &out) {
  if (failed(checkOperands(op, in, 2, 3)))
    return failure();
  FailureOr<Parameter> p = locate(op, in[0], in[1], intAttr(op, "axis", 1));
  if (failed(p))
    return failure();
  if (!isa<IntegerType>(in[0].getElementType()))
    return op->emitError("takes integers of 2 to 32 bits, not ")
           << in[0].getElementType();
  if (has(in, 2) && in[2].size() != in[1].size())
    return op->emitError("scale and zero point have different sizes");
  std::vector<float> scale = toVector<float>(in[1]), y(in[0].size());
  std::vector<int64_t> zero = zeroPoints(in, 2, scale.size());
  std::vector<int64_t> x = toVector<int64_t>(in[0]);
  for (size_t i = 0; i < y.size(); ++i) {
    int64_t c = p->indexOf(i);
    y[i] = float(x[i] - zero[c]) * scale[c];
  }
  return give<float>(op, in[0].getShape(), y, out);
}

/// scale = (max - min) / 255 over values and 0; the zero point is
/// round(clamp(0 - min / scale)).
static LogicalResult evaluateDynamicQuantize(Operation *op, Operands in,
                                             Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  std::vector<float> x = toVector<float>(in[0]);
  float low = 0, high = 0;
  for (float v : x) {
    low = Minimum::apply(low, v);
    high = Maximum::apply(high, v);
  }
  float span = high == low ? 1.0f : high - low;
  float scale = span / 255.0f, offset = 0.0f - low / scale;
  int64_t zero = saturate(std::clamp(offset, 0.0f, 255.0f), 0, {0, 255});
  std::vector<int64_t> codes(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    codes[i] = saturate(x[i] / scale, zero, {0, 255});
  return failure(failed(give<int64_t>(op, in[0].getShape(), codes, out)) ||
                 failed(give<float>(op, {}, scale, out)) ||
                 failed(give<int64_t>(op, {}, zero, out)));
}

//===----------------------------------------------------------------------===//
// Integer contractions
//===----------------------------------------------------------------------===//

/// x - zero point as int64_t; the zero point is one, or one an index of `axis`.
static FailureOr<std::vector<int64_t>>
centre(Operation *op, Operands in, size_t x, size_t zero, int64_t axis) {
  if (!isa<IntegerType>(in[x].getElementType()))
    return op->emitError("takes integers, not ") << in[x].getElementType();
  std::vector<int64_t> values = toVector<int64_t>(in[x]);
  if (!has(in, zero))
    return values;
  FailureOr<Parameter> p = Parameter();
  if (in[zero].size() != 1)
    p = locate(op, in[x], in[zero], axis);
  if (failed(p))
    return failure();
  std::vector<int64_t> zeros = toVector<int64_t>(in[zero]);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] -= zeros[p->indexOf(i)];
  return values;
}

static LogicalResult evaluateConvInteger(Operation *op, Operands in,
                                         Results &out) {
  if (failed(checkOperands(op, in, 2, 4)))
    return failure();
  auto x = centre(op, in, 0, 2, 0), w = centre(op, in, 1, 3, 0);
  auto shape = getConvolution(op, in[0], in[1]);
  if (failed(x) || failed(w) || failed(shape))
    return failure();
  std::vector<int64_t> y = convolveImages<int64_t>(*shape, *x, *w);
  return give<int64_t>(op, getResultShape(*shape), y, out);
}

static LogicalResult evaluateMatMulInteger(Operation *op, Operands in,
                                           Results &out) {
  if (failed(checkOperands(op, in, 2, 4)))
    return failure();
  // Zero points of a are per row, those of b per column.
  auto a = centre(op, in, 0, 2, -2), b = centre(op, in, 1, 3, -1);
  if (failed(a) || failed(b))
    return failure();
  SmallVector<int64_t> shape;
  auto y = multiplyMatrices<int64_t>(op, in[0].getShape(), *a, in[1].getShape(),
                                     *b, shape);
  if (failed(y))
    return failure();
  return give<int64_t>(op, shape, *y, out);
}

/// saturate(round_half_even(acc * (s_a * s_b / s_y)) + zero): operands a, s_a,
/// z_a, b, s_b, z_b, s_y, z_y; float32 throughout.
static LogicalResult requantize(Operation *op, Operands in,
                                ArrayRef<int64_t> shape,
                                std::vector<int64_t> acc, int64_t channelAxis,
                                Results &out) {
  if (in[1].size() != 1 || in[6].size() != 1 || in[7].size() != 1)
    return op->emitError("scales and zero points of the input and result must "
                         "be scalars");
  float sa = toVector<float>(in[1])[0], sy = toVector<float>(in[6])[0];
  std::vector<float> sb = toVector<float>(in[4]);
  int64_t zero = in[7].getInt(0);
  AxisSplit split = splitAt(shape, channelAxis);
  if (sb.size() != 1 && int64_t(sb.size()) != split.length)
    return op->emitError("has ")
           << sb.size() << " weight scales for " << split.length << " channels";
  IntegerRange range = rangeOf(resultElement(op));
  for (size_t i = 0; i < acc.size(); ++i) {
    float s = sb[sb.size() == 1 ? 0 : int64_t(i) / split.inner % split.length];
    float factor = sa * s;
    factor = factor / sy;
    acc[i] = saturate(float(acc[i]) * factor, zero, range);
  }
  return give<int64_t>(op, shape, acc, out);
}

static LogicalResult evaluateQLinearConv(Operation *op, Operands in,
                                         Results &out) {
  if (failed(checkOperands(op, in, 8, 9)))
    return failure();
  auto x = centre(op, in, 0, 2, 0), w = centre(op, in, 3, 5, 0);
  auto shape = getConvolution(op, in[0], in[3]);
  if (failed(x) || failed(w) || failed(shape))
    return failure();
  std::vector<int64_t> y = convolveImages<int64_t>(*shape, *x, *w);
  SmallVector<int64_t> result = getResultShape(*shape);
  if (has(in, 8)) {
    std::vector<int64_t> bias = toVector<int64_t>(in[8]);
    AxisSplit split = splitAt(result, 1);
    if (int64_t(bias.size()) != split.length)
      return op->emitError("the bias must have ")
             << split.length << " elements";
    for (size_t i = 0; i < y.size(); ++i)
      y[i] += bias[int64_t(i) / split.inner % split.length];
  }
  return requantize(op, in, result, y, 1, out);
}

static LogicalResult evaluateQLinearMatMul(Operation *op, Operands in,
                                           Results &out) {
  if (failed(checkOperands(op, in, 8, 8)))
    return failure();
  auto a = centre(op, in, 0, 2, -2), b = centre(op, in, 3, 5, -1);
  if (failed(a) || failed(b))
    return failure();
  SmallVector<int64_t> shape;
  auto y = multiplyMatrices<int64_t>(op, in[0].getShape(), *a, in[3].getShape(),
                                     *b, shape);
  if (failed(y))
    return failure();
  return requantize(op, in, shape, *y, int64_t(shape.size()) - 1, out);
}

void hwgq::reference::registerOnnxQuantization(Registry &r) {
  r["onnx.QuantizeLinear"] = evaluateQuantize;
  r["onnx.DequantizeLinear"] = evaluateDequantize;
  r["onnx.DynamicQuantizeLinear"] = evaluateDynamicQuantize;
  r["onnx.ConvInteger"] = evaluateConvInteger;
  r["onnx.MatMulInteger"] = evaluateMatMulInteger;
  r["onnx.QLinearConv"] = evaluateQLinearConv;
  r["onnx.QLinearMatMul"] = evaluateQLinearMatMul;
}
