//===- OnnxData.cpp - moving and converting elements ----------------------===//
#include "OnnxOps.h"
#include "ScalarMath.h"
#include "hwgq/Dialect/SmallFloats.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

/// Floats to integers of 2 and 4 bits: half to even, then the low bits; to
/// others truncated, saturating beyond 64 bits and wrapping below; to bool by
/// comparison with 0.
/// The value of a small float.
static double decode(uint8_t bits, FloatType type) {
  APFloat value(type.getFloatSemantics(), APInt(type.getWidth(), bits));
  bool lost;
  value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
  return value.convertToDouble();
}

/// A value rounded to a small float.
static uint8_t encode(double value, FloatType type, bool saturate) {
  const llvm::fltSemantics &semantics = type.getFloatSemantics();
  bool finite = type.getWidth() < 8; // float4: no NaN, no infinity
  APFloat number(value);
  bool lost;
  auto largest = [&] {
    return APFloat::getLargest(semantics, std::signbit(value));
  };
  if (finite && std::isnan(value))
    return 8; // -0
  if (finite && !(std::fabs(value) < 6))
    number = largest();
  else
    number.convert(semantics, APFloat::rmNearestTiesToEven, &lost);
  if (saturate && !std::isnan(value) && !number.isFinite())
    number = largest();
  return uint8_t(number.bitcastToAPInt().getZExtValue());
}

static LogicalResult evaluateSmallCast(Operation *op, const Tensor &in,
                                       Type from, Type to, Results &out) {
  std::vector<double> values;
  if (hwgq::isSmallFloat(from))
    for (char byte : in.bytes())
      values.push_back(decode(uint8_t(byte), cast<FloatType>(from)));
  else
    values = toVector<double>(in);
  if (!hwgq::isSmallFloat(to))
    return give<double>(op, in.getShape(), values, out);
  FailureOr<Tensor> result =
      Tensor::allocate(op->getLoc(), RankedTensorType::get(in.getShape(), to));
  if (failed(result))
    return failure();
  for (auto [byte, value] : llvm::zip(result->mutableBytes(), values))
    byte = char(encode(value, cast<FloatType>(to), intAttr(op, "saturate", 1)));
  out.push_back(std::move(*result));
  return success();
}

static LogicalResult evaluateCast(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  Type from = in[0].getElementType(), to = resultElement(op);
  if (hwgq::isSmallFloat(from) || hwgq::isSmallFloat(to))
    return evaluateSmallCast(op, in[0], from, to, out);
  if (!getScalarKind(from) || !getScalarKind(to))
    return op->emitError("cannot convert ") << from << " to " << to;
  ArrayRef<int64_t> shape = in[0].getShape();
  if (isa<FloatType>(from) && to.isIntOrIndex()) {
    std::vector<double> x = toVector<double>(in[0]);
    std::vector<int64_t> y(x.size());
    unsigned width = to.getIntOrFloatBitWidth();
    for (size_t i = 0; i < x.size(); ++i) {
      double v = width < 8 && width > 1 ? RoundEven::apply(x[i]) : x[i];
      y[i] = width == 1      ? v != 0
             : std::isnan(v) ? 0
             : v >= 0x1p64   ? -1
             : v >= 0x1p63   ? int64_t(uint64_t(v))
             : v <= -0x1p63  ? std::numeric_limits<int64_t>::min()
                             : int64_t(v);
    }
    return give<int64_t>(op, shape, y, out);
  }
  if (to.isInteger(1)) {
    std::vector<int64_t> y = toVector<int64_t>(in[0]);
    for (int64_t &v : y)
      v = v != 0;
    return give<int64_t>(op, shape, y, out);
  }
  if (from.isIntOrIndex() && to.isIntOrIndex())
    return give<int64_t>(op, shape, toVector<int64_t>(in[0]), out);
  if (from.isIntOrIndex() && to.isF32()) // one rounding
    return give<float>(op, shape, toVector<float>(in[0]), out);
  return give<double>(op, shape, toVector<double>(in[0]), out);
}

