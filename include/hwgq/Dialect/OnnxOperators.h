//===- OnnxOperators.h - the table of ONNX operators ------------*- C++ -*-===//
//
// What every `"onnx.X"` op takes and gives. `normalize` brings a function to
// the normal form, which is what every later pass and the reference read:
//
// - the semantics are those of opset `kOpset`; an attribute that became an
//   input at some opset is an input (axes, pads, k, split, min, max, ...);
// - every operator has all operands of its table entry; an absent optional one
//   is the result of `"onnx.NoValue"() : () -> none`;
// - every attribute with a default is present; axes are not negative;
// - every value has a ranked tensor type; `?` stands for a multiple of the
//   batch (plus a constant), every other size is static;
// - operands that hold shapes, axes, sizes or counts are constants, wherever
//   they can be (`getConstantInts`);
// - `onnx.Constant` has `value` alone, an ElementsAttr; integers of 2 and 4
//   bits lie one a byte;
// - signed integers are signless `iN`, unsigned ones `uiN`, bool is `i1`.
//
// Operators that the normal form lacks, and what stands for them:
//   Identity, DebugMarker, Dropout     nothing
//   Flatten, Squeeze, Unsqueeze        Reshape
//   Sum, Mean, Min, Max of n           chains of Add, binary Min, Max; Div
//   GlobalAveragePool, GlobalMaxPool   AveragePool, MaxPool over the image
//   DepthToSpace, SpaceToDepth         Reshape, Transpose, Reshape
//   Upsample                           Resize
//   HardSwish                          Mul by a HardSigmoid
//   ReduceL1, L2, LogSum, LogSumExp, SumSquare   elementwise and ReduceSum
//   LpPool, GlobalLpPool               Abs, Pow, AveragePool, Mul, Pow
//   CastLike, Einsum                   Cast; ReduceSum, MatMul or Mul
//   IntQuant, TruncQuant               Quant, Trunc
//   MaxPoolNHWC, QuantAvgPool2d, XnorPopcountMatMul, Im2Col   standard ones
//   Softmax of opsets before 13        Softmax on a reshaped value
//
// Forms that are peculiar to the normal form:
//   Conv, ConvTranspose, pools   kernel_shape, pads, strides and dilations are
//                                explicit, auto_pad and output_shape are gone
//   Reshape      the shape is constant, with at most one -1, which is the
//                size that depends on the batch; a 0 is a size of zero, and
//                allowzero = 1 stands beside it
//   Reduce*      axes constant, ascending; never an empty list for "all"
//   Slice        axes, steps constant; starts and ends clamped to the size;
//                on the batch an end of INT64_MAX means "to the end"
//   Pad          pads covers all axes; no axes operand
//   Resize       only scales or sizes is present; `axes` lists the resized
//                axes, ascending; no roi unless tf_crop_and_resize
//   Quantize/DequantizeLinear, QLinear*, *Integer   zero points are present
//   Quant, BipolarQuant, Trunc   all parameters are of X's type
//   Trunc        six operands; without out_scale it is Trunc of version 1
//   BatchNormalization   inference, one result
//===----------------------------------------------------------------------===//
#ifndef HWGQ_DIALECT_ONNXOPERATORS_H
#define HWGQ_DIALECT_ONNXOPERATORS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Operation.h"
#include <optional>
#include <vector>

namespace hwgq::onnx {

/// The newest opset of the default domain that is read; the normal form's.
constexpr int64_t kOpset = 28;

class Node;

enum class AttributeKind { Int, Float, String, Ints, Floats, Tensor };

/// One attribute of an operator. `Legacy` ones belong to older opsets and are
/// gone after normalisation; `Optional` ones have no default.
struct AttributeSpec {
  enum class Presence { Required, Optional, Default, Legacy };
  llvm::StringRef name;
  AttributeKind kind;
  Presence presence;
  int64_t intValue = 0;
  float floatValue = 0;
  llvm::StringRef stringValue = {};

