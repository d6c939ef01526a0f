//===- NvvmKernelPointers.cpp - one pointer a memref for kernels ----------===//
#include "hwgq/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace hwgq {
#define GEN_PASS_DEF_NVVMKERNELPOINTERS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

/// Whether all that is done with the memory at `pointer` is loading.
static bool isOnlyRead(Value pointer) {
  return llvm::all_of(pointer.getUsers(), [](Operation *user) {
    if (isa<LLVM::LoadOp>(user))
      return true;
    auto address = dyn_cast<LLVM::GEPOp>(user);
    return address && isOnlyRead(address.getResult());
  });
}

namespace {

struct NvvmKernelPointers
    : hwgq::impl::NvvmKernelPointersBase<NvvmKernelPointers> {
  using Base::Base;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<LLVM::LLVMFuncOp>())
      if (function->hasAttr(NVVM::NVVMDialect::getKernelFuncAttrName()) &&
          !function.isExternal())
        convert(function);
  }

private:
  static void convert(LLVM::LLVMFuncOp function) {
    llvm::BitVector unused(function.getNumArguments());
    SmallVector<Type> used;
    for (BlockArgument argument : function.getArguments())
      if (argument.use_empty())
        unused.set(argument.getArgNumber());
      else
        used.push_back(argument.getType());
    function_interface_impl::eraseFunctionArguments(
        function, unused,
        LLVM::LLVMFunctionType::get(function.getFunctionType().getReturnType(),
                                    used));
    auto unit = UnitAttr::get(function.getContext());
    for (BlockArgument argument : function.getArguments()) {
      if (!isa<LLVM::LLVMPointerType>(argument.getType()))
        continue;
      unsigned i = argument.getArgNumber();
      function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), unit);
      if (isOnlyRead(argument))
        function.setArgAttr(i, LLVM::LLVMDialect::getReadonlyAttrName(), unit);
    }
  }
};

} // namespace
