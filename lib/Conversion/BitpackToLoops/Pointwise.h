//===- Pointwise.h - groups of element-wise ops -----------------*- C++ -*-===//
//
// What bitpack.fused computes for each vector of channels of a pixel: its
// element-wise ops one after the other in registers, and the stores of what it
// yields. A contraction or a pool in front of them hands its results over as
// they are made, an image that is turned or flattened its rows.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POINTWISE_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POINTWISE_H

#include "Steps.h"
#include "hwgq/Conversion/TensorToLoops.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace hwgq {

/// Channels [channel, channel + lanes) of pixel (n, y, x), of which the first
/// `valid` exist. A matrix has its rows in n or in x; the others are 0.
struct Site {
  mlir::Value n, y, x, channel;
  int64_t lanes, valid;
};

class Pointwise {
public:
  using MemoryOf = llvm::function_ref<mlir::Value(mlir::Value)>;

  /// Allocates the results, or writes them over an operand that dies here, so
  /// that each site must be computed once; and makes the tables of the ops.
  /// `batch` is the number of leading elements (see Image), `memoryOf` the
  /// memory of a tensor from outside.
  Pointwise(LoopBuilder &b, bitpack::FusedOp op, mlir::Value batch,
            MemoryOf memoryOf);

  /// The contraction or pool of a group, or the op that turns or flattens an
  /// image for it; null without.
  static mlir::Operation *getRoot(bitpack::FusedOp op);
  /// The op in a group that makes the input of its root, or is the root; null
  /// without.
  static mlir::linalg::GenericOp getProducer(bitpack::FusedOp op);

  /// The group of a convolution whose result the root of this one pools; null
  /// without.
  static bitpack::FusedOp getInner(bitpack::FusedOp op);

  /// What replaces the results of the op.
  llvm::ArrayRef<mlir::Value> results() const { return memory; }
  /// Size and batch of the results, as a plain image without memory.
  const Image &shape() const { return size; }

  /// Whether pixel (n, y, x) may be given as (n, 0, y * width + x).
  bool isLinear() const;

  /// Whether a result has memory that emit() does not write; clearRow() writes
  /// that of row y, and has to come first.
  bool hasUnwritten() const;
  /// Whether some of it lies between what emit() writes.
  bool hasPadding() const;
  void clearRow(LoopBuilder &b, mlir::Value n, mlir::Value y) const;

  /// Computes and stores the results at `site`; `root` is the result of the
  /// root there (a vector, null without root).
  void emit(LoopBuilder &b, mlir::Value root, const Site &site) const;
  /// All of them, in parallel tasks, for a group whose first value lies in
  /// `rootMemory`, comes in `rows`, or without root.
  void emitLoops(LoopBuilder &b, mlir::Value rootMemory,
                 ImageRows *rows = nullptr) const;

private:
  /// An operand from outside: a plain tensor of any rank.
  struct Operand {
    Image image;         // of one that has the shape of the results
    mlir::Value flat;    // of any other
    mlir::TypedAttr one; // of a constant with equal elements
  };
  using Vectors = llvm::DenseMap<mlir::Value, mlir::Value>;

  /// The ops that are computed at a site.
  llvm::iterator_range<mlir::Block::iterator> members() const {
    return {root ? std::next(root->getIterator()) : body.begin(),
            std::prev(body.end())};
  }
  mlir::Value replaceable(mlir::Value result, MemoryOf memoryOf) const;
  void addOperand(LoopBuilder &b, mlir::Value value, MemoryOf memoryOf);
  void addTables(LoopBuilder &b, mlir::Operation &op);
  mlir::Value load(LoopBuilder &b, mlir::Value value, mlir::AffineMap map,
                   const Site &site) const;
  mlir::Value valueOf(LoopBuilder &b, mlir::Value value, const Vectors &vectors,
                      const Site &site) const;
  void emitGeneric(LoopBuilder &b, mlir::linalg::GenericOp op, Vectors &vectors,
                   const Site &site) const;
  void storeCodes(LoopBuilder &b, mlir::Value value, Values planes,
                  const Site &site) const;

  mlir::Block &body;
  mlir::Operation *root;
  mlir::RankedTensorType type; // of a result
  Image size;
  int64_t rank;
  llvm::SmallVector<mlir::Value> memory;
  llvm::DenseMap<mlir::Value, Image> stored; // of what is yielded
  llvm::DenseMap<mlir::Value, Operand> operands;
  llvm::DenseMap<mlir::Operation *, ScaleTable> scales;
  llvm::DenseMap<mlir::Operation *, StepPlanes> steps;
  llvm::DenseMap<mlir::Operation *, ThresholdTable> thresholds;
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POINTWISE_H
