//===- TargetSpec.cpp - what --target names -------------------------------===//
#include "hwgq/Target/TargetSpec.h"
#include "hwgq_abi.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include <mutex>

using namespace llvm;
using namespace hwgq;

/// Makes LLVM's back ends known, once.
static void initializeTargets() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
}

/// Names of the features that the runtime can look for.
static const StringSet<> &knownFeatures(TargetSpec::Arch arch) {
#define FEATURE(name, ...) name,
  static const StringSet<> x86 = {HWGQ_X86_FEATURES(FEATURE)};
  static const StringSet<> aarch64 = {HWGQ_AARCH64_FEATURES(FEATURE)};
#undef FEATURE
  return arch == TargetSpec::Arch::X86_64 ? x86 : aarch64;
}

/// Features that code generation never uses of itself: system instructions and
/// those that only intrinsics reach. Modules should not ask for them.
static bool isUnused(StringRef feature) {
  static const StringSet<> unused = {
      "aes",      "amx-bf16",   "amx-fp16",  "cldemote",  "clflushopt",
      "clwb",     "clzero",     "cmpccxadd", "crc",       "enqcmd",
      "fsgsbase", "fxsr",       "invpcid",   "movdir64b", "movdiri",
      "mwaitx",   "pclmul",     "pconfig",   "pku",       "prefetchi",
      "prfchw",   "ptwrite",    "rdpid",     "rdpru",     "rdrnd",
      "rdseed",   "serialize",  "sha",       "sha2",      "sm4",
      "sme",      "sme2",       "shstk",     "tsxldtrk",  "uintr",
      "vaes",     "vpclmulqdq", "waitpkg",   "wbnoinvd",  "xsave",
      "xsavec",   "xsaveopt",   "xsaves"};
  return unused.contains(feature);
}

bool TargetSpec::hasFeature(StringRef feature) const {
  return llvm::is_contained(features, feature);
}

unsigned TargetSpec::getVectorBytes() const {
  if (arch == Arch::X86_64)
    return hasFeature("avx512bw") && hasFeature("avx512vl") ? 64
           : hasFeature("avx2")                             ? 32
                                                            : 16;
  return 16;
}

unsigned TargetSpec::getVectorRegisters() const {
  if (arch == Arch::X86_64)
    return getVectorBytes() == 64 ? 32 : 16;
  return 32;
}

bool TargetSpec::hasFma() const {
  return arch != Arch::X86_64 || hasFeature("fma");
}

bool TargetSpec::hasVectorPopcount() const {
  return hasFeature("avx512vpopcntdq") && getVectorBytes() == 64;
}

std::unique_ptr<TargetMachine> TargetSpec::createTargetMachine() const {
  initializeTargets();
  std::string error;
  Triple parsed(triple);
  const Target *target = TargetRegistry::lookupTarget(parsed, error);
  if (!target)
    return nullptr;
  TargetOptions options;
  options.AllowFPOpFusion = FPOpFusion::Strict;
  options.NoTrappingFPMath = true;
  return std::unique_ptr<TargetMachine>(target->createTargetMachine(
      parsed, cpu, llvmFeatures, options, Reloc::PIC_, CodeModel::Small,
      CodeGenOptLevel::Aggressive));
}

/// Reads the features of the chosen CPU back from LLVM.
static Error collectFeatures(TargetSpec &spec) {
  std::unique_ptr<TargetMachine> machine = spec.createTargetMachine();
  if (!machine)
    return createStringError("LLVM has no code generator for %s",
                             spec.triple.c_str());
  const MCSubtargetInfo &info = *machine->getMCSubtargetInfo();
  for (const SubtargetFeatureKV &feature : info.getAllProcessorFeatures())
    if (info.getFeatureBits().test(feature.Value) &&
        knownFeatures(spec.arch).contains(feature.Key) &&
        !isUnused(feature.Key))
      spec.features.push_back(feature.Key);
  llvm::sort(spec.features);
  return Error::success();
}

static Error unknownTarget(StringRef name) {
  return createStringError(
      "unknown target '" + name +
      "'; there are host, x86-64-v2, x86-64-v3, x86-64-v4, x86 CPUs such as "
      "icelake-server, sapphirerapids and znver4, aarch64[+feature...], Arm "
      "CPUs "
      "such as neoverse-v2, cortex-a76, apple-m1 and a64fx, and "
      "nvptx-sm_75 and later, such as nvptx-sm_90a");
}

