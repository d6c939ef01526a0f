//===- FoldingTest.cpp - networks before and after recognition ------------===//
//
// Small networks in numbers that are exact in float32 give the same bits as
// floats and as codes with thresholds, for every pair of quantiser forms.
//
//===----------------------------------------------------------------------===//
#include "Forms.h"
#include "hwgq/Passes.h"
#include "hwgq/Reference/Interpreter.h"
#include "mlir/Pass/PassManager.h"

#include <random>

using namespace mlir;
using namespace hwgq;
using namespace hwgq::test;

namespace {
void runPasses(ModuleOp module) {
  PassManager passes(module.getContext());
  passes.addNestedPass<func::FuncOp>(createHwgqRecognizeSteps());
  passes.addNestedPass<func::FuncOp>(createHwgqRecognizeCodes());
  HwgqFoldThresholdsOptions options;
  options.verifyFolding = true;
  passes.addNestedPass<func::FuncOp>(createHwgqFoldThresholds(options));
  ASSERT_TRUE(succeeded(passes.run(module)));
}

template <typename OpTy> int count(ModuleOp module) {
  int found = 0;
  module.walk([&](OpTy) { ++found; });
  return found;
}

/// Contractions with an int32 result.
int countCoded(ModuleOp module) {
  int found = 0;
  module.walk([&](Operation *op) {
    if (isa<Conv2DOp, MatMulOp>(op))
      found += getElementTypeOrSelf(op->getResult(0).getType()).isInteger(32);
  });
  return found;
}

std::vector<float> evaluate(ModuleOp module, ArrayRef<int64_t> shape,
                            ArrayRef<float> x) {
  auto func = *module.getOps<func::FuncOp>().begin();
  auto type = RankedTensorType::get(shape, Float32Type::get(getContext()));
  auto input = reference::Tensor::borrow(
      type, ArrayRef(reinterpret_cast<const char *>(x.data()),
                     x.size() * sizeof(float)));
  auto results = reference::evaluate(func, {input});
  EXPECT_TRUE(succeeded(results));
  if (failed(results))
    return {};
  auto values = (*results)[0].as<float>();
  return std::vector<float>(values.begin(), values.end());
}

/// Compares values; any NaN equals any NaN.
void compare(ArrayRef<float> before, ArrayRef<float> after) {
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i)
    ASSERT_TRUE(before[i] == after[i] ||
                (std::isnan(before[i]) && std::isnan(after[i])))
        << before[i] << " and " << after[i] << " at " << i;
}

/// All triples of values around every breakpoint of the forms.
std::vector<float> allTriples() {
  std::vector<float> points = {-1.0f, -0.75f, -0.375f,
                               -0.0f, 0.25f,  std::nextafterf(0.75f, 1.0f),
                               1.0f,  1.25f,  2.0f};
  std::vector<float> triples;
  for (float a : points)
    for (float b : points)
      for (float c : points)
        triples.insert(triples.end(), {a, b, c});
  return triples;
}

/// quantiser, matmul, batch norm, quantiser, matmul.
std::string denseNet(const Form &first, const Form &second, const char *slope,
                     const char *shift) {
  ChainText chain(3);
  std::string y = first.build(chain, "%x");
  y = chain.line("hwgq.matmul " + y + ", %w0 : " + chain.type() +
                 ", tensor<3x3xf32> -> " + chain.type());
  y = chain.op("arith.mulf", {y, chain.perChannel(slope)});
  y = chain.op("arith.addf", {y, chain.perChannel(shift)});
  y = second.build(chain, y);
  y = chain.line("hwgq.matmul " + y + ", %w1 : " + chain.type() +
                 ", tensor<2x3xf32> -> tensor<?x2xf32>");
  return "func.func @main(%x: tensor<?x3xf32>) -> tensor<?x2xf32> {\n"
         "  %zero = arith.constant 0 : index\n"
         "  %rows = tensor.dim %x, %zero : tensor<?x3xf32>\n"
         "  %w0 = arith.constant dense<[[1.0, -1.0, 1.0], [-0.5, 0.5, 0.5], "
         "[1.0, 1.0, -1.0]]> : tensor<3x3xf32>\n"
         "  %w1 = arith.constant dense<[[1.0, -1.0, 1.0], [0.5, 0.0, -0.5]]> "
         ": tensor<2x3xf32>\n" +
         chain.text + "  return " + y + " : tensor<?x2xf32>\n}\n";
}

