//===- ModuleFile.cpp - machine code and module files ---------------------===//
#include "hwgq/Target/ModuleFile.h"
#include "hwgq_abi.h"
#include "lld/Common/Driver.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Support/CrashRecoveryContext.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace llvm;
using namespace hwgq;

namespace {
/// Catches crashes for as long as one of these lives. The signal handlers are
/// the process's own, so they are given back.
class CatchCrashes {
public:
  CatchCrashes() { change(+1); }
  ~CatchCrashes() { change(-1); }

private:
  static void change(int by) {
    static std::mutex mutex;
    static int alive = 0;
    std::lock_guard<std::mutex> lock(mutex);
    if (alive == 0)
      CrashRecoveryContext::Enable();
    alive += by;
    if (alive == 0)
      CrashRecoveryContext::Disable();
  }
};
} // namespace

Expected<std::string> hwgq::generateCode(Module &module,
                                         const TargetSpec &target,
                                         CodeGenFileType type) {
  std::unique_ptr<TargetMachine> machine = target.createTargetMachine();
  if (!machine)
    return createStringError("no code generator for target '" + target.name +
                             "'");
  SmallString<0> code;
  bool supported = true;
  auto generate = [&] {
    raw_svector_ostream stream(code);
    legacy::PassManager passes;
    supported = !machine->addPassesToEmitFile(passes, stream, nullptr, type);
    if (supported)
      passes.run(module);
  };
  // LLVM ends the process on code that it cannot select.
  CatchCrashes enabled;
  CrashRecoveryContext recovery;
  if (!recovery.RunSafelyOnThread(generate, /*RequestedStackSize=*/8 << 20))
    return createStringError("LLVM failed to generate code for target '" +
                             target.name + "'");
  if (!supported)
    return createStringError("target '" + target.name +
                             "' cannot emit this kind of file");
  return std::string(code);
}

/// Fills in length and checksum, as include/hwgq_abi.h tells.
static Error finishModule(std::string &bytes) {
  uint64_t offset, size;
  if (const char *why =
          hwgq_locate_record(bytes.data(), bytes.size(), &offset, &size))
    return createStringError("the linked module is wrong: %s", why);
  uint64_t length = bytes.size();
  uint64_t field = offset + offsetof(hwgq_record, file_checksum);
  memcpy(&bytes[offset + offsetof(hwgq_record, file_size)], &length, 8);
  uint64_t checksum = hwgq_checksum(bytes.data(), length, field);
  memcpy(&bytes[field], &checksum, 8);
  return Error::success();
}

Error hwgq::replaceReport(std::string &file, StringRef report) {
  uint64_t offset, size;
  if (const char *why =
          hwgq_locate_record(file.data(), file.size(), &offset, &size))
    return createStringError("the module is wrong: %s", why);
  hwgq_record record;
  memcpy(&record, &file[offset], sizeof record);
  if (record.report.size != report.size())
    return createStringError("the report has changed its length");
  llvm::copy(report, file.begin() + offset + record.report.offset);
  return finishModule(file);
}

