//===- ConvertOnnxToHwgqShape.cpp - data movement -------------------------===//
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

/// Operand i in the form in which it exists.
static Value moved(Node &n, unsigned i) {
  return n.isShadow(i) ? n.real(i) : n.in(i);
}

static LogicalResult setMoved(Node &n, Value v, bool shadow, unsigned i = 0) {
  return shadow ? n.setShadow(v, i) : n.set(v, i);
}

static LogicalResult lowerReshape(Node &n) {
  RankedTensorType from = n.type(0), to = n.resultType();
  auto dynamic = [](RankedTensorType t) {
    return llvm::count_if(t.getShape(), ShapedType::isDynamic);
  };
  if (dynamic(from) > 1 || dynamic(to) > 1 || dynamic(from) != dynamic(to))
    return n.error() << "from " << from << " to " << to
                     << " is not supported; one size may be dynamic",
           failure();
  if (from.hasStaticShape() && from.getNumElements() != to.getNumElements())
    return n.error() << "from " << from << " to " << to
                     << " changes the number of elements",
           failure();
  Value v = n.reshape(moved(n, 0), to.getShape());
  return setMoved(n, v, n.isShadow(0));
}

static LogicalResult lowerTranspose(Node &n) {
  SmallVector<int64_t> perm = n.attrs("perm");
  int64_t rank = n.type(0).getRank();
  if (perm.empty())
    perm = llvm::to_vector(llvm::reverse(llvm::seq<int64_t>(0, rank)));
  SmallVector<int64_t> sorted = perm;
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, rank)))
    return n.error() << "needs a permutation of " << rank << " dimensions",
           failure();
  return setMoved(n, n.transpose(moved(n, 0), perm), n.isShadow(0));
}

static LogicalResult lowerConcat(Node &n) {
  auto axis = n.axis(n.attr("axis", 0), n.resultType().getRank());
  if (failed(axis))
    return failure();
  bool shadow = false, allSmall = true;
  for (unsigned i = 0; i < n.size(); ++i) {
    shadow |= n.isShadow(i);
    allSmall &= n.type(i).getElementType().isIntOrFloat();
  }
  shadow &= allSmall;
  SmallVector<Value> parts;
  for (unsigned i = 0; i < n.size(); ++i)
    if (n.type(i).getDimSize(*axis) != 0)
      parts.push_back(shadow ? n.real(i) : n.in(i));
  if (parts.empty())
    parts.push_back(shadow ? n.real(0) : n.in(0));
  return setMoved(n, n.concat(parts, *axis), shadow);
}

static LogicalResult lowerSplit(Node &n) {
  RankedTensorType type = n.type(0);
  auto axis = n.axis(n.attr("axis", 0), type.getRank());
  if (failed(axis))
    return failure();
  Value x = moved(n, 0);
  bool shadow = n.isShadow(0);
  int64_t offset = 0;
  for (unsigned i = 0; i < n.op->getNumResults(); ++i) {
    int64_t size = n.resultType(i).getDimSize(*axis);
    if (ShapedType::isDynamic(size) || offset + size > type.getDimSize(*axis))
      return n.error() << "needs static sizes within the axis", failure();
    if (failed(setMoved(n, n.slice(x, *axis, offset, size), shadow, i)))
      return failure();
    offset += size;
  }
  return success();
}

