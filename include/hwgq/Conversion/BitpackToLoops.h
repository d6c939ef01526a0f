//===- BitpackToLoops.h - packed tensors to loops on memory -----*- C++ -*-===//
//
// The parts of `bitpack-to-loops` that know packed tensors. The driver makes
// one dialect conversion of them and of the patterns for plain tensors.
//
// Every pattern lowers one op to at most a few top-level `scf.forall` over
// independent tasks, with scf.for, arith, math, vector and memref inside and no
// allocation in them. A result of packed type is allocated as bytes and viewed:
//   %b = memref.alloc(%n) : memref<?xi8>
//   %y = memref.view %b[%c0][%batch] : memref<?xi8> to memref<?x8x8x1x2xi64>
// so whoever plans memory must follow views.
//
//===----------------------------------------------------------------------===//
#ifndef HWGQ_CONVERSION_BITPACKTOLOOPS_H
#define HWGQ_CONVERSION_BITPACKTOLOOPS_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/DialectConversion.h"

namespace hwgq {

/// What loops are made for. The default is a plain x86-64-v2.
struct LoopOptions {
  /// Bytes of a vector register and how many there are.
  unsigned vectorBytes = 16;
  unsigned vectorRegisters = 16;
  /// An instruction counts the bits of the 64-bit lanes of a vector register.
  bool vectorPopcount = false;
  /// An instruction permutes the 64 bytes of a vector register by another.
  bool bytePermute = false;
  /// The byte shuffles of AArch64, else those of x86-64.
  bool neon = false;
  /// A fused multiply-add instruction for f32 vectors.
  bool fma = false;
  /// Sums of products of bytes in 512 and 256 bits (vpdpbusd).
  bool avx512Vnni = false, avxVnni = false;
  /// The same of AArch64 (sdot; usdot).
  bool dotprod = false, i8mm = false;
  /// Scalable vectors of AArch64, whose length the machine knows.
  bool sve = false;

  /// From LLVM's names of target features, each with or without a `+`;
  /// unknown ones count for nothing, and so does `-` before any but `fma`.
  static LoopOptions get(llvm::ArrayRef<std::string> features);
};

/// Packed tensors become memrefs of their physical shape (words or bytes).
void populateBitpackTypeConversions(mlir::TypeConverter &converter);

/// bitpack.conv2d and bitpack.matmul.
void populateContractionPatterns(mlir::RewritePatternSet &patterns,
                                 const mlir::TypeConverter &converter,
                                 const LoopOptions &options);

/// Every other op of bitpack, and the pools, pad and affine of hwgq on plain
/// f32 and i32 tensors.
void populatePackedPatterns(mlir::RewritePatternSet &patterns,
                            const mlir::TypeConverter &converter,
                            const LoopOptions &options);

/// `fma(a, b, c)` of f32 scalars or vectors, exact on targets without the
/// instruction too: the product is exact in f64, the sum is rounded to odd in
/// f64 (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums",
/// 2008), then once to f32.
mlir::Value createFma(mlir::OpBuilder &builder, mlir::Location loc,
                      mlir::Value a, mlir::Value b, mlir::Value c,
                      const LoopOptions &options);

/// A private constant `memref.global` (64-byte aligned) that holds `value`,
/// in the module around the insertion point, and a `memref.get_global` of it.
/// Equal values share one global. `value` must have as many elements as `type`.
mlir::Value createGlobalConstant(mlir::OpBuilder &builder, mlir::Location loc,
                                 mlir::MemRefType type,
                                 mlir::ElementsAttr value);

} // namespace hwgq

#endif // HWGQ_CONVERSION_BITPACKTOLOOPS_H
