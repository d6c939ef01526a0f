//===- Ops.cpp - verifiers and inference of hwgq --------------------------===//
#include "hwgq/Dialect/HWGQ.h"

using namespace mlir;
using namespace hwgq;

#define GET_OP_CLASSES
#include "hwgq/HWGQOps.cpp.inc"

static CodeType codeOf(Type type) {
  return dyn_cast<CodeType>(getElementTypeOrSelf(type));
}

static bool sameSize(int64_t a, int64_t b) {
  return a == b || ShapedType::isDynamic(a) || ShapedType::isDynamic(b);
}

static bool sameShape(Type a, Type b) {
  auto ta = dyn_cast<RankedTensorType>(a), tb = dyn_cast<RankedTensorType>(b);
  return ta && tb && ta.getRank() == tb.getRank() &&
         llvm::all_of(llvm::zip(ta.getShape(), tb.getShape()), [](auto pair) {
           return sameSize(std::get<0>(pair), std::get<1>(pair));
         });
}

int64_t hwgq::accumulatorBound(CodeType x, CodeType w, int64_t terms) {
  auto largest = [](CodeType t) {
    return std::max(std::abs(int64_t(t.getMin())),
                    std::abs(int64_t(t.getMax())));
  };
  int64_t product = largest(x) * largest(w), bound;
  if (llvm::MulOverflow(product, terms, bound))
    return std::numeric_limits<int64_t>::max();
  return bound;
}

/// i32 for two code operands, f32 where one is float.
static Type contractionElement(Type input, Type weight) {
  Type context = getElementTypeOrSelf(input);
  Builder b(context.getContext());
  if (codeOf(input) && codeOf(weight))
    return b.getI32Type();
  return b.getF32Type();
}

/// C5/C3: the accumulator fits.
static LogicalResult verifyAccumulator(Operation *op, Type input, Type weight,
                                       int64_t terms) {
  CodeType x = codeOf(input), w = codeOf(weight);
  if (!x || !w)
    return success();
  if (accumulatorBound(x, w, terms) > std::numeric_limits<int32_t>::max())
    return op->emitOpError("the sum of ")
           << terms << " products of " << x << " and " << w
           << " can leave int32; split the layer or use fewer bits";
  return success();
}

//===----------------------------------------------------------------------===//
// constant
//===----------------------------------------------------------------------===//

LogicalResult ConstantOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (!type.hasStaticShape()) // C2
    return emitOpError("needs a static shape");
  auto attrType = dyn_cast<RankedTensorType>(getCodes().getType());
  unsigned bits = codeOf(type).getBits();
  if (!attrType || !attrType.getElementType().isInteger(8) ||
      attrType.getRank() != 1 ||
      attrType.getNumElements() !=
          packedCodeBytes(type.getNumElements(), bits)) // C1
    return emitOpError("needs ")
           << packedCodeBytes(type.getNumElements(), bits)
           << " bytes of packed codes as a one-dimensional i8 attribute";
  return success();
}

//===----------------------------------------------------------------------===//
// conv2d
//===----------------------------------------------------------------------===//

static LogicalResult verifyWindow(Operation *op, ArrayRef<int64_t> kernel,
                                  ArrayRef<int64_t> strides,
                                  ArrayRef<int64_t> pads,
                                  ArrayRef<int64_t> dilations) {
  constexpr int64_t kLimit = int64_t(1) << 24;
  auto positive = [&](int64_t v) { return v > 0 && v < kLimit; };
  if (kernel.size() != 2 || strides.size() != 2 || dilations.size() != 2 ||
      pads.size() != 4 || !llvm::all_of(kernel, positive) ||
      !llvm::all_of(strides, positive) || !llvm::all_of(dilations, positive) ||
      llvm::any_of(pads, [&](int64_t p) { return p < 0 || p >= kLimit; }))
    return op->emitOpError("needs two positive kernel sizes, strides and "
                           "dilations and four pads that are not negative");
  return success();
}