static Expected<TargetSpec> resolveX86(StringRef name) {
  TargetSpec spec{name.str(),
                  TargetSpec::Arch::X86_64,
                  "x86_64-unknown-linux-gnu",
                  name.str(),
                  "",
                  {}};
  if (name == "host") {
    spec.cpu = sys::getHostCPUName().str();
    // What the system really offers, which may be less than the CPU's name.
    std::vector<std::string> flags;
    for (const auto &feature : sys::getHostCPUFeatures())
      flags.push_back((feature.second ? "+" : "-") + feature.first().str());
    llvm::sort(flags);
    spec.llvmFeatures = llvm::join(flags, ",");
  }
  if (spec.createTargetMachine()->getMCSubtargetInfo()->isCPUStringValid(
          spec.cpu) == false)
    return unknownTarget(name);
  if (Error error = collectFeatures(spec))
    return std::move(error);
  if (!spec.hasFeature("ssse3") || !spec.hasFeature("popcnt"))
    return createStringError("target '" + name +
                             "' is too old: x86-64-v2 (SSSE3, SSE4.2, POPCNT) "
                             "is the least that is supported");
  return spec;
}

/// Whether scalable registers of a CPU are longer than those of NEON. Where
/// they are not, as on most, NEON does the same with as many instructions
/// (docs/Performance.md), so that modules use and ask for none there.
static bool hasLongScalableRegisters(StringRef cpu) {
  return StringSwitch<bool>(cpu)
      .Cases({"neoverse-v1", "neoverse-512tvb", "fujitsu-monaka", "a64fx"},
             true)
      .Default(false);
}

/// An AArch64 CPU by LLVM's name, or `generic`, and further features.
static Expected<TargetSpec> resolveAArch64(StringRef name, StringRef cpu,
                                           StringRef features) {
  TargetSpec spec{name.str(),
                  TargetSpec::Arch::AArch64,
                  "aarch64-unknown-linux-gnu",
                  cpu.str(),
                  "",
                  {}};
  SmallVector<StringRef> parts;
  features.split(parts, '+', -1, /*KeepEmpty=*/false);
  if (cpu != "generic" && !hasLongScalableRegisters(cpu))
    spec.llvmFeatures = "-sve";
  for (StringRef part : parts) {
    if (!knownFeatures(spec.arch).contains(part))
      return createStringError("unknown AArch64 feature '" + part + "'");
    spec.llvmFeatures += (spec.llvmFeatures.empty() ? "+" : ",+") + part.str();
  }
  if (Error error = collectFeatures(spec))
    return std::move(error);
  if (!spec.hasFeature("neon"))
    return createStringError("target '" + name +
                             "' has no NEON, which every "
                             "kernel for AArch64 needs");
  return spec;
}

/// Whether LLVM knows an AArch64 CPU of this name.
static bool isAArch64Cpu(StringRef name) {
  TargetSpec spec{
      "", TargetSpec::Arch::AArch64, "aarch64-unknown-linux-gnu", "generic", "",
      {}};
  return name != "generic" &&
         spec.createTargetMachine()->getMCSubtargetInfo()->isCPUStringValid(
             name);
}

/// Chips and the first PTX version that knows each.
static Expected<TargetSpec> resolveNvptx(StringRef name, StringRef chip) {
  static constexpr std::pair<StringLiteral, StringLiteral> chips[] = {
      {"sm_75", "+ptx63"},   {"sm_80", "+ptx70"},   {"sm_86", "+ptx71"},
      {"sm_87", "+ptx74"},   {"sm_89", "+ptx78"},   {"sm_90", "+ptx78"},
      {"sm_90a", "+ptx80"},  {"sm_100", "+ptx86"},  {"sm_100a", "+ptx86"},
      {"sm_103", "+ptx88"},  {"sm_103a", "+ptx88"}, {"sm_120", "+ptx87"},
      {"sm_120a", "+ptx87"}, {"sm_121", "+ptx88"},  {"sm_121a", "+ptx88"}};
  std::string known;
  for (auto [candidate, version] : chips) {
    if (candidate == chip)
      return TargetSpec{
          name.str(), TargetSpec::Arch::NVPTX, "nvptx64-nvidia-cuda",
          chip.str(), version.str(),           {}};
    known += (known.empty() ? "" : ", ") + candidate.str();
  }
  return createStringError("unknown chip '" + chip + "'; there are " + known);
}

Expected<TargetSpec> hwgq::resolveTarget(StringRef name) {
  initializeTargets();
  StringRef rest = name;
  Triple host(sys::getProcessTriple());
  if (rest.consume_front("aarch64") && (rest.empty() || rest.front() == '+'))
    return resolveAArch64(name, "generic", rest);
  rest = name;
  if (rest.consume_front("nvptx-"))
    return resolveNvptx(name, rest);
  if (name == "host" && host.isAArch64())
    return resolveAArch64(name, "generic", "");
  if (name.empty() || name.contains("native"))
    return unknownTarget(name);
  auto [cpu, features] = name.split('+');
  if (isAArch64Cpu(cpu))
    return resolveAArch64(name, cpu, features);
  return resolveX86(name);
}
