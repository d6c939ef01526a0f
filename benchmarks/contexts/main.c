/*===- main.c - hwgq-contexts: what a context costs
------------------------===*\
|* Opens a module, makes contexts of one thread, and runs one on zeros. Prints
|* the median time of making a context and the calls of the allocator while
|* 20 runs take place (malloc, calloc, realloc, aligned_alloc and mmap of the
|* whole program are wrapped when it is linked).
|*
|*   hwgq-contexts MODULE.so
\*===----------------------------------------------------------------------===*/
#define _GNU_SOURCE
#include <hwgq/runtime.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { contexts = 21, runs = 20 };

static atomic_long allocations;

#define WRAP(type, name, parameters, arguments)                                \
  type __real_##name parameters;                                               \
  type __wrap_##name parameters;                                               \
  type __wrap_##name parameters {                                              \
    atomic_fetch_add(&allocations, 1);                                         \
    return __real_##name arguments;                                            \
  }

WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, (void *old, size_t size), (old, size))
WRAP(void *, aligned_alloc, (size_t align, size_t size), (align, size))
WRAP(void *, mmap,
     (void *at, size_t size, int protection, int flags, int file, off_t offset),
     (at, size, protection, flags, file, offset))

static int fail(void) {
  fprintf(stderr, "error: %s\n", hwgq_last_error());
  return 1;
}

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/** Arrays of zeros for the tensors of one side, at batch 1. */
static void **arrays(const hwgq_module *module, size_t count, size_t *bytes,
                     const hwgq_tensor *(*tensor)(const hwgq_module *,
                                                  size_t)) {
  void **data = calloc(count + 1, sizeof *data);
  for (size_t i = 0; data && i < count; ++i) {
    int64_t batch = hwgq_module_batch(module);
    if (hwgq_tensor_shape(tensor(module, i), batch < 1 ? 1 : batch, NULL,
                          &bytes[i]) != HWGQ_OK ||
        !(data[i] = calloc(bytes[i] + 1, 1)))
      return NULL;
  }
  return data;
}

/** Allocator calls in `runs` runs after a first one; -1 on failure. */
static long count_allocations(const hwgq_module *module,
                              hwgq_context *context) {
  size_t ins = hwgq_module_input_count(module);
  size_t outs = hwgq_module_output_count(module);
  hwgq_input *inputs = calloc(ins + 1, sizeof *inputs);
  hwgq_output *outputs = calloc(outs + 1, sizeof *outputs);
  size_t *bytes = calloc(ins + outs + 1, sizeof *bytes);
  if (!inputs || !outputs || !bytes)
    return -1;
  void **in = arrays(module, ins, bytes, hwgq_module_input);
  void **out = arrays(module, outs, bytes + ins, hwgq_module_output);
  if (!in || !out)
    return -1;
  for (size_t i = 0; i < ins; ++i)
    inputs[i] = (hwgq_input){in[i], bytes[i]};
  for (size_t i = 0; i < outs; ++i)
    outputs[i] = (hwgq_output){out[i], bytes[ins + i]};
  int64_t batch = hwgq_module_batch(module);
  long before = 0;
  for (int i = 0; i <= runs; ++i) {
    if (i == 1)
      before = atomic_load(&allocations);
    if (hwgq_run(context, inputs, ins, outputs, outs, batch < 1 ? 1 : batch) !=
        HWGQ_OK)
      return -1;
  }
  return atomic_load(&allocations) - before;
}

int main(int argc, char **argv) {
  hwgq_module *module;
  hwgq_context *context = NULL;
  double times[contexts];
  if (argc != 2) {
    fprintf(stderr, "usage: hwgq-contexts MODULE.so\n");
    return 1;
  }
  if (hwgq_module_open(argv[1], &module) != HWGQ_OK)
    return fail();
  for (int i = 0; i < contexts; ++i) {
    hwgq_context_destroy(context);
    double start = milliseconds();
    if (hwgq_context_create(module, 1, 1, &context) != HWGQ_OK)
      return fail();
    times[i] = milliseconds() - start;
  }
  qsort(times, contexts, sizeof *times, compare);
  long made = atomic_load(&allocations);
  long calls = count_allocations(module, context);
  if (calls < 0)
    return fail();
  printf("{\"create_ms\": %.4f, \"runs\": %d, \"allocations\": %ld, "
         "\"allocations_before\": %ld}\n",
         times[contexts / 2], runs, calls, made);
  return 0;
}
