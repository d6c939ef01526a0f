//===- Pipelines.cpp - the phases of compilation --------------------------===//
#include "hwgq/Pipelines/Pipelines.h"
#include "hwgq/Passes.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace hwgq;

static constexpr std::pair<Phase, llvm::StringLiteral> kPhases[] = {
    {Phase::Import, "import"},   {Phase::HWGQ, "hwgq"},
    {Phase::Bitpack, "bitpack"}, {Phase::Kernel, "kernel"},
    {Phase::Loops, "loops"},     {Phase::Target, "target"}};

std::optional<Phase> hwgq::parsePhase(StringRef name) {
  for (auto [phase, text] : kPhases)
    if (text == name)
      return phase;
  return std::nullopt;
}

StringRef hwgq::getPhaseName(Phase phase) {
  for (auto [candidate, text] : kPhases)
    if (candidate == phase)
      return text;
  llvm_unreachable("every phase has a name");
}

/// Constants are folded again after the transposes of weights came to light;
/// straight-through residues go first, since folding would hide them.
static void buildHWGQ(OpPassManager &function, const CompileOptions &options) {
  HwgqDropStraightThroughOptions residues;
  residues.mode = options.straightThrough;
  HwgqFoldThresholdsOptions folding;
  folding.verifyFolding = options.verifyFolding;
  function.addPass(createHwgqNormalizeOnnx());
  function.addPass(createHwgqDropStraightThrough(residues));
  function.addPass(createHwgqEvaluateConstants());
  function.addPass(createConvertOnnxToHwgq());
  function.addPass(createHwgqSinkTransposes());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  function.addPass(createHwgqEvaluateConstants());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  function.addPass(createHwgqRecognizeSteps());
  function.addPass(createHwgqRecognizeCodes());
  function.addPass(createHwgqFoldThresholds(folding));
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
}

static void buildLoops(OpPassManager &manager, const TargetSpec &target,
                       bool emulate) {
  // Element-wise float work: one loop per chain instead of one per op.
  manager.addNestedPass<func::FuncOp>(createConvertElementwiseToLinalgPass());
  manager.addNestedPass<func::FuncOp>(createLinalgGeneralizeNamedOpsPass());
  manager.addNestedPass<func::FuncOp>(createFuseElementwise());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addNestedPass<func::FuncOp>(createBitpackFuseEpilogues());
  ConvertBitpackToLoopsOptions options;
  options.features = llvm::to_vector(target.features);
  if (emulate)
    options.features.push_back("-fma"); // the machine may lack it
  manager.addPass(createConvertBitpackToLoops(options));
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createLoopInvariantCodeMotionPass());
  manager.addPass(createPlanWorkspace());
  // Constants that a kernel holds in a form of its own.
  manager.addPass(createSymbolDCEPass());
}

void hwgq::buildLoopsToLLVM(OpPassManager &manager) {
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createLoopInvariantCodeMotionPass());
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(createConvertVectorToLLVMPass());
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createConvertFuncToLLVMPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createConvertIndexToLLVMPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void hwgq::buildKernelsToNVVM(OpPassManager &manager) {
  OpPassManager &kernels = manager.nest<gpu::GPUModuleOp>();
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
  kernels.addPass(createLoopInvariantCodeMotionPass());
  kernels.addPass(memref::createExpandStridedMetadataPass());
  kernels.addPass(createLowerAffinePass());
  kernels.addPass(createSCFToControlFlowPass());
  kernels.addPass(createConvertMathToLLVMPass()); // ctpop; the next has none
  kernels.addPass(createConvertGpuOpsToNVVMOps());
  kernels.addPass(createReconcileUnrealizedCastsPass());
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
  kernels.addPass(createNvvmKernelPointers());
}

/// The phases that follow the kernel phase on a GPU.
static void buildGpuPhase(OpPassManager &manager, Phase phase) {
  if (phase == Phase::Loops) {
    manager.addPass(createConvertBitpackToGpu());
    manager.addPass(createCanonicalizerPass());
    manager.addPass(createCSEPass());
    return;
  }
  buildKernelsToNVVM(manager);
}

