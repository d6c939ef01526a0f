//===- Shape.cpp - reshapes, constants and shape arithmetic ---------------===//
#include "Node.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

// ---- Reshape.

/// Under an overridden batch the target's constants are of the old batch: puts
/// the new one where the old stands (see docs of --batch). `targets` holds no
/// 0 any more.
///
/// The input has a*n elements. Where the target has a -1, its first size is
/// the batch if it equals the old one. Else the sizes' product must be that of
/// the input at the old batch, and the first size that is a multiple of the
/// old batch is the batch's.
static void rebatch(NormalizeState &state, Dim count, Shape &targets) {
  if (!state.overridden || count.isStatic() || count.fixed)
    return;
  bool free = llvm::any_of(targets, [](Dim d) { return d.is(-1); });
  bool moves = llvm::any_of(targets, [](Dim d) { return !d.isStatic(); });
  if (targets.empty() || moves)
    return;
  if (free) {
    if (state.oldBatch && targets[0].is(*state.oldBatch))
      targets[0] = Dim(1, 0);
    return;
  }
  std::optional<Dim> total = product(targets);
  if (!total || total->fixed <= 0 || total->fixed % count.batch)
    return;
  int64_t old = total->fixed / count.batch;
  if (state.oldBatch && old != *state.oldBatch)
    return;
  for (Dim &dim : targets)
    if (dim.fixed % old == 0) {
      dim = Dim(dim.fixed / old, 0);
      return;
    }
}

/// The target sizes as written, with each 0 replaced by the input's size.
static FailureOr<Shape> readTargets(Node &node) {
  FailureOr<Contents> elements = node.contents(1, "the shape");
  if (failed(elements) || failed(node.requireRank(1, 1, "the shape")))
    return failure();
  bool allowZero = node.getInt("allowzero");
  Shape targets;
  int64_t free = 0;
  for (auto [i, element] : llvm::enumerate(*elements)) {
    Dim dim = element.value;
    if (element.isFloat || (dim.isStatic() && dim.fixed < -1)) {
      node.error() << "the shape must hold sizes, 0 or -1";
      return failure();
    }
    if (dim.is(0) && !allowZero) {
      if (i >= node.shape(0).size()) {
        node.error() << "the shape has a 0 at place " << i
                     << ", where the input has no size to copy";
        return failure();
      }
      dim = node.shape(0)[i];
    }
    free += dim.is(-1);
    targets.push_back(dim);
  }
  if (free > 1) {
    node.error() << "the shape has " << free << " times -1";
    return failure();
  }
  return targets;
}

static LogicalResult inferReshape(Node &node) {
  FailureOr<Shape> read = readTargets(node);
  if (failed(read))
    return failure();
  Shape targets = *read;
  std::optional<Dim> count = product(node.shape(0));
  if (!count)
    return node.error() << "the input, shape " << toString(node.shape(0))
                        << ", is not linear in the batch";
  rebatch(node.state, *count, targets);
  auto *free = llvm::find_if(targets, [](Dim dim) { return dim.is(-1); });
  auto mismatch = [&]() -> LogicalResult {
    auto diagnostic = node.error()
                      << "the input, shape " << toString(node.shape(0))
                      << ", cannot be reshaped to " << toString(targets);
    if (!count->isStatic())
      diagnostic << "; if the shape fixes the batch, compile for that batch "
                    "or give --batch";
    return diagnostic;
  };
  if (free != targets.end()) {
    *free = Dim(1);
    std::optional<Dim> rest = product(targets);
    if (!rest)
      return mismatch();
    std::optional<Dim> size = divExact(*count, *rest);
    if (!size) {
      *free = Dim(-1);
      return mismatch();
    }
    *free = *size;
  } else {
    std::optional<Dim> total = product(targets);
    if (!total || *total != *count)
      return mismatch();
  }
  // The explicit form: constant, at most one -1, which is the batch's.
  llvm::SmallVector<int64_t> sizes;
  bool zero = false, isStatic = node.state.options.batch.has_value();
  for (Dim dim : targets) {
    sizes.push_back(dim.isStatic() || isStatic ? node.state.getSize(dim) : -1);
    zero |= sizes.back() == 0;
  }
  if (llvm::count(sizes, -1) > 1)
    return node.error() << "the result, shape " << toString(targets)
                        << ", has two sizes that depend on the batch";
  if (getConstantInts(node.input(1)) != sizes ||
      !node.elementType(1).isSignlessInteger(64))
    node.setInput(1, node.constantInts(sizes));
  node.setInt("allowzero", zero);
  return node.result(node.elementType(0), targets);
}

