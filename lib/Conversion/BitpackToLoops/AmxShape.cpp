//===- AmxShape.cpp - how a contraction is cut for AMX --------------------===//
#include "AmxShape.h"
#include "Epilogue.h"

using namespace mlir;
using namespace hwgq;

/// Most rows of a matrix that a task takes.
static constexpr int64_t kMatrixRows = 256;

AmxShape::AmxShape(const ConvLoops &conv) {
  bool runs = conv.strideX == 1 && conv.strideY == 1 &&
              conv.output.width <= conv.input.fullWidth();
  form = conv.op.isMatMul ? Form::Matrix : runs ? Form::Run : Form::Rows;
  chooseWindow(conv);
  chooseTasks(conv);
  chooseBlock(conv);
  chooseWeights(conv);
}

void AmxShape::chooseWindow(const ConvLoops &conv) {
  const Image &in = conv.input;
  int64_t taps = conv.kw, bytes = in.pixelSize();
  if (conv.groups > 1)
    bytes = conv.groupIn;
  else if (conv.dilationX == 1) { // the taps of a filter row are one place
    bytes *= conv.kw;
    taps = 1;
  }
  tile.kh = conv.kh;
  tile.kw = taps;
  tile.strideY = conv.dilationY * in.rowSize();
  tile.strideX = conv.dilationX * in.pixelSize();
  tile.pixelStep = conv.strideX * in.pixelSize();
  // Equal steps, of whole groups of four bytes.
  for (tile.steps = llvm::divideCeil(bytes, 64); bytes % (4 * tile.steps);)
    ++tile.steps;
  tile.depth = bytes / tile.steps;
}

void AmxShape::chooseTasks(const ConvLoops &conv) {
  constexpr double kRate = 1200; // MAC/ns
  constexpr int64_t kTasks = 16, kChannels = 2 * AmxTile::kLanes;
  constexpr int64_t kTaskWeights = 128 << 10;
  int64_t blocks = llvm::divideCeil(conv.groupOut, kChannels);
  double row = conv.macsOfRow() / kRate + conv.resultTime();
  if (form == Form::Matrix) {
    taskRows = std::min(conv.rowLength(kMatrixRows), kMatrixRows);
    double whole = row * double(taskRows) + conv.weightTime();
    taskSplits = evenSplits(
        std::min<int64_t>(std::lround(whole / kTaskTime), kTasks), blocks);
    stripLength = taskRows;
    stripTiles = llvm::divideCeil(taskRows, AmxTile::kRows);
    return;
  }
  int64_t height = std::max<int64_t>(1, conv.output.height);
  int64_t width = conv.output.width;
  tilesPerRow = llvm::divideCeil(width, AmxTile::kRows);
  if (form == Form::Rows) // tiles of a row are seldom full
    row += conv.macsOfRow() / kRate *
           (double(tilesPerRow * AmxTile::kRows) /
                double(std::max<int64_t>(1, width)) -
            1);
  double whole = row * double(height);
  int64_t tasks =
      std::clamp<int64_t>(std::lround(whole / kTaskTime), 1, kTasks);
  // Pixels of 1x1 windows are read by every split of the channels.
  int64_t splits = tasks / conv.groups;
  if (conv.kh * conv.kw == 1)
    splits = conv.groupIn * conv.groupOut / kTaskWeights;
  taskSplits = evenSplits(splits, blocks);
  int64_t strips =
      std::clamp<int64_t>(tasks / (taskSplits * conv.groups), 1, height);
  // Equal strips, none of which lies in two images.
  taskRows = llvm::divideCeil(height, strips);
  while (height % taskRows)
    ++taskRows;
  // Rows that leave no equal strips: the channels do.
  if (taskRows == height && taskSplits * conv.groups == 1)
    taskSplits = evenSplits(tasks, blocks);
  if (form == Form::Run) {
    stripLength = (taskRows - 1) * conv.input.fullWidth() + width;
    stripTiles = llvm::divideCeil(stripLength, AmxTile::kRows);
  } else {
    stripLength = width;
    stripTiles = taskRows * tilesPerRow;
  }
}

void AmxShape::chooseBlock(const ConvLoops &conv) {
  int64_t channelTiles = llvm::divideCeil(conv.groupOut, AmxTile::kLanes);
  int64_t tiles = stripTiles;
  tile.pixelTiles = tiles == 1 ? 1 : tiles <= 2 || tiles > 4 ? 2 : tiles;
  tile.channelTiles = tile.pixelTiles == 1 ? 4 : tile.pixelTiles == 2 ? 2 : 1;
  tile.channelTiles = std::min(tile.channelTiles, channelTiles);
  if (conv.groups > 1)
    while (channelTiles % tile.channelTiles)
      --tile.channelTiles;
  if (tile.channelTiles == 1)
    tile.pixelTiles = std::min<int64_t>(tiles, 4);
  blocksOfGroup = llvm::divideCeil(channelTiles, tile.channelTiles);
  taskSplits = std::min(taskSplits, blocksOfGroup);
  pairs = tile.channelTiles % 2 == 0 && Epilogue::prefers16(conv);
}

void AmxShape::chooseWeights(const ConvLoops &conv) {
  constexpr int64_t kStack = 160 << 10, kBits = 2;
  int64_t blockBytes = tile.totalSteps() * tile.stepBytes();
  bool once = stripTiles <= tile.pixelTiles;
  // A larger window reads pixels again anyway, from the nearest cache.
  pixelsFirst =
      !once && conv.kh * conv.kw == 1 && blocksOfTask() * blockBytes <= kStack;
  if (conv.weightCode().getBits() > kBits)
    return;
  if (once)
    weights = Weights::Ring;
  else if (blockBytes <= kStack)
    weights = Weights::Block;
}

int64_t AmxShape::blocksOfTask() const {
  return llvm::divideCeil(blocksOfGroup, taskSplits);
}

bool AmxShape::repeats() const {
  return form == Form::Matrix || stripLength % AmxTile::kRows ||
         stripTiles % tile.pixelTiles;
}

int64_t AmxShape::channelOf(int64_t j, int64_t column) const {
  constexpr int64_t kLanes = AmxTile::kLanes;
  return pairs ? j / 2 * 2 * kLanes + 2 * column + j % 2 : j * kLanes + column;
}
