//===- Dtype.h - element types of the binary interface ----------*- C++ -*-===//
#ifndef HWGQ_CONVERSION_DTYPE_H
#define HWGQ_CONVERSION_DTYPE_H

#include "mlir/IR/Types.h"

namespace hwgq {

/// The enum hwgq_dtype of an element type, 0 where there is none. Integers of 2
/// and 4 bits travel in 8; signless ones are unsigned by `isUnsigned`.
uint32_t getDtype(mlir::Type type, bool isUnsigned);

} // namespace hwgq

#endif // HWGQ_CONVERSION_DTYPE_H
