/*===- main.c - hwgq-threads: the price of a parallel loop ----------------===*\
|* Runs of 60 loops of 16 iterations each, as a network has them, with the
|* runtime's pool and, where it is installed, with pthreadpool: time of a loop
|* beside the time of the same loop on one thread.
|*
|*   hwgq-threads [THREADS]
\*===----------------------------------------------------------------------===*/
#define _GNU_SOURCE
#include "internal.h"

#if HWGQ_HAVE_PTHREADPOOL
#include <pthreadpool.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { runs = 100, loops = 60, iterations = 16 };

struct bench {
  struct hwgq_pool *ours;
  void *theirs;
  int work; /**< turns of an empty loop in one iteration */
};

static double microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static void part(void *env, int64_t begin, int64_t end) {
  const struct bench *bench = env;
  for (; begin < end; ++begin)
    for (int i = 0; i < bench->work; ++i)
      __asm__ volatile("" ::"r"(i));
}

static void serial_loop(struct bench *bench) { part(bench, 0, iterations); }

static void our_loop(struct bench *bench) {
  hwgq_pool_parallel_for(bench->ours, part, bench, iterations);
}

#if HWGQ_HAVE_PTHREADPOOL
static void one(void *env, size_t i) { part(env, (int64_t)i, (int64_t)i + 1); }

static void their_loop(struct bench *bench) {
  pthreadpool_parallelize_1d(bench->theirs, one, bench, iterations, 0);
}
#endif

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

struct way {
  const char *name;
  void (*loop)(struct bench *);
};

static const struct way ways[] = {
    {"one thread", serial_loop},
    {"hwgq", our_loop},
#if HWGQ_HAVE_PTHREADPOOL
    {"pthreadpool", their_loop},
#endif
};
enum { way_count = sizeof ways / sizeof ways[0] };

/** The ways take turns, so that each meets the same load of the machine. */
static void measure(struct bench *bench) {
  static double times[way_count][runs];
  for (int run = 0; run < runs; ++run)
    for (int way = 0; way < way_count; ++way) {
      usleep(1000); /* between runs the workers go to sleep */
      double start = microseconds();
      for (int i = 0; i < loops; ++i)
        ways[way].loop(bench);
      times[way][run] = (microseconds() - start) / loops;
    }
  for (int way = 0; way < way_count; ++way) {
    qsort(times[way], runs, sizeof(double), compare);
    printf("%-12s %6d %12.2f %12.2f %12.2f\n", ways[way].name, bench->work,
           times[way][0], times[way][runs / 2], times[way][runs * 99 / 100]);
  }
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : hwgq_cpu_count();
  struct bench bench = {0};
  if (threads < 1 || threads > HWGQ_MAX_THREADS ||
      !(bench.ours = hwgq_pool_create(threads))) {
    fprintf(stderr, "error: 1 to %d threads\n", HWGQ_MAX_THREADS);
    return 1;
  }
  printf("%d threads; microseconds a loop\n%-12s %6s %12s %12s %12s\n", threads,
         "pool", "work", "min", "median", "99 %");
#if HWGQ_HAVE_PTHREADPOOL
  bench.theirs = pthreadpool_create((size_t)threads);
#endif
  for (int step = 0; step < 3; ++step) {
    bench.work = step == 0 ? 0 : step == 1 ? 2000 : 10000;
    measure(&bench);
  }
  hwgq_pool_destroy(bench.ours);
#if HWGQ_HAVE_PTHREADPOOL
  pthreadpool_destroy(bench.theirs);
#endif
  return 0;
}
