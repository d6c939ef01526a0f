//===- Ir.h - IR from text for tests ----------------------------*- C++ -*-===//
#ifndef HWGQ_TEST_UNIT_TRANSFORMS_IR_H
#define HWGQ_TEST_UNIT_TRANSFORMS_IR_H

#include "hwgq/InitAllDialects.h"
#include "hwgq/Transforms/ElementwiseChain.h"
#include "mlir/Parser/Parser.h"

#include "gtest/gtest.h"

namespace hwgq::test {

/// One context for all tests.
inline mlir::MLIRContext *getContext() {
  static mlir::MLIRContext *context = [] {
    mlir::DialectRegistry registry;
    registerAllDialects(registry);
    auto *made = new mlir::MLIRContext(registry);
    made->loadAllAvailableDialects();
    // Remarks are not what these tests look at.
    made->getDiagEngine().registerHandler([](mlir::Diagnostic &diagnostic) {
      return mlir::success(diagnostic.getSeverity() !=
                           mlir::DiagnosticSeverity::Error);
    });
    return made;
  }();
  return context;
}

inline mlir::OwningOpRef<mlir::ModuleOp> parse(llvm::StringRef text) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, getContext());
  EXPECT_TRUE(module) << text.str();
  return module;
}

/// Element-wise ops on `tensor<?xCxf32>`, one a line, that builds a chain.
class ChainText {
public:
  explicit ChainText(int64_t channels, std::string rows = "%rows")
      : channels(channels), rows(std::move(rows)) {}

  std::string type(llvm::StringRef element = "f32") const {
    return llvm::formatv("tensor<?x{0}x{1}>", channels, element).str();
  }
  /// A constant for all elements.
  std::string splat(double value) {
    std::string c = fresh();
    text += llvm::formatv("  {0} = arith.constant {1:e17} : f32\n", c, value);
    return line(llvm::formatv("tensor.splat {0}[{1}] : {2}", c, rows, type()));
  }
  /// A constant per channel, from its text.
  std::string perChannel(llvm::StringRef values) {
    std::string c = fresh(), e = fresh();
    text +=
        llvm::formatv("  {0} = arith.constant dense<{1}> : tensor<{2}xf32>\n",
                      c, values, channels);
    text += llvm::formatv("  {0} = tensor.empty({1}) : {2}\n", e, rows, type());
    return line(llvm::formatv("linalg.broadcast ins({0} : tensor<{1}xf32>) "
                              "outs({2} : {3}) dimensions = [0]",
                              c, channels, e, type()));
  }
  std::string op(llvm::StringRef name, llvm::ArrayRef<std::string> operands) {
    return line(name.str() + " " + llvm::join(operands, ", ") + " : " + type());
  }
  /// uitofp of a comparison.
  std::string compare(llvm::StringRef predicate, std::string a, std::string b) {
    std::string c = op(("arith.cmpf " + predicate + ",").str(), {a, b});
    return line("arith.uitofp " + c + " : " + type("i1") + " to " + type());
  }
  std::string select(llvm::StringRef predicate, std::string a, std::string b,
                     std::string yes, std::string no) {
    std::string c = op(("arith.cmpf " + predicate + ",").str(), {a, b});
    return line("arith.select " + c + ", " + yes + ", " + no + " : " +
                type("i1") + ", " + type());
  }
  std::string clip(std::string x, double low, double high) {
    return op("arith.minimumf",
              {op("arith.maximumf", {x, splat(low)}), splat(high)});
  }
  std::string line(const std::string &operation) {
    std::string name = fresh();
    text += "  " + name + " = " + operation + "\n";
    return name;
  }
  std::string text;

private:
  static std::string fresh() {
    static int next = 0;
    return "%v" + std::to_string(next++);
  }
  int64_t channels;
  std::string rows;
};

} // namespace hwgq::test

#endif // HWGQ_TEST_UNIT_TRANSFORMS_IR_H
