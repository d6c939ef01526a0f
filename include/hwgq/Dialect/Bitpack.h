//===- Bitpack.h - the bitpack dialect --------------------------*- C++ -*-===//
#ifndef HWGQ_DIALECT_BITPACK_H
#define HWGQ_DIALECT_BITPACK_H

#include "hwgq/Dialect/HWGQ.h"

#include "bitpack/BitpackDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "bitpack/BitpackAttrs.h.inc"

#define GET_OP_CLASSES
#include "bitpack/BitpackOps.h.inc"

namespace hwgq::bitpack {

/// The layout of a packed tensor; the type must be packed.
inline LayoutAttr getLayout(mlir::Type type) {
  return llvm::cast<LayoutAttr>(
      llvm::cast<mlir::RankedTensorType>(type).getEncoding());
}

/// Whether a type is a packed tensor of codes.
inline bool isPacked(mlir::Type type) {
  auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type);
  return tensor && llvm::isa<CodeType>(tensor.getElementType()) &&
         llvm::isa_and_nonnull<LayoutAttr>(tensor.getEncoding());
}

/// Where the code of element `index` (logical, one per dimension) of a packed
/// tensor lies: its bit p is bit `bit + p * bitStride` of memory element
/// `element + p * planeStride`.
struct BitAddress {
  int64_t element;
  unsigned bit;
  int64_t planeStride;
  unsigned bitStride;
};
BitAddress getBitAddress(mlir::RankedTensorType type,
                         llvm::ArrayRef<int64_t> shape,
                         llvm::ArrayRef<int64_t> index);

} // namespace hwgq::bitpack

#endif // HWGQ_DIALECT_BITPACK_H
