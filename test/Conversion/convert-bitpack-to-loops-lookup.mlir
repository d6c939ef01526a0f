// RUN: hwgq-opt %s --split-input-file --convert-bitpack-to-loops=features=avx2,avx512bw,avx512vl,avx512vbmi --canonicalize --cse | FileCheck %s

// Ready rows of 64 bytes for the patterns of each plane, tables of three rows
// of the image and the sums of a tile on the stack. The first rows of a task
// are built before its lookups; tables of the next row stand between those of
// filter rows 1 and 2: a load and a sum for each of two planes, of rows that
// were found for a whole row of columns. 7 pixels x 3 taps look up 4 tables at a
// time, since weights of nothing but ones leave no room for more in a byte.
// CHECK-LABEL: func.func @planes(
// CHECK: %[[TABLES:.*]] = memref.alloca() {alignment = 64 : i64} : memref<33792xi8>
// CHECK: %[[SUMS:.*]] = memref.alloca() {alignment = 64 : i64} : memref<448xi16>
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.pmultishift.qb.256"
// CHECK: vector.store {{.*}} : memref<384xi16>, vector<16xi16>
// CHECK: scf.for
// CHECK: memref.load {{.*}} : memref<384xi16>
// CHECK: vector.load {{.*}} : memref<8192xi8>, vector<64xi8>
// CHECK: vector.store {{.*}}, %[[TABLES]]{{\[}}
// CHECK: scf.for {{.*}} iter_args
// CHECK-COUNT-84: llvm.call_intrinsic "llvm.x86.avx512.permvar.qi.512"
// CHECK-NOT: permvar
// CHECK: scf.yield
// CHECK: scf.for {{.*}} iter_args
// CHECK: permvar
// CHECK: vector.load {{.*}} : memref<8192xi8>, vector<64xi8>
// CHECK: vector.load {{.*}} : memref<8192xi8>, vector<64xi8>
// CHECK: vector.store {{.*}}, %[[TABLES]]{{\[}}
// CHECK: permvar
// CHECK: vector.store {{.*}}, %[[SUMS]]
// CHECK: scf.for
// CHECK: vector.load %[[SUMS]]
// CHECK: return
func.func @planes(%x: tensor<1x16x14x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>) -> tensor<1x16x14x64x!hwgq.code<u2>, #bitpack.layout<planes>> {
  %w = bitpack.constant dense<-1> : tensor<576xi64> as tensor<64x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %y = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64, thresholds = dense<[[1, 5, 9]]> : tensor<1x3xi32>, direction = array<i8: 1>, kernel = "lookup"}
     : tensor<1x16x14x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>, tensor<64x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<1x16x14x64x!hwgq.code<u2>, #bitpack.layout<planes>>
  return %y : tensor<1x16x14x64x!hwgq.code<u2>, #bitpack.layout<planes>>
}

// -----

// Codes of one bit: two pixels in the halves of a byte, split by a shift, and
// joined before: three shifts for the six lookups of a pair in two tables.
// CHECK-LABEL: func.func @pairs(
// CHECK: memref.alloca() {alignment = 64 : i64} : memref<19008xi8>
// CHECK: %[[SUMS:.*]] = memref.alloca() {alignment = 64 : i64} : memref<896xi16>
// CHECK: scf.for {{.*}} -> (vector<64xi8>,
// CHECK-COUNT-7: arith.shrui {{.*}} : vector<64xi8>
// CHECK: scf.yield {{.*}} : vector<64xi8>,
// CHECK: vector.load %[[SUMS]]
// CHECK: return
func.func @pairs(%x: tensor<1x16x14x64x!hwgq.code<u1>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>) -> tensor<1x16x14x64xi32> {
  %w = bitpack.constant dense<5> : tensor<576xi64> as tensor<64x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %y = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64, kernel = "lookup"}
     : tensor<1x16x14x64x!hwgq.code<u1>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>, tensor<64x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<1x16x14x64xi32>
  return %y : tensor<1x16x14x64xi32>
}

// -----

// A 1x1 filter: where the rows of the 7 tables of 40 channels lie, and no table in memory. One is the sum of two rows, for
// 4 registers of output channels of each of 4 pixels.
// CHECK-LABEL: func.func @shared(
// CHECK-NOT: memref.alloca() {{.*}}xi8>
// CHECK: vector.store {{.*}} : memref<130xi16>, vector<16xi16>
// CHECK: scf.for {{.*}} -> (vector<64xi8>,
// CHECK: vector.load {{.*}} : memref<8192xi8>, vector<64xi8>
// CHECK: vector.load {{.*}} : memref<8192xi8>, vector<64xi8>
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.avx512.permvar.qi.512"
// CHECK-NOT: permvar
// CHECK: vector.load {{.*}} : memref<8192xi8>, vector<64xi8>
// CHECK-COUNT-12: llvm.call_intrinsic "llvm.x86.avx512.permvar.qi.512"
// CHECK-NOT: permvar
// CHECK: scf.yield
func.func @shared(%x: tensor<1x7x7x40x!hwgq.code<u2>, #bitpack.layout<planes>>) -> tensor<1x7x7x256xi32> {
  %w = bitpack.constant dense<-1> : tensor<256xi64> as tensor<256x1x1x40x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %y = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64, kernel = "lookup"}
     : tensor<1x7x7x40x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<256x1x1x40x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<1x7x7x256xi32>
  return %y : tensor<1x7x7x256xi32>
}
