//===- Reduction.cpp - reductions over axes -------------------------------===//
#include "Node.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

/// The axes, ascending; all of them where none is given. `noop` says that no
/// axis is meant.
static FailureOr<llvm::SmallVector<int64_t>> readAxes(Node &node, bool &noop) {
  llvm::SmallVector<int64_t> axes;
  if (node.has(1)) {
    auto given = node.constantInts(1, "axes");
    if (failed(given))
      return failure();
    auto normal = node.normalizeAxes(*given, node.rank(0));
    if (failed(normal))
      return failure();
    axes = *normal;
    llvm::sort(axes);
  }
  noop = axes.empty() && node.getInt("noop_with_empty_axes");
  for (int64_t i = 0; axes.empty() && !noop && i < node.rank(0); ++i) {
    axes.clear();
    for (int64_t axis = 0; axis < node.rank(0); ++axis)
      axes.push_back(axis);
  }
  return axes;
}

static LogicalResult inferReduce(Node &node) {
  if (failed(node.requireNumber(0)))
    return failure();
  if (node.entry.name == "ReduceMean" && failed(node.requireFloat(0)))
    return failure();
  bool noop;
  auto axes = readAxes(node, noop);
  if (failed(axes))
    return failure();
  if (axes->empty())
    return node.replace(node.input(0));
  if (!node.has(1) || getConstantInts(node.input(1)) != *axes)
    node.setInput(1, node.constantInts(*axes));
  node.dropAttr("noop_with_empty_axes");
  bool keep = node.getInt("keepdims");
  Shape shape;
  for (auto [i, dim] : llvm::enumerate(node.shape(0))) {
    if (!llvm::is_contained(*axes, int64_t(i)))
      shape.push_back(dim);
    else if (keep)
      shape.push_back(1);
  }
  return node.result(node.elementType(0), shape);
}

static LogicalResult upgradeReduce(Node &node) {
  node.attrToInput("axes", 1);
  if (!node.elementType(0).isSignlessInteger(1))
    return success();
  // Opset 20 reduces bools, false < true.
  if (node.entry.name != "ReduceMax" && node.entry.name != "ReduceMin")
    return node.error() << "bools cannot be summed";
  Value bytes =
      node.create("Cast", node.input(0), {node.attr("to", int64_t(2))});
  llvm::SmallVector<Value> operands = {bytes};
  if (node.numInputs() > 1)
    operands.push_back(node.input(1));
  llvm::SmallVector<mlir::NamedAttribute> attributes = {
      node.attr("keepdims", node.getInt("keepdims")),
      node.attr("noop_with_empty_axes", node.getInt("noop_with_empty_axes"))};
  Value made = node.create(node.entry.name, operands, attributes);
  return node.replace(node.create("Cast", made, {node.attr("to", int64_t(9))}));
}

/// ReduceL1 and the like as elementwise operators round a ReduceSum.
static LogicalResult upgradeComposed(Node &node) {
  node.attrToInput("axes", 1);
  if (failed(node.requireNumber(0)))
    return failure();
  llvm::StringRef name = node.entry.name;
  Value x = node.input(0);
  auto reduce = [&](llvm::StringRef op, Value value, int64_t keep) {
    llvm::SmallVector<Value> operands = {value};
    if (node.numInputs() > 1)
      operands.push_back(node.input(1));
    return node.create(op, operands,
                       {node.attr("keepdims", keep),
                        node.attr("noop_with_empty_axes",
                                  node.getInt("noop_with_empty_axes"))});
  };
  int64_t keep = node.getInt("keepdims");
  if (name == "ReduceL1")
    return node.replace(reduce("ReduceSum", node.create("Abs", x), keep));
  if (name == "ReduceLogSum")
    return node.replace(node.create("Log", reduce("ReduceSum", x, keep)));
  if (name == "ReduceLogSumExp") {
    // m + log(sum(exp(x - m))), m the maximum.
    Value most = reduce("ReduceMax", x, 1);
    Value powers = node.create("Exp", node.create("Sub", {x, most}));
    Value sum = node.create("Log", reduce("ReduceSum", powers, keep));
    return node.replace(
        node.create("Add", {sum, keep ? most : reduce("ReduceMax", x, 0)}));
  }
  Value sum = reduce("ReduceSum", node.create("Mul", {x, x}), keep);
  return node.replace(name == "ReduceL2" ? node.create("Sqrt", sum) : sum);
}

void hwgq::onnx::addReduction(std::vector<Operator> &table) {
  std::vector<AttributeSpec> attributes = {
      intAttr("keepdims", 1), legacy("noop_with_empty_axes", Kind::Int),
      legacy("axes", Kind::Ints)};
  auto reduce = [&](llvm::StringRef name, std::vector<int> since) {
    table.push_back(
        {name, since, {1, 2}, {1, 1}, attributes, inferReduce, upgradeReduce});
  };
  reduce("ReduceSum", {1, 11, 13});
  reduce("ReduceMean", {1, 11, 13, 18});
  reduce("ReduceProd", {1, 11, 13, 18});
  reduce("ReduceMax", {1, 11, 12, 13, 18, 20});
  reduce("ReduceMin", {1, 11, 12, 13, 18, 20});
  for (llvm::StringRef name : {"ReduceL1", "ReduceL2", "ReduceLogSum",
                               "ReduceLogSumExp", "ReduceSumSquare"})
    table.push_back({name,
                     {1, 11, 13, 18, 28},
                     {1, 2},
                     {1, 1},
                     attributes,
                     nullptr,
                     upgradeComposed});
}
