//===- ConvertOnnxToHwgqInteger.cpp - integer contractions ----------------===//
//
// ConvInteger and its kin are sums of products of n = code - zero point. With
// constant weights and zero points (and, in matrix products, a zero point of
// all inputs that is known at run time) they are contractions of codes;
// otherwise chains of i32.
//
//===----------------------------------------------------------------------===//
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

namespace {

/// An operand with its zero point: operand numbers of the node.
struct Coded {
  unsigned value, zero;
};

bool isByte(Node &n, unsigned i) {
  Type t = n.type(i).getElementType();
  return isa<IntegerType>(t) && t.getIntOrFloatBitWidth() <= 8 &&
         t.getIntOrFloatBitWidth() > 1;
}

/// value - zero as i32, the zero point along `dim` where it is a list.
Value numbers(Node &n, Coded c, int64_t dim) {
  Type i32 = n.b.getI32Type();
  Value v = n.cast(n.in(c.value), n.type(c.value).getElementType(), i32);
  if (!n.has(c.zero))
    return v;
  Value z = n.cast(n.in(c.zero), n.type(c.zero).getElementType(), i32);
  RankedTensorType type = n.type(c.zero);
  if (type.getRank() > 1)
    z = n.broadcastLike(z, v);
  else if (type.getRank() == 0 || type.getDimSize(0) == 1)
    z = n.broadcastLike(n.reshape(z, {}), v);
  else {
    SmallVector<int64_t> dims;
    for (int64_t d = 0; d < typeOf(v).getRank(); ++d)
      if (d != dim)
        dims.push_back(d);
    z = n.broadcastDims(z, n.sizes(v), dims);
  }
  return n.make<arith::SubIOp>(v, z);
}

/// The zero point when it is one constant for all elements.
std::optional<int64_t> scalarZero(Node &n, unsigned i) {
  if (!n.has(i))
    return 0;
  auto values = n.ints(i);
  if (!values || values->empty() || !llvm::all_equal(*values))
    return std::nullopt;
  return values->front();
}

/// Codes of an 8-bit input with one constant zero point: the step function is
/// the identity on its numbers.
Value inputCodes(Node &n, Coded c, int64_t zero) {
  Type type = n.type(c.value).getElementType();
  unsigned bits = type.getIntOrFloatBitWidth();
  int32_t offset =
      int32_t((type.isUnsignedInteger() ? 0 : -(1 << (bits - 1))) - zero);
  auto code = CodeType::get(n.b.getContext(), bits, offset, 1);
  SmallVector<float> breakpoints;
  SmallVector<int32_t> values = {offset};
  for (int32_t v = offset + 1; v < offset + (1 << bits); ++v) {
    breakpoints.push_back(float(v) - 0.5f);
    values.push_back(v);
  }
  SmallVector<bool> closed(breakpoints.size(), true);
  auto step =
      StepAttr::get(n.b.getContext(), n.b.getDenseF32ArrayAttr(breakpoints),
                    n.b.getDenseBoolArrayAttr(closed),
                    n.b.getDenseI32ArrayAttr(values), offset);
  Value x = n.real(c.value);
  x = n.make<arith::SubFOp>(x, n.splat(x, double(zero)));
  return n.make<QuantizeOp>(TensorBuilder::withElement(x, code), x, step);
}

/// Constant numbers (weights minus zero points) as codes of `shape`, or null
/// where they span more than 8 bits.
Value weightCodes(Node &n, ArrayRef<int64_t> values, ArrayRef<int64_t> shape) {
  if (values.empty())
    return {};
  auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (*high - *low > 255 || *low < -255 || *high > 255)
    return {};
  unsigned bits = std::max<unsigned>(1, llvm::Log2_64_Ceil(*high - *low + 1));
  // The largest number of the type must be in range as well.
  int64_t offset = std::min<int64_t>(*low, 255 - ((int64_t(1) << bits) - 1));
  if (offset < -255)
    return {};
  auto code = CodeType::get(n.b.getContext(), bits, int32_t(offset), 1);
  SmallVector<uint8_t> codes;
  for (int64_t v : values)
    codes.push_back(uint8_t(v - offset));
  return createConstant(n.b, n.loc, RankedTensorType::get(shape, code), codes)
      .getResult();
}

/// The constant numbers of the weights, each element less its zero point; the
/// zero points run along `dim`.
std::optional<SmallVector<int64_t>> constantNumbers(Node &n, Coded c,
                                                    int64_t dim) {
  auto values = n.ints(c.value);
  SmallVector<int64_t> zeros = {0};
  if (n.has(c.zero)) {
    auto given = n.ints(c.zero);
    if (!given || given->empty() || n.type(c.zero).getRank() > 1)
      return std::nullopt;
    zeros = *given;
  }
  if (!values)
    return std::nullopt;
  RankedTensorType type = n.type(c.value);
  int64_t inner = 1;
  for (int64_t size : type.getShape().drop_front(dim + 1))
    inner *= size;
  if (zeros.size() != 1 && int64_t(zeros.size()) != type.getDimSize(dim))
    return std::nullopt;
  for (auto [i, v] : llvm::enumerate(*values))
    v -= zeros[zeros.size() == 1 ? 0 : (i / inner) % zeros.size()];
  return values;
}

bool fitsAccumulator(Value x, Value w, int64_t terms) {
  auto xCode = cast<CodeType>(getElementTypeOrSelf(x));
  auto wCode = cast<CodeType>(getElementTypeOrSelf(w));
  return accumulatorBound(xCode, wCode, terms) <=
         std::numeric_limits<int32_t>::max();
}

/// The i32 sums of an integer convolution, channels last.
FailureOr<Value> integerConv(Node &n, Coded x, Coded w) {
  RankedTensorType xType = n.type(x.value), wType = n.type(w.value);
  int64_t rank = xType.getRank();
  if (rank < 3 || rank > 5 || wType.getRank() != rank ||
      !wType.hasStaticShape() || !isByte(n, x.value) || !isByte(n, w.value))
    return n.error() << "needs 8-bit operands of equal ranks from 3 to 5",
           failure();
  auto window = readWindow(n, xType.getShape().drop_front(2),
                           wType.getShape().drop_front(2));
  int64_t groups = n.attr("group", 1);
  if (failed(window) ||
      failed(checkConv(n, xType, *window, groups, wType.getDimSize(1),
                       wType.getDimSize(0))))
    return failure();
  auto zero = scalarZero(n, x.zero);
  auto values = constantNumbers(n, w, 0);
  if (zero && values && rank <= 4) {
    // OIHW to OHWI.
    int64_t outputs = wType.getDimSize(0), channels = wType.getDimSize(1);
    int64_t taps = values->size() / std::max<int64_t>(1, outputs * channels);
    SmallVector<int64_t> turned;
    for (int64_t k = 0; k < outputs; ++k)
      for (int64_t t = 0; t < taps; ++t)
        for (int64_t c = 0; c < channels; ++c)
          turned.push_back((*values)[(k * channels + c) * taps + t]);
    SmallVector<int64_t> shape = {outputs};
    llvm::append_range(shape, wType.getShape().drop_front(2));
    shape.push_back(channels);
    if (Value codes = weightCodes(n, turned, shape)) {
      Value input = inputCodes(n, x, *zero);
      if (fitsAccumulator(input, codes, taps * channels))
        return contract(n, n.toChannelsLast(input), codes, *window, groups);
    }
  }
  Value xs = n.toChannelsLast(numbers(n, x, 0));
  Value ws = n.toChannelsLast(numbers(n, w, 0));
  SmallVector<int64_t> low = {0}, high = {0};
  llvm::append_range(low, window->low);
  llvm::append_range(high, window->high);
  low.push_back(0);
  high.push_back(0);
  return genericConv(n, n.pad(xs, low, high, 0), ws, *window, groups);
}

/// The product of all rows of x, less the constant `zero`, with constant
/// columns [columns, k], or null where these are no codes or the sum may leave
/// int32.
Value codedMatMul(Node &n, Coded x, int64_t zero, ArrayRef<int64_t> weights,
                  int64_t columns) {
  RankedTensorType xType = n.type(x.value);
  int64_t k = xType.getShape().back(), rows = 1;
  Value codes = weightCodes(n, weights, {columns, k});
  if (!codes)
    return {};
  Value input = inputCodes(n, x, zero);
  if (!fitsAccumulator(input, codes, k))
    return {};
  for (int64_t size : xType.getShape().drop_back())
    rows = ShapedType::isDynamic(size) || ShapedType::isDynamic(rows)
               ? ShapedType::kDynamic
               : rows * size;
  Value y = n.make<MatMulOp>(n.reshape(input, {rows, k}), codes);
  return n.reshape(y, n.resultType().getShape());
}

/// sum((x - z) w) = sum(x w) - z sum(w) for a z that is known at run time, as
/// DynamicQuantizeLinear gives it; null where that may leave int32.
Value matMulWithZero(Node &n, Coded x, ArrayRef<int64_t> weights,
                     int64_t columns) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max() / 255;
  int64_t k = n.type(x.value).getShape().back();
  SmallVector<int32_t> sums;
  for (int64_t c = 0; c < columns; ++c) {
    int64_t sum = 0, magnitude = 0;
    for (int64_t w : weights.slice(c * k, k)) {
      sum += w;
      magnitude += std::abs(w);
    }
    if (magnitude > kMost)
      return {};
    sums.push_back(sum);
  }
  Value y = codedMatMul(n, x, 0, weights, columns);
  if (!y)
    return {};
  Type i32 = n.b.getI32Type();
  Value zero = n.cast(n.in(x.zero), n.type(x.zero).getElementType(), i32);
  Value sum = n.make<arith::ConstantOp>(DenseElementsAttr::get(
      RankedTensorType::get({columns}, i32), ArrayRef(sums)));
  SmallVector<int64_t> leading =
      llvm::to_vector(llvm::seq<int64_t>(0, typeOf(y).getRank() - 1));
  Value lost = n.make<arith::MulIOp>(n.broadcastLike(n.reshape(zero, {}), y),
                                     n.broadcastDims(sum, n.sizes(y), leading));
  return n.make<arith::SubIOp>(y, lost);
}

