//===- Quantized.cpp - QuantizeLinear and its kin -------------------------===//
#include "Node.h"
#include "hwgq/Dialect/SmallFloats.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

/// A zero of `type` in the shape of operand 1, as operand 2.
static LogicalResult addZeroPoint(Node &node, Type type) {
  llvm::SmallVector<int64_t> sizes;
  for (Dim dim : node.shape(1)) {
    if (!dim.isStatic())
      return node.error() << "the scale must not depend on the batch";
    sizes.push_back(dim.fixed);
  }
  auto tensor = mlir::RankedTensorType::get(sizes, type);
  mlir::Attribute zero =
      isFloat(type) ? mlir::Attribute(node.builder.getFloatAttr(type, 0))
                    : mlir::Attribute(node.builder.getIntegerAttr(type, 0));
  node.setInput(2, node.constant(mlir::DenseElementsAttr::get(tensor, zero)));
  return success();
}

/// The scale is of one element, or of rank 1 with one an element of the axis.
static LogicalResult checkScale(Node &node) {
  if (node.getInt("block_size"))
    return node.error() << "block_size is not supported; scales per tensor and "
                           "per axis are";
  if (failed(node.require(1, "the scale")) || failed(node.requireFloat(1)))
    return failure();
  const Shape &scale = node.shape(1);
  if (scale.size() > 1)
    return node.error() << "a scale of rank " << scale.size()
                        << " is not supported; rank 0 and 1 are";
  if (!scale.empty() && !scale[0].is(1)) {
    FailureOr<int64_t> axis = node.axis(node.rank(0));
    if (failed(axis))
      return failure();
    if (node.shape(0)[*axis] != scale[0])
      return node.error() << "the scale, shape " << toString(scale)
                          << ", must have one element for each of axis "
                          << *axis << " of shape " << toString(node.shape(0));
  } else {
    node.setInt("axis", 0);
  }
  for (unsigned index : {0u, 2u})
    if (node.has(index) && hwgq::isSmallFloat(node.elementType(index)))
      return node.error() << getDataTypeName(
                                 getDataType(node.elementType(index)))
                          << " is not supported; integers of 2 to 32 bits are";
  if (node.has(2) && product(node.shape(2)) != product(scale))
    return node.error() << "the zero point, shape " << toString(node.shape(2))
                        << ", must have the shape of the scale, "
                        << toString(scale);
  return success();
}

static LogicalResult inferQuantize(Node &node) {
  if (failed(checkScale(node)) || failed(node.requireScale(1)))
    return failure();
  if (!isFloat(node.elementType(0)) &&
      !node.elementType(0).isSignlessInteger(32))
    return node.error() << "the input must be of a float type or int32";
  Type type = node.builder.getIntegerType(8, /*isSigned=*/false);
  if (int64_t wanted = node.getInt("output_dtype")) {
    type = getElementType(wanted, node.op->getContext());
    if (!type || isFloat(type))
      return node.error() << "output_dtype " << getDataTypeName(wanted)
                          << " is not supported";
    if (node.has(2) && node.elementType(2) != type)
      return node.error() << "output_dtype is not the zero point's type";
  }
  if (!node.has(2) && failed(addZeroPoint(node, type)))
    return failure();
  if (failed(node.requireInteger(2)))
    return failure();
  node.dropAttr("output_dtype");
  return node.result(node.elementType(2), node.shape(0));
}

static LogicalResult upgradeQuantize(Node &node) {
  // `saturate` concerns float8; `precision` is that of the division, which is
  // here the scale's.
  node.dropAttr("saturate");
  if (int64_t precision = node.getInt("precision"))
    if (node.numInputs() < 2 ||
        getElementType(precision, node.op->getContext()) != node.elementType(1))
      return node.error() << "precision " << getDataTypeName(precision)
                          << " is not supported; the scale's type is";
  node.dropAttr("precision");
  return success();
}

static LogicalResult inferDequantize(Node &node) {
  if (failed(checkScale(node)) || failed(node.requireInteger(0)))
    return failure();
  Type type = node.elementType(1);
  if (int64_t wanted = node.getInt("output_dtype"))
    if (getElementType(wanted, node.op->getContext()) != type)
      return node.error() << "output_dtype " << getDataTypeName(wanted)
                          << " is not supported; the scale's type is";
  node.dropAttr("output_dtype");
  if (!node.has(2) && failed(addZeroPoint(node, node.elementType(0))))
    return failure();
  if (failed(node.requireSameType(0, 2)))
    return failure();
  return node.result(type, node.shape(0));
}

static LogicalResult inferDynamicQuantize(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  Type codes = node.builder.getIntegerType(8, /*isSigned=*/false);
  if (failed(node.result(0, codes, node.shape(0))) ||
      failed(node.result(1, node.elementType(0), {})))
    return failure();
  return node.result(2, codes, {});
}

void hwgq::onnx::addQuantized(std::vector<Operator> &table) {
  std::vector<int> since = {10, 13, 19, 21, 23, 24, 25, 28};
  table.push_back(
      {"QuantizeLinear",
       since,
       {2, 3},
       {1, 1},
       {intAttr("axis", 1), legacy("block_size", Kind::Int),
        legacy("output_dtype", Kind::Int), legacy("precision", Kind::Int),
        legacy("saturate", Kind::Int)},
       inferQuantize,
       upgradeQuantize});
  table.push_back({"DequantizeLinear",
                   since,
                   {2, 3},
                   {1, 1},
                   {intAttr("axis", 1), legacy("block_size", Kind::Int),
                    legacy("output_dtype", Kind::Int)},
                   inferDequantize});
  table.push_back({"DynamicQuantizeLinear",
                   {11},
                   {1, 1},
                   {3, 3},
                   {},
                   inferDynamicQuantize});
}
