//===- Load.cpp - a network from a file -----------------------------------===//
#include "hwgq/Import/Load.h"
#include "Npy.h"
#include "hwgq/Dialect/OnnxOperators.h"
#include "hwgq/Import/Import.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace hwgq;

static FailureOr<ImportOptions> getImportOptions(MLIRContext *context,
                                                 const LoadOptions &options) {
  ImportOptions import;
  import.batch = options.batch;
  import.dynamicBatch = options.dynamicBatch;
  import.bind = options.values;
  for (const auto &[name, file] : options.binds) {
    auto value = readNpy(file, UnknownLoc::get(context));
    if (failed(value))
      return failure();
    import.bind[name] = *value;
  }
  return import;
}

/// Another batch for the functions of a module at the import phase.
static LogicalResult rebatch(ModuleOp module, const LoadOptions &options) {
  if (!options.batch && !options.dynamicBatch)
    return success();
  onnx::NormalizeOptions normalize;
  normalize.batch = options.batch;
  normalize.dynamicBatch = options.dynamicBatch;
  for (func::FuncOp func : module.getOps<func::FuncOp>()) {
    WalkResult other = func.walk([](Operation *op) {
      StringRef dialect = op->getName().getDialectNamespace();
      return dialect == "onnx" || dialect == "func" ? WalkResult::advance()
                                                    : WalkResult::interrupt();
    });
    if (other.wasInterrupted()) {
      // Past import the batch is part of the code; a dynamic one takes any.
      bool dynamic = llvm::any_of(func.getArgumentTypes(), [](Type type) {
        auto shaped = dyn_cast<ShapedType>(type);
        return shaped && shaped.hasRank() && shaped.getRank() &&
               shaped.isDynamicDim(0);
      });
      if (dynamic || func.getNumArguments() == 0)
        continue;
      return func.emitError() << "only a module at the import phase can be "
                                 "given another batch";
    }
    if (failed(onnx::normalize(func, normalize)))
      return failure();
  }
  return success();
}

OwningOpRef<ModuleOp> hwgq::loadModule(StringRef path, MLIRContext *context,
                                       const LoadOptions &options) {
  if (!path.ends_with(".mlir") && path != "-") {
    auto import = getImportOptions(context, options);
    return failed(import) ? OwningOpRef<ModuleOp>()
                          : importOnnx(path, context, *import);
  }
  Location loc = UnknownLoc::get(context);
  auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(path);
  if (!buffer) {
    emitError(loc) << "cannot read the file: " << buffer.getError().message();
    return {};
  }
  if (!options.binds.empty() || !options.values.empty()) {
    emitError(loc) << "--bind is for ONNX models, not for MLIR";
    return {};
  }
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, context);
  if (!module || failed(rebatch(*module, options)))
    return {};
  return module;
}

OwningOpRef<ModuleOp> hwgq::loadModuleFromMemory(StringRef bytes,
                                                 StringRef folder,
                                                 MLIRContext *context,
                                                 const LoadOptions &options) {
  auto import = getImportOptions(context, options);
  if (failed(import))
    return {};
  return importOnnxFromMemory(bytes, folder, context, *import);
}
