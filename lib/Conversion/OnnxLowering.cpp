//===- OnnxLowering.cpp - operands and attributes of one ONNX node --------===//
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;

RankedTensorType conversion::convertType(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return {};
  return RankedTensorType::get(tensor.getShape(),
                               convertElementType(tensor.getElementType()));
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

template <typename T, typename Out>
static bool readAs(ElementsAttr attr, SmallVector<Out> &out) {
  auto values = getElementValues<T>(attr);
  if (!values)
    return false;
  out.assign(values->begin(), values->end());
  return true;
}

std::optional<SmallVector<int64_t>> conversion::readInts(ElementsAttr attr) {
  auto type = dyn_cast<IntegerType>(attr.getElementType());
  if (!type)
    return std::nullopt;
  SmallVector<int64_t> out;
  bool isUnsigned = type.isUnsigned() || type.getWidth() == 1;
  if (auto dense = dyn_cast<DenseElementsAttr>(attr)) {
    for (APInt v : dense.getValues<APInt>())
      out.push_back(isUnsigned ? int64_t(v.getZExtValue()) : v.getSExtValue());
    return out;
  }
  bool read = false;
  switch (type.getWidth()) {
  case 8:
    read = isUnsigned ? readAs<uint8_t>(attr, out) : readAs<int8_t>(attr, out);
    break;
  case 16:
    read =
        isUnsigned ? readAs<uint16_t>(attr, out) : readAs<int16_t>(attr, out);
    break;
  case 32:
    read =
        isUnsigned ? readAs<uint32_t>(attr, out) : readAs<int32_t>(attr, out);
    break;
  case 64:
    read = readAs<int64_t>(attr, out);
    break;
  default:
    break;
  }
  return read ? std::optional(out) : std::nullopt;
}

std::optional<SmallVector<double>> conversion::readFloats(ElementsAttr attr) {
  SmallVector<double> out;
  Type type = attr.getElementType();
  if (type.isF32() && readAs<float>(attr, out))
    return out;
  if (type.isF64() && readAs<double>(attr, out))
    return out;
  if (auto floats = dyn_cast<FloatType>(type)) {
    auto raw = getElementValues<uint16_t>(attr);
    if (floats.getWidth() != 16 || !raw)
      return std::nullopt;
    for (uint16_t bits : *raw) {
      APFloat value(floats.getFloatSemantics(), APInt(16, bits));
      bool lost;
      value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
      out.push_back(value.convertToDouble());
    }
    return out;
  }
  auto integers = readInts(attr);
  if (!integers)
    return std::nullopt;
  out.assign(integers->begin(), integers->end());
  return out;
}

/// The same constant with signless elements of at least 8 bits.
static ElementsAttr convertConstant(ElementsAttr attr) {
  auto from = dyn_cast<RankedTensorType>(attr.getType());
  RankedTensorType to = convertType(from);
  if (!from || from == to)
    return attr;
  SmallVector<char> storage;
  auto fromInt = dyn_cast<IntegerType>(from.getElementType());
  if (fromInt && fromInt.getWidth() >= 8) {
    if (auto bytes = getElementBytes(attr, storage))
      return makeElements(to, *bytes, "constant");
    return {};
  }
  auto values = readInts(attr);
  if (!values)
    return {};
  SmallVector<int8_t> narrow(values->begin(), values->end());
  return makeElements(
      to, ArrayRef(reinterpret_cast<char *>(narrow.data()), narrow.size()),
      "constant");
}

//===----------------------------------------------------------------------===//
// Node
//===----------------------------------------------------------------------===//

bool Node::has(unsigned i) const {
  return i < size() && !isa<NoneType>(op->getOperand(i).getType());
}

ElementsAttr Node::constant(unsigned i) const {
  Operation *def = has(i) ? op->getOperand(i).getDefiningOp() : nullptr;
  if (!def)
    return {};
  if (def->getName().getStringRef() == "onnx.Constant")
    return def->getAttrOfType<ElementsAttr>("value");
  if (auto constant = dyn_cast<arith::ConstantOp>(def))
    return dyn_cast<ElementsAttr>(constant.getValue());
  return {};
}

std::optional<SmallVector<int64_t>> Node::ints(unsigned i) const {
  ElementsAttr attr = constant(i);
  return attr ? readInts(attr) : std::nullopt;
}

std::optional<SmallVector<double>> Node::floats(unsigned i) const {
  ElementsAttr attr = constant(i);
  return attr ? readFloats(attr) : std::nullopt;
}

Value Node::lowered(Value onnx) {
  Lowered &entry = table[onnx];
  if (entry.value)
    return entry.value;
  auto type = mlir::cast<RankedTensorType>(onnx.getType());
  if (entry.real)
    return entry.value =
               cast(entry.real, b.getF32Type(), type.getElementType());
  // Constants are made where they are first used; those that are only read
  // while lowering never exist in the hwgq phase.
  if (Operation *def = onnx.getDefiningOp())
    if (auto attr = def->getAttrOfType<ElementsAttr>("value"))
      if (ElementsAttr converted = convertConstant(attr)) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointAfter(def);
        return entry.value = arith::ConstantOp::create(
                   b, def->getLoc(), mlir::cast<TypedAttr>(converted));
      }
  return entry.value = onnx;
}

