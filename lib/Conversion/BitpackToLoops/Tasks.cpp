//===- Tasks.cpp - how the work of kernels is cut -------------------------===//
#include "Contraction.h"
#include "PoolWindow.h"

using namespace mlir;
using namespace hwgq;

Tasking::Tasking(LoopBuilder &b, const ConvLoops &conv, int64_t blocks,
                 double cost, double shared)
    : blocks(blocks) {
  const Image &out = conv.output;
  bool isMatMul = conv.op.isMatMul;
  int64_t perImage =
      isMatMul ? conv.op.positions() : std::max<int64_t>(1, out.height);
  constexpr double kRepeated = 0.04; // of the work
  int64_t overlap = (conv.kh - 1) * conv.dilationY / conv.strideY;
  int64_t enough = int64_t(shared * double(overlap) / (kRepeated * cost)) + 1;
  double row = cost + conv.resultTime();
  // A block of a matrix's weights is read from far once for so many rows.
  constexpr int64_t kMatrixRows = 32;
  rows = isMatMul ? kMatrixRows
                  : std::min<int64_t>(std::max(rowsPerTask(row), enough),
                                      4 * perImage);
  // Too few rows for several threads at batch 1: split the channels.
  double whole = row * double(perImage) + conv.weightTime();
  int64_t rowTasks = llvm::divideCeil(perImage, rows);
  constexpr int64_t kEnough = 16;
  if (rowTasks < kEnough && whole > 2 * kTaskTime)
    splits = std::clamp<int64_t>(
        std::min<int64_t>(kEnough / rowTasks,
                          int64_t(whole / kTaskTime) / rowTasks / conv.groups),
        1, blocks);
  if (shared > 0)
    splits =
        std::clamp<int64_t>(int64_t(kRepeated * cost / shared) + 1, 1, splits);
  if (!isMatMul && rowTasks > 1 && (shared > 0 || rowTasks < kEnough))
    balance(perImage, shared > 0);
  countTasks(b, conv);
  if (isMatMul || shared <= 0)
    return;
  // Words that the second cache holds from one pass over them to the next.
  constexpr int64_t kJoinedWords = 32 << 10;
  joined = std::max<int64_t>(
      1, kJoinedWords / (rows * conv.strideY * conv.input.rowSize()));
  rowsFirst = false;
}

/// An even number of tasks of as many rows each, so that two threads end
/// together; two halves of the channels where few rows leave no such number.
void Tasking::balance(int64_t height, bool shared) {
  int64_t parts = llvm::divideCeil(height, rows) / 2 * 2;
  while (parts > 2 && height % parts)
    parts -= 2;
  constexpr int64_t kUneven = 16;
  rows = llvm::divideCeil(height, parts);
  if (shared)
    splits = 1;
  if (height % parts && height < kUneven)
    splits = std::min(std::max<int64_t>(splits, 2), blocks);
}

Tasking::Tasking(LoopBuilder &b, const ConvLoops &conv, int64_t blocks,
                 int64_t rows, int64_t splits)
    : rows(rows), splits(splits), blocks(blocks) {
  countTasks(b, conv);
}

void Tasking::countTasks(LoopBuilder &b, const ConvLoops &conv) {
  const Image &out = conv.output;
  int64_t perImage = conv.op.isMatMul ? 1 : out.height;
  Value all = conv.op.isMatMul ? out.batch : b.mul(out.batch, out.height);
  rowTasks = b.ceilDiv(all, rows);
  // Threads begin with neighbouring tasks: of the same rows, where those are
  // equal (a thread wrote their input), else of the same channels.
  rowsFirst = perImage % rows == 0;
  count = b.mul(rowTasks, splits * conv.groups);
  bound =
      b.mul(out.batch, llvm::divideCeil(perImage, rows) * splits * conv.groups);
}

int64_t hwgq::evenSplits(int64_t splits, int64_t blocks) {
  splits = std::clamp<int64_t>(splits, 1, blocks);
  while (blocks % splits)
    ++splits;
  return splits;
}

