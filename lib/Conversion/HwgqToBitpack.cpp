//===- HwgqToBitpack.cpp - gives codes their place in memory --------------===//
//
// Chooses a layout for every tensor of codes from its uses and rewrites the
// ops that touch codes, in order. Layouts:
//   weights       planes, 8 output channels side by side
//   all others    planes, with the halo of the widest convolution that reads
//                 it, whose sides neighbouring rows share
//
//===----------------------------------------------------------------------===//
#include "PackConstant.h"
#include "hwgq/Dialect/Bitpack.h"
#include "hwgq/Passes.h"

namespace hwgq {
#define GEN_PASS_DEF_HWGQTOBITPACK
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;
using bitpack::LayoutAttr;

namespace {

/// Codes that have no place in memory yet.
bool isCodes(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa<CodeType>(tensor.getElementType()) &&
         !bitpack::isPacked(tensor);
}

bool isCodes(Value value) { return isCodes(value.getType()); }

/// Whether an op belongs to this pass: all contractions, and what has codes.
bool isConverted(Operation *op) {
  return isa<hwgq::Conv2DOp, hwgq::MatMulOp>(op) ||
         llvm::any_of(op->getOperands(), [](Value v) { return isCodes(v); }) ||
         llvm::any_of(op->getResults(), [](Value v) { return isCodes(v); });
}

/// Output channels side by side in a block of weights: one i64 lane each, so
/// that every vector length divides it.
constexpr int64_t kWeightBlock = 8;

class Packer {
public:
  explicit Packer(func::FuncOp function)
      : builder(function.getContext()), function(function) {}

  LogicalResult run() {
    if (failed(checkSignature()))
      return failure();
    for (Operation &op :
         llvm::make_early_inc_range(function.getBody().front())) {
      if (!isConverted(&op))
        continue;
      builder.setInsertionPoint(&op);
      if (failed(convert(&op)))
        return failure();
      done.push_back(&op);
    }
    for (Operation *op : llvm::reverse(done))
      op->erase();
    return success();
  }

  unsigned relayouts = 0, floatMoves = 0;

private:
  LogicalResult checkSignature() {
    if (llvm::any_of(function.getArgumentTypes(),
                     [](Type t) { return isCodes(t); }) ||
        llvm::any_of(function.getResultTypes(),
                     [](Type t) { return isCodes(t); }))
      return function.emitError("inputs and outputs must be plain tensors, not "
                                "codes");
    if (!llvm::hasSingleElement(function.getBody()))
      return function.emitError("needs a body of one block");
    return success();
  }

  static LogicalResult checkShape(Operation *op, RankedTensorType type) {
    if (type.getRank() == 0)
      return op->emitError("tensors of codes need a dimension of channels");
    if (llvm::any_of(type.getShape().drop_front(), ShapedType::isDynamic) ||
        (type.getRank() == 1 && type.isDynamicDim(0)))
      return op->emitError("only the first dimension of ")
             << type << " may be dynamic";
    return success();
  }

  static bool isWeightUse(OpOperand &use) {
    return isa<hwgq::Conv2DOp, hwgq::MatMulOp>(use.getOwner()) &&
           use.getOperandNumber() == 1;
  }

  RankedTensorType withLayout(Type type, LayoutAttr layout) {
    auto tensor = cast<RankedTensorType>(type);
    return RankedTensorType::get(tensor.getShape(), tensor.getElementType(),
                                 layout);
  }

  /// Lets a row have what lies right of it in common with the next one, whose
  /// left side it is, and the last row with one more below it, unless that
  /// takes more memory.
  static void shareSides(RankedTensorType type, SmallVector<int64_t> &halo) {
    int64_t saved = std::min(halo[1], halo[3]);
    if (saved == 0)
      return;
    int64_t side = std::max(halo[1], halo[3]);
    int64_t rows = type.getDimSize(1) + halo[0] + halo[2];
    int64_t enough = llvm::divideCeil(type.getDimSize(2) + side, saved);
    if (rows >= enough)
      halo = {halo[0], side, halo[2] + 1, 0};
  }

