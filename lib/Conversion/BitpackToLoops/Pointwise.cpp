//===- Pointwise.cpp - groups of element-wise ops -------------------------===//
#include "Pointwise.h"
#include "../VectorBody.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace hwgq;

static RankedTensorType tensorType(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// Whether an input has its dimensions in another order than the loops.
static bool isTurned(linalg::GenericOp op) {
  return llvm::any_of(op.getDpsInputOperands(), [&](OpOperand *input) {
    SmallVector<unsigned> order;
    for (AffineExpr expr : op.getMatchingIndexingMap(input).getResults())
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        order.push_back(dim.getPosition());
    return !llvm::is_sorted(order);
  });
}

Operation *Pointwise::getRoot(bitpack::FusedOp op) {
  Block &body = op.getBody().front();
  for (Operation &inner : body)
    if (isa<bitpack::Conv2DOp, bitpack::MatMulOp, bitpack::ProductOp,
            bitpack::AvgPoolOp, hwgq::MaxPoolOp, hwgq::AvgPoolOp>(inner))
      return &inner;
  for (auto flat : body.getOps<tensor::CollapseShapeOp>())
    return flat;
  auto first = dyn_cast<linalg::GenericOp>(body.front());
  return first && isTurned(first) ? first : nullptr;
}

linalg::GenericOp Pointwise::getProducer(bitpack::FusedOp op) {
  Operation *root = getRoot(op);
  if (!root || isa<linalg::GenericOp>(root))
    return cast_if_present<linalg::GenericOp>(root);
  Value input = root->getOperand(0);
  if (auto flat = input.getDefiningOp<tensor::CollapseShapeOp>())
    input = flat.getSrc();
  auto producer = input.getDefiningOp<linalg::GenericOp>();
  return producer && producer->getBlock() == root->getBlock() ? producer
                                                              : nullptr;
}

bitpack::FusedOp Pointwise::getInner(bitpack::FusedOp op) {
  auto groups = op.getBody().front().getOps<bitpack::FusedOp>();
  return groups.empty() ? nullptr : *groups.begin();
}

Pointwise::Pointwise(LoopBuilder &b, bitpack::FusedOp op, Value batch,
                     MemoryOf memoryOf)
    : body(op.getBody().front()), root(getRoot(op)),
      type(tensorType(op.getResult(0))) {
  rank = type.getRank();
  size.batch = batch;
  size.channels = rank ? type.getShape().back() : 1;
  if (rank == 4) {
    size.height = type.getDimSize(1);
    size.width = type.getDimSize(2);
  }
  Operation *yield = body.getTerminator();
  memory.resize(op.getNumResults());
  SmallPtrSet<Value, 2> taken;
  for (auto [i, value] : llvm::enumerate(yield->getOperands())) {
    if (Value old = replaceable(value, memoryOf);
        old && taken.insert(old).second) {
      memory[i] = memoryOf(old);
      stored[value] = viewImage(b, tensorType(value), memory[i]);
    } else {
      stored[value] = allocateImage(b, tensorType(value), batch, memory[i]);
    }
  }
  for (Operation &inner : members()) {
    addTables(b, inner);
    unsigned inputs = inner.getNumOperands();
    if (auto generic = dyn_cast<linalg::GenericOp>(inner))
      inputs = generic.getNumDpsInputs();
    for (Value value : inner.getOperands().take_front(inputs))
      if (value.getParentBlock() != &body)
        addOperand(b, value, memoryOf);
  }
}

/// A tensor from outside that nobody reads when `result` is written: each
/// element is read for the one that takes its place, and at last there.
Value Pointwise::replaceable(Value result, MemoryOf memoryOf) const {
  Operation *def = result.getDefiningOp();
  auto dies = [&](Value value) {
    auto isDone = [&](Operation *user) {
      return isa<tensor::DimOp>(user) ||
             (user->getBlock() == &body &&
              (!root || root->isBeforeInBlock(user)) &&
              (user == def || user->isBeforeInBlock(def)));
    };
    // What such an op makes has memory that nothing else has.
    return value.getDefiningOp<bitpack::FusedOp>() &&
           value.getType() == result.getType() &&
           llvm::all_of(value.getUsers(), isDone) &&
           memoryOf(value).getDefiningOp<memref::AllocOp>();
  };
  if (result.getType() != type || bitpack::isPacked(type))
    return {};
  for (Operation &inner : members())
    if (auto generic = dyn_cast<linalg::GenericOp>(inner))
      for (OpOperand *input : generic.getDpsInputOperands())
        if (input->get().getParentBlock() != &body && dies(input->get()))
          return input->get();
  return {};
}

void Pointwise::addOperand(LoopBuilder &b, Value value, MemoryOf memoryOf) {
  Operand &operand = operands[value];
  if (operand.one || operand.flat || operand.image.memory)
    return;
  SplatElementsAttr splat;
  if (matchPattern(value, m_Constant(&splat))) {
    operand.one = splat.getSplatValue<TypedAttr>();
    return;
  }
  if (tensorType(value).getShape() == type.getShape())
    operand.image = viewImage(b, tensorType(value), memoryOf(value));
  else
    operand.flat = b.flat(memoryOf(value));
}

void Pointwise::addTables(LoopBuilder &b, Operation &inner) {
  if (auto affine = dyn_cast<hwgq::AffineOp>(inner))
    scales.try_emplace(&inner, b, affine.getScale());
  if (auto quantize = dyn_cast<bitpack::QuantizeOp>(inner))
    steps.try_emplace(&inner, b, quantize.getStep(),
                      cast<CodeType>(tensorType(quantize).getElementType()));
  if (auto threshold = dyn_cast<bitpack::ThresholdOp>(inner)) {
    constexpr int64_t kWidest = 64;
    thresholds.try_emplace(
        &inner, b, threshold.getThresholds(), threshold.getDirection(),
        size.channels, size.channels + kWidest - 1,
        cast<CodeType>(tensorType(threshold.getResult()).getElementType()));
  }
}

bool Pointwise::isLinear() const {
  if (llvm::any_of(stored, [](auto &entry) { return entry.second.hasHalo(); }))
    return false;
  auto byChannel = [&](AffineExpr expr) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    return !dim || int64_t(dim.getPosition()) == rank - 1;
  };
  for (auto generic : body.getOps<linalg::GenericOp>())
    for (OpOperand *input : generic.getDpsInputOperands()) {
      auto found = operands.find(input->get());
      if (found != operands.end() && found->second.flat &&
          !llvm::all_of(generic.getMatchingIndexingMap(input).getResults(),
                        byChannel))
        return false;
    }
  return true;
}

