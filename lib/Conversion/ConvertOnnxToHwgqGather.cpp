//===- ConvertOnnxToHwgqGather.cpp - elements by index --------------------===//
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

/// An i64 index brought into 0 <= index < size: negative ones count from the
/// end, others are clamped, so that memory is never left.
static Value safeIndex(OpBuilder &b, Location loc, Value index, Value size) {
  auto constant = [&](int64_t v) -> Value {
    return arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(v));
  };
  Value wide = arith::IndexCastOp::create(b, loc, b.getI64Type(), size);
  Value zero = constant(0);
  Value negative =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, index, zero);
  Value wrapped = arith::AddIOp::create(b, loc, index, wide);
  index = arith::SelectOp::create(b, loc, negative, wrapped, index);
  Value last = arith::SubIOp::create(b, loc, wide, constant(1));
  index = arith::MaxSIOp::create(b, loc, index, zero);
  index = arith::MinSIOp::create(b, loc, index, last);
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), index);
}

/// y[a..., i..., z...] = x[a..., indices[i...], z...] with the indices read
/// while running.
static Value gather(TensorBuilder &b, Value x, Value indices, int64_t axis) {
  int64_t rank = typeOf(x).getRank(), inner = typeOf(indices).getRank();
  int64_t loops = rank - 1 + inner;
  MLIRContext *context = b.b.getContext();
  SmallVector<OpFoldResult> xSizes = b.sizes(x), iSizes = b.sizes(indices);
  SmallVector<OpFoldResult> sizes(ArrayRef(xSizes).take_front(axis));
  llvm::append_range(sizes, iSizes);
  llvm::append_range(sizes, ArrayRef(xSizes).drop_front(axis + 1));
  SmallVector<AffineExpr> from;
  for (int64_t d = 0; d < inner; ++d)
    from.push_back(getAffineDimExpr(axis + d, context));
  Value init = b.empty(sizes, typeOf(x).getElementType());
  AffineMap maps[] = {AffineMap::get(loops, 0, from, context),
                      b.b.getMultiDimIdentityMap(loops)};
  SmallVector<utils::IteratorType> iterators(loops,
                                             utils::IteratorType::parallel);
  Value size = getValueOrCreateConstantIndexOp(b.b, b.loc, xSizes[axis]);
  return linalg::GenericOp::create(
             b.b, b.loc, TypeRange(init.getType()), ValueRange(indices),
             ValueRange(init), maps, iterators,
             [&](OpBuilder &at, Location loc, ValueRange args) {
               SmallVector<Value> position;
               for (int64_t d = 0; d < rank; ++d) {
                 if (d == axis)
                   position.push_back(safeIndex(at, loc, args[0], size));
                 else
                   position.push_back(linalg::IndexOp::create(
                       at, loc, d < axis ? d : d - 1 + inner));
               }
               Value v = tensor::ExtractOp::create(at, loc, x, position);
               linalg::YieldOp::create(at, loc, v);
             })
      ->getResult(0);
}

Value conversion::takeAlong(TensorBuilder &b, Value v, int64_t dim,
                            ArrayRef<int64_t> indices) {
  // Runs of consecutive indices are slices.
  SmallVector<std::pair<int64_t, int64_t>> runs;
  for (int64_t i : indices) {
    if (!runs.empty() && runs.back().first + runs.back().second == i)
      ++runs.back().second;
    else
      runs.push_back({i, 1});
  }
  constexpr size_t kManyRuns = 16;
  if (runs.size() <= kManyRuns) {
    SmallVector<Value> parts;
    for (auto [first, size] : runs)
      parts.push_back(b.slice(v, dim, first, size));
    return b.concat(parts, dim);
  }
  return gather(b, v, b.constant({int64_t(indices.size())}, indices), dim);
}

