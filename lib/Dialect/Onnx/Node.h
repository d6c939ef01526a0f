//===- Node.h - one ONNX op while it is normalised --------------*- C++ -*-===//
//
// Sizes are affine in the batch n: `batch * n + fixed`.
//===----------------------------------------------------------------------===//
#ifndef HWGQ_LIB_DIALECT_ONNX_NODE_H
#define HWGQ_LIB_DIALECT_ONNX_NODE_H

#include "hwgq/Dialect/OnnxOperators.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include <unordered_map>

namespace hwgq::onnx {

using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::Type;
using mlir::Value;

/// The size `batch * n + fixed`, n >= 1.
struct Dim {
  int64_t batch = 0;
  int64_t fixed = 0;

  Dim() = default;
  Dim(int64_t fixed) : fixed(fixed) {}
  Dim(int64_t batch, int64_t fixed) : batch(batch), fixed(fixed) {}
  bool isStatic() const { return batch == 0; }
  bool is(int64_t value) const { return batch == 0 && fixed == value; }
  bool operator==(const Dim &other) const {
    return batch == other.batch && fixed == other.fixed;
  }
  bool operator!=(const Dim &other) const { return !(*this == other); }
};

using Shape = llvm::SmallVector<Dim, 4>;

/// Arithmetic that refuses overflow and a product of two batches.
std::optional<Dim> add(Dim a, Dim b);
std::optional<Dim> sub(Dim a, Dim b);
std::optional<Dim> mul(Dim a, Dim b);
/// a / b where b divides a for every batch, with a static or equal multiple.
std::optional<Dim> divExact(Dim a, Dim b);
std::optional<Dim> product(llvm::ArrayRef<Dim> dims);
std::optional<Dim> broadcast(Dim a, Dim b);
std::string toString(llvm::ArrayRef<Dim> dims);

/// An element of a small tensor that is known while types are inferred.
struct Element {
  bool isFloat = false;
  Dim value;
  double real = 0;
};
using Contents = llvm::SmallVector<Element, 4>;

/// What is known of a value.
struct Info {
  Type elementType; // null for an absent value
  Shape shape;
  std::optional<Contents> contents;
  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
};

/// State of one run over a function.
struct NormalizeState {
  NormalizeOptions options;
  /// The batch of the function before it was overridden.
  std::optional<int64_t> oldBatch;
  bool overridden = false;
  /// By opaque pointer; references to the elements stay valid.
  std::unordered_map<const void *, Info> infos;

  Info &info(Value value) { return infos[value.getAsOpaquePointer()]; }
  /// The type with the batch filled in; `?` where it is dynamic.
  mlir::RankedTensorType getType(const Info &info) const;
  int64_t getSize(Dim dim) const;
};

/// One op, its operands' infos, and ways to change it.
class Node {
public:
  Node(mlir::Operation *op, const Operator &entry, NormalizeState &state)
      : op(op), entry(entry), state(state), builder(op) {}

  mlir::Operation *op;
  const Operator &entry;
  NormalizeState &state;
  mlir::OpBuilder builder;
  int64_t opset = kOpset;
  bool replaced = false;

  /// An error at the op that begins with the operator's name.
  mlir::InFlightDiagnostic error();

  // ---- Operands.
  unsigned numInputs() { return op->getNumOperands(); }
  bool has(unsigned index) { return hasOperand(op, index); }
  Value input(unsigned index) { return op->getOperand(index); }
  const Info &in(unsigned index) { return state.info(op->getOperand(index)); }
  Type elementType(unsigned index) { return in(index).elementType; }
  const Shape &shape(unsigned index) { return in(index).shape; }
  int64_t rank(unsigned index) { return in(index).rank(); }
  LogicalResult require(unsigned index, llvm::StringRef what);
  LogicalResult requireRank(unsigned index, int64_t rank, llvm::StringRef what);
  LogicalResult requireFloat(unsigned index);
  LogicalResult requireNumber(unsigned index);
  LogicalResult requireInteger(unsigned index);
  LogicalResult requireBool(unsigned index);
  LogicalResult requireSameType(unsigned a, unsigned b);
  /// What is known of an input to divide by is finite and not zero.
  LogicalResult requireScale(unsigned index);
  FailureOr<llvm::SmallVector<int64_t>> constantInts(unsigned index,
                                                     llvm::StringRef what);
  FailureOr<Contents> contents(unsigned index, llvm::StringRef what);

