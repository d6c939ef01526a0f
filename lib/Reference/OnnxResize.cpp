//===- OnnxResize.cpp - Resize, axis by axis ------------------------------===//
#include "OnnxOps.h"

using namespace mlir;
using namespace hwgq::reference;

#pragma STDC FP_CONTRACT OFF

namespace {
/// One output position along an axis: its source elements and their weights.
struct Taps {
  SmallVector<std::pair<int64_t, double>, 4> taps;
  bool outside = false; ///< Takes the extrapolation value.
};

/// The attributes of a Resize and what belongs to one axis.
struct Axis {
  StringRef mode, coordinates, nearest;
  double cubicA;
  bool excludeOutside;
  int64_t in, out;
  double scale, width; ///< width: scale * in, before it is made whole
  double roiStart = 0, roiEnd = 1;

  double source(int64_t x) const;
  Taps at(int64_t x) const;
};
} // namespace

/// The coordinate in the input of output position x.
double Axis::source(int64_t x) const {
  if (coordinates == "align_corners")
    return width == 1 ? 0 : double(x) * double(in - 1) / (width - 1);
  if (coordinates == "asymmetric")
    return double(x) / scale;
  if (coordinates == "pytorch_half_pixel")
    return width == 1 ? -0.5 : (double(x) + 0.5) / scale - 0.5;
  if (coordinates == "half_pixel_symmetric") {
    double adjustment = double(out) / width;
    double offset = double(in) / 2 * (1 - adjustment);
    return offset + (double(x) + 0.5) / scale - 0.5;
  }
  if (coordinates == "tf_crop_and_resize") {
    double span = double(in - 1);
    return out > 1 ? roiStart * span + double(x) * (roiEnd - roiStart) * span /
                                           double(out - 1)
                   : 0.5 * (roiStart + roiEnd) * span;
  }
  return (double(x) + 0.5) / scale - 0.5; // half_pixel
}

Taps Axis::at(int64_t x) const {
  Taps result;
  double position = source(x);
  result.outside = coordinates == "tf_crop_and_resize" &&
                   (position < 0 || position > double(in - 1));
  auto clamp = [&](double i) {
    return int64_t(std::clamp(i, 0.0, double(in - 1)));
  };
  if (mode == "nearest") {
    double i = nearest == "floor"               ? std::floor(position)
               : nearest == "ceil"              ? std::ceil(position)
               : nearest == "round_prefer_ceil" ? std::floor(position + 0.5)
                                                : std::ceil(position - 0.5);
    result.taps.push_back({clamp(i), 1.0});
    return result;
  }
  double base = std::floor(position), r = position - base, a = cubicA;
  auto add = [&](double i, double weight) {
    if (excludeOutside && (i < 0 || i > double(in - 1)))
      weight = 0;
    result.taps.push_back({clamp(i), weight});
  };
  if (mode == "linear") {
    add(base, 1 - r);
    add(base + 1, r);
  } else {
    auto near = [&](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
    auto far = [&](double d) {
      return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    };
    add(base - 1, far(1 + r));
    add(base, near(r));
    add(base + 1, near(1 - r));
    add(base + 2, far(2 - r));
  }
  if (excludeOutside) {
    double sum = 0;
    for (auto &[i, weight] : result.taps)
      sum += weight;
    for (auto &[i, weight] : result.taps)
      weight /= sum;
  }
  return result;
}

/// Resamples one axis of [outer][in][inner] in double.
static std::vector<double> resample(const std::vector<double> &x, AxisSplit s,
                                    const Axis &axis, double outsideValue) {
  std::vector<double> y(s.outer * axis.out * s.inner);
  for (int64_t p = 0; p < axis.out; ++p) {
    Taps taps = axis.at(p);
    for (int64_t o = 0; o < s.outer; ++o)
      for (int64_t i = 0; i < s.inner; ++i) {
        double sum = taps.outside ? outsideValue : 0;
        if (!taps.outside)
          for (auto [at, weight] : taps.taps)
            sum += weight * x[(o * s.length + at) * s.inner + i];
        y[(o * axis.out + p) * s.inner + i] = sum;
      }
  }
  return y;
}

/// Operands: x, roi, scales, sizes; `axes` names what they are for.
static LogicalResult evaluateResize(Operation *op, Operands in, Results &out) {
  if (failed(checkOperands(op, in, 1, 4)))
    return failure();
  int64_t rank = in[0].getRank();
  SmallVector<int64_t> axes;
  if (auto attr = op->getAttrOfType<DenseI64ArrayAttr>("axes"))
    axes.assign(attr.asArrayRef().begin(), attr.asArrayRef().end());
  else
    for (int64_t d = 0; d < rank; ++d)
      axes.push_back(d);
  bool bySize = has(in, 3) && in[3].size() > 0;
  const int64_t given = bySize ? in[3].size() : has(in, 2) ? in[2].size() : -1;
  if (given != int64_t(axes.size()))
    return op->emitError("needs scales or sizes for ")
           << axes.size() << " axes";
  if (intAttr(op, "antialias", 0))
    return op->emitError("antialias is not supported");
  StringRef mode = stringAttr(op, "mode", "nearest");
  if (mode != "nearest" && mode != "linear" && mode != "cubic")
    return op->emitError("mode '")
           << mode << "' is not one of nearest, linear, cubic";
  std::vector<double> scales =
      bySize ? std::vector<double>() : toVector<double>(in[2]);
  std::vector<double> roi =
      has(in, 1) ? toVector<double>(in[1]) : std::vector<double>();
  std::vector<double> x = toVector<double>(in[0]);
  SmallVector<int64_t> shape(in[0].getShape());
  double outsideValue = floatAttr(op, "extrapolation_value", 0);
  for (auto [i, named] : llvm::enumerate(axes)) {
    FailureOr<int64_t> d = normalizeAxis(op, named, rank);
    if (failed(d))
      return failure();
    int64_t size = shape[*d];
    double scaled =
        bySize ? double(in[3].getInt(i)) : std::floor(double(size) * scales[i]);
    if (size < 1 || !(scaled >= 1 && scaled < 1e9))
      return op->emitError("gives axis ") << *d << " an invalid size";
    Axis axis{mode,
              stringAttr(op, "coordinate_transformation_mode", "half_pixel"),
              stringAttr(op, "nearest_mode", "round_prefer_floor"),
              floatAttr(op, "cubic_coeff_a", -0.75f),
              intAttr(op, "exclude_outside", 0) != 0,
              size,
              int64_t(scaled),
              bySize ? scaled / double(size) : scales[i],
              bySize ? scaled : scales[i] * double(size)};
    if (roi.size() == 2 * axes.size()) {
      axis.roiStart = roi[i];
      axis.roiEnd = roi[i + axes.size()];
    }
    AxisSplit split = splitAt(shape, *d);
    shape[*d] = axis.out;
    std::optional<int64_t> count = countElements(shape);
    if (!count || *count > Tensor::kMaxBytes / int64_t(sizeof(double)))
      return op->emitError("the result is too large");
    if (axis.in == axis.out && axis.scale == 1 &&
        axis.coordinates != "tf_crop_and_resize")
      continue;
    x = resample(x, split, axis, outsideValue);
  }
  return give<double>(op, shape, x, out);
}

void hwgq::reference::registerOnnxResize(Registry &r) {
  r["onnx.Resize"] = evaluateResize;
}
