//===- TensorOps.cpp - upstream tensor ops --------------------------------===//
#include "Chunks.h"
#include "HwgqOps.h"
#include "hwgq/Dialect/Bitpack.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq::reference;

/// Mixed static and dynamic sizes, the dynamic ones taken from operands that
/// start at `next`.
static SmallVector<int64_t> resolve(ArrayRef<int64_t> statics, Operands in,
                                    size_t &next) {
  SmallVector<int64_t> sizes(statics);
  for (int64_t &size : sizes)
    if (ShapedType::isDynamic(size))
      size = in[next++].getInt(0);
  return sizes;
}

static LogicalResult evaluateEmpty(Operation *op, Operands in, Results &out) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  size_t next = 0;
  SmallVector<int64_t> shape = resolve(type.getShape(), in, next);
  if (!countElements(shape))
    return op->emitError("has a negative size or too many elements");
  FailureOr<Tensor> result = Tensor::allocate(
      op->getLoc(),
      RankedTensorType::get(shape, type.getElementType(), type.getEncoding()));
  if (failed(result))
    return failure();
  // Undefined elements show: floats are NaN, integers -1.
  std::memset(result->mutableBytes().data(), 0xff, result->bytes().size());
  out.push_back(std::move(*result));
  return success();
}

static LogicalResult evaluateDim(Operation *op, Operands in, Results &out) {
  int64_t d = in[1].getInt(0);
  if (d < 0 || d >= in[0].getRank())
    return op->emitError("dimension ") << d << " is out of range";
  out.push_back(Tensor::ofIndex(op->getContext(), in[0].getDimSize(d)));
  return success();
}

static LogicalResult evaluateRank(Operation *op, Operands in, Results &out) {
  out.push_back(Tensor::ofIndex(op->getContext(), in[0].getRank()));
  return success();
}

static LogicalResult evaluateSplat(Operation *op, Operands in, Results &out) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  size_t next = 1;
  SmallVector<int64_t> shape = resolve(type.getShape(), in, next);
  SmallVector<int64_t> strides(shape.size(), 0);
  FailureOr<Tensor> result = copyStrided(op, in[0], shape, strides);
  if (failed(result))
    return failure();
  out.push_back(std::move(*result));
  return success();
}

/// The same elements in another shape.
static LogicalResult reshape(Operation *op, const Tensor &input,
                             ArrayRef<int64_t> shape, Results &out) {
  if (countElements(shape) != input.size())
    return op->emitError("cannot give ")
           << input.getType() << " the shape [" << shape << "]";
  out.push_back(
      input.withType(RankedTensorType::get(shape, input.getElementType())));
  return success();
}

static LogicalResult evaluateExpand(Operation *op, Operands in, Results &out) {
  size_t next = 1;
  SmallVector<int64_t> shape =
      resolve(cast<tensor::ExpandShapeOp>(op).getStaticOutputShape(), in, next);
  return reshape(op, in[0], shape, out);
}

static LogicalResult evaluateCollapse(Operation *op, Operands in,
                                      Results &out) {
  SmallVector<int64_t> shape;
  auto collapse = cast<tensor::CollapseShapeOp>(op);
  for (const ReassociationIndices &group : collapse.getReassociationIndices()) {
    int64_t size = 1;
    for (int64_t d : group)
      size *= in[0].getDimSize(d);
    shape.push_back(size);
  }
  return reshape(op, in[0], shape, out);
}

static LogicalResult evaluateReshape(Operation *op, Operands in, Results &out) {
  SmallVector<int64_t> shape;
  for (int64_t i = 0; i < in[1].size(); ++i)
    shape.push_back(in[1].getInt(i));
  return reshape(op, in[0], shape, out);
}

static LogicalResult evaluateCast(Operation *op, Operands in, Results &out) {
  out.push_back(in[0]);
  return success();
}

/// A rectangle of a tensor: offsets, sizes and strides per dimension.
struct Slice {
  SmallVector<int64_t> offsets, sizes, strides;

