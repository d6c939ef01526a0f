//===- GridTest.cpp - real values as scaled integers ----------------------===//
#include "hwgq/Transforms/Grid.h"
#include "Ir.h"

#include <random>

using namespace mlir;
using namespace hwgq;
using test::getContext;

namespace {
std::string nameOf(CodeType type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  type ? Type(type).print(stream) : void(stream << "none");
  return text;
}

std::string typeOf(ArrayRef<int32_t> numbers) {
  return nameOf(chooseCodeType(getContext(), numbers));
}

std::optional<WeightGrid> classify(ArrayRef<float> weights, int64_t rows) {
  std::string reason;
  return classifyWeights(getContext(), weights, rows, reason);
}
} // namespace

TEST(Grid, CodeTypes) {
  EXPECT_EQ(typeOf({-1, 1}), "!hwgq.code<b1>");
  EXPECT_EQ(typeOf({0, 1}), "!hwgq.code<u1>");
  EXPECT_EQ(typeOf({-1, 0, 1}), "!hwgq.code<u2, -1, 1>");
  EXPECT_EQ(typeOf({0, 3}), "!hwgq.code<u1, 0, 3>");
  EXPECT_EQ(typeOf({0, 1, 2, 3}), "!hwgq.code<u2>");
  EXPECT_EQ(typeOf({-2, -1, 0, 1}), "!hwgq.code<s2>");
  EXPECT_EQ(typeOf({-3, -1, 1, 3}), "!hwgq.code<u2, -3, 2>");
  EXPECT_EQ(typeOf({-2, 2}), "!hwgq.code<u1, -2, 4>");
  EXPECT_EQ(typeOf({-127, 127, 4}), "!hwgq.code<s8>");
  EXPECT_EQ(typeOf({0, 255, 2}), "!hwgq.code<u8>");
  EXPECT_EQ(typeOf({-255, 0, 255, 1}), "none");
  for (auto numbers : std::vector<std::vector<int32_t>>{
           {-255, -253, 255}, {100, 255}, {-255}, {7}, {0}, {3, 252, 255}}) {
    CodeType type = chooseCodeType(getContext(), numbers);
    ASSERT_TRUE(type);
    for (int32_t n : numbers)
      EXPECT_TRUE(type.contains(n)) << n << " in " << nameOf(type);
  }
}

TEST(Grid, Levels) {
  // Three steps of float32 0.538 are not quite 1.614.
  auto grid = fitLevels({0.0f, 0.538f, 1.076f, 1.614f});
  ASSERT_TRUE(grid);
  EXPECT_EQ(grid->scale, 0.538f);
  EXPECT_EQ(grid->numbers, (SmallVector<int32_t>{0, 1, 2, 3}));
  // No level at n = 1: the largest over its number.
  grid = fitLevels({-1.5f, -0.5f, 1.0f});
  ASSERT_TRUE(grid);
  EXPECT_EQ(grid->scale, 0.5f);
  EXPECT_EQ(grid->numbers, (SmallVector<int32_t>{-3, -1, 2}));
  grid = fitLevels({0.0f});
  ASSERT_TRUE(grid);
  EXPECT_EQ(grid->numbers, (SmallVector<int32_t>{0}));
  EXPECT_FALSE(fitLevels({0.0f, 0.4531f, 1.51027f}));
  // Just outside 2^-22 of the largest.
  EXPECT_FALSE(fitLevels({0.0f, 0.5f * (1 + 0x1p-19f), 1.0f}));
}

TEST(Grid, WeightsOfOneBit) {
  auto grid = classify({0.3f, -0.3f, 0.3f, 0.7f, -0.7f, -0.7f}, 2);
  ASSERT_TRUE(grid);
  EXPECT_EQ(nameOf(grid->type), "!hwgq.code<b1>");
  EXPECT_EQ(grid->scales, (SmallVector<float>{0.3f, 0.7f}));
  grid = classify({0.3f, -0.3f, -0.3f, -0.3f}, 2);
  ASSERT_TRUE(grid);
  EXPECT_EQ(grid->scales, (SmallVector<float>{0.3f}));
  // A dead channel asks for no 0.
  grid = classify({0.3f, -0.3f, 0.0f, -0.0f}, 2);
  ASSERT_TRUE(grid);
  EXPECT_EQ(nameOf(grid->type), "!hwgq.code<b1>");
  EXPECT_EQ(grid->scales, (SmallVector<float>{0.3f, 0.0f}));
}

TEST(Grid, WeightsOfFourBitsWithOneScale) {
  std::vector<float> weights;
  for (int n = -7; n <= 7; ++n)
    weights.push_back(float(n) * 0.0371f);
  auto grid = classify(weights, 3);
  ASSERT_TRUE(grid);
  EXPECT_EQ(nameOf(grid->type), "!hwgq.code<s4>");
  EXPECT_EQ(grid->scales.size(), 1u);
  for (auto [w, n] : llvm::zip(weights, grid->numbers))
    EXPECT_NEAR(w, grid->scales[0] * n, 1e-6);
}