  // ---- Attributes.
  bool hasAttr(llvm::StringRef name) { return op->hasAttr(name); }
  int64_t getInt(llvm::StringRef name) { return onnx::getInt(op, name); }
  float getFloat(llvm::StringRef name) { return onnx::getFloat(op, name); }
  llvm::StringRef getString(llvm::StringRef name) {
    return onnx::getString(op, name);
  }
  llvm::SmallVector<int64_t> getInts(llvm::StringRef name) {
    return llvm::to_vector(onnx::getInts(op, name));
  }
  void setInt(llvm::StringRef name, int64_t value);
  void setInts(llvm::StringRef name, llvm::ArrayRef<int64_t> value);
  void setString(llvm::StringRef name, llvm::StringRef value);
  void dropAttr(llvm::StringRef name) { op->removeAttr(name); }
  /// `axis` brought to 0 <= axis < rank (<= rank when `end`).
  FailureOr<int64_t> normalizeAxis(int64_t axis, int64_t rank,
                                   bool end = false);
  /// The attribute `axis`, normalised for `rank` and written back.
  FailureOr<int64_t> axis(int64_t rank);
  FailureOr<llvm::SmallVector<int64_t>>
  normalizeAxes(llvm::ArrayRef<int64_t> axes, int64_t rank);

  // ---- Results.
  /// Sets type and shape of a result; an error when it is too large.
  LogicalResult result(unsigned index, Type elementType,
                       llvm::ArrayRef<Dim> shape);
  LogicalResult result(Type elementType, llvm::ArrayRef<Dim> shape) {
    return result(0, elementType, shape);
  }
  /// The broadcast of the shapes of the operands `indices`. Under an overridden
  /// batch, constants of the old one that repeat along it give way.
  FailureOr<Shape> broadcastShape(llvm::ArrayRef<unsigned> indices);

  // ---- Building, before the op and at its location.
  mlir::NamedAttribute attr(llvm::StringRef name, int64_t value);
  mlir::NamedAttribute attr(llvm::StringRef name, float value);
  mlir::NamedAttribute attr(llvm::StringRef name, llvm::StringRef value);
  mlir::NamedAttribute attr(llvm::StringRef name,
                            llvm::ArrayRef<int64_t> value);
  Value create(llvm::StringRef name, mlir::ValueRange operands,
               llvm::ArrayRef<mlir::NamedAttribute> attributes = {});
  Value constant(mlir::ElementsAttr value);
  /// A constant of rank 1 (i64).
  Value constantInts(llvm::ArrayRef<int64_t> values);
  /// A constant of rank 0 of the element type given.
  Value scalar(Type elementType, double value);
  Value noValue();
  Value reshape(Value value, llvm::ArrayRef<Dim> shape);
  Value transpose(Value value, llvm::ArrayRef<int64_t> perm);
  /// Appends absent operands up to `count`, then sets operand `index`.
  void setInput(unsigned index, Value value);
  /// Moves a list attribute of an old opset to the operand `index`.
  void attrToInput(llvm::StringRef name, unsigned index);
  /// Makes a constant operand whose leading size is the old batch, and whose
  /// parts along it are equal, one part; whether it did.
  bool dropOldBatch(unsigned index);
  /// Replaces the op's results and erases it.
  LogicalResult replace(mlir::ValueRange values);
};

/// What `element` arithmetic knows of the op's result; for integers and for
/// the floats between them.
std::optional<Contents> evaluateContents(Node &node);

bool isFloat(Type type);
bool isUnsigned(Type type);

/// The families of the table.
void addElementwise(std::vector<Operator> &table);
void addConvolution(std::vector<Operator> &table);
void addPooling(std::vector<Operator> &table);
void addContraction(std::vector<Operator> &table);
void addMovement(std::vector<Operator> &table);
void addIndexing(std::vector<Operator> &table);
void addShape(std::vector<Operator> &table);
void addReduction(std::vector<Operator> &table);
void addNormalization(std::vector<Operator> &table);
void addComposed(std::vector<Operator> &table);
void addEinsum(std::vector<Operator> &table);
void addResize(std::vector<Operator> &table);
void addQuantized(std::vector<Operator> &table);
void addQonnx(std::vector<Operator> &table);

// ---- Short forms of table entries.
inline AttributeSpec intAttr(llvm::StringRef name, int64_t value) {
  return {name, AttributeKind::Int, AttributeSpec::Presence::Default, value};
}
inline AttributeSpec floatAttr(llvm::StringRef name, float value) {
  return {name, AttributeKind::Float, AttributeSpec::Presence::Default, 0,
          value};
}
inline AttributeSpec stringAttr(llvm::StringRef name, llvm::StringRef value) {
  return {name, AttributeKind::String, AttributeSpec::Presence::Default, 0, 0,
          value};
}
inline AttributeSpec required(llvm::StringRef name, AttributeKind kind) {
  return {name, kind, AttributeSpec::Presence::Required};
}
inline AttributeSpec optional(llvm::StringRef name, AttributeKind kind) {
  return {name, kind, AttributeSpec::Presence::Optional};
}
inline AttributeSpec legacy(llvm::StringRef name, AttributeKind kind) {
  return {name, kind, AttributeSpec::Presence::Legacy};
}

} // namespace hwgq::onnx

#endif // HWGQ_LIB_DIALECT_ONNX_NODE_H
