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