TEST(Grid, FloatsAreNotOnAGrid) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int size : {6, 12, 36, 288}) {
    int found = 0;
    for (int trial = 0; trial < 200; ++trial) {
      std::vector<float> weights(size);
      for (float &w : weights)
        w = normal(random);
      found += classify(weights, 2).has_value();
    }
    EXPECT_EQ(found, 0) << size << " weights";
  }
  EXPECT_FALSE(classify({std::numeric_limits<float>::infinity(), 1.0f}, 1));
  EXPECT_FALSE(classify({std::numeric_limits<float>::quiet_NaN(), 1.0f}, 1));
}

TEST(Grid, EightBitsNeedManyMagnitudes) {
  std::mt19937 random(2);
  std::vector<float> weights(64);
  for (float &w : weights)
    w = float(int(random() % 255) - 127) * 0.013f;
  weights[0] = 127 * 0.013f;
  auto grid = classify(weights, 4);
  ASSERT_TRUE(grid);
  EXPECT_EQ(nameOf(grid->type), "!hwgq.code<s8>");
  // Two magnitudes are no evidence of a wide grid, but they are planes.
  std::vector<float> two = {0.371234f, 0.0f, -0.5121f, 0.371234f, -0.5121f};
  EXPECT_FALSE(classify(two, 1));
  auto split = splitLevels(two, 1);
  ASSERT_TRUE(split);
  ASSERT_EQ(split->planes.size(), 2u);
  EXPECT_EQ(split->planes[0].coefficients[0], double(-0.5121f));
  EXPECT_EQ(split->planes[0].bits, (SmallVector<uint8_t>{0, 0, 1, 0, 1}));
  EXPECT_EQ(split->planes[1].coefficients[0], double(0.371234f));
  EXPECT_EQ(split->planes[1].bits, (SmallVector<uint8_t>{1, 0, 0, 1, 0}));
  EXPECT_FALSE(splitLevels({0.1f, 0.2f, -0.3f}, 1));
}

TEST(Grid, LevelsOffTheGridAreABaseAndSteps) {
  // +-v1 +-v2 of another basis in each row; the second row has but two values.
  float a = 0.91234f, b = 0.27183f, c = 0.61803f;
  std::vector<float> weights;
  for (int i = 0; i < 4; ++i)
    weights.insert(weights.end(), {-a - b, -a + b, a - b, a + b});
  for (int i = 0; i < 8; ++i)
    weights.insert(weights.end(), {-c, c});
  auto split = splitLevels(weights, 2);
  ASSERT_TRUE(split);
  ASSERT_EQ(split->planes.size(), 4u);
  EXPECT_EQ(split->planes[0].bits, SmallVector<uint8_t>(32, 1));
  EXPECT_EQ(split->planes[0].coefficients,
            (SmallVector<double>{double(-a - b), double(-c)}));
  EXPECT_EQ(split->planes[2].coefficients[1], 0);
  for (size_t i = 0; i < weights.size(); ++i) {
    double sum = 0;
    for (const WeightPlanes::Plane &plane : split->planes)
      sum += plane.bits[i] * plane.coefficients[i / 16];
    EXPECT_NEAR(sum, weights[i], 1e-7) << i;
  }
}

TEST(Grid, ZeroIsTheBaseOfLevelsOffTheGrid) {
  // Steps on both sides of 0; values within rounding of each other are one.
  float a = 0.91234f, b = 0.27183f;
  std::vector<float> weights;
  for (int i = 0; i < 8; ++i)
    weights.insert(weights.end(), {-a, -b, 0, std::nextafterf(b, 1)});
  auto split = splitLevels(weights, 1);
  ASSERT_TRUE(split);
  ASSERT_EQ(split->planes.size(), 3u);
  EXPECT_EQ(split->planes[0].coefficients[0], double(-a) - double(-b));
  EXPECT_EQ(split->planes[1].coefficients[0], double(-b));
  EXPECT_EQ(ArrayRef(split->planes[1].bits).take_front(4),
            ArrayRef<uint8_t>({1, 1, 0, 0}));
  // Nine values are no few, and a short row of four proves nothing.
  std::vector<float> many;
  for (int i = 0; i < 90; ++i)
    many.push_back(0.1f + float(i % 9) * float(i % 9) * 0.0137f);
  EXPECT_FALSE(splitLevels(many, 1));
  EXPECT_FALSE(splitLevels({0.1f, -0.23f, 0.31f, -0.47f, 0.1f}, 1));
}
