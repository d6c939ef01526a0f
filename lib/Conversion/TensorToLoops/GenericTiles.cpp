//===- GenericTiles.cpp - linalg.generic where vectors must turn ----------===//
//
// Ways to keep vectors where an operand is not contiguous along the last
// dimension of the result: a few channels a pixel are taken apart, and blocks
// of lanes x lanes elements are transposed in registers, for element-wise ops
// and for sums of rows, many of which are added up at a time.
//
//===----------------------------------------------------------------------===//
#include "GenericLowering.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace hwgq;

//===----------------------------------------------------------------------===//
// Few channels: vectors along the width
//===----------------------------------------------------------------------===//

/// Whether the elements of a row lie side by side.
static bool hasDensePixels(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset, rank = type.getRank();
  return succeeded(type.getStridesAndOffset(strides, offset)) &&
         strides[rank - 1] == 1 && strides[rank - 2] == type.getShape().back();
}

std::optional<Along> GenericLowering::alongWidth(Type memory, AffineMap map) {
  auto type = dyn_cast<MemRefType>(memory);
  if (!type)
    return Along::Nothing;
  unsigned width = parallel[parallel.size() - 2], channel = parallel.back();
  auto reads = [&](unsigned dim) {
    return llvm::count_if(map.getResults(), [&](AffineExpr expr) {
      return expr.isFunctionOfDim(dim);
    });
  };
  if (!reads(width))
    return Along::Nothing;
  unsigned last = map.getNumResults() - 1;
  auto is = [&](unsigned result, unsigned dim) {
    auto expr = dyn_cast<AffineDimExpr>(map.getResult(result));
    return expr && expr.getPosition() == dim;
  };
  if (reads(width) != 1 || type.getElementType().isInteger(1))
    return std::nullopt;
  if (is(last, width))
    return Along::Width;
  if (last > 0 && is(last, channel) && is(last - 1, width) &&
      reads(channel) == 1 && hasDensePixels(type))
    return Along::Pixels;
  return std::nullopt;
}

/// The channels of a pixel are fewer than the lanes of a vector, and vectors
/// may lie along the width instead.
bool GenericLowering::canInterleave() {
  constexpr int64_t kFewChannels = 4;
  if (vectorizable && isa<Attribute>(sizes[parallel.back()]) &&
      *getConstantIntValue(sizes[parallel.back()]) >= lanes)
    return false;
  if (parallel.size() < 3 || !reduction.empty() || !hasVectorBody(op))
    return false;
  std::optional<int64_t> width =
      getConstantIntValue(sizes[parallel[parallel.size() - 2]]);
  std::optional<int64_t> channels = getConstantIntValue(sizes[parallel.back()]);
  if (!width || !channels || *width < lanes || *channels < 1 ||
      *channels > kFewChannels)
    return false;
  Block &body = op.getRegion().front();
  for (auto [i, map] : llvm::enumerate(maps)) {
    bool result = i >= inputCount();
    if (result && !body.getArgument(i).use_empty())
      return false;
    std::optional<Along> along = alongWidth(
        result ? Type(resultTypes[i - inputCount()]) : inputs[i].getType(),
        map);
    if (!along || (result && *along != Along::Pixels))
      return false;
  }
  return true;
}

/// Lane t of the result is lane `at(t).second` of vector `at(t).first`.
static Value gather(OpBuilder &b, Location loc, ArrayRef<Value> vectors,
                    int64_t lanes,
                    function_ref<std::pair<int64_t, int64_t>(int64_t)> at) {
  Value all = vectors[0];
  for (int64_t v = 1; v < int64_t(vectors.size()); ++v) {
    SmallVector<int64_t> order(lanes);
    for (int64_t t = 0; t < lanes; ++t) {
      auto [vector, lane] = at(t);
      order[t] = vector == v ? lanes + lane : v == 1 ? lane : t;
    }
    all = vector::ShuffleOp::create(b, loc, all, vectors[v], order);
  }
  return all;
}

