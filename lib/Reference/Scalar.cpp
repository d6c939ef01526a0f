//===- Scalar.cpp - exact arithmetic of element-wise ops ------------------===//
#include "hwgq/Reference/Scalar.h"
#include "ScalarMath.h"

using namespace mlir;
using namespace hwgq::reference;
using Kind = Scalar::Kind;

#pragma STDC FP_CONTRACT OFF

std::optional<Kind> hwgq::reference::getScalarKind(Type element) {
  if (element.isF32() || element.isF16() || element.isBF16())
    return Kind::F32;
  if (element.isF64())
    return Kind::F64;
  auto integer = dyn_cast<IntegerType>(element);
  if (element.isIndex() || (integer && integer.getWidth() <= 64))
    return Kind::Int;
  return std::nullopt;
}

float hwgq::reference::roundToElement(float value, Type element) {
  auto type = dyn_cast<FloatType>(element);
  if (!type || type.getWidth() >= 32)
    return value;
  APFloat rounded(value);
  bool lost;
  rounded.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                  &lost);
  rounded.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &lost);
  return rounded.convertToFloat();
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

namespace {
using K = ElementKernel;

template <typename T, typename F>
bool unary(const K &, const void *const *in, void *out, int64_t n) {
  auto *a = static_cast<const T *>(in[0]);
  for (int64_t i = 0; i < n; ++i)
    static_cast<T *>(out)[i] = F::apply(a[i]);
  return true;
}

template <typename T, typename F>
bool binary(const K &, const void *const *in, void *out, int64_t n) {
  auto *a = static_cast<const T *>(in[0]), *b = static_cast<const T *>(in[1]);
  for (int64_t i = 0; i < n; ++i)
    static_cast<T *>(out)[i] = F::apply(a[i], b[i]);
  return true;
}

/// Integer operations see the width of their operands.
template <typename F>
bool integer1(const K &k, const void *const *in, void *out, int64_t n) {
  auto *a = static_cast<const int64_t *>(in[0]);
  for (int64_t i = 0; i < n; ++i)
    static_cast<int64_t *>(out)[i] =
        wrapInteger(F::apply(a[i], k.operandWidth), k.resultWidth);
  return true;
}

template <typename F>
bool integer2(const K &k, const void *const *in, void *out, int64_t n) {
  auto *a = static_cast<const int64_t *>(in[0]);
  auto *b = static_cast<const int64_t *>(in[1]);
  for (int64_t i = 0; i < n; ++i)
    static_cast<int64_t *>(out)[i] =
        wrapInteger(F::apply(a[i], b[i], k.operandWidth), k.resultWidth);
  return true;
}

/// Divisions, undefined for a divisor of 0.
template <typename F>
bool division(const K &k, const void *const *in, void *out, int64_t n) {
  auto *b = static_cast<const int64_t *>(in[1]);
  for (int64_t i = 0; i < n; ++i)
    if (b[i] == 0)
      return false;
  return integer2<F>(k, in, out, n);
}

template <typename T>
bool fusedMultiplyAdd(const K &, const void *const *in, void *out, int64_t n) {
  auto *a = static_cast<const T *>(in[0]), *b = static_cast<const T *>(in[1]);
  auto *c = static_cast<const T *>(in[2]);
  for (int64_t i = 0; i < n; ++i)
    static_cast<T *>(out)[i] = std::fma(a[i], b[i], c[i]);
  return true;
}

template <typename T>
bool select(const K &, const void *const *in, void *out, int64_t n) {
  auto *c = static_cast<const int64_t *>(in[0]);
  auto *a = static_cast<const T *>(in[1]), *b = static_cast<const T *>(in[2]);
  for (int64_t i = 0; i < n; ++i)
    static_cast<T *>(out)[i] = c[i] ? a[i] : b[i];
  return true;
}

template <typename T>
bool compareFloat(const K &k, const void *const *in, void *out, int64_t n) {
  auto *a = static_cast<const T *>(in[0]), *b = static_cast<const T *>(in[1]);
  auto predicate = static_cast<arith::CmpFPredicate>(k.predicate);
  for (int64_t i = 0; i < n; ++i)
    static_cast<int64_t *>(out)[i] = compareFloats(predicate, a[i], b[i]);
  return true;
}

bool compareInteger(const K &k, const void *const *in, void *out, int64_t n) {
  auto *a = static_cast<const int64_t *>(in[0]);
  auto *b = static_cast<const int64_t *>(in[1]);
  auto predicate = static_cast<arith::CmpIPredicate>(k.predicate);
  for (int64_t i = 0; i < n; ++i)
    static_cast<int64_t *>(out)[i] =
        compareIntegers(predicate, a[i], b[i], k.operandWidth);
  return true;
}

template <typename T>
bool constant(const K &k, const void *const *, void *out, int64_t n) {
  T value;
  if constexpr (std::is_same_v<T, float>)
    value = k.constant.f32;
  else if constexpr (std::is_same_v<T, double>)
    value = k.constant.f64;
  else
    value = k.constant.i;
  std::fill_n(static_cast<T *>(out), n, value);
  return true;
}

/// Conversions between kinds: F sees the widths of both sides.
template <typename From, typename To, typename F>
bool convert(const K &k, const void *const *in, void *out, int64_t n) {
  auto *a = static_cast<const From *>(in[0]);
  for (int64_t i = 0; i < n; ++i)
    static_cast<To *>(out)[i] = F::template apply<From, To>(a[i], k);
  return true;
}
} // namespace

