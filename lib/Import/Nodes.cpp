//===- Nodes.cpp - nodes in order, and each as an op ----------------------===//
#include "GraphBuilder.h"
#include "mlir/IR/Diagnostics.h"
#include <queue>

using namespace hwgq;
using mlir::failure;
using mlir::Location;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;
using ::onnx_proto::NodeProto;

// ---- Order.

/// Says which nodes depend on each other in a ring.
static LogicalResult
reportCycle(llvm::ArrayRef<const NodeProto *> nodes,
            llvm::ArrayRef<llvm::SmallVector<unsigned, 4>> producers,
            llvm::ArrayRef<unsigned> waiting, llvm::ArrayRef<Location> locs) {
  unsigned at = 0;
  while (waiting[at] == 0)
    ++at;
  // A waiting node waits for another waiting one; some node comes twice.
  std::vector<unsigned> path;
  std::vector<bool> seen(nodes.size(), false);
  while (!seen[at]) {
    seen[at] = true;
    path.push_back(at);
    for (unsigned next : producers[at])
      if (waiting[next]) {
        at = next;
        break;
      }
  }
  path.erase(path.begin(), llvm::find(path, at));
  auto diagnostic = mlir::emitError(locs[at]) << "nodes depend on each other: ";
  for (auto [i, index] : llvm::enumerate(llvm::reverse(path))) {
    if (i == 8) {
      diagnostic << "...";
      break;
    }
    diagnostic << mlir::cast<mlir::NameLoc>(locs[index]).getName().getValue()
               << " -> ";
  }
  return diagnostic
         << mlir::cast<mlir::NameLoc>(locs[path.back()]).getName().getValue();
}

mlir::FailureOr<std::vector<const NodeProto *>>
GraphBuilder::sortNodes(const Nodes &nodes, Scope &scope) {
  llvm::StringMap<unsigned> producer;
  std::vector<const NodeProto *> all;
  std::vector<Location> locs;
  for (const NodeProto &node : nodes) {
    locs.push_back(nodeLoc(node, scope));
    for (const std::string &output : node.output()) {
      if (output.empty())
        continue;
      bool taken = scope.values.count(output) ||
                   scope.initializers.count(output) ||
                   scope.sparse.count(output);
      if (taken || !producer.try_emplace(output, all.size()).second) {
        mlir::emitError(locs.back())
            << "'" << printable(output) << "' is made twice";
        return failure();
      }
    }
    all.push_back(&node);
  }
  std::vector<llvm::SmallVector<unsigned, 4>> producers(all.size());
  std::vector<llvm::SmallVector<unsigned, 4>> users(all.size());
  std::vector<unsigned> waiting(all.size(), 0);
  std::priority_queue<unsigned, std::vector<unsigned>, std::greater<>> ready;
  for (unsigned i = 0; i < all.size(); ++i) {
    for (const std::string &input : all[i]->input()) {
      auto it = producer.find(input);
      if (input.empty() || it == producer.end())
        continue;
      producers[i].push_back(it->second);
      users[it->second].push_back(i);
      ++waiting[i];
    }
    if (waiting[i] == 0)
      ready.push(i);
  }
  std::vector<const NodeProto *> order;
  while (!ready.empty()) {
    unsigned at = ready.top();
    ready.pop();
    order.push_back(all[at]);
    for (unsigned user : users[at])
      if (--waiting[user] == 0)
        ready.push(user);
  }
  if (order.size() == all.size())
    return order;
  (void)reportCycle(all, producers, waiting, locs);
  return failure();
}

// ---- One node.

LogicalResult GraphBuilder::addNodes(const Nodes &nodes, Scope &scope) {
  numNodes += nodes.size();
  if (numNodes > 1000000)
    return module.emitError() << "the graph has more than a million nodes";
  auto order = sortNodes(nodes, scope);
  if (failed(order))
    return failure();
  for (const NodeProto *node : *order)
    if (failed(addNode(*node, scope)))
      return failure();
  return success();
}

