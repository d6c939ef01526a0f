//===- Contraction.h - direct convolution in one order ----------*- C++ -*-===//
#ifndef HWGQ_LIB_REFERENCE_CONTRACTION_H
#define HWGQ_LIB_REFERENCE_CONTRACTION_H

#include "llvm/ADT/SmallVector.h"

#include <cstdint>

namespace hwgq::reference {

/// Sizes of a convolution over any number of spatial dimensions. A matrix
/// product has none.
struct ContractionShape {
  int64_t batch = 1, groups = 1;
  int64_t channels = 1;    ///< Of the input, per group.
  int64_t outChannels = 1; ///< Per group.
  llvm::SmallVector<int64_t> in, out, kernel, strides, dilations, pads;
};

/// y[n][out][g][k] = sum over (taps, c) of x[n][in][g][c] * w[g][tap][c][k].
///
/// T = float: one chain acc = fma(x, w, acc) from +0 in the order (taps in
/// lexicographic order, c), padded taps enter as x = +0. T = double: the same
/// in double. T = int32_t, int64_t: wrapping sums.
template <typename T>
void contract(const ContractionShape &shape, const T *x, const T *w, T *y);

} // namespace hwgq::reference

#endif // HWGQ_LIB_REFERENCE_CONTRACTION_H
