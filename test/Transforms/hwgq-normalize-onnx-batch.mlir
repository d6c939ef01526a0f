// RUN: hwgq-opt %s --split-input-file --hwgq-normalize-onnx=batch=5 | FileCheck %s --check-prefix=FIVE
// RUN: hwgq-opt %s --split-input-file --hwgq-normalize-onnx=dynamic-batch | FileCheck %s --check-prefix=ANY

// The old batch at the head of a target becomes the new one.
// FIVE-LABEL: @rows({{.*}}tensor<5x2x3xf32>) -> tensor<5x6xf32>
// ANY-LABEL: @rows({{.*}}tensor<?x2x3xf32>) -> tensor<?x6xf32>
func.func @rows(%x: tensor<64x2x3xf32>) -> tensor<64x6xf32> {
  %s = "onnx.Constant"() {value = dense<[64, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
  %y = "onnx.Reshape"(%x, %s) : (tensor<64x2x3xf32>, tensor<2xi64>) -> tensor<64x6xf32>
  return %y : tensor<64x6xf32>
}

// -----

// FIVE-LABEL: @one({{.*}}tensor<5x1x4x4xf32>) -> tensor<5x16xf32>
// ANY-LABEL: @one({{.*}}tensor<?x1x4x4xf32>) -> tensor<?x16xf32>
func.func @one(%x: tensor<1x1x4x4xf32>) -> tensor<1x16xf32> {
  %s = "onnx.Constant"() {value = dense<[1, 16]> : tensor<2xi64>} : () -> tensor<2xi64>
  %y = "onnx.Reshape"(%x, %s) : (tensor<1x1x4x4xf32>, tensor<2xi64>) -> tensor<1x16xf32>
  return %y : tensor<1x16xf32>
}

// -----

// Rows and columns in one size: 8 * 3 of them.
// FIVE-LABEL: @merged({{.*}}tensor<5x3x2xf32>) -> tensor<15x2xf32>
// ANY-LABEL: @merged({{.*}}tensor<?x3x2xf32>) -> tensor<?x2xf32>
func.func @merged(%x: tensor<8x3x2xf32>) -> tensor<24x2xf32> {
  %s = "onnx.Constant"() {value = dense<[24, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
  %y = "onnx.Reshape"(%x, %s) : (tensor<8x3x2xf32>, tensor<2xi64>) -> tensor<24x2xf32>
  return %y : tensor<24x2xf32>
}

// -----

// A weight of the batch's size stays as it is.
// FIVE-LABEL: @weights
// FIVE: -> tensor<8x4xf32>
// ANY-LABEL: @weights
// ANY: -> tensor<8x4xf32>
func.func @weights(%x: tensor<8x8xf32>) -> tensor<8x4xf32> {
  %w = "onnx.Constant"() {value = dense<1.0> : tensor<4x8xf32>} : () -> tensor<4x8xf32>
  %s = "onnx.Constant"() {value = dense<[8, 4]> : tensor<2xi64>} : () -> tensor<2xi64>
  %r = "onnx.Reshape"(%w, %s) : (tensor<4x8xf32>, tensor<2xi64>) -> tensor<8x4xf32>
  %y = "onnx.MatMul"(%x, %r) : (tensor<8x8xf32>, tensor<8x4xf32>) -> tensor<8x4xf32>
  return %y : tensor<8x4xf32>
}

// -----

// A constant of the old batch that repeats along it gives way.
// FIVE-LABEL: @repeated({{.*}}tensor<5x3xf32>) -> tensor<5x3xf32>
// FIVE: dense<{{.*}}1.000000e+00, 2.000000e+00, 3.000000e+00{{.*}}> : tensor<1x3xf32>
// ANY-LABEL: @repeated({{.*}}tensor<?x3xf32>) -> tensor<?x3xf32>
func.func @repeated(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %c = "onnx.Constant"() {value = dense<[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]> : tensor<2x3xf32>} : () -> tensor<2x3xf32>
  %y = "onnx.Add"(%x, %c) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// -----

// Ones in the shape of a tensor have its batch.
// FIVE-LABEL: @ones({{.*}}tensor<5x3xf32>) -> tensor<5x3xf32>
// ANY-LABEL: @ones({{.*}}tensor<?x3xf32>) -> tensor<?x3xf32>
func.func @ones(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %s = "onnx.Shape"(%x) : (tensor<2x3xf32>) -> tensor<2xi64>
  %c = "onnx.ConstantOfShape"(%s) {value = dense<1.0> : tensor<1xf32>} : (tensor<2xi64>) -> tensor<2x3xf32>
  %y = "onnx.Add"(%x, %c) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}
