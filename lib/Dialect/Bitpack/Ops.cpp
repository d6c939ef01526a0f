//===- Ops.cpp - verifiers and folders of bitpack -------------------------===//
#include "hwgq/Dialect/Bitpack.h"
#include "hwgq/Dialect/Folders.h"
#include "hwgq/Dialect/Kernels.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::bitpack;

#define GET_OP_CLASSES
#include "bitpack/BitpackOps.cpp.inc"

static bool sameSize(int64_t a, int64_t b) {
  return a == b || ShapedType::isDynamic(a) || ShapedType::isDynamic(b);
}

static LogicalResult verifySameShape(Operation *op, Type a, Type b) {
  auto ta = cast<RankedTensorType>(a), tb = cast<RankedTensorType>(b);
  if (ta.getRank() != tb.getRank() ||
      !llvm::all_of(llvm::zip(ta.getShape(), tb.getShape()), [](auto pair) {
        return sameSize(std::get<0>(pair), std::get<1>(pair));
      }))
    return op->emitOpError("input and result must have the same shape");
  return success();
}

/// The thresholds of an op fit its channels and result.
static LogicalResult verifyThresholds(Operation *op, ElementsAttr thresholds,
                                      ArrayRef<int8_t> direction, Type result) {
  auto packed = cast<RankedTensorType>(result);
  auto type = dyn_cast<RankedTensorType>(thresholds.getType());
  auto code = dyn_cast<CodeType>(packed.getElementType());
  if (!code)
    return op->emitOpError("thresholds need a packed result");
  if (!type || type.getRank() != 2 || !type.getElementType().isInteger(32) ||
      (type.getDimSize(0) != 1 &&
       type.getDimSize(0) != packed.getShape().back()) ||
      int64_t(direction.size()) != type.getDimSize(0))
    return op->emitOpError("needs a tensor<CxTxi32> of thresholds and a "
                           "direction for each row");
  if (type.getDimSize(1) < 1 || type.getDimSize(1) >= (1 << code.getBits()))
    return op->emitOpError("too many thresholds for ") << code;
  return success();
}

template <typename OpTy> static LogicalResult verifyContraction(OpTy op) {
  bool packedInput = isPacked(op.getInput().getType());
  bool packedResult = isPacked(op.getType());
  if (bool(op.getThresholds()) != bool(op.getDirection()))
    return op.emitOpError("thresholds and direction come together");
  if (bool(op.getThresholds()) != packedResult)
    return op.emitOpError(
        "the result is packed exactly where there are thresholds");
  if (isPacked(op.getWeight().getType()) &&
      getLayout(op.getWeight().getType()).getBlock() == 0) // C7
    return op.emitOpError("packed weights need a layout with a block");
  if (packedInput && !isPacked(op.getWeight().getType()))
    return op.emitOpError("a packed input needs packed weights");
  Type element = getElementTypeOrSelf(op.getType());
  if (!packedResult &&
      (packedInput ? !element.isInteger(32) : !element.isF32()))
    return op.emitOpError("wrong element type of the result");
  if (packedResult)
    return verifyThresholds(op, *op.getThresholds(), *op.getDirection(),
                            op.getType());
  return success();
}

OpFoldResult bitpack::ConstantOp::fold(FoldAdaptor) { return getWords(); }

LogicalResult bitpack::ConstantOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  auto attrType = dyn_cast<RankedTensorType>(getWords().getType());
  if (!type.hasStaticShape())
    return emitOpError("needs a static shape");
  LayoutAttr layout = getLayout(type);
  int64_t words = 1;
  for (int64_t size : layout.getPhysicalShape(type))
    words *= size;
  if (!attrType || attrType.getElementType() != layout.getElementType() ||
      attrType.getNumElements() != words) // C1
    return emitOpError("needs ")
           << words << " elements of " << layout.getElementType();
  return success();
}

LogicalResult bitpack::QuantizeOp::verify() {
  CodeType code = cast<CodeType>(getElementTypeOrSelf(getType()));
  for (int32_t n : getStep().getValues().asArrayRef())
    if (!code.contains(n))
      return emitOpError("value ") << n << " is not a number of " << code;
  return verifySameShape(*this, getInput().getType(), getType());
}