struct Norm {
  const char *slope, *shift;
};
/// Whether the codes of a channel may rise and fall, so that there are no
/// thresholds: PACT does where sums of large numbers cancel.
bool mayTurn(const Form &form, const Norm &norm) {
  std::string name = form.name;
  return name == "not monotone" ||
         (name == "pact" && StringRef(norm.slope).contains("e38"));
}
const Norm kNorms[] = {
    {"[1.0, 1.0, 1.0]", "[0.0, 0.0, 0.0]"},
    {"[-0.5, 0.0, 2.0]", "[0.25, 0.75, -1.0]"},
    {"[1.0e-45, -1.0e-45, 1.0e38]", "[0.0, -0.0, 0.5]"},
};
} // namespace

TEST(Folding, EveryPairOfForms) {
  std::vector<float> x = allTriples();
  SmallVector<int64_t> shape = {int64_t(x.size() / 3), 3};
  for (const Form &first : allForms())
    for (const Form &second : allForms())
      for (const Norm &norm : kNorms) {
        SCOPED_TRACE(std::string(first.name) + ", " + norm.slope + ", " +
                     second.name);
        std::string text = denseNet(first, second, norm.slope, norm.shift);
        auto module = parse(text);
        ASSERT_TRUE(module);
        std::vector<float> before = evaluate(*module, shape, x);
        runPasses(*module);
        ASSERT_FALSE(HasFatalFailure());
        std::vector<float> after = evaluate(*module, shape, x);
        compare(before, after);
        ASSERT_FALSE(HasFatalFailure()) << text;
        if (!first.onFloats)
          continue;
        // PACT of such sums may be NaN, which is no level.
        if (std::string(second.name) != "pact" || !mayTurn(second, norm))
          EXPECT_EQ(countCoded(*module), 2);
        if (!mayTurn(second, norm)) {
          EXPECT_EQ(count<QuantizeOp>(*module), 1);
          EXPECT_EQ(count<ThresholdOp>(*module), 1);
        }
      }
}

/// Padded convolution with a max-pool before or after the batch norm.
static std::string imageNet(const Form &first, const Form &second, bool before,
                            const Norm &norm) {
  auto replaceAll = [](std::string text, const std::string &from,
                       const std::string &to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;
         at += to.size())
      text.replace(at, from.size(), to);
    return text;
  };
  ChainText a(2), b(3), c(3);
  std::string q = first.build(a, "%x"), y = "%conv", pooled, result;
  auto scale = [&](ChainText &chain, std::string v) {
    v = chain.op("arith.mulf", {v, chain.perChannel(norm.slope)});
    return chain.op("arith.addf", {v, chain.perChannel(norm.shift)});
  };
  if (!before)
    y = scale(b, y);
  std::string z = "%pool";
  if (before)
    z = scale(c, z);
  z = second.build(c, z);
  auto images = [&](std::string text, const char *size) {
    text = replaceAll(text, "tensor<?x", std::string("tensor<?x") + size);
    return replaceAll(text, "dimensions = [0]", "dimensions = [0, 1, 2]");
  };
  return "func.func @main(%x: tensor<?x3x3x2xf32>) -> tensor<?x2x2x3xf32> {\n"
         "  %zero = arith.constant 0 : index\n"
         "  %rows = tensor.dim %x, %zero : tensor<?x3x3x2xf32>\n"
         "  %w = arith.constant dense<[[[[1.0, -1.0], [1.0, 1.0]], [[-1.0, "
         "-1.0], [-1.0, 1.0]]], [[[0.5, 0.5], [-0.5, 0.5]], [[0.5, -0.5], "
         "[0.5, 0.5]]], [[[1.0, -1.0], [-1.0, 1.0]], [[0.0, 1.0], [1.0, "
         "-1.0]]]]> : tensor<3x2x2x2xf32>\n" +
         images(a.text, "3x3x") + "  %conv = hwgq.conv2d " + q +
         ", %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 0, 0, 1>, "
         "dilations = array<i64: 1, 1>, groups = 1 : i64} : "
         "tensor<?x3x3x2xf32>, tensor<3x2x2x2xf32> -> tensor<?x3x3x3xf32>\n" +
         images(b.text, "3x3x") + "  %pool = hwgq.max_pool " + y +
         " {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = "
         "array<i64: 1, 0, 0, 1>, dilations = array<i64: 1, 1>} : "
         "tensor<?x3x3x3xf32> -> tensor<?x2x2x3xf32>\n" +
         images(c.text, "2x2x") + "  return " + z +
         " : tensor<?x2x2x3xf32>\n}\n";
}

