//===- Convolution.cpp - convolutions -------------------------------------===//
#include "Window.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

/// Checks weights [M, C/g, k...] against the input and fills the window's
/// kernel; the operand numbers differ between the operators.
static LogicalResult checkWeights(Node &node, Window &window, unsigned x,
                                  unsigned w, bool transposed) {
  int64_t rank = node.rank(x);
  if (rank < 3)
    return node.error() << "the input must have rank 3 or more, not shape "
                        << toString(node.shape(x));
  if (failed(node.requireRank(w, rank, "the weight")))
    return failure();
  if (failed(window.read(node, node.shape(x), &node.shape(w))))
    return failure();
  const Shape &weight = node.shape(w);
  Dim channels = node.shape(x)[1];
  int64_t group = node.getInt("group");
  if (!weight[0].isStatic() || !weight[1].isStatic() || !channels.isStatic())
    return node.error() << "channel counts must be static";
  if (group < 1 || channels.fixed % group || weight[0].fixed % group)
    return node.error() << "group = " << group << " does not divide "
                        << channels.fixed << " input channels and "
                        << weight[0].fixed << " weights";
  int64_t expected = transposed ? channels.fixed : channels.fixed / group;
  int64_t found = weight[transposed ? 0 : 1].fixed;
  if (found != expected)
    return node.error() << "the weight, shape " << toString(weight)
                        << ", is for " << found
                        << (transposed ? "" : " times group")
                        << " input channels; the input has " << channels.fixed
                        << " and group is " << group;
  return success();
}

static LogicalResult checkBias(Node &node, unsigned index, int64_t channels) {
  if (!node.has(index))
    return success();
  if (failed(node.requireRank(index, 1, "the bias")))
    return failure();
  if (!node.shape(index)[0].is(channels))
    return node.error() << "the bias must have " << channels
                        << " elements, not shape "
                        << toString(node.shape(index));
  return success();
}

/// The result [N, M, out...] of a convolution of x by w.
static FailureOr<Shape> convolve(Node &node, unsigned x, unsigned w) {
  Window window;
  if (failed(checkWeights(node, window, x, w, /*transposed=*/false)))
    return failure();
  Shape result = {node.shape(x)[0], node.shape(w)[0]};
  FailureOr<Shape> out = window.slide(node, /*ceil=*/false);
  if (failed(out))
    return failure();
  result.append(*out);
  window.write(node);
  return result;
}

static LogicalResult inferConv(Node &node) {
  if (failed(node.requireFloat(0)) || failed(node.requireSameType(0, 1)))
    return failure();
  FailureOr<Shape> shape = convolve(node, 0, 1);
  if (failed(shape) || failed(checkBias(node, 2, (*shape)[1].fixed)))
    return failure();
  if (node.has(2) && failed(node.requireSameType(0, 2)))
    return failure();
  return node.result(node.elementType(0), *shape);
}

/// A scale or zero point: one element, or one a channel.
static LogicalResult checkParameter(Node &node, unsigned index,
                                    int64_t channels) {
  if (!node.has(index))
    return success();
  std::optional<Dim> count = product(node.shape(index));
  if (!count || node.rank(index) > 1 ||
      !(count->is(1) || (channels > 0 && count->is(channels))))
    return node.error() << "input " << index << ", shape "
                        << toString(node.shape(index)) << ", must have "
                        << (channels > 0
                                ? "one element or one an output channel"
                                : "one element");
  return success();
}

static LogicalResult inferConvInteger(Node &node) {
  if (failed(node.requireInteger(0)) || failed(node.requireInteger(1)))
    return failure();
  FailureOr<Shape> shape = convolve(node, 0, 1);
  if (failed(shape) || failed(checkParameter(node, 2, 0)) ||
      failed(checkParameter(node, 3, (*shape)[1].fixed)))
    return failure();
  for (unsigned i : {0u, 1u}) {
    if (!node.has(i + 2))
      node.setInput(i + 2, node.scalar(node.elementType(i), 0));
    if (failed(node.requireSameType(i, i + 2)))
      return failure();
  }
  return node.result(node.builder.getI32Type(), *shape);
}

