// RUN: hwgq-opt %s --split-input-file --convert-bitpack-to-gpu --verify-diagnostics

func.func @floats(%x: tensor<5x64xf32>, %w: tensor<8x64xf32>) -> tensor<5x8xf32> {
  // expected-error @+1 {{kernel thread-popcount does not fit: popcount needs codes on both sides}}
  %y = bitpack.matmul %x, %w {kernel = "thread-popcount"} : tensor<5x64xf32>, tensor<8x64xf32> -> tensor<5x8xf32>
  return %y : tensor<5x8xf32>
}

// -----

func.func @variable(%x: tensor<5x64x!hwgq.code<b1>, #bitpack.layout<planes>>, %w: tensor<8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>>) -> tensor<5x8xi32> {
  // expected-error @+1 {{kernel thread-popcount does not fit: popcount needs constant weights}}
  %y = bitpack.matmul %x, %w {kernel = "thread-popcount"} : tensor<5x64x!hwgq.code<b1>, #bitpack.layout<planes>>, tensor<8x64x!hwgq.code<b1>, #bitpack.layout<planes, block = 8>> -> tensor<5x8xi32>
  return %y : tensor<5x8xi32>
}
