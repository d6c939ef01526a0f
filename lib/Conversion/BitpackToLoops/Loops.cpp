//===- Loops.cpp - building loops over memory -----------------------------===//
#include "Loops.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace hwgq;

Value LoopBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(*this, value);
}
Value LoopBuilder::i32(int64_t value) {
  return arith::ConstantOp::create(*this, getI32IntegerAttr(value));
}
Value LoopBuilder::i64(uint64_t value) {
  return arith::ConstantOp::create(*this, getI64IntegerAttr(value));
}
Value LoopBuilder::f32(float value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(value));
}

static Value splatOf(LoopBuilder &b, Type type, TypedAttr value) {
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(vector, Attribute(value)));
  return arith::ConstantOp::create(b, value);
}

Value LoopBuilder::splat(Type type, int64_t value) {
  return splatOf(*this, type,
                 getIntegerAttr(getElementTypeOrSelf(type), value));
}
Value LoopBuilder::splat(Type type, float value) {
  return splatOf(*this, type, getF32FloatAttr(value));
}
Value LoopBuilder::broadcast(VectorType type, Value value) {
  return vector::BroadcastOp::create(*this, type, value);
}

Value LoopBuilder::add(Value x, Value y) {
  return createOrFold<arith::AddIOp>(x, y);
}
Value LoopBuilder::add(Value x, int64_t y) { return add(x, index(y)); }
Value LoopBuilder::sub(Value x, Value y) {
  return createOrFold<arith::SubIOp>(x, y);
}
Value LoopBuilder::mul(Value x, Value y) {
  return createOrFold<arith::MulIOp>(x, y);
}
Value LoopBuilder::mul(Value x, int64_t y) { return mul(x, index(y)); }
Value LoopBuilder::div(Value x, int64_t y) {
  return createOrFold<arith::DivUIOp>(x, index(y));
}
Value LoopBuilder::rem(Value x, int64_t y) {
  return y == 1 ? index(0) : createOrFold<arith::RemUIOp>(x, index(y));
}
Value LoopBuilder::ceilDiv(Value x, int64_t y) { return div(add(x, y - 1), y); }
Value LoopBuilder::min(Value x, Value y) {
  return createOrFold<arith::MinSIOp>(x, y);
}
Value LoopBuilder::max(Value x, Value y) {
  return createOrFold<arith::MaxSIOp>(x, y);
}
Value LoopBuilder::andi(Value x, Value y) {
  return createOrFold<arith::AndIOp>(x, y);
}
Value LoopBuilder::ori(Value x, Value y) {
  return createOrFold<arith::OrIOp>(x, y);
}
Value LoopBuilder::xori(Value x, Value y) {
  return createOrFold<arith::XOrIOp>(x, y);
}
Value LoopBuilder::shl(Value x, Value y) {
  return createOrFold<arith::ShLIOp>(x, y);
}
Value LoopBuilder::shr(Value x, Value y) {
  return createOrFold<arith::ShRUIOp>(x, y);
}
Value LoopBuilder::select(Value c, Value x, Value y) {
  return createOrFold<arith::SelectOp>(c, x, y);
}
Value LoopBuilder::cmp(arith::CmpIPredicate predicate, Value x, Value y) {
  return createOrFold<arith::CmpIOp>(predicate, x, y);
}
Value LoopBuilder::toI64(Value x) {
  if (x.getType().isIndex())
    return createOrFold<arith::IndexCastOp>(getI64Type(), x);
  return createOrFold<arith::ExtSIOp>(getI64Type(), x);
}
Value LoopBuilder::toI32(Value x) {
  if (x.getType().isIndex())
    return createOrFold<arith::IndexCastOp>(getI32Type(), x);
  return createOrFold<arith::TruncIOp>(getI32Type(), x);
}
Value LoopBuilder::toIndex(Value x) {
  return createOrFold<arith::IndexCastOp>(getIndexType(), x);
}

static std::optional<int64_t> constantOf(Value value) {
  IntegerAttr attr;
  if (matchPattern(value, m_Constant(&attr)))
    return attr.getInt();
  return std::nullopt;
}

void LoopBuilder::loop(Value low, Value high, int64_t step, Body body) {
  carry(low, high, step, {}, [&](Value i, ValueRange) {
    body(i);
    return Values();
  });
}

Values LoopBuilder::carry(Value low, Value high, int64_t step, ValueRange inits,
                          CarryBody body) {
  std::optional<int64_t> first = constantOf(low), last = constantOf(high);
  if (first && last && *first >= *last)
    return Values(inits);
  if (first && last && *first + step >= *last)
    return body(low, inits);
  auto op =
      scf::ForOp::create(*this, low, high, index(step), inits,
                         [&](OpBuilder &, Location, Value i, ValueRange args) {
                           scf::YieldOp::create(*this, body(i, args));
                         });
  return Values(op.getResults());
}

