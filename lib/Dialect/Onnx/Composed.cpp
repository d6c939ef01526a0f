//===- Composed.cpp - operators that others make up -----------------------===//
//
// Each becomes the nodes of its definition in the ONNX standard, in float32
// where it says so (`stash_type` 1).
//
//===----------------------------------------------------------------------===//
#include "Node.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

namespace {
/// Nodes of a definition on the element type of `like`.
struct Definition {
  Node &node;

  Value op(llvm::StringRef name, llvm::ArrayRef<Value> operands) {
    return node.create(name, operands);
  }
  Value number(Type type, double value) { return node.scalar(type, value); }
  Value cast(Value value, Type from, Type to) {
    if (from == to)
      return value;
    return node.create("Cast", value, {node.attr("to", getDataType(to))});
  }
  Value mean(Value value, llvm::ArrayRef<int64_t> axes) {
    return node.create("ReduceMean", {value, node.constantInts(axes)},
                       {node.attr("keepdims", int64_t(1))});
  }
  /// x / sqrt(mean of x^2 over `axes` + epsilon), and that root.
  std::pair<Value, Value> divideByRoot(Value x, llvm::ArrayRef<int64_t> axes,
                                       Type type) {
    Value squares = mean(op("Mul", {x, x}), axes);
    double epsilon = node.hasAttr("epsilon") ? node.getFloat("epsilon") : 1e-5f;
    Value root = op("Sqrt", {op("Add", {squares, number(type, epsilon)})});
    return {op("Div", {x, root}), root};
  }
};
} // namespace

// ---- Normalisation.

/// The type that statistics are computed in.
static Type stashType(Node &node) {
  bool single = !node.hasAttr("stash_type") || node.getInt("stash_type") == 1;
  return single && !node.elementType(0).isF64()
             ? Type(node.builder.getF32Type())
             : node.elementType(0);
}

/// The axes from `axis` (default -1) on.
static FailureOr<llvm::SmallVector<int64_t>> lastAxes(Node &node) {
  int64_t rank = node.rank(0);
  FailureOr<int64_t> axis =
      node.normalizeAxis(node.hasAttr("axis") ? node.getInt("axis") : -1, rank);
  if (failed(axis))
    return failure();
  return llvm::to_vector(llvm::seq<int64_t>(*axis, rank));
}

/// d = x - mean, y = d / sqrt(mean of d^2 + epsilon), y * scale + bias; the
/// further outputs are the mean and 1 / sqrt(..). RMSNormalization takes x
/// itself for d and has no bias.
static LogicalResult upgradeLayerNormalization(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  FailureOr<llvm::SmallVector<int64_t>> axes = lastAxes(node);
  if (failed(axes))
    return failure();
  Definition def{node};
  bool centred = node.entry.name == "LayerNormalization";
  Type own = node.elementType(0), wide = stashType(node);
  Value x = def.cast(node.input(0), own, wide), mean;
  if (centred) {
    mean = def.mean(x, *axes);
    x = def.op("Sub", {x, mean});
  }
  auto [whitened, root] = def.divideByRoot(x, *axes, wide);
  Value y = def.cast(whitened, wide, own);
  y = def.op("Mul", {y, node.input(1)});
  if (centred && node.has(2))
    y = def.op("Add", {y, node.input(2)});
  llvm::SmallVector<Value> results = {y};
  if (node.op->getNumResults() > 1)
    results.push_back(mean);
  if (node.op->getNumResults() > 2)
    results.push_back(def.op("Reciprocal", {root}));
  return node.replace(results);
}

/// The image as [N, groups, the rest], normalised there; then scale and bias,
/// by channel from opset 21 on, by group before.
static LogicalResult upgradeGroupNormalization(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  Shape shape = node.shape(0);
  int64_t rank = node.rank(0), groups = node.getInt("num_groups");
  if (rank < 3 || !shape[1].isStatic() || groups < 1 || shape[1].fixed % groups)
    return node.error() << "the input, shape " << toString(shape)
                        << ", must be an image of channels in " << groups
                        << " groups";
  std::optional<Dim> rest = product(llvm::ArrayRef<Dim>(shape).drop_front(2));
  if (!rest || !rest->isStatic())
    return node.error() << "the image must have a static size";
  Dim inner(shape[1].fixed / groups * rest->fixed);
  Definition def{node};
  Type own = node.elementType(0), wide = stashType(node);
  Value x = def.cast(node.input(0), own, wide);
  x = node.reshape(x, {shape[0], Dim(groups), inner});
  x = def.op("Sub", {x, def.mean(x, {2})});
  Value y = def.cast(def.divideByRoot(x, {2}, wide).first, wide, own);
  auto scaled = [&](llvm::ArrayRef<Dim> parameter) {
    for (auto [i, name] : {std::pair(1u, "Mul"), std::pair(2u, "Add")})
      y = def.op(name, {y, node.reshape(node.input(i), parameter)});
  };
  bool byGroup = node.opset < 21;
  for (unsigned i : {1u, 2u})
    if (node.rank(i) != 1 ||
        !node.shape(i)[0].is(byGroup ? groups : shape[1].fixed))
      return node.error() << "input " << i << ", shape "
                          << toString(node.shape(i))
                          << ", must have one element for each "
                          << (byGroup ? "group" : "channel");
  if (byGroup)
    scaled({Dim(groups), Dim(1)});
  y = node.reshape(y, shape);
  if (!byGroup) {
    Shape parameter(rank - 1, Dim(1));
    parameter[0] = shape[1];
    scaled(parameter);
  }
  return node.replace(y);
}

