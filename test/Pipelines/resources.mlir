// RUN: hwgq-compile %s --to=import -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir
// RUN: hwgq-opt %t.mlir | FileCheck %s --check-prefix=AGAIN
// RUN: hwgq-compile %s --to=import -o - --mlir-elide-resource-strings-if-larger=4 | FileCheck %s --check-prefix=ELIDED

// The data of tensors, written piece by piece, are read back; names that are no
// identifiers have quotes.

// CHECK: dialect_resources
// CHECK: builtin: {
// CHECK-DAG: "a \22b": "0x04000000000000400000803F"
// CHECK-DAG: plain: "0x040000000000803F00000040"
// CHECK: #-}

// AGAIN-DAG: "a \22b": "0x04000000000000400000803F"
// AGAIN-DAG: plain: "0x040000000000803F00000040"

// ELIDED-NOT: 803F
func.func @main(%x: tensor<2xf32> {hwgq.name = "x"}) -> (tensor<2xf32> {hwgq.name = "y"}) {
  %a = "onnx.Constant"() {value = dense_resource<plain> : tensor<2xf32>} : () -> tensor<2xf32>
  %b = "onnx.Constant"() {value = dense_resource<"a \22b"> : tensor<2xf32>} : () -> tensor<2xf32>
  %c = "onnx.Add"(%x, %a) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %y = "onnx.Mul"(%c, %b) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %y : tensor<2xf32>
}

{-#
  dialect_resources: {
    builtin: {
      plain: "0x040000000000803F00000040",
      "a \22b": "0x04000000000000400000803F"
    }
  }
#-}
