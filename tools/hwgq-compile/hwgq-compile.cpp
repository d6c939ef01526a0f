//===- hwgq-compile.cpp - from ONNX to native code ------------------------===//
#include "hwgq/InitAllDialects.h"
#include "hwgq/Pipelines/Message.h"
#include "hwgq/Pipelines/Request.h"
#include "hwgq_abi.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include <chrono>

using namespace llvm;
using namespace hwgq;
using mlir::LogicalResult;

static cl::OptionCategory category("hwgq-compile options");

static cl::opt<std::string> inputFile(cl::Positional, cl::Required,
                                      cl::desc("MODEL.onnx|MODULE.mlir"),
                                      cl::cat(category));
static cl::opt<std::string>
    outputFile("o", cl::value_desc("file"), cl::init("-"),
               cl::desc("Where to write (text defaults to standard output)"),
               cl::cat(category));
static cl::opt<std::string>
    targetName("target", cl::init("host"), cl::value_desc("name"),
               cl::desc("host, x86-64-v2, x86-64-v3, x86-64-v4, an x86 CPU, "
                        "aarch64[+features], an Arm CPU, nvptx-sm_NN"),
               cl::cat(category));
static cl::opt<std::string>
    emitName("emit", cl::init("so"), cl::value_desc("kind"),
             cl::desc("so, exe, obj, asm, llvm, mlir, ptx or header"),
             cl::cat(category));
static cl::opt<std::string>
    toName("to", cl::value_desc("phase"),
           cl::desc("Stop after import, hwgq, bitpack, kernel, loops or "
                    "target, and print MLIR"),
           cl::cat(category));
static cl::opt<std::string>
    dumpPhases("dump-phases-to", cl::value_desc("dir"),
               cl::desc("Write the module after each phase into a folder"),
               cl::cat(category));
static cl::opt<bool>
    dumpConstants("dump-constants",
                  cl::desc("Print large constants in --dump-phases-to"),
                  cl::cat(category));
static cl::opt<std::string>
    kernel("kernel", cl::init("auto"), cl::value_desc("family"),
           cl::desc("Force a kernel family: auto, generic, popcount, ..."),
           cl::cat(category));
static cl::opt<std::string> batch("batch", cl::value_desc("N|dynamic"),
                                  cl::desc("The batch, in place of the file's"),
                                  cl::cat(category));
static cl::list<std::string> binds("bind", cl::value_desc("NAME=FILE.npy"),
                                   cl::desc("Make an input a constant"),
                                   cl::cat(category));
static cl::list<std::string>
    inputs("input", cl::value_desc("NAME:u8,nhwc,scale=S,mean=A/B/C,std=D/E/F"),
           cl::desc("Take an image as it is and preprocess it in the network"),
           cl::cat(category));
static cl::opt<std::string> straightThrough(
    "straight-through", cl::init("drop"), cl::value_desc("drop|keep"),
    cl::desc("Whether (a - b) + b of straight-through estimators becomes a"),
    cl::cat(category));
static cl::opt<bool> verifyFolding(
    "verify-folding",
    cl::desc("Check every folded threshold against its float expression"),
    cl::cat(category));
static cl::opt<std::string>
    reportFile("report", cl::value_desc("file.json"),
               cl::desc("Write a report of layers, kernels and sizes"),
               cl::cat(category));
static cl::opt<bool> showRemarks(
    "remarks",
    cl::desc("Tell what was not folded, which kernel was not chosen, and why"),
    cl::cat(category));
static cl::opt<std::string> symbolPrefix(
    "symbol-prefix", cl::value_desc("name"), cl::init("main"),
    cl::desc("Prefix of the module's one symbol, <prefix>_hwgq_module"),
    cl::cat(category));
static cl::opt<std::string>
    emulation("emulate-intrinsics", cl::value_desc("file.o"), cl::Hidden,
              cl::desc("For tests: code for any machine, which calls the "
                       "functions of this object in place of "
                       "the target's instructions"),
              cl::cat(category));

