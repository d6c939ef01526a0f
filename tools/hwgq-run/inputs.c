/*===- inputs.c - Arrays for a module's inputs ----------------------------===*/
#include "common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** The NumPy name of a type. */
static const char *numpy_name(uint32_t dtype) {
  static const char *const names[] = {
      "",      "float32", "float64", "float16", "int8",   "int16", "int32",
      "int64", "uint8",   "uint16",  "uint32",  "uint64", "bool"};
  return names[dtype];
}

/** The input that an argument is for, and its path. -1: none has that name. */
static int find_input(const struct job *job, const char *argument,
                      const char **path) {
  const char *equals = strchr(argument, '=');
  *path = argument;
  if (equals)
    for (size_t i = 0; i < job->input_count; ++i) {
      const char *name = hwgq_module_input(job->module, i)->name;
      size_t length = strlen(name);
      /* Names may contain '=', too. */
      if (strncmp(argument, name, length) == 0 && argument[length] == '=') {
        *path = argument + length + 1;
        return (int)i;
      }
    }
  if (equals && access(argument, F_OK) != 0)
    return -1;
  for (size_t i = 0; i < job->input_count; ++i)
    if (!job->inputs[i].data)
      return (int)i;
  return (int)job->input_count;
}

static int unknown_input(const struct job *job, const char *argument) {
  char names[512] = "";
  size_t at = 0;
  for (size_t i = 0; i < job->input_count && at < sizeof names; ++i)
    at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "",
                           hwgq_module_input(job->module, i)->name);
  return fail("%s: the module has no input of that name; its inputs are: %s",
              argument, names);
}

/** Checks type and sizes against the module, and the batch against that of
    the inputs before. */
static int check_input(struct job *job, const hwgq_tensor *tensor,
                       const struct array *array, const char *path) {
  char need[TYPE_TEXT], got[TYPE_TEXT];
  format_type(need, sizeof need, tensor->dtype, tensor->rank, tensor->dims);
  format_type(got, sizeof got, array->dtype, array->rank, array->dims);
  bool fits = array->rank == tensor->rank;
  for (uint32_t i = 0; fits && i < tensor->rank; ++i) {
    int64_t size = tensor->dims[i];
    if (size < 0 && job->batch == 0 && array->dims[i] > 0 &&
        array->dims[i] % -size == 0)
      job->batch = array->dims[i] / -size;
    fits = size >= 0 ? array->dims[i] == size
                     : array->dims[i] / -size == job->batch &&
                           array->dims[i] % -size == 0 && job->batch > 0;
  }
  if (!fits)
    return fail("%s: input '%s' needs %s, the array is %s%s", path,
                tensor->name, need, got,
                job->batch && hwgq_module_batch(job->module) < 0
                    ? "; all inputs need the same batch"
                : array->rank == tensor->rank
                    ? "; for other batches compile with --batch=dynamic"
                    : "");
  if (array->dtype != tensor->dtype)
    return fail("%s: input '%s' needs %s, the array is %s; convert it in "
                "Python: numpy.save(path, array.astype(numpy.%s))",
                path, tensor->name, need, got, numpy_name(tensor->dtype));
  return 0;
}

static int load_inputs(struct job *job, const struct options *options) {
  for (int i = 0; i < options->input_count; ++i) {
    const char *path;
    int index = find_input(job, options->inputs[i], &path);
    if (index < 0)
      return unknown_input(job, options->inputs[i]);
    if ((size_t)index == job->input_count)
      return fail("%s: too many arrays; the module has %zu input%s",
                  options->inputs[i], job->input_count,
                  job->input_count == 1 ? "" : "s");
    struct array *array = &job->inputs[index];
    const hwgq_tensor *tensor = hwgq_module_input(job->module, (size_t)index);
    if (array->data)
      return fail("%s: input '%s' is given twice", options->inputs[i],
                  tensor->name);
    if (npy_read(path, array) != 0 ||
        check_input(job, tensor, array, path) != 0)
      return 1;
  }
  return 0;
}