static LogicalResult upgradeReshape(Node &node) {
  node.attrToInput("shape", 1);
  return success();
}

// ---- Flatten, Squeeze, Unsqueeze: all are Reshape.

static LogicalResult upgradeFlatten(Node &node) {
  FailureOr<int64_t> axis =
      node.normalizeAxis(node.getInt("axis"), node.rank(0), /*end=*/true);
  if (failed(axis))
    return failure();
  llvm::ArrayRef<Dim> shape = node.shape(0);
  std::optional<Dim> rows = product(shape.take_front(*axis));
  std::optional<Dim> columns = product(shape.drop_front(*axis));
  if (!rows || !columns)
    return node.error() << "the input, shape " << toString(shape)
                        << ", is not linear in the batch";
  return node.replace(node.reshape(node.input(0), {*rows, *columns}));
}

static LogicalResult upgradeSqueeze(Node &node) {
  node.attrToInput("axes", 1);
  const Shape &shape = node.shape(0);
  llvm::SmallVector<bool> drop(shape.size(), false);
  if (node.has(1)) {
    auto given = node.constantInts(1, "axes");
    if (failed(given))
      return failure();
    auto axes = node.normalizeAxes(*given, node.rank(0));
    if (failed(axes))
      return failure();
    for (int64_t axis : *axes) {
      // A batch of one may be squeezed away only while it is one.
      if (node.state.getSize(shape[axis]) != 1)
        return node.error() << "axis " << axis << " of shape "
                            << toString(shape) << " is not of size 1";
      drop[axis] = true;
    }
  } else {
    for (size_t i = 0; i < shape.size(); ++i)
      drop[i] = shape[i].is(1);
  }
  Shape result;
  for (size_t i = 0; i < shape.size(); ++i)
    if (!drop[i])
      result.push_back(shape[i]);
  return node.replace(node.reshape(node.input(0), result));
}

static LogicalResult upgradeUnsqueeze(Node &node) {
  node.attrToInput("axes", 1);
  auto given = node.constantInts(1, "axes");
  if (failed(given))
    return failure();
  auto axes = node.normalizeAxes(*given, node.rank(0) + given->size());
  if (failed(axes))
    return failure();
  Shape result(node.rank(0) + axes->size(), Dim(-1));
  for (int64_t axis : *axes)
    result[axis] = Dim(1);
  const Dim *next = node.shape(0).begin();
  for (Dim &dim : result)
    if (dim.is(-1))
      dim = *next++;
  return node.replace(node.reshape(node.input(0), result));
}

// ---- Constants.

static LogicalResult inferNoValue(Node &node) { return success(); }

static LogicalResult inferConstant(Node &node) {
  auto value = node.op->getAttrOfType<mlir::ElementsAttr>("value");
  if (!value)
    return node.error() << "the attribute value must be a tensor";
  Type type = value.getElementType();
  auto shaped = mlir::dyn_cast<mlir::RankedTensorType>(value.getType());
  if (!shaped || !shaped.hasStaticShape() || getElementBytes(type) == 0 ||
      getElementBytes(type) > 8)
    return node.error() << "the type " << value.getType()
                        << " is not supported";
  if (auto blob = mlir::dyn_cast<mlir::DenseResourceElementsAttr>(value)) {
    auto *data = blob.getRawHandle().getBlob();
    if (!data || data->getData().size() !=
                     size_t(shaped.getNumElements()) * getElementBytes(type))
      return node.error() << "the resource of its value is missing or of the "
                             "wrong size";
  } else if (!mlir::isa<mlir::DenseElementsAttr>(value)) {
    return node.error() << "the value must be dense";
  }
  Shape shape(shaped.getShape().begin(), shaped.getShape().end());
  return node.result(type, shape);
}

