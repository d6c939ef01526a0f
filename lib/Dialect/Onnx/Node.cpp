//===- Node.cpp - one ONNX op while it is normalised ----------------------===//
#include "Node.h"
#include "hwgq/Dialect/SmallFloats.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/APFloat.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

/// No tensor has more elements; sizes up to here never overflow in bytes.
static constexpr int64_t kMaxElements = (int64_t(1) << 31) - 1;

bool hwgq::onnx::isFloat(Type type) {
  return type && mlir::isa<mlir::FloatType>(type) && !hwgq::isSmallFloat(type);
}

bool hwgq::onnx::isUnsigned(Type type) {
  return type && type.isUnsignedInteger();
}

mlir::InFlightDiagnostic Node::error() {
  return op->emitError() << entry.name << ": ";
}

// ---- Operands.

LogicalResult Node::require(unsigned index, llvm::StringRef what) {
  if (!has(index))
    return error() << "input " << index << " (" << what << ") is missing";
  return success();
}

LogicalResult Node::requireRank(unsigned index, int64_t rank,
                                llvm::StringRef what) {
  if (failed(require(index, what)))
    return failure();
  if (this->rank(index) != rank)
    return error() << what << " must have rank " << rank << ", not shape "
                   << toString(shape(index));
  return success();
}

LogicalResult Node::requireFloat(unsigned index) {
  if (!isFloat(elementType(index)))
    return error() << "input " << index << " must be of a float type, not "
                   << elementType(index);
  return success();
}

LogicalResult Node::requireNumber(unsigned index) {
  if (!elementType(index) || elementType(index).isSignlessInteger(1))
    return error() << "input " << index << " must hold numbers, not bools";
  return success();
}

LogicalResult Node::requireInteger(unsigned index) {
  if (!elementType(index) || !elementType(index).isInteger() ||
      elementType(index).isSignlessInteger(1))
    return error() << "input " << index << " must be of an integer type, not "
                   << getDataTypeName(getDataType(elementType(index)));
  return success();
}

LogicalResult Node::requireBool(unsigned index) {
  if (!elementType(index) || !elementType(index).isSignlessInteger(1))
    return error() << "input " << index << " must be of type bool";
  return success();
}

LogicalResult Node::requireSameType(unsigned a, unsigned b) {
  if (elementType(a) != elementType(b))
    return error() << "inputs " << a << " and " << b
                   << " must be of the same element type, not "
                   << elementType(a) << " and " << elementType(b);
  return success();
}

LogicalResult Node::requireScale(unsigned index) {
  auto check = [&](double scale) -> LogicalResult {
    if (scale == 0 || !std::isfinite(scale))
      return error() << "the scale holds " << scale
                     << "; it must be finite and not zero";
    return success();
  };
  if (const auto &known = in(index).contents) {
    for (const Element &element : *known)
      if (element.isFloat && failed(check(element.real)))
        return failure();
    return success();
  }
  if (auto scales = getConstantFloats(input(index)))
    for (double scale : *scales)
      if (failed(check(scale)))
        return failure();
  return success();
}

FailureOr<Contents> Node::contents(unsigned index, llvm::StringRef what) {
  if (failed(require(index, what)))
    return failure();
  if (!in(index).contents) {
    error() << what << " (input " << index
            << ") must be a constant that is known when compiling; an input of "
               "the graph can be made one with --bind";
    return failure();
  }
  return *in(index).contents;
}

FailureOr<llvm::SmallVector<int64_t>> Node::constantInts(unsigned index,
                                                         llvm::StringRef what) {
  FailureOr<Contents> elements = contents(index, what);
  if (failed(elements))
    return failure();
  llvm::SmallVector<int64_t> values;
  for (const Element &element : *elements) {
    if (element.isFloat || !element.value.isStatic()) {
      error() << what << " must be integers that do not depend on the batch";
      return failure();
    }
    values.push_back(element.value.fixed);
  }
  return values;
}

// ---- Attributes.

void Node::setInt(llvm::StringRef name, int64_t value) {
  op->setAttr(name, builder.getI64IntegerAttr(value));
}

void Node::setInts(llvm::StringRef name, llvm::ArrayRef<int64_t> value) {
  op->setAttr(name, builder.getDenseI64ArrayAttr(value));
}

