//===- ContextTest.cpp - Running modules ----------------------------------===//
#include "TestModules.h"

#include <atomic>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

using namespace hwgq::test;

static bool says(const char *part) {
  return std::string(hwgq_last_error()).find(part) != std::string::npos;
}

TEST(Context, Runs) {
  Module module = openModule("scale");
  for (int threads : {0, 1, 2, 3, 8}) {
    Context context = makeContext(module, threads, 64);
    EXPECT_TRUE(threads == 0 || hwgq_context_threads(context.get()) == threads);
    for (int64_t batch : {1, 2, 3, 64, 7}) {
      Scale arrays(batch);
      EXPECT_EQ(arrays.run(context.get()), HWGQ_OK) << hwgq_last_error();
      EXPECT_TRUE(arrays.right()) << threads << " threads, batch " << batch;
    }
  }
}

TEST(Context, FixedBatch) {
  Module module = openModule("fixed");
  Context context = makeContext(module, 2, 0);
  uint8_t a[6] = {1, 2, 3, 200, 100, 50};
  int64_t b[6] = {1, 1, 1, -1, INT64_C(1) << 40, 2}, sum[2];
  uint8_t positive[2];
  hwgq_input inputs[] = {{a, 6}, {b, 48}};
  hwgq_output outputs[] = {{sum, 16}, {positive, 2}};
  ASSERT_EQ(hwgq_run(context.get(), inputs, 2, outputs, 2, 2), HWGQ_OK);
  EXPECT_EQ(sum[0], 6);
  EXPECT_EQ(sum[1], -200 + 100 * (INT64_C(1) << 40) + 100);
  EXPECT_EQ(positive[0], 1);
  EXPECT_EQ(hwgq_run(context.get(), inputs, 2, outputs, 2, 1), HWGQ_INVALID);
  EXPECT_TRUE(says("compiled for batch 2")) << hwgq_last_error();
}

TEST(Context, LargerBatchNeedsReserve) {
  Module module = openModule("scale");
  Context context = makeContext(module, 2, 2);
  Scale arrays(100);
  EXPECT_EQ(arrays.run(context.get()), HWGQ_INVALID);
  EXPECT_TRUE(says("reserve")) << hwgq_last_error();
  EXPECT_EQ(hwgq_context_reserve(context.get(), 100), HWGQ_OK);
  EXPECT_EQ(hwgq_context_reserve(context.get(), 5), HWGQ_OK); // never shrinks
  EXPECT_EQ(arrays.run(context.get()), HWGQ_OK);
  EXPECT_TRUE(arrays.right());
  EXPECT_EQ(hwgq_context_reserve(context.get(), 0), HWGQ_INVALID);
  EXPECT_EQ(hwgq_context_reserve(context.get(), INT64_MAX), HWGQ_NO_MEMORY);
  EXPECT_EQ(hwgq_context_reserve(context.get(), INT64_C(1) << 45),
            HWGQ_NO_MEMORY);
  EXPECT_EQ(arrays.run(context.get()), HWGQ_OK) << "still good";
}

TEST(Context, ChangesThreads) {
  Module module = openModule("scale");
  Context context = makeContext(module, 1, 8);
  for (int threads : {4, 1, 2, 2, 16}) {
    Scale arrays(8);
    EXPECT_EQ(hwgq_context_set_threads(context.get(), threads), HWGQ_OK);
    EXPECT_EQ(hwgq_context_threads(context.get()), threads);
    EXPECT_EQ(arrays.run(context.get()), HWGQ_OK);
    EXPECT_TRUE(arrays.right());
  }
  EXPECT_EQ(hwgq_context_set_threads(context.get(), -1), HWGQ_INVALID);
  EXPECT_EQ(hwgq_context_set_threads(context.get(), HWGQ_MAX_THREADS + 1),
            HWGQ_INVALID);
}

TEST(Context, ChecksArrays) {
  Module module = openModule("scale");
  Context context = makeContext(module, 1, 4);
  Scale arrays(4);
  hwgq_output *outputs = arrays.outputs;
  auto run = [&] { return arrays.run(context.get()); };

  EXPECT_EQ(hwgq_run(context.get(), &arrays.input, 0, outputs, 4, 4),
            HWGQ_INVALID);
  EXPECT_EQ(hwgq_run(context.get(), &arrays.input, 1, outputs, 3, 4),
            HWGQ_INVALID);
  EXPECT_EQ(hwgq_run(context.get(), nullptr, 1, outputs, 4, 4), HWGQ_INVALID);
  EXPECT_EQ(hwgq_run(nullptr, &arrays.input, 1, outputs, 4, 4), HWGQ_INVALID);
  for (int64_t batch : {INT64_MIN, INT64_C(-1), INT64_C(0), INT64_MAX})
    EXPECT_EQ(hwgq_run(context.get(), &arrays.input, 1, outputs, 4, batch),
              HWGQ_INVALID);

  --arrays.input.bytes;
  EXPECT_EQ(run(), HWGQ_INVALID);
  EXPECT_TRUE(says("input 'x' needs 512 bytes at batch 4, not 511"))
      << hwgq_last_error();
  ++arrays.input.bytes;

  const void *data = arrays.input.data;
  arrays.input.data = static_cast<const char *>(data) + 1;
  EXPECT_EQ(run(), HWGQ_INVALID);
  EXPECT_TRUE(says("aligned")) << hwgq_last_error();
  arrays.input.data = nullptr;
  EXPECT_EQ(run(), HWGQ_INVALID);
  arrays.input.data = data;

  void *old = outputs[0].data;
  outputs[0].data = const_cast<float *>(arrays.x.data());
  EXPECT_EQ(run(), HWGQ_INVALID);
  EXPECT_TRUE(says("output 'out/y:0' overlaps input 'x'")) << hwgq_last_error();
  outputs[0].data = old;
  void *pairs = outputs[3].data;
  outputs[3].data = static_cast<char *>(old) + 510;
  EXPECT_EQ(run(), HWGQ_INVALID);
  outputs[3].data = pairs;
  EXPECT_EQ(run(), HWGQ_OK);
  EXPECT_TRUE(arrays.right());
}

