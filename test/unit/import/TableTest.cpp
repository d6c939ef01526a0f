//===- TableTest.cpp - the table of operators is sound --------------------===//
#include "hwgq/Dialect/OnnxOperators.h"
#include <gtest/gtest.h>

using namespace hwgq::onnx;

TEST(OperatorTable, IsSortedAndFound) {
  llvm::StringRef last;
  for (const Operator &entry : getOperators()) {
    EXPECT_LT(last, entry.name);
    EXPECT_EQ(lookupOperator(entry.name), &entry);
    last = entry.name;
  }
  EXPECT_EQ(lookupOperator("Frobnicate"), nullptr);
  EXPECT_EQ(lookupOperator(""), nullptr);
}

TEST(OperatorTable, EntriesAreSound) {
  for (const Operator &entry : getOperators()) {
    SCOPED_TRACE(entry.name.str());
    EXPECT_TRUE(entry.infer || entry.upgrade);
    EXPECT_LE(entry.inputs.min, entry.inputs.max);
    EXPECT_LE(entry.outputs.min, entry.outputs.max);
    EXPECT_GE(entry.outputs.min, 1u);
    ASSERT_FALSE(entry.since.empty());
    for (size_t i = 1; i < entry.since.size(); ++i)
      EXPECT_LT(entry.since[i - 1], entry.since[i]);
    EXPECT_LE(entry.since.back(), kOpset);
    for (size_t i = 0; i < entry.attributes.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        EXPECT_NE(entry.attributes[i].name, entry.attributes[j].name);
  }
}

TEST(OperatorTable, RefusesWhatItLacks) {
  for (llvm::StringRef name :
       {"If", "Loop", "Scan", "FloatQuant", "NonZero", "SequenceAt"}) {
    EXPECT_EQ(lookupOperator(name), nullptr);
    EXPECT_NE(getRefusal(name), "");
  }
}
