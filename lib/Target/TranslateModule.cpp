//===- TranslateModule.cpp - LLVM IR with record and entry ----------------===//
#include "hwgq/Target/ModuleFile.h"
#include "hwgq_abi.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/TargetParser/Triple.h"

using namespace hwgq;

llvm::Expected<ModuleInfo>
hwgq::describeModule(mlir::ModuleOp module,
                     std::pair<int64_t, int64_t> &workspace) {
  auto error = [] {
    return llvm::createStringError(
        "the module does not say what its inputs and "
        "outputs are; compile it from an earlier phase");
  };
  auto tensors = module->getAttrOfType<mlir::ArrayAttr>("hwgq.tensors");
  auto batch = module->getAttrOfType<mlir::IntegerAttr>("hwgq.batch");
  auto plan = module->getAttrOfType<mlir::DenseI64ArrayAttr>("hwgq.workspace");
  if (!tensors || !batch || !plan || plan.size() != 2)
    return error();
  ModuleInfo info;
  info.batch = batch.getInt();
  workspace = {plan[0], plan[1]};
  if (auto shared = module->getAttrOfType<mlir::IntegerAttr>("hwgq.shared"))
    info.sharedBytes = std::max<int64_t>(0, shared.getInt());
  for (mlir::Attribute attr : tensors) {
    auto entry = mlir::dyn_cast<mlir::DictionaryAttr>(attr);
    if (!entry)
      return error();
    auto name = entry.getAs<mlir::StringAttr>("name");
    auto dtype = entry.getAs<mlir::IntegerAttr>("dtype");
    auto output = entry.getAs<mlir::BoolAttr>("output");
    auto shape = entry.getAs<mlir::DenseI64ArrayAttr>("shape");
    if (!name || !dtype || !output || !shape ||
        shape.size() > int64_t(HWGQ_MAX_RANK) ||
        !hwgq_dtype_name(dtype.getInt()))
      return error();
    info.tensors.push_back({name.getValue().str(), uint32_t(dtype.getInt()),
                            output.getValue(), shape.asArrayRef().vec()});
  }
  return info;
}

namespace {

/// Builds a record: the header, then what its spans point at.
class RecordBuilder {
public:
  RecordBuilder() : bytes(sizeof(hwgq_record), '\0') {}

  hwgq_span addString(llvm::StringRef text) {
    hwgq_span span{uint32_t(bytes.size()), uint32_t(text.size())};
    bytes.append(text.begin(), text.end());
    bytes.push_back('\0');
    bytes.resize(llvm::alignTo(bytes.size(), 4));
    return span;
  }

  template <typename T> hwgq_span addTable(const std::vector<T> &table) {
    bytes.resize(llvm::alignTo(bytes.size(), 8));
    hwgq_span span{uint32_t(bytes.size()), uint32_t(table.size() * sizeof(T))};
    bytes.append(reinterpret_cast<const char *>(table.data()), span.size);
    return span;
  }

  hwgq_span addStrings(llvm::ArrayRef<std::string> strings) {
    std::vector<hwgq_span> spans;
    for (const std::string &text : strings)
      spans.push_back(addString(text));
    return addTable(spans);
  }

  std::string finish(hwgq_record &header) {
    bytes.resize(llvm::alignTo(bytes.size(), 4));
    header.record_size = bytes.size();
    memcpy(bytes.data(), &header, sizeof header);
    return std::move(bytes);
  }

private:
  std::string bytes;
};

} // namespace

static std::string makeRecord(const TargetSpec &target, const ModuleInfo &info,
                              std::pair<int64_t, int64_t> workspace,
                              llvm::ArrayRef<std::string> layers) {
  RecordBuilder builder;
  hwgq_record header = {};
  memcpy(header.magic, HWGQ_RECORD_MAGIC, sizeof header.magic);
  header.abi_version = HWGQ_ABI_VERSION;
  header.header_size = sizeof header;
  header.arch = target.arch == TargetSpec::Arch::AArch64 ? HWGQ_ARCH_AARCH64
                                                         : HWGQ_ARCH_X86_64;
  header.batch = info.batch < 0 ? HWGQ_BATCH_DYNAMIC : info.batch;
  header.workspace_constant = workspace.first;
  header.workspace_per_batch = workspace.second;
  header.shared_size = info.sharedBytes;
  std::vector<hwgq_tensor_record> tensors;
  for (bool output : {false, true})
    for (const TensorInfo &tensor : info.tensors) {
      if (tensor.output != output)
        continue;
      hwgq_tensor_record record = {};
      record.name = builder.addString(tensor.name);
      record.dtype = tensor.dtype;
      record.is_output = output;
      record.rank = tensor.shape.size();
      llvm::copy(tensor.shape, record.dims);
      tensors.push_back(record);
    }
  header.tensors = builder.addTable(tensors);
  header.features = builder.addStrings(target.features);
  header.layers = builder.addStrings(layers);
  header.triple = builder.addString(target.triple);
  header.target = builder.addString(target.name);
  header.prefix = builder.addString(info.prefix);
  header.options = builder.addString(info.options);
  header.report = builder.addString(info.report);
  return builder.finish(header);
}