TEST(Context, SeveralAtOnce) {
  Module module = openModule("scale");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Context context = makeContext(module, 1 + t % 3, 16);
      for (int turn = 0; turn < 200; ++turn) {
        Scale arrays(1 + (turn + t) % 16);
        if (arrays.run(context.get()) != HWGQ_OK || !arrays.right())
          ++wrong;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Context, OneThreadAtATime) {
  Module module = openModule("scale");
  Context context = makeContext(module, 2, 64);
  std::atomic<int> wrong{0}, good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      Scale arrays(64);
      for (int turn = 0; turn < 300; ++turn) {
        hwgq_status status = arrays.run(context.get());
        if (status == HWGQ_OK)
          arrays.right() ? ++good : ++wrong;
        else if (status != HWGQ_INVALID || !says("in use"))
          ++wrong;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(good, 0);
}

TEST(Context, ErrorsBelongToTheirThread) {
  hwgq_module *module = nullptr;
  EXPECT_EQ(hwgq_module_open("/nonexistent", &module), HWGQ_IO);
  std::string mine = hwgq_last_error(), other = "unset";
  std::thread([&] { other = hwgq_last_error(); }).join();
  EXPECT_EQ(other, "");
  EXPECT_EQ(mine, hwgq_last_error());
}

#if defined(__x86_64__)
// Flush-to-zero, denormals-are-zero and rounding up, in the calling thread:
// all work is exact, and the caller finds its state again.
TEST(Context, FloatingPointState) {
  Module module = openModule("scale");
  unsigned before = _mm_getcsr();
  for (unsigned state : {0x9FC0u, 0x5F80u, 0x7F80u, 0x3F80u | 0x15u}) {
    _mm_setcsr(state);
    Context context = makeContext(module, 3, 16);
    unsigned made = _mm_getcsr();
    Scale arrays(16);
    _mm_setcsr(state);
    hwgq_status status = arrays.run(context.get());
    unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    EXPECT_EQ(status, HWGQ_OK);
    EXPECT_EQ(made & 0xFFC0u, state & 0xFFC0u);
    EXPECT_EQ(after, state);
    EXPECT_TRUE(arrays.right()) << std::hex << state;
  }
}
#endif

TEST(Context, Profile) {
  Module module = openModule("scale");
  Context context = makeContext(module, 1, 64);
  Scale arrays(64);
  EXPECT_EQ(hwgq_context_layer_nanoseconds(context.get(), 0), 0u);
  ASSERT_EQ(hwgq_context_set_profiling(context.get(), 1), HWGQ_OK);
  ASSERT_EQ(arrays.run(context.get()), HWGQ_OK);
  EXPECT_GT(hwgq_context_layer_nanoseconds(context.get(), 0), 0u);
  EXPECT_GT(hwgq_context_layer_nanoseconds(context.get(), 1), 0u);
  EXPECT_EQ(hwgq_context_layer_nanoseconds(context.get(), 2), 0u);
  ASSERT_EQ(hwgq_context_set_profiling(context.get(), 0), HWGQ_OK);
  EXPECT_EQ(hwgq_context_layer_nanoseconds(context.get(), 0), 0u);
  ASSERT_EQ(arrays.run(context.get()), HWGQ_OK);
}

TEST(Context, ForkIsNoticed) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer has no threads after a fork";
#endif
  Module module = openModule("scale");
  Context context = makeContext(module, 2, 1);
  pid_t child = fork();
  if (child == 0) {
    Scale arrays(1);
    bool good = arrays.run(context.get()) == HWGQ_INVALID && says("fork");
    context.reset();
    Context own = makeContext(module, 2, 1);
    good = good && arrays.run(own.get()) == HWGQ_OK && arrays.right();
    own.reset();
    _exit(good ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

#if defined(__x86_64__) && defined(__linux__)
// Tiles are asked for when the context is made.
TEST(Context, AsksForTiles) {
  if (!__builtin_cpu_supports("amx-tile"))
    GTEST_SKIP() << "this CPU has no AMX tiles";
  std::string file = withHeader(
      readFile(modulePath("scale")), [](hwgq_record &header, char *record) {
        // The text of the options is long enough for the name.
        hwgq_span span = header.options;
        span.size = 8;
        memcpy(record + span.offset, "amx-tile", 9);
        header.options = span;
        memcpy(record + header.features.offset, &span, sizeof span);
      });
  hwgq_module *opened = nullptr;
  hwgq_status status =
      hwgq_module_open_memory(file.data(), file.size(), &opened);
  ASSERT_EQ(status, HWGQ_OK) << hwgq_last_error();
  Module module(opened);
  Context context = makeContext(module, 2, 1);
  Scale arrays(1);
  EXPECT_EQ(arrays.run(context.get()), HWGQ_OK);
}
#endif
