//===- Elementwise.cpp - operators on each element ------------------------===//
#include "Node.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

// ---- Type inference.

static LogicalResult inferSame(Node &node) {
  if (failed(node.requireNumber(0)))
    return failure();
  return node.result(node.elementType(0), node.shape(0));
}

static LogicalResult inferFloat(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  return node.result(node.elementType(0), node.shape(0));
}

static LogicalResult inferBinary(Node &node, Type elementType) {
  FailureOr<Shape> shape = node.broadcastShape({0, 1});
  if (failed(shape))
    return failure();
  return node.result(elementType, *shape);
}

static LogicalResult inferArithmetic(Node &node) {
  if (failed(node.requireNumber(0)) || failed(node.requireSameType(0, 1)))
    return failure();
  return inferBinary(node, node.elementType(0));
}

static LogicalResult inferPow(Node &node) {
  if (failed(node.requireNumber(0)) || failed(node.requireNumber(1)))
    return failure();
  return inferBinary(node, node.elementType(0));
}

static LogicalResult inferMod(Node &node) {
  if (isFloat(node.elementType(0)) && !node.getInt("fmod"))
    return node.error() << "floats need fmod = 1";
  return inferArithmetic(node);
}

static LogicalResult inferComparison(Node &node) {
  if (failed(node.requireSameType(0, 1)))
    return failure();
  if (node.entry.name != "Equal" && failed(node.requireNumber(0)))
    return failure();
  return inferBinary(node, node.builder.getI1Type());
}

static LogicalResult inferLogical(Node &node) {
  if (failed(node.requireBool(0)) || failed(node.requireBool(1)))
    return failure();
  return inferBinary(node, node.builder.getI1Type());
}

static LogicalResult inferNot(Node &node) {
  if (failed(node.requireBool(0)))
    return failure();
  return node.result(node.elementType(0), node.shape(0));
}

static LogicalResult inferTest(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  return node.result(node.builder.getI1Type(), node.shape(0));
}

static LogicalResult inferWhere(Node &node) {
  if (failed(node.requireBool(0)) || failed(node.requireSameType(1, 2)))
    return failure();
  FailureOr<Shape> shape = node.broadcastShape({0, 1, 2});
  if (failed(shape))
    return failure();
  return node.result(node.elementType(1), *shape);
}

static LogicalResult inferPRelu(Node &node) {
  if (failed(node.requireNumber(0)) || failed(node.requireSameType(0, 1)))
    return failure();
  FailureOr<Shape> shape = node.broadcastShape({0, 1});
  if (failed(shape))
    return failure();
  if (*shape != node.shape(0))
    return node.error() << "the slope, shape " << toString(node.shape(1))
                        << ", cannot be broadcast to the input, shape "
                        << toString(node.shape(0));
  return node.result(node.elementType(0), *shape);
}

static LogicalResult inferClip(Node &node) {
  if (failed(node.requireNumber(0)))
    return failure();
  for (unsigned i : {1u, 2u}) {
    if (!node.has(i))
      continue;
    if (failed(node.requireSameType(0, i)))
      return failure();
    std::optional<Dim> count = product(node.shape(i));
    if (!count || !count->is(1) || node.rank(i) > 1)
      return node.error() << "min and max must be scalars";
  }
  return node.result(node.elementType(0), node.shape(0));
}

// ---- Older forms.

/// Opsets before 7: `broadcast` = 1 aligns the second input at `axis`.
static LogicalResult upgradeBinary(Node &node) {
  if (node.hasAttr("broadcast") && node.getInt("broadcast") &&
      node.hasAttr("axis")) {
    int64_t rank = node.rank(0), other = node.rank(1);
    FailureOr<int64_t> axis = node.normalizeAxis(node.getInt("axis"), rank);
    if (failed(axis))
      return failure();
    if (*axis + other > rank)
      return node.error() << "the second input does not fit at axis " << *axis;
    Shape aligned = node.shape(1);
    aligned.append(rank - *axis - other, Dim(1));
    // The new Reshape is visited first.
    Value left = node.input(0), right = node.reshape(node.input(1), aligned);
    return node.replace(node.create(node.entry.name, {left, right}));
  }
  node.dropAttr("broadcast");
  node.dropAttr("axis");
  return success();
}

static LogicalResult upgradePRelu(Node &node) {
  // Opsets before 7: a slope per channel stands at axis 1.
  if (node.opset >= 7 || node.rank(1) != 1 || node.rank(0) < 3 ||
      node.shape(1)[0].is(1))
    return success();
  Shape aligned = node.shape(1);
  aligned.append(node.rank(0) - 2, Dim(1));
  Value x = node.input(0), slope = node.reshape(node.input(1), aligned);
  return node.replace(node.create("PRelu", {x, slope}));
}

static LogicalResult upgradeClip(Node &node) {
  // Opsets before 11: float attributes, their defaults the largest floats.
  const char *names[] = {"min", "max"};
  for (unsigned i : {0u, 1u})
    if (node.hasAttr(names[i])) {
      float bound = node.getFloat(names[i]);
      if (std::isfinite(bound) && !node.has(i + 1))
        node.setInput(i + 1, node.scalar(node.elementType(0), bound));
      node.dropAttr(names[i]);
    }
  if (!node.has(1) && !node.has(2))
    return node.replace(node.input(0));
  return success();
}

