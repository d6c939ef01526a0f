// RUN: hwgq-opt %s -split-input-file -convert-onnx-to-hwgq -verify-diagnostics

func.func @unknown(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{onnx.Sin is not supported}}
  %y = "onnx.Sin"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @double_conv(%x: tensor<1x3x4x4xf64>, %w: tensor<2x3x1x1xf64>) -> tensor<1x2x4x4xf64> {
  %none = "onnx.NoValue"() : () -> none
  // expected-error@+1 {{onnx.Conv on 'f64' is not supported; float32 and float16 are}}
  %y = "onnx.Conv"(%x, %w, %none) {kernel_shape = array<i64: 1, 1>} : (tensor<1x3x4x4xf64>, tensor<2x3x1x1xf64>, none) -> tensor<1x2x4x4xf64>
  return %y : tensor<1x2x4x4xf64>
}

// -----

func.func @window(%x: tensor<1x1x2x2xf32>, %w: tensor<1x1x3x3xf32>) -> tensor<1x1x1x1xf32> {
  %none = "onnx.NoValue"() : () -> none
  // expected-error@+1 {{onnx.Conv has a window that does not fit the padded input}}
  %y = "onnx.Conv"(%x, %w, %none) {kernel_shape = array<i64: 3, 3>} : (tensor<1x1x2x2xf32>, tensor<1x1x3x3xf32>, none) -> tensor<1x1x1x1xf32>
  return %y : tensor<1x1x1x1xf32>
}

// -----

func.func @two_dynamic(%x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error@-1 {{more than one dynamic size; only the batch may be dynamic}}
  %y = "onnx.Relu"(%x) : (tensor<?x?xf32>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// -----

func.func @bits(%x: tensor<4xf32>, %s: tensor<f32>, %b: tensor<f32>) -> tensor<4xf32> {
  // expected-error@+1 {{onnx.Quant needs a constant whole bit width from 1 to 32}}
  %y = "onnx.Quant"(%x, %s, %s, %b) {signed = 1 : i64, narrow = 0 : i64} : (tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @k(%x: tensor<4xf32>, %k: tensor<1xi64>) -> (tensor<2xf32>, tensor<2xi64>) {
  // expected-error@+1 {{onnx.TopK needs a constant k; bind it with --bind}}
  %v, %i = "onnx.TopK"(%x, %k) {axis = 0 : i64} : (tensor<4xf32>, tensor<1xi64>) -> (tensor<2xf32>, tensor<2xi64>)
  return %v, %i : tensor<2xf32>, tensor<2xi64>
}

// -----

func.func @element(%x: tensor<4xf8E8M0FNU>) -> tensor<4xf8E8M0FNU> {
  // expected-error@-1 {{element type 'f8E8M0FNU' is not supported}}
  return %x : tensor<4xf8E8M0FNU>
}

// -----

func.func @small_float_sum(%x: tensor<4xf8E4M3FN>) -> tensor<4xf8E4M3FN> {
  // expected-error@+1 {{element type 'f8E4M3FN' is not supported}}
  %y = "onnx.Add"(%x, %x) : (tensor<4xf8E4M3FN>, tensor<4xf8E4M3FN>) -> tensor<4xf8E4M3FN>
  return %y : tensor<4xf8E4M3FN>
}
