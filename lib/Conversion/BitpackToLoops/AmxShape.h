//===- AmxShape.h - how a contraction is cut for AMX ------------*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_AMXSHAPE_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_AMXSHAPE_H

#include "AmxTile.h"
#include "Contraction.h"

namespace hwgq {

/// The tiles of a contraction. A task computes a strip: some rows of one image
/// (or of a matrix) times some blocks of output channels. The outputs of a
/// strip are covered by tiles of 16, numbered from 0; a block has
/// `tile.pixelTiles` of them times `tile.channelTiles` tiles of channels.
struct AmxShape {
  /// Which outputs a tile has.
  enum class Form {
    Matrix, // 16 rows of a matrix
    Run,  // 16 pixels of the padded rows of an image, one after another; those
          // between the rows are computed and dropped
    Rows, // 16 pixels of one row
  };
  /// How weights are read.
  enum class Weights {
    Bytes, // as numbers, prepared with the module
    Block, // as bits, expanded in the first block of tiles for all that follow
    Ring,  // as bits, expanded in front of their only use
  };

  explicit AmxShape(const ConvLoops &conv);

  /// Outputs of a strip in the order of tiles; not of a matrix.
  int64_t length() const { return stripLength; }
  /// Tiles of a strip; not of a matrix.
  int64_t tiles() const { return stripTiles; }
  /// Most blocks of channels of a task.
  int64_t blocksOfTask() const;
  /// Whether a tile may have outputs of the one before it, or none.
  bool repeats() const;
  /// The channel of a block that column `column` of channel tile j computes.
  int64_t channelOf(int64_t j, int64_t column) const;

  Form form;
  Weights weights = Weights::Bytes;
  AmxTile tile;
  int64_t tilesPerRow = 1, blocksOfGroup = 1;
  int64_t taskRows = 1, taskSplits = 1;
  /// All blocks of channels of the task are computed for a block of pixels
  /// before the next: activations are read and results written once, in order.
  bool pixelsFirst = false;
  /// Sums fit 16 bits, and neighbouring channels are computed by two tiles, so
  /// that two registers of sums become one.
  bool pairs = false;

private:
  void chooseWindow(const ConvLoops &conv);
  void chooseTasks(const ConvLoops &conv);
  void chooseBlock(const ConvLoops &conv);
  void chooseWeights(const ConvLoops &conv);

  int64_t stripLength = 1, stripTiles = 1;
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_AMXSHAPE_H
