//===- hwgq-eval.cpp - the reference interpreter --------------------------===//
#include "Eval.h"
#include "hwgq/Dialect/HWGQ.h"
#include "hwgq/Import/Load.h"
#include "hwgq/InitAllDialects.h"
#include "hwgq/Pipelines/Compilation.h"
#include "hwgq/Reference/Interpreter.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"

using namespace llvm;
using namespace hwgq;
using namespace hwgq::eval;

static cl::OptionCategory category("hwgq-eval options");
static cl::opt<std::string> modelFile(cl::Positional, cl::Required,
    cl::desc("MODEL.onnx|MODULE.mlir"), cl::cat(category));
static cl::list<std::string> inputFiles(cl::Positional,
    cl::desc("[NAME=]IN.npy ..."), cl::cat(category));
static cl::opt<std::string> directory("o", cl::value_desc("dir"),
    cl::desc("Write each output to DIR/<index>_<name>.npy"), cl::cat(category));
static cl::opt<bool> printAll("print",
    cl::desc("Print every element of every output (the default without -o)"), cl::cat(category));
static cl::opt<std::string> toName("to", cl::value_desc("phase"),
    cl::desc("Evaluate after import, hwgq, bitpack, kernel, loops or target; the last two "
             "compile and execute"), cl::cat(category));
static cl::opt<std::string> randomSeed("random", cl::ValueOptional, cl::value_desc("seed"),
    cl::desc("Random values for inputs that are not given, the same as in hwgq-run"),
    cl::cat(category));
static cl::opt<std::string> batchName("batch", cl::value_desc("N|dynamic"),
    cl::desc("The batch, in place of the file's; also that of random inputs"), cl::cat(category));
static cl::list<std::string> binds("bind", cl::value_desc("NAME=FILE.npy"),
    cl::desc("Make an input a constant"), cl::cat(category));
static cl::opt<std::string> targetName("target", cl::init("host"), cl::value_desc("name"),
    cl::desc("Target of the kernel phase and those after it"), cl::cat(category));
static cl::opt<std::string> kernel("kernel", cl::init("auto"), cl::value_desc("family"),
    cl::desc("Force a kernel family"), cl::cat(category));
static cl::opt<std::string> straightThrough("straight-through", cl::init("drop"),
    cl::value_desc("drop|keep"),
    cl::desc("Whether (a - b) + b of straight-through estimators becomes a"), cl::cat(category));

/// Prints errors and warnings as `error: FILE: node 'NAME': message`.
static void printDiagnostic(mlir::Diagnostic &diagnostic) {
  bool error = diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error;
  if (!error && diagnostic.getSeverity() != mlir::DiagnosticSeverity::Warning)
    return;
  std::string node, place = modelFile;
  diagnostic.getLocation()->walk([&](mlir::Location inner) {
    if (auto named = mlir::dyn_cast<mlir::NameLoc>(inner); named && node.empty())
      node = named.getName().str();
    if (auto file = mlir::dyn_cast<mlir::FileLineColLoc>(inner))
      place = formatv("{0}:{1}:{2}", file.getFilename().getValue(),
                      file.getLine(), file.getColumn());
    return mlir::WalkResult::advance();
  });
  errs() << (error ? "error: " : "warning: ") << place << ": ";
  if (!node.empty())
    errs() << "node '" << node << "': ";
  errs() << diagnostic.str() << "\n";
}

/// The type under which an element travels in files; 0 where there is none.
static uint32_t getDtype(mlir::Type type, bool isUnsigned) {
  if (type.isF32())
    return HWGQ_F32;
  if (type.isF64())
    return HWGQ_F64;
  if (type.isF16())
    return HWGQ_F16;
  if (isa<CodeType>(type))
    return HWGQ_U8;
  if (!isa<mlir::IntegerType>(type))
    return 0;
  isUnsigned |= type.isUnsignedInteger();
  if (type.isInteger(1))
    return HWGQ_BOOL;
  switch (reference::getStorageWidth(type)) {
  case 1:
    return isUnsigned ? HWGQ_U8 : HWGQ_I8;
  case 2:
    return isUnsigned ? HWGQ_U16 : HWGQ_I16;
  case 4:
    return isUnsigned ? HWGQ_U32 : HWGQ_I32;
  default:
    return isUnsigned ? HWGQ_U64 : HWGQ_I64;
  }
}

static std::optional<Port> makePort(mlir::DictionaryAttr attrs, mlir::Type type,
                                    const std::string &fallback) {
  auto attr = [&](StringRef name) { return attrs ? attrs.get(name) : mlir::Attribute(); };
  Port port;
  auto name = dyn_cast_or_null<mlir::StringAttr>(attr("hwgq.name"));
  port.name = name ? name.getValue().str() : fallback;
  auto tensor = dyn_cast<mlir::RankedTensorType>(type);
  if (!tensor || tensor.getRank() > MAX_NPY_RANK || tensor.getEncoding()) {
    fail("'%s' is not a plain tensor", port.name.c_str());
    return std::nullopt;
  }
  mlir::Type element = tensor.getElementType();
  port.dtype = getDtype(element, bool(attr("hwgq.unsigned")));
  if (!port.dtype) {
    fail("'%s' has a type that arrays cannot hold", port.name.c_str());
    return std::nullopt;
  }
  port.bits = isa<mlir::IntegerType>(element) ? element.getIntOrFloatBitWidth() : 0;
  auto factor = dyn_cast_or_null<mlir::IntegerAttr>(attr("hwgq.batch_factor"));
  for (int64_t size : tensor.getShape())
    port.shape.push_back(!mlir::ShapedType::isDynamic(size) ? size
                         : factor                           ? -factor.getInt()
                                                            : -1);
  return port;
}

