/*===- measure.c - Times of runs and layers -------------------------------===*/
#include "common.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/** Runs that a benchmark keeps the times of, and that a profile keeps the times
    of all layers of; it ends when all are taken. */
#define MAX_RUNS (1 << 20)
#define MAX_PROFILED_RUNS (1 << 12)

double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/** Sorts the values. */
static double median(double *values, int64_t count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return (values[count / 2] + values[(count - 1) / 2]) / 2;
}

/** Notes what each layer took in the last run: [layer][max_runs]. */
static void note_layers(const struct job *job, double *times, uint64_t *marks,
                        size_t layers, int64_t max_runs, int64_t run) {
  for (size_t i = 0; i < layers; ++i) {
    uint64_t mark = hwgq_context_layer_nanoseconds(job->context, i);
    times[i * (size_t)max_runs + (size_t)run] =
        (double)(mark - marks[i]) * 1e-6;
    marks[i] = mark;
  }
}

int measure(struct job *job, double seconds, bool profile,
            struct timing *timing) {
  size_t layers = profile ? hwgq_module_layer_count(job->module) : 0;
  int64_t max_runs = profile ? MAX_PROFILED_RUNS : MAX_RUNS, runs = 0;
  double *times = malloc((size_t)max_runs * sizeof *times);
  double *layer_times = malloc((layers * (size_t)max_runs + 1) * sizeof *times);
  uint64_t *marks = calloc(layers + 1, sizeof *marks);
  int status = 0;
  timing->layer_ms = calloc(layers + 1, sizeof *timing->layer_ms);
  if (!times || !layer_times || !marks || !timing->layer_ms)
    status = fail("out of memory");
  double now = milliseconds();
  double end = now + seconds * 1e3;
  while (status == 0 && (runs == 0 || now < end) && runs < max_runs) {
    status = job_run(job);
    double after = milliseconds();
    times[runs] = after - now;
    note_layers(job, layer_times, marks, layers, max_runs, runs++);
    now = after;
  }
  if (status == 0) {
    timing->runs = runs;
    timing->median_ms = median(times, runs);
    timing->min_ms = times[0];
    for (size_t i = 0; i < layers; ++i)
      timing->layer_ms[i] = median(layer_times + i * (size_t)max_runs, runs);
  }
  free(times);
  free(layer_times);
  free(marks);
  return status;
}

/** The report's object of a layer; no object for what is no contraction. */
static struct json layer_report(const struct job *job, const char *name) {
  const char *text = hwgq_module_report(job->module);
  struct json all = json_value(text, text + strlen(text));
  struct json layers = json_member(all, "layers"), layer;
  const char *at = layers.begin;
  char found[256];
  while (json_next(layers, &at, NULL, &layer)) {
    json_text(json_member(layer, "name"), found, sizeof found);
    if (strncmp(found, name, sizeof found - 1) == 0)
      return layer;
  }
  return (struct json){NULL, NULL};
}

static double number(struct json layer, const char *name) {
  char text[64];
  json_text(json_member(layer, name), text, sizeof text);
  return atof(text);
}

/** Whether an earlier loop belongs to the same layer. */
static bool is_repeated(const struct job *job, size_t i) {
  for (size_t j = 0; j < i; ++j)
    if (strcmp(hwgq_module_layer(job->module, j),
               hwgq_module_layer(job->module, i)) == 0)
      return true;
  return false;
}

/** The time of all loops of the layer that loop i is of. */
static double whole_layer_ms(const struct job *job, size_t i,
                             const double *layer_ms) {
  double sum = 0;
  for (size_t j = 0; j < hwgq_module_layer_count(job->module); ++j)
    if (strcmp(hwgq_module_layer(job->module, j),
               hwgq_module_layer(job->module, i)) == 0)
      sum += layer_ms[j];
  return sum;
}

/** Achieved multiply-accumulates as a share of what the loop of the layer's
    kernel does on as many threads; 0 where nobody knows. */
static double share_of_ceiling(const struct job *job, struct json layer,
                               double ms) {
  double rate = number(layer, "ceiling_gmacs") * 1e6; /* a millisecond */
  double macs = number(layer, "macs") * (double)job->batch;
  return rate > 0 && ms > 0
             ? macs / ms / rate / hwgq_context_threads(job->context)
             : 0;
}

void print_profile(const struct job *job, const double *layer_ms) {
  double total = 0;
  size_t count = hwgq_module_layer_count(job->module);
  for (size_t i = 0; i < count; ++i)
    total += layer_ms[i];
  printf("%-40s %10s %6s  %-16s %-8s %s\n", "layer", "ms", "%", "kernel",
         "storage", "% of ceiling");
  for (size_t i = 0; i < count; ++i) {
    if (is_repeated(job, i))
      continue;
    const char *name = hwgq_module_layer(job->module, i);
    struct json layer = layer_report(job, name);
    char kernel[64], storage[64];
    json_text(json_member(layer, "kernel"), kernel, sizeof kernel);
    json_text(json_member(layer, "storage"), storage, sizeof storage);
    double ms = whole_layer_ms(job, i, layer_ms);
    double share = share_of_ceiling(job, layer, ms);
    printf("%-40s %10.4f %6.1f  %-16s %-8s ", name, ms,
           total > 0 ? 100 * ms / total : 0, kernel, storage);
    printf(share > 0 ? "%.1f\n" : "\n", 100 * share);
  }
  printf("%-40s %10.4f\n\n", "all", total);
  printf("The ceiling is the rate of the kernel's inner loop that the compiler "
         "knows (ceiling_gmacs of --info --json), measured by hwgq-ceilings on "
         "the machine that docs/Architecture.md names.\n");
}

void print_profile_json(const struct job *job, const double *layer_ms) {
  printf("\"layers\": [");
  for (size_t i = 0; i < hwgq_module_layer_count(job->module); ++i) {
    printf("%s{\"name\": ", i ? ", " : "");
    json_print_string(stdout, hwgq_module_layer(job->module, i));
    printf(", \"ms\": %.6f", layer_ms[i]);
    struct json layer = layer_report(job, hwgq_module_layer(job->module, i));
    static const char *const told[] = {"kernel", "storage", "ceiling_gmacs"};
    for (size_t k = 0; k < 3; ++k) {
      struct json value = json_member(layer, told[k]);
      if (value.begin)
        printf(", \"%s\": %.*s", told[k], (int)(value.end - value.begin),
               value.begin);
    }
    if (layer.begin)
      printf(", \"share\": %.4f",
             share_of_ceiling(job, layer, whole_layer_ms(job, i, layer_ms)));
    printf("}");
  }
  printf("]");
}
