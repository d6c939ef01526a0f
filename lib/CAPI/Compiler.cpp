//===- Compiler.cpp - compile, evaluate and run passes from C -------------===//
#include "Internal.h"
#include "hwgq/Dialect/OnnxOperators.h"
#include "hwgq/Pipelines/Request.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassRegistry.h"
#include <mutex>

using namespace mlir;
using namespace hwgq;
using namespace hwgq::capi;

static Type getElementType(uint32_t dtype, MLIRContext *context) {
  Builder b(context);
  switch (dtype) {
  case HWGQ_F32:
    return b.getF32Type();
  case HWGQ_F64:
    return b.getF64Type();
  case HWGQ_F16:
    return b.getF16Type();
  case HWGQ_BOOL:
    return b.getI1Type();
  case HWGQ_I8:
    return b.getIntegerType(8);
  case HWGQ_I16:
    return b.getIntegerType(16);
  case HWGQ_I32:
    return b.getIntegerType(32);
  case HWGQ_I64:
    return b.getIntegerType(64);
  case HWGQ_U8:
    return b.getIntegerType(8, false);
  case HWGQ_U16:
    return b.getIntegerType(16, false);
  case HWGQ_U32:
    return b.getIntegerType(32, false);
  case HWGQ_U64:
    return b.getIntegerType(64, false);
  default:
    return {};
  }
}

namespace {
/// A network on its way, with all that must live as long.
class Job {
public:
  Job(const hwgq_model *model, ArrayRef<hwgq_option> options,
      ArrayRef<hwgq_array> bound, const Reporter &reporter)
      : model(model), options(options), bound(bound), reporter(reporter),
        context(reporter) {}

  /// Reads the options and loads the network.
  bool load();

  /// The arrays of `inputs` through the network as `request.to` has it.
  bool evaluate(ArrayRef<hwgq_array> inputs, hwgq_result &result);

  /// The network as `request.emit` or `request.to` has it.
  bool compile(hwgq_result &result);

private:
  bool bind();

  const hwgq_model *model;
  ArrayRef<hwgq_option> options;
  ArrayRef<hwgq_array> bound;
  const Reporter &reporter;
  Context context;
  Request request;
  std::optional<TargetSpec> target;
  OwningOpRef<ModuleOp> module;
};
} // namespace

bool Job::bind() {
  for (const hwgq_array &array : bound) {
    auto bytes = getBytes(array);
    if (!array.name || !bytes)
      return reporter.fail(
          "bind: " + Twine(array.name ? array.name : "an array") +
          " is not an array with a name");
    auto type =
        RankedTensorType::get(ArrayRef(array.dims, array.rank),
                              getElementType(array.dtype, context.get()));
    request.load.values[array.name] = onnx::makeElements(type, *bytes);
  }
  return true;
}

bool Job::load() {
  for (const hwgq_option &option : options)
    if (llvm::Error error = request.set(option.key, option.value))
      return reporter.fail(std::move(error));
  auto resolved = resolveTarget(request.compile.target);
  if (!resolved)
    return reporter.fail(resolved.takeError());
  target = std::move(*resolved);
  if (!bind())
    return false;
  if (model->path)
    module = loadModule(model->path, context.get(), request.load);
  else
    module = loadModuleFromMemory(
        StringRef(static_cast<const char *>(model->data), model->size),
        model->folder ? model->folder : "", context.get(), request.load);
  return module && succeeded(preprocess(*module, request));
}

bool Job::compile(hwgq_result &result) {
  if (request.executable)
    return reporter.fail("emit: only hwgq-compile makes executables");
  const char *why = request.to ? nullptr : refusesEmit(*target, request.emit);
  if (why)
    return reporter.fail(Twine("emit: ") + why);
  Compilation compilation(*module, *target, request.compile);
  compilation.prefix = request.prefix;
  compilation.commandOptions = request.describe();
  EmitKind kind = request.to ? EmitKind::MLIR : request.emit;
  if (kind == EmitKind::MLIR &&
      failed(compilation.runTo(request.to.value_or(Phase::Target))))
    return false;
  auto contents = compilation.emit(kind);
  if (!contents)
    return reporter.fail(contents.takeError());
  result.data = std::move(*contents);
  if (kind != EmitKind::MLIR)
    result.report = compilation.getReport();
  return true;
}

bool Job::evaluate(ArrayRef<hwgq_array> inputs, hwgq_result &result) {
  Compilation compilation(*module, *target, request.compile);
  Phase last = request.to.value_or(compilation.getPhase());
  if (last < compilation.getPhase())
    return reporter.fail("the network is past the " + getPhaseName(last) +
                         " phase already");
  context.get()->loadAllAvailableDialects();
  if (last < Phase::Loops)
    return succeeded(compilation.runTo(last)) &&
           interpret(*module, inputs, reporter, result);
  auto file = compilation.emit(EmitKind::SharedLibrary);
  if (!file)
    return reporter.fail(file.takeError());
  return execute(*file, inputs, reporter, result);
}

bool hwgq_compile(const hwgq_model *model, const hwgq_option *options,
                  size_t option_count, const hwgq_array *bound,
                  size_t bound_count, hwgq_diagnostic_callback callback,
                  void *user, hwgq_result **result) {
  Reporter reporter(callback, user, model->path);
  Job job(model, {options, option_count}, {bound, bound_count}, reporter);
  auto made = std::make_unique<hwgq_result>();
  if (!job.load() || !job.compile(*made))
    return false;
  *result = made.release();
  return true;
}

bool hwgq_evaluate(const hwgq_model *model, const hwgq_option *options,
                   size_t option_count, const hwgq_array *bound,
                   size_t bound_count, const hwgq_array *inputs,
                   size_t input_count, hwgq_diagnostic_callback callback,
                   void *user, hwgq_result **result) {
  Reporter reporter(callback, user, model->path);
  Job job(model, {options, option_count}, {bound, bound_count}, reporter);
  auto made = std::make_unique<hwgq_result>();
  if (!job.load() || !job.evaluate({inputs, input_count}, *made))
    return false;
  *result = made.release();
  return true;
}

bool hwgq_run_passes(const char *text, size_t size, const char *pipeline,
                     hwgq_diagnostic_callback callback, void *user,
                     hwgq_result **result) {
  static std::once_flag once;
  std::call_once(once, registerPasses);
  Reporter reporter(callback, user, nullptr);
  Context context(reporter);
  auto module = parseSourceString<ModuleOp>(StringRef(text, size),
                                            context.get(), "<string>");
  if (!module)
    return false;
  std::string why;
  llvm::raw_string_ostream os(why);
  auto manager = parsePassPipeline(pipeline, os);
  if (failed(manager))
    return reporter.fail(StringRef(why).trim());
  PassManager passes(context.get(), manager->getOpAnchorName());
  static_cast<OpPassManager &>(passes) = std::move(*manager);
  if (passes.getOpAnchorName() != OpPassManager::getAnyOpAnchorName() &&
      passes.getOpAnchorName() != ModuleOp::getOperationName())
    return reporter.fail("the pipeline must be anchored on builtin.module");
  if (failed(passes.run(*module)))
    return false;
  auto made = std::make_unique<hwgq_result>();
  llvm::raw_string_ostream out(made->data);
  module->print(out, OpPrintingFlags());
  out << "\n";
  *result = made.release();
  return true;
}
