//===- Compilation.cpp - one network from IR to a file --------------------===//
#include "hwgq/Pipelines/Compilation.h"
#include "hwgq/Conversion/TargetIntrinsics.h"
#include "hwgq/Dialect/Bitpack.h"
#include "hwgq_abi.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

using namespace mlir;
using namespace hwgq;

Phase hwgq::detectPhase(ModuleOp module) {
  bool onnx = false, packed = false, kernels = false, loops = false,
       llvmCode = false;
  module.walk([&](Operation *op) {
    StringRef dialect = op->getName().getDialectNamespace();
    onnx |= dialect == "onnx";
    packed |= dialect == "bitpack";
    kernels |= dialect == "bitpack" && op->hasAttr("kernel") &&
               isa<StringAttr>(op->getAttr("kernel"));
    llvmCode |= op->getName().getStringRef() == "llvm.func";
    loops |= op->getName().getStringRef() == "gpu.func";
    if (auto function = dyn_cast<func::FuncOp>(op))
      loops |= function->hasAttr("hwgq.workspace");
  });
  if (onnx)
    return Phase::Import;
  if (llvmCode)
    return Phase::Target;
  if (loops)
    return Phase::Loops;
  if (packed)
    return kernels ? Phase::Kernel : Phase::Bitpack;
  return Phase::HWGQ;
}

Compilation::Compilation(ModuleOp module, TargetSpec target,
                         const CompileOptions &options)
    : module(module), target(std::move(target)), options(options),
      phase(detectPhase(module)) {}

LogicalResult Compilation::runTo(Phase last) {
  for (; phase < last;) {
    auto next = static_cast<Phase>(static_cast<int>(phase) + 1);
    if (beforePhase)
      beforePhase(next);
    if (next == Phase::Loops)
      layers = reportLayers(module);
    PassManager manager(module.getContext());
    if (configure && failed(configure(manager)))
      return failure();
    buildPhase(manager, next, target, options);
    if (failed(manager.run(module)))
      return failure();
    phase = next;
    if (afterPhase && failed(afterPhase(phase)))
      return failure();
  }
  return success();
}

const char *hwgq::refusesEmit(const TargetSpec &target, EmitKind kind) {
  bool gpu = target.arch == TargetSpec::Arch::NVPTX;
  switch (kind) {
  case EmitKind::MLIR:
    return nullptr;
  case EmitKind::LLVM:
  case EmitKind::PTX:
    if (gpu || kind == EmitKind::LLVM)
      return nullptr;
    return "ptx is for NVIDIA targets, such as nvptx-sm_80";
  default:
    return gpu ? "for NVIDIA targets there are ptx, llvm and mlir" : nullptr;
  }
}

/// The data of dense_resource tensors, in the syntax of MLIR, whose printer
/// would hold two copies of each text at once.
static void printResources(ModuleOp module, llvm::raw_ostream &os) {
  llvm::MapVector<StringRef, AsmResourceBlob *> blobs;
  AttrTypeWalker walker;
  walker.addWalk([&](DenseResourceElementsAttr attr) {
    if (AsmResourceBlob *blob = attr.getRawHandle().getBlob())
      blobs[attr.getRawHandle().getKey()] = blob;
  });
  module->walk([&](Operation *op) { walker.walk(op->getAttrDictionary()); });
  if (blobs.empty())
    return;
  auto isPlain = [](char c) { return llvm::isAlnum(c) || c == '_'; };
  os << "\n{-#\n  dialect_resources: {\n    builtin: {\n";
  for (auto [i, entry] : llvm::enumerate(blobs)) {
    auto [key, blob] = entry;
    bool plain = !key.empty() && !llvm::isDigit(key.front()) &&
                 llvm::all_of(key, isPlain);
    os << (i ? ",\n      " : "      ") << (plain ? "" : "\"");
    plain ? void(os << key) : llvm::printEscapedString(key, os);
    llvm::support::ulittle32_t alignment(blob->getDataAlignment());
    os << (plain ? "" : "\"") << ": \"0x"
       << llvm::toHex(StringRef(reinterpret_cast<const char *>(&alignment),
                                sizeof alignment));
    constexpr size_t kPiece = 1 << 16;
    for (ArrayRef<char> rest = blob->getData(); !rest.empty();
         rest = rest.drop_front(std::min(kPiece, rest.size())))
      os << llvm::toHex(
          llvm::toStringRef(rest.take_front(std::min(kPiece, rest.size()))));
    os << '"';
  }
  os << "\n    }\n  }\n#-}\n";
}

