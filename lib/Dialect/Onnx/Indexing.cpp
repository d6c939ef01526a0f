//===- Indexing.cpp - operators that choose elements ----------------------===//
#include "Node.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

static constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();

// ---- Slice.

/// One axis: start and end in their explicit form, and the size of the result.
struct Range {
  int64_t start, end;
  Dim size;
};

/// numpy's rules: from the end where negative, clamped to the axis.
static Range sliceStatic(int64_t start, int64_t end, int64_t step,
                         int64_t size) {
  auto clamp = [&](int64_t at, int64_t low, int64_t high) {
    if (at < 0)
      at = at < -size ? -1 : at + size;
    return std::min(std::max(at, low), high);
  };
  if (step > 0) {
    start = clamp(start, 0, size), end = clamp(end, 0, size);
    int64_t count = start < end ? (end - start - 1) / step + 1 : 0;
    return {start, end, count};
  }
  start = clamp(start, -1, size - 1);
  end = end < -size ? -1 : clamp(end, -1, size - 1);
  int64_t count =
      start > end ? (start - end - 1) / -std::max(step, -kEnd) + 1 : 0;
  // An end before the first element cannot be written as -1.
  return {std::max<int64_t>(start, 0), end < 0 ? -kEnd : end, count};
}

/// The batch: from a fixed place on, up to the end or a few before it.
static std::optional<Range> sliceBatch(Dim start, Dim end, int64_t step,
                                       Dim size) {
  if (end.isStatic() && end.fixed < 0 && end.fixed > -1024)
    end = *add(size, end);
  bool whole = end == size || (end.isStatic() && end.fixed > (1 << 30));
  if (step != 1 || !start.isStatic() || start.fixed < 0)
    return std::nullopt;
  if (whole && start.fixed == 0)
    return Range{0, kEnd, size};
  if (whole && start.fixed < size.batch + size.fixed)
    return Range{start.fixed, kEnd, *sub(size, start)};
  // Inside of the smallest batch.
  if (end.isStatic() && end.fixed >= start.fixed &&
      end.fixed <= size.batch + size.fixed)
    return Range{start.fixed, end.fixed, end.fixed - start.fixed};
  return std::nullopt;
}

static FailureOr<llvm::SmallVector<int64_t>>
readOptional(Node &node, unsigned index, llvm::StringRef what, size_t count,
             bool isAxes) {
  if (node.has(index)) {
    auto values = node.constantInts(index, what);
    if (succeeded(values) && values->size() != count) {
      node.error() << what << " must have " << count << " elements, not "
                   << values->size();
      return failure();
    }
    return values;
  }
  llvm::SmallVector<int64_t> values(count, 1);
  for (size_t i = 0; isAxes && i < count; ++i)
    values[i] = i;
  return values;
}

static LogicalResult inferSlice(Node &node) {
  FailureOr<Contents> starts = node.contents(1, "starts");
  FailureOr<Contents> ends = failed(starts) ? starts : node.contents(2, "ends");
  if (failed(starts) || failed(ends))
    return failure();
  size_t count = starts->size();
  if (ends->size() != count)
    return node.error() << "starts and ends differ in length";
  auto listed = readOptional(node, 3, "axes", count, true);
  auto steps = readOptional(node, 4, "steps", count, false);
  if (failed(listed) || failed(steps))
    return failure();
  auto axes = node.normalizeAxes(*listed, node.rank(0));
  if (failed(axes))
    return failure();
  Shape shape = node.shape(0);
  llvm::SmallVector<int64_t> first, last;
  for (size_t i = 0; i < count; ++i) {
    int64_t axis = (*axes)[i], step = (*steps)[i];
    Dim start = (*starts)[i].value, end = (*ends)[i].value;
    if (step == 0 || (*starts)[i].isFloat || (*ends)[i].isFloat)
      return node.error() << "steps must not be 0, and indices be integers";
    // Under another batch a fixed end may be the old one.
    Dim size = shape[axis];
    if (node.state.overridden && node.state.oldBatch && !size.isStatic() &&
        end.is(size.batch * *node.state.oldBatch + size.fixed))
      end = size;
    std::optional<Range> range;
    bool known = size.isStatic() || node.state.options.batch.has_value();
    if (known && node.state.getSize(start) >= 0 - kEnd) {
      range = sliceStatic(node.state.getSize(start), node.state.getSize(end),
                          step, node.state.getSize(size));
      if (!size.isStatic()) {
        std::optional<Range> symbolic = sliceBatch(start, end, step, size);
        if (symbolic)
          range->size = symbolic->size;
      }
    } else if (!size.isStatic()) {
      range = sliceBatch(start, end, step, size);
    }
    if (!range)
      return node.error() << "a slice of the batch must begin at a fixed place "
                             "and have step 1";
    first.push_back(range->start);
    last.push_back(range->end);
    shape[axis] = range->size;
  }
  const llvm::SmallVector<int64_t> *wanted[] = {&first, &last, &*axes, &*steps};
  for (unsigned i = 0; i < 4; ++i)
    if (!node.has(i + 1) || getConstantInts(node.input(i + 1)) != *wanted[i])
      node.setInput(i + 1, node.constantInts(*wanted[i]));
  return node.result(node.elementType(0), shape);
}