void GenericLowering::emitInterleavedVectors(OpBuilder &builder) {
  unsigned width = parallel[parallel.size() - 2];
  int64_t channels = *getConstantIntValue(sizes[parallel.back()]);
  // Element e of the pixels from here on, in rows of vectors.
  auto pixels = [&](Value memory, AffineMap map, int64_t vector) {
    auto type = cast<MemRefType>(memory.getType());
    SmallVector<ReassociationIndices> groups;
    for (int64_t d = 0; d + 1 < type.getRank(); ++d)
      groups.push_back({d});
    groups.back().push_back(type.getRank() - 1);
    Value flat = memref::CollapseShapeOp::create(builder, loc, memory, groups);
    SmallVector<Value> index =
        indices(builder, map.dropResult(type.getRank() - 1));
    Value count = arith::ConstantIndexOp::create(builder, loc, channels);
    Value offset = arith::ConstantIndexOp::create(builder, loc, vector * lanes);
    index.back() = arith::AddIOp::create(
        builder, loc, arith::MulIOp::create(builder, loc, ivs[width], count),
        offset);
    return std::pair(flat, index);
  };
  Block &body = op.getRegion().front();
  SmallVector<SmallVector<Value>> parts(inputCount());
  for (auto [i, input] : llvm::enumerate(inputs)) {
    if (body.getArgument(i).use_empty() ||
        alongWidth(input.getType(), maps[i]) != Along::Pixels)
      continue;
    auto type = VectorType::get({lanes}, getElementTypeOrSelf(input.getType()));
    for (int64_t v = 0; v < channels; ++v) {
      auto [flat, index] = pixels(input, maps[i], v);
      parts[i].push_back(
          vector::LoadOp::create(builder, loc, type, flat, index));
    }
  }
  SmallVector<SmallVector<Value>> yielded(results.size());
  for (int64_t c = 0; c < channels; ++c) {
    ivs[parallel.back()] = arith::ConstantIndexOp::create(builder, loc, c);
    IRMapping map;
    for (auto [i, input] : llvm::enumerate(inputs)) {
      if (body.getArgument(i).use_empty())
        continue;
      Value value = input;
      if (!parts[i].empty()) {
        value = gather(builder, loc, parts[i], lanes, [&](int64_t t) {
          return std::pair((t * channels + c) / lanes,
                           (t * channels + c) % lanes);
        });
      } else if (isa<MemRefType>(input.getType())) {
        SmallVector<Value> index = indices(builder, maps[i]);
        Type element = getElementTypeOrSelf(input.getType());
        if (alongWidth(input.getType(), maps[i]) == Along::Width)
          value = vector::LoadOp::create(
              builder, loc, VectorType::get({lanes}, element), input, index);
        else
          value = memref::LoadOp::create(builder, loc, input, index);
      }
      map.map(body.getArgument(i), vectorize(builder, value));
    }
    for (Operation &inner : body.without_terminator())
      cloneOnVectors(builder, inner, map, lanes, options);
    for (auto [r, value] : llvm::enumerate(body.getTerminator()->getOperands()))
      yielded[r].push_back(vectorize(builder, map.lookupOrDefault(value)));
  }
  for (auto [r, memory] : llvm::enumerate(results))
    for (int64_t v = 0; v < channels; ++v) {
      Value vector = gather(builder, loc, yielded[r], lanes, [&](int64_t t) {
        int64_t e = v * lanes + t;
        return std::pair(e % channels, e / channels);
      });
      auto [flat, index] = pixels(memory, maps[inputCount() + r], v);
      vector::StoreOp::create(builder, loc, vector, flat, index);
    }
}

/// A row: vectors of pixels, then single elements.
void GenericLowering::emitInterleaved(OpBuilder &builder) {
  unsigned width = parallel[parallel.size() - 2], channel = parallel.back();
  int64_t size = *getConstantIntValue(sizes[width]);
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  Value one = index(1), whole = index(size / lanes * lanes);
  auto loop = [&](OpBuilder &at, unsigned dim, Value from, Value to, Value step,
                  function_ref<void(OpBuilder &)> emit) {
    scf::ForOp::create(at, loc, from, to, step, ValueRange{},
                       [&](OpBuilder &inner, Location l, Value iv, ValueRange) {
                         ivs[dim] = iv;
                         emit(inner);
                         scf::YieldOp::create(inner, l);
                       });
  };
  Value channels = index(*getConstantIntValue(sizes[channel]));
  loop(builder, width, index(0), whole, index(lanes),
       [&](OpBuilder &inner) { emitInterleavedVectors(inner); });
  if (size % lanes)
    loop(builder, width, whole, index(size), one, [&](OpBuilder &outer) {
      Value zero = arith::ConstantIndexOp::create(outer, loc, 0);
      loop(outer, channel, zero, channels, one,
           [&](OpBuilder &inner) { emitElement(inner, false); });
    });
}

//===----------------------------------------------------------------------===//
// Transposed inputs: tiles of lanes x lanes elements
//===----------------------------------------------------------------------===//

std::optional<unsigned>
GenericLowering::findAcross(ArrayRef<unsigned> candidates) {
  if (vectorizable || parallel.empty() || !hasVectorBody(op))
    return std::nullopt;
  unsigned last = parallel.back();
  std::optional<unsigned> found;
  for (auto [i, map] : llvm::enumerate(maps)) {
    Value operand = i < inputCount() ? inputs[i] : inits[i - inputCount()];
    auto type = dyn_cast<MemRefType>(operand.getType());
    if (!type || !map.isFunctionOfDim(last))
      continue;
    if (!type.getElementType().isIntOrFloat() ||
        type.getElementType().isInteger(1) || !type.isLastDimUnitStride() ||
        !map.isProjectedPermutation())
      return std::nullopt;
    unsigned innermost = map.getDimPosition(map.getNumResults() - 1);
    if (innermost == last)
      continue;
    if (i >= inputCount() || (found && *found != innermost) ||
        !llvm::is_contained(candidates, innermost))
      return std::nullopt;
    found = innermost;
  }
  return found && fillsVector(*found) ? found : std::nullopt;
}

bool GenericLowering::fillsVector(unsigned dim) {
  std::optional<int64_t> size = getConstantIntValue(sizes[dim]);
  return size && *size >= lanes;
}

