//===- TargetIntrinsics.h - the table of target instructions ----*- C++ -*-===//
//
// Instructions that no MLIR dialect has an op for, as LLVM's intrinsics on
// vectors. The table in lib/Conversion/TargetIntrinsics.cpp is the only place
// that names them: kernels call them by their row, `check-target-intrinsics`
// refuses those that a target lacks, and `emulate-target-intrinsics` puts the
// C function `hwgq_emulate_NAME` (test/emulation) in their place.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_CONVERSION_TARGETINTRINSICS_H
#define HWGQ_CONVERSION_TARGETINTRINSICS_H

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"

namespace hwgq {

/// One row of the table.
struct TargetIntrinsic {
  /// What kernels call it, and the end of the name of its C function.
  llvm::StringRef name;
  /// LLVM's name, without the suffixes of overloaded types.
  llvm::StringRef llvmName;
  /// "16xi32" (a vector), "i8", "i64", "ptr"; empty for no result.
  llvm::StringRef result;
  /// The same, separated by spaces. An i8 is an immediate.
  llvm::StringRef operands;
  /// Features that a target needs: alternatives separated by '|', each a list
  /// of LLVM's names separated by ','.
  llvm::StringRef features;
  /// It reads or writes the tile registers of AMX.
  bool tiles = false;

  /// The result type, null without one.
  mlir::Type getResultType(mlir::MLIRContext *context) const;
  llvm::SmallVector<mlir::Type>
  getOperandTypes(mlir::MLIRContext *context) const;
  /// Whether a target with these features has the instruction.
  bool isAvailable(const llvm::StringSet<> &targetFeatures) const;
};

/// All rows.
llvm::ArrayRef<TargetIntrinsic> getTargetIntrinsics();

/// The row of that name, or null.
const TargetIntrinsic *findTargetIntrinsic(llvm::StringRef name);

/// The row that an `llvm.call_intrinsic` calls, or null.
const TargetIntrinsic *findTargetIntrinsic(mlir::Operation *call);

/// Calls the row of that name, which must exist and have operands of these
/// types; null where it has no result.
mlir::Value createTargetIntrinsic(mlir::OpBuilder &builder, mlir::Location loc,
                                  llvm::StringRef name,
                                  mlir::ValueRange operands);

} // namespace hwgq

#endif // HWGQ_CONVERSION_TARGETINTRINSICS_H
