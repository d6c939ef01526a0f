//===- ElementwiseChain.cpp - functions of one tensor element -------------===//
#include "hwgq/Transforms/ElementwiseChain.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <queue>

using namespace mlir;
using namespace hwgq;

bool hwgq::isNaN(const Scalar &value) {
  return value.kind == Scalar::Kind::F32   ? std::isnan(value.f32)
         : value.kind == Scalar::Kind::F64 ? std::isnan(value.f64)
                                           : false;
}

double hwgq::toDouble(const Scalar &value) {
  return value.kind == Scalar::Kind::F32   ? double(value.f32)
         : value.kind == Scalar::Kind::F64 ? value.f64
                                           : double(value.i);
}

bool hwgq::sameValue(const Scalar &a, const Scalar &b) {
  if (a.kind != b.kind)
    return false;
  if (a.kind == Scalar::Kind::Int)
    return a.i == b.i;
  return toDouble(a) == toDouble(b) || (isNaN(a) && isNaN(b));
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

/// The value of one element from its bits.
static std::optional<Scalar> readScalar(Type type, const char *bytes) {
  auto integer = [&](unsigned width) {
    int64_t value = 0;
    std::memcpy(&value, bytes, width <= 8 ? 1 : width / 8);
    return Scalar::ofInt(reference::wrapInteger(value, width));
  };
  if (type.isF32()) {
    float value;
    std::memcpy(&value, bytes, sizeof value);
    return Scalar::ofF32(value);
  }
  if (type.isF16() || type.isBF16()) {
    uint16_t bits;
    std::memcpy(&bits, bytes, sizeof bits);
    const llvm::fltSemantics &form = cast<FloatType>(type).getFloatSemantics();
    llvm::APFloat value(form, llvm::APInt(16, bits));
    return Scalar::ofF32(float(value.convertToDouble()));
  }
  if (type.isF64()) {
    double value;
    std::memcpy(&value, bytes, sizeof value);
    return Scalar::ofF64(value);
  }
  if (auto i = dyn_cast<IntegerType>(type))
    if (i.getWidth() == 1 || (i.getWidth() % 8 == 0 && i.getWidth() <= 64))
      return integer(i.getWidth());
  return std::nullopt;
}

/// Elements of a row-major tensor as a function of the last index, where they
/// are one.
static std::optional<ChannelConstant> readElements(ElementsAttr attr,
                                                   std::string &reason) {
  auto type = dyn_cast<RankedTensorType>(attr.getType());
  if (!type || type.getNumElements() == 0)
    return std::nullopt;
  Type element = type.getElementType();
  if (!element.isIntOrFloat())
    return std::nullopt;
  SmallVector<char> storage;
  std::optional<ArrayRef<char>> bytes = getElementBytes(attr, storage);
  unsigned width = std::max(1u, element.getIntOrFloatBitWidth() / 8);
  if (!bytes || !readScalar(element, bytes->data()))
    return std::nullopt;
  int64_t channels = type.getRank() ? type.getShape().back() : 1;
  size_t row = channels * width;
  for (size_t at = row; at < bytes->size(); at += row)
    if (std::memcmp(bytes->data(), bytes->data() + at, row)) {
      reason = "a constant differs along other dimensions than the channels";
      return std::nullopt;
    }
  ChannelConstant constant;
  for (int64_t c = 0; c < channels; ++c)
    constant.values.push_back(*readScalar(element, bytes->data() + c * width));
  bool uniform = llvm::all_of(constant.values, [&](const Scalar &v) {
    return v.i == constant.values[0].i;
  });
  if (uniform)
    constant.values.resize(1);
  return constant;
}

std::optional<ChannelConstant>
ConstantReader::readBroadcast(linalg::BroadcastOp op) {
  Value input = op.getInput();
  const ChannelConstant *constant = get(input);
  auto from = cast<RankedTensorType>(input.getType());
  auto to = cast<RankedTensorType>(op.getInit().getType());
  if (constant && constant->isUniform())
    return *constant;
  // The last dimension of the operand must become the last of the result.
  if (constant && from.getRank() > 0 && to.getRank() > 0 &&
      !llvm::is_contained(op.getDimensions(), to.getRank() - 1))
    return *constant;
  if (constant)
    reason = "a constant is broadcast along the channels";
  return std::nullopt;
}

std::optional<ChannelConstant> ConstantReader::readElementwise(Operation *op) {
  SmallVector<const ChannelConstant *, 3> operands;
  size_t channels = 1;
  for (Value operand : op->getOperands()) {
    if (!get(operand))
      return std::nullopt;
    channels = std::max(channels, get(operand)->values.size());
  }
  // Only now: further entries may move the map's values.
  for (Value operand : op->getOperands())
    operands.push_back(get(operand));
  ChannelConstant result;
  for (size_t c = 0; c < channels; ++c) {
    SmallVector<Scalar, 3> values;
    for (const ChannelConstant *operand : operands)
      values.push_back(operand->at(c));
    std::optional<Scalar> value = reference::evaluateScalar(op, values);
    if (!value)
      return std::nullopt;
    result.values.push_back(*value);
  }
  return result;
}

std::optional<ChannelConstant> ConstantReader::read(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !isa<RankedTensorType, FloatType, IntegerType>(value.getType()))
    return std::nullopt;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (auto elements = dyn_cast<ElementsAttr>(constant.getValue()))
      return readElements(elements, reason);
    if (auto scalar = reference::evaluateScalar(op, {}))
      return ChannelConstant{{*scalar}};
    return std::nullopt;
  }
  if (auto broadcast = dyn_cast<linalg::BroadcastOp>(op))
    return readBroadcast(broadcast);
  if (auto splat = dyn_cast<tensor::SplatOp>(op)) {
    const ChannelConstant *scalar = get(splat.getInput());
    return scalar ? std::optional(*scalar) : std::nullopt;
  }
  if (auto fill = dyn_cast<linalg::FillOp>(op)) {
    const ChannelConstant *scalar = get(fill.getInputs()[0]);
    return scalar ? std::optional(*scalar) : std::nullopt;
  }
  if (isElementwise(op))
    return readElementwise(op);
  return std::nullopt;
}

