//===- Grid.h - real values as scaled integers ------------------*- C++ -*-===//
#ifndef HWGQ_TRANSFORMS_GRID_H
#define HWGQ_TRANSFORMS_GRID_H

#include "hwgq/Dialect/HWGQ.h"

#include <optional>
#include <string>

namespace hwgq {

/// Levels as `scale * numbers[i]`.
struct LevelGrid {
  float scale = 1;
  llvm::SmallVector<int32_t> numbers;
  /// Largest |level - scale * n|, relative to the largest |level|.
  double snap = 0;
};

/// The grid of the levels of a step function: the smallest max|n| <= 255 with
/// which every level lies within 2^-22 of the largest magnitude; the scale is
/// the level at n = 1 where there is one, else the largest level over its n.
/// Nothing where no grid fits. Levels must be finite.
std::optional<LevelGrid> fitLevels(llvm::ArrayRef<float> levels);

/// The smallest code type that holds all numbers: b1 for -1 and 1, `u2,-1,1`
/// for -1, 0 and 1, else u<k> or s<k> where they are as small as any, else
/// offset and stride of the numbers themselves. Null above 8 bits.
CodeType chooseCodeType(mlir::MLIRContext *context,
                        llvm::ArrayRef<int32_t> numbers);

/// Constant weights as `scales[row] * numbers[i]`, rows being output channels;
/// one scale where all rows share it.
struct WeightGrid {
  CodeType type;
  llvm::SmallVector<int16_t> numbers;
  llvm::SmallVector<float> scales;
  double snap = 0; ///< As in LevelGrid, the largest of any row.
};

/// Classifies weights of `rows` equal rows. Every weight must lie within 2^-16
/// of its row's largest magnitude of the grid. One scale for all rows is
/// preferred unless scales per row need fewer bits. Grids of up to 4 bits are
/// always believed; wider ones only where the distinct magnitudes could hardly
/// lie on a grid by chance: (distinct - 1) * log2(2^15 / max|n|), summed over
/// the independent scales, must reach 24 bits. `reason` says why not.
std::optional<WeightGrid> classifyWeights(mlir::MLIRContext *context,
                                          llvm::ArrayRef<float> weights,
                                          int64_t rows, std::string &reason);

/// Weights of few values a row that lie on no grid, as planes of ones and zeros
/// with a coefficient per row: a weight is the sum of the coefficients whose
/// bits it has. The base comes first, then the steps, ascending.
struct WeightPlanes {
  struct Plane {
    llvm::SmallVector<uint8_t> bits;
    llvm::SmallVector<double> coefficients;
  };
  llvm::SmallVector<Plane> planes;
};

/// Splits rows of at most 8 values each, told apart by 2^-16 of the row's
/// largest magnitude. The base is 0, without a plane, where a weight is 0 or no
/// row has two values of one sign; else each row's lowest value. Rows of more
/// than three values must be four times as long as they have values.
std::optional<WeightPlanes> splitLevels(llvm::ArrayRef<float> weights,
                                        int64_t rows);

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_GRID_H
