//===- BitpackSelectKernels.cpp - a kernel for every contraction ----------===//
#include "hwgq/Dialect/Kernels.h"
#include "hwgq/Passes.h"
#include "llvm/ADT/StringSet.h"

namespace hwgq {
#define GEN_PASS_DEF_BITPACKSELECTKERNELS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;
using bitpack::Contraction;
using bitpack::Kernel;

namespace {

struct BitpackSelectKernels
    : hwgq::impl::BitpackSelectKernelsBase<BitpackSelectKernels> {
  using Base::Base;

  void runOnOperation() override {
    if (kernel != "auto" && !bitpack::findKernel(kernel)) {
      InFlightDiagnostic error = getOperation().emitError("no kernel is named ")
                                 << kernel << "; there are auto";
      for (const Kernel &known : bitpack::getKernels())
        error << ", " << known.name;
      return signalPassFailure();
    }
    llvm::StringSet<> features;
    for (StringRef feature : targetFeatures)
      if (!feature.starts_with("-"))
        features.insert(feature.ltrim('+'));
    getOperation().walk([&](Operation *op) {
      if (std::optional<Contraction> contraction = Contraction::get(op))
        op->setAttr("kernel", StringAttr::get(&getContext(),
                                              select(*contraction, features)));
    });
  }

  /// Null if the kernel can be used, else why not.
  const char *refuses(const Kernel &candidate, const Contraction &contraction,
                      const llvm::StringSet<> &features) {
    for (StringRef feature : candidate.features)
      if (!features.contains(feature))
        return "the target lacks a feature that it needs";
    return candidate.refuses(contraction);
  }

  StringRef select(const Contraction &contraction,
                   const llvm::StringSet<> &features) {
    if (kernel != "auto") {
      const Kernel *forced = bitpack::findKernel(kernel);
      const char *why = refuses(*forced, contraction, features);
      if (!why)
        return forced->name;
      ++refused;
      contraction.op->emitRemark("kernel ")
          << forced->name << " not chosen: " << why;
      return "generic";
    }
    for (const Kernel &candidate : bitpack::getKernels())
      if (!refuses(candidate, contraction, features))
        return candidate.name;
    return "generic";
  }
};

} // namespace
