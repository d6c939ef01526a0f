// RUN: hwgq-opt %s --split-input-file --hwgq-normalize-onnx | FileCheck %s
// RUN: hwgq-opt %s --split-input-file --hwgq-normalize-onnx --hwgq-normalize-onnx | FileCheck %s

// CHECK-LABEL: @flatten
// CHECK: %[[S:.*]] = "onnx.Constant"() {value = dense<[-1, 6]> : tensor<2xi64>}
// CHECK: "onnx.Reshape"(%arg0, %[[S]]) {allowzero = 0 : i64} : (tensor<?x2x3xf32>, tensor<2xi64>) -> tensor<?x6xf32>
func.func @flatten(%x: tensor<?x2x3xf32>) -> none {
  %y = "onnx.Flatten"(%x) {axis = 1 : i64} : (tensor<?x2x3xf32>) -> none
  return %y : none
}

// -----

// Exporters write x.view(x.shape[0], -1) so; it is folded with the batch in it.
// CHECK-LABEL: @view
// CHECK-NEXT: %[[S:.*]] = "onnx.Constant"() {value = dense<[-1, 12]> : tensor<2xi64>}
// CHECK-NEXT: "onnx.Reshape"(%arg0, %[[S]]) {{.*}} -> tensor<?x12xf32>
// CHECK-NEXT: return
func.func @view(%x: tensor<?x3x4xf32>) -> none {
  %s = "onnx.Shape"(%x) : (tensor<?x3x4xf32>) -> none
  %zero = "onnx.Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
  %n = "onnx.Gather"(%s, %zero) {axis = 0 : i64} : (none, tensor<i64>) -> none
  %axes = "onnx.Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
  %n1 = "onnx.Unsqueeze"(%n, %axes) : (none, tensor<1xi64>) -> none
  %rest = "onnx.Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
  %t = "onnx.Concat"(%n1, %rest) {axis = 0 : i64} : (none, tensor<1xi64>) -> none
  %y = "onnx.Reshape"(%x, %t) : (tensor<?x3x4xf32>, none) -> none
  return %y : none
}

// -----

// CHECK-LABEL: @clip
// CHECK-DAG: %[[LO:.*]] = "onnx.Constant"() {value = dense<0.000000e+00> : tensor<f32>}
// CHECK-DAG: %[[HI:.*]] = "onnx.Constant"() {value = dense<6.000000e+00> : tensor<f32>}
// CHECK: "onnx.Clip"(%arg0, %[[LO]], %[[HI]]) : (tensor<4xf32>, tensor<f32>, tensor<f32>) -> tensor<4xf32>
func.func @clip(%x: tensor<4xf32>) -> none {
  %y = "onnx.Clip"(%x) {min = 0.0 : f32, max = 6.0 : f32, hwgq.opset = 6 : i64} : (tensor<4xf32>) -> none
  return %y : none
}

// -----

// SAME_UPPER with dilation: 3 + 2 taps wide, stride 2 on 7 columns.
// CHECK-LABEL: @auto_pad
// CHECK: "onnx.Conv"
// CHECK-SAME: dilations = array<i64: 2>, group = 1 : i64, kernel_shape = array<i64: 3>, pads = array<i64: 2, 2>, strides = array<i64: 2>
// CHECK-SAME: -> tensor<1x5x4xf32>
func.func @auto_pad(%x: tensor<1x2x7xf32>, %w: tensor<5x2x3xf32>) -> none {
  %y = "onnx.Conv"(%x, %w) {auto_pad = "SAME_UPPER", strides = array<i64: 2>, dilations = array<i64: 2>} : (tensor<1x2x7xf32>, tensor<5x2x3xf32>) -> none
  return %y : none
}

// -----

// A last window that begins in the padding does not count.
// CHECK-LABEL: @ceil_mode
// CHECK: -> tensor<1x1x28x28xf32>
// CHECK: -> tensor<1x1x2x2xf32>
func.func @ceil_mode(%x: tensor<1x1x56x56xf32>, %z: tensor<1x1x3x3xf32>) -> (none, none) {
  %y = "onnx.MaxPool"(%x) {kernel_shape = array<i64: 3, 3>, strides = array<i64: 2, 2>, ceil_mode = 1 : i64} : (tensor<1x1x56x56xf32>) -> none
  %v = "onnx.MaxPool"(%z) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 1, 1>, ceil_mode = 1 : i64} : (tensor<1x1x3x3xf32>) -> none
  return %y, %v : none, none
}

// -----

// Before opset 13, Softmax normalises all axes from `axis` on.
// CHECK-LABEL: @softmax
// CHECK: %[[F:.*]] = "onnx.Reshape"{{.*}} -> tensor<?x12xf32>
// CHECK: %[[S:.*]] = "onnx.Softmax"(%[[F]]) {axis = 1 : i64}
// CHECK: "onnx.Reshape"(%[[S]], {{.*}} -> tensor<?x3x4xf32>
// CHECK-LABEL: @softmax13
// CHECK: "onnx.Softmax"(%arg0) {axis = 2 : i64}
func.func @softmax(%x: tensor<?x3x4xf32>) -> none {
  %y = "onnx.Softmax"(%x) {axis = 1 : i64, hwgq.opset = 11 : i64} : (tensor<?x3x4xf32>) -> none
  return %y : none
}
func.func @softmax13(%x: tensor<?x3x4xf32>) -> none {
  %y = "onnx.Softmax"(%x) : (tensor<?x3x4xf32>) -> none
  return %y : none
}

