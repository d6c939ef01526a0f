//===- Qonnx.cpp - operators of QONNX, Brevitas and FINN ------------------===//
#include "Node.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

static LogicalResult checkRounding(Node &node) {
  std::string mode = node.getString("rounding_mode").upper();
  if (mode == "HALF_EVEN")
    mode = "ROUND";
  static const llvm::StringRef known[] = {
      "ROUND", "CEIL",    "FLOOR",     "UP",
      "DOWN",  "HALF_UP", "HALF_DOWN", "ROUND_TO_ZERO"};
  if (!llvm::is_contained(known, mode))
    return node.error() << "rounding_mode '" << node.getString("rounding_mode")
                        << "' is not one of ROUND, CEIL, FLOOR, UP, DOWN, "
                           "HALF_UP, HALF_DOWN";
  if (mode == "ROUND_TO_ZERO")
    mode = "DOWN";
  node.setString("rounding_mode", mode);
  return success();
}

/// Operand `index` broadcasts to X and does not enlarge it.
static LogicalResult checkParameter(Node &node, unsigned index,
                                    llvm::StringRef what) {
  if (failed(node.require(index, what)) || failed(node.requireFloat(index)))
    return failure();
  FailureOr<Shape> shape = node.broadcastShape({0, index});
  if (failed(shape))
    return failure();
  // A [1] beside a scalar keeps the scalar's rank in QONNX files as well.
  std::optional<Dim> count = product(node.shape(index));
  if (*shape != node.shape(0) && !(count && count->is(1)))
    return node.error() << what << ", shape " << toString(node.shape(index))
                        << ", cannot be broadcast to the input, shape "
                        << toString(node.shape(0));
  return success();
}

/// A bit width or the like: one element, any number type.
static LogicalResult checkScalar(Node &node, unsigned index,
                                 llvm::StringRef what, int64_t least,
                                 int64_t most) {
  if (failed(node.require(index, what)) || failed(node.requireNumber(index)))
    return failure();
  std::optional<Dim> count = product(node.shape(index));
  if (!count || !count->is(1))
    return node.error() << what << " must be a scalar, not of shape "
                        << toString(node.shape(index));
  if (!node.in(index).contents)
    return success();
  const Element &element = node.in(index).contents->front();
  double value =
      element.isFloat ? element.real : static_cast<double>(element.value.fixed);
  if (!(value >= static_cast<double>(least)) ||
      !(value <= static_cast<double>(most)) || value != std::floor(value))
    return node.error() << what << " must be a whole number from " << least
                        << " to " << most;
  return success();
}

/// Parameters may be integers; the normal form has them in X's type.
static LogicalResult upgradeParameters(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  int64_t type = getDataType(node.elementType(0));
  llvm::SmallVector<Value> operands(node.op->getOperands());
  bool any = false;
  for (unsigned i = 1; i < operands.size(); ++i)
    if (node.has(i) && !isFloat(node.elementType(i))) {
      operands[i] = node.create("Cast", operands[i], {node.attr("to", type)});
      any = true;
    }
  if (!any)
    return success();
  return node.replace(node.create(node.entry.name, operands,
                                  llvm::to_vector(node.op->getAttrs())));
}

static LogicalResult inferQuant(Node &node) {
  if (failed(node.requireFloat(0)) || failed(checkRounding(node)) ||
      failed(checkParameter(node, 1, "the scale")) ||
      failed(checkParameter(node, 2, "the zero point")) ||
      failed(checkScalar(node, 3, "the bit width", 1, 32)) ||
      failed(node.requireScale(1)))
    return failure();
  return node.result(node.elementType(0), node.shape(0));
}

static LogicalResult inferBipolarQuant(Node &node) {
  if (failed(node.requireFloat(0)) ||
      failed(checkParameter(node, 1, "the scale")))
    return failure();
  return node.result(node.elementType(0), node.shape(0));
}

