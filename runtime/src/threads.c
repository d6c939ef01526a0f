/*===- threads.c - The pool behind parallel_for ---------------------------===*\
|*
|* One caller, threads - 1 workers. A loop is opened by one store to `gate`;
|* workers that see it enter by a compare-and-swap and take chunks, the caller
|* takes chunks, too, then closes the gate and waits for those inside only. A
|* worker that wakes late finds the gate closed and is never waited for.
|*
|*   gate = epoch << 11 | open << 10 | number of workers inside
|*
\*===----------------------------------------------------------------------===*/
#define _GNU_SOURCE
#include "float_state.h"
#include "internal.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define INSIDE_MASK UINT32_C(0x3FF)
#define OPEN_BIT UINT32_C(0x400)
#define EPOCH_ONE UINT32_C(0x800)

/** Futex wake masks: workers and the caller sleep on the same word. */
#define WAKE_WORKERS 1u
#define WAKE_CALLER 2u

/** How long a thread looks for work before it sleeps: longer than the serial
    gaps between layers, short beside a scheduler's time slice. */
#define SPIN_NANOSECONDS 100000

/** A caller that waits this long, and twice as long as it worked, waits for a
    worker that has lost its CPU: other programs or contexts need it. It then
    works alone for ALONE_FACTOR times as long as it waited. */
#define LOST_NANOSECONDS 500000
#define ALONE_FACTOR 16

/** The iterations of a thread: what nobody has taken of them yet. */
struct share {
  alignas(64) _Atomic int64_t next;
  int64_t end;
};

struct worker {
  struct hwgq_pool *pool;
  int number; /**< from 1; the caller is thread 0 */
  pthread_t thread;
};

struct hwgq_pool {
  alignas(64) _Atomic uint32_t gate;
  alignas(64) _Atomic uint32_t sleepers;
  _Atomic uint32_t caller_sleeps;
  _Atomic int caller_cpu;
  _Atomic uint32_t stop;
  /* Written by the caller while the gate is closed and nobody is inside. */
  alignas(64) hwgq_task fn;
  void *env;
  int64_t opened;      /**< when */
  int64_t alone_until; /**< the caller takes all of a loop until then */
  int shares;          /**< one for each thread, no more than iterations */
  int threads;
  int spin; /**< 0 when there are more threads than CPUs */
  int started;
  struct share *share;
  struct worker *workers;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t seen, uint32_t mask) {
  syscall(SYS_futex, (void *)word, FUTEX_WAIT_BITSET_PRIVATE, seen, NULL, NULL,
          mask);
}

static void futex_wake(_Atomic uint32_t *word, int64_t most, uint32_t mask) {
  syscall(SYS_futex, (void *)word, FUTEX_WAKE_BITSET_PRIVATE, (int)most, NULL,
          NULL, mask);
}

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield" ::: "memory");
#endif
}

static int64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/** Spins while the gate holds `seen`; returns its value. */
static uint32_t spin_while(struct hwgq_pool *pool, uint32_t seen) {
  int64_t end = 0;
  uint32_t gate = atomic_load(&pool->gate);
  if (!pool->spin)
    return gate;
  for (unsigned turn = 1; gate == seen; ++turn) {
    relax();
    gate = atomic_load(&pool->gate);
    if (turn % 32 != 0)
      continue;
    int64_t now = nanoseconds();
    if (end == 0)
      end = now + SPIN_NANOSECONDS;
    else if (now > end)
      break;
  }
  return gate;
}

/** Takes half of what is left of a share, at least one iteration, until
    nothing is: the thread's own share first, then those of the others. */
static void take_chunks(struct hwgq_pool *pool, int self) {
  for (int i = 0; i < pool->shares; ++i) {
    struct share *share = &pool->share[(self + i) % pool->shares];
    int64_t end = share->end;
    int64_t begin = atomic_load_explicit(&share->next, memory_order_relaxed);
    while (begin < end) {
      int64_t to = begin + (end - begin + 1) / 2;
      if (!atomic_compare_exchange_weak_explicit(&share->next, &begin, to,
                                                 memory_order_relaxed,
                                                 memory_order_relaxed))
        continue;
      pool->fn(pool->env, begin, to);
      begin = atomic_load_explicit(&share->next, memory_order_relaxed);
    }
  }
}

/** Thread i of n begins with the i-th n-th of every loop, so that it finds what
    it wrote in the loop before in its own cache. */
static void deal(struct hwgq_pool *pool, int64_t count) {
  pool->shares = count < pool->threads ? (int)count : pool->threads;
  int64_t whole = count / pool->shares, rest = count % pool->shares, at = 0;
  for (int i = 0; i < pool->shares; ++i) {
    atomic_store_explicit(&pool->share[i].next, at, memory_order_relaxed);
    at += whole + (i < rest);
    pool->share[i].end = at;
  }
}

/** Leaves the loop; the last one out wakes a caller that sleeps. */
static void leave(struct hwgq_pool *pool) {
  uint32_t gate = atomic_fetch_sub(&pool->gate, 1) - 1;
  if ((gate & (OPEN_BIT | INSIDE_MASK)) == 0 &&
      atomic_load(&pool->caller_sleeps))
    futex_wake(&pool->gate, 1, WAKE_CALLER);
}

/** Leaves the CPU that the caller runs on, to which a system that wakes a
    thread likes to bring it. */
