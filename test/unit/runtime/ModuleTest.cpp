//===- ModuleTest.cpp - Opening, reading and refusing modules -------------===//
#include "TestModules.h"

#include <cstdio>
#include <random>
#include <unistd.h>

using namespace hwgq::test;

static bool says(const char *part) {
  return std::string(hwgq_last_error()).find(part) != std::string::npos;
}

TEST(Module, TellsWhatItIs) {
  Module module = openModule("scale");
  ASSERT_EQ(hwgq_module_input_count(module.get()), 1u);
  ASSERT_EQ(hwgq_module_output_count(module.get()), 4u);
  const hwgq_tensor *x = hwgq_module_input(module.get(), 0);
  EXPECT_STREQ(x->name, "x");
  EXPECT_EQ(x->dtype, HWGQ_F32);
  ASSERT_EQ(x->rank, 3u);
  EXPECT_EQ(x->dims[0], -1);
  EXPECT_EQ(x->dims[2], 8);
  EXPECT_STREQ(hwgq_module_output(module.get(), 0)->name, "out/y:0");
  EXPECT_EQ(hwgq_module_output(module.get(), 2)->rank, 0u);
  EXPECT_EQ(hwgq_module_input(module.get(), 1), nullptr);
  EXPECT_EQ(hwgq_module_output(module.get(), 4), nullptr);
  EXPECT_EQ(hwgq_module_batch(module.get()), HWGQ_BATCH_DYNAMIC);
  EXPECT_STREQ(hwgq_module_prefix(module.get()), "scale");
  EXPECT_STREQ(hwgq_module_options(module.get()), "written by hand");
  EXPECT_EQ(hwgq_module_feature_count(module.get()), 1u);
  EXPECT_EQ(hwgq_module_feature(module.get(), 0)[0] == '+', false);
  EXPECT_EQ(hwgq_module_layer_count(module.get()), 2u);
  EXPECT_STREQ(hwgq_module_layer(module.get(), 1), "add");
  EXPECT_EQ(hwgq_module_layer(module.get(), 2), nullptr);
  EXPECT_EQ(hwgq_module_file_bytes(module.get()),
            readFile(modulePath("scale")).size());
  EXPECT_EQ(hwgq_module_shared_bytes(module.get()), 64u);
  size_t bytes = 0;
  EXPECT_EQ(hwgq_module_workspace_bytes(module.get(), 3, &bytes), HWGQ_OK);
  EXPECT_EQ(bytes, 64u + 3 * 160);
}

TEST(Module, ShapesFollowTheBatch) {
  Module module = openModule("scale");
  int64_t dims[HWGQ_MAX_RANK];
  size_t bytes = 0;
  const hwgq_tensor *pairs = hwgq_module_output(module.get(), 3);
  ASSERT_EQ(hwgq_tensor_shape(pairs, 7, dims, &bytes), HWGQ_OK);
  EXPECT_EQ(dims[0], 14);
  EXPECT_EQ(bytes, 14u);
  EXPECT_EQ(hwgq_tensor_shape(pairs, 0, dims, &bytes), HWGQ_INVALID);
  EXPECT_EQ(hwgq_tensor_shape(pairs, INT64_MAX, dims, &bytes), HWGQ_NO_MEMORY);
  EXPECT_EQ(hwgq_tensor_shape(hwgq_module_input(module.get(), 0),
                              INT64_MAX / 64, dims, &bytes),
            HWGQ_NO_MEMORY);
  EXPECT_EQ(bytes, 14u) << "results of a failure are untouched";
}

TEST(Module, OpensFromMemory) {
  std::string bytes = readFile(modulePath("scale"));
  hwgq_module *opened = nullptr;
  ASSERT_EQ(hwgq_module_open_memory(bytes.data(), bytes.size(), &opened),
            HWGQ_OK)
      << hwgq_last_error();
  Module module(opened);
  std::fill(bytes.begin(), bytes.end(), 0); // it has a copy
  Context context = makeContext(module, 1, 2);
  Scale arrays(2);
  EXPECT_EQ(arrays.run(context.get()), HWGQ_OK);
  EXPECT_TRUE(arrays.right());
}