/// v[last - i * step] along `dim`, for a negative ONNX step.
static Value reversed(TensorBuilder &b, Value v, int64_t dim, int64_t start,
                      int64_t step, int64_t size) {
  int64_t rank = typeOf(v).getRank();
  MLIRContext *context = b.b.getContext();
  // The elements first .. start in ascending order, then the map turns them.
  int64_t first = start + step * (size - 1);
  v = b.slice(v, dim, first, start - first + 1);
  SmallVector<AffineExpr> from;
  for (int64_t d = 0; d < rank; ++d)
    from.push_back(getAffineDimExpr(d, context));
  from[dim] = getAffineConstantExpr(start - first, context) + from[dim] * step;
  SmallVector<OpFoldResult> sizes = b.sizes(v);
  sizes[dim] = b.b.getIndexAttr(size);
  Value init = b.empty(sizes, typeOf(v).getElementType());
  AffineMap maps[] = {AffineMap::get(rank, 0, from, context),
                      b.b.getMultiDimIdentityMap(rank)};
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b.b, b.loc, TypeRange(init.getType()), ValueRange(v),
             ValueRange(init), maps, iterators,
             [](OpBuilder &at, Location loc, ValueRange args) {
               linalg::YieldOp::create(at, loc, args[0]);
             })
      ->getResult(0);
}

static LogicalResult lowerSlice(Node &n) {
  RankedTensorType type = n.type(0), result = n.resultType();
  auto starts = n.ints(1), axes = n.ints(3), steps = n.ints(4);
  if (!starts || (n.has(3) && !axes) || (n.has(4) && !steps))
    return n.error() << "needs constant starts, axes and steps; bind them with "
                        "--bind",
           failure();
  Value v = moved(n, 0);
  bool shadow = n.isShadow(0);
  for (size_t i = 0; i < starts->size(); ++i) {
    auto axis = n.axis(axes ? (*axes)[i] : int64_t(i), type.getRank());
    if (failed(axis))
      return failure();
    int64_t step = steps ? (*steps)[i] : 1, size = result.getDimSize(*axis);
    int64_t in = type.getDimSize(*axis), start = (*starts)[i];
    if (ShapedType::isDynamic(in)) {
      if (start == 0 && step == 1 && ShapedType::isDynamic(size))
        continue;
      return n.error() << "of a dynamic size is not supported", failure();
    }
    if (start < 0)
      start += in;
    start = std::clamp<int64_t>(start, 0, step < 0 ? in - 1 : in);
    if (size < 0 || step == 0 ||
        (size &&
         (start + (size - 1) * step < 0 || start + (size - 1) * step >= in)))
      return n.error() << "reaches beyond axis " << *axis, failure();
    if (size == 0)
      v = n.slice(v, *axis, 0, 0);
    else if (step > 0)
      v = n.slice(v, *axis, start, size, step);
    else
      v = reversed(n, v, *axis, start, step, size);
  }
  return setMoved(n, v, shadow);
}

static LogicalResult lowerExpand(Node &n) {
  RankedTensorType to = n.resultType();
  Value v = moved(n, 0);
  SmallVector<OpFoldResult> own = n.sizes(v), sizes;
  int64_t lead = to.getRank() - int64_t(own.size());
  for (int64_t d = 0; d < to.getRank(); ++d) {
    if (!to.isDynamicDim(d))
      sizes.push_back(n.b.getIndexAttr(to.getDimSize(d)));
    else if (d >= lead && typeOf(v).isDynamicDim(d - lead))
      sizes.push_back(own[d - lead]);
    else if (auto batch = batchSize(n))
      sizes.push_back(*batch);
    else
      return n.error() << "to a dynamic size is not supported", failure();
  }
  return setMoved(n, n.broadcastTo(v, sizes), n.isShadow(0));
}

static LogicalResult lowerTile(Node &n) {
  auto repeats = n.ints(1);
  RankedTensorType type = n.type(0);
  if (!repeats || int64_t(repeats->size()) != type.getRank())
    return n.error() << "needs one constant repeat for each dimension",
           failure();
  Value v = moved(n, 0);
  for (int64_t d = 0; d < type.getRank(); ++d) {
    int64_t count = (*repeats)[d];
    if (count == 1)
      continue;
    if (count < 0 || count > (1 << 20))
      return n.error() << "has a repeat of " << count, failure();
    if (count == 0) {
      v = n.slice(v, d, 0, 0);
      continue;
    }
    if (typeOf(v).isDynamicDim(d))
      return n.error() << "of a dynamic size is not supported", failure();
    // [.., s, ..] to [.., count, s, ..], then both together.
    SmallVector<OpFoldResult> sizes = n.sizes(v);
    sizes.insert(sizes.begin() + d, n.b.getIndexAttr(count));
    SmallVector<int64_t> shape(typeOf(v).getShape());
    shape[d] *= count;
    v = n.reshape(n.broadcastDims(v, sizes, {d}), shape);
  }
  return setMoved(n, v, n.isShadow(0));
}

