//===- Jit.h - runs emitted tiles on this machine ---------------*- C++ -*-===//
#ifndef HWGQ_TEST_UNIT_CONVERSION_JIT_H
#define HWGQ_TEST_UNIT_CONVERSION_JIT_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

namespace hwgq {

/// Registers what runConv needs; once, before it.
void initializeJit();

/// A context with the dialects of the loops level.
struct JitContext : mlir::MLIRContext {
  JitContext();
};

mlir::Value constant(mlir::OpBuilder &b, int64_t value);
mlir::Value times(mlir::OpBuilder &b, mlir::Value x, int64_t y);

/// A function over memrefs of `types` that calls `tile` for every block of
/// output channels and every tile of an output: with the arguments,
/// block, row, first pixel and number of pixels.
mlir::OwningOpRef<mlir::ModuleOp>
buildConv(mlir::OpBuilder &b, llvm::ArrayRef<mlir::MemRefType> types,
          int64_t blocks, int64_t outHeight, int64_t outWidth, int64_t pixels,
          llvm::function_ref<void(mlir::ValueRange, mlir::Value, mlir::Value,
                                  mlir::Value, int64_t)>
              tile);

/// Stores the sums of a tile to memref<rows x pixels x channels>.
void storeTile(mlir::OpBuilder &b, mlir::ValueRange sums, mlir::Value out,
               mlir::Value k, mlir::Value y, mlir::Value x, int64_t block);

/// Functions by their names.
using Symbols = llvm::ArrayRef<std::pair<llvm::StringRef, void *>>;

/// Compiles the module of buildConv for this machine and runs it on `buffers`;
/// with `emulation`, target intrinsics are calls of its functions.
bool runConv(mlir::ModuleOp module, llvm::ArrayRef<void *> buffers,
             Symbols emulation = {});

} // namespace hwgq

#endif
