//===- OnnxShapes.cpp - Reshape and the arithmetic of shapes --------------===//
#include "OnnxOps.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

/// A list of integers in an operand.
static SmallVector<int64_t> getList(const Tensor &t) {
  SmallVector<int64_t> list;
  for (int64_t i = 0; i < t.size(); ++i)
    list.push_back(t.getInt(i));
  return list;
}

static LogicalResult evaluateNoValue(Operation *op, Operands, Results &out) {
  out.push_back(Tensor());
  return success();
}

static LogicalResult evaluateShape(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  int64_t rank = in[0].getRank();
  auto clamp = [&](int64_t v) {
    return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank);
  };
  int64_t start = clamp(intAttr(op, "start", 0));
  int64_t end = op->hasAttr("end") ? clamp(intAttr(op, "end", rank)) : rank;
  SmallVector<int64_t> sizes;
  for (int64_t d = start; d < end; ++d)
    sizes.push_back(in[0].getDimSize(d));
  return give<int64_t>(op, {int64_t(sizes.size())}, sizes, out);
}

static LogicalResult evaluateSize(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  return give<int64_t>(op, {}, in[0].size(), out);
}

/// 0 takes the input's size (a size of 0 with allowzero), one -1 the rest.
static LogicalResult evaluateReshape(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  SmallVector<int64_t> shape = getList(in[1]);
  bool allowZero = intAttr(op, "allowzero", 0);
  int64_t rest = -1, known = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0 && !allowZero) {
      if (int64_t(d) >= in[0].getRank())
        return op->emitError("size 0 at position ")
               << d << " has nothing to copy";
      shape[d] = in[0].getDimSize(d);
    }
    if (shape[d] < -1 || (shape[d] == -1 && rest >= 0))
      return op->emitError("the shape [") << shape << "] is not valid";
    if (shape[d] == -1)
      rest = d;
    else if (llvm::MulOverflow(known, shape[d], known))
      return op->emitError("the shape [") << shape << "] is too large";
  }
  if (rest >= 0)
    shape[rest] = known > 0 ? in[0].size() / known : 0;
  if (countElements(shape) != in[0].size())
    return op->emitError("cannot give ")
           << in[0].getType() << " the shape [" << shape << "]";
  out.push_back(
      in[0].withType(RankedTensorType::get(shape, in[0].getElementType())));
  return success();
}

static LogicalResult evaluateExpand(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)))
    return failure();
  SmallVector<int64_t> shape = getList(in[1]);
  if (!countElements(shape))
    return op->emitError("the shape [") << shape << "] is not valid";
  Type element = in[0].getElementType();
  Tensor target = Tensor::borrow(RankedTensorType::get(shape, element), {});
  FailureOr<SmallVector<int64_t>> wide = broadcastShapes(op, {in[0], target});
  if (failed(wide))
    return failure();
  return give(broadcastTo(op, in[0], *wide), out);
}

static LogicalResult evaluateConstantOfShape(Operation *op, Operands in,
                                             Results &out) {
  if (failed(checkOperands(op, in, 1, 1)))
    return failure();
  SmallVector<int64_t> shape = getList(in[0]);
  if (!countElements(shape))
    return op->emitError("the shape [") << shape << "] is not valid";
  auto value = op->getAttrOfType<ElementsAttr>("value");
  if (!value)
    return give(makeTensor(op, shape, resultElement(op)), out);
  FailureOr<Tensor> fill = Tensor::fromElements(op->getLoc(), value);
  if (failed(fill))
    return failure();
  if (fill->size() != 1)
    return op->emitError("value must have one element");
  return give(
      copyStrided(op, *fill, shape, SmallVector<int64_t>(shape.size(), 0)),
      out);
}

/// start + i * step for i < max(ceil((limit - start) / step), 0).
static LogicalResult evaluateRange(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 3, 3)))
    return failure();
  if (llvm::any_of(in, [](const Tensor &t) { return t.size() != 1; }))
    return op->emitError("takes scalars");
  return withNumber(
      op, in[0].getElementType(), [&](auto zero) -> LogicalResult {
        using T = decltype(zero);
        T start = toVector<T>(in[0])[0], limit = toVector<T>(in[1])[0],
          step = toVector<T>(in[2])[0];
        double count =
            std::ceil((double(limit) - double(start)) / double(step));
        if (!(std::fabs(count) < 1e9))
          return op->emitError("has too many elements or a step of 0");
        std::vector<T> values;
        for (int64_t i = 0; i < int64_t(count); ++i)
          values.push_back(start + T(i) * step);
        return give<T>(op, {int64_t(values.size())}, values, out);
      });
}

void hwgq::reference::registerOnnxShapes(Registry &r) {
  r["onnx.NoValue"] = evaluateNoValue;
  r["onnx.Shape"] = evaluateShape;
  r["onnx.Size"] = evaluateSize;
  r["onnx.Reshape"] = evaluateReshape;
  r["onnx.Expand"] = evaluateExpand;
  r["onnx.ConstantOfShape"] = evaluateConstantOfShape;
  r["onnx.Range"] = evaluateRange;
}
