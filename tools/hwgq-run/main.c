/*===- main.c - hwgq-run: run compiled networks ---------------------------===*\
|* Also the program of --emit=exe: then the module and a trailer follow its own
|* bytes (hwgq_abi.h), and the command line has no module.
\*===----------------------------------------------------------------------===*/
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fflush(stdout);
  fputs("error: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  return 1;
}

/** The module that this program carries, if it does. */
struct carried {
  const char *bytes;
  size_t size;
};

static struct carried find_carried(void) {
  struct carried result = {NULL, 0};
  struct hwgq_trailer trailer;
  struct stat info;
  int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return result;
  if (fstat(file, &info) == 0 && info.st_size > (off_t)sizeof trailer &&
      pread(file, &trailer, sizeof trailer,
            info.st_size - (off_t)sizeof trailer) == sizeof trailer &&
      memcmp(trailer.magic, HWGQ_TRAILER_MAGIC, sizeof trailer.magic) == 0 &&
      trailer.module_offset <= (uint64_t)info.st_size &&
      trailer.module_size <= (uint64_t)info.st_size - trailer.module_offset) {
    char *all =
        mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (all != MAP_FAILED) {
      result.bytes = all + trailer.module_offset;
      result.size = (size_t)trailer.module_size;
    }
  }
  close(file);
  return result;
}

static int open_module(const struct options *options, struct carried carried,
                       hwgq_module **module) {
  hwgq_status status;
  if (carried.bytes && options->info)
    status = hwgq_module_read_memory(carried.bytes, carried.size, module);
  else if (carried.bytes)
    status = hwgq_module_open_memory(carried.bytes, carried.size, module);
  else if (options->info)
    status = hwgq_module_read(options->module, module);
  else
    status = hwgq_module_open(options->module, module);
  return status == HWGQ_OK ? 0 : fail("%s", hwgq_last_error());
}

/** What a call of the program has found out. */
struct results {
  double ms;
  struct timing timing;
  struct score score;
};

static void print_json(const struct job *job, const struct options *options,
                       const struct results *results) {
  printf("{");
  if (options->benchmark) {
    printf("\"median_ms\": %.6f, \"min_ms\": %.6f, \"runs\": %" PRId64,
           results->timing.median_ms, results->timing.min_ms,
           results->timing.runs);
  } else {
    print_outputs_json(job);
    printf(", \"ms\": %.6f", results->ms);
  }
  printf(", \"threads\": %d, \"device\": \"cpu\"",
         hwgq_context_threads(job->context));
  if (options->labels) {
    printf(", \"samples\": %" PRId64 ", \"top1\": %.6f", results->score.count,
           (double)results->score.top1 / (double)results->score.count);
    if (results->score.has_top5)
      printf(", \"top5\": %.6f",
             (double)results->score.top5 / (double)results->score.count);
  }
  if (options->profile) {
    printf(", ");
    print_profile_json(job, results->timing.layer_ms);
  }
  printf("}\n");
}

static void print_score(const struct job *job, const struct score *score) {
  printf("predicted ");
  for (int64_t i = 0; i < score->count && i < 16; ++i)
    printf(" %" PRId64, predicted(&job->outputs[0], i));
  printf("%s\ntop-1      %.2f %% (%" PRId64 " of %" PRId64 ")\n",
         score->count > 16 ? " ..." : "",
         100.0 * (double)score->top1 / (double)score->count, score->top1,
         score->count);
  if (score->has_top5)
    printf("top-5      %.2f %% (%" PRId64 " of %" PRId64 ")\n",
           100.0 * (double)score->top5 / (double)score->count, score->top5,
           score->count);
}

static void print_text(const struct job *job, const struct options *options,
                       const struct results *results) {
  int threads = hwgq_context_threads(job->context);
  if (!options->directory && !options->labels && !options->benchmark)
    print_outputs(job);
  if (options->labels)
    print_score(job, &results->score);
  printf("batch %" PRId64 ", %d thread%s: ", job->batch, threads,
         threads == 1 ? "" : "s");
  if (options->benchmark)
    printf("median %.3f ms, min %.3f ms, %" PRId64 " runs\n",
           results->timing.median_ms, results->timing.min_ms,
           results->timing.runs);
  else
    printf("%.3f ms\n", results->ms);
  if (options->profile) {
    printf("\n");
    print_profile(job, results->timing.layer_ms);
  }
}

/** Runs once, then as often as a benchmark or profile wants. */
static int run(struct job *job, const struct options *options,
               struct results *results) {
  double before = milliseconds();
  if (job_run(job) != 0)
    return 1;
  results->ms = milliseconds() - before;
  if (options->profile &&
      hwgq_context_set_profiling(job->context, 1) != HWGQ_OK)
    return fail("%s", hwgq_last_error());
  if (options->benchmark || options->profile)
    return measure(job, options->benchmark ? options->seconds : 0.5,
                   options->profile, &results->timing);
  return 0;
}

static int run_module(hwgq_module *module, const struct options *options) {
  struct job job = {.module = module};
  struct results results = {0};
  int status = job_prepare(&job, options);
  if (status == 0)
    status = run(&job, options, &results);
  if (status == 0 && options->labels)
    status = score_labels(&job, options->labels, &results.score);
  if (status == 0 && options->directory)
    status = write_outputs(&job, options->directory);
  if (status == 0 && options->json)
    print_json(&job, options, &results);
  else if (status == 0)
    print_text(&job, options, &results);
  job_free(&job);
  free(results.timing.layer_ms);
  return status;
}

int main(int argc, char **argv) {
  struct options options;
  hwgq_module *module = NULL;
  struct carried carried = find_carried();
  int status = options_parse(&options, argc, argv, carried.bytes != NULL);
  if (status == 0 && !options.done) {
    status = open_module(&options, carried, &module);
    if (status == 0 && !options.info) {
      status = run_module(module, &options);
    } else if (status == 0) {
      if (options.json)
        print_info_json(module);
      else
        print_info(module, options.module ? options.module : argv[0]);
      hwgq_module_close(module);
    }
  }
  if (fflush(stdout) != 0 && status == 0)
    status = fail("cannot write the results: %s", strerror(errno));
  return status;
}
