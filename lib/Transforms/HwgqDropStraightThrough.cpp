//===- HwgqDropStraightThrough.cpp - (a - b) + b becomes a ----------------===//
#include "hwgq/Dialect/OnnxOperators.h"
#include "hwgq/Passes.h"

namespace hwgq {
#define GEN_PASS_DEF_HWGQDROPSTRAIGHTTHROUGH
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;

static Operation *definition(Value v, StringRef name) {
  Operation *op = v.getDefiningOp();
  return op && op->getName().getStringRef() == name ? op : nullptr;
}

/// Looks through operators that only pass their operand on.
static Value throughIdentity(Value v) {
  while (Operation *op = definition(v, "onnx.Identity"))
    v = op->getOperand(0);
  return v;
}

/// Whether two values are the same by construction: one value, equal
/// constants, or equal operators on such operands, `depth` levels deep.
static bool sameValue(Value a, Value b, unsigned depth = 8) {
  a = throughIdentity(a);
  b = throughIdentity(b);
  if (a == b)
    return true;
  Operation *x = a.getDefiningOp(), *y = b.getDefiningOp();
  if (depth == 0 || !x || !y || x->getName() != y->getName() ||
      !x->getName().getStringRef().starts_with("onnx.") ||
      a.getType() != b.getType() ||
      x->getNumOperands() != y->getNumOperands() ||
      x->getAttrDictionary() != y->getAttrDictionary() ||
      cast<OpResult>(a).getResultNumber() !=
          cast<OpResult>(b).getResultNumber())
    return false;
  return llvm::all_of(
      llvm::zip(x->getOperands(), y->getOperands()), [&](auto pair) {
        return sameValue(std::get<0>(pair), std::get<1>(pair), depth - 1);
      });
}

/// The minuend a of `difference` = a - b, also as -(b - a), or null.
static Value minuend(Value difference, Value b) {
  difference = throughIdentity(difference);
  if (Operation *neg = definition(difference, "onnx.Neg")) {
    Operation *sub =
        definition(throughIdentity(neg->getOperand(0)), "onnx.Sub");
    return sub && sameValue(sub->getOperand(0), b) ? sub->getOperand(1)
                                                   : Value();
  }
  if (Operation *sub = definition(difference, "onnx.Sub"))
    return sameValue(sub->getOperand(1), b) ? sub->getOperand(0) : Value();
  Operation *add = definition(difference, "onnx.Add");
  for (unsigned i = 0; add && i < 2; ++i)
    if (Operation *neg =
            definition(throughIdentity(add->getOperand(i)), "onnx.Neg"))
      if (sameValue(neg->getOperand(0), b))
        return add->getOperand(1 - i);
  return {};
}

/// What `op` is in real numbers: a for (a - b) + b, b + (a - b) and
/// b - (b - a); null for anything else.
static Value withoutResidue(Operation *op) {
  StringRef name = op->getName().getStringRef();
  Value a;
  if (name == "onnx.Add") {
    a = minuend(op->getOperand(0), op->getOperand(1));
    if (!a)
      a = minuend(op->getOperand(1), op->getOperand(0));
  } else if (name == "onnx.Sub") {
    Operation *inner =
        definition(throughIdentity(op->getOperand(1)), "onnx.Sub");
    if (inner && sameValue(inner->getOperand(0), op->getOperand(0)))
      a = inner->getOperand(1);
  }
  if (!a || a.getType() != op->getResult(0).getType() ||
      !isa<FloatType>(getElementTypeOrSelf(a.getType())))
    return {};
  return a;
}

//===----------------------------------------------------------------------===//
// PACT
//===----------------------------------------------------------------------===//

/// The finite number that every element of a constant is.
static std::optional<float> splat(Value value) {
  auto numbers = hwgq::onnx::getConstantFloats(throughIdentity(value));
  if (!numbers || numbers->empty() || !llvm::all_equal(*numbers) ||
      !std::isfinite((*numbers)[0]))
    return std::nullopt;
  return float((*numbers)[0]);
}

/// The x of |x|, or null.
static Value absolute(Value value) {
  Operation *op = definition(throughIdentity(value), "onnx.Abs");
  return op ? throughIdentity(op->getOperand(0)) : Value();
}

/// The constant a > 0 with which `sum` is |x| - |x - a| + a; sets `x`.
static std::optional<float> learnedClip(Value sum, Value &x) {
  Operation *add = definition(throughIdentity(sum), "onnx.Add");
  for (unsigned i = 0; add && i < 2; ++i) {
    std::optional<float> a = splat(add->getOperand(i));
    Operation *sub =
        definition(throughIdentity(add->getOperand(1 - i)), "onnx.Sub");
    if (!a || !(*a > 0) || !sub)
      continue;
    x = absolute(sub->getOperand(0));
    Value far = absolute(sub->getOperand(1));
    Operation *distance = far ? definition(far, "onnx.Sub") : nullptr;
    for (unsigned j = 0; x && distance && j < 2; ++j)
      if (sameValue(distance->getOperand(j), x) &&
          splat(distance->getOperand(1 - j)) == a)
        return a;
  }
  return std::nullopt;
}

/// What `op` is in real numbers: clip(x, 0, a) for PACT's
/// 0.5 (|x| - |x - a| + a); null for anything else.
static Value withoutLearnedClip(Operation *op) {
  bool product = op->getName().getStringRef() == "onnx.Mul";
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || !type.getElementType().isF32())
    return {};
  for (unsigned i = 0; i < 2; ++i) {
    std::optional<float> factor = splat(op->getOperand(i));
    Value x;
    if (factor != (product ? 0.5f : 2.0f) || (!product && i == 0))
      continue;
    std::optional<float> a = learnedClip(op->getOperand(1 - i), x);
    if (!a || x.getType() != type)
      continue;
    OpBuilder builder(op);
    auto constant = [&](float value) {
      OperationState state(op->getLoc(), "onnx.Constant");
      auto scalar = RankedTensorType::get({}, builder.getF32Type());
      state.addTypes(scalar);
      state.addAttribute("value", DenseElementsAttr::get(scalar, value));
      return builder.create(state)->getResult(0);
    };
    OperationState clip(op->getLoc(), "onnx.Clip");
    clip.addOperands({x, constant(0), constant(*a)});
    clip.addTypes(type);
    return builder.create(clip)->getResult(0);
  }
  return {};
}

