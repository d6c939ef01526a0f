//===- ImportTest.cpp - import from memory --------------------------------===//
#include "hwgq/Import/Import.h"
#include "hwgq/Dialect/OnnxOperators.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/MLIRContext.h"
#include "onnx/onnx.pb.h"
#include <fstream>
#include <gtest/gtest.h>

using namespace hwgq;

namespace {
/// y = x w, with a weight [rows, columns] of zeros.
::onnx_proto::ModelProto makeModel(int64_t rows, int64_t columns) {
  ::onnx_proto::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(17);
  auto *graph = model.mutable_graph();
  auto *node = graph->add_node();
  node->set_op_type("MatMul");
  node->add_input("x");
  node->add_input("w");
  node->add_output("y");
  auto *weight = graph->add_initializer();
  weight->set_name("w");
  weight->add_dims(rows);
  weight->add_dims(columns);
  weight->set_data_type(::onnx_proto::TensorProto::FLOAT);
  weight->mutable_raw_data()->resize(rows * columns * 4);
  auto *input = graph->add_input();
  input->set_name("x");
  auto *type = input->mutable_type()->mutable_tensor_type();
  type->set_elem_type(::onnx_proto::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param("n");
  type->mutable_shape()->add_dim()->set_dim_value(rows);
  graph->add_output()->set_name("y");
  return model;
}

/// Resident memory of the process in bytes.
int64_t residentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * 4096;
}

/// The messages of the errors that `run` makes.
std::string errorsOf(mlir::MLIRContext &context,
                     llvm::function_ref<void()> run) {
  std::string text;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
    text += d.str() + "\n";
    return mlir::success();
  });
  run();
  return text;
}
} // namespace

TEST(Import, FromMemory) {
  mlir::MLIRContext context;
  auto module =
      importOnnxFromMemory(makeModel(3, 4).SerializeAsString(), "", &context);
  ASSERT_TRUE(module);
  auto func = module->lookupSymbol<mlir::func::FuncOp>("main");
  ASSERT_TRUE(func);
  auto type =
      llvm::cast<mlir::RankedTensorType>(func.getFunctionType().getResult(0));
  EXPECT_TRUE(type.isDynamicDim(0));
  EXPECT_EQ(type.getDimSize(1), 4);
}

TEST(Import, OverridesTheBatch) {
  mlir::MLIRContext context;
  ImportOptions options;
  options.batch = 7;
  auto module = importOnnxFromMemory(makeModel(3, 4).SerializeAsString(), "",
                                     &context, options);
  ASSERT_TRUE(module);
  auto func = module->lookupSymbol<mlir::func::FuncOp>("main");
  auto type =
      llvm::cast<mlir::RankedTensorType>(func.getFunctionType().getResult(0));
  EXPECT_EQ(type.getDimSize(0), 7);
}

TEST(Import, HoldsLargeWeightsOnce) {
  mlir::MLIRContext context;
  std::string bytes = makeModel(4096, 8192).SerializeAsString();
  int64_t before = residentBytes(), size = bytes.size();
  auto module = importOnnxFromMemory(bytes, "", &context);
  ASSERT_TRUE(module);
  EXPECT_LT(residentBytes() - before, size + size / 4);
  module->walk([&](mlir::Operation *op) {
    if (onnx::getOperatorName(op) == "Constant")
      EXPECT_TRUE(
          llvm::isa<mlir::DenseResourceElementsAttr>(op->getAttr("value")));
  });
}

TEST(Import, EveryTruncationIsRefusedOrRead) {
  std::string bytes = makeModel(3, 4).SerializeAsString();
  int read = 0;
  for (size_t length = 0; length < bytes.size(); ++length) {
    mlir::MLIRContext context;
    mlir::OwningOpRef<mlir::ModuleOp> module;
    std::string errors = errorsOf(context, [&] {
      module = importOnnxFromMemory({bytes.data(), length}, "", &context);
    });
    EXPECT_NE(bool(module), !errors.empty()) << length;
    read += bool(module);
  }
  // Cut between the graph and the opset behind it, it is a whole model still.
  EXPECT_EQ(read, 1);
}

TEST(Import, RefusesDeepNesting) {
  // Graphs inside of attributes, 200 deep.
  ::onnx_proto::ModelProto model = makeModel(3, 4);
  auto *graph = model.mutable_graph();
  for (int depth = 0; depth < 200; ++depth)
    graph = graph->add_node()->add_attribute()->mutable_g();
  mlir::MLIRContext context;
  std::string bytes = model.SerializeAsString();
  std::string errors = errorsOf(context, [&] {
    EXPECT_FALSE(importOnnxFromMemory(bytes, "", &context));
  });
  EXPECT_NE(errors.find("damaged or cut short"), std::string::npos) << errors;
}

TEST(Import, RefusesExternalDataWithoutAFolder) {
  ::onnx_proto::ModelProto model = makeModel(3, 4);
  auto *weight = model.mutable_graph()->mutable_initializer(0);
  weight->clear_raw_data();
  weight->set_data_location(::onnx_proto::TensorProto::EXTERNAL);
  auto *entry = weight->add_external_data();
  entry->set_key("location");
  entry->set_value("data.bin");
  mlir::MLIRContext context;
  std::string errors = errorsOf(context, [&] {
    EXPECT_FALSE(importOnnxFromMemory(model.SerializeAsString(), "", &context));
  });
  EXPECT_NE(errors.find("has no folder"), std::string::npos) << errors;
}
