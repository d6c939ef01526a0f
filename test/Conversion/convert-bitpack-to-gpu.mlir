// RUN: hwgq-opt %s --split-input-file --convert-bitpack-to-gpu 2>/dev/null | FileCheck %s
// RUN: hwgq-opt %s --split-input-file --convert-bitpack-to-gpu -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// The halo of the result: 10x10 pixels of 8 bytes, 128 threads a block.
// CHECK: module attributes {gpu.container_module}
// CHECK: gpu.module @kernels
// CHECK: gpu.func @stage1_conv(%[[N:.*]]: index, %[[X:.*]]: memref<?xi64>, %[[W:.*]]: memref<72xi64>, {{.*}}: memref<?xi8>) kernel attributes {known_block_size = array<i32: 128, 1, 1>, nvvm.minctasm = 4 : i32}
// CHECK: %[[BLOCK:.*]] = gpu.block_id x
// CHECK: %[[THREAD:.*]] = gpu.thread_id x
// CHECK: %[[FIRST:.*]] = arith.muli %[[BLOCK]], %c128
// CHECK: %[[ID:.*]] = arith.addi %[[FIRST]], %[[THREAD]]
// CHECK: %[[IN:.*]] = arith.cmpi ult, %[[ID]], %[[N]]
// CHECK: scf.if %[[IN]]
// CHECK: %[[BYTES:.*]]:2 = scf.if
// CHECK: scf.for
// CHECK: scf.for
// CHECK: %[[A:.*]] = memref.load %[[X]]
// CHECK-COUNT-9: math.ctpop
// CHECK: arith.cmpi sge
// CHECK-COUNT-2: memref.store {{.*}} : memref<?xi8>
// CHECK: gpu.return
// CHECK-LABEL: func.func @conv
// CHECK: %[[ALLOC:.*]] = memref.alloc(%{{.*}}) {{.*}} : memref<?xi8>
// CHECK: gpu.launch_func @kernels::@stage1_conv blocks in (%{{.*}}, %c1{{.*}}, %c1{{.*}}) threads in (%c128{{.*}}, %c1{{.*}}, %c1{{.*}}) args({{.*}} : index, {{.*}} : memref<?xi64>, {{.*}} : memref<72xi64>, {{.*}} %[[ALLOC]] : memref<?xi8>)
// CHECK: builtin.unrealized_conversion_cast %{{.*}} : memref<?x10x10x1x2xi64> to tensor
func.func @conv(%x: tensor<?x8x8x64x!hwgq.code<b1>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>) -> tensor<?x8x8x8x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>> {
  %w = bitpack.constant dense<5> : tensor<72xi64> as tensor<8x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %y = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64, thresholds = dense<[[1, 5, 9]]> : tensor<1x3xi32>, direction = array<i8: 1>, kernel = "thread-popcount"}
    : tensor<?x8x8x64x!hwgq.code<b1>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>, tensor<8x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x8x8x8x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>> loc("stage1/conv")
  return %y : tensor<?x8x8x8x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>
}

// -----

// A matrix product to i32; two of one node get two names. 0 and 1 against -1 and
// +1 need the sum of the codes, but no base.
// CHECK: gpu.func @matmul(
// CHECK-NOT: memref<{{.*}}xi8>
// CHECK: math.ctpop
// CHECK: memref.store {{.*}} : memref<50xi32>
// CHECK: gpu.func @matmul_0(
// CHECK-LABEL: func.func @twice
// CHECK: gpu.launch_func @kernels::@matmul
// CHECK: gpu.launch_func @kernels::@matmul_0
func.func @twice(%x: tensor<5x70x!hwgq.code<u1>, #bitpack.layout<planes>>) -> (tensor<5x10xi32>, tensor<5x10xi32>) {
  %w = bitpack.constant dense<5> : tensor<32xi64> as tensor<10x70x!hwgq.code<b1>, #bitpack.layout<planes, block = 16>>
  %y = bitpack.matmul %x, %w {kernel = "thread-popcount"} : tensor<5x70x!hwgq.code<u1>, #bitpack.layout<planes>>, tensor<10x70x!hwgq.code<b1>, #bitpack.layout<planes, block = 16>> -> tensor<5x10xi32>
  %z = bitpack.matmul %x, %w {kernel = "thread-popcount"} : tensor<5x70x!hwgq.code<u1>, #bitpack.layout<planes>>, tensor<10x70x!hwgq.code<b1>, #bitpack.layout<planes, block = 16>> -> tensor<5x10xi32>
  return %y, %z : tensor<5x10xi32>, tensor<5x10xi32>
}

// -----

// One kernel reads what the other writes.
// CHECK-LABEL: func.func @chain
// CHECK: gpu.launch_func @kernels::@first
// CHECK: %[[Q:.*]] = builtin.unrealized_conversion_cast %{{.*}} : memref<5x1x1xi64> to tensor
// CHECK: builtin.unrealized_conversion_cast %[[Q]] : tensor<{{.*}}> to memref<5x1x1xi64>
// CHECK: gpu.launch_func @kernels::@second
func.func @chain(%x: tensor<5x64x!hwgq.code<u1>, #bitpack.layout<planes>>) -> tensor<5x8xi32> {
  %w = bitpack.constant dense<5> : tensor<8xi64> as tensor<8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %v = bitpack.constant dense<5> : tensor<8xi64> as tensor<8x8x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %q = bitpack.matmul %x, %w {kernel = "thread-popcount", thresholds = dense<[[1]]> : tensor<1x1xi32>, direction = array<i8: 1>} : tensor<5x64x!hwgq.code<u1>, #bitpack.layout<planes>>, tensor<8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<5x8x!hwgq.code<b1>, #bitpack.layout<planes>> loc("first")
  %y = bitpack.matmul %q, %v {kernel = "thread-popcount"} : tensor<5x8x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<8x8x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<5x8xi32> loc("second")
  return %y : tensor<5x8xi32>
}

// -----

// Whatever has no GPU kernel stays and is named; without any, there is no gpu.module.
// CHECK-NOT: gpu.module
// CHECK-LABEL: func.func @others
// CHECK: bitpack.matmul {{.*}}kernel = "f32"
// CHECK: bitpack.quantize
// REMARK: remark: no GPU kernel: bitpack.matmul; popcount needs codes on both sides
// REMARK: remark: no GPU kernel: bitpack.quantize
// REMARK: remark: no GPU kernel: bitpack.matmul; its kernel runs on a CPU
func.func @others(%x: tensor<5x64xf32>) -> tensor<5x8xi32> {
  %v = arith.constant dense<1.0> : tensor<64x64xf32>
  %f = bitpack.matmul %x, %v {kernel = "f32"} : tensor<5x64xf32>, tensor<64x64xf32> -> tensor<5x64xf32>
  %q = bitpack.quantize %f {step = #hwgq.sign<">=">} : tensor<5x64xf32> -> tensor<5x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %w = bitpack.constant dense<5> : tensor<8xi64> as tensor<8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %y = bitpack.matmul %q, %w {kernel = "popcount"} : tensor<5x64x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<5x8xi32>
  return %y : tensor<5x8xi32>
}
