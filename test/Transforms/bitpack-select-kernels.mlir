// RUN: hwgq-opt %s --bitpack-select-kernels="target-features=+avx2,+fma" | FileCheck %s
// RUN: hwgq-opt %s --bitpack-select-kernels="kernel=generic" | FileCheck %s --check-prefix=GENERIC
// RUN: hwgq-opt %s --bitpack-select-kernels="kernel=popcount" -verify-diagnostics | FileCheck %s --check-prefix=FORCED
// RUN: hwgq-opt %s --bitpack-select-kernels="target-features=nvptx" | FileCheck %s --check-prefix=NVPTX
// RUN: not hwgq-opt %s --bitpack-select-kernels="kernel=magic" 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// RUN: hwgq-opt %s --bitpack-select-kernels="target-features=+amx-int8,+avx512bw,+avx512vl,+fma kernel=dot8" | FileCheck %s --check-prefix=BYTES
// RUN: hwgq-opt %s --bitpack-select-kernels="target-features=+avx512bw,+avx512vl,+avx512vnni,+avx512vbmi,+avx512vpopcntdq,+fma" | FileCheck %s --check-prefix=VBMI

// UNKNOWN: error: no kernel is named magic; there are auto, thread-popcount, dot8-amx, dot8, dot8-pairs, popcount, lookup, f32, depthwise, generic

