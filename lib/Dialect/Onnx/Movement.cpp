//===- Movement.cpp - operators that move or convert elements -------------===//
#include "Node.h"
#include "hwgq/Dialect/SmallFloats.h"
#include "llvm/ADT/StringSwitch.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

Type hwgq::onnx::getElementType(int64_t dataType, mlir::MLIRContext *context) {
  mlir::Builder b(context);
  auto integer = [&](unsigned width, bool isUnsigned) -> Type {
    return isUnsigned ? b.getIntegerType(width, false)
                      : b.getIntegerType(width);
  };
  switch (dataType) {
  case 1:
    return b.getF32Type();
  case 2:
    return integer(8, true);
  case 3:
    return integer(8, false);
  case 4:
    return integer(16, true);
  case 5:
    return integer(16, false);
  case 6:
    return integer(32, false);
  case 7:
    return integer(64, false);
  case 9:
    return b.getI1Type();
  case 10:
    return b.getF16Type();
  case 11:
    return b.getF64Type();
  case 12:
    return integer(32, true);
  case 13:
    return integer(64, true);
  case 16:
    return b.getBF16Type();
  case 17:
    return mlir::Float8E4M3FNType::get(context);
  case 18:
    return mlir::Float8E4M3FNUZType::get(context);
  case 19:
    return mlir::Float8E5M2Type::get(context);
  case 20:
    return mlir::Float8E5M2FNUZType::get(context);
  case 21:
    return integer(4, true);
  case 22:
    return integer(4, false);
  case 23:
    return mlir::Float4E2M1FNType::get(context);
  case 25:
    return integer(2, true);
  case 26:
    return integer(2, false);
  default:
    return {};
  }
}

int64_t hwgq::onnx::getDataType(Type type) {
  for (int64_t code = 1; code <= 26; ++code)
    if (type && getElementType(code, type.getContext()) == type)
      return code;
  return 0;
}

llvm::StringRef hwgq::onnx::getDataTypeName(int64_t dataType) {
  static const llvm::StringRef names[] = {
      "UNDEFINED",      "FLOAT",        "UINT8",          "INT8",
      "UINT16",         "INT16",        "INT32",          "INT64",
      "STRING",         "BOOL",         "FLOAT16",        "DOUBLE",
      "UINT32",         "UINT64",       "COMPLEX64",      "COMPLEX128",
      "BFLOAT16",       "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2",
      "FLOAT8E5M2FNUZ", "UINT4",        "INT4",           "FLOAT4E2M1",
      "FLOAT8E8M0",     "UINT2",        "INT2",           "FLOAT6E2M3",
      "FLOAT6E3M2"};
  return dataType >= 0 && dataType < int64_t(std::size(names))
             ? names[dataType]
             : "an unknown type";
}

static LogicalResult replaceByInput(Node &node) {
  return node.replace(node.input(0));
}

// ---- Cast.

static LogicalResult inferCast(Node &node) {
  Type type = getElementType(node.getInt("to"), node.op->getContext());
  if (!type)
    return node.error() << "a cast to " << getDataTypeName(node.getInt("to"))
                        << " is not supported; casts to floats of 4 to 64 "
                           "bits, integers of 2 to 64 bits and bool are";
  if (hwgq::isSmallFloat(type) && node.elementType(0).isF64())
    return node.error() << "a cast of float64 to "
                        << getDataTypeName(node.getInt("to"))
                        << " is not supported; cast to float32 first";
  if (!hwgq::isSmallFloat(type))
    node.dropAttr("saturate");
  return node.result(type, node.shape(0));
}

static LogicalResult upgradeCast(Node &node) {
  node.dropAttr("round_mode"); // of casts to float8 e8m0
  auto name = node.op->getAttrOfType<mlir::StringAttr>("to");
  if (!name)
    return success();
  for (int64_t code = 1; code <= 16; ++code)
    if (name.getValue().equals_insensitive(getDataTypeName(code))) {
      node.setInt("to", code);
      return success();
    }
  return node.error() << "'" << name.getValue() << "' is not a type";
}

static LogicalResult upgradeCastLike(Node &node) {
  return node.replace(
      node.create("Cast", node.input(0),
                  {node.attr("to", getDataType(node.elementType(1))),
                   node.attr("saturate", node.getInt("saturate"))}));
}

// ---- Dropout.

