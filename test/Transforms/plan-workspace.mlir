// RUN: hwgq-opt %s --plan-workspace | FileCheck %s

// %a is read through its address in the second loop, so that %b lies elsewhere.
// CHECK: func.func @main(%{{.*}}, %{{.*}}, %[[W:.*]]: memref<?xi8>) attributes {hwgq.workspace = array<i64: 8192, 0>}
// CHECK: memref.view %[[W]][%c0{{(_[0-9]+)?}}]
// CHECK: memref.view %[[W]][%c4096]
func.func @main(%x: memref<1024xf32>) -> memref<f32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %a = memref.alloc() : memref<1024xf32>
  %b = memref.alloc() : memref<1024xf32>
  %y = memref.alloc() : memref<f32>
  scf.forall (%i) in (%c8) {
    %v = memref.load %x[%i] : memref<1024xf32>
    memref.store %v, %a[%i] : memref<1024xf32>
  }
  %base = memref.extract_aligned_pointer_as_index %a : memref<1024xf32> -> index
  %next = arith.addi %base, %c8 : index
  scf.forall (%i) in (%c8) {
    %at = arith.addi %next, %i : index
    %address = arith.index_cast %at : index to i64
    %pointer = llvm.inttoptr %address : i64 to !llvm.ptr
    %v = llvm.load %pointer : !llvm.ptr -> f32
    memref.store %v, %b[%i] : memref<1024xf32>
  }
  scf.forall (%i) in (%c1) {
    %v = memref.load %b[%i] : memref<1024xf32>
    memref.store %v, %y[] : memref<f32>
  }
  return %y : memref<f32>
}
