// RUN: hwgq-opt --convert-onnx-to-hwgq --split-input-file --verify-diagnostics %s -o /dev/null

// 2 bits around 0.37 and around 300 lie on no grid of 8 bits; around -2 they do.
func.func @zero_points(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %s = "onnx.Constant"() {value = dense<0.1> : tensor<f32>} : () -> tensor<f32>
  %z0 = "onnx.Constant"() {value = dense<0.37> : tensor<f32>} : () -> tensor<f32>
  %z1 = "onnx.Constant"() {value = dense<300.0> : tensor<f32>} : () -> tensor<f32>
  %z2 = "onnx.Constant"() {value = dense<-2.0> : tensor<f32>} : () -> tensor<f32>
  %b = "onnx.Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  // expected-remark@+1 {{Quant: with the zero point 0.37 its levels scale * (q - zero) are no scale * n with whole n from -255 to 255, so layers behind it may stay on floats; a whole zero point near the range of q is supported}}
  %0 = "onnx.Quant"(%x, %s, %z0, %b) {signed = 0 : i64, narrow = 0 : i64, rounding_mode = "ROUND"} : (tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<4xf32>
  // expected-remark@+1 {{Quant: with the zero point 300 its levels}}
  %1 = "onnx.Quant"(%x, %s, %z1, %b) {signed = 0 : i64, narrow = 0 : i64, rounding_mode = "ROUND"} : (tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<4xf32>
  %2 = "onnx.Quant"(%x, %s, %z2, %b) {signed = 0 : i64, narrow = 0 : i64, rounding_mode = "ROUND"} : (tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<4xf32>
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

func.func @blocks(%x: tensor<4xf32>) -> tensor<4xi8> {
  %s = "onnx.Constant"() {value = dense<[0.1, 0.2]> : tensor<2xf32>} : () -> tensor<2xf32>
  // expected-error@+1 {{onnx.QuantizeLinear with block_size is not supported; scales per tensor and per axis are}}
  %y = "onnx.QuantizeLinear"(%x, %s) {axis = 0 : i64, block_size = 2 : i64} : (tensor<4xf32>, tensor<2xf32>) -> tensor<4xi8>
  return %y : tensor<4xi8>
}
