// RUN: hwgq-eval %s | FileCheck %s

// Rounding to even, extrema with NaN and zeros of either sign, comparisons,
// fma, conversions and wrapping integers.
func.func @main() -> (
    tensor<8xf32> {hwgq.name = "roundeven"}, tensor<4xf32> {hwgq.name = "maximum"},
    tensor<4xf32> {hwgq.name = "minimum"}, tensor<4xf32> {hwgq.name = "maxnum"},
    tensor<4xi1> {hwgq.name = "olt"}, tensor<4xi1> {hwgq.name = "ult"},
    tensor<2xf32> {hwgq.name = "fma"}, tensor<2xf32> {hwgq.name = "unfused"},
    tensor<4xi32> {hwgq.name = "fptosi"}, tensor<2xi8> {hwgq.name = "wrap"},
    tensor<2xi8> {hwgq.name = "shift"}, tensor<2xf32> {hwgq.name = "uitofp"},
    tensor<2xf32> {hwgq.name = "denormal"}, tensor<2xi32> {hwgq.name = "bits"}) {
  // CHECK: roundeven: f32[8] = 0 2 2 -0 -2 -2 nan -0
  %r = arith.constant dense<[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0x7fc00000, -0.25]> : tensor<8xf32>
  %r1 = math.roundeven %r : tensor<8xf32>
  %a = arith.constant dense<[1.0, -0.0, 0x7fc00000, 3.0]> : tensor<4xf32>
  %b = arith.constant dense<[2.0, 0.0, 1.0, 0x7fc00000]> : tensor<4xf32>
  // CHECK: maximum: f32[4] = 2 0 nan nan
  %max = arith.maximumf %a, %b : tensor<4xf32>
  // CHECK: minimum: f32[4] = 1 -0 nan nan
  %min = arith.minimumf %a, %b : tensor<4xf32>
  // CHECK: maxnum: f32[4] = 2 0 1 3
  %num = arith.maxnumf %a, %b : tensor<4xf32>
  // CHECK: olt: bool[4] = 1 0 0 0
  %olt = arith.cmpf olt, %a, %b : tensor<4xf32>
  // CHECK: ult: bool[4] = 1 0 1 1
  %ult = arith.cmpf ult, %a, %b : tensor<4xf32>
  // 1 + 2^-12 squared is 1 + 2^-11 + 2^-24.
  // CHECK: fma: f32[2] = 5.96046448e-08 0
  %x = arith.constant dense<[1.000244140625, 1.0]> : tensor<2xf32>
  %y = arith.constant dense<[-1.00048828125, -1.0]> : tensor<2xf32>
  %fma = math.fma %x, %x, %y : tensor<2xf32>
  // CHECK: unfused: f32[2] = 0 0
  %m = arith.mulf %x, %x : tensor<2xf32>
  %s = arith.addf %m, %y : tensor<2xf32>
  // CHECK: fptosi: i32[4] = -1 2147483647 -2147483648 0
  %big = arith.constant dense<[-1.9, 3.0e9, -3.0e9, 0x7fc00000]> : tensor<4xf32>
  %i = arith.fptosi %big : tensor<4xf32> to tensor<4xi32>
  // CHECK: wrap: i8[2] = -128 -1
  %c = arith.constant dense<[127, 0]> : tensor<2xi8>
  %d = arith.constant dense<[1, -1]> : tensor<2xi8>
  %w = arith.addi %c, %d : tensor<2xi8>
  // CHECK: shift: i8[2] = -64 127
  %one = arith.constant dense<1> : tensor<2xi8>
  %sh = arith.shrsi %w, %one : tensor<2xi8>
  %su = arith.shrui %w, %one : tensor<2xi8>
  %both = arith.constant dense<[true, false]> : tensor<2xi1>
  %shift = arith.select %both, %sh, %su : tensor<2xi1>, tensor<2xi8>
  // CHECK: uitofp: f32[2] = 128 255
  %u = arith.uitofp %w : tensor<2xi8> to tensor<2xf32>
  // CHECK: denormal: f32[2] = 1.40129846e-45 -1.40129846e-45
  %tiny = arith.constant dense<[2.8e-45, -2.8e-45]> : tensor<2xf32>
  %half = arith.constant dense<0.5> : tensor<2xf32>
  %den = arith.mulf %tiny, %half : tensor<2xf32>
  // CHECK: bits: i32[2] = 1065355264 1065353216
  %bits = arith.bitcast %x : tensor<2xf32> to tensor<2xi32>
  return %r1, %max, %min, %num, %olt, %ult, %fma, %s, %i, %w, %shift, %u, %den, %bits
    : tensor<8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xi1>, tensor<4xi1>,
      tensor<2xf32>, tensor<2xf32>, tensor<4xi32>, tensor<2xi8>, tensor<2xi8>, tensor<2xf32>,
      tensor<2xf32>, tensor<2xi32>
}
