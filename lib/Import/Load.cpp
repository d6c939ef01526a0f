//===- Load.cpp - a network from a file -----------------------------------===//
#include "hwgq/Import/Load.h"
#include "hwgq/Import/Import.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace hwgq;

OwningOpRef<ModuleOp> hwgq::loadModule(StringRef path, MLIRContext *context,
                                       const LoadOptions &options) {
  if (!path.ends_with(".mlir") && path != "-") {
    ImportOptions import;
    import.batch = options.batch;
    import.dynamicBatch = options.dynamicBatch;
    return importOnnx(path, context, import);
  }
  Location loc = UnknownLoc::get(context);
  auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(path);
  if (!buffer) {
    emitError(loc) << "cannot read the file: " << buffer.getError().message();
    return {};
  }
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  return parseSourceFile<ModuleOp>(sources, context);
}
