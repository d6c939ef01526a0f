//===- StepFinderTest.cpp - breakpoints of the quantiser forms ------------===//
#include "Forms.h"
#include "hwgq/Transforms/Quantizer.h"

#include <random>

using namespace mlir;
using namespace hwgq;
using namespace hwgq::test;

namespace {
/// A module with one chain from %x, and the value at its end.
struct Chain {
  OwningOpRef<ModuleOp> module;
  Value source, result;
  ConstantReader constants;

  explicit Chain(const std::function<std::string(ChainText &)> &build) {
    ChainText text(3);
    std::string y = build(text);
    module = parse("func.func @main(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {\n"
                   "  %zero = arith.constant 0 : index\n"
                   "  %rows = tensor.dim %x, %zero : tensor<?x3xf32>\n" +
                   text.text + "  return " + y + " : tensor<?x3xf32>\n}\n");
    auto func = *module->getOps<func::FuncOp>().begin();
    source = func.getArgument(0);
    result = func.front().getTerminator()->getOperand(0);
  }
  ElementFunction function() {
    ElementFunction f(3);
    std::string reason;
    EXPECT_TRUE(succeeded(f.append(source, result, constants, reason)))
        << reason;
    return f;
  }
};

/// Arguments at and beside every plateau's start, zeros, infinities, denormals
/// and some others.
std::vector<float> interesting(ArrayRef<Plateau> plateaus) {
  float inf = std::numeric_limits<float>::infinity();
  std::vector<float> points = {0.0f, -0.0f, 1e-45f, -1e-45f,
                               inf,  -inf,  1e30f,  -1e30f};
  for (const Plateau &plateau : plateaus)
    for (int64_t d : {-1, 0, 1}) {
      float x = indexedFloat(plateau.start + d);
      if (!std::isnan(x))
        points.push_back(x);
    }
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    float x = llvm::bit_cast<float>(uint32_t(random()));
    points.push_back(std::isnan(x) ? float(i) / 500 - 2 : x);
  }
  return points;
}
} // namespace

TEST(StepFinder, FloatOrder) {
  float inf = std::numeric_limits<float>::infinity();
  std::vector<float> ordered = {-inf, -1.0f,  -1e-45f, -0.0f,
                                0.0f, 1e-45f, 1.0f,    inf};
  for (size_t i = 0; i < ordered.size(); ++i) {
    EXPECT_EQ(llvm::bit_cast<uint32_t>(indexedFloat(floatIndex(ordered[i]))),
              llvm::bit_cast<uint32_t>(ordered[i]));
    if (i)
      EXPECT_LT(floatIndex(ordered[i - 1]), floatIndex(ordered[i]));
  }
  EXPECT_EQ(floatIndex(0.0f), floatIndex(-0.0f) + 1);
}

TEST(StepFinder, EveryFormIsItsStepFunction) {
  for (const Form &form : allForms()) {
    SCOPED_TRACE(form.name);
    Chain chain([&](ChainText &text) { return form.build(text, "%x"); });
    ElementFunction function = chain.function();
    for (int64_t row = 0; row < 3; ++row) {
      std::string reason;
      auto step = findStepFunction(function, row, reason);
      EXPECT_EQ(succeeded(step), form.onFloats) << reason;
      if (failed(step))
        continue;
      for (float x : interesting(step->plateaus)) {
        auto at = llvm::upper_bound(
            step->plateaus, floatIndex(x),
            [](int64_t i, const Plateau &p) { return i < p.start; });
        ASSERT_NE(at, step->plateaus.begin());
        EXPECT_EQ(std::prev(at)->value.f32,
                  function.evaluate(Scalar::ofF32(x), row).f32)
            << x;
      }
    }
  }
}

TEST(StepFinder, AttributesKeepSidesAndNaN) {
  for (const Form &form : allForms()) {
    if (!form.onFloats)
      continue;
    SCOPED_TRACE(form.name);
    Chain chain([&](ChainText &text) { return form.build(text, "%x"); });
    Quantizer quantizer;
    ASSERT_TRUE(
        succeeded(findQuantizer(chain.result, chain.constants, quantizer)));
    ASSERT_TRUE(quantizer.grid);
    OpBuilder builder(getContext());
    builder.setInsertionPointAfterValue(chain.result);
    auto codes = buildQuantize(builder, chain.result.getLoc(), quantizer);
    ASSERT_TRUE(succeeded(codes));
    StepAttr step = codes->getDefiningOp<QuantizeOp>().getStep();
    // Where the channels differ, the levels themselves are quantised.
    if (quantizer.input != chain.source)
      continue;
    ElementFunction function = chain.function();
    auto points = interesting(quantizer.plateaus);
    points.push_back(std::numeric_limits<float>::quiet_NaN());
    for (float x : points) {
      float level = function.evaluate(Scalar::ofF32(x), 0).f32;
      if (std::isnan(level))
        level = quantizer.levels[0];
      EXPECT_EQ(float(step.evaluate(x)) * quantizer.scales[0], level) << x;
    }
  }
}

TEST(StepFinder, SignsOfZeroAreNotASide) {
  // copysign tells -0 from +0, which no breakpoint can.
  Chain chain(
      [](ChainText &c) { return c.op("math.copysign", {c.splat(1), "%x"}); });
  Quantizer quantizer;
  ASSERT_TRUE(
      succeeded(findQuantizer(chain.result, chain.constants, quantizer)));
  OpBuilder builder(getContext());
  builder.setInsertionPointAfterValue(chain.result);
  EXPECT_TRUE(failed(buildQuantize(builder, chain.result.getLoc(), quantizer)));
}

TEST(StepFinder, InfinitiesThatCancelAreNotLevels) {
  Chain chain([](ChainText &c) {
    std::string d = c.op("arith.subf", {"%x", "%x"});
    return c.select("oge", d, c.splat(0), c.splat(1), d);
  });
  std::string reason;
  EXPECT_TRUE(failed(findStepFunction(chain.function(), 0, reason)));
}

TEST(StepFinder, ReluIsNoStepFunction) {
  Chain chain(
      [](ChainText &c) { return c.op("arith.maximumf", {"%x", c.splat(0)}); });
  std::string reason;
  EXPECT_TRUE(failed(findStepFunction(chain.function(), 0, reason)));
  EXPECT_EQ(reason, "more than 256 levels");
}

TEST(StepFinder, EightBits) {
  Chain chain([](ChainText &c) {
    std::string y = c.op("arith.divf", {"%x", c.splat(0.0078125)});
    y = c.op("math.roundeven", {c.clip(y, -128, 127)});
    return c.op("arith.mulf", {y, c.splat(0.0078125)});
  });
  Quantizer quantizer;
  ASSERT_TRUE(
      succeeded(findQuantizer(chain.result, chain.constants, quantizer)));
  EXPECT_EQ(quantizer.levels.size(), 256u);
  EXPECT_EQ(quantizer.scales[0], 0.0078125f);
}
