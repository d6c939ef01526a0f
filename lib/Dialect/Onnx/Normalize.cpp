//===- Normalize.cpp - brings a function to the normal form ---------------===//
#include "Node.h"
#include "llvm/ADT/SetVector.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;
namespace func = mlir::func;

// ---- Checks against the table.

static bool hasKind(mlir::Attribute attr, const AttributeSpec &spec) {
  switch (spec.kind) {
  case AttributeKind::Int: {
    auto value = mlir::dyn_cast<mlir::IntegerAttr>(attr);
    // Old opsets name the type of a Cast by a string.
    return (value && value.getType().isSignlessInteger(64)) ||
           (spec.name == "to" && mlir::isa<mlir::StringAttr>(attr));
  }
  case AttributeKind::Float: {
    auto value = mlir::dyn_cast<mlir::FloatAttr>(attr);
    return value && value.getType().isF32();
  }
  case AttributeKind::String:
    return mlir::isa<mlir::StringAttr>(attr);
  case AttributeKind::Ints:
    return mlir::isa<mlir::DenseI64ArrayAttr>(attr);
  case AttributeKind::Floats:
    return mlir::isa<mlir::DenseF32ArrayAttr>(attr);
  case AttributeKind::Tensor:
    return mlir::isa<mlir::ElementsAttr>(attr);
  }
  return false;
}

static llvm::StringRef kindName(AttributeKind kind) {
  switch (kind) {
  case AttributeKind::Int:
    return "an i64 integer";
  case AttributeKind::Float:
    return "an f32 float";
  case AttributeKind::String:
    return "a string";
  case AttributeKind::Ints:
    return "array<i64>";
  case AttributeKind::Floats:
    return "array<f32>";
  case AttributeKind::Tensor:
    return "a dense tensor";
  }
  return "";
}

static LogicalResult checkAttributes(Node &node) {
  llvm::SmallVector<mlir::NamedAttribute> attributes(node.op->getAttrs());
  for (mlir::NamedAttribute attribute : attributes) {
    llvm::StringRef name = attribute.getName().getValue();
    if (name.contains('.'))
      continue; // a discardable one of some dialect
    const AttributeSpec *spec = node.entry.findAttribute(name);
    if (!spec)
      return node.error() << "there is no attribute '" << name << "'";
    if (!hasKind(attribute.getValue(), *spec))
      return node.error() << "the attribute '" << name << "' must be "
                          << kindName(spec->kind);
  }
  return success();
}

static LogicalResult checkArity(Node &node) {
  const Operator &entry = node.entry;
  auto inputs = entry.inputs, outputs = entry.outputs;
  if (node.numInputs() > inputs.max)
    return node.error() << "takes at most " << inputs.max << " inputs, not "
                        << node.numInputs();
  if (node.op->getNumRegions() || node.op->getNumSuccessors())
    return node.error() << "takes no regions";
  for (unsigned i = 0; i < inputs.min; ++i)
    if (!node.has(i))
      return node.error() << "input " << i << " is missing; it takes at least "
                          << inputs.min;
  if (inputs.max == Operator::kVariadic)
    for (unsigned i = 0; i < node.numInputs(); ++i)
      if (!node.has(i))
        return node.error() << "input " << i << " is missing";
  if (node.op->getNumResults() < outputs.min ||
      node.op->getNumResults() > outputs.max)
    return node.error() << "has " << outputs.min << " outputs or more, at most "
                        << outputs.max << ", not " << node.op->getNumResults();
  return success();
}

/// Required and default attributes, and all operands, of the normal form.
static LogicalResult complete(Node &node) {
  for (const AttributeSpec &spec : node.entry.attributes) {
    bool present = node.op->hasAttr(spec.name);
    if (spec.presence == AttributeSpec::Presence::Required && !present)
      return node.error() << "the attribute '" << spec.name << "' is missing";
    if (spec.presence == AttributeSpec::Presence::Legacy && present)
      node.op->removeAttr(spec.name);
    if (mlir::Attribute value =
            present ? nullptr : spec.getDefault(node.op->getContext()))
      node.op->setAttr(spec.name, value);
  }
  unsigned most = node.entry.inputs.max;
  while (most != Operator::kVariadic && node.numInputs() < most &&
         node.entry.name != "Pad")
    node.op->insertOperands(node.numInputs(), node.noValue());
  return success();
}

// ---- The walk.

namespace {
class Normalizer {
public:
  Normalizer(func::FuncOp func, const NormalizeOptions &options) : func(func) {
    state.options = options;
  }

  LogicalResult run();

private:
  LogicalResult setArguments();
  LogicalResult checkBatch();
  LogicalResult readOperands(mlir::Operation *op);
  LogicalResult visit(mlir::Operation *op, bool &replaced);
  LogicalResult chooseBranch(mlir::Operation *op);
  void foldKnown(Node &node);
  void setFunctionType();

