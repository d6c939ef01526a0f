//===- OnnxDialect.cpp - ONNX operators as unregistered ops ---------------===//
#include "hwgq/Dialect/Onnx.h"

using namespace hwgq::onnx;

OnnxDialect::OnnxDialect(mlir::MLIRContext *context)
    : Dialect(getDialectNamespace(), context,
              mlir::TypeID::get<OnnxDialect>()) {
  allowUnknownOperations();
}
