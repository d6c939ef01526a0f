//===- HwgqNormalizeOnnx.cpp - one opset, checked, with types -------------===//
#include "hwgq/Dialect/OnnxOperators.h"
#include "hwgq/Passes.h"

namespace hwgq {
#define GEN_PASS_DEF_HWGQNORMALIZEONNX
#include "hwgq/Passes.h.inc"
} // namespace hwgq

namespace {
struct HwgqNormalizeOnnx
    : hwgq::impl::HwgqNormalizeOnnxBase<HwgqNormalizeOnnx> {
  using HwgqNormalizeOnnxBase::HwgqNormalizeOnnxBase;

  void runOnOperation() override {
    hwgq::onnx::NormalizeOptions options;
    if (batch)
      options.batch = batch;
    options.dynamicBatch = dynamicBatch;
    if (failed(hwgq::onnx::normalize(getOperation(), options)))
      signalPassFailure();
  }
};
} // namespace
