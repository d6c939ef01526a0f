/*===- options.c - The command line ---------------------------------------===*/
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: hwgq-run MODULE.so [NAME=]IN.npy ... [options]\n"
    "\n"
    "Runs a network that hwgq-compile has compiled. Inputs are NumPy files, "
    "by\n"
    "position or by name. Without -o, shapes and first values are printed.\n"
    "\n"
    "  -o DIR                 write each output to DIR/<index>_<name>.npy\n"
    "  --labels=L.npy         compare output 0 with labels: top-1 and top-5\n"
    "  --threads=N            threads to use (default: one for each CPU)\n"
    "  --device=cpu|cuda[:N]  where to run (this build: cpu)\n"
    "  --random[=SEED]        random values for inputs that are not given\n"
    "  --batch=N              batch of random inputs (default: 1)\n"
    "  --info                 say what the module is, without loading it\n"
    "  --benchmark[=SECONDS]  run again and again, report times (default: 2 "
    "s)\n"
    "  --profile              time of each layer, median over runs of half a "
    "second\n"
    "  --json                 print JSON\n"
    "  --help, --version\n"
    "\n"
    "examples:\n"
    "  hwgq-run model.so images.npy --labels=labels.npy\n"
    "  hwgq-run model.so x=left.npy y=right.npy -o results\n"
    "  hwgq-run model.so --random --batch=64 --benchmark=5 --threads=1\n"
    "  hwgq-run model.so --info --json\n";

enum {
  opt_random = 256,
  opt_info,
  opt_threads,
  opt_device,
  opt_benchmark,
  opt_profile,
  opt_labels,
  opt_json,
  opt_batch,
  opt_help,
  opt_version
};

static const struct option list[] = {
    {"random", optional_argument, NULL, opt_random},
    {"info", no_argument, NULL, opt_info},
    {"threads", required_argument, NULL, opt_threads},
    {"device", required_argument, NULL, opt_device},
    {"benchmark", optional_argument, NULL, opt_benchmark},
    {"profile", no_argument, NULL, opt_profile},
    {"labels", required_argument, NULL, opt_labels},
    {"json", no_argument, NULL, opt_json},
    {"batch", required_argument, NULL, opt_batch},
    {"help", no_argument, NULL, opt_help},
    {"version", no_argument, NULL, opt_version},
    {NULL, 0, NULL, 0}};

static int number(const char *option, const char *text, int64_t low,
                  int64_t high, int64_t *value) {
  char *end;
  errno = 0;
  *value = strtoll(text, &end, 10);
  if (end == text || *end || errno || *value < low || *value > high)
    return fail("--%s=%s: a number from %" PRId64 " to %" PRId64 " is needed",
                option, text, low, high);
  return 0;
}

static int set_seed(struct options *options, const char *text) {
  char *end;
  options->random = true;
  if (!text)
    return 0;
  errno = 0;
  options->seed = strtoull(text, &end, 10);
  if (end == text || *end || errno || text[0] == '-')
    return fail("--random=%s: a number from 0 to 2^64-1 is needed", text);
  return 0;
}

static int set_seconds(struct options *options, const char *text) {
  char *end;
  options->benchmark = true;
  if (!text)
    return 0;
  options->seconds = strtod(text, &end);
  if (end == text || *end || !(options->seconds > 0) ||
      !(options->seconds <= 86400))
    return fail("--benchmark=%s: seconds, more than 0, at most 86400, are "
                "needed",
                text);
  return 0;
}

static int set_device(const char *text) {
  if (strcmp(text, "cpu") == 0)
    return 0;
  if (strcmp(text, "cuda") == 0 || strncmp(text, "cuda:", 5) == 0)
    return fail("--device=%s: this build runs on CPUs only; use --device=cpu",
                text);
  return fail("--device=%s: no such device; there is cpu", text);
}

static int set_option(struct options *options, int option, const char *text) {
  int64_t value = 0;
  switch (option) {
  case 'o':
    options->directory = text;
    return 0;
  case opt_random:
    return set_seed(options, text);
  case opt_info:
    options->info = true;
    return 0;
  case opt_threads:
    if (number("threads", text, 1, HWGQ_MAX_THREADS, &value) != 0)
      return 1;
    options->threads = (int)value;
    return 0;
  case opt_device:
    return set_device(text);
  case opt_benchmark:
    return set_seconds(options, text);
  case opt_profile:
    options->profile = true;
    return 0;
  case opt_labels:
    options->labels = text;
    return 0;
  case opt_json:
    options->json = true;
    return 0;
  case opt_batch:
    return number("batch", text, 1, INT64_C(1) << 40, &options->batch);
  case opt_help:
    fputs(usage, stdout);
    options->done = true;
    return 0;
  default:
    printf("hwgq-run %s, module interface %u\n", hwgq_version(),
           hwgq_abi_version());
    options->done = true;
    return 0;
  }
}

int options_parse(struct options *options, int argc, char **argv,
                  bool carries_module) {
  int option;
  *options = (struct options){.seconds = 2};
  opterr = 0;
  while ((option = getopt_long(argc, argv, ":o:", list, NULL)) != -1) {
    const char *given = argv[optind - 1];
    if (option == '?' && optopt && optopt < 256)
      return fail("unknown option -%c; see hwgq-run --help", optopt);
    if (option == '?')
      return fail("unknown or malformed option %s; see hwgq-run --help", given);
    if (option == ':')
      return fail("option %s needs a value; see hwgq-run --help", given);
    if (set_option(options, option, optarg) != 0)
      return 1;
    if (options->done)
      return 0;
  }
  if (!carries_module) {
    if (optind == argc)
      return fail("which module? See hwgq-run --help");
    options->module = argv[optind++];
  }
  options->inputs = argv + optind;
  options->input_count = argc - optind;
  if (options->batch && !options->random)
    return fail("--batch is the batch of random inputs; add --random, or leave "
                "it out: the batch is that of the given arrays");
  return 0;
}
