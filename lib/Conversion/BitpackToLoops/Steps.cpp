//===- Steps.cpp - vectors through step functions and scales --------------===//
#include "Steps.h"

using namespace mlir;
using namespace hwgq;

void hwgq::maskTail(LoopBuilder &b, Values &planes, int64_t lanes,
                    int64_t valid) {
  if (valid == lanes)
    return;
  VectorType type = b.vec(lanes, b.getI1Type());
  SmallVector<bool> keep(lanes, false);
  std::fill_n(keep.begin(), valid, true);
  Value mask = arith::ConstantOp::create(
      b, DenseElementsAttr::get(type, ArrayRef(keep)));
  for (Value &plane : planes)
    plane = b.andi(plane, mask);
}

StepPlanes::StepPlanes(StepAttr step, CodeType code) : step(step) {
  for (int32_t n : step.getValues().asArrayRef())
    codes.push_back(code.toCode(n));
  nan = code.toCode(step.getNan());
  bits = code.getBits();
}

Values StepPlanes::planes(LoopBuilder &b, Value x) const {
  auto type = cast<VectorType>(x.getType());
  VectorType mask = b.vec(type.getNumElements(), b.getI1Type());
  Values result;
  for (unsigned p = 0; p < bits; ++p)
    result.push_back(b.splat(mask, int64_t((codes[0] >> p) & 1)));
  for (size_t i = 0; i + 1 < codes.size(); ++i) {
    uint8_t changes = codes[i] ^ codes[i + 1];
    if (!changes)
      continue;
    auto predicate = step.getClosed()[i] ? arith::CmpFPredicate::OGE
                                         : arith::CmpFPredicate::OGT;
    Value passed = arith::CmpFOp::create(
        b, predicate, x, b.splat(type, step.getBreakpoints()[i]));
    for (unsigned p = 0; p < bits; ++p)
      if ((changes >> p) & 1)
        result[p] = b.xori(result[p], passed);
  }
  // Comparisons with NaN fail, so that it has code 0 of the list so far.
  if (uint8_t changes = codes[0] ^ nan) {
    Value isNan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
    for (unsigned p = 0; p < bits; ++p)
      if ((changes >> p) & 1)
        result[p] = b.xori(result[p], isNan);
  }
  return result;
}

ScaleTable::ScaleTable(LoopBuilder &b, ArrayRef<float> scale) {
  if (scale.size() == 1) {
    single = scale[0];
    return;
  }
  constexpr size_t kWidest = 64;
  std::vector<float> padded(scale.begin(), scale.end());
  padded.resize(padded.size() + kWidest - 1);
  table = b.constant(ArrayRef<float>(padded));
}

Value ScaleTable::apply(LoopBuilder &b, Value numbers, Value channel) const {
  VectorType type = b.vec(cast<VectorType>(numbers.getType()).getNumElements(),
                          b.getF32Type());
  Value value = arith::SIToFPOp::create(b, type, numbers);
  if (!table && single == 1.0f)
    return value;
  Value scale = table ? b.load(type, table, channel) : b.splat(type, single);
  return arith::MulFOp::create(b, value, scale);
}