  /// The packed type that the uses of `value` ask for.
  RankedTensorType packedType(Value value) {
    bool onlyWeights =
        !value.use_empty() && llvm::all_of(value.getUses(), isWeightUse);
    // Other ops write codes pixel by pixel: a relayout makes blocks of them.
    if (onlyWeights && value.getDefiningOp<hwgq::ConstantOp>())
      return weightType(value.getType());
    SmallVector<int64_t> halo(4, 0);
    for (OpOperand &use : value.getUses())
      if (auto conv = dyn_cast<hwgq::Conv2DOp>(use.getOwner()))
        if (use.getOperandNumber() == 0 && isCodes(conv.getWeight()))
          for (unsigned i = 0; i < 4; ++i)
            halo[i] = std::max(halo[i], conv.getPads()[i]);
    shareSides(cast<RankedTensorType>(value.getType()), halo);
    return withLayout(value.getType(),
                      LayoutAttr::get(builder.getContext(), "planes", halo));
  }

  LayoutAttr planes() {
    return LayoutAttr::get(builder.getContext(), "planes");
  }

  RankedTensorType weightType(Type type) {
    return withLayout(type, LayoutAttr::get(builder.getContext(), "planes",
                                            {0, 0, 0, 0}, kWeightBlock));
  }

  Value packed(Value value) { return mapping.lookup(value); }

  /// The packed form of a weight operand.
  Value packedWeight(Value value) {
    Value result = packed(value);
    RankedTensorType wanted = weightType(value.getType());
    if (result.getType() == wanted)
      return result;
    ++relayouts;
    return bitpack::RelayoutOp::create(builder, value.getLoc(), wanted, result);
  }

  void keepAttributes(Operation *from, Operation *to) {
    to->setDiscardableAttrs(llvm::to_vector(from->getDiscardableAttrs()));
  }

  /// Replaces the plain result of `op`, or maps its codes.
  LogicalResult finish(Operation *op, Operation *made) {
    keepAttributes(op, made);
    Value old = op->getResult(0), now = made->getResult(0);
    if (isCodes(old))
      mapping.map(old, now);
    else
      old.replaceAllUsesWith(now);
    return success();
  }

  LogicalResult convert(Operation *op) {
    if (op->getNumResults() != 1)
      return op->emitError("cannot be computed on packed codes");
    for (Type type :
         llvm::concat<Type>(op->getOperandTypes(), op->getResultTypes()))
      if (isCodes(type) && failed(checkShape(op, cast<RankedTensorType>(type))))
        return failure();
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case<hwgq::ConstantOp, hwgq::Conv2DOp, hwgq::MatMulOp, hwgq::ProductOp,
              hwgq::QuantizeOp, hwgq::ThresholdOp, hwgq::MaxPoolOp,
              hwgq::AvgPoolOp, hwgq::AffineOp, hwgq::PadOp, tensor::ConcatOp>(
            [&](auto typed) { return convertOp(typed); })
        .Case<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp,
              tensor::ReshapeOp>(
            [&](Operation *reshape) { return convertReshape(reshape); })
        .Case<tensor::EmptyOp>([](auto) { return success(); })
        .Case<tensor::DimOp>([&](tensor::DimOp dim) {
          return finish(op, tensor::DimOp::create(builder, op->getLoc(),
                                                  packed(dim.getSource()),
                                                  dim.getIndex()));
        })
        .Default([&](Operation *other) { return convertMove(other); });
  }

  LogicalResult convertOp(hwgq::ConstantOp op) {
    RankedTensorType type = packedType(op);
    ElementsAttr words = packConstant(type, getCodes(op));
    return finish(
        op, bitpack::ConstantOp::create(builder, op.getLoc(), type, words));
  }

  /// The only user of an accumulator, when it is a threshold.
  static hwgq::ThresholdOp followingThreshold(Value acc) {
    if (!acc.hasOneUse() || !getElementTypeOrSelf(acc.getType()).isInteger(32))
      return {};
    return dyn_cast<hwgq::ThresholdOp>(*acc.getUsers().begin());
  }