Expected<std::string> hwgq::linkModule(StringRef object,
                                       const TargetSpec &target,
                                       const std::string &library) {
  SmallString<128> input, output;
  if (std::error_code code = sys::fs::createTemporaryFile("hwgq", "o", input))
    return createStringError(code, "cannot create a temporary file");
  FileRemover removeInput(input);
  if (std::error_code code = sys::fs::createTemporaryFile("hwgq", "so", output))
    return createStringError(code, "cannot create a temporary file");
  FileRemover removeOutput(output);
  if (Error error = writeFile(input, object))
    return std::move(error);
  const char *emulation =
      target.arch == TargetSpec::Arch::AArch64 ? "aarch64linux" : "elf_x86_64";
  std::vector<const char *> args = {"ld.lld",
                                    "-m",
                                    emulation,
                                    "-shared",
                                    "-z",
                                    "defs",
                                    "-z",
                                    "noexecstack",
                                    "--build-id=none",
                                    "--hash-style=gnu",
                                    "--no-rosegment",
                                    "-o",
                                    output.c_str(),
                                    input.c_str()};
  if (!library.empty())
    args.push_back(library.c_str());
  std::string text;
  raw_string_ostream stream(text);
  static std::mutex linker; // it keeps its state in globals
  std::lock_guard<std::mutex> lock(linker);
  lld::Result result =
      lld::lldMain(args, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    return createStringError("linking failed: " + StringRef(text).trim());
  auto buffer = MemoryBuffer::getFile(output, /*IsText=*/false,
                                      /*RequiresNullTerminator=*/false);
  if (!buffer)
    return createStringError(buffer.getError(),
                             "cannot read the linked module");
  std::string bytes = (*buffer)->getBuffer().str();
  if (Error error = finishModule(bytes))
    return std::move(error);
  return bytes;
}

static const char *getCType(uint32_t dtype) {
  switch (dtype) {
  case HWGQ_F32:
    return "float";
  case HWGQ_F64:
    return "double";
  case HWGQ_F16:
    return "uint16_t";
  case HWGQ_I8:
    return "int8_t";
  case HWGQ_I16:
    return "int16_t";
  case HWGQ_I32:
    return "int32_t";
  case HWGQ_I64:
    return "int64_t";
  case HWGQ_U16:
    return "uint16_t";
  case HWGQ_U32:
    return "uint32_t";
  case HWGQ_U64:
    return "uint64_t";
  default:
    return "uint8_t";
  }
}

/// A name as it may stand in a C comment.
static std::string printable(StringRef name) {
  std::string text;
  for (char c : name)
    text += isPrint(c) && c != '*' && c != '\\' ? c : '_';
  return text;
}

std::string hwgq::makeHeader(const ModuleInfo &info,
                             std::pair<int64_t, int64_t> workspace) {
  std::string upper = StringRef(info.prefix).upper();
  std::string text;
  raw_string_ostream os(text);
  os << formatv("/* Generated by hwgq-compile: a module to link statically. "
                "*/\n#ifndef {0}_HWGQ_H\n#define {0}_HWGQ_H\n\n"
                "#include <stdint.h>\n\n",
                upper);
  os << formatv("#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n"
                "struct hwgq_module_entry;\n"
                "extern const struct hwgq_module_entry {0}_hwgq_module;\n\n",
                info.prefix);
  os << formatv("#define {0}_BATCH {1} /* -1: dynamic */\n"
                "#define {0}_WORKSPACE_CONSTANT {2}\n"
                "#define {0}_WORKSPACE_PER_BATCH {3}\n",
                upper, info.batch, workspace.first, workspace.second);
  unsigned counts[2] = {0, 0};
  for (const TensorInfo &tensor : info.tensors) {
    int64_t elements = 1;
    for (int64_t size : tensor.shape)
      elements *= size < 0 ? -size : size;
    os << formatv("/* {0} \"{1}\": {2}[{3:$[, ]}] */\n"
                  "#define {4}_{5}_{6}_ELEMENTS {7}{8}\n",
                  tensor.output ? "output" : "input", printable(tensor.name),
                  getCType(tensor.dtype),
                  make_range(tensor.shape.begin(), tensor.shape.end()), upper,
                  tensor.output ? "OUTPUT" : "INPUT", counts[tensor.output]++,
                  elements, info.batch < 0 ? " /* per unit of batch */" : "");
  }
  os << "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
  return text;
}

Error hwgq::writeFile(StringRef path, StringRef contents, bool executable) {
  return writeFile(path, [&](raw_ostream &os) { os << contents; }, executable);
}

/// Prints all of it; what the system refused is an error.
static Error printTo(raw_fd_ostream &stream, const Twine &name,
                     function_ref<void(raw_ostream &)> print) {
  print(stream);
  stream.flush();
  std::error_code code = stream.error();
  stream.clear_error();
  return code ? createStringError(code, "cannot write " + name + ": " +
                                            code.message())
              : Error::success();
}

Error hwgq::writeFile(StringRef path, function_ref<void(raw_ostream &)> print,
                      bool executable) {
  if (path == "-")
    return printTo(outs(), "standard output", print);
  // A special file (/dev/null) is written to, not replaced.
  if (sys::fs::exists(path) && !sys::fs::is_regular_file(path)) {
    std::error_code code;
    raw_fd_ostream stream(path, code);
    return code ? createStringError(code, "cannot write '" + path +
                                              "': " + code.message())
                : printTo(stream, "'" + path.str() + "'", print);
  }
  unsigned mode = sys::fs::all_read | sys::fs::owner_write |
                  (executable ? sys::fs::all_exe : 0);
  Expected<sys::fs::TempFile> temp =
      sys::fs::TempFile::create(path + ".%%%%%%%%.tmp", mode);
  if (!temp) {
    consumeError(temp.takeError());
    return createStringError("cannot write '" + path +
                             "'; is its folder there and writable?");
  }
  raw_fd_ostream stream(temp->FD, /*shouldClose=*/false);
  if (Error error = printTo(stream, "'" + path.str() + "'", print)) {
    consumeError(temp->discard());
    return error;
  }
  if (Error error = temp->keep(path)) {
    consumeError(std::move(error));
    return createStringError("cannot write '" + path + "'");
  }
  return Error::success();
}
