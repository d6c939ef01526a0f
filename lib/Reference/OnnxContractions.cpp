//===- OnnxContractions.cpp - Conv, ConvTranspose, Gemm, MatMul -----------===//
//
// Sums are accumulated in double and rounded once, so that +a -a is 0.
//
//===----------------------------------------------------------------------===//
#include "OnnxContraction.h"
#include "OnnxOps.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

static int64_t product(ArrayRef<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

FailureOr<ContractionShape> hwgq::reference::getConvolution(Operation *op,
                                                            const Tensor &x,
                                                            const Tensor &w) {
  int64_t rank = x.getRank();
  if (rank < 3 || w.getRank() != rank)
    return op->emitError("takes an image [N, C, ...] and weights of its rank");
  size_t n = rank - 2;
  auto strides = intsAttr(op, "strides", n, 1),
       dilations = intsAttr(op, "dilations", n, 1);
  auto pads = intsAttr(op, "pads", 2 * n, 0);
  if (failed(strides) || failed(dilations) || failed(pads))
    return failure();
  StringRef autoPad = stringAttr(op, "auto_pad", "NOTSET");
  if (autoPad != "NOTSET" && autoPad != "VALID")
    return op->emitError("auto_pad must have become pads");
  ContractionShape s;
  s.batch = x.getDimSize(0);
  s.groups = intAttr(op, "group", 1);
  s.channels = w.getDimSize(1);
  if (s.groups < 1 || w.getDimSize(0) % s.groups ||
      x.getDimSize(1) != s.groups * s.channels)
    return op->emitError("channels of ")
           << x.getType() << " and " << w.getType()
           << " do not match group = " << s.groups;
  s.outChannels = w.getDimSize(0) / s.groups;
  for (size_t d = 0; d < n; ++d) {
    int64_t kernel = w.getDimSize(d + 2), in = x.getDimSize(d + 2);
    int64_t stride = (*strides)[d], dilation = (*dilations)[d];
    constexpr int64_t kLimit = int64_t(1) << 24;
    int64_t low = (*pads)[d], high = (*pads)[d + n];
    if (kernel < 1 || kernel > kLimit || stride < 1 || dilation < 1 ||
        dilation > kLimit || low < 0 || high < 0 || low > kLimit ||
        high > kLimit)
      return op->emitError(
          "kernel, strides and dilations must be positive, and "
          "pads not negative");
    int64_t span = in + low + high - (kernel - 1) * dilation - 1;
    if (span < 0)
      return op->emitError("the window does not fit the padded input");
    s.in.push_back(in);
    s.out.push_back(span / stride + 1);
    s.kernel.push_back(kernel);
    s.strides.push_back(stride);
    s.dilations.push_back(dilation);
    s.pads.push_back(low);
  }
  return s;
}

SmallVector<int64_t>
hwgq::reference::getResultShape(const ContractionShape &s) {
  SmallVector<int64_t> shape = {s.batch, s.groups * s.outChannels};
  shape.append(s.out);
  return shape;
}

/// [outer][rows][columns] as [outer][columns][rows].
template <typename T>
static std::vector<T> transposeInner(ArrayRef<T> x, int64_t outer, int64_t rows,
                                     int64_t columns) {
  std::vector<T> y(x.size());
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        y[(o * columns + c) * rows + r] = x[(o * rows + r) * columns + c];
  return y;
}

template <typename T>
std::vector<T> hwgq::reference::convolveImages(const ContractionShape &s,
                                               ArrayRef<T> x, ArrayRef<T> w) {
  int64_t taps = product(s.kernel), pixels = product(s.in),
          out = product(s.out);
  int64_t total = s.groups * s.outChannels;
  std::vector<T> nhwc =
      transposeInner(x, s.batch, s.groups * s.channels, pixels);
  // [g][k][c][tap] to [g][tap][c][k].
  std::vector<T> weights(w.size());
  for (int64_t g = 0; g < s.groups; ++g)
    for (int64_t k = 0; k < s.outChannels; ++k)
      for (int64_t c = 0; c < s.channels; ++c)
        for (int64_t t = 0; t < taps; ++t)
          weights[((g * taps + t) * s.channels + c) * s.outChannels + k] =
              w[((g * s.outChannels + k) * s.channels + c) * taps + t];
  std::vector<T> y(s.batch * out * total);
  contract<T>(s, nhwc.data(), weights.data(), y.data());
  return transposeInner<T>(y, s.batch, out, total);
}

template <typename T>
FailureOr<std::vector<T>> hwgq::reference::multiplyMatrices(
    Operation *op, ArrayRef<int64_t> aShape, ArrayRef<T> a,
    ArrayRef<int64_t> bShape, ArrayRef<T> b, SmallVectorImpl<int64_t> &shape) {
  if (aShape.empty() || bShape.empty())
    return op->emitError("takes operands of rank 1 or more");
  // Vectors are matrices of one row or column for the time of the product.
  SmallVector<int64_t> left(aShape), right(bShape);
  if (aShape.size() == 1)
    left.insert(left.begin(), 1);
  if (bShape.size() == 1)
    right.push_back(1);
  int64_t m = left[left.size() - 2], k = left.back(), n = right.back();
  if (right[right.size() - 2] != k)
    return op->emitError("inner sizes ")
           << k << " and " << right[right.size() - 2] << " differ";
  ArrayRef<int64_t> leftOuter = ArrayRef(left).drop_back(2);
  ArrayRef<int64_t> rightOuter = ArrayRef(right).drop_back(2);
  Type any = Float32Type::get(op->getContext());
  Tensor outers[2] = {
      Tensor::borrow(RankedTensorType::get(leftOuter, any), {}),
      Tensor::borrow(RankedTensorType::get(rightOuter, any), {})};
  FailureOr<SmallVector<int64_t>> outer = broadcastShapes(op, outers);
  if (failed(outer))
    return failure();
  shape.assign(outer->begin(), outer->end());
  if (aShape.size() > 1)
    shape.push_back(m);
  if (bShape.size() > 1)
    shape.push_back(n);
  std::optional<int64_t> count = countElements(shape);
  if (!count || *count > Tensor::kMaxBytes / int64_t(sizeof(T)))
    return op->emitError("the product is too large");
  auto positionOf = [&](ArrayRef<int64_t> index, ArrayRef<int64_t> sizes) {
    int64_t at = 0;
    size_t shift = index.size() - sizes.size();
    for (size_t d = 0; d < sizes.size(); ++d)
      at = at * sizes[d] + (sizes[d] == 1 ? 0 : index[d + shift]);
    return at;
  };
  std::vector<T> y(*count);
  T *to = y.data();
  ContractionShape s;
  s.batch = m;
  s.channels = k;
  s.outChannels = n;
  forEachIndex(*outer, [&](ArrayRef<int64_t> index) {
    contract<T>(s, a.data() + positionOf(index, leftOuter) * m * k,
                b.data() + positionOf(index, rightOuter) * k * n, to);
    to += m * n;
  });
  return y;
}

template std::vector<int64_t>
hwgq::reference::convolveImages(const ContractionShape &, ArrayRef<int64_t>,
                                ArrayRef<int64_t>);
template FailureOr<std::vector<int64_t>> hwgq::reference::multiplyMatrices(
    Operation *, ArrayRef<int64_t>, ArrayRef<int64_t>, ArrayRef<int64_t>,
    ArrayRef<int64_t>, SmallVectorImpl<int64_t> &);

/// Rounds sums to the element type, then adds a bias [M] in that type.
static LogicalResult giveBiased(Operation *op, ArrayRef<int64_t> shape,
                                ArrayRef<double> sums, const Tensor *bias,
                                Results &out) {
  FailureOr<Tensor> y = makeTensor(op, shape, resultElement(op));
  if (failed(y))
    return failure();
  fromVector<double>(sums, *y);
  if (bias) {
    AxisSplit split = splitAt(shape, 1);
    if (bias->size() != split.length)
      return op->emitError("the bias must have ")
             << split.length << " elements";
    std::vector<double> b = toVector<double>(*bias), v = toVector<double>(*y);
    for (size_t i = 0; i < v.size(); ++i)
      v[i] += b[int64_t(i) / split.inner % split.length];
    fromVector<double>(v, *y);
  }
  out.push_back(std::move(*y));
  return success();
}

static LogicalResult checkFloats(Operation *op, Operands in, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (!getScalarKind(in[i].getElementType()))
      return op->emitError("takes numbers, not ") << in[i].getElementType();
  return success();
}

static LogicalResult evaluateConv(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 3)) || failed(checkFloats(op, in, 2)))
    return failure();
  auto shape = getConvolution(op, in[0], in[1]);
  if (failed(shape))
    return failure();
  std::vector<double> y = convolveImages<double>(
      *shape, toVector<double>(in[0]), toVector<double>(in[1]));
  return giveBiased(op, getResultShape(*shape), y,
                    has(in, 2) ? &in[2] : nullptr, out);
}

