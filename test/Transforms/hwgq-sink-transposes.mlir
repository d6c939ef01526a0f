// RUN: hwgq-opt %s -hwgq-sink-transposes -canonicalize -cse | FileCheck %s

// A residual block between two convolutions: no transpose stays inside.
// CHECK-LABEL: @residual
// CHECK-NOT: linalg.transpose
// CHECK: hwgq.conv2d
// CHECK-NOT: linalg.transpose
// CHECK: %[[SLOPE:.*]] = linalg.broadcast ins(%{{.*}} : tensor<4xf32>) outs(%{{.*}} : tensor<?x8x8x4xf32>) dimensions = [0, 1, 2]
// CHECK: arith.mulf %{{.*}}, %[[SLOPE]] : tensor<?x8x8x4xf32>
// CHECK: arith.addf
// CHECK: hwgq.conv2d
// CHECK-NOT: linalg.transpose
// CHECK: return
func.func @residual(%x: tensor<?x8x8x4xf32>, %w: tensor<4x3x3x4xf32>) -> tensor<?x8x8x4xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x8x8x4xf32>
  %slope = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %y = hwgq.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
     : tensor<?x8x8x4xf32>, tensor<4x3x3x4xf32> -> tensor<?x8x8x4xf32>
  %e = tensor.empty(%n) : tensor<?x4x8x8xf32>
  %t = linalg.transpose ins(%y : tensor<?x8x8x4xf32>) outs(%e : tensor<?x4x8x8xf32>) permutation = [0, 3, 1, 2]
  %s = linalg.transpose ins(%x : tensor<?x8x8x4xf32>) outs(%e : tensor<?x4x8x8xf32>) permutation = [0, 3, 1, 2]
  %b = linalg.broadcast ins(%slope : tensor<4xf32>) outs(%e : tensor<?x4x8x8xf32>) dimensions = [0, 2, 3]
  %m = arith.mulf %t, %b : tensor<?x4x8x8xf32>
  %a = arith.addf %m, %s : tensor<?x4x8x8xf32>
  %f = tensor.empty(%n) : tensor<?x8x8x4xf32>
  %back = linalg.transpose ins(%a : tensor<?x4x8x8xf32>) outs(%f : tensor<?x8x8x4xf32>) permutation = [0, 2, 3, 1]
  %z = hwgq.conv2d %back, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
     : tensor<?x8x8x4xf32>, tensor<4x3x3x4xf32> -> tensor<?x8x8x4xf32>
  return %z : tensor<?x8x8x4xf32>
}

// What is done to the input before its transpose is done after it.
// CHECK-LABEL: @input
// CHECK: %[[T:.*]] = linalg.transpose ins(%arg0
// CHECK: %[[P:.*]] = arith.cmpf ogt, %[[T]]
// CHECK: %[[Y:.*]] = arith.uitofp %[[P]] : tensor<2x8x8x3xi1> to tensor<2x8x8x3xf32>
// CHECK: %[[Z:.*]] = arith.addf %[[Y]], %[[T]]
// CHECK: return %[[Z]]
func.func @input(%x: tensor<2x3x8x8xf32>) -> tensor<2x8x8x3xf32> {
  %zero = arith.constant dense<0.0> : tensor<f32>
  %e = tensor.empty() : tensor<2x3x8x8xf32>
  %b = linalg.broadcast ins(%zero : tensor<f32>) outs(%e : tensor<2x3x8x8xf32>) dimensions = [0, 1, 2, 3]
  %p = arith.cmpf ogt, %x, %b : tensor<2x3x8x8xf32>
  %y = arith.uitofp %p : tensor<2x3x8x8xi1> to tensor<2x3x8x8xf32>
  %s = arith.addf %y, %x : tensor<2x3x8x8xf32>
  %f = tensor.empty() : tensor<2x8x8x3xf32>
  %t = linalg.transpose ins(%s : tensor<2x3x8x8xf32>) outs(%f : tensor<2x8x8x3xf32>) permutation = [0, 2, 3, 1]
  return %t : tensor<2x8x8x3xf32>
}

