//===- Quantizer.h - quantisers at the end of a chain -----------*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_QUANTIZER_H
#define HWGQ_TRANSFORMS_QUANTIZER_H

#include "hwgq/Transforms/Grid.h"
#include "hwgq/Transforms/StepFinder.h"

namespace hwgq {

/// A float tensor that takes at most 256 values.
struct Quantizer {
  /// What the step function is applied to: a cut of the chain or, where the
  /// channels step at different places, the tensor itself, whose levels then
  /// stand for themselves.
  mlir::Value input;
  /// The plateaus of the step function of `input`, by the index of a level.
  llvm::SmallVector<Plateau> plateaus;
  llvm::SmallVector<unsigned> levelOf;
  unsigned nanLevel = 0;
  /// The distinct levels, ascending (of channel 0 where channels differ).
  llvm::SmallVector<float> levels;
  /// The grid of the levels, where they are affine.
  std::optional<LevelGrid> grid;
  /// Scale of n: one, or one a channel.
  llvm::SmallVector<float> scales;
  /// Why there is no quantiser, where the value looks like one.
  std::string reason;
};

/// The shortest suffix of the chain that ends in `value` (a float32 tensor)
/// which is a step function.
mlir::LogicalResult findQuantizer(mlir::Value value, ConstantReader &constants,
                                  Quantizer &quantizer);

/// Describes a tensor that holds `levels` and nothing else: it is the input of
/// the step function from levels to numbers, with breakpoints half way.
void describeLevels(mlir::Value value, llvm::ArrayRef<float> levels,
                    Quantizer &quantizer);

/// `hwgq.quantize` of a quantiser with affine levels.
mlir::FailureOr<mlir::Value> buildQuantize(mlir::OpBuilder &builder,
                                           mlir::Location loc,
                                           const Quantizer &quantizer);

/// `hwgq.quantize` of its input to u1: 1 on the levels that `isSet` picks.
mlir::FailureOr<mlir::Value>
buildPlane(mlir::OpBuilder &builder, mlir::Location loc,
           const Quantizer &quantizer,
           llvm::function_ref<bool(unsigned level)> isSet);

/// Erases pure ops without uses, last first.
void eraseDeadOps(mlir::Operation *root);

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_QUANTIZER_H
