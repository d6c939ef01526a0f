//===- CheckTargetIntrinsics.cpp - only instructions that the target has --===//
#include "hwgq/Conversion/TargetIntrinsics.h"
#include "hwgq/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace hwgq {
#define GEN_PASS_DEF_CHECKTARGETINTRINSICS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

namespace {

struct CheckTargetIntrinsics
    : hwgq::impl::CheckTargetIntrinsicsBase<CheckTargetIntrinsics> {
  using Base::Base;

  void runOnOperation() override {
    llvm::StringSet<> have;
    for (StringRef feature : features)
      if (!feature.starts_with("-"))
        have.insert(feature.ltrim('+'));
    auto check = [&](LLVM::CallIntrinsicOp call) {
      if (failed(this->check(call, have)))
        signalPassFailure();
    };
    getOperation().walk(check);
  }

  static LogicalResult check(LLVM::CallIntrinsicOp call,
                             const llvm::StringSet<> &have) {
    StringRef name = call.getIntrin();
    if (!name.starts_with("llvm.x86.") && !name.starts_with("llvm.aarch64."))
      return success();
    const TargetIntrinsic *row = findTargetIntrinsic(call);
    if (!row)
      return call.emitError("the table of target intrinsics has no ")
             << name << " with these types";
    if (row->isAvailable(have))
      return success();
    return call.emitError("the target lacks an instruction that is called: ")
           << row->name << " needs " << row->features;
  }
};

} // namespace