static LogicalResult evaluateTranspose(Operation *op, Operands in,
                                       Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  int64_t rank = in[0].getRank();
  auto perm = op->getAttrOfType<DenseI64ArrayAttr>("perm");
  SmallVector<int64_t> order;
  for (int64_t d = 0; d < rank; ++d)
    order.push_back(perm && d < perm.size() ? perm[d] : rank - 1 - d);
  SmallVector<int64_t> sorted(order);
  llvm::sort(sorted);
  for (int64_t d = 0; d < rank; ++d)
    if (sorted[d] != d || (perm && perm.size() != rank))
      return op->emitError("perm is not a permutation of ") << rank << " axes";
  SmallVector<int64_t> steps = getStrides(in[0].getShape()), shape, strides;
  for (int64_t d : order) {
    shape.push_back(in[0].getDimSize(d));
    strides.push_back(steps[d]);
  }
  return give(copyStrided(op, in[0], shape, strides), out);
}

static LogicalResult evaluateConcat(Operation *op, Operands in, Results &out) {
  if (in.empty() || !has(in, 0))
    return op->emitError("takes at least one operand");
  FailureOr<int64_t> axis =
      normalizeAxis(op, intAttr(op, "axis", 0), in[0].getRank());
  if (failed(axis))
    return failure();
  SmallVector<int64_t> shape(in[0].getShape());
  shape[*axis] = 0;
  for (const Tensor &t : in) {
    if (t.isNone() || t.getRank() != in[0].getRank() ||
        t.getElementType() != in[0].getElementType())
      return op->emitError("operands differ in rank or element type");
    for (int64_t d = 0; d < t.getRank(); ++d)
      if (d != *axis && t.getDimSize(d) != shape[d])
        return op->emitError("operands have different sizes along axis ") << d;
    shape[*axis] += t.getDimSize(*axis);
  }
  FailureOr<Tensor> y = makeTensor(op, shape, in[0].getElementType());
  if (failed(y))
    return failure();
  SmallVector<int64_t> strides = getStrides(shape);
  int64_t at = 0;
  for (const Tensor &t : in) {
    writeStrided(t, *y, strides, at * strides[*axis]);
    at += t.getDimSize(*axis);
  }
  out.push_back(std::move(*y));
  return success();
}

/// Parts of the given sizes; without them, of equal size, the last smaller.
static LogicalResult evaluateSplit(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 2)))
    return failure();
  FailureOr<int64_t> axis =
      normalizeAxis(op, intAttr(op, "axis", 0), in[0].getRank());
  if (failed(axis))
    return failure();
  int64_t length = in[0].getDimSize(*axis), parts = op->getNumResults(), at = 0;
  if (has(in, 1) && in[1].size() != parts)
    return op->emitError("has ")
           << in[1].size() << " sizes for " << parts << " results";
  SmallVector<int64_t> steps = getStrides(in[0].getShape());
  for (int64_t i = 0; i < parts; ++i) {
    int64_t even = int64_t(llvm::divideCeil(uint64_t(length), uint64_t(parts)));
    int64_t size = has(in, 1) ? in[1].getInt(i) : std::min(even, length - at);
    if (size < 0 || at + size > length)
      return op->emitError("the sizes do not fit axis ") << *axis;
    SmallVector<int64_t> shape(in[0].getShape());
    shape[*axis] = size;
    if (failed(
            give(copyStrided(op, in[0], shape, steps, at * steps[*axis]), out)))
      return failure();
    at += size;
  }
  return success();
}

static LogicalResult evaluateTile(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  int64_t rank = in[0].getRank();
  if (in[1].size() != rank)
    return op->emitError("needs a repeat for each of ") << rank << " axes";
  // Each axis becomes (repeats, size), the repeats with a stride of 0.
  SmallVector<int64_t> steps = getStrides(in[0].getShape()), shape, strides,
                       merged;
  for (int64_t d = 0; d < rank; ++d) {
    int64_t repeats = in[1].getInt(d), size = in[0].getDimSize(d), total;
    if (repeats < 0 || llvm::MulOverflow(repeats, size, total))
      return op->emitError("repeats must not be negative or overflow");
    shape.append({repeats, size});
    strides.append({0, steps[d]});
    merged.push_back(total);
  }
  FailureOr<Tensor> y = copyStrided(op, in[0], shape, strides);
  if (failed(y))
    return failure();
  out.push_back(
      y->withType(RankedTensorType::get(merged, in[0].getElementType())));
  return success();
}