int64_t Tasking::pixels(const ConvLoops &conv) const {
  return conv.op.isMatMul ? rows : rows * conv.output.width;
}

/// Loops over rows [first, end) of image n of a pool.
static void poolRows(LoopBuilder &b, const PoolRows &pool, Value n, Value first,
                     Value end) {
  b.loop(first, end, 1, [&](Value y) { pool.emit(n, y); });
}

/// The rows of a pool that begin in the rows of one task and end in those of
/// another: after all tasks, one of these tasks for each border between those.
static void poolBorders(LoopBuilder &b, const ConvLoops &conv, int64_t rows) {
  const PoolRows &pool = *conv.pool;
  int64_t borders = conv.output.height / rows - 1;
  b.tasks(b.mul(conv.output.batch, borders), [&](Value task) {
    Value from = b.mul(b.rem(task, borders), rows), to = b.add(from, rows);
    Value first = b.max(pool.firstBehind(b, from), pool.endBefore(b, to));
    poolRows(b, pool, b.div(task, borders), first, pool.firstBehind(b, to));
  });
}

/// The rows of a pool that read nothing but rows of this task.
static void poolTask(LoopBuilder &b, const ConvLoops &conv, const Task &task,
                     int64_t rows) {
  Value n = b.div(task.row0, conv.output.height);
  Value from = b.rem(task.row0, conv.output.height);
  poolRows(b, *conv.pool, n, conv.pool->firstBehind(b, from),
           conv.pool->endBefore(b, b.add(from, rows)));
}

/// The task of row tasks [row, rowEnd) and parts [part, partEnd), which are of
/// one group.
static Task makeTask(LoopBuilder &b, const ConvLoops &conv,
                     const Tasking &tasking, Value number, Value row,
                     Value rowEnd, Value part, Value partEnd) {
  const Image &out = conv.output;
  Task task;
  task.number = number;
  Value first = b.mul(row, tasking.rows), end = b.mul(rowEnd, tasking.rows);
  if (conv.op.isMatMul) {
    task.row0 = b.index(0);
    task.row1 = b.index(1);
    task.x0 = first;
    task.x1 = b.min(end, out.batch);
  } else {
    task.row0 = first;
    task.row1 = b.min(end, b.mul(out.batch, out.height));
    task.x0 = b.index(0);
    task.x1 = b.index(out.width);
  }
  task.group = b.div(part, tasking.splits);
  Value base = b.mul(task.group, tasking.blocks);
  auto edge = [&](Value split) { // blocks * split / splits
    return b.add(base, b.div(b.mul(split, tasking.blocks), tasking.splits));
  };
  Value split = b.rem(part, tasking.splits);
  task.block0 = edge(split);
  task.block1 = edge(b.add(split, b.sub(partEnd, part)));
  return task;
}

/// Tasks [begin, end), neighbours of the same channels joined, and all channels
/// of a group where one task may have all rows.
static void joinTasks(LoopBuilder &b, const ConvLoops &conv,
                      const Tasking &tasking, Value begin, Value end,
                      llvm::function_ref<void(const Task &)> body) {
  auto rows = [&](Value part, Value partEnd, Value first, Value last) {
    b.loop(first, last, tasking.joined, [&](Value row) {
      Value rowEnd = b.min(b.add(row, tasking.joined), last);
      Value number = b.add(b.mul(part, tasking.rowTasks), row);
      body(makeTask(b, conv, tasking, number, row, rowEnd, part, partEnd));
    });
  };
  int64_t parts = tasking.splits * conv.groups;
  if (parts == 1)
    return rows(b.index(0), b.index(1), begin, end);
  Value first = arith::DivUIOp::create(b, begin, tasking.rowTasks);
  Value last = arith::CeilDivUIOp::create(b, end, tasking.rowTasks);
  Value step = b.index(1), steps = b.sub(last, first);
  if (conv.groups == 1) {
    Value cut = b.ori(arith::RemUIOp::create(b, begin, tasking.rowTasks),
                      arith::RemUIOp::create(b, end, tasking.rowTasks));
    Value whole = b.andi(b.cmp(arith::CmpIPredicate::eq, cut, b.index(0)),
                         b.cmp(arith::CmpIPredicate::ule, tasking.rowTasks,
                               b.index(tasking.joined)));
    step = b.select(whole, steps, step);
    steps = b.select(whole, b.index(1), steps);
  }
  b.loop(b.index(0), steps, 1, [&](Value i) {
    Value part = b.add(first, b.mul(i, step));
    Value before = b.mul(part, tasking.rowTasks);
    rows(part, b.add(part, step), b.sub(b.max(begin, before), before),
         b.min(b.sub(end, before), tasking.rowTasks));
  });
}

