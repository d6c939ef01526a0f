// RUN: hwgq-opt %s --split-input-file --hwgq-to-bitpack --verify-diagnostics | FileCheck %s
// RUN: hwgq-opt %s --split-input-file --hwgq-to-bitpack --hwgq-to-bitpack --verify-diagnostics | FileCheck %s

// The threshold joins its convolution; its input gets the halo that the
// convolution pads with, and so does the result for the next one, whose rows
// have what lies right of them in common with the next row.
// CHECK-LABEL: func.func @chain
// CHECK: %[[Q:.*]] = bitpack.quantize %{{.*}} -> tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 0, 2, 1]>>
// CHECK: %[[W:.*]] = bitpack.constant {{.*}} as tensor<32x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
// CHECK: %[[Y:.*]] = bitpack.conv2d %[[Q]], %[[W]] {{.*}}direction = array<i8: 1>{{.*}}pads = array<i64: 1, 0, 2, 1>{{.*}}thresholds = dense<{{.*}}1, 5, 9
// CHECK-SAME: -> tensor<?x9x7x32x!hwgq.code<u2>, #bitpack.layout<planes, halo = [2, 2, 3, 0]>>
// CHECK: %[[Z:.*]] = bitpack.conv2d %[[Y]]
// CHECK-SAME: -> tensor<?x9x7x8xi32>
// CHECK: hwgq.affine %[[Z]]
func.func @chain(%x: tensor<?x8x8x64xf32>) -> tensor<?x9x7x8xf32> {
  %q = hwgq.quantize %x {step = #hwgq.half_wave<0.538, 2>} : tensor<?x8x8x64xf32> -> tensor<?x8x8x64x!hwgq.code<u2>>
  %w = hwgq.constant dense<85> : tensor<2304xi8> as tensor<32x3x3x64x!hwgq.code<b1>>
  %v = hwgq.constant dense<85> : tensor<800xi8> as tensor<8x5x5x32x!hwgq.code<b1>>
  %a = hwgq.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 0, 2, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
       : tensor<?x8x8x64x!hwgq.code<u2>>, tensor<32x3x3x64x!hwgq.code<b1>> -> tensor<?x9x7x32xi32>
  %t = hwgq.threshold %a {thresholds = dense<[[1, 5, 9]]> : tensor<1x3xi32>, direction = array<i8: 1>}
       : tensor<?x9x7x32xi32> -> tensor<?x9x7x32x!hwgq.code<u2>>
  %b = hwgq.conv2d %t, %v {strides = array<i64: 1, 1>, pads = array<i64: 2, 2, 2, 2>, dilations = array<i64: 1, 1>, groups = 1 : i64}
       : tensor<?x9x7x32x!hwgq.code<u2>>, tensor<8x5x5x32x!hwgq.code<b1>> -> tensor<?x9x7x8xi32>
  %r = hwgq.affine %b {scale = array<f32: 0.5>} : tensor<?x9x7x8xi32>
  return %r : tensor<?x9x7x8xf32>
}

// -----

// An accumulator with two readers keeps its threshold apart.
// CHECK-LABEL: func.func @two_readers
// CHECK: %[[A:.*]] = bitpack.matmul
// CHECK-SAME: -> tensor<?x8xi32>
// CHECK: bitpack.threshold %[[A]]
// CHECK: hwgq.affine %[[A]]
func.func @two_readers(%x: tensor<?x64xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %q = hwgq.quantize %x {step = #hwgq.sign<">=">} : tensor<?x64xf32> -> tensor<?x64x!hwgq.code<b1>>
  %w = hwgq.constant dense<85> : tensor<64xi8> as tensor<8x64x!hwgq.code<b1>>
  %a = hwgq.matmul %q, %w : tensor<?x64x!hwgq.code<b1>>, tensor<8x64x!hwgq.code<b1>> -> tensor<?x8xi32>
  %t = hwgq.threshold %a {thresholds = dense<[[1]]> : tensor<1x1xi32>, direction = array<i8: -1>}
       : tensor<?x8xi32> -> tensor<?x8x!hwgq.code<b1>>
  %r = hwgq.affine %a {scale = array<f32: 0.5>} : tensor<?x8xi32>
  %s = hwgq.affine %t {scale = array<f32: 2.0>} : tensor<?x8x!hwgq.code<b1>>
  return %r, %s : tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// Float operands: plain tensors, and codes enter a float chain as floats.
// CHECK-LABEL: func.func @floats
// CHECK: bitpack.matmul {{.*}} : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
// CHECK: bitpack.matmul {{.*}} : tensor<?x64xf32>, tensor<8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x8xf32>
// CHECK: %[[F:.*]] = bitpack.affine {{.*}}scale = array<f32: 1.000000e+00>
// CHECK: bitpack.matmul %[[F]]
func.func @floats(%x: tensor<?x64xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) {
  %w = arith.constant dense<0.5> : tensor<8x64xf32>
  %a = hwgq.matmul %x, %w : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
  %v = hwgq.constant dense<85> : tensor<64xi8> as tensor<8x64x!hwgq.code<b1>>
  %b = hwgq.matmul %x, %v : tensor<?x64xf32>, tensor<8x64x!hwgq.code<b1>> -> tensor<?x8xf32>
  %q = hwgq.quantize %x {step = #hwgq.sign<">=">} : tensor<?x64xf32> -> tensor<?x64x!hwgq.code<b1>>
  %c = hwgq.matmul %q, %w : tensor<?x64x!hwgq.code<b1>>, tensor<8x64xf32> -> tensor<?x8xf32>
  return %a, %b, %c : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// The widest pads of all readers make the halo; rows share sides where a row
// more is no more memory.
// CHECK-LABEL: func.func @sides
// CHECK: bitpack.quantize {{.*}} -> tensor<1x6x6x64x!hwgq.code<b1>, #bitpack.layout<planes, halo = [1, 2, 2, 0]>>
// CHECK: bitpack.quantize {{.*}} -> tensor<1x1x9x64x!hwgq.code<b1>, #bitpack.layout<planes, halo = [0, 1, 0, 1]>>
func.func @sides(%x: tensor<1x6x6x64xf32>, %z: tensor<1x1x9x64xf32>) -> (tensor<1x7x7x8xi32>, tensor<1x6x6x8xi32>, tensor<1x1x9x8xi32>) {
  %q = hwgq.quantize %x {step = #hwgq.sign<">=">} : tensor<1x6x6x64xf32> -> tensor<1x6x6x64x!hwgq.code<b1>>
  %p = hwgq.quantize %z {step = #hwgq.sign<">=">} : tensor<1x1x9x64xf32> -> tensor<1x1x9x64x!hwgq.code<b1>>
  %w = hwgq.constant dense<85> : tensor<256xi8> as tensor<8x2x2x64x!hwgq.code<b1>>
  %v = hwgq.constant dense<85> : tensor<192xi8> as tensor<8x1x3x64x!hwgq.code<b1>>
  %a = hwgq.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 0, 1, 2>, dilations = array<i64: 1, 1>, groups = 1 : i64}
       : tensor<1x6x6x64x!hwgq.code<b1>>, tensor<8x2x2x64x!hwgq.code<b1>> -> tensor<1x7x7x8xi32>
  %b = hwgq.conv2d %q, %v {strides = array<i64: 1, 1>, pads = array<i64: 0, 1, 0, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
       : tensor<1x6x6x64x!hwgq.code<b1>>, tensor<8x1x3x64x!hwgq.code<b1>> -> tensor<1x6x6x8xi32>
  %c = hwgq.conv2d %p, %v {strides = array<i64: 1, 1>, pads = array<i64: 0, 1, 0, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
       : tensor<1x1x9x64x!hwgq.code<b1>>, tensor<8x1x3x64x!hwgq.code<b1>> -> tensor<1x1x9x8xi32>
  return %a, %b, %c : tensor<1x7x7x8xi32>, tensor<1x6x6x8xi32>, tensor<1x1x9x8xi32>
}

// -----

// CHECK-LABEL: func.func @moves
// CHECK: bitpack.max_pool
// CHECK: bitpack.relayout {{.*}} -> tensor<?x16x!hwgq.code<u2>, #bitpack.layout<planes>>
// CHECK: bitpack.affine
// CHECK: linalg.transpose
// CHECK: bitpack.quantize
func.func @moves(%x: tensor<?x4x4x4xf32>) -> (tensor<?x16xf32>, tensor<?x4x4x4xf32>) {
  %q = hwgq.quantize %x {step = #hwgq.half_wave<0.538, 2>} : tensor<?x4x4x4xf32> -> tensor<?x4x4x4x!hwgq.code<u2>>
  %p = hwgq.max_pool %q {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
       : tensor<?x4x4x4x!hwgq.code<u2>> -> tensor<?x2x2x4x!hwgq.code<u2>>
  %f = tensor.collapse_shape %p [[0], [1, 2, 3]] : tensor<?x2x2x4x!hwgq.code<u2>> into tensor<?x16x!hwgq.code<u2>>
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?x4x4x4xf32>
  %e = tensor.empty(%d) : tensor<?x4x4x4x!hwgq.code<u2>>
  // expected-remark @+1 {{moves codes as floats}}
  %t = linalg.transpose ins(%q : tensor<?x4x4x4x!hwgq.code<u2>>) outs(%e : tensor<?x4x4x4x!hwgq.code<u2>>) permutation = [0, 3, 1, 2]
  %r = hwgq.affine %f {scale = array<f32: 0.5>} : tensor<?x16x!hwgq.code<u2>>
  %s = hwgq.affine %t {scale = array<f32: 0.5>} : tensor<?x4x4x4x!hwgq.code<u2>>
  return %r, %s : tensor<?x16xf32>, tensor<?x4x4x4xf32>
}

// -----

// expected-error @+1 {{inputs and outputs must be plain tensors, not codes}}
func.func @codes_as_input(%x: tensor<2x8x!hwgq.code<u2>>) -> tensor<2x8xf32> {
  %r = hwgq.affine %x {scale = array<f32: 0.5>} : tensor<2x8x!hwgq.code<u2>>
  return %r : tensor<2x8xf32>
}

// -----

func.func @dynamic_channels(%x: tensor<2x?xf32>) -> tensor<2x?xf32> {
  // expected-error @+1 {{only the first dimension of}}
  %q = hwgq.quantize %x {step = #hwgq.sign<">=">} : tensor<2x?xf32> -> tensor<2x?x!hwgq.code<b1>>
  %r = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<2x?x!hwgq.code<b1>>
  return %r : tensor<2x?xf32>
}

// -----

func.func @no_packed_form(%x: tensor<2x8xf32>) -> tensor<8x2xf32> {
  %q = hwgq.quantize %x {step = #hwgq.sign<">=">} : tensor<2x8xf32> -> tensor<2x8x!hwgq.code<b1>>
  %i = arith.constant dense<0> : tensor<1xindex>
  // expected-error @+1 {{cannot be computed on packed codes}}
  %g = tensor.gather %q[%i] gather_dims([0]) : (tensor<2x8x!hwgq.code<b1>>, tensor<1xindex>) -> tensor<1x8x!hwgq.code<b1>>
  %r = hwgq.affine %g {scale = array<f32: 0.5>} : tensor<1x8x!hwgq.code<b1>>
  %s = tensor.empty() : tensor<8x2xf32>
  return %s : tensor<8x2xf32>
}
