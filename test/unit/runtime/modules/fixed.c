/* sum[i] = sum over k of a[i][k] * b[i][k], and whether it is positive. */
#include "hwgq_abi.h"
#include RECORD

static void run(const struct hwgq_frame *frame) {
  const unsigned char *a = frame->inputs[0];
  const int64_t *b = frame->inputs[1];
  int64_t *sum = frame->outputs[0];
  unsigned char *positive = frame->outputs[1];
  for (int i = 0; i < 2; ++i) {
    sum[i] = 0;
    for (int k = 0; k < 3; ++k)
      sum[i] += a[3 * i + k] * b[3 * i + k];
    positive[i] = sum[i] > 0;
  }
}

extern const struct hwgq_module_entry fixed_hwgq_module;
const struct hwgq_module_entry fixed_hwgq_module = {
    HWGQ_ABI_VERSION, 0, noted.record, sizeof noted.record, run, 0};