// CHECK-LABEL: func.func @kinds
// GENERIC-LABEL: func.func @kinds
// FORCED-LABEL: func.func @kinds
// NVPTX-LABEL: func.func @kinds
func.func @kinds(%x: tensor<?x64xf32>, %y: tensor<16x64xf32>) -> (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xi32>) {
  %w = bitpack.constant dense<3> : tensor<16xi64> as tensor<16x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %q = bitpack.quantize %x {step = #hwgq.sign<">=">} : tensor<?x64xf32> -> tensor<?x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  // CHECK: bitpack.matmul {{.*}}kernel = "f32"
  // NVPTX: bitpack.matmul {{.*}}kernel = "f32"
  // GENERIC: bitpack.matmul {{.*}}kernel = "generic"
  // FORCED: bitpack.matmul {{.*}}kernel = "f32"
  // expected-remark @+1 {{kernel popcount not chosen: popcount needs codes on both sides}}
  %a = bitpack.matmul %x, %w : tensor<?x64xf32>, tensor<16x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x16xf32>
  // CHECK: bitpack.matmul {{.*}}kernel = "generic"
  // NVPTX: bitpack.matmul {{.*}}kernel = "generic"
  // GENERIC: bitpack.matmul {{.*}}kernel = "generic"
  // FORCED: bitpack.matmul {{.*}}kernel = "generic"
  // expected-remark @+1 {{kernel popcount not chosen: popcount needs codes on both sides}}
  %b = bitpack.matmul %x, %y : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  // CHECK: bitpack.matmul {{.*}}kernel = "popcount"
  // NVPTX: bitpack.matmul {{.*}}kernel = "thread-popcount"
  // GENERIC: bitpack.matmul {{.*}}kernel = "generic"
  // FORCED: bitpack.matmul {{.*}}kernel = "popcount"
  %c = bitpack.matmul %q, %w : tensor<?x64x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<16x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x16xi32>
  return %a, %b, %c : tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xi32>
}

// A producer writes the form that its readers want; pools and their inputs have one form.
// BYTES-LABEL: func.func @forms
// VBMI-LABEL: func.func @forms
func.func @forms(%x: tensor<1x16x16x64xf32>) -> (tensor<1x8x8x64xi32>, tensor<1x8x8x64xf32>) {
  %w = bitpack.constant dense<3> : tensor<4096xi64> as tensor<64x8x8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  // BYTES: bitpack.quantize {{.*}} #bitpack.layout<bytes, halo = [3, 3, 4, 4], align = 64>
  // VBMI: bitpack.quantize {{.*}} #bitpack.layout<planes, halo = [3, 3, 4, 4]>
  %q = bitpack.quantize %x {step = #hwgq.half_wave<0.538, 2>} : tensor<1x16x16x64xf32> -> tensor<1x16x16x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [3, 3, 4, 4]>>
  // BYTES: bitpack.conv2d {{.*}}hwgq.predicted_ns = {{.*}}kernel = "dot8-amx"{{.*}} -> tensor<1x16x16x64x!hwgq.code<u2>, #bitpack.layout<bytes, align = 64>>
  // VBMI: bitpack.conv2d {{.*}}kernel = "lookup"
  %a = bitpack.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 3, 3, 4, 4>, dilations = array<i64: 1, 1>, groups = 1 : i64,
                              thresholds = dense<[[1, 5, 9]]> : tensor<1x3xi32>, direction = array<i8: 1>}
    : tensor<1x16x16x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [3, 3, 4, 4]>>, tensor<64x8x8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
   -> tensor<1x16x16x64x!hwgq.code<u2>, #bitpack.layout<planes>>
  // BYTES: bitpack.max_pool {{.*}} -> tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<bytes, halo = [3, 3, 4, 4], align = 64>>
  %p = bitpack.max_pool %a {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
    : tensor<1x16x16x64x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [3, 3, 4, 4]>>
  // BYTES-NOT: bitpack.relayout
  // BYTES: bitpack.conv2d {{.*}}kernel = "dot8-amx"
  %y = bitpack.conv2d %p, %w {strides = array<i64: 1, 1>, pads = array<i64: 3, 3, 4, 4>, dilations = array<i64: 1, 1>, groups = 1 : i64}
    : tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [3, 3, 4, 4]>>, tensor<64x8x8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
   -> tensor<1x8x8x64xi32>
  %f = bitpack.affine %p {scale = array<f32: 0.5>} : tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [3, 3, 4, 4]>> -> tensor<1x8x8x64xf32>
  return %y, %f : tensor<1x8x8x64xi32>, tensor<1x8x8x64xf32>
}

// Codes that are packed already stay as they are, and are changed for a reader of another form.
// BYTES-LABEL: func.func @constant
func.func @constant() -> tensor<4x16xi32> {
  %x = bitpack.constant dense<5> : tensor<4xi64> as tensor<4x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %w = bitpack.constant dense<3> : tensor<16xi64> as tensor<16x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  // BYTES: %[[B:.*]] = bitpack.relayout {{.*}} -> tensor<4x64x!hwgq.code<b1>, #bitpack.layout<bytes, align = 64>>
  // BYTES: bitpack.matmul %[[B]], {{.*}}kernel = "dot8
  %y = bitpack.matmul %x, %w : tensor<4x64x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<16x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<4x16xi32>
  return %y : tensor<4x16xi32>
}

// Narrow groups are joined until they fill the kernel; a number of the weights that no byte holds beside 0 forbids it.
// CHECK-LABEL: func.func @groups
// GENERIC-LABEL: func.func @groups
// FORCED-LABEL: func.func @groups
// VBMI-LABEL: func.func @groups
func.func @groups(%q: tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>) -> (tensor<1x8x8x64xi32>, tensor<1x8x8x64xi32>) {
  %w = bitpack.constant dense<3> : tensor<64xi64> as tensor<64x1x1x4x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %v = bitpack.constant dense<3> : tensor<512xi64> as tensor<64x1x1x4x!hwgq.code<u8, -255, 2>, #bitpack.layout<planes, block = 8>>
  // CHECK: bitpack.conv2d {{.*}}joined = 4 : i64, kernel = "dot8"
  // GENERIC-NOT: joined
  // GENERIC: bitpack.conv2d {{.*}}kernel = "generic"
  // FORCED: bitpack.conv2d {{.*}}joined = {{.*}}kernel = "popcount"
  // VBMI: bitpack.conv2d {{.*}}joined = 4 : i64, kernel = "dot8"
  %a = bitpack.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 16 : i64}
    : tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<64x1x1x4x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
   -> tensor<1x8x8x64xi32>
  // CHECK-NOT: joined
  // CHECK: bitpack.conv2d {{.*}}kernel = "generic"
  // VBMI-NOT: joined
  // FORCED-NOT: joined
  // FORCED: bitpack.conv2d {{.*}}kernel = "generic"
  // expected-remark @+1 {{kernel popcount not chosen: popcount needs groups of multiples of 8 output channels}}
  %b = bitpack.conv2d %q, %v {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 16 : i64}
    : tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<64x1x1x4x!hwgq.code<u8, -255, 2>, #bitpack.layout<planes, block = 8>>
   -> tensor<1x8x8x64xi32>
  return %a, %b : tensor<1x8x8x64xi32>, tensor<1x8x8x64xi32>
}

// Products of two activations read rows of bytes; those without terms are left to plain loops.
// CHECK-LABEL: func.func @products
// GENERIC-LABEL: func.func @products
// FORCED-LABEL: func.func @products
func.func @products(%q: tensor<2x7x16x!hwgq.code<u2>, #bitpack.layout<planes>>, %e: tensor<2x7x0x!hwgq.code<u2>, #bitpack.layout<planes>>)
    -> (tensor<2x7x7xi32>, tensor<2x7x7xi32>) {
  // CHECK: bitpack.relayout %arg0 {{.*}} #bitpack.layout<bytes, align = 8>
  // CHECK: bitpack.product {{.*}}kernel = "dot8-pairs"
  // GENERIC: bitpack.product {{.*}}kernel = "generic"
  // FORCED: bitpack.product {{.*}}kernel = "dot8-pairs"
  // expected-remark @+1 {{kernel popcount not chosen: popcount needs constant weights}}
  %a = bitpack.product %q, %q {input_dims = array<i64: 0, 1, 3>, weight_dims = array<i64: 0, 2, 3>}
    : tensor<2x7x16x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<2x7x16x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<2x7x7xi32>
  // CHECK: bitpack.product {{.*}}kernel = "generic"
  // GENERIC: bitpack.product {{.*}}kernel = "generic"
  // FORCED: bitpack.product {{.*}}kernel = "generic"
  // expected-remark @+1 {{kernel popcount not chosen: popcount needs constant weights}}
  %b = bitpack.product %e, %e {input_dims = array<i64: 0, 1, 3>, weight_dims = array<i64: 0, 2, 3>}
    : tensor<2x7x0x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<2x7x0x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<2x7x7xi32>
  return %a, %b : tensor<2x7x7xi32>, tensor<2x7x7xi32>
}

// With a dynamic batch one image and many count alike: what is best for one may take far longer for many.
// VBMI-LABEL: func.func @batches
func.func @batches(%one: tensor<1x1024x!hwgq.code<u6>, #bitpack.layout<planes>>, %any: tensor<?x1024x!hwgq.code<u6>, #bitpack.layout<planes>>)
    -> (tensor<1x256xi32>, tensor<?x256xi32>) {
  %w = bitpack.constant dense<3> : tensor<8192xi64> as tensor<256x1024x!hwgq.code<u2>, #bitpack.layout<planes, block = 8>>
  // VBMI: bitpack.matmul %arg0, {{.*}}kernel = "popcount"
  %a = bitpack.matmul %one, %w : tensor<1x1024x!hwgq.code<u6>, #bitpack.layout<planes>>, tensor<256x1024x!hwgq.code<u2>, #bitpack.layout<planes, block = 8>> -> tensor<1x256xi32>
  // VBMI: bitpack.matmul {{.*}}kernel = "dot8"
  %b = bitpack.matmul %any, %w : tensor<?x1024x!hwgq.code<u6>, #bitpack.layout<planes>>, tensor<256x1024x!hwgq.code<u2>, #bitpack.layout<planes, block = 8>> -> tensor<?x256xi32>
  return %a, %b : tensor<1x256xi32>, tensor<?x256xi32>
}

// Tiles divide by the channels that they hold.
// VBMI-LABEL: func.func @empty
func.func @empty(%q: tensor<?x40x!hwgq.code<u2>, #bitpack.layout<planes>>, %e: tensor<?x0x!hwgq.code<u2>, #bitpack.layout<planes>>) -> (tensor<?x0xi32>, tensor<?x8xi32>) {
  %w = bitpack.constant dense<0> : tensor<0xi64> as tensor<0x40x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %v = bitpack.constant dense<0> : tensor<0xi64> as tensor<8x0x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  // VBMI: bitpack.matmul {{.*}}kernel = "generic"
  // expected-remark @+1 {{kernel popcount not chosen: only generic takes a contraction without channels}}
  %a = bitpack.matmul %q, %w : tensor<?x40x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<0x40x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x0xi32>
  // VBMI: bitpack.matmul {{.*}}kernel = "generic"
  // expected-remark @+1 {{kernel popcount not chosen: only generic takes a contraction without channels}}
  %b = bitpack.matmul %e, %v : tensor<?x0x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<8x0x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x8xi32>
  return %a, %b : tensor<?x0xi32>, tensor<?x8xi32>
}