// -----

// CHECK-LABEL: @legacy_broadcast
// CHECK: %[[B:.*]] = "onnx.Reshape"(%arg1, {{.*}} -> tensor<3x1x1xf32>
// CHECK: "onnx.Add"(%arg0, %[[B]])
func.func @legacy_broadcast(%x: tensor<2x3x4x5xf32>, %b: tensor<3xf32>) -> none {
  %y = "onnx.Add"(%x, %b) {broadcast = 1 : i64, axis = 1 : i64, hwgq.opset = 6 : i64} : (tensor<2x3x4x5xf32>, tensor<3xf32>) -> none
  return %y : none
}

// -----

// CHECK-LABEL: @removed
// CHECK-NEXT: return %arg0
func.func @removed(%x: tensor<2xf32>) -> none {
  %a = "onnx.Identity"(%x) : (tensor<2xf32>) -> none
  %b, %mask = "onnx.Dropout"(%a) : (none) -> (none, none)
  return %b : none
}

// -----

// CHECK-LABEL: @quant
// CHECK: %[[BITS:.*]] = "onnx.Cast"
// CHECK: "onnx.Quant"(%arg0, %{{.*}}, %{{.*}}, %[[BITS]]) {narrow = 0 : i64, rounding_mode = "ROUND", signed = 0 : i64}
func.func @quant(%x: tensor<2x3xf32>) -> none {
  %s = "onnx.Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %z = "onnx.Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %b = "onnx.Constant"() {value = dense<2> : tensor<i64>} : () -> tensor<i64>
  %y = "onnx.IntQuant"(%x, %s, %z, %b) {signed = 0 : i64, rounding_mode = "round"} : (tensor<2x3xf32>, tensor<f32>, tensor<f32>, tensor<i64>) -> none
  return %y : none
}

// -----

// CHECK-LABEL: @depth_to_space
// CHECK: "onnx.Reshape"{{.*}} -> tensor<?x2x2x3x4x5xf32>
// CHECK: "onnx.Transpose"{{.*}}perm = array<i64: 0, 3, 4, 1, 5, 2>
// CHECK: -> tensor<?x3x8x10xf32>
func.func @depth_to_space(%x: tensor<?x12x4x5xf32>) -> none {
  %y = "onnx.DepthToSpace"(%x) {blocksize = 2 : i64} : (tensor<?x12x4x5xf32>) -> none
  return %y : none
}

// -----

// CHECK-LABEL: @slice
// CHECK-DAG: value = dense<[1, 3]> : tensor<2xi64>
// CHECK-DAG: value = dense<[3, 0]> : tensor<2xi64>
// CHECK: "onnx.Slice"{{.*}} -> tensor<4x2x2xf32>
func.func @slice(%x: tensor<4x5x6xf32>) -> none {
  %starts = "onnx.Constant"() {value = dense<[-4, 3]> : tensor<2xi64>} : () -> tensor<2xi64>
  %ends = "onnx.Constant"() {value = dense<[3, 0]> : tensor<2xi64>} : () -> tensor<2xi64>
  %axes = "onnx.Constant"() {value = dense<[1, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
  %steps = "onnx.Constant"() {value = dense<[1, -2]> : tensor<2xi64>} : () -> tensor<2xi64>
  %y = "onnx.Slice"(%x, %starts, %ends, %axes, %steps) : (tensor<4x5x6xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> none
  return %y : none
}

// -----

// CHECK-LABEL: @reduce
// CHECK: value = dense<[0, 1]> : tensor<2xi64>
// CHECK: "onnx.ReduceMean"{{.*}} {keepdims = 0 : i64} {{.*}} -> tensor<f32>
func.func @reduce(%x: tensor<4x5xf32>) -> none {
  %y = "onnx.ReduceMean"(%x) {keepdims = 0 : i64} : (tensor<4x5xf32>) -> none
  return %y : none
}

// -----

// A shape that ConstantOfShape makes is known.
// CHECK-LABEL: @shape_of_ones
// CHECK: "onnx.Reshape"
// CHECK-SAME: -> tensor<1x6xf32>
func.func @shape_of_ones(%x: tensor<2x3xf32>) -> tensor<*xf32> {
  %one = "onnx.Constant"() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
  %six = "onnx.Constant"() {value = dense<6> : tensor<1xi64>} : () -> tensor<1xi64>
  %ones = "onnx.ConstantOfShape"(%one) {value = dense<1> : tensor<1xi64>} : (tensor<1xi64>) -> tensor<*xi64>
  %shape = "onnx.Concat"(%ones, %six) {axis = 0 : i64} : (tensor<*xi64>, tensor<1xi64>) -> tensor<*xi64>
  %y = "onnx.Reshape"(%x, %shape) : (tensor<2x3xf32>, tensor<*xi64>) -> tensor<*xf32>
  return %y : tensor<*xf32>
}