/// Evaluates @main with the interpreter.
static bool interpret(mlir::ModuleOp module, const InputOptions &options,
                      std::vector<Port> &ports, std::vector<Array> &results) {
  auto main = module.lookupSymbol<mlir::func::FuncOp>("main");
  if (!main) {
    fail("%s: the module has no function @main", modelFile.c_str());
    return false;
  }
  std::vector<Port> inputPorts;
  for (unsigned i = 0; i < main.getNumArguments(); ++i) {
    auto port = makePort(main.getArgAttrDict(i), main.getArgument(i).getType(),
                         "input_" + std::to_string(i));
    if (!port)
      return false;
    inputPorts.push_back(*port);
  }
  for (unsigned i = 0; i < main.getNumResults(); ++i) {
    auto port = makePort(main.getResultAttrDict(i), main.getResultTypes()[i],
                         "output_" + std::to_string(i));
    if (!port)
      return false;
    ports.push_back(*port);
  }
  auto inputs = readInputs(inputPorts, options);
  if (!inputs)
    return false;
  SmallVector<reference::Tensor> tensors;
  for (auto [i, array] : enumerate(*inputs)) {
    auto declared = cast<mlir::RankedTensorType>(main.getArgument(i).getType());
    auto type = mlir::RankedTensorType::get(array.shape(), declared.getElementType());
    tensors.push_back(reference::Tensor::borrow(
        type, ArrayRef(static_cast<const char *>(array.data), array.bytes)));
  }
  auto values = reference::evaluate(main, tensors);
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

static std::optional<InputOptions> getInputOptions(LoadOptions &load) {
  InputOptions options;
  options.files = inputFiles;
  options.random = randomSeed.getNumOccurrences() > 0;
  if (!randomSeed.empty() && StringRef(randomSeed).getAsInteger(10, options.seed)) {
    fail("--random=%s: a number from 0 to 2^64-1 is needed", randomSeed.c_str());
    return std::nullopt;
  }
  load.dynamicBatch = batchName == "dynamic";
  if (!batchName.empty() && !load.dynamicBatch) {
    if (StringRef(batchName).getAsInteger(10, options.batch) || options.batch < 1) {
      fail("--batch=%s: a positive number or 'dynamic' is needed", batchName.c_str());
      return std::nullopt;
    }
    load.batch = options.batch;
  }
  for (StringRef bind : binds) {
    auto [name, path] = bind.split('=');
    if (name.empty() || path.empty()) {
      fail("--bind=%s: NAME=FILE.npy is needed", bind.str().c_str());
      return std::nullopt;
    }
    load.binds.push_back({name.str(), path.str()});
  }
  return options;
}

/// Loads the model, brings it to the phase and evaluates it.
static bool evaluateModel(std::vector<Port> &ports, std::vector<Array> &results) {
  LoadOptions load;
  auto options = getInputOptions(load);
  if (!options)
    return false;
  std::optional<Phase> phase = parsePhase(toName);
  if (!toName.empty() && !phase) {
    fail("--to=%s: import, hwgq, bitpack, kernel, loops or target is needed", toName.c_str());
    return false;
  }
  if (straightThrough != "drop" && straightThrough != "keep") {
    fail("--straight-through=%s: drop or keep is needed", straightThrough.c_str());
    return false;
  }
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  mlir::MLIRContext context(registry);
  context.loadAllAvailableDialects();
  context.printOpOnDiagnostic(false);
  mlir::ScopedDiagnosticHandler handler(&context, printDiagnostic);
  auto module = loadModule(modelFile, &context, load);
  if (!module)
    return false;
  Expected<TargetSpec> target = resolveTarget(targetName);
  if (!target) {
    fail("%s", toString(target.takeError()).c_str());
    return false;
  }
  CompileOptions compile;
  compile.target = targetName;
  compile.kernel = kernel;
  compile.straightThrough = straightThrough;
  Compilation compilation(*module, *target, compile);
  Phase last = phase.value_or(compilation.getPhase());
  if (last < compilation.getPhase()) {
    fail("%s: is past the %s phase already", modelFile.c_str(), toName.c_str());
    return false;
  }
  if (last < Phase::Loops)
    return succeeded(compilation.runTo(last)) &&
           interpret(*module, *options, ports, results);
  const std::string model = modelFile;
  Expected<std::string> file = compilation.emit(EmitKind::SharedLibrary);
  if (!file) {
    std::string message = toString(file.takeError());
    if (!message.empty())
      fail("%s: %s", model.c_str(), message.c_str());
    return false;
  }
  return runCompiled(*file, *options, ports, results);
}

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  cl::SetVersionPrinter([](raw_ostream &os) { os << "hwgq-eval " HWGQ_VERSION "\n"; });
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
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
