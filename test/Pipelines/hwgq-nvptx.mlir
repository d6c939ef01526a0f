// RUN: hwgq-opt %s --hwgq-nvptx=chip=sm_80 2>/dev/null | FileCheck %s --check-prefix=NVVM
// RUN: hwgq-compile %s --target=nvptx-sm_80 --emit=llvm | FileCheck %s --check-prefix=LLVM
// RUN: hwgq-compile %s --target=nvptx-sm_80 --emit=ptx | FileCheck %s --check-prefixes=PTX,PTX80
// RUN: hwgq-compile %s --target=nvptx-sm_75 --emit=ptx | FileCheck %s --check-prefixes=PTX,PTX75
// RUN: hwgq-compile %s --target=nvptx-sm_90a --emit=ptx | FileCheck %s --check-prefixes=PTX,PTX90A
// RUN: hwgq-compile %s --target=nvptx-sm_120 --emit=ptx | FileCheck %s --check-prefixes=PTX,PTX120
// RUN: hwgq-compile %s --target=nvptx-sm_80 --to=loops | FileCheck %s --check-prefix=GPU
// RUN: hwgq-compile %s --target=nvptx-sm_80 --emit=ptx --remarks 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// RUN: not hwgq-compile %s --target=nvptx-sm_42 --emit=ptx 2>&1 | FileCheck %s --check-prefix=CHIP
// RUN: not hwgq-compile %s --target=nvptx-sm_80 --emit=so -o %t.so 2>&1 | FileCheck %s --check-prefix=SO
// RUN: not hwgq-compile %s --target=nvptx-sm_80 --emit=obj -o %t.o 2>&1 | FileCheck %s --check-prefix=SO
// RUN: not hwgq-compile %s --target=x86-64-v3 --emit=ptx 2>&1 | FileCheck %s --check-prefix=X86
// RUN: not hwgq-compile %s --target=nvptx-sm_80 --emit=ptx --kernel=popcount 2>&1 | FileCheck %s --check-prefix=NONE

// CHIP: error: unknown chip 'sm_42'; there are sm_75, sm_80,
// SO: for NVIDIA targets there are ptx, llvm and mlir
// X86: error: --emit=ptx: ptx is for NVIDIA targets
// NONE: error: {{.*}}no layer has a kernel for target 'nvptx-sm_80'
// REMARK: remark: {{.*}}no GPU kernel: bitpack.quantize
// REMARK: remark: {{.*}}no GPU kernel: bitpack.affine

// GPU: gpu.func @conv1
// GPU: gpu.launch_func @kernels::@conv1

// NVVM: gpu.module @kernels
// NVVM: llvm.func @conv1({{.*}}: !llvm.ptr {llvm.noalias, llvm.readonly}
// NVVM-SAME: gpu.kernel
// NVVM-SAME: nvvm.kernel
// NVVM: nvvm.read.ptx.sreg.ctaid.x
// NVVM: llvm.intr.ctpop

// LLVM: define ptx_kernel void @conv1(
// LLVM: load i64, ptr {{.*}}, align 8
// LLVM: call i64 @llvm.ctpop.i64

// PTX75: .version 6.3
// PTX75: .target sm_75
// PTX80: .version 7.0
// PTX80: .target sm_80
// PTX90A: .version 8.0
// PTX90A: .target sm_90a
// PTX120: .version 8.7
// PTX120: .target sm_120
// PTX: .visible .entry conv1(
// PTX: .maxntid 128, 1, 1
// PTX: .minnctapersm 4
// PTX-NOT: .local
// PTX: ld.global.nc.b64
// PTX: and.b64
// PTX: popc.b64
// PTX-NOT: .local
// PTX: st.global.b8
// PTX-NOT: .local
func.func @main(%x: tensor<?x8x8x64xf32>) -> tensor<?x8x8x12xf32> {
  %q = hwgq.quantize %x {step = #hwgq.sign<">=">} : tensor<?x8x8x64xf32> -> tensor<?x8x8x64x!hwgq.code<b1>>
  %w = hwgq.constant dense<5> : tensor<864xi8> as tensor<12x3x3x64x!hwgq.code<b1>>
  %a = hwgq.conv2d %q, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
    : tensor<?x8x8x64x!hwgq.code<b1>>, tensor<12x3x3x64x!hwgq.code<b1>> -> tensor<?x8x8x12xi32> loc("conv1")
  %t = hwgq.threshold %a {thresholds = dense<[[1, 5, 9]]> : tensor<1x3xi32>, direction = array<i8: 1>} : tensor<?x8x8x12xi32> -> tensor<?x8x8x12x!hwgq.code<u2>>
  %y = hwgq.affine %t {scale = array<f32: 0.5>} : tensor<?x8x8x12x!hwgq.code<u2>>
  return %y : tensor<?x8x8x12xf32>
}