namespace {

/// Prints diagnostics, and how far compilation has come on a terminal.
class Printer {
public:
  explicit Printer(mlir::MLIRContext *context)
      : handler(context, [this](const Message &message) {
          if (message.severity == mlir::DiagnosticSeverity::Remark &&
              !showRemarks)
            return;
          clearProgress();
          message.print(errs(), inputFile);
        }) {}

  void clearProgress() {
    if (shown)
      errs() << "\r\033[K";
    shown = false;
  }

  bool shown = false;

private:
  MessageHandler handler;
};

} // namespace

static int fail(const Twine &message) {
  errs() << "error: " << message << "\n";
  return 1;
}

/// A program: hwgq-run, the module and a trailer that says where it is.
static Expected<std::string> makeExecutable(StringRef module,
                                            const TargetSpec &target) {
  std::string self = sys::fs::getMainExecutable(
      nullptr, reinterpret_cast<void *>(&makeExecutable));
  SmallString<256> runner(sys::path::parent_path(self));
  if (target.arch == TargetSpec::Arch::AArch64 && target.name != "host")
    sys::path::append(runner, "aarch64");
  sys::path::append(runner, "hwgq-run");
  auto buffer = MemoryBuffer::getFile(runner, /*IsText=*/false,
                                      /*RequiresNullTerminator=*/false);
  if (!buffer)
    return createStringError("cannot read '" + runner +
                             "', which executables are made from");
  std::string bytes = (*buffer)->getBuffer().str();
  bytes.resize(alignTo(bytes.size(), 4096));
  hwgq_trailer trailer = {bytes.size(), module.size(), HWGQ_TRAILER_MAGIC};
  bytes += module;
  bytes.append(reinterpret_cast<const char *>(&trailer), sizeof trailer);
  return bytes;
}

/// Writes DIR/<number>-<phase>.mlir.
static LogicalResult dumpPhase(mlir::ModuleOp module, Phase phase) {
  SmallString<256> path(dumpPhases);
  if (std::error_code code = sys::fs::create_directories(
          path, /*IgnoreExisting=*/true, sys::fs::all_all))
    return module.emitError("cannot create '" + dumpPhases +
                            "': " + code.message());
  sys::path::append(path, formatv("{0}-{1}.mlir", static_cast<int>(phase),
                                  getPhaseName(phase))
                              .str());
  std::string text;
  raw_string_ostream os(text);
  mlir::OpPrintingFlags flags;
  if (!dumpConstants) {
    flags.elideLargeElementsAttrs(16);
    flags.elideLargeResourceString(16);
  }
  module.print(os, flags.enableDebugInfo());
  os << "\n";
  if (Error error = writeFile(path, text))
    return module.emitError(toString(std::move(error)));
  return mlir::success();
}

/// What the command line asks for.
static Error readOptions(Request &request) {
  std::vector<std::pair<StringRef, StringRef>> options = {
      {"target", targetName},
      {"emit", emitName},
      {"kernel", kernel},
      {"straight-through", straightThrough},
      {"symbol-prefix", symbolPrefix},
      {"verify-folding", verifyFolding ? "true" : "false"}};
  if (!toName.empty())
    options.push_back({"to", toName});
  if (!batch.empty())
    options.push_back({"batch", batch});
  for (StringRef bind : binds)
    options.push_back({"bind", bind});
  for (StringRef input : inputs)
    options.push_back({"input", input});
  for (auto [key, value] : options)
    if (Error error = request.set(key, value))
      return createStringError("--" + toString(std::move(error)));
  return Error::success();
}