const ChannelConstant *ConstantReader::get(Value value) {
  auto found = known.find(value);
  if (found == known.end()) {
    reason.clear();
    std::optional<ChannelConstant> constant = read(value);
    found = known.insert({value, std::move(constant)}).first;
  }
  return found->second ? &*found->second : nullptr;
}

bool ConstantReader::isConstant(Value value) {
  auto found = constness.find(value);
  if (found != constness.end())
    return found->second;
  Operation *op = value.getDefiningOp();
  bool constant = false;
  if (op && op->hasTrait<OpTrait::ConstantLike>())
    constant = true;
  else if (auto broadcast = dyn_cast_or_null<linalg::BroadcastOp>(op))
    constant = isConstant(broadcast.getInput());
  else if (auto fill = dyn_cast_or_null<linalg::FillOp>(op))
    constant = isConstant(fill.getInputs()[0]);
  else if (op && (isa<tensor::SplatOp>(op) || isElementwise(op)))
    constant =
        llvm::all_of(isa<tensor::SplatOp>(op) ? op->getOperands().take_front(1)
                                              : op->getOperands(),
                     [&](Value v) { return isConstant(v); });
  constness[value] = constant;
  return constant;
}

//===----------------------------------------------------------------------===//
// Cuts
//===----------------------------------------------------------------------===//

bool hwgq::isElementwise(Operation *op) {
  if (!op || op->getNumResults() != 1 || op->getNumOperands() == 0 ||
      !OpTrait::hasElementwiseMappableTraits(op))
    return false;
  auto isTensor = [](Type t) { return isa<RankedTensorType>(t); };
  if (!isTensor(op->getResult(0).getType()) ||
      !llvm::all_of(op->getOperandTypes(), isTensor))
    return false;
  return reference::getElementKernel(op).has_value();
}

/// Cuts that a list holds; of more, the nearest and the farthest.
static constexpr size_t kMaxCuts = 64;
/// A chain of more ops is none: no step function has so many, and each value of
/// a graph is the end of one.
static constexpr size_t kMaxChain = 2048;

SmallVector<Value> hwgq::findCuts(Value result, ConstantReader &constants) {
  SmallVector<Value> cuts;
  Operation *last = result.getDefiningOp();
  if (!isElementwise(last))
    return cuts;
  // Expand the op that stands last in the block; when one value is left, all
  // paths run through it.
  auto before = [](Value a, Value b) {
    Operation *x = a.getDefiningOp(), *y = b.getDefiningOp();
    if (!x || !y)
      return !x && (y || a.getAsOpaquePointer() < b.getAsOpaquePointer());
    return x != y && x->isBeforeInBlock(y);
  };
  SmallVector<Value> frontier = {result};
  for (size_t expanded = 0;; ++expanded) {
    if (expanded == kMaxChain)
      return {};
    auto at = llvm::max_element(frontier, before);
    Value value = *at;
    if (frontier.size() == 1 && value != result) {
      if (cuts.size() == kMaxCuts)
        cuts.pop_back();
      cuts.push_back(value);
    }
    Operation *op = value.getDefiningOp();
    if (!op || op->getBlock() != last->getBlock() || !isElementwise(op))
      break;
    frontier.erase(at);
    for (Value operand : op->getOperands())
      if (!constants.isConstant(operand) &&
          !llvm::is_contained(frontier, operand))
        frontier.push_back(operand);
    if (frontier.empty())
      break;
  }
  return cuts;
}

//===----------------------------------------------------------------------===//
// ElementFunction
//===----------------------------------------------------------------------===//

ElementFunction::ElementFunction(int64_t rows) : rows(rows) {
  nodes.emplace_back();
}

