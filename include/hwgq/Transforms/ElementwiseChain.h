//===- ElementwiseChain.h - functions of one tensor element -----*- C++ -*-===//
//
// A chain is the element-wise part of the graph between two tensors: a pure
// function of one element and its channel (the index of the last dimension).
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_TRANSFORMS_ELEMENTWISECHAIN_H
#define HWGQ_TRANSFORMS_ELEMENTWISECHAIN_H

#include "hwgq/Dialect/HWGQ.h"
#include "hwgq/Reference/Scalar.h"

#include <functional>
#include <string>

namespace hwgq {

using reference::Scalar;

/// Numerically equal values; any NaN equals any NaN, -0 equals +0.
bool sameValue(const Scalar &a, const Scalar &b);

/// Whether a value is a NaN.
bool isNaN(const Scalar &value);

/// A float32, float64 or integer as float64.
double toDouble(const Scalar &value);

/// A constant tensor seen along the last dimension: one value for all
/// elements, or one per index of the last dimension.
struct ChannelConstant {
  llvm::SmallVector<Scalar, 1> values;

  bool isUniform() const { return values.size() == 1; }
  const Scalar &at(int64_t channel) const {
    return values[isUniform() ? 0 : channel];
  }
};

/// Reads constant tensors as channel constants, and remembers them.
class ConstantReader {
public:
  /// The constant behind `value`: arith.constant, broadcasts, fills and
  /// splats of one, and element-wise ops on such. Nothing when the value is
  /// not constant or differs along other dimensions than the last; `whyNot`
  /// tells the latter.
  const ChannelConstant *get(mlir::Value value);

  /// Whether `value` is made of constants only, of whatever shape.
  bool isConstant(mlir::Value value);

  /// What get last refused, empty when the value was no constant at all.
  llvm::StringRef whyNot() const { return reason; }

private:
  std::optional<ChannelConstant> read(mlir::Value value);
  std::optional<ChannelConstant> readBroadcast(mlir::linalg::BroadcastOp op);
  std::optional<ChannelConstant> readElementwise(mlir::Operation *op);

  llvm::DenseMap<mlir::Value, std::optional<ChannelConstant>> known;
  llvm::DenseMap<mlir::Value, bool> constness;
  std::string reason;
};

/// Whether the op computes each element of its only result from the same
/// element of its operands, in a way that evaluateScalar knows.
bool isElementwise(mlir::Operation *op);

/// The values that `result` is an element-wise function of one at a time, from
/// near to far: for each c, `result` depends on constants and c alone. `result`
/// itself is not listed; of more than 64, the nearest 63 and the farthest are.
llvm::SmallVector<mlir::Value> findCuts(mlir::Value result,
                                        ConstantReader &constants);

/// A function of one element and a row, built from chains, affine maps and step
/// functions. A row selects the constants; it is a channel, or what the caller
/// maps to one.
class ElementFunction {
public:
  enum class NodeKind { Source, Constant, Operation, Affine, Step };
  struct Node {
    NodeKind kind = NodeKind::Source;
    mlir::Operation *op = nullptr;   ///< Operation: the op.
    reference::ElementKernel kernel; ///< Operation: how to run it.
    llvm::SmallVector<unsigned, 3> operands;
    ChannelConstant constant;          ///< Constant: by row.
    llvm::SmallVector<float, 1> scale; ///< Affine: by row, or one.
    StepAttr step;                     ///< Step.
  };
  using RowMap = llvm::function_ref<int64_t(int64_t row)>;

  /// A function of `rows` rows that gives its argument.
  explicit ElementFunction(int64_t rows = 1);

  /// Appends the chain from `from` to `to`, whose argument is the function so
  /// far; the constants of row r are those of channel `channel(r)`. Fails when
  /// the chain has a constant that is not per channel; `reason` says which.
  mlir::LogicalResult append(mlir::Value from, mlir::Value to,
                             ConstantReader &constants, RowMap channel,
                             std::string &reason);
  mlir::LogicalResult append(mlir::Value from, mlir::Value to,
                             ConstantReader &constants, std::string &reason) {
    return append(from, to, constants, [](int64_t r) { return r; }, reason);
  }
  /// Appends `f32(f32(n) * scale)`.
  void appendAffine(llvm::ArrayRef<float> scale, RowMap channel);
  /// Appends a step function; the result is the integer n.
  void appendStep(StepAttr step);

  int64_t getRows() const { return rows; }
  llvm::ArrayRef<Node> getNodes() const { return nodes; }
  unsigned getResult() const { return result; }
  /// Whether all rows are the same function.
  bool isUniform() const;

  /// The value of the function at `x`.
  Scalar evaluate(const Scalar &x, int64_t row) const {
    return evaluate(x, row, result);
  }
  /// The value of a node, which needs all nodes before it.
  Scalar evaluate(const Scalar &x, int64_t row, unsigned node) const;
  /// The value of one node for given operand values.
  Scalar apply(unsigned node, llvm::ArrayRef<Scalar> operands,
               int64_t row) const;

private:
  int64_t rows;
  unsigned result = 0;
  std::vector<Node> nodes;
};

} // namespace hwgq

#endif // HWGQ_TRANSFORMS_ELEMENTWISECHAIN_H