/// The i32 sums of an integer matrix product, numpy semantics.
FailureOr<Value> integerMatMul(Node &n, Coded x, Coded w) {
  RankedTensorType xType = n.type(x.value), wType = n.type(w.value);
  if (!isByte(n, x.value) || !isByte(n, w.value))
    return n.error() << "needs 8-bit operands", failure();
  auto zero = scalarZero(n, x.zero);
  auto values = wType.getRank() == 2 ? constantNumbers(n, w, 1) : std::nullopt;
  if (values && xType.getRank() >= 2) {
    int64_t k = wType.getDimSize(0), columns = wType.getDimSize(1);
    SmallVector<int64_t> turned;
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t i = 0; i < k; ++i)
        turned.push_back((*values)[i * columns + c]);
    Value y;
    if (zero)
      y = codedMatMul(n, x, *zero, turned, columns);
    else if (n.type(x.zero).hasStaticShape() &&
             n.type(x.zero).getNumElements() == 1)
      y = matMulWithZero(n, x, turned, columns);
    if (y)
      return y;
  }
  return matmul(n, numbers(n, x, xType.getRank() - 2),
                numbers(n, w, wType.getRank() - 1), n.resultType().getShape());
}

LogicalResult lowerConvInteger(Node &n) {
  auto sum = integerConv(n, {0, 2}, {1, 3});
  return failed(sum) ? failure() : n.set(n.toChannelsFirst(*sum));
}

