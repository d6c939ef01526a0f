//===- Report.cpp - what became of each layer -----------------------------===//
#include "hwgq/Dialect/Kernels.h"
#include "hwgq/Pipelines/Compilation.h"
#include "hwgq_abi.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace hwgq;

/// "u2", "b1", "u2,-1,1", "i32", "f32".
static std::string typeName(Type type) {
  Type element = getElementTypeOrSelf(type);
  std::string text;
  llvm::raw_string_ostream os(text);
  auto code = dyn_cast<CodeType>(element);
  if (!code) {
    os << element;
    return text;
  }
  os << code;
  StringRef inner = text;
  inner.consume_front("!hwgq.code<");
  inner.consume_back(">");
  return inner.str();
}

static std::string layerName(Location loc) {
  std::string name;
  loc->walk([&](Location inner) {
    if (auto named = dyn_cast<NameLoc>(inner); named && name.empty())
      name = named.getName().str();
    return WalkResult::advance();
  });
  return name;
}

static int64_t bytesOf(RankedTensorType type) {
  if (!bitpack::isPacked(type))
    return type.getNumElements() *
           llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  bitpack::LayoutAttr layout = bitpack::getLayout(type);
  int64_t words = 1;
  for (int64_t size : layout.getPhysicalShape(type))
    words *= size;
  return words * layout.getElementType().getIntOrFloatBitWidth() / 8;
}

/// Images of one run: the first size of the first input, 1 where it is dynamic.
static int64_t imagesOf(Operation *op) {
  auto function = op->getParentOfType<func::FuncOp>();
  for (Type input : function.getArgumentTypes())
    if (auto type = dyn_cast<ShapedType>(input); type && type.getRank())
      return type.isDynamicDim(0) ? 1
                                  : std::max<int64_t>(1, type.getDimSize(0));
  return 1;
}

template <typename OpTy>
static llvm::json::Object describe(OpTy op, StringRef kind) {
  auto weight = cast<RankedTensorType>(op.getWeight().getType());
  auto result = cast<RankedTensorType>(op.getType());
  int64_t channels = result.getShape().back();
  auto reason = op->template getAttrOfType<StringAttr>("hwgq.reason");
  auto kernel = op.getKernel();
  auto contraction = *bitpack::Contraction::get(op);
  // Bits of the weights themselves, padding left out; activations are in no
  // file.
  int64_t bits = 32;
  bool constant = contraction.hasConstantWeight();
  if (auto code = dyn_cast<CodeType>(weight.getElementType()))
    bits = code.getBits();
  auto number = [&](StringRef name) {
    auto attr = op->template getAttrOfType<FloatAttr>(name);
    return attr ? attr.getValueAsDouble() : 0.0;
  };
  // The form in which the kernel reads its input.
  auto input = cast<RankedTensorType>(op.getInput().getType());
  StringRef storage = "f32";
  if (bitpack::isPacked(input))
    storage = bitpack::getLayout(input).getForm().getValue();
  // MACs a nanosecond of the prediction, as a share of the kernel's loop; the
  // prediction is for one image, or for all rows of a matmul.
  double ns = number("hwgq.predicted_ns"), ceiling = number("hwgq.ceiling");
  int64_t macs = contraction.isProduct()
                     ? contraction.macs()
                     : weight.getNumElements() * contraction.positions();
  int64_t images = contraction.isMatMul ? imagesOf(op) : 1;
  return llvm::json::Object{
      {"name", layerName(op.getLoc())},
      {"op", kind},
      {"act", typeName(op.getInput().getType())},
      {"weight", typeName(weight)},
      {"out", typeName(result)},
      {"kernel", kernel ? kernel->str() : "generic"},
      {"storage", storage},
      {"macs", macs / images},
      {"predicted_ms", ns * 1e-6},
      {"ceiling_gmacs", ceiling},
      {"predicted_share",
       ns > 0 && ceiling > 0 ? double(macs) / ns / ceiling : 0.0},
      {"weight_bytes",
       constant ? llvm::divideCeil(weight.getNumElements() * bits, 8) : 0},
      {"weight_bytes_in_memory", constant ? bytesOf(weight) : 0},
      {"channels", channels},
      {"channels_folded", op.getThresholds() ? channels : 0},
      {"reason", reason ? reason.getValue() : ""}};
}

llvm::json::Array hwgq::reportLayers(ModuleOp module) {
  llvm::json::Array layers;
  module.walk([&](Operation *op) {
    if (auto conv = dyn_cast<bitpack::Conv2DOp>(op))
      layers.push_back(describe(conv, "conv2d"));
    else if (auto matmul = dyn_cast<bitpack::MatMulOp>(op))
      layers.push_back(describe(matmul, "matmul"));
    else if (auto product = dyn_cast<bitpack::ProductOp>(op))
      layers.push_back(describe(product, "product"));
  });
  return layers;
}

std::string Compilation::getReport() const {
  llvm::json::Array features, inputs, outputs;
  for (const std::string &feature : target.features)
    features.push_back(feature);
  for (const TensorInfo &tensor : info.tensors) {
    llvm::json::Array shape;
    for (int64_t size : tensor.shape)
      shape.push_back(size);
    (tensor.output ? outputs : inputs)
        .push_back(llvm::json::Object{{"name", tensor.name},
                                      {"type", hwgq_dtype_name(tensor.dtype)},
                                      {"shape", std::move(shape)}});
  }
  llvm::json::Object report{
      {"target", target.name},
      {"features", std::move(features)},
      {"workspace_bytes",
       workspace.first + workspace.second * std::max<int64_t>(1, info.batch)},
      {"inputs", std::move(inputs)},
      {"outputs", std::move(outputs)},
      {"layers", llvm::json::Array(layers)}};
  if (info.batch < 0)
    report["batch"] = "dynamic";
  else
    report["batch"] = info.batch;
  std::string text =
      llvm::formatv("{0:2}", llvm::json::Value(std::move(report))).str();
  // A field of fixed width, so that the size of the file does not depend on it.
  text.insert(1, llvm::formatv("\n  \"file_bytes\": {0,12},", fileBytes).str());
  return text;
}