  /// The default as an attribute; null when there is none.
  mlir::Attribute getDefault(mlir::MLIRContext *context) const;
};

/// An entry of the table. Counts of inputs and outputs are over all opsets;
/// `kVariadic` as a maximum means any number.
struct Operator {
  static constexpr unsigned kVariadic = ~0u;
  struct Count {
    unsigned min, max;
  };
  using Function = mlir::LogicalResult (*)(Node &);

  llvm::StringRef name;
  /// The opsets (for QONNX operators: versions of that domain) that changed it.
  std::vector<int> since;
  Count inputs, outputs;
  std::vector<AttributeSpec> attributes;
  /// Sets the result types, and the explicit forms listed above. Null for an
  /// operator that the normal form lacks.
  Function infer;
  /// Rewrites older or other forms; it may replace the op. May be null.
  Function upgrade = nullptr;

  const AttributeSpec *findAttribute(llvm::StringRef name) const;
};

/// The entry of the operator `name` ("Conv"), or null.
const Operator *lookupOperator(llvm::StringRef name);

/// Every entry, sorted by name.
llvm::ArrayRef<Operator> getOperators();

/// Why an operator that people do write is not taken, or "".
llvm::StringRef getRefusal(llvm::StringRef name);

/// How `normalize` treats the batch, the leading size of the inputs.
struct NormalizeOptions {
  /// The batch to compile for; overrides the function's.
  std::optional<int64_t> batch;
  /// The batch becomes dynamic, whatever the function has.
  bool dynamicBatch = false;
};

/// Brings every onnx op of `func` to the normal form and sets all types, the
/// function's included. Idempotent. Argument types are taken as given: a
/// leading `?` is the batch, another is an error. Errors are located at the op.
/// The op attribute `hwgq.opset` (i64) names the opset of an op, and is
/// removed; without it an op is of opset `kOpset`.
mlir::LogicalResult normalize(mlir::func::FuncOp func,
                              const NormalizeOptions &options = {});

/// Removes onnx ops without uses, which no other pass may judge.
void eraseDeadOps(mlir::func::FuncOp func);

// ---- Reading ops of the normal form.

/// "Conv" for `onnx.Conv`; "" for an op of another dialect.
llvm::StringRef getOperatorName(mlir::Operation *op);

/// True for the result of `onnx.NoValue`.
bool isNoValue(mlir::Value value);

/// True when operand `index` exists and is not absent.
bool hasOperand(mlir::Operation *op, unsigned index);

/// The attribute of the op, else the table's default, else zero or empty.
int64_t getInt(mlir::Operation *op, llvm::StringRef name);
float getFloat(mlir::Operation *op, llvm::StringRef name);
llvm::StringRef getString(mlir::Operation *op, llvm::StringRef name);
llvm::ArrayRef<int64_t> getInts(mlir::Operation *op, llvm::StringRef name);

/// The value of an `onnx.Constant`, or null.
mlir::ElementsAttr getConstant(mlir::Value value);

/// The elements of a constant of integers (or bools), row-major.
std::optional<llvm::SmallVector<int64_t>> getConstantInts(mlir::Value value);

/// The elements of a constant of floats, row-major.
std::optional<llvm::SmallVector<double>> getConstantFloats(mlir::Value value);

/// The bytes of one element in a dense resource: 1 for 1 to 8 bits.
unsigned getElementBytes(mlir::Type elementType);

/// The element type of a TensorProto.DataType; null where it is not supported.
mlir::Type getElementType(int64_t dataType, mlir::MLIRContext *context);

/// The TensorProto.DataType of an element type, or 0.
int64_t getDataType(mlir::Type elementType);

/// "FLOAT" for 1 and so on.
llvm::StringRef getDataTypeName(int64_t dataType);

/// A dense attribute for small tensors and a resource for large ones, over a
/// copy of `bytes` (row-major, little-endian, `getElementBytes` an element).
mlir::ElementsAttr makeElements(mlir::RankedTensorType type,
                                llvm::ArrayRef<char> bytes);

/// The elements as `getElementBytes` bytes each, a copy; failure for a
/// resource without data or of the wrong size.
mlir::FailureOr<std::vector<char>> getElementsBytes(mlir::ElementsAttr value);

} // namespace hwgq::onnx

#endif // HWGQ_DIALECT_ONNXOPERATORS_H