LogicalResult Conv2DOp::inferReturnTypes(MLIRContext *context,
                                         std::optional<Location> loc,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  auto x = dyn_cast<RankedTensorType>(adaptor.getInput().getType());
  auto w = dyn_cast<RankedTensorType>(adaptor.getWeight().getType());
  if (!x || !w || x.getRank() != 4 || w.getRank() != 4 ||
      adaptor.getStrides().size() != 2 || adaptor.getDilations().size() != 2 ||
      adaptor.getPads().size() != 4)
    return emitOptionalError(loc, "operands must have rank 4");
  Window window{{w.getDimSize(1), w.getDimSize(2)},
                llvm::to_vector<2>(adaptor.getStrides()),
                llvm::to_vector<2>(adaptor.getDilations()),
                llvm::to_vector<4>(adaptor.getPads())};
  if (llvm::any_of(window.strides, [](int64_t s) { return s <= 0; }))
    return emitOptionalError(loc, "strides must be positive");
  SmallVector<int64_t> shape = {x.getDimSize(0)};
  for (unsigned d : {0, 1})
    shape.push_back(x.isDynamicDim(d + 1)
                        ? ShapedType::kDynamic
                        : window.outputSize(x.getDimSize(d + 1), d));
  shape.push_back(w.getDimSize(0));
  types.push_back(RankedTensorType::get(shape, contractionElement(x, w)));
  return success();
}

LogicalResult Conv2DOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto w = cast<RankedTensorType>(getWeight().getType());
  if (x.getRank() != 4 || w.getRank() != 4) // C1
    return emitOpError("operands must have rank 4");
  if (!w.hasStaticShape())
    return emitOpError("weights must have a static shape");
  int64_t groups = getGroups();
  if (groups < 1 || w.getDimSize(0) % groups ||
      x.getDimSize(3) != groups * w.getDimSize(3)) // C2
    return emitOpError("input channels (")
           << x.getDimSize(3) << ") must be groups (" << groups
           << ") times weight channels (" << w.getDimSize(3)
           << "), and groups must divide the output channels ("
           << w.getDimSize(0) << ")";
  if (failed(verifyWindow(*this, w.getShape().slice(1, 2), getStrides(),
                          getPads(), getDilations()))) // C3
    return failure();
  auto result = cast<RankedTensorType>(getType());
  for (unsigned d : {1, 2})
    if (!x.isDynamicDim(d) && result.getDimSize(d) < 1) // C4
      return emitOpError("the window does not fit the padded input");
  return verifyAccumulator(*this, x, w,
                           w.getNumElements() /
                               std::max<int64_t>(1, w.getDimSize(0))); // C5
}

//===----------------------------------------------------------------------===//
// matmul
//===----------------------------------------------------------------------===//

LogicalResult MatMulOp::inferReturnTypes(MLIRContext *context,
                                         std::optional<Location> loc,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  auto x = dyn_cast<RankedTensorType>(adaptor.getInput().getType());
  auto w = dyn_cast<RankedTensorType>(adaptor.getWeight().getType());
  if (!x || !w || x.getRank() != 2 || w.getRank() != 2)
    return emitOptionalError(loc, "operands must have rank 2");
  types.push_back(RankedTensorType::get({x.getDimSize(0), w.getDimSize(0)},
                                        contractionElement(x, w)));
  return success();
}

LogicalResult MatMulOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto w = cast<RankedTensorType>(getWeight().getType());
  if (x.getRank() != 2 || w.getRank() != 2) // C1
    return emitOpError("operands must have rank 2");
  if (x.getDimSize(1) != w.getDimSize(1)) // C2
    return emitOpError("inner sizes differ: ")
           << x.getDimSize(1) << " and " << w.getDimSize(1);
  return verifyAccumulator(*this, x, w, w.getDimSize(1)); // C3
}

//===----------------------------------------------------------------------===//
// product
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<int64_t>>
hwgq::getProductShape(llvm::function_ref<InFlightDiagnostic()> error,
                      ArrayRef<int64_t> input, ArrayRef<int64_t> weight,
                      ArrayRef<int64_t> inputDims,
                      ArrayRef<int64_t> weightDims) {
  int64_t rank = input.size(), n = rank - 1, k = rank;
  auto lists = [&](ArrayRef<int64_t> dims) {
    SmallVector<int64_t> sorted(dims);
    llvm::sort(sorted);
    return int64_t(dims.size()) == rank && sorted.front() >= 0 &&
           sorted.back() == k && llvm::is_sorted(sorted, std::less_equal<>());
  };
  if (rank < 2 || int64_t(weight.size()) != rank || !lists(inputDims) ||
      !lists(weightDims) || llvm::is_contained(inputDims, n) ||
      !llvm::is_contained(weightDims, n)) // C1
    return error() << "input_dims must list all dimensions of the result but "
                      "the last, and k, and weight_dims the last, k and all "
                      "others but one",
           failure();
  SmallVector<int64_t> sizes(rank + 1, ShapedType::kDynamic);
  for (auto [shape, dims] : {std::pair(input, inputDims), {weight, weightDims}})
    for (auto [size, d] : llvm::zip(shape, dims)) {
      if (!sameSize(size, sizes[d])) // C2
        return error() << "sizes differ along one dimension: " << sizes[d]
                       << " and " << size,
               failure();
      if (!ShapedType::isDynamic(size))
        sizes[d] = size;
    }
  sizes.pop_back();
  return sizes;
}

