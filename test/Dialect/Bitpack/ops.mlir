// RUN: hwgq-opt %s | hwgq-opt | FileCheck %s

// CHECK-LABEL: func.func @network
func.func @network(%x: tensor<?x8x8x64xf32>) -> tensor<?x10xi32> {
  // CHECK: bitpack.quantize {{.*}} #bitpack.layout<planes, halo = [1, 1, 1, 1]>
  %q = bitpack.quantize %x {step = #hwgq.half_wave<0.538, 2>}
    : tensor<?x8x8x64xf32> -> tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>
  // CHECK: bitpack.constant {{.*}} #bitpack.layout<planes, block = 8>
  %w = bitpack.constant dense<3> : tensor<72xi64> as tensor<8x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  // CHECK: bitpack.conv2d {{.*}}kernel = "popcount"
  %a = bitpack.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64,
                              thresholds = dense<[[1, 5, 9]]> : tensor<1x3xi32>, direction = array<i8: 1>, kernel = "popcount"}
    : tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>, tensor<8x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
   -> tensor<?x8x8x8x!hwgq.code<u2>, #bitpack.layout<planes>>
  // CHECK: bitpack.max_pool
  %p = bitpack.max_pool %a {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
    : tensor<?x8x8x8x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<?x4x4x8x!hwgq.code<u2>, #bitpack.layout<planes>>
  // CHECK: bitpack.pad
  %z = bitpack.pad %p {low = array<i64: 0, 1, 1, 0>, high = array<i64: 0, 1, 1, 0>, value = 3 : i32}
    : tensor<?x4x4x8x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<?x6x6x8x!hwgq.code<u2>, #bitpack.layout<planes>>
  // CHECK: bitpack.concat
  %c = bitpack.concat %z, %z {dim = 3 : i64}
    : (tensor<?x6x6x8x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<?x6x6x8x!hwgq.code<u2>, #bitpack.layout<planes>>)
   -> tensor<?x6x6x16x!hwgq.code<u2>, #bitpack.layout<planes>>
  // CHECK: bitpack.relayout
  %r = bitpack.relayout %c : tensor<?x6x6x16x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<?x576x!hwgq.code<u2>, #bitpack.layout<planes>>
  %k = bitpack.constant dense<1> : tensor<144xi64> as tensor<10x576x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  // CHECK: bitpack.matmul
  %y = bitpack.matmul %r, %k : tensor<?x576x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<10x576x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x10xi32>
  return %y : tensor<?x10xi32>
}

// CHECK-LABEL: func.func @avg_pool
func.func @avg_pool(%t: tensor<?x4x4x64xi32>) -> (tensor<?x1x1x64xf32>, tensor<?x4x4x64xf32>) {
  %q = bitpack.threshold %t {thresholds = dense<[[0]]> : tensor<1x1xi32>, direction = array<i8: 1>}
    : tensor<?x4x4x64xi32> -> tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  // CHECK: bitpack.avg_pool
  %a = bitpack.avg_pool %q {kernel = array<i64: 4, 4>, strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>,
                            count_include_pad = false, scale = 1.0 : f32}
    : tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x1x1x64xf32>
  // CHECK: bitpack.relayout {{.*}} #bitpack.layout<bytes, halo = [0, 1, 0, 1], align = 64>
  %b = bitpack.relayout %q : tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<bytes, halo = [0, 1, 0, 1], align = 64>>
  // CHECK: bitpack.affine
  %f = bitpack.affine %q {scale = array<f32: 0.5>} : tensor<?x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x4x4x64xf32>
  return %a, %f : tensor<?x1x1x64xf32>, tensor<?x4x4x64xf32>
}

// CHECK-LABEL: func.func @product
func.func @product(%q: tensor<?x7x2x16x!hwgq.code<s4>, #bitpack.layout<bytes, align = 8>>) -> tensor<?x2x7x7xi32> {
  // CHECK: bitpack.product {{.*}} {input_dims = array<i64: 0, 2, 1, 4>, kernel = "dot8-pairs", weight_dims = array<i64: 0, 3, 1, 4>}
  %y = bitpack.product %q, %q {input_dims = array<i64: 0, 2, 1, 4>, weight_dims = array<i64: 0, 3, 1, 4>, kernel = "dot8-pairs"}
    : tensor<?x7x2x16x!hwgq.code<s4>, #bitpack.layout<bytes, align = 8>>, tensor<?x7x2x16x!hwgq.code<s4>, #bitpack.layout<bytes, align = 8>> -> tensor<?x2x7x7xi32>
  return %y : tensor<?x2x7x7xi32>
}

// CHECK-LABEL: func.func @fused
func.func @fused(%x: tensor<?x64x!hwgq.code<u2>, #bitpack.layout<planes>>, %w: tensor<8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>)
    -> (tensor<?x8xf32>, tensor<?x8x!hwgq.code<b1>, #bitpack.layout<planes>>) {
  // CHECK: bitpack.fused -> (tensor<?x8xf32>, tensor<?x8x!hwgq.code<b1>, #bitpack.layout<planes>>)
  %f:2 = bitpack.fused -> (tensor<?x8xf32>, tensor<?x8x!hwgq.code<b1>, #bitpack.layout<planes>>) {
    %a = bitpack.matmul %x, %w : tensor<?x64x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x8xi32>
    %y = hwgq.affine %a {scale = array<f32: 0.5>} : tensor<?x8xi32>
    %q = bitpack.quantize %y {step = #hwgq.sign<">=">} : tensor<?x8xf32> -> tensor<?x8x!hwgq.code<b1>, #bitpack.layout<planes>>
    // CHECK: bitpack.yield
    bitpack.yield %y, %q : tensor<?x8xf32>, tensor<?x8x!hwgq.code<b1>, #bitpack.layout<planes>>
  }
  return %f#0, %f#1 : tensor<?x8xf32>, tensor<?x8x!hwgq.code<b1>, #bitpack.layout<planes>>
}
