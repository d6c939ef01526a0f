//===- GenericToLoops.cpp - linalg.generic to vector loops ----------------===//
//
// Parallel dimensions run in the order of the first result, the last of them
// in vectors where every operand is contiguous or constant along it; reduction
// dimensions run inside, in iterator order, with the accumulators in registers.
//
//===----------------------------------------------------------------------===//
#include "../VectorBody.h"
#include "Internal.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace hwgq;

namespace {

/// What of an operand a vector along the width of an image with few channels
/// reads for one channel: one element, elements side by side, or every C-th one
/// of the pixels' channels.
enum class Along { Nothing, Width, Pixels };

/// The state of lowering one linalg.generic.
class GenericLowering {
public:
  GenericLowering(linalg::GenericOp op, ValueRange inputs, ValueRange inits,
                  ConversionPatternRewriter &rewriter,
                  const LoopOptions &options)
      : op(op), inputs(inputs), inits(inits), b(rewriter), loc(op.getLoc()),
        options(options), lanes(options.vectorBytes / sizeof(float)),
        maps(op.getIndexingMapsArray()) {}

  LogicalResult run(const TypeConverter &converter,
                    SmallVectorImpl<Value> &results);

private:
  bool findLoopSizes();
  bool chooseOrder();
  bool canVectorize();
  bool hasVectorBody();
  std::optional<Along> alongWidth(Value memory, AffineMap map);
  bool canInterleave();
  void emitInterleaved(OpBuilder &builder);
  void emitInterleavedVectors(OpBuilder &builder);
  void allocateResults(const TypeConverter &converter);
  void emitParallel(OpBuilder &builder, unsigned depth);
  void emitInner(OpBuilder &builder);
  void emitElement(OpBuilder &builder, bool vector);
  SmallVector<Value> emitReduction(OpBuilder &builder, unsigned depth,
                                   ValueRange accumulators, bool vector);
  SmallVector<Value> emitBody(OpBuilder &builder, ValueRange accumulators,
                              bool vector);
  SmallVector<Value> indices(OpBuilder &builder, AffineMap map);
  Value load(OpBuilder &builder, Value memref, AffineMap map, bool vector);
  Value vectorize(OpBuilder &builder, Value value) {
    return broadcastLanes(builder, loc, value, lanes);
  }
  unsigned inputCount() const { return inputs.size(); }

