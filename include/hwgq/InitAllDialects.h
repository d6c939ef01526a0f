//===- InitAllDialects.h - every dialect of the pipeline --------*- C++ -*-===//
#ifndef HWGQ_INITALLDIALECTS_H
#define HWGQ_INITALLDIALECTS_H

#include "mlir/IR/DialectRegistry.h"

namespace hwgq {
/// Registers hwgq, bitpack, onnx, the upstream dialects that the phases use,
/// and the external models they need.
void registerAllDialects(mlir::DialectRegistry &registry);
} // namespace hwgq

#endif // HWGQ_INITALLDIALECTS_H