/// The index into the input that an output index of a mirrored or repeated
/// border takes; all within the input by construction.
static int64_t borderIndex(StringRef mode, int64_t at, int64_t size) {
  if (mode == "edge")
    return std::clamp<int64_t>(at, 0, size - 1);
  if (mode == "wrap")
    return ((at % size) + size) % size;
  int64_t period = std::max<int64_t>(1, 2 * (size - 1)); // reflect
  at = ((at % period) + period) % period;
  return at < size ? at : period - at;
}

/// Pads of a value that is known only when running, as borders side by side.
static Value padWith(Node &n, Value v, ArrayRef<int64_t> low,
                     ArrayRef<int64_t> high, Value value) {
  SmallVector<int64_t> cutLow, cutHigh;
  for (auto [l, h] : llvm::zip(low, high)) {
    cutLow.push_back(std::min<int64_t>(l, 0));
    cutHigh.push_back(std::min<int64_t>(h, 0));
  }
  v = n.pad(v, cutLow, cutHigh, 0);
  value = n.reshape(value, {});
  for (unsigned d = 0; d < low.size(); ++d) {
    SmallVector<Value> parts = {v};
    auto border = [&](int64_t size) {
      SmallVector<OpFoldResult> sizes = n.sizes(v);
      sizes[d] = n.b.getIndexAttr(size);
      return n.broadcastTo(value, sizes);
    };
    if (low[d] > 0)
      parts.insert(parts.begin(), border(low[d]));
    if (high[d] > 0)
      parts.push_back(border(high[d]));
    v = n.concat(parts, d);
  }
  return v;
}

static LogicalResult lowerPad(Node &n) {
  auto pads = n.ints(1);
  RankedTensorType type = n.type(0);
  int64_t rank = type.getRank();
  if (!pads || int64_t(pads->size()) != 2 * rank)
    return n.error() << "needs constant pads, two for each dimension",
           failure();
  SmallVector<int64_t> low(pads->begin(), pads->begin() + rank);
  SmallVector<int64_t> high(pads->begin() + rank, pads->end());
  for (int64_t d = 0; d < rank; ++d) {
    int64_t in = type.getDimSize(d);
    bool fits = ShapedType::isDynamic(in)
                    ? low[d] == 0 && high[d] == 0
                    : in + low[d] + high[d] >= 0 &&
                          in + std::min<int64_t>(low[d], 0) +
                                  std::min<int64_t>(high[d], 0) >=
                              0;
    if (!fits || std::abs(low[d]) > (1 << 24) || std::abs(high[d]) > (1 << 24))
      return n.error() << "has pads that dimension " << d << " cannot take",
             failure();
  }
  std::string mode = n.attrS("mode", "constant");
  bool shadow = n.isShadow(0);
  Value v = moved(n, 0);
  if (mode == "constant") {
    auto value = n.floats(2);
    if (n.has(2) && n.type(2).getNumElements() != 1)
      return n.error() << "needs one padding value", failure();
    if (n.has(2) && !value)
      return setMoved(n, padWith(n, v, low, high, shadow ? n.real(2) : n.in(2)),
                      shadow);
    return setMoved(n, n.pad(v, low, high, value ? value->front() : 0), shadow);
  }
  for (int64_t d = 0; d < rank; ++d) {
    int64_t in = type.getDimSize(d);
    if (low[d] == 0 && high[d] == 0)
      continue;
    if (in < 1)
      return n.error() << "in mode " << mode << " of an empty dimension",
             failure();
    SmallVector<int64_t> indices;
    for (int64_t at = -low[d]; at < in + high[d]; ++at)
      indices.push_back(borderIndex(mode, at, in));
    v = takeAlong(n, v, d, indices);
  }
  return setMoved(n, v, shadow);
}

