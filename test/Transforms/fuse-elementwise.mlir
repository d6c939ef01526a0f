// RUN: hwgq-opt --fuse-elementwise %s | FileCheck %s

#same = affine_map<(d0, d1) -> (d0, d1)>

// One loop for a chain; its size comes from the input, so that nobody asks for
// a value in the middle.

// CHECK-LABEL: @chain
// CHECK: %[[N:.*]] = tensor.dim %arg0, %c0
// CHECK: %[[Y:.*]] = linalg.generic {{.*}} ins(%arg0 : tensor<?x8xi8>)
// CHECK: arith.uitofp
// CHECK-NEXT: arith.mulf
// CHECK-NOT: linalg.generic
// CHECK: return %[[Y]], %[[N]]
func.func @chain(%x: tensor<?x8xi8>, %out: tensor<?x8xf32>) -> (tensor<?x8xf32>, index) {
  %c0 = arith.constant 0 : index
  %c = arith.constant 0.5 : f32
  %a = linalg.generic {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xi8>) outs(%out : tensor<?x8xf32>) {
  ^bb0(%u: i8, %o: f32):
    %0 = arith.uitofp %u : i8 to f32
    linalg.yield %0 : f32
  } -> tensor<?x8xf32>
  %n = tensor.dim %a, %c0 : tensor<?x8xf32>
  %init = tensor.empty(%n) : tensor<?x8xf32>
  %b = linalg.generic {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%a : tensor<?x8xf32>) outs(%init : tensor<?x8xf32>) {
  ^bb0(%u: f32, %o: f32):
    %0 = arith.mulf %u, %c : f32
    linalg.yield %0 : f32
  } -> tensor<?x8xf32>
  return %b, %n : tensor<?x8xf32>, index
}
