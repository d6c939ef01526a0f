// RUN: hwgq-opt %s --split-input-file --verify-diagnostics --hwgq-normalize-onnx

func.func @unknown(%x: tensor<4xf32>) -> none {
  // expected-error @below {{the operator Frobnicate is not supported}}
  %y = "onnx.Frobnicate"(%x) : (tensor<4xf32>) -> none
  return %y : none
}

// -----

func.func @refused(%x: tensor<4xf32>) -> none {
  // expected-error @below {{the operator NonZero is not supported: the shape of its result depends on data}}
  %y = "onnx.NonZero"(%x) : (tensor<4xf32>) -> none
  return %y : none
}

// -----

func.func @arity(%x: tensor<4xf32>) -> none {
  // expected-error @below {{Add: input 1 is missing; it takes at least 2}}
  %y = "onnx.Add"(%x) : (tensor<4xf32>) -> none
  return %y : none
}

// -----

func.func @results(%x: tensor<4xf32>) -> none {
  // expected-error @below {{Relu: has 1 outputs or more, at most 1, not 2}}
  %y:2 = "onnx.Relu"(%x) : (tensor<4xf32>) -> (none, none)
  return %y#0 : none
}

// -----

func.func @attribute(%x: tensor<4xf32>) -> none {
  // expected-error @below {{Elu: the attribute 'alpha' must be an f32 float}}
  %y = "onnx.Elu"(%x) {alpha = "one"} : (tensor<4xf32>) -> none
  return %y : none
}

// -----

func.func @unknown_attribute(%x: tensor<4xf32>) -> none {
  // expected-error @below {{Relu: there is no attribute 'slope'}}
  %y = "onnx.Relu"(%x) {slope = 1.0 : f32} : (tensor<4xf32>) -> none
  return %y : none
}

// -----

func.func @not_a_tensor() -> none {
  // expected-error @below {{Constant: the attribute 'value' must be a dense tensor}}
  %y = "onnx.Constant"() {value = 1 : i64} : () -> none
  return %y : none
}

// -----

func.func @scalar_operand() -> none {
  %x = arith.constant 1.0 : f32
  // expected-error @below {{Relu: input 0 must be a ranked tensor, not 'f32'}}
  %y = "onnx.Relu"(%x) : (f32) -> none
  return %y : none
}

// -----

func.func @types(%x: tensor<4xf32>, %i: tensor<4xi32>) -> none {
  // expected-error @below {{Mul: inputs 0 and 1 must be of the same element type, not 'f32' and 'i32'}}
  %y = "onnx.Mul"(%x, %i) : (tensor<4xf32>, tensor<4xi32>) -> none
  return %y : none
}

// -----

func.func @broadcast(%x: tensor<4xf32>, %z: tensor<3xf32>) -> none {
  // expected-error @below {{Add: the shapes [4] and [3] cannot be broadcast together}}
  %y = "onnx.Add"(%x, %z) : (tensor<4xf32>, tensor<3xf32>) -> none
  return %y : none
}

// -----

// expected-error @below {{input 0, type 'tensor<4x?xf32>': only the leading size may be dynamic}}
func.func @dynamic(%x: tensor<4x?xf32>) -> none {
  %y = "onnx.Relu"(%x) : (tensor<4x?xf32>) -> none
  return %y : none
}

// -----

func.func @channels(%x: tensor<1x3x8x8xf32>, %w: tensor<4x2x3x3xf32>) -> none {
  // expected-error @below {{Conv: the weight, shape [4, 2, 3, 3], is for 2 times group input channels; the input has 3 and group is 1}}
  %y = "onnx.Conv"(%x, %w) : (tensor<1x3x8x8xf32>, tensor<4x2x3x3xf32>) -> none
  return %y : none
}

// -----

func.func @pads(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) -> none {
  // expected-error @below {{Conv: pads must not hold -1}}
  %y = "onnx.Conv"(%x, %w) {pads = array<i64: -1, 0, 0, 0>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> none
  return %y : none
}

// -----

func.func @overflow(%x: tensor<1x1x3x3xf32>, %w: tensor<1x1x3x3xf32>) -> none {
  // expected-error @below {{Conv: pads must not hold 9223372036854775807}}
  %y = "onnx.Conv"(%x, %w) {pads = array<i64: 9223372036854775807, 0, 0, 0>} : (tensor<1x1x3x3xf32>, tensor<1x1x3x3xf32>) -> none
  return %y : none
}

// -----

func.func @window(%x: tensor<1x1x2x2xf32>) -> none {
  // expected-error @below {{MaxPool: the window covers 3 elements of spatial axis 0, which has only 2 and pads of 0}}
  %y = "onnx.MaxPool"(%x) {kernel_shape = array<i64: 3, 3>} : (tensor<1x1x2x2xf32>) -> none
  return %y : none
}

// -----

func.func @reshape(%x: tensor<4x3xf32>) -> none {
  %s = "onnx.Constant"() {value = dense<[5, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
  // expected-error @below {{Reshape: the input, shape [4, 3], cannot be reshaped to [5, -1]}}
  %y = "onnx.Reshape"(%x, %s) : (tensor<4x3xf32>, tensor<2xi64>) -> none
  return %y : none
}

// -----

func.func @data_dependent(%x: tensor<4x3xf32>, %s: tensor<2xi64>) -> none {
  // expected-error @below {{Reshape: the shape (input 1) must be a constant that is known when compiling; an input of the graph can be made one with --bind}}
  %y = "onnx.Reshape"(%x, %s) : (tensor<4x3xf32>, tensor<2xi64>) -> none
  return %y : none
}

// -----

func.func @huge(%x: tensor<1x1xf32>) -> none {
  %r = "onnx.Constant"() {value = dense<[4611686018427387904, 4611686018427387904]> : tensor<2xi64>} : () -> tensor<2xi64>
  // expected-error @below {{Tile: the number of elements of the result}}
  %y = "onnx.Tile"(%x, %r) : (tensor<1x1xf32>, tensor<2xi64>) -> none
  return %y : none
}

// -----

func.func @resource() -> none {
  // expected-error @below {{Constant: the resource of its value is missing or of the wrong size}}
  %y = "onnx.Constant"() {value = dense_resource<missing> : tensor<4xf32>} : () -> none
  return %y : none
}

// -----

func.func @scale(%x: tensor<4xf32>) -> none {
  %s = "onnx.Constant"() {value = dense<0x7FC00000> : tensor<f32>} : () -> tensor<f32>
  %z = "onnx.Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %b = "onnx.Constant"() {value = dense<2.5> : tensor<f32>} : () -> tensor<f32>
  // expected-error @below {{Quant: the bit width must be a whole number from 1 to 32}}
  %y = "onnx.Quant"(%x, %s, %z, %b) : (tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>) -> none
  return %y : none
}

// -----

func.func @nan_scale(%x: tensor<4xf32>) -> none {
  %s = "onnx.Constant"() {value = dense<0x7FC00000> : tensor<f32>} : () -> tensor<f32>
  %z = "onnx.Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %b = "onnx.Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  // expected-error @below {{it must be finite and not zero}}
  %y = "onnx.Quant"(%x, %s, %z, %b) : (tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>) -> none
  return %y : none
}

// -----

func.func @zero_points(%x: tensor<4xf32>, %s: tensor<f32>, %z: tensor<3xi8>) -> none {
  // expected-error @below {{QuantizeLinear: the zero point, shape [3], must have the shape of the scale, []}}
  %y = "onnx.QuantizeLinear"(%x, %s, %z) : (tensor<4xf32>, tensor<f32>, tensor<3xi8>) -> none
  return %y : none
}
