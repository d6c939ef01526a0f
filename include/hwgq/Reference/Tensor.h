//===- Tensor.h - values of the reference interpreter -----------*- C++ -*-===//
#ifndef HWGQ_REFERENCE_TENSOR_H
#define HWGQ_REFERENCE_TENSOR_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"

#include <memory>

namespace hwgq::reference {

/// A tensor with its elements in row-major order.
///
/// How elements lie: floats as themselves; integers in the next of 1, 2, 4 or 8
/// bytes, `i1` as 0 or 1, signless and signed ones sign-extended, unsigned ones
/// zero-extended; `index` as int64_t; codes one a byte; packed tensors as the
/// words of their physical shape, zero in the halo. A tensor without a type
/// stands for `none`, an absent optional operand.
class Tensor {
public:
  Tensor() = default;

  /// Largest size of one tensor; more is an error for hostile shapes.
  static constexpr int64_t kMaxBytes = int64_t(8) << 30;

  /// A tensor of zeros. Fails with an error at `loc` when the type is dynamic,
  /// has no storage, is larger than kMaxBytes or than what can be had.
  static mlir::FailureOr<Tensor> allocate(mlir::Location loc,
                                          mlir::RankedTensorType type);

  /// A view of bytes that outlive the tensor; `data` has storageBytes(type).
  static Tensor borrow(mlir::RankedTensorType type, llvm::ArrayRef<char> data);

  /// A rank-0 tensor of type `index`.
  static Tensor ofIndex(mlir::MLIRContext *context, int64_t value);

  /// The elements of an attribute, borrowed where it holds them as they lie
  /// here. Fails with an error at `loc` for forms without readable elements.
  static mlir::FailureOr<Tensor> fromElements(mlir::Location loc,
                                              mlir::ElementsAttr attr);

  /// The attribute with these elements; not for codes and packed tensors.
  mlir::ElementsAttr toElements(llvm::StringRef name) const;

  /// Whether this stands for an absent operand.
  bool isNone() const { return !type; }
  mlir::RankedTensorType getType() const { return type; }
  mlir::Type getElementType() const { return type.getElementType(); }
  llvm::ArrayRef<int64_t> getShape() const { return type.getShape(); }
  int64_t getRank() const { return type.getRank(); }
  int64_t getDimSize(int64_t d) const { return type.getShape()[d]; }
  /// Number of logical elements.
  int64_t size() const { return type.getNumElements(); }

  llvm::ArrayRef<char> bytes() const { return data; }
  /// The bytes to write; only for tensors that own their memory.
  llvm::MutableArrayRef<char> mutableBytes() {
    return {const_cast<char *>(data.data()), data.size()};
  }
  /// Whether the memory belongs to this tensor alone.
  bool isUnique() const { return owner && owner.use_count() == 1; }

  template <typename T> llvm::ArrayRef<T> as() const {
    return {reinterpret_cast<const T *>(data.data()), data.size() / sizeof(T)};
  }
  template <typename T> llvm::MutableArrayRef<T> asMutable() {
    return {reinterpret_cast<T *>(const_cast<char *>(data.data())),
            data.size() / sizeof(T)};
  }

  /// Integer (or index) element i as int64_t.
  int64_t getInt(int64_t i) const;

  /// The same elements under another type of the same storage size.
  Tensor withType(mlir::RankedTensorType newType) const;

private:
  mlir::RankedTensorType type;
  std::shared_ptr<char> owner;
  llvm::ArrayRef<char> data;
};

/// Bytes of one stored element; 0 for types without storage. Packed tensors
/// are counted by storageBytes alone.
unsigned getStorageWidth(mlir::Type element);

/// Bytes of a tensor of a static type, checked for overflow; nothing when the
/// type has no storage or the size passes Tensor::kMaxBytes.
std::optional<int64_t> storageBytes(mlir::RankedTensorType type);

/// Number of elements of a shape; nothing when a size is negative or the
/// product passes 2^62.
std::optional<int64_t> countElements(llvm::ArrayRef<int64_t> shape);

} // namespace hwgq::reference

#endif // HWGQ_REFERENCE_TENSOR_H
