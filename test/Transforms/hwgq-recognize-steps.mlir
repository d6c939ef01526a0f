// RUN: hwgq-opt %s --hwgq-recognize-steps | FileCheck %s
// RUN: hwgq-opt %s --hwgq-recognize-steps -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

!x = tensor<?x4xf32>
!b = tensor<?x4xi1>
!x4 = tensor<4xf32>

// CHECK-LABEL: @sign_ge
// CHECK: hwgq.quantize %arg0 {step = #hwgq.sign<">=">} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<b1>>
// CHECK: hwgq.affine %{{.*}} {scale = array<f32: 1.000000e+00>}
func.func @sign_ge(%x: !x, %init: !x) -> !x {
  %zero = arith.constant dense<0.0> : tensor<f32>
  %one = arith.constant dense<1.0> : tensor<f32>
  %minus = arith.constant dense<-1.0> : tensor<f32>
  %z = linalg.broadcast ins(%zero : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %p = linalg.broadcast ins(%one : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %m = linalg.broadcast ins(%minus : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %c = arith.cmpf oge, %x, %z : !x
  %y = arith.select %c, %p, %m : !b, !x
  return %y : !x
}

// Where(Equal(Sign(x), 0), 1, Sign(x)) is >=.
// CHECK-LABEL: @sign_where
// CHECK: hwgq.quantize %arg0 {step = #hwgq.step<[ge 0.0{{.*}}], values = [-1, 1], nan = 1>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<b1>>
func.func @sign_where(%x: !x, %z: !x) -> !x {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %d0 = arith.constant 0 : index
  %n = tensor.dim %x, %d0 : !x
  %zeros = tensor.splat %zero[%n] : !x
  %ones = tensor.splat %one[%n] : !x
  %gt = arith.cmpf ogt, %x, %zeros : !x
  %lt = arith.cmpf olt, %x, %zeros : !x
  %a = arith.uitofp %gt : !b to !x
  %c = arith.uitofp %lt : !b to !x
  %s = arith.subf %a, %c : !x
  %e = arith.cmpf oeq, %s, %zeros : !x
  %y = arith.select %e, %ones, %s : !b, !x
  return %y : !x
}

// Sign(Sign(x) + 0.1), as tf2onnx writes Larq's sign, is >=: the first Sign
// never gives -0.1, so that the middle level of the second does not occur.
// CHECK-LABEL: @sign_plus_sign
// CHECK: hwgq.quantize %arg0 {step = #hwgq.sign<">=">} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<b1>>
func.func @sign_plus_sign(%x: !x, %init: !x) -> !x {
  %zero = arith.constant dense<0.0> : tensor<f32>
  %one = arith.constant dense<1.0> : tensor<f32>
  %minus = arith.constant dense<-1.0> : tensor<f32>
  %tenth = arith.constant dense<0.1> : tensor<f32>
  %z = linalg.broadcast ins(%zero : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %p = linalg.broadcast ins(%one : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %m = linalg.broadcast ins(%minus : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %t = linalg.broadcast ins(%tenth : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %e = arith.cmpf oeq, %x, %z : !x
  %l = arith.cmpf olt, %x, %z : !x
  %g = arith.cmpf ogt, %x, %z : !x
  %a = arith.select %e, %z, %x : !b, !x
  %b = arith.select %l, %m, %a : !b, !x
  %s = arith.select %g, %p, %b : !b, !x
  %u = arith.addf %s, %t : !x
  %ue = arith.cmpf oeq, %u, %z : !x
  %ul = arith.cmpf olt, %u, %z : !x
  %ug = arith.cmpf ogt, %u, %z : !x
  %ua = arith.select %ue, %z, %u : !b, !x
  %ub = arith.select %ul, %m, %ua : !b, !x
  %y = arith.select %ug, %p, %ub : !b, !x
  return %y : !x
}

// CHECK-LABEL: @sign_ternary
// CHECK: hwgq.quantize %arg0 {step = #hwgq.step<[ge 0.0{{.*}}, gt 0.0{{.*}}], values = [-1, 0, 1], nan = 0>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<u2, -1, 1>>
func.func @sign_ternary(%x: !x) -> !x {
  %zero = arith.constant 0.0 : f32
  %d0 = arith.constant 0 : index
  %n = tensor.dim %x, %d0 : !x
  %zeros = tensor.splat %zero[%n] : !x
  %gt = arith.cmpf ogt, %x, %zeros : !x
  %lt = arith.cmpf olt, %x, %zeros : !x
  %a = arith.uitofp %gt : !b to !x
  %c = arith.uitofp %lt : !b to !x
  %s = arith.subf %a, %c : !x
  return %s : !x
}

// Caffe HWGQ as a sum of comparisons, after a batch norm that stays in front.
// CHECK-LABEL: @half_wave
// CHECK: %[[Y:.*]] = arith.addf
// CHECK: hwgq.quantize %[[Y]] {step = #hwgq.half_wave<5.38{{.*}}, 2>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<u2>>
// CHECK: hwgq.affine %{{.*}} {scale = array<f32: 5.380000e-01>}
func.func @half_wave(%x: !x, %init: !x) -> !x {
  %a = arith.constant dense<[0.5, -0.25, 2.0, 1.5]> : tensor<4xf32>
  %b = arith.constant dense<[0.1, 0.2, -0.3, 0.0]> : tensor<4xf32>
  %s = arith.constant dense<0.538> : tensor<f32>
  %t0 = arith.constant dense<0.0> : tensor<f32>
  %t1 = arith.constant dense<0.807> : tensor<f32>
  %t2 = arith.constant dense<1.345> : tensor<f32>
  %A = linalg.broadcast ins(%a : tensor<4xf32>) outs(%init : !x) dimensions = [0]
  %B = linalg.broadcast ins(%b : tensor<4xf32>) outs(%init : !x) dimensions = [0]
  %S = linalg.broadcast ins(%s : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %T0 = linalg.broadcast ins(%t0 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %T1 = linalg.broadcast ins(%t1 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %T2 = linalg.broadcast ins(%t2 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %x0 = arith.mulf %x, %A : !x
  %x1 = arith.addf %x0, %B : !x
  %c0 = arith.cmpf ogt, %x1, %T0 : !x
  %c1 = arith.cmpf ogt, %x1, %T1 : !x
  %c2 = arith.cmpf ogt, %x1, %T2 : !x
  %f0 = arith.uitofp %c0 : !b to !x
  %f1 = arith.uitofp %c1 : !b to !x
  %f2 = arith.uitofp %c2 : !b to !x
  %s0 = arith.addf %f0, %f1 : !x
  %s1 = arith.addf %s0, %f2 : !x
  %y = arith.mulf %s1, %S : !x
  return %y : !x
}

// Clip, Div, Round, Mul: ties to even.
// CHECK-LABEL: @round
// CHECK: hwgq.quantize %arg0 {step = #hwgq.step<[gt 2.5{{0*}}e-01, ge 7.5{{0*}}e-01, gt 1.25{{0*}}e+00], values = [0, 1, 2, 3], nan = 0>}
// CHECK: hwgq.affine %{{.*}} {scale = array<f32: 5.000000e-01>}
func.func @round(%x: !x, %init: !x) -> !x {
  %zero = arith.constant dense<0.0> : tensor<f32>
  %top = arith.constant dense<1.5> : tensor<f32>
  %half = arith.constant dense<0.5> : tensor<f32>
  %Z = linalg.broadcast ins(%zero : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %T = linalg.broadcast ins(%top : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %H = linalg.broadcast ins(%half : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %c0 = arith.maximumf %x, %Z : !x
  %c1 = arith.minimumf %c0, %T : !x
  %d = arith.divf %c1, %H : !x
  %r = math.roundeven %d : !x
  %y = arith.mulf %r, %H : !x
  return %y : !x
}

// QuantizeLinear to i8, Clip, DequantizeLinear.
// CHECK-LABEL: @qdq
// CHECK: hwgq.quantize %arg0 {step = #hwgq.step<[gt -1.875{{0*}}e-01, ge -6.25{{0*}}e-02, gt 6.25{{0*}}e-02], values = [-2, -1, 0, 1], nan = -2>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<s2>>
// CHECK: hwgq.affine %{{.*}} {scale = array<f32: 1.250000e-01>}
func.func @qdq(%x: !x, %init: !x) -> !x {
  %scale = arith.constant dense<0.125> : !x4
  %lo = arith.constant dense<-128.0> : !x4
  %hi = arith.constant dense<127.0> : !x4
  %qlo = arith.constant dense<-2> : tensor<4xi8>
  %qhi = arith.constant dense<1> : tensor<4xi8>
  %d0 = arith.constant 0 : index
  %n = tensor.dim %x, %d0 : !x
  %e8 = tensor.empty(%n) : tensor<?x4xi8>
  %S = linalg.broadcast ins(%scale : !x4) outs(%init : !x) dimensions = [0]
  %L = linalg.broadcast ins(%lo : !x4) outs(%init : !x) dimensions = [0]
  %H = linalg.broadcast ins(%hi : !x4) outs(%init : !x) dimensions = [0]
  %QL = linalg.broadcast ins(%qlo : tensor<4xi8>) outs(%e8 : tensor<?x4xi8>) dimensions = [0]
  %QH = linalg.broadcast ins(%qhi : tensor<4xi8>) outs(%e8 : tensor<?x4xi8>) dimensions = [0]
  %d = arith.divf %x, %S : !x
  %r = math.roundeven %d : !x
  %c0 = arith.maxnumf %r, %L : !x
  %c1 = arith.minnumf %c0, %H : !x
  %q = arith.fptosi %c1 : !x to tensor<?x4xi8>
  %q0 = arith.maxsi %q, %QL : tensor<?x4xi8>
  %q1 = arith.minsi %q0, %QH : tensor<?x4xi8>
  %f = arith.sitofp %q1 : tensor<?x4xi8> to !x
  %y = arith.mulf %f, %S : !x
  return %y : !x
}

// Channels that step at different places: the count itself is quantised.
// CHECK-LABEL: @per_channel
// CHECK: %[[Y:.*]] = arith.addf
// CHECK: hwgq.quantize %[[Y]] {step = #hwgq.step<[{{.*}}], values = [0, 1, 2], nan = 0>} : tensor<?x4xf32> -> tensor<?x4x!hwgq.code<u2>>
func.func @per_channel(%x: !x, %init: !x) -> !x {
  %t0 = arith.constant dense<[0.0, 1.0, 2.0, 3.0]> : tensor<4xf32>
  %t1 = arith.constant dense<[1.0, 2.0, 2.5, 0x7F800000]> : tensor<4xf32>
  %T0 = linalg.broadcast ins(%t0 : tensor<4xf32>) outs(%init : !x) dimensions = [0]
  %T1 = linalg.broadcast ins(%t1 : tensor<4xf32>) outs(%init : !x) dimensions = [0]
  %c0 = arith.cmpf oge, %x, %T0 : !x
  %c1 = arith.cmpf oge, %x, %T1 : !x
  %f0 = arith.uitofp %c0 : !b to !x
  %f1 = arith.uitofp %c1 : !b to !x
  %y = arith.addf %f0, %f1 : !x
  return %y : !x
}

// A scale per channel behind common steps.
// CHECK-LABEL: @per_channel_scale
// CHECK: hwgq.quantize %arg0 {step = #hwgq.sign<">">}
// CHECK: hwgq.affine %{{.*}} {scale = array<f32: 5.000000e-01, 1.000000e+00, 2.000000e+00, 2.500000e-01>}
func.func @per_channel_scale(%x: !x, %init: !x) -> !x {
  %s = arith.constant dense<[0.5, 1.0, 2.0, 0.25]> : tensor<4xf32>
  %zero = arith.constant dense<0.0> : tensor<f32>
  %S = linalg.broadcast ins(%s : tensor<4xf32>) outs(%init : !x) dimensions = [0]
  %Z = linalg.broadcast ins(%zero : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %N = arith.negf %S : !x
  %c = arith.cmpf ogt, %x, %Z : !x
  %y = arith.select %c, %S, %N : !b, !x
  return %y : !x
}

// The residual sum is no function of one value; its quantised operand is.
// CHECK-LABEL: @fork
// CHECK: %[[Q:.*]] = hwgq.quantize %arg0
// CHECK: %[[A:.*]] = hwgq.affine %[[Q]]
// CHECK: arith.addf %[[A]], %arg1
func.func @fork(%x: !x, %r: !x, %init: !x) -> !x {
  %zero = arith.constant dense<0.0> : tensor<f32>
  %Z = linalg.broadcast ins(%zero : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %c = arith.cmpf ogt, %x, %Z : !x
  %f = arith.uitofp %c : !b to !x
  %y = arith.addf %f, %r : !x
  return %y : !x
}

// Not flat anywhere: stays as it is.
// CHECK-LABEL: @relu
// CHECK-NOT: hwgq
// CHECK: arith.maximumf
// CHECK-NOT: hwgq
func.func @relu(%x: !x, %init: !x) -> !x {
  %zero = arith.constant dense<0.0> : tensor<f32>
  %Z = linalg.broadcast ins(%zero : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %y = arith.maximumf %x, %Z : !x
  return %y : !x
}

// REMARK: remark: the 3 levels of the quantiser are not affine
// CHECK-LABEL: @not_affine
// CHECK-NOT: hwgq.quantize
// CHECK: arith.select
func.func @not_affine(%x: !x, %init: !x) -> !x {
  %t0 = arith.constant dense<0.0> : tensor<f32>
  %t1 = arith.constant dense<0.9> : tensor<f32>
  %l1 = arith.constant dense<0.4531> : tensor<f32>
  %l2 = arith.constant dense<1.51027> : tensor<f32>
  %T0 = linalg.broadcast ins(%t0 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %T1 = linalg.broadcast ins(%t1 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %L1 = linalg.broadcast ins(%l1 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %L2 = linalg.broadcast ins(%l2 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %c0 = arith.cmpf ogt, %x, %T0 : !x
  %c1 = arith.cmpf ogt, %x, %T1 : !x
  %a = arith.select %c0, %L1, %T0 : !b, !x
  %y = arith.select %c1, %L2, %a : !b, !x
  return %y : !x
}

// Constants of float16.
// CHECK-LABEL: @half
// CHECK: hwgq.quantize %arg0
// CHECK-SAME: ge 1.9{{[0-9]*}}e-01
// CHECK-SAME: values = [-1, 1]
func.func @half(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %t = arith.constant dense<0.2> : tensor<2x4xf16>
  %one = arith.constant dense<1.0> : tensor<2x4xf16>
  %low = arith.constant dense<-1.0> : tensor<2x4xf16>
  %h = arith.truncf %x : tensor<2x4xf32> to tensor<2x4xf16>
  %c = arith.cmpf oge, %h, %t : tensor<2x4xf16>
  %s = arith.select %c, %one, %low : tensor<2x4xi1>, tensor<2x4xf16>
  %y = arith.extf %s : tensor<2x4xf16> to tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}
