//===- TensorBuilder.cpp - tensor arithmetic at one location --------------===//
#include "hwgq/Dialect/TensorBuilder.h"
#include "hwgq/Dialect/HWGQ.h"
#include "hwgq/Dialect/SmallFloats.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

static ElementsAttr constantOf(Value v) {
  auto op = v.getDefiningOp<arith::ConstantOp>();
  return op ? dyn_cast<ElementsAttr>(op.getValue()) : ElementsAttr();
}

/// The same elements under another shape.
static ElementsAttr retype(ElementsAttr attr, RankedTensorType type) {
  if (auto dense = dyn_cast<DenseElementsAttr>(attr))
    return dense.reshape(type);
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attr))
    return DenseResourceElementsAttr::get(type, resource.getRawHandle());
  return {};
}

RankedTensorType TensorBuilder::withElement(Value v, Type element) {
  return RankedTensorType::get(typeOf(v).getShape(), element);
}

SmallVector<OpFoldResult> TensorBuilder::sizes(Value v) {
  SmallVector<OpFoldResult> result;
  for (int64_t d = 0; d < typeOf(v).getRank(); ++d)
    result.push_back(size(v, d));
  return result;
}

/// Where dimension `dim` of the result of `op` comes from: the same size of
/// another value, or null.
static std::pair<Value, int64_t> sizeSource(Operation *op, int64_t dim) {
  // The last operand: the first of a select may be a scalar.
  if (OpTrait::hasElementwiseMappableTraits(op) && op->getNumOperands())
    return {op->getOperands().back(), dim};
  if (isa<QuantizeOp, AffineOp, ThresholdOp, PadOp, tensor::CastOp>(op))
    return {op->getOperand(0), dim};
  if (isa<Conv2DOp, MatMulOp, ProductOp, MaxPoolOp, AvgPoolOp>(op) && dim == 0)
    return {op->getOperand(0), 0};
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op))
    return {transpose.getInput(), transpose.getPermutation()[dim]};
  if (auto dps = dyn_cast<DestinationStyleOpInterface>(op))
    return {dps.getDpsInitOperand(0)->get(), dim};
  if (auto concat = dyn_cast<tensor::ConcatOp>(op))
    if (dim != int64_t(concat.getDim()))
      return {concat.getInputs()[0], dim};
  return {};
}

OpFoldResult TensorBuilder::size(Value v, int64_t dim) {
  while (typeOf(v).isDynamicDim(dim)) {
    Operation *op = v.getDefiningOp();
    if (!op)
      break;
    if (auto empty = dyn_cast<tensor::EmptyOp>(op))
      return empty.getMixedSizes()[dim];
    if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
      return expand.getMixedOutputShape()[dim];
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
      if (slice.getType().getRank() != slice.getSourceType().getRank())
        break;
      return slice.getMixedSizes()[dim];
    }
    if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
      auto group = collapse.getReassociationIndices()[dim];
      int64_t product = 1, dynamic = -1;
      for (int64_t d : group)
        if (collapse.getSrcType().isDynamicDim(d))
          dynamic = d;
        else
          product *= collapse.getSrcType().getDimSize(d);
      OpFoldResult from = size(collapse.getSrc(), dynamic);
      if (product == 1)
        return from;
      Value count = getValueOrCreateConstantIndexOp(b, loc, from);
      return make<arith::MulIOp>(count, make<arith::ConstantIndexOp>(product));
    }
    auto [source, at] = sizeSource(op, dim);
    if (!source)
      break;
    v = source;
    dim = at;
  }
  return tensor::getMixedSize(b, loc, v, dim);
}

/// The sizes of `result`, the expansion of `v` by `groups`.
static SmallVector<OpFoldResult>
expandedSizes(TensorBuilder &b, Value v, RankedTensorType result,
              ArrayRef<ReassociationIndices> groups) {
  SmallVector<OpFoldResult> sizes;
  for (auto [g, group] : llvm::enumerate(groups)) {
    int64_t rest = 1;
    for (int64_t d : group)
      rest *= result.isDynamicDim(d) ? 1 : result.getDimSize(d);
    for (int64_t d : group) {
      if (!result.isDynamicDim(d)) {
        sizes.push_back(b.b.getIndexAttr(result.getDimSize(d)));
        continue;
      }
      OpFoldResult whole = b.size(v, g);
      if (rest != 1)
        whole = b.make<arith::DivUIOp>(
            getValueOrCreateConstantIndexOp(b.b, b.loc, whole),
            b.make<arith::ConstantIndexOp>(std::max<int64_t>(1, rest)));
      sizes.push_back(whole);
    }
  }
  return sizes;
}

