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

/// The broadcast operand of a product or quotient that is the same along all
/// dimensions from `rows` on.
static linalg::BroadcastOp findScale(Operation *op, int64_t rows,
                                     unsigned index) {
  auto broadcast = op->getOperand(index).getDefiningOp<linalg::BroadcastOp>();
  if (!broadcast)
    return {};
  int64_t rank = cast<RankedTensorType>(op->getResult(0).getType()).getRank();
  for (int64_t d = rows; d < rank; ++d)
    if (!llvm::is_contained(broadcast.getDimensions(), d))
      return {};
  return broadcast;
}

Value RunTimeScales::take(OpBuilder &builder, Operation *contraction,
                          Value input) {
  scales.clear();
  rows = countRows(contraction);
  auto collapse = input.getDefiningOp<tensor::CollapseShapeOp>();
  if (collapse && isa<MatMulOp>(contraction))
    rows = collapse.getReassociationIndices()[0].size();
  else
    collapse = {};
  Value value = collapse ? collapse.getSrc() : input;
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<arith::MulFOp, arith::DivFOp>(op))
      break;
    bool divides = isa<arith::DivFOp>(op);
    linalg::BroadcastOp scale = findScale(op, rows, 1);
    unsigned other = 0;
    if (!scale && !divides) {
      scale = findScale(op, rows, 0);
      other = 1;
    }
    if (!scale)
      break;
    scales.push_back({scale, divides});
    value = op->getOperand(other);
  }
  if (scales.empty())
    return {};
  if (!collapse)
    return value;
  auto flat = tensor::CollapseShapeOp::create(
      builder, collapse.getLoc(), collapse.getType(), value,
      collapse.getReassociationIndices());
  Value moved = pullAffine(builder, flat);
  return moved ? moved : flat.getResult();
}

/// The scale in the shape of `result`, whose first dimensions are the rows.
static Value spread(TensorBuilder &b, linalg::BroadcastOp scale, int64_t rows,
                    Value result) {
  Value tensor = scale.getInput();
  auto isAdded = [&](int64_t d) {
    return llvm::is_contained(scale.getDimensions(), d);
  };
  SmallVector<int64_t> added;
  int64_t rank = cast<RankedTensorType>(result.getType()).getRank();
  int64_t scaleRank = cast<RankedTensorType>(tensor.getType()).getRank();
  // A matrix whose rows were several dimensions: they are one here, too.
  if (rank == 2 && rows > 1 && scaleRank) {
    for (int64_t d = 0; d < rows; ++d)
      if (isAdded(d))
        added.push_back(d);
    SmallVector<OpFoldResult> sizes = b.sizes(scale->getResult(0));
    if (!added.empty())
      tensor = b.broadcastDims(tensor, ArrayRef(sizes).take_front(rows), added);
    SmallVector<ReassociationIndices> all = {
        llvm::to_vector(llvm::seq<int64_t>(0, rows))};
    tensor = b.make<tensor::CollapseShapeOp>(tensor, all);
    return b.broadcastDims(tensor, b.sizes(result), {1});
  }
  for (int64_t d = 0; d < rank; ++d)
    if (d >= rows || isAdded(d))
      added.push_back(d);
  return b.broadcastDims(tensor, b.sizes(result), added);
}

Value RunTimeScales::apply(OpBuilder &builder, Location loc, Value result) {
  TensorBuilder b(builder, loc);
  for (const Scale &scale : llvm::reverse(scales)) {
    Value factor = spread(b, scale.broadcast, rows, result);
    result = scale.divides ? b.make<arith::DivFOp>(result, factor)
                           : b.make<arith::MulFOp>(result, factor);
  }
  return result;
}