  template <typename OpTy> Slice(OpTy op, Operands in, size_t next) {
    offsets = resolve(op.getStaticOffsets(), in, next);
    sizes = resolve(op.getStaticSizes(), in, next);
    strides = resolve(op.getStaticStrides(), in, next);
  }
  bool fits(ArrayRef<int64_t> shape) const {
    for (size_t d = 0; d < shape.size(); ++d) {
      int64_t last = offsets[d] + (sizes[d] - 1) * strides[d];
      if (sizes[d] < 0 || offsets[d] < 0 || offsets[d] > shape[d] ||
          strides[d] < 1 || (sizes[d] > 0 && last >= shape[d]))
        return false;
    }
    return true;
  }
  /// Steps in elements of a tensor of this shape, and where the slice starts.
  std::pair<SmallVector<int64_t>, int64_t>
  locate(ArrayRef<int64_t> shape) const {
    SmallVector<int64_t> steps = getStrides(shape);
    int64_t start = 0;
    for (size_t d = 0; d < shape.size(); ++d) {
      start += offsets[d] * steps[d];
      steps[d] *= strides[d];
    }
    return {steps, start};
  }
};

static LogicalResult evaluateExtractSlice(Operation *op, Operands in,
                                          Results &out) {
  auto sliceOp = cast<tensor::ExtractSliceOp>(op);
  Slice slice(sliceOp, in, 1);
  if (!slice.fits(in[0].getShape()))
    return op->emitError("reaches beyond ") << in[0].getType();
  auto [steps, start] = slice.locate(in[0].getShape());
  FailureOr<Tensor> result = copyStrided(op, in[0], slice.sizes, steps, start);
  if (failed(result))
    return failure();
  // Dropped unit dimensions.
  llvm::SmallBitVector dropped = sliceOp.getDroppedDims();
  SmallVector<int64_t> shape;
  for (auto [d, size] : llvm::enumerate(slice.sizes))
    if (!dropped.test(d))
      shape.push_back(size);
  return reshape(op, *result, shape, out);
}

static FailureOr<Tensor> copyOf(Operation *op, const Tensor &tensor) {
  FailureOr<Tensor> result = Tensor::allocate(op->getLoc(), tensor.getType());
  if (succeeded(result))
    std::memcpy(result->mutableBytes().data(), tensor.bytes().data(),
                tensor.bytes().size());
  return result;
}

static LogicalResult evaluateInsertSlice(Operation *op, Operands in,
                                         Results &out) {
  Slice slice(cast<tensor::InsertSliceOp>(op), in, 2);
  std::optional<int64_t> count = countElements(slice.sizes);
  if (!slice.fits(in[1].getShape()) || count != in[0].size())
    return op->emitError("cannot insert ")
           << in[0].getType() << " into " << in[1].getType();
  FailureOr<Tensor> result = copyOf(op, in[1]);
  if (failed(result))
    return failure();
  auto [steps, start] = slice.locate(in[1].getShape());
  Tensor source = in[0].withType(
      RankedTensorType::get(slice.sizes, in[0].getElementType()));
  writeStrided(source, *result, steps, start);
  out.push_back(std::move(*result));
  return success();
}

FailureOr<Tensor> hwgq::reference::concatTensors(Operation *op, Operands in,
                                                 int64_t dim) {
  SmallVector<int64_t> shape(in[0].getShape());
  shape[dim] = 0;
  for (const Tensor &input : in) {
    for (int64_t d = 0; d < input.getRank(); ++d)
      if (d != dim && input.getDimSize(d) != shape[d])
        return op->emitError("operands have different sizes along dimension ")
               << d;
    shape[dim] += input.getDimSize(dim);
  }
  FailureOr<Tensor> result = makeTensor(op, shape, in[0].getElementType());
  if (failed(result))
    return failure();
  SmallVector<int64_t> strides = getStrides(shape);
  int64_t at = 0;
  for (const Tensor &input : in) {
    writeStrided(input, *result, strides, at * strides[dim]);
    at += input.getDimSize(dim);
  }
  return result;
}

static LogicalResult evaluateConcat(Operation *op, Operands in, Results &out) {
  FailureOr<Tensor> result =
      concatTensors(op, in, cast<tensor::ConcatOp>(op).getDim());
  if (failed(result))
    return failure();
  out.push_back(std::move(*result));
  return success();
}

