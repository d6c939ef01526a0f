//===- OnnxPooling.cpp - MaxPool and AveragePool --------------------------===//
#include "OnnxOps.h"
#include "ScalarMath.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

namespace {
struct Pool {
  SmallVector<int64_t> kernel, strides, dilations, pads;
  SmallVector<int64_t> in, out;
};
} // namespace

/// The window of a pool over [N, C, ...] and the sizes of its result. With
/// ceil_mode, a window that starts in the padding behind the input is dropped.
static FailureOr<Pool> getPool(Operation *op, Operands in) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  int64_t rank = in[0].getRank();
  if (rank < 3)
    return op->emitError("takes an image [N, C, ...]");
  size_t n = rank - 2;
  auto kernel = intsAttr(op, "kernel_shape", n, 0),
       strides = intsAttr(op, "strides", n, 1);
  auto dilations = intsAttr(op, "dilations", n, 1),
       pads = intsAttr(op, "pads", 2 * n, 0);
  if (failed(kernel) || failed(strides) || failed(dilations) || failed(pads))
    return failure();
  Pool pool{*kernel, *strides, *dilations, *pads, {}, {}};
  for (size_t d = 0; d < n; ++d) {
    constexpr int64_t kLimit = int64_t(1) << 24;
    int64_t size = in[0].getDimSize(d + 2), low = (*pads)[d],
            high = (*pads)[d + n];
    if ((*kernel)[d] < 1 || (*kernel)[d] > kLimit || (*strides)[d] < 1 ||
        (*dilations)[d] < 1 || (*dilations)[d] > kLimit || low < 0 ||
        high < 0 || low > kLimit || high > kLimit)
      return op->emitError(
          "kernel, strides and dilations must be positive, and "
          "pads not negative");
    int64_t span = size + low + high - ((*kernel)[d] - 1) * (*dilations)[d] - 1;
    if (span < 0)
      return op->emitError("the window does not fit the padded input");
    int64_t out = span / (*strides)[d] + 1;
    if (intAttr(op, "ceil_mode", 0) && span % (*strides)[d] &&
        out * (*strides)[d] < size + low)
      ++out;
    pool.in.push_back(size);
    pool.out.push_back(out);
  }
  return pool;
}

/// Calls `tap(flat position, or -1; whether within the padded input)`.
template <typename F>
static void forEachTap(const Pool &pool, ArrayRef<int64_t> out, F &&tap) {
  size_t n = out.size();
  forEachIndex(pool.kernel, [&](ArrayRef<int64_t> k) {
    int64_t position = 0;
    bool padded = true, inside = true;
    for (size_t d = 0; d < n; ++d) {
      int64_t at =
          out[d] * pool.strides[d] + k[d] * pool.dilations[d] - pool.pads[d];
      inside &= at >= 0 && at < pool.in[d];
      padded &= at < pool.in[d] + pool.pads[d + n];
      position = position * pool.in[d] + at;
    }
    tap(inside ? position : -1, padded);
  });
}

static int64_t product(ArrayRef<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

static SmallVector<int64_t> resultShape(const Tensor &x, const Pool &pool) {
  SmallVector<int64_t> shape(x.getShape().take_front(2));
  shape.append(pool.out);
  return shape;
}

/// The maximum of the taps in bounds (NaN if one is NaN), and the flat index of
/// its first occurrence in the input.
static LogicalResult evaluateMaxPool(Operation *op, Operands in, Results &out) {
  FailureOr<Pool> pool = getPool(op, in);
  if (failed(pool))
    return failure();
  if (intAttr(op, "storage_order", 0) != 0 && op->getNumResults() > 1)
    return op->emitError("indices in column-major order are not supported");
  SmallVector<int64_t> shape = resultShape(in[0], *pool);
  int64_t images = shape[0] * shape[1], pixels = product(pool->in);
  return withNumber(
      op, in[0].getElementType(), [&](auto zero) -> LogicalResult {
        using T = decltype(zero);
        std::vector<T> x = toVector<T>(in[0]), y;
        std::vector<int64_t> indices;
        bool empty = false;
        for (int64_t image = 0; image < images; ++image)
          forEachIndex(pool->out, [&](ArrayRef<int64_t> at) {
            T best = 0;
            int64_t where = -1;
            forEachTap(*pool, at, [&](int64_t position, bool) {
              if (position < 0)
                return;
              T value = x[image * pixels + position];
              bool wins =
                  where < 0 || value > best || (value != value && best == best);
              best = wins ? value : best;
              where = wins ? image * pixels + position : where;
            });
            empty |= where < 0;
            y.push_back(best);
            indices.push_back(where);
          });
        if (empty)
          return op->emitError("has a window without a tap in bounds");
        if (failed(give<T>(op, shape, y, out)))
          return failure();
        return op->getNumResults() > 1 ? give<int64_t>(op, shape, indices, out)
                                       : success();
      });
}

/// Sums in double, divided by the taps in bounds, or, with count_include_pad,
/// by those in the padded input; rounded once.
static LogicalResult evaluateAveragePool(Operation *op, Operands in,
                                         Results &out) {
  FailureOr<Pool> pool = getPool(op, in);
  if (failed(pool))
    return failure();
  bool countPads = intAttr(op, "count_include_pad", 0);
  SmallVector<int64_t> shape = resultShape(in[0], *pool);
  int64_t images = shape[0] * shape[1], pixels = product(pool->in);
  std::vector<double> x = toVector<double>(in[0]), y;
  for (int64_t image = 0; image < images; ++image)
    forEachIndex(pool->out, [&](ArrayRef<int64_t> at) {
      double sum = 0;
      int64_t count = 0;
      forEachTap(*pool, at, [&](int64_t position, bool padded) {
        count += countPads ? padded : position >= 0;
        sum += position < 0 ? 0 : x[image * pixels + position];
      });
      y.push_back(sum / double(count));
    });
  return give<double>(op, shape, y, out);
}

void hwgq::reference::registerOnnxPooling(Registry &r) {
  r["onnx.MaxPool"] = evaluateMaxPool;
  r["onnx.AveragePool"] = evaluateAveragePool;
}
