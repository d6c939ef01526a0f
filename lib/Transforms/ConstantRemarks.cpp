//===- ConstantRemarks.cpp - what quantising a constant loses -------------===//
#include "ConstantRemarks.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Operation.h"
#include "llvm/Support/Format.h"

#include <cmath>

using namespace mlir;
using namespace hwgq;
using reference::Tensor;

/// The element of `of` that element `at` of a tensor of `shape` meets under
/// NumPy's broadcasting.
static int64_t broadcastIndex(int64_t at, ArrayRef<int64_t> shape,
                              const Tensor &of) {
  int64_t index = 0, stride = 1;
  int64_t offset = int64_t(shape.size()) - of.getRank();
  for (int64_t d = int64_t(shape.size()) - 1; d >= 0; --d) {
    int64_t i = at % shape[d];
    at /= shape[d];
    if (d < offset)
      continue;
    int64_t size = of.getDimSize(d - offset);
    index += size == 1 ? 0 : i * stride;
    stride *= size;
  }
  return index;
}

static bool isF32(const Tensor &tensor) {
  return !tensor.isNone() && tensor.getElementType().isF32();
}

/// Quant: values further than half a step from what they became were clipped.
static void remarkOnClipping(Operation *op, ArrayRef<Tensor> inputs,
                             const Tensor &result) {
  if (inputs.size() < 2 || !isF32(inputs[0]) || !isF32(inputs[1]) ||
      !isF32(result) || result.getShape() != inputs[0].getShape() ||
      inputs[1].getRank() > result.getRank())
    return;
  auto isSigned = op->getAttrOfType<IntegerAttr>("signed");
  if (inputs.size() > 3 && isF32(inputs[3]) && inputs[3].size() == 1 &&
      inputs[3].as<float>()[0] == 1 && (!isSigned || isSigned.getInt() != 0))
    return; // a sign has no range
  ArrayRef<float> x = inputs[0].as<float>(), y = result.as<float>();
  ArrayRef<float> scale = inputs[1].as<float>();
  int64_t clipped = 0;
  float reach[2] = {0, 0}, levels[2] = {0, 0};
  for (int64_t i = 0; i < result.size(); ++i) {
    float step =
        std::fabs(scale[broadcastIndex(i, result.getShape(), inputs[1])]);
    clipped += std::fabs(double(x[i]) - double(y[i])) > 0.5001 * double(step);
    reach[0] = std::min(reach[0], x[i]);
    reach[1] = std::max(reach[1], x[i]);
    levels[0] = std::min(levels[0], y[i]);
    levels[1] = std::max(levels[1], y[i]);
  }
  constexpr double kHeavy = 0.1;
  if (clipped <= kHeavy * double(result.size()))
    return;
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format(
      "Quant: clips %.0f %% of its %lld constants: they reach "
      "from %g to %g, its levels from %g to %g; check scale, "
      "zero point and bit width",
      100.0 * double(clipped) / double(result.size()), (long long)result.size(),
      reach[0], reach[1], levels[0], levels[1]);
  op->emitRemark(text);
}

/// Whether the zeros of a sign may be mended by what follows: `Where(s == 0, 1,
/// s)`, Larq's `Sign(s + 0.1)`.
static bool mayMendZeros(Operation *user) {
  static const StringRef names[] = {"onnx.Add",     "onnx.Sub",
                                    "onnx.Equal",   "onnx.Where",
                                    "onnx.Greater", "onnx.GreaterOrEqual",
                                    "onnx.Less",    "onnx.LessOrEqual"};
  return llvm::is_contained(names, user->getName().getStringRef());
}

/// Sign gives 0 at 0, which most who binarise do not mean.
static void remarkOnZeros(Operation *op, const Tensor &result) {
  if (!isF32(result) || llvm::any_of(op->getUsers(), mayMendZeros))
    return;
  ArrayRef<float> y = result.as<float>();
  int64_t zeros = llvm::count(y, 0.0f);
  if (zeros == 0 || zeros == result.size())
    return;
  op->emitRemark("Sign: ")
      << zeros << " of its " << result.size()
      << " constants are 0 and stay 0, so three levels are left and codes "
         "take 2 bits; BipolarQuant, or Where on x >= 0, makes +1 of 0";
}

void hwgq::remarkOnConstants(Operation *op, ArrayRef<Tensor> inputs,
                             ArrayRef<Tensor> results) {
  StringRef name = op->getName().getStringRef();
  if (results.empty() || results[0].isNone())
    return;
  if (name == "onnx.Quant")
    remarkOnClipping(op, inputs, results[0]);
  else if (name == "onnx.Sign")
    remarkOnZeros(op, results[0]);
}
