//===- HWGQOps.td - what the numbers are ----------------------*- tablegen -*-===//
//
// The `hwgq` dialect: low-bit codes, exact contractions on them, and the step
// functions that make them. Read README.md beside this file for the reasons.
//
//===----------------------------------------------------------------------===//

#ifndef HWGQ_OPS
#define HWGQ_OPS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def HWGQ_Dialect : Dialect {
  let name = "hwgq";
  let cppNamespace = "::hwgq";
  let summary = "Numbers of low-bit networks: codes, contractions, step functions";
  let description = [{
    Says what the numbers of a quantised network are, not where their bits
    lie. A *code* is the small unsigned integer that stands for a quantised
    value; its type maps it to an integer `n = offset + stride * code`; an
    accumulator is an exact `i32` sum of products of such `n`; real scales are
    never in types but on `hwgq.affine`. Images are NHWC, convolution weights
    OHWI, matmul weights `[N, K]`. Float work is upstream `arith`, `math`,
    `linalg` and `tensor` on tensors.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 0;
  let extraClassDeclaration = [{
    ::mlir::Attribute parseAttribute(::mlir::DialectAsmParser &parser,
                                     ::mlir::Type type) const override;
    void printAttribute(::mlir::Attribute attr,
                        ::mlir::DialectAsmPrinter &printer) const override;
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::tensor::TensorDialect"];
}

//===----------------------------------------------------------------------===//
// Types and attributes
//===----------------------------------------------------------------------===//

def HWGQ_CodeType : TypeDef<HWGQ_Dialect, "Code"> {
  let mnemonic = "code";
  let summary = "a `bits`-wide unsigned code that stands for n = offset + stride * code";
  let description = [{
    `bits` in 1..8. Short forms: `u2` (offset 0, stride 1), `s2` (offset
    -2^(bits-1), stride 1), `b1` (one bit, -1 and +1: offset -1, stride 2).
    Every other pair is written out: `!hwgq.code<u2, -3, 2>` is -3, -1, 1, 3.

    Constraints: C1 1 <= bits <= 8; C2 stride >= 1; C3 max|n| <= 255.
  }];
  let parameters = (ins "unsigned":$bits, "int32_t":$offset, "int32_t":$stride);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Smallest n of the type.
    int32_t getMin() const { return getOffset(); }
    /// Largest n of the type.
    int32_t getMax() const {
      return getOffset() + getStride() * ((1 << getBits()) - 1);
    }
    /// The n of a code.
    int32_t toNumber(uint8_t code) const {
      return getOffset() + getStride() * code;
    }
    /// The code of n; n must be on the grid.
    uint8_t toCode(int32_t n) const {
      return static_cast<uint8_t>((n - getOffset()) / getStride());
    }
    /// Whether n is on the grid of the type.
    bool contains(int32_t n) const {
      return n >= getMin() && n <= getMax() && (n - getOffset()) % getStride() == 0;
    }
    /// `u<bits>`.
    static CodeType getUnsigned(::mlir::MLIRContext *context, unsigned bits) {
      return get(context, bits, 0, 1);
    }
    /// `b1`: -1 and +1.
    static CodeType getBipolar(::mlir::MLIRContext *context) {
      return get(context, 1, -1, 2);
    }
  }];
}

def HWGQ_StepAttr : AttrDef<HWGQ_Dialect, "Step"> {
  let mnemonic = "step";
  let summary = "a step function from float32 to integers n";
  let description = [{
    Sorted breakpoints b_1 <= ... <= b_m, each with its side, and m + 1
    integers: the value is `values[i]` with i the
    number of breakpoints with x > b_i, or x == b_i where b_i is closed;
    NaN gives `nan`. Levels are `scale * n` with the scale on `hwgq.affine`.

    ```
    #hwgq.step<[gt 0.0, gt 0.807, ge 1.345], values = [0, 1, 2, 3], nan = 0>
    ```
    Printed short forms of the same attribute: `#hwgq.half_wave<0.538, 2>`
    (Caffe HWGQ: breakpoints 0, 1.5s, 2.5s, strict), `#hwgq.sign<">=">` and
    `#hwgq.sign<">">` (-1, 1), `#hwgq.dorefa<2>` (round(x * (2^k - 1)) in
    0..2^k-1).

    Constraints: C1 breakpoints are sorted and not NaN, and of two equal ones
    the closed comes first; C2 one side per breakpoint and one more value than
    breakpoints; C3 at most 255 breakpoints.
  }];
  let parameters = (ins "::mlir::DenseF32ArrayAttr":$breakpoints,
                        "::mlir::DenseBoolArrayAttr":$closed,
                        "::mlir::DenseI32ArrayAttr":$values,
                        "int32_t":$nan);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The integer n of x.
    int32_t evaluate(float x) const;
  }];
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