  /// The operands of a contraction: packed, or float where one is float.
  std::pair<Value, Value> operands(Value input, Value weight) {
    Value w = isCodes(weight) ? packedWeight(weight) : weight;
    if (!isCodes(input))
      return {input, w};
    Value x = packed(input);
    if (isCodes(weight))
      return {x, w};
    // Codes enter a float chain as f32(n) = f32(f32(n) * 1).
    auto type = RankedTensorType::get(
        cast<RankedTensorType>(input.getType()).getShape(),
        builder.getF32Type());
    return {bitpack::AffineOp::create(builder, input.getLoc(), type, x,
                                      builder.getDenseF32ArrayAttr({1.0f})),
            w};
  }

  /// Puts the thresholds that follow `op` into the contraction that `create`
  /// makes from a location, a result type, thresholds and directions.
  LogicalResult convertContraction(
      Operation *op,
      function_ref<Operation *(Location, Type, ElementsAttr, DenseI8ArrayAttr)>
          create) {
    hwgq::ThresholdOp threshold = followingThreshold(op->getResult(0));
    if (!threshold || threshold->getBlock() != op->getBlock())
      return finish(op,
                    create(op->getLoc(), op->getResult(0).getType(), {}, {}));
    Location loc =
        threshold.getLoc() == op->getLoc()
            ? op->getLoc()
            : builder.getFusedLoc({op->getLoc(), threshold.getLoc()});
    Operation *made =
        create(loc, packedType(threshold), threshold.getThresholds(),
               threshold.getDirectionAttr());
    keepAttributes(op, made);
    mapping.map(threshold.getResult(), made->getResult(0));
    return success();
  }

  LogicalResult convertOp(hwgq::Conv2DOp op) {
    auto [x, w] = operands(op.getInput(), op.getWeight());
    return convertContraction(
        op, [&, x = x, w = w](Location loc, Type type, ElementsAttr thresholds,
                              DenseI8ArrayAttr direction) {
          return bitpack::Conv2DOp::create(
              builder, loc, type, x, w, op.getStridesAttr(), op.getPadsAttr(),
              op.getDilationsAttr(), op.getGroupsAttr(), thresholds, direction,
              StringAttr(), IntegerAttr());
        });
  }

  LogicalResult convertOp(hwgq::MatMulOp op) {
    auto [x, w] = operands(op.getInput(), op.getWeight());
    return convertContraction(
        op, [&, x = x, w = w](Location loc, Type type, ElementsAttr thresholds,
                              DenseI8ArrayAttr direction) {
          return bitpack::MatMulOp::create(builder, loc, type, x, w, thresholds,
                                           direction, StringAttr());
        });
  }

  LogicalResult convertOp(hwgq::ProductOp op) {
    auto plain = [&](Value value) { // a convolution may want a halo
      Value codes = packed(value);
      return bitpack::getLayout(codes.getType()).hasHalo()
                 ? relayoutTo(withLayout(value.getType(), planes()), codes)
                 : codes;
    };
    Value x = plain(op.getInput()), w = plain(op.getWeight());
    return convertContraction(op, [&](Location loc, Type type,
                                      ElementsAttr thresholds,
                                      DenseI8ArrayAttr direction) {
      return bitpack::ProductOp::create(
          builder, loc, type, x, w, op.getInputDimsAttr(),
          op.getWeightDimsAttr(), thresholds, direction, StringAttr());
    });
  }

  LogicalResult convertOp(hwgq::QuantizeOp op) {
    return finish(op, bitpack::QuantizeOp::create(builder, op.getLoc(),
                                                  packedType(op), op.getInput(),
                                                  op.getStepAttr()));
  }

  LogicalResult convertOp(hwgq::ThresholdOp op) {
    if (mapping.contains(op.getResult())) // in its contraction
      return success();
    Value input =
        isCodes(op.getInput()) ? packed(op.getInput()) : op.getInput();
    return finish(op, bitpack::ThresholdOp::create(
                          builder, op.getLoc(), packedType(op), input,
                          op.getThresholds(), op.getDirectionAttr()));
  }

