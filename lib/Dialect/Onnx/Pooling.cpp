//===- Pooling.cpp - pools and the sliding window -------------------------===//
#include "Window.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

/// Sizes, strides and so on are below this, so that sums and products of two
/// do not overflow.
static constexpr int64_t kMaxSize = int64_t(1) << 30;

FailureOr<llvm::SmallVector<int64_t>>
Window::readList(Node &node, llvm::StringRef name, size_t count,
                 int64_t missing, int64_t least) {
  llvm::SmallVector<int64_t> values = node.getInts(name);
  if (!node.hasAttr(name) || values.empty())
    return llvm::SmallVector<int64_t>(count, missing);
  if (values.size() != count) {
    node.error() << name << " must have " << count << " elements, not "
                 << values.size();
    return failure();
  }
  for (int64_t value : values)
    if (value < least || value > kMaxSize) {
      node.error() << name << " must not hold " << value;
      return failure();
    }
  return values;
}

LogicalResult Window::read(Node &node, llvm::ArrayRef<Dim> shape,
                           const Shape *weight) {
  size_t count = shape.size() - 2;
  for (size_t i = 0; i < count; ++i) {
    Dim dim = shape[i + 2];
    if (!dim.isStatic() || dim.fixed > kMaxSize)
      return node.error() << "spatial sizes must be static, not "
                          << toString(shape);
    input.push_back(dim.fixed);
    if (weight && (!(*weight)[i + 2].isStatic() || (*weight)[i + 2].fixed < 1))
      return node.error() << "the weight has the shape " << toString(*weight);
    if (weight)
      kernel.push_back((*weight)[i + 2].fixed);
  }
  auto given = readList(node, "kernel_shape", count, 0, 1);
  auto stride = readList(node, "strides", count, 1, 1);
  auto dilation = readList(node, "dilations", count, 1, 1);
  auto pad = readList(node, "pads", 2 * count, 0, 0);
  if (failed(given) || failed(stride) || failed(dilation) || failed(pad))
    return failure();
  if (weight && node.hasAttr("kernel_shape") && *given != kernel)
    return node.error() << "kernel_shape is not that of the weight, shape "
                        << toString(*weight);
  if (!weight) {
    if (!node.hasAttr("kernel_shape"))
      return node.error() << "the attribute kernel_shape is missing";
    kernel = *given;
  }
  strides = *stride, dilations = *dilation, pads = *pad;
  autoPad = node.hasAttr("auto_pad") ? node.getString("auto_pad") : "NOTSET";
  if (autoPad.empty())
    autoPad = "NOTSET";
  if (autoPad != "NOTSET" && autoPad != "VALID" && autoPad != "SAME_UPPER" &&
      autoPad != "SAME_LOWER")
    return node.error() << "auto_pad '" << autoPad
                        << "' is not one of NOTSET, VALID, SAME_UPPER, "
                           "SAME_LOWER";
  if (autoPad != "NOTSET")
    pads.assign(2 * count, 0);
  return success();
}

FailureOr<Shape> Window::slide(Node &node, bool ceil) {
  Shape out;
  size_t n = size();
  for (size_t i = 0; i < n; ++i) {
    if (autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER") {
      int64_t result = (input[i] + strides[i] - 1) / strides[i];
      int64_t total = std::max<int64_t>(
          (result - 1) * strides[i] + extent(i) - input[i], 0);
      pads[i] = autoPad == "SAME_UPPER" ? total / 2 : total - total / 2;
      pads[n + i] = total - pads[i];
      out.push_back(result);
      continue;
    }
    int64_t room = input[i] + pads[i] + pads[n + i] - extent(i);
    if (room < 0) {
      node.error() << "the window covers " << extent(i)
                   << " elements of spatial axis " << i << ", which has only "
                   << input[i] << " and pads of " << pads[i] + pads[n + i];
      return failure();
    }
    int64_t result = room / strides[i] + 1;
    // A window that begins in the padding behind the input does not count.
    if (ceil && room % strides[i] && result * strides[i] < input[i] + pads[i])
      ++result;
    out.push_back(result);
  }
  return out;
}

void Window::write(Node &node) {
  node.setInts("kernel_shape", kernel);
  node.setInts("strides", strides);
  node.setInts("dilations", dilations);
  node.setInts("pads", pads);
  node.dropAttr("auto_pad");
}

static FailureOr<Shape> inferPool(Node &node) {
  if (node.rank(0) < 3) {
    node.error() << "the input must have rank 3 or more, not shape "
                 << toString(node.shape(0));
    return failure();
  }
  Window window;
  if (failed(window.read(node, node.shape(0), nullptr)))
    return failure();
  FailureOr<Shape> out = window.slide(node, node.getInt("ceil_mode"));
  if (failed(out))
    return failure();
  for (size_t i = 0; i < window.size(); ++i)
    if (window.pads[i] >= window.extent(i) ||
        window.pads[window.size() + i] >= window.extent(i)) {
      node.error() << "pads must be smaller than the window";
      return failure();
    }
  window.write(node);
  Shape result(node.shape(0).begin(), node.shape(0).begin() + 2);
  result.append(*out);
  return result;
}

