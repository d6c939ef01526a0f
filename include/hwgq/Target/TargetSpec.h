//===- TargetSpec.h - what --target names -----------------------*- C++ -*-===//
#ifndef HWGQ_TARGET_TARGETSPEC_H
#define HWGQ_TARGET_TARGETSPEC_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>
#include <vector>

namespace hwgq {

/// A target that code is generated for.
struct TargetSpec {
  enum class Arch { X86_64, AArch64, NVPTX };

  std::string name; ///< As given: "x86-64-v3", "aarch64+dotprod", ...
  Arch arch;
  std::string triple;       ///< "x86_64-unknown-linux-gnu"
  std::string cpu;          ///< LLVM's name of the CPU
  std::string llvmFeatures; ///< LLVM's feature string on top of the CPU

  /// CPU features that code generation may use and a machine must have, as
  /// `include/hwgq_abi.h` names them; sorted. Empty for NVPTX.
  std::vector<std::string> features;

  bool hasFeature(llvm::StringRef feature) const;

  /// Bytes of the widest vector register that code should use.
  unsigned getVectorBytes() const;

  /// Number of vector registers of that width.
  unsigned getVectorRegisters() const;

  /// Whether float fused multiply-add is an instruction.
  bool hasFma() const;

  /// Whether a vector of 64-bit lanes has a popcount instruction.
  bool hasVectorPopcount() const;

  /// The code generator for the target.
  std::unique_ptr<llvm::TargetMachine> createTargetMachine() const;
};

/// The target that `name` means: host, x86-64-v2, x86-64-v3, x86-64-v4, a name
/// of an x86 CPU that LLVM knows and that has at least v2, aarch64 or an Arm
/// CPU that LLVM knows (neoverse-v2, apple-m1), both with or without +features,
/// or nvptx-sm_NN. An error lists what there is.
llvm::Expected<TargetSpec> resolveTarget(llvm::StringRef name);

} // namespace hwgq

#endif // HWGQ_TARGET_TARGETSPEC_H