namespace {

struct HwgqDropStraightThrough
    : hwgq::impl::HwgqDropStraightThroughBase<HwgqDropStraightThrough> {
  using HwgqDropStraightThroughBase::HwgqDropStraightThroughBase;

  void runOnOperation() override {
    if (mode != "drop" && mode != "keep") {
      getOperation().emitError("mode must be 'drop' or 'keep', not '")
          << mode << "'";
      return signalPassFailure();
    }
    if (mode == "keep")
      return;
    getOperation().walk([&](Operation *op) {
      StringRef name = op->getName().getStringRef();
      if (op->getNumOperands() != 2 || op->getNumResults() != 1)
        return;
      if (name == "onnx.Add" || name == "onnx.Sub")
        replace(op, withoutResidue(op),
                "straight-through residue dropped: (a - b) + b is a; "
                "--straight-through=keep keeps its rounding");
      else if (name == "onnx.Mul" || name == "onnx.Div")
        replace(op, withoutLearnedClip(op),
                "learned clip rewritten: (|x| - |x - a| + a) / 2 is clip(x, 0, "
                "a); --straight-through=keep keeps its rounding");
    });
  }

  void replace(Operation *op, Value simpler, StringRef remark) {
    if (!simpler)
      return;
    op->emitRemark(remark);
    ++numDropped;
    op->getResult(0).replaceAllUsesWith(simpler);
  }
};

} // namespace