// ---- Activations.

/// 0.5 x (1 + erf(x / sqrt 2)), or with tanh(sqrt(2 / pi) (x + 0.044715 x^3)).
static LogicalResult upgradeGelu(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  Definition def{node};
  Type type = node.elementType(0);
  Value x = node.input(0), inner;
  if (node.hasAttr("approximate") && node.getString("approximate") == "tanh") {
    Value cube = def.op("Mul", {def.op("Mul", {x, x}), x});
    Value sum =
        def.op("Add", {x, def.op("Mul", {def.number(type, 0.044715), cube})});
    inner = def.op(
        "Tanh", {def.op("Mul", {def.number(type, 0.7978845608028654), sum})});
  } else {
    inner = def.op("Erf",
                   {def.op("Div", {x, def.number(type, 1.4142135623730951)})});
  }
  Value half = def.op("Mul", {def.number(type, 0.5), x});
  Value one = def.op("Add", {def.number(type, 1), inner});
  return node.replace(def.op("Mul", {half, one}));
}

/// x tanh(softplus(x)).
static LogicalResult upgradeMish(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  Definition def{node};
  Value x = node.input(0);
  return node.replace(
      def.op("Mul", {x, def.op("Tanh", {def.op("Softplus", {x})})}));
}

/// x sigmoid(alpha x).
static LogicalResult upgradeSwish(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  Definition def{node};
  Value x = node.input(0), inner = x;
  float alpha = node.hasAttr("alpha") ? node.getFloat("alpha") : 1;
  if (alpha != 1)
    inner = def.op("Mul", {def.number(node.elementType(0), alpha), x});
  return node.replace(def.op("Mul", {x, def.op("Sigmoid", {inner})}));
}

// ---- Masks.

/// x where j - i >= k (upper) or <= k (lower) in the last two dimensions, else
/// 0.
static LogicalResult upgradeTrilu(Node &node) {
  Shape shape = node.shape(0);
  if (shape.size() < 2 || !shape[shape.size() - 2].isStatic() ||
      !shape.back().isStatic())
    return node.error() << "needs two last dimensions of static sizes, not "
                        << toString(shape);
  int64_t k = 0;
  if (node.has(1)) {
    FailureOr<llvm::SmallVector<int64_t>> given = node.constantInts(1, "k");
    if (failed(given))
      return failure();
    if (given->size() != 1)
      return node.error() << "k must be one number";
    k = (*given)[0];
  }
  int64_t rows = shape[shape.size() - 2].fixed, columns = shape.back().fixed;
  bool upper = node.getInt("upper");
  llvm::SmallVector<bool> keeps;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      keeps.push_back(upper ? j - i >= k : j - i <= k);
  auto type =
      mlir::RankedTensorType::get({rows, columns}, node.builder.getI1Type());
  Value mask = node.constant(mlir::DenseElementsAttr::get(type, keeps));
  Value zero = node.scalar(node.elementType(0), 0);
  return node.replace(node.create("Where", {mask, node.input(0), zero}));
}

void hwgq::onnx::addComposed(std::vector<Operator> &table) {
  AttributeSpec epsilon = floatAttr("epsilon", 1e-5f);
  AttributeSpec stash = intAttr("stash_type", 1), axis = intAttr("axis", -1);
  table.push_back({"LayerNormalization",
                   {1, 17},
                   {2, 3},
                   {1, 3},
                   {axis, epsilon, stash},
                   nullptr,
                   upgradeLayerNormalization});
  table.push_back({"RMSNormalization",
                   {23},
                   {2, 2},
                   {1, 1},
                   {axis, epsilon, stash},
                   nullptr,
                   upgradeLayerNormalization});
  table.push_back({"GroupNormalization",
                   {18, 21},
                   {3, 3},
                   {1, 1},
                   {epsilon, stash, required("num_groups", Kind::Int)},
                   nullptr,
                   upgradeGroupNormalization});
  table.push_back({"Gelu",
                   {20},
                   {1, 1},
                   {1, 1},
                   {stringAttr("approximate", "none")},
                   nullptr,
                   upgradeGelu});
  table.push_back({"Trilu",
                   {14},
                   {1, 2},
                   {1, 1},
                   {intAttr("upper", 1)},
                   nullptr,
                   upgradeTrilu});
  table.push_back({"Mish", {18, 22}, {1, 1}, {1, 1}, {}, nullptr, upgradeMish});
  table.push_back({"Swish",
                   {24},
                   {1, 1},
                   {1, 1},
                   {floatAttr("alpha", 1)},
                   nullptr,
                   upgradeSwish});
}
