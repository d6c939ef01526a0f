//===- Contractions.cpp - contractions to loops, by kernel ----------------===//
#include "../PackConstant.h"
#include "Contraction.h"
#include "Pairs.h"
#include "Patterns.h"
#include "PoolWindow.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq;
using bitpack::Contraction;

ConvLoops::ConvLoops(LoopBuilder &b, const Contraction &op, Value input,
                     Value weight, const Pointwise *group, ImageRows *producer,
                     const PoolRows *pool)
    : op(op), inputMemory(input), weightMemory(weight),
      input(producer ? describeImage(op.inputType(), producer->batch())
                     : viewImage(b, op.inputType(), input)),
      group(group), producer(producer), pool(pool) {
  kh = op.window.kernel[0];
  kw = op.window.kernel[1];
  strideY = op.window.strides[0];
  strideX = op.window.strides[1];
  dilationY = op.window.dilations[0];
  dilationX = op.window.dilations[1];
  top = op.window.pads[0];
  left = op.window.pads[1];
  groups = op.groups;
  groupIn = op.groupInChannels();
  groupOut = op.groupOutChannels();
  Value batch =
      op.isProduct() ? getProductBatch(b, op, input) : this->input.batch;
  output =
      group ? group->shape() : allocateImage(b, op.resultType(), batch, result);
}

FailureOr<SmallVector<uint8_t>> ConvLoops::weightCodes() const {
  auto type = cast<RankedTensorType>(op.weight.getType());
  if (auto constant = op.weight.getDefiningOp<bitpack::ConstantOp>())
    if (auto codes = unpackConstant(type, constant.getWords()))
      return op.joined == 1 ? *codes : joinGroups(*codes);
  return op.op->emitError("the weights have no readable values");
}

/// The codes of the joined groups, of those of single ones: blocks along a
/// diagonal of zeros.
SmallVector<uint8_t> ConvLoops::joinGroups(ArrayRef<uint8_t> codes) const {
  auto from = cast<CodeType>(getElementTypeOrSelf(op.weight));
  CodeType to = weightCode();
  int64_t inputs = groupIn / op.joined, outputs = groupOut / op.joined;
  int64_t taps = kh * kw;
  SmallVector<uint8_t> result(output.channels * taps * groupIn, to.toCode(0));
  for (int64_t i = 0; i < output.channels * taps; ++i) {
    int64_t group = i / taps / outputs % op.joined;
    for (int64_t c = 0; c < inputs; ++c)
      result[i * groupIn + group * inputs + c] =
          to.toCode(from.toNumber(codes[i * inputs + c]));
  }
  return result;
}

uint8_t ConvLoops::codeOfByte(ArrayRef<uint8_t> codes, int64_t group,
                              int64_t channel, int64_t places, int64_t place,
                              int64_t byte) const {
  int64_t pixelBytes = groups > 1 ? groupIn : input.pixelSize();
  int64_t ky = place / places;
  int64_t kx = place % places + byte / pixelBytes, c = byte % pixelBytes;
  if (channel >= groupOut || c >= groupIn)
    return 0;
  int64_t k = group * groupOut + channel;
  return codes[((k * kh + ky) * kw + kx) * groupIn + c];
}

double ConvLoops::macsOfRow() const {
  return double(op.macs()) /
         double(op.isMatMul ? 1 : std::max<int64_t>(1, output.height));
}

int64_t ConvLoops::rowLength(int64_t otherwise) const {
  int64_t length = op.isMatMul ? op.inputType().getDimSize(0) : output.width;
  return std::max<int64_t>(1,
                           ShapedType::isDynamic(length) ? otherwise : length);
}

