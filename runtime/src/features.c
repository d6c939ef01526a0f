/*===- features.c - What this machine can do ------------------------------===*/
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct feature {
  const char *name;
  uint32_t place[4]; /**< as in the lists of hwgq_abi.h */
  uint32_t state;
};

#if defined(__x86_64__)
#include <cpuid.h>

#define HWGQ_THIS_ARCH HWGQ_ARCH_X86_64
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18

static const struct feature features[] = {
#define FEATURE(name, leaf, subleaf, reg, bit, state)                          \
  {name, {leaf, subleaf, reg, bit}, state},
    HWGQ_X86_FEATURES(FEATURE)
#undef FEATURE
};

/** XCR0: the register state that the system saves; 0 without XSAVE. */
static uint64_t saved_state(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (UINT32_C(1) << 27)))
    return 0;
  __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return (uint64_t)d << 32 | a;
}

static int has(const struct feature *feature) {
  uint32_t reg[4];
  if (!__get_cpuid_count(feature->place[0], feature->place[1], &reg[0], &reg[1],
                         &reg[2], &reg[3]))
    return 0;
  if (!(reg[feature->place[2]] >> feature->place[3] & 1))
    return 0;
  return (saved_state() & feature->state) == feature->state;
}

hwgq_status hwgq_request_features(const struct hwgq_info *info) {
  for (size_t i = 0; i < info->feature_count; ++i) {
    if (strncmp(info->strings[i], "amx-", 4) != 0)
      continue;
    /* For the whole process, threads made later included. */
    if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0)
      return HWGQ_OK;
    return hwgq_fail(HWGQ_UNSUPPORTED,
                     "module needs %s, and the system does not permit AMX tile "
                     "registers (%s); compile for a target without AMX",
                     info->strings[i], strerror(errno));
  }
  return HWGQ_OK;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

#define HWGQ_THIS_ARCH HWGQ_ARCH_AARCH64

static const struct feature features[] = {
#define FEATURE(name, word, bit) {name, {word, (uint32_t)(bit), 0, 0}, 0},
    HWGQ_AARCH64_FEATURES(FEATURE)
#undef FEATURE
};

static int has(const struct feature *feature) {
  unsigned long bits = getauxval(feature->place[0] == 1 ? AT_HWCAP : AT_HWCAP2);
  return feature->place[1] == UINT32_MAX || (bits >> feature->place[1] & 1);
}

hwgq_status hwgq_request_features(const struct hwgq_info *info) {
  (void)info;
  return HWGQ_OK;
}

#endif

static const char *arch_name(uint32_t arch) {
  return arch == HWGQ_ARCH_X86_64    ? "x86-64"
         : arch == HWGQ_ARCH_AARCH64 ? "AArch64"
                                     : "an unknown architecture";
}

hwgq_status hwgq_check_machine(const struct hwgq_info *info, const char *name) {
  if (info->header.arch != HWGQ_THIS_ARCH)
    return hwgq_fail(HWGQ_UNSUPPORTED,
                     "%s: module is for %s, this machine is %s; compile with "
                     "--target=host on this machine",
                     name, arch_name(info->header.arch),
                     arch_name(HWGQ_THIS_ARCH));
  for (size_t i = 0; i < info->feature_count; ++i) {
    const struct feature *found = NULL;
    for (size_t k = 0; k < sizeof features / sizeof features[0]; ++k)
      if (strcmp(features[k].name, info->strings[i]) == 0)
        found = &features[k];
    if (!found)
      return hwgq_fail(HWGQ_UNSUPPORTED,
                       "%s: module needs %s, which this runtime (version %s) "
                       "does not know; use a newer runtime or compile with "
                       "another --target",
                       name, info->strings[i], hwgq_version());
    if (!has(found))
      return hwgq_fail(HWGQ_UNSUPPORTED,
                       "%s: module needs %s, this CPU lacks it; compile with "
                       "--target=host on this machine, or for an older CPU "
                       "such as --target=%s",
                       name, info->strings[i],
                       HWGQ_THIS_ARCH == HWGQ_ARCH_X86_64 ? "x86-64-v2"
                                                          : "aarch64");
  }
  return HWGQ_OK;
}
