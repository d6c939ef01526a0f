// RUN: hwgq-eval %s | FileCheck %s

// The convolution of hwgq.mlir on packed words. Weights: +1 but the centre -1,
// 9 taps of one word with 8 output channels side by side, of which one exists.
func.func @main() -> (tensor<1x2x2x1xi32> {hwgq.name = "conv"}, tensor<1x2x2x1xf32> {hwgq.name = "folded"},
    tensor<2x3xf32> {hwgq.name = "relayout"}, tensor<1x66xf32> {hwgq.name = "words"},
    tensor<1x1x2x2xf32> {hwgq.name = "concat"}, tensor<1x3xf32> {hwgq.name = "pad"}) {
  %x = arith.constant dense<[[[[3.0], [-1.0]], [[0.0], [2.0]]]]> : tensor<1x2x2x1xf32>
  %q = bitpack.quantize %x {step = #hwgq.sign<">=">}
    : tensor<1x2x2x1xf32> -> tensor<1x2x2x1x!hwgq.code<b1>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>
  %w = bitpack.constant dense<[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
                               1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
                               1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]> : tensor<72xi64>
    as tensor<1x3x3x1x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  // CHECK: conv: i32[1x2x2x1] = 0 4 0 0
  %acc = bitpack.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>,
      dilations = array<i64: 1, 1>, groups = 1 : i64, kernel = "generic"}
    : tensor<1x2x2x1x!hwgq.code<b1>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>,
      tensor<1x3x3x1x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<1x2x2x1xi32>
  %t = bitpack.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>,
      dilations = array<i64: 1, 1>, groups = 1 : i64,
      thresholds = dense<[[0, 2, 4]]> : tensor<1x3xi32>, direction = array<i8: 1>}
    : tensor<1x2x2x1x!hwgq.code<b1>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>,
      tensor<1x3x3x1x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
    -> tensor<1x2x2x1x!hwgq.code<u2>, #bitpack.layout<planes>>
  // CHECK: folded: f32[1x2x2x1] = 0.5 1.5 0.5 0.5
  %f = bitpack.affine %t {scale = array<f32: 0.5>}
    : tensor<1x2x2x1x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<1x2x2x1xf32>
  // The words of [[0, 1, 2], [3, 2, 1]], plane 0 then plane 1, from bytes.
  // CHECK: relayout: f32[2x3] = 0 1 2 3 2 1
  %c = bitpack.constant dense<[0, 1, 2, 3, 2, 1]> : tensor<6xi8> as tensor<2x3x!hwgq.code<u2>, #bitpack.layout<bytes>>
  %p = bitpack.relayout %c : tensor<2x3x!hwgq.code<u2>, #bitpack.layout<bytes>> -> tensor<1x1x2x3x!hwgq.code<u2>, #bitpack.layout<planes, halo = [0, 1, 0, 0]>>
  %b = bitpack.relayout %p : tensor<1x1x2x3x!hwgq.code<u2>, #bitpack.layout<planes, halo = [0, 1, 0, 0]>> -> tensor<2x3x!hwgq.code<u2>, #bitpack.layout<planes>>
  %a = bitpack.affine %b {scale = array<f32: 1.0>} : tensor<2x3x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<2x3xf32>
  // 66 channels take two words a plane: word 0 and 2 hold bit 0, 1 and 3 bit 1.
  // CHECK: words: f32[1x66] = 1 2 0 0{{( 0)+}} 3 0 2{{$}}
  %m = bitpack.constant dense<[-9223372036854775807, -9223372036854775806, 0, 2]> : tensor<4xi64>
    as tensor<1x66x!hwgq.code<u2>, #bitpack.layout<planes>>
  %n = bitpack.affine %m {scale = array<f32: 1.0>} : tensor<1x66x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<1x66xf32>
  // CHECK: concat: f32[1x1x2x2] = 0 2 1 3
  %l = bitpack.constant dense<[0, 0, 1, 0]> : tensor<4xi64> as tensor<1x1x2x1x!hwgq.code<u2>, #bitpack.layout<planes>>
  %r = bitpack.constant dense<[0, 1, 1, 1]> : tensor<4xi64> as tensor<1x1x2x1x!hwgq.code<u2>, #bitpack.layout<planes>>
  %k = bitpack.concat %l, %r {dim = 3 : i64}
    : (tensor<1x1x2x1x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<1x1x2x1x!hwgq.code<u2>, #bitpack.layout<planes>>)
    -> tensor<1x1x2x2x!hwgq.code<u2>, #bitpack.layout<planes>>
  %kf = bitpack.affine %k {scale = array<f32: 1.0>} : tensor<1x1x2x2x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<1x1x2x2xf32>
  // CHECK: pad: f32[1x3] = 1 -1 1
  %o = bitpack.constant dense<0> : tensor<1xi64> as tensor<1x1x!hwgq.code<b1>, #bitpack.layout<planes>>
  %d = bitpack.pad %o {low = array<i64: 0, 1>, high = array<i64: 0, 1>, value = 1 : i32}
    : tensor<1x1x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<1x3x!hwgq.code<b1>, #bitpack.layout<planes>>
  %df = bitpack.affine %d {scale = array<f32: 1.0>} : tensor<1x3x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<1x3xf32>
  return %acc, %f, %a, %n, %kf, %df
    : tensor<1x2x2x1xi32>, tensor<1x2x2x1xf32>, tensor<2x3xf32>, tensor<1x66xf32>, tensor<1x1x2x2xf32>, tensor<1x3xf32>
}
