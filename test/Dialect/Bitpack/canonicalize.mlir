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

// Two relayouts are one.
// CHECK-LABEL: func.func @relayout_twice
func.func @relayout_twice(%x: tensor<?x4x4x64xf32>) -> tensor<?x1024xf32> {
  // CHECK-NEXT: %[[Q:.*]] = bitpack.quantize
  // CHECK-NEXT: %[[R:.*]] = bitpack.relayout %[[Q]] : {{.*}} -> tensor<?x1024x!hwgq.code<b1>, #bitpack.layout<planes>>
  // CHECK-NEXT: bitpack.affine %[[R]]
  %q = bitpack.quantize %x {step = #hwgq.sign<">=">} : tensor<?x4x4x64xf32> -> tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %r = bitpack.relayout %q : tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x16x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %s = bitpack.relayout %r : tensor<?x16x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x1024x!hwgq.code<b1>, #bitpack.layout<planes>>
  %f = bitpack.affine %s {scale = array<f32: 1.0>} : tensor<?x1024x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x1024xf32>
  return %f : tensor<?x1024xf32>
}

// A pool of one pixel, an empty border and a concatenation of one do nothing.
// CHECK-LABEL: func.func @nothing
func.func @nothing(%x: tensor<?x4x4x64xf32>) -> tensor<?x4x4x64xf32> {
  // CHECK-NEXT: %[[Q:.*]] = bitpack.quantize
  // CHECK-NEXT: bitpack.affine %[[Q]]
  %q = bitpack.quantize %x {step = #hwgq.sign<">=">} : tensor<?x4x4x64xf32> -> tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %m = bitpack.max_pool %q {kernel = array<i64: 1, 1>, strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>} : tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %p = bitpack.pad %m {low = array<i64: 0, 0, 0, 0>, high = array<i64: 0, 0, 0, 0>, value = 1 : i32} : tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %c = bitpack.concat %p {dim = 3 : i64} : (tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>>) -> tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %f = bitpack.affine %c {scale = array<f32: 1.0>} : tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x4x4x64xf32>
  return %f : tensor<?x4x4x64xf32>
}
