//===- VectorBody.cpp - scalar bodies on vectors --------------------------===//
#include "VectorBody.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

Value hwgq::broadcastLanes(OpBuilder &builder, Location loc, Value value,
                           int64_t lanes) {
  if (isa<VectorType>(value.getType()))
    return value;
  return vector::BroadcastOp::create(
      builder, loc, VectorType::get({lanes}, value.getType()), value);
}

void hwgq::cloneOnVectors(OpBuilder &builder, Operation &inner, IRMapping &map,
                          int64_t lanes, const LoopOptions &options) {
  if (inner.hasTrait<OpTrait::ConstantLike>()) {
    builder.clone(inner, map);
    return;
  }
  Location loc = inner.getLoc();
  SmallVector<Value> operands;
  for (Value operand : inner.getOperands())
    operands.push_back(
        broadcastLanes(builder, loc, map.lookupOrDefault(operand), lanes));
  if (auto fma = dyn_cast<math::FmaOp>(inner)) {
    map.map(fma.getResult(), createFma(builder, loc, operands[0], operands[1],
                                       operands[2], options));
    return;
  }
  OperationState state(loc, inner.getName());
  state.addOperands(operands);
  for (Type type : inner.getResultTypes())
    state.types.push_back(VectorType::get({lanes}, type));
  state.addAttributes(inner.getDiscardableAttrDictionary().getValue());
  state.propertiesAttr = inner.getPropertiesAsAttribute();
  map.map(inner.getResults(), builder.create(state)->getResults());
}