static bool isQonnxDomain(llvm::StringRef domain) {
  return domain == "qonnx.custom_op.general" || domain == "onnx.brevitas" ||
         domain == "finn.custom_op.general" || domain == "finn" ||
         domain == "qonnx" || domain == "brevitas.onnx" ||
         domain == "qonnx.custom_op.channels_last";
}

/// Operators that are QONNX's in whatever domain they stand.
static bool isQonnxOperator(llvm::StringRef name) {
  static const llvm::StringRef names[] = {
      "Quant",       "IntQuant",       "BipolarQuant", "Trunc",
      "TruncQuant",  "MultiThreshold", "Im2Col",       "XnorPopcountMatMul",
      "MaxPoolNHWC", "QuantAvgPool2d", "DebugMarker",  "FloatQuant"};
  return llvm::is_contained(names, name);
}

/// The operator that a name is most like, where it is like one; null if not.
static const onnx::Operator *nearestOperator(llvm::StringRef name) {
  const onnx::Operator *nearest = nullptr;
  unsigned best = std::min<size_t>(3, 1 + name.size() / 5);
  std::string lower = name.take_front(64).lower();
  for (const onnx::Operator &entry : onnx::getOperators()) {
    unsigned distance = llvm::StringRef(lower).edit_distance(
        entry.name.lower(), /*AllowReplacements=*/true, best + 1);
    if (distance <= best) {
      best = distance - (distance > 0);
      nearest = &entry;
    }
  }
  return nearest;
}

/// What the table says of a node; null with a reason when it has nothing.
static const onnx::Operator *findOperator(const NodeProto &node,
                                          llvm::StringRef &reason) {
  llvm::StringRef name = node.op_type(), domain = node.domain();
  if (name == "NoValue")
    return nullptr;
  reason = onnx::getRefusal(name);
  if (isDefaultDomain(domain) || isQonnxDomain(domain) || isQonnxOperator(name))
    return onnx::lookupOperator(name);
  return nullptr;
}

LogicalResult GraphBuilder::addNode(const NodeProto &node, Scope &scope) {
  Location loc = nodeLoc(node, scope);
  if (node.op_type() == "If" && isDefaultDomain(node.domain()))
    return addIf(node, scope, loc);
  llvm::StringRef reason;
  const onnx::Operator *entry = findOperator(node, reason);
  if (!entry) {
    if (const auto *function = findFunction(node))
      return inlineFunction(node, *function, scope, loc);
    auto diagnostic = mlir::emitError(loc)
                      << "the operator " << printable(node.op_type());
    if (!isDefaultDomain(node.domain()))
      diagnostic << " of the domain " << printable(node.domain());
    diagnostic << " is not supported";
    if (!reason.empty())
      diagnostic << ": " << reason;
    else if (const onnx::Operator *nearest = nearestOperator(node.op_type()))
      diagnostic << "; " << nearest->name
                 << (isDefaultDomain(node.domain()) ? " is" : " of ONNX is");
    else
      diagnostic << "; docs/Status.md lists the operators that are";
    return diagnostic;
  }
  if (entry->name == "Constant")
    return addConstant(node, scope, loc);
  mlir::OperationState state(loc, ("onnx." + entry->name).str());
  // Absent inputs at the end are as good as not written.
  int inputs = node.input_size();
  while (inputs > 0 && node.input(inputs - 1).empty())
    --inputs;
  for (int i = 0; i < inputs; ++i) {
    mlir::FailureOr<Value> value = node.input(i).empty()
                                       ? mlir::FailureOr<Value>(noValue(loc))
                                       : lookup(scope, node.input(i), loc);
    if (failed(value))
      return failure();
    state.addOperands(*value);
  }
  if (failed(addAttributes(node, scope, *entry, state)))
    return failure();
  if (scope.opset != onnx::kOpset)
    state.addAttribute("hwgq.opset", builder.getI64IntegerAttr(scope.opset));
  llvm::SmallVector<mlir::Type> types(node.output_size(),
                                      builder.getNoneType());
  state.addTypes(types);
  mlir::Operation *op = builder.create(state);
  for (auto [name, result] : llvm::zip(node.output(), op->getResults()))
    if (!name.empty())
      scope.values[name] = result;
  return success();
}