TEST(Folding, PaddedConvolutionsAndPools) {
  std::mt19937 random(7);
  std::vector<float> points = {-1.0f, -0.375f, 0.0f, 0.25f, 0.875f, 1.0f, 2.0f};
  constexpr int64_t kImages = 50;
  std::vector<float> x(kImages * 18);
  for (float &v : x)
    v = points[random() % points.size()];
  auto forms = allForms();
  for (const Form &first : forms) {
    if (std::string(first.name) == "thresholds per channel")
      continue; // its constants are for three channels
    for (const Form &second : forms)
      for (bool before : {false, true})
        for (const Norm &norm : kNorms) {
          SCOPED_TRACE(std::string(first.name) + ", " + norm.slope + ", " +
                       second.name + (before ? ", pool first" : ""));
          std::string text = imageNet(first, second, before, norm);
          auto module = parse(text);
          ASSERT_TRUE(module);
          auto y0 = evaluate(*module, {kImages, 3, 3, 2}, x);
          runPasses(*module);
          ASSERT_FALSE(HasFatalFailure());
          compare(y0, evaluate(*module, {kImages, 3, 3, 2}, x));
          ASSERT_FALSE(HasFatalFailure()) << text;
          if (!first.onFloats || !second.onFloats)
            continue;
          EXPECT_EQ(countCoded(*module), 1);
          if (!mayTurn(second, norm))
            EXPECT_EQ(count<ThresholdOp>(*module), 1);
        }
  }
}

TEST(Folding, LevelsThatAreNotAffine) {
  // 0, a, b with products whose sums are rounded: one fma a plane.
  ChainText chain(3);
  std::string y = chain.select("ogt", "%x", chain.splat(0),
                               chain.splat(0.4531f), chain.splat(0));
  y = chain.select("ogt", "%x", chain.splat(0.9f), chain.splat(1.51027f), y);
  auto module = parse(
      "func.func @main(%x: tensor<?x3xf32>) -> tensor<?x1xf32> {\n"
      "  %zero = arith.constant 0 : index\n"
      "  %rows = tensor.dim %x, %zero : tensor<?x3xf32>\n"
      "  %w = arith.constant dense<[[0.3, -0.3, 0.3]]> : tensor<1x3xf32>\n" +
      chain.text + "  %y = hwgq.matmul " + y +
      ", %w : tensor<?x3xf32>, tensor<1x3xf32> -> tensor<?x1xf32>\n"
      "  return %y : tensor<?x1xf32>\n}\n");
  ASSERT_TRUE(module);
  runPasses(*module);
  EXPECT_EQ(countCoded(*module), 2);
  std::vector<float> x = allTriples();
  auto after = evaluate(*module, {int64_t(x.size() / 3), 3}, x);
  ASSERT_EQ(after.size(), x.size() / 3);
  double low = 0.4531f, high = 1.51027f, s = 0.3f;
  for (size_t i = 0; i < after.size(); ++i) {
    int first = 0, second = 0;
    for (int k = 0; k < 3; ++k) {
      int sign = k == 1 ? -1 : 1;
      first += sign * (x[3 * i + k] > 0);
      second += sign * (x[3 * i + k] > 0.9f);
    }
    float v = std::fma(float(first), float(low * s), 0.0f);
    v = std::fma(float(second), float((high - low) * s), v);
    EXPECT_EQ(after[i], v);
  }
}