static LogicalResult inferMaxPool(Node &node) {
  if (failed(node.requireNumber(0)))
    return failure();
  FailureOr<Shape> shape = inferPool(node);
  if (failed(shape) ||
      failed(node.result(1, node.builder.getI64Type(), *shape)))
    return failure();
  return node.result(node.elementType(0), *shape);
}

static LogicalResult inferAveragePool(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  FailureOr<Shape> shape = inferPool(node);
  if (failed(shape))
    return failure();
  return node.result(node.elementType(0), *shape);
}

/// The spatial sizes, for a pool over the whole image.
static FailureOr<llvm::SmallVector<int64_t>> imageSizes(Node &node) {
  llvm::SmallVector<int64_t> sizes;
  bool ok = node.rank(0) >= 3;
  for (Dim dim : llvm::drop_begin(node.shape(0), ok ? 2 : 0)) {
    ok &= dim.isStatic() && dim.fixed >= 1;
    sizes.push_back(dim.fixed);
  }
  if (ok)
    return sizes;
  node.error() << "the input must be an image [N, C, sizes...], not of shape "
               << toString(node.shape(0));
  return failure();
}

static LogicalResult upgradeGlobal(Node &node) {
  FailureOr<llvm::SmallVector<int64_t>> sizes = imageSizes(node);
  if (failed(sizes))
    return failure();
  llvm::StringRef name =
      node.entry.name == "GlobalMaxPool" ? "MaxPool" : "AveragePool";
  return node.replace(node.create(
      name, node.input(0),
      {node.attr("kernel_shape", llvm::ArrayRef<int64_t>(*sizes))}));
}

/// (sum |x|^p)^(1/p), the sum as an average with the padding counted.
static LogicalResult upgradeLpPool(Node &node) {
  llvm::SmallVector<mlir::NamedAttribute> attributes = {
      node.attr("count_include_pad", int64_t(1))};
  llvm::SmallVector<int64_t> kernel;
  if (node.entry.name == "GlobalLpPool") {
    FailureOr<llvm::SmallVector<int64_t>> sizes = imageSizes(node);
    if (failed(sizes))
      return failure();
    kernel = *sizes;
    attributes.push_back(
        node.attr("kernel_shape", llvm::ArrayRef<int64_t>(kernel)));
  } else {
    if (node.getInt("ceil_mode"))
      return node.error() << "ceil_mode is not supported";
    kernel = node.getInts("kernel_shape");
    for (llvm::StringRef name :
         {"kernel_shape", "pads", "strides", "dilations", "auto_pad"})
      if (mlir::Attribute attr = node.op->getAttr(name))
        attributes.push_back({node.builder.getStringAttr(name), attr});
  }
  if (failed(node.requireFloat(0)))
    return failure();
  double count = 1;
  for (int64_t k : kernel)
    count *= static_cast<double>(k);
  // Opset 1 has p as a float.
  auto real = node.op->getAttrOfType<mlir::FloatAttr>("p");
  double p =
      real ? real.getValueAsDouble() : static_cast<double>(node.getInt("p"));
  Type type = node.elementType(0);
  Value x = node.create("Abs", node.input(0));
  x = node.create("Pow", {x, node.scalar(type, p)});
  x = node.create("AveragePool", x, attributes);
  x = node.create("Mul", {x, node.scalar(type, count)});
  return node.replace(node.create("Pow", {x, node.scalar(type, 1 / p)}));
}

void hwgq::onnx::addPooling(std::vector<Operator> &table) {
  std::vector<AttributeSpec> window = {
      required("kernel_shape", Kind::Ints), optional("pads", Kind::Ints),
      optional("strides", Kind::Ints),      optional("dilations", Kind::Ints),
      legacy("auto_pad", Kind::String),     intAttr("ceil_mode", 0)};
  std::vector<AttributeSpec> max = window, average = window, lp = window;
  max.push_back(intAttr("storage_order", 0));
  average.push_back(intAttr("count_include_pad", 0));
  lp.push_back(intAttr("p", 2));
  table.push_back(
      {"MaxPool", {1, 8, 10, 11, 12, 22}, {1, 1}, {1, 2}, max, inferMaxPool});
  table.push_back({"AveragePool",
                   {1, 7, 10, 11, 19, 22},
                   {1, 1},
                   {1, 1},
                   average,
                   inferAveragePool});
  table.push_back({"LpPool",
                   {1, 2, 11, 18, 22},
                   {1, 1},
                   {1, 1},
                   lp,
                   nullptr,
                   upgradeLpPool});
  table.push_back({"GlobalLpPool",
                   {1, 2, 22},
                   {1, 1},
                   {1, 1},
                   {intAttr("p", 2)},
                   nullptr,
                   upgradeLpPool});
  for (llvm::StringRef name : {"GlobalAveragePool", "GlobalMaxPool"})
    table.push_back(
        {name, {1, 22}, {1, 1}, {1, 1}, {}, nullptr, upgradeGlobal});
}
