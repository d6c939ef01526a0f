//===- LinalgOps.cpp - linalg ops through their bodies --------------------===//
//
// Points are visited with the reductions outermost, in lexicographic order, and
// the parallel dimensions innermost, in chunks: every element of a result sees
// its reduction steps in lexicographic order, and a chunk runs as vectors.
//
//===----------------------------------------------------------------------===//
#include "Chunks.h"
#include "Handlers.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq::reference;

namespace {
/// Where an operand's element lies for each loop index.
struct Access {
  SmallVector<int64_t> strides; ///< Per loop, where the map is linear.
  int64_t offset = 0;
  AffineMap map; ///< Else the map itself, evaluated at every point.
  SmallVector<int64_t> shape;
};

/// One evaluation of a linalg op.
class Generic {
public:
  Generic(linalg::LinalgOp op, Operands in) : op(op), in(in) {}
  LogicalResult run(Results &out);

private:
  LogicalResult findLoops();
  LogicalResult addAccess(AffineMap map, ArrayRef<int64_t> shape);
  LogicalResult prepareBody();
  LogicalResult runPoints();
  LogicalResult runChunk(int64_t n);
  LogicalResult runOp(Operation &inner, int64_t n);
  LogicalResult extract(tensor::ExtractOp inner, int64_t n);
  LogicalResult locate(const Access &access, int64_t n);
  Chunk &chunkOf(Value value);

  linalg::LinalgOp op;
  Operands in;
  SmallVector<int64_t> sizes; ///< Of the loops.
  SmallVector<unsigned> reductions, parallels;
  bool oneByOne = false; ///< Points with one reduction index share an output.
  SmallVector<Access> accesses;
  SmallVector<Tensor> results;
  SmallVector<SmallVector<int64_t>> indices; ///< [loop][point of the chunk]
  SmallVector<int64_t> offsets;              ///< [point of the chunk]
  DenseMap<Operation *, ElementKernel> kernels;
  DenseMap<Value, std::unique_ptr<Chunk>> chunks;
};
} // namespace