static LogicalResult upgradeDropout(Node &node) {
  if (node.has(2)) {
    auto training = node.constantInts(2, "training_mode");
    if (failed(training))
      return failure();
    if (training->size() != 1 || training->front())
      return node.error() << "training mode is not supported, only inference";
  }
  Value x = node.input(0);
  if (node.op->getNumResults() == 1 || node.op->getResult(1).use_empty()) {
    llvm::SmallVector<Value> values(node.op->getNumResults(), x);
    return node.replace(values);
  }
  // The mask is true everywhere, of x's type before opset 10.
  Value same = node.create("Equal", {x, x});
  Value mask = node.create("Or", {same, node.create("Not", same)});
  if (node.opset < 10)
    mask = node.create("Cast", mask,
                       {node.attr("to", getDataType(node.elementType(0)))});
  return node.replace({x, mask});
}

// ---- Transpose, Concat, Split, Tile.

static LogicalResult inferTranspose(Node &node) {
  int64_t rank = node.rank(0);
  llvm::SmallVector<int64_t> perm = node.getInts("perm");
  if (!node.hasAttr("perm"))
    for (int64_t i = rank; i-- > 0;)
      perm.push_back(i);
  if (int64_t(perm.size()) != rank)
    return node.error() << "perm must have " << rank << " elements, not "
                        << perm.size();
  auto axes = node.normalizeAxes(perm, rank);
  if (failed(axes))
    return failure();
  Shape shape;
  for (int64_t axis : *axes)
    shape.push_back(node.shape(0)[axis]);
  node.setInts("perm", *axes);
  return node.result(node.elementType(0), shape);
}

static LogicalResult inferConcat(Node &node) {
  FailureOr<int64_t> axis = node.axis(node.rank(0));
  if (failed(axis))
    return failure();
  Shape result = node.shape(0);
  for (unsigned i = 1; i < node.numInputs(); ++i) {
    if (failed(node.require(i, "a part")) || failed(node.requireSameType(0, i)))
      return failure();
    Shape part = node.shape(i);
    std::optional<Dim> sum;
    if (part.size() == result.size() &&
        (sum = add(result[*axis], part[*axis]))) {
      part[*axis] = result[*axis];
    }
    if (!sum || part != result)
      return node.error() << "the shapes " << toString(node.shape(0)) << " and "
                          << toString(node.shape(i))
                          << " cannot be joined at axis " << *axis;
    result[*axis] = *sum;
  }
  return node.result(node.elementType(0), result);
}

static LogicalResult upgradeConcat(Node &node) {
  // Opset 1 to 3: the axis is 1 by default.
  if (!node.hasAttr("axis") && node.opset < 4)
    node.setInt("axis", 1);
  return success();
}

static LogicalResult inferSplit(Node &node) {
  FailureOr<int64_t> axis = node.axis(node.rank(0));
  if (failed(axis))
    return failure();
  Dim size = node.shape(0)[*axis];
  int64_t count = node.op->getNumResults();
  llvm::SmallVector<Dim> parts;
  if (node.has(1)) {
    auto given = node.constantInts(1, "split");
    if (failed(given))
      return failure();
    parts.assign(given->begin(), given->end());
    Dim sum = 0;
    for (Dim part : parts) {
      std::optional<Dim> next = add(sum, part);
      if (part.fixed < 0 || !next)
        return node.error() << "split must hold sizes";
      sum = *next;
    }
    if (int64_t(parts.size()) != count || sum != size)
      return node.error() << "split " << toString(parts) << " does not cut "
                          << toString({size}) << " into " << count;
  } else {
    int64_t wanted =
        node.hasAttr("num_outputs") ? node.getInt("num_outputs") : count;
    if (wanted != count)
      return node.error() << "num_outputs is " << wanted << ", but there are "
                          << count << " outputs";
    if (std::optional<Dim> each = divExact(size, count))
      parts.assign(count, *each);
    else if (size.isStatic()) {
      int64_t chunk = (size.fixed + count - 1) / count;
      for (int64_t i = 0; i < count; ++i)
        parts.push_back(
            std::max<int64_t>(std::min(chunk, size.fixed - i * chunk), 0));
    } else
      return node.error() << "the batch cannot be cut into " << count
                          << " parts";
    if (size.isStatic()) {
      llvm::SmallVector<int64_t> sizes;
      for (Dim part : parts)
        sizes.push_back(part.fixed);
      node.setInput(1, node.constantInts(sizes));
    }
  }
  node.dropAttr("num_outputs");
  for (auto [i, part] : llvm::enumerate(parts)) {
    Shape shape = node.shape(0);
    shape[*axis] = part;
    if (failed(node.result(i, node.elementType(0), shape)))
      return failure();
  }
  return success();
}

