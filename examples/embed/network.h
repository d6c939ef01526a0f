/*===- network.h - A module with arrays for one batch ---------------------===*\
|* What both programs need: all inputs set to one value, all outputs printed.
\*===----------------------------------------------------------------------===*/
#ifndef NETWORK_H
#define NETWORK_H

#include <hwgq/runtime.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_TENSORS 16

struct network {
  hwgq_context *context;
  hwgq_input inputs[MAX_TENSORS];
  hwgq_output outputs[MAX_TENSORS];
  size_t input_count;
  size_t output_count;
  int64_t batch;
};

static inline int fail(const char *what) {
  fprintf(stderr, "error: %s\n", what);
  return 1;
}

static inline void *zeros(const hwgq_tensor *tensor, int64_t batch,
                          size_t *bytes) {
  if (hwgq_tensor_shape(tensor, batch, NULL, bytes) != HWGQ_OK)
    return NULL;
  return calloc(*bytes + 8, 1);
}

/** Makes a context and arrays; 0 or 1. The caller keeps the module. */
static inline int network_make(struct network *network, hwgq_module *module,
                               int threads) {
  int64_t fixed = hwgq_module_batch(module);
  network->batch = fixed == HWGQ_BATCH_DYNAMIC ? 1 : fixed;
  network->input_count = hwgq_module_input_count(module);
  network->output_count = hwgq_module_output_count(module);
  if (network->input_count > MAX_TENSORS || network->output_count > MAX_TENSORS)
    return fail("too many inputs or outputs for this example");
  for (size_t i = 0; i < network->input_count; ++i)
    if (!(network->inputs[i].data =
              zeros(hwgq_module_input(module, i), network->batch,
                    &network->inputs[i].bytes)))
      return fail("no memory");
  for (size_t i = 0; i < network->output_count; ++i)
    if (!(network->outputs[i].data =
              zeros(hwgq_module_output(module, i), network->batch,
                    &network->outputs[i].bytes)))
      return fail("no memory");
  if (hwgq_context_create(module, threads, network->batch, &network->context) !=
      HWGQ_OK)
    return fail(hwgq_last_error());
  return 0;
}

static inline int network_run(struct network *network) {
  if (hwgq_run(network->context, network->inputs, network->input_count,
               network->outputs, network->output_count,
               network->batch) != HWGQ_OK)
    return fail(hwgq_last_error());
  return 0;
}

/** Prints the first values of each output that is f32. */
static inline void network_print(const struct network *network,
                                 const hwgq_module *module) {
  for (size_t i = 0; i < network->output_count; ++i) {
    const hwgq_tensor *tensor = hwgq_module_output(module, i);
    const float *values = network->outputs[i].data;
    size_t count = network->outputs[i].bytes / sizeof *values;
    printf("%s (%s):", tensor->name, hwgq_dtype_name(tensor->dtype));
    for (size_t k = 0; tensor->dtype == HWGQ_F32 && k < count && k < 10; ++k)
      printf(" %g", (double)values[k]);
    printf("\n");
  }
}

static inline void network_free(struct network *network) {
  for (size_t i = 0; i < network->input_count; ++i)
    free((void *)network->inputs[i].data);
  for (size_t i = 0; i < network->output_count; ++i)
    free(network->outputs[i].data);
  hwgq_context_destroy(network->context);
}

#endif /* NETWORK_H */
