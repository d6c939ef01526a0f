//===- PieceAnalysis.h - directions of one piece of the line ----*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_PIECEANALYSIS_H
#define HWGQ_TRANSFORMS_PIECEANALYSIS_H

#include "hwgq/Transforms/StepFinder.h"

namespace hwgq {

/// What is known of a node on the piece: how it moves, and its values at the
/// two ends. A node that moves is not NaN on the piece.
struct Fact {
  Direction direction = Direction::Constant;
  Scalar low, high;
  bool isConstant() const { return direction == Direction::Constant; }
};

/// Finds the direction of every node on one piece. Where an op is monotone only
/// on parts of the piece, `split` is the first index of the second part.
class PieceAnalysis {
public:
  PieceAnalysis(const ElementFunction &function, int64_t row,
                const Domain &domain, int64_t first, int64_t last)
      : function(function), row(row), domain(domain), first(first), last(last) {
  }

  /// True when all nodes up to `node` have a direction. Else either `split` or
  /// `reason` is set.
  bool run(unsigned node);

  const Fact &getFact(unsigned node) const { return facts[node]; }
  std::optional<int64_t> split;
  std::string reason;

private:
  using Rule = std::optional<Direction>;

  Rule visit(const ElementFunction::Node &node);
  Rule visitOp(mlir::Operation *op, llvm::ArrayRef<unsigned> x);
  Rule visitFloat(mlir::Operation *op, llvm::ArrayRef<unsigned> x);
  Rule visitInteger(mlir::Operation *op, llvm::ArrayRef<unsigned> x);
  Rule visitCast(mlir::Operation *op, llvm::ArrayRef<unsigned> x);

  Rule add(unsigned a, unsigned b, bool negateB);
  Rule multiply(unsigned a, unsigned b, bool reciprocalB);
  Rule extremum(unsigned a, unsigned b, bool maximum);
  Rule compareFloats(mlir::arith::CmpFPredicate predicate, unsigned a,
                     unsigned b);
  Rule compareIntegers(mlir::arith::CmpIPredicate predicate, unsigned a,
                       unsigned b);
  Rule select(unsigned condition, unsigned a, unsigned b);
  Rule absolute(unsigned a);
  Rule copySign(unsigned magnitude, unsigned sign);
  Rule integerArithmetic(mlir::Operation *op, unsigned a, unsigned b);
  Rule unsignedExtremum(unsigned a, unsigned b, bool maximum);
  Rule step(StepAttr attr, unsigned a);

  /// The one direction of two operands that both move the result upwards.
  Rule combine(Direction a, Direction b);
  Rule combine(unsigned a, unsigned b) {
    return combine(facts[a].direction, facts[b].direction);
  }
  Rule fail(const llvm::Twine &why) {
    if (!split)
      reason = why.str();
    return std::nullopt;
  }

  /// The class of a node's values, one on the whole piece; else sets `split`
  /// where it changes. `classOf` must be monotone.
  std::optional<int> classify(unsigned node,
                              llvm::function_ref<int(const Scalar &)> classOf);
  /// Sign of a - b (-1, 0, 1) on the whole piece, the operands moving apart;
  /// else sets `split`.
  std::optional<int> compare(unsigned a, unsigned b);
  /// -1, 0, 1.
  std::optional<int> signOf(unsigned node);
  /// 0..4: -inf, negative, zero, positive, +inf.
  std::optional<int> magnitudeClass(unsigned node);
  /// The first index whose class differs from the first's.
  int64_t bisect(llvm::function_ref<int(int64_t)> classAt);

  const ElementFunction &function;
  int64_t row;
  const Domain &domain;
  int64_t first, last;
  llvm::SmallVector<Fact, 32> facts;
};

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_PIECEANALYSIS_H