static void leave_cpu_of_caller(struct hwgq_pool *pool) {
  int cpu = atomic_load_explicit(&pool->caller_cpu, memory_order_relaxed);
  cpu_set_t all, others;
  if (!pool->spin || sched_getcpu() != cpu ||
      sched_getaffinity(0, sizeof all, &all) != 0)
    return;
  others = all;
  CPU_CLR((size_t)cpu, &others);
  if (sched_setaffinity(0, sizeof others, &others) == 0)
    sched_setaffinity(0, sizeof all, &all);
}

static void *worker_main(void *argument) {
  struct worker *worker = argument;
  struct hwgq_pool *pool = worker->pool;
  uint32_t done = 0; /* epoch of the loop that this worker saw the end of */
  hwgq_float_set_exact();
  for (;;) {
    uint32_t gate = atomic_load(&pool->gate);
    if (atomic_load(&pool->stop))
      return NULL;
    if ((gate & OPEN_BIT) && gate / EPOCH_ONE != done) {
      if (!atomic_compare_exchange_strong(&pool->gate, &gate, gate + 1))
        continue;
      done = gate / EPOCH_ONE;
      take_chunks(pool, worker->number);
      leave(pool);
      continue;
    }
    if (spin_while(pool, gate) != gate)
      continue;
    atomic_fetch_add(&pool->sleepers, 1);
    if (!atomic_load(&pool->stop))
      futex_wait(&pool->gate, gate, WAKE_WORKERS);
    atomic_fetch_sub(&pool->sleepers, 1);
    leave_cpu_of_caller(pool);
  }
}

/** Closes the gate and waits until no worker is inside. */
static void close_and_wait(struct hwgq_pool *pool) {
  uint32_t gate = atomic_fetch_and(&pool->gate, ~OPEN_BIT) & ~OPEN_BIT;
  if ((gate & INSIDE_MASK) == 0)
    return;
  int64_t closed = nanoseconds();
  while ((gate & INSIDE_MASK) != 0) {
    uint32_t now = spin_while(pool, gate);
    if (now == gate) {
      atomic_store(&pool->caller_sleeps, 1);
      futex_wait(&pool->gate, gate, WAKE_CALLER);
      atomic_store(&pool->caller_sleeps, 0);
      now = atomic_load(&pool->gate);
    }
    gate = now;
  }
  int64_t now = nanoseconds(), waited = now - closed;
  if (pool->spin && waited > LOST_NANOSECONDS &&
      waited > 2 * (closed - pool->opened))
    pool->alone_until = now + ALONE_FACTOR * waited;
}

void hwgq_pool_parallel_for(void *opaque, hwgq_task fn, void *env,
                            int64_t count) {
  struct hwgq_pool *pool = opaque;
  if (count <= 0)
    return;
  if (count == 1 || pool->threads == 1) {
    fn(env, 0, count);
    return;
  }
  pool->opened = nanoseconds();
  if (pool->opened < pool->alone_until) {
    fn(env, 0, count);
    return;
  }
  pool->fn = fn;
  pool->env = env;
  deal(pool, count);
  atomic_store_explicit(&pool->caller_cpu, sched_getcpu(),
                        memory_order_relaxed);
  uint32_t gate = atomic_load(&pool->gate);
  atomic_store(&pool->gate, (gate + EPOCH_ONE) | OPEN_BIT);
  if (atomic_load(&pool->sleepers) != 0)
    futex_wake(&pool->gate,
               count - 1 < pool->threads ? count - 1 : pool->threads,
               WAKE_WORKERS);
  take_chunks(pool, 0);
  close_and_wait(pool);
}

int hwgq_cpu_count(void) {
  /* The mask may be longer than cpu_set_t on large machines. */
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
    cpu_set_t *set = CPU_ALLOC((size_t)cpus);
    size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);
    if (!set)
      return 1;
    int found =
        sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (found > 0)
      return found;
  }
  return 1;
}

void hwgq_pool_destroy(struct hwgq_pool *pool) {
  if (!pool)
    return;
  atomic_store(&pool->stop, 1);
  atomic_fetch_add(&pool->gate, EPOCH_ONE);
  futex_wake(&pool->gate, HWGQ_MAX_THREADS, WAKE_WORKERS);
  for (int i = 0; i < pool->started; ++i)
    pthread_join(pool->workers[i].thread, NULL);
  free(pool->workers);
  free(pool->share);
  free(pool);
}

/** Starts the workers; signals are left to the program's own threads. */
static int start_workers(struct hwgq_pool *pool) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pool->started < pool->threads - 1) {
    struct worker *worker = &pool->workers[pool->started];
    *worker = (struct worker){pool, pool->started + 1, 0};
    if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0)
      break;
    pthread_setname_np(worker->thread, "hwgq-worker");
    ++pool->started;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return pool->started == pool->threads - 1;
}

struct hwgq_pool *hwgq_pool_create(int threads) {
  struct hwgq_pool *pool = aligned_alloc(64, sizeof *pool);
  if (!pool)
    return NULL;
  *pool = (struct hwgq_pool){.threads = threads,
                             .spin = threads <= hwgq_cpu_count()};
  pool->workers = calloc((size_t)threads, sizeof *pool->workers);
  pool->share = aligned_alloc(64, (size_t)threads * sizeof *pool->share);
  if (!pool->workers || !pool->share || !start_workers(pool)) {
    hwgq_pool_destroy(pool);
    return NULL;
  }
  return pool;
}
