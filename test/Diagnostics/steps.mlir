// RUN: hwgq-opt --hwgq-recognize-steps --split-input-file --verify-diagnostics %s -o /dev/null

!x = tensor<?x4xf32>
!b = tensor<?x4xi1>

// ONNX's Sign as convert-onnx-to-hwgq writes it.
func.func @sign(%x: !x, %init: !x) -> !x {
  %zero = arith.constant dense<0.0> : tensor<f32>
  %one = arith.constant dense<1.0> : tensor<f32>
  %z = linalg.broadcast ins(%zero : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %p = linalg.broadcast ins(%one : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %n = arith.negf %p : !x
  %lt = arith.cmpf olt, %x, %z : !x
  %gt = arith.cmpf ogt, %x, %z : !x
  %low = arith.select %lt, %n, %z : !b, !x
  // expected-remark@+1 {{the middle of three levels is taken at one point, as by ONNX's Sign: codes take 2 bits instead of 1; BipolarQuant, or Where on x >= 0, makes +1 of 0}}
  %y = arith.select %gt, %p, %low : !b, !x
  return %y : !x
}

// -----

!x = tensor<?x4xf32>
!b = tensor<?x4xi1>

// Ternary with a dead zone is meant.
func.func @ternary(%x: !x, %init: !x) -> !x {
  %half = arith.constant dense<0.5> : tensor<f32>
  %one = arith.constant dense<1.0> : tensor<f32>
  %zero = arith.constant dense<0.0> : tensor<f32>
  %z = linalg.broadcast ins(%zero : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %h = linalg.broadcast ins(%half : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %p = linalg.broadcast ins(%one : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %n = arith.negf %p : !x
  %m = arith.negf %h : !x
  %lt = arith.cmpf olt, %x, %m : !x
  %gt = arith.cmpf ogt, %x, %h : !x
  %low = arith.select %lt, %n, %z : !b, !x
  %y = arith.select %gt, %p, %low : !b, !x
  return %y : !x
}

// -----

!x = tensor<?x4xf32>
!b = tensor<?x4xi1>

// The last level is one float above three steps of 0.538.
func.func @snapped(%x: !x, %init: !x) -> !x {
  %t0 = arith.constant dense<0.0> : tensor<f32>
  %t1 = arith.constant dense<0.807> : tensor<f32>
  %t2 = arith.constant dense<1.345> : tensor<f32>
  %l1 = arith.constant dense<0.538> : tensor<f32>
  %l2 = arith.constant dense<1.076> : tensor<f32>
  %l3 = arith.constant dense<1.61400008> : tensor<f32>
  %T0 = linalg.broadcast ins(%t0 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %T1 = linalg.broadcast ins(%t1 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %T2 = linalg.broadcast ins(%t2 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %L1 = linalg.broadcast ins(%l1 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %L2 = linalg.broadcast ins(%l2 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %L3 = linalg.broadcast ins(%l3 : tensor<f32>) outs(%init : !x) dimensions = [0, 1]
  %c0 = arith.cmpf ogt, %x, %T0 : !x
  %c1 = arith.cmpf ogt, %x, %T1 : !x
  %c2 = arith.cmpf ogt, %x, %T2 : !x
  %a = arith.select %c0, %L1, %T0 : !b, !x
  %b = arith.select %c1, %L2, %a : !b, !x
  // expected-remark-re@+1 {{levels moved to a grid, by up to {{.*}} of the largest: they are scale * n for whole n up to rounding}}
  %y = arith.select %c2, %L3, %b : !b, !x
  return %y : !x
}

// -----

!x = tensor<?x4xf32>
!b = tensor<?x4xi1>

func.func @uneven(%x: !x, %init: !x) -> !x {
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
  // expected-remark@+1 {{the 3 levels of the quantiser are not affine: no scale * n with whole n up to 255 gives them, so a layer behind it takes a plane of bits for each step; evenly spaced levels take one code}}
  %y = arith.select %c1, %L2, %a : !b, !x
  return %y : !x
}