//===----------------------------------------------------------------------===//
// Shapes as values
//===----------------------------------------------------------------------===//

/// The batch as an i64 tensor of rank 0.
static Value batchScalar(Node &n, Value v, int64_t dim) {
  Value size = getValueOrCreateConstantIndexOp(n.b, n.loc,
                                               n.TensorBuilder::size(v, dim));
  Value wide = n.make<arith::IndexCastOp>(n.b.getI64Type(), size);
  auto scalar = RankedTensorType::get({}, n.b.getI64Type());
  return n.make<tensor::FromElementsOp>(scalar, wide);
}

static LogicalResult lowerShape(Node &n) {
  RankedTensorType type = n.type(0);
  int64_t rank = type.getRank();
  auto bound = [&](int64_t v) {
    return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank);
  };
  int64_t start = bound(n.attr("start", 0)), end = bound(n.attr("end", rank));
  SmallVector<Value> parts;
  for (int64_t d = start; d < end; ++d) {
    if (!type.isDynamicDim(d))
      parts.push_back(n.constant({1}, ArrayRef<int64_t>{type.getDimSize(d)}));
    else
      parts.push_back(n.reshape(batchScalar(n, n.in(0), d), {1}));
  }
  if (parts.empty())
    return n.set(n.empty({n.b.getIndexAttr(0)}, n.b.getI64Type()));
  return n.set(n.concat(parts, 0));
}

static LogicalResult lowerSize(Node &n) {
  RankedTensorType type = n.type(0);
  Value count = n.scalar(n.b.getI64Type(), 1);
  for (int64_t d = 0; d < type.getRank(); ++d) {
    Value size = type.isDynamicDim(d)
                     ? batchScalar(n, n.in(0), d)
                     : n.scalar(n.b.getI64Type(), double(type.getDimSize(d)));
    count = n.make<arith::MulIOp>(count, size);
  }
  return n.set(count);
}

static LogicalResult lowerConstantOfShape(Node &n) {
  RankedTensorType type = n.resultType();
  SmallVector<OpFoldResult> sizes;
  for (int64_t size : type.getShape()) {
    if (!ShapedType::isDynamic(size)) {
      sizes.push_back(n.b.getIndexAttr(size));
      continue;
    }
    auto batch = batchSize(n);
    if (!batch)
      return n.error() << "of a dynamic size is not supported", failure();
    sizes.push_back(*batch);
  }
  Type element = convertElementType(type.getElementType());
  double value = 0;
  if (auto attr = n.op->getAttrOfType<ElementsAttr>("value"))
    if (auto values = readFloats(attr); values && values->size() == 1)
      value = values->front();
  return n.set(n.broadcastTo(n.scalar(element, value), sizes));
}

std::optional<OpFoldResult> conversion::batchSize(Node &n) {
  // Only the batch is dynamic; its size is the leading one of an argument.
  Block *entry = n.op->getBlock();
  for (BlockArgument arg : entry->getArguments()) {
    auto type = dyn_cast<RankedTensorType>(arg.getType());
    if (type && type.getRank() && type.isDynamicDim(0))
      return OpFoldResult(n.make<tensor::DimOp>(arg, 0));
  }
  return std::nullopt;
}

void conversion::addShapeLowerings(LoweringTable &table) {
  table["Reshape"] = lowerReshape;
  table["Transpose"] = lowerTranspose;
  table["Concat"] = lowerConcat;
  table["Split"] = lowerSplit;
  table["Slice"] = lowerSlice;
  table["Expand"] = lowerExpand;
  table["Tile"] = lowerTile;
  table["Pad"] = lowerPad;
  table["Shape"] = lowerShape;
  table["Size"] = lowerSize;
  table["ConstantOfShape"] = lowerConstantOfShape;
}
