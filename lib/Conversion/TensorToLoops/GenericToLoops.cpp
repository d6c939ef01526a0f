//===- GenericToLoops.cpp - linalg.generic to vector loops ----------------===//
//
// Parallel dimensions run in the order of the first result, the last of them
// in vectors where every operand is contiguous or constant along it (or can be
// turned: GenericTiles.cpp); reduction dimensions run inside, in iterator
// order, with the accumulators in registers.
//
//===----------------------------------------------------------------------===//
#include "GenericLowering.h"
#include "hwgq/Conversion/TensorToLoops.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace hwgq;

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
  return hasVectorBody(op);
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
    resultTypes.push_back(memref);
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
      map.map(body.getArgument(i), i < tiles.size() && !tiles[i].empty()
                                       ? tiles[i][tileRow]
                                       : load(builder, input, maps[i], vector));
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
  if (reducesRows && vector)
    return emitRowReduction(builder, accumulators);
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
  if (transposed && depth + 2 == parallel.size())
    return emitTransposed(builder);
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

bool GenericLowering::beginRows(unsigned leading) {
  if (!findLoopSizes() || !chooseOrder() || inits.size() != 1 ||
      parallel.size() <= leading || !reduction.empty() ||
      !op.getRegion().front().getArguments().back().use_empty())
    return false;
  SmallVector<int64_t> shape, strides;
  for (unsigned dim : ArrayRef(parallel).drop_front(leading)) {
    std::optional<int64_t> size = getConstantIntValue(sizes[dim]);
    if (!size)
      return false;
    shape.push_back(*size);
  }
  strides.assign(shape.size(), 1);
  for (size_t i = shape.size() - 1; i > 0; --i)
    strides[i - 1] = strides[i] * shape[i];
  // The result is a row.
  AffineMap &out = maps.back();
  out = AffineMap::get(op.getNumLoops(), 0,
                       out.getResults().drop_front(leading), b.getContext());
  auto layout =
      StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic, strides);
  Type element = cast<ShapedType>(op.getResult(0).getType()).getElementType();
  resultTypes = {MemRefType::get(shape, element, layout)};
  vectorizable = canVectorize();
  ivs.resize(op.getNumLoops());
  interleaved = shape.size() > 1 && canInterleave();
  if (!interleaved)
    transposed = findTransposed();
  if (transposed && // not the next to the last, or not within a row
      (shape.size() < 2 || *transposed != parallel[parallel.size() - 2]))
    transposed.reset();
  return true;
}

void GenericLowering::emitRow(OpBuilder &builder, ArrayRef<Value> index,
                              Value memory, Value at) {
  for (auto [dim, value] : llvm::zip(parallel, index))
    ivs[dim] = value;
  MemRefType row = resultTypes[0];
  SmallVector<OpFoldResult> sizes, strides;
  SmallVector<int64_t> steps;
  int64_t offset;
  (void)row.getStridesAndOffset(steps, offset);
  for (auto [size, step] : llvm::zip(row.getShape(), steps)) {
    sizes.push_back(builder.getIndexAttr(size));
    strides.push_back(builder.getIndexAttr(step));
  }
  results = {memref::ReinterpretCastOp::create(
      builder, loc, row, memory, OpFoldResult(at), sizes, strides)};
  emitParallel(builder, index.size());
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
  if (!interleaved)
    transposed = findTransposed();
  reducesRows = canReduceRows();
  vectorizable |= reducesRows;
  // Tasks: all outer dimensions but one, so that a task has a row of vectors.
  unsigned outer = parallel.size() > 2 ? parallel.size() - 2
                                       : (parallel.size() == 2 ? 1 : 0);
  if (transposed) { // and the other loop of the tiles next to the last
    parallel.erase(llvm::find(parallel, *transposed));
    parallel.insert(parallel.end() - 1, *transposed);
    outer = parallel.size() - 2;
  }
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

namespace {

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

//===----------------------------------------------------------------------===//
// Rows for others
//===----------------------------------------------------------------------===//

ImageRows::ImageRows(std::unique_ptr<GenericLowering> lowering)
    : lowering(std::move(lowering)) {}
ImageRows::~ImageRows() = default;

std::unique_ptr<ImageRows> ImageRows::get(linalg::GenericOp op,
                                          unsigned leading,
                                          ConversionPatternRewriter &rewriter,
                                          const LoopOptions &options) {
  auto memory = [&](auto &&values) {
    SmallVector<Value> result;
    for (Value value : values)
      result.push_back(isa<TensorType>(value.getType())
                           ? rewriter.getRemappedValue(value)
                           : value);
    return result;
  };
  auto lowering = std::make_unique<GenericLowering>(
      op, memory(op.getInputs()), memory(op.getOutputs()), rewriter, options);
  if (!lowering->beginRows(leading))
    return nullptr;
  return std::unique_ptr<ImageRows>(new ImageRows(std::move(lowering)));
}

Value ImageRows::batch() { return lowering->batch(); }

void ImageRows::emit(OpBuilder &builder, ArrayRef<Value> index, Value memory,
                     Value at) {
  lowering->emitRow(builder, index, memory, at);
}

void hwgq::populateGenericToLoopsPatterns(RewritePatternSet &patterns,
                                          const TypeConverter &converter,
                                          const LoopOptions &options) {
  patterns.add<ConvertGeneric>(converter, patterns.getContext(), options);
}
