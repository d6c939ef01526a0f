//===- Kernels.cpp - the table of kernels ---------------------------------===//
#include "KernelCosts.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <numeric>

using namespace mlir;
using namespace hwgq;
using namespace hwgq::bitpack;

static RankedTensorType tensorType(Value value) {
  return cast<RankedTensorType>(value.getType());
}

std::optional<Contraction> Contraction::get(Operation *op) {
  Contraction c;
  c.op = op;
  auto common = [&](auto typed) {
    c.input = typed.getInput();
    c.weight = typed.getWeight();
    c.result = typed.getResult();
    if (auto thresholds = typed.getThresholds())
      c.thresholds = *thresholds;
    if (auto direction = typed.getDirection())
      c.direction = *direction;
    c.inChannels = tensorType(c.input).getShape().back();
    c.outChannels = tensorType(c.weight).getDimSize(0);
  };
  if (auto conv = dyn_cast<bitpack::Conv2DOp>(op)) {
    common(conv);
    ArrayRef<int64_t> shape = tensorType(c.weight).getShape();
    c.window = {{shape[1], shape[2]},
                llvm::to_vector<2>(conv.getStrides()),
                llvm::to_vector<2>(conv.getDilations()),
                llvm::to_vector<4>(conv.getPads())};
    c.joined = conv.getJoined().value_or(1);
    c.groups = conv.getGroups() / c.joined;
    return c;
  }
  if (auto matmul = dyn_cast<bitpack::MatMulOp>(op)) {
    common(matmul);
    c.window = {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}};
    c.isMatMul = true;
    return c;
  }
  if (auto product = dyn_cast<bitpack::ProductOp>(op)) {
    common(product);
    c.window = {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}};
    c.inputDims = product.getInputDims();
    c.weightDims = product.getWeightDims();
    c.inChannels = tensorType(c.input).getDimSize(getInnerDim(c.inputDims));
    c.outChannels = tensorType(c.result).getShape().back();
    return c;
  }
  return std::nullopt;
}

std::optional<Contraction> Contraction::join(int64_t count) const {
  if (!inputCode() || !weightCode() || !withZero(weightCode()))
    return std::nullopt;
  Contraction c = *this;
  c.joined *= count;
  c.groups /= count;
  return c;
}

RankedTensorType Contraction::inputType() const { return tensorType(input); }

RankedTensorType Contraction::weightType() const {
  RankedTensorType type = tensorType(weight);
  if (joined == 1)
    return type;
  SmallVector<int64_t> shape(type.getShape());
  shape.back() *= joined;
  return RankedTensorType::get(shape,
                               withZero(cast<CodeType>(type.getElementType())),
                               type.getEncoding());
}

RankedTensorType Contraction::resultType() const { return tensorType(result); }

CodeType Contraction::inputCode() const {
  return dyn_cast<CodeType>(inputType().getElementType());
}

CodeType Contraction::weightCode() const {
  return dyn_cast<CodeType>(weightType().getElementType());
}

SmallVector<OpOperand *, 2> Contraction::activations() const {
  SmallVector<OpOperand *, 2> result = {&op->getOpOperand(0)};
  if (isProduct())
    result.push_back(&op->getOpOperand(1));
  return result;
}

bool Contraction::hasConstantWeight() const {
  Operation *def = weight.getDefiningOp();
  return !isProduct() && def && def->hasTrait<OpTrait::ConstantLike>();
}

int64_t Contraction::macs() const {
  int64_t terms =
      window.kernel[0] * window.kernel[1] * groupInChannels() * outChannels;
  if (isMatMul)
    return terms;
  for (int64_t size : resultType().getShape().drop_front().drop_back())
    terms *= std::max<int64_t>(1, size);
  return terms;
}