LogicalResult ProductOp::inferReturnTypes(MLIRContext *context,
                                          std::optional<Location> loc,
                                          Adaptor adaptor,
                                          SmallVectorImpl<Type> &types) {
  auto x = dyn_cast<RankedTensorType>(adaptor.getInput().getType());
  auto w = dyn_cast<RankedTensorType>(adaptor.getWeight().getType());
  if (!x || !w)
    return emitOptionalError(loc, "operands must be ranked tensors");
  // What the verifier refuses has sizes, too.
  SmallVector<int64_t> shape(x.getRank(), ShapedType::kDynamic);
  for (auto [type, dims] :
       {std::pair(x, adaptor.getInputDims()), {w, adaptor.getWeightDims()}})
    for (auto [size, d] : llvm::zip(type.getShape(), dims))
      if (d >= 0 && d < x.getRank() && !ShapedType::isDynamic(size))
        shape[d] = size;
  types.push_back(RankedTensorType::get(shape, IntegerType::get(context, 32)));
  return success();
}

LogicalResult ProductOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto w = cast<RankedTensorType>(getWeight().getType());
  if (failed(getProductShape([&] { return emitOpError(); }, x.getShape(),
                             w.getShape(), getInputDims(), getWeightDims())))
    return failure();
  return verifyAccumulator(*this, x, w,
                           x.getDimSize(getInnerDim(getInputDims()))); // C3
}

//===----------------------------------------------------------------------===//
// affine, quantize, threshold
//===----------------------------------------------------------------------===//

LogicalResult AffineOp::inferReturnTypes(MLIRContext *context,
                                         std::optional<Location> loc,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  auto x = dyn_cast<RankedTensorType>(adaptor.getInput().getType());
  if (!x)
    return emitOptionalError(loc, "operand must be a ranked tensor");
  types.push_back(
      RankedTensorType::get(x.getShape(), Float32Type::get(context)));
  return success();
}

LogicalResult AffineOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  int64_t channels = x.getRank() ? x.getShape().back() : 1;
  if (getScale().size() != 1 && int64_t(getScale().size()) != channels) // C1
    return emitOpError("needs one scale, or one for each of ")
           << channels << " channels";
  if (llvm::any_of(getScale(), [](float s) { return !std::isfinite(s); })) // C2
    return emitOpError("scales must be finite");
  return success();
}

LogicalResult QuantizeOp::verify() {
  if (!sameShape(getInput().getType(), getType())) // C1
    return emitOpError("input and result must have the same shape");
  CodeType code = codeOf(getType());
  StepAttr step = getStep();
  for (int32_t n : step.getValues().asArrayRef()) // C2
    if (!code.contains(n))
      return emitOpError("value ") << n << " is not a number of " << code;
  if (!code.contains(step.getNan()))
    return emitOpError("the value for NaN, ")
           << step.getNan() << ", is not a number of " << code;
  return success();
}

