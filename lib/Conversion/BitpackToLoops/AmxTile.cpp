//===- AmxTile.cpp - blocks of AMX tiles ----------------------------------===//
#include "AmxTile.h"
#include "hwgq/Conversion/TargetIntrinsics.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace hwgq;

namespace {

/// Which registers hold what: accumulators from 0, operands from 4.
struct Registers {
  const AmxTile &tile;

  int64_t sum(int64_t i, int64_t j) const { return i * tile.channelTiles + j; }
  /// Where one side has one tile, the other takes three in turn.
  int64_t pixels(int64_t i) const {
    return tile.channelTiles == 1 ? 5 + i % 3 : 4 + i;
  }
  int64_t channels(int64_t j) const {
    if (tile.channelTiles == 1)
      return 4;
    return tile.pixelTiles == 1 ? 5 + j % 3 : 4 + tile.pixelTiles + j;
  }
};

} // namespace

static Value tileNumber(LoopBuilder &b, int64_t number) {
  return LLVM::ConstantOp::create(b, b.getI8Type(), b.getI8IntegerAttr(number));
}

static Value toPointer(LoopBuilder &b, Value address) {
  return LLVM::IntToPtrOp::create(b, LLVM::LLVMPointerType::get(b.getContext()),
                                  address);
}

static void call(LoopBuilder &b, StringRef name, ValueRange operands) {
  createTargetIntrinsic(b, b.getLoc(), name, operands);
}

void hwgq::emitAmxConfigure(LoopBuilder &b, const AmxTile &tile, Value rows,
                            Value memory) {
  SmallVector<int8_t> config(64, 0), hasRows(64, 0);
  config[0] = 1; // palette
  auto set = [&](int64_t number, int64_t rows, int64_t bytes) {
    config[16 + 2 * number] = int8_t(bytes);
    if (rows)
      config[48 + number] = int8_t(rows);
    else
      hasRows[48 + number] = -1;
  };
  Registers registers{tile};
  for (int64_t i = 0; i < tile.pixelTiles; ++i) {
    set(registers.pixels(i), 0, tile.depth);
    for (int64_t j = 0; j < tile.channelTiles; ++j)
      set(registers.sum(i, j), 0, 64);
  }
  for (int64_t j = 0; j < tile.channelTiles; ++j)
    set(registers.channels(j), tile.depth / 4, 64);
  VectorType type = b.vec(64, b.getI8Type());
  auto constant = [&](ArrayRef<int8_t> values) -> Value {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, values));
  };
  Value height = arith::TruncIOp::create(b, b.getI8Type(), b.toI32(rows));
  Value bytes = b.ori(constant(config),
                      b.andi(constant(hasRows), b.broadcast(type, height)));
  b.store(bytes, memory, b.index(0));
  call(b, "ldtilecfg", toPointer(b, emitAddress(b, memory, b.index(0))));
}

void hwgq::emitAmxRelease(LoopBuilder &b) { call(b, "tilerelease", {}); }

void hwgq::emitAmxTile(LoopBuilder &b, const AmxTile &tile, ValueRange acts,
                       llvm::function_ref<Value(Value)> weights, Value sums,
                       LoopBuilder::Body beside) {
  Registers registers{tile};
  Value pixelStep = b.i64(tile.pixelStep), line = b.i64(64);
  auto move = [&](StringRef name, int64_t number, Value address, Value stride) {
    call(b, name, {tileNumber(b, number), toPointer(b, address), stride});
  };
  for (int64_t i = 0; i < tile.pixelTiles * tile.channelTiles; ++i)
    call(b, "tilezero", tileNumber(b, i));
  auto step = [&](Value ky, Value kx, Value s) {
    Value k = b.add(b.mul(b.add(b.mul(ky, tile.kw), kx), tile.steps), s);
    Value offset =
        b.toI64(b.add(b.add(b.mul(ky, tile.strideY), b.mul(kx, tile.strideX)),
                      b.mul(s, tile.depth)));
    Value channels = weights(k);
    for (int64_t i = 0; i < tile.pixelTiles; ++i) {
      move("tileloadd", registers.pixels(i), b.add(acts[i], offset), pixelStep);
      for (int64_t j = 0; j < tile.channelTiles; ++j) {
        if (i == 0)
          move("tileloadd", registers.channels(j),
               b.add(channels, b.i64(j * tile.depth * AmxTile::kLanes)), line);
        call(b, "tdpbusd",
             {tileNumber(b, registers.sum(i, j)),
              tileNumber(b, registers.pixels(i)),
              tileNumber(b, registers.channels(j))});
      }
    }
    beside(k);
  };
  b.loop(tile.kh, [&](Value ky) {
    b.loop(tile.kw, [&](Value kx) {
      b.loop(tile.steps, [&](Value s) { step(ky, kx, s); });
    });
  });
  Value rowBytes = b.i64(tile.channels() * 4);
  for (int64_t i = 0; i < tile.pixelTiles; ++i)
    for (int64_t j = 0; j < tile.channelTiles; ++j) {
      int64_t at =
          (i * AmxTile::kRows * tile.channels() + j * AmxTile::kLanes) * 4;
      move("tilestored", registers.sum(i, j), b.add(sums, b.i64(at)), rowBytes);
    }
}
