// RUN: hwgq-opt %s --split-input-file --hwgq-fold-thresholds=verify-folding | FileCheck %s
// RUN: hwgq-opt %s --split-input-file --hwgq-fold-thresholds -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// Rising, falling, constant and denormal slopes; sums from 0 to 12.
// CHECK-LABEL: @directions
// CHECK: %[[A:.*]] = hwgq.matmul
// CHECK: hwgq.threshold %[[A]] {direction = array<i8: 1, -1, 0, 1>, thresholds = dense<{{\[\[}}3, 6, 9], [2, -1, -1], [3, 3, 3], [1, 13, 13]]> : tensor<4x3xi32>} : tensor<?x4xi32> -> tensor<?x4x!hwgq.code<u2>>
// CHECK-NOT: arith
func.func @directions(%q: tensor<?x4x!hwgq.code<u2>>, %init: tensor<?x4xf32>) -> tensor<?x4x!hwgq.code<u2>> {
  %w = hwgq.constant dense<[-1, -1]> : tensor<2xi8> as tensor<4x4x!hwgq.code<b1>>
  %acc = hwgq.matmul %q, %w : tensor<?x4x!hwgq.code<u2>>, tensor<4x4x!hwgq.code<b1>> -> tensor<?x4xi32>
  %x = hwgq.affine %acc {scale = array<f32: 1.0>} : tensor<?x4xi32>
  %a = arith.constant dense<[0.333333343, -0.333333343, 0.0, 1.0e-45]> : tensor<4xf32>
  %b = arith.constant dense<[-0.25, 1.25, 7.0, 0.5]> : tensor<4xf32>
  %A = linalg.broadcast ins(%a : tensor<4xf32>) outs(%init : tensor<?x4xf32>) dimensions = [0]
  %B = linalg.broadcast ins(%b : tensor<4xf32>) outs(%init : tensor<?x4xf32>) dimensions = [0]
  %x0 = arith.mulf %x, %A : tensor<?x4xf32>
  %zero = arith.constant dense<[0.0, 0.0, 0.0, 1.0e-45]> : tensor<4xf32>
  %Z = linalg.broadcast ins(%zero : tensor<4xf32>) outs(%init : tensor<?x4xf32>) dimensions = [0]
  %neg = arith.cmpf oge, %x0, %Z : tensor<?x4xf32>
  %keep = arith.constant dense<[1.0, 1.0, 1.0, 1.0]> : tensor<4xf32>
  %K = linalg.broadcast ins(%keep : tensor<4xf32>) outs(%init : tensor<?x4xf32>) dimensions = [0]
  %low = arith.constant dense<[1.0, 1.0, 1.0, 0.0]> : tensor<4xf32>
  %L = linalg.broadcast ins(%low : tensor<4xf32>) outs(%init : tensor<?x4xf32>) dimensions = [0]
  %f = arith.select %neg, %K, %L : tensor<?x4xi1>, tensor<?x4xf32>
  %x1 = arith.addf %x0, %B : tensor<?x4xf32>
  %y = arith.mulf %x1, %f : tensor<?x4xf32>
  %r = hwgq.quantize %y {step = #hwgq.step<[ge 0.5, gt 1.5, ge 2.5], values = [0, 1, 2, 3], nan = 0>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<u2>>
  return %r : tensor<?x4x!hwgq.code<u2>>
}

// -----

// The pool moves behind the threshold: maxima where codes rise with the pooled
// value, minima where they fall.
// CHECK-LABEL: @pool
// CHECK: %[[A:.*]] = hwgq.conv2d
// CHECK: %[[T:.*]] = hwgq.threshold %[[A]] {direction = array<i8: 1, -1>
// CHECK: hwgq.max_pool %[[T]] {{.*}}falling = array<i1: false, true>
func.func @pool(%q: tensor<?x4x4x2x!hwgq.code<b1>>, %init: tensor<?x2x2x2xf32>) -> tensor<?x2x2x2x!hwgq.code<b1>> {
  %w = hwgq.constant dense<5> : tensor<1xi8> as tensor<2x1x1x2x!hwgq.code<b1>>
  %acc = hwgq.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64} : tensor<?x4x4x2x!hwgq.code<b1>>, tensor<2x1x1x2x!hwgq.code<b1>> -> tensor<?x4x4x2xi32>
  %x = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x4x4x2xi32>
  %p = hwgq.max_pool %x {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>} : tensor<?x4x4x2xf32> -> tensor<?x2x2x2xf32>
  %a = arith.constant dense<[2.0, -2.0]> : tensor<2xf32>
  %A = linalg.broadcast ins(%a : tensor<2xf32>) outs(%init : tensor<?x2x2x2xf32>) dimensions = [0, 1, 2]
  %y = arith.mulf %p, %A : tensor<?x2x2x2xf32>
  %r = hwgq.quantize %y {step = #hwgq.sign<">">} : tensor<?x2x2x2xf32> -> tensor<?x2x2x2x!hwgq.code<b1>>
  return %r : tensor<?x2x2x2x!hwgq.code<b1>>
}

// -----

// Each operand of the concatenation takes its part of the constants.
// CHECK-LABEL: @concat
// CHECK: %[[T0:.*]] = hwgq.threshold %{{.*}} {direction = array<i8: 1>, thresholds = dense<1> : tensor<1x1xi32>} : tensor<?x2xi32>
// CHECK: %[[T1:.*]] = hwgq.threshold %{{.*}} {direction = array<i8: -1>, thresholds = dense<1> : tensor<1x1xi32>} : tensor<?x2xi32>
// CHECK: tensor.concat dim(1) %[[T0]], %[[T1]]
func.func @concat(%q: tensor<?x2x!hwgq.code<b1>>, %init: tensor<?x4xf32>) -> tensor<?x4x!hwgq.code<b1>> {
  %w = hwgq.constant dense<5> : tensor<1xi8> as tensor<2x2x!hwgq.code<b1>>
  %acc = hwgq.matmul %q, %w : tensor<?x2x!hwgq.code<b1>>, tensor<2x2x!hwgq.code<b1>> -> tensor<?x2xi32>
  %x0 = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x2xi32>
  %x1 = hwgq.affine %acc {scale = array<f32: 0.25>} : tensor<?x2xi32>
  %c = tensor.concat dim(1) %x0, %x1 : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x4xf32>
  %b = arith.constant dense<[-0.5, -0.5, -0.25, -0.25]> : tensor<4xf32>
  %s = arith.constant dense<[1.0, 1.0, -1.0, -1.0]> : tensor<4xf32>
  %B = linalg.broadcast ins(%b : tensor<4xf32>) outs(%init : tensor<?x4xf32>) dimensions = [0]
  %S = linalg.broadcast ins(%s : tensor<4xf32>) outs(%init : tensor<?x4xf32>) dimensions = [0]
  %y0 = arith.addf %c, %B : tensor<?x4xf32>
  %y = arith.mulf %y0, %S : tensor<?x4xf32>
  %r = hwgq.quantize %y {step = #hwgq.sign<">=">} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<b1>>
  return %r : tensor<?x4x!hwgq.code<b1>>
}

// -----

// Constants of each element behind a flattened image.
// CHECK-LABEL: @flattened
// CHECK: %[[F:.*]] = tensor.collapse_shape %{{.*}} : tensor<?x1x2x2xi32> into tensor<?x4xi32>
// CHECK: hwgq.threshold %[[F]] {direction = array<i8: 1, 1, 1, 1>, thresholds = dense<{{\[\[}}-1], [1], [1], [2]]> : tensor<4x1xi32>}
func.func @flattened(%q: tensor<?x1x2x2x!hwgq.code<b1>>, %init: tensor<?x4xf32>) -> tensor<?x4x!hwgq.code<b1>> {
  %w = hwgq.constant dense<5> : tensor<1xi8> as tensor<2x1x1x2x!hwgq.code<b1>>
  %acc = hwgq.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64} : tensor<?x1x2x2x!hwgq.code<b1>>, tensor<2x1x1x2x!hwgq.code<b1>> -> tensor<?x1x2x2xi32>
  %x = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x1x2x2xi32>
  %c = tensor.collapse_shape %x [[0], [1, 2, 3]] : tensor<?x1x2x2xf32> into tensor<?x4xf32>
  %b = arith.constant dense<[0.5, -0.25, -0.5, -1.0]> : tensor<4xf32>
  %B = linalg.broadcast ins(%b : tensor<4xf32>) outs(%init : tensor<?x4xf32>) dimensions = [0]
  %y = arith.addf %c, %B : tensor<?x4xf32>
  %r = hwgq.quantize %y {step = #hwgq.sign<">=">} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<b1>>
  return %r : tensor<?x4x!hwgq.code<b1>>
}

// -----

// Preprocessing of bytes and what follows it: a function of 256 numbers a
// channel. Signed ones count from -128.
// CHECK-LABEL: @bytes
// CHECK: %[[U:.*]] = arith.extui %arg0 : tensor<?x2xi8> to tensor<?x2xi32>
// CHECK: hwgq.threshold %[[U]] {direction = array<i8: 1, -1>, thresholds = dense<{{\[\[}}64, 192], [192, 64]]> : tensor<2x2xi32>}
// CHECK: %[[S:.*]] = arith.extsi %arg1 : tensor<?x2xi8> to tensor<?x2xi32>
// CHECK: hwgq.threshold %[[S]] {direction = array<i8: 1>, thresholds = dense<{{\[\[}}-1, 1]]> : tensor<1x2xi32>}
func.func @bytes(%x: tensor<?x2xi8>, %y: tensor<?x2xi8>, %init: tensor<?x2xf32>) -> (tensor<?x2x!hwgq.code<u2>>, tensor<?x2x!hwgq.code<u2>>) {
  %s = arith.constant dense<[64.0, -64.0]> : tensor<2xf32>
  %m = arith.constant dense<[1.0, -3.0]> : tensor<2xf32>
  %S = linalg.broadcast ins(%s : tensor<2xf32>) outs(%init : tensor<?x2xf32>) dimensions = [0]
  %M = linalg.broadcast ins(%m : tensor<2xf32>) outs(%init : tensor<?x2xf32>) dimensions = [0]
  %a = arith.uitofp %x : tensor<?x2xi8> to tensor<?x2xf32>
  %b = arith.divf %a, %S : tensor<?x2xf32>
  %c = arith.subf %b, %M : tensor<?x2xf32>
  %q = hwgq.quantize %c {step = #hwgq.step<[ge 0.0, ge 2.0], values = [0, 1, 2], nan = 0>} : tensor<?x2xf32> -> tensor<?x2x!hwgq.code<u2>>
  %d = arith.sitofp %y : tensor<?x2xi8> to tensor<?x2xf32>
  %r = hwgq.quantize %d {step = #hwgq.step<[gt -1.5, ge 0.5], values = [0, 1, 2], nan = 0>} : tensor<?x2xf32> -> tensor<?x2x!hwgq.code<u2>>
  return %q, %r : tensor<?x2x!hwgq.code<u2>>, tensor<?x2x!hwgq.code<u2>>
}

// -----

// Bytes are brought to the order of a flattened image before their thresholds;
// those of one channel lie side by side.
// CHECK-LABEL: @flattened_bytes
// CHECK: %[[U:.*]] = arith.extui %arg0
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[U]] {{.*}} permutation = [0, 3, 1, 2]
// CHECK: %[[F:.*]] = tensor.collapse_shape %[[T]]
// CHECK: %[[Q:.*]] = hwgq.threshold %[[F]] {direction = array<i8: 1, 1, 1, 1>, thresholds = dense<{{\[\[}}10], [10], [20], [20]]> : tensor<4x1xi32>}
// CHECK: return %[[Q]]
func.func @flattened_bytes(%x: tensor<?x1x2x2xi8>, %init: tensor<?x1x2x2xf32>, %turned: tensor<?x2x1x2xf32>) -> tensor<?x4x!hwgq.code<b1>> {
  %m = arith.constant dense<[10.0, 20.0]> : tensor<2xf32>
  %M = linalg.broadcast ins(%m : tensor<2xf32>) outs(%init : tensor<?x1x2x2xf32>) dimensions = [0, 1, 2]
  %a = arith.uitofp %x : tensor<?x1x2x2xi8> to tensor<?x1x2x2xf32>
  %b = arith.subf %a, %M : tensor<?x1x2x2xf32>
  %t = linalg.transpose ins(%b : tensor<?x1x2x2xf32>) outs(%turned : tensor<?x2x1x2xf32>) permutation = [0, 3, 1, 2]
  %f = tensor.collapse_shape %t [[0], [1, 2, 3]] : tensor<?x2x1x2xf32> into tensor<?x4xf32>
  %q = hwgq.quantize %f {step = #hwgq.sign<">=">} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<b1>>
  return %q : tensor<?x4x!hwgq.code<b1>>
}

// -----

// PACT's .5 * (|x| - |x - a| + a) rises, though no rule says so.
// CHECK-LABEL: @pact
// CHECK: hwgq.threshold %{{.*}} {direction = array<i8: 1>, thresholds = dense<{{\[\[}}1, 2, 3]]> : tensor<1x3xi32>} : tensor<?x2xi32> -> tensor<?x2x!hwgq.code<u2>>
func.func @pact(%q: tensor<?x4x!hwgq.code<u2>>, %init: tensor<?x2xf32>) -> tensor<?x2x!hwgq.code<u2>> {
  %w = hwgq.constant dense<-1> : tensor<1xi8> as tensor<2x4x!hwgq.code<b1>>
  %acc = hwgq.matmul %q, %w : tensor<?x4x!hwgq.code<u2>>, tensor<2x4x!hwgq.code<b1>> -> tensor<?x2xi32>
  %x = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x2xi32>
  %c = arith.constant dense<1.5> : tensor<f32>
  %h = arith.constant dense<0.5> : tensor<f32>
  %C = linalg.broadcast ins(%c : tensor<f32>) outs(%init : tensor<?x2xf32>) dimensions = [0, 1]
  %H = linalg.broadcast ins(%h : tensor<f32>) outs(%init : tensor<?x2xf32>) dimensions = [0, 1]
  %a = math.absf %x : tensor<?x2xf32>
  %d = arith.subf %x, %C : tensor<?x2xf32>
  %e = math.absf %d : tensor<?x2xf32>
  %s = arith.subf %a, %e : tensor<?x2xf32>
  %t = arith.addf %s, %C : tensor<?x2xf32>
  %y = arith.mulf %t, %H : tensor<?x2xf32>
  %r = hwgq.quantize %y {step = #hwgq.step<[ge 0.25, ge 0.75, ge 1.25], values = [0, 1, 2, 3], nan = 0>} : tensor<?x2xf32> -> tensor<?x2x!hwgq.code<u2>>
  return %r : tensor<?x2x!hwgq.code<u2>>
}

// -----

// Codes of codes: nothing is left.
// CHECK-LABEL: @identity
// CHECK-NEXT: return %arg0
func.func @identity(%q: tensor<?x2x!hwgq.code<u2>>) -> tensor<?x2x!hwgq.code<u2>> {
  %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x2x!hwgq.code<u2>>
  %r = hwgq.quantize %x {step = #hwgq.step<[ge 0.25, ge 0.75, ge 1.25], values = [0, 1, 2, 3], nan = 0>} : tensor<?x2xf32> -> tensor<?x2x!hwgq.code<u2>>
  return %r : tensor<?x2x!hwgq.code<u2>>
}

// -----

// REMARK: remark: not folded to thresholds: its input is an input of the network
// CHECK-LABEL: @float
// CHECK: hwgq.quantize
func.func @float(%x: tensor<?x2xf32>) -> tensor<?x2x!hwgq.code<b1>> {
  %r = hwgq.quantize %x {step = #hwgq.sign<">=">} : tensor<?x2xf32> -> tensor<?x2x!hwgq.code<b1>>
  return %r : tensor<?x2x!hwgq.code<b1>>
}

// -----

// REMARK: remark: not folded to thresholds: its input depends on several tensors, as behind a residual sum
// CHECK-LABEL: @residual
// CHECK: hwgq.quantize
func.func @residual(%acc: tensor<?x2xi32>, %z: tensor<?x2xf32>) -> tensor<?x2x!hwgq.code<b1>> {
  %x = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x2xi32>
  %y = arith.addf %x, %z : tensor<?x2xf32>
  %r = hwgq.quantize %y {step = #hwgq.sign<">=">} : tensor<?x2xf32> -> tensor<?x2x!hwgq.code<b1>>
  return %r : tensor<?x2x!hwgq.code<b1>>
}
