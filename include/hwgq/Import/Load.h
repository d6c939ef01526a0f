//===- Load.h - a network from a file -----------------------------*- C++
//-*-===//
#ifndef HWGQ_IMPORT_LOAD_H
#define HWGQ_IMPORT_LOAD_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hwgq {

/// What a caller may change about a network while it is loaded.
struct LoadOptions {
  std::optional<int64_t> batch; ///< in place of the file's
  bool dynamicBatch = false;
  /// Inputs that become constants: name and NPY file.
  std::vector<std::pair<std::string, std::string>> binds;
  /// The same with arrays of the context that the network is loaded into.
  llvm::StringMap<mlir::ElementsAttr> values;
};

/// Loads MODEL.onnx, or MODULE.mlir at any phase. Errors go to the context;
/// the result is null then.
mlir::OwningOpRef<mlir::ModuleOp> loadModule(llvm::StringRef path,
                                             mlir::MLIRContext *context,
                                             const LoadOptions &options = {});

/// Loads an ONNX model from memory, which may go away afterwards; `folder` is
/// where its external data lies, an empty one refuses it.
mlir::OwningOpRef<mlir::ModuleOp>
loadModuleFromMemory(llvm::StringRef bytes, llvm::StringRef folder,
                     mlir::MLIRContext *context,
                     const LoadOptions &options = {});

} // namespace hwgq

#endif // HWGQ_IMPORT_LOAD_H
