//===- BitpackOps.td - where the bits lie ---------------------*- tablegen -*-===//
//
// The `bitpack` dialect: packed tensors and the ops that work on them.
//
//===----------------------------------------------------------------------===//

#ifndef BITPACK_OPS
#define BITPACK_OPS

include "hwgq/HWGQOps.td"

def Bitpack_Dialect : Dialect {
  let name = "bitpack";
  let cppNamespace = "::hwgq::bitpack";
  let summary = "Where the bits of packed tensors lie";
  let description = [{
    The ops of `hwgq` on tensors whose type carries a `#bitpack.layout`, with
    the kernel that computes each contraction. The logical shape stays in the
    type (NHWC, OHWI, `[M, K]`); the layout says how it lies in memory.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::hwgq::HWGQDialect"];
}

def Bitpack_LayoutAttr : AttrDef<Bitpack_Dialect, "Layout"> {
  let mnemonic = "layout";
  let summary = "how a tensor of codes lies in memory";
  let description = [{
    Form `planes` splits the last (channel) dimension into 64-channel words,
    lowest channel in the lowest bit, one word per bit of the code (the code
    itself, for signed code types too: bit p of `code`, not of n):
    ```
    activations [N][H+top+bottom][W+left+right][ceil(C/64)][bits]        x i64
    matrices    [M][ceil(C/64)][bits]                                    x i64
    weights     [ceil(K/block)][KH][KW][ceil(C/64)][bits][block]         x i64
    ```
    `block` > 0 marks weights: `block` output channels lie side by side.
    Bits beyond the channels, lanes beyond K and the halo are 0. `halo` is
    top, left, bottom, right. A row is followed by the left side of the next:
    with `halo = [1, 1, 2, 0]` each row of the image has zeros on both sides.
    Form `bytes` holds one code a byte; the bytes of a pixel are filled up with
    0 to a multiple of `align` (1 unless it says otherwise):
    ```
    activations [N][H+top+bottom][W+left+right][C rounded up to align]   x i8
    matrices    [M][K rounded up to align]                               x i8
    ```
    Codes, not the numbers n, so that every form holds the same bits, a halo is
    0 in each, and the product of bytes is always one of unsigned codes.

    ```
    #bitpack.layout<planes, halo = [1, 1, 1, 1]>
    #bitpack.layout<planes, block = 8>
    #bitpack.layout<bytes, align = 64>
    ```
    Constraints: C1 the form is `planes` or `bytes`; C2 block is 0, or a
    multiple of 8 with no halo and form `planes`; C3 the halo has 4 entries
    that are not negative; C4 align is a power of two up to 4096, and 1 for
    planes.
  }];
  let parameters = (ins "::mlir::StringAttr":$form,
                        "int64_t":$block,
                        "::mlir::DenseI64ArrayAttr":$halo,
                        "int64_t":$align);
  let builders = [
    AttrBuilder<(ins "::llvm::StringRef":$form,
                     CArg<"::llvm::ArrayRef<int64_t>", "{0, 0, 0, 0}">:$halo,
                     CArg<"int64_t", "0">:$block,
                     CArg<"int64_t", "1">:$align), [{
      return $_get($_ctxt, ::mlir::StringAttr::get($_ctxt, form), block,
                   ::mlir::DenseI64ArrayAttr::get($_ctxt, halo), align);
    }]>
  ];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    int64_t getTop() const { return getHalo()[0]; }
    int64_t getLeft() const { return getHalo()[1]; }
    int64_t getBottom() const { return getHalo()[2]; }
    int64_t getRight() const { return getHalo()[3]; }
    bool hasHalo() const {
      return ::llvm::any_of(getHalo().asArrayRef(), [](int64_t h) { return h != 0; });
    }
    /// The memory shape of a packed tensor type that carries this layout;
    /// dynamic dimensions stay dynamic.
    ::llvm::SmallVector<int64_t> getPhysicalShape(::mlir::RankedTensorType type) const;
    /// i64 for planes, i8 for bytes.
    ::mlir::Type getElementType() const;
    bool isPlanes() const { return getForm() == "planes"; }
    /// The same form with another halo.
    LayoutAttr withHalo(::llvm::ArrayRef<int64_t> halo) const;
    /// Elements of memory of a pixel with that many channels of `bits` bits.
    int64_t getPixelSize(int64_t channels, int64_t bits) const;
  }];
}

def Bitpack_Packed : Type<CPred<"::hwgq::bitpack::isPacked($_self)">,
                          "packed tensor of codes", "::mlir::RankedTensorType">;
