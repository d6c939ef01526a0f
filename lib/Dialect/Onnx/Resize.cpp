//===- Resize.cpp - Resize and Upsample -----------------------------------===//
#include "Node.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

static LogicalResult checkModes(Node &node) {
  auto check = [&](llvm::StringRef name,
                   llvm::ArrayRef<llvm::StringRef> known) -> LogicalResult {
    if (llvm::is_contained(known, node.getString(name)))
      return success();
    return node.error() << name << " '" << node.getString(name)
                        << "' is not supported; it may be one of "
                        << llvm::join(known, ", ");
  };
  if (failed(check("mode", {"nearest", "linear", "cubic"})) ||
      failed(check("coordinate_transformation_mode",
                   {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                    "align_corners", "asymmetric", "tf_half_pixel_for_nn",
                    "tf_crop_and_resize"})) ||
      failed(check("nearest_mode", {"round_prefer_floor", "round_prefer_ceil",
                                    "floor", "ceil"})) ||
      failed(check("keep_aspect_ratio_policy",
                   {"stretch", "not_larger", "not_smaller"})))
    return failure();
  return success();
}

namespace {
/// One resized axis.
struct Axis {
  int64_t axis;
  float scale = 1; // when given by scales
  int64_t size = 0;
  float roiStart = 0, roiEnd = 1;
};
} // namespace

static FailureOr<llvm::SmallVector<Axis>> readAxes(Node &node, bool bySize) {
  unsigned index = bySize ? 3 : 2;
  FailureOr<Contents> given = node.contents(index, bySize ? "sizes" : "scales");
  if (failed(given))
    return failure();
  llvm::SmallVector<int64_t> listed = node.getInts("axes");
  if (!node.hasAttr("axes"))
    for (int64_t i = 0; i < node.rank(0); ++i)
      listed.push_back(i);
  auto axes = node.normalizeAxes(listed, node.rank(0));
  if (failed(axes))
    return failure();
  if (given->size() != axes->size()) {
    node.error() << (bySize ? "sizes" : "scales") << " must have "
                 << axes->size() << " elements, not " << given->size();
    return failure();
  }
  Contents roi;
  if (node.getString("coordinate_transformation_mode") ==
      "tf_crop_and_resize") {
    FailureOr<Contents> read = node.contents(1, "roi");
    if (failed(read))
      return failure();
    roi = *read;
    if (roi.size() != 2 * axes->size()) {
      node.error() << "roi must have " << 2 * axes->size() << " elements";
      return failure();
    }
  }
  llvm::SmallVector<Axis> result;
  for (auto [i, axis] : llvm::enumerate(*axes)) {
    Dim size = node.shape(0)[axis];
    const Element &element = (*given)[i];
    Axis one{axis};
    one.scale = static_cast<float>(element.real);
    if (!roi.empty()) {
      one.roiStart = static_cast<float>(roi[i].real);
      one.roiEnd = static_cast<float>(roi[axes->size() + i].real);
    }
    if (!size.isStatic()) {
      bool old =
          node.state.overridden && node.state.oldBatch &&
          element.value.is(size.batch * *node.state.oldBatch + size.fixed);
      if (bySize ? !(old || element.value == size) : one.scale != 1) {
        node.error() << "the batch cannot be resized";
        return failure();
      }
      continue;
    }
    one.size = element.value.fixed;
    if (bySize ? element.isFloat || !element.value.isStatic() || one.size < 1
               : !element.isFloat || !(one.scale > 0) || one.scale > 65536) {
      node.error() << "scales and sizes must be positive";
      return failure();
    }
    bool same = bySize ? one.size == size.fixed : one.scale == 1;
    if (!same || !roi.empty())
      result.push_back(one);
  }
  llvm::sort(result,
             [](const Axis &a, const Axis &b) { return a.axis < b.axis; });
  return result;
}

/// One scale for all axes, the least or the greatest of size / input.
static LogicalResult keepAspectRatio(Node &node,
                                     llvm::SmallVectorImpl<Axis> &axes) {
  bool larger = node.getString("keep_aspect_ratio_policy") == "not_smaller";
  int64_t num = 0, den = 1;
  for (const Axis &axis : axes) {
    int64_t in = node.shape(0)[axis.axis].fixed;
    if (in < 1 || in > (1 << 20) || axis.size > (1 << 20))
      return node.error() << "sizes are too large";
    if (num == 0 || (axis.size * den > num * in) == larger)
      num = axis.size, den = in;
  }
  for (Axis &axis : axes) {
    int64_t in = node.shape(0)[axis.axis].fixed;
    if (num * in % den)
      return node.error() << "with keep_aspect_ratio_policy, the scale " << num
                          << "/" << den << " must give whole sizes";
    axis.size = num * in / den;
  }
  return success();
}

