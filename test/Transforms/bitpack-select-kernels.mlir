// RUN: hwgq-opt %s --bitpack-select-kernels="target-features=+avx2,+fma" | FileCheck %s
// RUN: hwgq-opt %s --bitpack-select-kernels="kernel=generic" | FileCheck %s --check-prefix=GENERIC
// RUN: hwgq-opt %s --bitpack-select-kernels="kernel=popcount" -verify-diagnostics | FileCheck %s --check-prefix=FORCED
// RUN: hwgq-opt %s --bitpack-select-kernels="target-features=nvptx" | FileCheck %s --check-prefix=NVPTX
// RUN: not hwgq-opt %s --bitpack-select-kernels="kernel=magic" 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// UNKNOWN: error: no kernel is named magic; there are auto, thread-popcount, dot8-amx, dot8, popcount, lookup, f32, generic

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
