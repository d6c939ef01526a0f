//===- hwgq-opt.cpp - runs passes on IR text ------------------------------===//
#include "hwgq/InitAllDialects.h"
#include "hwgq/Pipelines/Pipelines.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  hwgq::registerAllDialects(registry);
  hwgq::registerPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(
      argc, argv, "hwgq modular optimizer driver\n", registry));
}
