//===- ContractionRewriter.cpp - contractions on codes --------------------===//
#include "ContractionRewriter.h"
#include "CodeParts.h"
#include "RunTimeScales.h"
#include "hwgq/Transforms/Thresholds.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static bool isCoded(Value value) {
  return isa<CodeType>(getElementTypeOrSelf(value.getType()));
}

static SmallVector<double> toDoubles(ArrayRef<float> values) {
  return SmallVector<double>(values.begin(), values.end());
}

/// What to do where a layer stays on floats for `reason`.
static StringRef adviceFor(StringRef reason) {
  if (reason.starts_with("the input is float"))
    return "a quantiser in front of it (Quant, BipolarQuant, QuantizeLinear, "
           "...) makes codes of it";
  if (reason.starts_with("the input is not a step function"))
    return "a quantiser's chain must take at most 256 values and depend on one "
           "tensor";
  if (reason.starts_with("the sizes"))
    return "a product of two activations needs matrices of known sizes, and a "
           "batch first";
  if (reason.starts_with("the input has a scale per channel"))
    return "the sum runs over the channels: one scale for all is needed";
  if (reason.starts_with("the input has"))
    return "up to 16 uneven levels, or 256 even ones, are on codes";
  if (reason.starts_with("the weights are too few"))
    return "weights of up to 4 bits, or more of them, show their grid";
  if (reason.starts_with("the weights are not on a grid"))
    return "a quantiser on them (BipolarQuant, Quant, DequantizeLinear, ...) "
           "with a scale per tensor or output channel puts them on one";
  return "finite constants on a grid scale * n are needed";
}

/// Says on the op, and in a remark, why it computes on floats.
static void keepFloat(Operation *op, StringRef reason) {
  op->setAttr("hwgq.reason", StringAttr::get(op->getContext(), reason));
  op->emitRemark("computed on floats: ") << reason << "; " << adviceFor(reason);
}

namespace {
/// The float32 values behind a constant, whatever its shape.
struct ConstantFloats {
  SmallVector<char> storage;
  ArrayRef<float> values;