LogicalResult lowerMatMulInteger(Node &n) {
  auto sum = integerMatMul(n, {0, 2}, {1, 3});
  return failed(sum) ? failure() : n.set(*sum);
}

/// A scale as a float32 list along `dim` of `like`.
Value scaleAt(Node &n, unsigned i, Value like, int64_t dim) {
  Value s = n.real(i);
  RankedTensorType type = typeOf(s);
  if (!type.hasStaticShape() || type.getNumElements() == 1)
    return n.broadcastLike(n.reshape(s, {}), like);
  if (type.getRank() > 1)
    return n.broadcastLike(s, like);
  SmallVector<int64_t> dims;
  for (int64_t d = 0; d < typeOf(like).getRank(); ++d)
    if (d != dim)
      dims.push_back(d);
  return n.broadcastDims(s, n.sizes(like), dims);
}

/// saturate(round(f32(acc) * (x_scale * w_scale / y_scale)) + y_zero), with
/// x_scale along `rows` and w_scale along `columns`.
LogicalResult requantise(Node &n, Value acc, ArrayRef<unsigned> scales,
                         unsigned zero, int64_t rows, int64_t columns) {
  Type to = n.resultType().getElementType();
  if (!isa<IntegerType>(to) || to.getIntOrFloatBitWidth() > 8)
    return n.error() << "to " << to << " is not supported", failure();
  auto f32 = TensorBuilder::withElement(acc, n.b.getF32Type());
  Value y = n.make<arith::SIToFPOp>(f32, acc);
  auto xs = n.floats(scales[0]), ws = n.floats(scales[1]),
       ys = n.floats(scales[2]);
  Value scale;
  if (xs && ws && ys && xs->size() == 1 && ys->size() == 1) {
    SmallVector<float> row;
    for (double w : *ws) {
      float product = float((*xs)[0]) * float(w);
      row.push_back(product / float((*ys)[0]));
    }
    scale = n.alongDim(y, row, columns);
  } else {
    Value product = n.make<arith::MulFOp>(scaleAt(n, scales[0], y, rows),
                                          scaleAt(n, scales[1], y, columns));
    scale = n.make<arith::DivFOp>(product, scaleAt(n, scales[2], y, rows));
  }
  y = n.make<math::RoundEvenOp>(n.make<arith::MulFOp>(y, scale));
  y = n.make<arith::AddFOp>(y, scaleAt(n, zero, y, rows));
  unsigned bits = to.getIntOrFloatBitWidth();
  bool bare = to.isUnsignedInteger();
  double low = bare ? 0 : -std::ldexp(1.0, int(bits) - 1);
  double high = std::ldexp(1.0, int(bits) - (bare ? 0 : 1)) - 1;
  y = n.make<arith::MaximumFOp>(y, n.splat(y, low));
  return n.setShadow(n.make<arith::MinimumFOp>(y, n.splat(y, high)));
}

