//===- CompilerTest.cpp - the compiler's C interface ----------------------===//
#include "hwgq-c/compiler.h"
#include "hwgq/runtime.h"
#include "gtest/gtest.h"
#include <string>
#include <thread>
#include <vector>

extern "C" const hwgq_model hwgq_test_nowhere;

namespace {

using Messages = std::vector<std::string>;

/// severity, node, operator, file, message.
void collect(const hwgq_diagnostic *diagnostic, void *user) {
  static_cast<Messages *>(user)->push_back(
      std::to_string(diagnostic->severity) + "|" + diagnostic->node + "|" +
      diagnostic->op + "|" + diagnostic->file + "|" + diagnostic->message);
  for (size_t i = 0; i < diagnostic->note_count; ++i)
    collect(&diagnostic->notes[i], user);
}

void writeKey(std::string &to, int field, int wire) {
  to += char(field << 3 | wire);
}
void writeText(std::string &to, int field, const std::string &text) {
  writeKey(to, field, 2);
  to += char(text.size());
  to += text;
}
void writeNumber(std::string &to, int field, int value) {
  writeKey(to, field, 0);
  to += char(value);
}

/// name: f32[2, 3]
std::string makeValue(const std::string &name) {
  std::string dims, shape, tensor, type, value;
  for (int size : {2, 3}) {
    std::string dim;
    writeNumber(dim, 1, size);
    writeText(dims, 1, dim);
  }
  writeNumber(tensor, 1, 1); // elem_type FLOAT
  writeText(tensor, 2, dims);
  writeText(type, 1, tensor);
  writeText(value, 1, name);
  writeText(value, 2, type);
  return value;
}

/// y = op(x, x) of f32[2, 3], as an ONNX file.
std::string makeModel(const std::string &op) {
  std::string node, graph, opset, model;
  writeText(node, 1, "x");
  writeText(node, 1, "x");
  writeText(node, 2, "y");
  writeText(node, 3, "the node");
  writeText(node, 4, op);
  writeText(graph, 1, node);
  writeText(graph, 2, "graph");
  writeText(graph, 11, makeValue("x"));
  writeText(graph, 12, makeValue("y"));
  writeNumber(opset, 2, 17);
  writeNumber(model, 1, 8); // ir_version
  writeText(model, 7, graph);
  writeText(model, 8, opset);
  return model;
}

const int64_t kDims[] = {2, 3};
const float kX[] = {1, -2, 3, 0.5f, 5, -6};
const hwgq_array kInput = {"x", HWGQ_F32, 2, kDims, kX};

void checkSum(const float *y) {
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(y[i], kX[i] + kX[i]);
}

TEST(Compiler, CompilesAndRuns) {
  std::string bytes = makeModel("Add");
  hwgq_model model = {nullptr, bytes.data(), bytes.size(), nullptr};
  Messages messages;
  hwgq_result *result = nullptr;
  ASSERT_TRUE(hwgq_compile(&model, nullptr, 0, nullptr, 0, collect, &messages,
                           &result));
  EXPECT_NE(std::string(hwgq_result_report(result)).find("\"target\""),
            std::string::npos);
  hwgq_module *module = nullptr;
  ASSERT_EQ(hwgq_module_open_memory(hwgq_result_data(result),
                                    hwgq_result_size(result), &module),
            HWGQ_OK);
  hwgq_result_free(result);
  hwgq_context *context = nullptr;
  ASSERT_EQ(hwgq_context_create(module, 1, 2, &context), HWGQ_OK);
  float y[6];
  hwgq_input from = {kX, sizeof kX};
  hwgq_output to = {y, sizeof y};
  EXPECT_EQ(hwgq_run(context, &from, 1, &to, 1, 2), HWGQ_OK)
      << hwgq_last_error();
  checkSum(y);
  hwgq_context_destroy(context);
  hwgq_module_close(module);
}

TEST(Compiler, EvaluatesEveryPhase) {
  std::string bytes = makeModel("Add");
  hwgq_model model = {nullptr, bytes.data(), bytes.size(), nullptr};
  for (const char *to : {"import", "hwgq", "kernel", "target"}) {
    Messages messages;
    hwgq_option option = {"to", to};
    hwgq_result *result = nullptr;
    ASSERT_TRUE(hwgq_evaluate(&model, &option, 1, nullptr, 0, &kInput, 1,
                              collect, &messages, &result))
        << to;
    ASSERT_EQ(hwgq_result_array_count(result), 1u);
    const hwgq_array *array = hwgq_result_array(result, 0);
    EXPECT_STREQ(array->name, "y");
    EXPECT_EQ(array->dtype, HWGQ_F32);
    ASSERT_EQ(array->rank, 2u);
    EXPECT_EQ(array->dims[1], 3);
    checkSum(static_cast<const float *>(array->data));
    EXPECT_EQ(hwgq_result_array(result, 1), nullptr);
    hwgq_result_free(result);
  }
}

TEST(Compiler, BindsAnInput) {
  std::string bytes = makeModel("Add");
  hwgq_model model = {nullptr, bytes.data(), bytes.size(), nullptr};
  hwgq_result *result = nullptr;
  ASSERT_TRUE(hwgq_evaluate(&model, nullptr, 0, &kInput, 1, nullptr, 0, nullptr,
                            nullptr, &result));
  checkSum(static_cast<const float *>(hwgq_result_array(result, 0)->data));
  hwgq_result_free(result);
}

TEST(Compiler, TellsNodeAndOperator) {
  std::string bytes = makeModel("Loop");
  hwgq_model model = {nullptr, bytes.data(), bytes.size(), nullptr};
  Messages messages;
  hwgq_result *result = nullptr;
  EXPECT_FALSE(hwgq_compile(&model, nullptr, 0, nullptr, 0, collect, &messages,
                            &result));
  EXPECT_EQ(result, nullptr);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].rfind("0|the node|Loop||", 0), 0u) << messages[0];
  messages.clear();
  EXPECT_FALSE(hwgq_compile(&hwgq_test_nowhere, nullptr, 0, nullptr, 0, collect,
                            &messages, &result));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].rfind("0|||nowhere.onnx|", 0), 0u) << messages[0];
}