static LogicalResult upgradeSplit(Node &node) {
  node.attrToInput("split", 1);
  return success();
}

static LogicalResult inferTile(Node &node) {
  auto repeats = node.constantInts(1, "repeats");
  if (failed(repeats))
    return failure();
  if (int64_t(repeats->size()) != node.rank(0))
    return node.error() << "repeats must have " << node.rank(0) << " elements";
  Shape shape;
  for (auto [dim, times] : llvm::zip(node.shape(0), *repeats)) {
    std::optional<Dim> size = mul(dim, times);
    if (times < 0 || !size)
      return node.error() << "repeats must not hold " << times;
    shape.push_back(*size);
  }
  return node.result(node.elementType(0), shape);
}

// ---- Pad.

static LogicalResult inferPad(Node &node) {
  int64_t rank = node.rank(0);
  llvm::StringRef mode = node.getString("mode");
  if (mode != "constant" && mode != "reflect" && mode != "edge" &&
      mode != "wrap")
    return node.error() << "mode '" << mode
                        << "' is not one of constant, reflect, edge, wrap";
  auto given = node.constantInts(1, "pads");
  if (failed(given))
    return failure();
  llvm::SmallVector<int64_t> axes;
  if (node.has(3)) {
    auto listed = node.constantInts(3, "axes");
    if (failed(listed))
      return failure();
    auto normal = node.normalizeAxes(*listed, rank);
    if (failed(normal))
      return failure();
    axes = *normal;
  } else {
    for (int64_t i = 0; i < rank; ++i)
      axes.push_back(i);
  }
  if (given->size() != 2 * axes.size())
    return node.error() << "pads must have " << 2 * axes.size()
                        << " elements, not " << given->size();
  if (node.has(2) &&
      (failed(node.requireSameType(0, 2)) || !product(node.shape(2)) ||
       !product(node.shape(2))->is(1)))
    return node.error() << "constant_value must be a scalar of the input's "
                           "type";
  llvm::SmallVector<int64_t> pads(2 * rank, 0);
  Shape shape = node.shape(0);
  for (auto [i, axis] : llvm::enumerate(axes)) {
    int64_t before = (*given)[i], after = (*given)[axes.size() + i];
    pads[axis] = before, pads[rank + axis] = after;
    std::optional<Dim> size = add(shape[axis], before);
    if (!size || !(size = add(*size, after)))
      return node.error() << "pads are too large";
    int64_t most = std::max(before, after);
    if (mode == "reflect" && shape[axis].isStatic() && most > 0 &&
        most >= shape[axis].fixed)
      return node.error() << "reflection needs more than " << most
                          << " elements on axis " << axis;
    if (mode != "constant" && most > 0 && shape[axis].is(0))
      return node.error() << "axis " << axis << " is empty";
    if (mode != "constant" && most > 0 && !shape[axis].isStatic())
      return node.error() << "the batch can only be padded by a constant";
    shape[axis] = *size;
  }
  if (*given != pads || node.has(3)) {
    node.setInput(1, node.constantInts(pads));
  }
  if (node.numInputs() > 3)
    node.op->setOperands(node.op->getOperands().take_front(3));
  return node.result(node.elementType(0), shape);
}

static LogicalResult upgradePad(Node &node) {
  node.attrToInput("paddings", 1);
  node.attrToInput("pads", 1);
  if (node.hasAttr("value")) {
    if (!node.has(2))
      node.setInput(2,
                    node.scalar(node.elementType(0), node.getFloat("value")));
    node.dropAttr("value");
  }
  return success();
}

// ---- Depth and space.

