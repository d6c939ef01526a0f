//===- GraphBuilder.cpp - the graph and its inputs and outputs ------------===//
#include "GraphBuilder.h"
#include "mlir/IR/Diagnostics.h"

using namespace hwgq;
using mlir::failure;
using mlir::Location;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;
using ::onnx_proto::NodeProto;

static constexpr int64_t kMinIr = 3, kMaxIr = 14, kMinOpset = 1;

GraphBuilder::GraphBuilder(const ModelFile &file, mlir::ModuleOp module,
                           const ImportOptions &options)
    : file(file), graph(file.model->graph()), options(options), module(module),
      builder(module.getContext()), tensors(file) {}

Location GraphBuilder::nameLoc(llvm::StringRef name) {
  return mlir::NameLoc::get(builder.getStringAttr(printable(name)));
}

Location GraphBuilder::nodeLoc(const NodeProto &node, const Scope &scope) {
  llvm::StringRef name = node.name();
  if (name.empty() && node.output_size() > 0)
    name = node.output(0);
  if (name.empty())
    name = node.op_type();
  return nameLoc(scope.prefix + name.str());
}

// ---- Versions.

/// The newest opset that a file of an IR version can mean.
static int64_t newestOpset(int64_t ir) {
  static const int64_t newest[] = {8,  9,  10, 11, 14, 18,
                                   20, 22, 23, 24, 26, onnx::kOpset};
  return ir < kMinIr || ir > kMaxIr ? onnx::kOpset : newest[ir - kMinIr];
}

bool hwgq::isDefaultDomain(llvm::StringRef domain) {
  // Brevitas 0.7 to 0.9 wrote its format string as it stands.
  return domain.empty() || domain == "ai.onnx" || domain == "{DOMAIN_STRING}";
}

mlir::FailureOr<int64_t> GraphBuilder::readOpset(const Opsets &opsets,
                                                 Location loc) {
  std::optional<int64_t> found;
  for (const auto &opset : opsets)
    if (isDefaultDomain(opset.domain()) &&
        (!found || opset.domain() != "{DOMAIN_STRING}"))
      found = opset.version();
  if (!found)
    return newestOpset(file.model->ir_version());
  if (*found < kMinOpset || *found > onnx::kOpset) {
    mlir::emitError(loc) << "opset " << *found << " is not supported; opsets "
                         << kMinOpset << " to " << onnx::kOpset << " are";
    return failure();
  }
  return *found;
}

LogicalResult GraphBuilder::checkVersions() {
  int64_t ir = file.model->ir_version();
  if (file.model->has_ir_version() && (ir < kMinIr || ir > kMaxIr))
    return module.emitError()
           << "IR version " << ir << " is not supported; versions " << kMinIr
           << " to " << kMaxIr << " are";
  if (!file.model->has_graph())
    return module.emitError() << "this is not an ONNX model: it has no graph";
  if (graph.node_size() == 0 || graph.output_size() == 0)
    return module.emitError()
           << "the graph is empty: it has " << graph.node_size()
           << " nodes and " << graph.output_size() << " outputs";
  return success();
}

// ---- Functions.

static std::string functionKey(llvm::StringRef domain, llvm::StringRef name,
                               llvm::StringRef overload) {
  if (isDefaultDomain(domain))
    domain = "";
  return (domain + llvm::Twine('\0') + name + llvm::Twine('\0') + overload)
      .str();
}

LogicalResult GraphBuilder::collectFunctions() {
  for (const auto &function : file.model->functions()) {
    std::string key =
        functionKey(function.domain(), function.name(), function.overload());
    if (!functions.try_emplace(key, &function).second)
      return module.emitError() << "the function " << printable(function.name())
                                << " is defined twice";
  }
  return success();
}

const ::onnx_proto::FunctionProto *
GraphBuilder::findFunction(const NodeProto &node) const {
  auto it = functions.find(
      functionKey(node.domain(), node.op_type(), node.overload()));
  return it == functions.end() ? nullptr : it->second;
}

