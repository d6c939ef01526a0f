//===- CodeParts.cpp - parts of concatenated codes ------------------------===//
#include "CodeParts.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

SmallVector<Value> hwgq::partsOf(OpBuilder &builder, Value value) {
  Operation *op = value.getDefiningOp();
  if (auto concat = dyn_cast_or_null<tensor::ConcatOp>(op)) {
    if (int64_t(concat.getDim()) != typeOf(value).getRank() - 1)
      return {};
    SmallVector<Value> parts;
    for (Value input : concat.getInputs()) {
      SmallVector<Value> inner = partsOf(builder, input);
      inner.empty() ? parts.push_back(input) : llvm::append_range(parts, inner);
    }
    return parts;
  }
  auto pad = dyn_cast_or_null<PadOp>(op);
  auto pool = dyn_cast_or_null<MaxPoolOp>(op);
  if (pad ? pad.getLow().back() || pad.getHigh().back()
          : !pool || pool.getFalling())
    return {};
  SmallVector<Value> parts = partsOf(builder, op->getOperand(0));
  for (Value &part : parts) {
    SmallVector<int64_t> shape(typeOf(value).getShape());
    shape.back() = typeOf(part).getShape().back();
    IRMapping mapping;
    mapping.map(op->getOperand(0), part);
    part = builder.clone(*op, mapping)->getResult(0);
    part.setType(RankedTensorType::get(shape, builder.getF32Type()));
    if (Value moved = pullAffine(builder, part.getDefiningOp()))
      part = moved;
  }
  return parts;
}

Value hwgq::sliceInputs(OpBuilder &builder, ConstantOp weights, int64_t first,
                        int64_t count) {
  RankedTensorType type = typeOf(weights);
  SmallVector<int64_t> shape(type.getShape());
  int64_t channels = std::exchange(shape.back(), count);
  SmallVector<uint8_t> codes = getCodes(weights), part;
  for (size_t at = 0; at < codes.size(); at += channels)
    llvm::append_range(part, ArrayRef(codes).slice(at + first, count));
  return createConstant(builder, weights.getLoc(),
                        RankedTensorType::get(shape, type.getElementType()),
                        part);
}
