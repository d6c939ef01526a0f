/*===- module.c - Fuzz target of the module reader
--------------------------===*\
|* Reads arbitrary bytes as a module, once as they are and once with length and
|* checksum made right, so that what lies behind these checks is reached, too.
\*===----------------------------------------------------------------------===*/
#include <hwgq/runtime.h>

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t text(const char *string) { return string ? strlen(string) : 0; }

/** Touches all that a module says of itself. */
static size_t query(const hwgq_module *module) {
  size_t sum =
      text(hwgq_module_report(module)) + text(hwgq_module_options(module)) +
      text(hwgq_module_triple(module)) + text(hwgq_module_target(module)) +
      text(hwgq_module_prefix(module));
  for (size_t i = 0; i <= hwgq_module_feature_count(module); ++i)
    sum += text(hwgq_module_feature(module, i));
  for (size_t i = 0; i <= hwgq_module_layer_count(module); ++i)
    sum += text(hwgq_module_layer(module, i));
  for (int output = 0; output < 2; ++output) {
    size_t count = output ? hwgq_module_output_count(module)
                          : hwgq_module_input_count(module);
    for (size_t i = 0; i < count; ++i) {
      const hwgq_tensor *tensor =
          output ? hwgq_module_output(module, i) : hwgq_module_input(module, i);
      int64_t dims[HWGQ_MAX_RANK];
      size_t bytes = 0;
      sum += text(tensor->name);
      if (hwgq_tensor_shape(tensor, 3, dims, &bytes) == HWGQ_OK)
        sum += bytes;
    }
  }
  size_t workspace = 0;
  if (hwgq_module_workspace_bytes(module, 3, &workspace) == HWGQ_OK)
    sum += workspace;
  return sum;
}

static void read_module(const void *data, size_t size) {
  hwgq_module *module = NULL;
  if (hwgq_module_read_memory(data, size, &module) != HWGQ_OK) {
    if (module || !*hwgq_last_error())
      abort(); /* a failure leaves the result alone and says why */
    return;
  }
  volatile size_t sum = query(module);
  (void)sum;
  hwgq_module_close(module);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  read_module(data, size);
  uint64_t at, record;
  uint8_t *copy = malloc(size ? size : 1);
  memcpy(copy, data, size);
  if (!hwgq_locate_record(copy, size, &at, &record)) {
    uint64_t length = size;
    memcpy(copy + at + offsetof(struct hwgq_record, file_size), &length, 8);
    uint64_t field = at + offsetof(struct hwgq_record, file_checksum);
    uint64_t checksum = hwgq_checksum(copy, size, field);
    memcpy(copy + field, &checksum, 8);
    read_module(copy, size);
  }
  free(copy);
  return 0;
}
