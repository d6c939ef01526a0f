//===- Npy.h - NumPy files as constants -------------------------*- C++ -*-===//
#ifndef HWGQ_LIB_IMPORT_NPY_H
#define HWGQ_LIB_IMPORT_NPY_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"
#include "mlir/Support/LLVM.h"

namespace hwgq {

/// The array in an NPY file (versions 1 to 3, little-endian, C order); errors
/// are reported at `loc`.
mlir::FailureOr<mlir::ElementsAttr> readNpy(llvm::StringRef path,
                                            mlir::Location loc);

} // namespace hwgq

#endif // HWGQ_LIB_IMPORT_NPY_H
