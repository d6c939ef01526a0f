// RUN: hwgq-opt --bitpack-fuse-epilogues %s | FileCheck %s

#same = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d3)>
#first = affine_map<(d0, d1, d2, d3) -> (d0, d3, d1, d2)>
#swapped = affine_map<(d0, d1, d2, d3) -> (d0, d2, d1, d3)>

// The sum is stored for the next block, its codes beside it; a reader of other
// elements stays outside.

// CHECK-LABEL: @residual
// CHECK: %[[F:.*]]:2 = bitpack.fused -> (tensor<?x8x8x16xf32>, tensor<?x8x8x16x!hwgq.code<u2>, #bitpack.layout<planes>>)
// CHECK-NEXT: %[[A:.*]] = bitpack.conv2d
// CHECK-NEXT: %[[Y:.*]] = hwgq.affine %[[A]]
// CHECK-NEXT: %[[S:.*]] = linalg.generic {{.*}} ins(%[[Y]], %{{.*}}, %arg1
// CHECK: %[[Q:.*]] = bitpack.quantize %[[S]]
// CHECK-NEXT: bitpack.yield %[[S]], %[[Q]]
// CHECK: linalg.generic {{.*}} ins(%[[F]]#0
// CHECK: return %[[F]]#0, %[[F]]#1
func.func @residual(%x: tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>,
                    %r: tensor<?x8x8x16xf32>,
                    %w: tensor<16x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>,
                    %bias: tensor<16xf32>, %out: tensor<?x8x8x16xf32>)
    -> (tensor<?x8x8x16xf32>, tensor<?x8x8x16x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<?x8x8x16xf32>) {
  %acc = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>, groups = 1 : i64}
      : tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes, halo = [1, 1, 1, 1]>>,
        tensor<16x3x3x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x8x8x16xi32>
  %y = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x8x8x16xi32>
  %s = linalg.generic {indexing_maps = [#same, #channel, #same, #same],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%y, %bias, %r : tensor<?x8x8x16xf32>, tensor<16xf32>, tensor<?x8x8x16xf32>)
      outs(%out : tensor<?x8x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %o: f32):
    %0 = arith.addf %a, %b : f32
    %1 = arith.addf %0, %c : f32
    linalg.yield %1 : f32
  } -> tensor<?x8x8x16xf32>
  %q = bitpack.quantize %s {step = #hwgq.half_wave<0.5, 2>}
      : tensor<?x8x8x16xf32> -> tensor<?x8x8x16x!hwgq.code<u2>, #bitpack.layout<planes>>
  %t = linalg.generic {indexing_maps = [#swapped, #same],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s : tensor<?x8x8x16xf32>) outs(%out : tensor<?x8x8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<?x8x8x16xf32>
  return %s, %q, %t : tensor<?x8x8x16xf32>, tensor<?x8x8x16x!hwgq.code<u2>, #bitpack.layout<planes>>, tensor<?x8x8x16xf32>
}

// The size of a value in the middle is that of the group's input.

// CHECK-LABEL: @size
// CHECK: tensor.dim %arg0
// CHECK: bitpack.fused -> (tensor<?x8x8x16xf32>) {
// CHECK-NEXT: bitpack.conv2d
// CHECK-NEXT: %[[Y:.*]] = hwgq.affine
// CHECK-NEXT: %[[S:.*]] = linalg.generic {{.*}} ins(%[[Y]]
// CHECK: bitpack.yield %[[S]]
func.func @size(%x: tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>,
                %w: tensor<16x1x1x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>) -> tensor<?x8x8x16xf32> {
  %zero = arith.constant 0 : index
  %acc = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64}
      : tensor<?x8x8x64x!hwgq.code<u2>, #bitpack.layout<planes>>,
        tensor<16x1x1x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x8x8x16xi32>
  %y = hwgq.affine %acc {scale = array<f32: 0.5>} : tensor<?x8x8x16xi32>
  %batch = tensor.dim %y, %zero : tensor<?x8x8x16xf32>
  %out = tensor.empty(%batch) : tensor<?x8x8x16xf32>
  %s = linalg.generic {indexing_maps = [#same, #same],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%y : tensor<?x8x8x16xf32>) outs(%out : tensor<?x8x8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %0 = arith.addf %a, %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x8x8x16xf32>
  return %s : tensor<?x8x8x16xf32>
}

// What reads the group's codes through a contraction is kept apart from it: the
// sum of both belongs to the second group.

// CHECK-LABEL: @twoGroups
// CHECK: bitpack.fused
// CHECK-NEXT: bitpack.matmul %arg0
// CHECK-NEXT: hwgq.affine
// CHECK-NEXT: bitpack.quantize
// CHECK-NEXT: bitpack.yield
// CHECK: bitpack.fused
// CHECK-NEXT: bitpack.matmul
// CHECK-NEXT: hwgq.affine
// CHECK-NEXT: linalg.generic
func.func @twoGroups(%x: tensor<?x64x!hwgq.code<u2>, #bitpack.layout<planes>>,
                     %w: tensor<64x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>,
                     %out: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %a = bitpack.matmul %x, %w : tensor<?x64x!hwgq.code<u2>, #bitpack.layout<planes>>,
      tensor<64x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x64xi32>
  %f = hwgq.affine %a {scale = array<f32: 0.5>} : tensor<?x64xi32>
  %q = bitpack.quantize %f {step = #hwgq.half_wave<0.5, 2>}
      : tensor<?x64xf32> -> tensor<?x64x!hwgq.code<u2>, #bitpack.layout<planes>>
  %b = bitpack.matmul %q, %w : tensor<?x64x!hwgq.code<u2>, #bitpack.layout<planes>>,
      tensor<64x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<?x64xi32>
  %g = hwgq.affine %b {scale = array<f32: 0.5>} : tensor<?x64xi32>
  %s = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>,
                                        affine_map<(d0, d1) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%f, %g : tensor<?x64xf32>, tensor<?x64xf32>) outs(%out : tensor<?x64xf32>) {
  ^bb0(%u: f32, %v: f32, %o: f32):
    %0 = arith.addf %u, %v : f32
    linalg.yield %0 : f32
  } -> tensor<?x64xf32>
  return %s : tensor<?x64xf32>
}

// A pool and its quantiser; element-wise work without contraction and its own.

// CHECK-LABEL: @pool
// CHECK: bitpack.fused
// CHECK-NEXT: hwgq.max_pool
// CHECK-NEXT: bitpack.quantize
// CHECK: bitpack.fused
// CHECK-NEXT: linalg.generic
// CHECK: bitpack.quantize
func.func @pool(%x: tensor<1x8x8x16xf32>, %bias: tensor<16xf32>, %out: tensor<1x8x8x16xf32>)
    -> (tensor<1x4x4x16x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<1x8x8x16x!hwgq.code<b1>, #bitpack.layout<planes>>) {
  %p = hwgq.max_pool %x {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
      : tensor<1x8x8x16xf32> -> tensor<1x4x4x16xf32>
  %q = bitpack.quantize %p {step = #hwgq.sign<">=">} : tensor<1x4x4x16xf32> -> tensor<1x4x4x16x!hwgq.code<b1>, #bitpack.layout<planes>>
  %s = linalg.generic {indexing_maps = [#same, #channel, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%x, %bias : tensor<1x8x8x16xf32>, tensor<16xf32>) outs(%out : tensor<1x8x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<1x8x8x16xf32>
  %t = bitpack.quantize %s {step = #hwgq.sign<">=">} : tensor<1x8x8x16xf32> -> tensor<1x8x8x16x!hwgq.code<b1>, #bitpack.layout<planes>>
  return %q, %t : tensor<1x4x4x16x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<1x8x8x16x!hwgq.code<b1>, #bitpack.layout<planes>>
}

// The batch of a pool's result is that of its input.

// CHECK-LABEL: @poolSize
// CHECK: tensor.dim %arg0
// CHECK: bitpack.fused
// CHECK-NEXT: hwgq.max_pool
// CHECK-NEXT: linalg.generic
func.func @poolSize(%x: tensor<?x8x8x16xf32>, %bias: tensor<16xf32>) -> tensor<?x4x4x16xf32> {
  %zero = arith.constant 0 : index
  %p = hwgq.max_pool %x {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
      : tensor<?x8x8x16xf32> -> tensor<?x4x4x16xf32>
  %batch = tensor.dim %p, %zero : tensor<?x4x4x16xf32>
  %out = tensor.empty(%batch) : tensor<?x4x4x16xf32>
  %s = linalg.generic {indexing_maps = [#same, #channel, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%p, %bias : tensor<?x4x4x16xf32>, tensor<16xf32>) outs(%out : tensor<?x4x4x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<?x4x4x16xf32>
  return %s : tensor<?x4x4x16xf32>
}

// A pool behind a convolution of floats whose result is large: one group in the
// other, unless somebody else reads the result.

// CHECK-LABEL: @pooledConvolution
// CHECK: %[[P:.*]] = bitpack.fused -> (tensor<1x65x65x16x!hwgq.code<b1>, #bitpack.layout<planes>>) {
// CHECK-NEXT: %[[I:.*]] = bitpack.fused -> (tensor<1x130x130x16xf32>) {
// CHECK-NEXT: %[[C:.*]] = bitpack.conv2d
// CHECK-NEXT: %[[S:.*]] = linalg.generic {{.*}} ins(%[[C]]
// CHECK: bitpack.yield %[[S]]
// CHECK: %[[M:.*]] = hwgq.max_pool %[[I]]
// CHECK-NEXT: %[[Q:.*]] = bitpack.quantize %[[M]]
// CHECK-NEXT: bitpack.yield %[[Q]]
// CHECK: bitpack.fused
// CHECK-NEXT: bitpack.conv2d
// CHECK-NEXT: linalg.generic
// CHECK-NOT: hwgq.max_pool
// CHECK: bitpack.fused
// CHECK-NEXT: hwgq.max_pool
// CHECK-NEXT: bitpack.quantize
func.func @pooledConvolution(%x: tensor<1x130x130x3xf32>, %w: tensor<16x1x1x3xf32>, %bias: tensor<16xf32>, %out: tensor<1x130x130x16xf32>)
    -> (tensor<1x65x65x16x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<1x65x65x16x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<1x130x130x16xf32>) {
  %y = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64, kernel = "f32"}
      : tensor<1x130x130x3xf32>, tensor<16x1x1x3xf32> -> tensor<1x130x130x16xf32>
  %s = linalg.generic {indexing_maps = [#same, #channel, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%y, %bias : tensor<1x130x130x16xf32>, tensor<16xf32>) outs(%out : tensor<1x130x130x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<1x130x130x16xf32>
  %p = hwgq.max_pool %s {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
      : tensor<1x130x130x16xf32> -> tensor<1x65x65x16xf32>
  %q = bitpack.quantize %p {step = #hwgq.sign<">=">} : tensor<1x65x65x16xf32> -> tensor<1x65x65x16x!hwgq.code<b1>, #bitpack.layout<planes>>
  %z = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64, kernel = "f32"}
      : tensor<1x130x130x3xf32>, tensor<16x1x1x3xf32> -> tensor<1x130x130x16xf32>
  %t = linalg.generic {indexing_maps = [#same, #channel, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%z, %bias : tensor<1x130x130x16xf32>, tensor<16xf32>) outs(%out : tensor<1x130x130x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %0 = arith.addf %b, %a : f32
    linalg.yield %0 : f32
  } -> tensor<1x130x130x16xf32>
  %u = hwgq.max_pool %t {kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
      : tensor<1x130x130x16xf32> -> tensor<1x65x65x16xf32>
  %v = bitpack.quantize %u {step = #hwgq.sign<">=">} : tensor<1x65x65x16xf32> -> tensor<1x65x65x16x!hwgq.code<b1>, #bitpack.layout<planes>>
  return %q, %v, %t : tensor<1x65x65x16x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<1x65x65x16x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<1x130x130x16xf32>
}

// An op that reads nothing of the shape of its result stays alone.

// CHECK-LABEL: @outer
// CHECK-NOT: bitpack.fused
func.func @outer(%x: tensor<?x8x8x1xf32>, %bias: tensor<16xf32>, %out: tensor<?x8x8x16xf32>) -> tensor<?x8x8x16x!hwgq.code<b1>, #bitpack.layout<planes>> {
  %s = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>, #channel, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%x, %bias : tensor<?x8x8x1xf32>, tensor<16xf32>) outs(%out : tensor<?x8x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %0 = arith.mulf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<?x8x8x16xf32>
  %t = bitpack.quantize %s {step = #hwgq.sign<">=">} : tensor<?x8x8x16xf32> -> tensor<?x8x8x16x!hwgq.code<b1>, #bitpack.layout<planes>>
  return %t : tensor<?x8x8x16x!hwgq.code<b1>, #bitpack.layout<planes>>
}

// What makes the input of a convolution of floats is made with it; where it is
// read elsewhere, too, it stays outside.

// CHECK-LABEL: @producer
// CHECK: bitpack.fused -> (tensor<?x6x6x8xf32>) {
// CHECK-NEXT: %[[X:.*]] = linalg.generic {{.*}} ins(%arg0
// CHECK: %[[A:.*]] = bitpack.conv2d %[[X]]
// CHECK-NEXT: bitpack.yield %[[A]]
// CHECK: linalg.generic {{.*}} ins(%arg0
// CHECK-NOT: bitpack.fused
// CHECK: return
func.func @producer(%image: tensor<?x8x8x3xi8>, %w: tensor<8x3x3x3xf32>, %out: tensor<?x8x8x3xf32>)
    -> (tensor<?x6x6x8xf32>, tensor<?x6x6x8xf32>, tensor<?x8x8x3xf32>) {
  %x = linalg.generic {indexing_maps = [#same, #same],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%image : tensor<?x8x8x3xi8>) outs(%out : tensor<?x8x8x3xf32>) {
  ^bb0(%a: i8, %o: f32):
    %0 = arith.uitofp %a : i8 to f32
    linalg.yield %0 : f32
  } -> tensor<?x8x8x3xf32>
  %y = bitpack.conv2d %x, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64, kernel = "f32"}
      : tensor<?x8x8x3xf32>, tensor<8x3x3x3xf32> -> tensor<?x6x6x8xf32>
  %z = linalg.generic {indexing_maps = [#same, #same],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%image : tensor<?x8x8x3xi8>) outs(%out : tensor<?x8x8x3xf32>) {
  ^bb0(%a: i8, %o: f32):
    %0 = arith.sitofp %a : i8 to f32
    linalg.yield %0 : f32
  } -> tensor<?x8x8x3xf32>
  %v = bitpack.conv2d %z, %w {strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64, kernel = "f32"}
      : tensor<?x8x8x3xf32>, tensor<8x3x3x3xf32> -> tensor<?x6x6x8xf32>
  return %y, %v, %z : tensor<?x6x6x8xf32>, tensor<?x6x6x8xf32>, tensor<?x8x8x3xf32>
}

// The rows of a matrix product, of a pool, of an image that is turned and of
// one that is flattened; not those of a pool that would make each three times.

// CHECK-LABEL: @rows
// CHECK: bitpack.fused -> (tensor<?x4xf32>) {
// CHECK-NEXT: linalg.generic
// CHECK: tensor.collapse_shape
// CHECK-NEXT: bitpack.matmul
// CHECK: bitpack.fused -> (tensor<?x4x4x3xf32>) {
// CHECK-NEXT: linalg.generic
// CHECK: hwgq.max_pool
// CHECK: bitpack.fused -> (tensor<?x8x8x3x!hwgq.code<b1>, #bitpack.layout<planes>>) {
// CHECK-NEXT: linalg.generic {{.*}} ins(%arg0
// CHECK: bitpack.quantize
// CHECK: bitpack.fused -> (tensor<?x192x!hwgq.code<b1>, #bitpack.layout<planes>>) {
// CHECK-NEXT: linalg.generic
// CHECK: tensor.collapse_shape
// CHECK-NEXT: bitpack.quantize
// CHECK-NOT: bitpack.fused
// CHECK: hwgq.max_pool
func.func @rows(%image: tensor<?x3x8x8xi8>, %w: tensor<4x192xf32>, %out: tensor<?x8x8x3xf32>)
    -> (tensor<?x4xf32>, tensor<?x4x4x3xf32>, tensor<?x8x8x3x!hwgq.code<b1>, #bitpack.layout<planes>>,
        tensor<?x192x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<?x6x6x3xf32>) {
  %x0 = linalg.generic {indexing_maps = [#first, #same],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%image : tensor<?x3x8x8xi8>) outs(%out : tensor<?x8x8x3xf32>) {
  ^bb0(%a: i8, %o: f32):
    %0 = arith.uitofp %a : i8 to f32
    linalg.yield %0 : f32
  } -> tensor<?x8x8x3xf32>
  %x1 = linalg.generic {indexing_maps = [#first, #same],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%image : tensor<?x3x8x8xi8>) outs(%out : tensor<?x8x8x3xf32>) {
  ^bb0(%a: i8, %o: f32):
    %0 = arith.uitofp %a : i8 to f32
    linalg.yield %0 : f32
  } -> tensor<?x8x8x3xf32>
  %x2 = linalg.generic {indexing_maps = [#first, #same],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%image : tensor<?x3x8x8xi8>) outs(%out : tensor<?x8x8x3xf32>) {
  ^bb0(%a: i8, %o: f32):
    %0 = arith.uitofp %a : i8 to f32
    linalg.yield %0 : f32
  } -> tensor<?x8x8x3xf32>
  %x3 = linalg.generic {indexing_maps = [#first, #same],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%image : tensor<?x3x8x8xi8>) outs(%out : tensor<?x8x8x3xf32>) {
  ^bb0(%a: i8, %o: f32):
    %0 = arith.uitofp %a : i8 to f32
    linalg.yield %0 : f32
  } -> tensor<?x8x8x3xf32>
  %x4 = linalg.generic {indexing_maps = [#first, #same],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%image : tensor<?x3x8x8xi8>) outs(%out : tensor<?x8x8x3xf32>) {
  ^bb0(%a: i8, %o: f32):
    %0 = arith.uitofp %a : i8 to f32
    linalg.yield %0 : f32
  } -> tensor<?x8x8x3xf32>
  %f0 = tensor.collapse_shape %x0 [[0], [1, 2, 3]] : tensor<?x8x8x3xf32> into tensor<?x192xf32>
  %y0 = bitpack.matmul %f0, %w {kernel = "f32"} : tensor<?x192xf32>, tensor<4x192xf32> -> tensor<?x4xf32>
  %y1 = hwgq.max_pool %x1 {kernel = array<i64: 3, 3>, strides = array<i64: 2, 2>, pads = array<i64: 1, 1, 0, 0>, dilations = array<i64: 1, 1>}
      : tensor<?x8x8x3xf32> -> tensor<?x4x4x3xf32>
  %y2 = bitpack.quantize %x2 {step = #hwgq.sign<">=">} : tensor<?x8x8x3xf32> -> tensor<?x8x8x3x!hwgq.code<b1>, #bitpack.layout<planes>>
  %f3 = tensor.collapse_shape %x3 [[0], [1, 2, 3]] : tensor<?x8x8x3xf32> into tensor<?x192xf32>
  %y3 = bitpack.quantize %f3 {step = #hwgq.sign<">=">} : tensor<?x192xf32> -> tensor<?x192x!hwgq.code<b1>, #bitpack.layout<planes>>
  %y4 = hwgq.max_pool %x4 {kernel = array<i64: 3, 3>, strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>}
      : tensor<?x8x8x3xf32> -> tensor<?x6x6x3xf32>
  return %y0, %y1, %y2, %y3, %y4 : tensor<?x4xf32>, tensor<?x4x4x3xf32>, tensor<?x8x8x3x!hwgq.code<b1>, #bitpack.layout<planes>>,
        tensor<?x192x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<?x6x6x3xf32>
}

// Thresholds on bytes: one loop reads them and writes codes.

// CHECK-LABEL: @bytes
// CHECK: bitpack.fused -> (tensor<?x8x8x3x!hwgq.code<b1>, #bitpack.layout<planes>>) {
// CHECK-NEXT: linalg.generic {{.*}} ins(%arg0
// CHECK: bitpack.threshold
func.func @bytes(%image: tensor<?x8x8x3xi8>, %out: tensor<?x8x8x3xi32>) -> tensor<?x8x8x3x!hwgq.code<b1>, #bitpack.layout<planes>> {
  %n = linalg.generic {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%image : tensor<?x8x8x3xi8>) outs(%out : tensor<?x8x8x3xi32>) {
  ^bb0(%a: i8, %o: i32):
    %0 = arith.extui %a : i8 to i32
    linalg.yield %0 : i32
  } -> tensor<?x8x8x3xi32>
  %q = bitpack.threshold %n {direction = array<i8: 1>, thresholds = dense<100> : tensor<1x1xi32>}
      : tensor<?x8x8x3xi32> -> tensor<?x8x8x3x!hwgq.code<b1>, #bitpack.layout<planes>>
  return %q : tensor<?x8x8x3x!hwgq.code<b1>, #bitpack.layout<planes>>
}
