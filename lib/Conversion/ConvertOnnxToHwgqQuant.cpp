//===- ConvertOnnxToHwgqQuant.cpp - quantisers as float chains ------------===//
//
// QONNX's and ONNX's quantisers become the float32 arithmetic that defines
// them; which of them are step functions is found out afterwards.
//
//===----------------------------------------------------------------------===//
#include "OnnxLowering.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;
using arith::CmpFPredicate;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

namespace {

Value addF(TensorBuilder &b, Value x, Value y) {
  return b.make<arith::AddFOp>(x, y);
}
Value subF(TensorBuilder &b, Value x, Value y) {
  return b.make<arith::SubFOp>(x, y);
}
Value mulF(TensorBuilder &b, Value x, Value y) {
  return b.make<arith::MulFOp>(x, y);
}
Value divF(TensorBuilder &b, Value x, Value y) {
  return b.make<arith::DivFOp>(x, y);
}

Value clamp(TensorBuilder &b, Value x, double low, double high) {
  x = b.make<arith::MaximumFOp>(x, b.splat(x, low));
  return b.make<arith::MinimumFOp>(x, b.splat(x, high));
}

/// As clamp, and NaN gives `low`.
Value saturate(TensorBuilder &b, Value x, double low, double high) {
  Value nan = b.cmpf(CmpFPredicate::UNO, x, b.splat(x, 0));
  return b.select(nan, b.splat(x, low), clamp(b, x, low, high));
}

Value floorF(TensorBuilder &b, Value x) { return b.make<math::FloorOp>(x); }
Value ceilF(TensorBuilder &b, Value x) { return b.make<math::CeilOp>(x); }

/// QONNX's rounding modes; HALF_UP rounds halves away from zero and HALF_DOWN
/// toward it, UP is away from zero and DOWN toward it.
Value roundAs(TensorBuilder &b, Value x, StringRef mode) {
  if (mode == "CEIL")
    return ceilF(b, x);
  if (mode == "FLOOR")
    return floorF(b, x);
  if (mode == "ROUND" || mode == "HALF_EVEN")
    return b.make<math::RoundEvenOp>(x);
  Value positive = b.cmpf(CmpFPredicate::OGE, x, b.splat(x, 0));
  Value half = b.splat(x, 0.5);
  if (mode == "UP")
    return b.select(positive, ceilF(b, x), floorF(b, x));
  if (mode == "DOWN")
    return b.select(positive, floorF(b, x), ceilF(b, x));
  Value above = addF(b, x, half), below = subF(b, x, half);
  if (mode == "HALF_UP")
    return b.select(positive, floorF(b, above), ceilF(b, below));
  return b.select(positive, ceilF(b, below), floorF(b, above));
}

std::optional<int64_t> scalarInt(Node &n, unsigned i) {
  auto values = n.floats(i);
  if (!values || values->size() != 1 || !(std::fabs(values->front()) < 1e9) ||
      values->front() != std::floor(values->front()))
    return std::nullopt;
  return int64_t(values->front());
}

struct Range {
  double low, high;
};

Range codeRange(int64_t bits, bool isSigned, bool narrow) {
  double span = std::ldexp(1.0, int(bits - (isSigned ? 1 : 0)));
  return isSigned ? Range{-span + narrow, span - 1}
                  : Range{0, span - 1 - narrow};
}

/// Operand `i` in the element type of `x`, whose shape it is broadcast to:
/// scales and zero points also come as doubles or integers.
Value parameter(Node &n, unsigned i, Value x) {
  Value v = n.real(i);
  Type from = getElementTypeOrSelf(v), to = getElementTypeOrSelf(x);
  return n.broadcastLike(from == to ? v : n.cast(v, from, to), x);
}

/// A zero point that no code type of up to 8 bits has.
void remarkOnZeroPoint(Node &n, int64_t bits, Range range) {
  auto zeros = n.floats(2);
  if (!zeros || bits > 8)
    return;
  for (double zero : *zeros) {
    bool whole = zero == std::floor(zero);
    if (whole && std::max(zero - range.low, range.high - zero) <= 255)
      continue;
    std::string text;
    llvm::raw_string_ostream(text) << llvm::format(
        "Quant: with the zero point %g its levels scale * (q - zero) are no "
        "scale * n with whole n from -255 to 255, so layers behind it may stay "
        "on floats; a whole zero point near the range of q is supported",
        zero);
    emitRemark(n.loc) << text;
    return;
  }
}

/// Quant: y = x / scale + zero; clamp and round, or the sign for signed 1-bit
/// codes; (q - zero) * scale.
LogicalResult lowerQuant(Node &n) {
  auto bits = scalarInt(n, 3);
  if (!bits || *bits < 1 || *bits > 32)
    return n.error() << "needs a constant whole bit width from 1 to 32",
           failure();
  Value x = n.real(0);
  Value scale = parameter(n, 1, x);
  Value zero = parameter(n, 2, x);
  bool isSigned = n.attr("signed", 1);
  Value y = addF(n, divF(n, x, scale), zero), q;
  if (*bits == 1 && isSigned) {
    Value positive = n.cmpf(CmpFPredicate::OGE, y, n.splat(y, 0));
    q = n.select(positive, n.splat(y, 1), n.splat(y, -1));
  } else {
    Range range = codeRange(*bits, isSigned, n.attr("narrow", 0));
    remarkOnZeroPoint(n, *bits, range);
    q = roundAs(n, clamp(n, y, range.low, range.high),
                n.attrS("rounding_mode", "ROUND"));
  }
  return n.setReal(mulF(n, subF(n, q, zero), scale));
}

/// (x >= 0 ? 1 : -1) * scale
LogicalResult lowerBipolarQuant(Node &n) {
  Value x = n.real(0);
  Value positive = n.cmpf(CmpFPredicate::OGE, x, n.splat(x, 0));
  Value sign = n.select(positive, n.splat(x, 1), n.splat(x, -1));
  return n.setReal(mulF(n, sign, parameter(n, 1, x)));
}

/// Both versions of Trunc: y = round(x / scale + zero) over 2^k; version 1
/// rounds y and keeps scale and zero, version 2 clamps y first and has
/// out_scale, k = round(log2(out_scale / scale)), and zero over 2^k.
LogicalResult lowerTrunc(Node &n) {
  auto inBits = scalarInt(n, 3), outBits = scalarInt(n, 5);
  if (!inBits || !outBits || *inBits < 1 || *outBits < 1 || *inBits > 32 ||
      *outBits > 32)
    return n.error() << "needs constant whole bit widths from 1 to 32",
           failure();
  Value x = n.real(0);
  Value scale = parameter(n, 1, x);
  Value zero = parameter(n, 2, x);
  std::string mode = n.attrS("rounding_mode", "FLOOR");
  Value y = n.make<math::RoundEvenOp>(addF(n, divF(n, x, scale), zero));
  if (!n.has(4)) {
    y = divF(n, y, n.splat(y, std::ldexp(1.0, int(*inBits - *outBits))));
    return n.setReal(mulF(n, subF(n, roundAs(n, y, mode), zero), scale));
  }
  auto from = n.floats(1), to = n.floats(4);
  if (!from || !to || from->empty() || to->empty() ||
      (from->size() != 1 && to->size() != 1 && from->size() != to->size()))
    return n.error() << "needs constant scales", failure();
  std::optional<double> shift;
  for (size_t i = 0, e = std::max(from->size(), to->size()); i < e; ++i) {
    double ratio =
        (*to)[to->size() == 1 ? 0 : i] / (*from)[from->size() == 1 ? 0 : i];
    double k = std::nearbyint(std::log2(ratio));
    if (!std::isfinite(k) || std::fabs(k) > 64 || (shift && *shift != k))
      return n.error() << "needs one finite ratio of its scales for all "
                          "channels",
             failure();
    shift = k;
  }
  Value unit = n.splat(y, std::ldexp(1.0, int(*shift)));
  Range range = codeRange(*outBits, n.attr("signed", 1), n.attr("narrow", 0));
  y = roundAs(n, clamp(n, divF(n, y, unit), range.low, range.high), mode);
  y = subF(n, y, divF(n, zero, unit));
  return n.setReal(mulF(n, y, parameter(n, 4, x)));
}

/// Threshold t of every channel at the shape of `x`; constant, or an input.
Value thresholdsAt(Node &n, const std::optional<SmallVector<double>> &constant,
                   int64_t t, Value x, unsigned channel) {
  int64_t rows = n.type(1).getDimSize(0), count = n.type(1).getDimSize(1);
  if (constant) {
    SmallVector<float> row;
    for (int64_t c = 0; c < rows; ++c)
      row.push_back(float((*constant)[c * count + t]));
    return n.alongDim(x, row, channel);
  }
  Value column = n.slice(n.real(1), 1, t, 1);
  if (rows == 1)
    return n.broadcastLike(n.reshape(column, {}), x);
  SmallVector<int64_t> others;
  for (int64_t d = 0; d < typeOf(x).getRank(); ++d)
    if (d != int64_t(channel))
      others.push_back(d);
  return n.broadcastDims(n.reshape(column, {rows}), n.sizes(x), others);
}

/// out_scale * #{t : x >= t} + out_bias, the thresholds of each channel.
LogicalResult lowerMultiThreshold(Node &n) {
  auto thresholds = n.floats(1);
  RankedTensorType table = n.type(1);
  constexpr int64_t kMost = 1 << 12;
  if (table.getRank() != 2 || !table.hasStaticShape() ||
      table.getDimSize(1) > kMost)
    return n.error() << "needs thresholds of static shape, at most " << kMost
                     << " a channel",
           failure();
  Value x = n.real(0);
  int64_t rank = typeOf(x).getRank(), rows = table.getDimSize(0);
  int64_t count = table.getDimSize(1);
  bool last = StringRef(n.attrS("data_layout", "NCHW")).ends_with("C");
  unsigned channel = last && rank > 1 ? rank - 1 : 1;
  if (rows != 1 && (rank < 2 || typeOf(x).getDimSize(channel) != rows))
    return n.error() << "has thresholds for " << rows << " channels", failure();
  Value sum;
  for (int64_t t = 0; t < count; ++t) {
    Value step = n.cmpf(CmpFPredicate::OGE, x,
                        thresholdsAt(n, thresholds, t, x, channel));
    Value one = n.make<arith::UIToFPOp>(x.getType(), step);
    sum = sum ? addF(n, sum, one) : one;
  }
  if (!sum)
    sum = n.splat(x, 0);
  double scale = n.attrF("out_scale", 1), bias = n.attrF("out_bias", 0);
  if (scale != 1)
    sum = mulF(n, sum, n.splat(x, scale));
  if (bias != 0)
    sum = addF(n, sum, n.splat(x, bias));
  return n.setReal(sum);
}

//===----------------------------------------------------------------------===//
// QuantizeLinear, DequantizeLinear
//===----------------------------------------------------------------------===//

/// A scale or zero point of rank 0 or 1 at the shape of `like`, along `axis`.
Value parameter(Node &n, unsigned i, Value like, int64_t axis) {
  Value p = n.real(i);
  RankedTensorType type = typeOf(p);
  if (auto values = n.floats(i); values && !values->empty()) {
    SmallVector<float> row(values->begin(), values->end());
    if (row.size() == 1 || getElementTypeOrSelf(like).isF32())
      return n.alongDim(like, row, axis);
  }
  if (type.getRank() == 0 || type.getDimSize(0) == 1)
    return n.broadcastLike(n.reshape(p, {}), like);
  SmallVector<int64_t> dims;
  for (int64_t d = 0; d < typeOf(like).getRank(); ++d)
    if (d != axis)
      dims.push_back(d);
  return n.broadcastDims(p, n.sizes(like), dims);
}

LogicalResult checkAxis(Node &n, int64_t &axis) {
  if (n.attr("block_size", 0))
    return n.error() << "with block_size is not supported; scales per tensor "
                        "and per axis are",
           failure();
  for (unsigned i : {1, 2}) {
    if (!n.has(i))
      continue;
    if (!n.type(i).hasStaticShape() || n.type(i).getRank() > 1)
      return n.error() << "needs scales and zero points of rank 0 or 1",
             failure();
    if (n.type(i).getNumElements() == 1) {
      axis = 0;
      continue;
    }
    auto named = n.axis(n.attr("axis", 1), n.type(0).getRank());
    if (failed(named))
      return failure();
    axis = *named;
    if (n.type(i).getNumElements() != n.type(0).getDimSize(axis))
      return n.error() << "has " << n.type(i).getNumElements()
                       << " scales or zero points for an axis of "
                       << n.type(0).getDimSize(axis),
             failure();
  }
  return success();
}

/// saturate(round_half_even(x / scale) + zero), held as float32. NaN gives the
/// least code.
LogicalResult lowerQuantizeLinear(Node &n) {
  int64_t axis = 0;
  if (failed(checkAxis(n, axis)))
    return failure();
  auto type = dyn_cast<IntegerType>(n.resultType().getElementType());
  if (!type || type.getWidth() > 16 || n.type(0).getElementType().isF64())
    return n.error() << "to " << n.resultType().getElementType()
                     << " is not supported; integers of up to 16 bits are",
           failure();
  Value x = n.real(0);
  Value q = n.make<math::RoundEvenOp>(divF(n, x, parameter(n, 1, x, axis)));
  if (n.has(2))
    q = addF(n, q, parameter(n, 2, x, axis));
  Range range = codeRange(type.getWidth(), !type.isUnsigned(), false);
  return n.setShadow(saturate(n, q, range.low, range.high));
}

/// (x - zero) * scale
LogicalResult lowerDequantizeLinear(Node &n) {
  int64_t axis = 0;
  if (failed(checkAxis(n, axis)))
    return failure();
  Type from = n.type(0).getElementType();
  if (!isa<IntegerType>(from))
    return n.error() << "from " << from << " is not supported; integers are",
           failure();
  bool wide = from.getIntOrFloatBitWidth() > 16;
  if (wide) { // the difference is exact in integers alone
    Value x = n.in(0);
    if (n.has(2)) {
      Value zero = n.in(2);
      SmallVector<int64_t> dims;
      for (int64_t d = 0; d < typeOf(x).getRank(); ++d)
        if (d != axis)
          dims.push_back(d);
      zero = n.type(2).getNumElements() == 1
                 ? n.broadcastLike(n.reshape(zero, {}), x)
                 : n.broadcastDims(zero, n.sizes(x), dims);
      x = n.make<arith::SubIOp>(x, zero);
    }
    x = n.cast(x, from, n.b.getF32Type());
    return n.setReal(mulF(n, x, parameter(n, 1, x, axis)));
  }
  Value x = n.real(0);
  if (n.has(2))
    x = subF(n, x, parameter(n, 2, x, axis));
  return n.setReal(mulF(n, x, parameter(n, 1, x, axis)));
}

/// scale = (max(0, max x) - min(0, min x)) / 255, or 1 / 255 where all x are 0;
/// zero = saturate(round(-min(0, min x) / scale)), y = saturate(round(x /
/// scale)
/// + zero). A NaN gives 0.
LogicalResult lowerDynamicQuantizeLinear(Node &n) {
  Value x = n.real(0);
  SmallVector<int64_t> axes =
      llvm::to_vector(llvm::seq<int64_t>(0, typeOf(x).getRank()));
  FloatAttr nothing = n.b.getF32FloatAttr(0);
  Value top =
      n.reduce(x, axes, nothing, [](OpBuilder &b, Value a, Value e) -> Value {
        return arith::MaximumFOp::create(b, e.getLoc(), a, e);
      });
  Value low =
      n.reduce(x, axes, nothing, [](OpBuilder &b, Value a, Value e) -> Value {
        return arith::MinimumFOp::create(b, e.getLoc(), a, e);
      });
  Value flat = n.cmpf(CmpFPredicate::OEQ, top, low);
  Value span = n.select(flat, n.splat(top, 1), subF(n, top, low));
  Value scale = divF(n, span, n.splat(top, 255));
  Value zero = divF(n, subF(n, n.splat(low, 0), low), scale);
  zero = n.make<math::RoundEvenOp>(saturate(n, zero, 0, 255));
  Value q = n.make<math::RoundEvenOp>(divF(n, x, n.broadcastLike(scale, x)));
  q = saturate(n, addF(n, q, n.broadcastLike(zero, x)), 0, 255);
  if (failed(n.setShadow(q, 0)) || failed(n.setReal(scale, 1)))
    return failure();
  return n.setShadow(zero, 2);
}

} // namespace

void conversion::addQuantLowerings(LoweringTable &table) {
  table["Quant"] = lowerQuant;
  table["BipolarQuant"] = lowerBipolarQuant;
  table["Trunc"] = lowerTrunc;
  table["MultiThreshold"] = lowerMultiThreshold;
  table["QuantizeLinear"] = lowerQuantizeLinear;
  table["DequantizeLinear"] = lowerDequantizeLinear;
  table["DynamicQuantizeLinear"] = lowerDynamicQuantizeLinear;
}
