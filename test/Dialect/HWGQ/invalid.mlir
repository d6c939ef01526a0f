// RUN: hwgq-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{expected a code such as u2, s4 or b1}}
func.func @code_c1(%x: tensor<4x!hwgq.code<u9>>) { return }

// -----

// expected-error @+1 {{the stride must be in 1..255, not 0}}
func.func @code_c2(%x: tensor<4x!hwgq.code<u2, 0, 0>>) { return }

// -----

// expected-error @+1 {{n must lie in -255..255, not 0..1400}}
func.func @code_c3(%x: tensor<4x!hwgq.code<u3, 0, 200>>) { return }

// -----

// expected-error @+1 {{the only code of form b is b1}}
func.func @code_b2(%x: tensor<4x!hwgq.code<b2>>) { return }

// -----

func.func @step_c1(%x: tensor<4xf32>) {
  // expected-error @+1 {{breakpoint 1 is out of order}}
  %0 = hwgq.quantize %x {step = #hwgq.step<[gt 1.0, gt 0.0], values = [0, 1, 2], nan = 0>} : tensor<4xf32> -> tensor<4x!hwgq.code<u2>>
  return
}

// -----

func.func @step_c1_equal(%x: tensor<4xf32>) {
  // expected-error @+1 {{breakpoint 1 is out of order}}
  %0 = hwgq.quantize %x {step = #hwgq.step<[gt 1.0, ge 1.0], values = [0, 1, 2], nan = 0>} : tensor<4xf32> -> tensor<4x!hwgq.code<u2>>
  return
}

// -----

func.func @step_c2(%x: tensor<4xf32>) {
  // expected-error @+1 {{needs one side per breakpoint and one more value than breakpoints}}
  %0 = hwgq.quantize %x {step = #hwgq.step<[gt 1.0], values = [0], nan = 0>} : tensor<4xf32> -> tensor<4x!hwgq.code<u2>>
  return
}

// -----

func.func @quantize_c1(%x: tensor<4xf32>) {
  // expected-error @+1 {{input and result must have the same shape}}
  %0 = hwgq.quantize %x {step = #hwgq.sign<">">} : tensor<4xf32> -> tensor<5x!hwgq.code<b1>>
  return
}

// -----

func.func @quantize_c2(%x: tensor<4xf32>) {
  // expected-error @+1 {{value -1 is not a number of '!hwgq.code<u2>'}}
  %0 = hwgq.quantize %x {step = #hwgq.sign<">">} : tensor<4xf32> -> tensor<4x!hwgq.code<u2>>
  return
}

// -----

func.func @quantize_c2_nan(%x: tensor<4xf32>) {
  // expected-error @+1 {{the value for NaN, 7, is not a number of '!hwgq.code<u2>'}}
  %0 = hwgq.quantize %x {step = #hwgq.step<[gt 1.0], values = [0, 1], nan = 7>} : tensor<4xf32> -> tensor<4x!hwgq.code<u2>>
  return
}

// -----

func.func @constant_c1() {
  // expected-error @+1 {{needs 2 bytes of packed codes}}
  %0 = hwgq.constant dense<0> : tensor<3xi8> as tensor<4x4x!hwgq.code<b1>>
  return
}

// -----

func.func @conv2d_c2(%x: tensor<1x8x8x3x!hwgq.code<u2>>, %w: tensor<8x3x3x4x!hwgq.code<b1>>) {
  // expected-error @+1 {{input channels (3) must be groups (1) times weight channels (4)}}
  %0 = hwgq.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
    : tensor<1x8x8x3x!hwgq.code<u2>>, tensor<8x3x3x4x!hwgq.code<b1>> -> tensor<1x8x8x8xi32>
  return
}

// -----

func.func @conv2d_c3(%x: tensor<1x8x8x4x!hwgq.code<u2>>, %w: tensor<8x3x3x4x!hwgq.code<b1>>) {
  // expected-error @+1 {{four pads that are not negative}}
  %0 = hwgq.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, -1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
    : tensor<1x8x8x4x!hwgq.code<u2>>, tensor<8x3x3x4x!hwgq.code<b1>> -> tensor<1x8x6x8xi32>
  return
}

// -----

func.func @conv2d_c4(%x: tensor<1x2x8x4x!hwgq.code<u2>>, %w: tensor<8x3x3x4x!hwgq.code<b1>>) {
  // expected-error @+1 {{the window does not fit the padded input}}
  %0 = hwgq.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64}
    : tensor<1x2x8x4x!hwgq.code<u2>>, tensor<8x3x3x4x!hwgq.code<b1>> -> tensor<1x0x6x8xi32>
  return
}

// -----

func.func @matmul_c2(%x: tensor<?x5x!hwgq.code<u2>>, %w: tensor<8x4x!hwgq.code<b1>>) {
  // expected-error @+1 {{inner sizes differ: 5 and 4}}
  %0 = hwgq.matmul %x, %w : tensor<?x5x!hwgq.code<u2>>, tensor<8x4x!hwgq.code<b1>> -> tensor<?x8xi32>
  return
}

// -----

func.func @matmul_c3(%x: tensor<?x70000x!hwgq.code<u8>>, %w: tensor<8x70000x!hwgq.code<u8>>) {
  // expected-error @+1 {{can leave int32}}
  %0 = hwgq.matmul %x, %w : tensor<?x70000x!hwgq.code<u8>>, tensor<8x70000x!hwgq.code<u8>> -> tensor<?x8xi32>
  return
}

// -----

func.func @product_c1(%x: tensor<?x7x2x5x!hwgq.code<u2>>, %w: tensor<?x2x5x9x!hwgq.code<b1>>) {
  // expected-error @+1 {{input_dims must list all dimensions of the result but the last, and k}}
  %0 = hwgq.product %x, %w {input_dims = array<i64: 0, 2, 1, 4>, weight_dims = array<i64: 0, 1, 4, 2>}
    : tensor<?x7x2x5x!hwgq.code<u2>>, tensor<?x2x5x9x!hwgq.code<b1>> -> tensor<?x2x7x9xi32>
  return
}

// -----

func.func @product_c2(%x: tensor<?x7x2x5x!hwgq.code<u2>>, %w: tensor<?x2x4x9x!hwgq.code<b1>>) {
  // expected-error @+1 {{sizes differ along one dimension: 5 and 4}}
  %0 = hwgq.product %x, %w {input_dims = array<i64: 0, 2, 1, 4>, weight_dims = array<i64: 0, 1, 4, 3>}
    : tensor<?x7x2x5x!hwgq.code<u2>>, tensor<?x2x4x9x!hwgq.code<b1>> -> tensor<?x2x7x9xi32>
  return
}

// -----

func.func @product_c3(%x: tensor<3x70000x!hwgq.code<u8>>, %w: tensor<8x70000x!hwgq.code<u8>>) {
  // expected-error @+1 {{can leave int32}}
  %0 = hwgq.product %x, %w {input_dims = array<i64: 0, 2>, weight_dims = array<i64: 1, 2>}
    : tensor<3x70000x!hwgq.code<u8>>, tensor<8x70000x!hwgq.code<u8>> -> tensor<3x8xi32>
  return
}

// -----

func.func @affine_c1(%x: tensor<?x5xi32>) {
  // expected-error @+1 {{needs one scale, or one for each of 5 channels}}
  %0 = hwgq.affine %x {scale = array<f32: 1.0, 2.0>} : tensor<?x5xi32>
  return
}

// -----

func.func @affine_c2(%x: tensor<?x5xi32>) {
  // expected-error @+1 {{scales must be finite}}
  %0 = hwgq.affine %x {scale = array<f32: 0x7F800000>} : tensor<?x5xi32>
  return
}

// -----

func.func @threshold_c2(%x: tensor<?x5xi32>) {
  // expected-error @+1 {{needs 1 or 5 rows of thresholds}}
  %0 = hwgq.threshold %x {thresholds = dense<0> : tensor<2x1xi32>, direction = array<i8: 1, 1>} : tensor<?x5xi32> -> tensor<?x5x!hwgq.code<b1>>
  return
}

// -----

func.func @threshold_c3(%x: tensor<?x5xi32>) {
  // expected-error @+1 {{thresholds of row 0 are not sorted}}
  %0 = hwgq.threshold %x {thresholds = dense<[[2, 1, 3]]> : tensor<1x3xi32>, direction = array<i8: 1>} : tensor<?x5xi32> -> tensor<?x5x!hwgq.code<u2>>
  return
}

// -----

func.func @threshold_c4(%x: tensor<?x5xi32>) {
  // expected-error @+1 {{needs 1 to 1 thresholds}}
  %0 = hwgq.threshold %x {thresholds = dense<[[1, 2]]> : tensor<1x2xi32>, direction = array<i8: 1>} : tensor<?x5xi32> -> tensor<?x5x!hwgq.code<b1>>
  return
}

// -----

func.func @threshold_c4_constant(%x: tensor<?x5xi32>) {
  // expected-error @+1 {{constant code 4 is out of range}}
  %0 = hwgq.threshold %x {thresholds = dense<4> : tensor<1x1xi32>, direction = array<i8: 0>} : tensor<?x5xi32> -> tensor<?x5x!hwgq.code<u2>>
  return
}

// -----

func.func @max_pool_c3(%x: tensor<?x2x2x4xi32>) {
  // expected-error @+1 {{a window along dimension 1 has no tap in bounds}}
  %0 = hwgq.max_pool %x {kernel = array<i64: 1, 1>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
    : tensor<?x2x2x4xi32> -> tensor<?x2x1x4xi32>
  return
}

// -----

func.func @max_pool_c4(%x: tensor<?x2x2x4xi32>) {
  // expected-error @+1 {{falling needs one entry per channel}}
  %0 = hwgq.max_pool %x {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, falling = array<i1: true>}
    : tensor<?x2x2x4xi32> -> tensor<?x1x1x4xi32>
  return
}

// -----

func.func @pad_c3(%x: tensor<?x2x2x4x!hwgq.code<b1>>) {
  // expected-error @+1 {{the value is not a number of '!hwgq.code<b1>'}}
  %0 = hwgq.pad %x {low = array<i64: 0, 1, 1, 0>, high = array<i64: 0, 1, 1, 0>, value = 0 : i32}
    : tensor<?x2x2x4x!hwgq.code<b1>> -> tensor<?x4x4x4x!hwgq.code<b1>>
  return
}

// -----

func.func @pad_c4(%x: tensor<?x2x2x4xf32>) {
  // expected-error @+1 {{wrong size of dimension 0}}
  %0 = hwgq.pad %x {low = array<i64: 1, 0, 0, 0>, high = array<i64: 0, 0, 0, 0>, value = 0.0 : f32}
    : tensor<?x2x2x4xf32> -> tensor<?x2x2x4xf32>
  return
}
