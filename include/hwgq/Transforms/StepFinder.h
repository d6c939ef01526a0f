//===- StepFinder.h - where functions of one element change -----*- C++ -*-===//
//
// Splits the line of arguments into pieces on which a function is monotone by
// construction (every op correctly rounded and monotone in each operand that
// varies, all moving the result the same way) and finds by bisection where its
// value changes.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_TRANSFORMS_STEPFINDER_H
#define HWGQ_TRANSFORMS_STEPFINDER_H

#include "hwgq/Transforms/ElementwiseChain.h"

namespace hwgq {

/// An ordered set of arguments, by index.
class Domain {
public:
  /// All float32 from -inf to +inf, -0 before +0; no NaN.
  static Domain floats();
  /// The integers first, first + stride, ..., up to `last`.
  static Domain integers(int64_t first, int64_t last, int64_t stride = 1);

  int64_t getFirst() const { return first; }
  int64_t getLast() const { return last; }
  int64_t size() const { return last - first + 1; }
  bool isFloat() const { return stride == 0; }
  /// The argument of an index.
  Scalar at(int64_t index) const;

private:
  Domain(int64_t first, int64_t last, int64_t offset, int64_t stride)
      : first(first), last(last), offset(offset), stride(stride) {}
  int64_t first, last, offset, stride;
};

/// The index of a float that is not NaN in Domain::floats().
int64_t floatIndex(float value);
/// Its inverse.
float indexedFloat(int64_t index);

enum class Direction { Constant, Rising, Falling };

/// The arguments first..last on which a function moves one way.
struct Piece {
  int64_t first, last;
  Direction direction;
};

/// Pieces, in order, that cover the domain and on each of which node `node` of
/// the function (its result where not given) is monotone. A value that moves is
/// not NaN anywhere on its piece. Fails where this cannot be shown; `reason`
/// says why.
mlir::FailureOr<llvm::SmallVector<Piece>>
findPieces(const ElementFunction &function, int64_t row, const Domain &domain,
           std::string &reason, std::optional<unsigned> node = std::nullopt);

/// A run of arguments with one value, up to the next run's start.
struct Plateau {
  int64_t start;
  Scalar value;
};

/// The runs of equal value over the domain, at most `limit`. Fails where there
/// are more or findPieces fails.
mlir::FailureOr<llvm::SmallVector<Plateau>>
findPlateaus(const ElementFunction &function, int64_t row, const Domain &domain,
             size_t limit, std::string &reason);

/// The same by evaluating every argument; for small domains.
llvm::SmallVector<Plateau> enumeratePlateaus(const ElementFunction &function,
                                             int64_t row, const Domain &domain);

/// The step function of a row on float32: plateaus and the value at NaN.
struct StepFunction {
  llvm::SmallVector<Plateau> plateaus;
  Scalar nan;
};

/// The function on all float32, where it takes at most 256 values, none of
/// them NaN or infinite (the value at NaN apart).
mlir::FailureOr<StepFunction> findStepFunction(const ElementFunction &function,
                                               int64_t row,
                                               std::string &reason);

/// The step function with integers for values: `numbers[i]` on plateau i. Of
/// the two ways to write a breakpoint (`gt` the float before, `ge` the float
/// after), the one with fewer decimals is taken. Fails where -0 and +0 differ.
mlir::FailureOr<StepAttr> makeStep(mlir::MLIRContext *context,
                                   llvm::ArrayRef<Plateau> plateaus,
                                   llvm::ArrayRef<int32_t> numbers, int32_t nan,
                                   std::string &reason);

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_STEPFINDER_H
