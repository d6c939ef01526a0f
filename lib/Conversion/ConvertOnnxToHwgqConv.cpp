//===- ConvertOnnxToHwgqConv.cpp - convolutions ---------------------------===//
//
// Images go channels-last around hwgq.conv2d; one spatial dimension is an
// image of height 1, three are one generic contraction.
//
//===----------------------------------------------------------------------===//
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

FailureOr<SpatialWindow> conversion::readWindow(Node &n,
                                                ArrayRef<int64_t> input,
                                                ArrayRef<int64_t> kernel) {
  unsigned spatial = input.size();
  SpatialWindow w;
  w.kernel = llvm::to_vector(kernel);
  w.strides = n.attrs("strides");
  w.dilations = n.attrs("dilations");
  if (w.strides.empty())
    w.strides.assign(spatial, 1);
  if (w.dilations.empty())
    w.dilations.assign(spatial, 1);
  SmallVector<int64_t> pads = n.attrs("pads");
  if (pads.empty())
    pads.assign(2 * spatial, 0);
  constexpr int64_t kLimit = int64_t(1) << 24;
  auto outside = [&](int64_t low) {
    return [=](int64_t v) { return v < low || v >= kLimit; };
  };
  if (w.kernel.size() != spatial || w.strides.size() != spatial ||
      w.dilations.size() != spatial || pads.size() != 2 * spatial ||
      llvm::any_of(w.kernel, outside(1)) ||
      llvm::any_of(w.strides, outside(1)) ||
      llvm::any_of(w.dilations, outside(1)) || llvm::any_of(pads, outside(0)))
    return n.error() << "needs a kernel, strides, dilations and pads for "
                     << spatial << " spatial dimensions, pads not negative",
           failure();
  w.low.assign(pads.begin(), pads.begin() + spatial);
  w.high.assign(pads.begin() + spatial, pads.end());
  return w;
}

Value conversion::genericConv(TensorBuilder &b, Value x, Value w,
                              const SpatialWindow &window, int64_t groups) {
  // Loops: n, spatial..., g, k in group, kernel..., c.
  unsigned s = window.kernel.size();
  RankedTensorType wType = typeOf(w), xType = typeOf(x);
  int64_t outputs = wType.getDimSize(0), inputs = wType.getShape().back();
  SmallVector<int64_t> xShape(xType.getShape().drop_back());
  xShape.append({groups, inputs});
  SmallVector<int64_t> wShape = {groups, outputs / groups};
  llvm::append_range(wShape, wType.getShape().drop_front());
  x = b.reshape(x, xShape);
  w = b.reshape(w, wShape);
  MLIRContext *context = b.b.getContext();
  auto d = [&](unsigned i) { return getAffineDimExpr(i, context); };
  SmallVector<AffineExpr> xMap = {d(0)}, wMap = {d(s + 1), d(s + 2)},
                          yMap = {d(0)};
  SmallVector<OpFoldResult> sizes = {b.sizes(x)[0]};
  for (unsigned i = 0; i < s; ++i) {
    xMap.push_back(d(1 + i) * window.strides[i] +
                   d(s + 3 + i) * window.dilations[i]);
    wMap.push_back(d(s + 3 + i));
    yMap.push_back(d(1 + i));
    int64_t extent = (window.kernel[i] - 1) * window.dilations[i] + 1;
    sizes.push_back(b.b.getIndexAttr(
        (xType.getDimSize(1 + i) - extent) / window.strides[i] + 1));
  }
  xMap.append({d(s + 1), d(2 * s + 3)});
  wMap.push_back(d(2 * s + 3));
  yMap.append({d(s + 1), d(s + 2)});
  sizes.push_back(b.b.getIndexAttr(groups));
  sizes.push_back(b.b.getIndexAttr(outputs / groups));
  unsigned loops = 2 * s + 4;
  SmallVector<utils::IteratorType> iterators(loops,
                                             utils::IteratorType::parallel);
  for (unsigned i = s + 3; i < loops; ++i)
    iterators[i] = utils::IteratorType::reduction;
  Type element = xType.getElementType();
  Value init = b.filled(sizes, cast<TypedAttr>(b.b.getZeroAttr(element)));
  AffineMap maps[] = {AffineMap::get(loops, 0, xMap, context),
                      AffineMap::get(loops, 0, wMap, context),
                      AffineMap::get(loops, 0, yMap, context)};
  Value y = linalg::GenericOp::create(
                b.b, b.loc, TypeRange(init.getType()), ValueRange{x, w},
                ValueRange(init), maps, iterators,
                [&](OpBuilder &at, Location loc, ValueRange args) {
                  Value sum;
                  if (isa<FloatType>(element)) {
                    sum =
                        math::FmaOp::create(at, loc, args[0], args[1], args[2]);
                  } else {
                    sum = arith::MulIOp::create(at, loc, args[0], args[1]);
                    sum = arith::AddIOp::create(at, loc, args[2], sum);
                  }
                  linalg::YieldOp::create(at, loc, sum);
                })
                ->getResult(0);
  SmallVector<int64_t> shape(typeOf(y).getShape().drop_back(2));
  shape.push_back(outputs);
  return b.reshape(y, shape);
}

