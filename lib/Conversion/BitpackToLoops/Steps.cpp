//===- Steps.cpp - vectors through step functions and scales --------------===//
#include "Steps.h"
#include <cmath>

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

StepPlanes::StepPlanes(LoopBuilder &b, StepAttr step, CodeType code)
    : step(step) {
  for (int32_t n : step.getValues().asArrayRef())
    codes.push_back(code.toCode(n));
  nan = code.toCode(step.getNan());
  bits = code.getBits();
  constexpr size_t kMany = 63;
  if (codes.size() <= kMany)
    return;
  std::vector<float> least = leastOfEach();
  fitLine(ArrayRef(least).slice(1, codes.size() - 1));
  if (!line)
    codeOf = b.constant(std::vector<int32_t>(codes.begin(), codes.end()));
  reached = b.constant(ArrayRef<float>(least));
}

/// Up to a power of two, and one more.
std::vector<float> StepPlanes::leastOfEach() const {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(); // by no x
  std::vector<float> least = {-kInfinity};
  for (auto [point, closed] : llvm::zip(step.getBreakpoints().asArrayRef(),
                                        step.getClosed().asArrayRef()))
    least.push_back(closed               ? point
                    : point == kInfinity ? kNaN
                                         : std::nextafter(point, kInfinity));
  least.resize(llvm::PowerOf2Ceil(codes.size()) + 1, kNaN);
  return least;
}

/// As the code that is made computes it: each operation rounds.
float StepPlanes::lineAt(float x) const {
  volatile float distance = x - line->base;
  volatile float rise = distance * line->factor;
  volatile float passed = rise + 1.0f;
  return std::trunc(
      std::max(std::min(float(passed), float(codes.size() - 1)), 0.0f));
}

void StepPlanes::fitLine(ArrayRef<float> least) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  size_t count = least.size();
  for (size_t i = 0; i <= count; ++i)
    if (codes[i] != codes[0] + int(i))
      return;
  ArrayRef<float> points = step.getBreakpoints().asArrayRef();
  if (!llvm::all_of(points, [](float p) { return std::isfinite(p); }) ||
      !(points.front() < points.back()))
    return;
  line =
      Line{points.front(), float(count - 1) / (points.back() - points.front())};
  // Both are monotone, and the number changes at breakpoints only.
  auto passed = [&](float x) {
    return float(llvm::upper_bound(least, x) - least.begin());
  };
  for (float at : least)
    for (float x : {at, std::nextafter(at, -kInfinity)})
      if (!(std::abs(lineAt(x) - passed(x)) <= 1)) {
        line.reset();
        return;
      }
}

/// The elements `index` + `offset` of a flat table.
static Value gather(LoopBuilder &b, Type element, Value table, Value index,
                    int64_t offset = 0) {
  int64_t lanes = cast<VectorType>(index.getType()).getNumElements();
  VectorType type = b.vec(lanes, element);
  Value mask = b.splat(b.vec(lanes, b.getI1Type()), int64_t(1));
  Value none = arith::ConstantOp::create(b, b.getZeroAttr(type));
  return vector::GatherOp::create(b, type, table, b.index(offset), index, mask,
                                  none);
}

/// The codes (vector of i32) of numbers; that of NaN is any.
Value StepPlanes::byLine(LoopBuilder &b, Value x) const {
  auto floats = cast<VectorType>(x.getType());
  VectorType integers = b.vec(floats.getNumElements(), b.getI32Type());
  Value at = arith::SubFOp::create(b, x, b.splat(floats, line->base));
  at = arith::MulFOp::create(b, at, b.splat(floats, line->factor));
  at = arith::AddFOp::create(b, at, b.splat(floats, 1.0f));
  auto choose = [&](arith::CmpFPredicate better, float limit) {
    Value other = b.splat(floats, limit);
    at = b.select(arith::CmpFOp::create(b, better, at, other), at, other);
  };
  choose(arith::CmpFPredicate::OLT, float(codes.size() - 1));
  choose(arith::CmpFPredicate::OGT, 0.0f);
  Value passed = arith::FPToSIOp::create(b, integers, at);
  // passed - 1 + (x >= reached[passed]) + (x >= reached[passed + 1])
  Value code = b.add(passed, b.splat(integers, int64_t(codes[0]) - 1));
  for (int64_t next : {0, 1}) {
    Value point = gather(b, b.getF32Type(), reached, passed, next);
    Value more = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, x, point);
    code = b.add(code, arith::ExtUIOp::create(b, integers, more));
  }
  return code;
}

/// The same: the number passed from its highest bit down.
Value StepPlanes::byHalves(LoopBuilder &b, Value x) const {
  VectorType integers =
      b.vec(cast<VectorType>(x.getType()).getNumElements(), b.getI32Type());
  Value zero = b.splat(integers, int64_t(0)), passed = zero;
  for (int64_t bit = llvm::PowerOf2Ceil(codes.size()) / 2; bit; bit /= 2) {
    Value point = gather(b, b.getF32Type(), reached, passed, bit);
    Value more = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, x, point);
    passed = b.add(passed, b.select(more, b.splat(integers, bit), zero));
  }
  return gather(b, b.getI32Type(), codeOf, passed);
}

Values StepPlanes::planes(LoopBuilder &b, Value x) const {
  auto type = cast<VectorType>(x.getType());
  VectorType mask = b.vec(type.getNumElements(), b.getI1Type());
  if (reached) {
    Value isNan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
    VectorType integers = b.vec(type.getNumElements(), b.getI32Type());
    Value code = line ? byLine(b, x) : byHalves(b, x);
    return toPlanes(b, b.select(isNan, b.splat(integers, int64_t(nan)), code),
                    bits);
  }
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
