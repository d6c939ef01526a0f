//===- GraphBuilder.h - nodes to ops ----------------------------*- C++ -*-===//
#ifndef HWGQ_LIB_IMPORT_GRAPHBUILDER_H
#define HWGQ_LIB_IMPORT_GRAPHBUILDER_H

#include "ModelFile.h"
#include "hwgq/Dialect/OnnxOperators.h"
#include "hwgq/Import/Import.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"

namespace hwgq {

/// Whether a domain is ONNX's own, under any of its names.
bool isDefaultDomain(llvm::StringRef domain);

/// Names and settings that hold inside the graph or one inlined function.
struct Scope {
  llvm::StringMap<mlir::Value> values;
  /// Initialisers that no op has used yet.
  llvm::StringMap<const ::onnx_proto::TensorProto *> initializers;
  llvm::StringMap<const ::onnx_proto::SparseTensorProto *> sparse;
  /// What an attribute reference of a function stands for.
  llvm::StringMap<const ::onnx_proto::AttributeProto *> attributes;
  /// The opset of the default domain.
  int64_t opset = onnx::kOpset;
  /// Before the names of nodes: "call/".
  std::string prefix;
};

class GraphBuilder {
public:
  GraphBuilder(const ModelFile &file, mlir::ModuleOp module,
               const ImportOptions &options);

  /// Builds @main; null after an error.
  mlir::func::FuncOp build();

private:
  using LogicalResult = mlir::LogicalResult;
  template <typename T> using FailureOr = mlir::FailureOr<T>;
  using Nodes = google::protobuf::RepeatedPtrField<::onnx_proto::NodeProto>;
  using Opsets =
      google::protobuf::RepeatedPtrField<::onnx_proto::OperatorSetIdProto>;

  // Versions and functions.
  LogicalResult checkVersions();
  FailureOr<int64_t> readOpset(const Opsets &opsets, mlir::Location loc);
  LogicalResult collectFunctions();

  // Inputs, initialisers, outputs.
  LogicalResult addInitializers(Scope &scope);
  FailureOr<mlir::RankedTensorType>
  readInputType(const ::onnx_proto::ValueInfoProto &input);
  LogicalResult addInputs(Scope &scope, mlir::func::FuncOp func);
  LogicalResult bindInput(Scope &scope,
                          const ::onnx_proto::ValueInfoProto &input,
                          mlir::ElementsAttr value);
  LogicalResult addOutputs(Scope &scope, mlir::func::FuncOp func);

  // Nodes.
  FailureOr<std::vector<const ::onnx_proto::NodeProto *>>
  sortNodes(const Nodes &nodes, Scope &scope);
  LogicalResult addNodes(const Nodes &nodes, Scope &scope);
  LogicalResult addNode(const ::onnx_proto::NodeProto &node, Scope &scope);
  LogicalResult addConstant(const ::onnx_proto::NodeProto &node, Scope &scope,
                            mlir::Location loc);
  LogicalResult addIf(const ::onnx_proto::NodeProto &node, Scope &scope,
                      mlir::Location loc);
  LogicalResult addBranch(const ::onnx_proto::GraphProto &branch,
                          const Scope &scope, unsigned outputs,
                          mlir::Block *block, mlir::Location loc);
  LogicalResult inlineFunction(const ::onnx_proto::NodeProto &node,
                               const ::onnx_proto::FunctionProto &function,
                               Scope &scope, mlir::Location loc);
  LogicalResult addAttributes(const ::onnx_proto::NodeProto &node, Scope &scope,
                              const onnx::Operator &entry,
                              mlir::OperationState &state);
  FailureOr<mlir::Attribute>
  readAttribute(const ::onnx_proto::AttributeProto &attribute,
                mlir::Location loc);
  FailureOr<mlir::ElementsAttr>
  readConstant(const ::onnx_proto::AttributeProto &attribute,
               mlir::Location loc);
  /// The attribute itself, or what a reference stands for; null if nothing.
  const ::onnx_proto::AttributeProto *
  resolve(const ::onnx_proto::AttributeProto &attribute, Scope &scope);

  FailureOr<mlir::Value> lookup(Scope &scope, const std::string &name,
                                mlir::Location loc);
  mlir::Value makeConstant(mlir::ElementsAttr value, mlir::Location loc);
  mlir::Value noValue(mlir::Location loc);
  mlir::Location nodeLoc(const ::onnx_proto::NodeProto &node,
                         const Scope &scope);
  mlir::Location nameLoc(llvm::StringRef name);
  const ::onnx_proto::FunctionProto *
  findFunction(const ::onnx_proto::NodeProto &node) const;

  const ModelFile &file;
  const ::onnx_proto::GraphProto &graph;
  const ImportOptions &options;
  mlir::ModuleOp module;
  mlir::OpBuilder builder;
  TensorReader tensors;
  /// By domain, name and overload.
  llvm::StringMap<const ::onnx_proto::FunctionProto *> functions;
  llvm::SmallVector<const ::onnx_proto::FunctionProto *> calls;
  int64_t inlined = 0; ///< nodes of all functions inlined so far
  int64_t numNodes = 0;
  unsigned branches = 0; ///< conditions that enclose the current node
  int64_t copied = 0;    ///< names of all scopes copied for branches
};

} // namespace hwgq

#endif // HWGQ_LIB_IMPORT_GRAPHBUILDER_H
