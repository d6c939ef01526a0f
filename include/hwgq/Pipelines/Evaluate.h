//===- Evaluate.h - @main on arrays -----------------------------*- C++ -*-===//
#ifndef HWGQ_PIPELINES_EVALUATE_H
#define HWGQ_PIPELINES_EVALUATE_H

#include "hwgq/Reference/Interpreter.h"
#include <optional>
#include <string>
#include <vector>

namespace hwgq {

/// An input or output of @main as arrays hold it.
struct Port {
  static constexpr int64_t kMaxRank = 32; ///< NumPy's, too.

  std::string name;
  uint32_t dtype = 0;               ///< enum hwgq_dtype
  llvm::SmallVector<int64_t> shape; ///< -k stands for k times the batch.
  unsigned bits = 0; ///< Of an integer element; 2 and 4 travel in 8.

  /// Whether an array of that type and shape fits; sets a batch that was
  /// unknown (0).
  bool fits(uint32_t dtype, llvm::ArrayRef<int64_t> shape,
            int64_t &batch) const;

  /// Whether elements of 2 or 4 bits are in their range.
  bool inRange(llvm::ArrayRef<char> bytes) const;

  /// "f32[?x3x224x224]".
  std::string describe() const;
};

/// "u8[2x3]", negative sizes as "?" or "k*?".
std::string describeArray(uint32_t dtype, llvm::ArrayRef<int64_t> shape);

/// Inputs or outputs of @main of a tensor phase; an error at the module for
/// types that arrays cannot hold.
mlir::FailureOr<std::vector<Port>> getPorts(mlir::ModuleOp module,
                                            bool outputs);

/// Evaluates @main on arrays that fit its inputs: their shapes and bytes.
mlir::FailureOr<llvm::SmallVector<reference::Tensor>> evaluateMain(
    mlir::ModuleOp module,
    llvm::ArrayRef<std::pair<llvm::ArrayRef<int64_t>, llvm::ArrayRef<char>>>
        inputs);

} // namespace hwgq

#endif // HWGQ_PIPELINES_EVALUATE_H
