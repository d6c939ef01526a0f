//===- GpuToLoops.cpp - GPU kernels as loops of a CPU ---------------------===//
#include "hwgq/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/SymbolTable.h"

namespace hwgq {
#define GEN_PASS_DEF_GPUTOLOOPS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

namespace {

using Dim3 = std::array<Value, 3>;

Dim3 toArray(const gpu::KernelDim3 &dims) { return {dims.x, dims.y, dims.z}; }

struct GpuToLoops : hwgq::impl::GpuToLoopsBase<GpuToLoops> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<gpu::LaunchFuncOp> launches;
    getOperation().walk([&](gpu::LaunchFuncOp op) { launches.push_back(op); });
    for (gpu::LaunchFuncOp launch : launches)
      if (failed(replace(launch)))
        return signalPassFailure();
    for (auto kernels :
         llvm::make_early_inc_range(getOperation().getOps<gpu::GPUModuleOp>()))
      kernels.erase();
    getOperation()->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
  }

private:
  LogicalResult replace(gpu::LaunchFuncOp launch) {
    auto kernel = SymbolTable::lookupNearestSymbolFrom<gpu::GPUFuncOp>(
        launch, launch.getKernelAttr());
    if (!kernel || !kernel.getBody().hasOneBlock())
      return launch.emitError("its kernel is no gpu.func of one block");
    if (kernel.getNumWorkgroupAttributions() ||
        kernel.getNumPrivateAttributions())
      return launch.emitError("threads that share memory cannot run in turn");
    WalkResult free = kernel.walk([](Operation *op) {
      if (!isa<gpu::GPUDialect>(op->getDialect()) ||
          isa<gpu::GPUFuncOp, gpu::ReturnOp, gpu::BlockIdOp, gpu::ThreadIdOp,
              gpu::BlockDimOp, gpu::GridDimOp>(op))
        return WalkResult::advance();
      op->emitError("threads that wait for others cannot run in turn");
      return WalkResult::interrupt();
    });
    if (free.wasInterrupted())
      return failure();

    ImplicitLocOpBuilder b(launch.getLoc(), launch);
    Dim3 grid = toArray(launch.getGridSizeOperandValues());
    Dim3 block = toArray(launch.getBlockSizeOperandValues());
    Value count = arith::MulIOp::create(
        b, grid[0], arith::MulIOp::create(b, grid[1], grid[2]));
    auto blocks = scf::ForallOp::create(b, ArrayRef<OpFoldResult>{count},
                                        ValueRange(), std::nullopt);
    b.setInsertionPoint(blocks.getTerminator());
    Value number = blocks.getInductionVar(0),
          rest = arith::DivUIOp::create(b, number, grid[0]);
    Dim3 blockId = {arith::RemUIOp::create(b, number, grid[0]),
                    arith::RemUIOp::create(b, rest, grid[1]),
                    arith::DivUIOp::create(b, rest, grid[1])};
    Value zero = arith::ConstantIndexOp::create(b, 0);
    Value one = arith::ConstantIndexOp::create(b, 1);
    Dim3 threadId;
    for (unsigned d : {2, 1, 0}) {
      auto loop = scf::ForOp::create(b, zero, block[d], one);
      threadId[d] = loop.getInductionVar();
      b.setInsertionPoint(loop.getBody()->getTerminator());
    }
    inlineBody(b, launch, kernel, {grid, block, blockId, threadId});
    launch.erase();
    return success();
  }

  struct Place {
    Dim3 grid, block, blockId, threadId;
  };

  static void inlineBody(OpBuilder &b, gpu::LaunchFuncOp launch,
                         gpu::GPUFuncOp kernel, const Place &place) {
    IRMapping mapping;
    mapping.map(kernel.getArguments(), launch.getKernelOperands());
    for (Operation &op : kernel.getBody().front().without_terminator()) {
      const Dim3 *dims = nullptr;
      gpu::Dimension dimension = gpu::Dimension::x;
      llvm::TypeSwitch<Operation *>(&op)
          .Case([&](gpu::BlockIdOp id) {
            dims = &place.blockId, dimension = id.getDimension();
          })
          .Case([&](gpu::ThreadIdOp id) {
            dims = &place.threadId, dimension = id.getDimension();
          })
          .Case([&](gpu::BlockDimOp dim) {
            dims = &place.block, dimension = dim.getDimension();
          })
          .Case([&](gpu::GridDimOp dim) {
            dims = &place.grid, dimension = dim.getDimension();
          });
      if (dims)
        mapping.map(op.getResult(0), (*dims)[unsigned(dimension)]);
      else
        b.clone(op, mapping);
    }
  }
};

} // namespace
