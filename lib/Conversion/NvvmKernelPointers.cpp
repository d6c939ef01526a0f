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
          !function.isExternal() && failed(convert(function)))
        return signalPassFailure();
  }

private:
  static LogicalResult convert(LLVM::LLVMFuncOp function) {
    llvm::BitVector unused(function.getNumArguments());
    for (BlockArgument argument : function.getArguments())
      unused[argument.getArgNumber()] = argument.use_empty();
    if (failed(function.eraseArguments(unused)))
      return failure();
    auto unit = UnitAttr::get(function.getContext());
    for (BlockArgument argument : function.getArguments()) {
      if (!isa<LLVM::LLVMPointerType>(argument.getType()))
        continue;
      unsigned i = argument.getArgNumber();
      function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), unit);
      if (isOnlyRead(argument))
        function.setArgAttr(i, LLVM::LLVMDialect::getReadonlyAttrName(), unit);
    }
    return success();
  }
};

} // namespace