LogicalResult
GraphBuilder::inlineFunction(const NodeProto &node,
                             const ::onnx_proto::FunctionProto &function,
                             Scope &scope, Location loc) {
  if (llvm::is_contained(calls, &function))
    return mlir::emitError(loc)
           << "the function " << printable(function.name()) << " calls itself";
  if (calls.size() >= 64)
    return mlir::emitError(loc) << "functions nest more than 64 deep";
  // Functions that call functions twice grow like powers of two.
  constexpr int64_t kMaxInlined = 1 << 18;
  inlined += function.node_size();
  if (inlined > kMaxInlined)
    return mlir::emitError(loc)
           << "functions grow to more than " << kMaxInlined << " nodes";
  if (node.input_size() > function.input_size() ||
      node.output_size() > function.output_size())
    return mlir::emitError(loc)
           << "the function " << printable(function.name()) << " takes "
           << function.input_size() << " inputs and has "
           << function.output_size() << " outputs";
  Scope inner;
  auto opset =
      readOpset(function.opset_import_size() == 0 ? file.model->opset_import()
                                                  : function.opset_import(),
                loc);
  if (failed(opset))
    return failure();
  inner.opset = *opset;
  inner.prefix =
      mlir::cast<mlir::NameLoc>(loc).getName().getValue().str() + "/";
  for (int i = 0; i < function.input_size(); ++i) {
    mlir::FailureOr<Value> value =
        i < node.input_size() && !node.input(i).empty()
            ? lookup(scope, node.input(i), loc)
            : noValue(loc);
    if (failed(value))
      return failure();
    inner.values[function.input(i)] = *value;
  }
  for (const auto &attribute : function.attribute_proto())
    inner.attributes[attribute.name()] = &attribute;
  for (const auto &attribute : node.attribute())
    if (const auto *value = resolve(attribute, scope))
      inner.attributes[attribute.name()] = value;
  calls.push_back(&function);
  if (failed(addNodes(function.node(), inner)))
    return failure();
  calls.pop_back();
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty())
      continue;
    auto value = lookup(inner, function.output(i), loc);
    if (failed(value))
      return failure();
    scope.values[node.output(i)] = *value;
  }
  return success();
}

// ---- Inputs and initialisers.

LogicalResult GraphBuilder::addInitializers(Scope &scope) {
  auto twice = [&](const std::string &name) {
    return mlir::emitError(nameLoc(name))
           << "there are two initializers '" << printable(name) << "'";
  };
  for (const auto &tensor : graph.initializer())
    if (!scope.initializers.try_emplace(tensor.name(), &tensor).second)
      return twice(tensor.name());
  for (const auto &tensor : graph.sparse_initializer()) {
    const std::string &name = tensor.values().name();
    if (scope.initializers.count(name) ||
        !scope.sparse.try_emplace(name, &tensor).second)
      return twice(name);
  }
  return success();
}

mlir::FailureOr<mlir::RankedTensorType>
GraphBuilder::readInputType(const ::onnx_proto::ValueInfoProto &input) {
  Location loc = nameLoc(input.name());
  auto bad = [&](const llvm::Twine &why) {
    mlir::emitError(loc) << "the input '" << printable(input.name()) << "' "
                         << why;
    return failure();
  };
  if (!input.type().has_tensor_type())
    return bad("is not a tensor; sequences, maps and optional values are not "
               "supported");
  const auto &type = input.type().tensor_type();
  mlir::Type element =
      onnx::getElementType(type.elem_type(), builder.getContext());
  if (!element)
    return bad("is of type " + onnx::getDataTypeName(type.elem_type()) +
               ", which is not supported");
  if (!type.has_shape())
    return bad("has no shape; --bind makes it a constant");
  if (type.shape().dim_size() > 64)
    return bad("has too many dimensions");
  llvm::SmallVector<int64_t> shape;
  for (const auto &dim : type.shape().dim()) {
    bool symbolic = !dim.has_dim_value() || dim.dim_value() < 0;
    if (symbolic && !shape.empty())
      return bad("has a size that is not fixed, '" +
                 printable(dim.dim_param()) + "' on axis " +
                 llvm::Twine(shape.size()) +
                 "; only the leading one, the batch, may be; --bind makes the "
                 "input a constant");
    if (!symbolic && dim.dim_value() > INT32_MAX)
      return bad("is too large");
    shape.push_back(symbolic ? mlir::ShapedType::kDynamic : dim.dim_value());
  }
  return mlir::RankedTensorType::get(shape, element);
}

LogicalResult GraphBuilder::bindInput(Scope &scope,
                                      const ::onnx_proto::ValueInfoProto &input,
                                      mlir::ElementsAttr value) {
  Location loc = nameLoc(input.name());
  auto bad = [&](llvm::StringRef why) {
    return mlir::emitError(loc)
           << "--bind " << printable(input.name()) << ": the array, "
           << value.getType() << ", " << why;
  };
  auto type = mlir::dyn_cast<mlir::RankedTensorType>(value.getType());
  if (!type || !input.type().has_tensor_type())
    return bad("does not fit the input");
  const auto &wanted = input.type().tensor_type();
  mlir::Type element =
      onnx::getElementType(wanted.elem_type(), builder.getContext());
  if (!element)
    return bad("does not fit the input's type");
  if (element != type.getElementType()) {
    // Arrays hold values of 2 and 4 bits one a byte.
    bool narrow = element.isInteger() && element.getIntOrFloatBitWidth() < 8 &&
                  type.getElementType().isInteger(8);
    auto bytes = onnx::getElementsBytes(value);
    if (!narrow || failed(bytes))
      return bad("is not of the input's type");
    value = onnx::makeElements(type.clone(element), *bytes);
  }
  if (wanted.has_shape()) {
    bool fits = wanted.shape().dim_size() == type.getRank();
    for (int i = 0; fits && i < wanted.shape().dim_size(); ++i) {
      const auto &dim = wanted.shape().dim(i);
      fits = !dim.has_dim_value() || dim.dim_value() < 0 ||
             dim.dim_value() == type.getDimSize(i);
    }
    if (!fits)
      return bad("is not of the input's shape");
  }
  scope.values[input.name()] = makeConstant(value, loc);
  return success();
}

