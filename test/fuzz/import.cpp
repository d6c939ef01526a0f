//===- import.cpp - Fuzz target of the ONNX importer ----------------------===//
// Imports arbitrary bytes. Whatever comes out must verify; whatever does not
// must have said why.
#include "hwgq/Import/Import.h"
#include "hwgq/InitAllDialects.h"
#include "mlir/IR/Verifier.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mlir::DialectRegistry registry;
  hwgq::registerAllDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  bool said = false;
  context.getDiagEngine().registerHandler([&](mlir::Diagnostic &diagnostic) {
    said |= diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error;
  });
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  mlir::OwningOpRef<mlir::ModuleOp> module =
      hwgq::importOnnxFromMemory(bytes, "", &context);
  if (module ? failed(mlir::verify(*module)) : !said)
    abort();
  return 0;
}