static LogicalResult lowerGather(Node &n) {
  RankedTensorType type = n.type(0);
  auto axis = n.axis(n.attr("axis", 0), type.getRank());
  if (failed(axis))
    return failure();
  bool shadow = n.isShadow(0);
  Value x = shadow ? n.real(0) : n.in(0);
  auto set = [&](Value v) { return shadow ? n.setShadow(v) : n.set(v); };
  int64_t size = type.getDimSize(*axis);
  auto indices = n.ints(1);
  if (!indices || ShapedType::isDynamic(size)) {
    Value at = n.in(1);
    if (!typeOf(at).getElementType().isInteger(64))
      at = n.cast(at, n.type(1).getElementType(), n.b.getI64Type());
    return set(gather(n, x, at, *axis));
  }
  for (int64_t &i : *indices) {
    if (i < -size || i >= size)
      return n.error() << "has the index " << i << " into a size of " << size,
             failure();
    i += i < 0 ? size : 0;
  }
  if (indices->empty())
    return set(n.reshape(n.slice(x, *axis, 0, 0), n.resultType().getShape()));
  return set(
      n.reshape(takeAlong(n, x, *axis, *indices), n.resultType().getShape()));
}

/// y[i...] = x[i... with i_axis replaced by indices[i...]]
static LogicalResult lowerGatherElements(Node &n) {
  auto axis = n.axis(n.attr("axis", 0), n.type(0).getRank());
  if (failed(axis))
    return failure();
  bool shadow = n.isShadow(0);
  Value x = shadow ? n.real(0) : n.in(0);
  Value indices = n.in(1);
  if (!typeOf(indices).getElementType().isInteger(64))
    indices = n.cast(indices, n.type(1).getElementType(), n.b.getI64Type());
  int64_t rank = typeOf(indices).getRank();
  Value size = getValueOrCreateConstantIndexOp(n.b, n.loc, n.sizes(x)[*axis]);
  Value init = n.empty(n.sizes(indices), typeOf(x).getElementType());
  AffineMap maps[] = {n.b.getMultiDimIdentityMap(rank),
                      n.b.getMultiDimIdentityMap(rank)};
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  Value y =
      linalg::GenericOp::create(
          n.b, n.loc, TypeRange(init.getType()), ValueRange(indices),
          ValueRange(init), maps, iterators,
          [&](OpBuilder &at, Location loc, ValueRange args) {
            SmallVector<Value> position;
            for (int64_t d = 0; d < rank; ++d)
              position.push_back(
                  d == *axis ? safeIndex(at, loc, args[0], size)
                             : linalg::IndexOp::create(at, loc, d).getResult());
            Value v = tensor::ExtractOp::create(at, loc, x, position);
            linalg::YieldOp::create(at, loc, v);
          })
          ->getResult(0);
  return shadow ? n.setShadow(y) : n.set(y);
}

/// start + i * delta where the count depends on the batch.
static LogicalResult lowerRange(Node &n) {
  Type onnx = n.type(0).getElementType();
  auto start = n.floats(0), delta = n.floats(2);
  auto batch = batchSize(n);
  if (!isa<IntegerType>(onnx) || !start || !delta || !batch ||
      start->front() != 0 || delta->front() != 1)
    return n.error() << "with sizes that are not constant is not supported; "
                        "counting from 0 to the batch is",
           failure();
  Type element = convertElementType(onnx);
  Value limit = n.cast(n.in(1), onnx, n.b.getI64Type());
  Value count = n.make<tensor::ExtractOp>(n.reshape(limit, ArrayRef<int64_t>()),
                                          ValueRange());
  Value size = n.make<arith::IndexCastOp>(n.b.getIndexType(), count);
  Value init = n.empty({OpFoldResult(size)}, element);
  AffineMap maps[] = {n.b.getMultiDimIdentityMap(1)};
  SmallVector<utils::IteratorType> iterators = {utils::IteratorType::parallel};
  return n.set(linalg::GenericOp::create(
                   n.b, n.loc, TypeRange(init.getType()), ValueRange(),
                   ValueRange(init), maps, iterators,
                   [&](OpBuilder &at, Location loc, ValueRange) {
                     Value i = linalg::IndexOp::create(at, loc, 0);
                     i = arith::IndexCastOp::create(at, loc, element, i);
                     linalg::YieldOp::create(at, loc, i);
                   })
                   ->getResult(0));
}

void conversion::addGatherLowerings(LoweringTable &table) {
  table["Gather"] = lowerGather;
  table["GatherElements"] = lowerGatherElements;
  table["Range"] = lowerRange;
}
