//===- Epilogue.cpp - from accumulators to the result ---------------------===//
#include "Epilogue.h"
#include "Accumulator.h"
#include "ThresholdSearch.h"

using namespace mlir;
using namespace hwgq;

Epilogue::Epilogue(LoopBuilder &b, const ConvLoops &conv, int64_t lanes,
                   int64_t covered, int64_t groups, int64_t groupOut,
                   unsigned bits)
    : out(conv.output), group(conv.group), lanes(lanes), covered(covered),
      groups(groups), groupOut(groupOut) {
  if (conv.op.thresholds)
    thresholds.emplace(b, conv.op.thresholds, conv.op.direction, out.channels,
                       (groups - 1) * groupOut + covered, out.code, bits);
}

bool Epilogue::prefers16(const ConvLoops &conv) {
  ElementsAttr thresholds = conv.op.thresholds;
  if (thresholds && cast<ShapedType>(thresholds.getType()).getDimSize(1) >
                        ThresholdSearch::kMany / 2)
    return false; // searched in 32 bits
  return (thresholds || conv.group) && Accumulator::fits16(conv);
}

void Epilogue::guard(LoopBuilder &b, Value channel,
                     llvm::function_ref<void(int64_t)> store) const {
  // Lanes beyond the last channel are code 0, and may go where padding lies.
  int64_t limit = groupOut;
  if (groups == 1 && out.isPlanes())
    limit = out.words * 64;
  else if (groups == 1 && out.packed())
    limit = out.pixelSize();
  if (covered <= limit)
    return store(lanes);
  Value inside = groups == 1 ? channel : b.rem(channel, groupOut);
  int64_t tail = limit % lanes, whole = limit - tail;
  auto rest = [&] {
    if (!tail)
      return;
    if (covered - whole == lanes)
      return store(tail);
    b.when(b.cmp(arith::CmpIPredicate::ult, inside, b.index(limit)),
           [&] { store(tail); });
  };
  if (whole == 0)
    return rest();
  b.when(
      b.cmp(arith::CmpIPredicate::ult, inside, b.index(whole)), {},
      [&] {
        store(lanes);
        return Values();
      },
      [&] {
        rest();
        return Values();
      });
}

void Epilogue::finish(LoopBuilder &b, Value acc, Value n, Value y, Value x,
                      Value channel) const {
  auto type = cast<VectorType>(acc.getType());
  if (!thresholds && type.getElementType().isInteger(16))
    acc = arith::ExtSIOp::create(b, type.clone(b.getI32Type()), acc);
  if (group)
    return guard(b, channel, [&](int64_t valid) {
      group->emit(b, acc, {n, y, x, channel, lanes, valid});
    });
  Value pixel = out.at(b, n, y, x);
  if (!thresholds) {
    Value at = b.add(pixel, channel);
    return guard(b, channel, [&](int64_t valid) {
      b.storePart(acc, out.memory, at, valid);
    });
  }
  Values planes = thresholds->planes(b, acc, channel);
  Value word = b.div(channel, 64), offset = b.rem(channel, 64);
  guard(b, channel, [&](int64_t valid) {
    storeCodes(b, out, pixel, word, offset, planes, valid);
  });
}
