//===- ModuleFile.h - from the LLVM dialect to files ------------*- C++ -*-===//
#ifndef HWGQ_TARGET_MODULEFILE_H
#define HWGQ_TARGET_MODULEFILE_H

#include "hwgq/Target/TargetSpec.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

namespace hwgq {

/// One input or output of a network.
struct TensorInfo {
  std::string name;
  uint32_t dtype; ///< enum hwgq_dtype
  bool output;
  std::vector<int64_t> shape; ///< -1 is the batch
};

/// All that a module says of itself beside its code.
struct ModuleInfo {
  std::string prefix = "main"; ///< of the symbol `<prefix>_hwgq_module`
  std::string options;         ///< the compiler's options, as text
  std::string report;          ///< one JSON object
  int64_t batch = 1;           ///< -1: dynamic
  int64_t sharedBytes = 0;     ///< of prepared weights
  std::vector<TensorInfo> tensors;
};

/// The inputs, outputs, batch and workspace (constant and per batch) that
/// `outline-tasks` notes on a module.
llvm::Expected<ModuleInfo>
describeModule(mlir::ModuleOp module, std::pair<int64_t, int64_t> &workspace);

/// Translates a module of the LLVM dialect (with `hwgq_run` and `hwgq.layers`)
/// and adds the record and the entry symbol; `workspace` is constant and per
/// batch.
llvm::Expected<std::unique_ptr<llvm::Module>>
translateModule(mlir::ModuleOp module, const TargetSpec &target,
                const ModuleInfo &info, std::pair<int64_t, int64_t> workspace,
                llvm::LLVMContext &context);

/// Translates the kernels (NVVM dialect) of a module for an NVIDIA GPU.
llvm::Expected<std::unique_ptr<llvm::Module>>
translateKernels(mlir::gpu::GPUModuleOp kernels, const TargetSpec &target,
                 llvm::LLVMContext &context);

/// Machine code as assembly or object.
llvm::Expected<std::string> generateCode(llvm::Module &module,
                                         const TargetSpec &target,
                                         llvm::CodeGenFileType type);

/// Links an object, and the object file `library` unless that is empty, into a
/// finished module file (length and checksum set).
llvm::Expected<std::string> linkModule(llvm::StringRef object,
                                       const TargetSpec &target,
                                       const std::string &library = "");

/// Replaces the report in a finished module file by one of the same length.
llvm::Error replaceReport(std::string &file, llvm::StringRef report);

/// The C header that declares a module for static linking.
std::string makeHeader(const ModuleInfo &info,
                       std::pair<int64_t, int64_t> workspace);

/// Writes a file whole or not at all.
llvm::Error writeFile(llvm::StringRef path, llvm::StringRef contents,
                      bool executable = false);
/// The same for contents that are printed piece by piece.
llvm::Error writeFile(llvm::StringRef path,
                      llvm::function_ref<void(llvm::raw_ostream &)> print,
                      bool executable = false);

} // namespace hwgq

#endif // HWGQ_TARGET_MODULEFILE_H
