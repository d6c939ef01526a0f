//===- OutlineTasks.cpp - parallel loops become tasks of the runtime ------===//
//
// Each top-level scf.forall becomes a function `(env, begin, end)` that the
// runtime's parallel_for calls; the module's entry unpacks struct hwgq_frame
// (include/hwgq_abi.h).
//
//===----------------------------------------------------------------------===//
#include "hwgq/Conversion/Dtype.h"
#include "hwgq/Dialect/Bitpack.h"
#include "hwgq/Passes.h"
#include "hwgq_abi.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"

namespace hwgq {
#define GEN_PASS_DEF_OUTLINETASKS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

namespace {

/// Fields of struct hwgq_frame.
enum Frame {
  kInputs,
  kOutputs,
  kWorkspace,
  kShared,
  kBatch,
  kParallelFor,
  kPool,
  kLayerDone,
  kProfile
};

/// Builds LLVM-dialect values around the memref code of one module.
struct TaskBuilder {
  TaskBuilder(MLIRContext *context)
      : pointer(LLVM::LLVMPointerType::get(context)),
        i64(IntegerType::get(context, 64)), converter(context),
        frameType(LLVM::LLVMStructType::getLiteral(
            context, {pointer, pointer, pointer, pointer, i64, pointer, pointer,
                      pointer, pointer})) {}

  Value constant(OpBuilder &b, Location loc, int64_t value) {
    return LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(value));
  }

  Value fieldAddress(OpBuilder &b, Location loc, Value base, Type structType,
                     int32_t field) {
    return LLVM::GEPOp::create(b, loc, pointer, structType, base,
                               ArrayRef<LLVM::GEPArg>{0, field});
  }

  Value loadFrame(OpBuilder &b, Location loc, Value frame, Frame field) {
    Type type = field == kBatch ? Type(i64) : Type(pointer);
    return LLVM::LoadOp::create(b, loc, type,
                                fieldAddress(b, loc, frame, frameType, field));
  }

  /// The value in the type that LLVM holds it in.
  Value toLLVM(OpBuilder &b, Location loc, Value value) {
    Type type = converter.convertType(value.getType());
    if (!type || type == value.getType())
      return value;
    return UnrealizedConversionCastOp::create(b, loc, type, value).getResult(0);
  }

  Value fromLLVM(OpBuilder &b, Location loc, Value value, Type type) {
    if (value.getType() == type)
      return value;
    return UnrealizedConversionCastOp::create(b, loc, type, value).getResult(0);
  }

  /// A memref over memory at `address`; dynamic leading sizes are `size`.
  Value makeMemref(OpBuilder &b, Location loc, Value address, MemRefType type,
                   ArrayRef<Value> sizes) {
    Type descriptor = converter.convertType(type);
    Value value = LLVM::PoisonOp::create(b, loc, descriptor);
    auto insert = [&](Value v, ArrayRef<int64_t> at) {
      value = LLVM::InsertValueOp::create(b, loc, value, v, at);
    };
    insert(address, {0});
    insert(address, {1});
    insert(constant(b, loc, 0), {2});
    Value stride = constant(b, loc, 1);
    for (int64_t d = type.getRank() - 1; d >= 0; --d) {
      insert(sizes[d], {3, d});
      insert(stride, {4, d});
      stride = LLVM::MulOp::create(b, loc, stride, sizes[d]);
    }
    return fromLLVM(b, loc, value, type);
  }