LogicalResult bitpack::ThresholdOp::verify() {
  if (failed(verifySameShape(*this, getInput().getType(), getType())))
    return failure();
  return verifyThresholds(*this, getThresholds(), getDirection(), getType());
}

LogicalResult bitpack::Conv2DOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto w = cast<RankedTensorType>(getWeight().getType());
  auto y = cast<RankedTensorType>(getType());
  if (x.getRank() != 4 || w.getRank() != 4 || y.getRank() != 4 ||
      getStrides().size() != 2 || getPads().size() != 4 ||
      getDilations().size() != 2)
    return emitOpError("operands must have rank 4, two strides and dilations "
                       "and four pads");
  int64_t groups = getGroups();
  if (groups < 1 || w.getDimSize(0) % groups ||
      x.getDimSize(3) != groups * w.getDimSize(3) ||
      y.getDimSize(3) != w.getDimSize(0)) // C2
    return emitOpError("channels do not match");
  if (isPacked(x)) { // C6
    LayoutAttr layout = getLayout(x);
    // Right of a row lies the left side of the next one, where there is one.
    bool below = layout.getBottom() > getPads()[2];
    int64_t right = layout.getRight() + (below ? layout.getLeft() : 0);
    if (layout.getTop() < getPads()[0] || layout.getLeft() < getPads()[1] ||
        layout.getBottom() < getPads()[2] || right < getPads()[3])
      return emitOpError("the halo of the input is smaller than the pads");
  }
  if (std::optional<int64_t> joined = getJoined()) { // C8
    auto code = dyn_cast<CodeType>(w.getElementType());
    if (*joined < 1 || groups % *joined || !isPacked(x) || !code ||
        !withZero(code))
      return emitOpError("cannot join ") << *joined << " groups";
  }
  return verifyContraction(*this);
}

LogicalResult bitpack::MatMulOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto w = cast<RankedTensorType>(getWeight().getType());
  auto y = cast<RankedTensorType>(getType());
  if (x.getRank() != 2 || w.getRank() != 2 || y.getRank() != 2 ||
      x.getDimSize(1) != w.getDimSize(1) || y.getDimSize(1) != w.getDimSize(0))
    return emitOpError("sizes do not match");
  return verifyContraction(*this);
}

LogicalResult bitpack::ProductOp::verify() {
  auto y = cast<RankedTensorType>(getType());
  SmallVector<ArrayRef<int64_t>> shapes;
  for (Value operand : getOperands()) {
    auto type = cast<RankedTensorType>(operand.getType());
    LayoutAttr layout = getLayout(type);
    shapes.push_back(type.getShape());
    if (type.getRank() < 2 || layout.getBlock() || layout.hasHalo() ||
        llvm::any_of(type.getShape().drop_front(),
                     ShapedType::isDynamic)) // C3
      return emitOpError("operands must be activations without a halo, dynamic "
                         "in the first dimension alone");
  }
  auto shape = getProductShape([&] { return emitOpError(); }, shapes[0],
                               shapes[1], getInputDims(), getWeightDims());
  if (failed(shape)) // C1, C2
    return failure();
  if (!llvm::equal(*shape, y.getShape()))
    return emitOpError("the shape of the result is another");
  if (bool(getThresholds()) != bool(getDirection()) ||
      bool(getThresholds()) != isPacked(y))
    return emitOpError(
        "the result is packed exactly where there are thresholds");
  if (!getThresholds())
    return success();
  return verifyThresholds(*this, *getThresholds(), *getDirection(), y);
}

LogicalResult bitpack::MaxPoolOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto y = cast<RankedTensorType>(getType());
  if (x.getRank() != 4 || y.getRank() != 4 ||
      x.getElementType() != y.getElementType() ||
      x.getDimSize(3) != y.getDimSize(3))
    return emitOpError("needs images of one code type and channel count");
  if (getFalling() && int64_t(getFalling()->size()) != x.getDimSize(3))
    return emitOpError("falling needs one entry per channel");
  return success();
}

LogicalResult bitpack::AvgPoolOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto y = cast<RankedTensorType>(getType());
  if (x.getRank() != 4 || y.getRank() != 4 ||
      x.getDimSize(3) != y.getDimSize(3))
    return emitOpError("needs images of one channel count");
  return success();
}