LogicalResult lowerQLinearConv(Node &n) {
  auto sum = integerConv(n, {0, 2}, {3, 5});
  if (failed(sum))
    return failure();
  Value acc = n.toChannelsFirst(*sum);
  if (n.has(8)) {
    SmallVector<int64_t> dims;
    for (int64_t d = 0; d < typeOf(acc).getRank(); ++d)
      if (d != 1)
        dims.push_back(d);
    acc = n.make<arith::AddIOp>(acc,
                                n.broadcastDims(n.in(8), n.sizes(acc), dims));
  }
  return requantise(n, acc, {1, 4, 6}, 7, 1, 1);
}

LogicalResult lowerQLinearMatMul(Node &n) {
  auto sum = integerMatMul(n, {0, 2}, {3, 5});
  if (failed(sum))
    return failure();
  int64_t rank = typeOf(*sum).getRank();
  return requantise(n, *sum, {1, 4, 6}, 7, std::max<int64_t>(0, rank - 2),
                    std::max<int64_t>(0, rank - 1));
}

} // namespace

void conversion::addIntegerLowerings(LoweringTable &table) {
  table["ConvInteger"] = lowerConvInteger;
  table["MatMulInteger"] = lowerMatMulInteger;
  table["QLinearConv"] = lowerQLinearConv;
  table["QLinearMatMul"] = lowerQLinearMatMul;
}
