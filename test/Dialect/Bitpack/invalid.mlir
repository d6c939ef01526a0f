// RUN: hwgq-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{unknown form "nibbles"; planes or bytes}}
func.func @layout_c1(%x: tensor<4x!hwgq.code<u2>, #bitpack.layout<nibbles>>) { return }

// -----

// expected-error @+1 {{a block is a multiple of 8 and has no halo}}
func.func @layout_c2(%x: tensor<4x!hwgq.code<u2>, #bitpack.layout<planes, block = 4>>) { return }

// -----

// expected-error @+1 {{the halo has 4 entries that are not negative}}
func.func @layout_c3(%x: tensor<4x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1]>>) { return }

// -----

// expected-error @+1 {{align is a power of two up to 4096, for bytes}}
func.func @layout_c4(%x: tensor<4x!hwgq.code<u2>, #bitpack.layout<bytes, align = 48>>) { return }

// -----

func.func @constant_c1() {
  // expected-error @+1 {{needs 8 elements of 'i64'}}
  %0 = bitpack.constant dense<0> : tensor<7xi64> as tensor<8x3x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>
  return
}

// -----

// The last row has no left side of a next one.
func.func @conv2d_c6_below(%x: tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 0]>>, %w: tensor<8x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>) {
  // expected-error @+1 {{the halo of the input is smaller than the pads}}
  %0 = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
    : tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 0]>>, tensor<8x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<1x8x8x8xi32>
  return
}

// -----

func.func @conv2d_c6(%x: tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>, %w: tensor<8x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>) {
  // expected-error @+1 {{the halo of the input is smaller than the pads}}
  %0 = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
    : tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<8x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<1x8x8x8xi32>
  return
}

// -----

func.func @conv2d_c7(%x: tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>, %w: tensor<8x1x1x64x!hwgq.code<b1>, #bitpack.layout<planes>>) {
  // expected-error @+1 {{packed weights need a layout with a block}}
  %0 = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64}
    : tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<8x1x1x64x!hwgq.code<b1>, #bitpack.layout<planes>> -> tensor<1x8x8x8xi32>
  return
}

// -----

func.func @product_c3(%x: tensor<2x8x8x4x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>) {
  // expected-error @+1 {{operands must be activations without a halo}}
  %0 = bitpack.product %x, %x {input_dims = array<i64: 0, 1, 2, 4>, weight_dims = array<i64: 0, 1, 3, 4>}
    : tensor<2x8x8x4x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>, tensor<2x8x8x4x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>> -> tensor<2x8x8x8xi32>
  return
}

// -----

func.func @product_rank(%x: tensor<4x!hwgq.code<u2>, #bitpack.layout<planes>>) {
  // expected-error @+1 {{operands must be activations without a halo}}
  %0 = bitpack.product %x, %x {input_dims = array<i64: 1>, weight_dims = array<i64: 1>}
    : tensor<4x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<4x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<4xi32>
  return
}

// -----

func.func @conv2d_c8(%x: tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>, %w: tensor<8x1x1x16x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>) {
  // expected-error @+1 {{cannot join 3 groups}}
  %0 = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 4 : i64, joined = 3 : i64}
    : tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<8x1x1x16x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<1x8x8x8xi32>
  return
}

// -----

func.func @conv2d_c8_codes(%x: tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>, %w: tensor<8x1x1x16x!hwgq.code<u8, -255, 2>, #bitpack.layout<planes, block = 8>>) {
  // expected-error @+1 {{cannot join 2 groups}}
  %0 = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 4 : i64, joined = 2 : i64}
    : tensor<1x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<8x1x1x16x!hwgq.code<u8, -255, 2>, #bitpack.layout<planes, block = 8>> -> tensor<1x8x8x8xi32>
  return
}

// -----

func.func @relayout_c1(%x: tensor<?x4x64x!hwgq.code<u2>, #bitpack.layout<planes>>) {
  // expected-error @+1 {{input and result must have as many elements}}
  %0 = bitpack.relayout %x : tensor<?x4x64x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<?x255x!hwgq.code<u2>, #bitpack.layout<planes>>
  return
}

// -----

func.func @relayout_c1_overflow(%x: tensor<?x4294967296x4294967296x!hwgq.code<u2>, #bitpack.layout<planes>>) {
  // expected-error @+1 {{has more elements than 64 bits count}}
  %0 = bitpack.relayout %x : tensor<?x4294967296x4294967296x!hwgq.code<u2>, #bitpack.layout<planes>> -> tensor<?x64x!hwgq.code<u2>, #bitpack.layout<planes>>
  return
}

// -----

func.func @concat_c1(%x: tensor<?x4x64x!hwgq.code<u2>, #bitpack.layout<planes>>) {
  // expected-error @+1 {{sizes along dimension 2 do not add up}}
  %0 = bitpack.concat %x, %x {dim = 2 : i64} : (tensor<?x4x64x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<?x4x64x!hwgq.code<u2>, #bitpack.layout<planes>>)
    -> tensor<?x4x100x!hwgq.code<u2>, #bitpack.layout<planes>>
  return
}

// -----

func.func @fused_c1(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{must yield values of the types of its results}}
  %0 = bitpack.fused -> (tensor<?x9xf32>) {
    bitpack.yield %x : tensor<?x8xf32>
  }
  return
}

// -----

func.func @fused_c2(%x: tensor<?x8xf32>, %y: tensor<?x9xf32>) {
  // expected-error @+1 {{must have the same shape}}
  %0:2 = bitpack.fused -> (tensor<?x8xf32>, tensor<?x9xf32>) {
    bitpack.yield %x, %y : tensor<?x8xf32>, tensor<?x9xf32>
  }
  return
}
