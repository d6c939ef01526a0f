// RUN: hwgq-opt %s --split-input-file --convert-bitpack-to-loops=features=ssse3,avx2,popcnt --canonicalize --cse | FileCheck %s
// RUN: hwgq-opt %s --split-input-file --convert-bitpack-to-loops=features=ssse3,avx2,popcnt --canonicalize --cse --plan-workspace | FileCheck %s --check-prefix=PLAN

// Tensors become memory: packed codes as i64 words with their halo, weights and
// thresholds as globals. Eight floats make a byte of a plane; the sums of codes
// that b1 asks for come before the products; the thresholds follow them.
// CHECK-DAG: memref.global "private" constant @{{.*}} : memref<3xi32> = dense<[1, 5, 9]>
// CHECK-DAG: memref.global "private" constant @{{.*}} : memref<1x3x3x8xi64>
// CHECK-LABEL: func.func @main(
// CHECK-SAME: %[[X:.*]]: memref<2x4x4x64xf32>
// CHECK: %[[Q:.*]] = memref.alloc() {alignment = 64 : i64} : memref<576xi8>
// CHECK: memref.view %[[Q]]{{.*}} to memref<2x6x6x1x1xi64>
// CHECK: scf.for
// CHECK: %[[FLOATS:.*]] = vector.load {{.*}} vector<8xf32>
// CHECK: arith.cmpf oge, %[[FLOATS]], {{.*}} : vector<8xf32>
// CHECK: vector.store {{.*}}%[[Q]]{{.*}} vector<1xi8>
// CHECK: math.ctpop {{.*}} : i64
// CHECK: math.ctpop {{.*}} : vector<32xi8>
// CHECK: arith.cmpi sge, {{.*}} : vector<8xi32>
// CHECK: vector.store {{.*}} vector<8xf32>
// CHECK: return
// PLAN: func.func @main({{.*}} memref<2x4x4x8xf32> {hwgq.output}, {{.*}} memref<?xi8>) attributes {hwgq.workspace = array<i64: {{[1-9][0-9]*}}, 0>}
// PLAN-NOT: memref.alloc
func.func @main(%x: tensor<2x4x4x64xf32>) -> tensor<2x4x4x8xf32> {
  %q = bitpack.quantize %x {step = #hwgq.sign<">=">} : tensor<2x4x4x64xf32> -> tensor<2x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>
  %w = bitpack.constant dense<5> : tensor<72xi64> as tensor<8x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  %t = bitpack.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64, thresholds = dense<[[1, 5, 9]]> : tensor<1x3xi32>, direction = array<i8: 1>, kernel = "popcount"}
     : tensor<2x4x4x64x!hwgq.code<b1>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>, tensor<8x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<2x4x4x8x!hwgq.code<u2>, #bitpack.layout<planes>>
  %y = bitpack.affine %t {scale = array<f32: 0.5>} : tensor<2x4x4x8x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<2x4x4x8xf32>
  return %y : tensor<2x4x4x8xf32>
}

// -----

// Large loops are tasks, as many as the batch makes; so is the workspace.
// CHECK-LABEL: func.func @dynamic(
// CHECK: scf.forall
// CHECK: scf.forall
// PLAN-LABEL: func.func @dynamic(
// PLAN-SAME: hwgq.workspace = array<i64: {{[0-9]+}}, {{[1-9][0-9]*}}>
func.func @dynamic(%x: tensor<?x56x56x64xf32>) -> tensor<?x56x56x64xf32> {
  %q = bitpack.quantize %x {step = #hwgq.sign<">=">} : tensor<?x56x56x64xf32> -> tensor<?x56x56x64x!hwgq.code<b1>, #bitpack.layout<planes>>
  %y = bitpack.affine %q {scale = array<f32: 0.5>} : tensor<?x56x56x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<?x56x56x64xf32>
  return %y : tensor<?x56x56x64xf32>
}

// -----

// An image with channels first from one with channels last: squares of
// vectors, turned in registers; the last square ends with the row.
// CHECK-LABEL: func.func @channels_first(
// CHECK: %[[X0:.*]] = arith.minui
// CHECK-COUNT-8: vector.load {{.*}} : memref<2x5x20x24xf32>, vector<8xf32>
// CHECK-COUNT-24: vector.shuffle {{.*}} : vector<8xf32>, vector<8xf32>
// CHECK-COUNT-8: vector.store {{.*}} : memref<2x24x5x20xf32>, vector<8xf32>
// CHECK-NOT: vector.store
// CHECK: return
func.func @channels_first(%x: tensor<2x5x20x24xf32>) -> tensor<2x24x5x20xf32> {
  %e = tensor.empty() : tensor<2x24x5x20xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(n, c, h, w) -> (n, h, w, c)>, affine_map<(n, c, h, w) -> (n, c, h, w)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
         ins(%x : tensor<2x5x20x24xf32>) outs(%e : tensor<2x24x5x20xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x24x5x20xf32>
  return %y : tensor<2x24x5x20xf32>
}

// -----

#same = affine_map<(d0, d1) -> (d0, d1)>

// A group writes over what only it reads: the second result, since the first
// is written before the last read. Arguments are left alone.
// CHECK-LABEL: func.func @overwrite(
// CHECK: %[[A:.*]] = memref.alloc() {{.*}} : memref<4x16xf32>
// CHECK: %[[B:.*]] = memref.alloc() {{.*}} : memref<4x16xf32>
// CHECK-NOT: memref.alloc
// CHECK: return %[[B]], %[[A]]
func.func @overwrite(%x: tensor<4x16xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>) {
  %empty = tensor.empty() : tensor<4x16xf32>
  %a = bitpack.fused -> (tensor<4x16xf32>) {
    %0 = linalg.generic {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel"]}
        ins(%x : tensor<4x16xf32>) outs(%empty : tensor<4x16xf32>) {
    ^bb0(%in: f32, %out: f32):
      %1 = arith.addf %in, %in : f32
      linalg.yield %1 : f32
    } -> tensor<4x16xf32>
    bitpack.yield %0 : tensor<4x16xf32>
  }
  %b:2 = bitpack.fused -> (tensor<4x16xf32>, tensor<4x16xf32>) {
    %0 = linalg.generic {indexing_maps = [#same, #same, #same], iterator_types = ["parallel", "parallel"]}
        ins(%x, %a : tensor<4x16xf32>, tensor<4x16xf32>) outs(%empty : tensor<4x16xf32>) {
    ^bb0(%in: f32, %more: f32, %out: f32):
      %1 = arith.addf %in, %more : f32
      linalg.yield %1 : f32
    } -> tensor<4x16xf32>
    %2 = linalg.generic {indexing_maps = [#same, #same, #same], iterator_types = ["parallel", "parallel"]}
        ins(%0, %a : tensor<4x16xf32>, tensor<4x16xf32>) outs(%empty : tensor<4x16xf32>) {
    ^bb0(%in: f32, %more: f32, %out: f32):
      %1 = arith.mulf %in, %more : f32
      linalg.yield %1 : f32
    } -> tensor<4x16xf32>
    bitpack.yield %0, %2 : tensor<4x16xf32>, tensor<4x16xf32>
  }
  return %b#0, %b#1 : tensor<4x16xf32>, tensor<4x16xf32>
}