TEST(Module, ContextsKeepTheCode) {
  Module module = openModule("scale");
  Context context = makeContext(module, 2, 1);
  module.reset();
  Scale arrays(1);
  EXPECT_EQ(arrays.run(context.get()), HWGQ_OK);
  EXPECT_TRUE(arrays.right());
}

// dlopen would give the first file's code for the second.
TEST(Module, OnePathTwoFiles) {
  std::string path = testing::TempDir() + "hwgq_replaced.so";
  auto put = [&](const char *name) {
    std::string bytes = readFile(modulePath(name));
    std::ofstream(path + ".new", std::ios::binary) << bytes;
    ASSERT_EQ(rename((path + ".new").c_str(), path.c_str()), 0);
  };
  hwgq_module *first = nullptr, *second = nullptr;
  put("scale");
  ASSERT_EQ(hwgq_module_open(path.c_str(), &first), HWGQ_OK);
  put("fixed");
  EXPECT_EQ(hwgq_module_open(path.c_str(), &second), HWGQ_OK)
      << hwgq_last_error();
  Module a(first), b(second);
  EXPECT_STREQ(hwgq_module_prefix(a.get()), "scale");
  EXPECT_STREQ(hwgq_module_prefix(b.get()), "fixed");
  Scale arrays(1);
  Context context = makeContext(a, 1, 1);
  EXPECT_EQ(arrays.run(context.get()), HWGQ_OK);
  EXPECT_TRUE(arrays.right());
  unlink(path.c_str());
}

TEST(Module, EveryFlippedByteIsFound) {
  for (const char *name : {"scale", "fixed"}) {
    std::string file = readFile(modulePath(name));
    ASSERT_EQ(tryBytes(file, true), HWGQ_OK);
    for (size_t at = 0; at < file.size(); ++at) {
      unsigned char change = at % 3 == 0 ? 0xFF : 1 << at % 8;
      file[at] = char(file[at] ^ change);
      EXPECT_NE(tryBytes(file, true), HWGQ_OK) << name << " byte " << at;
      // What reading refuses is not loaded, either.
      if (at % 97 == 0) {
        EXPECT_NE(tryBytes(file, false), HWGQ_OK) << name << " byte " << at;
      }
      EXPECT_STRNE(hwgq_last_error(), "");
      file[at] = char(file[at] ^ change);
    }
    EXPECT_EQ(tryBytes(file, true), HWGQ_OK);
  }
}

TEST(Module, EveryBitOfTheRecordIsFound) {
  std::string file = readFile(modulePath("scale"));
  uint64_t at = 0, size = 0;
  ASSERT_EQ(hwgq_locate_record(file.data(), file.size(), &at, &size), nullptr);
  for (uint64_t bit = 0; bit < size * 8; ++bit) {
    char &byte = file[at + bit / 8];
    byte = char(byte ^ (1 << bit % 8));
    EXPECT_NE(tryBytes(file, true), HWGQ_OK) << "bit " << bit;
    byte = char(byte ^ (1 << bit % 8));
  }
}

TEST(Module, EveryTruncationIsFound) {
  std::string file = readFile(modulePath("scale"));
  for (size_t size = 0; size < file.size(); ++size) {
    // A copy of exactly this size, so that a sanitizer sees reads past it.
    std::vector<char> part(file.begin(), file.begin() + ptrdiff_t(size));
    hwgq_module *module = nullptr;
    EXPECT_NE(hwgq_module_read_memory(part.data() ? part.data() : "",
                                      part.size(), &module),
              HWGQ_OK)
        << size;
  }
  EXPECT_EQ(tryBytes(file + std::string(1, '\0'), true), HWGQ_DAMAGED);
  EXPECT_TRUE(says("cut short or damaged"));
}

// A right checksum over a wrong record: nothing of it is trusted.
TEST(Module, HostileRecords) {
  const uint32_t values[] = {0,          1,          3,          100,
                             0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF};
  std::string file = readFile(modulePath("scale"));
  uint64_t at = 0, size = 0;
  ASSERT_EQ(hwgq_locate_record(file.data(), file.size(), &at, &size), nullptr);
  size_t refused = 0;
  for (uint64_t word = 0; word + 4 <= size; word += 4)
    for (uint32_t value : values) {
      std::string changed = file;
      memcpy(&changed[at + word], &value, 4);
      if (!finishModule(changed))
        continue;
      refused += tryBytes(changed, true) != HWGQ_OK;
    }
  EXPECT_GT(refused, 500u);
}

