//===- Scalar.h - exact arithmetic of element-wise ops ----------*- C++ -*-===//
//
// What each element-wise op of arith and math computes on one element, in IEEE
// arithmetic rounded to nearest even, without flushing of denormals. The
// interpreter runs the same kernels over blocks of elements.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_REFERENCE_SCALAR_H
#define HWGQ_REFERENCE_SCALAR_H

#include "mlir/IR/Operation.h"
#include "mlir/Support/LLVM.h"

#include <cstdint>
#include <optional>

namespace hwgq::reference {

/// One value. Integers of any width up to 64 are sign-extended, `i1` is 0 or
/// 1, `index` has 64 bits; values of f16 and bf16 are held as the equal F32.
struct Scalar {
  enum class Kind : uint8_t { F32, F64, Int };
  Kind kind = Kind::Int;
  union {
    float f32;
    double f64;
    int64_t i = 0;
  };

  static Scalar ofF32(float value) {
    Scalar s;
    s.kind = Kind::F32;
    s.i = 0;
    s.f32 = value;
    return s;
  }
  static Scalar ofF64(double value) {
    Scalar s;
    s.kind = Kind::F64;
    s.f64 = value;
    return s;
  }
  static Scalar ofInt(int64_t value) {
    Scalar s;
    s.i = value;
    return s;
  }
  bool isFloat() const { return kind != Kind::Int; }
};

/// The C++ type (float, double or int64_t) in which elements of a type are
/// computed; nothing for types without arithmetic.
std::optional<Scalar::Kind> getScalarKind(mlir::Type element);

/// An element-wise op prepared for evaluation. `run` takes one array of `n`
/// float, double or int64_t for each operand, by the operand's kind, and fills
/// `n` of the result's kind, which may be one of the operands' arrays. It gives
/// false where an integer division by 0 makes a result undefined.
struct ElementKernel {
  using Function = bool (*)(const ElementKernel &kernel,
                            const void *const *operands, void *result,
                            int64_t n);
  Function run = nullptr;
  unsigned numOperands = 0;
  Scalar::Kind operandKind = Scalar::Kind::F32; ///< Of the last operand.
  Scalar::Kind resultKind = Scalar::Kind::F32;
  unsigned operandWidth = 32; ///< Bits of the last operand's elements.
  unsigned resultWidth = 32;  ///< Bits of the result's elements.
  bool roundResult = false;   ///< The result is f16 or bf16, to be rounded.
  mlir::Type resultElement;
  int64_t predicate = 0; ///< Of comparisons.
  Scalar constant;       ///< Of constants.
};

/// The kernel of one arith or math op (on scalars, vectors or tensors); nothing
/// for ops that are not element-wise, have several results or unknown types.
/// Constants must be scalars or splats.
std::optional<ElementKernel> getElementKernel(mlir::Operation *op);

/// Evaluates one element-wise op on single elements: nothing for unknown ops,
/// operands of the wrong kind or number, and integer division by 0.
std::optional<Scalar> evaluateScalar(mlir::Operation *op,
                                     llvm::ArrayRef<Scalar> operands);

/// The value rounded once to f16 or bf16 (`element`), or as it is for other
/// types.
float roundToElement(float value, mlir::Type element);

/// `value` brought to the form of a `width`-bit Int: wrapped and sign-extended,
/// 0 or 1 for one bit.
inline int64_t wrapInteger(int64_t value, unsigned width) {
  if (width == 1)
    return value & 1;
  if (width >= 64)
    return value;
  return int64_t(uint64_t(value) << (64 - width)) >> (64 - width);
}

/// The Int as an unsigned number of `width` bits.
inline uint64_t toUnsigned(int64_t value, unsigned width) {
  return width >= 64 ? uint64_t(value)
                     : uint64_t(value) & ((uint64_t(1) << width) - 1);
}

/// The Int as a signed number of `width` bits (for one bit: 0 or -1).
inline int64_t toSigned(int64_t value, unsigned width) {
  return width == 1 ? -(value & 1) : value;
}

} // namespace hwgq::reference

#endif // HWGQ_REFERENCE_SCALAR_H