static LogicalResult inferQLinearConv(Node &node) {
  for (unsigned i : {0u, 3u, 7u})
    if (failed(node.requireInteger(i)))
      return failure();
  for (unsigned i : {1u, 4u, 6u})
    if (failed(node.requireFloat(i)))
      return failure();
  if (failed(node.requireSameType(0, 2)) || failed(node.requireSameType(3, 5)))
    return failure();
  FailureOr<Shape> shape = convolve(node, 0, 3);
  if (failed(shape))
    return failure();
  int64_t channels = (*shape)[1].fixed;
  for (unsigned i : {1u, 2u, 4u, 5u, 6u, 7u})
    if (failed(checkParameter(node, i, i == 4 || i == 5 ? channels : 0)))
      return failure();
  if (failed(checkBias(node, 8, channels)))
    return failure();
  if (node.has(8) && !node.elementType(8).isSignlessInteger(32))
    return node.error() << "the bias must be of type int32";
  return node.result(node.elementType(7), *shape);
}

/// out = s (in - 1) + output_padding + (k - 1) d + 1 - pads; `auto_pad` and
/// `output_shape` say out, and the pads follow (ONNX, ConvTranspose).
static LogicalResult inferConvTranspose(Node &node) {
  if (failed(node.requireFloat(0)) || failed(node.requireSameType(0, 1)))
    return failure();
  Window window;
  if (failed(checkWeights(node, window, 0, 1, /*transposed=*/true)))
    return failure();
  size_t n = window.size();
  FailureOr<llvm::SmallVector<int64_t>> extra =
      window.readList(node, "output_padding", n, 0, 0);
  if (failed(extra))
    return failure();
  llvm::SmallVector<int64_t> wanted = node.getInts("output_shape");
  if (wanted.size() == n + 2)
    wanted.erase(wanted.begin(), wanted.begin() + 2);
  if (!wanted.empty() && wanted.size() != n)
    return node.error() << "output_shape must have " << n << " elements";
  bool upper = window.autoPad == "SAME_UPPER";
  bool same = upper || window.autoPad == "SAME_LOWER";
  Shape result = {node.shape(0)[0],
                  node.shape(1)[1].fixed * node.getInt("group")};
  for (size_t i = 0; i < n; ++i) {
    int64_t full = window.strides[i] * (window.input[i] - 1) +
                   window.extent(i) + (*extra)[i];
    int64_t out = full - window.pads[i] - window.pads[n + i];
    if (!wanted.empty() || same) {
      out = wanted.empty() ? window.input[i] * window.strides[i] : wanted[i];
      if (out < 1 || out > full + window.strides[i])
        return node.error() << "output_shape " << out << " cannot be reached";
      if (out > full)
        (*extra)[i] += out - full;
      int64_t total = std::max<int64_t>(full - out, 0);
      window.pads[i] = upper ? total / 2 : total - total / 2;
      window.pads[n + i] = total - window.pads[i];
    }
    if (out < 1)
      return node.error() << "the result would have size " << out
                          << " on spatial axis " << i;
    result.push_back(out);
  }
  if (failed(checkBias(node, 2, result[1].fixed)))
    return failure();
  window.write(node);
  node.setInts("output_padding", *extra);
  node.dropAttr("output_shape");
  return node.result(node.elementType(0), result);
}

void hwgq::onnx::addConvolution(std::vector<Operator> &table) {
  std::vector<AttributeSpec> window = {intAttr("group", 1),
                                       optional("kernel_shape", Kind::Ints),
                                       optional("pads", Kind::Ints),
                                       optional("strides", Kind::Ints),
                                       optional("dilations", Kind::Ints),
                                       legacy("auto_pad", Kind::String)};
  std::vector<AttributeSpec> transposed = window;
  transposed.push_back(optional("output_padding", Kind::Ints));
  transposed.push_back(legacy("output_shape", Kind::Ints));
  table.push_back({"Conv", {1, 11, 22}, {2, 3}, {1, 1}, window, inferConv});
  table.push_back({"ConvTranspose",
                   {1, 11, 22},
                   {2, 3},
                   {1, 1},
                   transposed,
                   inferConvTranspose});
  table.push_back(
      {"ConvInteger", {10}, {2, 4}, {1, 1}, window, inferConvInteger});
  table.push_back(
      {"QLinearConv", {10}, {8, 9}, {1, 1}, window, inferQLinearConv});
}