TEST(Module, RandomSpans) {
  std::string file = readFile(modulePath("scale"));
  std::mt19937 random(1);
  for (int turn = 0; turn < 3000; ++turn)
    tryBytes(withHeader(file,
                        [&](hwgq_record &header, char *) {
                          hwgq_span *spans[] = {
                              &header.tensors, &header.features,
                              &header.layers,  &header.triple,
                              &header.prefix,  &header.report};
                          hwgq_span &span = *spans[random() % 6];
                          span.offset = random() % (header.record_size + 8);
                          span.size = random() % (header.record_size + 8);
                        }),
             true);
}

TEST(Module, RefusesOtherMachines) {
  std::string file = readFile(modulePath("scale"));
  uint16_t machine;
  memcpy(&machine, &file[18], 2);
  uint16_t other =
      machine == HWGQ_ARCH_X86_64 ? HWGQ_ARCH_AARCH64 : HWGQ_ARCH_X86_64;
  memcpy(&file[18], &other, 2);
  std::string changed = withHeader(
      file, [&](hwgq_record &header, char *) { header.arch = other; });
  EXPECT_EQ(tryBytes(changed, true), HWGQ_OK) << "reading needs no machine";
  EXPECT_EQ(tryBytes(changed, false), HWGQ_UNSUPPORTED);
  EXPECT_TRUE(says("module is for")) << hwgq_last_error();
  finishModule(file); // its record disagrees
  EXPECT_EQ(tryBytes(file, true), HWGQ_DAMAGED);
}

/// The module with one feature, of at most 5 characters.
static std::string withFeature(const char *feature) {
  return withHeader(
      readFile(modulePath("scale")), [&](hwgq_record &header, char *record) {
        hwgq_span span;
        memcpy(&span, record + header.features.offset, sizeof span);
        memcpy(record + span.offset, feature, strlen(feature) + 1);
        span.size = uint32_t(strlen(feature));
        memcpy(record + header.features.offset, &span, sizeof span);
      });
}

TEST(Module, RefusesMissingFeatures) {
#if defined(__x86_64__)
  EXPECT_EQ(tryBytes(withFeature("+sse2"), false), HWGQ_OK);
  EXPECT_EQ(tryBytes(withFeature("sse2"), false), HWGQ_OK);
  // Each known feature is either there or refused by name.
  int present = 0, refused = 0;
  for (const char *name :
       {"avx", "avx2", "sse4a", "fma", "adx", "rdpru", "bmi", "sahf", "pku"}) {
    hwgq_status status = tryBytes(withFeature(name), false);
    present += status == HWGQ_OK;
    refused += status == HWGQ_UNSUPPORTED;
    if (status != HWGQ_OK) {
      EXPECT_TRUE(says((std::string("needs ") + name).c_str()));
      EXPECT_TRUE(says("this CPU lacks it")) << hwgq_last_error();
    }
  }
  EXPECT_EQ(present + refused, 9);
  EXPECT_GE(present, 1);
#endif
  EXPECT_EQ(tryBytes(withFeature("magic"), false), HWGQ_UNSUPPORTED);
  EXPECT_TRUE(says("needs magic")) << hwgq_last_error();
  EXPECT_EQ(tryBytes(withFeature("magic"), true), HWGQ_OK);
}

TEST(Module, RefusesOtherVersions) {
  std::string changed =
      withHeader(readFile(modulePath("scale")),
                 [](hwgq_record &header, char *) { header.abi_version = 99; });
  EXPECT_EQ(tryBytes(changed, true), HWGQ_UNSUPPORTED);
  EXPECT_TRUE(says("interface version 99")) << hwgq_last_error();
}