// Flatten, a bias per feature, and a product: bias and weights are permuted.
// CHECK-LABEL: @flatten
// CHECK-DAG: %[[W:.*]] = arith.constant dense<{{\[\[}}1.000000e+00, 3.000000e+00, 2.000000e+00, 4.000000e+00]]> : tensor<1x4xf32>
// CHECK-DAG: %[[B:.*]] = arith.constant dense<{{.*}}5.000000e+00, 7.000000e+00{{.*}}6.000000e+00, 8.000000e+00{{.*}}> : tensor<1x2x2xf32>
// CHECK-NOT: linalg.transpose
// CHECK: %[[P:.*]] = hwgq.max_pool
// CHECK: %[[A:.*]] = arith.addf %[[P]]
// CHECK: %[[F:.*]] = tensor.collapse_shape %[[A]]
// CHECK: hwgq.matmul %[[F]], %[[W]]
func.func @flatten(%x: tensor<?x1x2x2xf32>) -> tensor<?x1xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x1x2x2xf32>
  %w = arith.constant dense<[[1.0, 2.0, 3.0, 4.0]]> : tensor<1x4xf32>
  %bias = arith.constant dense<[5.0, 6.0, 7.0, 8.0]> : tensor<4xf32>
  %p = hwgq.max_pool %x {kernel = array<i64: 3, 3>, strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>}
     : tensor<?x1x2x2xf32> -> tensor<?x1x2x2xf32>
  %e = tensor.empty(%n) : tensor<?x2x1x2xf32>
  %t = linalg.transpose ins(%p : tensor<?x1x2x2xf32>) outs(%e : tensor<?x2x1x2xf32>) permutation = [0, 3, 1, 2]
  %f = tensor.collapse_shape %t [[0], [1, 2, 3]] : tensor<?x2x1x2xf32> into tensor<?x4xf32>
  %g = tensor.empty(%n) : tensor<?x4xf32>
  %b = linalg.broadcast ins(%bias : tensor<4xf32>) outs(%g : tensor<?x4xf32>) dimensions = [0]
  %a = arith.addf %f, %b : tensor<?x4xf32>
  %y = hwgq.matmul %a, %w : tensor<?x4xf32>, tensor<1x4xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// A flattened input keeps the order of the graph, and so the order of sums.
// CHECK-LABEL: @flatten_input
// CHECK: %[[T:.*]] = linalg.transpose
// CHECK: %[[F:.*]] = tensor.collapse_shape %[[T]]
// CHECK: hwgq.matmul %[[F]]
func.func @flatten_input(%x: tensor<?x2x2x2xi8>) -> tensor<?x1xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x2x2x2xi8>
  %y = arith.uitofp %x : tensor<?x2x2x2xi8> to tensor<?x2x2x2xf32>
  %e = tensor.empty(%n) : tensor<?x2x2x2xf32>
  %c = arith.constant dense<[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]]> : tensor<1x8xf32>
  %t = linalg.transpose ins(%y : tensor<?x2x2x2xf32>) outs(%e : tensor<?x2x2x2xf32>) permutation = [0, 3, 1, 2]
  %f = tensor.collapse_shape %t [[0], [1, 2, 3]] : tensor<?x2x2x2xf32> into tensor<?x8xf32>
  %m = hwgq.matmul %f, %c : tensor<?x8xf32>, tensor<1x8xf32> -> tensor<?x1xf32>
  return %m : tensor<?x1xf32>
}

// Unsqueeze, batch norm, Squeeze.
// CHECK-LABEL: @unsqueeze
// CHECK-NOT: expand_shape
// CHECK: arith.mulf %arg0, %{{.*}} : tensor<?x4xf32>
// CHECK-NOT: collapse_shape
func.func @unsqueeze(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %slope = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %u = tensor.expand_shape %x [[0], [1, 2]] output_shape [%n, 4, 1] : tensor<?x4xf32> into tensor<?x4x1xf32>
  %e = tensor.empty(%n) : tensor<?x4x1xf32>
  %b = linalg.broadcast ins(%slope : tensor<4xf32>) outs(%e : tensor<?x4x1xf32>) dimensions = [0, 2]
  %m = arith.mulf %u, %b : tensor<?x4x1xf32>
  %s = tensor.collapse_shape %m [[0], [1, 2]] : tensor<?x4x1xf32> into tensor<?x4xf32>
  return %s : tensor<?x4xf32>
}