//===----------------------------------------------------------------------===//
// Choice of the loop
//===----------------------------------------------------------------------===//

template <typename F> static K::Function floats1(Kind kind) {
  return kind == Kind::F32   ? K::Function(unary<float, F>)
         : kind == Kind::F64 ? K::Function(unary<double, F>)
                             : nullptr;
}

template <typename F> static K::Function floats2(Kind kind) {
  return kind == Kind::F32   ? K::Function(binary<float, F>)
         : kind == Kind::F64 ? K::Function(binary<double, F>)
                             : nullptr;
}

static K::Function getFloatFunction(Operation *op, Kind kind) {
  return llvm::TypeSwitch<Operation *, K::Function>(op)
      .Case([&](arith::MulFOp) { return floats2<Mul>(kind); })
      .Case([&](arith::AddFOp) { return floats2<Add>(kind); })
      .Case([&](arith::SubFOp) { return floats2<Sub>(kind); })
      .Case([&](arith::DivFOp) { return floats2<Div>(kind); })
      .Case([&](arith::MaximumFOp) { return floats2<Maximum>(kind); })
      .Case([&](arith::MinimumFOp) { return floats2<Minimum>(kind); })
      .Case([&](arith::MaxNumFOp) { return floats2<MaxNum>(kind); })
      .Case([&](arith::MinNumFOp) { return floats2<MinNum>(kind); })
      .Case([&](arith::RemFOp) { return floats2<Rem>(kind); })
      .Case([&](arith::NegFOp) { return floats1<Neg>(kind); })
      .Case([&](math::RoundEvenOp) { return floats1<RoundEven>(kind); })
      .Case([&](math::FloorOp) { return floats1<Floor>(kind); })
      .Case([&](math::CeilOp) { return floats1<Ceil>(kind); })
      .Case([&](math::RoundOp) { return floats1<Round>(kind); })
      .Case([&](math::TruncOp) { return floats1<Trunc>(kind); })
      .Case([&](math::AbsFOp) { return floats1<Abs>(kind); })
      .Case([&](math::SqrtOp) { return floats1<Sqrt>(kind); })
      .Case([&](math::CopySignOp) { return floats2<CopySign>(kind); })
      .Case([&](math::FmaOp) {
        return kind == Kind::F32   ? K::Function(fusedMultiplyAdd<float>)
               : kind == Kind::F64 ? K::Function(fusedMultiplyAdd<double>)
                                   : nullptr;
      })
      .Case([&](arith::CmpFOp) {
        return kind == Kind::F32   ? K::Function(compareFloat<float>)
               : kind == Kind::F64 ? K::Function(compareFloat<double>)
                                   : nullptr;
      })
      .Default(nullptr);
}

