//===- Window.h - the sliding window of convolutions and pools --*- C++ -*-===//
#ifndef HWGQ_LIB_DIALECT_ONNX_WINDOW_H
#define HWGQ_LIB_DIALECT_ONNX_WINDOW_H

#include "Node.h"

namespace hwgq::onnx {

/// The spatial attributes of a convolution or pool, made explicit.
struct Window {
  llvm::SmallVector<int64_t> input, kernel, strides, dilations;
  llvm::SmallVector<int64_t> pads; // begins, then ends
  llvm::StringRef autoPad;

  size_t size() const { return kernel.size(); }
  /// The input elements from the first to the last tap: (k - 1) d + 1.
  int64_t extent(size_t i) const { return (kernel[i] - 1) * dilations[i] + 1; }

  /// A list attribute of `count` elements, each at least `least`; `missing`
  /// for each where the attribute is absent.
  FailureOr<llvm::SmallVector<int64_t>> readList(Node &node,
                                                 llvm::StringRef name,
                                                 size_t count, int64_t missing,
                                                 int64_t least);
  /// Reads and checks all attributes. `shape` is [N, C, spatial...]; the
  /// kernel is that of `weight` [M, C, k...] where there is one.
  LogicalResult read(Node &node, llvm::ArrayRef<Dim> shape,
                     const Shape *weight);
  /// The sizes of the result; resolves auto_pad into pads.
  FailureOr<Shape> slide(Node &node, bool ceil);
  /// Writes the explicit attributes.
  void write(Node &node);
};

} // namespace hwgq::onnx

#endif // HWGQ_LIB_DIALECT_ONNX_WINDOW_H
