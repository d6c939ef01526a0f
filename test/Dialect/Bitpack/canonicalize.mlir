// RUN: hwgq-opt %s --canonicalize | FileCheck %s

// A relayout to the same layout is nothing.
// CHECK-LABEL: func.func @relayout
func.func @relayout(%x: tensor<?x4x64xf32>) -> tensor<?x4x64xf32> {
  // CHECK-NEXT: %[[Q:.*]] = bitpack.quantize
  // CHECK-NEXT: bitpack.affine %[[Q]]
  %q = bitpack.quantize %x {step = #hwgq.sign<">=">} : tensor<?x4x64xf32> -> tensor<?x4x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %r = bitpack.relayout %q : tensor<?x4x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x4x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %f = bitpack.affine %r {scale = array<f32: 1.0>} : tensor<?x4x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x4x64xf32>
  return %f : tensor<?x4x64xf32>
}