/** An array of a tensor's type and its sizes at the job's batch. */
static int make_array(const struct job *job, const hwgq_tensor *tensor,
                      struct array *array) {
  if (hwgq_tensor_shape(tensor, job->batch, array->dims, NULL) != HWGQ_OK)
    return fail("%s", hwgq_last_error());
  array->dtype = tensor->dtype;
  array->rank = tensor->rank;
  return array_allocate(array, tensor->name);
}

static int find_batch(struct job *job, const struct options *options) {
  int64_t fixed = hwgq_module_batch(job->module);
  if (fixed > 0) {
    job->batch = fixed;
    if (options->batch && options->batch != fixed)
      return fail("--batch=%" PRId64 ": the module is compiled for batch "
                  "%" PRId64 "; compile it with --batch=dynamic",
                  options->batch, fixed);
  } else if (job->batch == 0) {
    job->batch = options->batch ? options->batch : 1;
  } else if (options->batch && options->batch != job->batch) {
    return fail("--batch=%" PRId64 ": the given arrays have batch %" PRId64,
                options->batch, job->batch);
  }
  return 0;
}

static int fill_missing(struct job *job, const struct options *options) {
  bool random = options->random || (options->benchmark && !options->labels &&
                                    options->input_count == 0);
  for (size_t i = 0; i < job->input_count; ++i) {
    const hwgq_tensor *tensor = hwgq_module_input(job->module, i);
    if (job->inputs[i].data)
      continue;
    if (!random) {
      char need[TYPE_TEXT];
      format_type(need, sizeof need, tensor->dtype, tensor->rank, tensor->dims);
      return fail("input '%s' is missing: give %s=FILE.npy of type %s, or "
                  "--random",
                  tensor->name, tensor->name, need);
    }
    if (make_array(job, tensor, &job->inputs[i]) != 0)
      return 1;
    array_randomise(&job->inputs[i], options->seed + i);
  }
  return 0;
}

int job_prepare(struct job *job, const struct options *options) {
  job->input_count = hwgq_module_input_count(job->module);
  job->output_count = hwgq_module_output_count(job->module);
  job->inputs = calloc(job->input_count + 1, sizeof *job->inputs);
  job->outputs = calloc(job->output_count + 1, sizeof *job->outputs);
  job->input_views = calloc(job->input_count + 1, sizeof *job->input_views);
  job->output_views = calloc(job->output_count + 1, sizeof *job->output_views);
  if (!job->inputs || !job->outputs || !job->input_views || !job->output_views)
    return fail("out of memory");
  if (load_inputs(job, options) != 0 || find_batch(job, options) != 0 ||
      fill_missing(job, options) != 0)
    return 1;
  for (size_t i = 0; i < job->input_count; ++i)
    job->input_views[i] =
        (hwgq_input){job->inputs[i].data, job->inputs[i].bytes};
  for (size_t i = 0; i < job->output_count; ++i) {
    if (make_array(job, hwgq_module_output(job->module, i), &job->outputs[i]) !=
        0)
      return 1;
    job->output_views[i] =
        (hwgq_output){job->outputs[i].data, job->outputs[i].bytes};
  }
  if (hwgq_context_create(job->module, options->threads, job->batch,
                          &job->context) != HWGQ_OK)
    return fail("%s", hwgq_last_error());
  return 0;
}

int job_run(struct job *job) {
  if (hwgq_run(job->context, job->input_views, job->input_count,
               job->output_views, job->output_count, job->batch) != HWGQ_OK)
    return fail("%s", hwgq_last_error());
  return 0;
}

void job_free(struct job *job) {
  for (size_t i = 0; job->inputs && i < job->input_count; ++i)
    array_free(&job->inputs[i]);
  for (size_t i = 0; job->outputs && i < job->output_count; ++i)
    array_free(&job->outputs[i]);
  free(job->inputs);
  free(job->outputs);
  free(job->input_views);
  free(job->output_views);
  hwgq_context_destroy(job->context);
  hwgq_module_close(job->module);
}
