//===- Result.cpp - results and diagnostics of the C interface ------------===//
#include "Internal.h"
#include "hwgq/InitAllDialects.h"
#include <new>

using namespace hwgq;
using namespace hwgq::capi;

char *hwgq_result::addArray(const std::string &name, uint32_t dtype,
                            llvm::ArrayRef<int64_t> shape, size_t bytes) {
  // Never null for a success, though the array be empty.
  std::unique_ptr<char[]> memory(
      new (std::nothrow) char[std::max<size_t>(bytes, 1)]());
  if (!memory)
    return nullptr;
  arrays.push_back(
      {nullptr, dtype, uint32_t(shape.size()), nullptr, memory.get()});
  names.push_back(name);
  dims.push_back(shape.vec());
  storage.push_back(std::move(memory));
  return storage.back().get();
}

void hwgq_result::finish() {
  for (size_t i = 0; i < arrays.size(); ++i) {
    arrays[i].name = names[i].c_str();
    arrays[i].dims = dims[i].data();
  }
}

static hwgq_severity getSeverity(mlir::DiagnosticSeverity severity) {
  switch (severity) {
  case mlir::DiagnosticSeverity::Note:
    return HWGQ_NOTE;
  case mlir::DiagnosticSeverity::Warning:
    return HWGQ_WARNING;
  case mlir::DiagnosticSeverity::Remark:
    return HWGQ_REMARK;
  case mlir::DiagnosticSeverity::Error:
    return HWGQ_ERROR;
  }
  return HWGQ_ERROR;
}

static hwgq_diagnostic view(const Message &message,
                            std::vector<hwgq_diagnostic> &notes) {
  for (const Message &note : message.notes) {
    std::vector<hwgq_diagnostic> none; // notes have none of their own
    notes.push_back(view(note, none));
    notes.back().note_count = 0;
    notes.back().notes = nullptr;
  }
  return {getSeverity(message.severity),
          message.text.c_str(),
          message.node.c_str(),
          message.op.c_str(),
          message.file.c_str(),
          message.line,
          message.column,
          notes.size(),
          notes.data()};
}

void Reporter::report(const Message &message) const {
  if (!callback)
    return;
  std::vector<hwgq_diagnostic> notes;
  hwgq_diagnostic diagnostic = view(message, notes);
  if (message.file.empty())
    diagnostic.file = file;
  callback(&diagnostic, user);
}

bool Reporter::fail(const llvm::Twine &text) const {
  Message message;
  message.text = text.str();
  report(message);
  return false;
}

bool Reporter::fail(llvm::Error error) const {
  std::string text = llvm::toString(std::move(error));
  return text.empty() ? false : fail(text);
}

static const mlir::DialectRegistry &getRegistry() {
  static const mlir::DialectRegistry registry = [] {
    mlir::DialectRegistry all;
    registerAllDialects(all);
    return all;
  }();
  return registry;
}

// One function a module: threads would find nothing to share.
Context::Context(const Reporter &reporter)
    : context(getRegistry(), mlir::MLIRContext::Threading::DISABLED),
      handler(&context, [&reporter](const Message &message) {
        reporter.report(message);
      }) {
  context.printOpOnDiagnostic(false);
}

const char *hwgq_result_data(const hwgq_result *result) {
  return result->data.c_str();
}

size_t hwgq_result_size(const hwgq_result *result) {
  return result->data.size();
}

const char *hwgq_result_report(const hwgq_result *result) {
  return result->report.c_str();
}

size_t hwgq_result_array_count(const hwgq_result *result) {
  return result->arrays.size();
}

const hwgq_array *hwgq_result_array(const hwgq_result *result, size_t index) {
  return index < result->arrays.size() ? &result->arrays[index] : nullptr;
}

void hwgq_result_free(hwgq_result *result) { delete result; }

const char *hwgq_compiler_version(void) { return HWGQ_VERSION; }
