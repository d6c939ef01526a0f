//===- OnnxReductions.cpp - Reduce*, ArgMax, ArgMin, TopK -----------------===//
//
// Float sums and products are accumulated in double in lexicographic order and
// rounded once.
//
//===----------------------------------------------------------------------===//
#include "OnnxOps.h"
#include "ScalarMath.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

/// Which dimensions operand 1 names; all of them without it.
static FailureOr<SmallVector<bool>> getAxes(Operation *op, Operands in) {
  int64_t rank = in[0].getRank();
  bool none = !has(in, 1) || in[1].size() == 0;
  SmallVector<bool> reduced(rank,
                            none && !intAttr(op, "noop_with_empty_axes", 0));
  for (int64_t i = 0; !none && i < in[1].size(); ++i) {
    FailureOr<int64_t> axis = normalizeAxis(op, in[1].getInt(i), rank);
    if (failed(axis))
      return failure();
    reduced[*axis] = true;
  }
  return reduced;
}

namespace {
/// The elements of the input in groups that become one element each.
struct Groups {
  SmallVector<int64_t> shape;       ///< Of the result.
  SmallVector<int64_t> resultSteps; ///< Per input dimension; 0 where reduced.
  int64_t count = 1;                ///< Elements in a group.
};
} // namespace

static FailureOr<Groups> getGroups(Operation *op, Operands in) {
  if (failed(checkOperands(op, in, 1, 2)))
    return failure();
  FailureOr<SmallVector<bool>> reduced = getAxes(op, in);
  if (failed(reduced))
    return failure();
  bool keep = intAttr(op, "keepdims", 1);
  Groups groups;
  SmallVector<int64_t> full;
  for (int64_t d = 0; d < in[0].getRank(); ++d) {
    bool r = (*reduced)[d];
    full.push_back(r ? 1 : in[0].getDimSize(d));
    if (r)
      groups.count *= in[0].getDimSize(d);
    if (!r || keep)
      groups.shape.push_back(full.back());
  }
  groups.resultSteps = getStrides(full);
  for (int64_t d = 0; d < in[0].getRank(); ++d)
    if ((*reduced)[d])
      groups.resultSteps[d] = 0;
  return groups;
}

/// Folds every group from `initial` with `combine`, then maps with `finish`.
template <typename T, typename Combine, typename Finish>
static LogicalResult reduce(Operation *op, Operands in, Results &out, T initial,
                            Combine &&combine, Finish &&finish) {
  FailureOr<Groups> groups = getGroups(op, in);
  if (failed(groups))
    return failure();
  std::optional<int64_t> size = countElements(groups->shape);
  std::vector<T> x = toVector<T>(in[0]), y(size.value_or(0), initial);
  int64_t i = 0;
  forEachIndex(in[0].getShape(), [&](ArrayRef<int64_t> index) {
    int64_t target = 0;
    for (size_t d = 0; d < index.size(); ++d)
      target += index[d] * groups->resultSteps[d];
    y[target] = combine(y[target], x[i++]);
  });
  for (T &v : y)
    v = finish(v, groups->count);
  return give<T>(op, groups->shape, y, out);
}

template <typename T> static T identity(T v, int64_t) { return v; }

static LogicalResult evaluateSum(Operation *op, Operands in, Results &out) {
  if (isa<FloatType>(in[0].getElementType()))
    return reduce<double>(op, in, out, 0.0, std::plus<double>(),
                          identity<double>);
  return reduce<int64_t>(
      op, in, out, 0,
      [](int64_t a, int64_t b) { return int64_t(uint64_t(a) + uint64_t(b)); },
      identity<int64_t>);
}

static LogicalResult evaluateProd(Operation *op, Operands in, Results &out) {
  if (isa<FloatType>(in[0].getElementType()))
    return reduce<double>(op, in, out, 1.0, std::multiplies<double>(),
                          identity<double>);
  return reduce<int64_t>(
      op, in, out, 1,
      [](int64_t a, int64_t b) { return int64_t(uint64_t(a) * uint64_t(b)); },
      identity<int64_t>);
}

static LogicalResult evaluateMean(Operation *op, Operands in, Results &out) {
  if (isa<FloatType>(in[0].getElementType()))
    return reduce<double>(op, in, out, 0.0, std::plus<double>(),
                          [](double v, int64_t n) { return v / double(n); });
  return reduce<int64_t>(op, in, out, 0, std::plus<int64_t>(),
                         [](int64_t v, int64_t n) { return n ? v / n : 0; });
}

