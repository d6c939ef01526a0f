// RUN: hwgq-opt %s | hwgq-opt | FileCheck %s

// CHECK-LABEL: func.func @types
// CHECK-SAME: tensor<4x!hwgq.code<u2>>, %{{.*}}: tensor<4x!hwgq.code<s4>>, %{{.*}}: tensor<4x!hwgq.code<b1>>, %{{.*}}: tensor<4x!hwgq.code<u2, -3, 2>>, %{{.*}}: tensor<4x!hwgq.code<u2, -1, 1>>
func.func @types(%a: tensor<4x!hwgq.code<u2>>, %b: tensor<4x!hwgq.code<s4>>, %c: tensor<4x!hwgq.code<b1>>,
                 %d: tensor<4x!hwgq.code<u2, -3, 2>>, %e: tensor<4x!hwgq.code<u2, -1, 1>>) {
  return
}

// The short forms are the same attributes as the long ones.
// CHECK-LABEL: func.func @steps
func.func @steps(%x: tensor<?x4xf32>) {
  // CHECK: #hwgq.half_wave<5.38e-01, 2>
  %0 = hwgq.quantize %x {step = #hwgq.half_wave<0.538, 2>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<u2>>
  // CHECK: #hwgq.sign<">=">
  %1 = hwgq.quantize %x {step = #hwgq.step<[ge 0.0], values = [-1, 1], nan = -1>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<b1>>
  // CHECK: #hwgq.sign<">">
  %2 = hwgq.quantize %x {step = #hwgq.sign<">">} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<b1>>
  // CHECK: #hwgq.dorefa<2>
  %3 = hwgq.quantize %x {step = #hwgq.dorefa<2>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<u2>>
  // CHECK: #hwgq.step<[ge -5.0e-01, gt 1.4e-45], values = [-1, 0, 1], nan = 0>
  %4 = hwgq.quantize %x {step = #hwgq.step<[ge -0.5, gt bits(1)], values = [-1, 0, 1], nan = 0>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<u2, -1, 1>>
  // CHECK: gt bits(2139095040)
  %5 = hwgq.quantize %x {step = #hwgq.step<[gt bits(2139095040)], values = [0, 1], nan = 0>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<u1>>
  return
}

// CHECK-LABEL: func.func @network
func.func @network(%x: tensor<?x8x8x64xf32>) -> tensor<?x10xf32> {
  %q = hwgq.quantize %x {step = #hwgq.half_wave<0.538, 2>} : tensor<?x8x8x64xf32> -> tensor<?x8x8x64x!hwgq.code<u2>>
  // CHECK: hwgq.constant dense<85> : tensor<576xi8> as tensor<8x3x3x64x!hwgq.code<b1>>
  %w = hwgq.constant dense<85> : tensor<576xi8> as tensor<8x3x3x64x!hwgq.code<b1>>
  // CHECK: hwgq.conv2d {{.*}} -> tensor<?x8x8x8xi32>
  %a = hwgq.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
    : tensor<?x8x8x64x!hwgq.code<u2>>, tensor<8x3x3x64x!hwgq.code<b1>> -> tensor<?x8x8x8xi32>
  // CHECK: hwgq.threshold
  %t = hwgq.threshold %a {thresholds = dense<[[1, 5, 9]]> : tensor<1x3xi32>, direction = array<i8: 1>}
    : tensor<?x8x8x8xi32> -> tensor<?x8x8x8x!hwgq.code<u2>>
  // CHECK: hwgq.max_pool
  %p = hwgq.max_pool %t {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>,
                         falling = array<i1: false, true, false, false, false, false, false, false>}
    : tensor<?x8x8x8x!hwgq.code<u2>> -> tensor<?x4x4x8x!hwgq.code<u2>>
  // CHECK: hwgq.pad
  %z = hwgq.pad %p {low = array<i64: 0, 1, 1, 0>, high = array<i64: 0, 1, 1, 0>, value = 3 : i32}
    : tensor<?x4x4x8x!hwgq.code<u2>> -> tensor<?x6x6x8x!hwgq.code<u2>>
  // CHECK: hwgq.avg_pool
  %v = hwgq.avg_pool %z {kernel = array<i64: 6, 6>, strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>,
                         count_include_pad = false, scale = 0.5 : f32}
    : tensor<?x6x6x8x!hwgq.code<u2>> -> tensor<?x1x1x8xf32>
  %f = tensor.collapse_shape %v [[0], [1, 2, 3]] : tensor<?x1x1x8xf32> into tensor<?x8xf32>
  %k = arith.constant dense<1.0> : tensor<10x8xf32>
  // CHECK: hwgq.matmul {{.*}} -> tensor<?x10xf32>
  %y = hwgq.matmul %f, %k : tensor<?x8xf32>, tensor<10x8xf32> -> tensor<?x10xf32>
  // CHECK: hwgq.product {{.*}} {input_dims = array<i64: 0, 2, 1, 4>, weight_dims = array<i64: 0, 3, 1, 4>} : {{.*}} -> tensor<?x8x8x8xi32>
  %s = hwgq.product %t, %t {input_dims = array<i64: 0, 2, 1, 4>, weight_dims = array<i64: 0, 3, 1, 4>}
    : tensor<?x8x8x8x!hwgq.code<u2>>, tensor<?x8x8x8x!hwgq.code<u2>> -> tensor<?x8x8x8xi32>
  // CHECK: hwgq.affine {{.*}} : tensor<?x8x8x8xi32>
  %r = hwgq.affine %a {scale = array<f32: 0.5>} : tensor<?x8x8x8xi32>
  return %y : tensor<?x10xf32>
}
