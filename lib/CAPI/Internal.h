//===- Internal.h - what the files of the C interface share -----*- C++ -*-===//
#ifndef HWGQ_LIB_CAPI_INTERNAL_H
#define HWGQ_LIB_CAPI_INTERNAL_H

#include "hwgq-c/compiler.h"
#include "hwgq/Pipelines/Evaluate.h"
#include "hwgq/Pipelines/Message.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/Error.h"
#include <memory>

/// Bytes, a report and arrays that belong together.
struct hwgq_result {
  std::string data, report;
  std::vector<hwgq_array> arrays;
  /// What the arrays point at.
  std::vector<std::unique_ptr<char[]>> storage;
  std::vector<std::vector<int64_t>> dims;
  std::vector<std::string> names;

  /// Adds an array of zeros and gives its bytes; null when it does not fit
  /// into memory. All arrays are added before one is read.
  char *addArray(const std::string &name, uint32_t dtype,
                 llvm::ArrayRef<int64_t> shape, size_t bytes);
  /// Makes the arrays point at their names and sizes.
  void finish();
};

namespace hwgq::capi {

/// Gives messages to a caller, as C sees them.
class Reporter {
public:
  /// `file` stands in where a message has none of its own.
  Reporter(hwgq_diagnostic_callback callback, void *user, const char *file)
      : callback(callback), user(user), file(file ? file : "") {}

  void report(const Message &message) const;

  /// Reports an error that belongs to no node; false.
  bool fail(const llvm::Twine &text) const;
  /// The same for an error, unless its text is empty: told already.
  bool fail(llvm::Error error) const;

private:
  hwgq_diagnostic_callback callback;
  void *user;
  const char *file;
};

/// A context with all dialects whose diagnostics go to a reporter.
class Context {
public:
  explicit Context(const Reporter &reporter);
  mlir::MLIRContext *get() { return &context; }

private:
  mlir::MLIRContext context;
  MessageHandler handler;
};

/// The bytes of an array; nothing when its type, rank or sizes are no array's.
std::optional<llvm::ArrayRef<char>> getBytes(const hwgq_array &array);

/// The arrays in the order of the ports; errors are reported.
std::optional<std::vector<const hwgq_array *>>
matchInputs(llvm::ArrayRef<Port> ports, llvm::ArrayRef<hwgq_array> inputs,
            const Reporter &reporter);

/// Runs a compiled module on arrays.
bool execute(llvm::StringRef file, llvm::ArrayRef<hwgq_array> inputs,
             const Reporter &reporter, hwgq_result &result);

/// Evaluates @main by the interpreter.
bool interpret(mlir::ModuleOp module, llvm::ArrayRef<hwgq_array> inputs,
               const Reporter &reporter, hwgq_result &result);

} // namespace hwgq::capi

#endif // HWGQ_LIB_CAPI_INTERNAL_H
