/* Copies an array of each element type. */
#include "hwgq_abi.h"
#include RECORD

static void run(const struct hwgq_frame *frame) {
  for (uint32_t type = HWGQ_F32; type <= HWGQ_BOOL; ++type) {
    const volatile unsigned char *from = frame->inputs[type - 1];
    volatile unsigned char *to = frame->outputs[type - 1];
    for (uint32_t i = 0; i < 30 * hwgq_dtype_size(type); ++i)
      to[i] = from[i];
  }
}

extern const struct hwgq_module_entry types_hwgq_module;
const struct hwgq_module_entry types_hwgq_module = {
    HWGQ_ABI_VERSION, 0, noted.record, sizeof noted.record, run, 0};
