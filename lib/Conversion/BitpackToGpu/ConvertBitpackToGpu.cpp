//===- ConvertBitpackToGpu.cpp - contractions to GPU kernels --------------===//
#include "Kernels.h"
#include "hwgq/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/Utils/GPUUtils.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/SymbolTable.h"

namespace hwgq {
#define GEN_PASS_DEF_CONVERTBITPACKTOGPU
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;
using bitpack::Contraction;

static GpuKernelEmitter emitterOf(StringRef kernel) {
  return llvm::StringSwitch<GpuKernelEmitter>(kernel)
      .Case("thread-popcount", emitThreadPopcount)
      .Default(nullptr);
}

/// The name of the network's node that an op comes from; empty without one.
static StringRef getNodeName(Location location) {
  StringRef name;
  location->walk([&](Location inner) {
    auto named = dyn_cast<NameLoc>(inner);
    if (named)
      name = named.getName().getValue();
    return named ? WalkResult::interrupt() : WalkResult::advance();
  });
  return name;
}

/// A PTX identifier after the node.
static std::string getKernelName(const Contraction &contraction) {
  std::string name = getNodeName(contraction.op->getLoc()).str();
  if (name.empty())
    name = contraction.isMatMul ? "matmul" : "conv2d";
  for (char &c : name)
    if (!llvm::isAlnum(c))
      c = '_';
  return llvm::isAlpha(name.front()) ? name : "k" + name;
}

namespace {

struct ConvertBitpackToGpu
    : hwgq::impl::ConvertBitpackToGpuBase<ConvertBitpackToGpu> {
  using Base::Base;

  void runOnOperation() override {
    bool fits = true;
    SmallVector<std::pair<Operation *, GpuKernelEmitter>> work;
    for (auto function : getOperation().getOps<func::FuncOp>())
      function.walk([&](Operation *op) {
        std::optional<Contraction> contraction = Contraction::get(op);
        auto kernel = op->getAttrOfType<StringAttr>("kernel");
        GpuKernelEmitter emit =
            contraction && kernel ? emitterOf(kernel.getValue()) : nullptr;
        if (!emit)
          return remark(op);
        const bitpack::Kernel *row = bitpack::findKernel(kernel.getValue());
        if (const char *why = row->refuses(*contraction)) {
          op->emitError("kernel ") << row->name << " does not fit: " << why;
          fits = false;
        }
        work.emplace_back(op, emit);
      });
    if (!fits)
      return signalPassFailure();
    if (work.empty())
      return;
    OpBuilder builder(&getContext());
    builder.setInsertionPointToStart(getOperation().getBody());
    kernels =
        gpu::GPUModuleOp::create(builder, getOperation().getLoc(), "kernels");
    getOperation()->setAttr(gpu::GPUDialect::getContainerModuleAttrName(),
                            builder.getUnitAttr());
    SymbolTable symbols(kernels);
    for (auto [op, emit] : work) // its operands change on the way
      if (failed(convert(*Contraction::get(op), emit, symbols)))
        return signalPassFailure();
  }

private:
  /// Names what is left for others.
  static void remark(Operation *op) {
    if (isa<func::FuncOp, func::ReturnOp>(op) ||
        op->hasTrait<OpTrait::ConstantLike>() || isa<tensor::EmptyOp>(op) ||
        isa_and_present<linalg::LinalgDialect>(
            op->getParentOp() ? op->getParentOp()->getDialect() : nullptr))
      return;
    InFlightDiagnostic diagnostic = op->emitRemark("no GPU kernel: ")
                                    << op->getName().getStringRef();
    std::optional<Contraction> contraction = Contraction::get(op);
    const bitpack::Kernel *thread = bitpack::findKernel("thread-popcount");
    if (!contraction || !thread)
      return;
    if (const char *why = thread->refuses(*contraction))
      diagnostic << "; " << why;
    else
      diagnostic << "; its kernel runs on a CPU";
  }

  LogicalResult convert(const Contraction &contraction, GpuKernelEmitter emit,
                        SymbolTable &symbols) {
    Operation *op = contraction.op;
    OpBuilder builder(op);
    LoopOptions options;
    LoopBuilder b(op->getLoc(), builder, options);
    auto memoryOf = [&](Value tensor) -> Value {
      auto type = cast<RankedTensorType>(tensor.getType());
      bitpack::LayoutAttr layout = bitpack::getLayout(type);
      auto memory = MemRefType::get(layout.getPhysicalShape(type),
                                    layout.getElementType());
      return UnrealizedConversionCastOp::create(b, memory, tensor).getResult(0);
    };
    ConvLoops conv(b, contraction, memoryOf(contraction.input),
                   memoryOf(contraction.weight));
    FailureOr<gpu::LaunchOp> launch = emit(b, conv);
    if (failed(launch))
      return failure();
    outline(*launch, getKernelName(contraction), symbols);
    Value result = UnrealizedConversionCastOp::create(
                       b, contraction.result.getType(), conv.result)
                       .getResult(0);
    op->replaceAllUsesWith(ValueRange{result});
    op->erase();
    ++launches;
    return success();
  }

  /// Moves the body of a launch to a function of @kernels, whose arguments are
  /// what the body uses.
  void outline(gpu::LaunchOp launch, StringRef name, SymbolTable &symbols) {
    SmallVector<Value> operands;
    gpu::GPUFuncOp kernel = outlineKernelFunc(launch, name, operands);
    gpu::KernelDim3 block = launch.getBlockSizeOperandValues();
    IntegerAttr size;
    if (matchPattern(block.x, m_Constant(&size)))
      kernel.setKnownBlockSizeAttr(DenseI32ArrayAttr::get(
          &getContext(), {int32_t(size.getInt()), 1, 1}));
    symbols.insert(kernel);
    OpBuilder builder(launch);
    // 4 blocks of 128 threads leave 128 registers a thread; ptxas alone would
    // rather spill than give up more blocks.
    kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    builder.getI32IntegerAttr(4));
    gpu::LaunchFuncOp::create(builder, launch.getLoc(), kernel,
                              launch.getGridSizeOperandValues(), block,
                              /*dynamicSharedMemorySize=*/Value(), operands);
    launch.erase();
  }

  gpu::GPUModuleOp kernels;
};

} // namespace