void ConvLoops::alignGroups(LoopBuilder &b) {
  if (groups == 1 || groupIn % 64 == 0)
    return;
  Image from = input;
  int64_t words = llvm::divideCeil(groupIn, 64);
  input.channels = groups * words * 64;
  input.words = groups * words;
  input.memory = memref::AllocOp::create(
      b, MemRefType::get({ShapedType::kDynamic}, b.getI64Type()),
      ValueRange{b.mul(input.batch, input.imageSize())},
      b.getI64IntegerAttr(64));
  Image rows = input; // the halo is copied, too
  rows.height = input.fullHeight();
  double cost = 1.5 * double(input.rowSize());
  forEachRow(b, rows, cost, [&](Value n, Value y) {
    Value row = b.add(b.mul(n, rows.height), y);
    b.loop(input.fullWidth(), [&](Value x) {
      Value pixel = b.add(b.mul(row, input.fullWidth()), x);
      b.loop(groups, [&](Value group) {
        for (int64_t at = 0; at < groupIn; at += 64) {
          // Two neighbouring words hold any 64 channels.
          Value first = b.add(b.mul(group, groupIn), at);
          Value word = b.div(first, 64), shift = b.toI64(b.rem(first, 64));
          Value next = b.min(b.add(word, 1), b.index(from.words - 1));
          Value rest = b.sub(b.i64(63), shift);
          uint64_t valid = llvm::maskTrailingOnes<uint64_t>(
              std::min<int64_t>(64, groupIn - at));
          Value to = b.add(b.mul(group, words), at / 64);
          for (int64_t p = 0; p < from.planes; ++p) {
            auto load = [&](Value which) {
              Value base = b.mul(pixel, from.pixelSize());
              return b.load(from.memory,
                            b.add(b.add(base, b.mul(which, from.planes)), p));
            };
            Value low = b.shr(load(word), shift);
            Value high = b.shl(b.shl(load(next), b.i64(1)), rest);
            b.store(b.andi(b.ori(low, high), b.i64(valid)), input.memory,
                    b.add(b.add(b.mul(pixel, input.pixelSize()),
                                b.mul(to, from.planes)),
                          p));
          }
        }
      });
    });
  });
}

Value ConvLoops::firstRow(LoopBuilder &b, Value y) const {
  return b.add(b.mul(y, strideY), input.top - top);
}

Value ConvLoops::firstTap(LoopBuilder &b, Value n, Value y, Value x) const {
  return input.at(b, n, b.add(b.mul(y, strideY), -top),
                  b.add(b.mul(x, strideX), -left));
}

double ConvLoops::weightTime() const {
  constexpr double kByte = 0.04; // ns, from the outer caches
  CodeType code = weightCode();
  double bits = code ? code.getBits() : 32;
  return kByte * bits / 8 * double(op.weightType().getNumElements());
}

double ConvLoops::resultTime() const {
  constexpr double kResult = 0.2; // ns; a float that leaves the nearest cache
  return kResult * double(output.channels) *
         double(op.isMatMul ? 1 : output.width);
}

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

bool ConvLoops::hasUnwritten() const {
  return group ? group->hasUnwritten()
               : output.packed() && (output.hasHalo() || output.hasPadding());
}

bool ConvLoops::hasPadding() const {
  return group ? group->hasPadding() : output.packed() && output.hasPadding();
}

