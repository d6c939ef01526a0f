//===- PoolWindow.h - the taps of a pool in bounds --------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POOLWINDOW_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POOLWINDOW_H

#include "Pointwise.h"

namespace hwgq {

/// The window of a pool over an image.
class PoolWindow {
public:
  template <typename OpTy>
  PoolWindow(OpTy op, const Image &in)
      : kernel(llvm::to_vector(op.getKernel())),
        strides(llvm::to_vector(op.getStrides())),
        pads(llvm::to_vector(op.getPads())),
        dilations(llvm::to_vector(op.getDilations())),
        sizes({in.height, in.width}) {}

  PoolWindow(const Window &window, const Image &in)
      : kernel(window.kernel.begin(), window.kernel.end()),
        strides(window.strides.begin(), window.strides.end()),
        pads(window.pads.begin(), window.pads.end()),
        dilations(window.dilations.begin(), window.dilations.end()),
        sizes({in.height, in.width}) {}

  llvm::SmallVector<int64_t> kernel, strides, pads, dilations, sizes;

  using TapBody =
      llvm::function_ref<Values(mlir::Value, mlir::Value, mlir::ValueRange)>;
  using TapsBody = llvm::function_ref<Values(
      mlir::Value, llvm::ArrayRef<mlir::Value>, mlir::ValueRange)>;

  /// Folds body(input y, input x, values) over the taps in bounds of output
  /// (y, x), in the order (kh, kw); `inside` says that no column is out of
  /// bounds.
  Values reduce(LoopBuilder &b, mlir::Value y, mlir::Value x,
                mlir::ValueRange inits, TapBody body, bool inside) const;
  /// The same for all taps of a row at once, where they are few and inside.
  Values reduceRows(LoopBuilder &b, mlir::Value y, mlir::Value x,
                    mlir::ValueRange inits, TapsBody body, bool inside) const;

  /// Calls body(x, inside) in loops over the columns of an output of `width`;
  /// `inside` columns have all their taps in bounds.
  void forEachColumn(LoopBuilder &b, int64_t width,
                     llvm::function_ref<void(mlir::Value, bool)> body) const;

  /// The number of taps in bounds, or of those in the padded input.
  mlir::Value count(LoopBuilder &b, mlir::Value y, mlir::Value x,
                    bool includePad) const;

private:
  /// First and one past the last tap along dimension d with low <= input
  /// position < high.
  std::pair<mlir::Value, mlir::Value> range(LoopBuilder &b, mlir::Value at,
                                            unsigned d, int64_t low,
                                            int64_t high) const;
};

/// Where the values of a pool go: beginRow(n, y) before each row, and
/// sink(vector, site) for all channels of all pixels of `shape`.
struct PoolOutput {
  Image shape;
  std::function<void(mlir::Value n, mlir::Value y)> beginRow;
  std::function<void(mlir::Value value, const Site &site)> sink;

  /// Stores plain values in `image`.
  static PoolOutput into(LoopBuilder &b, const Image &image);
};

/// A pool, row by row: emit(n, y) computes row y of image n of `shape`, `cost`
/// is its time in nanoseconds.
struct PoolRows {
  PoolWindow window;
  Image shape;
  double cost;
  std::function<void(mlir::Value n, mlir::Value y)> emit;

  /// The first row whose taps all lie at or behind row y of the input, where a
  /// part of the rows begins, and one past the last row whose taps all lie
  /// before it, where such a part ends; taps out of bounds lie in no part.
  mlir::Value firstBehind(LoopBuilder &b, mlir::Value y) const;
  mlir::Value endBefore(LoopBuilder &b, mlir::Value y) const;
};

/// The rows of hwgq.max_pool or hwgq.avg_pool on plain tensors. The input comes
/// in `rows` where they are given, and has no memory then.
PoolRows makePool(LoopBuilder &b, mlir::Operation *pool, mlir::Value input,
                  ImageRows *rows, const PoolOutput &out);

/// Loops of hwgq.max_pool or hwgq.avg_pool on plain tensors, or of
/// bitpack.avg_pool. The input of the former comes in `rows` where they are
/// given, and has no memory then.
void emitPool(LoopBuilder &b, mlir::Operation *pool, mlir::Value input,
              ImageRows *rows, const PoolOutput &out);
void emitPackedAvgPool(LoopBuilder &b, bitpack::AvgPoolOp op, mlir::Value input,
                       const PoolOutput &out);

/// Calls body(channel, lanes of each vector, channels) for spans of up to four
/// vectors that cover all channels.
void forEachSpan(LoopBuilder &b, int64_t channels,
                 llvm::function_ref<void(mlir::Value, int64_t, int64_t)> body);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_POOLWINDOW_H
