//===- Import.cpp - ONNX files to IR --------------------------------------===//
#include "hwgq/Import/Import.h"
#include "GraphBuilder.h"
#include "hwgq/Dialect/Onnx.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/Path.h"

using namespace hwgq;

static mlir::OwningOpRef<mlir::ModuleOp>
importModel(const ModelFile &file, mlir::Location loc,
            const ImportOptions &options) {
  mlir::MLIRContext *context = loc.getContext();
  context->loadDialect<onnx::OnnxDialect, mlir::func::FuncDialect>();
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(loc);
  mlir::func::FuncOp func = GraphBuilder(file, *module, options).build();
  if (!func)
    return nullptr;
  onnx::NormalizeOptions normalize;
  normalize.batch = options.batch;
  normalize.dynamicBatch = options.dynamicBatch;
  if (failed(onnx::normalize(func, normalize)) || failed(verify(*module)))
    return nullptr;
  return module;
}

mlir::OwningOpRef<mlir::ModuleOp>
hwgq::importOnnx(llvm::StringRef path, mlir::MLIRContext *context,
                 const ImportOptions &options) {
  mlir::Location loc = mlir::UnknownLoc::get(context);
  ModelFile file;
  auto model = readModelFile(path, loc);
  if (failed(model))
    return nullptr;
  file.model = *model;
  file.folder = llvm::sys::path::parent_path(path).str();
  if (file.folder.empty())
    file.folder = ".";
  return importModel(file, loc, options);
}

mlir::OwningOpRef<mlir::ModuleOp>
hwgq::importOnnxFromMemory(llvm::StringRef bytes, llvm::StringRef folder,
                           mlir::MLIRContext *context,
                           const ImportOptions &options) {
  mlir::Location loc = mlir::UnknownLoc::get(context);
  auto model = readModelBytes(bytes, loc);
  if (failed(model))
    return nullptr;
  return importModel({*model, folder.str()}, loc, options);
}
