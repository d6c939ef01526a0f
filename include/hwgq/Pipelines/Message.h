//===- Message.h - diagnostics as data --------------------------*- C++ -*-===//
#ifndef HWGQ_PIPELINES_MESSAGE_H
#define HWGQ_PIPELINES_MESSAGE_H

#include "mlir/IR/Diagnostics.h"
#include <functional>
#include <string>
#include <vector>

namespace hwgq {

/// A diagnostic, detached from the IR. Strings are empty where there is none.
struct Message {
  mlir::DiagnosticSeverity severity = mlir::DiagnosticSeverity::Error;
  std::string text;
  std::string node; ///< The ONNX node.
  std::string op;   ///< Its operator, as the text names it: "Conv".
  std::string file; ///< Where IR text was read, with line and column.
  unsigned line = 0, column = 0;
  std::vector<Message> notes;

  /// `error: FILE: node 'NAME': text`, and the notes, each on a line. `file`
  /// stands in for a file of the message's own.
  void print(llvm::raw_ostream &os, llvm::StringRef file,
             unsigned indent = 0) const;
};

/// Gives the diagnostics of a context to a function for as long as it lives.
class MessageHandler : public mlir::ScopedDiagnosticHandler {
public:
  MessageHandler(mlir::MLIRContext *context,
                 std::function<void(const Message &)> receive);
};

} // namespace hwgq

#endif // HWGQ_PIPELINES_MESSAGE_H
