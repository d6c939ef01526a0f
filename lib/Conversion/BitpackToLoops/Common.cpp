//===- Common.cpp - types, constants and fma of the loops -----------------===//
#include "hwgq/Conversion/BitpackToLoops.h"
#include "hwgq/Dialect/Bitpack.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace hwgq;

LoopOptions LoopOptions::get(ArrayRef<std::string> features) {
  llvm::StringSet<> have;
  for (StringRef feature : features)
    if (!feature.starts_with("-"))
      have.insert(feature.ltrim('+'));
  LoopOptions options;
  options.fma = (have.contains("neon") || have.contains("fma")) &&
                !llvm::is_contained(features, "-fma");
  if (have.contains("neon")) {
    options.vectorRegisters = 32;
    options.neon = true;
    options.dotprod = have.contains("dotprod");
    options.i8mm = have.contains("i8mm");
    options.sve = have.contains("sve");
    return options;
  }
  if (have.contains("avx2"))
    options.vectorBytes = 32;
  options.avxVnni = have.contains("avxvnni");
  // Byte shuffles of 64 bytes come with AVX512BW.
  if (have.contains("avx512bw") && have.contains("avx512vl")) {
    options.vectorBytes = 64;
    options.vectorRegisters = 32;
    options.avx512Vnni = have.contains("avx512vnni");
    options.vectorPopcount = have.contains("avx512vpopcntdq");
    options.bytePermute = have.contains("avx512vbmi");
  }
  return options;
}

void hwgq::populateBitpackTypeConversions(TypeConverter &converter) {
  converter.addConversion([](RankedTensorType type) -> std::optional<Type> {
    if (!bitpack::isPacked(type))
      return std::nullopt;
    bitpack::LayoutAttr layout = bitpack::getLayout(type);
    return MemRefType::get(layout.getPhysicalShape(type),
                           layout.getElementType());
  });
}

/// `value` with another shape of as many elements.
static ElementsAttr reshapeElements(ElementsAttr value, RankedTensorType type) {
  if (value.getType() == type)
    return value;
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value))
    return DenseResourceElementsAttr::get(type, resource.getRawHandle());
  return cast<DenseElementsAttr>(value).reshape(type);
}

Value hwgq::createGlobalConstant(OpBuilder &builder, Location loc,
                                 MemRefType type, ElementsAttr value) {
  Operation *block = builder.getInsertionBlock()->getParentOp();
  auto module = dyn_cast<ModuleOp>(block);
  if (!module)
    module = block->getParentOfType<ModuleOp>();
  value = reshapeElements(
      value, RankedTensorType::get(type.getShape(), type.getElementType()));
  unsigned number = 0;
  for (auto global : module.getOps<memref::GlobalOp>()) {
    if (global.getType() == type && global.getInitialValueAttr() == value &&
        global.getConstant())
      return memref::GetGlobalOp::create(builder, loc, type,
                                         global.getSymName());
    ++number;
  }
  std::string name;
  do
    name = "constant_" + std::to_string(number++);
  while (module.lookupSymbol(name));
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(module.getBody());
    memref::GlobalOp::create(builder, loc, name,
                             builder.getStringAttr("private"), type, value,
                             /*constant=*/true, builder.getI64IntegerAttr(64));
  }
  return memref::GetGlobalOp::create(builder, loc, type, name);
}

/// A constant of `type`, a scalar or a vector, with every element `value`.
static Value splat(ImplicitLocOpBuilder &b, Type type, TypedAttr value) {
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(vector, Attribute(value)));
  return arith::ConstantOp::create(b, value);
}

Value hwgq::createFma(OpBuilder &builder, Location loc, Value x, Value y,
                      Value z, const LoopOptions &options) {
  if (options.fma)
    return math::FmaOp::create(builder, loc, x, y, z);
  ImplicitLocOpBuilder b(loc, builder);
  Type single = x.getType();
  auto like = [&](Type element) -> Type {
    if (auto vector = dyn_cast<VectorType>(single))
      return VectorType::get(vector.getShape(), element);
    return element;
  };
  Type f64 = like(b.getF64Type()), i64 = like(b.getI64Type());
  auto wide = [&](Value v) -> Value {
    return arith::ExtFOp::create(b, f64, v);
  };
  auto add = [&](Value u, Value v) -> Value {
    return arith::AddFOp::create(b, u, v);
  };
  auto sub = [&](Value u, Value v) -> Value {
    return arith::SubFOp::create(b, u, v);
  };
  Value p = arith::MulFOp::create(b, wide(x), wide(y)), c = wide(z);
  // TwoSum: p + c = s + e exactly.
  Value s = add(p, c), bb = sub(s, p);
  Value e = add(sub(p, sub(s, bb)), sub(c, bb));
  // Where e != 0 and s is even, step s one place towards e.
  Value zero = splat(b, i64, b.getI64IntegerAttr(0));
  Value one = splat(b, i64, b.getI64IntegerAttr(1));
  Value fzero = splat(b, f64, b.getF64FloatAttr(0));
  Value bits = arith::BitcastOp::create(b, i64, s);
  Value even = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                     arith::AndIOp::create(b, bits, one), zero);
  Value inexact = arith::CmpFOp::create(b, arith::CmpFPredicate::ONE, e, fzero);
  Value outwards = arith::CmpIOp::create(
      b, arith::CmpIPredicate::sge,
      arith::XOrIOp::create(b, bits, arith::BitcastOp::create(b, i64, e)),
      zero);
  Value minusOne = splat(b, i64, b.getI64IntegerAttr(-1));
  Value step = arith::SelectOp::create(b, outwards, one, minusOne);
  Value fix = arith::AndIOp::create(b, even, inexact);
  Value odd = arith::AddIOp::create(
      b, bits, arith::SelectOp::create(b, fix, step, zero));
  return arith::TruncFOp::create(b, single,
                                 arith::BitcastOp::create(b, f64, odd));
}
