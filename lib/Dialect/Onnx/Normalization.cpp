//===- Normalization.cpp - normalisation and softmax ----------------------===//
#include "Node.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

// ---- BatchNormalization.

/// The parameters from operand 1 on hold one element a channel.
static LogicalResult checkChannels(Node &node, unsigned last) {
  if (failed(node.requireFloat(0)))
    return failure();
  if (node.rank(0) < 2 && !(node.rank(0) == 1))
    return node.error() << "the input must have a channel axis";
  Dim channels = node.rank(0) > 1 ? node.shape(0)[1] : Dim(1);
  for (unsigned i = 1; i <= last; ++i) {
    if (failed(node.requireFloat(i)) ||
        failed(node.requireRank(i, 1, "a parameter")))
      return failure();
    if (node.shape(i)[0] != channels)
      return node.error() << "input " << i << ", shape "
                          << toString(node.shape(i))
                          << ", must have one element for each of the "
                          << toString({channels}) << " channels";
  }
  return success();
}

static LogicalResult inferBatchNormalization(Node &node) {
  if (failed(checkChannels(node, 4)))
    return failure();
  return node.result(node.elementType(0), node.shape(0));
}

static LogicalResult upgradeBatchNormalization(Node &node) {
  if (node.getInt("training_mode"))
    return node.error() << "training mode is not supported, only inference";
  if (node.hasAttr("spatial") && !node.getInt("spatial"))
    return node.error() << "spatial = 0 is not supported, only statistics of "
                           "whole channels";
  if (node.op->getNumResults() > 1) {
    for (mlir::OpResult extra : llvm::drop_begin(node.op->getResults()))
      if (!extra.use_empty())
        return node.error()
               << "the statistics (output " << extra.getResultNumber()
               << ") exist in training only";
    Value value = node.create(node.entry.name, node.op->getOperands(),
                              {node.attr("epsilon", node.getFloat("epsilon"))});
    llvm::SmallVector<Value> values(node.op->getNumResults(), value);
    return node.replace(values);
  }
  for (llvm::StringRef name :
       {"momentum", "spatial", "is_test", "training_mode"})
    node.dropAttr(name);
  return success();
}

static LogicalResult inferInstanceNormalization(Node &node) {
  if (node.rank(0) < 3)
    return node.error() << "the input must have rank 3 or more, not shape "
                        << toString(node.shape(0));
  if (failed(checkChannels(node, 2)))
    return failure();
  return node.result(node.elementType(0), node.shape(0));
}

static LogicalResult inferLrn(Node &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  if (node.rank(0) < 2)
    return node.error() << "the input must have a channel axis";
  if (node.getInt("size") < 1)
    return node.error() << "size must be positive";
  return node.result(node.elementType(0), node.shape(0));
}

// ---- Softmax.

static LogicalResult inferSoftmax(Node &node) {
  if (failed(node.requireFloat(0)) || failed(node.axis(node.rank(0))))
    return failure();
  return node.result(node.elementType(0), node.shape(0));
}

/// Before opset 13 the axes from `axis` (default 1) on are one.
static LogicalResult upgradeSoftmax(Node &node) {
  if (node.opset >= 13)
    return success();
  int64_t given = node.hasAttr("axis") ? node.getInt("axis") : 1;
  FailureOr<int64_t> axis = node.normalizeAxis(given, node.rank(0), true);
  if (failed(axis))
    return failure();
  node.op->removeAttr("hwgq.opset");
  if (*axis + 1 == node.rank(0)) {
    node.setInt("axis", *axis);
    return success();
  }
  llvm::ArrayRef<Dim> shape = node.shape(0);
  std::optional<Dim> rows = product(shape.take_front(*axis));
  std::optional<Dim> columns = product(shape.drop_front(*axis));
  if (!rows || !columns)
    return node.error() << "the input, shape " << toString(shape)
                        << ", is not linear in the batch";
  Value flat = node.reshape(node.input(0), {*rows, *columns});
  flat = node.create(node.entry.name, flat, {node.attr("axis", int64_t(1))});
  return node.replace(node.reshape(flat, shape));
}

void hwgq::onnx::addNormalization(std::vector<Operator> &table) {
  table.push_back(
      {"BatchNormalization",
       {1, 6, 7, 9, 14, 15},
       {5, 5},
       {1, 5},
       {floatAttr("epsilon", 1e-5f), legacy("momentum", Kind::Float),
        legacy("spatial", Kind::Int), legacy("is_test", Kind::Int),
        legacy("training_mode", Kind::Int),
        legacy("consumed_inputs", Kind::Ints)},
       inferBatchNormalization,
       upgradeBatchNormalization});
  table.push_back(
      {"InstanceNormalization",
       {1, 6, 22},
       {3, 3},
       {1, 1},
       {floatAttr("epsilon", 1e-5f), legacy("consumed_inputs", Kind::Ints)},
       inferInstanceNormalization});
  table.push_back({"LRN",
                   {1, 13},
                   {1, 1},
                   {1, 1},
                   {floatAttr("alpha", 1e-4f), floatAttr("beta", 0.75f),
                    floatAttr("bias", 1), required("size", Kind::Int)},
                   inferLrn});
  for (llvm::StringRef name : {"Softmax", "LogSoftmax"})
    table.push_back({name,
                     {1, 11, 13},
                     {1, 1},
                     {1, 1},
                     {intAttr("axis", -1)},
                     inferSoftmax,
                     upgradeSoftmax});
}
