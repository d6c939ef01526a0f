//===- ElementwiseChainTest.cpp - cuts and constants of chains ------------===//
#include "Ir.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::test;

namespace {
/// The op with a name attribute in the only function.
Value valueOf(ModuleOp module, StringRef name) {
  Value found;
  module.walk([&](Operation *op) {
    if (auto attr = op->getAttrOfType<StringAttr>("name");
        attr && attr.getValue() == name)
      found = op->getResult(0);
  });
  EXPECT_TRUE(found) << name.str();
  return found;
}
} // namespace

TEST(ElementwiseChain, CutsAreWhereAllPathsMeet) {
  auto module = parse(R"(
    func.func @main(%x: tensor<?x2xf32>, %z: tensor<?x2xf32>) -> tensor<?x2xf32> {
      %a = math.absf %x {name = "a"} : tensor<?x2xf32>
      %b = math.floor %a {name = "b"} : tensor<?x2xf32>
      %c = math.ceil %a : tensor<?x2xf32>
      %d = arith.addf %b, %c {name = "d"} : tensor<?x2xf32>
      %e = arith.addf %d, %z {name = "e"} : tensor<?x2xf32>
      %f = math.floor %e {name = "f"} : tensor<?x2xf32>
      return %f : tensor<?x2xf32>
    })");
  ConstantReader constants;
  auto func = *module->getOps<func::FuncOp>().begin();
  EXPECT_EQ(findCuts(valueOf(*module, "d"), constants),
            (SmallVector<Value>{valueOf(*module, "a"), func.getArgument(0)}));
  EXPECT_TRUE(findCuts(valueOf(*module, "e"), constants).empty());
  EXPECT_EQ(findCuts(valueOf(*module, "f"), constants),
            (SmallVector<Value>{valueOf(*module, "e")}));
}

TEST(ElementwiseChain, LongChainsKeepTheFarthestCut) {
  std::string text, last = "%x";
  for (int i = 0; i < 100; ++i) {
    std::string next = "%y" + std::to_string(i);
    text += "  " + next + " = math.floor " + last + " {name = \"" +
            next.substr(1) + "\"} : tensor<?x2xf32>\n";
    last = next;
  }
  auto module = parse("func.func @main(%x: tensor<?x2xf32>) -> "
                      "tensor<?x2xf32> {\n" +
                      text + "  return " + last + " : tensor<?x2xf32>\n}\n");
  ConstantReader constants;
  auto func = *module->getOps<func::FuncOp>().begin();
  SmallVector<Value> cuts = findCuts(valueOf(*module, "y99"), constants);
  ASSERT_EQ(cuts.size(), 64u);
  EXPECT_EQ(cuts.front(), valueOf(*module, "y98"));
  EXPECT_EQ(cuts.back(), func.getArgument(0));
}

TEST(ElementwiseChain, ConstantsAlongOtherDimensionsAreRefused) {
  auto module = parse(R"(
    func.func @main(%x: tensor<2x3xf32>) {
      %e = tensor.empty() : tensor<2x3xf32>
      %r = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
      %c = arith.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
      %f = arith.constant {name = "full"} dense<[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]> : tensor<2x3xf32>
      %o = arith.constant {name = "other"} dense<[[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]]> : tensor<2x3xf32>
      %rows = linalg.broadcast ins(%r : tensor<2xf32>) outs(%e : tensor<2x3xf32>) dimensions = [1] {name = "rows"}
      %channels = linalg.broadcast ins(%c : tensor<3xf32>) outs(%e : tensor<2x3xf32>) dimensions = [0] {name = "channels"}
      %sum = arith.addf %channels, %f {name = "sum"} : tensor<2x3xf32>
      return
    })");
  ConstantReader constants;
  auto third = [&](StringRef name) -> float {
    const ChannelConstant *constant = constants.get(valueOf(*module, name));
    return constant ? constant->at(2).f32 : -1;
  };
  EXPECT_EQ(third("full"), 3);
  EXPECT_EQ(third("channels"), 3);
  EXPECT_EQ(third("sum"), 6);
  EXPECT_EQ(third("other"), -1);
  EXPECT_EQ(constants.whyNot(),
            "a constant differs along other dimensions than the channels");
  EXPECT_EQ(third("rows"), -1);
  EXPECT_EQ(constants.whyNot(), "a constant is broadcast along the channels");
}

TEST(ElementwiseChain, RowsSelectConstants) {
  auto module = parse(R"(
    func.func @main(%x: tensor<?x2xf32>, %e: tensor<?x2xf32>) -> tensor<?x2xf32> {
      %c = arith.constant dense<[0.5, -2.0]> : tensor<2xf32>
      %b = linalg.broadcast ins(%c : tensor<2xf32>) outs(%e : tensor<?x2xf32>) dimensions = [0]
      %y = arith.mulf %x, %b {name = "y"} : tensor<?x2xf32>
      return %y : tensor<?x2xf32>
    })");
  ConstantReader constants;
  auto func = *module->getOps<func::FuncOp>().begin();
  ElementFunction function(4);
  function.appendAffine({2.0f}, [](int64_t r) { return r; });
  std::string reason;
  ASSERT_TRUE(succeeded(function.append(
      func.getArgument(0), valueOf(*module, "y"), constants,
      [](int64_t r) { return r % 2; }, reason)));
  EXPECT_FALSE(function.isUniform());
  for (int64_t row = 0; row < 4; ++row)
    EXPECT_EQ(function.evaluate(Scalar::ofInt(3), row).f32,
              row % 2 ? -12.0f : 3.0f);
}