LogicalResult Generic::findLoops() {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  sizes.assign(op.getNumLoops(), -1);
  for (auto [i, map] : llvm::enumerate(maps))
    for (auto [d, expr] : llvm::enumerate(map.getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
        int64_t &size = sizes[dim.getPosition()];
        int64_t actual = in[i].getDimSize(d);
        if (size >= 0 && size != actual)
          return op.emitError("operands disagree about the size of loop ")
                 << dim.getPosition() << ": " << size << " and " << actual;
        size = actual;
      }
  if (llvm::is_contained(sizes, -1))
    return op.emitError("has a loop whose size no operand gives");
  for (auto [i, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    (kind == utils::IteratorType::parallel ? parallels : reductions)
        .push_back(i);
  for (auto [i, map] : llvm::enumerate(maps))
    if (failed(addAccess(map, in[i].getShape())))
      return failure();
  for (unsigned i = op.getNumDpsInputs(); i < maps.size(); ++i)
    for (unsigned loop : parallels)
      if (sizes[loop] > 1 &&
          (accesses[i].map || !maps[i].isFunctionOfDim(loop)))
        oneByOne = true;
  return success();
}

LogicalResult Generic::addAccess(AffineMap map, ArrayRef<int64_t> shape) {
  Access access;
  access.shape.assign(shape.begin(), shape.end());
  bool linear = true;
  for (AffineExpr expr : map.getResults())
    expr.walk([&](AffineExpr e) {
      linear &= e.getKind() != AffineExprKind::Mod &&
                e.getKind() != AffineExprKind::FloorDiv &&
                e.getKind() != AffineExprKind::CeilDiv;
    });
  if (!linear) {
    access.map = map;
    accesses.push_back(access);
    return success();
  }
  SmallVector<int64_t> steps = getStrides(shape), point(sizes.size(), 0);
  SmallVector<int64_t> base = map.compose(point);
  access.strides.assign(sizes.size(), 0);
  for (size_t d = 0; d < base.size(); ++d) {
    int64_t lowest = base[d], highest = base[d];
    access.offset += base[d] * steps[d];
    for (size_t loop = 0; loop < sizes.size(); ++loop) {
      point[loop] = 1;
      int64_t slope = map.compose(point)[d] - base[d];
      point[loop] = 0;
      access.strides[loop] += slope * steps[d];
      (slope < 0 ? lowest : highest) += slope * (sizes[loop] - 1);
    }
    if (!llvm::is_contained(sizes, 0) && (lowest < 0 || highest >= shape[d]))
      return op.emitError("reaches beyond dimension ") << d << " of an operand";
  }
  accesses.push_back(access);
  return success();
}

LogicalResult Generic::locate(const Access &access, int64_t n) {
  if (!access.map) {
    std::fill_n(offsets.begin(), n, access.offset);
    for (size_t loop = 0; loop < sizes.size(); ++loop)
      if (int64_t stride = access.strides[loop])
        for (int64_t i = 0; i < n; ++i)
          offsets[i] += indices[loop][i] * stride;
    return success();
  }
  SmallVector<int64_t> point(sizes.size());
  for (int64_t i = 0; i < n; ++i) {
    for (size_t loop = 0; loop < sizes.size(); ++loop)
      point[loop] = indices[loop][i];
    int64_t at = 0;
    for (auto [position, size] :
         llvm::zip(access.map.compose(point), access.shape)) {
      if (position < 0 || position >= size)
        return op.emitError("reaches beyond an operand");
      at = at * size + position;
    }
    offsets[i] = at;
  }
  return success();
}

Chunk &Generic::chunkOf(Value value) {
  std::unique_ptr<Chunk> &chunk = chunks[value];
  if (!chunk)
    chunk = std::make_unique<Chunk>();
  return *chunk;
}

LogicalResult Generic::prepareBody() {
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (isa<linalg::IndexOp, tensor::ExtractOp>(inner))
      continue;
    std::optional<ElementKernel> kernel = getElementKernel(&inner);
    if (!kernel)
      return inner.emitError("the reference interpreter does not know ")
             << inner.getName() << " in the body of " << op->getName();
    kernels[&inner] = *kernel;
  }
  // Scalars from outside.
  for (auto [i, value] : llvm::enumerate(getInputValues(op)))
    if (i >= op->getNumOperands() && in[i].getRank() == 0) {
      std::fill_n(offsets.begin(), kChunk, 0);
      gatherChunk(in[i], offsets.data(), kChunk, chunkOf(value));
    }
  return success();
}

LogicalResult Generic::extract(tensor::ExtractOp inner, int64_t n) {
  SmallVector<Value> needed = getInputValues(op);
  auto *it = llvm::find(needed, inner.getTensor());
  if (it == needed.end())
    return inner.emitError("reads a tensor that is not from outside");
  const Tensor &source = in[it - needed.begin()];
  std::fill_n(offsets.begin(), n, 0);
  for (auto [d, index] : llvm::enumerate(inner.getIndices())) {
    const int64_t *at = chunkOf(index).i;
    for (int64_t i = 0; i < n; ++i) {
      if (at[i] < 0 || at[i] >= source.getDimSize(d))
        return inner.emitError("reads beyond dimension ") << d;
      offsets[i] = offsets[i] * source.getDimSize(d) + at[i];
    }
  }
  gatherChunk(source, offsets.data(), n, chunkOf(inner.getResult()));
  return success();
}

LogicalResult Generic::runOp(Operation &inner, int64_t n) {
  if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
    llvm::copy(ArrayRef(indices[index.getDim()]).take_front(n),
               chunkOf(index.getResult()).i);
    return success();
  }
  if (auto extractOp = dyn_cast<tensor::ExtractOp>(inner))
    return extract(extractOp, n);
  const ElementKernel &kernel = kernels[&inner];
  const void *operands[3];
  for (auto [i, operand] : llvm::enumerate(inner.getOperands()))
    operands[i] = &chunkOf(operand);
  Chunk &result = chunkOf(inner.getResult(0));
  if (!kernel.run(kernel, operands, &result, n))
    return inner.emitError("divides an integer by zero");
  if (kernel.roundResult)
    for (int64_t i = 0; i < n; ++i)
      result.f32[i] = roundToElement(result.f32[i], kernel.resultElement);
  return success();
}

LogicalResult Generic::runChunk(int64_t n) {
  mlir::Block &body = *op.getBlock();
  unsigned numInputs = op.getNumDpsInputs();
  for (auto [i, argument] : llvm::enumerate(body.getArguments())) {
    if (argument.use_empty())
      continue;
    if (failed(locate(accesses[i], n)))
      return failure();
    gatherChunk(i < numInputs ? in[i] : results[i - numInputs], offsets.data(),
                n, chunkOf(argument));
  }
  for (Operation &inner : body.without_terminator())
    if (failed(runOp(inner, n)))
      return failure();
  for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands())) {
    if (failed(locate(accesses[numInputs + i], n)))
      return failure();
    scatterChunk(results[i], offsets.data(), n, chunkOf(value));
  }
  return success();
}

