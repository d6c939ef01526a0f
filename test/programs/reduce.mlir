// RUN: hwgq-reduce %s --opt-reduction-pass="test=%S/Inputs/has-addf.sh opt-pass=canonicalize" | FileCheck %s

// The multiplication has no use: a module without it still shows what is looked for.
// CHECK-LABEL: func.func @main
// CHECK-NEXT: arith.addf
// CHECK-NEXT: return
func.func @main(%a: f32) -> f32 {
  %sum = arith.addf %a, %a : f32
  %product = arith.mulf %a, %a : f32
  return %sum : f32
}
