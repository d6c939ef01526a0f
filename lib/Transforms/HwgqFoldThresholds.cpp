//===- HwgqFoldThresholds.cpp - quantisers behind accumulators ------------===//
#include "ThresholdFolder.h"
#include "hwgq/Passes.h"

namespace hwgq {
#define GEN_PASS_DEF_HWGQFOLDTHRESHOLDS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

namespace {
struct HwgqFoldThresholdsPass
    : hwgq::impl::HwgqFoldThresholdsBase<HwgqFoldThresholdsPass> {
  using HwgqFoldThresholdsBase::HwgqFoldThresholdsBase;

  void runOnOperation() override {
    SmallVector<QuantizeOp> quantizers;
    getOperation().walk([&](QuantizeOp op) { quantizers.push_back(op); });
    ThresholdFolder folder(verifyFolding);
    for (QuantizeOp op : quantizers) {
      FailureOr<Value> codes = folder.fold(op);
      if (folder.hasMismatch())
        return signalPassFailure();
      if (failed(codes)) {
        ++numFloat;
        emitRemark(op.getLoc(), "not folded to thresholds: ")
            << folder.getReason();
        continue;
      }
      ++numFolded;
      op.getResult().replaceAllUsesWith(*codes);
    }
    numRows += folder.getRows();
    eraseDeadOps(getOperation());
  }
};
} // namespace
