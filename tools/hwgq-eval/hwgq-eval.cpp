//===- hwgq-eval.cpp - the reference interpreter --------------------------===//
#include "Eval.h"
#include "hwgq/InitAllDialects.h"
#include "hwgq/Pipelines/Message.h"
#include "hwgq/Pipelines/Request.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"

using namespace llvm;
using namespace hwgq;
using namespace hwgq::eval;

static cl::OptionCategory category("hwgq-eval options");
static cl::opt<std::string> modelFile(cl::Positional, cl::Required,
                                      cl::desc("MODEL.onnx|MODULE.mlir"),
                                      cl::cat(category));
static cl::list<std::string> inputFiles(cl::Positional,
                                        cl::desc("[NAME=]IN.npy ..."),
                                        cl::cat(category));
static cl::opt<std::string>
    directory("o", cl::value_desc("dir"),
              cl::desc("Write each output to DIR/<index>_<name>.npy"),
              cl::cat(category));
static cl::opt<bool> printAll(
    "print",
    cl::desc("Print every element of every output (the default without -o)"),
    cl::cat(category));
static cl::opt<std::string>
    toName("to", cl::value_desc("phase"),
           cl::desc("Evaluate after import, hwgq, bitpack, kernel, loops or "
                    "target; the last two "
                    "compile and execute"),
           cl::cat(category));
static cl::opt<std::string> randomSeed(
    "random", cl::ValueOptional, cl::value_desc("seed"),
    cl::desc(
        "Random values for inputs that are not given, the same as in hwgq-run"),
    cl::cat(category));
static cl::opt<std::string> batchName(
    "batch", cl::value_desc("N|dynamic"),
    cl::desc("The batch, in place of the file's; also that of random inputs"),
    cl::cat(category));
static cl::list<std::string> binds("bind", cl::value_desc("NAME=FILE.npy"),
                                   cl::desc("Make an input a constant"),
                                   cl::cat(category));
static cl::opt<std::string>
    targetName("target", cl::init("host"), cl::value_desc("name"),
               cl::desc("Target of the kernel phase and those after it"),
               cl::cat(category));
static cl::opt<std::string> kernel("kernel", cl::init("auto"),
                                   cl::value_desc("family"),
                                   cl::desc("Force a kernel family"),
                                   cl::cat(category));
static cl::opt<std::string> straightThrough(
    "straight-through", cl::init("drop"), cl::value_desc("drop|keep"),
    cl::desc("Whether (a - b) + b of straight-through estimators becomes a"),
    cl::cat(category));

/// Evaluates @main with the interpreter.
static bool interpret(mlir::ModuleOp module, const InputOptions &options,
                      std::vector<Port> &ports, std::vector<Array> &results) {
  auto inputPorts = getPorts(module, /*outputs=*/false);
  auto outputPorts = getPorts(module, /*outputs=*/true);
  if (failed(inputPorts) || failed(outputPorts))
    return false;
  ports = std::move(*outputPorts);
  auto arrays = readInputs(*inputPorts, options);
  if (!arrays)
    return false;
  std::vector<std::pair<ArrayRef<int64_t>, ArrayRef<char>>> inputs;
  for (const Array &array : *arrays)
    inputs.push_back(
        {array.shape(), {static_cast<const char *>(array.data), array.bytes}});
  auto values = evaluateMain(module, inputs);
  if (failed(values))
    return false;
  for (auto [port, value] : zip(ports, *values)) {
    Array &array = results.emplace_back();
    array.dtype = port.dtype;
    array.rank = value.getRank();
    copy(value.getShape(), array.dims);
    if (array_allocate(&array, port.name.c_str()) != 0)
      return false;
    memcpy(array.data, value.bytes().data(), array.bytes);
  }
  return true;
}

/// What the command line asks for; `random` inputs have the batch, too.
static Error readOptions(Request &request, InputOptions &inputs) {
  std::vector<std::pair<StringRef, StringRef>> options = {
      {"target", targetName},
      {"kernel", kernel},
      {"straight-through", straightThrough}};
  if (!toName.empty())
    options.push_back({"to", toName});
  if (!batchName.empty())
    options.push_back({"batch", batchName});
  for (StringRef bind : binds)
    options.push_back({"bind", bind});
  for (auto [key, value] : options)
    if (Error error = request.set(key, value))
      return createStringError("--" + toString(std::move(error)));
  inputs.files = inputFiles;
  inputs.random = randomSeed.getNumOccurrences() > 0;
  inputs.batch = request.load.batch.value_or(0);
  if (!randomSeed.empty() &&
      StringRef(randomSeed).getAsInteger(10, inputs.seed))
    return createStringError("--random=" + randomSeed +
                             ": a number from 0 to 2^64-1 is needed");
  return Error::success();
}

/// Loads the model, brings it to the phase and evaluates it.
static bool evaluateModel(std::vector<Port> &ports,
                          std::vector<Array> &results) {
  Request request;
  InputOptions inputs;
  if (Error error = readOptions(request, inputs)) {
    fail("%s", toString(std::move(error)).c_str());
    return false;
  }
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  mlir::MLIRContext context(registry);
  context.loadAllAvailableDialects();
  context.printOpOnDiagnostic(false);
  const std::string model = modelFile;
  MessageHandler handler(&context, [&](const Message &message) {
    if (message.severity == mlir::DiagnosticSeverity::Error ||
        message.severity == mlir::DiagnosticSeverity::Warning)
      message.print(errs(), model);
  });
  auto module = loadModule(model, &context, request.load);
  if (!module)
    return false;
  Expected<TargetSpec> target = resolveTarget(targetName);
  if (!target) {
    fail("%s", toString(target.takeError()).c_str());
    return false;
  }
  Compilation compilation(*module, *target, request.compile);
  Phase last = request.to.value_or(compilation.getPhase());
  if (last < compilation.getPhase()) {
    fail("%s: is past the %s phase already", model.c_str(), toName.c_str());
    return false;
  }
  if (last < Phase::Loops)
    return succeeded(compilation.runTo(last)) &&
           interpret(*module, inputs, ports, results);
  Expected<std::string> file = compilation.emit(EmitKind::SharedLibrary);
  if (!file) {
    std::string message = toString(file.takeError());
    if (!message.empty())
      fail("%s: %s", model.c_str(), message.c_str());
    return false;
  }
  return runCompiled(*file, inputs, ports, results);
}

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  cl::SetVersionPrinter(
      [](raw_ostream &os) { os << "hwgq-eval " HWGQ_VERSION "\n"; });
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv,
      "the reference interpreter: evaluates a network exactly, op by op\n");
  // The linker resets command-line options: keep what is needed after it.
  const std::string output = directory;
  const bool print = printAll || output.empty();
  std::vector<Port> ports;
  std::vector<Array> results;
  if (!evaluateModel(ports, results))
    return 1;
  if (!output.empty() && !writeOutputs(ports, results, output))
    return 1;
  if (print)
    printOutputs(ports, results);
  return 0;
}