static LogicalResult evaluatePad(Operation *op, Operands in, Results &out) {
  auto pad = cast<tensor::PadOp>(op);
  size_t next = 1;
  SmallVector<int64_t> low = resolve(pad.getStaticLow(), in, next);
  SmallVector<int64_t> high = resolve(pad.getStaticHigh(), in, next);
  Value value = pad.getConstantPaddingValue();
  if (!value)
    return op->emitError("needs a padding value that does not vary");
  Tensor fill;
  SmallVector<Value> needed = getInputValues(op);
  if (auto *it = llvm::find(needed, value); it != needed.end())
    fill = in[it - needed.begin()];
  else if (std::optional<Tensor> constant =
               getConstantTensor(value.getDefiningOp()))
    fill = *constant;
  SmallVector<int64_t> shape;
  for (int64_t d = 0; d < in[0].getRank(); ++d) {
    if (low[d] < 0 || high[d] < 0)
      return op->emitError("negative pads are not supported");
    shape.push_back(in[0].getDimSize(d) + low[d] + high[d]);
  }
  FailureOr<Tensor> result =
      copyStrided(op, fill, shape, SmallVector<int64_t>(shape.size(), 0));
  if (failed(result))
    return failure();
  SmallVector<int64_t> strides = getStrides(shape);
  int64_t start = 0;
  for (size_t d = 0; d < shape.size(); ++d)
    start += low[d] * strides[d];
  writeStrided(in[0], *result, strides, start);
  out.push_back(std::move(*result));
  return success();
}

/// The position of indices given as rank-0 operands; nothing beyond the bounds.
static std::optional<int64_t> position(const Tensor &tensor, Operands indices) {
  int64_t at = 0;
  for (auto [d, index] : llvm::enumerate(indices)) {
    int64_t i = index.getInt(0);
    if (i < 0 || i >= tensor.getDimSize(d))
      return std::nullopt;
    at = at * tensor.getDimSize(d) + i;
  }
  return at;
}

static LogicalResult evaluateExtract(Operation *op, Operands in, Results &out) {
  std::optional<int64_t> at = position(in[0], in.drop_front());
  if (!at)
    return op->emitError("reads beyond ") << in[0].getType();
  FailureOr<Tensor> result = copyStrided(op, in[0], {}, {}, *at);
  if (failed(result))
    return failure();
  out.push_back(std::move(*result));
  return success();
}

static LogicalResult evaluateInsert(Operation *op, Operands in, Results &out) {
  std::optional<int64_t> at = position(in[1], in.drop_front(2));
  if (!at)
    return op->emitError("writes beyond ") << in[1].getType();
  FailureOr<Tensor> result = copyOf(op, in[1]);
  if (failed(result))
    return failure();
  writeStrided(in[0], *result, {}, *at);
  out.push_back(std::move(*result));
  return success();
}

static LogicalResult evaluateFromElements(Operation *op, Operands in,
                                          Results &out) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  FailureOr<Tensor> result =
      makeTensor(op, type.getShape(), type.getElementType());
  if (failed(result))
    return failure();
  for (auto [i, element] : llvm::enumerate(in))
    writeStrided(element, *result, {}, i);
  out.push_back(std::move(*result));
  return success();
}

/// Layouts are moved by bitpack ops alone.
template <Handler handler>
static LogicalResult unpackedOnly(Operation *op, Operands in, Results &out) {
  auto packed = [](Type type) { return hwgq::bitpack::isPacked(type); };
  if (llvm::any_of(op->getOperandTypes(), packed) ||
      llvm::any_of(op->getResultTypes(), packed))
    return op->emitError("does not work on packed tensors");
  return handler(op, in, out);
}

void hwgq::reference::registerTensorOps(Registry &r) {
  r["tensor.empty"] = evaluateEmpty;
  r["tensor.dim"] = evaluateDim;
  r["tensor.rank"] = evaluateRank;
  r["tensor.cast"] = evaluateCast;
  r["tensor.splat"] = unpackedOnly<evaluateSplat>;
  r["tensor.expand_shape"] = unpackedOnly<evaluateExpand>;
  r["tensor.collapse_shape"] = unpackedOnly<evaluateCollapse>;
  r["tensor.reshape"] = unpackedOnly<evaluateReshape>;
  r["tensor.extract_slice"] = unpackedOnly<evaluateExtractSlice>;
  r["tensor.insert_slice"] = unpackedOnly<evaluateInsertSlice>;
  r["tensor.concat"] = unpackedOnly<evaluateConcat>;
  r["tensor.pad"] = unpackedOnly<evaluatePad>;
  r["tensor.extract"] = unpackedOnly<evaluateExtract>;
  r["tensor.insert"] = unpackedOnly<evaluateInsert>;
  r["tensor.from_elements"] = unpackedOnly<evaluateFromElements>;
}
