// RUN: hwgq-opt %s --split-input-file --hwgq-recognize-codes | FileCheck %s

// Binary weights per channel; one scale per channel behind the sum.
// CHECK-LABEL: @binary
// CHECK: %[[W:.*]] = hwgq.constant dense<89> : tensor<1xi8> as tensor<2x4x!hwgq.code<b1>>
// CHECK: %[[A:.*]] = hwgq.matmul %arg0, %[[W]] : tensor<?x4x!hwgq.code<u2>>, tensor<2x4x!hwgq.code<b1>> -> tensor<?x2xi32>
// CHECK: hwgq.affine %[[A]] {scale = array<f32: 2.500000e-01, 1.000000e+00>}
func.func @binary(%q: tensor<?x4x!hwgq.code<u2>>) -> tensor<?x2xf32> {
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x4x!hwgq.code<u2>>
  %w = arith.constant dense<[[0.5, -0.5, -0.5, 0.5], [2.0, -2.0, 2.0, -2.0]]> : tensor<2x4xf32>
  %y = hwgq.matmul %x, %w : tensor<?x4xf32>, tensor<2x4xf32> -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

// -----

// Zeros make it ternary; a channel of zeros has any numbers and the scale 0.
// CHECK-LABEL: @ternary
// CHECK: hwgq.constant {{.*}} as tensor<3x4x!hwgq.code<u2, -1, 1>>
// CHECK: hwgq.affine %{{.*}} {scale = array<f32: 5.000000e-01, 2.000000e+00, 0.000000e+00>}
func.func @ternary(%q: tensor<?x4x!hwgq.code<b1>>) -> tensor<?x3xf32> {
  %x = hwgq.affine %q {scale = array<f32: 1.0>} : tensor<?x4x!hwgq.code<b1>>
  %w = arith.constant dense<[[0.5, -0.0, -0.5, 0.5], [2.0, -2.0, 0.0, -2.0], [0.0, 0.0, 0.0, -0.0]]> : tensor<3x4xf32>
  %y = hwgq.matmul %x, %w : tensor<?x4xf32>, tensor<3x4xf32> -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}

// -----

// -3, -1, 1, 3 times one scale.
// CHECK-LABEL: @dorefa_weights
// CHECK: hwgq.constant {{.*}} as tensor<1x4x!hwgq.code<u2, -3, 2>>
func.func @dorefa_weights(%q: tensor<?x4x!hwgq.code<u2>>) -> tensor<?x1xf32> {
  %x = hwgq.affine %q {scale = array<f32: 1.0>} : tensor<?x4x!hwgq.code<u2>>
  %w = arith.constant dense<[[1.0, -1.0, -0.333333343, 0.333333343]]> : tensor<1x4xf32>
  %y = hwgq.matmul %x, %w : tensor<?x4xf32>, tensor<1x4xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// Residues of a straight-through estimator are within 2^-16 of the largest.
// CHECK-LABEL: @residue
// CHECK: hwgq.constant {{.*}} as tensor<1x4x!hwgq.code<b1>>
// CHECK: hwgq.affine %{{.*}} {scale = array<f32: 5.000000e-01>}
func.func @residue(%q: tensor<?x4x!hwgq.code<u2>>) -> tensor<?x1xf32> {
  %x = hwgq.affine %q {scale = array<f32: 1.0>} : tensor<?x4x!hwgq.code<u2>>
  %w = arith.constant dense<[[0.5, -0.499999, -0.5, 0.499998]]> : tensor<1x4xf32>
  %y = hwgq.matmul %x, %w : tensor<?x4xf32>, tensor<1x4xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// {-a, 0, b}: one plane for each side, -a first.
// CHECK-LABEL: @ttq
// CHECK-DAG: %[[N:.*]] = hwgq.constant dense<[{{.*}}]> : tensor<2xi8> as tensor<1x9x!hwgq.code<u1>>
// CHECK: %[[A0:.*]] = hwgq.matmul %arg0
// CHECK: %[[F0:.*]] = arith.sitofp %[[A0]]
// CHECK: %[[V0:.*]] = math.fma %[[F0]]
// CHECK: %[[A1:.*]] = hwgq.matmul %arg0
// CHECK: %[[F1:.*]] = arith.sitofp %[[A1]]
// CHECK: %[[V1:.*]] = math.fma %[[F1]], %{{.*}}, %[[V0]]
// CHECK: return %[[V1]]
func.func @ttq(%q: tensor<?x9x!hwgq.code<u2>>) -> tensor<?x1xf32> {
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x9x!hwgq.code<u2>>
  %w = arith.constant dense<[[0.371234, 0.0, -0.5121, 0.371234, -0.5121, -0.5121, 0.0, 0.0, 0.371234]]> : tensor<1x9xf32>
  %y = hwgq.matmul %x, %w : tensor<?x9xf32>, tensor<1x9xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// Float input: the codes of the weights enter as n, the scale comes once.
// CHECK-LABEL: @float_input
// CHECK: %[[A:.*]] = hwgq.matmul %arg0, %{{.*}} {hwgq.reason = "the input is float"} : tensor<?x4xf32>, tensor<1x4x!hwgq.code<b1>> -> tensor<?x1xf32>
// CHECK: arith.mulf %[[A]]
func.func @float_input(%x: tensor<?x4xf32>) -> tensor<?x1xf32> {
  %w = arith.constant dense<[[0.25, -0.25, -0.25, 0.25]]> : tensor<1x4xf32>
  %y = hwgq.matmul %x, %w : tensor<?x4xf32>, tensor<1x4xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// CHECK-LABEL: @float_weights
// CHECK: hwgq.matmul %arg0, %{{.*}} {hwgq.reason = "the weights are not on a grid of 8 bits or fewer"} : tensor<?x4x!hwgq.code<u2>>, tensor<1x4xf32> -> tensor<?x1xf32>
func.func @float_weights(%q: tensor<?x4x!hwgq.code<u2>>) -> tensor<?x1xf32> {
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x4x!hwgq.code<u2>>
  %w = arith.constant dense<[[0.2512, -0.73123, 1.271371, 0.2912]]> : tensor<1x4xf32>
  %y = hwgq.matmul %x, %w : tensor<?x4xf32>, tensor<1x4xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// The affine map moves behind pool, border and flatten; the matmul on the
// flattened image is a convolution.
// CHECK-LABEL: @movement
// CHECK: %[[P:.*]] = hwgq.max_pool %arg0
// CHECK: %[[B:.*]] = hwgq.pad %[[P]] {{.*}}value = -1 : i32
// CHECK: %[[Y:.*]] = hwgq.conv2d %[[B]], %{{.*}} : tensor<?x3x3x2x!hwgq.code<b1>>, tensor<1x3x3x2x!hwgq.code<u1>> -> tensor<?x1x1x1xi32>
// CHECK: tensor.collapse_shape %[[Y]]
// CHECK: hwgq.affine
func.func @movement(%q: tensor<?x4x4x2x!hwgq.code<b1>>) -> tensor<?x1xf32> {
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x4x4x2x!hwgq.code<b1>>
  %p = hwgq.max_pool %x {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>} : tensor<?x4x4x2xf32> -> tensor<?x2x2x2xf32>
  %b = hwgq.pad %p {low = array<i64: 0, 1, 1, 0>, high = array<i64: 0, 0, 0, 0>, value = -0.5 : f32} : tensor<?x2x2x2xf32> -> tensor<?x3x3x2xf32>
  %f = tensor.collapse_shape %b [[0], [1, 2, 3]] : tensor<?x3x3x2xf32> into tensor<?x18xf32>
  %w = arith.constant dense<1.0> : tensor<1x18xf32>
  %y = hwgq.matmul %f, %w : tensor<?x18xf32>, tensor<1x18xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// Pooling under a negative scale takes the minimum of the codes.
// CHECK-LABEL: @negative_scale
// CHECK: hwgq.max_pool %arg0 {{.*}}falling = array<i1: false, true>
func.func @negative_scale(%q: tensor<?x4x4x2x!hwgq.code<u2>>) -> tensor<?x2x2x2xf32> {
  %x = hwgq.affine %q {scale = array<f32: 0.5, -0.5>} : tensor<?x4x4x2x!hwgq.code<u2>>
  %p = hwgq.max_pool %x {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>} : tensor<?x4x4x2xf32> -> tensor<?x2x2x2xf32>
  return %p : tensor<?x2x2x2xf32>
}

// -----

// A zero border in front of a convolution is its padding.
// CHECK-LABEL: @zero_border
// CHECK-NOT: hwgq.pad
// CHECK: hwgq.conv2d %arg0, %{{.*}} {{.*}}pads = array<i64: 1, 1, 1, 1>{{.*}} -> tensor<?x4x4x1xi32>
func.func @zero_border(%q: tensor<?x4x4x2x!hwgq.code<b1>>) -> tensor<?x4x4x1xf32> {
  %x = hwgq.affine %q {scale = array<f32: 1.0>} : tensor<?x4x4x2x!hwgq.code<b1>>
  %b = hwgq.pad %x {low = array<i64: 0, 1, 1, 0>, high = array<i64: 0, 1, 1, 0>, value = 0.0 : f32} : tensor<?x4x4x2xf32> -> tensor<?x6x6x2xf32>
  %w = arith.constant dense<1.0> : tensor<1x3x3x2xf32>
  %y = hwgq.conv2d %b, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64} : tensor<?x6x6x2xf32>, tensor<1x3x3x2xf32> -> tensor<?x4x4x1xf32>
  return %y : tensor<?x4x4x1xf32>
}

// -----

// Levels 0, a, b that no grid holds: one plane a step, lowest first.
// CHECK-LABEL: @planes
// CHECK: hwgq.quantize %arg0 {step = #hwgq.step<[gt 0.0e+00], values = [0, 1], nan = 0>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<u1>>
// CHECK: hwgq.quantize %arg0 {step = #hwgq.step<[gt 9.0e-01], values = [0, 1], nan = 0>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<u1>>
// CHECK-COUNT-2: math.fma
func.func @planes(%x: tensor<?x4xf32>, %init: tensor<?x4xf32>) -> tensor<?x1xf32> {
  %t0 = arith.constant dense<0.0> : tensor<f32>
  %t1 = arith.constant dense<0.9> : tensor<f32>
  %l1 = arith.constant dense<0.4531> : tensor<f32>
  %l2 = arith.constant dense<1.51027> : tensor<f32>
  %T0 = linalg.broadcast ins(%t0 : tensor<f32>) outs(%init : tensor<?x4xf32>) dimensions = [0, 1]
  %T1 = linalg.broadcast ins(%t1 : tensor<f32>) outs(%init : tensor<?x4xf32>) dimensions = [0, 1]
  %L1 = linalg.broadcast ins(%l1 : tensor<f32>) outs(%init : tensor<?x4xf32>) dimensions = [0, 1]
  %L2 = linalg.broadcast ins(%l2 : tensor<f32>) outs(%init : tensor<?x4xf32>) dimensions = [0, 1]
  %c0 = arith.cmpf ogt, %x, %T0 : tensor<?x4xf32>
  %c1 = arith.cmpf ogt, %x, %T1 : tensor<?x4xf32>
  %a = arith.select %c0, %L1, %T0 : tensor<?x4xi1>, tensor<?x4xf32>
  %q = arith.select %c1, %L2, %a : tensor<?x4xi1>, tensor<?x4xf32>
  %w = arith.constant dense<[[0.25, -0.25, -0.25, 0.25]]> : tensor<1x4xf32>
  %y = hwgq.matmul %q, %w : tensor<?x4xf32>, tensor<1x4xf32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// A divisor that is a tensor, one for each token, is taken out of the sum.
// CHECK-LABEL: @scale_of_a_row
// CHECK: %[[ROWS:.*]] = tensor.collapse_shape %arg0 {{\[\[}}0, 1], [2]] : tensor<2x3x4x!hwgq.code<s8>> into tensor<6x4x!hwgq.code<s8>>
// CHECK: %[[SUM:.*]] = hwgq.matmul %[[ROWS]], %{{.*}} -> tensor<6x1xi32>
// CHECK: %[[Y:.*]] = hwgq.affine %[[SUM]]
// CHECK: %[[SCALE:.*]] = tensor.collapse_shape %arg1 {{\[\[}}0, 1]] : tensor<2x3xf32> into tensor<6xf32>
// CHECK: %[[ALL:.*]] = linalg.broadcast ins(%[[SCALE]] : tensor<6xf32>) {{.*}} dimensions = [1]
// CHECK: arith.divf %[[Y]], %[[ALL]] : tensor<6x1xf32>
func.func @scale_of_a_row(%q: tensor<2x3x4x!hwgq.code<s8>>, %s: tensor<2x3xf32>, %init: tensor<2x3x4xf32>) -> tensor<6x1xf32> {
  %n = hwgq.affine %q {scale = array<f32: 1.0>} : tensor<2x3x4x!hwgq.code<s8>>
  %S = linalg.broadcast ins(%s : tensor<2x3xf32>) outs(%init : tensor<2x3x4xf32>) dimensions = [2]
  %x = arith.divf %n, %S : tensor<2x3x4xf32>
  %m = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %w = arith.constant dense<[[0.25, -0.25, -0.25, 0.25]]> : tensor<1x4xf32>
  %y = hwgq.matmul %m, %w : tensor<6x4xf32>, tensor<1x4xf32> -> tensor<6x1xf32>
  return %y : tensor<6x1xf32>
}

// -----

// Queries and keys with their heads inside: a product on codes, in the order in which both lie; the transpose of codes is
// a part of it.
// CHECK-LABEL: @heads
// CHECK: hwgq.product %arg0, %arg1 {input_dims = array<i64: 0, 2, 1, 4>, weight_dims = array<i64: 0, 3, 1, 4>} : tensor<?x7x2x5x!hwgq.code<u2>>, tensor<?x9x2x5x!hwgq.code<b1>> -> tensor<?x2x7x9xi32>
// CHECK: hwgq.affine %{{.*}} {scale = array<f32: 1.250000e-01>} : tensor<?x2x7x9xi32>
func.func @heads(%q: tensor<?x7x2x5x!hwgq.code<u2>>, %k: tensor<?x9x2x5x!hwgq.code<b1>>, %e: tensor<?x2x5x9xf32>, %init: tensor<?x2x7x9xf32>) -> tensor<?x2x7x9xf32> {
  %zero = arith.constant 0.0 : f32
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x7x2x5x!hwgq.code<u2>>
  %w = hwgq.affine %k {scale = array<f32: 0.25>} : tensor<?x9x2x5x!hwgq.code<b1>>
  %t = linalg.transpose ins(%w : tensor<?x9x2x5xf32>) outs(%e : tensor<?x2x5x9xf32>) permutation = [0, 2, 3, 1]
  %fill = linalg.fill ins(%zero : f32) outs(%init : tensor<?x2x7x9xf32>) -> tensor<?x2x7x9xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(b, h, m, n, k) -> (b, m, h, k)>, affine_map<(b, h, m, n, k) -> (b, h, k, n)>, affine_map<(b, h, m, n, k) -> (b, h, m, n)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
       ins(%x, %t : tensor<?x7x2x5xf32>, tensor<?x2x5x9xf32>) outs(%fill : tensor<?x2x7x9xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %f = math.fma %a, %b, %sum : f32
    linalg.yield %f : f32
  } -> tensor<?x2x7x9xf32>
  return %y : tensor<?x2x7x9xf32>
}

// -----

// One that changes along the sum stays.
// CHECK-LABEL: @scale_of_a_column
// CHECK: arith.divf %{{.*}} : tensor<6x4xf32>
// CHECK: hwgq.matmul %{{.*}} -> tensor<6x1xf32>
func.func @scale_of_a_column(%q: tensor<6x4x!hwgq.code<s8>>, %s: tensor<4xf32>, %init: tensor<6x4xf32>) -> tensor<6x1xf32> {
  %n = hwgq.affine %q {scale = array<f32: 1.0>} : tensor<6x4x!hwgq.code<s8>>
  %S = linalg.broadcast ins(%s : tensor<4xf32>) outs(%init : tensor<6x4xf32>) dimensions = [0]
  %x = arith.divf %n, %S : tensor<6x4xf32>
  %w = arith.constant dense<[[0.25, -0.25, -0.25, 0.25]]> : tensor<1x4xf32>
  %y = hwgq.matmul %x, %w : tensor<6x4xf32>, tensor<1x4xf32> -> tensor<6x1xf32>
  return %y : tensor<6x1xf32>
}

// -----

// One operand is float: the chain stays, and says why.
// CHECK-LABEL: @float_keys
// CHECK: linalg.generic {{.*}}hwgq.reason = "the input is float"
func.func @float_keys(%q: tensor<2x7x5x!hwgq.code<u2>>, %k: tensor<2x5x9xf32>, %init: tensor<2x7x9xf32>) -> tensor<2x7x9xf32> {
  %zero = arith.constant 0.0 : f32
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<2x7x5x!hwgq.code<u2>>
  %fill = linalg.fill ins(%zero : f32) outs(%init : tensor<2x7x9xf32>) -> tensor<2x7x9xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>, affine_map<(b, m, n, k) -> (b, k, n)>, affine_map<(b, m, n, k) -> (b, m, n)>],
                       iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
       ins(%x, %k : tensor<2x7x5xf32>, tensor<2x5x9xf32>) outs(%fill : tensor<2x7x9xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %f = math.fma %a, %b, %sum : f32
    linalg.yield %f : f32
  } -> tensor<2x7x9xf32>
  return %y : tensor<2x7x9xf32>
}

// -----

// Scales along the dimension that is summed, on the right: no codes.
// CHECK-LABEL: @scaled_terms
// CHECK: hwgq.matmul {{.*}}hwgq.reason = "the input has a scale per channel"{{.*}} -> tensor<3x2xf32>
func.func @scaled_terms(%q: tensor<3x2x!hwgq.code<u2>>, %k: tensor<2x2x!hwgq.code<u2>>) -> tensor<3x2xf32> {
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<3x2x!hwgq.code<u2>>
  %w = hwgq.affine %k {scale = array<f32: 0.5, 0.25>} : tensor<2x2x!hwgq.code<u2>>
  %y = hwgq.matmul %x, %w : tensor<3x2xf32>, tensor<2x2xf32> -> tensor<3x2xf32>
  return %y : tensor<3x2xf32>
}
