//===- Pipelines.h - the phases of compilation ------------------*- C++ -*-===//
#ifndef HWGQ_PIPELINES_PIPELINES_H
#define HWGQ_PIPELINES_PIPELINES_H

#include "hwgq/Target/TargetSpec.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"
#include <optional>
#include <string>

namespace hwgq {

/// The phases of a network on its way to code, in order. Each names the form
/// that the module has at its end.
enum class Phase { Import, HWGQ, Bitpack, Kernel, Loops, Target };

/// "import", "hwgq", ... or nothing for another word.
std::optional<Phase> parsePhase(llvm::StringRef name);
llvm::StringRef getPhaseName(Phase phase);

/// What decides the bits and the code, apart from the network itself.
struct CompileOptions : mlir::PassPipelineOptions<CompileOptions> {
  Option<std::string> target{*this, "target", llvm::cl::init("host"),
                             llvm::cl::desc("Target to generate code for")};
  Option<std::string> kernel{*this, "kernel", llvm::cl::init("auto"),
                             llvm::cl::desc("Kernel family to force")};
  Option<std::string> straightThrough{
      *this, "straight-through", llvm::cl::init("drop"),
      llvm::cl::desc("What becomes of (a - b) + b: drop or keep")};
  Option<bool> verifyFolding{
      *this, "verify-folding", llvm::cl::init(false),
      llvm::cl::desc("Check every folded threshold against its expression")};
  Option<bool> emulate{
      *this, "emulate", llvm::cl::init(false),
      llvm::cl::desc("Call C functions in place of the target's instructions")};
};

/// Appends the passes that lead from the phase before `phase` to its end.
/// Nothing for Import, whose form the importer makes.
void buildPhase(mlir::OpPassManager &manager, Phase phase,
                const TargetSpec &target, const CompileOptions &options);

/// Appends the passes from linalg and loops to the LLVM dialect.
void buildLoopsToLLVM(mlir::OpPassManager &manager);

/// Appends the passes from GPU kernels (`gpu.func`) to the NVVM dialect.
void buildKernelsToNVVM(mlir::OpPassManager &manager);

/// Registers every pass and the phases as pipelines: hwgq-legalize-onnx,
/// hwgq-cpu{target=...}, hwgq-nvptx{chip=...} and the like.
void registerPasses();

} // namespace hwgq

#endif // HWGQ_PIPELINES_PIPELINES_H
