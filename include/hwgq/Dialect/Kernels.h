//===- Kernels.h - the table of kernels -------------------------*- C++ -*-===//
//
// A kernel is one way to compute a contraction. A new one is a row of the
// table in lib/Dialect/Bitpack/Kernels.cpp and an emitter of the same name in
// lib/Conversion/BitpackToLoops/Contractions.cpp; docs/AddingAKernel.md tells
// the rest.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_DIALECT_KERNELS_H
#define HWGQ_DIALECT_KERNELS_H

#include "hwgq/Dialect/Bitpack.h"

namespace hwgq::bitpack {

/// What kernels need to know of a bitpack.conv2d or bitpack.matmul; a matmul
/// is a convolution with a 1x1 filter on one row of M pixels.
struct Contraction {
  mlir::Operation *op;
  mlir::Value input, weight, result;
  Window window;
  int64_t groups = 1, inChannels = 0, outChannels = 0;
  bool isMatMul = false;
  mlir::ElementsAttr thresholds; // null without
  llvm::ArrayRef<int8_t> direction;

  /// Nothing for any other op.
  static std::optional<Contraction> get(mlir::Operation *op);

  mlir::RankedTensorType inputType() const;
  mlir::RankedTensorType weightType() const;
  mlir::RankedTensorType resultType() const;
  /// The code type of an operand, null where it is float.
  CodeType inputCode() const;
  CodeType weightCode() const;
  int64_t groupInChannels() const { return inChannels / groups; }
  int64_t groupOutChannels() const { return outChannels / groups; }
  /// Whether the weights are known at compile time.
  bool hasConstantWeight() const;
  /// Multiply-accumulates for one image, or for one row of a matmul.
  int64_t macs() const;
};

/// One row of the table.
struct Kernel {
  llvm::StringRef name;
  llvm::StringRef summary;
  /// Features of the target without which the kernel does not run.
  llvm::ArrayRef<llvm::StringRef> features;
  /// Null if the kernel computes this op, else why it does not.
  const char *(*refuses)(const Contraction &);
};

/// All kernels, the preferred first; the last is `generic`, which takes every
/// contraction on every target.
llvm::ArrayRef<Kernel> getKernels();

/// The kernel of that name, or null.
const Kernel *findKernel(llvm::StringRef name);

} // namespace hwgq::bitpack

#endif // HWGQ_DIALECT_KERNELS_H
