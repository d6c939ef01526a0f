//===- OnnxLowering.h - what the lowering of one ONNX node needs -*- C++
//-*-===//
//
// A `Node` is one ONNX operator while it is being written in the hwgq phase:
// its operands as hwgq-phase values, its attributes and constant operands,
// and the small vocabulary in which every lowering is expressed.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_LIB_CONVERSION_ONNXLOWERING_H
#define HWGQ_LIB_CONVERSION_ONNXLOWERING_H

#include "hwgq/Dialect/HWGQ.h"
#include "hwgq/Dialect/TensorBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"

namespace hwgq::conversion {

using mlir::ArrayRef;
using mlir::Location;
using mlir::LogicalResult;
using mlir::OpBuilder;
using mlir::Operation;
using mlir::OpFoldResult;
using mlir::RankedTensorType;
using mlir::SmallVector;
using mlir::StringRef;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

/// The hwgq-phase type of an ONNX tensor.
RankedTensorType convertType(Type type);

/// One ONNX value in the hwgq phase. A small integer tensor may exist as
/// integers, as float32 holding the same integers, or both, so that a
/// quantise-dequantise chain stays one float chain.
struct Lowered {
  Value value;
  Value real;
};

/// The values made so far.
using ValueTable = llvm::DenseMap<Value, Lowered>;

/// One ONNX node being lowered.
class Node : public TensorBuilder {
public:
  Node(OpBuilder &b, Operation *op, ValueTable &table)
      : TensorBuilder(b, op->getLoc()), op(op), table(table) {}

  /// The operator's name without its namespace.
  StringRef name() const {
    return op->getName().getStringRef().drop_front(strlen("onnx."));
  }

  unsigned size() const { return op->getNumOperands(); }
  /// Whether operand i is there (not absent and not `onnx.NoValue`).
  bool has(unsigned i) const;
  /// The ONNX tensor types.
  RankedTensorType type(unsigned i) const {
    return mlir::cast<RankedTensorType>(op->getOperand(i).getType());
  }
  RankedTensorType resultType(unsigned i = 0) const {
    return mlir::cast<RankedTensorType>(op->getResult(i).getType());
  }
  /// Operand i in the hwgq phase.
  Value in(unsigned i) { return lowered(op->getOperand(i)); }
  /// Any ONNX value in the hwgq phase.
  Value lowered(Value onnx);
  /// Operand i as floats: narrow floats are widened and small integers are
  /// taken as the float32 holding them.
  Value real(unsigned i);
  /// Whether operand i exists only as float32 holding integers.
  bool isShadow(unsigned i) const;
  /// The constant value of operand i, null where it is not constant.
  mlir::ElementsAttr constant(unsigned i) const;
  std::optional<SmallVector<int64_t>> ints(unsigned i) const;
  std::optional<SmallVector<double>> floats(unsigned i) const;

  int64_t attr(StringRef name, int64_t fallback) const;
  double attrF(StringRef name, double fallback) const;
  std::string attrS(StringRef name, StringRef fallback) const;
  SmallVector<int64_t> attrs(StringRef name) const;
  SmallVector<double> attrsF(StringRef name) const;

  /// An axis of a tensor of `rank` dimensions, negative ones counted from the
  /// end.
  mlir::FailureOr<int64_t> axis(int64_t value, int64_t rank);
  mlir::FailureOr<SmallVector<int64_t>> axes(ArrayRef<int64_t> values,
                                             int64_t rank);

  /// Sets a result; its element type must be the converted one.
  LogicalResult set(Value v, unsigned i = 0);
  /// Sets a float result computed in f32: narrowed where the result is f16.
  LogicalResult setReal(Value v, unsigned i = 0);
  /// Sets a small integer result that is held as float32.
  LogicalResult setShadow(Value v, unsigned i = 0);
  /// An error at the node.
  mlir::InFlightDiagnostic error();

  using TensorBuilder::constant;

  Operation *op;
  ValueTable &table;
};

/// A lowering: sets the node's results, or reports why it cannot.
using LoweringFn = LogicalResult (*)(Node &);
using LoweringTable = llvm::StringMap<LoweringFn>;

void addElementwiseLowerings(LoweringTable &table);
void addConvLowerings(LoweringTable &table);
void addMatMulLowerings(LoweringTable &table);
void addPoolLowerings(LoweringTable &table);
void addNormalizeLowerings(LoweringTable &table);
void addReduceLowerings(LoweringTable &table);
void addShapeLowerings(LoweringTable &table);
void addGatherLowerings(LoweringTable &table);
void addResizeLowerings(LoweringTable &table);
void addQuantLowerings(LoweringTable &table);
void addIntegerLowerings(LoweringTable &table);

/// The integers of an elements attribute, sign- or zero-extended by its type.
std::optional<SmallVector<int64_t>> readInts(mlir::ElementsAttr attr);
/// The numbers of an elements attribute of floats or integers.
std::optional<SmallVector<double>> readFloats(mlir::ElementsAttr attr);

/// The window of a convolution or pool with 1 to 3 spatial dimensions; pads
/// are begin then end, as ONNX writes them, `auto_pad` resolved.
struct SpatialWindow {
  SmallVector<int64_t> kernel, strides, dilations, low, high;
};
/// Reads kernel_shape (or `kernel`), strides, pads, dilations and auto_pad.
mlir::FailureOr<SpatialWindow> readWindow(Node &n, ArrayRef<int64_t> input,
                                          ArrayRef<int64_t> kernel);

/// acc = chain over (kernel dims, channels) of x * w on channels-last tensors
/// of any spatial rank; x is padded already, w is [K, kernel..., C/groups].
/// Floats are fused multiply-adds from +0, integers wrap in i32.
Value genericConv(TensorBuilder &b, Value x, Value w,
                  const SpatialWindow &window, int64_t groups);

/// A convolution of a channels-last x of one to three spatial dimensions with
/// w [K, kernel..., C/groups]: hwgq.conv2d, or genericConv for three.
Value contract(TensorBuilder &b, Value x, Value w, SpatialWindow window,
               int64_t groups);

/// Whether each window fits and the channels match; `x` is channels-first.
LogicalResult checkConv(Node &n, RankedTensorType x, const SpatialWindow &w,
                        int64_t groups, int64_t weightChannels,
                        int64_t outputs);

/// Numpy's matmul of values of rank >= 1, reshaped to `shape`: hwgq.matmul
/// where `w` is one float matrix, else one generic chain over k.
Value matmul(TensorBuilder &b, Value x, Value w, ArrayRef<int64_t> shape);

/// hwgq.avg_pool of an f32 image [N, H, W, C].
Value averagePool(TensorBuilder &b, Value x, const SpatialWindow &window,
                  ArrayRef<int64_t> output, bool includePad);

/// The i64 index of the largest (`largest`) or smallest element along `axis`,
/// which is dropped; the first of equals, or the last (`last`). A NaN counts
/// as larger and as smaller than every number.
Value argExtreme(TensorBuilder &b, Value x, int64_t axis, bool largest,
                 bool last);

/// v[indices] along `dim`; the indices are in range.
Value takeAlong(TensorBuilder &b, Value v, int64_t dim,
                ArrayRef<int64_t> indices);

/// The dynamic batch, where an argument has one.
std::optional<OpFoldResult> batchSize(Node &n);

} // namespace hwgq::conversion

#endif // HWGQ_LIB_CONVERSION_ONNXLOWERING_H
