//===- OnnxNormalization.cpp - BatchNormalization, Softmax and the like ---===//
#include "OnnxOps.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

/// Operands x, g, beta, mean, var: with a = g / sqrt(var + eps), rounded once,
/// b = beta - mean * a and y = x * a + b, each operation rounded.
static LogicalResult evaluateBatchNorm(Operation *op, Operands in,
                                       Results &out) {
  if (failed(checkOperands(op, in, 5, 5)))
    return failure();
  if (in[0].getRank() < 2)
    return op->emitError("takes an input with channels");
  AxisSplit s = splitAt(in[0].getShape(), 1);
  for (const Tensor &t : in.drop_front())
    if (t.size() != s.length)
      return op->emitError("needs ")
             << s.length << " elements in each parameter";
  double epsilon = floatAttr(op, "epsilon", 1e-5f);
  return withFloat(op, in[0].getElementType(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> x = toVector<T>(in[0]), beta = toVector<T>(in[2]),
                   mean = toVector<T>(in[3]);
    std::vector<double> g = toVector<double>(in[1]),
                        var = toVector<double>(in[4]);
    std::vector<T> a(s.length), b(s.length);
    for (int64_t c = 0; c < s.length; ++c) {
      a[c] = T(g[c] / std::sqrt(var[c] + epsilon));
      T shift = mean[c] * a[c];
      b[c] = beta[c] - shift;
    }
    for (size_t i = 0; i < x.size(); ++i) {
      int64_t c = int64_t(i) / s.inner % s.length;
      T product = x[i] * a[c];
      x[i] = product + b[c];
    }
    return give<T>(op, in[0].getShape(), x, out);
  });
}

/// Operands x, g, beta: over each image of a channel, in double, rounded once.
static LogicalResult evaluateInstanceNorm(Operation *op, Operands in,
                                          Results &out) {
  if (failed(checkOperands(op, in, 3, 3)))
    return failure();
  if (in[0].getRank() < 3)
    return op->emitError("takes an image [N, C, ...]");
  AxisSplit s = splitAt(in[0].getShape(), 1);
  if (in[1].size() != s.length || in[2].size() != s.length)
    return op->emitError("needs ") << s.length << " elements in each parameter";
  double epsilon = floatAttr(op, "epsilon", 1e-5f);
  std::vector<double> x = toVector<double>(in[0]), g = toVector<double>(in[1]),
                      beta = toVector<double>(in[2]);
  for (int64_t image = 0; image < s.outer * s.length; ++image) {
    double *v = x.data() + image * s.inner, sum = 0, squares = 0;
    for (int64_t i = 0; i < s.inner; ++i)
      sum += v[i];
    double mean = sum / double(s.inner);
    for (int64_t i = 0; i < s.inner; ++i)
      squares += (v[i] - mean) * (v[i] - mean);
    double deviation = std::sqrt(squares / double(s.inner) + epsilon);
    int64_t c = image % s.length;
    for (int64_t i = 0; i < s.inner; ++i)
      v[i] = g[c] * (v[i] - mean) / deviation + beta[c];
  }
  return give<double>(op, in[0].getShape(), x, out);
}

/// x / (bias + alpha / size * sum of squares over `size` channels)^beta.
static LogicalResult evaluateLrn(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  int64_t size = intAttr(op, "size", 0);
  if (in[0].getRank() < 2 || size < 1)
    return op->emitError("takes an input with channels and a positive size");
  double alpha = floatAttr(op, "alpha", 1e-4f),
         beta = floatAttr(op, "beta", 0.75f), bias = floatAttr(op, "bias", 1);
  AxisSplit s = splitAt(in[0].getShape(), 1);
  std::vector<double> x = toVector<double>(in[0]), y(x.size());
  int64_t before = (size - 1) / 2, after = size - 1 - before;
  for (int64_t n = 0; n < s.outer; ++n)
    for (int64_t c = 0; c < s.length; ++c)
      for (int64_t i = 0; i < s.inner; ++i) {
        double sum = 0;
        int64_t first = std::max<int64_t>(0, c - before);
        int64_t last = std::min(s.length - 1, c + after);
        for (int64_t k = first; k <= last; ++k) {
          double v = x[(n * s.length + k) * s.inner + i];
          sum += v * v;
        }
        int64_t at = (n * s.length + c) * s.inner + i;
        y[at] = x[at] / std::pow(bias + alpha / double(size) * sum, beta);
      }
  return give<double>(op, in[0].getShape(), y, out);
}

/// Along an axis, in double, rounded once.
template <bool logarithm>
static LogicalResult evaluateSoftmax(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  if (in[0].getRank() == 0)
    return give<double>(op, {}, logarithm ? 0.0 : 1.0, out);
  FailureOr<int64_t> axis =
      normalizeAxis(op, intAttr(op, "axis", -1), in[0].getRank());
  if (failed(axis))
    return failure();
  AxisSplit s = splitAt(in[0].getShape(), *axis);
  std::vector<double> x = toVector<double>(in[0]);
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) {
      auto at = [&](int64_t k) -> double & {
        return x[(o * s.length + k) * s.inner + i];
      };
      double top = -std::numeric_limits<double>::infinity(), sum = 0;
      for (int64_t k = 0; k < s.length; ++k)
        top = std::max(top, at(k));
      for (int64_t k = 0; k < s.length; ++k)
        sum += std::exp(at(k) - top);
      for (int64_t k = 0; k < s.length; ++k)
        at(k) = logarithm ? at(k) - top - std::log(sum)
                          : std::exp(at(k) - top) / sum;
    }
  return give<double>(op, in[0].getShape(), x, out);
}

void hwgq::reference::registerOnnxNormalization(Registry &r) {
  r["onnx.BatchNormalization"] = evaluateBatchNorm;
  r["onnx.InstanceNormalization"] = evaluateInstanceNorm;
  r["onnx.LRN"] = evaluateLrn;
  r["onnx.Softmax"] = evaluateSoftmax<false>;
  r["onnx.LogSoftmax"] = evaluateSoftmax<true>;
}