  LogicalResult convertOp(hwgq::MaxPoolOp op) {
    return finish(op, bitpack::MaxPoolOp::create(
                          builder, op.getLoc(), packedType(op),
                          packed(op.getInput()), op.getKernelAttr(),
                          op.getStridesAttr(), op.getPadsAttr(),
                          op.getDilationsAttr(), op.getFallingAttr()));
  }

  LogicalResult convertOp(hwgq::AvgPoolOp op) {
    return finish(op,
                  bitpack::AvgPoolOp::create(
                      builder, op.getLoc(), op.getType(), packed(op.getInput()),
                      op.getKernelAttr(), op.getStridesAttr(), op.getPadsAttr(),
                      op.getDilationsAttr(), op.getCountIncludePadAttr(),
                      op.getScaleAttr()));
  }

  LogicalResult convertOp(hwgq::AffineOp op) {
    return finish(op, bitpack::AffineOp::create(
                          builder, op.getLoc(), op.getType(),
                          packed(op.getInput()), op.getScaleAttr()));
  }

  LogicalResult convertOp(hwgq::PadOp op) {
    RankedTensorType type = packedType(op);
    int64_t rank = type.getRank();
    auto value = cast<IntegerAttr>(op.getValue());
    Value padded = packed(op.getInput());
    if (rank == 2 || rank == 4)
      return finish(op, bitpack::PadOp::create(builder, op.getLoc(), type,
                                               padded, op.getLowAttr(),
                                               op.getHighAttr(), value));
    // As an image, one dimension after the other.
    auto current = cast<RankedTensorType>(padded.getType());
    for (int64_t d = 0; d < rank; ++d) {
      if (!op.getLow()[d] && !op.getHigh()[d])
        continue;
      SmallVector<int64_t> shape(current.getShape());
      shape[d] = type.getDimSize(d);
      padded = relayoutTo(asImage(current, d), padded);
      current = RankedTensorType::get(shape, type.getElementType(),
                                      current.getEncoding());
      int64_t at = imageDim(d, rank), inner = 1;
      if (at == 2)
        for (int64_t size : ArrayRef(shape).slice(d + 1).drop_back())
          inner *= size;
      SmallVector<int64_t> low(4, 0), high(4, 0);
      low[at] = op.getLow()[d] * inner;
      high[at] = op.getHigh()[d] * inner;
      padded =
          bitpack::PadOp::create(builder, op.getLoc(), asImage(current, d),
                                 padded, builder.getDenseI64ArrayAttr(low),
                                 builder.getDenseI64ArrayAttr(high), value);
    }
    return finish(op, relayoutTo(type, padded).getDefiningOp());
  }

  LogicalResult convertOp(tensor::ConcatOp op) {
    int64_t rank = op.getType().getRank(), dim = op.getDim();
    bool image = rank == 2 || rank == 4;
    RankedTensorType type = packedType(op.getResult());
    SmallVector<Value> inputs;
    for (Value input : op.getInputs()) {
      Value part = packed(input);
      inputs.push_back(image ? part
                             : relayoutTo(asImage(part.getType(), dim), part));
    }
    if (!image)
      dim = imageDim(dim, rank);
    Value whole = bitpack::ConcatOp::create(
        builder, op.getLoc(), image ? type : asImage(type, op.getDim()), inputs,
        builder.getI64IntegerAttr(dim));
    if (!image)
      whole = relayoutTo(type, whole);
    return finish(op, whole.getDefiningOp());
  }

  /// Where dimension `dim` of a tensor stands in asImage(type, dim).
  static int64_t imageDim(int64_t dim, int64_t rank) {
    return dim == 0 ? 0 : dim == rank - 1 ? 3 : 2;
  }

  /// A packed tensor of another rank as an image with the same memory, in
  /// which dimension `dim` is the first (0), the channels (3) or leads the
  /// third (2); the batch stays alone.
  static RankedTensorType asImage(Type packed, int64_t dim) {
    auto type = cast<RankedTensorType>(packed);
    ArrayRef<int64_t> shape = type.getShape();
    auto product = [&](int64_t from, int64_t to) {
      int64_t p = 1;
      for (int64_t size : shape.slice(from, to - from))
        p *= size;
      return p;
    };
    int64_t last = type.getRank() - 1;
    int64_t cut = dim == 0 || dim == last ? 1 : dim;
    return RankedTensorType::get(
        {shape[0], product(1, cut), product(cut, last), shape.back()},
        type.getElementType(),
        bitpack::LayoutAttr::get(
            type.getContext(), bitpack::getLayout(type).getForm().getValue()));
  }

