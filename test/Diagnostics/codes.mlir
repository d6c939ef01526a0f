// RUN: hwgq-opt --hwgq-recognize-codes --split-input-file --verify-diagnostics %s -o /dev/null

func.func @float_input(%x: tensor<?x4xf32>) -> tensor<?x2xf32> {
  %w = arith.constant dense<[[0.5, -0.5, -0.5, 0.5], [2.0, -2.0, 2.0, -2.0]]> : tensor<2x4xf32>
  // expected-remark@+1 {{computed on floats: the input is float; a quantiser in front of it (Quant, BipolarQuant, QuantizeLinear, ...) makes codes of it}}
  %y = hwgq.matmul %x, %w : tensor<?x4xf32>, tensor<2x4xf32> -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

// -----

func.func @float_weights(%q: tensor<?x4x!hwgq.code<u2>>) -> tensor<?x1xf32> {
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x4x!hwgq.code<u2>>
  %w = arith.constant dense<[[0.5132, -0.00071, 0.33337, 0.12]]> : tensor<1x4xf32>
  // expected-remark@+1 {{computed on floats: the weights are not on a grid of 8 bits or fewer; a quantiser on them (BipolarQuant, Quant, DequantizeLinear, ...) with a scale per tensor or output channel puts them on one}}
  %y = hwgq.matmul %x, %w : tensor<?x4xf32>, tensor<1x4xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

func.func @scale_per_channel(%q: tensor<?x2x!hwgq.code<u2>>) -> tensor<?x1xf32> {
  %x = hwgq.affine %q {scale = array<f32: 0.5, 0.25>} : tensor<?x2x!hwgq.code<u2>>
  %w = arith.constant dense<[[1.0, -1.0]]> : tensor<1x2xf32>
  // expected-remark@+1 {{computed on floats: the input has a scale per channel; the sum runs over the channels: one scale for all is needed}}
  %y = hwgq.matmul %x, %w : tensor<?x2xf32>, tensor<1x2xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

func.func @snapped(%q: tensor<?x4x!hwgq.code<u2>>) -> tensor<?x1xf32> {
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x4x!hwgq.code<u2>>
  // expected-remark-re@+1 {{weights moved to a grid, by up to {{.*}} of the largest: they are scale * n for whole n up to rounding}}
  %w = arith.constant dense<[[0.5, -0.500002, 0.500001, -0.5]]> : tensor<1x4xf32>
  %y = hwgq.matmul %x, %w : tensor<?x4xf32>, tensor<1x4xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// 255 * 255 * 33026 is just beyond 2^31.
func.func @overflow(%q: tensor<?x33026x!hwgq.code<u8>>, %p: tensor<1x33026x!hwgq.code<u8>>) -> tensor<?x1xf32> {
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x33026x!hwgq.code<u8>>
  %w = hwgq.affine %p {scale = array<f32: 0.5>} : tensor<1x33026x!hwgq.code<u8>>
  // expected-error@+1 {{the sum of 33026 products of '!hwgq.code<u8>' and '!hwgq.code<u8>' may leave int32; up to 33025 fit: use fewer bits, or split the layer along its input}}
  %y = hwgq.matmul %x, %w : tensor<?x33026xf32>, tensor<1x33026xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}
