//===- Load.cpp - a network from a file -----------------------------------===//
#include "hwgq/Import/Load.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace hwgq;

OwningOpRef<ModuleOp> hwgq::loadModule(StringRef path, MLIRContext *context,
                                       const LoadOptions &options) {
  Location loc = UnknownLoc::get(context);
  auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(path);
  if (!buffer) {
    emitError(loc) << "cannot read the file: " << buffer.getError().message();
    return {};
  }
  if (!path.ends_with(".mlir") && path != "-") {
    emitError(loc) << "not an MLIR file";
    return {};
  }
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  return parseSourceFile<ModuleOp>(sources, context);
}