Value conversion::contract(TensorBuilder &b, Value x, Value w,
                           SpatialWindow window, int64_t groups) {
  unsigned spatial = window.kernel.size();
  if (spatial == 3) {
    SmallVector<int64_t> low = {0}, high = {0};
    llvm::append_range(low, window.low);
    llvm::append_range(high, window.high);
    low.push_back(0);
    high.push_back(0);
    return genericConv(b, b.pad(x, low, high, 0), w, window, groups);
  }
  if (spatial == 1) {
    auto withRow = [&](Value v) {
      SmallVector<int64_t> shape(typeOf(v).getShape());
      shape.insert(shape.begin() + 1, 1);
      return b.reshape(v, shape);
    };
    x = withRow(x);
    w = withRow(w);
    for (auto *list : {&window.kernel, &window.strides, &window.dilations})
      list->insert(list->begin(), 1);
    window.low.insert(window.low.begin(), 0);
    window.high.insert(window.high.begin(), 0);
  }
  SmallVector<int64_t> pads = window.low;
  llvm::append_range(pads, window.high);
  Value y = b.make<Conv2DOp>(x, w, b.b.getDenseI64ArrayAttr(window.strides),
                             b.b.getDenseI64ArrayAttr(pads),
                             b.b.getDenseI64ArrayAttr(window.dilations),
                             b.b.getI64IntegerAttr(groups));
  if (spatial != 1)
    return y;
  RankedTensorType type = typeOf(y);
  return b.reshape(
      y, {type.getDimSize(0), type.getDimSize(2), type.getDimSize(3)});
}

/// f32(value + bias) with the bias along dimension 1.
static Value addBias(Node &n, Value y, unsigned operand) {
  if (!n.has(operand))
    return y;
  SmallVector<int64_t> dims;
  for (int64_t d = 0; d < typeOf(y).getRank(); ++d)
    if (d != 1)
      dims.push_back(d);
  Value bias = n.real(operand);
  auto values = n.floats(operand);
  Value full = values && llvm::all_equal(*values) && !values->empty()
                   ? n.splat(y, values->front())
                   : n.broadcastDims(bias, n.sizes(y), dims);
  return n.make<arith::AddFOp>(y, full);
}

static FailureOr<unsigned> spatialRank(Node &n) {
  int64_t rank = n.type(0).getRank();
  if (rank < 3 || rank > 5 || n.type(1).getRank() != rank)
    return n.error() << "has operands of rank " << rank << " and "
                     << n.type(1).getRank()
                     << "; supported are equal ranks from 3 to 5",
           failure();
  if (!isa<FloatType>(n.type(0).getElementType()) ||
      n.type(0).getElementType().isF64())
    return n.error() << "on " << n.type(0).getElementType()
                     << " is not supported; float32 and float16 are",
           failure();
  for (int64_t d = 1; d < rank; ++d)
    if (n.type(0).isDynamicDim(d))
      return n.error() << "has a dynamic size other than the batch", failure();
  return unsigned(rank - 2);
}

LogicalResult conversion::checkConv(Node &n, RankedTensorType x,
                                    const SpatialWindow &w, int64_t groups,
                                    int64_t weightChannels, int64_t outputs) {
  if (groups < 1 || outputs % groups ||
      x.getDimSize(1) != groups * weightChannels)
    return n.error() << "has " << x.getDimSize(1) << " channels, " << groups
                     << " groups and weights for " << weightChannels
                     << " channels in and " << outputs << " out",
           failure();
  for (unsigned i = 0; i < w.kernel.size(); ++i)
    if (x.getDimSize(2 + i) + w.low[i] + w.high[i] <
        (w.kernel[i] - 1) * w.dilations[i] + 1)
      return n.error() << "has a window that does not fit the padded input",
             failure();
  return success();
}

static LogicalResult lowerConv(Node &n) {
  auto spatial = spatialRank(n);
  if (failed(spatial))
    return failure();
  RankedTensorType x = n.type(0), w = n.type(1);
  if (!w.hasStaticShape())
    return n.error() << "needs weights of a static shape", failure();
  auto window =
      readWindow(n, x.getShape().drop_front(2), w.getShape().drop_front(2));
  int64_t groups = n.attr("group", 1);
  if (failed(window) || failed(checkConv(n, x, *window, groups, w.getDimSize(1),
                                         w.getDimSize(0))))
    return failure();
  Value y = contract(n, n.toChannelsLast(n.real(0)),
                     n.toChannelsLast(n.real(1)), *window, groups);
  return n.setReal(addBias(n, n.toChannelsFirst(y), 2));
}

