//===- Cpu.cpp - Which instruction sets are here --------------------------===//

#include "Ceilings.h"

#include <cstdio>
#include <cstring>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace hwgq::ceilings {

#if defined(__x86_64__)
namespace {
struct Regs {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Regs cpuid(unsigned leaf, unsigned subleaf) {
  Regs r;
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
  return r;
}

/// The register state that the operating system saves (XCR0).
uint64_t savedState() {
  if (!(cpuid(1, 0).c >> 27 & 1)) // OSXSAVE
    return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

/// Asks Linux for the use of tile data (state component 18).
bool requestTiles() {
  constexpr int archReqXcompPerm = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, archReqXcompPerm, tileData) == 0;
}

bool bit(unsigned reg, int i) { return reg >> i & 1; }
} // namespace

bool hasIsa(const char *isa) {
  Regs l1 = cpuid(1, 0), l7 = cpuid(7, 0), l71 = cpuid(7, 1);
  uint64_t saved = savedState();
  bool avxState = (saved & 0x6) == 0x6, avx512State = (saved & 0xe6) == 0xe6;
  bool avx2 = avxState && bit(l7.b, 5) && bit(l1.c, 12); // with FMA
  bool avx512 = avx512State && avx2 && bit(l7.b, 16) && bit(l7.b, 17) &&
                bit(l7.b, 30) && bit(l7.b, 31); // F, DQ, BW, VL
  auto is = [&](const char *name) { return std::strcmp(isa, name) == 0; };
  if (is("ssse3"))
    return bit(l1.c, 9);
  if (is("avx2"))
    return avx2;
  if (is("avxvnni"))
    return avx2 && bit(l71.a, 4);
  if (is("avx512bw"))
    return avx512;
  if (is("avx512vbmi"))
    return avx512 && bit(l7.c, 1);
  if (is("gfni")) // on registers of 64 bytes, beside VBMI
    return avx512 && bit(l7.c, 1) && bit(l7.c, 8);
  if (is("avx512vnni"))
    return avx512 && bit(l7.c, 11);
  if (is("avx512vpopcntdq"))
    return avx512 && bit(l7.c, 14);
  if (is("amx-int8"))
    return (saved & 0x60000) == 0x60000 && bit(l7.d, 24) && bit(l7.d, 25) &&
           requestTiles();
  return false;
}
#elif defined(__aarch64__)
bool hasIsa(const char *isa) {
  constexpr unsigned long asimd = 1 << 1, asimdDot = 1 << 20;
  unsigned long caps = getauxval(AT_HWCAP);
  if (!std::strcmp(isa, "neon"))
    return caps & asimd;
  return !std::strcmp(isa, "neon-dotprod") && (caps & asimdDot);
}
#else
bool hasIsa(const char *) { return false; }
#endif

const char *cpuName() {
  static const std::string name = [] {
    std::string found = "unknown";
    std::FILE *file = std::fopen("/proc/cpuinfo", "r");
    if (!file)
      return found;
    char line[512];
    while (std::fgets(line, sizeof line, file)) {
      const char *colon = std::strchr(line, ':');
      if (std::strncmp(line, "model name", 10) || !colon)
        continue;
      found.assign(colon + 2);
      while (!found.empty() && found.back() == '\n')
        found.pop_back();
      break;
    }
    std::fclose(file);
    return found;
  }();
  return name.c_str();
}

} // namespace hwgq::ceilings