std::optional<unsigned> GenericLowering::findTransposed() {
  if (parallel.size() < 2 || !reduction.empty() ||
      !fillsVector(parallel.back()))
    return std::nullopt;
  return findAcross(parallel);
}

/// The transpose of a square of vectors: each round is a perfect shuffle of
/// all elements, which turns the bits of their addresses by one.
static void transpose(OpBuilder &b, Location loc,
                      SmallVectorImpl<Value> &rows) {
  int64_t lanes = rows.size();
  for (int64_t round = 1; round < lanes; round *= 2) {
    SmallVector<Value> next;
    for (int64_t i = 0; i < lanes; ++i) {
      SmallVector<int64_t> order;
      for (int64_t t = 0; t < lanes / 2; ++t) {
        int64_t at = i % 2 * (lanes / 2) + t;
        order.append({at, lanes + at});
      }
      next.push_back(vector::ShuffleOp::create(b, loc, rows[i / 2],
                                               rows[lanes / 2 + i / 2], order));
    }
    rows.assign(next.begin(), next.end());
  }
}

/// Turned squares of the inputs that are not contiguous along the last parallel
/// loop, from the current indices on.
void GenericLowering::loadTiles(OpBuilder &builder) {
  unsigned last = parallel.back();
  Value column = ivs[last];
  tiles.assign(inputCount(), {});
  Block &body = op.getRegion().front();
  for (auto [i, input] : llvm::enumerate(inputs)) {
    if (body.getArgument(i).use_empty() || !isa<MemRefType>(input.getType()) ||
        !maps[i].isFunctionOfDim(last) ||
        maps[i].getDimPosition(maps[i].getNumResults() - 1) == last)
      continue;
    auto type = VectorType::get({lanes}, getElementTypeOrSelf(input.getType()));
    for (int64_t t = 0; t < lanes; ++t) {
      ivs[last] = step(builder, column, t);
      tiles[i].push_back(vector::LoadOp::create(builder, loc, type, input,
                                                indices(builder, maps[i])));
    }
    transpose(builder, loc, tiles[i]);
  }
  ivs[last] = column;
}

Value GenericLowering::step(OpBuilder &builder, Value start, int64_t by) {
  return arith::AddIOp::create(
      builder, loc, start, arith::ConstantIndexOp::create(builder, loc, by));
}

/// The tile that begins at the current indices.
void GenericLowering::emitTile(OpBuilder &builder) {
  unsigned across = *transposed;
  Value row = ivs[across];
  loadTiles(builder);
  for (tileRow = 0; tileRow < lanes; ++tileRow) {
    ivs[across] = step(builder, row, tileRow);
    emitElement(builder, true);
  }
  tiles.clear();
}

/// Tiles over both loops; the last of each ends with it.
void GenericLowering::emitTransposed(OpBuilder &builder) {
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value step = arith::ConstantIndexOp::create(builder, loc, lanes);
  auto loop = [&](OpBuilder &at, unsigned dim,
                  function_ref<void(OpBuilder &)> emit) {
    int64_t size = *getConstantIntValue(sizes[dim]);
    Value upper = arith::ConstantIndexOp::create(at, loc, size);
    Value final = arith::ConstantIndexOp::create(at, loc, size - lanes);
    scf::ForOp::create(at, loc, zero, upper, step, ValueRange{},
                       [&](OpBuilder &inner, Location l, Value iv, ValueRange) {
                         ivs[dim] = arith::MinUIOp::create(inner, l, iv, final);
                         emit(inner);
                         scf::YieldOp::create(inner, l);
                       });
  };
  loop(builder, *transposed, [&](OpBuilder &outer) {
    loop(outer, parallel.back(), [&](OpBuilder &inner) { emitTile(inner); });
  });
}

//===----------------------------------------------------------------------===//
// Reductions of rows
//===----------------------------------------------------------------------===//

bool GenericLowering::canReduceRows() {
  return reduction.size() == 1 && findAcross(reduction);
}

/// A vector of rows: turned squares along them, the last of which ends with
/// them, so that each row sees its elements in order.
SmallVector<Value> GenericLowering::emitRowReduction(OpBuilder &builder,
                                                     ValueRange accumulators) {
  unsigned along = reduction[0];
  int64_t size = *getConstantIntValue(sizes[along]), rest = size % lanes;
  auto square = [&](OpBuilder &at, Value start, int64_t first,
                    ValueRange carried) {
    SmallVector<Value> values(carried);
    ivs[along] = start;
    loadTiles(at);
    for (tileRow = first; tileRow < lanes; ++tileRow) {
      ivs[along] = step(at, start, tileRow);
      values = emitBody(at, values, true);
    }
    tiles.clear();
    return values;
  };
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  auto loop = scf::ForOp::create(
      builder, loc, index(0), index(size - rest), index(lanes), accumulators,
      [&](OpBuilder &inner, Location l, Value iv, ValueRange carried) {
        scf::YieldOp::create(inner, l, square(inner, iv, 0, carried));
      });
  SmallVector<Value> values(loop.getResults());
  return rest ? square(builder, index(size - lanes), lanes - rest, values)
              : values;
}