static K::Function getIntegerFunction(Operation *op) {
  return llvm::TypeSwitch<Operation *, K::Function>(op)
      .Case([](arith::AddIOp) { return integer2<AddI>; })
      .Case([](arith::SubIOp) { return integer2<SubI>; })
      .Case([](arith::MulIOp) { return integer2<MulI>; })
      .Case([](arith::DivSIOp) { return division<DivS>; })
      .Case([](arith::DivUIOp) { return division<DivU>; })
      .Case([](arith::FloorDivSIOp) { return division<FloorDivS>; })
      .Case([](arith::CeilDivSIOp) { return division<CeilDivS>; })
      .Case([](arith::CeilDivUIOp) { return division<CeilDivU>; })
      .Case([](arith::RemSIOp) { return division<RemS>; })
      .Case([](arith::RemUIOp) { return division<RemU>; })
      .Case([](arith::AndIOp) { return integer2<And>; })
      .Case([](arith::OrIOp) { return integer2<Or>; })
      .Case([](arith::XOrIOp) { return integer2<Xor>; })
      .Case([](arith::ShLIOp) { return integer2<ShL>; })
      .Case([](arith::ShRSIOp) { return integer2<ShRS>; })
      .Case([](arith::ShRUIOp) { return integer2<ShRU>; })
      .Case([](arith::MaxSIOp) { return integer2<MaxS>; })
      .Case([](arith::MinSIOp) { return integer2<MinS>; })
      .Case([](arith::MaxUIOp) { return integer2<MaxU>; })
      .Case([](arith::MinUIOp) { return integer2<MinU>; })
      .Case([](arith::CmpIOp) { return compareInteger; })
      .Case<arith::ExtSIOp, arith::TruncIOp, arith::IndexCastOp>(
          [](auto) { return integer1<Signed>; })
      .Case<arith::ExtUIOp, arith::IndexCastUIOp>(
          [](auto) { return integer1<Unsigned>; })
      .Case([](math::CtPopOp) { return integer1<PopCount>; })
      .Case([](math::AbsIOp) { return integer1<AbsI>; })
      .Default(nullptr);
}

/// Conversions that change the kind or the float type.
template <typename F> static K::Function fromInteger(Kind to) {
  return to == Kind::F32   ? K::Function(convert<int64_t, float, F>)
         : to == Kind::F64 ? K::Function(convert<int64_t, double, F>)
                           : nullptr;
}

template <typename F> static K::Function toInteger(Kind from) {
  return from == Kind::F32   ? K::Function(convert<float, int64_t, F>)
         : from == Kind::F64 ? K::Function(convert<double, int64_t, F>)
                             : nullptr;
}

static K::Function getFloatCast(Kind from, Kind to) {
  if (from == Kind::Int || to == Kind::Int)
    return nullptr;
  if (from == Kind::F32)
    return to == Kind::F32 ? K::Function(convert<float, float, FloatCast>)
                           : K::Function(convert<float, double, FloatCast>);
  return to == Kind::F32 ? K::Function(convert<double, float, FloatCast>)
                         : K::Function(convert<double, double, FloatCast>);
}

namespace {
/// bfloat16 is held as the equal float32.
struct BFloatToBits {
  template <typename From, typename To> static To apply(From x, const K &) {
    return int16_t(llvm::bit_cast<uint32_t>(x) >> 16);
  }
};
struct BitsToBFloat {
  template <typename From, typename To> static To apply(From x, const K &) {
    return llvm::bit_cast<float>(uint32_t(x) << 16);
  }
};
} // namespace

static K::Function getBitCast(Type from, Type to) {
  if (from.isBF16() && to.isInteger(16))
    return convert<float, int64_t, BFloatToBits>;
  if (from.isInteger(16) && to.isBF16())
    return convert<int64_t, float, BitsToBFloat>;
  if (from.isF32() && to.isInteger(32))
    return convert<float, int64_t, BitCast>;
  if (from.isInteger(32) && to.isF32())
    return convert<int64_t, float, BitCast>;
  if (from.isF64() && to.isInteger(64))
    return convert<double, int64_t, BitCast>;
  if (from.isInteger(64) && to.isF64())
    return convert<int64_t, double, BitCast>;
  return nullptr;
}

static K::Function getConversion(Operation *op, Type from, Type to, Kind source,
                                 Kind target) {
  return llvm::TypeSwitch<Operation *, K::Function>(op)
      .Case([&](arith::SIToFPOp) { return fromInteger<SignedToFloat>(target); })
      .Case(
          [&](arith::UIToFPOp) { return fromInteger<UnsignedToFloat>(target); })
      .Case([&](arith::FPToSIOp) { return toInteger<FloatToSigned>(source); })
      .Case([&](arith::FPToUIOp) { return toInteger<FloatToUnsigned>(source); })
      .Case<arith::ExtFOp, arith::TruncFOp>(
          [&](auto) { return getFloatCast(source, target); })
      .Case([&](arith::BitcastOp) { return getBitCast(from, to); })
      .Case([&](arith::SelectOp) {
        return target == Kind::F32   ? K::Function(select<float>)
               : target == Kind::F64 ? K::Function(select<double>)
                                     : K::Function(select<int64_t>);
      })
      .Default(nullptr);
}