/// Sizes given as a tensor of rank 1.
static FailureOr<Shape> readShape(Node &node, unsigned index) {
  FailureOr<Contents> elements = node.contents(index, "the shape");
  if (failed(elements) || failed(node.requireRank(index, 1, "the shape")))
    return failure();
  Shape shape;
  for (const Element &element : *elements) {
    if (element.isFloat ||
        (element.value.isStatic() && element.value.fixed < 0)) {
      node.error() << "the shape must hold sizes";
      return failure();
    }
    shape.push_back(element.value);
  }
  return shape;
}

static LogicalResult inferConstantOfShape(Node &node) {
  FailureOr<Shape> shape = readShape(node, 0);
  if (failed(shape))
    return failure();
  auto value = node.op->getAttrOfType<mlir::ElementsAttr>("value");
  auto dense = mlir::dyn_cast_or_null<mlir::DenseElementsAttr>(value);
  if (value && (!dense || dense.getNumElements() != 1))
    return node.error() << "the attribute value must have one element";
  Type type = value ? value.getElementType() : node.builder.getF32Type();
  if (failed(node.result(type, *shape)))
    return failure();
  auto result =
      mlir::cast<mlir::RankedTensorType>(node.op->getResult(0).getType());
  if (!result.hasStaticShape())
    return success();
  mlir::Attribute element =
      dense ? *dense.value_begin<mlir::Attribute>()
            : mlir::Attribute(node.builder.getF32FloatAttr(0));
  mlir::DenseElementsAttr splat =
      result.getNumElements() == 0
          ? mlir::DenseElementsAttr::get(result,
                                         llvm::ArrayRef<mlir::Attribute>{})
          : mlir::DenseElementsAttr::get(result, element);
  Value made = node.constant(splat);
  node.state.info(made).shape = *shape; // in terms of the batch
  // A list of sizes, perhaps.
  if (result.getRank() == 1 && result.getNumElements() <= 64)
    if (auto integers = getConstantInts(made)) {
      Contents contents;
      for (int64_t integer : *integers)
        contents.push_back({false, Dim(integer), 0});
      node.state.info(made).contents = contents;
    }
  return node.replace(made);
}

static LogicalResult inferRange(Node &node) {
  if (failed(node.requireNumber(0)) || failed(node.requireSameType(0, 1)) ||
      failed(node.requireSameType(0, 2)))
    return failure();
  Contents bounds;
  for (unsigned i : {0u, 1u, 2u}) {
    FailureOr<Contents> bound = node.contents(i, i == 0   ? "start"
                                                 : i == 1 ? "limit"
                                                          : "delta");
    if (failed(bound))
      return failure();
    if (bound->size() != 1)
      return node.error() << "start, limit and delta must be scalars";
    bounds.push_back(bound->front());
  }
  if (bounds[0].isFloat) {
    double count =
        std::ceil((bounds[1].real - bounds[0].real) / bounds[2].real);
    if (!(count < 1e9))
      return node.error() << "the number of elements is not finite";
    return node.result(node.elementType(0),
                       {Dim(static_cast<int64_t>(std::max(count, 0.0)))});
  }
  if (!bounds[2].value.isStatic() || bounds[2].value.fixed == 0)
    return node.error() << "delta must be a constant other than 0";
  std::optional<Dim> span = sub(bounds[1].value, bounds[0].value);
  int64_t delta = bounds[2].value.fixed;
  if (span && !span->isStatic() && delta == 1)
    return node.result(node.elementType(0), {*span});
  if (!span || !span->isStatic())
    return node.error() << "the number of elements is not linear in the batch";
  int64_t count = span->fixed / delta + (span->fixed % delta != 0 &&
                                         (span->fixed < 0) == (delta < 0));
  return node.result(node.elementType(0), {Dim(std::max<int64_t>(count, 0))});
}

// ---- Sizes as values.

static LogicalResult inferShapeOp(Node &node) {
  int64_t rank = node.rank(0);
  auto clamp = [&](int64_t at) {
    return std::min(std::max<int64_t>(at < 0 ? at + rank : at, 0), rank);
  };
  int64_t start = clamp(node.getInt("start"));
  int64_t end = node.hasAttr("end") ? clamp(node.getInt("end")) : rank;
  if (failed(node.result(node.builder.getI64Type(),
                         {Dim(std::max<int64_t>(end - start, 0))})))
    return failure();
  Contents contents;
  for (int64_t i = start; i < end; ++i)
    contents.push_back({false, node.shape(0)[i], 0});
  node.state.info(node.op->getResult(0)).contents = contents;
  return success();
}