LogicalResult Generic::runPoints() {
  SmallVector<int64_t> reduced, parallel;
  for (unsigned loop : reductions)
    reduced.push_back(sizes[loop]);
  for (unsigned loop : parallels)
    parallel.push_back(sizes[loop]);
  int64_t limit = oneByOne ? 1 : kChunk;
  LogicalResult status = success();
  forEachIndex(reduced, [&](ArrayRef<int64_t> outer) {
    for (auto [loop, at] : llvm::zip(reductions, outer))
      std::fill_n(indices[loop].begin(), kChunk, at);
    int64_t n = 0;
    forEachIndex(parallel, [&](ArrayRef<int64_t> inner) {
      for (auto [loop, at] : llvm::zip(parallels, inner))
        indices[loop][n] = at;
      if (++n < limit || failed(status))
        return;
      status = runChunk(n);
      n = 0;
    });
    if (n && succeeded(status))
      status = runChunk(n);
  });
  return status;
}

LogicalResult Generic::run(Results &out) {
  if (op.getBlock()->getNumArguments() != op->getNumOperands())
    return op.emitError("has a body whose arguments are not its operands");
  offsets.assign(kChunk, 0);
  if (failed(findLoops()) || failed(prepareBody()))
    return failure();
  indices.assign(sizes.size(), SmallVector<int64_t>(kChunk, 0));
  for (unsigned i = op.getNumDpsInputs(); i < op->getNumOperands(); ++i) {
    FailureOr<Tensor> result = Tensor::allocate(op.getLoc(), in[i].getType());
    if (failed(result))
      return failure();
    std::memcpy(result->mutableBytes().data(), in[i].bytes().data(),
                in[i].bytes().size());
    results.push_back(std::move(*result));
  }
  if (failed(runPoints()))
    return failure();
  out.append(results.begin(), results.end());
  return success();
}

static LogicalResult evaluateLinalg(Operation *op, Operands in, Results &out) {
  return Generic(cast<linalg::LinalgOp>(op), in).run(out);
}

static LogicalResult evaluateTranspose(Operation *op, Operands in,
                                       Results &out) {
  SmallVector<int64_t> steps = getStrides(in[0].getShape()), shape, strides;
  for (int64_t d : cast<linalg::TransposeOp>(op).getPermutation()) {
    shape.push_back(in[0].getDimSize(d));
    strides.push_back(steps[d]);
  }
  FailureOr<Tensor> result = copyStrided(op, in[0], shape, strides);
  if (failed(result))
    return failure();
  out.push_back(std::move(*result));
  return success();
}

static LogicalResult evaluateBroadcast(Operation *op, Operands in,
                                       Results &out) {
  ArrayRef<int64_t> shape = in[1].getShape();
  ArrayRef<int64_t> added = cast<linalg::BroadcastOp>(op).getDimensions();
  SmallVector<int64_t> steps = getStrides(in[0].getShape());
  SmallVector<int64_t> strides(shape.size(), 0);
  size_t from = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (llvm::is_contained(added, int64_t(d)))
      continue;
    if (in[0].getDimSize(from) != shape[d])
      return op->emitError("sizes of dimension ") << d << " differ";
    strides[d] = steps[from++];
  }
  FailureOr<Tensor> result = copyStrided(op, in[0], shape, strides);
  if (failed(result))
    return failure();
  out.push_back(std::move(*result));
  return success();
}

static LogicalResult evaluateFill(Operation *op, Operands in, Results &out) {
  ArrayRef<int64_t> shape = in[1].getShape();
  FailureOr<Tensor> result =
      copyStrided(op, in[0], shape, SmallVector<int64_t>(shape.size(), 0));
  if (failed(result))
    return failure();
  out.push_back(std::move(*result));
  return success();
}

void hwgq::reference::registerLinalgOps(Registry &r) {
  r["linalg.generic"] = r["linalg.map"] = r["linalg.reduce"] = evaluateLinalg;
  r["linalg.transpose"] = evaluateTranspose;
  r["linalg.broadcast"] = evaluateBroadcast;
  r["linalg.fill"] = evaluateFill;
}