static LogicalResult inferTrunc(Node &node) {
  // out_scale, input 4, may be absent: Trunc of version 1.
  if (!node.has(5))
    return node.error() << "input 5, out_bits, is missing";
  if (failed(node.requireFloat(0)) || failed(checkRounding(node)) ||
      failed(checkParameter(node, 1, "the scale")) ||
      failed(checkParameter(node, 2, "the zero point")) ||
      failed(checkScalar(node, 3, "in_bits", 1, 32)) ||
      failed(checkScalar(node, 5, "out_bits", 1, 32)) ||
      failed(node.requireScale(1)))
    return failure();
  if (node.has(4) && failed(checkParameter(node, 4, "out_scale")))
    return failure();
  return node.result(node.elementType(0), node.shape(0));
}

static LogicalResult upgradeTrunc(Node &node) {
  bool old = node.entry.name == "Trunc" && node.numInputs() == 5;
  if (node.entry.name == "Trunc" && !old)
    return upgradeParameters(node);
  // Version 1 has no out_scale.
  llvm::SmallVector<Value> operands(node.op->getOperands());
  if (old)
    operands.insert(operands.begin() + 4, node.noValue());
  llvm::StringRef mode =
      node.hasAttr("rounding_mode") ? node.getString("rounding_mode") : "FLOOR";
  return node.replace(node.create(
      "Trunc", operands,
      {node.attr("rounding_mode", mode),
       node.attr("signed", node.hasAttr("signed") ? node.getInt("signed") : 1),
       node.attr("narrow", node.getInt("narrow"))}));
}

static LogicalResult upgradeIntQuant(Node &node) {
  llvm::SmallVector<mlir::NamedAttribute> attributes;
  for (llvm::StringRef name : {"signed", "narrow", "rounding_mode"})
    if (mlir::Attribute value = node.op->getAttr(name))
      attributes.push_back({node.builder.getStringAttr(name), value});
  return node.replace(node.create("Quant", node.op->getOperands(), attributes));
}

static LogicalResult inferMultiThreshold(Node &node) {
  if (failed(node.requireFloat(0)) || failed(node.requireSameType(0, 1)) ||
      failed(node.requireRank(1, 2, "the thresholds")))
    return failure();
  int64_t rank = node.rank(0);
  bool last = node.getString("data_layout").ends_with("C") && rank > 1;
  if (rank < 2 && !node.shape(1)[0].is(1))
    return node.error() << "the input must have a channel axis";
  if (!node.shape(1)[0].is(1) &&
      node.shape(1)[0] != node.shape(0)[last ? rank - 1 : 1])
    return node.error() << "the thresholds, shape " << toString(node.shape(1))
                        << ", must have one row, or one for each channel of "
                        << toString(node.shape(0));
  return node.result(node.elementType(0), node.shape(0));
}

/// (2a - 1)(2b - 1) summed over K is 2 p - K, p the popcount of the XNOR.
static LogicalResult upgradeXnorPopcountMatMul(Node &node) {
  if (failed(node.requireFloat(0)) || failed(node.requireSameType(0, 1)) ||
      node.rank(0) < 1)
    return node.error() << "inputs must be float tensors";
  Dim k = node.shape(0).back();
  if (!k.isStatic())
    return node.error() << "the inner size must be static";
  Type type = node.elementType(0);
  auto signs = [&](Value codes) {
    Value twice = node.create("Mul", {codes, node.scalar(type, 2)});
    return node.create("Sub", {twice, node.scalar(type, 1)});
  };
  Value dot =
      node.create("MatMul", {signs(node.input(0)), signs(node.input(1))});
  Value sum = node.create("Add", {dot, node.scalar(type, double(k.fixed))});
  return node.replace(node.create("Mul", {sum, node.scalar(type, 0.5)}));
}

static bool isChannelsLast(Node &node) {
  return node.getString("data_layout") == "NHWC";
}

