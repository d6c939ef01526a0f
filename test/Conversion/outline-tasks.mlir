// RUN: hwgq-opt %s --outline-tasks | FileCheck %s

// A loop of one task that became plain code keeps its name in the profile;
// prepared memory is a part of the shared memory, for the run and for the
// function that fills it.

// CHECK: hwgq.layers = ["first", "second"]
// CHECK-SAME: hwgq.shared = 4096
// CHECK-NOT: memref.global
memref.global "private" @prepared_0 : memref<8xf32> = uninitialized {alignment = 64 : i64}

func.func @main(%x: memref<8xf32>, %y: memref<8xf32> {hwgq.output}, %work: memref<?xi8>) attributes {hwgq.workspace = array<i64: 0, 0>} {
  %c0 = arith.constant 0 : index
  %w = memref.get_global @prepared_0 : memref<8xf32>
  scf.forall (%i) in (8) {
    %a = memref.load %x[%i] : memref<8xf32>
    memref.store %a, %y[%i] : memref<8xf32>
  } loc("first")
  %b = memref.load %w[%c0] : memref<8xf32>
  memref.store %b, %y[%c0] : memref<8xf32> loc("second")
  return
}

// CHECK: func.func @hwgq_prepare(%[[SHARED:.*]]: !llvm.ptr)
// CHECK: llvm.getelementptr %[[SHARED]]
func.func @hwgq_prepare() {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1.0 : f32
  %w = memref.get_global @prepared_0 : memref<8xf32>
  memref.store %one, %w[%c0] : memref<8xf32>
  return
}
