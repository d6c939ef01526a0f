//===- TranslateKernels.cpp - LLVM IR of GPU kernels ----------------------===//
#include "hwgq/Target/ModuleFile.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/TargetParser/Triple.h"

using namespace hwgq;

llvm::Expected<std::unique_ptr<llvm::Module>>
hwgq::translateKernels(mlir::gpu::GPUModuleOp kernels, const TargetSpec &target,
                       llvm::LLVMContext &context) {
  mlir::MLIRContext &mlirContext = *kernels.getContext();
  mlir::registerBuiltinDialectTranslation(mlirContext);
  mlir::registerGPUDialectTranslation(mlirContext);
  mlir::registerLLVMDialectTranslation(mlirContext);
  mlir::registerNVVMDialectTranslation(mlirContext);
  std::unique_ptr<llvm::TargetMachine> machine = target.createTargetMachine();
  if (!machine)
    return llvm::createStringError("no code generator for " + target.triple);
  // Before the translation, which takes the alignment of loads from it.
  llvm::DataLayout layout = machine->createDataLayout();
  kernels->setAttr(
      mlir::LLVM::LLVMDialect::getDataLayoutAttrName(),
      mlir::StringAttr::get(&mlirContext, layout.getStringRepresentation()));
  std::unique_ptr<llvm::Module> ir =
      mlir::translateModuleToLLVMIR(kernels, context, "kernels");
  if (!ir)
    return llvm::createStringError("translation to LLVM IR failed");
  ir->setTargetTriple(llvm::Triple(target.triple));
  return ir;
}
