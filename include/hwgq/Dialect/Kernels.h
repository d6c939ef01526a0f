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
#include "llvm/ADT/StringSet.h"

namespace hwgq::bitpack {

/// Bytes that a task may take for the part of a tensor that it makes itself.
constexpr int64_t kTaskBytes = 96 << 10;

/// The largest of the fewest, about equal parts of `whole` that are at most
/// `most`.
inline int64_t getEqualPart(int64_t whole, int64_t most) {
  return llvm::divideCeil(whole, llvm::divideCeil(whole, most));
}

/// What kernels need to know of a bitpack.conv2d, bitpack.matmul or
/// bitpack.product; a matmul is a convolution with a 1x1 filter on one row of M
/// pixels.
struct Contraction {
  mlir::Operation *op;
  mlir::Value input, weight, result;
  Window window;
  int64_t groups = 1, inChannels = 0, outChannels = 0;
  /// Groups of the op that are one of `groups`; the weights between them are 0.
  int64_t joined = 1;
  bool isMatMul = false;
  /// Images at once, where the rows of a matmul are dynamic.
  int64_t images = 1;
  /// Of a product: what dimensions of its operands are (see hwgq.product).
  llvm::ArrayRef<int64_t> inputDims, weightDims;
  mlir::ElementsAttr thresholds; // null without
  llvm::ArrayRef<int8_t> direction;

  /// Nothing for any other op.
  static std::optional<Contraction> get(mlir::Operation *op);
  /// The same with `count` neighbouring groups, a divisor of `groups`, joined;
  /// nothing where no codes hold the weights between them.
  std::optional<Contraction> join(int64_t count) const;

  mlir::RankedTensorType inputType() const;
  /// Of the joined groups.
  mlir::RankedTensorType weightType() const;
  mlir::RankedTensorType resultType() const;
  /// The code type of an operand, null where it is float.
  CodeType inputCode() const;
  CodeType weightCode() const;
  int64_t groupInChannels() const { return inChannels / groups; }
  int64_t groupOutChannels() const { return outChannels / groups; }
  /// Whether both operands are activations, in pairs of matrices.
  bool isProduct() const { return !inputDims.empty(); }
  /// The operands that activations are.
  llvm::SmallVector<mlir::OpOperand *, 2> activations() const;
  /// Whether the weights are known at compile time.
  bool hasConstantWeight() const;
  /// Multiply-accumulates for one image, for one row of a matmul, or for one
  /// element of the first dimension of a product.
  int64_t macs() const;
  /// Output pixels of one image, or rows of a matmul (of `images` where their
  /// number is dynamic).
  int64_t positions() const;
};

/// What a kernel that multiplies with signed bytes takes for the codes of
/// weights: their numbers where those fit, else the codes, less 128 where they
/// have 8 bits.
CodeType getByteNumbers(CodeType weights);

/// The narrowest codes that hold 0 and the numbers of `weights`; null where
/// there are none.
CodeType withZero(CodeType weights);

/// What the cost of a kernel depends on.
struct KernelTarget {
  /// Features by LLVM's names.
  llvm::StringSet<> features;
  /// Bytes of the widest vector register that kernels use.
  int64_t vectorBytes = 16;

  /// From names with or without a `+`; those with a `-` count for nothing.
  static KernelTarget get(llvm::ArrayRef<std::string> features);
  bool has(llvm::StringRef feature) const { return features.contains(feature); }
};

/// One row of the table.
struct Kernel {
  llvm::StringRef name;
  llvm::StringRef summary;
  /// Features of the target without which the kernel does not run.
  llvm::ArrayRef<llvm::StringRef> features;
  /// Null if the kernel computes this op, else why it does not; the form of the
  /// input is left out of account.
  const char *(*refuses)(const Contraction &);
  /// The layout, without halo, in which the kernel reads the codes of
  /// activations; null where it takes any form (and for floats).
  LayoutAttr (*reads)(const Contraction &);
  /// Nanoseconds on one thread for one image (or the rows of a matmul), without
  /// what follows the accumulators: see lib/Dialect/Bitpack/KernelCosts.cpp.
  double (*cost)(const Contraction &, const KernelTarget &);
  /// 1e9 multiply-accumulates a second of the kernel's inner loop alone, by
  /// hwgq-ceilings; 0 where there is no such loop.
  double (*ceiling)(const Contraction &, const KernelTarget &);

  /// Whether `word` (of --kernel) names this kernel or its family, which is the
  /// name up to a `-`.
  bool answersTo(llvm::StringRef word) const {
    return word == name || word == name.split('-').first;
  }
};

/// Why a kernel does not compute `c` on a target; null if it does.
const char *refusesOn(const Kernel &kernel, const Contraction &c,
                      const KernelTarget &target);

/// Nanoseconds for turning `outputs` accumulators into a result of that type.
double epilogueCost(mlir::RankedTensorType result, int64_t thresholds,
                    int64_t outputs, const KernelTarget &target);
/// Nanoseconds for a change of the form of `elements` codes.
double relayoutCost(int64_t elements, const KernelTarget &target);

/// All kernels; the last is `generic`, which takes every contraction on every
/// target.
llvm::ArrayRef<Kernel> getKernels();

/// The kernel of that name, or null.
const Kernel *findKernel(llvm::StringRef name);

} // namespace hwgq::bitpack

#endif // HWGQ_DIALECT_KERNELS_H
