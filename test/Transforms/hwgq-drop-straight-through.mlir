// RUN: hwgq-opt %s -split-input-file -hwgq-drop-straight-through -verify-diagnostics | FileCheck %s
// RUN: hwgq-opt %s -split-input-file -hwgq-drop-straight-through=mode=keep | FileCheck %s --check-prefix=KEEP

// CHECK-LABEL: @difference_first
// CHECK: return %arg0
// KEEP-LABEL: @difference_first
// KEEP: onnx.Add
// KEEP: return
func.func @difference_first(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %d = "onnx.Sub"(%a, %b) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  // expected-remark@+1 {{straight-through residue dropped}}
  %y = "onnx.Add"(%d, %b) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: @difference_second
// CHECK: return %arg0
func.func @difference_second(%a: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<8xf32> {
  %d = "onnx.Sub"(%a, %b) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  // expected-remark@+1 {{straight-through residue dropped}}
  %y = "onnx.Add"(%b, %d) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return %y : tensor<8xf32>
}

// -----

// Two clips of one weight are one value.
// CHECK-LABEL: @equal_computations
// CHECK: %[[S:.*]] = "onnx.Sign"
// CHECK: return %[[S]]
func.func @equal_computations(%w: tensor<8xf32>) -> tensor<8xf32> {
  %low = "onnx.Constant"() {value = dense<-1.0> : tensor<f32>} : () -> tensor<f32>
  %high = "onnx.Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %s = "onnx.Sign"(%w) : (tensor<8xf32>) -> tensor<8xf32>
  %c = "onnx.Clip"(%w, %low, %high) : (tensor<8xf32>, tensor<f32>, tensor<f32>) -> tensor<8xf32>
  %e = "onnx.Clip"(%w, %low, %high) : (tensor<8xf32>, tensor<f32>, tensor<f32>) -> tensor<8xf32>
  %d = "onnx.Sub"(%s, %c) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  // expected-remark@+1 {{straight-through residue dropped}}
  %y = "onnx.Add"(%d, %e) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return %y : tensor<8xf32>
}

// -----

// CHECK-LABEL: @negated
// CHECK: return %arg0
func.func @negated(%a: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<8xf32> {
  %n = "onnx.Neg"(%b) : (tensor<8xf32>) -> tensor<8xf32>
  %d = "onnx.Add"(%n, %a) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  // expected-remark@+1 {{straight-through residue dropped}}
  %y = "onnx.Add"(%d, %b) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return %y : tensor<8xf32>
}

// -----

// CHECK-LABEL: @twice_subtracted
// CHECK: return %arg0
func.func @twice_subtracted(%a: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<8xf32> {
  %d = "onnx.Sub"(%b, %a) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  // expected-remark@+1 {{straight-through residue dropped}}
  %y = "onnx.Sub"(%b, %d) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return %y : tensor<8xf32>
}

// -----

// Another value is no residue; neither is a sum that broadcasts a.
// CHECK-LABEL: @others
// CHECK: "onnx.Add"
// CHECK: "onnx.Add"
func.func @others(%a: tensor<1xf32>, %b: tensor<8xf32>, %c: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %d = "onnx.Sub"(%c, %b) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %y = "onnx.Add"(%d, %c) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %e = "onnx.Sub"(%a, %b) : (tensor<1xf32>, tensor<8xf32>) -> tensor<8xf32>
  %z = "onnx.Add"(%e, %b) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return %y, %z : tensor<8xf32>, tensor<8xf32>
}
