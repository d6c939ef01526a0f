//===- OnnxOps.h - what the ONNX operators share ----------------*- C++ -*-===//
//
// Operators follow the ONNX specification in the form of the newest opset. On
// floats, single operations are rounded to the element type; functions such as
// exp, and sums, are computed in double and rounded once.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_LIB_REFERENCE_ONNXOPS_H
#define HWGQ_LIB_REFERENCE_ONNXOPS_H

#include "Chunks.h"
#include "Handlers.h"

namespace hwgq::reference {

int64_t intAttr(mlir::Operation *op, llvm::StringRef name, int64_t missing);
float floatAttr(mlir::Operation *op, llvm::StringRef name, float missing);
llvm::StringRef stringAttr(mlir::Operation *op, llvm::StringRef name,
                           llvm::StringRef missing);
/// A list, or `count` times `missing`; fails when it has another length.
mlir::FailureOr<llvm::SmallVector<int64_t>> intsAttr(mlir::Operation *op,
                                                     llvm::StringRef name,
                                                     size_t count,
                                                     int64_t missing);

/// Whether operand i exists and is not absent.
inline bool has(Operands in, size_t i) {
  return i < in.size() && !in[i].isNone();
}

inline mlir::Type resultElement(mlir::Operation *op, unsigned i = 0) {
  return mlir::getElementTypeOrSelf(op->getResult(i).getType());
}

/// Between how many operands the handler may count on.
mlir::LogicalResult checkOperands(mlir::Operation *op, Operands in,
                                  size_t least, size_t most);

/// An axis brought into 0..rank-1.
mlir::FailureOr<int64_t> normalizeAxis(mlir::Operation *op, int64_t axis,
                                       int64_t rank);

/// The common shape of operands under NumPy's broadcasting.
mlir::FailureOr<llvm::SmallVector<int64_t>> broadcastShapes(mlir::Operation *op,
                                                            Operands in);

/// A tensor brought to a shape that its own broadcasts to.
mlir::FailureOr<Tensor> broadcastTo(mlir::Operation *op, const Tensor &t,
                                    llvm::ArrayRef<int64_t> shape);

/// Appends a result of these values.
template <typename T>
mlir::LogicalResult give(mlir::Operation *op, llvm::ArrayRef<int64_t> shape,
                         llvm::ArrayRef<T> values, Results &out) {
  mlir::FailureOr<Tensor> y =
      makeTensor(op, shape, resultElement(op, out.size()));
  if (failed(y))
    return mlir::failure();
  fromVector<T>(values, *y);
  out.push_back(std::move(*y));
  return mlir::success();
}

mlir::LogicalResult give(mlir::FailureOr<Tensor> result, Results &out);

/// Calls `f(T())` with the type in which elements are computed; an error for
/// types without arithmetic.
template <typename F>
mlir::LogicalResult withNumber(mlir::Operation *op, mlir::Type element, F &&f) {
  std::optional<Scalar::Kind> kind = getScalarKind(element);
  if (!kind)
    return op->emitError("cannot compute on elements of type ") << element;
  switch (*kind) {
  case Scalar::Kind::F32:
    return f(float());
  case Scalar::Kind::F64:
    return f(double());
  case Scalar::Kind::Int:
    return f(int64_t());
  }
  return mlir::failure();
}

/// The same for floats only.
template <typename F>
mlir::LogicalResult withFloat(mlir::Operation *op, mlir::Type element, F &&f) {
  if (element.isF64())
    return f(double());
  if (getScalarKind(element) == Scalar::Kind::F32)
    return f(float());
  return op->emitError("takes floats, not ") << element;
}

/// Elements at one position along an axis: how many lie before it, along it,
/// and after it.
struct AxisSplit {
  int64_t outer = 1, length = 1, inner = 1;
};
AxisSplit splitAt(llvm::ArrayRef<int64_t> shape, int64_t axis);

/// Smallest and largest number of an integer type.
struct IntegerRange {
  int64_t low, high;
};
IntegerRange rangeOf(mlir::Type element);

} // namespace hwgq::reference

#endif // HWGQ_LIB_REFERENCE_ONNXOPS_H