  func::FuncOp func;
  NormalizeState state;
};
} // namespace

/// A leading `?` is the batch; a static leading size is one where the batch
/// is overridden.
LogicalResult Normalizer::setArguments() {
  const NormalizeOptions &options = state.options;
  bool wanted = options.batch || options.dynamicBatch;
  // The batch of the function: the leading size of its first input of the
  // highest rank class (images before vectors before lists).
  std::optional<int64_t> old;
  int64_t bestRank = 0;
  for (mlir::BlockArgument argument : func.getArguments()) {
    auto type = mlir::dyn_cast<mlir::RankedTensorType>(argument.getType());
    if (!type)
      return func.emitError()
             << "input " << argument.getArgNumber()
             << " must be a ranked tensor, not " << argument.getType();
    for (int64_t i = 1; i < type.getRank(); ++i)
      if (type.isDynamicDim(i))
        return func.emitError()
               << "input " << argument.getArgNumber() << ", type " << type
               << ": only the leading size may be dynamic";
    int64_t rank = std::min<int64_t>(type.getRank(), 2);
    if (rank > bestRank) {
      bestRank = rank;
      old = type.isDynamicDim(0) ? std::nullopt
                                 : std::optional(type.getDimSize(0));
    }
  }
  state.overridden = wanted;
  state.oldBatch = old;
  for (mlir::BlockArgument argument : func.getArguments()) {
    auto type = mlir::cast<mlir::RankedTensorType>(argument.getType());
    Info &info = state.info(argument);
    info.elementType = type.getElementType();
    for (int64_t i = 0; i < type.getRank(); ++i) {
      int64_t size = type.getDimSize(i);
      bool batch =
          i == 0 && (type.isDynamicDim(0) ||
                     (wanted && old && size == *old &&
                      std::min<int64_t>(type.getRank(), 2) == bestRank));
      info.shape.push_back(batch ? Dim(1, 0) : Dim(size));
    }
    argument.setType(state.getType(info));
  }
  return checkBatch();
}

LogicalResult Normalizer::checkBatch() {
  if (state.options.batch &&
      (*state.options.batch < 1 || *state.options.batch > (1 << 30)))
    return func.emitError()
           << "the batch must be from 1 to 2^30, not " << *state.options.batch;
  bool any = llvm::any_of(func.getArguments(), [&](Value argument) {
    const Shape &shape = state.info(argument).shape;
    return !shape.empty() && !shape[0].isStatic();
  });
  if ((state.options.batch || state.options.dynamicBatch) && !any)
    return func.emitError() << "no input has a leading size to be the batch";
  return success();
}

/// Operands that no onnx op made: their types are taken as they are.
LogicalResult Normalizer::readOperands(mlir::Operation *op) {
  for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
    if (state.infos.count(operand.getAsOpaquePointer()))
      continue;
    auto type = mlir::dyn_cast<mlir::RankedTensorType>(operand.getType());
    if (!type)
      return op->emitError()
             << getOperatorName(op) << ": input " << i
             << " must be a ranked tensor, not " << operand.getType();
    Info &info = state.info(operand);
    info.elementType = type.getElementType();
    for (auto [axis, size] : llvm::enumerate(type.getShape())) {
      bool dynamic = mlir::ShapedType::isDynamic(size);
      if (dynamic && axis > 0)
        return op->emitError()
               << getOperatorName(op) << ": input " << i << ", type " << type
               << ": only the leading size may be dynamic";
      info.shape.push_back(dynamic ? Dim(1, 0) : Dim(size));
    }
  }
  return success();
}

/// A value whose elements are all known becomes a constant.
void Normalizer::foldKnown(Node &node) {
  mlir::Operation *op = node.op;
  Info &info = state.info(op->getResult(0));
  if (!info.contents || node.entry.name == "Constant" ||
      op->getNumResults() != 1 || isFloat(info.elementType))
    return;
  llvm::SmallVector<llvm::APInt> values;
  unsigned width = info.elementType.getIntOrFloatBitWidth();
  for (const Element &element : *info.contents) {
    int64_t size = state.getSize(element.value);
    if (element.isFloat || (!element.value.isStatic() && !state.options.batch))
      return;
    values.push_back(llvm::APInt(64, uint64_t(size)).zextOrTrunc(width));
  }
  auto type = mlir::cast<mlir::RankedTensorType>(op->getResult(0).getType());
  Contents contents = *info.contents;
  Value made = node.constant(mlir::DenseElementsAttr::get(type, values));
  state.info(made).contents = contents;
  (void)node.replace(made);
}