/// Scatters each input pixel through the weights [C, M/g, ...].
static LogicalResult evaluateConvTranspose(Operation *op, Operands in,
                                           Results &out) {
  if (failed(checkOperands(op, in, 2, 3)) || failed(checkFloats(op, in, 2)))
    return failure();
  const Tensor &x = in[0], &w = in[1];
  int64_t rank = x.getRank(), groups = intAttr(op, "group", 1);
  if (rank < 3 || w.getRank() != rank || groups < 1 ||
      x.getDimSize(1) != w.getDimSize(0) || w.getDimSize(0) % groups)
    return op->emitError("shapes of input and weights do not match");
  size_t n = rank - 2;
  auto strides = intsAttr(op, "strides", n, 1),
       dilations = intsAttr(op, "dilations", n, 1);
  auto pads = intsAttr(op, "pads", 2 * n, 0),
       extra = intsAttr(op, "output_padding", n, 0);
  if (failed(strides) || failed(dilations) || failed(pads) || failed(extra))
    return failure();
  ArrayRef<int64_t> inSize = x.getShape().drop_front(2);
  ArrayRef<int64_t> kernel = w.getShape().drop_front(2);
  int64_t outputs = w.getDimSize(1), channels = w.getDimSize(0) / groups;
  SmallVector<int64_t> shape = {x.getDimSize(0), outputs * groups};
  for (size_t d = 0; d < n; ++d) {
    int64_t size = (*strides)[d] * (inSize[d] - 1) + (*extra)[d] +
                   (kernel[d] - 1) * (*dilations)[d] + 1 - (*pads)[d] -
                   (*pads)[d + n];
    if (size < 1)
      return op->emitError("the result would be empty");
    shape.push_back(size);
  }
  FailureOr<Tensor> probe =
      makeTensor(op, shape, Float64Type::get(op->getContext()));
  if (failed(probe))
    return failure();
  MutableArrayRef<double> y = probe->asMutable<double>();
  std::vector<double> xs = toVector<double>(x), ws = toVector<double>(w);
  ArrayRef<int64_t> outSize = ArrayRef(shape).drop_front(2);
  int64_t pixels = product(inSize), taps = product(kernel),
          outPixels = product(outSize);
  int64_t pixel = 0;
  forEachIndex(inSize, [&](ArrayRef<int64_t> at) {
    int64_t tap = 0;
    forEachIndex(kernel, [&](ArrayRef<int64_t> k) {
      int64_t target = 0, t = tap++;
      for (size_t d = 0; d < n; ++d) {
        int64_t o = at[d] * (*strides)[d] + k[d] * (*dilations)[d] - (*pads)[d];
        if (o < 0 || o >= outSize[d])
          return;
        target = target * outSize[d] + o;
      }
      for (int64_t b = 0; b < shape[0]; ++b)
        for (int64_t c = 0; c < groups * channels; ++c)
          for (int64_t m = 0; m < outputs; ++m)
            y[((b * groups + c / channels) * outputs + m) * outPixels +
              target] += xs[(b * groups * channels + c) * pixels + pixel] *
                         ws[(c * outputs + m) * taps + t];
    });
    ++pixel;
  });
  return giveBiased(op, shape, y, has(in, 2) ? &in[2] : nullptr, out);
}