Value TensorBuilder::empty(ArrayRef<OpFoldResult> sizes, Type element) {
  return make<tensor::EmptyOp>(sizes, element);
}

Value TensorBuilder::filled(ArrayRef<OpFoldResult> sizes, TypedAttr scalar) {
  Value c = make<arith::ConstantOp>(scalar);
  Value init = empty(sizes, scalar.getType());
  return linalg::FillOp::create(b, loc, c, init).getResult(0);
}

static TypedAttr scalarAttr(OpBuilder &b, Type element, double value) {
  if (isa<FloatType>(element))
    return b.getFloatAttr(element, value);
  return b.getIntegerAttr(element, static_cast<int64_t>(value));
}

Value TensorBuilder::scalar(Type element, double value) {
  auto type = RankedTensorType::get({}, element);
  return make<arith::ConstantOp>(
      DenseElementsAttr::get(type, scalarAttr(b, element, value)));
}

Value TensorBuilder::splat(Value like, double value) {
  return splat(like, getElementTypeOrSelf(like), value);
}

Value TensorBuilder::splat(Value like, Type element, double value) {
  return broadcastLike(scalar(element, value), like);
}

Value TensorBuilder::constant(ArrayRef<int64_t> shape, ArrayRef<float> values) {
  auto type = RankedTensorType::get(shape, b.getF32Type());
  ArrayRef bytes(reinterpret_cast<const char *>(values.data()),
                 values.size() * sizeof(float));
  return make<arith::ConstantOp>(
      mlir::cast<TypedAttr>(makeElements(type, bytes, "constant")));
}

Value TensorBuilder::constant(ArrayRef<int64_t> shape,
                              ArrayRef<int64_t> values) {
  auto type = RankedTensorType::get(shape, b.getI64Type());
  return make<arith::ConstantOp>(DenseElementsAttr::get(type, values));
}

Value TensorBuilder::alongDim(Value like, ArrayRef<float> values,
                              unsigned dim) {
  int64_t rank = typeOf(like).getRank();
  if (llvm::all_of(values, [&](float v) {
        return llvm::bit_cast<uint32_t>(v) ==
               llvm::bit_cast<uint32_t>(values[0]);
      })) {
    auto type = RankedTensorType::get({}, b.getF32Type());
    Value c = make<arith::ConstantOp>(DenseElementsAttr::get(type, values[0]));
    return broadcastLike(c, like);
  }
  SmallVector<int64_t> dims;
  for (int64_t d = 0; d < rank; ++d)
    if (d != dim)
      dims.push_back(d);
  return broadcastDims(constant({int64_t(values.size())}, values), sizes(like),
                       dims);
}

//===----------------------------------------------------------------------===//
// Broadcast, transpose, reshape
//===----------------------------------------------------------------------===//

Value TensorBuilder::broadcastDims(Value v, ArrayRef<OpFoldResult> sizes,
                                   ArrayRef<int64_t> dims) {
  if (dims.empty())
    return v;
  Value init = empty(sizes, getElementTypeOrSelf(v));
  return linalg::BroadcastOp::create(b, loc, v, init, dims)->getResult(0);
}

Value TensorBuilder::broadcastTo(Value v, ArrayRef<OpFoldResult> sizes) {
  if (size_t(typeOf(v).getRank()) > sizes.size()) // leading unit sizes
    v = reshape(v, typeOf(v).getShape().take_back(sizes.size()));
  RankedTensorType type = typeOf(v);
  int64_t lead = int64_t(sizes.size()) - type.getRank();
  ElementsAttr attr = constantOf(v);
  auto dense = dyn_cast_if_present<DenseElementsAttr>(attr);
  bool splat = dense && dense.isSplat();
  SmallVector<int64_t> dims, kept;
  for (int64_t i = 0, e = sizes.size(); i < e; ++i) {
    int64_t size = i < lead ? 1 : type.getDimSize(i - lead);
    bool unitTarget = getConstantIntValue(sizes[i]) == 1;
    bool spread = size == 1 && (!unitTarget || attr);
    if (i < lead || spread || splat)
      dims.push_back(i);
    else
      kept.push_back(size);
  }
  if (splat && type.getRank() != 0) {
    auto scalarType = RankedTensorType::get({}, type.getElementType());
    v = make<arith::ConstantOp>(DenseElementsAttr::get(
        scalarType, ArrayRef(dense.getSplatValue<Attribute>())));
  } else if (int64_t(kept.size()) != type.getRank()) {
    v = reshape(v, kept);
  }
  return broadcastDims(v, sizes, dims);
}