TEST(Compiler, RefusesWrongArraysAndOptions) {
  std::string bytes = makeModel("Add");
  hwgq_model model = {nullptr, bytes.data(), bytes.size(), nullptr};
  const int64_t huge[] = {INT64_MAX, INT64_MAX}, negative[] = {-1, 3};
  std::vector<hwgq_array> wrong = {
      {"z", HWGQ_F32, 2, kDims, kX},
      {nullptr, HWGQ_F64, 2, kDims, kX},
      {nullptr, HWGQ_F32, 1, kDims, kX},
      {nullptr, HWGQ_F32, 2, huge, kX},
      {nullptr, HWGQ_F32, 2, negative, kX},
      {nullptr, HWGQ_F32, 1000000, kDims, kX},
      {nullptr, HWGQ_F32, 2, nullptr, kX},
      {nullptr, HWGQ_F32, 2, kDims, nullptr},
      {nullptr, 99, 2, kDims, kX},
  };
  for (const hwgq_array &array : wrong) {
    Messages messages;
    hwgq_result *result = nullptr;
    EXPECT_FALSE(hwgq_evaluate(&model, nullptr, 0, nullptr, 0, &array, 1,
                               collect, &messages, &result));
    EXPECT_EQ(messages.size(), 1u);
  }
  for (hwgq_option option : {hwgq_option{"emit", "exe"},
                             {"emit", "x"},
                             {"to", "x"},
                             {"batch", "-1"},
                             {"nothing", ""},
                             {"target", ""},
                             {"bind", "x"},
                             {"input", "x"}}) {
    Messages messages;
    hwgq_result *result = nullptr;
    EXPECT_FALSE(hwgq_compile(&model, &option, 1, nullptr, 0, collect,
                              &messages, &result))
        << option.key;
    EXPECT_FALSE(messages.empty()) << option.key;
  }
}

TEST(Compiler, RunsPasses) {
  std::string text = "func.func @f() { return }";
  hwgq_result *result = nullptr;
  ASSERT_TRUE(hwgq_run_passes(text.data(), text.size(),
                              "builtin.module(canonicalize)", nullptr, nullptr,
                              &result));
  EXPECT_NE(std::string(hwgq_result_data(result)).find("func.func @f"),
            std::string::npos);
  hwgq_result_free(result);
  Messages messages;
  EXPECT_FALSE(hwgq_run_passes(text.data(), text.size(), "nope", collect,
                               &messages, &result));
  EXPECT_FALSE(messages.empty());
}

TEST(Compiler, WorksInSeveralThreads) {
  std::string bytes = makeModel("Mul");
  auto work = [&](bool *done) {
    hwgq_model model = {nullptr, bytes.data(), bytes.size(), nullptr};
    *done = true;
    for (int i = 0; i < 4; ++i) {
      hwgq_result *result = nullptr;
      *done &= hwgq_compile(&model, nullptr, 0, nullptr, 0, nullptr, nullptr,
                            &result);
      hwgq_result_free(result);
    }
  };
  bool done[3];
  std::vector<std::thread> threads;
  for (bool &one : done)
    threads.emplace_back(work, &one);
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_TRUE(done[0] && done[1] && done[2]);
  EXPECT_NE(std::string(hwgq_compiler_version()), "");
}

} // namespace
