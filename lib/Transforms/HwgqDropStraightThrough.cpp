//===- HwgqDropStraightThrough.cpp - (a - b) + b becomes a ----------------===//
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
      a.getType() != b.getType() || x->getNumOperands() != y->getNumOperands() ||
      x->getAttrDictionary() != y->getAttrDictionary() ||
      cast<OpResult>(a).getResultNumber() != cast<OpResult>(b).getResultNumber())
    return false;
  return llvm::all_of(llvm::zip(x->getOperands(), y->getOperands()),
                      [&](auto pair) {
                        return sameValue(std::get<0>(pair), std::get<1>(pair),
                                         depth - 1);
                      });
}

/// The minuend a of `difference` = a - b, or null.
static Value minuend(Value difference, Value b) {
  difference = throughIdentity(difference);
  if (Operation *sub = definition(difference, "onnx.Sub"))
    return sameValue(sub->getOperand(1), b) ? sub->getOperand(0) : Value();
  Operation *add = definition(difference, "onnx.Add");
  for (unsigned i = 0; add && i < 2; ++i)
    if (Operation *neg = definition(throughIdentity(add->getOperand(i)), "onnx.Neg"))
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
      bool binary = name == "onnx.Add" || name == "onnx.Sub";
      if (!binary || op->getNumOperands() != 2 || op->getNumResults() != 1)
        return;
      Value a = withoutResidue(op);
      if (!a)
        return;
      op->emitRemark("straight-through residue dropped: (a - b) + b is a; "
                     "--straight-through=keep keeps its rounding");
      ++numDropped;
      op->getResult(0).replaceAllUsesWith(a);
    });
  }
};

} // namespace