void hwgq::buildPhase(OpPassManager &manager, Phase phase,
                      const TargetSpec &target, const CompileOptions &options) {
  bool gpu = target.arch == TargetSpec::Arch::NVPTX;
  if (gpu && phase >= Phase::Loops)
    return buildGpuPhase(manager, phase);
  switch (phase) {
  case Phase::Import:
  case Phase::HWGQ:
    return buildHWGQ(manager.nest<func::FuncOp>(), options);
  case Phase::Bitpack:
    return manager.addNestedPass<func::FuncOp>(createHwgqToBitpack());
  case Phase::Kernel: {
    BitpackSelectKernelsOptions kernels;
    kernels.targetFeatures = llvm::to_vector(target.features);
    if (gpu)
      kernels.targetFeatures.push_back("nvptx");
    kernels.kernel = options.kernel;
    return manager.addNestedPass<func::FuncOp>(
        createBitpackSelectKernels(kernels));
  }
  case Phase::Loops:
    return buildLoops(manager, target, options.emulate);
  case Phase::Target: {
    manager.addPass(createOutlineTasks());
    buildLoopsToLLVM(manager);
    CheckTargetIntrinsicsOptions check;
    check.features = llvm::to_vector(target.features);
    manager.addPass(createCheckTargetIntrinsics(check));
    if (options.emulate)
      manager.addPass(createEmulateTargetIntrinsics());
  }
  }
}

/// Registers `name` as the pipeline of `phases`, for the target of its options.
static void registerPhases(StringRef name, StringRef description,
                           ArrayRef<Phase> phases) {
  SmallVector<Phase> list(phases);
  PassPipelineRegistration<CompileOptions>(
      name, description,
      [list](OpPassManager &manager, const CompileOptions &options) {
        llvm::Expected<TargetSpec> target = resolveTarget(options.target);
        if (!target)
          llvm::report_fatal_error(target.takeError(),
                                   /*gen_crash_diag=*/false);
        for (Phase phase : list)
          buildPhase(manager, phase, *target, options);
      });
}

namespace {
/// The options of hwgq-nvptx.
struct NvptxOptions : CompileOptions {
  Option<std::string> chip{*this, "chip", llvm::cl::init("sm_80"),
                           llvm::cl::desc("GPU to generate code for")};
};
} // namespace

static void registerNvptx() {
  PassPipelineRegistration<NvptxOptions>(
      "hwgq-nvptx", "From import to the NVVM dialect for an NVIDIA GPU",
      [](OpPassManager &manager, const NvptxOptions &options) {
        llvm::Expected<TargetSpec> target =
            resolveTarget("nvptx-" + options.chip);
        if (!target)
          llvm::report_fatal_error(target.takeError(),
                                   /*gen_crash_diag=*/false);
        for (Phase phase : {Phase::HWGQ, Phase::Bitpack, Phase::Kernel,
                            Phase::Loops, Phase::Target})
          buildPhase(manager, phase, *target, options);
      });
}

void hwgq::registerPasses() {
  registerHWGQPasses();
  mlir::registerTransformsPasses();
  mlir::registerConversionPasses();
  mlir::registerLinalgPasses();
  registerPhases("hwgq-legalize-onnx", "From import to the hwgq phase",
                 {Phase::HWGQ});
  registerPhases("bitpack-to-loops", "From the kernel to the loops phase",
                 {Phase::Loops});
  registerPhases("loops-to-llvm", "From the loops phase to the LLVM dialect",
                 {Phase::Target});
  registerPhases("hwgq-cpu", "From import to the LLVM dialect for a CPU",
                 {Phase::HWGQ, Phase::Bitpack, Phase::Kernel, Phase::Loops,
                  Phase::Target});
  registerNvptx();
}
