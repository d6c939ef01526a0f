// RUN: hwgq-opt --hwgq-fold-thresholds --split-input-file --verify-diagnostics %s -o /dev/null

// XNOR-Net's K: one number a pixel, for all channels.
func.func @scale_per_pixel(%acc: tensor<?x2x2x8xi32>, %k: tensor<?x2x2xf32>, %init: tensor<?x2x2x8xf32>) -> tensor<?x2x2x8x!hwgq.code<b1>> {
  %x = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x2x2x8xi32>
  %K = linalg.broadcast ins(%k : tensor<?x2x2xf32>) outs(%init : tensor<?x2x2x8xf32>) dimensions = [3]
  %y = arith.mulf %x, %K : tensor<?x2x2x8xf32>
  // expected-remark@+1 {{not folded to thresholds: its input is scaled per pixel or token (XNOR-Net's K, BitNet's scale), and thresholds are per channel; a network without it folds}}
  %q = hwgq.quantize %y {step = #hwgq.sign<">=">} : tensor<?x2x2x8xf32> -> tensor<?x2x2x8x!hwgq.code<b1>>
  return %q : tensor<?x2x2x8x!hwgq.code<b1>>
}

// -----

func.func @residual(%acc: tensor<?x8xi32>, %r: tensor<?x8xf32>) -> tensor<?x8x!hwgq.code<b1>> {
  %x = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x8xi32>
  %y = arith.addf %x, %r : tensor<?x8xf32>
  // expected-remark@+1 {{not folded to thresholds: its input depends on several tensors, as behind a residual sum; thresholds compare one accumulator with constants}}
  %q = hwgq.quantize %y {step = #hwgq.sign<">=">} : tensor<?x8xf32> -> tensor<?x8x!hwgq.code<b1>>
  return %q : tensor<?x8x!hwgq.code<b1>>
}

// -----

func.func @input(%x: tensor<?x8xf32>) -> tensor<?x8x!hwgq.code<b1>> {
  // expected-remark@+1 {{not folded to thresholds: its input is an input of the network, which no accumulator made}}
  %q = hwgq.quantize %x {step = #hwgq.sign<">=">} : tensor<?x8xf32> -> tensor<?x8x!hwgq.code<b1>>
  return %q : tensor<?x8x!hwgq.code<b1>>
}

// -----

func.func @float_layer(%x: tensor<?x4xf32>, %w: tensor<8x4xf32>) -> tensor<?x8x!hwgq.code<b1>> {
  %y = hwgq.matmul %x, %w : tensor<?x4xf32>, tensor<8x4xf32> -> tensor<?x8xf32>
  // expected-remark@+1 {{not folded to thresholds: the layer in front of it computes on floats}}
  %q = hwgq.quantize %y {step = #hwgq.sign<">=">} : tensor<?x8xf32> -> tensor<?x8x!hwgq.code<b1>>
  return %q : tensor<?x8x!hwgq.code<b1>>
}
