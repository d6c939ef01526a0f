//===- Pairs.h - where the matrices of a product lie ------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_PAIRS_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_PAIRS_H

#include "Contraction.h"

namespace hwgq {

/// The index space of a bitpack.product: the dimensions of its result, then k
/// (see hwgq.product). Coordinates are a value for each of these.
class Pairs {
public:
  Pairs(LoopBuilder &b, const ConvLoops &conv);

  int64_t rank;        // of the result and the operands; dimension k
  int64_t m;           // the dimension of rows
  int64_t staticRows;  // their number, or dynamic
  mlir::Value rows;    // their number
  mlir::Value count;   // of pairs of matrices
  Image input, weight; // the operands, as rows of channels

  int64_t n() const { return rank - 1; }
  /// Whether the right operand has k innermost; else it has n.
  bool weightRows() const { return weightDims.back() == rank; }

  /// The coordinates of the first element of pair number `pair`.
  Values first(LoopBuilder &b, mlir::Value pair) const;
  /// The coordinates of the first element of pixel (n, y, x) of the result.
  Values ofPixel(LoopBuilder &b, mlir::Value n, mlir::Value y,
                 mlir::Value x) const;
  /// The element of memory where the row of an operand begins that has these
  /// coordinates.
  mlir::Value inputRow(LoopBuilder &b, llvm::ArrayRef<mlir::Value> at) const;
  mlir::Value weightRow(LoopBuilder &b, llvm::ArrayRef<mlir::Value> at) const;
  /// Elements of memory from a row to that of the next index of a dimension.
  int64_t inputStep(int64_t dim) const;
  int64_t weightStep(int64_t dim) const;
  /// Where the result has these coordinates: (n, y, x) of its image.
  std::array<mlir::Value, 3> pixel(LoopBuilder &b,
                                   llvm::ArrayRef<mlir::Value> at) const;

private:
  mlir::Value dimension(LoopBuilder &b, int64_t dim) const;

  mlir::RankedTensorType inputType, weightType, resultType;
  llvm::ArrayRef<int64_t> inputDims, weightDims;
  mlir::Value leading; // the size of the first dimension of the result
};

/// The leading elements of the result of a product (see Image).
mlir::Value getProductBatch(LoopBuilder &b, const bitpack::Contraction &op,
                            mlir::Value inputMemory);

/// Plain loops over the codes of a product.
mlir::Value emitGenericPairs(LoopBuilder &b, ConvLoops &conv);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_PAIRS_H
