//===- Request.cpp - what is asked of the compiler ------------------------===//
#include "hwgq/Pipelines/Request.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace llvm;
using namespace hwgq;

static Error wrong(StringRef key, const Twine &takes, StringRef value) {
  return createStringError(key + " takes " + takes + ", not '" + value + "'");
}

static Error setBatch(LoadOptions &load, StringRef value) {
  int64_t batch = 0;
  load.batch.reset();
  load.dynamicBatch = value == "dynamic";
  if (load.dynamicBatch)
    return Error::success();
  if (value.getAsInteger(10, batch) || batch < 1 || batch > (1 << 20))
    return wrong("batch", "a number from 1 to 1048576, or dynamic", value);
  load.batch = batch;
  return Error::success();
}

static Error setEmit(Request &request, StringRef value) {
  auto kind = StringSwitch<std::optional<EmitKind>>(value)
                  .Cases({"so", "exe"}, EmitKind::SharedLibrary)
                  .Case("obj", EmitKind::Object)
                  .Case("asm", EmitKind::Assembly)
                  .Case("llvm", EmitKind::LLVM)
                  .Case("mlir", EmitKind::MLIR)
                  .Case("ptx", EmitKind::PTX)
                  .Case("header", EmitKind::Header)
                  .Default(std::nullopt);
  if (!kind)
    return wrong("emit", "so, exe, obj, asm, llvm, mlir, ptx or header", value);
  request.emit = *kind;
  request.executable = value == "exe";
  return Error::success();
}

static Error setBool(bool &flag, StringRef key, StringRef value) {
  if (value != "true" && value != "false")
    return wrong(key, "true or false", value);
  flag = value == "true";
  return Error::success();
}

Error Request::set(StringRef key, StringRef value) {
  if (key == "target") {
    compile.target = value.str();
  } else if (key == "kernel") {
    compile.kernel = value.str();
  } else if (key == "batch") {
    return setBatch(load, value);
  } else if (key == "emit") {
    return setEmit(*this, value);
  } else if (key == "to") {
    if (!(to = parsePhase(value)))
      return wrong(key, "import, hwgq, bitpack, kernel, loops or target",
                   value);
  } else if (key == "straight-through") {
    if (value != "drop" && value != "keep")
      return wrong(key, "drop or keep", value);
    compile.straightThrough = value.str();
  } else if (key == "verify-folding") {
    bool flag = false;
    if (Error error = setBool(flag, key, value))
      return error;
    compile.verifyFolding = flag;
  } else if (key == "symbol-prefix") {
    if (value.empty() || isDigit(value.front()) ||
        !all_of(value, [](char c) { return isAlnum(c) || c == '_'; }))
      return wrong(key, "a C identifier", value);
    prefix = value.str();
  } else if (key == "bind") {
    auto [name, file] = value.split('=');
    if (name.empty() || file.empty())
      return wrong(key, "NAME=FILE.npy", value);
    load.binds.push_back({name.str(), file.str()});
  } else if (key == "input") {
    Expected<Preprocessing> preprocessing = Preprocessing::parse(value);
    if (!preprocessing)
      return preprocessing.takeError();
    inputs.push_back(std::move(*preprocessing));
  } else {
    return createStringError(
        "there is no option '" + key +
        "'; there are target, kernel, batch, straight-through, "
        "verify-folding, symbol-prefix, bind, input, emit and to");
  }
  return Error::success();
}

std::string Request::describe() const {
  return formatv("--target={0} --kernel={1} --straight-through={2}",
                 std::string(compile.target), std::string(compile.kernel),
                 std::string(compile.straightThrough));
}

mlir::LogicalResult hwgq::preprocess(mlir::ModuleOp module,
                                     const Request &request) {
  if (!request.inputs.empty() && detectPhase(module) != Phase::Import)
    return module.emitError("--input needs a network at the import phase");
  for (const Preprocessing &input : request.inputs)
    if (failed(applyPreprocessing(module, input)))
      return mlir::failure();
  return mlir::success();
}
