//===- TranslateKernels.cpp - LLVM IR of GPU kernels ----------------------===//
#include "hwgq/Target/ModuleFile.h"
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
  std::unique_ptr<llvm::Module> ir =
      mlir::translateModuleToLLVMIR(kernels, context, "kernels");
  if (!ir)
    return llvm::createStringError("translation to LLVM IR failed");
  std::unique_ptr<llvm::TargetMachine> machine = target.createTargetMachine();
  if (!machine)
    return llvm::createStringError("no code generator for " + target.triple);
  ir->setDataLayout(machine->createDataLayout());
  ir->setTargetTriple(llvm::Triple(target.triple));
  return ir;
}
