// RUN: hwgq-opt %s --split-input-file --gpu-to-loops --verify-diagnostics | FileCheck %s

// CHECK-NOT: gpu.
// CHECK-LABEL: func.func @main
// CHECK-SAME: %[[M:.*]]: memref<?xi32>, %[[GX:.*]]: index, %[[GY:.*]]: index
// CHECK-DAG: %[[C1:.*]] = arith.constant 1 : index
// CHECK-DAG: %[[C32:.*]] = arith.constant 32 : index
// CHECK: scf.forall (%[[I:.*]]) in
// CHECK: %[[REST:.*]] = arith.divui %[[I]], %[[GX]]
// CHECK: %[[BX:.*]] = arith.remui %[[I]], %[[GX]]
// CHECK: %[[BY:.*]] = arith.remui %[[REST]], %[[GY]]
// CHECK: scf.for
// CHECK: scf.for
// CHECK: scf.for %[[TX:.*]] = %{{.*}} to %[[C32]]
// CHECK: %[[A:.*]] = arith.muli %[[BY]], %[[GX]]
// CHECK: %[[B:.*]] = arith.addi %[[A]], %[[BX]]
// CHECK: %[[C:.*]] = arith.muli %[[B]], %[[C32]]
// CHECK: %[[D:.*]] = arith.addi %[[C]], %[[TX]]
// CHECK: memref.store %{{.*}}, %[[M]][%[[D]]]
// CHECK-NOT: gpu.
module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @count(%m: memref<?xi32>) kernel {
      %bx = gpu.block_id x
      %by = gpu.block_id y
      %gx = gpu.grid_dim x
      %dx = gpu.block_dim x
      %tx = gpu.thread_id x
      %0 = arith.muli %by, %gx : index
      %1 = arith.addi %0, %bx : index
      %2 = arith.muli %1, %dx : index
      %3 = arith.addi %2, %tx : index
      %4 = arith.index_cast %3 : index to i32
      memref.store %4, %m[%3] : memref<?xi32>
      gpu.return
    }
  }
  func.func @main(%m: memref<?xi32>, %gx: index, %gy: index) {
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    gpu.launch_func @kernels::@count blocks in (%gx, %gy, %c1) threads in (%c32, %c1, %c1) args(%m : memref<?xi32>)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @wait(%m: memref<?xi32>) kernel {
      // expected-error @+1 {{threads that wait for others cannot run in turn}}
      gpu.barrier
      gpu.return
    }
  }
  func.func @main(%m: memref<?xi32>) {
    %c1 = arith.constant 1 : index
    gpu.launch_func @kernels::@wait blocks in (%c1, %c1, %c1) threads in (%c1, %c1, %c1) args(%m : memref<?xi32>)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @share(%m: memref<?xi32>) workgroup(%s: memref<4xi32, 3>) kernel {
      gpu.return
    }
  }
  func.func @main(%m: memref<?xi32>) {
    %c1 = arith.constant 1 : index
    // expected-error @+1 {{threads that share memory cannot run in turn}}
    gpu.launch_func @kernels::@share blocks in (%c1, %c1, %c1) threads in (%c1, %c1, %c1) args(%m : memref<?xi32>)
    return
  }
}
