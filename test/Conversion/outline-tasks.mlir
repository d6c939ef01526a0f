// RUN: hwgq-opt %s --split-input-file --outline-tasks | FileCheck %s

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

// -----

// A body that does the tasks of a chunk is called once for each chunk; one that
// became plain code does one task.

// CHECK: hwgq.layers = ["unnamed"]
// CHECK: func.func private @task_0
// CHECK-SAME: (%{{.*}}: !llvm.ptr, %[[FIRST:.*]]: i64, %[[LAST:.*]]: i64)
// CHECK: %[[BEGIN:.*]] = arith.index_cast %[[FIRST]]
// CHECK: %[[END:.*]] = arith.index_cast %[[LAST]]
// CHECK-NOT: scf.for
// CHECK: %[[LENGTH:.*]] = arith.subi %[[END]], %[[BEGIN]]
// CHECK: memref.store %{{.*}}, %{{.*}}[%[[BEGIN]]]
// CHECK: func.func private @main
// CHECK: %[[SEVEN:.*]] = arith.constant 7 : index
// CHECK: %[[ONE:.*]] = arith.constant 1 : index
// CHECK: %[[NEXT:.*]] = arith.addi %[[SEVEN]], %[[ONE]] : index
// CHECK: arith.index_cast %[[NEXT]]
func.func @main(%x: memref<8xi64>, %y: memref<8xi64> {hwgq.output}, %work: memref<?xi8>) attributes {hwgq.workspace = array<i64: 0, 0>} {
  scf.forall (%begin) in (8) {
    %end = bitpack.chunk_end %begin
    %length = arith.subi %end, %begin : index
    %value = arith.index_cast %length : index to i64
    memref.store %value, %y[%begin] : memref<8xi64>
  }
  %c7 = arith.constant 7 : index
  %end = bitpack.chunk_end %c7
  %value = arith.index_cast %end : index to i64
  memref.store %value, %y[%c7] : memref<8xi64>
  return
}
