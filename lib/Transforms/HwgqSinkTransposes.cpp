//===- HwgqSinkTransposes.cpp - one layout for the network ----------------===//
#include "SinkPatterns.h"
#include "hwgq/Passes.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace hwgq {
#define GEN_PASS_DEF_HWGQSINKTRANSPOSES
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

namespace {

struct HwgqSinkTransposes
    : hwgq::impl::HwgqSinkTransposesBase<HwgqSinkTransposes> {
  void runOnOperation() override {
    // Transposes meet and cancel first; only then are those of unit sizes
    // turned into reshapes, which may let others through.
    for (bool units : {false, true}) {
      RewritePatternSet patterns(&getContext());
      addTransposePatterns(patterns);
      addReshapePatterns(patterns);
      if (units)
        addUnitPatterns(patterns);
      GreedyRewriteConfig config;
      // Each state on the way is right: patterns that do not come to an end
      // cost speed, and no more.
      config.setMaxIterations(256);
      (void)applyPatternsGreedily(getOperation(), std::move(patterns), config);
    }
  }
};

} // namespace