/// Runs `make` on the channels-first form of the input.
static LogicalResult replaceInNchw(Node &node, bool channelsLast,
                                   llvm::function_ref<Value(Value)> make) {
  if (failed(node.requireRank(0, 4, "the input")))
    return failure();
  Value x = node.input(0);
  if (channelsLast)
    x = node.transpose(x, {0, 3, 1, 2});
  x = make(x);
  if (channelsLast)
    x = node.transpose(x, {0, 2, 3, 1});
  return node.replace(x);
}

static LogicalResult upgradeMaxPoolNhwc(Node &node) {
  llvm::SmallVector<mlir::NamedAttribute> attributes;
  for (llvm::StringRef name : {"kernel_shape", "pads", "strides", "ceil_mode"})
    if (mlir::Attribute value = node.op->getAttr(name))
      attributes.push_back({node.builder.getStringAttr(name), value});
  return replaceInNchw(node, true, [&](Value x) {
    return node.create("MaxPool", x, attributes);
  });
}

/// round(avg * k * k) >> max(0, bits((2^ibits - 1) * k * k) - obits).
static LogicalResult upgradeQuantAvgPool(Node &node) {
  int64_t k = node.getInt("kernel"), stride = node.getInt("stride");
  int64_t in = node.getInt("ibits"), out = node.getInt("obits");
  if (k < 1 || k > 1024 || stride < 1 || in < 1 || in > 32 || out < 1)
    return node.error() << "kernel, stride, ibits or obits is out of range";
  if (failed(node.requireFloat(0)))
    return failure();
  uint64_t most = ((uint64_t(1) << in) - 1) * uint64_t(k * k);
  int64_t bits = most ? llvm::Log2_64(most) + 1 : 0;
  int64_t shift = std::max<int64_t>(bits - out, 0);
  Type type = node.elementType(0);
  return replaceInNchw(node, isChannelsLast(node), [&](Value x) {
    llvm::SmallVector<int64_t> kernel(2, k), strides(2, stride);
    x = node.create("AveragePool", x,
                    {node.attr("kernel_shape", llvm::ArrayRef(kernel)),
                     node.attr("strides", llvm::ArrayRef(strides))});
    x = node.create("Mul", {x, node.scalar(type, double(k * k))});
    x = node.create("Round", x);
    x = node.create("Mul", {x, node.scalar(type, std::ldexp(1.0, -shift))});
    return node.create("Floor", x);
  });
}

/// NHWC patches as a concatenation of strided slices, columns (kh, kw, C), or
/// (C, kh, kw) when depthwise.
static LogicalResult upgradeIm2Col(Node &node) {
  if (failed(node.requireRank(0, 4, "the input")))
    return failure();
  auto list = [&](llvm::StringRef name, size_t count, int64_t missing) {
    llvm::SmallVector<int64_t> values = node.getInts(name);
    if (values.empty())
      values.assign(count, missing);
    bool ok = values.size() == count;
    for (int64_t value : values)
      ok &= value >= (missing ? 1 : 0) && value <= 1024;
    return ok ? values : llvm::SmallVector<int64_t>();
  };
  auto kernel = list("kernel_size", 2, 1), stride = list("stride", 2, 1);
  auto dilation = list("dilations", 2, 1), pad = list("pad_amount", 4, 0);
  if (kernel.empty() || stride.empty() || dilation.empty() || pad.empty() ||
      kernel[0] * kernel[1] > 1024)
    return node.error() << "kernel_size, stride, dilations or pad_amount is "
                           "out of range";
  Shape x = node.shape(0);
  int64_t out[2];
  for (int i = 0; i < 2; ++i) {
    int64_t room = x[i + 1].fixed + pad[i] + pad[i + 2] -
                   ((kernel[i] - 1) * dilation[i] + 1);
    if (!x[i + 1].isStatic() || room < 0)
      return node.error() << "the window does not fit the input, shape "
                          << toString(x);
    out[i] = room / stride[i] + 1;
  }
  Value padded = node.create(
      "Pad", {node.input(0),
              node.constantInts({0, pad[0], pad[1], 0, 0, pad[2], pad[3], 0}),
              node.scalar(node.elementType(0), node.getFloat("pad_value"))});
  llvm::SmallVector<Value> taps;
  for (int64_t h = 0; h < kernel[0]; ++h)
    for (int64_t w = 0; w < kernel[1]; ++w) {
      int64_t top = h * dilation[0], left = w * dilation[1];
      taps.push_back(node.create(
          "Slice", {padded, node.constantInts({top, left}),
                    node.constantInts({top + (out[0] - 1) * stride[0] + 1,
                                       left + (out[1] - 1) * stride[1] + 1}),
                    node.constantInts({1, 2}), node.constantInts(stride)}));
    }
  Value patches = node.create("Concat", taps, {node.attr("axis", int64_t(3))});
  if (!node.getInt("depthwise"))
    return node.replace(patches);
  int64_t count = kernel[0] * kernel[1];
  std::optional<Dim> columns = mul(x[3], count);
  if (!columns)
    return node.error() << "the channels must be static";
  Value split = node.reshape(patches, {x[0], out[0], out[1], count, x[3]});
  split = node.transpose(split, {0, 1, 2, 4, 3});
  return node.replace(node.reshape(split, {x[0], out[0], out[1], *columns}));
}

