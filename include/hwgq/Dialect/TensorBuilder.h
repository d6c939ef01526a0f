//===- TensorBuilder.h - building the hwgq phase ----------------*- C++ -*-===//
#ifndef HWGQ_DIALECT_TENSORBUILDER_H
#define HWGQ_DIALECT_TENSORBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace hwgq {

using mlir::ArrayRef;
using mlir::Location;
using mlir::OpBuilder;
using mlir::OpFoldResult;
using mlir::RankedTensorType;
using mlir::SmallVector;
using mlir::Type;
using mlir::Value;

/// The hwgq-phase element type of an ONNX element type: signless, and at least
/// 8 bits wide but for i1 (2- and 4-bit integers are held in i8).
Type convertElementType(Type type);

/// A constant with its dimensions permuted; null where its elements cannot be
/// read.
mlir::ElementsAttr transposeElements(mlir::ElementsAttr elements,
                                     ArrayRef<int64_t> perm);

/// Builds tensor arithmetic and data movement of the hwgq phase at one
/// location.
class TensorBuilder {
public:
  TensorBuilder(OpBuilder &b, Location loc) : b(b), loc(loc) {}

  /// Sizes of a tensor; dynamic ones are followed up to the value that brings
  /// them, so that an intermediate tensor has no uses for its size alone.
  SmallVector<OpFoldResult> sizes(Value v);
  OpFoldResult size(Value v, int64_t dim);
  /// An uninitialised tensor.
  Value empty(ArrayRef<OpFoldResult> sizes, Type element);
  /// A tensor filled with one scalar attribute.
  Value filled(ArrayRef<OpFoldResult> sizes, mlir::TypedAttr scalar);
  /// A rank-0 constant of a float or integer element type.
  Value scalar(Type element, double value);
  /// A constant broadcast to the shape of `like`.
  Value splat(Value like, double value);
  /// As above with another element type.
  Value splat(Value like, Type element, double value);
  /// A tensor constant of float32.
  Value constant(ArrayRef<int64_t> shape, ArrayRef<float> values);
  /// A tensor constant of i64.
  Value constant(ArrayRef<int64_t> shape, ArrayRef<int64_t> values);
  /// A per-index constant along dimension `dim` of `like`, or a splat where
  /// there is one value.
  Value alongDim(Value like, ArrayRef<float> values, unsigned dim);

  /// Numpy broadcast of `v` to `sizes`: a rank-reduced value under one
  /// `linalg.broadcast`; constants lose all their unit dimensions.
  Value broadcastTo(Value v, ArrayRef<OpFoldResult> sizes);
  Value broadcastLike(Value v, Value like) {
    return broadcastTo(v, sizes(like));
  }
  /// Inserts `dims` (positions in the result) of the sizes given by `sizes`.
  Value broadcastDims(Value v, ArrayRef<OpFoldResult> sizes,
                      ArrayRef<int64_t> dims);

  Value transpose(Value v, ArrayRef<int64_t> perm);
  /// Reshape to a static shape with at most one dynamic size.
  Value reshape(Value v, ArrayRef<int64_t> shape);
  /// [N, C, spatial...] to [N, spatial..., C] and back.
  Value toChannelsLast(Value v);
  Value toChannelsFirst(Value v);
  /// `v[offset + stride * i]` along `dim` for `size` elements.
  Value slice(Value v, unsigned dim, int64_t offset, int64_t size,
              int64_t stride = 1);
  Value concat(ArrayRef<Value> values, unsigned dim);
  /// Constant border; negative pads crop.
  Value pad(Value v, ArrayRef<int64_t> low, ArrayRef<int64_t> high,
            double value);

  /// Reduction over `axes` (dropped from the result) in row-major order from
  /// `init`; `body(accumulator, element)`.
  Value reduce(Value v, ArrayRef<int64_t> axes, mlir::TypedAttr init,
               llvm::function_ref<Value(OpBuilder &, Value, Value)> body);
  /// Puts the reduced axes back as size 1.
  Value keepDims(Value reduced, ArrayRef<int64_t> axes, int64_t rank);

  /// Conversion between element types as ONNX Cast defines it; `from` and
  /// `to` are ONNX types and carry the signs; `saturate` is for float8.
  Value cast(Value v, Type from, Type to, bool saturate = true);
  /// Same shape, other element type.
  static RankedTensorType withElement(Value v, Type element);

  template <typename OpTy, typename... Args> Value make(Args &&...args) {
    return OpTy::create(b, loc, std::forward<Args>(args)...);
  }
  Value cmpf(mlir::arith::CmpFPredicate p, Value x, Value y) {
    return make<mlir::arith::CmpFOp>(p, x, y);
  }
  Value cmpi(mlir::arith::CmpIPredicate p, Value x, Value y) {
    return make<mlir::arith::CmpIOp>(p, x, y);
  }
  Value select(Value c, Value x, Value y) {
    return make<mlir::arith::SelectOp>(c, x, y);
  }

  OpBuilder &b;
  Location loc;
};

} // namespace hwgq

#endif // HWGQ_DIALECT_TENSORBUILDER_H