static int compile(mlir::MLIRContext &context, Printer &printer,
                   mlir::TimingScope &timing) {
  // The linker resets command-line options: keep what is needed after it.
  const std::string input = inputFile, output = outputFile, report = reportFile;
  Request request;
  if (Error error = readOptions(request))
    return fail(toString(std::move(error)));
  const bool executable = request.executable && !request.to;
  bool binary = !request.to && (request.emit == EmitKind::SharedLibrary ||
                                request.emit == EmitKind::Object);
  if (binary && outputFile == "-")
    return fail("name the output with -o FILE");
  Expected<TargetSpec> target = resolveTarget(targetName);
  if (!target)
    return fail(toString(target.takeError()));
  if (const char *why =
          request.to ? nullptr : refusesEmit(*target, request.emit))
    return fail("--emit=" + emitName + ": " + why);

  auto start = std::chrono::steady_clock::now();
  mlir::OwningOpRef<mlir::ModuleOp> module =
      loadModule(inputFile, &context, request.load);
  if (!module || failed(preprocess(*module, request)))
    return 1;
  request.compile.emulate = !emulation.empty();
  Compilation compilation(*module, *target, request.compile);
  compilation.prefix = request.prefix;
  compilation.emulation = emulation;
  compilation.commandOptions = request.describe();
  compilation.beforePhase = [&](Phase phase) {
    if (!sys::Process::StandardErrIsDisplayed() ||
        std::chrono::steady_clock::now() - start < std::chrono::seconds(1))
      return;
    printer.clearProgress();
    errs() << "compiling " << inputFile << ": " << getPhaseName(phase)
           << " ...";
    printer.shown = true;
  };
  compilation.afterPhase = [&](Phase phase) {
    return dumpPhases.empty() ? mlir::success() : dumpPhase(*module, phase);
  };
  compilation.configure = [&](mlir::PassManager &manager) -> LogicalResult {
    manager.enableTiming(timing);
    return mlir::applyPassManagerCLOptions(manager);
  };
  if (!dumpPhases.empty() && failed(dumpPhase(*module, compilation.getPhase())))
    return 1;

  EmitKind kind = request.to ? EmitKind::MLIR : request.emit;
  if (kind == EmitKind::MLIR &&
      failed(compilation.runTo(request.to.value_or(Phase::Target))))
    return 1;
  Expected<std::string> contents =
      kind == EmitKind::MLIR ? std::string() : compilation.emit(kind);
  printer.clearProgress();
  if (contents && executable)
    contents = makeExecutable(*contents, *target);
  if (!contents) {
    std::string message = toString(contents.takeError());
    return message.empty() ? 1 : fail(input + ": " + message);
  }
  auto print = [&](raw_ostream &os) {
    if (kind == EmitKind::MLIR)
      compilation.print(os);
    else
      os << *contents;
  };
  // The report first: where it cannot be written, the old output stays.
  if (!report.empty())
    if (Error error = writeFile(report, compilation.getReport() + "\n"))
      return fail(toString(std::move(error)));
  if (Error error = writeFile(output, print, executable)) {
    if (!report.empty() && sys::fs::is_regular_file(report))
      sys::fs::remove(report);
    return fail(toString(std::move(error)));
  }
  return 0;
}

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  mlir::registerAsmPrinterCLOptions();
  mlir::registerMLIRContextCLOptions();
  mlir::registerPassManagerCLOptions();
  mlir::registerDefaultTimingManagerCLOptions();
  for (auto &entry : cl::getRegisteredOptions())
    if (StringRef(entry.first).starts_with("mlir-"))
      entry.second->addCategory(category);
  cl::HideUnrelatedOptions(category);
  cl::SetVersionPrinter(
      [](raw_ostream &os) { os << "hwgq-compile " HWGQ_VERSION "\n"; });
  cl::ParseCommandLineOptions(
      argc, argv,
      "hwgq-compile: exact native code of low-bit neural networks\n\n"
      "  hwgq-compile model.onnx -o model.so\n"
      "  hwgq-run model.so input.npy -o results/\n");
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  mlir::MLIRContext context(registry);
  context.printOpOnDiagnostic(false);
  Printer printer(&context);
  mlir::DefaultTimingManager timingManager;
  mlir::applyDefaultTimingManagerCLOptions(timingManager);
  mlir::TimingScope timing = timingManager.getRootScope();
  return compile(context, printer, timing);
}
