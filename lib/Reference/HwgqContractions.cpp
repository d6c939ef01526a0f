//===- HwgqContractions.cpp - convolution and matmul of numbers -----------===//
#include "Chunks.h"
#include "Contraction.h"
#include "HwgqOps.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::reference;

static bool isCode(const Tensor &t) {
  return isa<CodeType>(t.getElementType());
}

/// The numbers n of codes, or floats, as T.
template <typename T> static std::vector<T> toNumbers(const Tensor &t) {
  if (auto code = dyn_cast<CodeType>(t.getElementType())) {
    T table[256];
    for (int c = 0; c < 256; ++c)
      table[c] = T(code.getOffset() + code.getStride() * c);
    std::vector<T> result(t.size());
    ArrayRef<uint8_t> codes = t.as<uint8_t>();
    for (size_t i = 0; i < result.size(); ++i)
      result[i] = table[codes[i]];
    return result;
  }
  // Floats meet floats alone.
  if constexpr (std::is_same_v<T, float>)
    return toVector<float>(t);
  return {};
}

/// Weights [K][taps][C] as [g][taps][C][K/g].
template <typename T>
static std::vector<T> arrangeWeights(const std::vector<T> &w, int64_t groups,
                                     int64_t outputs, int64_t inner) {
  std::vector<T> result(w.size());
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t k = 0; k < outputs; ++k)
      for (int64_t i = 0; i < inner; ++i)
        result[(g * inner + i) * outputs + k] =
            w[(g * outputs + k) * inner + i];
  return result;
}

template <typename T>
static void run(const ContractionShape &shape, const Tensor &x, const Tensor &w,
                Tensor &y) {
  int64_t inner = shape.channels;
  for (int64_t size : shape.kernel)
    inner *= size;
  std::vector<T> weights =
      arrangeWeights(toNumbers<T>(w), shape.groups, shape.outChannels, inner);
  contract<T>(shape, toNumbers<T>(x).data(), weights.data(),
              y.asMutable<T>().data());
}

static FailureOr<Tensor> contractTensors(Operation *op,
                                         const ContractionShape &shape,
                                         ArrayRef<int64_t> resultShape,
                                         const Tensor &x, const Tensor &w) {
  Builder builder(op->getContext());
  bool exact = isCode(x) && isCode(w);
  FailureOr<Tensor> y = makeTensor(op, resultShape,
                                   exact ? Type(builder.getI32Type())
                                         : Type(builder.getF32Type()));
  if (failed(y))
    return failure();
  if (exact)
    run<int32_t>(shape, x, w, *y);
  else
    run<float>(shape, x, w, *y);
  return y;
}

FailureOr<Tensor> hwgq::reference::convolve(Operation *op, const Tensor &x,
                                            const Tensor &w,
                                            const Convolution &c) {
  Window window{{w.getDimSize(1), w.getDimSize(2)},
                SmallVector<int64_t, 2>(c.strides),
                SmallVector<int64_t, 2>(c.dilations),
                SmallVector<int64_t, 4>(c.pads)};
  ContractionShape shape;
  shape.batch = x.getDimSize(0);
  shape.groups = c.groups;
  shape.channels = w.getDimSize(3);
  shape.outChannels = w.getDimSize(0) / c.groups;
  if (x.getDimSize(3) != shape.groups * shape.channels)
    return op->emitError("input has ")
           << x.getDimSize(3) << " channels where the weights take "
           << shape.groups * shape.channels;
  for (unsigned d : {0, 1}) {
    shape.in.push_back(x.getDimSize(d + 1));
    shape.out.push_back(window.outputSize(x.getDimSize(d + 1), d));
    shape.kernel.push_back(window.kernel[d]);
    shape.strides.push_back(window.strides[d]);
    shape.dilations.push_back(window.dilations[d]);
    shape.pads.push_back(window.pads[d]);
  }
  return contractTensors(
      op, shape, {shape.batch, shape.out[0], shape.out[1], w.getDimSize(0)}, x,
      w);
}

FailureOr<Tensor> hwgq::reference::multiply(Operation *op, const Tensor &x,
                                            const Tensor &w) {
  if (x.getDimSize(1) != w.getDimSize(1))
    return op->emitError("inner sizes differ");
  ContractionShape shape;
  shape.batch = x.getDimSize(0);
  shape.channels = x.getDimSize(1);
  shape.outChannels = w.getDimSize(0);
  return contractTensors(op, shape, {shape.batch, shape.outChannels}, x, w);
}

/// For each dimension of the result, and k, the distance of its elements in a
/// tensor; 0 where the tensor lacks it.
static SmallVector<int64_t> stridesOf(const Tensor &t, ArrayRef<int64_t> dims) {
  SmallVector<int64_t> strides(dims.size() + 1, 0);
  int64_t stride = 1;
  for (int64_t d = dims.size(); d-- > 0; stride *= t.getDimSize(d))
    strides[dims[d]] = stride;
  return strides;
}

FailureOr<Tensor> hwgq::reference::multiplyPairs(Operation *op, const Tensor &x,
                                                 const Tensor &w,
                                                 ArrayRef<int64_t> inputDims,
                                                 ArrayRef<int64_t> weightDims) {
  auto shape = getProductShape([&] { return op->emitError(); }, x.getShape(),
                               w.getShape(), inputDims, weightDims);
  if (failed(shape))
    return failure();
  FailureOr<Tensor> y =
      makeTensor(op, *shape, IntegerType::get(op->getContext(), 32));
  if (failed(y))
    return failure();
  int64_t rank = shape->size();
  int64_t inner = x.getDimSize(getInnerDim(inputDims));
  SmallVector<int64_t> xStrides = stridesOf(x, inputDims),
                       wStrides = stridesOf(w, weightDims);
  std::vector<int32_t> a = toNumbers<int32_t>(x), b = toNumbers<int32_t>(w);
  MutableArrayRef<int32_t> sums = y->asMutable<int32_t>();
  for (size_t i = 0; i < sums.size(); ++i) {
    int64_t rest = i, xAt = 0, wAt = 0;
    for (int64_t d = rank; d-- > 0; rest /= (*shape)[d]) {
      xAt += rest % (*shape)[d] * xStrides[d];
      wAt += rest % (*shape)[d] * wStrides[d];
    }
    sums[i] = 0;
    for (int64_t k = 0; k < inner; ++k)
      sums[i] += a[xAt + k * xStrides[rank]] * b[wAt + k * wStrides[rank]];
  }
  return y;
}
