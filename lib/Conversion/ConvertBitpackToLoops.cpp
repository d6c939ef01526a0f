//===- ConvertBitpackToLoops.cpp - tensors to loops over memory -----------===//
//
// One dialect conversion of a straight-line function on tensors: every op
// becomes a parallel loop that fills a buffer of its own.
//
//===----------------------------------------------------------------------===//
#include "hwgq/Conversion/BitpackToLoops.h"
#include "hwgq/Conversion/TensorToLoops.h"
#include "hwgq/Dialect/Bitpack.h"
#include "hwgq/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/Transforms/FuncConversions.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/DialectConversion.h"

namespace hwgq {
#define GEN_PASS_DEF_CONVERTBITPACKTOLOOPS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

namespace {

/// A cast between a tensor and the memory that it is converted to.
struct CastPattern : OpConversionPattern<UnrealizedConversionCastOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(UnrealizedConversionCastOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    if (op->getNumOperands() != 1 || op->getNumResults() != 1 ||
        adaptor.getInputs()[0].getType() !=
            getTypeConverter()->convertType(op.getResult(0).getType()))
      return failure();
    rewriter.replaceOp(op, adaptor.getInputs());
    return success();
  }
};

struct ConvertBitpackToLoops
    : hwgq::impl::ConvertBitpackToLoopsBase<ConvertBitpackToLoops> {
  using ConvertBitpackToLoopsBase::ConvertBitpackToLoopsBase;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    LoopOptions options = LoopOptions::get(features);
    TypeConverter converter;
    converter.addConversion([](Type type) { return type; });
    converter.addConversion([](RankedTensorType type) -> std::optional<Type> {
      if (type.getEncoding() || isa<CodeType>(type.getElementType()))
        return std::nullopt;
      return MemRefType::get(type.getShape(), type.getElementType());
    });
    populateBitpackTypeConversions(converter);

    RewritePatternSet patterns(context);
    populateTensorToLoopsPatterns(patterns, converter, options);
    populatePackedPatterns(patterns, converter, options);
    populateContractionPatterns(patterns, converter, options);
    patterns.add<CastPattern>(converter, context);
    populateFunctionOpInterfaceTypeConversionPattern<func::FuncOp>(patterns,
                                                                   converter);
    populateReturnOpTypeConversionPattern(patterns, converter);

    ConversionTarget target(*context);
    target.addLegalDialect<affine::AffineDialect, LLVM::LLVMDialect,
                           memref::MemRefDialect, scf::SCFDialect,
                           vector::VectorDialect>();
    target.addIllegalDialect<HWGQDialect, bitpack::BitpackDialect,
                             linalg::LinalgDialect, tensor::TensorDialect>();
    auto legal = [&](Operation *op) { return converter.isLegal(op); };
    target.addDynamicallyLegalDialect<arith::ArithDialect, math::MathDialect>(
        legal);
    target.addLegalOp<ModuleOp, bitpack::ChunkEndOp>();
    target.addDynamicallyLegalOp<func::FuncOp>([&](func::FuncOp op) {
      return converter.isSignatureLegal(op.getFunctionType());
    });
    target.addDynamicallyLegalOp<func::ReturnOp>(legal);
    if (failed(
            applyFullConversion(getOperation(), target, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