static LogicalResult upgradeSlice(Node &node) {
  node.attrToInput("starts", 1);
  node.attrToInput("ends", 2);
  node.attrToInput("axes", 3);
  return success();
}

// ---- Gather.

/// Constant indices must lie inside of the axis.
static LogicalResult checkIndices(Node &node, Dim size) {
  if (failed(node.requireInteger(1)))
    return failure();
  if (!node.in(1).contents || !size.isStatic())
    return success();
  for (const Element &element : *node.in(1).contents)
    if (element.value.isStatic() && (element.value.fixed < -size.fixed ||
                                     element.value.fixed >= size.fixed))
      return node.error() << "index " << element.value.fixed
                          << " is outside of an axis of size " << size.fixed;
  return success();
}

static LogicalResult inferGather(Node &node) {
  FailureOr<int64_t> axis = node.axis(node.rank(0));
  if (failed(axis) || failed(checkIndices(node, node.shape(0)[*axis])))
    return failure();
  Shape shape = node.shape(0);
  shape.erase(shape.begin() + *axis);
  shape.insert(shape.begin() + *axis, node.shape(1).begin(),
               node.shape(1).end());
  return node.result(node.elementType(0), shape);
}

static LogicalResult inferGatherElements(Node &node) {
  FailureOr<int64_t> axis = node.axis(node.rank(0));
  if (failed(axis) || failed(checkIndices(node, node.shape(0)[*axis])))
    return failure();
  if (node.rank(1) != node.rank(0))
    return node.error() << "the indices must have rank " << node.rank(0);
  for (int64_t i = 0; i < node.rank(0); ++i) {
    Dim size = node.shape(0)[i], count = node.shape(1)[i];
    if (i != *axis && count != size &&
        !(count.isStatic() && size.isStatic() && count.fixed <= size.fixed))
      return node.error() << "the indices, shape " << toString(node.shape(1))
                          << ", do not fit the input, shape "
                          << toString(node.shape(0));
  }
  return node.result(node.elementType(0), node.shape(1));
}

// ---- ArgMax, TopK.

static LogicalResult inferArg(Node &node) {
  if (failed(node.requireNumber(0)))
    return failure();
  FailureOr<int64_t> axis = node.axis(node.rank(0));
  if (failed(axis))
    return failure();
  Shape shape = node.shape(0);
  if (shape[*axis].is(0))
    return node.error() << "axis " << *axis << " is empty";
  if (node.getInt("keepdims"))
    shape[*axis] = 1;
  else
    shape.erase(shape.begin() + *axis);
  return node.result(node.builder.getI64Type(), shape);
}

static LogicalResult inferTopK(Node &node) {
  if (failed(node.requireNumber(0)))
    return failure();
  FailureOr<int64_t> axis = node.axis(node.rank(0));
  if (failed(axis))
    return failure();
  auto k = node.constantInts(1, "K");
  if (failed(k))
    return failure();
  Shape shape = node.shape(0);
  if (k->size() != 1 || k->front() < 0 || !shape[*axis].isStatic() ||
      k->front() > shape[*axis].fixed)
    return node.error() << "K must be one number, at most the size of axis "
                        << *axis << " of shape " << toString(shape);
  shape[*axis] = k->front();
  if (failed(node.result(1, node.builder.getI64Type(), shape)))
    return failure();
  return node.result(node.elementType(0), shape);
}

static LogicalResult upgradeTopK(Node &node) {
  if (node.hasAttr("k")) {
    node.setInput(1, node.constantInts({node.getInt("k")}));
    node.dropAttr("k");
  }
  return success();
}

void hwgq::onnx::addIndexing(std::vector<Operator> &table) {
  table.push_back({"Slice",
                   {1, 10, 11, 13},
                   {1, 5},
                   {1, 1},
                   {legacy("starts", Kind::Ints), legacy("ends", Kind::Ints),
                    legacy("axes", Kind::Ints)},
                   inferSlice,
                   upgradeSlice});
  table.push_back({"Gather",
                   {1, 11, 13},
                   {2, 2},
                   {1, 1},
                   {intAttr("axis", 0)},
                   inferGather});
  table.push_back({"GatherElements",
                   {11, 13},
                   {2, 2},
                   {1, 1},
                   {intAttr("axis", 0)},
                   inferGatherElements});
  for (llvm::StringRef name : {"ArgMax", "ArgMin"})
    table.push_back({name,
                     {1, 11, 12, 13},
                     {1, 1},
                     {1, 1},
                     {intAttr("axis", 0), intAttr("keepdims", 1),
                      intAttr("select_last_index", 0)},
                     inferArg});
  table.push_back({"TopK",
                   {1, 10, 11, 24},
                   {1, 2},
                   {2, 2},
                   {intAttr("axis", -1), intAttr("largest", 1),
                    intAttr("sorted", 1), legacy("k", Kind::Int)},
                   inferTopK,
                   upgradeTopK});
}
