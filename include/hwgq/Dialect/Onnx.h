//===- Onnx.h - ONNX operators as unregistered ops --------------*- C++ -*-===//
#ifndef HWGQ_DIALECT_ONNX_H
#define HWGQ_DIALECT_ONNX_H

#include "mlir/IR/Dialect.h"

namespace hwgq::onnx {

/// The namespace of imported ONNX operators: `"onnx.Conv"(...)` and the like,
/// without ODS. Every operator is pure; what it takes and gives is in the
/// operator table.
class OnnxDialect : public mlir::Dialect {
public:
  explicit OnnxDialect(mlir::MLIRContext *context);
  static llvm::StringRef getDialectNamespace() { return "onnx"; }

  /// Memory effects for unregistered ops: there are none.
  void *getRegisteredInterfaceForOp(mlir::TypeID interface,
                                    mlir::OperationName name) override;
};

} // namespace hwgq::onnx

#endif // HWGQ_DIALECT_ONNX_H
