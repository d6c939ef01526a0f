// RUN: hwgq-opt %s --emulate-target-intrinsics | FileCheck %s

// CHECK-DAG: llvm.func @hwgq_emulate_ldtilecfg(!llvm.ptr, !llvm.ptr)
// CHECK-DAG: llvm.func @hwgq_emulate_tdpbusd(!llvm.ptr, i8, i8, i8)
// CHECK-DAG: llvm.func @hwgq_emulate_pmaddubsw256(!llvm.ptr, !llvm.ptr, !llvm.ptr)

// Places are shared by the calls of a function.
// CHECK-LABEL: llvm.func @vectors(
// CHECK-COUNT-3: llvm.alloca
// CHECK-NOT: llvm.alloca
// CHECK: llvm.store %{{.*}}, %[[A:.*]] : vector<32xi8>
// CHECK: llvm.store %{{.*}}, %[[B:.*]] : vector<32xi8>
// CHECK: llvm.call @hwgq_emulate_pmaddubsw256(%[[R:.*]], %[[A]], %[[B]])
// CHECK: llvm.load %[[R]] : !llvm.ptr -> vector<16xi16>
// CHECK: llvm.call @hwgq_emulate_pmaddubsw256(%[[R]], %[[A]], %[[B]])
llvm.func @vectors(%a: vector<32xi8>, %b: vector<32xi8>) -> vector<16xi16> {
  %r = llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"(%a, %b) : (vector<32xi8>, vector<32xi8>) -> vector<16xi16>
  %s = llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"(%b, %a) : (vector<32xi8>, vector<32xi8>) -> vector<16xi16>
  %t = llvm.add %r, %s : vector<16xi16>
  llvm.return %t : vector<16xi16>
}

// CHECK-LABEL: llvm.func @tiles(
// CHECK: %[[TILES:.*]] = llvm.alloca %{{.*}} x i8 {alignment = 64
// CHECK: llvm.store %{{.*}}, %[[TILES]] : i8
// CHECK: llvm.call @hwgq_emulate_ldtilecfg(%[[TILES]], %{{.*}})
// CHECK: llvm.call @hwgq_emulate_tdpbusd(%[[TILES]], %{{.*}}, %{{.*}}, %{{.*}})
llvm.func @tiles(%p: !llvm.ptr) {
  %0 = llvm.mlir.constant(0 : i8) : i8
  %1 = llvm.mlir.constant(1 : i8) : i8
  %2 = llvm.mlir.constant(2 : i8) : i8
  llvm.call_intrinsic "llvm.x86.ldtilecfg"(%p) : (!llvm.ptr) -> ()
  llvm.call_intrinsic "llvm.x86.tdpbusd"(%0, %1, %2) : (i8, i8, i8) -> ()
  llvm.return
}
