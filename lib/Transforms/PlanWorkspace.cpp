//===- PlanWorkspace.cpp - one workspace for all buffers ------------------===//
//
// Buffers whose lifetimes are disjoint share memory. Placement is greedy by
// size: largest first, each at the lowest offset that is free during its life
// (Pisarchyk, Lee: Efficient Memory Management for Deep Neural Net Inference,
// 2020, "Greedy by Size for Offset Calculation").
//
//===----------------------------------------------------------------------===//
#include "hwgq/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"

namespace hwgq {
#define GEN_PASS_DEF_PLANWORKSPACE
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;

namespace {

constexpr int64_t kAlign = 64;

/// An index computed from the batch, at a batch.
std::optional<int64_t> evaluateIndex(Value value, int64_t batch);

/// A size of a memref at a batch.
std::optional<int64_t> evaluateDim(Value memref, int64_t index, int64_t batch) {
  auto type = dyn_cast<MemRefType>(memref.getType());
  if (!type || index >= type.getRank())
    return std::nullopt;
  if (!type.isDynamicDim(index))
    return type.getDimSize(index);
  Operation *source = memref.getDefiningOp();
  if (!source) // an argument: only the batch is dynamic
    return batch;
  unsigned dynamic = type.getDynamicDimIndex(index);
  if (auto alloc = dyn_cast<memref::AllocOp>(source))
    return evaluateIndex(alloc.getDynamicSizes()[dynamic], batch);
  if (auto expand = dyn_cast<memref::ExpandShapeOp>(source))
    return evaluateIndex(expand.getOutputShape()[dynamic], batch);
  if (auto cast = dyn_cast<memref::ReinterpretCastOp>(source))
    return evaluateIndex(cast.getSizes()[dynamic], batch);
  auto collapse = dyn_cast<memref::CollapseShapeOp>(source);
  if (!collapse)
    return std::nullopt;
  SmallVector<ReassociationIndices> groups = collapse.getReassociationIndices();
  int64_t product = 1;
  for (int64_t d : groups[index]) {
    std::optional<int64_t> size = evaluateDim(collapse.getSrc(), d, batch);
    if (!size)
      return std::nullopt;
    product *= *size;
  }
  return product;
}

/// The value of index arithmetic for a given batch.
std::optional<int64_t> evaluateIndex(Value value, int64_t batch) {
  IntegerAttr constant;
  if (matchPattern(value, m_Constant(&constant)))
    return constant.getInt();
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (auto dim = dyn_cast<memref::DimOp>(op)) {
    std::optional<int64_t> index = dim.getConstantIndex();
    return index ? evaluateDim(dim.getSource(), *index, batch) : std::nullopt;
  }
  SmallVector<int64_t> operands;
  for (Value operand : op->getOperands()) {
    std::optional<int64_t> v = evaluateIndex(operand, batch);
    if (!v)
      return std::nullopt;
    operands.push_back(*v);
  }
  if (isa<arith::MulIOp>(op))
    return operands[0] * operands[1];
  if (isa<arith::AddIOp>(op))
    return operands[0] + operands[1];
  if (isa<arith::SubIOp>(op))
    return operands[0] - operands[1];
  if (isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>(op) &&
      operands[1] > 0)
    return operands[0] / operands[1];
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op))
    return operands[0];
  return std::nullopt;
}

/// One buffer: bytes per batch (or in all) and the positions of its life.
struct Buffer {
  memref::AllocOp alloc;
  bool perBatch;
  int64_t size = 0, offset = 0;
  unsigned first = 0, last = 0;
};

/// All values that may point into the memory of `root`, addresses computed from
/// its pointer included, and who uses them.
void collectUsers(Value root, SmallPtrSetImpl<Operation *> &users) {
  SmallVector<Value> worklist = {root};
  while (!worklist.empty()) {
    Value value = worklist.pop_back_val();
    for (Operation *user : value.getUsers()) {
      if (!users.insert(user).second)
        continue;
      bool address = !isa<BaseMemRefType>(value.getType()) && isPure(user);
      if (isa<ViewLikeOpInterface, memref::ExtractAlignedPointerAsIndexOp>(
              user) ||
          address)
        worklist.append(user->result_begin(), user->result_end());
    }
  }
}

/// Copies between memrefs of one shape, element by element (no libc call).
void emitCopy(OpBuilder &builder, Location loc, Value source, Value target) {
  auto type = cast<MemRefType>(source.getType());
  SmallVector<Value> lower, upper, step;
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  for (int64_t d = 0; d < type.getRank(); ++d) {
    lower.push_back(zero);
    upper.push_back(memref::DimOp::create(builder, loc, source, d));
    step.push_back(one);
  }
  auto body = [&](OpBuilder &b, Location l, ValueRange index) {
    Value v = memref::LoadOp::create(b, l, source, index);
    memref::StoreOp::create(b, l, v, target, index);
  };
  if (type.getRank() == 0)
    return body(builder, loc, {});
  scf::buildLoopNest(builder, loc, lower, upper, step, body);
}