/// An If whose condition is known becomes the nodes of its branch.
LogicalResult Normalizer::chooseBranch(mlir::Operation *op) {
  auto unknown = [&]() -> LogicalResult {
    return op->emitError() << "the operator If is not supported where its "
                              "condition depends on data: "
                           << getRefusal("If");
  };
  if (op->getNumOperands() != 1 || op->getNumRegions() != 2)
    return op->emitError("If: takes a condition and two branches");
  if (failed(readOperands(op)))
    return failure();
  const Info &condition = state.info(op->getOperand(0));
  if (!condition.contents || condition.contents->size() != 1 ||
      condition.contents->front().isFloat)
    return unknown();
  Dim value = condition.contents->front().value;
  if (!value.isStatic() && !state.options.batch)
    return unknown();
  mlir::Region &region = op->getRegion(state.getSize(value) ? 0 : 1);
  if (!region.hasOneBlock() || region.front().empty())
    return op->emitError("If: a branch is one block");
  mlir::Operation *yield = &region.front().back();
  if (getOperatorName(yield) != "Yield" ||
      yield->getNumOperands() != op->getNumResults())
    return op->emitError("If: a branch ends with its outputs");
  for (auto [result, made] : llvm::zip(op->getResults(), yield->getOperands()))
    result.replaceAllUsesWith(made);
  yield->erase();
  op->getBlock()->getOperations().splice(op->getIterator(),
                                         region.front().getOperations());
  op->erase();
  return success();
}

LogicalResult Normalizer::visit(mlir::Operation *op, bool &replaced) {
  llvm::StringRef name = getOperatorName(op);
  if (name == "If") {
    replaced = true;
    return chooseBranch(op);
  }
  const Operator *entry = lookupOperator(name);
  if (!entry) {
    llvm::StringRef reason = getRefusal(name);
    return op->emitError() << "the operator " << name << " is not supported"
                           << (reason.empty() ? "" : ": ") << reason;
  }
  if (failed(readOperands(op)))
    return failure();
  // Constants made on the way are known already, in terms of the batch.
  if (entry->name == "Constant" && op->getNumResults() == 1 &&
      state.infos.count(op->getResult(0).getAsOpaquePointer()))
    return success();
  Node node(op, *entry, state);
  if (auto opset = op->getAttrOfType<mlir::IntegerAttr>("hwgq.opset"))
    node.opset = opset.getInt();
  if (entry->name == "NoValue") {
    op->getResult(0).setType(node.builder.getNoneType());
    state.info(op->getResult(0)) = Info();
    return success();
  }
  if (failed(checkArity(node)) || failed(checkAttributes(node)))
    return failure();
  if (entry->upgrade && failed(entry->upgrade(node)))
    return failure();
  if (!node.replaced && entry->infer && failed(entry->infer(node)))
    return failure();
  if (!node.replaced) {
    op->removeAttr("hwgq.opset");
    if (failed(complete(node)))
      return failure();
    state.info(op->getResult(0)).contents = evaluateContents(node);
    foldKnown(node);
  }
  replaced = node.replaced;
  return success();
}

LogicalResult Normalizer::run() {
  if (func.isExternal())
    return success();
  bool any = false;
  func.walk([&](mlir::Operation *op) {
    any |= op->getName().getDialectNamespace() == "onnx";
  });
  if (!any && !state.options.batch && !state.options.dynamicBatch)
    return success();
  if (!func.getBody().hasOneBlock())
    return func.emitError() << "a function with onnx operators must have one "
                               "block";
  if (failed(setArguments()))
    return failure();
  mlir::Block &block = func.getBody().front();
  for (mlir::Operation *op = &block.front(); op;) {
    mlir::Operation *before = op->getPrevNode();
    bool replaced = false;
    if (op->getName().getDialectNamespace() == "onnx" &&
        failed(visit(op, replaced)))
      return failure();
    // New ops stand where the replaced one stood.
    op = !replaced ? op->getNextNode()
         : before  ? before->getNextNode()
                   : &block.front();
  }
  eraseDeadOps(func);
  setFunctionType();
  return success();
}

void Normalizer::setFunctionType() {
  mlir::Operation *terminator = func.getBody().front().getTerminator();
  func.setType(mlir::FunctionType::get(
      func.getContext(), func.getBody().front().getArgumentTypes(),
      terminator->getOperandTypes()));
}

LogicalResult hwgq::onnx::normalize(func::FuncOp func,
                                    const NormalizeOptions &options) {
  return Normalizer(func, options).run();
}

void hwgq::onnx::eraseDeadOps(func::FuncOp func) {
  for (mlir::Block &block : func.getBody())
    for (mlir::Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (op.getName().getDialectNamespace() == "onnx" && op.use_empty())
        op.erase();
}