void Node::setString(llvm::StringRef name, llvm::StringRef value) {
  op->setAttr(name, builder.getStringAttr(value));
}

FailureOr<int64_t> Node::normalizeAxis(int64_t axis, int64_t rank, bool end) {
  int64_t limit = end ? rank + 1 : rank;
  int64_t normal = axis < 0 ? axis + rank : axis;
  if (axis < -rank || normal >= limit) {
    error() << "axis " << axis << " is outside of a tensor of rank " << rank;
    return failure();
  }
  return normal;
}

FailureOr<int64_t> Node::axis(int64_t rank) {
  FailureOr<int64_t> normal = normalizeAxis(getInt("axis"), rank);
  if (succeeded(normal))
    setInt("axis", *normal);
  return normal;
}

FailureOr<llvm::SmallVector<int64_t>>
Node::normalizeAxes(llvm::ArrayRef<int64_t> axes, int64_t rank) {
  llvm::SmallVector<int64_t> result;
  llvm::SmallVector<bool> seen(rank, false);
  for (int64_t axis : axes) {
    FailureOr<int64_t> normal = normalizeAxis(axis, rank);
    if (failed(normal))
      return failure();
    if (seen[*normal]) {
      error() << "axis " << *normal << " is listed twice";
      return failure();
    }
    seen[*normal] = true;
    result.push_back(*normal);
  }
  return result;
}

// ---- Results.

LogicalResult Node::result(unsigned index, Type elementType,
                           llvm::ArrayRef<Dim> shape) {
  if (index >= op->getNumResults())
    return success();
  Info &info = state.info(op->getResult(index));
  info = Info{elementType, Shape(shape), std::nullopt};
  std::optional<Dim> count = product(shape);
  bool negative = llvm::any_of(shape, [&](Dim dim) {
    return dim.isStatic() ? dim.fixed < 0
                          : state.options.batch && state.getSize(dim) < 0;
  });
  if (negative)
    return error() << "the result would have the shape " << toString(shape);
  if (!count)
    return error() << "the number of elements of the result, shape "
                   << toString(shape)
                   << ", is too large or not linear in the batch";
  int64_t total = state.getSize(*count);
  bool dynamic = !count->isStatic() && !state.options.batch;
  if (dynamic ? count->batch > kMaxElements || count->batch < 0
              : total > kMaxElements || total < 0)
    return error() << "the result, shape " << toString(shape)
                   << ", would have more than 2147483647 elements";
  op->getResult(index).setType(state.getType(info));
  return success();
}

FailureOr<Shape> Node::broadcastShape(llvm::ArrayRef<unsigned> indices) {
  Shape result;
  for (unsigned index : indices) {
    const Shape &other = shape(index);
    if (other.size() > result.size())
      result.insert(result.begin(), other.size() - result.size(), Dim(1));
    size_t offset = result.size() - other.size();
    for (size_t i = 0; i < other.size(); ++i) {
      std::optional<Dim> dim = broadcast(result[offset + i], other[i]);
      if (!dim && llvm::any_of(indices, [&](unsigned operand) {
            return dropOldBatch(operand);
          }))
        return broadcastShape(indices);
      if (!dim) {
        error() << "the shapes " << toString(shape(indices[0])) << " and "
                << toString(other) << " cannot be broadcast together";
        return failure();
      }
      result[offset + i] = *dim;
    }
  }
  return result;
}

bool Node::dropOldBatch(unsigned index) {
  mlir::ElementsAttr value = getConstant(input(index));
  Shape sizes = shape(index);
  if (!state.overridden || !state.oldBatch || *state.oldBatch < 2 || !value ||
      sizes.empty() || !sizes[0].is(*state.oldBatch))
    return false;
  FailureOr<std::vector<char>> bytes = getElementsBytes(value);
  if (failed(bytes))
    return false;
  size_t part = bytes->size() / *state.oldBatch;
  for (size_t i = part; i < bytes->size(); ++i)
    if ((*bytes)[i] != (*bytes)[i - part])
      return false;
  llvm::SmallVector<int64_t> shape(value.getShapedType().getShape());
  shape[0] = 1;
  auto type = mlir::RankedTensorType::get(shape, value.getElementType());
  setInput(index,
           constant(makeElements(type, llvm::ArrayRef(bytes->data(), part))));
  return true;
}

