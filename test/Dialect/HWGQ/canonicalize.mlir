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
