//===- OnnxQonnx.cpp - the quantisers of QONNX ----------------------------===//
//
// All in float32, each operation rounded, in the order of QONNX's own
// implementation.
//
//===----------------------------------------------------------------------===//
#include "OnnxOps.h"
#include "ScalarMath.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

using Rounding = float (*)(float);

static float roundUp(float y) {
  return std::copysign(std::ceil(std::fabs(y)), y);
}
static float roundHalfDown(float y) {
  return std::copysign(std::ceil(std::fabs(y) - 0.5f), y);
}
static float roundHalfUp(float y) {
  return std::copysign(std::floor(std::fabs(y) + 0.5f), y);
}

static FailureOr<Rounding> getRounding(Operation *op, StringRef missing) {
  std::string mode = stringAttr(op, "rounding_mode", missing).upper();
  auto found = llvm::StringSwitch<Rounding>(mode)
                   .Cases({"ROUND", "HALF_EVEN"}, RoundEven::apply<float>)
                   .Case("CEIL", Ceil::apply<float>)
                   .Case("FLOOR", Floor::apply<float>)
                   .Case("UP", roundUp)
                   .Cases({"DOWN", "ROUND_TO_ZERO"}, Trunc::apply<float>)
                   .Case("HALF_UP", roundHalfUp)
                   .Case("HALF_DOWN", roundHalfDown)
                   .Default(nullptr);
  if (!found)
    return op->emitError("rounding_mode '")
           << mode
           << "' is not one of ROUND, CEIL, FLOOR, UP, DOWN, HALF_EVEN, "
              "HALF_UP, HALF_DOWN";
  return found;
}

/// A number of bits: one element, integral, 1 to 32.
static FailureOr<int> getBits(Operation *op, const Tensor &t) {
  double bits = t.size() == 1 ? toVector<double>(t)[0] : 0;
  if (!(bits >= 1 && bits <= 32) || bits != std::floor(bits))
    return op->emitError("the bit width must be one whole number in 1..32");
  return int(bits);
}

namespace {
/// Operands brought to their common shape, as float.
struct Wide {
  SmallVector<int64_t> shape;
  SmallVector<std::vector<float>> values;
};
} // namespace

static FailureOr<Wide> widen(Operation *op, ArrayRef<Tensor> in) {
  Wide wide;
  FailureOr<SmallVector<int64_t>> shape = broadcastShapes(op, in);
  if (failed(shape))
    return failure();
  wide.shape = *shape;
  for (const Tensor &t : in) {
    if (!getScalarKind(t.getElementType()))
      return op->emitError("takes numbers, not ") << t.getType();
    FailureOr<Tensor> one = broadcastTo(op, t, *shape);
    if (failed(one))
      return failure();
    wide.values.push_back(toVector<float>(*one));
  }
  return wide;
}

namespace {
/// The ends of a grid of integers.
struct Grid {
  float low, high;
  Grid(int bits, bool isSigned, bool narrow) {
    double levels = std::ldexp(1.0, isSigned ? bits - 1 : bits);
    low = isSigned ? float(-levels + narrow) : 0;
    high = float(levels - 1 - (!isSigned && narrow));
  }
  /// NaN stays.
  float clamp(float y) const { return y > high ? high : y < low ? low : y; }
};
} // namespace

/// X, scale, zero point, bits: (round(clamp(X / scale + zp)) - zp) * scale.
static LogicalResult evaluateQuant(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 4, 4)))
    return failure();
  FailureOr<Rounding> rounding = getRounding(op, "ROUND");
  FailureOr<int> bits = getBits(op, in[3]);
  FailureOr<Wide> wide = widen(op, in.take_front(3));
  if (failed(rounding) || failed(bits) || failed(wide))
    return failure();
  bool isSigned = intAttr(op, "signed", 1), narrow = intAttr(op, "narrow", 0);
  Grid grid(*bits, isSigned, narrow);
  std::vector<float> &x = wide->values[0], &scale = wide->values[1],
                     &zero = wide->values[2];
  for (size_t i = 0; i < x.size(); ++i) {
    float y = x[i] / scale[i];
    y = y + zero[i];
    if (*bits == 1 && isSigned)
      y = y >= 0 ? 1.0f : -1.0f;
    else
      y = (*rounding)(grid.clamp(y));
    y = y - zero[i];
    x[i] = y * scale[i];
  }
  return give<float>(op, wide->shape, x, out);
}

