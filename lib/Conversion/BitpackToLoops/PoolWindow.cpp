//===- PoolWindow.cpp - the taps of a pool in bounds ----------------------===//
#include "PoolWindow.h"

using namespace mlir;
using namespace hwgq;

std::pair<Value, Value> PoolWindow::range(LoopBuilder &b, Value at, unsigned d,
                                          int64_t low, int64_t high) const {
  // position(k) = start + k * dilation, start = at * stride - pad.
  int64_t pad = pads[d], dilation = dilations[d];
  Value start = b.sub(b.mul(at, strides[d]), b.index(pad));
  bool inside = pad <= -low; // never before the first position
  Value zero = b.index(0), first = zero;
  if (!inside)
    first = b.min(b.ceilDiv(b.max(b.sub(b.index(low), start), zero), dilation),
                  b.index(kernel[d]));
  Value last =
      b.min(b.ceilDiv(b.max(b.sub(b.index(high), start), zero), dilation),
            b.index(kernel[d]));
  return {first, last};
}

Values PoolWindow::reduce(LoopBuilder &b, Value y, Value x, ValueRange inits,
                          TapBody body, bool inside) const {
  auto taps = [&](Value iy, ArrayRef<Value> columns, ValueRange inner) {
    Values values(inner);
    for (Value ix : columns)
      values = body(iy, ix, values);
    return values;
  };
  return reduceRows(b, y, x, inits, taps, inside);
}

Values PoolWindow::reduceRows(LoopBuilder &b, Value y, Value x,
                              ValueRange inits, TapsBody body,
                              bool inside) const {
  auto position = [&](Value at, Value tap, unsigned d) {
    return b.sub(b.add(b.mul(at, strides[d]), b.mul(tap, dilations[d])),
                 b.index(pads[d]));
  };
  auto [y0, y1] = range(b, y, 0, 0, sizes[0]);
  std::pair<Value, Value> columns = {b.index(0), b.index(kernel[1])};
  if (!inside)
    columns = range(b, x, 1, 0, sizes[1]);
  constexpr int64_t kUnrolled = 8;
  bool together = inside && kernel[1] <= kUnrolled;
  return b.carry(y0, y1, 1, inits, [&](Value ky, ValueRange outer) {
    Value iy = position(y, ky, 0);
    if (together) {
      Values at;
      for (int64_t kx = 0; kx < kernel[1]; ++kx)
        at.push_back(position(x, b.index(kx), 1));
      return body(iy, at, outer);
    }
    return b.carry(columns.first, columns.second, 1, outer,
                   [&](Value kx, ValueRange inner) {
                     return body(iy, {position(x, kx, 1)}, inner);
                   });
  });
}

void PoolWindow::forEachColumn(
    LoopBuilder &b, int64_t width,
    llvm::function_ref<void(Value, bool)> body) const {
  // The first column whose taps begin in bounds, the last whose taps end there.
  int64_t left = std::min(width, (pads[1] + strides[1] - 1) / strides[1]);
  int64_t room = sizes[1] - 1 - (kernel[1] - 1) * dilations[1] + pads[1];
  int64_t right =
      room < 0 ? left : std::clamp<int64_t>(room / strides[1] + 1, left, width);
  auto loop = [&](int64_t from, int64_t to, bool inside) {
    b.loop(b.index(from), b.index(to), 1, [&](Value x) { body(x, inside); });
  };
  loop(0, left, false);
  loop(left, right, true);
  loop(right, width, false);
}

Value PoolWindow::count(LoopBuilder &b, Value y, Value x,
                        bool includePad) const {
  auto taps = [&](Value at, unsigned d) -> Value {
    int64_t low = includePad ? -pads[d] : 0;
    int64_t high = sizes[d] + (includePad ? pads[d + 2] : 0);
    auto [first, last] = range(b, at, d, low, high);
    return b.sub(last, first);
  };
  return b.mul(taps(y, 0), taps(x, 1));
}

// Row y has its first tap at y * stride - pad, its last one `reach` rows on.

Value PoolRows::firstBehind(LoopBuilder &b, Value y) const {
  Value row = b.ceilDiv(b.add(y, window.pads[0]), window.strides[0]);
  Value first = b.cmp(arith::CmpIPredicate::eq, y, b.index(0));
  return b.select(first, b.index(0), b.min(row, b.index(shape.height)));
}

Value PoolRows::endBefore(LoopBuilder &b, Value y) const {
  int64_t stride = window.strides[0];
  int64_t reach = (window.kernel[0] - 1) * window.dilations[0];
  Value above = b.sub(b.add(y, window.pads[0] + stride), b.index(reach + 1));
  Value end =
      b.min(b.div(b.max(above, b.index(0)), stride), b.index(shape.height));
  Value last = b.cmp(arith::CmpIPredicate::eq, y, b.index(window.sizes[0]));
  return b.select(last, b.index(shape.height), end);
}
