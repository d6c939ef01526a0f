// RUN: split-file %s %t
// RUN: not hwgq-eval %t/halo.mlir 2>&1 | FileCheck %s --check-prefix=HALO
// RUN: not hwgq-eval %t/missing.mlir 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not hwgq-eval %t/missing.mlir y=nowhere.npy 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not hwgq-eval %t/unknown.mlir 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not hwgq-eval %t/large.mlir 2>&1 | FileCheck %s --check-prefix=LARGE
// RUN: not hwgq-eval %t/bounds.mlir 2>&1 | FileCheck %s --check-prefix=BOUNDS
// RUN: not hwgq-eval %t/sizes.mlir --random --batch=2 2>&1 | FileCheck %s --check-prefix=SIZES
// RUN: not hwgq-eval %t/missing.mlir --to=nowhere 2>&1 | FileCheck %s --check-prefix=PHASE
// RUN: not hwgq-eval %t/missing.mlir --random -o %t/none/deep 2>&1 | FileCheck %s --check-prefix=FOLDER

// HALO: error: {{.*}}halo.mlir:3:8: {{.*}}has bits in its halo or beyond its channels
//--- halo.mlir
func.func @main() -> tensor<1x1xf32> {
  %x = bitpack.constant dense<2> : tensor<1xi64> as tensor<1x1x!hwgq.code<b1>, #bitpack.layout<planes>>
  %y = bitpack.affine %x {scale = array<f32: 1.0>} : tensor<1x1x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<1x1xf32>
  return %y : tensor<1x1xf32>
}

// MISSING: error: input 'x' is missing: give x=FILE.npy of type f32[?x2], or --random
// NAME: error: y=nowhere.npy: the network has no input of that name; its inputs are: x
// PHASE: error: --to takes import, hwgq, bitpack, kernel, loops or target, not 'nowhere'
// FOLDER: error: {{.*}}none/deep: No such file or directory
//--- missing.mlir
func.func @main(%x: tensor<?x2xf32> {hwgq.name = "x"}) -> tensor<?x2xf32> {
  return %x : tensor<?x2xf32>
}

// UNKNOWN: error: {{.*}}does not know math.exp
//--- unknown.mlir
func.func @main() -> tensor<f32> {
  %x = arith.constant dense<1.0> : tensor<f32>
  %y = math.exp %x : tensor<f32>
  return %y : tensor<f32>
}

// LARGE: error: {{.*}}cannot hold a tensor of type 'tensor<70000x70000xf32>': at most 8 GiB
//--- large.mlir
func.func @main() -> tensor<70000x70000xf32> {
  %y = tensor.empty() : tensor<70000x70000xf32>
  return %y : tensor<70000x70000xf32>
}

// BOUNDS: error: {{.*}}index 5 is out of range for size 3
//--- bounds.mlir
func.func @main() -> tensor<1xf32> {
  %x = "onnx.Constant"() {value = dense<1.0> : tensor<3xf32>} : () -> tensor<3xf32>
  %i = "onnx.Constant"() {value = dense<5> : tensor<1xi64>} : () -> tensor<1xi64>
  %y = "onnx.Gather"(%x, %i) {axis = 0 : i64} : (tensor<3xf32>, tensor<1xi64>) -> tensor<1xf32>
  return %y : tensor<1xf32>
}

// SIZES: error: {{.*}}operands have different shapes
//--- sizes.mlir
func.func @main(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
  %c = arith.constant dense<1.0> : tensor<3x2xf32>
  %d = tensor.cast %c : tensor<3x2xf32> to tensor<?x2xf32>
  %y = arith.addf %x, %d : tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}