// ---- Building.

mlir::NamedAttribute Node::attr(llvm::StringRef name, int64_t value) {
  return {builder.getStringAttr(name), builder.getI64IntegerAttr(value)};
}

mlir::NamedAttribute Node::attr(llvm::StringRef name, float value) {
  return {builder.getStringAttr(name), builder.getF32FloatAttr(value)};
}

mlir::NamedAttribute Node::attr(llvm::StringRef name, llvm::StringRef value) {
  return {builder.getStringAttr(name), builder.getStringAttr(value)};
}

mlir::NamedAttribute Node::attr(llvm::StringRef name,
                                llvm::ArrayRef<int64_t> value) {
  return {builder.getStringAttr(name), builder.getDenseI64ArrayAttr(value)};
}

Value Node::create(llvm::StringRef name, mlir::ValueRange operands,
                   llvm::ArrayRef<mlir::NamedAttribute> attributes) {
  builder.setInsertionPoint(op);
  mlir::OperationState made(op->getLoc(), ("onnx." + name).str());
  made.addOperands(operands);
  made.addAttributes(attributes);
  made.addTypes(builder.getNoneType());
  return builder.create(made)->getResult(0);
}

Value Node::constant(mlir::ElementsAttr value) {
  Value made =
      create("Constant", {}, {{builder.getStringAttr("value"), value}});
  made.setType(value.getType());
  Info &info = state.info(made);
  info = Info{value.getElementType(), {}, std::nullopt};
  for (int64_t size : value.getShapedType().getShape())
    info.shape.push_back(size);
  return made;
}

Value Node::constantInts(llvm::ArrayRef<int64_t> values) {
  auto type = mlir::RankedTensorType::get({int64_t(values.size())},
                                          builder.getI64Type());
  Value made = constant(mlir::DenseElementsAttr::get(type, values));
  Contents contents;
  for (int64_t value : values)
    contents.push_back({false, Dim(value), 0});
  state.info(made).contents = contents;
  return made;
}

Value Node::scalar(Type elementType, double value) {
  auto type = mlir::RankedTensorType::get({}, elementType);
  if (auto real = mlir::dyn_cast<mlir::FloatType>(elementType)) {
    llvm::APFloat number(value);
    bool inexact;
    number.convert(real.getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven,
                   &inexact);
    return constant(mlir::DenseElementsAttr::get(type, number));
  }
  llvm::APInt number(64, static_cast<uint64_t>(static_cast<int64_t>(value)));
  return constant(mlir::DenseElementsAttr::get(
      type, number.zextOrTrunc(elementType.getIntOrFloatBitWidth())));
}

Value Node::noValue() { return create("NoValue", {}); }

Value Node::reshape(Value value, llvm::ArrayRef<Dim> shape) {
  llvm::SmallVector<int64_t> sizes;
  bool zero = false;
  for (Dim dim : shape) {
    sizes.push_back(dim.isStatic() || state.options.batch ? state.getSize(dim)
                                                          : -1);
    zero |= sizes.back() == 0;
  }
  Value target = constantInts(sizes);
  Contents contents;
  for (Dim dim : shape)
    contents.push_back({false, dim, 0});
  state.info(target).contents = contents;
  return create("Reshape", {value, target}, {attr("allowzero", int64_t(zero))});
}

Value Node::transpose(Value value, llvm::ArrayRef<int64_t> perm) {
  return create("Transpose", value, {attr("perm", perm)});
}

void Node::setInput(unsigned index, Value value) {
  while (op->getNumOperands() <= index)
    op->insertOperands(op->getNumOperands(), noValue());
  op->setOperand(index, value);
}

void Node::attrToInput(llvm::StringRef name, unsigned index) {
  if (!hasAttr(name))
    return;
  if (!has(index))
    setInput(index, constantInts(getInts(name)));
  dropAttr(name);
}

LogicalResult Node::replace(mlir::ValueRange values) {
  replaced = true;
  for (auto [result, value] : llvm::zip_first(op->getResults(), values)) {
    state.infos.erase(result.getAsOpaquePointer());
    result.replaceAllUsesWith(value);
  }
  op->erase();
  return success();
}