/// The source index of position i under a padding mode, or -1 for the value.
static int64_t padSource(int64_t i, int64_t size, StringRef mode) {
  if (i >= 0 && i < size)
    return i;
  if (mode == "edge")
    return i < 0 ? 0 : size - 1;
  if (mode == "wrap")
    return ((i % size) + size) % size;
  if (mode != "reflect")
    return -1;
  if (size == 1)
    return 0;
  int64_t period = 2 * (size - 1);
  i = ((i % period) + period) % period;
  return i < size ? i : period - i;
}

/// Operands: data, pads (begins, then ends), value, axes. Negative pads cut.
static LogicalResult evaluatePad(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 4)))
    return failure();
  StringRef mode = stringAttr(op, "mode", "constant");
  if (mode != "constant" && mode != "edge" && mode != "reflect" &&
      mode != "wrap")
    return op->emitError("mode '") << mode
                                   << "' is not one of constant, edge, "
                                      "reflect, wrap";
  int64_t rank = in[0].getRank(), named = has(in, 3) ? in[3].size() : rank;
  if (in[1].size() != 2 * named)
    return op->emitError("needs two pads for each of ") << named << " axes";
  SmallVector<int64_t> low(rank, 0), shape(in[0].getShape());
  for (int64_t i = 0; i < named; ++i) {
    FailureOr<int64_t> axis = has(in, 3)
                                  ? normalizeAxis(op, in[3].getInt(i), rank)
                                  : FailureOr<int64_t>(i);
    if (failed(axis))
      return failure();
    low[*axis] = in[1].getInt(i);
    int64_t high = in[1].getInt(i + named), total;
    if (llvm::AddOverflow(low[*axis], high, total) ||
        llvm::AddOverflow(shape[*axis], total, shape[*axis]) ||
        shape[*axis] < 0)
      return op->emitError("pads of axis ") << *axis << " leave no valid size";
    if (mode != "constant" && in[0].getDimSize(*axis) == 0)
      return op->emitError("an empty axis cannot be padded with its elements");
  }
  if (has(in, 2) &&
      (in[2].size() != 1 || in[2].getElementType() != in[0].getElementType()))
    return op->emitError("the value must be a scalar of the data's type");
  FailureOr<Tensor> y = makeTensor(op, shape, in[0].getElementType());
  if (failed(y))
    return failure();
  size_t width = getStorageWidth(in[0].getElementType());
  SmallVector<int64_t> steps = getStrides(in[0].getShape());
  char *to = y->mutableBytes().data();
  forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    int64_t at = 0;
    bool inside = true;
    for (int64_t d = 0; d < rank; ++d) {
      int64_t source = padSource(index[d] - low[d], in[0].getDimSize(d), mode);
      inside &= source >= 0;
      at += source * steps[d];
    }
    if (inside)
      std::memcpy(to, in[0].bytes().data() + at * width, width);
    else if (has(in, 2))
      std::memcpy(to, in[2].bytes().data(), width);
    to += width;
  });
  out.push_back(std::move(*y));
  return success();
}

/// Operands: data, starts, ends, axes, steps.
static LogicalResult evaluateSlice(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 3, 5)))
    return failure();
  int64_t rank = in[0].getRank(), count = in[1].size();
  if (in[2].size() != count || (has(in, 3) && in[3].size() != count) ||
      (has(in, 4) && in[4].size() != count))
    return op->emitError("starts, ends, axes and steps differ in length");
  SmallVector<int64_t> shape(in[0].getShape()), strides = getStrides(shape);
  int64_t offset = 0;
  for (int64_t i = 0; i < count; ++i) {
    FailureOr<int64_t> axis =
        normalizeAxis(op, has(in, 3) ? in[3].getInt(i) : i, rank);
    if (failed(axis))
      return failure();
    int64_t size = in[0].getDimSize(*axis),
            step = has(in, 4) ? in[4].getInt(i) : 1;
    if (step == 0 || step == std::numeric_limits<int64_t>::min())
      return op->emitError("steps must not be 0");
    int64_t start = in[1].getInt(i), end = in[2].getInt(i);
    start = start < 0 ? start + size : start;
    end = end < 0 ? end + size : end;
    start = step > 0 ? std::clamp<int64_t>(start, 0, size)
                     : std::clamp<int64_t>(start, -1, size - 1);
    end = step > 0 ? std::clamp<int64_t>(end, 0, size)
                   : std::clamp<int64_t>(end, -1, size - 1);
    int64_t span = step > 0 ? end - start : start - end;
    int64_t stride = step > 0 ? step : -step;
    shape[*axis] = span > 0 ? (span - 1) / stride + 1 : 0;
    if (shape[*axis] > 0)
      offset += start * strides[*axis];
    // A single element needs no step, which may be huge.
    strides[*axis] = shape[*axis] > 1 ? strides[*axis] * step : 0;
  }
  return give(copyStrided(op, in[0], shape, strides, offset), out);
}