  Value relayoutTo(RankedTensorType type, Value value) {
    ++relayouts;
    return bitpack::RelayoutOp::create(builder, value.getLoc(), type, value);
  }

  LogicalResult convertReshape(Operation *op) {
    ++relayouts;
    return finish(op, bitpack::RelayoutOp::create(builder, op->getLoc(),
                                                  packedType(op->getResult(0)),
                                                  packed(op->getOperand(0))));
  }

  /// Any other movement of codes goes over floats: f32(n), the same op on
  /// floats, and the step function that gives n back.
  LogicalResult convertMove(Operation *op) {
    if (!isa<linalg::TransposeOp, tensor::ExtractSliceOp>(op))
      return op->emitError("cannot be computed on packed codes; supported are "
                           "contractions, thresholds, pools, pads, "
                           "concatenation, reshapes, transposes and slices");
    ++floatMoves;
    op->emitRemark("moves codes as floats");
    Location loc = op->getLoc();
    Value source = op->getOperand(0);
    auto code = cast<CodeType>(getElementTypeOrSelf(source.getType()));
    auto floatOf = [&](Type type) {
      return RankedTensorType::get(cast<RankedTensorType>(type).getShape(),
                                   builder.getF32Type());
    };
    Value x = bitpack::AffineOp::create(builder, loc, floatOf(source.getType()),
                                        packed(source),
                                        builder.getDenseF32ArrayAttr({1.0f}));
    Value moved;
    if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
      auto type = floatOf(op->getResult(0).getType());
      SmallVector<OpFoldResult> sizes;
      for (int64_t d : transpose.getPermutation())
        sizes.push_back(tensor::getMixedSize(builder, loc, x, d));
      Value init =
          tensor::EmptyOp::create(builder, loc, sizes, type.getElementType());
      moved = linalg::TransposeOp::create(builder, loc, x, init,
                                          transpose.getPermutation())
                  ->getResult(0);
      if (moved.getType() != type)
        moved = tensor::CastOp::create(builder, loc, type, moved);
    } else {
      auto slice = cast<tensor::ExtractSliceOp>(op);
      moved = tensor::ExtractSliceOp::create(
          builder, loc, floatOf(slice.getType()), x, slice.getMixedOffsets(),
          slice.getMixedSizes(), slice.getMixedStrides());
    }
    return finish(op, bitpack::QuantizeOp::create(builder, loc,
                                                  packedType(op->getResult(0)),
                                                  moved, numbersAsStep(code)));
  }

  /// The step function that is the identity on the numbers of `code`.
  StepAttr numbersAsStep(CodeType code) {
    SmallVector<float> breakpoints;
    SmallVector<bool> closed;
    SmallVector<int32_t> values = {code.getMin()};
    for (int32_t n = code.getMin() + code.getStride(); n <= code.getMax();
         n += code.getStride()) {
      breakpoints.push_back(float(n) - float(code.getStride()) / 2);
      closed.push_back(true);
      values.push_back(n);
    }
    return StepAttr::get(builder.getContext(),
                         builder.getDenseF32ArrayAttr(breakpoints),
                         builder.getDenseBoolArrayAttr(closed),
                         builder.getDenseI32ArrayAttr(values), code.getMin());
  }

  OpBuilder builder;
  func::FuncOp function;
  IRMapping mapping;
  SmallVector<Operation *> done;
};

struct HwgqToBitpack : hwgq::impl::HwgqToBitpackBase<HwgqToBitpack> {
  void runOnOperation() override {
    Packer packer(getOperation());
    if (getOperation().isExternal())
      return;
    if (failed(packer.run()))
      return signalPassFailure();
    relayouts += packer.relayouts;
    floatMoves += packer.floatMoves;
  }
};

} // namespace