void hwgq::forEachTask(LoopBuilder &b, const ConvLoops &conv,
                       const Tasking &tasking,
                       llvm::function_ref<void(const Task &)> body) {
  const Image &out = conv.output;
  int64_t parts = tasking.splits * conv.groups;
  bool clear = conv.hasUnwritten();
  auto clearRow = [&](Value n, Value y) { conv.clearRow(b, n, y); };
  if (clear && parts > 1 && conv.hasPadding()) { // tasks share rows
    forEachRow(b, out, double(out.rowSize()) / 32, clearRow);
    clear = false;
  }
  // Whether a task makes whole rows of one image.
  bool pools = conv.pool && parts == 1 && out.height % tasking.rows == 0;
  auto clearRows = [&](const Task &task) {
    if (conv.op.isMatMul)
      b.loop(task.x0, task.x1, 1, [&](Value x) { clearRow(x, b.index(0)); });
    else
      b.loop(task.row0, task.row1, 1, [&](Value row) {
        clearRow(b.div(row, out.height), b.rem(row, out.height));
      });
  };
  auto emit = [&](const Task &task) {
    if (clear && parts > 1) // the tasks of the first channels
      b.when(b.cmp(arith::CmpIPredicate::eq, task.block0, b.index(0)),
             [&] { clearRows(task); });
    else if (clear)
      clearRows(task);
    body(task);
    if (pools)
      poolTask(b, conv, task, tasking.rows);
  };
  if (tasking.joined)
    b.chunks(tasking.count, [&](Value begin, Value end) {
      joinTasks(b, conv, tasking, begin, end, emit);
    });
  else
    b.tasks(tasking.count, [&](Value number) {
      Value part = b.rem(number, parts), row = b.div(number, parts);
      if (parts > 1 && !tasking.rowsFirst) {
        part = arith::DivUIOp::create(b, number, tasking.rowTasks);
        row = arith::RemUIOp::create(b, number, tasking.rowTasks);
      }
      emit(makeTask(b, conv, tasking, number, row, b.add(row, 1), part,
                    b.add(part, 1)));
    });
  if (pools && tasking.rows < out.height)
    poolBorders(b, conv, tasking.rows);
  else if (conv.pool && !pools)
    forEachRow(b, conv.pool->shape, conv.pool->cost, conv.pool->emit);
}

void hwgq::forEachTile(
    LoopBuilder &b, const ConvLoops &conv, const Task &task, int64_t pixels,
    llvm::function_ref<void(Value, Value, Value, int64_t)> tile) {
  if (conv.op.isMatMul) { // a pixel is an image of its own
    Value whole =
        b.add(task.x0, b.mul(b.div(b.sub(task.x1, task.x0), pixels), pixels));
    Value zero = b.index(0);
    b.loop(task.x0, whole, pixels,
           [&](Value x) { tile(zero, zero, x, pixels); });
    if (pixels > 1)
      b.loop(whole, task.x1, 1, [&](Value x) { tile(zero, zero, x, 1); });
    return;
  }
  int64_t width = conv.output.width, rest = width % pixels;
  b.loop(task.row0, task.row1, 1, [&](Value row) {
    Value n = b.div(row, conv.output.height);
    Value y = b.rem(row, conv.output.height);
    b.loop(b.index(0), b.index(width - rest), pixels,
           [&](Value x) { tile(n, y, x, pixels); });
    if (rest)
      tile(n, y, b.index(width - rest), rest);
  });
}
