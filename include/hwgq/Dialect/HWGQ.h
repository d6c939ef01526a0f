//===- HWGQ.h - the hwgq dialect --------------------------------*- C++ -*-===//
#ifndef HWGQ_DIALECT_HWGQ_H
#define HWGQ_DIALECT_HWGQ_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "hwgq/HWGQDialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "hwgq/HWGQTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "hwgq/HWGQAttrs.h.inc"

#define GET_OP_CLASSES
#include "hwgq/HWGQOps.h.inc"

namespace hwgq {

/// Packs codes, `bits` each, without gaps and lowest bits first.
llvm::SmallVector<uint8_t> packCodes(llvm::ArrayRef<uint8_t> codes,
                                     unsigned bits);

/// The inverse of packCodes for `count` codes; `bytes` must be long enough.
llvm::SmallVector<uint8_t> unpackCodes(llvm::ArrayRef<uint8_t> bytes,
                                       unsigned bits, int64_t count);

/// Bytes that packCodes makes of `count` codes.
inline int64_t packedCodeBytes(int64_t count, unsigned bits) {
  return (count * bits + 7) / 8;
}

/// The codes of a constant, one a byte, in row-major order.
llvm::SmallVector<uint8_t> getCodes(ConstantOp op);

/// A constant of codes; large ones become resources.
ConstantOp createConstant(mlir::OpBuilder &builder, mlir::Location loc,
                          mlir::RankedTensorType type,
                          llvm::ArrayRef<uint8_t> codes);

/// An elements attribute over raw little-endian bytes: `dense` when small,
/// else a `dense_resource` named after `name`.
mlir::ElementsAttr makeElements(mlir::RankedTensorType type,
                                llvm::ArrayRef<char> data,
                                llvm::StringRef name);

/// The raw row-major bytes of an elements attribute of integers or floats
/// whose width is a multiple of 8; splats are expanded into `storage`. Nothing
/// when the attribute has another form.
std::optional<llvm::ArrayRef<char>>
getElementBytes(mlir::ElementsAttr attr, llvm::SmallVectorImpl<char> &storage);

/// Typed view of getElementBytes.
template <typename T>
std::optional<llvm::SmallVector<T>> getElementValues(mlir::ElementsAttr attr) {
  llvm::SmallVector<char> storage;
  auto bytes = getElementBytes(attr, storage);
  if (!bytes || bytes->size() % sizeof(T))
    return std::nullopt;
  llvm::SmallVector<T> values(bytes->size() / sizeof(T));
  std::memcpy(values.data(), bytes->data(), bytes->size());
  return values;
}

/// The 2-D window of a convolution or pool: kernel, strides, pads (top, left,
/// bottom, right) and dilations.
struct Window {
  llvm::SmallVector<int64_t, 2> kernel, strides, dilations;
  llvm::SmallVector<int64_t, 4> pads;

  /// Output size along spatial dimension `dim` (0 = height) of an input size.
  int64_t outputSize(int64_t input, unsigned dim) const {
    int64_t extent = (kernel[dim] - 1) * dilations[dim] + 1;
    int64_t span = input + pads[dim] + pads[dim + 2] - extent;
    return span < 0 ? 0 : span / strides[dim] + 1;
  }
};

/// Largest |sum of products of n| that `terms` terms can reach; saturates.
int64_t accumulatorBound(CodeType x, CodeType w, int64_t terms);

/// Which dimension of an operand of a `hwgq.product` is k, by what its
/// dimensions are.
inline int64_t getInnerDim(llvm::ArrayRef<int64_t> dims) {
  return llvm::find(dims, int64_t(dims.size())) - dims.begin();
}

/// The shape of the result of a `hwgq.product` whose operands have these shapes
/// and dimensions; fails after `error` where they do not fit.
mlir::FailureOr<llvm::SmallVector<int64_t>>
getProductShape(llvm::function_ref<mlir::InFlightDiagnostic()> error,
                llvm::ArrayRef<int64_t> input, llvm::ArrayRef<int64_t> weight,
                llvm::ArrayRef<int64_t> inputDims,
                llvm::ArrayRef<int64_t> weightDims);

} // namespace hwgq

#endif // HWGQ_DIALECT_HWGQ_H