TEST(Module, RefusesMissingSymbol) {
  std::string changed = withHeader(readFile(modulePath("scale")),
                                   [](hwgq_record &header, char *record) {
                                     record[header.prefix.offset] = 'S';
                                   });
  EXPECT_EQ(tryBytes(changed, false), HWGQ_DAMAGED);
  EXPECT_TRUE(says("Scale_hwgq_module")) << hwgq_last_error();
}

TEST(Module, RefusesWhatIsNoModule) {
  hwgq_module *module = nullptr;
  EXPECT_EQ(hwgq_module_open("/nonexistent/x.so", &module), HWGQ_IO);
  EXPECT_TRUE(says("/nonexistent/x.so"));
  EXPECT_EQ(hwgq_module_open("/", &module), HWGQ_IO);
  EXPECT_TRUE(says("not a regular file"));
  EXPECT_EQ(hwgq_module_open("/dev/null", &module), HWGQ_IO);
  EXPECT_EQ(hwgq_module_open(nullptr, &module), HWGQ_INVALID);
  EXPECT_EQ(hwgq_module_open(modulePath("scale").c_str(), nullptr),
            HWGQ_INVALID);
  EXPECT_EQ(hwgq_module_open_memory(nullptr, 5, &module), HWGQ_INVALID);
  EXPECT_EQ(hwgq_module_open_static(nullptr, &module), HWGQ_INVALID);
  std::string file = readFile(modulePath("scale"));
  uint64_t at = 0, size = 0;
  ASSERT_EQ(hwgq_locate_record(file.data(), file.size(), &at, &size), nullptr);
  file[at - 6] = 'G'; // the note's name
  EXPECT_EQ(tryBytes(file, true), HWGQ_DAMAGED);
  EXPECT_TRUE(says("without a hwgq note")) << hwgq_last_error();
  EXPECT_EQ(tryBytes(std::string(1000, 'x'), true), HWGQ_DAMAGED);
  EXPECT_TRUE(says("not an ELF file")) << hwgq_last_error();
  EXPECT_EQ(module, nullptr);
  hwgq_module_close(nullptr);
}

TEST(Module, OnlyReadDoesNotRun) {
  hwgq_module *read = nullptr;
  hwgq_context *context = nullptr;
  ASSERT_EQ(hwgq_module_read(modulePath("scale").c_str(), &read), HWGQ_OK);
  Module module(read);
  EXPECT_EQ(hwgq_context_create(read, 1, 1, &context), HWGQ_INVALID);
  EXPECT_TRUE(says("only read"));
}

extern "C" const hwgq_module_entry scale_hwgq_module, fixed_hwgq_module;

TEST(Module, OpensStatically) {
  hwgq_module *scale = nullptr, *fixed = nullptr;
  ASSERT_EQ(hwgq_module_open_static(&scale_hwgq_module, &scale), HWGQ_OK)
      << hwgq_last_error();
  ASSERT_EQ(hwgq_module_open_static(&fixed_hwgq_module, &fixed), HWGQ_OK)
      << hwgq_last_error();
  Module a(scale), b(fixed);
  Context context = makeContext(a, 2, 3);
  Scale arrays(3);
  EXPECT_EQ(arrays.run(context.get()), HWGQ_OK);
  EXPECT_TRUE(arrays.right());
  EXPECT_EQ(hwgq_module_file_bytes(b.get()), 0u);

  hwgq_module_entry broken = scale_hwgq_module;
  hwgq_module *module = nullptr;
  broken.abi_version = 99;
  EXPECT_EQ(hwgq_module_open_static(&broken, &module), HWGQ_UNSUPPORTED);
  broken = scale_hwgq_module;
  broken.metadata_size = 20;
  EXPECT_EQ(hwgq_module_open_static(&broken, &module), HWGQ_DAMAGED);
  broken = scale_hwgq_module;
  broken.prepare = nullptr;
  EXPECT_EQ(hwgq_module_open_static(&broken, &module), HWGQ_DAMAGED);
  broken.metadata = nullptr;
  EXPECT_EQ(hwgq_module_open_static(&broken, &module), HWGQ_DAMAGED);
}

TEST(Module, Version) {
  EXPECT_EQ(hwgq_abi_version(), HWGQ_ABI_VERSION);
  EXPECT_NE(strchr(hwgq_version(), '.'), nullptr);
}