/// The buffer that a returned value is, seen through reshapes.
memref::AllocOp getReturnedBuffer(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (auto alloc = dyn_cast<memref::AllocOp>(op))
      return alloc;
    if (auto expand = dyn_cast<memref::ExpandShapeOp>(op))
      value = expand.getSrc();
    else if (auto collapse = dyn_cast<memref::CollapseShapeOp>(op))
      value = collapse.getSrc();
    else if (auto cast = dyn_cast<memref::CastOp>(op))
      value = cast.getSource();
    else
      return {};
  }
  return {};
}

struct PlanWorkspace : hwgq::impl::PlanWorkspaceBase<PlanWorkspace> {
  void runOnOperation() override {
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>())
      if (!function.isDeclaration() && !function.isPrivate() &&
          function.getName() != "hwgq_prepare" && failed(plan(function)))
        return signalPassFailure();
  }

  LogicalResult plan(func::FuncOp function) {
    if (!function.getBody().hasOneBlock())
      return function.emitError("needs a single block");
    moveResultsToArguments(function);
    SmallVector<Buffer> buffers;
    if (failed(collectBuffers(function, buffers)))
      return failure();
    int64_t constant = place(buffers, /*perBatch=*/false);
    int64_t perBatch = place(buffers, /*perBatch=*/true);
    replaceBuffers(function, buffers, constant);
    OpBuilder builder(&getContext());
    function->setAttr("hwgq.workspace",
                      builder.getDenseI64ArrayAttr({constant, perBatch}));
    workspaceBytes += constant + perBatch;
    return success();
  }

  /// Returned memrefs become trailing arguments that are written in place
  /// where the result is a buffer of the function's own.
  void moveResultsToArguments(func::FuncOp function) {
    Block &entry = function.front();
    auto ret = cast<func::ReturnOp>(entry.getTerminator());
    FunctionType type = function.getFunctionType();
    unsigned inputs = type.getNumInputs();
    SmallVector<DictionaryAttr> attributes;
    function.getAllArgAttrs(attributes);
    attributes.resize(inputs, DictionaryAttr::get(&getContext()));
    OpBuilder builder(ret);
    SmallVector<Type> types(type.getInputs());
    for (auto [i, value] : llvm::enumerate(ret.getOperands())) {
      BlockArgument out = entry.addArgument(value.getType(), value.getLoc());
      types.push_back(value.getType());
      NamedAttrList attrs(function.getResultAttrs(i));
      attrs.set("hwgq.output", builder.getUnitAttr());
      attributes.push_back(attrs.getDictionary(&getContext()));
      memref::AllocOp alloc = getReturnedBuffer(value);
      if (!alloc) {
        emitCopy(builder, ret.getLoc(), value, out);
        continue;
      }
      OpBuilder at(alloc);
      Value replacement = out;
      if (alloc.getType() != out.getType()) {
        SmallVector<OpFoldResult> sizes, strides;
        int64_t stride = 1, next = alloc.getDynamicSizes().size();
        for (int64_t d = alloc.getType().getRank() - 1; d >= 0; --d) {
          int64_t size = alloc.getType().getDimSize(d);
          strides.insert(strides.begin(), at.getIndexAttr(stride));
          if (ShapedType::isDynamic(size)) {
            sizes.insert(sizes.begin(), alloc.getDynamicSizes()[--next]);
            continue; // only the leading size is dynamic
          }
          sizes.insert(sizes.begin(), at.getIndexAttr(size));
          stride *= size;
        }
        replacement = memref::ReinterpretCastOp::create(
            at, alloc.getLoc(), alloc.getType(), out, at.getIndexAttr(0), sizes,
            strides);
      }
      alloc.replaceAllUsesWith(replacement);
      alloc.erase();
    }
    builder.setInsertionPoint(ret);
    func::ReturnOp::create(builder, ret.getLoc());
    ret.erase();
    function.removeResAttrsAttr();
    function.setFunctionType(builder.getFunctionType(types, {}));
    function.setAllArgAttrs(attributes);
  }

  LogicalResult collectBuffers(func::FuncOp function,
                               SmallVectorImpl<Buffer> &buffers) {
    Block &entry = function.front();
    DenseMap<Operation *, unsigned> position;
    for (auto [i, op] : llvm::enumerate(entry))
      position[&op] = i;
    WalkResult walk = function.walk([&](memref::AllocOp alloc) {
      if (alloc->getBlock() != &entry) {
        alloc.emitError("buffer is allocated inside a loop");
        return WalkResult::interrupt();
      }
      SmallPtrSet<Operation *, 8> users;
      collectUsers(alloc, users);
      if (users.empty()) {
        alloc.erase();
        return WalkResult::advance();
      }
      Buffer buffer;
      buffer.alloc = alloc;
      buffer.first = ~0u;
      for (Operation *user : users) {
        unsigned at = position[entry.findAncestorOpInBlock(*user)];
        // A view takes no memory access of its own.
        if (!isa<ViewLikeOpInterface, memref::ExtractAlignedPointerAsIndexOp>(
                user))
          buffer.first = std::min(buffer.first, at);
        buffer.last = std::max(buffer.last, at);
      }
      buffer.first = std::min(buffer.first, buffer.last);
      if (failed(measure(buffer)))
        return WalkResult::interrupt();
      buffers.push_back(buffer);
      return WalkResult::advance();
    });
    return failure(walk.wasInterrupted());
  }

  /// Bytes of a buffer: constant, or a multiple of the batch.
  LogicalResult measure(Buffer &buffer) {
    MemRefType type = buffer.alloc.getType();
    int64_t width = type.getElementType().isIndex()
                        ? 8
                        : llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    auto bytesAt = [&](int64_t batch) -> std::optional<int64_t> {
      int64_t bytes = width;
      unsigned dynamic = 0;
      for (int64_t size : type.getShape()) {
        std::optional<int64_t> extent = size;
        if (ShapedType::isDynamic(size))
          extent =
              evaluateIndex(buffer.alloc.getDynamicSizes()[dynamic++], batch);
        if (!extent || llvm::MulOverflow(bytes, *extent, bytes))
          return std::nullopt;
      }
      return bytes;
    };
    std::optional<int64_t> one = bytesAt(1), two = bytesAt(2),
                           three = bytesAt(3);
    if (!one || !two || !three || *two - *one != *three - *two)
      return buffer.alloc.emitError(
          "cannot plan a buffer whose size is not affine in the batch");
    buffer.perBatch = *one != *two;
    // batch >= 1: constant + linear * batch <= (constant + linear) * batch.
    buffer.size =
        llvm::alignTo(std::max<int64_t>({*one, *two - *one, 1}), kAlign);
    return success();
  }

  /// Offsets of all buffers of one kind; returns the bytes they need.
  static int64_t place(MutableArrayRef<Buffer> buffers, bool perBatch) {
    SmallVector<Buffer *> order;
    for (Buffer &buffer : buffers)
      if (buffer.perBatch == perBatch)
        order.push_back(&buffer);
    // Ties by position: the buffers lie in one array.
    llvm::sort(order, [](Buffer *a, Buffer *b) {
      return a->size != b->size ? a->size > b->size : a < b;
    });
    int64_t total = 0;
    SmallVector<Buffer *> placed; // by offset
    for (Buffer *buffer : order) {
      int64_t offset = 0;
      for (Buffer *other : placed) {
        if (other->last < buffer->first || buffer->last < other->first)
          continue;
        if (offset + buffer->size <= other->offset)
          break;
        offset = std::max(offset, other->offset + other->size);
      }
      buffer->offset = offset;
      total = std::max(total, offset + buffer->size);
      placed.insert(llvm::upper_bound(placed, buffer,
                                      [](Buffer *a, Buffer *b) {
                                        return a->offset < b->offset;
                                      }),
                    buffer);
    }
    return total;
  }

  void replaceBuffers(func::FuncOp function, MutableArrayRef<Buffer> buffers,
                      int64_t constant) {
    Block &entry = function.front();
    MLIRContext *context = &getContext();
    auto bytes =
        MemRefType::get({ShapedType::kDynamic}, IntegerType::get(context, 8));
    unsigned index = entry.getNumArguments();
    (void)function.insertArgument(index, bytes, DictionaryAttr::get(context),
                                  function.getLoc());
    Value workspace = entry.getArgument(index);
    OpBuilder builder(context);
    builder.setInsertionPointToStart(&entry);
    Value batch = getBatch(builder, function);
    for (Buffer &buffer : buffers) {
      builder.setInsertionPoint(buffer.alloc);
      Location loc = buffer.alloc.getLoc();
      Value offset;
      if (buffer.perBatch) {
        Value scale =
            arith::ConstantIndexOp::create(builder, loc, buffer.offset);
        Value base = arith::ConstantIndexOp::create(builder, loc, constant);
        offset = arith::AddIOp::create(
            builder, loc, base,
            arith::MulIOp::create(builder, loc, scale, batch));
      } else {
        offset = arith::ConstantIndexOp::create(builder, loc, buffer.offset);
      }
      memref::AllocOp alloc = buffer.alloc;
      Value view =
          memref::ViewOp::create(builder, loc, alloc.getType(), workspace,
                                 offset, alloc.getDynamicSizes());
      alloc.replaceAllUsesWith(view);
      alloc.erase();
    }
  }

  /// The batch: the leading size of the first argument where it is dynamic.
  static Value getBatch(OpBuilder &builder, func::FuncOp function) {
    for (BlockArgument argument : function.getArguments().drop_back()) {
      auto type = dyn_cast<MemRefType>(argument.getType());
      if (type && type.getRank() && type.isDynamicDim(0))
        return memref::DimOp::create(builder, function.getLoc(), argument, 0);
    }
    return arith::ConstantIndexOp::create(builder, function.getLoc(), 1);
  }
};

} // namespace