// A reduction reads the image as it lies.
// CHECK-LABEL: @reduction
// CHECK-NOT: linalg.transpose
// CHECK: linalg.generic {{.*}} ins(%arg0 : tensor<2x4x4x3xf32>)
func.func @reduction(%x: tensor<2x4x4x3xf32>, %init: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %e = tensor.empty() : tensor<2x3x4x4xf32>
  %t = linalg.transpose ins(%x : tensor<2x4x4x3xf32>) outs(%e : tensor<2x3x4x4xf32>) permutation = [0, 3, 1, 2]
  %y = linalg.generic {indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> (a, b)>],
                       iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
       ins(%t : tensor<2x3x4x4xf32>) outs(%init : tensor<2x3xf32>) {
  ^bb0(%in: f32, %acc: f32):
    %s = arith.addf %acc, %in : f32
    linalg.yield %s : f32
  } -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// A channel shuffle between two images: expand, transpose, collapse.
// CHECK-LABEL: @shuffle
// CHECK: tensor.expand_shape %arg0 {{\[\[}}0], [1], [2], [3, 4]]
// CHECK: linalg.transpose {{.*}} permutation = [0, 1, 2, 4, 3]
// CHECK: tensor.collapse_shape
// CHECK-NOT: linalg.transpose
// CHECK: return
func.func @shuffle(%x: tensor<2x4x4x6xf32>) -> tensor<2x4x4x6xf32> {
  %e = tensor.empty() : tensor<2x6x4x4xf32>
  %t = linalg.transpose ins(%x : tensor<2x4x4x6xf32>) outs(%e : tensor<2x6x4x4xf32>) permutation = [0, 3, 1, 2]
  %g = tensor.expand_shape %t [[0], [1, 2], [3], [4]] output_shape [2, 2, 3, 4, 4] : tensor<2x6x4x4xf32> into tensor<2x2x3x4x4xf32>
  %h = tensor.empty() : tensor<2x3x2x4x4xf32>
  %s = linalg.transpose ins(%g : tensor<2x2x3x4x4xf32>) outs(%h : tensor<2x3x2x4x4xf32>) permutation = [0, 2, 1, 3, 4]
  %c = tensor.collapse_shape %s [[0], [1, 2], [3], [4]] : tensor<2x3x2x4x4xf32> into tensor<2x6x4x4xf32>
  %f = tensor.empty() : tensor<2x4x4x6xf32>
  %y = linalg.transpose ins(%c : tensor<2x6x4x4xf32>) outs(%f : tensor<2x4x4x6xf32>) permutation = [0, 2, 3, 1]
  return %y : tensor<2x4x4x6xf32>
}

// A product of two activations takes the transposes around it: heads stay where they lie.
// CHECK-LABEL: @product
// CHECK-NOT: linalg.transpose
// CHECK: linalg.generic {indexing_maps = [#[[$X:.*]], #[[$W:.*]], #[[$Y:.*]]], {{.*}} ins(%arg0, %arg1 : tensor<2x4x6x7xf32>, tensor<2x7x4x5xf32>)
// CHECK: -> tensor<2x6x4x5xf32>
// CHECK: tensor.collapse_shape
func.func @product(%x: tensor<2x4x6x7xf32>, %w: tensor<2x7x4x5xf32>) -> tensor<2x6x20xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x4x7x5xf32>
  %t = linalg.transpose ins(%w : tensor<2x7x4x5xf32>) outs(%e : tensor<2x4x7x5xf32>) permutation = [0, 2, 1, 3]
  %init = tensor.empty() : tensor<2x4x6x5xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%init : tensor<2x4x6x5xf32>) -> tensor<2x4x6x5xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(b, h, m, n, k) -> (b, h, m, k)>, affine_map<(b, h, m, n, k) -> (b, h, k, n)>, affine_map<(b, h, m, n, k) -> (b, h, m, n)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
       ins(%x, %t : tensor<2x4x6x7xf32>, tensor<2x4x7x5xf32>) outs(%fill : tensor<2x4x6x5xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %f = math.fma %a, %b, %sum : f32
    linalg.yield %f : f32
  } -> tensor<2x4x6x5xf32>
  %h = tensor.empty() : tensor<2x6x4x5xf32>
  %s = linalg.transpose ins(%y : tensor<2x4x6x5xf32>) outs(%h : tensor<2x6x4x5xf32>) permutation = [0, 2, 1, 3]
  %c = tensor.collapse_shape %s [[0], [1], [2, 3]] : tensor<2x6x4x5xf32> into tensor<2x6x20xf32>
  return %c : tensor<2x6x20xf32>
}

// -----

// A transposed mask is a constant.
// CHECK-LABEL: @mask
// CHECK: arith.constant dense<{{\[\[}}true, false], [false, false], [true, true]]> : tensor<3x2xi1>
// CHECK-NOT: linalg.transpose
func.func @mask(%x: tensor<3x2xf32>, %y: tensor<3x2xf32>, %init: tensor<3x2xi1>) -> tensor<3x2xf32> {
  %m = arith.constant dense<[[true, false, true], [false, false, true]]> : tensor<2x3xi1>
  %t = linalg.transpose ins(%m : tensor<2x3xi1>) outs(%init : tensor<3x2xi1>) permutation = [1, 0]
  %r = arith.select %t, %x, %y : tensor<3x2xi1>, tensor<3x2xf32>
  return %r : tensor<3x2xf32>
}
