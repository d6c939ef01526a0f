//===- EmulateTargetIntrinsics.cpp - instructions as C functions ----------===//
#include "hwgq/Conversion/TargetIntrinsics.h"
#include "hwgq/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace hwgq {
#define GEN_PASS_DEF_EMULATETARGETINTRINSICS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

namespace {

/// sizeof(struct hwgq_tiles) of test/emulation/intrinsics.h.
constexpr int64_t kTilesBytes = 64 + 8 * 1024;

/// Memory on the stack of one function: a place for each vector operand and
/// result, shared by all calls, and the tile registers.
class Frame {
public:
  explicit Frame(LLVM::LLVMFuncOp function)
      : builder(OpBuilder::atBlockBegin(&function.getBody().front())),
        loc(function.getLoc()),
        pointer(LLVM::LLVMPointerType::get(function.getContext())),
        one(constant(builder.getI64Type(), 1)) {}

  Value place(Type type, unsigned number) {
    Value &slot = places[{type, number}];
    return slot ? slot : slot = allocate(type, one);
  }

  /// The tile registers, not configured at the start of the function.
  Value tiles() {
    if (!state) {
      builder.setInsertionPointAfterValue(one);
      Value size = constant(builder.getI64Type(), kTilesBytes);
      Value zero = constant(builder.getI8Type(), 0);
      state = LLVM::AllocaOp::create(builder, loc, pointer, builder.getI8Type(),
                                     size, 64);
      LLVM::StoreOp::create(builder, loc, zero, state);
    }
    return state;
  }

private:
  Value constant(Type type, int64_t value) {
    return LLVM::ConstantOp::create(builder, loc, type,
                                    builder.getIntegerAttr(type, value));
  }

  Value allocate(Type type, Value count) {
    builder.setInsertionPointAfterValue(one);
    return LLVM::AllocaOp::create(builder, loc, pointer, type, count, 64);
  }

  OpBuilder builder;
  Location loc;
  Type pointer;
  Value one;
  llvm::DenseMap<std::pair<Type, unsigned>, Value> places;
  Value state;
};

struct EmulateTargetIntrinsics
    : hwgq::impl::EmulateTargetIntrinsicsBase<EmulateTargetIntrinsics> {
  using Base::Base;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<LLVM::LLVMFuncOp>()) {
      SmallVector<std::pair<LLVM::CallIntrinsicOp, const TargetIntrinsic *>>
          found;
      function.walk([&](LLVM::CallIntrinsicOp call) {
        if (const TargetIntrinsic *row = findTargetIntrinsic(call))
          found.push_back({call, row});
      });
      if (found.empty())
        continue;
      Frame frame(function);
      for (auto [call, row] : found)
        replace(call, *row, frame);
      calls += found.size();
    }
  }

  void replace(LLVM::CallIntrinsicOp call, const TargetIntrinsic &row,
               Frame &frame) {
    OpBuilder b(call);
    Location loc = call.getLoc();
    SmallVector<Value> operands;
    if (row.tiles)
      operands.push_back(frame.tiles());
    Value result;
    if (call->getNumResults()) {
      result = frame.place(call->getResult(0).getType(), 0);
      operands.push_back(result);
    }
    for (auto [i, value] : llvm::enumerate(call.getArgs())) {
      if (!isa<VectorType>(value.getType())) {
        operands.push_back(value);
        continue;
      }
      Value place = frame.place(value.getType(), i + 1);
      LLVM::StoreOp::create(b, loc, value, place);
      operands.push_back(place);
    }
    LLVM::CallOp::create(b, loc, declare(row, operands), operands);
    if (result)
      call->getResult(0).replaceAllUsesWith(
          LLVM::LoadOp::create(b, loc, call->getResult(0).getType(), result));
    call.erase();
  }

  LLVM::LLVMFuncOp declare(const TargetIntrinsic &row, ValueRange operands) {
    std::string name = ("hwgq_emulate_" + row.name).str();
    if (auto known = getOperation().lookupSymbol<LLVM::LLVMFuncOp>(name))
      return known;
    auto b = OpBuilder::atBlockBegin(getOperation().getBody());
    auto type =
        LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(&getContext()),
                                    llvm::to_vector(operands.getTypes()));
    return LLVM::LLVMFuncOp::create(b, getOperation().getLoc(), name, type);
  }
};

} // namespace
