// RUN: hwgq-opt %s -convert-onnx-to-hwgq -canonicalize -cse | FileCheck %s

// CHECK-LABEL: @conv
// CHECK-DAG: %[[W:.*]] = arith.constant dense<{{.*}}> : tensor<2x1x2x3xf32>
// CHECK: %[[X:.*]] = linalg.transpose ins(%arg0 {{.*}} permutation = [0, 2, 3, 1]
// CHECK: %[[Y:.*]] = hwgq.conv2d %[[X]], %[[W]] {dilations = array<i64: 1, 2>, groups = 1 : i64, pads = array<i64: 0, 1, 2, 3>, strides = array<i64: 2, 1>}
// CHECK-SAME: -> tensor<?x3x10x2xf32>
// CHECK: %[[Z:.*]] = linalg.transpose ins(%[[Y]] {{.*}} permutation = [0, 3, 1, 2]
// CHECK: %[[B:.*]] = linalg.broadcast ins(%{{.*}} : tensor<2xf32>) {{.*}} dimensions = [0, 2, 3]
// CHECK: arith.addf %[[Z]], %[[B]]
func.func @conv(%x: tensor<?x3x4x8xf32>) -> tensor<?x2x3x10xf32> {
  %w = "onnx.Constant"() {value = dense<[[[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]], [[[7.0, 8.0]], [[9.0, 10.0]], [[11.0, 12.0]]]]> : tensor<2x3x1x2xf32>} : () -> tensor<2x3x1x2xf32>
  %b = "onnx.Constant"() {value = dense<[0.5, 0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %y = "onnx.Conv"(%x, %w, %b) {kernel_shape = array<i64: 1, 2>, pads = array<i64: 0, 1, 2, 3>, strides = array<i64: 2, 1>, dilations = array<i64: 1, 2>, group = 1 : i64}
     : (tensor<?x3x4x8xf32>, tensor<2x3x1x2xf32>, tensor<2xf32>) -> tensor<?x2x3x10xf32>
  return %y : tensor<?x2x3x10xf32>
}

// a = f32(g / sqrt(v + eps)), b = f32(beta - f32(mean * a)).
// CHECK-LABEL: @batch_norm
// CHECK-DAG: %[[B:.*]] = arith.constant dense<[0.000000e+00, -7.000000e+00]> : tensor<2xf32>
// CHECK-DAG: %[[A:.*]] = arith.constant dense<[5.000000e-01, 2.000000e+00]> : tensor<2xf32>
// CHECK: %[[SLOPE:.*]] = linalg.broadcast ins(%[[A]]
// CHECK: %[[OFFSET:.*]] = linalg.broadcast ins(%[[B]]
// CHECK: %[[M:.*]] = arith.mulf %arg0, %[[SLOPE]]
// CHECK: arith.addf %[[M]], %[[OFFSET]]
func.func @batch_norm(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
  %g = "onnx.Constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %beta = "onnx.Constant"() {value = dense<[0.5, 1.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %mean = "onnx.Constant"() {value = dense<[1.0, 4.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %v = "onnx.Constant"() {value = dense<[3.75, 0.75]> : tensor<2xf32>} : () -> tensor<2xf32>
  %y = "onnx.BatchNormalization"(%x, %g, %beta, %mean, %v) {epsilon = 0.25 : f32}
     : (tensor<?x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

// Quantise, clip and dequantise are one float32 chain without an integer.
// CHECK-LABEL: @qdq
// CHECK: arith.divf
// CHECK: math.roundeven
// CHECK-NOT: i8
// CHECK: arith.mulf
// CHECK: return
func.func @qdq(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %s = "onnx.Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %z = "onnx.Constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %h = "onnx.Constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %q = "onnx.QuantizeLinear"(%x, %s, %z) {axis = 0 : i64} : (tensor<?x4xf32>, tensor<f32>, tensor<ui8>) -> tensor<?x4xui8>
  %c = "onnx.Clip"(%q, %z, %h) : (tensor<?x4xui8>, tensor<ui8>, tensor<ui8>) -> tensor<?x4xui8>
  %y = "onnx.DequantizeLinear"(%c, %s, %z) {axis = 0 : i64} : (tensor<?x4xui8>, tensor<f32>, tensor<ui8>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// Unsigned arguments lose their sign in the type and keep it as an attribute.
// CHECK-LABEL: @unsigned(
// CHECK-SAME: %arg0: tensor<?x4xi8> {hwgq.unsigned}) -> (tensor<?x4xi8> {hwgq.unsigned})
// CHECK: arith.maxui
func.func @unsigned(%x: tensor<?x4xui8>) -> tensor<?x4xui8> {
  %z = "onnx.Constant"() {value = dense<200> : tensor<ui8>} : () -> tensor<ui8>
  %y = "onnx.Max"(%x, %z) : (tensor<?x4xui8>, tensor<ui8>) -> tensor<?x4xui8>
  return %y : tensor<?x4xui8>
}

// A general operand is broadcast without its unit dimensions.
// CHECK-LABEL: @gate
// CHECK: %[[C:.*]] = tensor.collapse_shape %arg1 {{\[\[}}0], [1, 2, 3]] : tensor<?x4x1x1xf32> into tensor<?x4xf32>
// CHECK: linalg.broadcast ins(%[[C]] : tensor<?x4xf32>) {{.*}} dimensions = [2, 3]
func.func @gate(%x: tensor<?x4x8x8xf32>, %g: tensor<?x4x1x1xf32>) -> tensor<?x4x8x8xf32> {
  %y = "onnx.Mul"(%x, %g) : (tensor<?x4x8x8xf32>, tensor<?x4x1x1xf32>) -> tensor<?x4x8x8xf32>
  return %y : tensor<?x4x8x8xf32>
}

// The mean over an image is an average pool.
// CHECK-LABEL: @mean
// CHECK: hwgq.avg_pool {{.*}} kernel = array<i64: 8, 8>
func.func @mean(%x: tensor<?x4x8x8xf32>) -> tensor<?x4xf32> {
  %axes = "onnx.Constant"() {value = dense<[2, 3]> : tensor<2xi64>} : () -> tensor<2xi64>
  %y = "onnx.ReduceMean"(%x, %axes) {keepdims = 0 : i64} : (tensor<?x4x8x8xf32>, tensor<2xi64>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// Integer weights and zero points that are constants make codes.
// CHECK-LABEL: @integers
// CHECK: hwgq.quantize {{.*}} -> tensor<2x3x!hwgq.code<u8, -5, 1>>
// CHECK: hwgq.matmul {{.*}} -> tensor<2x2xi32>
func.func @integers(%x: tensor<2x3xui8>) -> tensor<2x2xi32> {
  %w = "onnx.Constant"() {value = dense<[[1, -2], [3, 4], [-5, 6]]> : tensor<3x2xi8>} : () -> tensor<3x2xi8>
  %xz = "onnx.Constant"() {value = dense<5> : tensor<ui8>} : () -> tensor<ui8>
  %wz = "onnx.Constant"() {value = dense<1> : tensor<i8>} : () -> tensor<i8>
  %y = "onnx.MatMulInteger"(%x, %w, %xz, %wz) : (tensor<2x3xui8>, tensor<3x2xi8>, tensor<ui8>, tensor<i8>) -> tensor<2x2xi32>
  return %y : tensor<2x2xi32>
}

// A padding value that is known only when running: borders side by side.
// CHECK-LABEL: @pad_at_run_time
// CHECK: tensor.concat dim(1) {{.*}} : (tensor<2x1xf32>, tensor<2x3xf32>, tensor<2x2xf32>) -> tensor<2x6xf32>
func.func @pad_at_run_time(%x: tensor<2x3xf32>, %v: tensor<f32>) -> tensor<2x6xf32> {
  %pads = "onnx.Constant"() {value = dense<[0, 1, 0, 2]> : tensor<4xi64>} : () -> tensor<4xi64>
  %y = "onnx.Pad"(%x, %pads, %v) : (tensor<2x3xf32>, tensor<4xi64>, tensor<f32>) -> tensor<2x6xf32>
  return %y : tensor<2x6xf32>
}

// The empty part of a split begins where the input ends.
// CHECK-LABEL: @split_off_nothing
// CHECK: tensor.extract_slice %{{.*}}[0, 0] [2, 0] [1, 1]
func.func @split_off_nothing(%x: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x0xf32>) {
  %sizes = "onnx.Constant"() {value = dense<[3, 0]> : tensor<2xi64>} : () -> tensor<2xi64>
  %y:2 = "onnx.Split"(%x, %sizes) {axis = 1 : i64} : (tensor<2x3xf32>, tensor<2xi64>) -> (tensor<2x3xf32>, tensor<2x0xf32>)
  return %y#0, %y#1 : tensor<2x3xf32>, tensor<2x0xf32>
}

// Resize by corners: positions follow the scale, though the size is made whole.
// 4 * 0.6 = 2.4, so that element 1 comes from 1 * (4 - 1) / (2.4 - 1) = 2.142857.
// CHECK-LABEL: @resize_by_corners
// CHECK: dense<{{.*}}[1.000000e+00, 0.857142
func.func @resize_by_corners(%x: tensor<1x4xf32>) -> tensor<1x2xf32> {
  %none = "onnx.NoValue"() : () -> none
  %scales = "onnx.Constant"() {value = dense<[6.000000e-01]> : tensor<1xf32>} : () -> tensor<1xf32>
  %y = "onnx.Resize"(%x, %none, %scales, %none) {axes = array<i64: 1>, coordinate_transformation_mode = "align_corners", mode = "linear"} : (tensor<1x4xf32>, none, tensor<1xf32>, none) -> tensor<1x2xf32>
  return %y : tensor<1x2xf32>
}

// float8 comes as bytes; denormals and normal numbers take one multiplication.
// CHECK-LABEL: @float8
// CHECK-SAME: %arg0: tensor<4xi8> {hwgq.unsigned}) -> tensor<4xf32>
// CHECK: %[[U:.*]] = arith.extui %arg0
// CHECK: arith.mulf %{{.*}}, %{{.*}} : tensor<4xf32>
func.func @float8(%x: tensor<4xf8E4M3FN>) -> tensor<4xf32> {
  %y = "onnx.Cast"(%x) {to = 1 : i64} : (tensor<4xf8E4M3FN>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// bfloat16 comes as its bits and is rounded by integers.
// CHECK-LABEL: @bfloat16
// CHECK-SAME: tensor<4xf32>) -> (tensor<4xi16> {hwgq.unsigned})
// CHECK-NOT: arith.truncf
func.func @bfloat16(%x: tensor<4xf32>) -> tensor<4xbf16> {
  %y = "onnx.Cast"(%x) {to = 16 : i64} : (tensor<4xf32>) -> tensor<4xbf16>
  return %y : tensor<4xbf16>
}
