// RUN: hwgq-opt %s -split-input-file -verify-diagnostics --check-target-intrinsics=features=avx512bw,+avx512vnni,-avx512vbmi,avx2

func.func @here(%c: vector<16xi32>, %a: vector<64xi8>) -> vector<16xi32> {
  %r = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%c, %a, %a) : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>
  return %r : vector<16xi32>
}

// -----

func.func @absent(%a: vector<64xi8>) -> vector<64xi8> {
  // expected-error @below {{the target lacks an instruction that is called: vpermb512 needs avx512vbmi}}
  %r = llvm.call_intrinsic "llvm.x86.avx512.permvar.qi.512"(%a, %a) : (vector<64xi8>, vector<64xi8>) -> vector<64xi8>
  return %r : vector<64xi8>
}

// -----

// One of two alternatives, which lacks its second feature.
func.func @alternatives(%c: vector<8xi32>, %a: vector<32xi8>) -> vector<8xi32> {
  // expected-error @below {{vpdpbusd256 needs avxvnni|avx512vnni,avx512vl}}
  %r = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.256"(%c, %a, %a) : (vector<8xi32>, vector<32xi8>, vector<32xi8>) -> vector<8xi32>
  return %r : vector<8xi32>
}

// -----

func.func @unknown(%a: vector<16xi32>) -> vector<64xi8> {
  // expected-error @below {{the table of target intrinsics has no llvm.x86.avx512.permvar.qi.512 with these types}}
  %r = llvm.call_intrinsic "llvm.x86.avx512.permvar.qi.512"(%a, %a) : (vector<16xi32>, vector<16xi32>) -> vector<64xi8>
  return %r : vector<64xi8>
}