  LLVM::LLVMPointerType pointer;
  IntegerType i64;
  LLVMTypeConverter converter;
  LLVM::LLVMStructType frameType;
};

/// Notes inputs, outputs, batch and workspace of @main on the module, since
/// the LLVM dialect has no place for them.
LogicalResult noteSignature(ModuleOp module, func::FuncOp main) {
  Builder b(module.getContext());
  SmallVector<Attribute> tensors;
  int64_t batch = 0;
  unsigned counts[2] = {0, 0};
  for (unsigned i = 0; i + 1 < main.getNumArguments();
       ++i) { // not the workspace
    auto type = cast<MemRefType>(main.getArgument(i).getType());
    bool output = main.getArgAttr(i, "hwgq.output") != nullptr;
    unsigned number = counts[output]++;
    auto name = main.getArgAttrOfType<StringAttr>(i, "hwgq.name");
    if (!name)
      name = b.getStringAttr((output ? "output_" : "input_") + Twine(number));
    uint32_t dtype = hwgq::getDtype(
        type.getElementType(), main.getArgAttr(i, "hwgq.unsigned") != nullptr);
    if (!dtype || type.getRank() > int64_t(HWGQ_MAX_RANK))
      return emitError(main.getArgument(i).getLoc(), "'")
             << name.getValue()
             << "' has a type that modules cannot take or give: " << type;
    auto factor = main.getArgAttrOfType<IntegerAttr>(i, "hwgq.batch_factor");
    SmallVector<int64_t> shape;
    for (int64_t size : type.getShape()) {
      bool dynamic = ShapedType::isDynamic(size);
      shape.push_back(dynamic ? (factor ? -factor.getInt() : -1) : size);
      if (dynamic)
        batch = -1;
    }
    if (batch == 0 && !output && !shape.empty())
      batch = std::max<int64_t>(1, shape.front());
    tensors.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", name),
         b.getNamedAttr("dtype", b.getI64IntegerAttr(dtype)),
         b.getNamedAttr("output", b.getBoolAttr(output)),
         b.getNamedAttr("shape", b.getDenseI64ArrayAttr(shape))}));
  }
  module->setAttr("hwgq.tensors", b.getArrayAttr(tensors));
  module->setAttr("hwgq.batch", b.getI64IntegerAttr(batch == 0 ? 1 : batch));
  module->setAttr("hwgq.workspace", main->getAttr("hwgq.workspace"));
  return success();
}

