// RUN: hwgq-opt --hwgq-evaluate-constants --split-input-file --verify-diagnostics %s | FileCheck %s

// The binarised weight and its scale are computed at once; the reshape of the
// weight, too, and what lies between is gone.
// CHECK-LABEL: func.func @weights
// CHECK-SAME: (%[[X:.*]]: tensor<?x4xf32>)
// CHECK-NEXT: %[[W:.*]] = "onnx.Constant"() {value = dense<{{\[}}[5.000000e-01, -5.000000e-01], [0.000000e+00, 5.000000e-01], [-5.000000e-01, 5.000000e-01], [5.000000e-01, 5.000000e-01]]> : tensor<4x2xf32>}
// CHECK-NEXT: %[[Y:.*]] = "onnx.MatMul"(%[[X]], %[[W]])
// CHECK-NEXT: return %[[Y]]
func.func @weights(%x: tensor<?x4xf32>) -> tensor<?x2xf32> {
  %w = "onnx.Constant"() {value = dense<[[0.7, -3.0], [0.0, 1.0], [-2.0, 4.0], [9.0, 0.1]]> : tensor<4x2xf32>} : () -> tensor<4x2xf32>
  %s = "onnx.Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  // expected-remark@+1 {{Sign: 1 of its 8 constants are 0 and stay 0}}
  %a = "onnx.Sign"(%w) : (tensor<4x2xf32>) -> tensor<4x2xf32>
  %b = "onnx.Mul"(%a, %s) : (tensor<4x2xf32>, tensor<f32>) -> tensor<4x2xf32>
  %y = "onnx.MatMul"(%x, %b) : (tensor<?x4xf32>, tensor<4x2xf32>) -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

// -----

// Shapes of static values are constants although the values are not, which then
// go if nothing else uses them.
// CHECK-LABEL: func.func @shape
// CHECK-NEXT: %[[S:.*]] = "onnx.Constant"() {value = dense<[3, 4]> : tensor<2xi64>}
// CHECK-NEXT: return %[[S]]
func.func @shape(%x: tensor<3x4xf32>) -> tensor<2xi64> {
  %y = "onnx.Relu"(%x) : (tensor<3x4xf32>) -> tensor<3x4xf32>
  %s = "onnx.Shape"(%y) {start = 0 : i64} : (tensor<3x4xf32>) -> tensor<2xi64>
  return %s : tensor<2xi64>
}

// -----

// Transposes and arithmetic of constants fold; a broadcast stays.
// CHECK-LABEL: func.func @upstream
// CHECK-DAG: %[[C:.*]] = arith.constant dense<3.000000e+00> : tensor<f32>
// CHECK-DAG: %[[T:.*]] = arith.constant dense<{{\[}}[1.000000e+00, 3.000000e+00], [2.000000e+00, 4.000000e+00]]> : tensor<2x2xf32>
// CHECK: %[[B:.*]] = linalg.broadcast ins(%[[C]] : tensor<f32>)
// CHECK: return %[[T]], %[[B]]
func.func @upstream() -> (tensor<2x2xf32>, tensor<64x64xf32>) {
  %w = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %a = arith.constant dense<1.0> : tensor<f32>
  %b = arith.constant dense<2.0> : tensor<f32>
  %c = arith.addf %a, %b : tensor<f32>
  %e = tensor.empty() : tensor<2x2xf32>
  %t = linalg.transpose ins(%w : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) permutation = [1, 0]
  %f = tensor.empty() : tensor<64x64xf32>
  %d = linalg.broadcast ins(%c : tensor<f32>) outs(%f : tensor<64x64xf32>) dimensions = [0, 1]
  return %t, %d : tensor<2x2xf32>, tensor<64x64xf32>
}

// -----

// Codes of constants: 1, -1, 1, 1 as bits.
// CHECK-LABEL: func.func @codes
// CHECK-NEXT: %[[Q:.*]] = hwgq.constant dense<13> : tensor<1xi8> as tensor<4x!hwgq.code<b1>>
// CHECK-NEXT: return %[[Q]]
func.func @codes() -> tensor<4x!hwgq.code<b1>> {
  %w = arith.constant dense<[0.7, -3.0, 0.1, 2.0]> : tensor<4xf32>
  %q = hwgq.quantize %w {step = #hwgq.sign<">=">} : tensor<4xf32> -> tensor<4x!hwgq.code<b1>>
  return %q : tensor<4x!hwgq.code<b1>>
}

// -----

func.func @undefined() -> tensor<i64> {
  %a = "onnx.Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
  %b = "onnx.Constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
  // expected-error @+1 {{divides an integer by zero}}
  %c = "onnx.Div"(%a, %b) : (tensor<i64>, tensor<i64>) -> tensor<i64>
  return %c : tensor<i64>
}
