//===- RunTimeScales.cpp - scales that a network computes -----------------===//
//
// Quantisers whose scale is a tensor (BitNet's 127 / max |x| of each token, the
// mean of |x| of XNOR-Net) give codes / r or codes * r. Where r is the same for
// all terms of a sum it is taken out of it: sum(n * r * w) = sum(n * w) * r.
//
//===----------------------------------------------------------------------===//
#include "RunTimeScales.h"
#include "hwgq/Dialect/TensorBuilder.h"
#include "hwgq/Transforms/Codes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq;

static bool isOne(ArrayRef<int64_t> values) {
  return llvm::all_of(values, [](int64_t v) { return v == 1; });
}

/// Leading dimensions of a contraction's input that it does not sum over.
static int64_t countRows(Operation *op) {
  auto conv = dyn_cast<Conv2DOp>(op);
  if (!conv)
    return 1;
  auto weight = cast<RankedTensorType>(conv.getWeight().getType());
  bool isPointwise = isOne(weight.getShape().slice(1, 2)) &&
                     isOne(conv.getStrides()) &&
                     llvm::all_of(conv.getPads(), [](int64_t p) { return !p; });
  return isPointwise ? 3 : 1;
}

/// The broadcast operand of a product or quotient that is the same along those
/// dimensions that `order` puts at `rows` and behind.
static linalg::BroadcastOp findScale(Operation *op, unsigned index,
                                     ArrayRef<int64_t> order, int64_t rows) {
  auto broadcast = op->getOperand(index).getDefiningOp<linalg::BroadcastOp>();
  if (broadcast)
    for (int64_t d : order.drop_front(rows))
      if (!llvm::is_contained(broadcast.getDimensions(), d))
        return {};
  return broadcast;
}

/// The scale's tensor and its dimensions, in `order`.
static std::pair<Value, SmallVector<int64_t>>
reorder(TensorBuilder &b, linalg::BroadcastOp scale, ArrayRef<int64_t> order) {
  SmallVector<int64_t> own, kept, perm;
  for (int64_t d = 0; d < int64_t(order.size()); ++d)
    if (!llvm::is_contained(scale.getDimensions(), d))
      own.push_back(d);
  for (auto [at, d] : llvm::enumerate(order))
    if (auto *found = llvm::find(own, d); found != own.end()) {
      kept.push_back(at);
      perm.push_back(found - own.begin());
    }
  Value tensor = scale.getInput();
  return {llvm::is_sorted(perm) ? tensor : b.transpose(tensor, perm), kept};
}

/// The result of a movement, with the scales of codes behind it.
static Value behind(OpBuilder &builder, Value moved) {
  Value pulled = pullAffine(builder, moved.getDefiningOp());
  return pulled ? pulled : moved;
}

Value RunTimeScales::take(OpBuilder &builder, Operation *contraction,
                          Value input) {
  scales.clear();
  rows = countRows(contraction);
  auto collapse = isa<MatMulOp>(contraction)
                      ? input.getDefiningOp<tensor::CollapseShapeOp>()
                      : tensor::CollapseShapeOp();
  if (collapse)
    rows = collapse.getReassociationIndices()[0].size();
  source = collapse ? collapse.getSrc() : input;
  Value value = source;
  auto order = llvm::to_vector(llvm::seq<int64_t>(
      0, cast<RankedTensorType>(source.getType()).getRank()));
  auto transpose = value.getDefiningOp<linalg::TransposeOp>();
  if (transpose) {
    order = llvm::to_vector(transpose.getPermutation());
    value = transpose.getInput();
  }
  TensorBuilder b(builder, contraction->getLoc());
  while (Operation *op = value.getDefiningOp()) {
    bool divides = isa<arith::DivFOp>(op);
    if (!divides && !isa<arith::MulFOp>(op))
      break;
    unsigned index = 1;
    linalg::BroadcastOp scale = findScale(op, index, order, rows);
    if (!scale && !divides)
      scale = findScale(op, index = 0, order, rows);
    if (!scale)
      break;
    auto [tensor, kept] = reorder(b, scale, order);
    scales.push_back({tensor, kept, divides});
    value = op->getOperand(1 - index);
  }
  if (scales.empty())
    return {};
  if (transpose)
    value = behind(builder, b.transpose(value, order));
  if (collapse)
    value = behind(builder, b.make<tensor::CollapseShapeOp>(
                                collapse.getType(), value,
                                collapse.getReassociationIndices()));
  return value;
}

Value RunTimeScales::spread(OpBuilder &builder, Location loc,
                            const Scale &scale, Value result) {
  TensorBuilder b(builder, loc);
  auto complement = [&](int64_t end) {
    SmallVector<int64_t> added;
    for (int64_t d = 0; d < end; ++d)
      if (!llvm::is_contained(scale.dimensions, d))
        added.push_back(d);
    return added;
  };
  int64_t rank = cast<RankedTensorType>(result.getType()).getRank();
  if (rank != 2 || rows == 1 || scale.dimensions.empty())
    return b.broadcastDims(scale.tensor, b.sizes(result), complement(rank));
  // A matrix whose rows were several dimensions: they are one here, too.
  Value tensor = scale.tensor;
  if (SmallVector<int64_t> added = complement(rows); !added.empty())
    tensor = b.broadcastDims(tensor, ArrayRef(b.sizes(source)).take_front(rows),
                             added);
  SmallVector<ReassociationIndices> all = {
      llvm::to_vector(llvm::seq<int64_t>(0, rows))};
  return b.broadcastDims(b.make<tensor::CollapseShapeOp>(tensor, all),
                         b.sizes(result), {1});
}

Value RunTimeScales::apply(OpBuilder &builder, Location loc, Value result) {
  TensorBuilder b(builder, loc);
  for (const Scale &scale : llvm::reverse(scales)) {
    Value factor = spread(builder, loc, scale, result);
    result = scale.divides ? b.make<arith::DivFOp>(result, factor)
                           : b.make<arith::MulFOp>(result, factor);
  }
  return result;
}