Values LoopBuilder::unroll(int64_t count, int64_t limit, ValueRange inits,
                           CarryBody body) {
  if (count > limit)
    return carry(count, inits, body);
  Values values(inits);
  for (int64_t i = 0; i < count; ++i)
    values = body(index(i), values);
  return values;
}

Values LoopBuilder::when(Value condition, TypeRange types,
                         llvm::function_ref<Values()> then,
                         llvm::function_ref<Values()> otherwise) {
  auto op = scf::IfOp::create(
      *this, condition,
      [&](OpBuilder &, Location) { scf::YieldOp::create(*this, then()); },
      [&](OpBuilder &, Location) { scf::YieldOp::create(*this, otherwise()); });
  return Values(op.getResults());
}

void LoopBuilder::when(Value condition, llvm::function_ref<void()> then) {
  scf::IfOp::create(*this, condition, [&](OpBuilder &, Location) {
    then();
    scf::YieldOp::create(*this);
  });
}

void LoopBuilder::tasks(Value count, Body body) {
  auto op = scf::ForallOp::create(*this, ArrayRef<OpFoldResult>{count},
                                  ValueRange(), std::nullopt);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPoint(op.getTerminator());
  task = op.getBody();
  body(op.getInductionVar(0));
  task = nullptr;
}

void LoopBuilder::chunks(Value count,
                         llvm::function_ref<void(Value, Value)> body) {
  tasks(count, [&](Value begin) {
    body(begin, bitpack::ChunkEndOp::create(*this, begin));
  });
}

Value LoopBuilder::load(Value memory, Value at) {
  return memref::LoadOp::create(*this, memory, at);
}
Value LoopBuilder::load(VectorType type, Value memory, Value at) {
  return vector::LoadOp::create(*this, type, memory, at);
}
void LoopBuilder::store(Value value, Value memory, Value at) {
  if (isa<VectorType>(value.getType()))
    vector::StoreOp::create(*this, value, memory, at);
  else
    memref::StoreOp::create(*this, value, memory, at);
}

Value LoopBuilder::loadPart(VectorType type, Value memory, Value at,
                            int64_t valid) {
  int64_t lanes = type.getNumElements();
  if (valid >= lanes)
    return load(type, memory, at);
  Value result = arith::ConstantOp::create(*this, getZeroAttr(type));
  for (int64_t from = 0; from < valid;) {
    int64_t size = llvm::bit_floor(uint64_t(valid - from));
    Value part = load(vec(size, type.getElementType()), memory, add(at, from));
    result = vector::InsertStridedSliceOp::create(
        *this, part, result, ArrayRef<int64_t>{from}, ArrayRef<int64_t>{1});
    from += size;
  }
  return result;
}

void LoopBuilder::storePart(Value vector, Value memory, Value at,
                            int64_t valid) {
  int64_t lanes = cast<VectorType>(vector.getType()).getNumElements();
  if (valid >= lanes)
    return store(vector, memory, at);
  for (int64_t from = 0; from < valid;) {
    int64_t size = llvm::bit_floor(uint64_t(valid - from));
    store(slice(vector, from, size), memory, add(at, from));
    from += size;
  }
}

Value LoopBuilder::slice(Value vector, int64_t at, int64_t count) {
  if (cast<VectorType>(vector.getType()).getNumElements() == count)
    return vector;
  return vector::ExtractStridedSliceOp::create(
      *this, vector, ArrayRef<int64_t>{at}, ArrayRef<int64_t>{count},
      ArrayRef<int64_t>{1});
}

Value LoopBuilder::join(Value low, Value high) {
  int64_t lanes = cast<VectorType>(low.getType()).getNumElements();
  auto mask = llvm::to_vector(llvm::seq<int64_t>(0, 2 * lanes));
  return vector::ShuffleOp::create(*this, low, high, mask);
}

/// Calls body(vector type, offset) for [0, count) in vectors and single
/// elements.
static void forEachPiece(LoopBuilder &b, Type element, Value count,
                         llvm::function_ref<void(VectorType, Value)> body) {
  int64_t lanes = std::max<int64_t>(1, b.options.vectorBytes * 8 /
                                           element.getIntOrFloatBitWidth());
  Value whole = b.mul(b.div(count, lanes), lanes);
  b.loop(b.index(0), whole, lanes,
         [&](Value i) { body(b.vec(lanes, element), i); });
  std::optional<int64_t> known = constantOf(count);
  if (!known)
    return b.loop(whole, count, 1,
                  [&](Value i) { body(b.vec(1, element), i); });
  for (int64_t left = *known % lanes; left > 0;) {
    int64_t size = llvm::bit_floor(uint64_t(left));
    body(b.vec(size, element), b.index(*known - left));
    left -= size;
  }
}

void LoopBuilder::fill(Value memory, Value at, Value count, int64_t value) {
  Type element = cast<MemRefType>(memory.getType()).getElementType();
  forEachPiece(*this, element, count, [&](VectorType type, Value i) {
    Value piece = value ? splat(type, value)
                        : arith::ConstantOp::create(*this, getZeroAttr(type));
    store(piece, memory, add(at, i));
  });
}