/// X, scale: (X >= 0 ? 1 : -1) * scale.
static LogicalResult evaluateBipolarQuant(Operation *op, Operands in,
                                          Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  FailureOr<Wide> wide = widen(op, in);
  if (failed(wide))
    return failure();
  std::vector<float> &x = wide->values[0], &scale = wide->values[1];
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = (x[i] >= 0 ? 1.0f : -1.0f) * scale[i];
  return give<float>(op, wide->shape, x, out);
}

/// X, scale, zero point, input bits, output scale or none, output bits.
///
/// Without output scale: y = round(round_even(X / scale + zp) / 2^(in - out)),
/// (y - zp) * scale. With it: t = 2^round(log2(output scale / scale)),
/// y = round(clamp(round_even(X / scale + zp) / t)), (y - zp / t) * output
/// scale.
static LogicalResult evaluateTrunc(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 4, 6)))
    return failure();
  if (!has(in, 5))
    return op->emitError("operand 5, the output's bit width, is missing");
  FailureOr<Rounding> rounding = getRounding(op, "FLOOR");
  FailureOr<int> inBits = getBits(op, in[3]), outBits = getBits(op, in[5]);
  SmallVector<Tensor> operands(in.take_front(3));
  bool second = has(in, 4);
  if (second)
    operands.push_back(in[4]);
  FailureOr<Wide> wide = widen(op, operands);
  if (failed(rounding) || failed(inBits) || failed(outBits) || failed(wide))
    return failure();
  Grid grid(*outBits, intAttr(op, "signed", 1), intAttr(op, "narrow", 0));
  std::vector<float> &x = wide->values[0], &scale = wide->values[1],
                     &zero = wide->values[2];
  for (size_t i = 0; i < x.size(); ++i) {
    float y = x[i] / scale[i];
    y = RoundEven::apply(y + zero[i]);
    if (!second) {
      y = (*rounding)(y / std::ldexp(1.0f, *inBits - *outBits));
      x[i] = (y - zero[i]) * scale[i];
      continue;
    }
    float outScale = wide->values[3][i];
    float ratio = outScale / scale[i];
    float t = std::exp2(RoundEven::apply(float(std::log2(double(ratio)))));
    y = (*rounding)(grid.clamp(y / t));
    x[i] = (y - zero[i] / t) * outScale;
  }
  return give<float>(op, wide->shape, x, out);
}

/// X, T of [C, n] or [1, n]: out_scale * (number of t with X >= t) + out_bias.
static LogicalResult evaluateMultiThreshold(Operation *op, Operands in,
                                            Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  const Tensor &x = in[0], &t = in[1];
  if (t.getRank() != 2)
    return op->emitError("takes thresholds of rank 2");
  int64_t rows = t.getDimSize(0), count = t.getDimSize(1);
  bool last = stringAttr(op, "data_layout", "NCHW").ends_with("C");
  AxisSplit split = splitAt(x.getShape(), last ? x.getRank() - 1 : 1);
  if (rows != 1 && (rows != split.length || x.getRank() < 2))
    return op->emitError("has thresholds for ")
           << rows << " channels; the input has " << split.length;
  float scale = floatAttr(op, "out_scale", 1),
        bias = floatAttr(op, "out_bias", 0);
  std::vector<float> values = toVector<float>(x), steps = toVector<float>(t);
  for (size_t i = 0; i < values.size(); ++i) {
    int64_t row = rows == 1 ? 0 : int64_t(i) / split.inner % split.length;
    int64_t reached = 0;
    for (int64_t j = 0; j < count; ++j)
      reached += values[i] >= steps[row * count + j];
    float product = float(reached) * scale;
    values[i] = product + bias;
  }
  return give<float>(op, x.getShape(), values, out);
}

void hwgq::reference::registerOnnxQonnx(Registry &r) {
  r["onnx.Quant"] = evaluateQuant;
  r["onnx.BipolarQuant"] = evaluateBipolarQuant;
  r["onnx.Trunc"] = evaluateTrunc;
  r["onnx.MultiThreshold"] = evaluateMultiThreshold;
}