LogicalResult ThresholdOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  if (!sameShape(x, getType())) // C1
    return emitOpError("input and result must have the same shape");
  auto type = dyn_cast<RankedTensorType>(getThresholds().getType());
  if (!type || type.getRank() != 2 || !type.getElementType().isInteger(32))
    return emitOpError("thresholds must be a tensor<CxTxi32>");
  int64_t rows = type.getDimSize(0), count = type.getDimSize(1);
  int64_t channels = x.getRank() ? x.getShape().back() : 1;
  if ((rows != 1 && rows != channels) ||
      int64_t(getDirection().size()) != rows) // C2
    return emitOpError("needs 1 or ")
           << channels << " rows of thresholds and a direction for each";
  int64_t levels = int64_t(1) << codeOf(getType()).getBits();
  if (count < 1 || count >= levels) // C4
    return emitOpError("needs 1 to ") << levels - 1 << " thresholds";
  auto values = getElementValues<int32_t>(getThresholds());
  if (!values) // a dump may leave large constants out
    return success();
  if (int64_t(values->size()) != rows * count)
    return emitOpError("needs ") << rows * count << " thresholds";
  for (int64_t r = 0; r < rows; ++r) {
    int8_t direction = getDirection()[r];
    if (direction < -1 || direction > 1)
      return emitOpError("direction must be -1, 0 or 1");
    ArrayRef<int32_t> row = ArrayRef(*values).slice(r * count, count);
    if (direction == 0 && (row[0] < 0 || row[0] >= levels)) // C4
      return emitOpError("constant code ") << row[0] << " is out of range";
    bool sorted = direction == 0 ||
                  (direction > 0 ? llvm::is_sorted(row)
                                 : llvm::is_sorted(row, std::greater<>()));
    if (!sorted) // C3
      return emitOpError("thresholds of row ") << r << " are not sorted";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Pools and pad
//===----------------------------------------------------------------------===//

template <typename OpTy> static LogicalResult verifyPool(OpTy op) {
  auto x = dyn_cast<RankedTensorType>(op.getInput().getType());
  auto y = dyn_cast<RankedTensorType>(op.getResult().getType());
  if (!x || !y || x.getRank() != 4 || y.getRank() != 4 ||
      !sameSize(x.getDimSize(0), y.getDimSize(0)) ||
      x.getDimSize(3) != y.getDimSize(3)) // C1
    return op.emitOpError(
        "needs images of rank 4 with the same batch and channels");
  if (failed(verifyWindow(op, op.getKernel(), op.getStrides(), op.getPads(),
                          op.getDilations()))) // C2
    return failure();
  for (unsigned d : {0, 1}) {
    int64_t in = x.getDimSize(d + 1), out = y.getDimSize(d + 1);
    if (ShapedType::isDynamic(in) || ShapedType::isDynamic(out))
      continue;
    int64_t extent = (op.getKernel()[d] - 1) * op.getDilations()[d];
    int64_t last = (out - 1) * op.getStrides()[d] - op.getPads()[d];
    // The first window must reach row 0 and the last start before the end.
    if (out < 1 || in < 1 || last >= in || extent < op.getPads()[d]) // C3
      return op.emitOpError("a window along dimension ")
             << d + 1 << " has no tap in bounds";
  }
  return success();
}

LogicalResult MaxPoolOp::verify() {
  if (getElementTypeOrSelf(getInput().getType()) !=
      getElementTypeOrSelf(getType())) // C1
    return emitOpError("input and result must have the same element type");
  auto x = cast<RankedTensorType>(getInput().getType());
  if (getFalling() && (x.getRank() != 4 ||
                       int64_t(getFalling()->size()) != x.getDimSize(3))) // C4
    return emitOpError("falling needs one entry per channel");
  return verifyPool(*this);
}

LogicalResult AvgPoolOp::verify() { return verifyPool(*this); }

LogicalResult PadOp::verify() {
  auto x = cast<RankedTensorType>(getInput().getType());
  auto y = cast<RankedTensorType>(getType());
  int64_t rank = x.getRank();
  if (int64_t(getLow().size()) != rank || int64_t(getHigh().size()) != rank ||
      y.getRank() != rank) // C1
    return emitOpError("needs one low and one high entry per dimension");
  for (int64_t d = 0; d < rank; ++d) {
    int64_t low = getLow()[d], high = getHigh()[d];
    if (low < 0 || high < 0) // C1
      return emitOpError("pads must not be negative");
    if (x.isDynamicDim(d) ? (low || high || !y.isDynamicDim(d)) // C4, C2
                          : y.getDimSize(d) != x.getDimSize(d) + low + high)
      return emitOpError("wrong size of dimension ") << d;
  }
  Type element = x.getElementType();
  if (element != y.getElementType())
    return emitOpError("input and result must have the same element type");
  Type valueType = getValue().getType();
  if (auto code = dyn_cast<CodeType>(element)) { // C3
    auto value = dyn_cast<IntegerAttr>(getValue());
    if (!valueType.isInteger(32) || !value ||
        !code.contains(value.getValue().getSExtValue()))
      return emitOpError("the value is not a number of ") << code;
  } else if (valueType != element) {
    return emitOpError("the value must be of type ") << element;
  }
  return success();
}
