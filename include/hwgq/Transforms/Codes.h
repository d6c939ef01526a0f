//===- Codes.h - tensors that stand for scaled integers ---------*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_CODES_H
#define HWGQ_TRANSFORMS_CODES_H

#include "hwgq/Transforms/Quantizer.h"

namespace hwgq {

/// A float tensor as codes and scales: one scale, or one a channel.
struct Coded {
  mlir::Value codes;
  llvm::SmallVector<float> scales;
  CodeType getType() const {
    return mlir::cast<CodeType>(mlir::getElementTypeOrSelf(codes.getType()));
  }
};

/// One of the terms that add up to a tensor: codes times a coefficient. Weights
/// may have a coefficient per output channel.
struct Plane {
  mlir::Value codes;
  llvm::SmallVector<double> coefficients;
};

/// The codes of an `hwgq.affine` of codes.
std::optional<Coded> matchCodes(mlir::Value value);

/// Moves `hwgq.affine` of codes behind a data movement (transpose, reshape,
/// slice, concatenation, pad with a number of the grid, max-pool) or into an
/// average pool. Gives the new float value, or null where the op is none of
/// these or its operands do not allow it.
mlir::Value pullAffine(mlir::OpBuilder &builder, mlir::Operation *op);

/// Whether the op only moves elements of its operands, and adds none but a
/// constant `hwgq.pad` border.
bool isMovement(mlir::Operation *op);

/// The operands of a data movement that carry elements.
llvm::SmallVector<mlir::Value> sourcesOf(mlir::Operation *op);

/// A clone of a data movement on elements of another type: the operands that
/// carry elements become `inputs`.
mlir::Value rebuildMovement(mlir::OpBuilder &builder, mlir::Operation *op,
                            llvm::ArrayRef<mlir::Value> inputs);

/// Whether an input of the network reaches `value` past all contractions and
/// pools, so that its elements may be in any order that a user gives them in;
/// behind those they are in ours.
bool readsInput(mlir::Value value);

/// The levels of a float tensor that holds no more than 256, through data
/// movement down to quantisers; ascending. Nothing where that is not known.
std::optional<llvm::SmallVector<float>> findLevels(mlir::Value value,
                                                   ConstantReader &constants);

/// The same where element-wise ops on codes and average pools of codes make the
/// tensor: a sum of two codes, or a chain that is no step function of all
/// floats and yet takes few values. Some of the levels may never occur.
std::optional<llvm::SmallVector<float>> findImage(mlir::Value value,
                                                  ConstantReader &constants);

/// The levels of a chain behind an accumulator, over all sums that it can
/// reach; for chains that no rule proves to be step functions.
std::optional<llvm::SmallVector<float>>
enumerateLevels(mlir::Value value, ConstantReader &constants);

/// A constant, `values` along the last dimension or one for all, in the shape
/// of `like` (a float32 tensor).
mlir::Value broadcastConstant(mlir::OpBuilder &builder, mlir::Location loc,
                              llvm::ArrayRef<float> values, mlir::Value like);

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_CODES_H
