//===- Interpreter.h - evaluates the tensor phases --------------*- C++ -*-===//
//
// The oracle: import, hwgq, bitpack and kernel phase, one short function an op.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_REFERENCE_INTERPRETER_H
#define HWGQ_REFERENCE_INTERPRETER_H

#include "hwgq/Reference/Scalar.h"
#include "hwgq/Reference/Tensor.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace hwgq::reference {

/// Evaluates a function on actual inputs; `?` sizes are what the inputs have.
/// Fails with a located error for inputs that do not fit the arguments, ops
/// that it does not know, and operands on which an op is undefined.
mlir::FailureOr<llvm::SmallVector<Tensor>>
evaluate(mlir::func::FuncOp func, llvm::ArrayRef<Tensor> inputs);

/// Evaluates one op on the values of `getInputValues(op)`; errors as for
/// `evaluate`. An op outside the interpreter is an error too: ask `canEvaluate`
/// first.
mlir::FailureOr<llvm::SmallVector<Tensor>>
evaluateOp(mlir::Operation *op, llvm::ArrayRef<Tensor> inputs);

/// The values that an op needs: its operands, then what its regions use from
/// outside.
llvm::SmallVector<mlir::Value> getInputValues(mlir::Operation *op);

/// Whether the interpreter knows the op. Its attributes and operands may still
/// turn out to be invalid.
bool canEvaluate(mlir::Operation *op);

/// The value of a constant op (arith.constant, onnx.Constant, hwgq.constant,
/// bitpack.constant); nothing for other ops.
std::optional<Tensor> getConstantTensor(mlir::Operation *op);

} // namespace hwgq::reference

#endif // HWGQ_REFERENCE_INTERPRETER_H
