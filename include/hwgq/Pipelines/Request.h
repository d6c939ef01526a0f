//===- Request.h - what is asked of the compiler ----------------*- C++ -*-===//
#ifndef HWGQ_PIPELINES_REQUEST_H
#define HWGQ_PIPELINES_REQUEST_H

#include "hwgq/Import/Load.h"
#include "hwgq/Import/Preprocess.h"
#include "hwgq/Pipelines/Compilation.h"

namespace hwgq {

/// The options of hwgq-compile that decide what comes out, by name.
struct Request {
  CompileOptions compile;
  LoadOptions load;
  std::vector<Preprocessing> inputs;
  std::string prefix = "main";
  EmitKind emit = EmitKind::SharedLibrary;
  bool executable = false; ///< `emit` is exe: a shared library in a program
  std::optional<Phase> to;

  /// Sets one option: `key` is its name without dashes. An error's text begins
  /// with the name.
  llvm::Error set(llvm::StringRef key, llvm::StringRef value);

  /// What a module tells of its options.
  std::string describe() const;
};

/// Puts the request's preprocessing in front of a loaded network. Errors go to
/// the context.
mlir::LogicalResult preprocess(mlir::ModuleOp module, const Request &request);

} // namespace hwgq

#endif // HWGQ_PIPELINES_REQUEST_H
