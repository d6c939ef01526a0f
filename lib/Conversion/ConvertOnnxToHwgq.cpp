//===- ConvertOnnxToHwgq.cpp - onnx ops to the hwgq phase -----------------===//
#include "OnnxLowering.h"
#include "hwgq/Dialect/SmallFloats.h"
#include "hwgq/Passes.h"

namespace hwgq {
#define GEN_PASS_DEF_CONVERTONNXTOHWGQ
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;

static const LoweringTable &getTable() {
  static const LoweringTable table = [] {
    LoweringTable made;
    addElementwiseLowerings(made);
    addConvLowerings(made);
    addMatMulLowerings(made);
    addPoolLowerings(made);
    addNormalizeLowerings(made);
    addReduceLowerings(made);
    addShapeLowerings(made);
    addGatherLowerings(made);
    addResizeLowerings(made);
    addQuantLowerings(made);
    addIntegerLowerings(made);
    return made;
  }();
  return table;
}

static bool isOnnx(Operation *op, StringRef name = "") {
  StringRef full = op->getName().getStringRef();
  return full.consume_front("onnx.") && (name.empty() || full == name);
}

/// Types that the hwgq phase can hold, with at most one dynamic size.
static LogicalResult checkType(Location loc, Type type, bool small) {
  if (isa<NoneType>(type))
    return success();
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return emitError(loc) << "needs tensors of known rank, not " << type;
  Type element = tensor.getElementType();
  bool known = element.isF32() || element.isF64() || element.isF16() ||
               element.isBF16() || isa<IntegerType>(element) ||
               (small && isSmallFloat(element));
  if (!known || element.getIntOrFloatBitWidth() > 64)
    return emitError(loc) << "element type " << element
                          << " is not supported; float16, bfloat16, float32, "
                             "float64 and integers of up to 64 bits are";
  if (llvm::count_if(tensor.getShape(), ShapedType::isDynamic) > 1)
    return emitError(loc) << tensor
                          << " has more than one dynamic size; only the batch "
                             "may be dynamic";
  return success();
}

/// Lowers one op; false where it stays as it is.
static LogicalResult lowerOp(Operation *op, ValueTable &table) {
  for (Type type :
       llvm::concat<Type>(op->getOperandTypes(), op->getResultTypes()))
    if (failed(checkType(op->getLoc(), type, isOnnx(op, "Cast"))))
      return failure();
  OpBuilder builder(op);
  Node node(builder, op, table);
  auto it = getTable().find(node.name());
  if (it == getTable().end())
    return node.error() << "is not supported; docs/Status.md lists the "
                           "operators that are",
           failure();
  return it->second(node);
}

namespace {

struct ConvertOnnxToHwgq
    : hwgq::impl::ConvertOnnxToHwgqBase<ConvertOnnxToHwgq> {
  void runOnOperation() override {
    func::FuncOp func = getOperation();
    if (func.isExternal())
      return;
    if (!func.getBody().hasOneBlock()) {
      func.emitError("needs a function of one block");
      return signalPassFailure();
    }
    if (failed(convert(func)))
      signalPassFailure();
  }

  LogicalResult convert(func::FuncOp func) {
    Block &block = func.getBody().front();
    ValueTable table;
    SmallVector<Operation *> done;
    // Arguments get their new types at once; ops that read them see the old
    // types through placeholders.
    OpBuilder builder = OpBuilder::atBlockBegin(&block);
    SmallVector<std::pair<BlockArgument, Operation *>> placeholders;
    for (auto [i, arg] : llvm::enumerate(block.getArguments())) {
      if (failed(checkType(arg.getLoc(), arg.getType(), /*small=*/true)))
        return failure();
      RankedTensorType type = convertType(arg.getType());
      if (isBFloat(arg.getType())) {
        func.setArgAttr(i, "hwgq.unsigned", builder.getUnitAttr());
        arg.setType(type.clone(builder.getI16Type()));
        auto value = arith::BitcastOp::create(builder, arg.getLoc(), type, arg);
        arg.replaceAllUsesExcept(value, value);
        table[value] = {value, {}};
        continue;
      }
      if (!type || type == arg.getType()) {
        table[arg] = {arg, {}};
        continue;
      }
      OperationState state(arg.getLoc(), "onnx.Argument");
      state.addTypes(arg.getType());
      Operation *old = builder.create(state);
      if (isUnsigned(arg.getType()))
        func.setArgAttr(i, "hwgq.unsigned", builder.getUnitAttr());
      arg.replaceAllUsesWith(old->getResult(0));
      arg.setType(type);
      table[old->getResult(0)] = {arg, {}};
      done.push_back(old);
    }
    // What nothing reads is never judged.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (isOnnx(&op) && !isOnnx(&op, "Argument") && op.use_empty())
        op.erase();
    SmallVector<Operation *> ops;
    for (Operation &op : block.without_terminator())
      if (isOnnx(&op) && !isOnnx(&op, "Argument"))
        ops.push_back(&op);
    for (Operation *op : ops) {
      done.push_back(op);
      if (isOnnx(op, "Constant") || isOnnx(op, "NoValue"))
        continue;
      if (failed(lowerOp(op, table)))
        return failure();
      // Ops of the hwgq phase that are there already read the new values.
      for (Value result : op->getResults())
        if (llvm::any_of(result.getUsers(), [](Operation *user) {
              return !isOnnx(user) && !isa<func::ReturnOp>(user);
            }))
          replaceOutside(result, op, table);
    }
    return finish(func, table, done);
  }

  /// Arrays of small floats and bfloat16 hold their bits.
  static bool isUnsigned(Type type) {
    Type element = getElementTypeOrSelf(type);
    return element.isUnsignedInteger() || isSmallFloat(element) ||
           element.isBF16();
  }

  static bool isBFloat(Type type) {
    return getElementTypeOrSelf(type).isBF16();
  }

  /// Uses of an ONNX value by ops of other dialects take its lowered value.
  static void replaceOutside(Value result, Operation *op, ValueTable &table) {
    OpBuilder builder(op);
    Node node(builder, op, table);
    Value now = node.lowered(result);
    result.replaceUsesWithIf(now, [](OpOperand &use) {
      return !isOnnx(use.getOwner()) && !isa<func::ReturnOp>(use.getOwner());
    });
  }

  LogicalResult finish(func::FuncOp func, ValueTable &table,
                       ArrayRef<Operation *> done) {
    Operation *ret = func.getBody().front().getTerminator();
    OpBuilder builder(ret);
    SmallVector<Type> results;
    for (auto [i, operand] : llvm::enumerate(ret->getOpOperands())) {
      Value old = operand.get();
      if (failed(checkType(ret->getLoc(), old.getType(), /*small=*/true)))
        return failure();
      if (Operation *def = old.getDefiningOp(); !def || isOnnx(def)) {
        if (def && isOnnx(def, "NoValue"))
          return ret->emitError("a result is absent");
        Node node(builder, ret, table);
        Value now = node.lowered(old);
        if (now.getType() != convertType(old.getType()))
          now = tensor::CastOp::create(builder, ret->getLoc(),
                                       convertType(old.getType()), now);
        operand.set(now);
      }
      if (isUnsigned(old.getType()))
        func.setResultAttr(i, "hwgq.unsigned", builder.getUnitAttr());
      if (isBFloat(old.getType())) {
        Type bits = convertType(old.getType()).clone(builder.getI16Type());
        operand.set(arith::BitcastOp::create(builder, ret->getLoc(), bits,
                                             operand.get()));
      }
      results.push_back(operand.get().getType());
    }
    for (Operation *op : llvm::reverse(done))
      op->erase();
    func.setFunctionType(builder.getFunctionType(
        func.getBody().front().getArgumentTypes(), results));
    return success();
  }
};

} // namespace
