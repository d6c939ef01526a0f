/*===- measure.c - Times of runs and layers -------------------------------===*/
#include "common.h"

#include <stdlib.h>
#include <time.h>

/** Runs that a benchmark keeps the times of; it ends when all are taken. */
#define MAX_RUNS (1 << 20)

double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int measure(struct job *job, double seconds, struct timing *timing) {
  double *times = malloc(MAX_RUNS * sizeof *times);
  int64_t runs = 0;
  if (!times)
    return fail("out of memory");
  double end = milliseconds() + seconds * 1e3;
  double now = milliseconds();
  do {
    if (job_run(job) != 0) {
      free(times);
      return 1;
    }
    double after = milliseconds();
    times[runs++] = after - now;
    now = after;
  } while (now < end && runs < MAX_RUNS);
  qsort(times, (size_t)runs, sizeof *times, compare);
  timing->runs = runs;
  timing->min_ms = times[0];
  timing->median_ms = (times[runs / 2] + times[(runs - 1) / 2]) / 2;
  free(times);
  return 0;
}

static double layer_ms(const struct job *job, size_t layer, int64_t runs) {
  return (double)hwgq_context_layer_nanoseconds(job->context, layer) * 1e-6 /
         (double)runs;
}

void print_profile(const struct job *job, int64_t runs) {
  double total = 0;
  size_t count = hwgq_module_layer_count(job->module);
  for (size_t i = 0; i < count; ++i)
    total += layer_ms(job, i, runs);
  printf("%-48s %10s %7s\n", "layer", "ms", "%");
  for (size_t i = 0; i < count; ++i)
    printf("%-48s %10.4f %7.1f\n", hwgq_module_layer(job->module, i),
           layer_ms(job, i, runs),
           total > 0 ? 100 * layer_ms(job, i, runs) / total : 0);
  printf("%-48s %10.4f\n", "all", total);
}

void print_profile_json(const struct job *job, int64_t runs) {
  printf("\"layers\": [");
  for (size_t i = 0; i < hwgq_module_layer_count(job->module); ++i) {
    printf("%s{\"name\": ", i ? ", " : "");
    json_print_string(stdout, hwgq_module_layer(job->module, i));
    printf(", \"ms\": %.6f}", layer_ms(job, i, runs));
  }
  printf("]");
}