template <typename F, bool largest>
static LogicalResult evaluateExtremum(Operation *op, Operands in,
                                      Results &out) {
  return withNumber(op, in[0].getElementType(), [&](auto zero) {
    using T = decltype(zero);
    using Limits = std::numeric_limits<T>;
    T initial = Limits::has_infinity
                    ? (largest ? -Limits::infinity() : Limits::infinity())
                    : (largest ? Limits::min() : Limits::max());
    return reduce<T>(
        op, in, out, initial,
        [](T a, T b) {
          if constexpr (std::is_integral_v<T>)
            return largest ? std::max(a, b) : std::min(a, b);
          else
            return F::apply(a, b);
        },
        identity<T>);
  });
}

/// The index of the extreme element along an axis; NaN is the most extreme.
template <bool largest>
static LogicalResult evaluateArg(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  FailureOr<int64_t> axis =
      normalizeAxis(op, intAttr(op, "axis", 0), in[0].getRank());
  if (failed(axis))
    return failure();
  AxisSplit s = splitAt(in[0].getShape(), *axis);
  if (s.length == 0)
    return op->emitError("the axis has no elements");
  bool last = intAttr(op, "select_last_index", 0);
  SmallVector<int64_t> shape(in[0].getShape());
  if (intAttr(op, "keepdims", 1))
    shape[*axis] = 1;
  else
    shape.erase(shape.begin() + *axis);
  return withNumber(op, in[0].getElementType(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> x = toVector<T>(in[0]);
    std::vector<int64_t> y;
    for (int64_t o = 0; o < s.outer; ++o)
      for (int64_t i = 0; i < s.inner; ++i) {
        int64_t best = 0;
        for (int64_t k = 1; k < s.length; ++k) {
          T value = x[(o * s.length + k) * s.inner + i];
          T old = x[(o * s.length + best) * s.inner + i];
          bool wins = largest ? value > old : value < old;
          wins |= value != value && old == old;
          wins |= last && (value == old || (value != value && old != old));
          best = wins ? k : best;
        }
        y.push_back(best);
      }
    return give<int64_t>(op, shape, y, out);
  });
}

/// The k extreme elements along an axis in order, the lower index first among
/// equal ones, and their indices.
static LogicalResult evaluateTopK(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  FailureOr<int64_t> axis =
      normalizeAxis(op, intAttr(op, "axis", -1), in[0].getRank());
  if (failed(axis))
    return failure();
  AxisSplit s = splitAt(in[0].getShape(), *axis);
  int64_t k = in[1].size() == 1 ? in[1].getInt(0) : -1;
  if (k < 0 || k > s.length)
    return op->emitError("k = ")
           << k << " is out of range for " << s.length << " elements";
  bool largest = intAttr(op, "largest", 1);
  SmallVector<int64_t> shape(in[0].getShape());
  shape[*axis] = k;
  return withNumber(
      op, in[0].getElementType(), [&](auto zero) -> LogicalResult {
        using T = decltype(zero);
        std::vector<T> x = toVector<T>(in[0]), y(s.outer * k * s.inner);
        std::vector<int64_t> indices(y.size()), order(s.length);
        for (int64_t o = 0; o < s.outer; ++o)
          for (int64_t i = 0; i < s.inner; ++i) {
            auto at = [&](int64_t j) {
              return x[(o * s.length + j) * s.inner + i];
            };
            for (int64_t j = 0; j < s.length; ++j)
              order[j] = j;
            // NaN counts as the largest number.
            auto above = [](T u, T v) { return u > v || (u != u && v == v); };
            llvm::sort(order, [&](int64_t a, int64_t b) {
              T u = largest ? at(a) : at(b), v = largest ? at(b) : at(a);
              return above(u, v) || (!above(v, u) && a < b);
            });
            for (int64_t j = 0; j < k; ++j) {
              y[(o * k + j) * s.inner + i] = at(order[j]);
              indices[(o * k + j) * s.inner + i] = order[j];
            }
          }
        return failure(failed(give<T>(op, shape, y, out)) ||
                       failed(give<int64_t>(op, shape, indices, out)));
      });
}

void hwgq::reference::registerOnnxReductions(Registry &r) {
  r["onnx.ReduceSum"] = evaluateSum;
  r["onnx.ReduceProd"] = evaluateProd;
  r["onnx.ReduceMean"] = evaluateMean;
  r["onnx.ReduceMax"] = evaluateExtremum<Maximum, true>;
  r["onnx.ReduceMin"] = evaluateExtremum<Minimum, false>;
  r["onnx.ArgMax"] = evaluateArg<true>;
  r["onnx.ArgMin"] = evaluateArg<false>;
  r["onnx.TopK"] = evaluateTopK;
}