def HWGQ_IsCode : CPred<"::llvm::isa<::hwgq::CodeType>($_self)">;
def HWGQ_Code : Type<HWGQ_IsCode, "code">;
def HWGQ_CodeTensor : TensorOf<[HWGQ_Code]>;
def HWGQ_NumberTensor : TensorOf<[HWGQ_Code, F32]>;
def HWGQ_IntTensor : TensorOf<[HWGQ_Code, I32]>;
def HWGQ_AnyTensor : TensorOf<[HWGQ_Code, I32, F32]>;
def HWGQ_ValueTensor : TensorOf<[I32, F32]>;

class HWGQ_Op<string mnemonic, list<Trait> traits = []>
    : Op<HWGQ_Dialect, mnemonic, !listconcat([Pure], traits)>;

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

def HWGQ_ConstantOp : HWGQ_Op<"constant", [ConstantLike]> {
  let summary = "a constant tensor of codes";
  let description = [{
    `codes` holds the codes of the tensor in row-major order, packed `bits` a
    code into bytes without gaps, lowest bits first (code i takes the bits
    i*bits .. (i+1)*bits-1 of the byte string), as a one-dimensional `i8`
    elements attribute; `hwgq::packCodes` and `hwgq::unpackCodes` convert.

    ```mlir
    %w = hwgq.constant dense<[5]> : tensor<1xi8> as tensor<4x1x!hwgq.code<b1>>  // +1 -1 +1 -1
    ```
    Constraints: C1 the attribute has ceil(elements * bits / 8) bytes; C2 the
    result shape is static.
  }];
  let arguments = (ins ElementsAttr:$codes);
  let results = (outs HWGQ_CodeTensor:$result);
  let assemblyFormat = "$codes attr-dict `as` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

class HWGQ_WindowOp<string mnemonic, list<Trait> traits = []>
    : HWGQ_Op<mnemonic, traits>;

def HWGQ_Conv2DOp : HWGQ_WindowOp<"conv2d",
    [InferTypeOpAdaptor]> {
  let summary = "2-D convolution of codes or floats, exact in i32 for codes";
  let description = [{
    ```
    y[n,oh,ow,k] = sum over kh, kw, c of
        x[n, oh*sh + kh*dh - top, ow*sw + kw*dw - left, g*C/groups + c] * w[k,kh,kw,c]
    ```
    with g = k / (K/groups). Padded taps contribute the real 0. Two code
    tensors: the exact int32 sum of products of their n, result `i32`. A float
    operand: one chain `acc = fma(x, w, acc)` from +0 in the order (kh, kw, c),
    padded taps enter as x = +0, codes enter as f32(n), result `f32`.

    ```mlir
    %y = hwgq.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>,
           dilations = array<i64: 1, 1>, groups = 1 : i64}
         : tensor<?x8x8x64x!hwgq.code<u2>>, tensor<32x3x3x64x!hwgq.code<b1>> -> tensor<?x8x8x32xi32>
    ```
    `pads` is top, left, bottom, right. Constraints: C1 ranks are 4; C2 C =
    groups * weight channels and groups divides K; C3 strides and dilations
    are positive, pads not negative; C4 the window fits the padded input; C5
    for codes the sum provably fits in int32.
  }];
  let arguments = (ins HWGQ_NumberTensor:$input, HWGQ_NumberTensor:$weight,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$pads,
                       DenseI64ArrayAttr:$dilations, I64Attr:$groups);
  let results = (outs HWGQ_ValueTensor:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($result)";
  let hasVerifier = 1;
}

def HWGQ_MatMulOp : HWGQ_Op<"matmul",
    [InferTypeOpAdaptor]> {
  let summary = "product of a matrix with transposed weights, exact in i32 for codes";
  let description = [{
    `y[m,n] = sum over k of x[m,k] * w[n,k]`, in the arithmetic of
    `hwgq.conv2d` (float chains run over k upwards).

    ```mlir
    %y = hwgq.matmul %x, %w : tensor<?x784x!hwgq.code<b1>>, tensor<64x784x!hwgq.code<b1>> -> tensor<?x64xi32>
    ```
    Constraints: C1 ranks are 2; C2 the inner sizes are equal; C3 for codes
    the sum provably fits in int32.
  }];
  let arguments = (ins HWGQ_NumberTensor:$input, HWGQ_NumberTensor:$weight);
  let results = (outs HWGQ_ValueTensor:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($result)";
  let hasVerifier = 1;
}

def HWGQ_ProductOp : HWGQ_Op<"product",
    [InferTypeOpAdaptor]> {
  let summary = "matrix products of two tensors of codes, exact in i32";
  let description = [{
    Products of the matrices that two activations hold, in any order of
    dimensions: with r the rank of the result, n its last dimension and k = r
    the dimension that is summed, dimension d of `input` runs along dimension
    `input_dims[d]` of (result, k), and so for `weight`.
    ```
    y[i_0, .., i_(r-1)] = sum over k = i_r of x[i_(input_dims[0]), ..] * w[i_(weight_dims[0]), ..]
    ```
    Dimensions of both operands beside k are a batch; the one of `input` alone
    is m, n is that of `weight` alone.

    ```mlir
    // scores[b,h,t,s] = sum over k of q[b,t,h,k] * k[b,s,h,k]
    %y = hwgq.product %q, %k {input_dims = array<i64: 0, 2, 1, 4>, weight_dims = array<i64: 0, 3, 1, 4>}
         : tensor<?x7x2x16x!hwgq.code<s4>>, tensor<?x7x2x16x!hwgq.code<s4>> -> tensor<?x2x7x7xi32>
    ```
    Constraints: C1 both operands have the rank of the result, at least 2;
    `input_dims` lists all of its dimensions but n, and k; `weight_dims` n, k
    and all others but one; C2 sizes along one dimension are equal; C3 the sum
    provably fits in int32.
  }];
  let arguments = (ins HWGQ_CodeTensor:$input, HWGQ_CodeTensor:$weight,
                       DenseI64ArrayAttr:$input_dims,
                       DenseI64ArrayAttr:$weight_dims);
  let results = (outs TensorOf<[I32]>:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($result)";
  let hasVerifier = 1;
}

def HWGQ_AffineOp : HWGQ_Op<"affine",
    [InferTypeOpAdaptor]> {
  let summary = "the real value of accumulators or codes";
  let description = [{
    `y[..., c] = f32(f32(n[..., c]) * scale[c])`; one scale for all channels or
    one per index of the last dimension.

    ```mlir
    %y = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x8x8x32xi32>
    ```
    Constraints: C1 `scale` has 1 element or as many as the last dimension; C2
    scales are finite. Folds: equal scales to one.
  }];
  let arguments = (ins HWGQ_IntTensor:$input, DenseF32ArrayAttr:$scale);
  let results = (outs TensorOf<[F32]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def HWGQ_QuantizeOp : HWGQ_Op<"quantize"> {
  let summary = "codes of floats under a step function";
  let description = [{
    `y = code of step(x)`, element by element.

    ```mlir
    %q = hwgq.quantize %x {step = #hwgq.half_wave<0.538, 2>}
         : tensor<?x8x8x64xf32> -> tensor<?x8x8x64x!hwgq.code<u2>>
    ```
    Constraints: C1 same shape; C2 every value of the step function, NaN's
    included, is on the grid of the result's code type. Folds: quantising what
    is quantised so already gives the codes themselves.
  }];
  let arguments = (ins TensorOf<[F32]>:$input, HWGQ_StepAttr:$step);
  let results = (outs HWGQ_CodeTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def HWGQ_ThresholdOp : HWGQ_Op<"threshold"> {
  let summary = "codes of accumulators under integer thresholds";
  let description = [{
    With T = thresholds[c] and c the index of the last dimension (or 0 where
    there is one row for all channels), the code is
    ```
    direction[c] =  1:  number of T_i with n >= T_i   (rising,  T ascending)
    direction[c] = -1:  number of T_i with n <= T_i   (falling, T descending)
    direction[c] =  0:  T_0                 (constant)
    ```
    ```mlir
    %q = hwgq.threshold %acc {thresholds = dense<[[1, 5, 9]]> : tensor<1x3xi32>, direction = array<i8: 1>}
         : tensor<?x8x8x64xi32> -> tensor<?x8x8x64x!hwgq.code<u2>>
    ```
    Constraints: C1 same shape; C2 rows: 1 or the last dimension, one
    direction each, in -1, 0, 1; C3 rows are sorted as above; C4 the number of
    thresholds is below 2^bits, constants too. Folds: equal rows to one.
  }];
  let arguments = (ins HWGQ_IntTensor:$input, ElementsAttr:$thresholds,
                       DenseI8ArrayAttr:$direction);
  let results = (outs HWGQ_CodeTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasCanonicalizer = 1;
  let hasFolder = 1;
  let hasVerifier = 1;
}

def HWGQ_MaxPoolOp : HWGQ_WindowOp<"max_pool"> {
  let summary = "maximum over a window; padded taps never win";
  let description = [{
    `y[n,oh,ow,c] = max over taps in bounds of x[n, oh*sh + kh*dh - top, ow*sw + kw*dw - left, c]`
    on codes, accumulators or floats (a NaN in the window gives NaN). Where
    `falling[c]` is set the minimum is taken: a maximum before a falling
    threshold. Windows may reach beyond the padded input at the bottom and
    right (ceil rounding), but each has a tap in bounds.

    ```mlir
    %y = hwgq.max_pool %x {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>,
           pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
         : tensor<?x8x8x64x!hwgq.code<u2>> -> tensor<?x4x4x64x!hwgq.code<u2>>
    ```
    Constraints: C1 rank 4, same element type, batch and channels; C2 positive
    kernel, strides and dilations, pads not negative; C3 every window has a
    tap in bounds; C4 `falling` is absent or has one entry per channel. Folds:
    a window of one pixel that moves by one to its input; `falling` without an
    entry to none.
  }];
  let arguments = (ins HWGQ_AnyTensor:$input, DenseI64ArrayAttr:$kernel,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$pads,
                       DenseI64ArrayAttr:$dilations,
                       OptionalAttr<DenseBoolArrayAttr>:$falling);
  let results = (outs HWGQ_AnyTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def HWGQ_AvgPoolOp : HWGQ_WindowOp<"avg_pool"> {
  let summary = "average over a window";
  let description = [{
    Floats: adds from +0 over (kh, kw) of the taps in bounds, then one division
    by count: kernel size when `count_include_pad` (taps that lie in the padded
    input), else the taps in bounds. Codes: `f32(f32(sum of n) *
    f32(f64(scale) / count))`; taps out of bounds add n = 0.

    ```mlir
    %y = hwgq.avg_pool %x {kernel = array<i64: 7, 7>, strides = array<i64: 1, 1>,
           pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, count_include_pad = false, scale = 1.0 : f32}
         : tensor<?x7x7x64xf32> -> tensor<?x1x1x64xf32>
    ```
    `scale` is 1 and without effect for floats. Constraints: as for
    `hwgq.max_pool`, C1 to C3.
  }];
  let arguments = (ins HWGQ_NumberTensor:$input, DenseI64ArrayAttr:$kernel,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$pads,
                       DenseI64ArrayAttr:$dilations, BoolAttr:$count_include_pad,
                       F32Attr:$scale);
  let results = (outs TensorOf<[F32]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def HWGQ_PadOp : HWGQ_Op<"pad"> {
  let summary = "a tensor with a constant border";
  let description = [{
    Adds `low[d]` elements before and `high[d]` after dimension d, all of
    `value` (for codes: the integer n, as an i32 attribute; for floats an f32
    attribute).

    ```mlir
    %y = hwgq.pad %x {low = array<i64: 0, 1, 1, 0>, high = array<i64: 0, 1, 1, 0>, value = 1 : i32}
         : tensor<?x8x8x64x!hwgq.code<b1>> -> tensor<?x10x10x64x!hwgq.code<b1>>
    ```
    Constraints: C1 one entry per dimension, not negative; C2 result shape =
    input + low + high; C3 `value` fits the element type; C4 a dynamic
    dimension is not padded. Folds: no border to the input; a border around an
    equal border to one.
  }];
  let arguments = (ins HWGQ_AnyTensor:$input, DenseI64ArrayAttr:$low,
                       DenseI64ArrayAttr:$high, TypedAttrInterface:$value);
  let results = (outs HWGQ_AnyTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

#endif // HWGQ_OPS