bool Pointwise::hasUnwritten() const {
  return llvm::any_of(stored, [](auto &entry) {
    const Image &image = entry.second;
    return image.packed() && (image.hasHalo() || image.hasPadding());
  });
}

bool Pointwise::hasPadding() const {
  return llvm::any_of(stored, [](auto &entry) {
    return entry.second.packed() && entry.second.hasPadding();
  });
}

void Pointwise::clearRow(LoopBuilder &b, Value n, Value y) const {
  for (Value value : body.getTerminator()->getOperands()) {
    const Image &image = stored.find(value)->second;
    if (image.packed() && (image.hasHalo() || image.hasPadding()))
      image.clearRow(b, n, y);
  }
}

/// The element or vector of a tensor from outside that `map` takes to `site`.
Value Pointwise::load(LoopBuilder &b, Value value, AffineMap map,
                      const Site &site) const {
  const Operand &operand = operands.find(value)->second;
  Type element = tensorType(value).getElementType();
  VectorType type = b.vec(site.lanes, element);
  if (operand.one)
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(type, Attribute(operand.one)));
  if (operand.image.memory) {
    Value at = b.add(operand.image.at(b, site.n, site.y, site.x), site.channel);
    return b.loadPart(type, operand.image.memory, at, site.valid);
  }
  auto coordinate = [&](int64_t d) -> Value {
    if (d == rank - 1)
      return site.channel;
    if (rank != 4) // one leading dimension: a matrix
      return b.add(b.add(site.n, site.y), site.x);
    return d == 0 ? site.n : d == 1 ? site.y : site.x;
  };
  Value at = b.index(0);
  bool channels = false;
  ArrayRef<int64_t> shape = tensorType(value).getShape();
  for (auto [i, expr] : llvm::enumerate(map.getResults())) {
    if (i)
      at = b.mul(at, shape[i]);
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim)
      continue; // of size 1
    at = b.add(at, coordinate(dim.getPosition()));
    channels |= int64_t(dim.getPosition()) == rank - 1;
  }
  if (channels)
    return b.loadPart(type, operand.flat, at, site.valid);
  return b.broadcast(type, b.load(operand.flat, at));
}

Value Pointwise::valueOf(LoopBuilder &b, Value value, const Vectors &vectors,
                         const Site &site) const {
  if (Value vector = vectors.lookup(value))
    return vector;
  return load(b, value, AffineMap::getMultiDimIdentityMap(rank, b.getContext()),
              site);
}

