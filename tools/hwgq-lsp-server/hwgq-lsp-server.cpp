//===- hwgq-lsp-server.cpp - editor support for the dialects --------------===//
#include "hwgq/InitAllDialects.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  hwgq::registerAllDialects(registry);
  return failed(mlir::MlirLspServerMain(argc, argv, registry));
}