struct OutlineTasks : hwgq::impl::OutlineTasksBase<OutlineTasks> {
  using OutlineTasksBase::OutlineTasksBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main");
    if (!main || !main->hasAttr("hwgq.workspace")) {
      module.emitError("needs a function @main with a planned workspace");
      return signalPassFailure();
    }
    if (failed(noteSignature(module, main)))
      return signalPassFailure();
    TaskBuilder builder(&getContext());
    SmallVector<memref::GlobalOp> prepared = placePrepared(module);
    DictionaryAttr none = DictionaryAttr::get(&getContext());
    unsigned index = main.getNumArguments();
    (void)main.insertArgument(index, builder.pointer, none, main.getLoc());
    sharePrepared(builder, module, main, prepared);
    endLoneTasks(main);
    SmallVector<Attribute> layers;
    SmallVector<Operation *> work;
    for (Operation &op : main.front())
      if (isWork(&op))
        work.push_back(&op);
    for (auto [i, op] : llvm::enumerate(work)) {
      if (auto loop = dyn_cast<scf::ForallOp>(op)) {
        if (failed(outline(builder, main, loop, layers)))
          return signalPassFailure();
        ++tasks;
      } else if (i + 1 == work.size() || isa<scf::ForallOp>(work[i + 1]) ||
                 getLayerName(work[i + 1]->getLoc()) !=
                     getLayerName(op->getLoc())) {
        noteInline(builder, main, op, layers);
      }
    }
    module->setAttr("hwgq.layers", ArrayAttr::get(&getContext(), layers));
    emitEntry(builder, main);
    main.setPrivate();
  }

  /// Chunks of loops with one task that became plain code end behind it.
  static void endLoneTasks(func::FuncOp main) {
    for (auto chunk :
         llvm::make_early_inc_range(main.getOps<bitpack::ChunkEndOp>())) {
      OpBuilder b(chunk);
      Location loc = chunk.getLoc();
      Value one = arith::ConstantIndexOp::create(b, loc, 1);
      chunk.replaceAllUsesWith(
          arith::AddIOp::create(b, loc, chunk.getTask(), one).getResult());
      chunk.erase();
    }
  }

  /// What takes time: parallel loops, and what became of those with one task.
  static bool isWork(Operation *op) {
    return isa<scf::ForallOp, scf::ForOp, scf::IfOp>(op) ||
           hasEffect<MemoryEffects::Write>(op);
  }

  /// The time up to and with `op` is that of its layer, where it has a name.
  void noteInline(TaskBuilder &tb, func::FuncOp main, Operation *op,
                  SmallVectorImpl<Attribute> &layers) {
    std::string name = getLayerName(op->getLoc());
    if (name == kUnnamed)
      return;
    OpBuilder b(&getContext());
    b.setInsertionPointAfter(op);
    emitLayerDone(tb, b, op->getLoc(), main.getArguments().back(),
                  layers.size());
    layers.push_back(b.getStringAttr(name));
  }

  /// The globals without a value, which the module's `prepare` fills, each with
  /// its place in the shared memory; their bytes are noted on the module.
  static SmallVector<memref::GlobalOp> placePrepared(ModuleOp module) {
    OpBuilder b(module.getContext());
    SmallVector<memref::GlobalOp> globals;
    int64_t size = 0;
    for (auto global : module.getOps<memref::GlobalOp>()) {
      if (!global.isUninitialized())
        continue;
      MemRefType type = global.getType();
      global->setAttr("hwgq.offset", b.getI64IntegerAttr(size));
      int64_t bytes = type.getNumElements() *
                      llvm::divideCeil(type.getElementTypeBitWidth(), 8);
      size += llvm::alignTo(std::max<int64_t>(bytes, 1), HWGQ_MEMORY_ALIGN);
      globals.push_back(global);
    }
    module->setAttr("hwgq.shared", b.getI64IntegerAttr(size));
    return globals;
  }

  /// Every use of prepared memory becomes one of the shared memory: of the
  /// frame in @main, of the argument in @hwgq_prepare.
  static void sharePrepared(TaskBuilder &tb, ModuleOp module, func::FuncOp main,
                            ArrayRef<memref::GlobalOp> globals) {
    if (globals.empty())
      return;
    OpBuilder b(main.getContext());
    b.setInsertionPointToStart(&main.front());
    Location loc = main.getLoc();
    replaceGlobals(tb, b, main, globals,
                   tb.loadFrame(b, loc, main.getArguments().back(), kShared));
    if (auto prepare = module.lookupSymbol<func::FuncOp>("hwgq_prepare")) {
      (void)prepare.insertArgument(0, tb.pointer,
                                   DictionaryAttr::get(main.getContext()), loc);
      b.setInsertionPointToStart(&prepare.front());
      replaceGlobals(tb, b, prepare, globals, prepare.getArgument(0));
    }
    for (memref::GlobalOp global : globals)
      global.erase();
  }

  static void replaceGlobals(TaskBuilder &tb, OpBuilder &b,
                             func::FuncOp function,
                             ArrayRef<memref::GlobalOp> globals, Value shared) {
    DenseMap<StringRef, Value> memory;
    for (memref::GlobalOp global : globals) {
      Location loc = global.getLoc();
      auto offset = global->getAttrOfType<IntegerAttr>("hwgq.offset");
      Value address = LLVM::GEPOp::create(
          b, loc, tb.pointer, b.getI8Type(), shared,
          ArrayRef<LLVM::GEPArg>{tb.constant(b, loc, offset.getInt())});
      SmallVector<Value> sizes;
      for (int64_t size : global.getType().getShape())
        sizes.push_back(tb.constant(b, loc, size));
      memory[global.getSymName()] =
          tb.makeMemref(b, loc, address, global.getType(), sizes);
    }
    SmallVector<memref::GetGlobalOp> uses;
    function.walk([&](memref::GetGlobalOp get) { uses.push_back(get); });
    for (memref::GetGlobalOp get : uses)
      if (Value value = memory.lookup(get.getName())) {
        get.replaceAllUsesWith(value);
        get.erase();
      }
  }

  /// `forall` -> a task function and a call of parallel_for.
  LogicalResult outline(TaskBuilder &tb, func::FuncOp main, scf::ForallOp loop,
                        SmallVectorImpl<Attribute> &layers) {
    if (loop.getRank() != 1 || !loop.isNormalized() || loop->getNumResults())
      return loop.emitError("needs one dimension from 0 in steps of 1");
    Location loc = loop.getLoc();
    OpBuilder b(loop);
    llvm::SetVector<Value> used;
    getUsedValuesDefinedAbove(loop.getRegion(), used);
    SmallVector<Value> captured;
    SmallVector<Operation *> cloned;
    for (Value value : used) {
      Operation *op = value.getDefiningOp();
      if (op && (op->hasTrait<OpTrait::ConstantLike>() ||
                 isa<memref::GetGlobalOp>(op)))
        cloned.push_back(op);
      else
        captured.push_back(value);
    }
    SmallVector<Type> fields;
    for (Value value : captured)
      fields.push_back(tb.converter.convertType(value.getType()));
    auto envType = LLVM::LLVMStructType::getLiteral(&getContext(), fields);

    // The task.
    OpBuilder moduleBuilder(main);
    std::string name = ("task_" + Twine(layers.size())).str();
    auto task = func::FuncOp::create(
        moduleBuilder, loc, name,
        b.getFunctionType({tb.pointer, tb.i64, tb.i64}, {}));
    task.setPrivate();
    Block *entry = task.addEntryBlock();
    OpBuilder tbld = OpBuilder::atBlockBegin(entry);
    IRMapping map;
    for (Operation *op : cloned)
      map.map(op->getResults(), tbld.clone(*op)->getResults());
    for (auto [i, value] : llvm::enumerate(captured)) {
      Value field = LLVM::LoadOp::create(
          tbld, loc, fields[i],
          tb.fieldAddress(tbld, loc, entry->getArgument(0), envType, i));
      map.map(value, tb.fromLLVM(tbld, loc, field, value.getType()));
    }
    // Memory of a task's own is on the stack, once for all tasks of a chunk.
    for (auto local : loop.getBody()->getOps<memref::AllocaOp>())
      map.map(local->getResults(), tbld.clone(*local)->getResults());
    Type index = tbld.getIndexType();
    Value begin =
        arith::IndexCastOp::create(tbld, loc, index, entry->getArgument(1));
    Value end =
        arith::IndexCastOp::create(tbld, loc, index, entry->getArgument(2));
    Value one = arith::ConstantIndexOp::create(tbld, loc, 1);
    auto cloneBody = [&](OpBuilder &body, Value number) {
      map.map(loop.getInductionVar(0), number);
      for (Operation &op : loop.getBody()->without_terminator())
        if (!isa<memref::AllocaOp, bitpack::ChunkEndOp>(op))
          body.clone(op, map);
    };
    auto chunkEnds = loop.getBody()->getOps<bitpack::ChunkEndOp>();
    for (bitpack::ChunkEndOp chunk : chunkEnds)
      map.map(chunk.getEnd(), end);
    if (chunkEnds.empty())
      scf::ForOp::create(
          tbld, loc, begin, end, one, ValueRange{},
          [&](OpBuilder &body, Location l, Value iv, ValueRange) {
            cloneBody(body, iv);
            scf::YieldOp::create(body, l);
          });
    else
      cloneBody(tbld, begin);
    func::ReturnOp::create(tbld, loc);

    // The call.
    Value frame = main.getArguments().back();
    Value env = LLVM::ZeroOp::create(b, loc, tb.pointer);
    if (!captured.empty())
      env = LLVM::AllocaOp::create(b, loc, tb.pointer, envType,
                                   tb.constant(b, loc, 1), /*alignment=*/16);
    for (auto [i, value] : llvm::enumerate(captured))
      LLVM::StoreOp::create(b, loc, tb.toLLVM(b, loc, value),
                            tb.fieldAddress(b, loc, env, envType, i));
    Value function = func::ConstantOp::create(b, loc, task.getFunctionType(),
                                              task.getSymName());
    Value address =
        UnrealizedConversionCastOp::create(b, loc, tb.pointer, function)
            .getResult(0);
    Value upper =
        getValueOrCreateConstantIndexOp(b, loc, loop.getMixedUpperBound()[0]);
    Value count = arith::IndexCastOp::create(b, loc, tb.i64, upper);
    auto callType = LLVM::LLVMFunctionType::get(
        LLVM::LLVMVoidType::get(&getContext()),
        {tb.pointer, tb.pointer, tb.pointer, tb.i64});
    LLVM::CallOp::create(b, loc, callType,
                         ValueRange{tb.loadFrame(b, loc, frame, kParallelFor),
                                    tb.loadFrame(b, loc, frame, kPool), address,
                                    env, count});
    emitLayerDone(tb, b, loc, frame, layers.size());
    layers.push_back(b.getStringAttr(getLayerName(loc)));
    loop.erase();
    return success();
  }

  /// `if (frame->layer_done) frame->layer_done(frame->profile, layer);`
  void emitLayerDone(TaskBuilder &tb, OpBuilder &b, Location loc, Value frame,
                     int64_t layer) {
    Value callback = tb.loadFrame(b, loc, frame, kLayerDone);
    Value null = LLVM::ZeroOp::create(b, loc, tb.pointer);
    Value profiling =
        LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::ne, callback, null);
    scf::IfOp::create(b, loc, profiling, [&](OpBuilder &then, Location l) {
      Type i32 = then.getI32Type();
      auto type = LLVM::LLVMFunctionType::get(
          LLVM::LLVMVoidType::get(&getContext()), {tb.pointer, i32});
      Value number =
          LLVM::ConstantOp::create(then, l, i32, then.getI32IntegerAttr(layer));
      LLVM::CallOp::create(
          then, l, type,
          ValueRange{callback, tb.loadFrame(then, l, frame, kProfile), number});
      scf::YieldOp::create(then, l);
    });
  }

  static constexpr llvm::StringLiteral kUnnamed = "unnamed";

  static std::string getLayerName(Location loc) {
    std::string name;
    loc->walk([&](Location inner) {
      if (auto named = dyn_cast<NameLoc>(inner); named && name.empty())
        name = named.getName().str();
      return WalkResult::advance();
    });
    return name.empty() ? kUnnamed.str() : name;
  }

  /// The entry: `void run(const struct hwgq_frame *)`.
  void emitEntry(TaskBuilder &tb, func::FuncOp main) {
    Location loc = main.getLoc();
    OpBuilder b(main);
    b.setInsertionPointAfter(main);
    auto entry = func::FuncOp::create(b, loc, "hwgq_run",
                                      b.getFunctionType({tb.pointer}, {}));
    Block *block = entry.addEntryBlock();
    b.setInsertionPointToStart(block);
    Value frame = block->getArgument(0);
    Value batch = tb.loadFrame(b, loc, frame, kBatch);
    Value tables[2] = {tb.loadFrame(b, loc, frame, kInputs),
                       tb.loadFrame(b, loc, frame, kOutputs)};
    int64_t next[2] = {0, 0};
    SmallVector<Value> arguments;
    unsigned tensors = main.getNumArguments() - 2; // workspace, frame
    for (unsigned i = 0; i < tensors; ++i) {
      auto type = cast<MemRefType>(main.getArgument(i).getType());
      bool output = main.getArgAttr(i, "hwgq.output") != nullptr;
      Value slot =
          LLVM::GEPOp::create(b, loc, tb.pointer, tb.pointer, tables[output],
                              ArrayRef<LLVM::GEPArg>{int32_t(next[output]++)});
      Value address = LLVM::LoadOp::create(b, loc, tb.pointer, slot);
      SmallVector<Value> sizes;
      auto factor = main.getArgAttrOfType<IntegerAttr>(i, "hwgq.batch_factor");
      for (int64_t size : type.getShape()) {
        Value extent =
            ShapedType::isDynamic(size) ? batch : tb.constant(b, loc, size);
        if (ShapedType::isDynamic(size) && factor)
          extent = LLVM::MulOp::create(b, loc, batch,
                                       tb.constant(b, loc, factor.getInt()));
        sizes.push_back(extent);
      }
      arguments.push_back(tb.makeMemref(b, loc, address, type, sizes));
    }
    auto work = cast<MemRefType>(main.getArgument(tensors).getType());
    auto plan = main->getAttrOfType<DenseI64ArrayAttr>("hwgq.workspace");
    Value bytes = LLVM::AddOp::create(
        b, loc, tb.constant(b, loc, plan[0]),
        LLVM::MulOp::create(b, loc, batch, tb.constant(b, loc, plan[1])));
    arguments.push_back(tb.makeMemref(
        b, loc, tb.loadFrame(b, loc, frame, kWorkspace), work, bytes));
    arguments.push_back(frame);
    func::CallOp::create(b, loc, main, arguments);
    func::ReturnOp::create(b, loc);
  }
};

} // namespace
