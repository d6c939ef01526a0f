//===- OnnxElementwise.cpp - arithmetic and comparisons -------------------===//
#include "OnnxOps.h"
#include "ScalarMath.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

/// Brings operands to their common shape.
static FailureOr<SmallVector<int64_t>>
broadcastAll(Operation *op, Operands in, SmallVectorImpl<Tensor> &wide) {
  FailureOr<SmallVector<int64_t>> shape = broadcastShapes(op, in);
  if (failed(shape))
    return failure();
  for (const Tensor &t : in) {
    FailureOr<Tensor> one = broadcastTo(op, t, *shape);
    if (failed(one))
      return failure();
    wide.push_back(std::move(*one));
  }
  return shape;
}

/// y = F(a, b) in T, or an error where F gives nothing.
template <typename T, typename R, typename F>
static LogicalResult map2(Operation *op, Operands in, Results &out, F &&f) {
  SmallVector<Tensor> wide;
  FailureOr<SmallVector<int64_t>> shape = broadcastAll(op, in, wide);
  if (failed(shape))
    return failure();
  FailureOr<Tensor> y = makeTensor(op, *shape, resultElement(op));
  if (failed(y))
    return failure();
  Chunk left, right;
  R values[kChunk];
  for (int64_t first = 0; first < y->size(); first += kChunk) {
    int64_t n = std::min(kChunk, y->size() - first);
    auto *a = static_cast<const T *>(loadChunk(wide[0], first, n, left));
    auto *b = static_cast<const T *>(loadChunk(wide[1], first, n, right));
    for (int64_t i = 0; i < n; ++i)
      if (!f(a[i], b[i], values[i]))
        return op->emitError("divides an integer by zero");
    fromVector<R>(ArrayRef(values, n), *y, first);
  }
  out.push_back(std::move(*y));
  return success();
}

/// The function of a class `F` on two numbers of one type.
template <typename F>
static LogicalResult arithmetic(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  if (in[0].getElementType() != in[1].getElementType())
    return op->emitError("operands have different element types");
  return withNumber(op, in[0].getElementType(), [&](auto zero) {
    using T = decltype(zero);
    return map2<T, T>(op, in, out,
                      [](T a, T b, T &y) { return F::apply(a, b, y); });
  });
}

namespace {
/// Integer sums wrap; floats are rounded once.
template <typename F> struct Wrapping {
  template <typename T> static bool apply(T a, T b, T &y) {
    if constexpr (std::is_integral_v<T>)
      y = F::apply(uint64_t(a), uint64_t(b));
    else
      y = F::apply(a, b);
    return true;
  }
};
struct Quotient {
  template <typename T> static bool apply(T a, T b, T &y) {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0)
        return false;
      y = b == -1 ? int64_t(0 - uint64_t(a)) : a / b;
    } else {
      y = a / b;
    }
    return true;
  }
};
/// The remainder with the divisor's sign.
struct FloorMod {
  template <typename T> static bool apply(T a, T b, T &y) {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0)
        return false;
      y = b == -1 ? 0 : a % b;
      y += y != 0 && (y < 0) != (b < 0) ? b : 0;
    } else {
      y = std::fmod(a, b);
      y += y != 0 && (y < 0) != (b < 0) ? b : 0;
    }
    return true;
  }
};
/// The remainder with the dividend's sign.
struct TruncMod {
  template <typename T> static bool apply(T a, T b, T &y) {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0)
        return false;
      y = b == -1 ? 0 : a % b;
    } else {
      y = std::fmod(a, b);
    }
    return true;
  }
};
/// Floats: NaN if either is NaN, -0 < +0.
template <typename F> struct Extremum {
  template <typename T> static bool apply(T a, T b, T &y) {
    if constexpr (std::is_integral_v<T>)
      y = std::is_same_v<F, Maximum> ? std::max(a, b) : std::min(a, b);
    else
      y = F::apply(a, b);
    return true;
  }
};
} // namespace

static LogicalResult evaluateMod(Operation *op, Operands in, Results &out) {
  return intAttr(op, "fmod", 0) ? arithmetic<TruncMod>(op, in, out)
                                : arithmetic<FloorMod>(op, in, out);
}

/// In double, rounded once; integers by repeated multiplication.
static LogicalResult evaluatePow(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  Type element = in[0].getElementType();
  // Both operands as double; the exponent may have another type.
  SmallVector<Tensor> wide;
  FailureOr<SmallVector<int64_t>> shape = broadcastAll(op, in, wide);
  if (failed(shape))
    return failure();
  if (!getScalarKind(element) || !getScalarKind(in[1].getElementType()))
    return op->emitError("takes numbers");
  std::vector<double> a = toVector<double>(wide[0]),
                      b = toVector<double>(wide[1]);
  if (isa<FloatType>(element)) {
    for (size_t i = 0; i < a.size(); ++i)
      a[i] = std::pow(a[i], b[i]);
    return give<double>(op, *shape, a, out);
  }
  std::vector<int64_t> base = toVector<int64_t>(wide[0]);
  for (size_t i = 0; i < base.size(); ++i) {
    int64_t exponent = int64_t(b[i]);
    if (b[i] != double(exponent) || exponent < 0) {
      base[i] = int64_t(std::pow(a[i], b[i]));
      continue;
    }
    uint64_t power = 1, square = base[i];
    for (; exponent; exponent >>= 1, square *= square)
      power *= exponent & 1 ? square : 1;
    base[i] = int64_t(power);
  }
  return give<int64_t>(op, *shape, base, out);
}