static unsigned getWidth(Type element) {
  return element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
}

/// The value of a scalar or splat constant.
static std::optional<Scalar> getConstant(Attribute attr) {
  if (auto splat = dyn_cast<SplatElementsAttr>(attr))
    attr = splat.getSplatValue<Attribute>();
  if (auto value = dyn_cast<FloatAttr>(attr)) {
    APFloat number = value.getValue();
    bool lost;
    if (value.getType().isF64())
      return Scalar::ofF64(number.convertToDouble());
    number.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &lost);
    return Scalar::ofF32(number.convertToFloat());
  }
  if (auto value = dyn_cast<IntegerAttr>(attr)) {
    unsigned width = value.getValue().getBitWidth();
    if (width <= 64)
      return Scalar::ofInt(
          wrapInteger(int64_t(value.getValue().getZExtValue()), width));
  }
  return std::nullopt;
}

static K::Function getConstantFunction(Kind kind) {
  return kind == Kind::F32   ? K::Function(constant<float>)
         : kind == Kind::F64 ? K::Function(constant<double>)
                             : K::Function(constant<int64_t>);
}

std::optional<ElementKernel> hwgq::reference::getElementKernel(Operation *op) {
  if (op->getNumResults() != 1)
    return std::nullopt;
  Type to = getElementTypeOrSelf(op->getResult(0).getType());
  std::optional<Kind> target = getScalarKind(to);
  if (!target)
    return std::nullopt;
  ElementKernel kernel;
  kernel.resultKind = *target;
  kernel.resultWidth = getWidth(to);
  kernel.resultElement = to;
  kernel.roundResult = kernel.resultKind == Kind::F32 && !to.isF32();
  if (auto constantOp = dyn_cast<arith::ConstantOp>(op)) {
    std::optional<Scalar> value = getConstant(constantOp.getValue());
    if (!value || value->kind != *target)
      return std::nullopt;
    kernel.constant = *value;
    kernel.run = getConstantFunction(*target);
    return kernel;
  }
  if (op->getNumOperands() == 0 || op->getNumOperands() > 3)
    return std::nullopt;
  Type from = getElementTypeOrSelf(op->getOperands().back().getType());
  std::optional<Kind> source = getScalarKind(from);
  if (!source)
    return std::nullopt;
  kernel.numOperands = op->getNumOperands();
  kernel.operandKind = *source;
  kernel.operandWidth = getWidth(from);
  if (auto compare = dyn_cast<arith::CmpFOp>(op))
    kernel.predicate = int64_t(compare.getPredicate());
  if (auto compare = dyn_cast<arith::CmpIOp>(op))
    kernel.predicate = int64_t(compare.getPredicate());
  // Rounding twice is harmless for single operations on f16, but not for fma.
  if (isa<math::FmaOp>(op) && kernel.roundResult)
    return std::nullopt;
  kernel.run = *source == Kind::Int ? getIntegerFunction(op)
                                    : getFloatFunction(op, *source);
  if (!kernel.run)
    kernel.run = getConversion(op, from, to, *source, *target);
  if (!kernel.run)
    return std::nullopt;
  return kernel;
}

std::optional<Scalar>
hwgq::reference::evaluateScalar(Operation *op, ArrayRef<Scalar> operands) {
  std::optional<ElementKernel> kernel = getElementKernel(op);
  if (!kernel || operands.size() != kernel->numOperands)
    return std::nullopt;
  const void *in[3];
  for (size_t i = 0; i < operands.size(); ++i) {
    std::optional<Kind> kind =
        getScalarKind(getElementTypeOrSelf(op->getOperand(i).getType()));
    if (kind != operands[i].kind)
      return std::nullopt;
    in[i] = &operands[i].i;
  }
  Scalar result;
  result.kind = kernel->resultKind;
  if (!kernel->run(*kernel, in, &result.i, 1))
    return std::nullopt;
  if (kernel->roundResult)
    result.f32 = roundToElement(result.f32, kernel->resultElement);
  return result;
}