void hwgq::onnx::addQonnx(std::vector<Operator> &table) {
  std::vector<AttributeSpec> quant = {intAttr("signed", 1),
                                      intAttr("narrow", 0),
                                      stringAttr("rounding_mode", "ROUND")};
  table.push_back(
      {"Quant", {1}, {4, 4}, {1, 1}, quant, inferQuant, upgradeParameters});
  table.push_back(
      {"IntQuant", {1}, {4, 4}, {1, 1}, quant, nullptr, upgradeIntQuant});
  table.push_back({"BipolarQuant",
                   {1},
                   {2, 2},
                   {1, 1},
                   {},
                   inferBipolarQuant,
                   upgradeParameters});
  std::vector<AttributeSpec> trunc = {intAttr("signed", 1),
                                      intAttr("narrow", 0),
                                      stringAttr("rounding_mode", "FLOOR")};
  table.push_back(
      {"Trunc", {1, 2}, {4, 6}, {1, 1}, trunc, inferTrunc, upgradeTrunc});
  table.push_back(
      {"TruncQuant", {2}, {5, 6}, {1, 1}, trunc, nullptr, upgradeTrunc});
  table.push_back(
      {"MultiThreshold",
       {1},
       {2, 2},
       {1, 1},
       {stringAttr("out_dtype", "FLOAT32"), floatAttr("out_scale", 1),
        floatAttr("out_bias", 0), stringAttr("data_layout", "NCHW")},
       inferMultiThreshold});
  table.push_back({"XnorPopcountMatMul",
                   {1},
                   {2, 2},
                   {1, 1},
                   {},
                   nullptr,
                   upgradeXnorPopcountMatMul});
  table.push_back(
      {"MaxPoolNHWC",
       {1},
       {1, 1},
       {1, 1},
       {required("kernel_shape", Kind::Ints), optional("pads", Kind::Ints),
        optional("strides", Kind::Ints), intAttr("ceil_mode", 0)},
       nullptr,
       upgradeMaxPoolNhwc});
  table.push_back(
      {"QuantAvgPool2d",
       {1},
       {1, 1},
       {1, 1},
       {required("stride", Kind::Int), required("kernel", Kind::Int),
        required("ibits", Kind::Int), required("obits", Kind::Int),
        intAttr("signed", 0), stringAttr("data_layout", "NCHW")},
       nullptr,
       upgradeQuantAvgPool});
  table.push_back(
      {"Im2Col",
       {1},
       {1, 1},
       {1, 1},
       {required("stride", Kind::Ints), required("kernel_size", Kind::Ints),
        legacy("input_shape", Kind::String), optional("pad_amount", Kind::Ints),
        floatAttr("pad_value", 0), optional("dilations", Kind::Ints),
        intAttr("depthwise", 0)},
       nullptr,
       upgradeIm2Col});
}