/// Rows of a matrix at batch 1, by the reshapes between it and a tensor of
/// three or more dimensions, whose first one is the batch.
static int64_t rowsAtBatchOne(Value value) {
  constexpr unsigned kMaxSteps = 256;
  double rows = 1;
  for (unsigned step = 0; step < kMaxSteps; ++step) {
    RankedTensorType type = tensorType(value);
    if (!type.getRank() || !type.isDynamicDim(0)) {
      rows *= type.getRank() ? double(type.getDimSize(0)) : 1;
      break;
    }
    Operation *op = value.getDefiningOp();
    if (type.getRank() > 2 || !op)
      break;
    // The operand that brings the rows; others are constants and broadcasts.
    auto found = llvm::find_if(op->getOperands(), [](Value operand) {
      auto from = dyn_cast<RankedTensorType>(operand.getType());
      return from && from.getRank() && from.isDynamicDim(0) &&
             !operand.getDefiningOp<linalg::BroadcastOp>() &&
             !operand.getDefiningOp<tensor::EmptyOp>();
    });
    if (found == op->getOperands().end())
      break;
    auto rowSize = [](Value v) {
      double size = 1;
      for (int64_t d : tensorType(v).getShape().drop_front())
        size *= ShapedType::isDynamic(d) ? 1 : double(d);
      return size;
    };
    if (isa<RelayoutOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
      rows *= rowSize(*found) / rowSize(value);
    value = *found;
  }
  return std::max<int64_t>(1, std::llround(rows));
}

int64_t Contraction::positions() const {
  RankedTensorType type = resultType();
  if (isMatMul)
    return rowsAtBatchOne(input) * (inputType().isDynamicDim(0) ? images : 1);
  int64_t positions = 1;
  for (int64_t size : type.getShape().drop_front().drop_back())
    positions *= size;
  return std::max<int64_t>(1, positions);
}

//===----------------------------------------------------------------------===//
// The kernels
//===----------------------------------------------------------------------===//

static const char *popcountRefuses(const Contraction &c) {
  if (!c.inputCode() || !c.weightCode())
    return "popcount needs codes on both sides";
  if (!c.hasConstantWeight())
    return "popcount needs constant weights";
  if (c.groups > 1 && c.groupOutChannels() % 8)
    return "popcount needs groups of multiples of 8 output channels";
  return nullptr;
}

CodeType bitpack::getByteNumbers(CodeType weights) {
  if (weights.getMin() >= -128 && weights.getMax() <= 127)
    return weights;
  return CodeType::get(weights.getContext(), weights.getBits(),
                       weights.getBits() == 8 ? -128 : 0, 1);
}

CodeType bitpack::withZero(CodeType weights) {
  if (weights.contains(0))
    return weights;
  int32_t low = std::min(0, weights.getMin());
  int32_t high = std::max(0, weights.getMax());
  int32_t stride = std::gcd(weights.getStride(), weights.getOffset());
  unsigned bits = llvm::Log2_64_Ceil((high - low) / stride + 1);
  constexpr unsigned kMostBits = 8;
  constexpr int32_t kMost = 255; // magnitude of a number
  if (bits > kMostBits || low + stride * ((1 << bits) - 1) > kMost)
    return {};
  return CodeType::get(weights.getContext(), bits, low, stride);
}

static const char *dot8Refuses(const Contraction &c) {
  if (!c.inputCode() || !c.weightCode())
    return "dot8 needs codes on both sides";
  if (!getLayout(c.weightType()).isPlanes() || !c.hasConstantWeight())
    return "dot8 needs constant weights in bit planes";
  if (c.groups > 1 && (c.groupInChannels() % 4 || c.groupOutChannels() % 16))
    return "dot8 needs groups of multiples of 4 input and 16 output channels";
  return nullptr;
}

static const char *lookupRefuses(const Contraction &c) {
  if (!c.inputCode() || !c.weightCode())
    return "lookup needs codes on both sides";
  if (!c.hasConstantWeight())
    return "lookup needs constant weights";
  if (c.inputCode().getBits() > 5)
    return "the sum of 6 codes of more than 5 bits does not fit a byte";
  if (c.groups > 1 && c.groupOutChannels() % 64)
    return "lookup needs groups of multiples of 64 output channels";
  return nullptr;
}

static const char *threadPopcountRefuses(const Contraction &c) {
  if (c.joined > 1)
    return "thread-popcount takes groups one by one";
  if (const char *why = popcountRefuses(c))
    return why;
  if (c.groups > 1 && c.groupInChannels() % 64)
    return "thread-popcount needs groups of multiples of 64 input channels";
  RankedTensorType result = c.resultType();
  if (isPacked(result) && getLayout(result).getForm() != "planes")
    return "thread-popcount writes bit planes";
  return nullptr;
}

static const char *depthwiseRefuses(const Contraction &c) {
  if (!c.inputCode() || !c.weightCode())
    return "depthwise needs codes on both sides";
  if (!c.hasConstantWeight())
    return "depthwise needs constant weights";
  if (c.isMatMul || c.groupInChannels() != 1 || c.groupOutChannels() != 1)
    return "depthwise needs as many groups as channels";
  return nullptr;
}

static const char *pairsRefuses(const Contraction &c) {
  int64_t k = c.inputDims.size();
  if (!c.isProduct())
    return "dot8-pairs takes products of activations alone";
  if (c.inputDims.back() != k || c.weightDims.back() < k - 1)
    return "dot8-pairs needs the summed dimension innermost in the left "
           "operand, and it or the last of the result in the right one";
  if (llvm::is_contained(c.inputType().getShape(), 0) ||
      llvm::is_contained(c.weightType().getShape(), 0))
    return "dot8-pairs needs sizes above 0";
  return nullptr;
}

static const char *f32Refuses(const Contraction &c) {
  if (c.inputCode())
    return "f32 needs floats as input";
  if (!c.hasConstantWeight())
    return "f32 needs constant weights";
  return nullptr;
}

static const char *genericRefuses(const Contraction &c) {
  return c.joined > 1 ? "generic takes groups one by one" : nullptr;
}

static LayoutAttr anyForm(const Contraction &) { return {}; }

static LayoutAttr planes(const Contraction &c) {
  return LayoutAttr::get(c.op->getContext(), "planes");
}

static double noCeiling(const Contraction &, const KernelTarget &) { return 0; }

/// Rows of whole steps of every form of products of bytes.
static LayoutAttr stepBytes(const Contraction &c) {
  return LayoutAttr::get(c.op->getContext(), "bytes", {0, 0, 0, 0}, 0, 8);
}

/// Pixels of whole registers, or of one register's even part.
static LayoutAttr wholeBytes(const Contraction &c) {
  constexpr int64_t kRegister = 64, kLeast = 4;
  int64_t align =
      std::clamp<int64_t>(llvm::PowerOf2Ceil(c.inChannels), kLeast, kRegister);
  return LayoutAttr::get(c.op->getContext(), "bytes", {0, 0, 0, 0}, 0, align);
}

ArrayRef<Kernel> bitpack::getKernels() {
  static const StringRef nvptx[] = {"nvptx"};
  static const StringRef amx[] = {"amx-int8"};
  static const Kernel kernels[] = {
      {"thread-popcount",
       "popcount(a AND b) of bit planes, 8 output channels a GPU thread", nvptx,
       threadPopcountRefuses, planes, threadPopcountCost, noCeiling},
      {"dot8-amx", "products of bytes on tiles of AMX", amx, dot8Refuses,
       wholeBytes, amxCost, amxCeiling},
      {"dot8",
       "products of bytes in vectors",
       {},
       dot8Refuses,
       wholeBytes,
       dot8Cost,
       dot8Ceiling},
      {"dot8-pairs",
       "products of bytes in vectors, of two activations",
       {},
       pairsRefuses,
       stepBytes,
       pairsCost,
       dot8Ceiling},
      {"popcount",
       "popcount(a AND b) of bit planes on vectors",
       {},
       popcountRefuses,
       planes,
       popcountCost,
       popcountCeiling},
      {"lookup",
       "byte shuffles into tables of partial sums, by bits of the weights",
       {},
       lookupRefuses,
       planes,
       lookupCost,
       lookupCeiling},
      {"f32",
       "chains of fused multiply-adds on vectors",
       {},
       f32Refuses,
       anyForm,
       f32Cost,
       f32Ceiling},
      {"depthwise",
       "products of numbers in vectors along the channels, one filter each",
       {},
       depthwiseRefuses,
       wholeBytes,
       depthwiseCost,
       noCeiling},
      {"generic",
       "plain loops over words, codes or floats",
       {},
       genericRefuses,
       anyForm,
       genericCost,
       noCeiling},
  };
  return kernels;
}

const Kernel *bitpack::findKernel(StringRef name) {
  for (const Kernel &kernel : getKernels())
    if (kernel.name == name)
      return &kernel;
  return nullptr;
}

const char *bitpack::refusesOn(const Kernel &kernel, const Contraction &c,
                               const KernelTarget &target) {
  for (StringRef feature : kernel.features)
    if (!target.has(feature))
      return "the target lacks a feature that it needs";
  if (const char *why = kernel.refuses(c))
    return why;
  bool isEmpty = c.inChannels == 0 || c.outChannels == 0;
  if (isEmpty && kernel.name != "generic") // tiles divide by what they hold
    return "only generic takes a contraction without channels";
  return nullptr;
}
