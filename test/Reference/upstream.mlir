// RUN: hwgq-eval %s | FileCheck %s
// RUN: hwgq-eval %s --random=3 --batch=2 -o %t && ls %t | FileCheck %s --check-prefix=FILES
// FILES: 0_max.npy
// FILES-NEXT: 1_sum.npy

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
#turned = affine_map<(d0, d1) -> (d0, 2 - d1)>
#window = affine_map<(d0, d1) -> (d0 + d1)>
#slow = affine_map<(d0, d1) -> (d1)>

func.func @main() -> (tensor<2xf32> {hwgq.name = "max"}, tensor<2xf32> {hwgq.name = "sum"},
    tensor<2x3xf32> {hwgq.name = "turned"}, tensor<2xf32> {hwgq.name = "window"}, tensor<2x3xf32> {hwgq.name = "gather"},
    tensor<3x2xf32> {hwgq.name = "transpose"}, tensor<2x2xf32> {hwgq.name = "slice"}, tensor<2x4xf32> {hwgq.name = "concat"},
    tensor<3x4xf32> {hwgq.name = "pad"}, tensor<2xi64> {hwgq.name = "sizes"}) {
  %x = arith.constant dense<[[1.0, 1.0e8, -1.0e8], [3.0, -7.0, 5.0]]> : tensor<2x3xf32>
  %low = arith.constant 0xff800000 : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2xf32>
  %lows = linalg.fill ins(%low : f32) outs(%e : tensor<2xf32>) -> tensor<2xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<2xf32>) -> tensor<2xf32>
  // CHECK: max: f32[2] = 100000000 5
  %max = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
    ins(%x : tensor<2x3xf32>) outs(%lows : tensor<2xf32>) {
  ^bb0(%a: f32, %b: f32):
    %m = arith.maximumf %a, %b : f32
    linalg.yield %m : f32
  } -> tensor<2xf32>
  // In index order: (1 + 1e8) - 1e8 is 0 in float32.
  // CHECK: sum: f32[2] = 0 1
  %sum = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
    ins(%x : tensor<2x3xf32>) outs(%zeros : tensor<2xf32>) {
  ^bb0(%a: f32, %b: f32):
    %m = arith.addf %b, %a : f32
    linalg.yield %m : f32
  } -> tensor<2xf32>
  %e2 = tensor.empty() : tensor<2x3xf32>
  // CHECK: turned: f32[2x3] = -100000000 100000000 1 5 -7 3
  %turned = linalg.generic {indexing_maps = [#turned, #id], iterator_types = ["parallel", "parallel"]}
    ins(%x : tensor<2x3xf32>) outs(%e2 : tensor<2x3xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<2x3xf32>
  // Windows of two over three elements: 2 * 3 + 3 * 5 and the like.
  // CHECK: window: f32[2] = 21 35
  %line = arith.constant dense<[3.0, 5.0, 6.0]> : tensor<3xf32>
  %taps = arith.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %w0 = arith.constant dense<[0.0, 7.0]> : tensor<2xf32>
  %window = linalg.generic {indexing_maps = [#window, #slow, #row], iterator_types = ["parallel", "reduction"]}
    ins(%line, %taps : tensor<3xf32>, tensor<2xf32>) outs(%w0 : tensor<2xf32>) {
  ^bb0(%a: f32, %k: f32, %b: f32):
    %m = math.fma %a, %k, %b : f32
    linalg.yield %m : f32
  } -> tensor<2xf32>
  // x[1 - i, j], read by computed indices from outside.
  // CHECK: gather: f32[2x3] = 3 -7 5 1 100000000 -100000000
  %one = arith.constant 1 : index
  %gather = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]}
    outs(%e2 : tensor<2x3xf32>) {
  ^bb0(%b: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %k = arith.subi %one, %i : index
    %v = tensor.extract %x[%k, %j] : tensor<2x3xf32>
    linalg.yield %v : f32
  } -> tensor<2x3xf32>
  // CHECK: transpose: f32[3x2] = 1 3 100000000 -7 -100000000 5
  %e3 = tensor.empty() : tensor<3x2xf32>
  %transpose = linalg.transpose ins(%x : tensor<2x3xf32>) outs(%e3 : tensor<3x2xf32>) permutation = [1, 0]
  // CHECK: slice: f32[2x2] = 1 -100000000 3 5
  %slice = tensor.extract_slice %x[0, 0] [2, 2] [1, 2] : tensor<2x3xf32> to tensor<2x2xf32>
  // CHECK: concat: f32[2x4] = 1 -100000000 21 21 3 5 35 35
  %b0 = tensor.empty() : tensor<2x2xf32>
  %wide = linalg.broadcast ins(%window : tensor<2xf32>) outs(%b0 : tensor<2x2xf32>) dimensions = [1]
  %concat = tensor.concat dim(1) %slice, %wide : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x4xf32>
  // CHECK: pad: f32[3x4] = 0 3 0 0 0 -7 0 0 0 5 0 0
  %col = tensor.extract_slice %transpose[0, 1] [3, 1] [1, 1] : tensor<3x2xf32> to tensor<3x1xf32>
  %pad = tensor.pad %col low[0, 1] high[0, 2] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<3x1xf32> to tensor<3x4xf32>
  // CHECK: sizes: i64[2] = 3 12
  %c0 = arith.constant 0 : index
  %three = tensor.dim %pad, %c0 : tensor<3x4xf32>
  %four = tensor.dim %pad, %one : tensor<3x4xf32>
  %twelve = arith.muli %three, %four : index
  %i3 = arith.index_cast %three : index to i64
  %i12 = arith.index_cast %twelve : index to i64
  %sizes = tensor.from_elements %i3, %i12 : tensor<2xi64>
  return %max, %sum, %turned, %window, %gather, %transpose, %slice, %concat, %pad, %sizes
    : tensor<2xf32>, tensor<2xf32>, tensor<2x3xf32>, tensor<2xf32>, tensor<2x3xf32>, tensor<3x2xf32>, tensor<2x2xf32>,
      tensor<2x4xf32>, tensor<3x4xf32>, tensor<2xi64>
}
