//===- Passes.td - all passes, in pipeline order --------------*- tablegen -*-===//

#ifndef HWGQ_PASSES
#define HWGQ_PASSES

include "mlir/Pass/PassBase.td"

// ---- lib/Transforms and lib/Conversion, in the order of the pipeline.
// Each pass: name = flag = file = lit test = docs anchor.

//===----------------------------------------------------------------------===//
// ONNX
//===----------------------------------------------------------------------===//

def HwgqNormalizeOnnx : Pass<"hwgq-normalize-onnx", "::mlir::func::FuncOp"> {
  let summary = "bring onnx ops to one opset, check them and infer their types";
  let description = [{
    Every `onnx.X` op is checked against the operator table, brought from its
    opset (attribute `hwgq.opset`; the newest where it is absent) to the normal
    form that hwgq/Dialect/OnnxOperators.h describes, and given its result
    types. Shape arithmetic is evaluated. Functions without onnx ops stay as
    they are. Running it again changes nothing.

    ```mlir
    %y = "onnx.Flatten"(%x) {axis = 1 : i64} : (tensor<?x2x3xf32>) -> none
    ==>
    %shape = "onnx.Constant"() {value = dense<[-1, 6]> : tensor<2xi64>} : () -> tensor<2xi64>
    %y = "onnx.Reshape"(%x, %shape) {allowzero = 0 : i64}
        : (tensor<?x2x3xf32>, tensor<2xi64>) -> tensor<?x6xf32>
    ```
  }];
  let options = [
    Option<"batch", "batch", "int64_t", /*default=*/"0",
           "Compile for this batch (0: the function's)">,
    Option<"dynamicBatch", "dynamic-batch", "bool", /*default=*/"false",
           "Make the batch dynamic">
  ];
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

def HwgqEvaluateConstants : Pass<"hwgq-evaluate-constants", "::mlir::func::FuncOp"> {
  let summary = "replace subgraphs of constants by their results";
  let description = [{
    Evaluates every op whose operands are constants with the reference
    interpreter. A constant subgraph is evaluated as a whole: only the results
    that other ops read become constants, values between are freed with their
    last use. Shapes of values of static type are constants too, and ONNX ops
    that nothing uses go. Ops outside
    ONNX are left where the result would have more than four times the bytes
    of the operands, as broadcasts have.

    ```mlir
    %a = "onnx.Sign"(%w) : (tensor<64x64xf32>) -> tensor<64x64xf32>   // %w, %s constant
    %b = "onnx.Mul"(%a, %s) : (tensor<64x64xf32>, tensor<f32>) -> tensor<64x64xf32>
    ==>
    %b = "onnx.Constant"() {value = dense_resource<folded>} : () -> tensor<64x64xf32>
    ```
    An op that is undefined on its constants (an integer division by 0, an
    index out of range) is an error.
  }];
  let dependentDialects = ["::hwgq::HWGQDialect", "::hwgq::bitpack::BitpackDialect",
                           "::mlir::arith::ArithDialect"];
  let statistics = [
    Statistic<"numFolded", "folded", "Number of ops evaluated">
  ];
}

//===----------------------------------------------------------------------===//
// import phase -> hwgq phase
//===----------------------------------------------------------------------===//

def HwgqDropStraightThrough
    : Pass<"hwgq-drop-straight-through", "::mlir::func::FuncOp"> {
  let summary = "rewrite (a - b) + b to a";
  let description = [{
    Binarisers with a straight-through gradient leave `(q(x) - p(x)) + p(x)` in
    the exported graph, for weights and for activations. In real numbers that
    is q(x); in float32 it is q(x) with a residue of rounding, which no grid of
    levels explains. Each such sum is replaced by q(x), with a remark at its
    node: in either order of the operands, `b` the same value, an equal
    constant or an equal computation. The pass runs before constants are
    evaluated, which would swallow the form on weights.

    PACT's `0.5 * (|x| - |x - a| + a)`, a a positive constant, is treated
    alike: in real numbers it is clip(x, 0, a), in float32 no step function of
    a large x follows it.

    ```mlir
    %d = "onnx.Sub"(%a, %b) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %y = "onnx.Add"(%d, %b) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    ==>
    %a
    ```
  }];
  let options = [
    Option<"mode", "mode", "std::string", "\"drop\"",
           "drop, or keep: every operation of the file stays">
  ];
  let statistics = [
    Statistic<"numDropped", "dropped", "Number of straight-through residues dropped">
  ];
}

def ConvertOnnxToHwgq : Pass<"convert-onnx-to-hwgq", "::mlir::func::FuncOp"> {
  let summary = "write ONNX operators in the ops of the hwgq phase";
  let description = [{
    Takes `"onnx.X"` ops in their normal form. Element-wise operators become
    arith and math ops on whole tensors with every operand broadcast
    explicitly, in the graph's order; convolutions, products and pools become
    `hwgq` ops on channels-last images between transposes; reductions and
    selections become `linalg.generic`; exp, log and their family become fixed
    polynomials; quantisers become the float32 arithmetic that defines them.
    Integer types lose their signs and 2- and 4-bit ones are held in i8; an
    unsigned argument or result is marked `hwgq.unsigned`.

    Bodies of `linalg.generic` hold arith and math ops, `linalg.index`, and,
    for indices read while running, `tensor.extract`.

    ```mlir
    %y = "onnx.Conv"(%x, %w, %none) {...} : (tensor<?x3x8x8xf32>, tensor<4x3x3x3xf32>, none) -> tensor<?x4x8x8xf32>
    ==>
    %0 = linalg.transpose ins(%x : ...) outs(...) permutation = [0, 2, 3, 1]
    %1 = hwgq.conv2d %0, %ohwi {...} : tensor<?x8x8x3xf32>, tensor<4x3x3x3xf32> -> tensor<?x8x8x4xf32>
    %y = linalg.transpose ins(%1 : ...) outs(...) permutation = [0, 3, 1, 2]
    ```
  }];
  let dependentDialects = ["::hwgq::HWGQDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::tensor::TensorDialect"];
}

def HwgqSinkTransposes : Pass<"hwgq-sink-transposes", "::mlir::func::FuncOp"> {
  let summary = "leave one layout: transposes and reshapes cancel";
  let description = [{
    Moves transposes to channels-first and reshapes down through element-wise
    ops, broadcasts, concatenations, slices, pads and reductions, and
    transposes to channels-last up toward the inputs, until they meet and
    cancel. What remains is at the inputs and results of the network. The
    weights of a product of a flattened image take the image's order.

    ```mlir
    %0 = linalg.transpose ins(%image : ...) outs(...) permutation = [0, 3, 1, 2]
    %1 = arith.maximumf %0, %zero : tensor<?x8x4x4xf32>
    %2 = tensor.collapse_shape %1 [[0], [1, 2, 3]] : tensor<?x8x4x4xf32> into tensor<?x128xf32>
    %3 = hwgq.matmul %2, %w : tensor<?x128xf32>, tensor<10x128xf32> -> tensor<?x10xf32>
    ==>
    %1 = arith.maximumf %image, %zero : tensor<?x4x4x8xf32>
    %2 = tensor.collapse_shape %1 [[0], [1, 2, 3]] : tensor<?x4x4x8xf32> into tensor<?x128xf32>
    %3 = hwgq.matmul %2, %permuted : tensor<?x128xf32>, tensor<10x128xf32> -> tensor<?x10xf32>
    ```
  }];
  let dependentDialects = ["::hwgq::HWGQDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

//===----------------------------------------------------------------------===//
// Recognition: floats -> codes
//===----------------------------------------------------------------------===//

def HwgqRecognizeSteps : Pass<"hwgq-recognize-steps", "::mlir::func::FuncOp"> {
  let summary = "turn element-wise chains that are step functions into quantisers";
  let description = [{
    For every float32 tensor at the end of an element-wise chain, finds the
    shortest suffix of the chain that is a step function of at most 256
    levels and replaces the tensor by `hwgq.quantize` and `hwgq.affine`.
    Breakpoints and their sides are found by bisection over ordered floats on
    pieces where the chain is monotone by construction: every op correctly
    rounded and monotone in each operand that varies, all moving the result
    the same way. Levels are affine when the smallest max|n| <= 255 that fits
    brings all within 2^-22 of the largest magnitude; others keep their chain,
    with a remark. Where channels step at different places, the tensor itself
    is quantised: its levels stand for their numbers. Suffixes whose levels
    differ from channel to channel by a scale alone get a scale per channel.

    ```mlir
    %p = arith.cmpf ogt, %x, %zero : tensor<?x64xf32>
    %y = arith.select %p, %one, %minus_one : tensor<?x64xi1>, tensor<?x64xf32>
    ==>
    %q = hwgq.quantize %x {step = #hwgq.sign<">">} : tensor<?x64xf32> -> tensor<?x64x!hwgq.code<b1>>
    %y = hwgq.affine %q {scale = array<f32: 1.0>} : tensor<?x64x!hwgq.code<b1>>
    ```
  }];
  let dependentDialects = ["::hwgq::HWGQDialect"];
  let statistics = [
    Statistic<"numQuantizers", "quantizers", "Number of step functions found">
  ];
}

def HwgqRecognizeCodes : Pass<"hwgq-recognize-codes", "::mlir::func::FuncOp"> {
  let summary = "put contractions on codes";
  let description = [{
    Classifies constant weights: the smallest grid `scale * n` with max|n| <=
    255 on which every weight lies within 2^-16 of the largest of its output
    channel, with one scale or one per output channel. Grids of up to 4 bits
    are believed; wider ones where (distinct magnitudes - 1) * log2(2^15 /
    max|n|) reaches 24 bits, so that a handful of values does not pass for a
    grid. Weights of {-a, 0, b} become two unary planes.

    Moves `hwgq.affine` behind transposes, reshapes, slices, concatenations,
    borders and pools, then rewrites each contraction by its operands:
    affine codes times affine codes is an integer contraction under
    `hwgq.affine`; with levels that are not affine, one contraction per pair
    of planes and a chain of fma; codes times floats is a float contraction
    over n, then the scale. A matmul on the flattened codes of an image
    becomes a convolution with a kernel of the image's size. A zero border in
    front of a convolution becomes its padding. Factors and divisors of codes
    that are tensors, the same for all terms of each sum (a scale of each token,
    image or, with a 1x1 kernel, pixel), are applied behind the contraction.
    `hwgq.reason` on a contraction with a float operand says why.

    ```mlir
    %x = hwgq.affine %q {scale = array<f32: 0.5>} : tensor<?x64x!hwgq.code<u2>>
    %y = hwgq.matmul %x, %w : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
    ==>
    %c = hwgq.constant dense_resource<codes> : tensor<64xi8> as tensor<8x64x!hwgq.code<b1>>
    %a = hwgq.matmul %q, %c : tensor<?x64x!hwgq.code<u2>>, tensor<8x64x!hwgq.code<b1>> -> tensor<?x8xi32>
    %y = hwgq.affine %a {scale = array<f32: 0.125>} : tensor<?x8xi32>
    ```
  }];
  let dependentDialects = ["::hwgq::HWGQDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"numCoded", "coded", "Number of contractions on codes">,
    Statistic<"numFloat", "float", "Number of contractions with a float operand">
  ];
}

def HwgqFoldThresholds : Pass<"hwgq-fold-thresholds", "::mlir::func::FuncOp"> {
  let summary = "fold quantisers behind accumulators into integer thresholds";
  let description = [{
    The float32 expression between an accumulator and a quantiser (scale,
    bias, batch norm, ReLU, step function) is a function of one integer per
    channel. So is one that begins at integers of 8 or 16 bits in memory, such
    as the preprocessing of an image of bytes. Its thresholds are found by bisection over the accumulators that
    the channel can reach, on that expression itself; channels rise, fall or
    are constant. Chains that are not monotone by construction are enumerated
    where that is feasible. Data movement on the way moves behind the
    threshold, and so does a max-pool: it takes the maximum of the codes, or
    the minimum where the codes fall in the pooled value. Where constants
    behind a flattened image differ from element to element, the sums are
    flattened and each element has thresholds of its own. Quantisers of codes
    become thresholds on codes or vanish. What stays float says why.

    ```mlir
    %x = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x8xi32>
    %y = arith.addf %x, %bias : tensor<?x8xf32>
    %q = hwgq.quantize %y {step = #hwgq.sign<">=">} : tensor<?x8xf32> -> tensor<?x8x!hwgq.code<b1>>
    ==>
    %q = hwgq.threshold %acc {thresholds = dense<...> : tensor<8x1xi32>, direction = array<i8: 1, 1, ...>}
         : tensor<?x8xi32> -> tensor<?x8x!hwgq.code<b1>>
    ```
  }];
  let options = [
    Option<"verifyFolding", "verify-folding", "bool", "false",
           "evaluate the expression at T - 1, T and T + 1 of every threshold "
           "and at both ends of the range (everywhere in small ranges), and "
           "fail where it differs">
  ];
  let dependentDialects = ["::hwgq::HWGQDialect",
                           "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"numFolded", "folded", "Number of quantisers that became thresholds">,
    Statistic<"numFloat", "float", "Number of quantisers of floats that remain">,
    Statistic<"numRows", "rows", "Number of rows of thresholds">
  ];
}

//===----------------------------------------------------------------------===//
// hwgq phase -> bitpack phase -> kernel phase
//===----------------------------------------------------------------------===//

def HwgqToBitpack : Pass<"hwgq-to-bitpack", "::mlir::func::FuncOp"> {
  let summary = "give codes their place in memory";
  let description = [{
    Chooses a `#bitpack.layout` for every tensor of codes from its uses and
    rewrites the ops that touch codes to `bitpack` ops; a threshold that is the
    only reader of an accumulator joins its contraction. Constants are packed.
    Contractions on floats become `bitpack` ops too. Afterwards no tensor of
    codes is without a layout.

    ```mlir
    %a = hwgq.conv2d %x, %w {pads = array<i64: 1, 1, 1, 1>, ...}
         : tensor<?x8x8x64x!hwgq.code<u2>>, tensor<32x3x3x64x!hwgq.code<b1>> -> tensor<?x8x8x32xi32>
    %q = hwgq.threshold %a {...} : tensor<?x8x8x32xi32> -> tensor<?x8x8x32x!hwgq.code<u2>>
    ==>
    %q = bitpack.conv2d %x, %w {pads = ..., thresholds = ...}
         : tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 2, 0]>>,
           tensor<32x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
        -> tensor<?x8x8x32x!hwgq.code<u2>, #bitpack.layout<planes>>
    ```
  }];
  let dependentDialects = ["::hwgq::bitpack::BitpackDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"relayouts", "relayouts", "Number of layout or shape changes inserted">,
    Statistic<"floatMoves", "float-moves", "Number of data movements done on floats">
  ];
}

def BitpackSelectKernels : Pass<"bitpack-select-kernels", "::mlir::func::FuncOp"> {
  let summary = "choose a kernel for every contraction and a form for all codes";
  let description = [{
    Writes `kernel` on each `bitpack.conv2d` and `bitpack.matmul`, and gives each
    tensor of codes the form (`planes` or `bytes`) that makes the sum of the
    predicted times least: those of the kernels that take the op and whose
    features the target has (the table in lib/Dialect/Bitpack/Kernels.cpp, the
    cost model in KernelCosts.cpp beside it), of epilogues, and of relayouts. A
    producer writes the form that its readers want; a `bitpack.relayout` is made
    where a kernel reads another one. Until here all codes lie in planes, so
    that no layout is fixed earlier. The predicted time of a contraction with its
    epilogue, on one thread at batch 1, is its `hwgq.predicted_ns`. Where the
    rows of a matrix are dynamic, a kernel is chosen by the mean over one image
    and many of how often it takes the time of the best.

    A forced kernel that does not fit an op gives way to the best of the others,
    with a remark.

    ```mlir
    %y = bitpack.matmul %x, %w : ...
    ==>
    %y = bitpack.matmul %x, %w {kernel = "popcount", hwgq.predicted_ns = 12.0 : f64} : ...
    ```
  }];
  let options = [
    ListOption<"targetFeatures", "target-features", "std::string",
               "Features of the target, by LLVM's names">,
    Option<"kernel", "kernel", "std::string", "\"auto\"",
           "auto, or the kernel or family of kernels to use wherever one fits">
  ];
  let statistics = [
    Statistic<"refused", "refused", "Number of contractions that the forced kernel does not fit">,
    Statistic<"relayouts", "relayouts", "Number of changes of form">
  ];
}

//===----------------------------------------------------------------------===//
// GPU kernels
//===----------------------------------------------------------------------===//

def ConvertBitpackToGpu : Pass<"convert-bitpack-to-gpu", "::mlir::ModuleOp"> {
  let summary = "make GPU kernels of contractions";
  let description = [{
    Every `bitpack.conv2d` and `bitpack.matmul` whose `kernel` names a GPU
    kernel becomes a `gpu.func` of `gpu.module @kernels`, named after its node,
    and a `gpu.launch_func` on memory; packed weights, thresholds and the base
    of the accumulator are arguments of the kernel. Casts join the memory to
    the tensors of the other ops, which stay and are each named in a remark.

    `thread-popcount`: thread i of the grid computes one byte of each plane of
    the result, that is 8 neighbouring output channels of one pixel, by
    popcount(a AND b) of 64-bit words; i32 results are stored as they are.
    Bytes of the halo and beyond the channels become 0.

    ```mlir
    %y = bitpack.conv2d %x, %w {kernel = "thread-popcount", ...}
    ==>
    gpu.launch_func @kernels::@conv1 blocks in (%blocks, %c1, %c1) threads in (%c128, %c1, %c1)
        args(%weights : memref<18432xi64>, %thresholds : memref<32xi32>, %input : memref<?xi64>,
             %bytes : memref<?xi8>, %count : index)
    %y = builtin.unrealized_conversion_cast %memory : memref<?x8x8x1x1xi64> to tensor<...>
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect"
  ];
  let statistics = [Statistic<"launches", "launches", "Contractions made kernels">];
}

def GpuToLoops : Pass<"gpu-to-loops", "::mlir::ModuleOp"> {
  let summary = "run GPU kernels as loops of a CPU, for tests";
  let description = [{
    Replaces every `gpu.launch_func` by a `scf.forall` over its blocks with
    loops over the threads of a block inside, and the body of the kernel
    inlined there. Kernels whose threads share memory or wait for each other
    are refused.

    ```mlir
    gpu.launch_func @kernels::@f blocks in (%g, %c1, %c1) threads in (%c128, %c1, %c1) args(%m : memref<?xi8>)
    ==>
    scf.forall (%block) in (%g) { scf.for %thread = %c0 to %c128 step %c1 { /* body of @f */ } }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::scf::SCFDialect"];
}

def NvvmKernelPointers : Pass<"nvvm-kernel-pointers", "::mlir::gpu::GPUModuleOp"> {
  let summary = "leave one pointer of each memref of a kernel";
  let description = [{
    Drops the parameters of kernels that nothing reads: of the five that
    `convert-gpu-to-nvvm` makes of a memref of rank 1 the data pointer stays.
    Pointers are `noalias` (a kernel never reads what it writes), those that
    are only read `readonly`, so that their loads go through the read-only
    cache.

    ```mlir
    llvm.func @f(%p: !llvm.ptr, %data: !llvm.ptr, %offset: i64, %size: i64, %stride: i64) attributes {nvvm.kernel}
    ==>
    llvm.func @f(%data: !llvm.ptr {llvm.noalias, llvm.readonly}) attributes {nvvm.kernel}
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect",
                           "::mlir::NVVM::NVVMDialect"];
}

//===----------------------------------------------------------------------===//
// loops
//===----------------------------------------------------------------------===//

def FuseElementwise : Pass<"fuse-elementwise", "::mlir::func::FuncOp"> {
  let summary = "Make one loop of each chain of element-wise ops";
  let description = [{
    Fuses a linalg.generic into its consumer when the consumer is its only
    user, and broadcasts into every consumer. Sizes of results are taken from
    the operands:
    ```
    %a = linalg.generic (mulf) ...    ==>    %b = linalg.generic (mulf, addf) ...
    %b = linalg.generic (addf) ins(%a ...)
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def BitpackFuseEpilogues : Pass<"bitpack-fuse-epilogues", "::mlir::func::FuncOp"> {
  let summary = "Compute element-wise ops with the contraction or pool before them";
  let description = [{
    Puts each contraction, pool and quantiser of floats into a `bitpack.fused`
    with the element-wise ops that follow it: scales, `linalg.generic` over the
    same elements, quantisers, thresholds, in as many steps as there are. Other
    operands may be whole tensors of that shape or anything broadcast to it. A
    group takes no op that another op outside keeps apart from it. Where a pool
    alone reads the group of a convolution of the `f32` kernel, and the result is
    more than 1 MiB an image, the group becomes the first op of the pool's group,
    so that rows are pooled while they are near.

    A group may begin with the element-wise op that makes the input of its
    contraction (`f32` kernel) or pool of floats, where nobody else reads that,
    or with one that turns or flattens an image: tasks make the rows that they
    read, so that `--input` preprocessing has no loop and no tensor.
    ```
    %acc = bitpack.conv2d %x, %w ... -> tensor<?x8x8x64xi32>
    %y = hwgq.affine %acc ...
    %s = linalg.generic (addf) ins(%y, %residual) ...
    %q = bitpack.quantize %s ...
      ==>
    %s, %q = bitpack.fused { all of them; bitpack.yield %s, %q }
    ```
  }];
  let dependentDialects = ["::hwgq::bitpack::BitpackDialect"];
  let statistics = [
    Statistic<"groups", "groups", "Number of groups made">,
    Statistic<"members", "members", "Number of ops in them">
  ];
}

def ConvertBitpackToLoops : Pass<"convert-bitpack-to-loops", "::mlir::ModuleOp"> {
  let summary = "Lower tensors to parallel loops over memory";
  let description = [{
    One dialect conversion of straight-line functions on tensors (bitpack,
    hwgq on plain tensors, linalg.generic, tensor) to memrefs. Each op becomes
    one or a few top-level `scf.forall` over independent tasks, with vectors as
    wide as `features` allow, and fills a buffer of its own:
    ```
    %y = linalg.generic {...} ins(%x : tensor<?x64xf32>) ...
      ==>
    %y = memref.alloc(%n) : memref<?x64xf32>
    scf.forall (%i) in (%n) { scf.for ... { vector.load; arith; vector.store } }
    ```
    Float operations keep their order; nothing is contracted or reassociated.
  }];
  let options = [
    ListOption<"features", "features", "std::string",
               "CPU features that loops may use, as LLVM names them">
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def PlanWorkspace : Pass<"plan-workspace", "::mlir::ModuleOp"> {
  let summary = "Put all buffers of a function into one workspace";
  let description = [{
    Results become trailing arguments (`hwgq.output`), written in place where
    the result is a buffer of the function's own. Every other `memref.alloc`
    becomes a view of one workspace argument; buffers with disjoint lifetimes
    share memory (greedy by size). Offsets are affine in the batch, and
    `hwgq.workspace = array<i64: constant, per batch>` tells the bytes needed.
    ```
    func.func @main(%x: memref<?x4xf32>) -> memref<?x4xf32>
      ==>
    func.func @main(%x: memref<?x4xf32>, %y: memref<?x4xf32> {hwgq.output},
                    %workspace: memref<?xi8>) attributes {hwgq.workspace = ...}
    ```
  }];
  let statistics = [
    Statistic<"workspaceBytes", "workspace-bytes",
              "Bytes of workspace at batch 1">
  ];
  let dependentDialects = ["::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect"];
}

//===----------------------------------------------------------------------===//
// target
//===----------------------------------------------------------------------===//

def OutlineTasks : Pass<"outline-tasks", "::mlir::ModuleOp"> {
  let summary = "Make tasks of the runtime from parallel loops";
  let description = [{
    Every top-level `scf.forall` becomes a function `task_i(env, begin, end)`
    and a call of the runtime's parallel_for with it; `hwgq_run(frame)` unpacks
    struct hwgq_frame and calls `@main`. After each loop the frame's
    `layer_done` is called where there is one; `hwgq.layers` on the module
    holds the names.
  }];
  let statistics = [Statistic<"tasks", "tasks", "Parallel loops outlined">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect",
                           "::mlir::arith::ArithDialect"];
}

def CheckTargetIntrinsics : Pass<"check-target-intrinsics", "::mlir::ModuleOp"> {
  let summary = "refuse instructions that the target lacks";
  let description = [{
    Every `llvm.call_intrinsic` of a target must stand in the table of
    hwgq/Conversion/TargetIntrinsics.h and be an instruction of a target with
    `features`: LLVM ends the process on one that it cannot select.
  }];
  let options = [
    ListOption<"features", "features", "std::string",
               "CPU features of the target, as LLVM names them">
  ];
}

def EmulateTargetIntrinsics : Pass<"emulate-target-intrinsics", "::mlir::ModuleOp"> {
  let summary = "call C functions in place of instructions, for tests";
  let description = [{
    Replaces every `llvm.call_intrinsic` of the table of target intrinsics by
    a call of `hwgq_emulate_NAME` (test/emulation), so that the kernels of
    any target run on any machine. Vectors go through memory; the tile
    registers of AMX live on the stack of the function.

    ```mlir
    %r = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%c, %a, %b) : (...) -> vector<16xi32>
    ==>
    llvm.call @hwgq_emulate_vpdpbusd512(%place_r, %place_c, %place_a, %place_b)
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
  let statistics = [Statistic<"calls", "calls", "Instructions replaced">];
}

#endif // HWGQ_PASSES
