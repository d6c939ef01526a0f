// RUN: hwgq-opt %s '--pass-pipeline=builtin.module(gpu.module(nvvm-kernel-pointers))' | FileCheck %s

gpu.module @kernels {
  // CHECK: llvm.func @copy(%[[FROM:.*]]: !llvm.ptr {llvm.noalias, llvm.readonly}, %[[TO:.*]]: !llvm.ptr {llvm.noalias}, %[[I:.*]]: i64) attributes
  llvm.func @copy(%a: !llvm.ptr, %from: !llvm.ptr, %b: i64, %to: !llvm.ptr, %i: i64) attributes {nvvm.kernel} {
    // CHECK: llvm.getelementptr %[[FROM]][%[[I]]]
    %0 = llvm.getelementptr %from[%i] : (!llvm.ptr, i64) -> !llvm.ptr, i32
    %1 = llvm.load %0 : !llvm.ptr -> i32
    // CHECK: llvm.store %{{.*}}, %[[TO]]
    llvm.store %1, %to : i32, !llvm.ptr
    llvm.return
  }

  // Other functions keep theirs.
  // CHECK: llvm.func @helper(%{{.*}}: !llvm.ptr, %{{.*}}: i64)
  llvm.func @helper(%a: !llvm.ptr, %b: i64) {
    llvm.return
  }
}
