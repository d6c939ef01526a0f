/*===- float_state.h - Rounding mode and denormals of a thread ------------===*/
#ifndef HWGQ_RUNTIME_FLOAT_STATE_H
#define HWGQ_RUNTIME_FLOAT_STATE_H

#include <stdint.h>

struct hwgq_float_state {
  uint64_t control;
  uint64_t status;
};

#if defined(__x86_64__)
#include <xmmintrin.h>

static inline struct hwgq_float_state hwgq_float_save(void) {
  struct hwgq_float_state state = {_mm_getcsr(), 0};
  return state;
}

/** Round to nearest even, denormals kept, all exceptions masked. */
static inline void hwgq_float_set_exact(void) { _mm_setcsr(0x1F80); }

static inline void hwgq_float_restore(struct hwgq_float_state state) {
  _mm_setcsr((unsigned)state.control);
}

#elif defined(__aarch64__)

static inline struct hwgq_float_state hwgq_float_save(void) {
  struct hwgq_float_state state;
  __asm__ volatile("mrs %0, fpcr" : "=r"(state.control)::"memory");
  __asm__ volatile("mrs %0, fpsr" : "=r"(state.status)::"memory");
  return state;
}

static inline void hwgq_float_set_exact(void) {
  __asm__ volatile("msr fpcr, %0" ::"r"(UINT64_C(0)) : "memory");
}

static inline void hwgq_float_restore(struct hwgq_float_state state) {
  __asm__ volatile("msr fpcr, %0" ::"r"(state.control) : "memory");
  __asm__ volatile("msr fpsr, %0" ::"r"(state.status) : "memory");
}

#else
#error "hwgq runs on x86-64 and AArch64"
#endif

#endif /* HWGQ_RUNTIME_FLOAT_STATE_H */