/// Row-major bytes of a transposed constant.
static SmallVector<char> permuteBytes(ArrayRef<char> bytes,
                                      ArrayRef<int64_t> shape,
                                      ArrayRef<int64_t> perm, size_t width) {
  unsigned rank = shape.size();
  SmallVector<int64_t> strides(rank, 1), sizes, steps;
  for (int64_t d = int64_t(rank) - 2; d >= 0; --d)
    strides[d] = strides[d + 1] * shape[d + 1];
  for (int64_t p : perm) {
    sizes.push_back(shape[p]);
    steps.push_back(strides[p]);
  }
  SmallVector<char> out(bytes.size());
  SmallVector<int64_t> index(rank, 0);
  int64_t from = 0;
  for (size_t to = 0; to < out.size(); to += width) {
    std::memcpy(out.data() + to, bytes.data() + from * width, width);
    for (int64_t d = int64_t(rank) - 1; d >= 0; --d) {
      from += steps[d];
      if (++index[d] < sizes[d])
        break;
      from -= steps[d] * sizes[d];
      index[d] = 0;
    }
  }
  return out;
}

ElementsAttr hwgq::transposeElements(ElementsAttr elements,
                                     ArrayRef<int64_t> perm) {
  auto type = cast<RankedTensorType>(elements.getType());
  SmallVector<int64_t> shape;
  for (int64_t p : perm)
    shape.push_back(type.getDimSize(p));
  auto result = RankedTensorType::get(shape, type.getElementType());
  auto dense = dyn_cast<DenseElementsAttr>(elements);
  if (dense && dense.isSplat())
    return dense.resizeSplat(result);
  if (type.getElementType().isInteger(1)) {
    if (!dense)
      return {};
    auto bits = llvm::to_vector_of<char>(dense.getValues<bool>());
    SmallVector<char> moved = permuteBytes(bits, type.getShape(), perm, 1);
    return DenseElementsAttr::get(
        result, SmallVector<bool>(moved.begin(), moved.end()));
  }
  SmallVector<char> storage;
  auto bytes = getElementBytes(elements, storage);
  if (!bytes)
    return {};
  SmallVector<char> moved = permuteBytes(*bytes, type.getShape(), perm,
                                         type.getElementTypeBitWidth() / 8);
  return makeElements(result, moved, "transposed");
}

Value TensorBuilder::transpose(Value v, ArrayRef<int64_t> perm) {
  if (llvm::equal(perm, llvm::seq<int64_t>(0, perm.size())))
    return v;
  RankedTensorType type = typeOf(v);
  SmallVector<int64_t> shape;
  SmallVector<OpFoldResult> from = sizes(v), to;
  for (int64_t p : perm) {
    shape.push_back(type.getDimSize(p));
    to.push_back(from[p]);
  }
  if (ElementsAttr attr = constantOf(v))
    if (ElementsAttr turned = transposeElements(attr, perm))
      return make<arith::ConstantOp>(mlir::cast<TypedAttr>(turned));
  Value init = empty(to, type.getElementType());
  return linalg::TransposeOp::create(b, loc, v, init, perm)->getResult(0);
}