void ConvLoops::clearRow(LoopBuilder &b, Value n, Value y) const {
  if (group)
    group->clearRow(b, n, y);
  else if (output.packed())
    output.clearRow(b, n, y);
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

Value hwgq::viewRows(LoopBuilder &b, const ConvLoops &conv,
                     const Image &image) {
  constexpr int64_t kDynamic = ShapedType::kDynamic;
  auto type = cast<MemRefType>(image.memory.getType());
  OpFoldResult one = b.getIndexAttr(1);
  if (!conv.op.isMatMul) {
    int64_t height = image.fullHeight(), row = image.rowSize();
    int64_t length = row + image.left * image.pixelSize();
    auto rows = MemRefType::get(
        {kDynamic, height, length}, type.getElementType(),
        StridedLayoutAttr::get(b.getContext(), 0, {height * row, row, 1}));
    return memref::ReinterpretCastOp::create(
        b, rows, image.memory, OpFoldResult(b.getIndexAttr(0)),
        ArrayRef<OpFoldResult>{image.batch, b.getIndexAttr(height),
                               b.getIndexAttr(length)},
        ArrayRef<OpFoldResult>{b.getIndexAttr(height * row),
                               b.getIndexAttr(row), one});
  }
  OpFoldResult size = b.mul(image.batch, image.pixelSize());
  return memref::ReinterpretCastOp::create(
      b, MemRefType::get({1, 1, kDynamic}, type.getElementType()), image.memory,
      OpFoldResult(b.getIndexAttr(0)), ArrayRef<OpFoldResult>{one, one, size},
      ArrayRef<OpFoldResult>{size, size, one});
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

namespace {

KernelEmitter emitterOf(StringRef kernel) {
  return llvm::StringSwitch<KernelEmitter>(kernel)
      .Case("lookup", emitLookupKernel)
      .Case("popcount", emitPopcountKernel)
      .Case("dot8-amx", emitAmxKernel)
      .Case("dot8", emitDot8Kernel)
      .Case("dot8-pairs", emitPairsKernel)
      .Case("f32", emitF32Kernel)
      .Case("depthwise", emitDepthwiseKernel)
      .Case("generic", emitGenericKernel)
      .Default(nullptr);
}

/// The emitter of the kernel that an op names; null after an error.
KernelEmitter checkKernel(const Contraction &contraction) {
  Operation *op = contraction.op;
  StringRef name = "generic";
  if (auto attr = op->getAttrOfType<StringAttr>("kernel"))
    name = attr.getValue();
  const bitpack::Kernel *kernel = bitpack::findKernel(name);
  KernelEmitter emit = emitterOf(name);
  if (!kernel || !emit) {
    op->emitError("no kernel is named ") << name;
    return nullptr;
  }
  if (const char *why = kernel->refuses(contraction)) {
    op->emitError("kernel ") << name << " does not fit: " << why;
    return nullptr;
  }
  bitpack::LayoutAttr form = kernel->reads(contraction);
  if (form && contraction.inputCode())
    for (OpOperand *codes : contraction.activations())
      if (form !=
          bitpack::getLayout(codes->get().getType()).withHalo({0, 0, 0, 0})) {
        op->emitError("kernel ") << name << " reads codes as " << form;
        return nullptr;
      }
  return emit;
}

template <typename OpTy> struct ContractionPattern : OpConversionPattern<OpTy> {
  ContractionPattern(const TypeConverter &converter, MLIRContext *context,
                     const LoopOptions &options)
      : OpConversionPattern<OpTy>(converter, context), options(options) {}

  LogicalResult
  matchAndRewrite(OpTy op, typename OpTy::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    std::optional<Contraction> contraction = Contraction::get(op);
    KernelEmitter emit = checkKernel(*contraction);
    if (!emit)
      return failure();
    LoopBuilder b(op.getLoc(), rewriter, options);
    ConvLoops conv(b, *contraction, adaptor.getInput(), adaptor.getWeight());
    FailureOr<Value> result = emit(b, conv);
    if (failed(result))
      return failure();
    rewriter.replaceOp(op, *result);
    return success();
  }

  LoopOptions options;
};

/// A group runs where its root makes its values. The generic kernel, and f32
/// where groups of channels end within vectors, make them all first.
struct FusedPattern : OpConversionPattern<bitpack::FusedOp> {
  FusedPattern(const TypeConverter &converter, MLIRContext *context,
               const LoopOptions &options)
      : OpConversionPattern(converter, context), options(options) {}

  LogicalResult
  matchAndRewrite(bitpack::FusedOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LoopBuilder b(op.getLoc(), rewriter, options);
    auto memoryOf = [&](Value value) {
      return rewriter.getRemappedValue(value);
    };
    Operation *root = Pointwise::getRoot(op);
    bitpack::FusedOp inner = Pointwise::getInner(op);
    if (inner && !onlyPooled(inner, root))
      return op.emitError("holds a group that more than a pool reads");
    // What makes the input of the first root.
    bitpack::FusedOp begin = inner ? inner : op;
    Operation *beginRoot = Pointwise::getRoot(begin);
    linalg::GenericOp producer = Pointwise::getProducer(begin);
    std::unique_ptr<ImageRows> rows;
    if (producer) {
      bool image = tensorType(producer.getResult(0)).getRank() == 4 &&
                   !isa<bitpack::MatMulOp, tensor::CollapseShapeOp>(beginRoot);
      rows = ImageRows::get(producer, image ? 2 : 1, rewriter, options);
    }
    if (producer && !rows)
      return op.emitError("makes an input that has no rows");
    Value first = beginRoot ? beginRoot->getOperand(0) : firstOperand(begin);
    if (!first)
      return op.emitError("reads no tensor of its shape");
    std::optional<Contraction> contraction;
    if (beginRoot)
      contraction = Contraction::get(beginRoot);
    Value batch = rows ? rows->batch()
                  : contraction && contraction->isProduct()
                      ? getProductBatch(b, *contraction, memoryOf(first))
                      : getBatch(b, tensorType(first), memoryOf(first));
    Pointwise group(b, op, batch, memoryOf);
    PoolOutput out = {
        group.shape(), [&](Value n, Value y) { group.clearRow(b, n, y); },
        [&](Value value, const Site &site) { group.emit(b, value, site); }};
    if (inner) {
      Pointwise conv(b, inner, batch, memoryOf);
      PoolRows pool = makePool(b, root, conv.results()[0], nullptr, out);
      if (failed(emitContraction(b, *contraction, conv, memoryOf, rows.get(),
                                 &pool)))
        return failure();
    } else if (!root || isa<linalg::GenericOp, tensor::CollapseShapeOp>(root)) {
      group.emitLoops(b, {}, rows.get());
    } else if (contraction) {
      if (failed(emitContraction(b, *contraction, group, memoryOf, rows.get())))
        return failure();
    } else {
      emitPool(b, root, rows ? Value() : memoryOf(first), rows.get(), out);
    }
    rewriter.replaceOp(op, group.results());
    return success();
  }

private:
  /// Whether `root` pools the one result of a contraction's group, and nobody
  /// else reads it.
  static bool onlyPooled(bitpack::FusedOp inner, Operation *root) {
    Operation *conv = Pointwise::getRoot(inner);
    return isa_and_nonnull<hwgq::MaxPoolOp, hwgq::AvgPoolOp>(root) &&
           isa_and_nonnull<bitpack::Conv2DOp>(conv) &&
           inner->getNumResults() == 1 && inner->hasOneUse() &&
           root->getOperand(0) == inner->getResult(0);
  }

  /// An operand from outside that has the shape of the results.
  static Value firstOperand(bitpack::FusedOp op) {
    auto shape = tensorType(op.getResult(0)).getShape();
    for (Operation &inner : op.getBody().front())
      for (Value value : inner.getOperands())
        if (value.getParentRegion() != &op.getBody() &&
            !value.getDefiningOp<tensor::EmptyOp>() &&
            tensorType(value).getShape() == shape)
          return value;
    return {};
  }

  static LogicalResult
  emitContraction(LoopBuilder &b, const Contraction &contraction,
                  const Pointwise &group,
                  llvm::function_ref<Value(Value)> memoryOf, ImageRows *rows,
                  const PoolRows *pool = nullptr) {
    KernelEmitter emit = checkKernel(contraction);
    if (!emit)
      return failure();
    if (pool && emit != emitF32Kernel)
      return contraction.op->emitError("this kernel pools no results");
    if (rows && emit != emitF32Kernel)
      return contraction.op->emitError("this kernel reads its input itself");
    bool whole = contraction.groups == 1 ||
                 contraction.groupOutChannels() % 64 == 0 ||
                 emit != emitF32Kernel;
    bool together = emit != emitGenericKernel && whole;
    ConvLoops conv(b, contraction, rows ? Value() : memoryOf(contraction.input),
                   memoryOf(contraction.weight), together ? &group : nullptr,
                   rows, together ? pool : nullptr);
    FailureOr<Value> result = emit(b, conv);
    if (succeeded(result) && !together) {
      group.emitLoops(b, *result);
      if (pool)
        forEachRow(b, pool->shape, pool->cost, pool->emit);
    }
    return result;
  }

  LoopOptions options;
};

} // namespace

void hwgq::populateContractionPatterns(RewritePatternSet &patterns,
                                       const TypeConverter &converter,
                                       const LoopOptions &options) {
  patterns.add<ContractionPattern<bitpack::Conv2DOp>,
               ContractionPattern<bitpack::MatMulOp>,
               ContractionPattern<bitpack::ProductOp>, FusedPattern>(
      converter, patterns.getContext(), options);
}
