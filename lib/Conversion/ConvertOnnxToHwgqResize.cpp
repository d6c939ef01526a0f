//===- ConvertOnnxToHwgqResize.cpp - Resize, axis by axis -----------------===//
//
// Every mode is a weighted sum of elements at constant indices along one axis
// after the other; a repetition of each element stays a concatenation.
//
//===----------------------------------------------------------------------===//
#include "OnnxLowering.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::conversion;

static RankedTensorType typeOf(Value v) {
  return cast<RankedTensorType>(v.getType());
}

namespace {

/// One resized axis: tap t of output o is weights[t][o] * x[indices[t][o]].
struct AxisPlan {
  int64_t axis = 0, in = 0, out = 0;
  double scale = 1, roiStart = 0, roiEnd = 1;
  double width = 0; ///< scale * in, before it is made whole
  std::vector<SmallVector<int64_t>> indices;
  std::vector<SmallVector<float>> weights;
  /// tf_crop_and_resize: outputs that lie outside the input.
  SmallVector<bool> outside;
};

/// The input coordinate of output `o`, as ONNX Resize defines each mode.
double coordinate(StringRef mode, const AxisPlan &p, int64_t o) {
  double x = double(o), in = double(p.in), out = double(p.out);
  if (mode == "asymmetric")
    return x / p.scale;
  if (mode == "align_corners")
    return p.width == 1 ? 0 : x * (in - 1) / (p.width - 1);
  if (mode == "tf_half_pixel_for_nn")
    return (x + 0.5) / p.scale;
  if (mode == "tf_crop_and_resize")
    return p.out > 1 ? p.roiStart * (in - 1) +
                           x * (p.roiEnd - p.roiStart) * (in - 1) / (out - 1)
                     : 0.5 * (p.roiStart + p.roiEnd) * (in - 1);
  if (mode == "pytorch_half_pixel" && p.width == 1)
    return -0.5;
  double half = (x + 0.5) / p.scale - 0.5;
  if (mode == "half_pixel_symmetric")
    return in / 2 * (1 - out / p.width) + half;
  return half;
}

int64_t nearest(StringRef mode, double x) {
  if (mode == "floor")
    return std::floor(x);
  if (mode == "ceil")
    return std::ceil(x);
  if (mode == "round_prefer_ceil")
    return std::floor(x + 0.5);
  return std::ceil(x - 0.5);
}

/// The kernel of a linear or cubic filter at distance `d`.
double filter(bool cubic, double a, double d) {
  d = std::fabs(d);
  if (!cubic)
    return d < 1 ? 1 - d : 0;
  if (d <= 1)
    return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

void planFilter(Node &n, AxisPlan &p, StringRef coordinates) {
  bool cubic = n.attrS("mode", "") == "cubic";
  bool antialias = n.attr("antialias", 0),
       inside = n.attr("exclude_outside", 0);
  double a = n.attrF("cubic_coeff_a", -0.75);
  double shrink = antialias ? std::min(p.scale, 1.0) : 1.0;
  int64_t first = int64_t(std::floor((cubic ? -2 : -1) / shrink)) + 1;
  int64_t taps = 2 - 2 * first;
  p.indices.assign(taps, {});
  p.weights.assign(taps, {});
  for (int64_t o = 0; o < p.out; ++o) {
    double x = coordinate(coordinates, p, o), base = std::floor(x), sum = 0;
    SmallVector<double> row;
    for (int64_t t = 0; t < taps; ++t) {
      int64_t at = int64_t(base) + first + t;
      double w = filter(cubic, a, (double(first + t) - (x - base)) * shrink);
      if (inside && (at < 0 || at >= p.in))
        w = 0;
      row.push_back(w);
      sum += w;
      p.indices[t].push_back(std::clamp<int64_t>(at, 0, p.in - 1));
    }
    bool scaled = (antialias || inside) && sum != 0;
    for (int64_t t = 0; t < taps; ++t)
      p.weights[t].push_back(float(scaled ? row[t] / sum : row[t]));
  }
}

void planNearest(Node &n, AxisPlan &p, StringRef coordinates) {
  std::string mode = n.attrS("nearest_mode", "round_prefer_floor");
  p.indices.emplace_back();
  for (int64_t o = 0; o < p.out; ++o)
    p.indices[0].push_back(std::clamp<int64_t>(
        nearest(mode, coordinate(coordinates, p, o)), 0, p.in - 1));
}

FailureOr<SmallVector<AxisPlan>> readPlan(Node &n) {
  SmallVector<int64_t> axes = n.attrs("axes");
  RankedTensorType from = n.type(0), to = n.resultType();
  if (!n.op->hasAttr("axes"))
    axes = llvm::to_vector(llvm::seq<int64_t>(0, from.getRank()));
  auto scales = n.floats(2);
  auto roi = n.floats(1);
  std::string coordinates =
      n.attrS("coordinate_transformation_mode", "half_pixel");
  bool crop = coordinates == "tf_crop_and_resize";
  if ((n.has(2) && (!scales || scales->size() != axes.size())) ||
      (crop && (!roi || roi->size() != 2 * axes.size())))
    return n.error() << "needs constant scales, sizes and roi; bind them with "
                        "--bind",
           failure();
  SmallVector<AxisPlan> plans;
  for (auto [i, axis] : llvm::enumerate(axes)) {
    AxisPlan p;
    p.axis = axis;
    if (from.isDynamicDim(axis))
      continue;
    p.in = from.getDimSize(axis);
    p.out = to.getDimSize(axis);
    if (p.in < 1 || p.out < 1)
      return n.error() << "of an empty tensor is not supported", failure();
    p.scale = n.has(2) ? (*scales)[i] : double(p.out) / double(p.in);
    p.width = n.has(2) ? p.scale * double(p.in) : double(p.out);
    if (crop) {
      p.roiStart = (*roi)[i];
      p.roiEnd = (*roi)[axes.size() + i];
      for (int64_t o = 0; o < p.out; ++o) {
        double x = coordinate(coordinates, p, o);
        p.outside.push_back(x < 0 || x > double(p.in - 1));
      }
    }
    if (!(p.scale > 1.0 / 64))
      return n.error() << "by a scale below 1/64 is not supported", failure();
    if (n.attrS("mode", "nearest") == "nearest")
      planNearest(n, p, coordinates);
    else
      planFilter(n, p, coordinates);
    plans.push_back(p);
  }
  return plans;
}

/// v[i / times] along `dim`, as copies side by side.
Value repeatEach(TensorBuilder &b, Value v, int64_t dim, int64_t times) {
  SmallVector<int64_t> shape(typeOf(v).getShape()), wide = shape;
  wide.insert(wide.begin() + dim + 1, 1);
  SmallVector<Value> copies(times, b.reshape(v, wide));
  shape[dim] *= times;
  return b.reshape(b.concat(copies, dim + 1), shape);
}

Value takeTap(TensorBuilder &b, Value v, int64_t dim,
              ArrayRef<int64_t> indices) {
  int64_t in = typeOf(v).getDimSize(dim), out = indices.size();
  constexpr int64_t kCopies = 16;
  if (out % in == 0 && out / in <= kCopies) {
    int64_t times = out / in;
    bool repeats = true;
    for (int64_t o = 0; o < out; ++o)
      repeats &= indices[o] == o / times;
    if (repeats)
      return times == 1 ? v : repeatEach(b, v, dim, times);
  }
  return takeAlong(b, v, dim, indices);
}

Value resizeAxis(TensorBuilder &b, Value v, const AxisPlan &p, int64_t dim) {
  if (p.weights.empty())
    return takeTap(b, v, dim, p.indices[0]);
  Value sum;
  for (auto [indices, weights] : llvm::zip(p.indices, p.weights)) {
    if (llvm::all_of(weights, [](float w) { return w == 0; }))
      continue;
    Value tap = takeTap(b, v, dim, indices);
    Value term = b.make<arith::MulFOp>(tap, b.alongDim(tap, weights, dim));
    sum = sum ? b.make<arith::AddFOp>(sum, term) : term;
  }
  return sum;
}

/// Replaces what lies outside the input along `dim`.
Value extrapolate(Node &n, Value v, const AxisPlan &p, int64_t dim) {
  if (llvm::none_of(p.outside, [](bool o) { return o; }))
    return v;
  auto type = RankedTensorType::get({p.out}, n.b.getI1Type());
  Value mask = n.make<arith::ConstantOp>(
      DenseElementsAttr::get(type, ArrayRef<bool>(p.outside)));
  SmallVector<int64_t> dims;
  for (int64_t d = 0; d < typeOf(v).getRank(); ++d)
    if (d != dim)
      dims.push_back(d);
  Value full = n.broadcastDims(mask, n.sizes(v), dims);
  return n.select(full, n.splat(v, n.attrF("extrapolation_value", 0)), v);
}

LogicalResult lowerResize(Node &n) {
  auto plans = readPlan(n);
  if (failed(plans))
    return failure();
  Type element = n.type(0).getElementType();
  bool picks = n.attrS("mode", "nearest") == "nearest";
  bool shadow = n.isShadow(0) && picks;
  if (!picks && !isa<FloatType>(element))
    return n.error() << "in mode " << n.attrS("mode", "") << " on " << element
                     << " is not supported; floats are",
           failure();
  Value v = isa<FloatType>(element) || shadow ? n.real(0) : n.in(0);
  int64_t rank = typeOf(v).getRank();
  // Images are resized channels-last.
  bool image = rank >= 3 && llvm::all_of(*plans, [](const AxisPlan &p) {
                 return p.axis >= 2 || p.in == p.out;
               });
  if (image)
    v = n.toChannelsLast(v);
  auto place = [&](int64_t axis) {
    return !image || axis == 0 ? axis : axis == 1 ? rank - 1 : axis - 1;
  };
  for (const AxisPlan &p : *plans)
    v = resizeAxis(n, v, p, place(p.axis));
  for (const AxisPlan &p : *plans)
    v = extrapolate(n, v, p, place(p.axis));
  if (image)
    v = n.toChannelsFirst(v);
  return shadow                    ? n.setShadow(v)
         : isa<FloatType>(element) ? n.setReal(v)
                                   : n.set(v);
}

} // namespace

void conversion::addResizeLowerings(LoweringTable &table) {
  table["Resize"] = lowerResize;
}
