//===- OnnxDialect.cpp - ONNX operators as unregistered ops ---------------===//
#include "hwgq/Dialect/Onnx.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace hwgq::onnx;

namespace {
/// Says of every op that it has no effects, so that equal ones merge.
struct NoEffects : mlir::MemoryEffectOpInterface::FallbackModel<NoEffects> {
  void getEffects(mlir::Operation *,
                  llvm::SmallVectorImpl<mlir::SideEffects::EffectInstance<
                      mlir::MemoryEffects::Effect>> &) const {}
};
} // namespace

OnnxDialect::OnnxDialect(mlir::MLIRContext *context)
    : Dialect(getDialectNamespace(), context,
              mlir::TypeID::get<OnnxDialect>()) {
  allowUnknownOperations();
}

void *OnnxDialect::getRegisteredInterfaceForOp(mlir::TypeID interface,
                                               mlir::OperationName) {
  static NoEffects effects;
  return interface == mlir::MemoryEffectOpInterface::getInterfaceID() ? &effects
                                                                      : nullptr;
}