static LogicalResult inferSize(Node &node) {
  if (failed(node.result(node.builder.getI64Type(), {})))
    return failure();
  if (std::optional<Dim> count = product(node.shape(0)))
    node.state.info(node.op->getResult(0)).contents =
        Contents{{false, *count, 0}};
  return success();
}

static LogicalResult inferExpand(Node &node) {
  FailureOr<Shape> read = readShape(node, 1);
  if (failed(read))
    return failure();
  Shape target = *read;
  const Shape &x = node.shape(0);
  // Under another batch the target's old batch gives way to the input's.
  if (node.state.overridden && node.state.oldBatch)
    for (size_t i = 0; i < std::min(x.size(), target.size()); ++i) {
      Dim &dim = target[target.size() - 1 - i];
      Dim own = x[x.size() - 1 - i];
      if (!own.isStatic() &&
          dim.is(own.batch * *node.state.oldBatch + own.fixed))
        dim = own;
    }
  Shape result(std::max(x.size(), target.size()), Dim(1));
  for (size_t i = 0; i < result.size(); ++i) {
    Dim a = i < x.size() ? x[x.size() - 1 - i] : Dim(1);
    Dim b = i < target.size() ? target[target.size() - 1 - i] : Dim(1);
    std::optional<Dim> dim = broadcast(a, b);
    if (!dim)
      return node.error() << "the input, shape " << toString(x)
                          << ", cannot be expanded to " << toString(target);
    result[result.size() - 1 - i] = *dim;
  }
  llvm::SmallVector<int64_t> sizes;
  for (Dim dim : target)
    sizes.push_back(node.state.getSize(dim));
  if (!llvm::is_contained(sizes, mlir::ShapedType::kDynamic) &&
      getConstantInts(node.input(1)) != sizes)
    node.setInput(1, node.constantInts(sizes));
  return node.result(node.elementType(0), result);
}

void hwgq::onnx::addShape(std::vector<Operator> &table) {
  table.push_back({"NoValue", {1}, {0, 0}, {1, 1}, {}, inferNoValue});
  table.push_back({"Constant",
                   {1, 9, 11, 12, 13, 19, 21, 23, 24, 25},
                   {0, 0},
                   {1, 1},
                   {required("value", Kind::Tensor)},
                   inferConstant});
  table.push_back({"ConstantOfShape",
                   {9, 20, 21, 23, 24, 25},
                   {1, 1},
                   {1, 1},
                   {optional("value", Kind::Tensor)},
                   inferConstantOfShape});
  table.push_back({"Range",
                   {11, 27},
                   {3, 3},
                   {1, 1},
                   {legacy("stash_type", Kind::Int)},
                   inferRange});
  table.push_back({"Shape",
                   {1, 13, 15, 19, 21, 23, 24, 25},
                   {1, 1},
                   {1, 1},
                   {intAttr("start", 0), optional("end", Kind::Int)},
                   inferShapeOp});
  table.push_back(
      {"Size", {1, 13, 19, 21, 23, 24, 25}, {1, 1}, {1, 1}, {}, inferSize});
  table.push_back({"Expand", {8, 13}, {2, 2}, {1, 1}, {}, inferExpand});
  table.push_back({"Reshape",
                   {1, 5, 13, 14, 19, 21, 23, 24, 25},
                   {1, 2},
                   {1, 1},
                   {intAttr("allowzero", 0), legacy("shape", Kind::Ints),
                    legacy("consumed_inputs", Kind::Ints)},
                   inferReshape,
                   upgradeReshape});
  table.push_back({"Flatten",
                   {1, 9, 11, 13, 21, 23, 24, 25},
                   {1, 1},
                   {1, 1},
                   {intAttr("axis", 1)},
                   nullptr,
                   upgradeFlatten});
  table.push_back({"Squeeze",
                   {1, 11, 13, 21, 23, 24, 25},
                   {1, 2},
                   {1, 1},
                   {legacy("axes", Kind::Ints)},
                   nullptr,
                   upgradeSqueeze});
  table.push_back({"Unsqueeze",
                   {1, 11, 13, 21, 23, 24, 25},
                   {1, 2},
                   {1, 1},
                   {legacy("axes", Kind::Ints)},
                   nullptr,
                   upgradeUnsqueeze});
}