void Pointwise::emitGeneric(LoopBuilder &b, linalg::GenericOp generic,
                            Vectors &vectors, const Site &site) const {
  Block &scalars = generic.getRegion().front();
  IRMapping map;
  for (OpOperand *input : generic.getDpsInputOperands()) {
    BlockArgument argument = scalars.getArgument(input->getOperandNumber());
    if (argument.use_empty())
      continue;
    Value vector = vectors.lookup(input->get());
    map.map(argument, vector
                          ? vector
                          : load(b, input->get(),
                                 generic.getMatchingIndexingMap(input), site));
  }
  for (Operation &inner : scalars.without_terminator())
    cloneOnVectors(b, inner, map, site.lanes, b.options);
  for (auto [result, value] :
       llvm::zip(generic.getResults(), scalars.getTerminator()->getOperands()))
    vectors[result] =
        broadcastLanes(b, b.getLoc(), map.lookupOrDefault(value), site.lanes);
}

void Pointwise::storeCodes(LoopBuilder &b, Value value, Values planes,
                           const Site &site) const {
  auto found = stored.find(value);
  if (found == stored.end())
    return;
  maskTail(b, planes, site.lanes, site.valid);
  Value word = b.div(site.channel, 64), offset = b.rem(site.channel, 64);
  hwgq::storeCodes(b, found->second,
                   found->second.at(b, site.n, site.y, site.x), word, offset,
                   planes, site.valid);
}

void Pointwise::emit(LoopBuilder &b, Value rootVector, const Site &site) const {
  Vectors vectors;
  auto store = [&](Operation &inner) {
    for (Value result : inner.getResults()) {
      auto found = stored.find(result);
      if (found == stored.end() || found->second.packed())
        continue;
      Value at =
          b.add(found->second.at(b, site.n, site.y, site.x), site.channel);
      b.storePart(vectors[result], found->second.memory, at, site.valid);
    }
  };
  if (root) {
    vectors[root->getResult(0)] = rootVector;
    store(*root);
  }
  for (Operation &inner : members()) {
    if (auto generic = dyn_cast<linalg::GenericOp>(inner)) {
      emitGeneric(b, generic, vectors, site);
    } else if (auto affine = dyn_cast<hwgq::AffineOp>(inner)) {
      Value numbers = valueOf(b, affine.getInput(), vectors, site);
      vectors[affine.getResult()] =
          scales.find(&inner)->second.apply(b, numbers, site.channel);
    } else if (auto quantize = dyn_cast<bitpack::QuantizeOp>(inner)) {
      Value x = valueOf(b, quantize.getInput(), vectors, site);
      storeCodes(b, quantize, steps.find(&inner)->second.planes(b, x), site);
    } else if (auto threshold = dyn_cast<bitpack::ThresholdOp>(inner)) {
      Value acc = valueOf(b, threshold.getInput(), vectors, site);
      storeCodes(b, threshold,
                 thresholds.find(&inner)->second.planes(b, acc, site.channel),
                 site);
    }
    store(inner);
  }
}

void Pointwise::emitLoops(LoopBuilder &b, Value rootMemory,
                          ImageRows *rows) const {
  Image in;
  if (rows)
    in = describeImage(tensorType(root->getResult(0)), size.batch);
  else if (root)
    in = viewImage(b, tensorType(root->getResult(0)), rootMemory);
  constexpr double kNsPerChannel = 0.2;
  double cost = kNsPerChannel * double(size.width * size.channels);
  forEachRow(b, size, cost, [&](Value n, Value y) {
    clearRow(b, n, y);
    Value row; // in `in`, of the first pixel
    if (rows) {
      row = b.index(0);
      in.memory = b.local(MemRefType::get(
          {in.rowSize()}, getElementTypeOrSelf(root->getResult(0))));
      Values place = {n, y};
      rows->emit(b, ArrayRef(place).take_front(rank == 4 ? 2 : 1), in.memory,
                 row);
    } else if (root) {
      row = in.at(b, n, y, b.index(0));
    }
    b.loop(size.width, [&](Value x) {
      forEachChunk(
          b, size.channels, chunkLanes(b.options),
          [&](Value word, int64_t offset, int64_t lanes, int64_t valid) {
            Value channel = b.add(b.mul(word, 64), offset);
            Site site{n, y, x, channel, lanes, valid};
            Value vector;
            if (root) {
              Type element = tensorType(root->getResult(0)).getElementType();
              Value at = b.add(b.add(row, b.mul(x, in.channels)), channel);
              vector = b.loadPart(b.vec(lanes, element), in.memory, at, valid);
            }
            emit(b, vector, site);
          });
    });
  });
}
