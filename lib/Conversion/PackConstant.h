//===- PackConstant.h - codes as they lie in memory -------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_PACKCONSTANT_H
#define HWGQ_LIB_CONVERSION_PACKCONSTANT_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"

namespace hwgq {

/// The memory of a packed tensor of static shape with form `planes` that holds
/// `codes`, one a byte in row-major order: a flat i64 attribute.
mlir::ElementsAttr packConstant(mlir::RankedTensorType type,
                                llvm::ArrayRef<uint8_t> codes);

/// The inverse: the codes of packed memory, one a byte in row-major order;
/// nothing when the attribute has no readable values.
std::optional<llvm::SmallVector<uint8_t>>
unpackConstant(mlir::RankedTensorType type, mlir::ElementsAttr words);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_PACKCONSTANT_H
