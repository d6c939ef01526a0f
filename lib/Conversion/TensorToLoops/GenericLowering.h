//===- GenericLowering.h - a linalg.generic to vector loops -----*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_TENSORTOLOOPS_GENERICLOWERING_H
#define HWGQ_LIB_CONVERSION_TENSORTOLOOPS_GENERICLOWERING_H

#include "../VectorBody.h"
#include "Internal.h"
#include "hwgq/Conversion/TensorToLoops.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace hwgq {

/// What of an operand a vector along the width of an image with few channels
/// reads for one channel: one element, elements side by side, or every C-th one
/// of the pixels' channels.
enum class Along { Nothing, Width, Pixels };

/// The state of lowering one linalg.generic.
class GenericLowering {
public:
  GenericLowering(mlir::linalg::GenericOp op, mlir::ValueRange inputs,
                  mlir::ValueRange inits,
                  mlir::ConversionPatternRewriter &rewriter,
                  const LoopOptions &options)
      : op(op), inputs(inputs.begin(), inputs.end()),
        inits(inits.begin(), inits.end()), b(rewriter), loc(op.getLoc()),
        options(options), lanes(options.vectorBytes / sizeof(float)),
        maps(op.getIndexingMapsArray()) {}

  mlir::LogicalResult run(const mlir::TypeConverter &converter,
                          llvm::SmallVectorImpl<mlir::Value> &results);

  /// Prepares for emitRow: whether rows of the result, behind its first
  /// `leading` dimensions, can be computed one by one.
  bool beginRows(unsigned leading);
  /// Writes the row at `index` to `memory` (flat) from element `at` on.
  void emitRow(mlir::OpBuilder &builder, llvm::ArrayRef<mlir::Value> index,
               mlir::Value memory, mlir::Value at);
  /// N of the image.
  mlir::Value batch() {
    return getValueOrCreateConstantIndexOp(b, loc, sizes[parallel.front()]);
  }

private:
  bool findLoopSizes();
  bool chooseOrder();
  bool canVectorize();
  std::optional<Along> alongWidth(mlir::Type memory, mlir::AffineMap map);
  bool canInterleave();
  void emitInterleaved(mlir::OpBuilder &builder);
  void emitInterleavedVectors(mlir::OpBuilder &builder);
  bool fillsVector(unsigned dim);
  /// The one of these loops along which inputs are contiguous that are not so
  /// along the last parallel loop, if it fills a vector and all others are.
  std::optional<unsigned> findAcross(llvm::ArrayRef<unsigned> candidates);
  std::optional<unsigned> findTransposed();
  mlir::Value step(mlir::OpBuilder &builder, mlir::Value start, int64_t by);
  void loadTiles(mlir::OpBuilder &builder);
  void emitTransposed(mlir::OpBuilder &builder);
  void emitTile(mlir::OpBuilder &builder);
  bool canReduceRows();
  llvm::SmallVector<mlir::Value>
  emitRowReduction(mlir::OpBuilder &builder, mlir::ValueRange accumulators);
  void allocateResults(const mlir::TypeConverter &converter);
  void emitParallel(mlir::OpBuilder &builder, unsigned depth);
  void emitInner(mlir::OpBuilder &builder);
  void emitElement(mlir::OpBuilder &builder, bool vector);
  llvm::SmallVector<mlir::Value> emitReduction(mlir::OpBuilder &builder,
                                               unsigned depth,
                                               mlir::ValueRange accumulators,
                                               bool vector);
  llvm::SmallVector<mlir::Value> emitBody(mlir::OpBuilder &builder,
                                          mlir::ValueRange accumulators,
                                          bool vector);
  llvm::SmallVector<mlir::Value> indices(mlir::OpBuilder &builder,
                                         mlir::AffineMap map);
  mlir::Value load(mlir::OpBuilder &builder, mlir::Value memref,
                   mlir::AffineMap map, bool vector);
  mlir::Value vectorize(mlir::OpBuilder &builder, mlir::Value value) {
    return broadcastLanes(builder, loc, value, lanes);
  }
  unsigned inputCount() const { return inputs.size(); }

  mlir::linalg::GenericOp op;
  llvm::SmallVector<mlir::Value> inputs, inits;
  mlir::ConversionPatternRewriter &b;
  mlir::Location loc;
  const LoopOptions &options;
  int64_t lanes;
  llvm::SmallVector<mlir::AffineMap> maps;
  llvm::SmallVector<mlir::OpFoldResult> sizes; // of the loops
  llvm::SmallVector<unsigned> parallel, reduction;
  llvm::SmallVector<mlir::MemRefType> resultTypes;
  llvm::SmallVector<mlir::Value> results;
  llvm::SmallVector<mlir::Value> ivs;
  bool vectorizable = false, interleaved = false;
  bool reducesRows = false; // in vectors of rows, whose elements are turned
  /// In a transposing lowering: the loop along which inputs are contiguous, the
  /// rows of the tile of each such input, and the row that is computed.
  std::optional<unsigned> transposed;
  llvm::SmallVector<llvm::SmallVector<mlir::Value>> tiles;
  int64_t tileRow = 0;
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_TENSORTOLOOPS_GENERICLOWERING_H