/// Groups of dimensions with equal products, matched from the right; what is
/// left of a dynamic size (or of unit sizes) forms the first group.
static void matchGroups(ArrayRef<int64_t> from, ArrayRef<int64_t> to,
                        SmallVector<ReassociationIndices> &fromGroups,
                        SmallVector<ReassociationIndices> &toGroups) {
  int64_t i = from.size() - 1, j = to.size() - 1;
  auto isDynamic = ShapedType::isDynamic;
  while (i >= 0 && j >= 0 && !isDynamic(from[i]) && !isDynamic(to[j])) {
    int64_t i0 = i, j0 = j, a = from[i], c = to[j];
    while (a != c) {
      if (a < c) {
        if (i0 == 0 || isDynamic(from[i0 - 1]))
          break;
        a *= from[--i0];
      } else {
        if (j0 == 0 || isDynamic(to[j0 - 1]))
          break;
        c *= to[--j0];
      }
    }
    if (a != c)
      break;
    fromGroups.push_back(llvm::to_vector<2>(llvm::seq<int64_t>(i0, i + 1)));
    toGroups.push_back(llvm::to_vector<2>(llvm::seq<int64_t>(j0, j + 1)));
    i = i0 - 1;
    j = j0 - 1;
  }
  ReassociationIndices restFrom =
      llvm::to_vector<2>(llvm::seq<int64_t>(0, i + 1));
  ReassociationIndices restTo =
      llvm::to_vector<2>(llvm::seq<int64_t>(0, j + 1));
  if (!fromGroups.empty() && (restFrom.empty() || restTo.empty())) {
    // Unit sizes without a partner join the leftmost group.
    restFrom.append(fromGroups.back().begin(), fromGroups.back().end());
    restTo.append(toGroups.back().begin(), toGroups.back().end());
    fromGroups.back() = restFrom;
    toGroups.back() = restTo;
  } else if (!restFrom.empty() || !restTo.empty()) {
    fromGroups.push_back(restFrom);
    toGroups.push_back(restTo);
  }
  std::reverse(fromGroups.begin(), fromGroups.end());
  std::reverse(toGroups.begin(), toGroups.end());
}

Value TensorBuilder::reshape(Value v, ArrayRef<int64_t> shape) {
  RankedTensorType type = typeOf(v);
  if (type.getShape() == shape)
    return v;
  Type element = type.getElementType();
  auto result = RankedTensorType::get(shape, element);
  if (ElementsAttr attr = constantOf(v))
    if (ElementsAttr same = retype(attr, result))
      return make<arith::ConstantOp>(mlir::cast<TypedAttr>(same));
  if (llvm::is_contained(shape, 0)) {
    SmallVector<OpFoldResult> sizes;
    for (int64_t s : shape)
      sizes.push_back(b.getIndexAttr(ShapedType::isDynamic(s) ? 0 : s));
    Value none = empty(sizes, element);
    return none.getType() == result ? none : make<tensor::CastOp>(result, none);
  }
  SmallVector<ReassociationIndices> fromGroups, toGroups;
  matchGroups(type.getShape(), shape, fromGroups, toGroups);
  if (type.getRank() == 0 || shape.empty()) {
    // Rank 0 to unit sizes or back.
    if (shape.empty())
      return make<tensor::CollapseShapeOp>(result, v,
                                           ArrayRef<ReassociationIndices>());
    return make<tensor::ExpandShapeOp>(result, v,
                                       ArrayRef<ReassociationIndices>());
  }
  SmallVector<int64_t> middle;
  for (const ReassociationIndices &group : fromGroups) {
    int64_t product = 1;
    for (int64_t d : group)
      product = type.isDynamicDim(d) || ShapedType::isDynamic(product)
                    ? ShapedType::kDynamic
                    : product * type.getDimSize(d);
    middle.push_back(product);
  }
  if (int64_t(middle.size()) != type.getRank())
    v = make<tensor::CollapseShapeOp>(RankedTensorType::get(middle, element), v,
                                      fromGroups);
  if (middle.size() != shape.size())
    v = make<tensor::ExpandShapeOp>(result, v, toGroups,
                                    expandedSizes(*this, v, result, toGroups));
  return v;
}

Value TensorBuilder::toChannelsLast(Value v) {
  int64_t rank = typeOf(v).getRank();
  SmallVector<int64_t> perm = {0};
  for (int64_t d = 2; d < rank; ++d)
    perm.push_back(d);
  perm.push_back(1);
  return transpose(v, perm);
}

Value TensorBuilder::toChannelsFirst(Value v) {
  int64_t rank = typeOf(v).getRank();
  SmallVector<int64_t> perm = {0, rank - 1};
  for (int64_t d = 1; d < rank - 1; ++d)
    perm.push_back(d);
  return transpose(v, perm);
}

//===----------------------------------------------------------------------===//
// Slices, borders, reductions
//===----------------------------------------------------------------------===//

