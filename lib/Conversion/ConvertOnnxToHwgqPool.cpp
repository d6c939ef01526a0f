//===- ConvertOnnxToHwgqPool.cpp - pooling --------------------------------===//
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

namespace {

/// A pool over 1 to 3 spatial dimensions of a channels-last tensor.
struct Pool {
  SpatialWindow window;
  /// Output sizes, ceil rounding included.
  SmallVector<int64_t> output;
};

} // namespace

static FailureOr<Pool> readPool(Node &n) {
  RankedTensorType x = n.type(0);
  int64_t rank = x.getRank();
  if (rank < 3 || rank > 5)
    return n.error() << "has an input of rank " << rank
                     << "; supported are ranks from 3 to 5",
           failure();
  for (int64_t d = 1; d < rank; ++d)
    if (x.isDynamicDim(d))
      return n.error() << "has a dynamic size other than the batch", failure();
  auto window =
      readWindow(n, x.getShape().drop_front(2), n.attrs("kernel_shape"));
  if (failed(window))
    return failure();
  Pool pool{*window, llvm::to_vector(n.resultType().getShape().drop_front(2))};
  for (unsigned i = 0; i < pool.output.size(); ++i) {
    const SpatialWindow &w = pool.window;
    int64_t last = (pool.output[i] - 1) * w.strides[i] - w.low[i];
    int64_t reach = (w.kernel[i] - 1) * w.dilations[i];
    if (pool.output[i] < 1 || last >= x.getDimSize(2 + i) || reach < w.low[i])
      return n.error() << "has a window that lies in the padding alone",
             failure();
  }
  return pool;
}

/// Runs `body` on an image: one spatial dimension becomes height 1.
static Value onImage(TensorBuilder &b, Value x, Pool pool,
                     llvm::function_ref<Value(Value, const Pool &)> body) {
  if (pool.output.size() != 1)
    return body(x, pool);
  RankedTensorType type = typeOf(x);
  x = b.reshape(
      x, {type.getDimSize(0), 1, type.getDimSize(1), type.getDimSize(2)});
  for (auto *list : {&pool.window.kernel, &pool.window.strides,
                     &pool.window.dilations, &pool.output})
    list->insert(list->begin(), 1);
  pool.window.low.insert(pool.window.low.begin(), 0);
  pool.window.high.insert(pool.window.high.begin(), 0);
  Value y = body(x, pool);
  type = typeOf(y);
  return b.reshape(
      y, {type.getDimSize(0), type.getDimSize(2), type.getDimSize(3)});
}

/// The loops of a pool over a channels-last tensor of any spatial rank: n,
/// output..., c, kernel...; `x` is padded with `init` as far as windows reach.
struct WindowLoops {
  WindowLoops(TensorBuilder &b, Value input, const Pool &pool, double init) {
    const SpatialWindow &w = pool.window;
    unsigned s = w.kernel.size();
    SmallVector<int64_t> low = {0}, high = {0};
    for (unsigned i = 0; i < s; ++i) {
      int64_t need = (pool.output[i] - 1) * w.strides[i] +
                     (w.kernel[i] - 1) * w.dilations[i] + 1;
      low.push_back(w.low[i]);
      high.push_back(need - w.low[i] - typeOf(input).getDimSize(1 + i));
    }
    low.push_back(0);
    high.push_back(0);
    x = b.pad(input, low, high, init);
    MLIRContext *context = b.b.getContext();
    auto d = [&](unsigned i) { return getAffineDimExpr(i, context); };
    SmallVector<AffineExpr> xMap = {d(0)}, yMap = {d(0)}, kMap;
    SmallVector<OpFoldResult> kernel;
    sizes.push_back(b.size(x, 0));
    for (unsigned i = 0; i < s; ++i) {
      xMap.push_back(d(1 + i) * w.strides[i] + d(2 + s + i) * w.dilations[i]);
      yMap.push_back(d(1 + i));
      kMap.push_back(d(2 + s + i));
      sizes.push_back(b.b.getIndexAttr(pool.output[i]));
      kernel.push_back(b.b.getIndexAttr(w.kernel[i]));
    }
    xMap.push_back(d(1 + s));
    yMap.push_back(d(1 + s));
    sizes.push_back(b.b.getIndexAttr(typeOf(x).getShape().back()));
    unsigned loops = 2 + 2 * s;
    iterators.assign(loops, utils::IteratorType::parallel);
    for (unsigned i = 2 + s; i < loops; ++i)
      iterators[i] = utils::IteratorType::reduction;
    inputs = {x, b.empty(kernel, typeOf(x).getElementType())};
    maps = {AffineMap::get(loops, 0, xMap, context),
            AffineMap::get(loops, 0, kMap, context),
            AffineMap::get(loops, 0, yMap, context)};
  }

