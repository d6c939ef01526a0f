//===- Contractions.cpp - contractions to loops, by kernel ----------------===//
#include "Contraction.h"

using namespace mlir;
using namespace hwgq;
using bitpack::Contraction;

ConvLoops::ConvLoops(LoopBuilder &b, const Contraction &op, Value input,
                     Value weight)
    : op(op), inputMemory(input), weightMemory(weight),
      input(viewImage(b, op.inputType(), input)) {
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
  output = allocateImage(b, op.resultType(), this->input.batch, result);
}

Tasking::Tasking(LoopBuilder &b, const ConvLoops &conv, int64_t blocks,
                 double cost, double shared)
    : blocks(blocks) {
  constexpr double kTask = 20e3; // ns
  constexpr int64_t kMatrixRows = 32;
  const Image &out = conv.output;
  int64_t perImage = conv.op.isMatMul ? 1 : out.height;
  constexpr double kRepeated = 0.04; // of the work
  int64_t overlap = (conv.kh - 1) * conv.dilationY / conv.strideY;
  int64_t enough = int64_t(shared * double(overlap) / (kRepeated * cost)) + 1;
  rows = std::min<int64_t>(std::max(rowsPerTask(cost), enough),
                           conv.op.isMatMul ? kMatrixRows : 4 * perImage);
  // Too few rows for several threads at batch 1: split the channels.
  double whole = cost * perImage;
  int64_t rowTasks = llvm::divideCeil(perImage, rows);
  constexpr int64_t kEnough = 16;
  if (rowTasks < kEnough && whole > 2 * kTask)
    splits = std::clamp<int64_t>(
        std::min<int64_t>(kEnough / rowTasks,
                          int64_t(whole / kTask) / rowTasks / conv.groups),
        1, blocks);
  if (shared > 0)
    splits =
        std::clamp<int64_t>(int64_t(kRepeated * cost / shared) + 1, 1, splits);
  countTasks(b, conv);
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
  count = b.mul(b.ceilDiv(all, rows), splits * conv.groups);
  bound =
      b.mul(out.batch, llvm::divideCeil(perImage, rows) * splits * conv.groups);
}

int64_t Tasking::pixels(const ConvLoops &conv) const {
  return conv.op.isMatMul ? rows : rows * conv.output.width;
}

/// Whether memory of the result is written by no tile.
static bool hasUnwritten(const Image &out) {
  return out.packed() && (out.hasHalo() || out.hasPadding());
}

void hwgq::forEachTask(LoopBuilder &b, const ConvLoops &conv,
                       const Tasking &tasking,
                       llvm::function_ref<void(const Task &)> body) {
  const Image &out = conv.output;
  int64_t parts = tasking.splits * conv.groups;
  bool clear = hasUnwritten(out);
  if (clear && parts > 1) { // tasks share rows
    forEachRow(b, out, double(out.rowSize()),
               [&](Value n, Value y) { out.clearRow(b, n, y); });
    clear = false;
  }
  b.tasks(tasking.count, [&](Value number) {
    Task task;
    task.number = number;
    Value first = b.mul(b.div(number, parts), tasking.rows);
    Value part = b.rem(number, parts);
    if (conv.op.isMatMul) {
      task.row0 = b.index(0);
      task.row1 = b.index(1);
      task.x0 = first;
      task.x1 = b.min(b.add(first, tasking.rows), out.batch);
    } else {
      task.row0 = first;
      task.row1 =
          b.min(b.add(first, tasking.rows), b.mul(out.batch, out.height));
      task.x0 = b.index(0);
      task.x1 = b.index(out.width);
    }
    task.group = b.div(part, tasking.splits);
    Value split = b.rem(part, tasking.splits);
    Value base = b.mul(task.group, tasking.blocks);
    auto edge = [&](Value s) { // blocks * s / splits
      return b.add(base, b.div(b.mul(s, tasking.blocks), tasking.splits));
    };
    task.block0 = edge(split);
    task.block1 = edge(b.add(split, 1));
    if (clear && conv.op.isMatMul)
      b.loop(task.x0, task.x1, 1,
             [&](Value x) { out.clearRow(b, x, b.index(0)); });
    else if (clear)
      b.loop(task.row0, task.row1, 1, [&](Value row) {
        out.clearRow(b, b.div(row, out.height), b.rem(row, out.height));
      });
    body(task);
  });
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
  if (!conv.op.isMatMul)
    return b.reshape(image.memory,
                     {kDynamic, image.fullHeight(), image.rowSize()},
                     image.batch);
  auto type = cast<MemRefType>(image.memory.getType());
  OpFoldResult one = b.getIndexAttr(1);
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
      .Case("f32", emitF32Kernel)
      .Case("generic", emitGenericKernel)
      .Default(nullptr);
}

template <typename OpTy> struct ContractionPattern : OpConversionPattern<OpTy> {
  ContractionPattern(const TypeConverter &converter, MLIRContext *context,
                     const LoopOptions &options)
      : OpConversionPattern<OpTy>(converter, context), options(options) {}

  LogicalResult
  matchAndRewrite(OpTy op, typename OpTy::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    std::optional<Contraction> contraction = Contraction::get(op);
    StringRef name = op.getKernel().value_or("generic");
    const bitpack::Kernel *kernel = bitpack::findKernel(name);
    KernelEmitter emit = emitterOf(name);
    if (!kernel || !emit)
      return op.emitError("no kernel is named ") << name;
    if (const char *why = kernel->refuses(*contraction))
      return op.emitError("kernel ") << name << " does not fit: " << why;
    bitpack::LayoutAttr form = kernel->reads(*contraction);
    if (form && contraction->inputCode() &&
        form !=
            bitpack::getLayout(contraction->inputType()).withHalo({0, 0, 0, 0}))
      return op.emitError("kernel ") << name << " reads codes as " << form;
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

} // namespace

void hwgq::populateContractionPatterns(RewritePatternSet &patterns,
                                       const TypeConverter &converter,
                                       const LoopOptions &options) {
  patterns.add<ContractionPattern<bitpack::Conv2DOp>,
               ContractionPattern<bitpack::MatMulOp>>(
      converter, patterns.getContext(), options);
}
