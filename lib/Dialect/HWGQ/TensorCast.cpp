//===- TensorCast.cpp - element types of tensors to others ----------------===//
#include "hwgq/Dialect/SmallFloats.h"
#include "hwgq/Dialect/TensorBuilder.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace hwgq;

Type hwgq::convertElementType(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type)) {
    unsigned width = integer.getWidth();
    if (width > 1 && width < 8)
      width = 8;
    return IntegerType::get(type.getContext(), width);
  }
  return isSmallFloat(type) ? IntegerType::get(type.getContext(), 8) : type;
}

static bool isUnsigned(Type type) {
  return type.isUnsignedInteger() || type.isInteger(1);
}

/// Keeps the low bits of a 2- or 4-bit integer held in i8.
static Value narrowTo(TensorBuilder &b, Value v, Type to) {
  unsigned width = to.getIntOrFloatBitWidth();
  if (width == 1 || width >= 8)
    return v;
  if (isUnsigned(to))
    return b.make<arith::AndIOp>(v, b.splat(v, (1 << width) - 1));
  Value shift = b.splat(v, 8 - width);
  Value up = b.make<arith::ShLIOp>(v, shift);
  return b.make<arith::ShRSIOp>(up, shift);
}

static Value resizeInt(TensorBuilder &b, Value v, bool fromUnsigned,
                       Type element) {
  unsigned from = getElementTypeOrSelf(v).getIntOrFloatBitWidth();
  unsigned to = element.getIntOrFloatBitWidth();
  RankedTensorType type = TensorBuilder::withElement(v, element);
  if (to < from)
    return b.make<arith::TruncIOp>(type, v);
  if (to == from)
    return v;
  return fromUnsigned ? b.make<arith::ExtUIOp>(type, v)
                      : b.make<arith::ExtSIOp>(type, v);
}

/// Truncation toward zero; NaN gives 0 and what the widest intermediate
/// cannot hold is clamped to it, then the low bits are kept.
static Value floatToInt(TensorBuilder &b, Value v, Type to) {
  Type element = convertElementType(to);
  unsigned width = element.getIntOrFloatBitWidth();
  if (to.getIntOrFloatBitWidth() < 8)
    v = b.make<math::RoundEvenOp>(v);
  Value ordered = b.cmpf(arith::CmpFPredicate::ORD, v, v);
  v = b.select(ordered, v, b.splat(v, 0));
  bool wide = width > 32 || (width == 32 && isUnsigned(to));
  bool wideUnsigned = width == 64 && isUnsigned(to);
  bool f64 = getElementTypeOrSelf(v).isF64();
  double low = wideUnsigned ? 0.0 : wide ? -0x1p63 : -0x1p31;
  double high = wideUnsigned ? 0x1p64 : wide ? 0x1p63 : 0x1p31;
  high = f64 ? std::nextafter(high, 0.0)
             : double(std::nextafterf(float(high), 0.0f));
  v = b.make<arith::MaximumFOp>(v, b.splat(v, low));
  v = b.make<arith::MinimumFOp>(v, b.splat(v, high));
  auto type = TensorBuilder::withElement(v, b.b.getIntegerType(wide ? 64 : 32));
  Value whole = wideUnsigned ? b.make<arith::FPToUIOp>(type, v)
                             : b.make<arith::FPToSIOp>(type, v);
  return narrowTo(b, resizeInt(b, whole, false, element), to);
}

Value TensorBuilder::cast(Value v, Type from, Type to, bool saturate) {
  if (from == to)
    return v;
  Type f32 = b.getF32Type();
  if (isSmallFloat(from))
    return cast(decodeSmallFloat(*this, v, mlir::cast<FloatType>(from)), f32,
                to);
  if (isSmallFloat(to))
    return encodeSmallFloat(*this, cast(v, from, f32),
                            mlir::cast<FloatType>(to), saturate);
  if (from.isBF16())
    return cast(extendBFloat(*this, v), f32, to);
  if (to.isBF16())
    return truncateToBFloat(*this, cast(v, from, f32));
  Type element = convertElementType(to);
  RankedTensorType type = withElement(v, element);
  bool fromFloat = isa<FloatType>(from), toFloat = isa<FloatType>(to);
  if (fromFloat && toFloat) {
    unsigned a = from.getIntOrFloatBitWidth(), c = to.getIntOrFloatBitWidth();
    return a < c ? make<arith::ExtFOp>(type, v)
                 : make<arith::TruncFOp>(type, v);
  }
  if (to.isInteger(1))
    return fromFloat ? cmpf(arith::CmpFPredicate::UNE, v, splat(v, 0))
                     : cmpi(arith::CmpIPredicate::ne, v, splat(v, 0));
  if (toFloat) {
    if (element.getIntOrFloatBitWidth() < 32)
      return cast(cast(v, from, b.getF32Type()), b.getF32Type(), to);
    return isUnsigned(from) ? make<arith::UIToFPOp>(type, v)
                            : make<arith::SIToFPOp>(type, v);
  }
  if (fromFloat) {
    if (from.getIntOrFloatBitWidth() < 32)
      v = cast(v, from, b.getF32Type());
    return floatToInt(*this, v, to);
  }
  return narrowTo(*this, resizeInt(*this, v, isUnsigned(from), element), to);
}
