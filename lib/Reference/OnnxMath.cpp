//===- OnnxMath.cpp - functions of one operand ----------------------------===//
#include "OnnxOps.h"
#include "ScalarMath.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

/// y = F(x) on any number, in the element type.
template <typename F>
static LogicalResult numbers(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  return withNumber(op, in[0].getElementType(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> values = toVector<T>(in[0]);
    for (T &v : values)
      v = F::template apply<T>(v);
    return give<T>(op, in[0].getShape(), values, out);
  });
}

/// y = F(x) on floats, in the element type.
template <typename F>
static LogicalResult floats(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  return withFloat(op, in[0].getElementType(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> values = toVector<T>(in[0]);
    for (T &v : values)
      v = F::template apply<T>(v);
    return give<T>(op, in[0].getShape(), values, out);
  });
}

/// y = F(x, op) in double, rounded once.
using DoubleFunction = double (*)(double x, float alpha, float beta);
template <DoubleFunction f>
static LogicalResult doubles(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  if (!isa<FloatType>(in[0].getElementType()))
    return op->emitError("takes floats");
  StringRef name = op->getName().getStringRef();
  bool selu = name == "onnx.Selu";
  float alpha = floatAttr(op, "alpha", selu ? 1.67326319217681884765625f : 1);
  float second = floatAttr(op, "gamma", 1.05070102214813232421875f);
  std::vector<double> values = toVector<double>(in[0]);
  for (double &v : values)
    v = f(v, alpha, second);
  return give<double>(op, in[0].getShape(), values, out);
}

namespace {
struct AbsN {
  template <typename T> static T apply(T x) {
    if constexpr (std::is_integral_v<T>)
      return x < 0 ? T(0 - uint64_t(x)) : x;
    else
      return std::fabs(x);
  }
};
struct NegN {
  template <typename T> static T apply(T x) {
    if constexpr (std::is_integral_v<T>)
      return T(0 - uint64_t(x));
    else
      return -x;
  }
};
/// -1, 0 or 1; NaN gives NaN.
struct SignN {
  template <typename T> static T apply(T x) {
    return x > 0 ? T(1) : x < 0 ? T(-1) : x == 0 ? T(0) : x;
  }
};
struct ReluN {
  template <typename T> static T apply(T x) {
    if constexpr (std::is_integral_v<T>)
      return std::max<T>(x, 0);
    else
      return Maximum::apply(x, T(0));
  }
};
struct Reciprocal {
  template <typename T> static T apply(T x) { return T(1) / x; }
};
struct Softsign {
  template <typename T> static T apply(T x) {
    return x / (T(1) + std::fabs(x));
  }
};
} // namespace

static double expD(double x, float, float) { return std::exp(x); }
static double logD(double x, float, float) { return std::log(x); }
static double tanhD(double x, float, float) { return std::tanh(x); }
static double erfD(double x, float, float) { return std::erf(x); }
static double sigmoidD(double x, float, float) {
  return 1 / (1 + std::exp(-x));
}
static double softplusD(double x, float, float) {
  return std::isnan(x) ? x
                       : std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}
static double eluD(double x, float alpha, float) {
  return x < 0 ? alpha * std::expm1(x) : x;
}
static double celuD(double x, float alpha, float) {
  return x < 0 ? alpha * std::expm1(x / alpha) : x;
}
static double seluD(double x, float alpha, float gamma) {
  return gamma * (x <= 0 ? alpha * std::expm1(x) : x);
}

/// A function of x and the attributes alpha and beta, in the element type.
template <typename F>
static LogicalResult parametric(Operation *op, Operands in, Results &out,
                                float alpha, float beta, F &&f) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  return withFloat(op, in[0].getElementType(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> values = toVector<T>(in[0]);
    for (T &v : values)
      v = f(v, T(alpha), T(beta));
    return give<T>(op, in[0].getShape(), values, out);
  });
}

static LogicalResult evaluateLeakyRelu(Operation *op, Operands in,
                                       Results &out) {
  return parametric(
      op, in, out, floatAttr(op, "alpha", 0.01f), 0,
      [](auto x, auto alpha, auto) { return x < 0 ? alpha * x : x; });
}

static LogicalResult evaluateThresholdedRelu(Operation *op, Operands in,
                                             Results &out) {
  return parametric(op, in, out, floatAttr(op, "alpha", 1), 0,
                    [](auto x, auto alpha, auto) {
                      return x > alpha || std::isnan(x) ? x : decltype(x)(0);
                    });
}

/// max(0, min(1, alpha * x + beta)), each step rounded.
static LogicalResult evaluateHardSigmoid(Operation *op, Operands in,
                                         Results &out) {
  return parametric(op, in, out, floatAttr(op, "alpha", 0.2f),
                    floatAttr(op, "beta", 0.5f),
                    [](auto x, auto alpha, auto beta) {
                      using T = decltype(x);
                      T product = alpha * x, sum = product + beta;
                      return Maximum::apply(Minimum::apply(sum, T(1)), T(0));
                    });
}

static LogicalResult evaluateIsNaN(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  return withFloat(op, in[0].getElementType(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<int64_t> values;
    for (T v : toVector<T>(in[0]))
      values.push_back(std::isnan(v));
    return give<int64_t>(op, in[0].getShape(), values, out);
  });
}

static LogicalResult evaluateNot(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  std::vector<int64_t> values = toVector<int64_t>(in[0]);
  for (int64_t &v : values)
    v = !v;
  return give<int64_t>(op, in[0].getShape(), values, out);
}

void hwgq::reference::registerOnnxMath(Registry &r) {
  r["onnx.Abs"] = numbers<AbsN>;
  r["onnx.Neg"] = numbers<NegN>;
  r["onnx.Sign"] = numbers<SignN>;
  r["onnx.Relu"] = numbers<ReluN>;
  r["onnx.Floor"] = floats<Floor>;
  r["onnx.Ceil"] = floats<Ceil>;
  r["onnx.Round"] = floats<RoundEven>;
  r["onnx.Sqrt"] = floats<Sqrt>;
  r["onnx.Reciprocal"] = floats<Reciprocal>;
  r["onnx.Softsign"] = floats<Softsign>;
  r["onnx.Exp"] = doubles<expD>;
  r["onnx.Log"] = doubles<logD>;
  r["onnx.Tanh"] = doubles<tanhD>;
  r["onnx.Erf"] = doubles<erfD>;
  r["onnx.Sigmoid"] = doubles<sigmoidD>;
  r["onnx.Softplus"] = doubles<softplusD>;
  r["onnx.Elu"] = doubles<eluD>;
  r["onnx.Celu"] = doubles<celuD>;
  r["onnx.Selu"] = doubles<seluD>;
  r["onnx.LeakyRelu"] = evaluateLeakyRelu;
  r["onnx.ThresholdedRelu"] = evaluateThresholdedRelu;
  r["onnx.HardSigmoid"] = evaluateHardSigmoid;
  r["onnx.IsNaN"] = evaluateIsNaN;
  r["onnx.Not"] = evaluateNot;
}