/// An integer division, unless by a constant other than 0.
static bool mayBeUndefined(Operation *op, ConstantReader &constants) {
  if (!isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp,
           arith::CeilDivSIOp, arith::CeilDivUIOp, arith::RemSIOp,
           arith::RemUIOp>(op))
    return false;
  const ChannelConstant *divisor = constants.get(op->getOperand(1));
  return !divisor || llvm::any_of(divisor->values,
                                  [](const Scalar &v) { return v.i == 0; });
}

LogicalResult ElementFunction::append(Value from, Value to,
                                      ConstantReader &constants, RowMap channel,
                                      std::string &reason) {
  llvm::DenseMap<Value, unsigned> index;
  index[from] = result;
  auto addConstant = [&](Value value) -> LogicalResult {
    const ChannelConstant *constant = constants.get(value);
    if (!constant) {
      reason = constants.whyNot().empty() ? "a constant has no readable values"
                                          : constants.whyNot().str();
      return failure();
    }
    Node node;
    node.kind = NodeKind::Constant;
    int64_t count = constant->isUniform() ? 1 : rows;
    for (int64_t r = 0; r < count; ++r) {
      int64_t c = constant->isUniform() ? 0 : channel(r);
      if (c < 0 || c >= int64_t(constant->values.size())) {
        reason = "a constant has another number of channels";
        return failure();
      }
      node.constant.values.push_back(constant->values[c]);
    }
    index[value] = nodes.size();
    nodes.push_back(std::move(node));
    return success();
  };
  // Operands first, without recursion: chains can be long.
  SmallVector<Value> stack = {to};
  while (!stack.empty()) {
    Value value = stack.back();
    if (index.count(value)) {
      stack.pop_back();
      continue;
    }
    if (constants.isConstant(value)) {
      stack.pop_back();
      if (failed(addConstant(value)))
        return failure();
      continue;
    }
    Operation *op = value.getDefiningOp();
    if (!isElementwise(op)) {
      reason = "the chain has another source";
      return failure();
    }
    bool ready = true;
    for (Value operand : op->getOperands())
      if (!index.count(operand)) {
        stack.push_back(operand);
        ready = false;
      }
    if (!ready)
      continue;
    stack.pop_back();
    if (mayBeUndefined(op, constants)) {
      reason = "an integer division whose divisor may be 0";
      return failure();
    }
    Node node;
    node.kind = NodeKind::Operation;
    node.op = op;
    node.kernel = *reference::getElementKernel(op);
    for (Value operand : op->getOperands())
      node.operands.push_back(index[operand]);
    index[value] = nodes.size();
    nodes.push_back(std::move(node));
  }
  result = index[to];
  return success();
}

void ElementFunction::appendAffine(ArrayRef<float> scale, RowMap channel) {
  Node node;
  node.kind = NodeKind::Affine;
  node.operands.push_back(result);
  if (scale.size() == 1)
    node.scale.push_back(scale[0]);
  else
    for (int64_t r = 0; r < rows; ++r)
      node.scale.push_back(scale[channel(r)]);
  result = nodes.size();
  nodes.push_back(std::move(node));
}

void ElementFunction::appendStep(StepAttr step) {
  Node node;
  node.kind = NodeKind::Step;
  node.operands.push_back(result);
  node.step = step;
  result = nodes.size();
  nodes.push_back(std::move(node));
}

bool ElementFunction::isUniform() const {
  return llvm::all_of(nodes, [](const Node &node) {
    return node.constant.values.size() <= 1 && node.scale.size() <= 1;
  });
}

Scalar ElementFunction::apply(unsigned index, ArrayRef<Scalar> operands,
                              int64_t row) const {
  const Node &node = nodes[index];
  switch (node.kind) {
  case NodeKind::Source:
    return operands[0];
  case NodeKind::Constant:
    return node.constant.at(row);
  case NodeKind::Affine: {
    float n = float(int32_t(operands[0].i));
    return Scalar::ofF32(n * node.scale[node.scale.size() == 1 ? 0 : row]);
  }
  case NodeKind::Step:
    return Scalar::ofInt(node.step.evaluate(operands[0].f32));
  case NodeKind::Operation:
    break;
  }
  const void *in[3] = {};
  for (size_t i = 0; i < operands.size(); ++i)
    in[i] = &operands[i].i;
  Scalar value;
  value.kind = node.kernel.resultKind;
  // Divisions by 0, the only failure, do not enter a function.
  (void)node.kernel.run(node.kernel, in, &value.i, 1);
  if (node.kernel.roundResult)
    value.f32 = reference::roundToElement(value.f32, node.kernel.resultElement);
  return value;
}

Scalar ElementFunction::evaluate(const Scalar &x, int64_t row,
                                 unsigned last) const {
  SmallVector<Scalar, 32> values(last + 1);
  for (unsigned i = 0; i <= last; ++i) {
    const Node &node = nodes[i];
    if (node.kind == NodeKind::Source) {
      values[i] = x;
      continue;
    }
    SmallVector<Scalar, 3> operands;
    for (unsigned operand : node.operands)
      operands.push_back(values[operand]);
    values[i] = apply(i, operands, row);
  }
  return values[last];
}
