//===- Message.cpp - diagnostics as data ----------------------------------===//
#include "hwgq/Pipelines/Message.h"
#include "hwgq/Dialect/OnnxOperators.h"
#include "mlir/IR/Location.h"
#include "mlir/IR/Visitors.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace hwgq;

/// The operator that a text begins with: `Conv: ...`, `'onnx.Conv' op ...` or
/// `the operator Foo ...`.
static StringRef findOperator(StringRef text) {
  if (text.consume_front("the operator "))
    return text.take_while([](char c) { return llvm::isAlnum(c) || c == '_'; });
  if (text.consume_front("'")) {
    auto [name, rest] = text.split('\'');
    name.consume_front("onnx.");
    return rest.starts_with(" op ") ? name : "";
  }
  auto [name, rest] = text.split(": ");
  return onnx::lookupOperator(name) || !onnx::getRefusal(name).empty() ? name
                                                                       : "";
}

static Message detach(Diagnostic &diagnostic) {
  Message message;
  message.severity = diagnostic.getSeverity();
  message.text = diagnostic.str();
  message.op = findOperator(message.text).str();
  diagnostic.getLocation()->walk([&](Location inner) {
    if (auto named = dyn_cast<NameLoc>(inner); named && message.node.empty())
      message.node = named.getName().str();
    if (auto file = dyn_cast<FileLineColLoc>(inner);
        file && message.file.empty()) {
      message.file = file.getFilename().str();
      message.line = file.getLine();
      message.column = file.getColumn();
    }
    return WalkResult::advance();
  });
  for (Diagnostic &note : diagnostic.getNotes())
    if (message.severity != DiagnosticSeverity::Error ||
        !StringRef(note.str()).starts_with("see current operation"))
      message.notes.push_back(detach(note));
  return message;
}

static StringRef getName(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Note:
    return "note";
  case DiagnosticSeverity::Warning:
    return "warning";
  case DiagnosticSeverity::Error:
    return "error";
  case DiagnosticSeverity::Remark:
    return "remark";
  }
  return "error";
}

void Message::print(llvm::raw_ostream &os, StringRef standIn,
                    unsigned indent) const {
  os.indent(indent) << getName(severity) << ": ";
  if (file.empty())
    os << standIn;
  else
    os << file << ":" << line << ":" << column;
  os << ": ";
  if (!node.empty())
    os << "node '" << node << "': ";
  os << text << "\n";
  for (const Message &note : notes)
    note.print(os, standIn, indent + 2);
}

MessageHandler::MessageHandler(MLIRContext *context,
                               std::function<void(const Message &)> receive)
    : ScopedDiagnosticHandler(context) {
  setHandler([receive = std::move(receive)](Diagnostic &diagnostic) {
    receive(detach(diagnostic));
  });
}
