//===- HwgqRecognizeCodes.cpp - contractions on codes ---------------------===//
#include "ContractionRewriter.h"
#include "hwgq/Passes.h"

namespace hwgq {
#define GEN_PASS_DEF_HWGQRECOGNIZECODES
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

namespace {
struct HwgqRecognizeCodesPass
    : hwgq::impl::HwgqRecognizeCodesBase<HwgqRecognizeCodesPass> {
  using HwgqRecognizeCodesBase::HwgqRecognizeCodesBase;

  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) { ops.push_back(op); });
    ContractionRewriter rewriter;
    // Operands come before their users, so that each op sees its operands in
    // their final form; what is replaced is erased in the end.
    for (Operation *op : ops) {
      OpBuilder builder(op);
      if (Value value = pullAffine(builder, op)) {
        op->getResult(0).replaceAllUsesWith(value);
        continue;
      }
      if (!isa<Conv2DOp, MatMulOp>(op) && !matchProduct(op))
        continue;
      FailureOr<bool> coded = rewriter.rewrite(op);
      if (failed(coded))
        return signalPassFailure();
      *coded ? ++numCoded : ++numFloat;
    }
    eraseDeadOps(getOperation());
  }
};
} // namespace