  Value x;
  SmallVector<Value> inputs;
  SmallVector<OpFoldResult> sizes;
  SmallVector<AffineMap> maps;
  SmallVector<utils::IteratorType> iterators;
};

/// Folds `body(acc, element)` from `init` over windows; the border is `init`.
static Value windowReduce(
    TensorBuilder &b, Value x, const Pool &pool, double init,
    llvm::function_ref<Value(OpBuilder &, Location, Value, Value)> body) {
  WindowLoops loops(b, x, pool, init);
  Value acc =
      b.filled(loops.sizes, b.b.getFloatAttr(typeOf(x).getElementType(), init));
  return linalg::GenericOp::create(
             b.b, b.loc, TypeRange(acc.getType()), loops.inputs,
             ValueRange(acc), loops.maps, loops.iterators,
             [&](OpBuilder &at, Location loc, ValueRange args) {
               linalg::YieldOp::create(at, loc,
                                       body(at, loc, args[2], args[0]));
             })
      ->getResult(0);
}

/// The place of the first maximum of each window, as an index into the whole
/// channels-first tensor, row-major or, by `columns`, column-major.
static Value maxIndices(TensorBuilder &b, Value x, const Pool &pool,
                        bool columns) {
  double lowest = -std::numeric_limits<double>::infinity();
  WindowLoops loops(b, x, pool, lowest);
  const SpatialWindow &w = pool.window;
  unsigned s = w.kernel.size();
  RankedTensorType type = typeOf(x);
  loops.maps.push_back(loops.maps.back());
  Value best =
      b.filled(loops.sizes, b.b.getFloatAttr(type.getElementType(), lowest));
  Value index = b.filled(loops.sizes, b.b.getI64IntegerAttr(0));
  auto body = [&](OpBuilder &at, Location loc, ValueRange args) {
    auto constant = [&](int64_t v) -> Value {
      return arith::ConstantIndexOp::create(at, loc, v);
    };
    auto dim = [&](unsigned d) -> Value {
      return linalg::IndexOp::create(at, loc, d);
    };
    auto scaled = [&](Value v, int64_t by) -> Value {
      return arith::MulIOp::create(at, loc, v, constant(by));
    };
    auto plus = [&](Value a, Value c) -> Value {
      return arith::AddIOp::create(at, loc, a, c);
    };
    Value flat = plus(scaled(dim(0), type.getShape().back()), dim(1 + s));
    SmallVector<unsigned> order = llvm::to_vector(llvm::seq<unsigned>(0, s));
    if (columns)
      std::reverse(order.begin(), order.end());
    for (unsigned i : order) {
      Value tap = plus(scaled(dim(1 + i), w.strides[i]),
                       scaled(dim(2 + s + i), w.dilations[i]));
      tap = arith::SubIOp::create(at, loc, tap, constant(w.low[i]));
      flat = plus(scaled(flat, type.getDimSize(1 + i)), tap);
    }
    flat = arith::IndexCastOp::create(at, loc, at.getI64Type(), flat);
    Value wins = arith::CmpFOp::create(at, loc, arith::CmpFPredicate::OGT,
                                       args[0], args[2]);
    Value value = arith::SelectOp::create(at, loc, wins, args[0], args[2]);
    Value place = arith::SelectOp::create(at, loc, wins, flat, args[3]);
    linalg::YieldOp::create(at, loc, ValueRange{value, place});
  };
  return linalg::GenericOp::create(b.b, b.loc,
                                   TypeRange{best.getType(), index.getType()},
                                   loops.inputs, ValueRange{best, index},
                                   loops.maps, loops.iterators, body)
      ->getResult(1);
}

static SmallVector<int64_t> joined(const SpatialWindow &w) {
  SmallVector<int64_t> pads = w.low;
  llvm::append_range(pads, w.high);
  return pads;
}

static RankedTensorType imageResult(Value x, const Pool &pool) {
  RankedTensorType type = typeOf(x);
  return RankedTensorType::get(
      {type.getDimSize(0), pool.output[0], pool.output[1], type.getDimSize(3)},
      type.getElementType());
}

