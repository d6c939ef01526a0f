//===- FuseElementwise.cpp - one loop per element-wise chain --------------===//
#include "hwgq/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace hwgq {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;

/// A generic that only repeats its input: free to compute again anywhere.
static bool isBroadcast(linalg::GenericOp op) {
  Block &body = op.getRegion().front();
  return op.getNumParallelLoops() == op.getNumLoops() &&
         body.without_terminator().empty() && op.getNumDpsInputs() == 1 &&
         op.getMatchingIndexingMap(op.getDpsInputOperand(0)).getNumResults() <
             op.getNumLoops();
}

/// Bodies stay at a size that code generation takes in linear time.
static bool isSmall(linalg::GenericOp producer, Operation *consumer) {
  constexpr size_t kMaxOps = 256;
  auto generic = dyn_cast<linalg::GenericOp>(consumer);
  return generic && producer.getBody()->getOperations().size() +
                            generic.getBody()->getOperations().size() <=
                        kMaxOps;
}

/// The results of `op` have a single op as their user.
static bool hasOneUser(Operation *op) {
  Operation *user = nullptr;
  for (Operation *candidate : op->getUsers()) {
    if (user && user != candidate)
      return false;
    user = candidate;
  }
  return user != nullptr;
}

namespace {

struct FuseElementwise : hwgq::impl::FuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    linalg::populateElementwiseOpsFusionPatterns(
        patterns, [](OpOperand *operand) {
          auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
          return producer && isSmall(producer, operand->getOwner()) &&
                 (isBroadcast(producer) || hasOneUser(producer));
        });
    linalg::GenericOp::getCanonicalizationPatterns(patterns, &getContext());
    memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
    linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
    // Each state on the way is right, if slower.
    (void)applyPatternsGreedily(getOperation(), std::move(patterns));
  }
};

} // namespace
