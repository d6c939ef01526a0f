// RUN: hwgq-opt %s --canonicalize | FileCheck %s

// A threshold moves in front of a reshape that keeps the channels.
// CHECK-LABEL: func.func @threshold_collapse
func.func @threshold_collapse(%a: tensor<?x1x1x8xi32>) -> tensor<?x8xf32> {
  // CHECK: %[[T:.*]] = hwgq.threshold %{{.*}} : tensor<?x1x1x8xi32> -> tensor<?x1x1x8x!hwgq.code<b1>>
  // CHECK: %[[C:.*]] = tensor.collapse_shape %[[T]] {{\[\[}}0, 1, 2], [3]]
  // CHECK: hwgq.affine %[[C]]
  %c = tensor.collapse_shape %a [[0, 1, 2], [3]] : tensor<?x1x1x8xi32> into tensor<?x8xi32>
  %t = hwgq.threshold %c {thresholds = dense<3> : tensor<1x1xi32>, direction = array<i8: 1>} : tensor<?x8xi32> -> tensor<?x8x!hwgq.code<b1>>
  %f = hwgq.affine %t {scale = array<f32: 1.0>} : tensor<?x8x!hwgq.code<b1>>
  return %f : tensor<?x8xf32>
}

// Not where the reshape makes channels of pixels.
// CHECK-LABEL: func.func @threshold_flatten
func.func @threshold_flatten(%a: tensor<?x2x4xi32>) -> tensor<?x8xf32> {
  // CHECK: tensor.collapse_shape
  // CHECK: hwgq.threshold %{{.*}} : tensor<?x8xi32>
  %c = tensor.collapse_shape %a [[0], [1, 2]] : tensor<?x2x4xi32> into tensor<?x8xi32>
  %t = hwgq.threshold %c {thresholds = dense<3> : tensor<1x1xi32>, direction = array<i8: 1>} : tensor<?x8xi32> -> tensor<?x8x!hwgq.code<b1>>
  %f = hwgq.affine %t {scale = array<f32: 1.0>} : tensor<?x8x!hwgq.code<b1>>
  return %f : tensor<?x8xf32>
}

// Equal scales are one; channels that differ stay, -0 and 0 too.
// CHECK-LABEL: func.func @affine_scales
func.func @affine_scales(%a: tensor<?x3xi32>) -> (tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>) {
  // CHECK: hwgq.affine %{{.*}} {scale = array<f32: 5.000000e-01>}
  // CHECK: hwgq.affine %{{.*}} {scale = array<f32: 5.000000e-01, 5.000000e-01, 2.500000e-01>}
  // CHECK: hwgq.affine %{{.*}} {scale = array<f32: 0.000000e+00, -0.000000e+00, 0.000000e+00>}
  %0 = hwgq.affine %a {scale = array<f32: 0.5, 0.5, 0.5>} : tensor<?x3xi32>
  %1 = hwgq.affine %a {scale = array<f32: 0.5, 0.5, 0.25>} : tensor<?x3xi32>
  %2 = hwgq.affine %a {scale = array<f32: 0.0, -0.0, 0.0>} : tensor<?x3xi32>
  return %0, %1, %2 : tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>
}