/// Maximum over windows of a channels-last f32 or i32 tensor.
static Value maxPool(TensorBuilder &b, Value x, const Pool &pool) {
  return onImage(b, x, pool, [&](Value v, const Pool &p) -> Value {
    if (p.output.size() == 3)
      return windowReduce(
          b, v, p, -std::numeric_limits<double>::infinity(),
          [](OpBuilder &at, Location loc, Value a, Value e) -> Value {
            return arith::MaximumFOp::create(at, loc, a, e);
          });
    return b.make<MaxPoolOp>(
        imageResult(v, p), v, b.b.getDenseI64ArrayAttr(p.window.kernel),
        b.b.getDenseI64ArrayAttr(p.window.strides),
        b.b.getDenseI64ArrayAttr(joined(p.window)),
        b.b.getDenseI64ArrayAttr(p.window.dilations), DenseBoolArrayAttr());
  });
}

static LogicalResult lowerMaxPool(Node &n) {
  auto pool = readPool(n);
  if (failed(pool))
    return failure();
  Type element = n.type(0).getElementType();
  unsigned width = element.getIntOrFloatBitWidth();
  bool whole = isa<IntegerType>(element);
  if (whole ? width > 16 : width > 32)
    return n.error() << "on " << element
                     << " is not supported; floats of up to 32 bits and "
                        "integers of up to 16 are",
           failure();
  Value x = n.toChannelsLast(n.real(0));
  if (n.op->getNumResults() > 1 && !n.op->getResult(1).use_empty()) {
    Value places = maxIndices(n, x, *pool, n.attr("storage_order", 0));
    if (failed(n.set(n.toChannelsFirst(places), 1)))
      return failure();
  }
  Value y = n.toChannelsFirst(maxPool(n, x, *pool));
  return whole ? n.setShadow(y) : n.setReal(y);
}

/// How many taps of each window count, in one spatial dimension.
static int64_t countTaps(const Pool &pool, unsigned dim, int64_t at,
                         int64_t size, bool includePad) {
  const SpatialWindow &w = pool.window;
  int64_t low = includePad ? -w.low[dim] : 0;
  int64_t end = includePad ? size + w.high[dim] : size;
  int64_t count = 0;
  for (int64_t k = 0; k < w.kernel[dim]; ++k) {
    int64_t tap = at * w.strides[dim] - w.low[dim] + k * w.dilations[dim];
    count += tap >= low && tap < end;
  }
  return count;
}

static Value volumeAverage(TensorBuilder &b, Value x, const Pool &pool,
                           bool includePad) {
  RankedTensorType type = typeOf(x);
  Value sum =
      windowReduce(b, x, pool, 0,
                   [](OpBuilder &at, Location loc, Value a, Value e) -> Value {
                     return arith::AddFOp::create(at, loc, a, e);
                   });
  SmallVector<float> counts;
  for (int64_t i = 0; i < pool.output[0]; ++i)
    for (int64_t j = 0; j < pool.output[1]; ++j)
      for (int64_t k = 0; k < pool.output[2]; ++k)
        counts.push_back(
            float(countTaps(pool, 0, i, type.getDimSize(1), includePad)) *
            float(countTaps(pool, 1, j, type.getDimSize(2), includePad)) *
            float(countTaps(pool, 2, k, type.getDimSize(3), includePad)));
  Value divisor =
      b.broadcastDims(b.constant(pool.output, counts), b.sizes(sum), {0, 4});
  return b.make<arith::DivFOp>(sum, divisor);
}

static LogicalResult lowerAveragePool(Node &n) {
  auto pool = readPool(n);
  if (failed(pool))
    return failure();
  Type element = n.type(0).getElementType();
  if (!isa<FloatType>(element) || element.isF64())
    return n.error() << "on " << element
                     << " is not supported; float32 and float16 are",
           failure();
  bool includePad = n.attr("count_include_pad", 0);
  Value y = onImage(n, n.toChannelsLast(n.real(0)), *pool,
                    [&](Value v, const Pool &p) -> Value {
                      if (p.output.size() == 3)
                        return volumeAverage(n, v, p, includePad);
                      return averagePool(n, v, p.window, p.output, includePad);
                    });
  return n.setReal(n.toChannelsFirst(y));
}

Value conversion::averagePool(TensorBuilder &b, Value x, const SpatialWindow &w,
                              ArrayRef<int64_t> output, bool includePad) {
  Pool pool{w, llvm::to_vector(output)};
  return b.make<AvgPoolOp>(
      imageResult(x, pool), x, b.b.getDenseI64ArrayAttr(w.kernel),
      b.b.getDenseI64ArrayAttr(w.strides), b.b.getDenseI64ArrayAttr(joined(w)),
      b.b.getDenseI64ArrayAttr(w.dilations), b.b.getBoolAttr(includePad),
      b.b.getF32FloatAttr(1.0f));
}

void conversion::addPoolLowerings(LoweringTable &table) {
  table["MaxPool"] = lowerMaxPool;
  table["AveragePool"] = lowerAveragePool;
}
