//===- hwgq-reduce.cpp - makes failing IR small ---------------------------===//
#include "hwgq/InitAllDialects.h"
#include "hwgq/Passes.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  hwgq::registerAllDialects(registry);
  mlir::registerTransformsPasses();
  hwgq::registerHWGQPasses();
  mlir::MLIRContext context(registry);
  return failed(mlir::mlirReduceMain(argc, argv, context));
}