void Compilation::print(llvm::raw_ostream &os) {
  OpPrintingFlags flags = OpPrintingFlags().enableDebugInfo();
  bool whole = !flags.getLargeResourceStringLimit();
  module.print(os, whole ? flags.elideLargeResourceString(0) : flags);
  os << "\n";
  if (whole)
    printResources(module, os);
}

static std::string toText(const llvm::Module &ir) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << ir;
  return text;
}

llvm::Expected<std::string> Compilation::emitKernels(EmitKind kind) {
  auto kernels = module.getOps<gpu::GPUModuleOp>();
  if (kernels.empty())
    return llvm::createStringError(
        "no layer has a kernel for target '" + target.name +
        "'; there are kernels for convolutions and matrix products whose "
        "operands are both codes and whose weights are constant (--remarks "
        "tells of each layer)");
  llvm::LLVMContext context;
  auto ir = translateKernels(*kernels.begin(), target, context);
  if (!ir)
    return ir.takeError();
  if (kind == EmitKind::LLVM)
    return toText(**ir);
  return generateCode(**ir, target, llvm::CodeGenFileType::AssemblyFile);
}

/// The target of the code proper: without AMX where no tile is used, whose
/// registers a context would have to ask for, and plain under emulation.
llvm::Error Compilation::settleTarget() {
  if (options.emulate) {
    auto isScalable = [](Type type) {
      auto vector = dyn_cast<VectorType>(type);
      return vector && vector.isScalable();
    };
    bool scalable = false;
    module.walk([&](Operation *op) {
      scalable |= llvm::any_of(op->getResultTypes(), isScalable);
    });
    if (scalable)
      return llvm::createStringError(
          "scalable vectors of target '" + target.name +
          "' are not emulated by functions; run the module under qemu-aarch64");
    bool arm = llvm::Triple(llvm::sys::getProcessTriple()).isAArch64();
    auto plain = resolveTarget(arm ? "aarch64" : "x86-64-v2");
    if (!plain)
      return plain.takeError();
    plain->name = target.name;
    target = std::move(*plain);
  }
  bool tiles = false;
  module.walk([&](Operation *op) {
    const TargetIntrinsic *row = findTargetIntrinsic(op);
    tiles |= row && row->tiles;
  });
  if (!tiles)
    llvm::erase_if(target.features, [](StringRef feature) {
      return feature.starts_with("amx-");
    });
  return llvm::Error::success();
}

llvm::Expected<std::string> Compilation::emit(EmitKind kind) {
  if (kind == EmitKind::MLIR) {
    std::string text;
    llvm::raw_string_ostream os(text);
    print(os);
    return text;
  }
  if (const char *why = refusesEmit(target, kind))
    return llvm::createStringError(why);
  if (failed(runTo(Phase::Target)))
    return llvm::createStringError("");
  if (target.arch == TargetSpec::Arch::NVPTX)
    return emitKernels(kind);
  if (llvm::Error error = settleTarget())
    return std::move(error);
  llvm::Expected<ModuleInfo> described = describeModule(module, workspace);
  if (!described)
    return described.takeError();
  info = std::move(*described);
  info.prefix = prefix;
  info.options = commandOptions;
  info.report = getReport();
  if (kind == EmitKind::Header)
    return makeHeader(info, workspace);
  llvm::LLVMContext context;
  auto ir = translateModule(module, target, info, workspace, context);
  if (!ir)
    return ir.takeError();
  if (kind == EmitKind::LLVM)
    return toText(**ir);
  bool text = kind == EmitKind::Assembly;
  auto code = generateCode(**ir, target,
                           text ? llvm::CodeGenFileType::AssemblyFile
                                : llvm::CodeGenFileType::ObjectFile);
  if (!code || kind != EmitKind::SharedLibrary)
    return code;
  auto file = linkModule(*code, target, emulation);
  if (!file)
    return file.takeError();
  fileBytes = file->size();
  if (llvm::Error error = replaceReport(*file, getReport()))
    return std::move(error);
  return file;
}
