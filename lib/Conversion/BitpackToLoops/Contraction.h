//===- Contraction.h - what kernels share -----------------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_CONTRACTION_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_CONTRACTION_H

#include "PoolWindow.h"
#include "hwgq/Conversion/TensorToLoops.h"
#include "hwgq/Dialect/Kernels.h"

namespace hwgq {

/// A contraction on memory, as a convolution: a matmul is one on an image of
/// one row of M pixels, where `width` is then the size of a block of rows and
/// may be dynamic.
struct ConvLoops {
  const bitpack::Contraction &op;
  mlir::Value inputMemory, weightMemory;
  Image input, output;
  mlir::Value result;               // what replaces the op; null in a group
  const Pointwise *group = nullptr; // the group that it is the root of
  ImageRows *producer = nullptr;    // of an input that has no memory
  const PoolRows *pool = nullptr;   // what pools the results of the group

  int64_t kh, kw, strideY, strideX, dilationY, dilationX, top, left;
  int64_t groups, groupIn, groupOut;

  /// `group` takes the accumulators where it is given; `output` is its shape
  /// then, without memory. So is `input` where `producer` makes it. `pool` is
  /// computed with the tasks: rows of it behind the rows that they read.
  ConvLoops(LoopBuilder &b, const bitpack::Contraction &op, mlir::Value input,
            mlir::Value weight, const Pointwise *group = nullptr,
            ImageRows *producer = nullptr, const PoolRows *pool = nullptr);

  CodeType inputCode() const { return op.inputCode(); }
  CodeType weightCode() const { return op.weightCode(); }

  /// The codes of the weights (of joined groups) in row-major order; an error
  /// on the op where they are not readable constants.
  mlir::FailureOr<mlir::SmallVector<uint8_t>> weightCodes() const;
  /// Of `codes`, the one that meets a byte of a place of the window on an image
  /// in bytes, where a place is one tap, or a whole filter row (`places` of
  /// them a row). 0 for padding and for channels that there are not.
  uint8_t codeOfByte(llvm::ArrayRef<uint8_t> codes, int64_t group,
                     int64_t channel, int64_t places, int64_t place,
                     int64_t byte) const;
  /// Products of one output row (or pixel of a matmul) of all channels.
  double macsOfRow() const;
  /// Nanoseconds that the weights of all channels, and the results of one
  /// output row (or pixel), take beside the products.
  double weightTime() const;
  double resultTime() const;
  /// Outputs of a row, at least 1; of a matmul its rows, or `otherwise` where
  /// their number is dynamic.
  int64_t rowLength(int64_t otherwise) const;
  /// Whether memory of the results is written by no tile; clearRow writes it.
  bool hasUnwritten() const;
  bool hasPadding() const; // between what tiles write
  void clearRow(LoopBuilder &b, mlir::Value n, mlir::Value y) const;
  /// Lets every group of channels of an input in planes begin with a word of
  /// its own, in a copy where that is not so; channels between them are 0.
  void alignGroups(LoopBuilder &b);
  /// The row, counted with the halo, of the first tap of output row y.
  mlir::Value firstRow(LoopBuilder &b, mlir::Value y) const;
  /// The element of the input where the first tap of output (n, y, x) begins.
  mlir::Value firstTap(LoopBuilder &b, mlir::Value n, mlir::Value y,
                       mlir::Value x) const;

private:
  mlir::SmallVector<uint8_t> joinGroups(llvm::ArrayRef<uint8_t> codes) const;
};

/// How the work of a kernel is cut: the outputs of a task are rows
/// [row0, row1) of all images (or pixels [x0, x1) of the one row of a matmul)
/// times blocks [block0, block1) of output channels of one group. Neighbours
/// that a thread takes at once may be one task.
struct Task {
  mlir::Value number; // of this task, or of the first of several
  mlir::Value row0, row1, x0, x1;
  mlir::Value block0, block1;
  mlir::Value group;
};

/// The shape of the tasks of a kernel.
struct Tasking {
  int64_t rows = 1;      // rows (of images) or pixels (of a matmul) of a task
  int64_t splits = 1;    // parts of the blocks of a group
  int64_t blocks = 1;    // blocks of a group
  bool rowsFirst = true; // whether tasks of the same rows are neighbours
  int64_t joined = 0;    // row tasks that may be one; 0 where none are joined
  mlir::Value count;
  mlir::Value rowTasks; // count without splits and groups
  mlir::Value bound;    // at least count, linear in the batch

  /// `cost` estimates one output row (or pixel) of all channels in ns, and
  /// `shared` what a task prepares for it, which tasks of other channels and of
  /// the rows beside it do again, unless they are joined.
  Tasking(LoopBuilder &b, const ConvLoops &conv, int64_t blocks, double cost,
          double shared = 0);
  Tasking(LoopBuilder &b, const ConvLoops &conv, int64_t blocks, int64_t rows,
          int64_t splits);
  /// Pixels of a task.
  int64_t pixels(const ConvLoops &conv) const;

private:
  void balance(int64_t height, bool shared);
  void countTasks(LoopBuilder &b, const ConvLoops &conv);
};

/// The least divisor of `blocks` that is at least `splits`.
int64_t evenSplits(int64_t splits, int64_t blocks);

/// All tasks of a kernel: clears what nobody else writes, then body(task), then
/// the rows of a pool behind it.
void forEachTask(LoopBuilder &b, const ConvLoops &conv, const Tasking &tasking,
                 llvm::function_ref<void(const Task &)> body);

/// Row-wise register tiles: tile(n, y, x, pixels) covers the outputs of a
/// task, `pixels` at a time and what is left in a smaller tile.
void forEachTile(
    LoopBuilder &b, const ConvLoops &conv, const Task &task, int64_t pixels,
    llvm::function_ref<void(mlir::Value, mlir::Value, mlir::Value, int64_t)>
        tile);

/// The memory of an input as [N][rows][elements of a row and of the halo in
/// front of the next]; a matrix is one row.
mlir::Value viewRows(LoopBuilder &b, const ConvLoops &conv, const Image &image);

// One emitter a kernel; `weight` is the converted operand.
using KernelEmitter = mlir::FailureOr<mlir::Value> (*)(LoopBuilder &,
                                                       ConvLoops &);
mlir::FailureOr<mlir::Value> emitGenericKernel(LoopBuilder &b, ConvLoops &conv);
mlir::FailureOr<mlir::Value> emitPopcountKernel(LoopBuilder &b,
                                                ConvLoops &conv);
/// The popcount kernel where weights are read once and from far, by a row of
/// bits for each input; for one output position, codes of at most two bits and
/// weights of one.
bool fitsSparsePopcount(const ConvLoops &conv);
mlir::FailureOr<mlir::Value> emitSparsePopcount(LoopBuilder &b,
                                                ConvLoops &conv);
mlir::FailureOr<mlir::Value> emitAmxKernel(LoopBuilder &b, ConvLoops &conv);
mlir::FailureOr<mlir::Value> emitLookupKernel(LoopBuilder &b, ConvLoops &conv);
mlir::FailureOr<mlir::Value> emitDot8Kernel(LoopBuilder &b, ConvLoops &conv);
mlir::FailureOr<mlir::Value> emitDepthwiseKernel(LoopBuilder &b,
                                                 ConvLoops &conv);
mlir::FailureOr<mlir::Value> emitPairsKernel(LoopBuilder &b, ConvLoops &conv);
mlir::FailureOr<mlir::Value> emitF32Kernel(LoopBuilder &b, ConvLoops &conv);

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_CONTRACTION_H
