//===- TensorToLoops.h - upstream tensor ops to loops -----------*- C++ -*-===//
#ifndef HWGQ_CONVERSION_TENSORTOLOOPS_H
#define HWGQ_CONVERSION_TENSORTOLOOPS_H

#include "hwgq/Conversion/BitpackToLoops.h"
#include "mlir/Transforms/DialectConversion.h"

namespace hwgq {

/// Adds the patterns that turn linalg.generic and the tensor dialect's data
/// movement into parallel loops over memrefs. 
void populateTensorToLoopsPatterns(mlir::RewritePatternSet &patterns,
                                   const mlir::TypeConverter &converter,
                                   const LoopOptions &options);

} // namespace hwgq

#endif // HWGQ_CONVERSION_TENSORTOLOOPS_H