LogicalResult bitpack::AffineOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  int64_t channels = x.getRank() ? x.getShape().back() : 1;
  if (getScale().size() != 1 && int64_t(getScale().size()) != channels)
    return emitOpError("needs one scale, or one for each of ")
           << channels << " channels";
  return verifySameShape(*this, x, getType());
}

OpFoldResult bitpack::MaxPoolOp::fold(FoldAdaptor) {
  return foldMaxPool(*this);
}

/// The layout that the input has; or two relayouts in a row.
OpFoldResult RelayoutOp::fold(FoldAdaptor) {
  if (getInput().getType() == getType())
    return getInput();
  auto inner = getInput().getDefiningOp<RelayoutOp>();
  auto from = inner ? cast<RankedTensorType>(inner.getInput().getType())
                    : RankedTensorType();
  if (!inner || from.getNumDynamicDims() !=
                    cast<RankedTensorType>(getType()).getNumDynamicDims())
    return {};
  getInputMutable().assign(inner.getInput());
  return getResult();
}

OpFoldResult bitpack::PadOp::fold(FoldAdaptor) {
  return isNoBorder(getLow(), getHigh()) && getInput().getType() == getType()
             ? getInput()
             : OpFoldResult();
}

OpFoldResult bitpack::ConcatOp::fold(FoldAdaptor) {
  return getInputs().size() == 1 && getInputs()[0].getType() == getType()
             ? getInputs()[0]
             : OpFoldResult();
}

LogicalResult RelayoutOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto y = cast<RankedTensorType>(getType());
  if (x.getElementType() != y.getElementType()) // C1
    return emitOpError("input and result must have the same code type");
  // The product of the static sizes, or nothing where it leaves 64 bits.
  auto statics = [](RankedTensorType t) -> std::optional<int64_t> {
    int64_t product = 1;
    for (int64_t s : t.getShape())
      if (!ShapedType::isDynamic(s) && llvm::MulOverflow(product, s, product))
        return std::nullopt;
    return product;
  };
  std::optional<int64_t> from = statics(x), to = statics(y);
  if (!from || !to) // C1
    return emitOpError("has more elements than 64 bits count");
  // A dynamic size may be a multiple of the other one.
  bool equal = *from == *to;
  if (!x.hasStaticShape() && !y.hasStaticShape() && *from && *to)
    equal = *from % *to == 0 || *to % *from == 0;
  if (!equal && x.hasStaticShape() == y.hasStaticShape()) // C1
    return emitOpError("input and result must have as many elements");
  return success();
}

LogicalResult bitpack::PadOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto y = cast<RankedTensorType>(getType());
  if (x.getRank() != y.getRank() || int64_t(getLow().size()) != x.getRank() ||
      int64_t(getHigh().size()) != x.getRank() ||
      x.getElementType() != y.getElementType() ||
      !cast<CodeType>(x.getElementType()).contains(int32_t(getValue())))
    return emitOpError("ranks, pads, code type or value do not match");
  return success();
}

LogicalResult bitpack::ConcatOp::verify() {
  auto y = cast<RankedTensorType>(getType());
  if (getInputs().empty() || getDim() >= uint64_t(y.getRank()))
    return emitOpError("needs inputs and a dimension of the result");
  int64_t dim = getDim(), sum = 0;
  for (Value input : getInputs()) { // C1
    auto x = cast<RankedTensorType>(input.getType());
    if (x.getRank() != y.getRank() || x.getElementType() != y.getElementType())
      return emitOpError(
          "inputs must have the rank and code type of the result");
    for (int64_t d = 0; d < y.getRank(); ++d)
      if (d != dim && !sameSize(x.getDimSize(d), y.getDimSize(d)))
        return emitOpError("sizes differ along dimension ") << d;
    sum += x.getDimSize(dim);
  }
  if (sum != y.getDimSize(dim))
    return emitOpError("sizes along dimension ") << dim << " do not add up";
  return success();
}

LogicalResult FusedOp::verify() {
  auto yield = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!yield || yield.getOperandTypes() != getResultTypes()) // C1
    return emitOpError("must yield values of the types of its results");
  for (Type type : getResultTypes()) // C2
    if (failed(verifySameShape(*this, getResultTypes().front(), type)))
      return failure();
  return success();
}
