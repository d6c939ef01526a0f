//===- Pairs.cpp - where the matrices of a product lie --------------------===//
#include "Pairs.h"
#include "Epilogue.h"

using namespace mlir;
using namespace hwgq;

/// The size of the first dimension of the result; a dynamic one is that of the
/// input, of which no other dimension is dynamic.
static Value getLeading(LoopBuilder &b, const bitpack::Contraction &op,
                        Value inputMemory) {
  RankedTensorType type = op.resultType();
  if (type.isDynamicDim(0))
    return memref::DimOp::create(b, inputMemory, 0);
  return b.index(type.getDimSize(0));
}

Value hwgq::getProductBatch(LoopBuilder &b, const bitpack::Contraction &op,
                            Value inputMemory) {
  Value batch = getLeading(b, op, inputMemory);
  ArrayRef<int64_t> shape = op.resultType().getShape();
  if (shape.size() == 4)
    return batch;
  for (int64_t size : shape.drop_front().drop_back())
    batch = b.mul(batch, size);
  return batch;
}

Pairs::Pairs(LoopBuilder &b, const ConvLoops &conv)
    : rank(conv.op.inputDims.size()), input(conv.input),
      weight(viewImage(b, conv.op.weightType(), conv.weightMemory)),
      inputType(conv.op.inputType()), weightType(conv.op.weightType()),
      resultType(conv.op.resultType()), inputDims(conv.op.inputDims),
      weightDims(conv.op.weightDims),
      leading(getLeading(b, conv.op, conv.inputMemory)) {
  m = 0;
  while (llvm::is_contained(weightDims, m))
    ++m;
  staticRows = resultType.getDimSize(m);
  rows = dimension(b, m);
  count = b.index(1);
  for (int64_t d = 0; d < n(); ++d)
    if (d != m)
      count = b.mul(count, dimension(b, d));
}

Value Pairs::dimension(LoopBuilder &b, int64_t dim) const {
  return dim == 0 ? leading : b.index(resultType.getDimSize(dim));
}

Values Pairs::first(LoopBuilder &b, Value pair) const {
  Values at(rank + 1, b.index(0));
  int64_t outer = m == 0 ? 1 : 0;
  for (int64_t d = n() - 1; d > outer; --d)
    if (d != m) {
      at[d] = b.rem(pair, resultType.getDimSize(d));
      pair = b.div(pair, resultType.getDimSize(d));
    }
  if (outer < n())
    at[outer] = pair;
  return at;
}

Values Pairs::ofPixel(LoopBuilder &b, Value n, Value y, Value x) const {
  Values at(rank + 1, b.index(0));
  if (rank == 4) {
    at[0] = n;
    at[1] = y;
    at[2] = x;
    return at;
  }
  for (int64_t d = rank - 2; d > 0; --d) {
    at[d] = b.rem(n, resultType.getDimSize(d));
    n = b.div(n, resultType.getDimSize(d));
  }
  at[0] = n;
  return at;
}

std::array<Value, 3> Pairs::pixel(LoopBuilder &b, ArrayRef<Value> at) const {
  if (rank == 4)
    return {at[0], at[1], at[2]};
  Value n = at[0];
  for (int64_t d = 1; d < rank - 1; ++d)
    n = b.add(b.mul(n, resultType.getDimSize(d)), at[d]);
  return {n, b.index(0), b.index(0)};
}

/// The row of a tensor of `type` whose dimensions are `dims` at coordinates.
static Value rowOf(LoopBuilder &b, RankedTensorType type,
                   ArrayRef<int64_t> dims, ArrayRef<Value> at,
                   int64_t rowSize) {
  Value row = at[dims[0]];
  for (size_t d = 1; d + 1 < dims.size(); ++d)
    row = b.add(b.mul(row, type.getDimSize(d)), at[dims[d]]);
  return b.mul(row, rowSize);
}

Value Pairs::inputRow(LoopBuilder &b, ArrayRef<Value> at) const {
  return rowOf(b, inputType, inputDims, at, input.pixelSize());
}

Value Pairs::weightRow(LoopBuilder &b, ArrayRef<Value> at) const {
  return rowOf(b, weightType, weightDims, at, weight.pixelSize());
}

/// Rows between two indices of dimension `dim`.
static int64_t rowsBetween(RankedTensorType type, ArrayRef<int64_t> dims,
                           int64_t dim) {
  int64_t place = llvm::find(dims, dim) - dims.begin(), step = 1;
  for (int64_t d = place + 1; d + 1 < int64_t(dims.size()); ++d)
    step *= type.getDimSize(d);
  return step;
}

int64_t Pairs::inputStep(int64_t dim) const {
  return rowsBetween(inputType, inputDims, dim) * input.pixelSize();
}

int64_t Pairs::weightStep(int64_t dim) const {
  return rowsBetween(weightType, weightDims, dim) * weight.pixelSize();
}

//===----------------------------------------------------------------------===//
// Plain loops
//===----------------------------------------------------------------------===//

/// The number (i32) of a channel of the row at `row`.
static Value loadNumber(LoopBuilder &b, const Image &image, Value row,
                        Value channel) {
  return toNumbers(b, image.code, loadCode(b, image, row, channel));
}

Value hwgq::emitGenericPairs(LoopBuilder &b, ConvLoops &conv) {
  constexpr int64_t kLanes = 8;
  Pairs pairs(b, conv);
  const Image &out = conv.output;
  int64_t covered = llvm::alignTo(out.channels, kLanes);
  Epilogue epilogue(b, conv, kLanes, covered);
  auto dot = [&](Values at, Value channel) {
    Value zero = b.i32(0);
    return b.carry(conv.groupIn, {zero}, [&](Value k, ValueRange sum) {
      Values here = at;
      here[pairs.n()] = channel;
      here[pairs.rank] = k;
      Value x = loadNumber(b, pairs.input, pairs.inputRow(b, here),
                           here[conv.op.inputDims.back()]);
      Value w = loadNumber(b, pairs.weight, pairs.weightRow(b, here),
                           here[conv.op.weightDims.back()]);
      return Values{b.add(sum[0], b.mul(x, w))};
    })[0];
  };
  VectorType type = b.vec(kLanes, b.getI32Type());
  double cost = double(conv.groupIn) * double(out.channels * out.width);
  forEachRow(b, out, cost, [&](Value n, Value y) {
    conv.clearRow(b, n, y);
    b.loop(out.width, [&](Value x) {
      Values at = pairs.ofPixel(b, n, y, x);
      b.loop(b.index(0), b.index(covered), kLanes, [&](Value channel) {
        Value acc = arith::ConstantOp::create(b, b.getZeroAttr(type));
        acc = b.carry(kLanes, {acc}, [&](Value lane, ValueRange sums) {
          // Lanes beyond the last channel repeat it.
          Value k = b.min(b.add(channel, lane), b.index(out.channels - 1));
          return Values{vector::InsertOp::create(b, dot(at, k), sums[0],
                                                 OpFoldResult(lane))};
        })[0];
        epilogue.finish(b, acc, n, y, x, channel);
      });
    });
  });
  return conv.result;
}