def Bitpack_FloatTensor : TensorOf<[F32]>;
def Bitpack_I32Tensor : TensorOf<[I32]>;
def Bitpack_PackedOrFloat : AnyTypeOf<[Bitpack_Packed, Bitpack_FloatTensor]>;
def Bitpack_PackedOrI32 : AnyTypeOf<[Bitpack_Packed, Bitpack_I32Tensor]>;
def Bitpack_Any : AnyTypeOf<[Bitpack_Packed, Bitpack_FloatTensor, Bitpack_I32Tensor]>;

class Bitpack_Op<string mnemonic, list<Trait> traits = []>
    : Op<Bitpack_Dialect, mnemonic, !listconcat([Pure], traits)>;

def Bitpack_ConstantOp : Bitpack_Op<"constant", [ConstantLike]> {
  let summary = "a packed constant, as it lies in memory";
  let description = [{
    `words` is the memory of the tensor in row-major order of its physical
    shape, flat.

    ```mlir
    %w = bitpack.constant dense<[1, 0, 3, 1, 0, 0, 2, 1]> : tensor<8xi64>
         as tensor<8x2x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
    ```
    Constraints: C1 as many elements as the physical shape has, of its element
    type.
  }];
  let arguments = (ins ElementsAttr:$words);
  let results = (outs Bitpack_Packed:$result);
  let assemblyFormat = "$words attr-dict `as` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Bitpack_QuantizeOp : Bitpack_Op<"quantize"> {
  let summary = "packed codes of floats under a step function";
  let description = [{
    `hwgq.quantize` with a packed result.

    ```mlir
    %q = bitpack.quantize %x {step = #hwgq.sign<">=">}
         : tensor<?x8x8x64xf32> -> tensor<?x8x8x64x!hwgq.code<b1>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>
    ```
  }];
  let arguments = (ins Bitpack_FloatTensor:$input, HWGQ_StepAttr:$step);
  let results = (outs Bitpack_Packed:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Bitpack_ThresholdOp : Bitpack_Op<"threshold"> {
  let summary = "packed codes of accumulators or codes under integer thresholds";
  let description = [{
    `hwgq.threshold` with a packed result.

    ```mlir
    %q = bitpack.threshold %acc {thresholds = dense<[[0]]> : tensor<1x1xi32>, direction = array<i8: 1>}
         : tensor<?x64xi32> -> tensor<?x64x!hwgq.code<b1>, #bitpack.layout<planes>>
    ```
  }];
  let arguments = (ins Bitpack_PackedOrI32:$input, ElementsAttr:$thresholds,
                       DenseI8ArrayAttr:$direction);
  let results = (outs Bitpack_Packed:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Bitpack_Conv2DOp : Bitpack_Op<"conv2d"> {
  let summary = "2-D convolution on packed tensors, with its thresholds";
  let description = [{
    `hwgq.conv2d`, followed by `hwgq.threshold` where `thresholds` stands
    (the result is then packed, else `i32`, or `f32` where the input is float).
    `kernel` names how the dot product is computed; absent until
    `bitpack-select-kernels` has run. It computes `joined` neighbouring groups
    as one, with weights of 0 from each to the others; absent: none.

    ```mlir
    %y = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>,
           dilations = array<i64: 1, 1>, groups = 1 : i64,
           thresholds = dense<[[1, 5, 9]]> : tensor<1x3xi32>, direction = array<i8: 1>, kernel = "popcount"}
         : tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>,
           tensor<32x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
         -> tensor<?x8x8x32x!hwgq.code<u2>, #bitpack.layout<planes>>
    ```
    Constraints: those of `hwgq.conv2d` and `hwgq.threshold`, and C6 the halo
    of a packed input is at least `pads`, where its left side counts as right
    side, too, if it has more rows below than `pads`; C7 packed weights have a
    block; C8 `joined` divides `groups`, of codes on both sides, and there is a
    code type that holds 0 and the numbers of the weights.
  }];
  let arguments = (ins Bitpack_PackedOrFloat:$input, Bitpack_PackedOrFloat:$weight,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$pads,
                       DenseI64ArrayAttr:$dilations, I64Attr:$groups,
                       OptionalAttr<ElementsAttr>:$thresholds,
                       OptionalAttr<DenseI8ArrayAttr>:$direction,
                       OptionalAttr<StrAttr>:$kernel,
                       OptionalAttr<I64Attr>:$joined);
  let results = (outs Bitpack_Any:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($result)";
  let hasVerifier = 1;
}

def Bitpack_MatMulOp : Bitpack_Op<"matmul"> {
  let summary = "matrix product on packed tensors, with its thresholds";
  let description = [{
    `hwgq.matmul`, with thresholds and kernel as in `bitpack.conv2d`. Packed
    weights lie as `[ceil(N/block)][1][1][ceil(K/64)][bits][block]`.

    ```mlir
    %y = bitpack.matmul %x, %w {kernel = "popcount"}
         : tensor<?x784x!hwgq.code<b1>, #bitpack.layout<planes>>,
           tensor<64x784x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x64xi32>
    ```
  }];
  let arguments = (ins Bitpack_PackedOrFloat:$input, Bitpack_PackedOrFloat:$weight,
                       OptionalAttr<ElementsAttr>:$thresholds,
                       OptionalAttr<DenseI8ArrayAttr>:$direction,
                       OptionalAttr<StrAttr>:$kernel);
  let results = (outs Bitpack_Any:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($result)";
  let hasVerifier = 1;
}

def Bitpack_ProductOp : Bitpack_Op<"product"> {
  let summary = "matrix products of two packed tensors, with their thresholds";
  let description = [{
    `hwgq.product`, with thresholds and kernel as in `bitpack.conv2d`. Both
    operands are activations: their layout has no block.

    ```mlir
    %y = bitpack.product %q, %k {input_dims = array<i64: 0, 2, 1, 4>, weight_dims = array<i64: 0, 3, 1, 4>,
           kernel = "dot8-pairs"}
         : tensor<?x7x2x16x!hwgq.code<s4>, #bitpack.layout<bytes, align = 8>>,
           tensor<?x7x2x16x!hwgq.code<s4>, #bitpack.layout<bytes, align = 8>> -> tensor<?x2x7x7xi32>
    ```
    Constraints: C1, C2 those of `hwgq.product`; C3 no operand has a block or a
    halo, and only first dimensions are dynamic.
  }];
  let arguments = (ins Bitpack_Packed:$input, Bitpack_Packed:$weight,
                       DenseI64ArrayAttr:$input_dims,
                       DenseI64ArrayAttr:$weight_dims,
                       OptionalAttr<ElementsAttr>:$thresholds,
                       OptionalAttr<DenseI8ArrayAttr>:$direction,
                       OptionalAttr<StrAttr>:$kernel);
  let results = (outs Bitpack_PackedOrI32:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($result)";
  let hasVerifier = 1;
}

def Bitpack_MaxPoolOp : Bitpack_Op<"max_pool"> {
  let summary = "maximum of packed codes over a window";
  let description = [{
    `hwgq.max_pool` on packed codes. Folds: a window of one pixel that moves by
    one to its input.

    ```mlir
    %y = bitpack.max_pool %x {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>,
           pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
         : tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>
        -> tensor<?x4x4x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>
    ```
  }];
  let arguments = (ins Bitpack_Packed:$input, DenseI64ArrayAttr:$kernel,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$pads,
                       DenseI64ArrayAttr:$dilations,
                       OptionalAttr<DenseBoolArrayAttr>:$falling);
  let results = (outs Bitpack_Packed:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Bitpack_AvgPoolOp : Bitpack_Op<"avg_pool"> {
  let summary = "average of packed codes over a window";
  let description = [{
    `hwgq.avg_pool` on packed codes.

    ```mlir
    %y = bitpack.avg_pool %x {kernel = array<i64: 7, 7>, strides = array<i64: 1, 1>,
           pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, count_include_pad = false, scale = 0.538 : f32}
         : tensor<?x7x7x64x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<?x1x1x64xf32>
    ```
  }];
  let arguments = (ins Bitpack_Packed:$input, DenseI64ArrayAttr:$kernel,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$pads,
                       DenseI64ArrayAttr:$dilations, BoolAttr:$count_include_pad,
                       F32Attr:$scale);
  let results = (outs Bitpack_FloatTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Bitpack_AffineOp : Bitpack_Op<"affine"> {
  let summary = "the real values of packed codes";
  let description = [{
    `hwgq.affine` on packed codes: `f32(f32(n) * scale)`.

    ```mlir
    %y = bitpack.affine %x {scale = array<f32: 0.538>}
         : tensor<?x64x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Bitpack_Packed:$input, DenseF32ArrayAttr:$scale);
  let results = (outs Bitpack_FloatTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Bitpack_RelayoutOp : Bitpack_Op<"relayout"> {
  let summary = "the same codes in another layout or shape";
  let description = [{
    Moves codes to another layout; the shape may change where the row-major
    order of the elements stays. The only converter between layouts.

    ```mlir
    %y = bitpack.relayout %x : tensor<?x2x2x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>
                            -> tensor<?x256x!hwgq.code<u2>, #bitpack.layout<planes>>
    ```
    Constraints: C1 same code type and number of elements. Folds: the layout
    that the input has to the input; two in a row to one.
  }];
  let arguments = (ins Bitpack_Packed:$input);
  let results = (outs Bitpack_Packed:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Bitpack_PadOp : Bitpack_Op<"pad"> {
  let summary = "packed codes with a constant border";
  let description = [{
    `hwgq.pad` on packed codes; the border becomes part of the tensor. Folds: no
    border to the input.

    ```mlir
    %y = bitpack.pad %x {low = array<i64: 0, 1, 1, 0>, high = array<i64: 0, 1, 1, 0>, value = 1 : i32}
         : tensor<?x8x8x64x!hwgq.code<b1>, #bitpack.layout<planes>>
        -> tensor<?x10x10x64x!hwgq.code<b1>, #bitpack.layout<planes>>
    ```
  }];
  let arguments = (ins Bitpack_Packed:$input, DenseI64ArrayAttr:$low,
                       DenseI64ArrayAttr:$high, I32Attr:$value);
  let results = (outs Bitpack_Packed:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Bitpack_ConcatOp : Bitpack_Op<"concat"> {
  let summary = "packed tensors side by side";
  let description = [{
    `tensor.concat` along dimension `dim` on packed codes of one code type.

    ```mlir
    %y = bitpack.concat %a, %b {dim = 3 : i64}
         : (tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>,
            tensor<?x8x8x32x!hwgq.code<u2>, #bitpack.layout<planes>>)
        -> tensor<?x8x8x96x!hwgq.code<u2>, #bitpack.layout<planes>>
    ```
    Constraints: C1 equal code types, ranks and all sizes but `dim`'s, which
    add up. Folds: one input to itself.
  }];
  let arguments = (ins Variadic<Bitpack_Packed>:$inputs, I64Attr:$dim);
  let results = (outs Bitpack_Packed:$result);
  let assemblyFormat = "$inputs attr-dict `:` functional-type($inputs, $result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Bitpack_FusedOp : Op<Bitpack_Dialect, "fused",
    [SingleBlock, RecursiveMemoryEffects, RecursivelySpeculatable]> {
  let summary = "ops computed in one loop";
  let description = [{
    The values of its region, which reads what lies around it: the ops of a
    group as they would stand alone. The group is computed in one pass over
    the elements of a tensor: at most one op is a contraction or a pool; all
    behind it are element-wise in its result, so that values between them need
    no memory. Before it may stand the element-wise op that makes the input of
    a convolution of floats (casts, scales and the order of an image), which
    its kernel computes where it reads it; before a pool the group of such a
    convolution, which nobody else reads and whose tasks pool the rows that they
    made. Only what `bitpack.yield` names is stored.

    ```mlir
    %sum, %codes = bitpack.fused -> (tensor<?x8x8x64xf32>, tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>) {
      %acc = bitpack.conv2d %x, %w {...} : ... -> tensor<?x8x8x64xi32>
      %y = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x8x8x64xi32>
      %s = linalg.generic {...} ins(%y, %residual : ...) ... -> tensor<?x8x8x64xf32>
      %q = bitpack.quantize %s {step = ...} : ... -> tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>
      bitpack.yield %s, %q : ...
    }
    ```
    Constraints: C1 the types yielded are those of the results; C2 all results
    have one shape.
  }];
  let results = (outs Variadic<Bitpack_Any>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "(`->` `(` type($results)^ `)`)? $body attr-dict";
  let hasVerifier = 1;
}

def Bitpack_YieldOp : Bitpack_Op<"yield",
    [Terminator, HasParent<"bitpack::FusedOp">]> {
  let summary = "results of `bitpack.fused`";
  let description = [{
    Names the values of the region that have users outside.
  }];
  let arguments = (ins Variadic<Bitpack_Any>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

def Bitpack_ChunkEndOp : Bitpack_Op<"chunk_end", [Pure]> {
  let summary = "the end of the tasks that one iteration does";
  let description = [{
    In the body of a top-level `scf.forall` whose iterations are tasks: the
    iteration that begins with `task` does tasks [task, end), as many as a
    thread takes at a time, so that neighbours share what they prepare.

    ```mlir
    scf.forall (%task) in (%count) {
      %end = bitpack.chunk_end %task
      scf.for %row = %task to %end step %c1 { ... }
    }
    ```
  }];
  let arguments = (ins Index:$task);
  let results = (outs Index:$end);
  let assemblyFormat = "$task attr-dict";
}

#endif // BITPACK_OPS
