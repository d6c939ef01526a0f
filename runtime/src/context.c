/*===- context.c - Workspace, threads and the run -------------------------===*/
#define _GNU_SOURCE
#include "float_state.h"
#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct hwgq_context {
  hwgq_module *module;
  struct hwgq_pool *pool;
  int threads;
  pid_t process; /**< workers do not survive a fork */
  atomic_flag busy;
  void *workspace;
  size_t workspace_bytes;
  int64_t max_batch;
  const void **inputs;
  void **outputs;
  uint64_t *layer_time; /**< NULL unless profiling */
  uint64_t last_mark;
};

static int enter(hwgq_context *context) {
  return !atomic_flag_test_and_set_explicit(&context->busy,
                                            memory_order_acquire);
}

static void leave(hwgq_context *context) {
  atomic_flag_clear_explicit(&context->busy, memory_order_release);
}

static hwgq_status in_use(void) {
  return hwgq_fail(HWGQ_INVALID,
                   "the context is in use by another thread; make one context "
                   "for each thread");
}

/*===- Making ---------------------------------------------------------------*/

static hwgq_status reserve(hwgq_context *context, int64_t batch) {
  size_t bytes;
  hwgq_status status = HWGQ_OK;
  const struct hwgq_info *info = &context->module->info;
  if (info->header.batch != HWGQ_BATCH_DYNAMIC)
    batch = info->header.batch;
  for (size_t i = 0; i < info->input_count + info->output_count; ++i)
    if (status == HWGQ_OK)
      status = hwgq_tensor_shape(&info->tensors[i], batch, NULL, NULL);
  if (status == HWGQ_OK)
    status = hwgq_info_workspace(info, batch, &bytes);
  if (status != HWGQ_OK || batch <= context->max_batch)
    return status;
  if (bytes > context->workspace_bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return hwgq_fail(HWGQ_NO_MEMORY,
                       "no memory for the workspace of %zu bytes (batch "
                       "%" PRId64 ")",
                       bytes, batch);
    madvise(memory, bytes, MADV_HUGEPAGE);
    if (context->workspace)
      munmap(context->workspace, context->workspace_bytes);
    context->workspace = memory;
    context->workspace_bytes = bytes;
  }
  context->max_batch = batch;
  return HWGQ_OK;
}

static hwgq_status set_threads(hwgq_context *context, int threads) {
  if (threads < 0 || threads > HWGQ_MAX_THREADS)
    return hwgq_fail(HWGQ_INVALID, "threads must be 0 to %d, not %d",
                     HWGQ_MAX_THREADS, threads);
  if (threads == 0)
    threads = hwgq_cpu_count();
  if (threads > HWGQ_MAX_THREADS)
    threads = HWGQ_MAX_THREADS;
  if (threads == context->threads)
    return HWGQ_OK;
  struct hwgq_pool *pool = hwgq_pool_create(threads);
  if (!pool)
    return hwgq_fail(HWGQ_NO_MEMORY, "%d threads cannot be had", threads);
  hwgq_pool_destroy(context->pool);
  context->pool = pool;
  context->threads = threads;
  return HWGQ_OK;
}

hwgq_status hwgq_context_create(hwgq_module *module, int threads,
                                int64_t max_batch, hwgq_context **result) {
  if (!module || !result)
    return hwgq_fail(HWGQ_INVALID, "a module and a place for the context "
                                   "needed");
  if (!module->entry)
    return hwgq_fail(HWGQ_INVALID,
                     "the module was only read; open it to run it");
  hwgq_context *context = calloc(1, sizeof *context);
  if (!context)
    return hwgq_fail(HWGQ_NO_MEMORY, "out of memory");
  hwgq_module_retain(module);
  context->module = module;
  context->process = getpid();
  atomic_flag_clear(&context->busy);
  context->inputs = calloc(module->info.input_count + 1, sizeof(void *));
  context->outputs = calloc(module->info.output_count + 1, sizeof(void *));
  hwgq_status status = context->inputs && context->outputs
                           ? hwgq_request_features(&module->info)
                           : hwgq_fail(HWGQ_NO_MEMORY, "out of memory");
  if (status == HWGQ_OK)
    status = reserve(context, max_batch);
  if (status == HWGQ_OK)
    status = set_threads(context, threads);
  if (status == HWGQ_OK)
    *result = context;
  else
    hwgq_context_destroy(context);
  return status;
}

