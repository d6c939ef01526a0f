//===- Compilation.h - one network from IR to a file ------------*- C++ -*-===//
#ifndef HWGQ_PIPELINES_COMPILATION_H
#define HWGQ_PIPELINES_COMPILATION_H

#include "hwgq/Pipelines/Pipelines.h"
#include "hwgq/Target/ModuleFile.h"
#include "llvm/Support/JSON.h"

namespace hwgq {

/// The form of what compilation gives.
enum class EmitKind {
  SharedLibrary,
  Object,
  Assembly,
  LLVM,
  MLIR,
  PTX,
  Header
};

/// Null if `kind` can be made for `target`, else what can.
const char *refusesEmit(const TargetSpec &target, EmitKind kind);

/// The earliest phase whose end `module` may be at, told by its ops.
Phase detectPhase(mlir::ModuleOp module);

/// One network on its way through the phases. The module is changed in place.
/// Diagnostics go to the context; functions that return llvm::Error put into it
/// what is not tied to a node.
class Compilation {
public:
  Compilation(mlir::ModuleOp module, TargetSpec target,
              const CompileOptions &options);

  /// Called before and after each phase; a failure of the latter ends the run.
  std::function<void(Phase)> beforePhase;
  std::function<mlir::LogicalResult(Phase)> afterPhase;
  /// Called on each pass manager before it runs (timing, printing, ...).
  std::function<mlir::LogicalResult(mlir::PassManager &)> configure;

  /// The symbol is `<prefix>_hwgq_module`.
  std::string prefix = "main";
  /// Told in the module: the command line, say.
  std::string commandOptions;

  /// For tests: an object file with the functions that stand for the target's
  /// instructions where the options say `emulate`; the code is then for any
  /// machine of this one's architecture.
  std::string emulation;

  /// Runs the phases after the current one up to and with `phase`.
  mlir::LogicalResult runTo(Phase phase);
  Phase getPhase() const { return phase; }

  /// Runs what is left and gives the contents of a file of that kind. MLIR
  /// gives the module as it stands.
  llvm::Expected<std::string> emit(EmitKind kind);

  /// Prints the module as it stands, with its constants, piece by piece: memory
  /// for the text is taken for one constant at a time (four times its bytes).
  void print(llvm::raw_ostream &os);

  /// The report in the contract's form; complete after emit.
  std::string getReport() const;

private:
  llvm::Expected<std::string> emitKernels(EmitKind kind);
  llvm::Error settleTarget();

  mlir::ModuleOp module;
  TargetSpec target;
  const CompileOptions &options;
  Phase phase;
  ModuleInfo info;
  std::pair<int64_t, int64_t> workspace = {0, 0};
  llvm::json::Array layers;
  int64_t fileBytes = 0;
};

/// The layers of a module at the end of the kernel phase: one JSON object for
/// each contraction.
llvm::json::Array reportLayers(mlir::ModuleOp module);

} // namespace hwgq

#endif // HWGQ_PIPELINES_COMPILATION_H
