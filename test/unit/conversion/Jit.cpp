//===- Jit.cpp ------------------------------------------------------------===//

#include "Jit.h"
#include "hwgq/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/ExecutionEngine/ExecutionEngine.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Transforms/Passes.h"

#include "llvm/Support/TargetSelect.h"

using namespace mlir;

namespace hwgq {

void initializeJit() {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  registerConversionPasses();
  registerTransformsPasses();
}

static DialectRegistry dialects() {
  DialectRegistry registry;
  registry
      .insert<arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect,
              LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect,
              scf::SCFDialect, vector::VectorDialect>();
  registerAllToLLVMIRTranslations(registry);
  return registry;
}

JitContext::JitContext() : MLIRContext(dialects()) {
  loadAllAvailableDialects();
}

Value constant(OpBuilder &b, int64_t value) {
  return arith::ConstantIndexOp::create(b, b.getUnknownLoc(), value);
}

Value times(OpBuilder &b, Value x, int64_t y) {
  return arith::MulIOp::create(b, b.getUnknownLoc(), x, constant(b, y));
}

static void loop(OpBuilder &b, int64_t end, int64_t step,
                 llvm::function_ref<void(Value)> body) {
  auto op = scf::ForOp::create(b, b.getUnknownLoc(), constant(b, 0),
                               constant(b, end), constant(b, step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(op.getBody());
  body(op.getInductionVar());
}

OwningOpRef<ModuleOp> buildConv(
    OpBuilder &b, ArrayRef<MemRefType> types, int64_t blocks, int64_t outHeight,
    int64_t outWidth, int64_t pixels,
    llvm::function_ref<void(ValueRange, Value, Value, Value, int64_t)> tile) {
  Location loc = b.getUnknownLoc();
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  b.setInsertionPointToEnd(module->getBody());
  SmallVector<Type> inputs(types.begin(), types.end());
  auto func =
      func::FuncOp::create(b, loc, "conv", b.getFunctionType(inputs, {}));
  Block *entry = func.addEntryBlock();
  b.setInsertionPointToEnd(entry);
  ValueRange arguments = entry->getArguments();
  int64_t whole = outWidth / pixels * pixels;
  loop(b, blocks, 1, [&](Value k) {
    loop(b, outHeight, 1, [&](Value y) {
      loop(b, whole, pixels,
           [&](Value x) { tile(arguments, k, y, x, pixels); });
      if (whole < outWidth)
        tile(arguments, k, y, constant(b, whole), outWidth - whole);
    });
  });
  func::ReturnOp::create(b, loc);
  return module;
}

void storeTile(OpBuilder &b, ValueRange sums, Value out, Value k, Value y,
               Value x, int64_t block) {
  Location loc = b.getUnknownLoc();
  for (auto [p, sum] : llvm::enumerate(sums)) {
    Value pixel = arith::AddIOp::create(b, loc, x, constant(b, p));
    vector::StoreOp::create(b, loc, sum, out,
                            ValueRange{y, pixel, times(b, k, block)});
  }
}

bool runConv(ModuleOp module, ArrayRef<void *> buffers, Symbols emulation) {
  PassManager passes(module.getContext());
  if (failed(parsePassPipeline(
          "canonicalize,cse,convert-scf-to-cf,convert-vector-to-llvm,"
          "convert-math-to-llvm,finalize-memref-to-llvm,convert-arith-to-llvm,"
          "convert-func-to-llvm{use-bare-ptr-memref-call-conv=1},"
          "convert-cf-to-llvm,reconcile-unrealized-casts",
          passes)))
    return false;
  if (!emulation.empty())
    passes.addPass(createEmulateTargetIntrinsics());
  if (failed(passes.run(module)))
    return false;
  auto engine = ExecutionEngine::create(module);
  if (!engine) {
    llvm::errs() << llvm::toString(engine.takeError()) << '\n';
    return false;
  }
  (*engine)->registerSymbols([&](llvm::orc::MangleAndInterner intern) {
    llvm::orc::SymbolMap map;
    for (auto [name, function] : emulation)
      map[intern(name)] = {llvm::orc::ExecutorAddr::fromPtr(function),
                           llvm::JITSymbolFlags::Exported};
    return map;
  });
  SmallVector<void *> values(buffers), arguments;
  for (void *&value : values)
    arguments.push_back(&value);
  llvm::Error error = (*engine)->invokePacked("conv", arguments);
  bool failed = bool(error);
  llvm::consumeError(std::move(error));
  return !failed;
}

} // namespace hwgq