LogicalResult GraphBuilder::addInputs(Scope &scope, mlir::func::FuncOp func) {
  mlir::Block *block = func.addEntryBlock();
  builder.setInsertionPointToStart(block);
  llvm::StringSet<> seen;
  llvm::SmallVector<mlir::Type> types;
  llvm::SmallVector<std::string> names;
  for (const auto &input : graph.input()) {
    const std::string &name = input.name();
    if (!seen.insert(name).second || name.empty())
      return mlir::emitError(nameLoc(name))
             << "there are two inputs '" << printable(name) << "'";
    auto bound = options.bind.find(name);
    if (bound != options.bind.end()) {
      scope.initializers.erase(name);
      scope.sparse.erase(name);
      if (failed(bindInput(scope, input, bound->second)))
        return failure();
      continue;
    }
    // Files of IR version 3 list initialisers as inputs.
    if (scope.initializers.count(name) || scope.sparse.count(name))
      continue;
    auto type = readInputType(input);
    if (failed(type))
      return failure();
    scope.values[name] = block->addArgument(*type, nameLoc(name));
    types.push_back(*type);
    names.push_back(name);
  }
  for (const auto &bound : options.bind)
    if (!seen.count(bound.getKey()))
      return module.emitError() << "--bind: there is no input '"
                                << printable(bound.getKey()) << "'";
  func.setType(builder.getFunctionType(types, {}));
  for (auto [i, name] : llvm::enumerate(names))
    func.setArgAttr(i, "hwgq.name", builder.getStringAttr(name));
  return success();
}

// ---- Values.

Value GraphBuilder::makeConstant(mlir::ElementsAttr value, Location loc) {
  mlir::OperationState state(loc, "onnx.Constant");
  state.addAttribute("value", value);
  state.addTypes(value.getType());
  return builder.create(state)->getResult(0);
}

Value GraphBuilder::noValue(Location loc) {
  mlir::OperationState state(loc, "onnx.NoValue");
  state.addTypes(builder.getNoneType());
  return builder.create(state)->getResult(0);
}

mlir::FailureOr<Value>
GraphBuilder::lookup(Scope &scope, const std::string &name, Location loc) {
  auto known = scope.values.find(name);
  if (known != scope.values.end())
    return known->second;
  mlir::FailureOr<mlir::ElementsAttr> value = failure();
  auto dense = scope.initializers.find(name);
  auto sparse = scope.sparse.find(name);
  if (dense != scope.initializers.end()) {
    value = tensors.read(*dense->second, nameLoc(name));
  } else if (sparse != scope.sparse.end()) {
    value = tensors.read(*sparse->second, nameLoc(name));
  } else {
    mlir::emitError(loc) << "'" << printable(name)
                         << "' is made by no node and is neither an input nor "
                            "an initializer";
  }
  if (failed(value))
    return failure();
  Value constant = makeConstant(*value, nameLoc(name));
  scope.values[name] = constant;
  return constant;
}

// ---- The function.

LogicalResult GraphBuilder::addOutputs(Scope &scope, mlir::func::FuncOp func) {
  llvm::SmallVector<Value> results;
  for (const auto &output : graph.output()) {
    Location loc = nameLoc(output.name());
    auto value = lookup(scope, output.name(), loc);
    if (failed(value))
      return failure();
    if (onnx::isNoValue(*value))
      return mlir::emitError(loc) << "the output has no value";
    results.push_back(*value);
  }
  mlir::func::ReturnOp::create(builder, builder.getUnknownLoc(), results);
  func.setType(builder.getFunctionType(func.getArgumentTypes(),
                                       mlir::ValueRange(results).getTypes()));
  for (auto [i, output] : llvm::enumerate(graph.output()))
    func.setResultAttr(i, "hwgq.name", builder.getStringAttr(output.name()));
  return success();
}

mlir::func::FuncOp GraphBuilder::build() {
  if (failed(checkVersions()) || failed(collectFunctions()))
    return nullptr;
  builder.setInsertionPointToEnd(module.getBody());
  auto func = mlir::func::FuncOp::create(builder, module.getLoc(), "main",
                                         builder.getFunctionType({}, {}));
  Scope scope;
  auto opset = readOpset(file.model->opset_import(), module.getLoc());
  if (failed(opset))
    return nullptr;
  scope.opset = *opset;
  if (failed(addInitializers(scope)) || failed(addInputs(scope, func)) ||
      failed(addNodes(graph.node(), scope)) || failed(addOutputs(scope, func)))
    return nullptr;
  return func;
}
