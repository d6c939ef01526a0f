//===- HwgqRecognizeSteps.cpp - element-wise chains as step functions -----===//
#include "hwgq/Passes.h"
#include "hwgq/Transforms/Quantizer.h"

namespace hwgq {
#define GEN_PASS_DEF_HWGQRECOGNIZESTEPS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

namespace {
class RecognizeSteps {
public:
  RecognizeSteps(func::FuncOp function) : function(function) {}

  /// Replaces every quantiser; returns how many.
  unsigned run() {
    SmallVector<Value> values;
    function.walk([&](Operation *op) {
      if (isElementwise(op) && isFloatTensor(op->getResult(0).getType()))
        values.push_back(op->getResult(0));
    });
    unsigned count = 0;
    for (Value value : values)
      count += isEnd(value) && rewrite(value);
    return count;
  }

private:
  static bool isFloatTensor(Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor && tensor.getRank() > 0 && tensor.getElementType().isF32();
  }

  const SmallVector<Value> &cutsOf(Value value) {
    auto found = cuts.find(value);
    if (found == cuts.end())
      found = cuts.insert({value, findCuts(value, constants)}).first;
    return found->second;
  }

  /// Whether a user is a later part of the same chain.
  bool isInterior(Value value, Operation *user) {
    if (!isElementwise(user) || cutsOf(value).empty())
      return false;
    Value source = cutsOf(value).back();
    const SmallVector<Value> &later = cutsOf(user->getResult(0));
    return !later.empty() && later.back() == source;
  }

  bool isEnd(Value value) {
    return llvm::any_of(value.getUsers(), [&](Operation *user) {
      return !isInterior(value, user);
    });
  }

  bool rewrite(Value value) {
    Quantizer quantizer;
    if (failed(findQuantizer(value, constants, quantizer))) {
      if (!quantizer.reason.empty())
        emitRemark(value.getLoc(), "not a step function: ") << quantizer.reason;
      return false;
    }
    if (!quantizer.grid) {
      emitRemark(value.getLoc(), "the ")
          << quantizer.levels.size()
          << " levels of the quantiser are not affine: no scale * n with "
             "whole n up to 255 gives them, so a layer behind it takes a plane "
             "of bits for each step; evenly spaced levels take one code";
      return false;
    }
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(value);
    FailureOr<Value> codes = buildQuantize(builder, value.getLoc(), quantizer);
    if (failed(codes))
      return false;
    Value real = AffineOp::create(
        builder, value.getLoc(), *codes,
        DenseF32ArrayAttr::get(value.getContext(), quantizer.scales));
    if (quantizer.grid->snap > 0)
      emitRemark(value.getLoc(), "levels moved to a grid, by up to ")
          << llvm::formatv("{0:e1}", quantizer.grid->snap).str()
          << " of the largest: they are scale * n for whole n up to rounding";
    remarkOnPoint(value.getLoc(), quantizer);
    value.replaceUsesWithIf(real, [&](OpOperand &use) {
      return use.getOwner() != (*codes).getDefiningOp() &&
             !isInterior(value, use.getOwner());
    });
    return true;
  }

  /// A level that is taken at one point is mostly ONNX's Sign, by mistake.
  static void remarkOnPoint(Location loc, const Quantizer &quantizer) {
    ArrayRef<Plateau> plateaus = quantizer.plateaus;
    // -0 and +0 are two arguments.
    if (plateaus.size() == 3 && quantizer.levels.size() == 3 &&
        plateaus[2].start - plateaus[1].start <= 2)
      emitRemark(loc, "the middle of three levels is taken at one point, as by "
                      "ONNX's Sign: codes take 2 bits instead of 1; "
                      "BipolarQuant, or Where on x >= 0, makes +1 of 0");
  }

  func::FuncOp function;
  ConstantReader constants;
  llvm::DenseMap<Value, SmallVector<Value>> cuts;
};

struct HwgqRecognizeStepsPass
    : hwgq::impl::HwgqRecognizeStepsBase<HwgqRecognizeStepsPass> {
  using HwgqRecognizeStepsBase::HwgqRecognizeStepsBase;

  void runOnOperation() override {
    numQuantizers += RecognizeSteps(getOperation()).run();
    eraseDeadOps(getOperation());
  }
};
} // namespace
