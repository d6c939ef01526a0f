//===- hwgq-opt.cpp - runs passes on IR text ------------------------------===//
#include "hwgq/InitAllDialects.h"
#include "hwgq/Passes.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  hwgq::registerAllDialects(registry);
  mlir::registerTransformsPasses();
  hwgq::registerHWGQPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "hwgq modular optimizer driver\n", registry));
}