  /// False where the value is no float32 constant with readable elements.
  bool read(Value value) {
    auto constant = value.getDefiningOp<arith::ConstantOp>();
    auto elements =
        constant ? dyn_cast<ElementsAttr>(constant.getValue()) : ElementsAttr();
    if (!elements || !elements.getElementType().isF32())
      return false;
    std::optional<ArrayRef<char>> bytes = getElementBytes(elements, storage);
    if (!bytes)
      return false;
    if (reinterpret_cast<uintptr_t>(bytes->data()) % alignof(float)) {
      storage.assign(bytes->begin(), bytes->end());
      bytes = storage;
    }
    values = ArrayRef(reinterpret_cast<const float *>(bytes->data()),
                      bytes->size() / sizeof(float));
    return true;
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

/// Codes of n of the right type.
static Value makeCodes(OpBuilder &builder, Location loc, RankedTensorType type,
                       CodeType code, ArrayRef<int16_t> numbers) {
  SmallVector<uint8_t> codes;
  codes.reserve(numbers.size());
  for (int16_t n : numbers)
    codes.push_back(code.toCode(n));
  return createConstant(builder, loc, type.clone(code), codes);
}

Operand ContractionRewriter::readWeight(OpBuilder &builder, Value value,
                                        int64_t rows) {
  Operand operand;
  operand.real = value;
  ConstantFloats weights;
  if (!weights.read(value)) {
    operand = readActivation(builder, value, true);
    // Scales along its last dimension, which is summed, are of no output.
    if (llvm::all_of(operand.planes, [](const Plane &plane) {
          return plane.coefficients.size() == 1;
        }))
      return operand;
    Operand real;
    real.real = value;
    real.reason = "the input has a scale per channel";
    return real;
  }
  MLIRContext *context = builder.getContext();
  Location loc = value.getLoc();
  RankedTensorType type = typeOf(value);
  std::string reason;
  if (std::optional<WeightGrid> grid =
          classifyWeights(context, weights.values, rows, reason)) {
    if (grid->snap > 0x1p-22)
      emitRemark(loc, "weights moved to a grid, by up to ")
          << llvm::formatv("{0:e1}", grid->snap).str()
          << " of the largest: they are scale * n for whole n up to rounding";
    operand.planes.push_back(
        {makeCodes(builder, loc, type, grid->type, grid->numbers),
         toDoubles(grid->scales)});
    operand.affine = true;
    return operand;
  }
  operand.reason = reason;
  if (std::optional<WeightPlanes> split = splitLevels(weights.values, rows)) {
    RankedTensorType planeType = type.clone(CodeType::getUnsigned(context, 1));
    for (const WeightPlanes::Plane &plane : split->planes)
      operand.planes.push_back(
          {createConstant(builder, loc, planeType, plane.bits),
           plane.coefficients});
    operand.reason.clear();
  }
  return operand;
}

/// The base and the unary planes of levels that are not affine: a plane of ones
/// where no level is 0, then the steps, ascending.
static LogicalResult readPlanes(OpBuilder &builder, Location loc,
                                const Quantizer &quantizer, Operand &operand) {
  ArrayRef<float> levels = quantizer.levels;
  unsigned base = llvm::find(levels, 0.0f) - levels.begin();
  auto add = [&](double coefficient, llvm::function_ref<bool(unsigned)> isSet) {
    FailureOr<Value> plane = buildPlane(builder, loc, quantizer, isSet);
    if (succeeded(plane))
      operand.planes.push_back({*plane, {coefficient}});
    return succeeded(plane);
  };
  if (base == levels.size()) {
    base = 0;
    if (!add(levels[0], [](unsigned) { return true; }))
      return failure();
  }
  for (unsigned i = 1; i <= base; ++i)
    if (!add(double(levels[i - 1]) - double(levels[i]),
             [&](unsigned level) { return level < i; }))
      return failure();
  for (unsigned i = base + 1; i < levels.size(); ++i)
    if (!add(double(levels[i]) - double(levels[i - 1]),
             [&](unsigned level) { return level >= i; }))
      return failure();
  return success();
}

Operand ContractionRewriter::readActivation(OpBuilder &builder, Value value,
                                            bool partner) {
  Operand operand;
  operand.real = value;
  if (std::optional<Coded> coded = matchCodes(value)) {
    operand.planes.push_back({coded->codes, toDoubles(coded->scales)});
    operand.affine = true;
    return operand;
  }
  operand.reason = "the input is float";
  Location loc = value.getLoc();
  Quantizer quantizer;
  if (!isElementwise(value.getDefiningOp()) ||
      failed(findQuantizer(value, constants, quantizer))) {
    if (!quantizer.reason.empty())
      operand.reason = "the input is not a step function: " + quantizer.reason;
    std::optional<SmallVector<float>> levels = findLevels(value, constants);
    if (!levels && !quantizer.reason.empty())
      levels = enumerateLevels(value, constants);
    bool image = !levels && partner;
    if (image)
      levels = findImage(value, constants);
    if (!levels)
      return operand;
    describeLevels(value, *levels, quantizer);
    if (image && !quantizer.grid) // planes would cost more than floats
      return operand;
  }
  if (quantizer.grid) {
    FailureOr<Value> codes = buildQuantize(builder, loc, quantizer);
    if (failed(codes))
      return operand;
    operand.planes.push_back({*codes, toDoubles(quantizer.scales)});
    operand.affine = true;
    operand.reason.clear();
    return operand;
  }
  // A product of many planes is slower than floats.
  constexpr size_t kMaxPlanes = 15;
  if (quantizer.levels.size() > kMaxPlanes + 1) {
    operand.reason = "the input has " +
                     std::to_string(quantizer.levels.size()) +
                     " levels that are not affine";
    return operand;
  }
  if (failed(readPlanes(builder, loc, quantizer, operand)))
    operand.planes.clear();
  else
    operand.reason.clear();
  return operand;
}

//===----------------------------------------------------------------------===//
// Geometry
//===----------------------------------------------------------------------===//

/// A zero border of the image in front of a convolution is its padding.
void ContractionRewriter::mergePad(Conv2DOp op) {
  auto pad = op.getInput().getDefiningOp<PadOp>();
  if (!pad)
    return;
  auto value = dyn_cast<FloatAttr>(pad.getValue());
  if (!value || !value.getValue().isZero())
    return;
  ArrayRef<int64_t> low = pad.getLow(), high = pad.getHigh();
  if (low.size() != 4 || low[0] || low[3] || high[0] || high[3])
    return;
  SmallVector<int64_t> pads = {
      op.getPads()[0] + low[1], op.getPads()[1] + low[2],
      op.getPads()[2] + high[1], op.getPads()[3] + high[2]};
  op.setPads(pads);
  op.getInputMutable().assign(pad.getInput());
}

/// A matmul on flattened codes of an image is a convolution with a kernel as
/// large as the image. The image may have been brought to another order of its
/// dimensions before: its weights follow, but for sums of floats over an input,
/// which have the order of the graph.
bool ContractionRewriter::unflatten(OpBuilder &builder, MatMulOp op,
                                    Value &input, Value &weight) {
  std::optional<Coded> coded = matchCodes(op.getInput());
  auto collapse =
      coded ? coded->codes.getDefiningOp<tensor::CollapseShapeOp>() : nullptr;
  if (!collapse || typeOf(collapse.getSrc()).getRank() != 4 ||
      coded->scales.size() != 1)
    return false;
  auto groups = collapse.getReassociationIndices();
  if (groups.size() != 2 || groups[0].size() != 1)
    return false;
  Value image = collapse.getSrc();
  SmallVector<int64_t> order = {0, 1, 2, 3};
  if (auto transpose = image.getDefiningOp<linalg::TransposeOp>()) {
    image = transpose.getInput();
    order = llvm::to_vector(transpose.getPermutation());
    if (readsInput(image) &&
        readWeight(builder, weight, typeOf(weight).getDimSize(0))
            .planes.empty())
      return false;
  }
  RankedTensorType type = typeOf(image);
  ConstantFloats weights;
  auto sizes = type.getShape().drop_front();
  if (!weights.read(weight) || order[0] != 0 ||
      llvm::any_of(sizes, ShapedType::isDynamic) ||
      (sizes[0] == 1 && sizes[1] == 1))
    return false;
  // Dimension d of the flattened order is dimension order[d] of the image.
  int64_t outputs = typeOf(weight).getDimSize(0);
  int64_t volume = sizes[0] * sizes[1] * sizes[2];
  std::array<int64_t, 4> stride = {volume, sizes[1] * sizes[2], sizes[2], 1};
  SmallVector<float> ordered(weights.values.size());
  int64_t at = 0;
  for (int64_t k = 0; k < outputs; ++k)
    for (int64_t a = 0; a < type.getDimSize(order[1]); ++a)
      for (int64_t b = 0; b < type.getDimSize(order[2]); ++b)
        for (int64_t c = 0; c < type.getDimSize(order[3]); ++c)
          ordered[k * volume + a * stride[order[1]] + b * stride[order[2]] +
                  c * stride[order[3]]] = weights.values[at++];
  auto weightType = RankedTensorType::get(
      {outputs, sizes[0], sizes[1], sizes[2]}, builder.getF32Type());
  ElementsAttr attr =
      makeElements(weightType,
                   ArrayRef(reinterpret_cast<const char *>(ordered.data()),
                            ordered.size() * sizeof(float)),
                   "weights");
  weight = arith::ConstantOp::create(builder, weight.getLoc(), weightType,
                                     cast<TypedAttr>(attr));
  input = AffineOp::create(builder, op.getInput().getLoc(), image,
                           builder.getDenseF32ArrayAttr(coded->scales));
  return true;
}

/// Whether a matrix product has weights that a run computes, of sizes that are
/// known.
static bool isPair(Value weight) {
  return typeOf(weight).hasStaticShape() &&
         typeOf(weight).getNumElements() > 0 &&
         !weight.getDefiningOp<ConstantOp>();
}

Value ContractionRewriter::contract(OpBuilder &builder, const Shape &shape,
                                    Value input, Value weight) {
  Location loc = shape.op->getLoc();
  if (shape.product)
    return createProduct(builder, loc, *shape.product, input, weight);
  if (auto conv = dyn_cast<Conv2DOp>(shape.op))
    return Conv2DOp::create(builder, loc, input, weight, conv.getStridesAttr(),
                            conv.getPadsAttr(), conv.getDilationsAttr(),
                            conv.getGroupsAttr());
  if (shape.flattened)
    return Conv2DOp::create(
        builder, loc, input, weight, builder.getDenseI64ArrayAttr({1, 1}),
        builder.getDenseI64ArrayAttr({0, 0, 0, 0}),
        builder.getDenseI64ArrayAttr({1, 1}), builder.getI64IntegerAttr(1));
  if (isCoded(input) && isCoded(weight) && isPair(weight))
    return createProduct(builder, loc, {{0, 2}, {1, 2}}, input, weight);
  return MatMulOp::create(builder, loc, input, weight);
}

/// Back to a matrix, where the matmul has become a convolution.
Value ContractionRewriter::flatten(OpBuilder &builder, const Shape &shape,
                                   Value value) {
  if (!shape.flattened)
    return value;
  return tensor::CollapseShapeOp::create(
      builder, shape.op->getLoc(), value,
      SmallVector<ReassociationIndices>{{0, 1, 2}, {3}});
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

std::optional<SmallVector<double>> ContractionRewriter::perOutput(
    const Shape &shape, ArrayRef<double> coefficients, int64_t inputChannels) {
  if (coefficients.size() == 1)
    return llvm::to_vector(coefficients);
  if (shape.groups != inputChannels || shape.outputs % inputChannels ||
      int64_t(coefficients.size()) != inputChannels)
    return std::nullopt;
  SmallVector<double> outputs;
  for (int64_t k = 0; k < shape.outputs; ++k)
    outputs.push_back(coefficients[k / (shape.outputs / inputChannels)]);
  return outputs;
}

/// f32 of the products of two lists of coefficients, either of which may be one
/// for all.
static SmallVector<float> products(ArrayRef<double> a, ArrayRef<double> b) {
  SmallVector<float> result;
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i)
    result.push_back(
        float(a[a.size() == 1 ? 0 : i] * b[b.size() == 1 ? 0 : i]));
  if (llvm::all_equal(result))
    result.resize(1);
  return result;
}

Value ContractionRewriter::affineProduct(OpBuilder &builder, const Shape &shape,
                                         const Operand &x, const Operand &w) {
  auto scale = perOutput(shape, x.planes[0].coefficients,
                         typeOf(x.planes[0].codes).getShape().back());
  if (!scale)
    return {};
  SmallVector<float> scales = products(*scale, w.planes[0].coefficients);
  if (!llvm::all_of(scales, [](float s) { return std::isfinite(s); }))
    return {};
  Value sum = contract(builder, shape, x.planes[0].codes, w.planes[0].codes);
  Value real = AffineOp::create(builder, shape.op->getLoc(),
                                flatten(builder, shape, sum),
                                builder.getDenseF32ArrayAttr(scales));
  return real;
}

bool ContractionRewriter::addProduct(OpBuilder &builder, const Shape &shape,
                                     const Plane &x, const Plane &w, Value &v) {
  Location loc = shape.op->getLoc();
  auto cx = perOutput(shape, x.coefficients, typeOf(x.codes).getShape().back());
  if (!cx)
    return false;
  SmallVector<float> scales = products(*cx, w.coefficients);
  Value sum =
      flatten(builder, shape, contract(builder, shape, x.codes, w.codes));
  Value real = arith::SIToFPOp::create(
      builder, loc, typeOf(sum).clone(builder.getF32Type()), sum);
  if (!v)
    v = broadcastConstant(builder, loc, {0.0f}, real);
  Value scale = broadcastConstant(builder, loc, scales, real);
  v = math::FmaOp::create(builder, loc, real, scale, v);
  return true;
}

/// v = +0, then v = fma(f32(acc_p), c_p, v) over the planes.
Value ContractionRewriter::sumOfPlanes(OpBuilder &builder, const Shape &shape,
                                       const Operand &x, const Operand &w) {
  Value value;
  for (const Plane &px : x.planes)
    for (const Plane &pw : w.planes)
      if (!addProduct(builder, shape, px, pw, value))
        return {};
  return value;
}

LogicalResult ContractionRewriter::checkInt32(const Shape &shape,
                                              const Operand &x,
                                              const Operand &w) {
  Operation *op = shape.op;
  for (const Plane &px : x.planes)
    for (const Plane &pw : w.planes) {
      RankedTensorType type = typeOf(pw.codes);
      int64_t terms = shape.product
                          ? type.getDimSize(getInnerDim(shape.product->weight))
                          : type.getNumElements() /
                                std::max<int64_t>(1, type.getDimSize(0));
      auto cx = cast<CodeType>(getElementTypeOrSelf(px.codes));
      auto cw = cast<CodeType>(type.getElementType());
      constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
      if (accumulatorBound(cx, cw, terms) > kMax)
        return op->emitError("the sum of ")
               << terms << " products of " << cx << " and " << cw
               << " may leave int32; up to "
               << kMax / accumulatorBound(cx, cw, 1)
               << " fit: use fewer bits, or split the layer along its input";
    }
  return success();
}

FailureOr<Value> ContractionRewriter::sumOfParts(OpBuilder &builder,
                                                 const Shape &shape,
                                                 Value input,
                                                 const Operand &w) {
  if (shape.groups != 1 || shape.flattened || w.planes.empty())
    return Value();
  Value value;
  int64_t first = 0;
  for (Value part : partsOf(builder, input)) {
    Operand x = readActivation(builder, part, true), own;
    int64_t count = typeOf(part).getShape().back();
    if (x.planes.empty() || ShapedType::isDynamic(count))
      return Value();
    for (const Plane &plane : w.planes) {
      auto weights = plane.codes.getDefiningOp<ConstantOp>();
      if (!weights)
        return Value();
      own.planes.push_back(
          {sliceInputs(builder, weights, first, count), plane.coefficients});
    }
    first += count;
    if (failed(checkInt32(shape, x, own)))
      return failure();
    for (const Plane &px : x.planes)
      for (const Plane &pw : own.planes)
        if (!addProduct(builder, shape, px, pw, value))
          return Value();
  }
  return value;
}

/// Codes times floats: the float chain over n, then times the scale.
Value ContractionRewriter::mixedProduct(OpBuilder &builder, const Shape &shape,
                                        const Operand &x, const Operand &w) {
  Location loc = shape.op->getLoc();
  bool codedInput = x.affine;
  const Plane &coded = (codedInput ? x : w).planes[0];
  SmallVector<double> scale = coded.coefficients;
  if (codedInput) {
    auto outputs = perOutput(shape, coded.coefficients,
                             typeOf(coded.codes).getShape().back());
    if (!outputs)
      return {};
    scale = *outputs;
  }
  Value input = codedInput ? coded.codes : x.real;
  Value weight = codedInput ? w.real : coded.codes;
  Value product = contract(builder, shape, input, weight);
  keepFloat(product.getDefiningOp(), codedInput ? w.reason : x.reason);
  Value value = flatten(builder, shape, product);
  SmallVector<float> scales(scale.begin(), scale.end());
  if (scales.size() == 1 && scales[0] == 1)
    return value;
  return arith::MulFOp::create(builder, loc, value,
                               broadcastConstant(builder, loc, scales, value));
}

//===----------------------------------------------------------------------===//
// The rewrite
//===----------------------------------------------------------------------===//

FailureOr<bool> ContractionRewriter::rewriteProduct(Shape shape) {
  Operation *op = shape.op;
  OpBuilder builder(op);
  Operand w = readWeight(builder, op->getOperand(1), 1);
  Operand x = readActivation(builder, op->getOperand(0), !w.planes.empty());
  std::string reason = !x.reason.empty() ? x.reason : w.reason;
  Value value;
  if (!hasKnownSizes(op)) {
    reason = "the sizes of its matrices are not known";
  } else if (!x.planes.empty() && !w.planes.empty()) {
    if (failed(checkInt32(shape, x, w)))
      return failure();
    value = x.affine && w.affine ? affineProduct(builder, shape, x, w)
                                 : sumOfPlanes(builder, shape, x, w);
    reason = "the input has a scale per channel";
  }
  if (value)
    op->getResult(0).replaceAllUsesWith(value);
  else
    keepFloat(op, reason);
  return bool(value);
}

FailureOr<bool> ContractionRewriter::rewrite(Operation *op) {
  if (std::optional<ProductDims> dims = matchProduct(op)) {
    Shape shape{op};
    shape.product = dims;
    return rewriteProduct(shape);
  }
  OpBuilder builder(op);
  Value input = op->getOperand(0), weight = op->getOperand(1);
  if (isCoded(input) || isCoded(weight))
    return isCoded(input) && isCoded(weight);
  Shape shape{op};
  if (auto conv = dyn_cast<Conv2DOp>(op)) {
    mergePad(conv);
    input = conv.getInput();
    shape.groups = conv.getGroups();
  } else {
    shape.flattened = unflatten(builder, cast<MatMulOp>(op), input, weight);
  }
  shape.outputs = typeOf(weight).getDimSize(0);
  Operand w = readWeight(builder, weight, std::max<int64_t>(1, shape.outputs));
  Operand x = readActivation(builder, input, !w.planes.empty());
  RunTimeScales scales;
  if (x.planes.empty() && !w.planes.empty())
    if (Value codes = scales.take(builder, op, input)) {
      Operand scaled = readActivation(builder, codes, true);
      if (scaled.planes.empty())
        scales.clear();
      else
        std::tie(x, input) = std::pair(scaled, codes);
    }
  std::string reason = !x.reason.empty() ? x.reason : w.reason;
  FailureOr<Value> parts =
      x.affine ? Value() : sumOfParts(builder, shape, input, w);
  if (failed(parts))
    return failure();
  Value value = *parts;
  bool coded = bool(value);
  if (!value && !x.planes.empty() && !w.planes.empty()) {
    if (failed(checkInt32(shape, x, w)))
      return failure();
    value = x.affine && w.affine ? affineProduct(builder, shape, x, w)
                                 : sumOfPlanes(builder, shape, x, w);
    coded = bool(value);
    reason = "the input has a scale per channel";
  } else if (!value && ((x.affine && w.planes.empty()) ||
                        (w.affine && x.planes.empty()))) {
    value = mixedProduct(builder, shape, x, w);
    if (!value)
      reason = "the input has a scale per channel";
  }
  if (value) {
    value = scales.apply(builder, op->getLoc(), value);
    op->getResult(0).replaceAllUsesWith(value);
    return coded;
  }
  keepFloat(op, reason);
  return false;
}
