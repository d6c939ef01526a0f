// RUN: hwgq-opt --hwgq-evaluate-constants --split-input-file --verify-diagnostics %s -o /dev/null

// A scale that is ten times too small.
func.func @clipped() -> tensor<8xf32> {
  %x = "onnx.Constant"() {value = dense<[0.1, -0.1, 0.25, 1.5, -1.5, 0.9, 0.0, -0.2]> : tensor<8xf32>} : () -> tensor<8xf32>
  %s = "onnx.Constant"() {value = dense<0.1> : tensor<f32>} : () -> tensor<f32>
  %z = "onnx.Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %b = "onnx.Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  // expected-remark@+1 {{Quant: clips 50 % of its 8 constants: they reach from -1.5 to 1.5, its levels from -0.2 to 0.1; check scale, zero point and bit width}}
  %y = "onnx.Quant"(%x, %s, %z, %b) {signed = 1 : i64, narrow = 0 : i64, rounding_mode = "ROUND"} : (tensor<8xf32>, tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<8xf32>
  return %y : tensor<8xf32>
}

// -----

// A scale per channel that fits; and one value of twelve out of range is none of many.
func.func @fits() -> tensor<2x6xf32> {
  %x = "onnx.Constant"() {value = dense<[[0.1, -0.1, 0.0, 0.1, -0.2, 0.1], [10.0, -10.0, 90.0, 10.0, -20.0, 0.0]]> : tensor<2x6xf32>} : () -> tensor<2x6xf32>
  %s = "onnx.Constant"() {value = dense<[[0.1], [10.0]]> : tensor<2x1xf32>} : () -> tensor<2x1xf32>
  %z = "onnx.Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %b = "onnx.Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %y = "onnx.Quant"(%x, %s, %z, %b) {signed = 1 : i64, narrow = 0 : i64, rounding_mode = "ROUND"} : (tensor<2x6xf32>, tensor<2x1xf32>, tensor<f32>, tensor<f32>) -> tensor<2x6xf32>
  return %y : tensor<2x6xf32>
}

// -----

// Signs have no range: latent weights are as large as they are.
func.func @binary() -> tensor<4xf32> {
  %x = "onnx.Constant"() {value = dense<[5.0, -5.0, 2.0, 0.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  %s = "onnx.Constant"() {value = dense<0.1> : tensor<f32>} : () -> tensor<f32>
  %z = "onnx.Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %b = "onnx.Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %y = "onnx.Quant"(%x, %s, %z, %b) {signed = 1 : i64, narrow = 0 : i64, rounding_mode = "ROUND"} : (tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @zeros() -> tensor<4xf32> {
  %x = "onnx.Constant"() {value = dense<[5.0, -0.0, 0.0, -3.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  // expected-remark@+1 {{Sign: 2 of its 4 constants are 0 and stay 0, so three levels are left and codes take 2 bits; BipolarQuant, or Where on x >= 0, makes +1 of 0}}
  %y = "onnx.Sign"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// Larq's way: zeros become +1 in the next step.
func.func @mended() -> tensor<4xf32> {
  %x = "onnx.Constant"() {value = dense<[5.0, -0.0, 0.0, -3.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  %c = "onnx.Constant"() {value = dense<0.1> : tensor<f32>} : () -> tensor<f32>
  %s = "onnx.Sign"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %a = "onnx.Add"(%s, %c) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %y = "onnx.Sign"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}
