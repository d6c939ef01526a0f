//===- Conditionals.cpp - If with both branches as regions ----------------===//
#include "GraphBuilder.h"

using namespace hwgq;
using mlir::failure;
using mlir::Location;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;
using ::onnx_proto::NodeProto;

/// Adds the nodes of a branch to `block`, and their outputs as an onnx.Yield.
LogicalResult GraphBuilder::addBranch(const ::onnx_proto::GraphProto &branch,
                                      const Scope &scope, unsigned outputs,
                                      mlir::Block *block, Location loc) {
  if (branch.output_size() != int(outputs) || branch.input_size() != 0)
    return mlir::emitError(loc) << "If: a branch takes no input and has as "
                                   "many outputs as the node";
  constexpr int64_t kMaxCopied = 1 << 24;
  copied += scope.values.size() + scope.initializers.size() + 1;
  if (copied > kMaxCopied)
    return mlir::emitError(loc) << "If: too many conditions in one graph";
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(block);
  Scope inner = scope; // what a branch names stays in it
  inner.prefix =
      mlir::cast<mlir::NameLoc>(loc).getName().getValue().str() + "/";
  for (const auto &tensor : branch.initializer()) {
    inner.values.erase(tensor.name());
    inner.initializers[tensor.name()] = &tensor;
  }
  for (const NodeProto &node : branch.node())
    for (const std::string &output : node.output()) {
      inner.values.erase(output);
      inner.initializers.erase(output);
      inner.sparse.erase(output);
    }
  if (failed(addNodes(branch.node(), inner)))
    return failure();
  mlir::OperationState yield(loc, "onnx.Yield");
  for (const auto &output : branch.output()) {
    auto value = lookup(inner, output.name(), loc);
    if (failed(value))
      return failure();
    yield.addOperands(*value);
  }
  builder.create(yield);
  return success();
}

LogicalResult GraphBuilder::addIf(const NodeProto &node, Scope &scope,
                                  Location loc) {
  constexpr unsigned kMaxDepth = 16;
  if (branches >= kMaxDepth)
    return mlir::emitError(loc)
           << "If: conditions nest more than " << kMaxDepth << " deep";
  const ::onnx_proto::GraphProto *graphs[2] = {};
  for (const auto &attribute : node.attribute())
    for (auto [i, name] : {std::pair(0, "then_branch"), {1, "else_branch"}})
      if (attribute.name() == name && attribute.has_g())
        graphs[i] = &attribute.g();
  if (node.input_size() != 1 || !graphs[0] || !graphs[1])
    return mlir::emitError(loc) << "If: takes one input, a then_branch and an "
                                   "else_branch";
  auto condition = lookup(scope, node.input(0), loc);
  if (failed(condition))
    return failure();
  mlir::OperationState state(loc, "onnx.If");
  state.addOperands(*condition);
  state.addTypes(
      llvm::SmallVector<mlir::Type>(node.output_size(), builder.getNoneType()));
  ++branches;
  for (const auto *graph : graphs) {
    mlir::Block *block = new mlir::Block();
    state.addRegion()->push_back(block);
    if (failed(addBranch(*graph, scope, node.output_size(), block, loc)))
      return failure();
  }
  --branches;
  mlir::Operation *op = builder.create(state);
  for (auto [name, result] : llvm::zip(node.output(), op->getResults()))
    if (!name.empty())
      scope.values[name] = result;
  return success();
}