/// Adds the note and `<prefix>_hwgq_module`.
static void addEntry(llvm::Module &module, const ModuleInfo &info,
                     llvm::StringRef record, llvm::Function *run,
                     llvm::Function *prepare) {
  llvm::LLVMContext &context = module.getContext();
  hwgq_note note = {sizeof HWGQ_NOTE_NAME, uint32_t(record.size()),
                    HWGQ_NOTE_TYPE, HWGQ_NOTE_NAME};
  std::string bytes(reinterpret_cast<const char *>(&note), sizeof note);
  bytes += record;
  auto *contents = llvm::ConstantDataArray::getString(context, bytes, false);
  auto *noteVariable = new llvm::GlobalVariable(
      module, contents->getType(), true, llvm::GlobalValue::PrivateLinkage,
      contents, info.prefix + "_hwgq_note");
  noteVariable->setSection(HWGQ_NOTE_SECTION);
  noteVariable->setAlignment(llvm::Align(4));

  auto *i8 = llvm::Type::getInt8Ty(context);
  auto *i32 = llvm::Type::getInt32Ty(context);
  auto *i64 = llvm::Type::getInt64Ty(context);
  auto *pointer = llvm::PointerType::getUnqual(context);
  llvm::Constant *fill = prepare;
  if (!fill)
    fill = llvm::ConstantPointerNull::get(pointer);
  llvm::Constant *metadata = llvm::ConstantExpr::getInBoundsGetElementPtr(
      i8, noteVariable, llvm::ConstantInt::get(i64, sizeof note));
  llvm::Constant *fields[] = {llvm::ConstantInt::get(i32, HWGQ_ABI_VERSION),
                              llvm::ConstantInt::get(i32, 0),
                              metadata,
                              llvm::ConstantInt::get(i64, record.size()),
                              run,
                              fill};
  auto *entryType = llvm::StructType::get(
      context, {i32, i32, pointer, i64, pointer, pointer});
  auto *entry = new llvm::GlobalVariable(
      module, entryType, true, llvm::GlobalValue::ExternalLinkage,
      llvm::ConstantStruct::get(entryType, fields),
      info.prefix + "_hwgq_module");
  entry->setAlignment(llvm::Align(8));
}

llvm::Expected<std::unique_ptr<llvm::Module>> hwgq::translateModule(
    mlir::ModuleOp module, const TargetSpec &target, const ModuleInfo &info,
    std::pair<int64_t, int64_t> workspace, llvm::LLVMContext &context) {
  mlir::registerBuiltinDialectTranslation(*module.getContext());
  mlir::registerLLVMDialectTranslation(*module.getContext());
  std::unique_ptr<llvm::Module> ir =
      mlir::translateModuleToLLVMIR(module, context);
  if (!ir)
    return llvm::createStringError("translation to LLVM IR failed");
  std::unique_ptr<llvm::TargetMachine> machine = target.createTargetMachine();
  if (!machine)
    return llvm::createStringError("no code generator for " + target.triple);
  ir->setDataLayout(machine->createDataLayout());
  ir->setTargetTriple(llvm::Triple(target.triple));
  llvm::Function *run = ir->getFunction("hwgq_run");
  if (!run)
    return llvm::createStringError("the module has no entry hwgq_run");
  llvm::Function *prepare = ir->getFunction("hwgq_prepare");
  if (bool(info.sharedBytes) != bool(prepare))
    return llvm::createStringError(
        "the module's prepared memory and hwgq_prepare do not belong together");
  for (llvm::Function &function : *ir) {
    if (function.isDeclaration())
      continue;
    function.setLinkage(llvm::GlobalValue::InternalLinkage);
    function.addFnAttr(llvm::Attribute::NoUnwind);
    function.addFnAttr("no-builtins"); // no call of memcpy and the like
    function.addFnAttr("target-cpu", target.cpu);
    if (!target.llvmFeatures.empty())
      function.addFnAttr("target-features", target.llvmFeatures);
  }
  std::vector<std::string> layers;
  if (auto names = module->getAttrOfType<mlir::ArrayAttr>("hwgq.layers"))
    for (auto name : names.getAsRange<mlir::StringAttr>())
      layers.push_back(name.getValue().str());
  addEntry(*ir, info, makeRecord(target, info, workspace, layers), run,
           prepare);
  return ir;
}