/// n inputs to a chain of binary ones, from the left.
static LogicalResult upgradeVariadic(Node &node) {
  llvm::StringRef name = node.entry.name;
  llvm::StringRef binary = name == "Sum" || name == "Mean" ? "Add" : name;
  unsigned count = node.numInputs();
  if (count == 2 && binary == name)
    return success();
  Value value = node.input(0);
  for (unsigned i = 1; i < count; ++i)
    value = node.create(binary, {value, node.input(i)});
  if (name == "Mean" && count > 1)
    value =
        node.create("Div", {value, node.scalar(node.elementType(0), count)});
  return node.replace(value);
}

/// x * max(0, min(1, x / 6 + 1/2)).
static LogicalResult upgradeHardSwish(Node &node) {
  Value gate =
      node.create("HardSigmoid", node.input(0),
                  {node.attr("alpha", 1.0f / 6.0f), node.attr("beta", 0.5f)});
  return node.replace(node.create("Mul", {node.input(0), gate}));
}

void hwgq::onnx::addElementwise(std::vector<Operator> &table) {
  AttributeSpec consumed = legacy("consumed_inputs", Kind::Ints);
  auto unary = [&](llvm::StringRef name, std::vector<int> since,
                   Operator::Function infer,
                   std::vector<AttributeSpec> attributes = {}) {
    attributes.push_back(consumed);
    table.push_back({name, since, {1, 1}, {1, 1}, attributes, infer});
  };
  unary("Abs", {1, 6, 13}, inferSame);
  unary("Neg", {1, 6, 13}, inferSame);
  unary("Sign", {9, 13}, inferSame);
  unary("Relu", {1, 6, 13, 14}, inferSame);
  unary("Floor", {1, 6, 13}, inferFloat);
  unary("Ceil", {1, 6, 13}, inferFloat);
  unary("Round", {11, 22}, inferFloat);
  unary("Sqrt", {1, 6, 13}, inferFloat);
  unary("Reciprocal", {1, 6, 13}, inferFloat);
  unary("Exp", {1, 6, 13}, inferFloat);
  unary("Log", {1, 6, 13}, inferFloat);
  unary("Tanh", {1, 6, 13}, inferFloat);
  unary("Sigmoid", {1, 6, 13}, inferFloat);
  unary("Erf", {9, 13}, inferFloat);
  unary("Softplus", {1, 22}, inferFloat);
  unary("Softsign", {1, 22}, inferFloat);
  unary("IsNaN", {9, 13, 20}, inferTest);
  unary("Not", {1}, inferNot);
  unary("LeakyRelu", {1, 6, 16}, inferFloat, {floatAttr("alpha", 0.01f)});
  unary("Elu", {1, 6, 22}, inferFloat, {floatAttr("alpha", 1)});
  unary("Celu", {12, 28}, inferFloat, {floatAttr("alpha", 1)});
  unary("Selu", {1, 6, 22}, inferFloat,
        {floatAttr("alpha", 1.67326319217681884765625f),
         floatAttr("gamma", 1.05070102214813232421875f)});
  unary("ThresholdedRelu", {10, 22}, inferFloat, {floatAttr("alpha", 1)});
  unary("HardSigmoid", {1, 6, 22}, inferFloat,
        {floatAttr("alpha", 0.2f), floatAttr("beta", 0.5f)});
  table.push_back(
      {"HardSwish", {14, 22}, {1, 1}, {1, 1}, {}, nullptr, upgradeHardSwish});

  std::vector<AttributeSpec> old = {consumed, legacy("broadcast", Kind::Int),
                                    legacy("axis", Kind::Int)};
  auto binary = [&](llvm::StringRef name, std::vector<int> since,
                    Operator::Function infer) {
    table.push_back({name, since, {2, 2}, {1, 1}, old, infer, upgradeBinary});
  };
  for (llvm::StringRef name : {"Add", "Sub", "Mul", "Div"})
    binary(name, {1, 6, 7, 13, 14}, inferArithmetic);
  binary("Pow", {1, 7, 12, 13, 15}, inferPow);
  binary("Equal", {1, 7, 11, 13, 19}, inferComparison);
  binary("Greater", {1, 7, 9, 13}, inferComparison);
  binary("Less", {1, 7, 9, 13}, inferComparison);
  binary("GreaterOrEqual", {12, 16}, inferComparison);
  binary("LessOrEqual", {12, 16}, inferComparison);
  for (llvm::StringRef name : {"And", "Or", "Xor"})
    binary(name, {1, 7}, inferLogical);

  auto variadic = [&](llvm::StringRef name, std::vector<int> since,
                      Operator::Function infer) {
    table.push_back({name,
                     since,
                     {1, Operator::kVariadic},
                     {1, 1},
                     {consumed},
                     infer,
                     upgradeVariadic});
  };
  variadic("Min", {1, 6, 8, 12, 13}, inferArithmetic);
  variadic("Max", {1, 6, 8, 12, 13}, inferArithmetic);
  variadic("Sum", {1, 6, 8, 13}, nullptr);
  variadic("Mean", {1, 6, 8, 13}, nullptr);

  table.push_back(
      {"Mod", {10, 13, 28}, {2, 2}, {1, 1}, {intAttr("fmod", 0)}, inferMod});
  table.push_back({"Where", {9, 16}, {3, 3}, {1, 1}, {}, inferWhere});
  table.push_back({"PRelu",
                   {1, 6, 7, 9, 16},
                   {2, 2},
                   {1, 1},
                   {consumed},
                   inferPRelu,
                   upgradePRelu});
  table.push_back(
      {"Clip",
       {1, 6, 11, 12, 13},
       {1, 3},
       {1, 1},
       {consumed, legacy("min", Kind::Float), legacy("max", Kind::Float)},
       inferClip,
       upgradeClip});
}