static LogicalResult evaluateMatMul(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 2)) || failed(checkFloats(op, in, 2)))
    return failure();
  SmallVector<int64_t> shape;
  if (isa<IntegerType>(in[0].getElementType())) {
    auto y = multiplyMatrices<int64_t>(
        op, in[0].getShape(), toVector<int64_t>(in[0]), in[1].getShape(),
        toVector<int64_t>(in[1]), shape);
    return failed(y) ? failure() : give<int64_t>(op, shape, *y, out);
  }
  auto y = multiplyMatrices<double>(op, in[0].getShape(),
                                    toVector<double>(in[0]), in[1].getShape(),
                                    toVector<double>(in[1]), shape);
  return failed(y) ? failure() : give<double>(op, shape, *y, out);
}

/// alpha * A' * B' + beta * C; the product is rounded, then each step.
static LogicalResult evaluateGemm(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 2, 3)) || failed(checkFloats(op, in, 2)))
    return failure();
  if (in[0].getRank() != 2 || in[1].getRank() != 2)
    return op->emitError("takes matrices");
  std::vector<double> sides[2];
  SmallVector<int64_t> shapes[2];
  for (int i : {0, 1}) {
    sides[i] = toVector<double>(in[i]);
    shapes[i].assign(in[i].getShape().begin(), in[i].getShape().end());
    if (!intAttr(op, i ? "transB" : "transA", 0))
      continue;
    sides[i] = transposeInner<double>(sides[i], 1, shapes[i][0], shapes[i][1]);
    std::swap(shapes[i][0], shapes[i][1]);
  }
  SmallVector<int64_t> shape;
  auto sums = multiplyMatrices<double>(op, shapes[0], sides[0], shapes[1],
                                       sides[1], shape);
  if (failed(sums))
    return failure();
  FailureOr<Tensor> y = makeTensor(op, shape, resultElement(op));
  if (failed(y))
    return failure();
  auto round = [&] {
    fromVector<double>(*sums, *y);
    *sums = toVector<double>(*y);
  };
  round();
  double alpha = floatAttr(op, "alpha", 1), beta = floatAttr(op, "beta", 1);
  if (alpha != 1) {
    for (double &v : *sums)
      v *= alpha;
    round();
  }
  if (has(in, 2)) {
    FailureOr<Tensor> wide = broadcastTo(op, in[2], shape);
    if (failed(wide))
      return failure();
    FailureOr<Tensor> scaled = makeTensor(op, shape, resultElement(op));
    if (failed(scaled))
      return failure();
    std::vector<double> c = toVector<double>(*wide);
    for (double &v : c)
      v *= beta;
    fromVector<double>(c, *scaled);
    c = toVector<double>(*scaled);
    for (size_t i = 0; i < c.size(); ++i)
      (*sums)[i] += c[i];
    round();
  }
  out.push_back(std::move(*y));
  return success();
}

void hwgq::reference::registerOnnxContractions(Registry &r) {
  r["onnx.Conv"] = evaluateConv;
  r["onnx.ConvTranspose"] = evaluateConvTranspose;
  r["onnx.MatMul"] = evaluateMatMul;
  r["onnx.Gemm"] = evaluateGemm;
}