/// A comparison; NaN compares false.
template <typename F>
static LogicalResult compare(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  if (in[0].getElementType() != in[1].getElementType())
    return op->emitError("operands have different element types");
  bool wide = in[0].getElementType().isUnsignedInteger(64);
  return withNumber(op, in[0].getElementType(), [&](auto zero) {
    using T = decltype(zero);
    return map2<T, int64_t>(op, in, out, [&](T a, T b, int64_t &y) {
      y = wide ? F()(uint64_t(a), uint64_t(b)) : F()(a, b);
      return true;
    });
  });
}

template <typename F>
static LogicalResult logical(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  if (!in[0].getElementType().isInteger(1) ||
      !in[1].getElementType().isInteger(1))
    return op->emitError("takes bools");
  return map2<int64_t, int64_t>(op, in, out,
                                [](int64_t a, int64_t b, int64_t &y) {
                                  y = F()(a, b);
                                  return true;
                                });
}

static LogicalResult evaluateWhere(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 3, 3)))
    return failure();
  SmallVector<Tensor> wide;
  FailureOr<SmallVector<int64_t>> shape = broadcastAll(op, in, wide);
  if (failed(shape))
    return failure();
  if (!in[0].getElementType().isInteger(1) ||
      in[1].getElementType() != in[2].getElementType())
    return op->emitError("takes a bool and two operands of one element type");
  FailureOr<Tensor> y = makeTensor(op, *shape, resultElement(op));
  if (failed(y))
    return failure();
  size_t width = getStorageWidth(in[1].getElementType());
  char *to = y->mutableBytes().data();
  for (int64_t i = 0; i < y->size(); ++i)
    std::memcpy(to + i * width,
                wide[wide[0].as<uint8_t>()[i] ? 1 : 2].bytes().data() +
                    i * width,
                width);
  out.push_back(std::move(*y));
  return success();
}

static LogicalResult evaluatePRelu(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  return withNumber(op, in[0].getElementType(), [&](auto zero) {
    using T = decltype(zero);
    return map2<T, T>(op, in, out, [](T x, T slope, T &y) {
      y = x < 0 ? T(slope * x) : x;
      return true;
    });
  });
}

/// min(max(x, low), high).
static LogicalResult evaluateClip(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 3)))
    return failure();
  return withNumber(op, in[0].getElementType(),
                    [&](auto zero) -> LogicalResult {
                      using T = decltype(zero);
                      std::vector<T> values = toVector<T>(in[0]);
                      for (size_t bound : {1, 2}) {
                        if (!has(in, bound))
                          continue;
                        if (in[bound].size() != 1)
                          return op->emitError("min and max must be scalars");
                        T limit = toVector<T>(in[bound])[0];
                        for (T &v : values)
                          if (bound == 1)
                            Extremum<Maximum>::apply(v, limit, v);
                          else
                            Extremum<Minimum>::apply(v, limit, v);
                      }
                      return give<T>(op, in[0].getShape(), values, out);
                    });
}

void hwgq::reference::registerOnnxElementwise(Registry &r) {
  r["onnx.Add"] = arithmetic<Wrapping<Add>>;
  r["onnx.Sub"] = arithmetic<Wrapping<Sub>>;
  r["onnx.Mul"] = arithmetic<Wrapping<Mul>>;
  r["onnx.Div"] = arithmetic<Quotient>;
  r["onnx.Max"] = arithmetic<Extremum<Maximum>>;
  r["onnx.Min"] = arithmetic<Extremum<Minimum>>;
  r["onnx.Mod"] = evaluateMod;
  r["onnx.Pow"] = evaluatePow;
  r["onnx.Equal"] = compare<std::equal_to<>>;
  r["onnx.Greater"] = compare<std::greater<>>;
  r["onnx.GreaterOrEqual"] = compare<std::greater_equal<>>;
  r["onnx.Less"] = compare<std::less<>>;
  r["onnx.LessOrEqual"] = compare<std::less_equal<>>;
  r["onnx.And"] = logical<std::logical_and<>>;
  r["onnx.Or"] = logical<std::logical_or<>>;
  r["onnx.Xor"] = logical<std::not_equal_to<>>;
  r["onnx.Where"] = evaluateWhere;
  r["onnx.PRelu"] = evaluatePRelu;
  r["onnx.Clip"] = evaluateClip;
}