  linalg::GenericOp op;
  ValueRange inputs, inits;
  ConversionPatternRewriter &b;
  Location loc;
  const LoopOptions &options;
  int64_t lanes;
  SmallVector<AffineMap> maps;
  SmallVector<OpFoldResult> sizes; // of the loops
  SmallVector<unsigned> parallel, reduction;
  SmallVector<Value> results;
  SmallVector<Value> ivs;
  bool vectorizable = false, interleaved = false;
};

bool GenericLowering::findLoopSizes() {
  sizes.resize(op.getNumLoops());
  SmallVector<Value> operands(inputs);
  operands.append(inits.begin(), inits.end());
  for (auto [operand, map] : llvm::zip(operands, maps)) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    if (!type)
      continue; // a scalar operand
    for (auto [i, expr] : llvm::enumerate(map.getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
        OpFoldResult &size = sizes[dim.getPosition()];
        if (!size || (isa<Value>(size) && !type.isDynamicDim(i)))
          size = memref::getMixedSize(b, loc, operand, i);
      }
  }
  return llvm::all_of(sizes, [](OpFoldResult size) { return bool(size); });
}

bool GenericLowering::chooseOrder() {
  AffineMap out = maps[inputCount()];
  if (!out.isProjectedPermutation())
    return false;
  for (AffineExpr expr : out.getResults())
    parallel.push_back(cast<AffineDimExpr>(expr).getPosition());
  for (auto [i, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    if (!llvm::is_contained(parallel, i)) {
      if (kind == utils::IteratorType::parallel)
        return false;
      reduction.push_back(i);
    }
  return true;
}

/// Along the last parallel dimension each operand is contiguous or constant,
/// and every op of the body works on vectors.
bool GenericLowering::canVectorize() {
  if (parallel.empty())
    return false;
  unsigned v = parallel.back();
  for (auto [i, map] : llvm::enumerate(maps)) {
    Value operand = i < inputCount() ? inputs[i] : inits[i - inputCount()];
    if (!isa<MemRefType>(operand.getType()))
      continue;
    bool bits = getElementTypeOrSelf(operand.getType()).isInteger(1);
    for (auto [r, expr] : llvm::enumerate(map.getResults()))
      if (expr.isFunctionOfDim(v)) {
        auto dim = dyn_cast<AffineDimExpr>(expr);
        if (!dim || r + 1 != map.getNumResults() || bits)
          return false;
      }
  }
  return hasVectorBody();
}

bool GenericLowering::hasVectorBody() {
  return llvm::all_of(op.getRegion().front().without_terminator(),
                      [](Operation &inner) {
                        return inner.hasTrait<OpTrait::ConstantLike>() ||
                               inner.hasTrait<OpTrait::Vectorizable>();
                      });
}

//===----------------------------------------------------------------------===//
// Few channels: vectors along the width
//===----------------------------------------------------------------------===//

std::optional<Along> GenericLowering::alongWidth(Value memory, AffineMap map) {
  auto type = dyn_cast<MemRefType>(memory.getType());
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
      reads(channel) == 1 && type.getLayout().isIdentity())
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
  if (parallel.size() < 3 || !reduction.empty() || !hasVectorBody())
    return false;
  std::optional<int64_t> width =
      getConstantIntValue(sizes[parallel[parallel.size() - 2]]);
  std::optional<int64_t> channels = getConstantIntValue(sizes[parallel.back()]);
  if (!width || !channels || *width < lanes || *channels < 2 ||
      *channels > kFewChannels)
    return false;
  Block &body = op.getRegion().front();
  for (auto [i, map] : llvm::enumerate(maps)) {
    bool result = i >= inputCount();
    if (result && !body.getArgument(i).use_empty())
      return false;
    std::optional<Along> along =
        alongWidth(result ? results[i - inputCount()] : inputs[i], map);
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
        alongWidth(input, maps[i]) != Along::Pixels)
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
        if (alongWidth(input, maps[i]) == Along::Width)
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

void GenericLowering::allocateResults(const TypeConverter &converter) {
  for (auto [i, type] : llvm::enumerate(op.getResultTypes())) {
    auto memref = cast<MemRefType>(converter.convertType(type));
    SmallVector<Value> dynamic;
    AffineMap map = maps[inputCount() + i];
    for (auto [d, size] : llvm::enumerate(memref.getShape()))
      if (ShapedType::isDynamic(size)) {
        unsigned loop = cast<AffineDimExpr>(map.getResult(d)).getPosition();
        dynamic.push_back(getValueOrCreateConstantIndexOp(b, loc, sizes[loop]));
      }
    results.push_back(memref::AllocOp::create(b, loc, memref, dynamic));
  }
}

SmallVector<Value> GenericLowering::indices(OpBuilder &builder, AffineMap map) {
  SmallVector<Value> index;
  for (AffineExpr expr : map.getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      index.push_back(ivs[dim.getPosition()]);
      continue;
    }
    AffineMap one = AffineMap::get(map.getNumDims(), 0, expr);
    index.push_back(affine::AffineApplyOp::create(builder, loc, one, ivs));
  }
  return index;
}

Value GenericLowering::load(OpBuilder &builder, Value memref, AffineMap map,
                            bool vector) {
  if (!isa<MemRefType>(memref.getType()))
    return memref;
  SmallVector<Value> index = indices(builder, map);
  bool along = vector && map.getNumResults() &&
               map.getResults().back().isFunctionOfDim(parallel.back());
  if (!along)
    return memref::LoadOp::create(builder, loc, memref, index);
  auto type = VectorType::get({lanes}, getElementTypeOrSelf(memref.getType()));
  return vector::LoadOp::create(builder, loc, type, memref, index);
}

SmallVector<Value> GenericLowering::emitBody(OpBuilder &builder,
                                             ValueRange accumulators,
                                             bool vector) {
  Block &body = op.getRegion().front();
  IRMapping map;
  for (auto [i, input] : llvm::enumerate(inputs))
    if (!body.getArgument(i).use_empty())
      map.map(body.getArgument(i), load(builder, input, maps[i], vector));
  for (auto [i, value] : llvm::enumerate(accumulators))
    map.map(body.getArgument(inputCount() + i), value);
  for (Operation &inner : body.without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      map.map(index.getResult(), ivs[index.getDim()]);
      continue;
    }
    if (auto extract = dyn_cast<tensor::ExtractOp>(inner)) {
      SmallVector<Value> at;
      for (Value i : extract.getIndices())
        at.push_back(map.lookupOrDefault(i));
      Value memref = b.getRemappedValue(extract.getTensor());
      map.map(extract.getResult(),
              memref::LoadOp::create(builder, loc, memref, at));
      continue;
    }
    if (vector) {
      cloneOnVectors(builder, inner, map, lanes, options);
    } else if (auto fma = dyn_cast<math::FmaOp>(inner)) {
      auto term = [&](unsigned i) {
        return map.lookupOrDefault(fma->getOperand(i));
      };
      map.map(fma.getResult(),
              createFma(builder, loc, term(0), term(1), term(2), options));
    } else {
      builder.clone(inner, map);
    }
  }
  SmallVector<Value> yielded;
  for (Value value : body.getTerminator()->getOperands()) {
    Value result = map.lookupOrDefault(value);
    yielded.push_back(vector ? vectorize(builder, result) : result);
  }
  return yielded;
}

SmallVector<Value> GenericLowering::emitReduction(OpBuilder &builder,
                                                  unsigned depth,
                                                  ValueRange accumulators,
                                                  bool vector) {
  if (depth == reduction.size())
    return emitBody(builder, accumulators, vector);
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  unsigned dim = reduction[depth];
  Value upper = getValueOrCreateConstantIndexOp(builder, loc, sizes[dim]);
  auto loop = scf::ForOp::create(
      builder, loc, zero, upper, one, accumulators,
      [&](OpBuilder &inner, Location l, Value iv, ValueRange carried) {
        ivs[dim] = iv;
        scf::YieldOp::create(inner, l,
                             emitReduction(inner, depth + 1, carried, vector));
      });
  return SmallVector<Value>(loop.getResults());
}

void GenericLowering::emitElement(OpBuilder &builder, bool vector) {
  Block &body = op.getRegion().front();
  SmallVector<Value> accumulators;
  for (auto [i, init] : llvm::enumerate(inits)) {
    BlockArgument argument = body.getArgument(inputCount() + i);
    Value value;
    if (argument.use_empty() && reduction.empty())
      value = arith::ConstantOp::create(
          builder, loc, builder.getZeroAttr(argument.getType()));
    else
      value = load(builder, init, maps[inputCount() + i], vector);
    accumulators.push_back(vector ? vectorize(builder, value) : value);
  }
  SmallVector<Value> values = emitReduction(builder, 0, accumulators, vector);
  for (auto [i, value] : llvm::enumerate(values)) {
    SmallVector<Value> index = indices(builder, maps[inputCount() + i]);
    if (vector)
      vector::StoreOp::create(builder, loc, value, results[i], index);
    else
      memref::StoreOp::create(builder, loc, value, results[i], index);
  }
}

/// The last parallel dimension: vectors, then single elements.
void GenericLowering::emitInner(OpBuilder &builder) {
  if (parallel.empty())
    return emitElement(builder, false);
  unsigned dim = parallel.back();
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  Value upper = getValueOrCreateConstantIndexOp(builder, loc, sizes[dim]);
  auto loop = [&](Value from, Value to, Value step, bool vector) {
    scf::ForOp::create(builder, loc, from, to, step, ValueRange{},
                       [&](OpBuilder &inner, Location l, Value iv, ValueRange) {
                         ivs[dim] = iv;
                         emitElement(inner, vector);
                         scf::YieldOp::create(inner, l);
                       });
  };
  std::optional<int64_t> size = getConstantIntValue(sizes[dim]);
  if (!vectorizable || (size && *size < lanes))
    return loop(zero, upper, one, false);
  Value step = arith::ConstantIndexOp::create(builder, loc, lanes);
  if (size && *size % lanes == 0)
    return loop(zero, upper, step, true);
  Value whole = arith::SubIOp::create(
      builder, loc, upper, arith::RemUIOp::create(builder, loc, upper, step));
  loop(zero, whole, step, true);
  loop(whole, upper, one, false);
}

void GenericLowering::emitParallel(OpBuilder &builder, unsigned depth) {
  if (interleaved && depth + 2 == parallel.size())
    return emitInterleaved(builder);
  if (depth + 1 >= parallel.size())
    return emitInner(builder);
  unsigned dim = parallel[depth];
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  Value upper = getValueOrCreateConstantIndexOp(builder, loc, sizes[dim]);
  scf::ForOp::create(builder, loc, zero, upper, one, ValueRange{},
                     [&](OpBuilder &inner, Location l, Value iv, ValueRange) {
                       ivs[dim] = iv;
                       emitParallel(inner, depth + 1);
                       scf::YieldOp::create(inner, l);
                     });
}

LogicalResult GenericLowering::run(const TypeConverter &converter,
                                   SmallVectorImpl<Value> &out) {
  if (!findLoopSizes() || !chooseOrder())
    return op.emitError("cannot lower this indexing to loops");
  for (unsigned i = inputCount() + 1; i < maps.size(); ++i)
    if (maps[i] != maps[inputCount()])
      return op.emitError("results must share one indexing map");
  vectorizable = canVectorize();
  ivs.resize(op.getNumLoops());
  allocateResults(converter);
  interleaved = canInterleave();
  // Tasks: all outer dimensions but one, so that a task has a row of vectors.
  unsigned outer = parallel.size() > 2 ? parallel.size() - 2
                                       : (parallel.size() == 2 ? 1 : 0);
  SmallVector<OpFoldResult> taskSizes;
  for (unsigned i = 0; i < outer; ++i)
    taskSizes.push_back(sizes[parallel[i]]);
  emitTasks(b, loc, taskSizes, [&](OpBuilder &body, ValueRange task) {
    for (unsigned i = 0; i < outer; ++i)
      ivs[parallel[i]] = task[i];
    emitParallel(body, outer);
  });
  out.assign(results.begin(), results.end());
  return success();
}

struct ConvertGeneric : OpConversionPattern<linalg::GenericOp> {
  ConvertGeneric(const TypeConverter &converter, MLIRContext *context,
                 const LoopOptions &options)
      : OpConversionPattern(converter, context), options(options) {}

  LogicalResult
  matchAndRewrite(linalg::GenericOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    GenericLowering lowering(op, adaptor.getInputs(), adaptor.getOutputs(),
                             rewriter, options);
    SmallVector<Value> results;
    if (failed(lowering.run(*getTypeConverter(), results)))
      return failure();
    rewriter.replaceOp(op, results);
    return success();
  }

  LoopOptions options;
};

} // namespace

void hwgq::populateGenericToLoopsPatterns(RewritePatternSet &patterns,
                                          const TypeConverter &converter,
                                          const LoopOptions &options) {
  patterns.add<ConvertGeneric>(converter, patterns.getContext(), options);
}