Value TensorBuilder::slice(Value v, unsigned dim, int64_t offset, int64_t size,
                           int64_t stride) {
  RankedTensorType type = typeOf(v);
  if (size == 0)
    offset = 0; // which may lie at the end
  if (offset == 0 && stride == 1 && size == type.getDimSize(dim))
    return v;
  SmallVector<OpFoldResult> lengths = sizes(v);
  SmallVector<OpFoldResult> offsets(lengths.size(), b.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(lengths.size(), b.getIndexAttr(1));
  offsets[dim] = b.getIndexAttr(offset);
  lengths[dim] = b.getIndexAttr(size);
  strides[dim] = b.getIndexAttr(stride);
  return make<tensor::ExtractSliceOp>(v, offsets, lengths, strides);
}

Value TensorBuilder::concat(ArrayRef<Value> values, unsigned dim) {
  if (values.size() == 1)
    return values[0];
  return make<tensor::ConcatOp>(dim, values);
}

Value TensorBuilder::pad(Value v, ArrayRef<int64_t> low, ArrayRef<int64_t> high,
                         double value) {
  SmallVector<int64_t> lo(low), hi(high);
  RankedTensorType type = typeOf(v);
  for (unsigned d = 0; d < lo.size(); ++d) {
    int64_t cutLow = std::max<int64_t>(0, -lo[d]);
    int64_t cutHigh = std::max<int64_t>(0, -hi[d]);
    if (cutLow || cutHigh)
      v = slice(v, d, cutLow, type.getDimSize(d) - cutLow - cutHigh);
    lo[d] += cutLow;
    hi[d] += cutHigh;
  }
  auto isZero = [](int64_t p) { return p == 0; };
  if (llvm::all_of(lo, isZero) && llvm::all_of(hi, isZero))
    return v;
  type = typeOf(v);
  Type element = type.getElementType();
  TypedAttr scalar = scalarAttr(b, element, value);
  if (element.isF32() || element.isInteger(32)) {
    SmallVector<int64_t> shape(type.getShape());
    for (unsigned d = 0; d < lo.size(); ++d)
      if (!type.isDynamicDim(d))
        shape[d] += lo[d] + hi[d];
    return make<PadOp>(RankedTensorType::get(shape, element), v,
                       b.getDenseI64ArrayAttr(lo), b.getDenseI64ArrayAttr(hi),
                       scalar);
  }
  for (unsigned d = 0; d < lo.size(); ++d) {
    SmallVector<Value> parts;
    SmallVector<OpFoldResult> border = sizes(v);
    if (lo[d]) {
      border[d] = b.getIndexAttr(lo[d]);
      parts.push_back(filled(border, scalar));
    }
    parts.push_back(v);
    if (hi[d]) {
      border[d] = b.getIndexAttr(hi[d]);
      parts.push_back(filled(border, scalar));
    }
    v = concat(parts, d);
  }
  return v;
}

Value TensorBuilder::reduce(
    Value v, ArrayRef<int64_t> axes, TypedAttr init,
    llvm::function_ref<Value(OpBuilder &, Value, Value)> body) {
  int64_t rank = typeOf(v).getRank();
  SmallVector<OpFoldResult> from = sizes(v), to;
  SmallVector<AffineExpr> kept;
  SmallVector<utils::IteratorType> iterators;
  for (int64_t d = 0; d < rank; ++d) {
    bool reduced = llvm::is_contained(axes, d);
    iterators.push_back(reduced ? utils::IteratorType::reduction
                                : utils::IteratorType::parallel);
    if (reduced)
      continue;
    kept.push_back(b.getAffineDimExpr(d));
    to.push_back(from[d]);
  }
  Value acc = filled(to, init);
  AffineMap maps[] = {b.getMultiDimIdentityMap(rank),
                      AffineMap::get(rank, 0, kept, b.getContext())};
  return linalg::GenericOp::create(
             b, loc, TypeRange(acc.getType()), ValueRange(v), ValueRange(acc),
             maps, iterators,
             [&](OpBuilder &nested, Location at, ValueRange args) {
               Value next = body(nested, args[1], args[0]);
               linalg::YieldOp::create(nested, at, next);
             })
      ->getResult(0);
}

Value TensorBuilder::keepDims(Value reduced, ArrayRef<int64_t> axes,
                              int64_t rank) {
  SmallVector<int64_t> shape;
  unsigned next = 0;
  for (int64_t d = 0; d < rank; ++d)
    shape.push_back(
        llvm::is_contained(axes, d) ? 1 : typeOf(reduced).getDimSize(next++));
  return reshape(reduced, shape);
}