Value Node::real(unsigned i) {
  Value onnx = op->getOperand(i);
  Lowered entry = table.lookup(onnx);
  if (entry.real)
    return entry.real;
  Type element = mlir::cast<RankedTensorType>(onnx.getType()).getElementType();
  if (isa<IntegerType>(element) && element.getIntOrFloatBitWidth() <= 16)
    if (auto values = floats(i)) {
      SmallVector<float> reals(values->begin(), values->end());
      return TensorBuilder::constant(type(i).getShape(), reals);
    }
  Value v = in(i);
  if (element.isF32() || element.isF64())
    return v;
  return cast(v, element, b.getF32Type());
}

bool Node::isShadow(unsigned i) const {
  Lowered entry = table.lookup(op->getOperand(i));
  return entry.real && !entry.value;
}

int64_t Node::attr(StringRef name, int64_t fallback) const {
  auto value = op->getAttrOfType<IntegerAttr>(name);
  return value ? value.getValue().getSExtValue() : fallback;
}

double Node::attrF(StringRef name, double fallback) const {
  auto value = op->getAttrOfType<FloatAttr>(name);
  return value ? value.getValueAsDouble() : fallback;
}

std::string Node::attrS(StringRef name, StringRef fallback) const {
  auto value = op->getAttrOfType<StringAttr>(name);
  return (value ? value.getValue() : fallback).str();
}

SmallVector<int64_t> Node::attrs(StringRef name) const {
  if (auto value = op->getAttrOfType<DenseI64ArrayAttr>(name))
    return llvm::to_vector(value.asArrayRef());
  return {};
}

SmallVector<double> Node::attrsF(StringRef name) const {
  SmallVector<double> out;
  if (auto value = op->getAttrOfType<DenseF32ArrayAttr>(name))
    out.assign(value.asArrayRef().begin(), value.asArrayRef().end());
  return out;
}

FailureOr<int64_t> Node::axis(int64_t value, int64_t rank) {
  if (value < -rank || value >= rank)
    return error() << "axis " << value << " is out of range for rank " << rank,
           failure();
  return value < 0 ? value + rank : value;
}

FailureOr<SmallVector<int64_t>> Node::axes(ArrayRef<int64_t> values,
                                           int64_t rank) {
  SmallVector<int64_t> out;
  for (int64_t v : values) {
    auto a = axis(v, rank);
    if (failed(a))
      return failure();
    out.push_back(*a);
  }
  llvm::sort(out);
  if (std::adjacent_find(out.begin(), out.end()) != out.end())
    return error() << "an axis is listed twice", failure();
  return out;
}

static bool shapesAgree(ShapedType a, ShapedType b) {
  return a.getRank() == b.getRank() &&
         llvm::all_of(llvm::zip(a.getShape(), b.getShape()), [](auto pair) {
           auto [x, y] = pair;
           return x == y || ShapedType::isDynamic(x) ||
                  ShapedType::isDynamic(y);
         });
}

LogicalResult Node::set(Value v, unsigned i) {
  auto type = mlir::cast<RankedTensorType>(v.getType());
  RankedTensorType expected = convertType(op->getResult(i).getType());
  if (!shapesAgree(type, expected) ||
      type.getElementType() != expected.getElementType())
    return error() << "gives " << type << " where " << expected
                   << " was inferred",
           failure();
  table[op->getResult(i)] = {v, {}};
  return success();
}

LogicalResult Node::setReal(Value v, unsigned i) {
  Type to = resultType(i).getElementType();
  return set(cast(v, getElementTypeOrSelf(v), to), i);
}

LogicalResult Node::setShadow(Value v, unsigned i) {
  if (!shapesAgree(mlir::cast<RankedTensorType>(v.getType()), resultType(i)))
    return error() << "gives " << v.getType() << " where " << resultType(i)
                   << " was inferred",
           failure();
  table[op->getResult(i)] = {{}, v};
  return success();
}

InFlightDiagnostic Node::error() {
  return emitError(loc) << "onnx." << name() << " ";
}