static LogicalResult upgradeDepthToSpace(Node &node) {
  if (failed(node.requireRank(0, 4, "the input")))
    return failure();
  const Shape &x = node.shape(0);
  int64_t b = node.getInt("blocksize");
  bool toSpace = node.entry.name == "DepthToSpace";
  bool columns = node.getString("mode") == "CRD";
  if (!columns && node.getString("mode") != "DCR")
    return node.error() << "mode must be DCR or CRD";
  std::optional<Dim> split[3];
  bool fits = b >= 1 && b <= 65536;
  for (int i = 0; fits && i < 3; ++i) {
    Dim by = toSpace ? (i == 0 ? b * b : 1) : (i == 0 ? 1 : b);
    fits &= bool(split[i] = divExact(x[i + 1], by));
  }
  if (!fits)
    return node.error() << "blocksize " << b << " does not divide the shape "
                        << toString(x);
  Dim c = *split[0], h = *split[1], w = *split[2];
  Shape wide, result;
  llvm::SmallVector<int64_t> perm;
  if (toSpace) {
    if (columns)
      wide = {x[0], c, b, b, h, w}, perm = {0, 1, 4, 2, 5, 3};
    else
      wide = {x[0], b, b, c, h, w}, perm = {0, 3, 4, 1, 5, 2};
    result = {x[0], c, mul(h, b).value_or(0), mul(w, b).value_or(0)};
  } else {
    wide = {x[0], c, h, b, w, b};
    if (columns)
      perm = {0, 1, 3, 5, 2, 4};
    else
      perm = {0, 3, 5, 1, 2, 4};
    result = {x[0], mul(c, b * b).value_or(0), h, w};
  }
  Value value = node.transpose(node.reshape(node.input(0), wide), perm);
  return node.replace(node.reshape(value, result));
}

void hwgq::onnx::addMovement(std::vector<Operator> &table) {
  table.push_back({"Identity",
                   {1, 13, 14, 16, 19, 21, 23, 24, 25},
                   {1, 1},
                   {1, 1},
                   {},
                   nullptr,
                   replaceByInput});
  table.push_back(
      {"DebugMarker", {1}, {1, 1}, {1, 1}, {}, nullptr, replaceByInput});
  table.push_back(
      {"Dropout",
       {1, 6, 7, 10, 12, 13, 22},
       {1, 3},
       {1, 2},
       {legacy("ratio", Kind::Float), legacy("is_test", Kind::Int),
        legacy("seed", Kind::Int), legacy("consumed_inputs", Kind::Ints)},
       nullptr,
       upgradeDropout});
  table.push_back({"Cast",
                   {1, 6, 9, 13, 19, 21, 23, 24, 25, 28},
                   {1, 1},
                   {1, 1},
                   {required("to", Kind::Int), intAttr("saturate", 1),
                    legacy("round_mode", Kind::String)},
                   inferCast,
                   upgradeCast});
  table.push_back({"CastLike",
                   {15, 19, 21, 23, 24, 25},
                   {2, 2},
                   {1, 1},
                   {intAttr("saturate", 1), legacy("round_mode", Kind::String)},
                   nullptr,
                   upgradeCastLike});
  table.push_back({"Transpose",
                   {1, 13, 21, 23, 24, 25},
                   {1, 1},
                   {1, 1},
                   {optional("perm", Kind::Ints)},
                   inferTranspose});
  table.push_back({"Concat",
                   {1, 4, 11, 13},
                   {1, Operator::kVariadic},
                   {1, 1},
                   {required("axis", Kind::Int)},
                   inferConcat,
                   upgradeConcat});
  table.push_back({"Split",
                   {1, 2, 11, 13, 18},
                   {1, 2},
                   {1, Operator::kVariadic},
                   {intAttr("axis", 0), legacy("split", Kind::Ints),
                    legacy("num_outputs", Kind::Int)},
                   inferSplit,
                   upgradeSplit});
  table.push_back({"Tile", {1, 6, 13}, {2, 2}, {1, 1}, {}, inferTile});
  table.push_back(
      {"Pad",
       {1, 2, 11, 13, 18, 19, 21, 23, 24, 25},
       {1, 4},
       {1, 1},
       {stringAttr("mode", "constant"), legacy("pads", Kind::Ints),
        legacy("paddings", Kind::Ints), legacy("value", Kind::Float)},
       inferPad,
       upgradePad});
  std::vector<AttributeSpec> block = {required("blocksize", Kind::Int),
                                      stringAttr("mode", "DCR")};
  table.push_back({"DepthToSpace",
                   {1, 11, 13, 28},
                   {1, 1},
                   {1, 1},
                   block,
                   nullptr,
                   upgradeDepthToSpace});
  table.push_back({"SpaceToDepth",
                   {1, 13, 28},
                   {1, 1},
                   {1, 1},
                   block,
                   nullptr,
                   upgradeDepthToSpace});
}