static LogicalResult inferResize(Node &node) {
  if (failed(checkModes(node)))
    return failure();
  bool bySize =
      node.has(3) && !(node.in(3).contents && node.in(3).contents->empty());
  if (!bySize && failed(node.require(2, "scales or sizes")))
    return failure();
  auto axes = readAxes(node, bySize);
  if (failed(axes))
    return failure();
  if (bySize && node.getString("keep_aspect_ratio_policy") != "stretch" &&
      failed(keepAspectRatio(node, *axes)))
    return failure();
  if (axes->empty())
    return node.replace(node.input(0));
  Shape shape = node.shape(0);
  llvm::SmallVector<int64_t> numbers, sizes;
  llvm::SmallVector<float> scales, roi;
  for (const Axis &axis : *axes) {
    numbers.push_back(axis.axis);
    sizes.push_back(axis.size);
    scales.push_back(axis.scale);
    roi.push_back(axis.roiStart);
    Dim &dim = shape[axis.axis];
    dim =
        bySize ? axis.size : int64_t(std::floor(float(dim.fixed) * axis.scale));
  }
  for (const Axis &axis : *axes)
    roi.push_back(axis.roiEnd);
  auto floats = [&](llvm::ArrayRef<float> values) {
    auto type = mlir::RankedTensorType::get({int64_t(values.size())},
                                            node.builder.getF32Type());
    Value made = node.constant(mlir::DenseElementsAttr::get(type, values));
    Contents contents;
    for (float value : values)
      contents.push_back({true, 0, value});
    node.state.info(made).contents = contents;
    return made;
  };
  bool crop =
      node.getString("coordinate_transformation_mode") == "tf_crop_and_resize";
  node.setInput(1, crop ? floats(roi) : node.noValue());
  node.setInput(2, bySize ? node.noValue() : floats(scales));
  node.setInput(3, bySize ? node.constantInts(sizes) : node.noValue());
  node.setInts("axes", numbers);
  node.dropAttr("keep_aspect_ratio_policy");
  return node.result(node.elementType(0), shape);
}

static LogicalResult upgradeResize(Node &node) {
  if (node.getString("mode") == "bilinear" ||
      node.getString("mode") == "trilinear")
    node.setString("mode", "linear");
  bool upsample = node.entry.name == "Upsample";
  if (!upsample && node.opset >= 11)
    return success();
  // Opset 10 and Upsample: (X, scales), asymmetric; a shrinking nearest one
  // rounds up.
  Value scales;
  bool shrinks = false;
  if (auto list = node.op->getAttrOfType<mlir::DenseF32ArrayAttr>("scales")) {
    auto type = mlir::RankedTensorType::get({int64_t(list.size())},
                                            node.builder.getF32Type());
    scales =
        node.constant(mlir::DenseElementsAttr::get(type, list.asArrayRef()));
  } else {
    FailureOr<Contents> given = node.contents(1, "scales");
    if (failed(given))
      return failure();
    for (const Element &element : *given)
      shrinks |= element.real < 1;
    scales = node.input(1);
  }
  llvm::StringRef mode = node.getString("mode");
  Value x = node.input(0), none = node.noValue();
  return node.replace(
      node.create("Resize", {x, none, scales, none},
                  {node.attr("mode", mode),
                   node.attr("coordinate_transformation_mode",
                             llvm::StringRef("asymmetric")),
                   node.attr("nearest_mode",
                             llvm::StringRef(shrinks ? "ceil" : "floor"))}));
}

void hwgq::onnx::addResize(std::vector<Operator> &table) {
  table.push_back(
      {"Resize",
       {10, 11, 13, 18, 19},
       {1, 4},
       {1, 1},
       {stringAttr("mode", "nearest"),
        stringAttr("coordinate_transformation_mode", "half_pixel"),
        stringAttr("nearest_mode", "round_prefer_floor"),
        intAttr("antialias", 0), intAttr("exclude_outside", 0),
        floatAttr("cubic_coeff_a", -0.75f), floatAttr("extrapolation_value", 0),
        optional("axes", Kind::Ints),
        AttributeSpec{"keep_aspect_ratio_policy", Kind::String,
                      AttributeSpec::Presence::Legacy, 0, 0, "stretch"}},
       inferResize,
       upgradeResize});
  table.push_back(
      {"Upsample",
       {1, 7, 9, 10},
       {1, 2},
       {1, 1},
       {stringAttr("mode", "nearest"), legacy("scales", Kind::Floats)},
       nullptr,
       upgradeResize});
}
