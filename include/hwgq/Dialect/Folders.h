//===- Folders.h - folders that both dialects have --------------*- C++ -*-===//
#ifndef HWGQ_DIALECT_FOLDERS_H
#define HWGQ_DIALECT_FOLDERS_H

#include "hwgq/Dialect/HWGQ.h"

namespace hwgq {

/// Whether a pad adds nothing.
inline bool isNoBorder(llvm::ArrayRef<int64_t> low,
                       llvm::ArrayRef<int64_t> high) {
  auto isZero = [](int64_t v) { return v == 0; };
  return llvm::all_of(low, isZero) && llvm::all_of(high, isZero);
}

/// A window of one pixel that moves by one is the input; `falling` without an
/// entry is none.
template <typename OpTy> mlir::OpFoldResult foldMaxPool(OpTy op) {
  auto isOne = [](int64_t v) { return v == 1; };
  if (llvm::all_of(op.getKernel(), isOne) &&
      llvm::all_of(op.getStrides(), isOne) && isNoBorder(op.getPads(), {}) &&
      op.getInput().getType() == op.getType())
    return op.getInput();
  if (!op.getFalling() || llvm::is_contained(*op.getFalling(), true))
    return {};
  op.removeFallingAttr();
  return op.getResult();
}

} // namespace hwgq

#endif // HWGQ_DIALECT_FOLDERS_H