/// Puts `stride - 1` zeros between the elements of each spatial dimension of a
/// channels-last tensor.
static Value spreadApart(TensorBuilder &b, Value x, ArrayRef<int64_t> strides) {
  for (unsigned i = 0; i < strides.size(); ++i) {
    int64_t stride = strides[i];
    if (stride == 1)
      continue;
    SmallVector<int64_t> shape(typeOf(x).getShape());
    int64_t size = shape[1 + i];
    shape.insert(shape.begin() + 2 + i, 1);
    SmallVector<int64_t> low(shape.size(), 0), high(shape.size(), 0);
    high[2 + i] = stride - 1;
    x = b.pad(b.reshape(x, shape), low, high, 0);
    shape.erase(shape.begin() + 2 + i);
    shape[1 + i] = size * stride;
    x = b.slice(b.reshape(x, shape), 1 + i, 0, (size - 1) * stride + 1);
  }
  return x;
}

/// [C, K/g, kernel...] of a transposed convolution as the [K, kernel..., C/g]
/// of a plain one: kernel reversed, channels exchanged within each group.
static FailureOr<Value> transposedWeights(Node &n, int64_t groups) {
  Value w = n.real(1);
  RankedTensorType type = typeOf(w);
  unsigned spatial = type.getRank() - 2;
  int64_t in = type.getDimSize(0) / groups, out = type.getDimSize(1);
  for (unsigned i = 0; i < spatial; ++i) {
    int64_t size = type.getDimSize(2 + i);
    SmallVector<Value> taps;
    for (int64_t k = size - 1; k >= 0; --k)
      taps.push_back(n.slice(w, 2 + i, k, 1));
    w = n.concat(taps, 2 + i);
  }
  SmallVector<int64_t> shape = {groups, in, out};
  llvm::append_range(shape, type.getShape().drop_front(2));
  SmallVector<int64_t> perm = {0, 2};
  for (unsigned i = 0; i < spatial; ++i)
    perm.push_back(3 + i);
  perm.push_back(1);
  w = n.transpose(n.reshape(w, shape), perm);
  SmallVector<int64_t> result = {groups * out};
  llvm::append_range(result, type.getShape().drop_front(2));
  result.push_back(in);
  return n.reshape(w, result);
}

static LogicalResult lowerConvTranspose(Node &n) {
  auto spatial = spatialRank(n);
  if (failed(spatial))
    return failure();
  RankedTensorType x = n.type(0), w = n.type(1);
  if (!w.hasStaticShape())
    return n.error() << "needs weights of a static shape", failure();
  auto window =
      readWindow(n, x.getShape().drop_front(2), w.getShape().drop_front(2));
  int64_t groups = n.attr("group", 1);
  if (failed(window))
    return failure();
  if (groups < 1 || w.getDimSize(0) % groups ||
      x.getDimSize(1) != w.getDimSize(0))
    return n.error() << "has " << x.getDimSize(1) << " channels, " << groups
                     << " groups and weights for " << w.getDimSize(0)
                     << " channels",
           failure();
  auto weights = transposedWeights(n, groups);
  if (failed(weights))
    return failure();
  // The plain convolution over the spread input: its padding is what the
  // transposed one does not cut off; the result's size says how much follows.
  Value spread = spreadApart(n, n.toChannelsLast(n.real(0)), window->strides);
  SpatialWindow plain = *window;
  SmallVector<int64_t> low = {0}, high = {0};
  for (unsigned i = 0; i < *spatial; ++i) {
    int64_t reach = (window->kernel[i] - 1) * window->dilations[i];
    int64_t out = n.resultType().getDimSize(2 + i);
    int64_t spreadSize = typeOf(spread).getDimSize(1 + i);
    low.push_back(reach - window->low[i]);
    high.push_back(out + reach - spreadSize - low.back());
    plain.strides[i] = 1;
    plain.low[i] = plain.high[i] = 0;
  }
  low.push_back(0);
  high.push_back(0);
  Value padded = n.pad(spread, low, high, 0);
  Value y = contract(n, padded, *weights, plain, groups);
  return n.setReal(addBias(n, n.toChannelsFirst(y), 2));
}

void conversion::addConvLowerings(LoweringTable &table) {
  table["Conv"] = lowerConv;
  table["ConvTranspose"] = lowerConvTranspose;
}
