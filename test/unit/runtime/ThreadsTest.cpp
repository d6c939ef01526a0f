//===- ThreadsTest.cpp - The pool, and no allocation while running --------===//
#include "TestModules.h"

#include <array>
#include <atomic>
#include <chrono>
#include <set>
#include <sys/mman.h>
#include <thread>

using namespace hwgq::test;

extern "C" {
struct hwgq_pool;
hwgq_pool *hwgq_pool_create(int threads);
void hwgq_pool_destroy(hwgq_pool *pool);
void hwgq_pool_parallel_for(void *pool, hwgq_task fn, void *env, int64_t count);
int hwgq_cpu_count(void);

// The linker sends the runtime's calls here (--wrap).
static std::atomic<int> allocations{0};
#define WRAP(result, name, parameters, arguments)                              \
  result __real_##name parameters;                                             \
  result __wrap_##name parameters {                                            \
    ++allocations;                                                             \
    return __real_##name arguments;                                            \
  }
WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t count, size_t size), (count, size))
WRAP(void *, aligned_alloc, (size_t align, size_t size), (align, size))
WRAP(void *, mmap, (void *at, size_t size, int a, int b, int c, off_t d),
     (at, size, a, b, c, d))
}

struct Seen {
  std::vector<std::atomic<int>> counts;
  explicit Seen(size_t size) : counts(size) {}
};

static void count(void *env, int64_t begin, int64_t end) {
  auto *seen = static_cast<Seen *>(env);
  for (; begin < end; ++begin)
    seen->counts[size_t(begin)].fetch_add(1, std::memory_order_relaxed);
}

TEST(Threads, EachIterationOnce) {
  for (int threads : {1, 2, 3, 5, 9}) {
    hwgq_pool *pool = hwgq_pool_create(threads);
    ASSERT_NE(pool, nullptr);
    for (int turn = 0; turn < 300; ++turn)
      for (int64_t size : {0, 1, 2, 3, 7, 64, 1000}) {
        Seen seen(size_t(size) + 1);
        hwgq_pool_parallel_for(pool, count, &seen, size);
        for (int64_t i = 0; i < size; ++i)
          ASSERT_EQ(seen.counts[size_t(i)], 1) << threads << ", " << size;
        ASSERT_EQ(seen.counts[size_t(size)], 0);
      }
    hwgq_pool_destroy(pool);
  }
}

// Plain writes of a loop are seen after it, and by the next loop.
TEST(Threads, LoopsAreOrdered) {
  hwgq_pool *pool = hwgq_pool_create(4);
  std::vector<int64_t> values(257, 0);
  for (int turn = 0; turn < 2000; ++turn)
    hwgq_pool_parallel_for(
        pool,
        [](void *env, int64_t begin, int64_t end) {
          for (auto *data = static_cast<int64_t *>(env); begin < end; ++begin)
            data[begin] += begin;
        },
        values.data(), int64_t(values.size()));
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[i], 2000 * int64_t(i));
  hwgq_pool_destroy(pool);
}

// Thread i of n begins with the i-th n-th of every loop.
TEST(Threads, EachBeginsWithItsOwnPart) {
  constexpr int threads = 3, size = 10;
  constexpr int64_t first[threads] = {0, 4, 7};
  using Clock = std::chrono::steady_clock;
  struct Meeting {
    std::atomic<int> arrived{0};
    std::array<std::thread::id, threads> who;
    Clock::time_point end = Clock::now() + std::chrono::milliseconds(20);
  };
  std::array<std::thread::id, threads> before;
  int meetings = 0; // of all threads at once, in one loop
  hwgq_pool *pool = hwgq_pool_create(threads);
  for (int turn = 0; turn < 500 && meetings < 20; ++turn) {
    Meeting meeting;
    hwgq_pool_parallel_for(
        pool,
        [](void *env, int64_t begin, int64_t) {
          auto *meeting = static_cast<Meeting *>(env);
          for (int i = 0; i < threads; ++i)
            if (begin == first[i]) {
              meeting->who[size_t(i)] = std::this_thread::get_id();
              ++meeting->arrived;
              while (meeting->arrived < threads && Clock::now() < meeting->end)
                std::this_thread::yield();
            }
        },
        &meeting, size);
    EXPECT_EQ(meeting.who[0], std::this_thread::get_id());
    std::set<std::thread::id> met(meeting.who.begin(), meeting.who.end());
    if (Clock::now() > meeting.end || met.size() < threads)
      continue; // a worker came late
    if (meetings++ > 0) {
      ASSERT_EQ(meeting.who, before);
    }
    before = meeting.who;
  }
  EXPECT_GT(meetings, 0);
  hwgq_pool_destroy(pool);
}