/// An index brought into 0..size-1.
static FailureOr<int64_t> checkIndex(Operation *op, int64_t index,
                                     int64_t size) {
  if (index < -size || index >= size)
    return op->emitError("index ")
           << index << " is out of range for size " << size;
  return index < 0 ? index + size : index;
}

static LogicalResult evaluateGather(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  FailureOr<int64_t> axis =
      normalizeAxis(op, intAttr(op, "axis", 0), in[0].getRank());
  if (failed(axis))
    return failure();
  ArrayRef<int64_t> data = in[0].getShape();
  SmallVector<int64_t> shape(data.take_front(*axis));
  llvm::append_range(shape, in[1].getShape());
  llvm::append_range(shape, data.drop_front(*axis + 1));
  FailureOr<Tensor> y = makeTensor(op, shape, in[0].getElementType());
  if (failed(y))
    return failure();
  AxisSplit s = splitAt(data, *axis);
  size_t run = s.inner * getStorageWidth(in[0].getElementType());
  char *to = y->mutableBytes().data();
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < in[1].size(); ++i, to += run) {
      FailureOr<int64_t> index = checkIndex(op, in[1].getInt(i), s.length);
      if (failed(index))
        return failure();
      std::memcpy(to, in[0].bytes().data() + (o * s.length + *index) * run,
                  run);
    }
  out.push_back(std::move(*y));
  return success();
}

static LogicalResult evaluateGatherElements(Operation *op, Operands in,
                                            Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  FailureOr<int64_t> axis =
      normalizeAxis(op, intAttr(op, "axis", 0), in[0].getRank());
  if (failed(axis))
    return failure();
  if (in[1].getRank() != in[0].getRank())
    return op->emitError("data and indices must have the same rank");
  for (int64_t d = 0; d < in[0].getRank(); ++d)
    if (d != *axis && in[1].getDimSize(d) > in[0].getDimSize(d))
      return op->emitError("indices reach beyond axis ") << d;
  FailureOr<Tensor> y =
      makeTensor(op, in[1].getShape(), in[0].getElementType());
  if (failed(y))
    return failure();
  size_t width = getStorageWidth(in[0].getElementType());
  SmallVector<int64_t> steps = getStrides(in[0].getShape());
  char *to = y->mutableBytes().data();
  int64_t i = 0;
  LogicalResult status = success();
  forEachIndex(in[1].getShape(), [&](ArrayRef<int64_t> at) {
    if (failed(status))
      return;
    FailureOr<int64_t> index =
        checkIndex(op, in[1].getInt(i), in[0].getDimSize(*axis));
    if (failed(index)) {
      status = failure();
      return;
    }
    int64_t from = 0;
    for (int64_t d = 0; d < in[0].getRank(); ++d)
      from += (d == *axis ? *index : at[d]) * steps[d];
    std::memcpy(to + i++ * width, in[0].bytes().data() + from * width, width);
  });
  out.push_back(std::move(*y));
  return status;
}

void hwgq::reference::registerOnnxData(Registry &r) {
  r["onnx.Cast"] = evaluateCast;
  r["onnx.Transpose"] = evaluateTranspose;
  r["onnx.Concat"] = evaluateConcat;
  r["onnx.Split"] = evaluateSplit;
  r["onnx.Tile"] = evaluateTile;
  r["onnx.Pad"] = evaluatePad;
  r["onnx.Slice"] = evaluateSlice;
  r["onnx.Gather"] = evaluateGather;
  r["onnx.GatherElements"] = evaluateGatherElements;
}