void hwgq_context_destroy(hwgq_context *context) {
  if (!context)
    return;
  /* In a forked child there are no workers to wait for. */
  if (context->process == getpid())
    hwgq_pool_destroy(context->pool);
  if (context->workspace)
    munmap(context->workspace, context->workspace_bytes);
  free(context->inputs);
  free(context->outputs);
  free(context->layer_time);
  hwgq_module_close(context->module);
  free(context);
}

hwgq_status hwgq_context_reserve(hwgq_context *context, int64_t max_batch) {
  if (!context)
    return hwgq_fail(HWGQ_INVALID, "a context needed");
  if (!enter(context))
    return in_use();
  hwgq_status status = reserve(context, max_batch);
  leave(context);
  return status;
}

static hwgq_status forked(void) {
  return hwgq_fail(HWGQ_INVALID, "the context was made before a fork and its "
                                 "threads are gone; make a new one");
}

hwgq_status hwgq_context_set_threads(hwgq_context *context, int threads) {
  if (!context)
    return hwgq_fail(HWGQ_INVALID, "a context needed");
  if (context->process != getpid())
    return forked();
  if (!enter(context))
    return in_use();
  hwgq_status status = set_threads(context, threads);
  leave(context);
  return status;
}

int hwgq_context_threads(const hwgq_context *context) {
  return context->threads;
}

/*===- Profiling ------------------------------------------------------------*/

static uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void layer_done(void *profile, int32_t layer) {
  hwgq_context *context = profile;
  uint64_t now = nanoseconds();
  if (layer >= 0 && (size_t)layer < context->module->info.layer_count)
    context->layer_time[layer] += now - context->last_mark;
  context->last_mark = now;
}

hwgq_status hwgq_context_set_profiling(hwgq_context *context, int on) {
  uint64_t *times = NULL;
  if (!context)
    return hwgq_fail(HWGQ_INVALID, "a context needed");
  if (on &&
      !(times = calloc(context->module->info.layer_count + 1, sizeof *times)))
    return hwgq_fail(HWGQ_NO_MEMORY, "out of memory");
  if (!enter(context)) {
    free(times);
    return in_use();
  }
  free(context->layer_time);
  context->layer_time = times;
  leave(context);
  return HWGQ_OK;
}

uint64_t hwgq_context_layer_nanoseconds(const hwgq_context *context,
                                        size_t layer) {
  return context->layer_time && layer < context->module->info.layer_count
             ? context->layer_time[layer]
             : 0;
}

/*===- Running --------------------------------------------------------------*/

static hwgq_status check_array(const hwgq_tensor *tensor, const char *kind,
                               const void *data, size_t bytes, int64_t batch) {
  size_t needed;
  hwgq_status status = hwgq_tensor_shape(tensor, batch, NULL, &needed);
  if (status != HWGQ_OK)
    return status;
  if (bytes != needed)
    return hwgq_fail(HWGQ_INVALID,
                     "%s '%s' needs %zu bytes at batch %" PRId64 ", not %zu",
                     kind, tensor->name, needed, batch, bytes);
  if (!data && needed)
    return hwgq_fail(HWGQ_INVALID, "%s '%s' has no data", kind, tensor->name);
  if ((uintptr_t)data % hwgq_dtype_size(tensor->dtype) != 0)
    return hwgq_fail(HWGQ_INVALID, "%s '%s' is not aligned to its %s elements",
                     kind, tensor->name, hwgq_dtype_name(tensor->dtype));
  return HWGQ_OK;
}

static int overlap(const void *a, size_t a_bytes, const void *b,
                   size_t b_bytes) {
  uintptr_t a_at = (uintptr_t)a, b_at = (uintptr_t)b;
  return a_bytes && b_bytes && a_at < b_at + b_bytes && b_at < a_at + a_bytes;
}

