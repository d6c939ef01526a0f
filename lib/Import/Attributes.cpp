//===- Attributes.cpp - node attributes to MLIR ---------------------------===//
#include "GraphBuilder.h"
#include "mlir/IR/Diagnostics.h"

using namespace hwgq;
using mlir::failure;
using mlir::Location;
using mlir::LogicalResult;
using mlir::success;
using ::onnx_proto::AttributeProto;
using ::onnx_proto::NodeProto;

/// The type of an attribute; old files do not write it.
static AttributeProto::AttributeType typeOf(const AttributeProto &attribute) {
  if (attribute.type() != AttributeProto::UNDEFINED)
    return attribute.type();
  if (attribute.has_f())
    return AttributeProto::FLOAT;
  if (attribute.has_i())
    return AttributeProto::INT;
  if (attribute.has_s())
    return AttributeProto::STRING;
  if (attribute.has_t())
    return AttributeProto::TENSOR;
  if (attribute.floats_size())
    return AttributeProto::FLOATS;
  if (attribute.ints_size())
    return AttributeProto::INTS;
  if (attribute.strings_size())
    return AttributeProto::STRINGS;
  return AttributeProto::UNDEFINED;
}

const AttributeProto *GraphBuilder::resolve(const AttributeProto &attribute,
                                            Scope &scope) {
  if (attribute.ref_attr_name().empty())
    return &attribute;
  auto it = scope.attributes.find(attribute.ref_attr_name());
  return it == scope.attributes.end() ? nullptr : it->second;
}

mlir::FailureOr<mlir::Attribute>
GraphBuilder::readAttribute(const AttributeProto &attribute, Location loc) {
  switch (typeOf(attribute)) {
  case AttributeProto::FLOAT:
    return mlir::Attribute(builder.getF32FloatAttr(attribute.f()));
  case AttributeProto::INT:
    return mlir::Attribute(builder.getI64IntegerAttr(attribute.i()));
  case AttributeProto::STRING:
    return mlir::Attribute(builder.getStringAttr(attribute.s()));
  case AttributeProto::FLOATS:
    return mlir::Attribute(builder.getDenseF32ArrayAttr(
        {attribute.floats().data(), size_t(attribute.floats_size())}));
  case AttributeProto::INTS:
    return mlir::Attribute(
        builder.getDenseI64ArrayAttr(llvm::SmallVector<int64_t>(
            attribute.ints().begin(), attribute.ints().end())));
  case AttributeProto::TENSOR: {
    auto value = tensors.read(attribute.t(), loc);
    if (failed(value))
      return failure();
    return mlir::Attribute(*value);
  }
  case AttributeProto::STRINGS: {
    llvm::SmallVector<llvm::StringRef> strings(attribute.strings().begin(),
                                               attribute.strings().end());
    return mlir::Attribute(builder.getStrArrayAttr(strings));
  }
  default:
    mlir::emitError(loc) << "the attribute '" << printable(attribute.name())
                         << "' is of a kind that is not supported; numbers, "
                            "strings, their lists and tensors are";
    return failure();
  }
}

/// An empty list that the file gives no type for takes the table's.
static bool isEmptyList(const AttributeProto &attribute,
                        const onnx::AttributeSpec &spec) {
  return typeOf(attribute) == AttributeProto::UNDEFINED &&
         spec.kind == onnx::AttributeKind::Ints;
}

LogicalResult GraphBuilder::addAttributes(const NodeProto &node, Scope &scope,
                                          const onnx::Operator &entry,
                                          mlir::OperationState &state) {
  llvm::StringSet<> seen;
  for (const AttributeProto &written : node.attribute()) {
    if (!seen.insert(written.name()).second)
      return mlir::emitError(state.location)
             << "the attribute '" << printable(written.name())
             << "' is written twice";
    const AttributeProto *attribute = resolve(written, scope);
    if (!attribute)
      continue;
    const onnx::AttributeSpec *spec = entry.findAttribute(written.name());
    if (!spec) {
      mlir::emitWarning(state.location)
          << entry.name << ": the attribute '" << printable(written.name())
          << "' is unknown, and ignored";
      continue;
    }
    if (isEmptyList(*attribute, *spec)) {
      state.addAttribute(spec->name, builder.getDenseI64ArrayAttr({}));
      continue;
    }
    auto value = readAttribute(*attribute, state.location);
    if (failed(value))
      return failure();
    state.addAttribute(spec->name, *value);
  }
  return success();
}

// ---- Constant.

mlir::FailureOr<mlir::ElementsAttr>
GraphBuilder::readConstant(const AttributeProto &attribute, Location loc) {
  llvm::StringRef name = attribute.name();
  auto dense = [&](mlir::Type type, llvm::ArrayRef<int64_t> shape,
                   const void *data, size_t bytes) -> mlir::ElementsAttr {
    return onnx::makeElements(mlir::RankedTensorType::get(shape, type),
                              {static_cast<const char *>(data), bytes});
  };
  mlir::Type f32 = builder.getF32Type(), i64 = builder.getI64Type();
  if (name == "value" && typeOf(attribute) == AttributeProto::TENSOR)
    return tensors.read(attribute.t(), loc);
  if (name == "sparse_value")
    return tensors.read(attribute.sparse_tensor(), loc);
  if (name == "value_float") {
    float value = attribute.f();
    return dense(f32, {}, &value, sizeof(value));
  }
  if (name == "value_int") {
    int64_t value = attribute.i();
    return dense(i64, {}, &value, sizeof(value));
  }
  if (name == "value_floats")
    return dense(f32, {int64_t(attribute.floats_size())},
                 attribute.floats().data(), attribute.floats_size() * 4ul);
  if (name == "value_ints")
    return dense(i64, {int64_t(attribute.ints_size())}, attribute.ints().data(),
                 attribute.ints_size() * 8ul);
  mlir::emitError(loc) << "Constant: the attribute '" << printable(name)
                       << "' is not supported; value, sparse_value, "
                          "value_float(s) and value_int(s) are";
  return failure();
}

LogicalResult GraphBuilder::addConstant(const NodeProto &node, Scope &scope,
                                        Location loc) {
  if (node.attribute_size() != 1 || node.output_size() != 1 ||
      node.input_size() != 0)
    return mlir::emitError(loc) << "Constant: takes one attribute and no "
                                   "input, and has one output";
  // A function may name the attribute differently from its call.
  const AttributeProto *attribute = resolve(node.attribute(0), scope);
  if (!attribute)
    return mlir::emitError(loc) << "Constant: the attribute is missing";
  AttributeProto renamed;
  if (attribute->name() != node.attribute(0).name()) {
    if (typeOf(*attribute) == AttributeProto::TENSOR) {
      auto value = tensors.read(attribute->t(), loc);
      if (failed(value))
        return failure();
      scope.values[node.output(0)] = makeConstant(*value, loc);
      return success();
    }
    renamed = *attribute;
    renamed.set_name(node.attribute(0).name());
    attribute = &renamed;
  }
  auto value = readConstant(*attribute, loc);
  if (failed(value))
    return failure();
  scope.values[node.output(0)] = makeConstant(*value, loc);
  return success();
}
