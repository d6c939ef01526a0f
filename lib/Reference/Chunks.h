//===- Chunks.h - elements in the form they are computed in -----*- C++ -*-===//
#ifndef HWGQ_LIB_REFERENCE_CHUNKS_H
#define HWGQ_LIB_REFERENCE_CHUNKS_H

#include "hwgq/Reference/Scalar.h"
#include "hwgq/Reference/Tensor.h"

#include <vector>

namespace hwgq::reference {

/// Elements that are computed at once.
constexpr int64_t kChunk = 1024;

/// Room for a chunk of float, double or int64_t.
union Chunk {
  float f32[kChunk];
  double f64[kChunk];
  int64_t i[kChunk];
};

/// The elements first .. first + n - 1 as float, double or int64_t by the
/// element type's kind: where they lie in the tensor, or converted to
/// `scratch`.
const void *loadChunk(const Tensor &tensor, int64_t first, int64_t n,
                      Chunk &scratch);

/// Writes n values of the element type's kind; floats are rounded to narrower
/// types, integers wrapped.
void storeChunk(Tensor &tensor, int64_t first, int64_t n, const void *values);

/// The elements at `offsets`.
void gatherChunk(const Tensor &tensor, const int64_t *offsets, int64_t n,
                 Chunk &chunk);
void scatterChunk(Tensor &tensor, const int64_t *offsets, int64_t n,
                  const Chunk &chunk);

/// All elements as T (float, double or int64_t), converted from any numeric
/// element type: floats to int64_t truncate, integers to float round.
template <typename T> std::vector<T> toVector(const Tensor &tensor);

/// Fills a tensor of any numeric type; integers wrap, floats round once from T.
template <typename T>
void fromVector(llvm::ArrayRef<T> values, Tensor &tensor, int64_t first = 0);

float halfToFloat(uint16_t bits);
uint16_t floatToHalf(float value);
float bfloatToFloat(uint16_t bits);
uint16_t floatToBfloat(float value);

} // namespace hwgq::reference

#endif // HWGQ_LIB_REFERENCE_CHUNKS_H