/** Checks output i against all inputs and the outputs before it. */
static hwgq_status check_overlap(const struct hwgq_info *info,
                                 const hwgq_input *inputs,
                                 const hwgq_output *outputs, size_t i) {
  const hwgq_output *out = &outputs[i];
  const hwgq_tensor *tensor = &info->tensors[info->input_count + i];
  for (size_t k = 0; k < info->input_count; ++k)
    if (overlap(out->data, out->bytes, inputs[k].data, inputs[k].bytes))
      return hwgq_fail(HWGQ_INVALID, "output '%s' overlaps input '%s'",
                       tensor->name, info->tensors[k].name);
  for (size_t k = 0; k < i; ++k)
    if (overlap(out->data, out->bytes, outputs[k].data, outputs[k].bytes))
      return hwgq_fail(HWGQ_INVALID, "output '%s' overlaps output '%s'",
                       tensor->name, info->tensors[info->input_count + k].name);
  return HWGQ_OK;
}

static hwgq_status check_batch(const hwgq_context *context, int64_t batch) {
  int64_t fixed = context->module->info.header.batch;
  if (fixed != HWGQ_BATCH_DYNAMIC && batch != fixed)
    return hwgq_fail(HWGQ_INVALID,
                     "the module is compiled for batch %" PRId64
                     ", not %" PRId64 "; compile it with --batch=dynamic",
                     fixed, batch);
  if (batch < 1 || batch > context->max_batch)
    return hwgq_fail(HWGQ_INVALID,
                     "batch %" PRId64 " is outside of 1 to %" PRId64
                     ", the reserve of the context (hwgq_context_reserve)",
                     batch, context->max_batch);
  return HWGQ_OK;
}

/** Checks the arrays and puts them into the context. */
static hwgq_status bind(hwgq_context *context, const hwgq_input *inputs,
                        size_t input_count, const hwgq_output *outputs,
                        size_t output_count, int64_t batch) {
  const struct hwgq_info *info = &context->module->info;
  if (input_count != info->input_count || output_count != info->output_count)
    return hwgq_fail(HWGQ_INVALID,
                     "the module has %zu inputs and %zu outputs, not %zu and "
                     "%zu",
                     info->input_count, info->output_count, input_count,
                     output_count);
  if ((input_count && !inputs) || (output_count && !outputs))
    return hwgq_fail(HWGQ_INVALID, "inputs and outputs needed");
  hwgq_status status = check_batch(context, batch);
  for (size_t i = 0; i < input_count && status == HWGQ_OK; ++i) {
    status = check_array(&info->tensors[i], "input", inputs[i].data,
                         inputs[i].bytes, batch);
    context->inputs[i] = inputs[i].data;
  }
  for (size_t i = 0; i < output_count && status == HWGQ_OK; ++i) {
    status = check_array(&info->tensors[input_count + i], "output",
                         outputs[i].data, outputs[i].bytes, batch);
    if (status == HWGQ_OK)
      status = check_overlap(info, inputs, outputs, i);
    context->outputs[i] = outputs[i].data;
  }
  return status;
}

static void call(hwgq_context *context, int64_t batch) {
  struct hwgq_frame frame = {
      .inputs = context->inputs,
      .outputs = context->outputs,
      .workspace = context->workspace,
      .shared = context->module->shared,
      .batch = batch,
      .parallel_for = hwgq_pool_parallel_for,
      .pool = context->pool,
      .layer_done = context->layer_time ? layer_done : NULL,
      .profile = context,
  };
  struct hwgq_float_state before = hwgq_float_save();
  hwgq_float_set_exact();
  context->last_mark = context->layer_time ? nanoseconds() : 0;
  context->module->entry->run(&frame);
  hwgq_float_restore(before);
}

hwgq_status hwgq_run(hwgq_context *context, const hwgq_input *inputs,
                     size_t input_count, const hwgq_output *outputs,
                     size_t output_count, int64_t batch) {
  if (!context)
    return hwgq_fail(HWGQ_INVALID, "a context needed");
  if (context->threads > 1 && context->process != getpid())
    return forked();
  if (!enter(context))
    return in_use();
  hwgq_status status =
      bind(context, inputs, input_count, outputs, output_count, batch);
  if (status == HWGQ_OK)
    call(context, batch);
  leave(context);
  return status;
}
