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

// CHECK-LABEL: @negated_difference
// CHECK: return %arg0
func.func @negated_difference(%a: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<8xf32> {
  %d = "onnx.Sub"(%b, %a) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %n = "onnx.Neg"(%d) : (tensor<8xf32>) -> tensor<8xf32>
  // expected-remark@+1 {{straight-through residue dropped}}
  %y = "onnx.Add"(%n, %b) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
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

// -----

// CHECK-LABEL: @learned_clip
// CHECK-DAG: %[[ZERO:.*]] = "onnx.Constant"() {value = dense<0.000000e+00> : tensor<f32>}
// CHECK-DAG: %[[A:.*]] = "onnx.Constant"() {value = dense<3.000000e+00> : tensor<f32>}
// CHECK: %[[Y:.*]] = "onnx.Clip"(%arg0, %[[ZERO]], %[[A]])
// CHECK: return %[[Y]]
// KEEP-LABEL: @learned_clip
// KEEP-NOT: onnx.Clip
// KEEP: return
func.func @learned_clip(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %a = "onnx.Constant"() {value = dense<3.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %half = "onnx.Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %d = "onnx.Sub"(%x, %a) : (tensor<?x8xf32>, tensor<1xf32>) -> tensor<?x8xf32>
  %p = "onnx.Abs"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %q = "onnx.Abs"(%d) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = "onnx.Sub"(%p, %q) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %t = "onnx.Add"(%s, %a) : (tensor<?x8xf32>, tensor<1xf32>) -> tensor<?x8xf32>
  // expected-remark@+1 {{learned clip rewritten}}
  %y = "onnx.Mul"(%half, %t) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Other bounds, a negative one and another factor are no clip.
// CHECK-LABEL: @no_learned_clip
// CHECK-NOT: onnx.Clip
// CHECK: return
func.func @no_learned_clip(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %a = "onnx.Constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %b = "onnx.Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %n = "onnx.Constant"() {value = dense<-3.0> : tensor<f32>} : () -> tensor<f32>
  %p = "onnx.Abs"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  %d = "onnx.Sub"(%x, %a) : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %q = "onnx.Abs"(%d) : (tensor<8xf32>) -> tensor<8xf32>
  %s = "onnx.Sub"(%p, %q) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %t = "onnx.Add"(%s, %b) : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %u = "onnx.Div"(%t, %b) : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %v = "onnx.Add"(%s, %a) : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %w = "onnx.Div"(%v, %a) : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %e = "onnx.Sub"(%x, %n) : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %f = "onnx.Abs"(%e) : (tensor<8xf32>) -> tensor<8xf32>
  %g = "onnx.Sub"(%p, %f) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %h = "onnx.Add"(%g, %n) : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %i = "onnx.Div"(%h, %b) : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  return %u, %w, %i : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}