// Quantising what is quantised so already: the codes.
// CHECK-LABEL: func.func @quantize_again
func.func @quantize_again(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK: %[[Q:.*]] = hwgq.quantize
  // CHECK-NOT: hwgq.quantize
  // CHECK: hwgq.affine %[[Q]]
  %q = hwgq.quantize %x {step = #hwgq.half_wave<0.5, 2>} : tensor<?x8xf32> -> tensor<?x8x!hwgq.code<u2>>
  %f = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x8x!hwgq.code<u2>>
  %r = hwgq.quantize %f {step = #hwgq.half_wave<0.5, 2>} : tensor<?x8xf32> -> tensor<?x8x!hwgq.code<u2>>
  %g = hwgq.affine %r {scale = array<f32: 0.5>} : tensor<?x8x!hwgq.code<u2>>
  return %g : tensor<?x8xf32>
}

// Not with another scale: 0.25 is below the second step.
// CHECK-LABEL: func.func @quantize_other
func.func @quantize_other(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK-COUNT-2: hwgq.quantize
  %q = hwgq.quantize %x {step = #hwgq.half_wave<0.5, 2>} : tensor<?x8xf32> -> tensor<?x8x!hwgq.code<u2>>
  %f = hwgq.affine %q {scale = array<f32: 0.25>} : tensor<?x8x!hwgq.code<u2>>
  %r = hwgq.quantize %f {step = #hwgq.half_wave<0.5, 2>} : tensor<?x8xf32> -> tensor<?x8x!hwgq.code<u2>>
  %g = hwgq.affine %r {scale = array<f32: 0.5>} : tensor<?x8x!hwgq.code<u2>>
  return %g : tensor<?x8xf32>
}

// Equal rows of thresholds are one; another direction is another row.
// CHECK-LABEL: func.func @threshold_rows
func.func @threshold_rows(%a: tensor<?x2xi32>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
  // CHECK: hwgq.threshold %{{.*}} {direction = array<i8: 1>, thresholds = dense<{{\[\[}}1, 5, 9]]> : tensor<1x3xi32>}
  // CHECK: hwgq.threshold %{{.*}} {direction = array<i8: 1, -1>, thresholds = dense<4> : tensor<2x1xi32>}
  %0 = hwgq.threshold %a {thresholds = dense<[[1, 5, 9], [1, 5, 9]]> : tensor<2x3xi32>, direction = array<i8: 1, 1>} : tensor<?x2xi32> -> tensor<?x2x!hwgq.code<u2>>
  %1 = hwgq.threshold %a {thresholds = dense<[[4], [4]]> : tensor<2x1xi32>, direction = array<i8: 1, -1>} : tensor<?x2xi32> -> tensor<?x2x!hwgq.code<u1>>
  %f = hwgq.affine %0 {scale = array<f32: 1.0>} : tensor<?x2x!hwgq.code<u2>>
  %g = hwgq.affine %1 {scale = array<f32: 1.0>} : tensor<?x2x!hwgq.code<u1>>
  return %f, %g : tensor<?x2xf32>, tensor<?x2xf32>
}

// A pool of one pixel that moves by one is its input.
// CHECK-LABEL: func.func @max_pool_pixel
func.func @max_pool_pixel(%x: tensor<?x4x4x2xf32>) -> tensor<?x4x4x2xf32> {
  // CHECK-NEXT: return %arg0
  %0 = hwgq.max_pool %x {kernel = array<i64: 1, 1>, strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 2, 2>} : tensor<?x4x4x2xf32> -> tensor<?x4x4x2xf32>
  return %0 : tensor<?x4x4x2xf32>
}

// A subsampling pool stays; falling without an entry goes.
// CHECK-LABEL: func.func @max_pool_falling
func.func @max_pool_falling(%x: tensor<?x4x4x2xi32>) -> tensor<?x2x2x2xi32> {
  // CHECK: hwgq.max_pool
  // CHECK-NOT: falling
  // CHECK: return
  %0 = hwgq.max_pool %x {kernel = array<i64: 1, 1>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, falling = array<i1: false, false>} : tensor<?x4x4x2xi32> -> tensor<?x2x2x2xi32>
  return %0 : tensor<?x2x2x2xi32>
}

// CHECK-LABEL: func.func @pad_nothing
func.func @pad_nothing(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // CHECK-NEXT: return %arg0
  %0 = hwgq.pad %x {low = array<i64: 0, 0>, high = array<i64: 0, 0>, value = 1.0 : f32} : tensor<?x4xf32> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @pad_twice
func.func @pad_twice(%x: tensor<?x4xf32>) -> (tensor<?x9xf32>, tensor<?x9xf32>) {
  // CHECK: %[[ONE:.*]] = hwgq.pad %arg0 {high = array<i64: 0, 2>, low = array<i64: 0, 1>
  // CHECK: hwgq.pad %arg0 {high = array<i64: 0, 2>, low = array<i64: 0, 3>, value = 0.000000e+00 : f32}
  // CHECK: hwgq.pad %[[ONE]] {{.*}}value = 1.000000e+00
  %0 = hwgq.pad %x {low = array<i64: 0, 1>, high = array<i64: 0, 2>, value = 0.0 : f32} : tensor<?x4xf32> -> tensor<?x7xf32>
  %1 = hwgq.pad %0 {low = array<i64: 0, 2>, high = array<i64: 0, 0>, value = 0.0 : f32} : tensor<?x7xf32> -> tensor<?x9xf32>
  %2 = hwgq.pad %0 {low = array<i64: 0, 2>, high = array<i64: 0, 0>, value = 1.0 : f32} : tensor<?x7xf32> -> tensor<?x9xf32>
  return %1, %2 : tensor<?x9xf32>, tensor<?x9xf32>
}
