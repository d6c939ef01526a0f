//===- OrderedWeights.h - weights in the order of a kernel ------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_ORDEREDWEIGHTS_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_ORDEREDWEIGHTS_H

#include "Contraction.h"

namespace hwgq {

/// Codes of weights in the order in which a kernel reads them. The file holds
/// them as bits, the kernel reads those or numbers made of them.
class OrderedWeights {
public:
  explicit OrderedWeights(CodeType code) : code(code) {}

  /// Appends one code; what a kernel reads but nobody uses may be any.
  void push_back(uint8_t value) { codes.push_back(value); }
  size_t size() const { return codes.size(); }

  /// The bits as constant words, [ceil(size / 64)][bits of a code] x i64,
  /// weight i in bit i % 64 of word i / 64, and `extra` more words of 0.
  mlir::Value bits(LoopBuilder &b, int64_t extra = 0) const;

  /// The numbers n of the weights in prepared memory, [size up to 64] of the
  /// integer type `element`, which must hold them.
  mlir::Value numbers(LoopBuilder &b, mlir::Type element) const;

  /// The numbers of 64 weights, as a vector: word `word` of bits().
  static mlir::Value expand(LoopBuilder &b, CodeType code, mlir::Type element,
                            mlir::Value bits, mlir::Value word);

private:
  CodeType code;
  std::vector<uint8_t> codes;
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_ORDEREDWEIGHTS_H
