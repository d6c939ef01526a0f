//===- Table.cpp - look-up in the table and access to ops -----------------===//
#include "Node.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"

using namespace hwgq::onnx;

mlir::Attribute AttributeSpec::getDefault(mlir::MLIRContext *context) const {
  if (presence != Presence::Default)
    return {};
  mlir::Builder builder(context);
  switch (kind) {
  case AttributeKind::Int:
    return builder.getI64IntegerAttr(intValue);
  case AttributeKind::Float:
    return builder.getF32FloatAttr(floatValue);
  case AttributeKind::String:
    return builder.getStringAttr(stringValue);
  default:
    return {};
  }
}

const AttributeSpec *Operator::findAttribute(llvm::StringRef name) const {
  for (const AttributeSpec &spec : attributes)
    if (spec.name == name)
      return &spec;
  return nullptr;
}

static std::vector<Operator> makeTable() {
  std::vector<Operator> table;
  addElementwise(table);
  addConvolution(table);
  addPooling(table);
  addContraction(table);
  addMovement(table);
  addIndexing(table);
  addShape(table);
  addReduction(table);
  addNormalization(table);
  addComposed(table);
  addEinsum(table);
  addResize(table);
  addQuantized(table);
  addQonnx(table);
  llvm::sort(table, [](const Operator &a, const Operator &b) {
    return a.name < b.name;
  });
  return table;
}

llvm::ArrayRef<Operator> hwgq::onnx::getOperators() {
  static const std::vector<Operator> table = makeTable();
  return table;
}

const Operator *hwgq::onnx::lookupOperator(llvm::StringRef name) {
  llvm::ArrayRef<Operator> table = getOperators();
  auto *it = llvm::lower_bound(
      table, name,
      [](const Operator &entry, llvm::StringRef n) { return entry.name < n; });
  return it != table.end() && it->name == name ? it : nullptr;
}

llvm::StringRef hwgq::onnx::getRefusal(llvm::StringRef name) {
  return llvm::StringSwitch<llvm::StringRef>(name)
      .Case("FloatQuant", "quantisation to small floats is not supported; "
                          "Quant and BipolarQuant are")
      .Cases({"If", "Loop", "Scan"},
             "control flow is not supported; export the model with its "
             "conditions folded and its loops unrolled")
      .Cases({"SequenceAt", "SequenceConstruct", "SequenceEmpty",
              "SequenceInsert", "SequenceErase", "SequenceLength",
              "SplitToSequence", "ConcatFromSequence", "SequenceMap"},
             "sequences are not supported, only tensors")
      .Cases({"Optional", "OptionalGetElement", "OptionalHasElement"},
             "optional values are not supported, only tensors")
      .Cases({"StringNormalizer", "StringConcat", "StringSplit",
              "RegexFullMatch", "TfIdfVectorizer"},
             "strings are not supported, only numbers and bools")
      .Cases({"NonZero", "Unique", "Compress", "NonMaxSuppression"},
             "the shape of its result depends on data")
      .Cases({"RandomNormal", "RandomNormalLike", "RandomUniform",
              "RandomUniformLike", "Multinomial", "Bernoulli"},
             "random values are not supported")
      .Cases({"LSTM", "GRU", "RNN"}, "recurrent layers are not supported")
      .Cases({"StreamingFCLayer_Batch", "StreamingDataWidthConverter_Batch",
              "StreamingFIFO", "StreamingMaxPool_Batch", "Thresholding_Batch",
              "ConvolutionInputGenerator", "StreamingDataflowPartition",
              "MatrixVectorActivation", "GenericPartition"},
             "FINN's hardware operators are not supported; compile the model "
             "from before its conversion to hardware layers")
      .Default("");
}

llvm::StringRef hwgq::onnx::getOperatorName(mlir::Operation *op) {
  llvm::StringRef name = op->getName().getStringRef();
  return name.consume_front("onnx.") ? name : "";
}

bool hwgq::onnx::isNoValue(Value value) {
  mlir::Operation *op = value.getDefiningOp();
  return op && op->getName().getStringRef() == "onnx.NoValue";
}

bool hwgq::onnx::hasOperand(mlir::Operation *op, unsigned index) {
  return index < op->getNumOperands() && !isNoValue(op->getOperand(index));
}

static const AttributeSpec *getSpec(mlir::Operation *op, llvm::StringRef name) {
  const Operator *entry = lookupOperator(getOperatorName(op));
  return entry ? entry->findAttribute(name) : nullptr;
}

int64_t hwgq::onnx::getInt(mlir::Operation *op, llvm::StringRef name) {
  if (auto attr = op->getAttrOfType<mlir::IntegerAttr>(name))
    return attr.getInt();
  const AttributeSpec *spec = getSpec(op, name);
  return spec ? spec->intValue : 0;
}

float hwgq::onnx::getFloat(mlir::Operation *op, llvm::StringRef name) {
  if (auto attr = op->getAttrOfType<mlir::FloatAttr>(name))
    return static_cast<float>(attr.getValueAsDouble());
  const AttributeSpec *spec = getSpec(op, name);
  return spec ? spec->floatValue : 0;
}

llvm::StringRef hwgq::onnx::getString(mlir::Operation *op,
                                      llvm::StringRef name) {
  if (auto attr = op->getAttrOfType<mlir::StringAttr>(name))
    return attr.getValue();
  const AttributeSpec *spec = getSpec(op, name);
  return spec ? spec->stringValue : llvm::StringRef();
}

llvm::ArrayRef<int64_t> hwgq::onnx::getInts(mlir::Operation *op,
                                            llvm::StringRef name) {
  if (auto attr = op->getAttrOfType<mlir::DenseI64ArrayAttr>(name))
    return attr;
  return {};
}