void LoopBuilder::copy(Value from, Value fromAt, Value to, Value toAt,
                       Value count) {
  Type element = cast<MemRefType>(from.getType()).getElementType();
  forEachPiece(*this, element, count, [&](VectorType type, Value i) {
    store(load(type, from, add(fromAt, i)), to, add(toAt, i));
  });
}

Value LoopBuilder::reshape(Value memory, ArrayRef<int64_t> shape,
                           Value dynamicSize) {
  auto type = cast<MemRefType>(memory.getType());
  auto result = MemRefType::get(shape, type.getElementType());
  SmallVector<OpFoldResult> sizes, strides(shape.size());
  OpFoldResult stride = getIndexAttr(1);
  for (int64_t size : shape)
    sizes.push_back(ShapedType::isDynamic(size)
                        ? OpFoldResult(dynamicSize)
                        : OpFoldResult(getIndexAttr(size)));
  int64_t product = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = getIndexAttr(product);
    if (d > 0)
      product *= shape[d]; // only the first dimension may be dynamic
  }
  return memref::ReinterpretCastOp::create(
      *this, result, memory, OpFoldResult(getIndexAttr(0)), sizes, strides);
}

Value LoopBuilder::flat(Value memory) {
  auto type = cast<MemRefType>(memory.getType());
  if (type.getRank() == 1)
    return memory;
  if (type.hasStaticShape())
    return reshape(memory, {type.getNumElements()}, {});
  Value size = index(1);
  for (int64_t d = 0; d < type.getRank(); ++d)
    size = mul(size, type.isDynamicDim(d)
                         ? Value(memref::DimOp::create(*this, memory, d))
                         : index(type.getDimSize(d)));
  return reshape(memory, {ShapedType::kDynamic}, size);
}

template <typename T>
static Value makeConstant(LoopBuilder &b, Type element, ArrayRef<T> values) {
  int64_t size = values.size();
  ElementsAttr attr =
      makeElements(RankedTensorType::get({size}, element),
                   ArrayRef(reinterpret_cast<const char *>(values.data()),
                            values.size() * sizeof(T)),
                   "table");
  return b.constant(MemRefType::get({size}, element), attr);
}

Value LoopBuilder::constant(ArrayRef<int32_t> values) {
  return makeConstant(*this, getI32Type(), values);
}
Value LoopBuilder::constant(ArrayRef<int16_t> values) {
  return makeConstant(*this, getI16Type(), values);
}
Value LoopBuilder::constant(ArrayRef<float> values) {
  return makeConstant(*this, getF32Type(), values);
}
Value LoopBuilder::constant(ArrayRef<uint8_t> values) {
  return makeConstant(*this, getI8Type(), values);
}
Value LoopBuilder::constant(MemRefType type, ElementsAttr values) {
  return createGlobalConstant(*this, getLoc(), type, values);
}

Value LoopBuilder::local(MemRefType type) {
  OpBuilder::InsertionGuard guard(*this);
  if (task) { // once, not in each iteration of a loop
    Block::iterator at = task->begin();
    while (at != task->end() && isa<memref::AllocaOp>(*at))
      ++at;
    setInsertionPoint(task, at);
  }
  return memref::AllocaOp::create(*this, type, getI64IntegerAttr(64));
}

Value LoopBuilder::prepared(MemRefType type, Body fill) {
  Operation *parent = getInsertionBlock()->getParentOp();
  ModuleOp module = parent->getParentOfType<ModuleOp>();
  constexpr StringLiteral kPrepare = "hwgq_prepare";
  auto prepare = module.lookupSymbol<func::FuncOp>(kPrepare);
  unsigned number = 0;
  for (auto global : module.getOps<memref::GlobalOp>())
    number += global.isUninitialized();
  std::string name = "prepared_" + std::to_string(number);
  OpBuilder::InsertionGuard guard(*this);
  auto here = saveInsertionPoint();
  setInsertionPointToStart(module.getBody());
  memref::GlobalOp::create(*this, name, getStringAttr("private"), type,
                           getUnitAttr(), /*constant=*/false,
                           getI64IntegerAttr(64));
  if (!prepare) {
    setInsertionPointToEnd(module.getBody());
    prepare = func::FuncOp::create(*this, kPrepare, getFunctionType({}, {}));
    setInsertionPointToStart(prepare.addEntryBlock());
    func::ReturnOp::create(*this);
  }
  setInsertionPoint(prepare.getBody().front().getTerminator());
  fill(memref::GetGlobalOp::create(*this, type, name));
  restoreInsertionPoint(here);
  return memref::GetGlobalOp::create(*this, type, name);
}

Value hwgq::emitAddress(LoopBuilder &b, Value memory, Value at) {
  Type element = cast<MemRefType>(memory.getType()).getElementType();
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, memory);
  return b.toI64(b.add(base, b.mul(at, bytes)));
}
