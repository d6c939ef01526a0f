// RUN: hwgq-eval %s | FileCheck %s

// Codes of -1 and +1 in a padded 3x3 convolution: the border adds 0.
func.func @main() -> (
    tensor<1x2x2x1xi32> {hwgq.name = "conv"}, tensor<1x2x2x1x!hwgq.code<u2>> {hwgq.name = "threshold"},
    tensor<1x2x2x1x!hwgq.code<u2>> {hwgq.name = "falling"}, tensor<1x2x2x1xf32> {hwgq.name = "affine"},
    tensor<6x!hwgq.code<u2>> {hwgq.name = "quantize"}, tensor<1x1x1x1xf32> {hwgq.name = "codeaverage"},
    tensor<1x2x2x1xf32> {hwgq.name = "average"}, tensor<1x1x1x2xf32> {hwgq.name = "maximum"},
    tensor<1x3x!hwgq.code<b1>> {hwgq.name = "pad"}, tensor<1x1xf32> {hwgq.name = "chain"},
    tensor<1x1xf32> {hwgq.name = "mixed"}) {
  // x = [[+1, -1], [+1, +1]], w all +1 but the centre -1.
  %x = hwgq.constant dense<13> : tensor<1xi8> as tensor<1x2x2x1x!hwgq.code<b1>>
  %w = hwgq.constant dense<[-17, 1]> : tensor<2xi8> as tensor<1x3x3x1x!hwgq.code<b1>>
  // CHECK: conv: i32[1x2x2x1] = 0 4 0 0
  %acc = hwgq.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>,
      dilations = array<i64: 1, 1>, groups = 1 : i64}
    : tensor<1x2x2x1x!hwgq.code<b1>>, tensor<1x3x3x1x!hwgq.code<b1>> -> tensor<1x2x2x1xi32>
  // CHECK: threshold: u8[1x2x2x1] = 1 3 1 1
  %q = hwgq.threshold %acc {thresholds = dense<[[0, 2, 4]]> : tensor<1x3xi32>, direction = array<i8: 1>}
    : tensor<1x2x2x1xi32> -> tensor<1x2x2x1x!hwgq.code<u2>>
  // CHECK: falling: u8[1x2x2x1] = 2 1 2 2
  %f = hwgq.threshold %acc {thresholds = dense<[[4, 0, -2]]> : tensor<1x3xi32>, direction = array<i8: -1>}
    : tensor<1x2x2x1xi32> -> tensor<1x2x2x1x!hwgq.code<u2>>
  // CHECK: affine: f32[1x2x2x1] = 0 2.1500001 0 0
  %a = hwgq.affine %acc {scale = array<f32: 0.5375>} : tensor<1x2x2x1xi32>
  // Strict steps at 0, 0.75 and 1.25; NaN is the lowest level.
  // CHECK: quantize: u8[6] = 0 1 1 3 0 0
  %v = arith.constant dense<[0.0, 1.0e-45, 0.75, 7.0, -1.0, 0x7fc00000]> : tensor<6xf32>
  %s = hwgq.quantize %v {step = #hwgq.half_wave<0.5, 2>} : tensor<6xf32> -> tensor<6x!hwgq.code<u2>>
  // (1 + 3 + 1 + 1) * (0.5 / 4)
  // CHECK: codeaverage: f32[1x1x1x1] = 0.75
  %ca = hwgq.avg_pool %q {kernel = array<i64: 2, 2>, strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>,
      dilations = array<i64: 1, 1>, count_include_pad = false, scale = 0.5 : f32}
    : tensor<1x2x2x1x!hwgq.code<u2>> -> tensor<1x1x1x1xf32>
  // CHECK: average: f32[1x2x2x1] = 0 2.1500001 0 0
  %pa = hwgq.avg_pool %a {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 1, 1, 1, 1>,
      dilations = array<i64: 1, 1>, count_include_pad = false, scale = 1.0 : f32}
    : tensor<1x2x2x1xf32> -> tensor<1x2x2x1xf32>
  // The second channel takes the minimum.
  // CHECK: maximum: f32[1x1x1x2] = 3 -1
  %mx = arith.constant dense<[[[[1.0, -1.0], [3.0, 5.0]]]]> : tensor<1x1x2x2xf32>
  %m = hwgq.max_pool %mx {kernel = array<i64: 1, 2>, strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>,
      dilations = array<i64: 1, 1>, falling = array<i1: false, true>}
    : tensor<1x1x2x2xf32> -> tensor<1x1x1x2xf32>
  // CHECK: pad: u8[1x3] = 1 0 1
  %one = hwgq.constant dense<0> : tensor<1xi8> as tensor<1x1x!hwgq.code<b1>>
  %p = hwgq.pad %one {low = array<i64: 0, 1>, high = array<i64: 0, 1>, value = 1 : i32}
    : tensor<1x1x!hwgq.code<b1>> -> tensor<1x3x!hwgq.code<b1>>
  // One fma chain from the first channel on: -(1 + 2^-11) + (1 + 2^-12)^2 is
  // 2^-24, where products rounded first would give 0.
  // CHECK: chain: f32[1x1] = 5.96046448e-08
  %cx = arith.constant dense<[[-1.00048828125, 1.000244140625]]> : tensor<1x2xf32>
  %cw = arith.constant dense<[[1.0, 1.000244140625]]> : tensor<1x2xf32>
  %c = hwgq.matmul %cx, %cw : tensor<1x2xf32>, tensor<1x2xf32> -> tensor<1x1xf32>
  // CHECK: mixed: f32[1x1] = 0.000244140625
  %cb = hwgq.constant dense<3> : tensor<1xi8> as tensor<1x2x!hwgq.code<b1>>
  %cn = arith.constant dense<[[-1.0, 1.000244140625]]> : tensor<1x2xf32>
  %mm = hwgq.matmul %cn, %cb : tensor<1x2xf32>, tensor<1x2x!hwgq.code<b1>> -> tensor<1x1xf32>
  return %acc, %q, %f, %a, %s, %ca, %pa, %m, %p, %c, %mm
    : tensor<1x2x2x1xi32>, tensor<1x2x2x1x!hwgq.code<u2>>, tensor<1x2x2x1x!hwgq.code<u2>>,
      tensor<1x2x2x1xf32>, tensor<6x!hwgq.code<u2>>, tensor<1x1x1x1xf32>, tensor<1x2x2x1xf32>,
      tensor<1x1x1x2xf32>, tensor<1x3x!hwgq.code<b1>>, tensor<1x1xf32>, tensor<1x1xf32>
}
