//===- TestModules.h - Helpers of the runtime's tests -----------*- C++ -*-===//
#ifndef HWGQ_TEST_TESTMODULES_H
#define HWGQ_TEST_TESTMODULES_H

#include "RecordBuilder.h"
#include "hwgq/runtime.h"

#include "gtest/gtest.h"
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace hwgq::test {

/// Path of a module that the build made from modules/NAME.c.
inline std::string modulePath(const std::string &name) {
  return std::string(HWGQ_TEST_MODULES) + "/" + name + ".so";
}

inline std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(bool(file)) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

struct Close {
  void operator()(hwgq_module *module) const { hwgq_module_close(module); }
  void operator()(hwgq_context *context) const {
    hwgq_context_destroy(context);
  }
};
using Module = std::unique_ptr<hwgq_module, Close>;
using Context = std::unique_ptr<hwgq_context, Close>;

inline Module openModule(const std::string &name) {
  hwgq_module *module = nullptr;
  EXPECT_EQ(hwgq_module_open(modulePath(name).c_str(), &module), HWGQ_OK)
      << hwgq_last_error();
  return Module(module);
}

inline Context makeContext(const Module &module, int threads, int64_t batch) {
  hwgq_context *context = nullptr;
  EXPECT_EQ(hwgq_context_create(module.get(), threads, batch, &context),
            HWGQ_OK)
      << hwgq_last_error();
  return Context(context);
}

/// Opens bytes, for reading only or for running; the status.
inline hwgq_status tryBytes(const std::string &bytes, bool onlyRead) {
  hwgq_module *module = nullptr;
  hwgq_status status =
      onlyRead ? hwgq_module_read_memory(bytes.data(), bytes.size(), &module)
               : hwgq_module_open_memory(bytes.data(), bytes.size(), &module);
  EXPECT_EQ(status == HWGQ_OK, module != nullptr);
  hwgq_module_close(module);
  return status;
}

/// The module's file with a changed record header and a right checksum.
inline std::string
withHeader(std::string file,
           const std::function<void(hwgq_record &, char *)> &change) {
  uint64_t at = 0, size = 0;
  EXPECT_EQ(hwgq_locate_record(file.data(), file.size(), &at, &size), nullptr);
  hwgq_record header;
  memcpy(&header, &file[at], sizeof header);
  change(header, &file[at]);
  memcpy(&file[at], &header, sizeof header);
  finishModule(file);
  return file;
}

/// Arrays of the module `scale` for one batch.
struct Scale {
  int64_t batch;
  std::vector<float> x, y;
  float state[4] = {};
  int64_t rows = 0;
  std::vector<uint8_t> pairs;
  hwgq_input input;
  hwgq_output outputs[4];

  explicit Scale(int64_t batch)
      : batch(batch), x(size_t(batch) * 32), y(x.size()),
        pairs(size_t(batch) * 2), input{x.data(), x.size() * 4},
        outputs{{y.data(), y.size() * 4},
                {state, sizeof state},
                {&rows, sizeof rows},
                {pairs.data(), pairs.size()}} {
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = float(i % 1000) * 0.25f - 3;
  }

  hwgq_status run(hwgq_context *context) {
    return hwgq_run(context, &input, 1, outputs, 4, batch);
  }

  bool right() const {
    bool good = rows == batch * 4 && state[0] == std::ldexp(1.0f, -149) &&
                state[1] == 1 && state[2] == state[0] && state[3] == 1;
    for (size_t i = 0; i < x.size(); ++i)
      good = good && y[i] == 2 * x[i] + 1;
    for (size_t i = 0; i < pairs.size(); ++i)
      good = good && pairs[i] == uint8_t(i);
    return good;
  }
};

} // namespace hwgq::test

#endif // HWGQ_TEST_TESTMODULES_H
