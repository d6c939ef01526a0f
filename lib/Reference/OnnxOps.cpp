//===- OnnxOps.cpp - what the ONNX operators share ------------------------===//
#include "OnnxOps.h"

using namespace mlir;
using namespace hwgq::reference;

int64_t hwgq::reference::intAttr(Operation *op, StringRef name,
                                 int64_t missing) {
  auto attr = op->getAttrOfType<IntegerAttr>(name);
  return attr ? attr.getInt() : missing;
}

float hwgq::reference::floatAttr(Operation *op, StringRef name, float missing) {
  auto attr = op->getAttrOfType<FloatAttr>(name);
  return attr ? float(attr.getValueAsDouble()) : missing;
}

StringRef hwgq::reference::stringAttr(Operation *op, StringRef name,
                                      StringRef missing) {
  auto attr = op->getAttrOfType<StringAttr>(name);
  return attr ? attr.getValue() : missing;
}

FailureOr<SmallVector<int64_t>> hwgq::reference::intsAttr(Operation *op,
                                                          StringRef name,
                                                          size_t count,
                                                          int64_t missing) {
  auto attr = op->getAttrOfType<DenseI64ArrayAttr>(name);
  if (!attr || attr.empty())
    return SmallVector<int64_t>(count, missing);
  if (size_t(attr.size()) != count)
    return op->emitError() << name << " must have " << count
                           << " elements, not " << attr.size();
  return SmallVector<int64_t>(attr.asArrayRef());
}

LogicalResult hwgq::reference::checkOperands(Operation *op, Operands in,
                                             size_t least, size_t most) {
  if (in.size() < least || in.size() > most)
    return op->emitError("takes ")
           << least << " to " << most << " operands, not " << in.size();
  for (size_t i = 0; i < least; ++i)
    if (in[i].isNone())
      return op->emitError("operand ") << i << " is missing";
  return success();
}

FailureOr<int64_t> hwgq::reference::normalizeAxis(Operation *op, int64_t axis,
                                                  int64_t rank) {
  if (axis < -rank || axis >= rank)
    return op->emitError("axis ")
           << axis << " is out of range for rank " << rank;
  return axis < 0 ? axis + rank : axis;
}

FailureOr<SmallVector<int64_t>> hwgq::reference::broadcastShapes(Operation *op,
                                                                 Operands in) {
  SmallVector<int64_t> shape;
  for (const Tensor &t : in) {
    ArrayRef<int64_t> other = t.getShape();
    if (other.size() > shape.size())
      shape.insert(shape.begin(), other.size() - shape.size(), 1);
    for (size_t i = 0; i < other.size(); ++i) {
      int64_t &size = shape[shape.size() - 1 - i];
      int64_t theirs = other[other.size() - 1 - i];
      if (size != theirs && size != 1 && theirs != 1)
        return op->emitError("operands of sizes ")
               << size << " and " << theirs << " cannot be broadcast";
      size = size == 1 ? theirs : size;
    }
  }
  return shape;
}

FailureOr<Tensor> hwgq::reference::broadcastTo(Operation *op, const Tensor &t,
                                               ArrayRef<int64_t> shape) {
  if (t.getShape() == shape)
    return t;
  if (t.getRank() > int64_t(shape.size()))
    return op->emitError("cannot broadcast ")
           << t.getType() << " to [" << shape << "]";
  SmallVector<int64_t> steps = getStrides(t.getShape());
  SmallVector<int64_t> strides(shape.size(), 0);
  size_t shift = shape.size() - t.getRank();
  for (int64_t d = 0; d < t.getRank(); ++d) {
    if (t.getDimSize(d) != 1 && t.getDimSize(d) != shape[d + shift])
      return op->emitError("cannot broadcast ")
             << t.getType() << " to [" << shape << "]";
    strides[d + shift] = t.getDimSize(d) == 1 ? 0 : steps[d];
  }
  return copyStrided(op, t, shape, strides);
}

LogicalResult hwgq::reference::give(FailureOr<Tensor> result, Results &out) {
  if (failed(result))
    return failure();
  out.push_back(std::move(*result));
  return success();
}

AxisSplit hwgq::reference::splitAt(ArrayRef<int64_t> shape, int64_t axis) {
  AxisSplit split;
  for (int64_t d = 0; d < int64_t(shape.size()); ++d)
    (d < axis    ? split.outer
     : d == axis ? split.length
                 : split.inner) *= shape[d];
  return split;
}

IntegerRange hwgq::reference::rangeOf(Type element) {
  unsigned width = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
  if (element.isUnsignedInteger() || width == 1)
    return {0, width >= 64 ? std::numeric_limits<int64_t>::max()
                           : (int64_t(1) << width) - 1};
  return {wrapInteger(int64_t(uint64_t(1) << (width - 1)), width),
          int64_t((uint64_t(1) << (width - 1)) - 1)};
}
