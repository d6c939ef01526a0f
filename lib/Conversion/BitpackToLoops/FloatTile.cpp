//===- FloatTile.cpp ------------------------------------------------------===//

#include "FloatTile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace mlir;

namespace hwgq {

namespace {
int64_t lanesOf(const LoopOptions &options) { return options.vectorBytes / 4; }

/// Registers for sums; the rest hold weights, a broadcast and temporaries.
int64_t accumulators(const LoopOptions &options) {
  if (!options.fma)
    return 4;
  return options.vectorRegisters >= 32 ? 24 : 12;
}
} // namespace

int64_t getFloatBlock(const LoopOptions &options, int64_t channels) {
  int64_t lanes = lanesOf(options);
  int64_t vectors = options.fma && options.vectorRegisters >= 32 ? 4 : 2;
  // Halve while half a block holds all channels, or the last block would be
  // more than half empty.
  int64_t block = lanes * vectors;
  while (block > 1 &&
         (channels <= block / 2 || (block > lanes && channels % block != 0 &&
                                    channels % block <= block / 2)))
    block /= 2;
  return block;
}

int64_t getFloatPixels(const LoopOptions &options, int64_t block,
                       int64_t width) {
  int64_t vectors = llvm::divideCeil(block, lanesOf(options));
  int64_t fit = std::max<int64_t>(1, accumulators(options) / vectors);
  // Narrow blocks gain nothing from more than twelve chains a register.
  return std::max<int64_t>(1, std::min<int64_t>({fit, 12, width}));
}

SmallVector<Value> emitFloatTile(OpBuilder &b, Location loc,
                                 const LoopOptions &options,
                                 const FloatTile &tile, Value acts, Value n,
                                 Value row, Value column, Value weights,
                                 Value block) {
  int64_t lanes =
      std::min(tile.lanes ? tile.lanes : lanesOf(options), tile.block);
  while (tile.block % lanes)
    lanes /= 2;
  int64_t vectors = tile.block / lanes;
  auto type = VectorType::get(lanes, b.getF32Type());
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddIOp::create(b, loc, x, y);
  };
  auto scale = [&](Value x, int64_t y) -> Value {
    return y == 1 ? x : Value(arith::MulIOp::create(b, loc, x, index(y)));
  };

  auto fma = [&](Value x, Value y, Value z) -> Value {
    if (options.fma || !tile.exactProducts)
      return createFma(b, loc, x, y, z, options);
    return arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, x, y),
                                 z);
  };

  // One input element of each pixel against its weights.
  auto step = [&](Value y, Value x, Value ky, Value tap, ValueRange sums) {
    SmallVector<Value> w, result;
    if (tile.loadWeights)
      w = tile.loadWeights(ky, tap);
    for (int64_t v = w.size(); v < vectors; ++v)
      w.push_back(vector::LoadOp::create(
          b, loc, type, weights, ValueRange{block, ky, tap, index(v * lanes)}));
    for (int64_t p = 0; p < tile.pixels; ++p) {
      Value at = p ? add(x, index(p * tile.pixelStep)) : x;
      Value element =
          memref::LoadOp::create(b, loc, acts, ValueRange{n, y, at});
      Value a = vector::BroadcastOp::create(b, loc, type, element);
      for (int64_t v = 0; v < vectors; ++v)
        result.push_back(fma(a, w[v], sums[p * vectors + v]));
    }
    return result;
  };
  auto loop = [&](int64_t count, ValueRange inits, auto body) {
    if (count == 1)
      return body(index(0), inits);
    auto op = scf::ForOp::create(
        b, loc, index(0), index(count), index(1), inits,
        [&](OpBuilder &, Location, Value i, ValueRange args) {
          scf::YieldOp::create(b, loc, body(i, args));
        });
    return SmallVector<Value>(op.getResults());
  };

  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  SmallVector<Value> zeros(tile.pixels * vectors, zero);
  // Without dilation the elements of a filter row lie side by side.
  bool dense = tile.kw == 1 || tile.tapStepX == tile.channels;
  SmallVector<Value> sums = loop(tile.kh, zeros, [&](Value ky, ValueRange in) {
    Value y = add(row, scale(ky, tile.tapStepY));
    if (dense)
      return loop(tile.kw * tile.channels, in, [&](Value j, ValueRange args) {
        return step(y, add(column, j), ky, j, args);
      });
    return loop(tile.kw, in, [&](Value kx, ValueRange outer) {
      Value left = add(column, scale(kx, tile.tapStepX));
      Value first = scale(kx, tile.channels);
      return loop(tile.channels, outer, [&](Value c, ValueRange args) {
        return step(y, add(left, c), ky, add(first, c), args);
      });
    });
  });

  SmallVector<Value> result;
  for (int64_t p = 0; p < tile.pixels; ++p) {
    Value all = sums[p * vectors];
    for (int64_t v = 1; v < vectors; ++v) {
      auto order = llvm::to_vector(llvm::seq<int64_t>(0, (v + 1) * lanes));
      all =
          vector::ShuffleOp::create(b, loc, all, sums[p * vectors + v], order);
    }
    result.push_back(all);
  }
  return result;
}

} // namespace hwgq
