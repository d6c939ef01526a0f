//===- FloatTile.cpp ------------------------------------------------------===//

#include "FloatTile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

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

int64_t getFloatBlock(const LoopOptions &options, int64_t channels,
                      int64_t most) {
  int64_t lanes = lanesOf(options), block = most;
  while (block > 1 &&
         (channels <= block / 2 || (block > lanes && channels % block != 0 &&
                                    channels % block <= block / 2)))
    block /= 2;
  return block;
}

int64_t getFloatBlock(const LoopOptions &options, int64_t channels) {
  int64_t vectors = options.fma && options.vectorRegisters >= 32 ? 4 : 2;
  return getFloatBlock(options, channels, vectors * lanesOf(options));
}

int64_t getFloatPixels(const LoopOptions &options, int64_t block,
                       int64_t width) {
  int64_t vectors = llvm::divideCeil(block, lanesOf(options));
  int64_t fit = std::max<int64_t>(1, accumulators(options) / vectors);
  // Narrow blocks gain nothing from more than twelve chains a register.
  return std::max<int64_t>(1, std::min<int64_t>({fit, 12, width}));
}

VectorType getFloatRegister(OpBuilder &b, const LoopOptions &options,
                            const FloatTile &tile) {
  int64_t lanes = std::min(lanesOf(options), tile.block);
  while (tile.block % lanes)
    lanes /= 2;
  return VectorType::get(lanes, b.getF32Type());
}

namespace {
/// for (i = 0; i < count; ++i) with carried values; the body alone for one.
SmallVector<Value>
carry(OpBuilder &b, Location loc, Value count, ValueRange inits,
      llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  if (matchPattern(count, m_One()))
    return body(zero, inits);
  auto op =
      scf::ForOp::create(b, loc, zero, count, one, inits,
                         [&](OpBuilder &, Location, Value i, ValueRange args) {
                           scf::YieldOp::create(b, loc, body(i, args));
                         });
  return SmallVector<Value>(op.getResults());
}
} // namespace

SmallVector<Value>
emitFloatTaps(OpBuilder &b, Location loc, const LoopOptions &options,
              const FloatTile &tile, Value acts, Value n, Value row,
              Value column, const FloatElements &elements, ValueRange sums,
              llvm::function_ref<SmallVector<Value>(Value)> weights) {
  VectorType type = getFloatRegister(b, options, tile);
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddIOp::create(b, loc, x, y);
  };
  auto fma = [&](Value x, Value y, Value z) -> Value {
    if (options.fma || !tile.exactProducts)
      return createFma(b, loc, x, y, z, options);
    return arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, x, y),
                                 z);
  };
  return carry(
      b, loc, elements.count, sums, [&](Value number, ValueRange args) {
        Value i = elements.at(number);
        SmallVector<Value> w = weights(i), result;
        Value x = add(column, i);
        for (int64_t p = 0; p < tile.pixels; ++p) {
          Value at = p ? add(x, arith::ConstantIndexOp::create(
                                    b, loc, p * tile.pixelStep))
                       : x;
          Value element =
              memref::LoadOp::create(b, loc, acts, ValueRange{n, row, at});
          Value a = vector::BroadcastOp::create(b, loc, type, element);
          for (size_t v = 0; v < w.size(); ++v)
            result.push_back(fma(a, w[v], args[p * w.size() + v]));
        }
        return result;
      });
}

SmallVector<Value>
emitFloatTile(OpBuilder &b, Location loc, const LoopOptions &options,
              const FloatTile &tile, Value acts, Value n, Value row,
              Value column, FloatWeightsAt weights, const FloatElements *some) {
  VectorType type = getFloatRegister(b, options, tile);
  int64_t lanes = type.getNumElements(), vectors = tile.block / lanes;
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddIOp::create(b, loc, x, y);
  };
  auto scale = [&](Value x, int64_t y) -> Value {
    return y == 1 ? x : Value(arith::MulIOp::create(b, loc, x, index(y)));
  };

  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  SmallVector<Value> zeros(tile.pixels * vectors, zero);
  int64_t runs = tile.dense() ? 1 : tile.kw,
          length = tile.kw * tile.channels / runs;
  SmallVector<Value> sums =
      carry(b, loc, index(tile.kh), zeros, [&](Value ky, ValueRange rows) {
        Value y = add(row, scale(ky, tile.tapStepY));
        return carry(b, loc, index(runs), rows, [&](Value run, ValueRange in) {
          Value left = add(column, scale(run, tile.tapStepX));
          Value first = scale(run, length);
          auto same = [](Value i) { return i; };
          FloatElements all{index(length), same};
          return emitFloatTaps(
              b, loc, options, tile, acts, n, y, left, some ? *some : all, in,
              [&](Value i) { return weights(ky, add(first, i)); });
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