// Workers that went to sleep come back.
TEST(Threads, WakesAfterAPause) {
  hwgq_pool *pool = hwgq_pool_create(3);
  for (int turn = 0; turn < 30; ++turn) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    Seen seen(50);
    hwgq_pool_parallel_for(pool, count, &seen, 50);
    for (auto &each : seen.counts)
      ASSERT_EQ(each, 1);
  }
  hwgq_pool_destroy(pool);
}

// A slow iteration on one thread does not hold up the others' share, and the
// loop waits for it.
TEST(Threads, WaitsForAll) {
  hwgq_pool *pool = hwgq_pool_create(4);
  std::atomic<int> done{0};
  hwgq_pool_parallel_for(
      pool,
      [](void *env, int64_t begin, int64_t end) {
        for (; begin < end; ++begin) {
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
          ++*static_cast<std::atomic<int> *>(env);
        }
      },
      &done, 12);
  EXPECT_EQ(done, 12);
  hwgq_pool_destroy(pool);
}

// A caller that waited long for a worker does the next loops alone.
TEST(Threads, WorksAloneAfterALongWait) {
  if (hwgq_cpu_count() < 2)
    GTEST_SKIP() << "one CPU";
  struct Loop {
    std::thread::id caller = std::this_thread::get_id();
    std::atomic<bool> slow{false}, met{false};
    std::atomic<int> elsewhere{0};
  };
  auto body = [](void *env, int64_t, int64_t) {
    auto *loop = static_cast<Loop *>(env);
    if (std::this_thread::get_id() != loop->caller) {
      ++loop->elsewhere;
      loop->met = true;
      if (loop->slow)
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    } else if (loop->slow) { // long enough for the worker to come
      auto end =
          std::chrono::steady_clock::now() + std::chrono::milliseconds(10);
      while (!loop->met && std::chrono::steady_clock::now() < end)
        std::this_thread::yield();
    }
  };
  hwgq_pool *pool = hwgq_pool_create(2);
  bool met = false;
  for (int turn = 0; turn < 100 && !met; ++turn) {
    Loop first;
    first.slow = true;
    hwgq_pool_parallel_for(pool, body, &first, 2);
    met = first.met;
  }
  EXPECT_TRUE(met);
  Loop next;
  hwgq_pool_parallel_for(pool, body, &next, 100);
  EXPECT_EQ(next.elsewhere, 0);
  hwgq_pool_destroy(pool);
}

TEST(Threads, ManyPools) {
  for (int turn = 0; turn < 200; ++turn) {
    hwgq_pool *pool = hwgq_pool_create(1 + turn % 6);
    Seen seen(5);
    hwgq_pool_parallel_for(pool, count, &seen, turn % 2 ? 5 : 0);
    hwgq_pool_destroy(pool);
  }
}

TEST(Threads, NoAllocationWhileRunning) {
  Module module = openModule("scale");
  Context context = makeContext(module, 3, 16);
  Scale large(16), small(3);
  EXPECT_GT(allocations, 0) << "allocations are counted";
  int before = allocations;
  for (int turn = 0; turn < 50; ++turn) {
    ASSERT_EQ(large.run(context.get()), HWGQ_OK);
    ASSERT_EQ(small.run(context.get()), HWGQ_OK);
  }
  EXPECT_EQ(allocations, before);
}
