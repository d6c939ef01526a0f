//===- Import.h - ONNX files to IR ------------------------------*- C++ -*-===//
#ifndef HWGQ_IMPORT_IMPORT_H
#define HWGQ_IMPORT_IMPORT_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include <optional>

namespace hwgq {

/// How a model is imported.
struct ImportOptions {
  /// Compile for this batch, whatever the file says.
  std::optional<int64_t> batch;
  /// Make the batch dynamic, whatever the file says.
  bool dynamicBatch = false;
  /// Inputs of the graph that become constants, by name. A tensor must have
  /// the input's element type and fit its shape; 2- and 4-bit inputs may be
  /// given as (u)int8.
  llvm::StringMap<mlir::ElementsAttr> bind;
};

/// Reads the model `path` into a module with one function @main in the normal
/// form of hwgq/Dialect/OnnxOperators.h. Arguments and results carry their
/// ONNX names as `hwgq.name`; ops are located by node name, and errors that
/// concern the whole file have no location. The elements of
/// large tensors stay in the parsed message or the mapped external file, which
/// live as long as `context`. Null after an error, which is reported through
/// the context's diagnostics.
mlir::OwningOpRef<mlir::ModuleOp> importOnnx(llvm::StringRef path,
                                             mlir::MLIRContext *context,
                                             const ImportOptions &options = {});

/// The same for a model in memory, which may go away afterwards. External data
/// is looked for in `folder`; an empty one refuses it.
mlir::OwningOpRef<mlir::ModuleOp>
importOnnxFromMemory(llvm::StringRef bytes, llvm::StringRef folder,
                     mlir::MLIRContext *context,
                     const ImportOptions &options = {});

} // namespace hwgq

#endif // HWGQ_IMPORT_IMPORT_H
