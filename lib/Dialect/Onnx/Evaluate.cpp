//===- Evaluate.cpp - shape arithmetic while types are inferred -----------===//
//
// Small tensors of integers, affine in the batch, and of floats on the way
// between them. What is not known stays unknown; nothing here is an error.
//===----------------------------------------------------------------------===//
#include "Node.h"
#include "llvm/ADT/StringSwitch.h"

using namespace hwgq::onnx;

static constexpr int64_t kMaxKnown = 4096;

using Known = std::optional<Element>;

static Element integer(int64_t value) { return {false, Dim(value), 0}; }
static Element real(double value) { return {true, Dim(), value}; }

/// Static sizes of the op's result, if it is small.
static std::optional<llvm::SmallVector<int64_t>>
smallShape(const Shape &shape) {
  llvm::SmallVector<int64_t> sizes;
  int64_t count = 1;
  for (Dim dim : shape) {
    if (!dim.isStatic() || dim.fixed > kMaxKnown)
      return std::nullopt;
    sizes.push_back(dim.fixed);
    count *= dim.fixed;
    if (count > kMaxKnown)
      return std::nullopt;
  }
  return sizes;
}

// ---- One element.

static Known integerBinary(llvm::StringRef name, Dim a, Dim b) {
  auto wrap = [](std::optional<Dim> dim) -> Known {
    return dim ? Known(Element{false, *dim, 0}) : std::nullopt;
  };
  if (name == "Add")
    return wrap(add(a, b));
  if (name == "Sub")
    return wrap(sub(a, b));
  if (name == "Mul")
    return wrap(mul(a, b));
  if (name == "Div" && (!a.isStatic() || !b.isStatic()))
    return wrap(divExact(a, b));
  if (name == "Equal") {
    if (a == b)
      return integer(1);
    // Sizes that depend on the batch are positive; equal ones coincide.
    bool apart = a.batch == b.batch || (b.isStatic() && b.fixed <= 0) ||
                 (a.isStatic() && a.fixed <= 0);
    return apart ? Known(integer(0)) : std::nullopt;
  }
  if (!a.isStatic() || !b.isStatic())
    return a == b && (name == "Min" || name == "Max")
               ? Known(Element{false, a, 0})
               : std::nullopt;
  int64_t x = a.fixed, y = b.fixed;
  if (name == "Div" || name == "Mod") {
    if (y == 0 || (y == -1 && x == std::numeric_limits<int64_t>::min()))
      return std::nullopt;
    if (name == "Div")
      return integer(x / y);
    int64_t rest = x % y;
    return integer(rest && (rest < 0) != (y < 0) ? rest + y : rest);
  }
  return llvm::StringSwitch<Known>(name)
      .Case("Min", integer(std::min(x, y)))
      .Case("Max", integer(std::max(x, y)))
      .Case("Greater", integer(x > y))
      .Case("Less", integer(x < y))
      .Case("GreaterOrEqual", integer(x >= y))
      .Case("LessOrEqual", integer(x <= y))
      .Case("And", integer(x && y))
      .Case("Or", integer(x || y))
      .Case("Xor", integer(x != y))
      .Default(std::nullopt);
}

static Known floatBinary(llvm::StringRef name, double a, double b) {
  return llvm::StringSwitch<Known>(name)
      .Case("Add", real(a + b))
      .Case("Sub", real(a - b))
      .Case("Mul", real(a * b))
      .Case("Div", real(a / b))
      .Case("Equal", integer(a == b))
      .Case("Greater", integer(a > b))
      .Case("Less", integer(a < b))
      .Default(std::nullopt);
}

static Known binary(Node &node, llvm::StringRef name, const Element &a,
                    const Element &b) {
  if (a.isFloat != b.isFloat)
    return std::nullopt;
  if (a.isFloat)
    return floatBinary(name, a.real, b.real);
  Known value = integerBinary(name, a.value, b.value);
  // A batch that is known decides what holds for this batch only.
  if (!value && node.state.options.batch)
    value = integerBinary(name, Dim(node.state.getSize(a.value)),
                          Dim(node.state.getSize(b.value)));
  return value;
}

static Known unary(llvm::StringRef name, const Element &x) {
  if (x.isFloat)
    return llvm::StringSwitch<Known>(name)
        .Case("Floor", real(std::floor(x.real)))
        .Case("Ceil", real(std::ceil(x.real)))
        .Case("Round", real(std::nearbyint(x.real)))
        .Case("Neg", real(-x.real))
        .Case("Abs", real(std::fabs(x.real)))
        .Case("Sqrt", real(std::sqrt(x.real)))
        .Default(std::nullopt);
  if (name == "Neg") {
    std::optional<Dim> negated = sub(Dim(0), x.value);
    return negated ? Known(Element{false, *negated, 0}) : std::nullopt;
  }
  if (!x.value.isStatic())
    return name == "Abs" ? Known(x) : std::nullopt;
  if (name == "Not")
    return integer(!x.value.fixed);
  if (name == "Abs" && x.value.fixed > std::numeric_limits<int64_t>::min())
    return integer(std::abs(x.value.fixed));
  return std::nullopt;
}

static Known cast(const Element &x, Type type) {
  if (isFloat(type)) {
    if (x.isFloat)
      return x;
    return x.value.isStatic() ? Known(real(double(x.value.fixed)))
                              : std::nullopt;
  }
  Element result = x;
  if (x.isFloat) {
    if (!(std::fabs(x.real) < 9.0e18))
      return std::nullopt;
    result = integer(static_cast<int64_t>(std::trunc(x.real)));
  }
  if (type.isSignlessInteger(1))
    return result.value.isStatic() && !x.isFloat
               ? Known(integer(result.value.fixed != 0))
               : std::nullopt;
  return result;
}

/// A float result in the precision of its type; an integer that fits its type.
static Known fit(Known x, Type type) {
  if (!x)
    return x;
  if (x->isFloat) {
    if (type.isF32())
      x->real = static_cast<float>(x->real);
    else if (!type.isF64())
      return std::nullopt;
    return x;
  }
  auto integerType = mlir::dyn_cast<mlir::IntegerType>(type);
  if (!integerType)
    return std::nullopt;
  unsigned width = integerType.getWidth();
  int64_t value = x->value.fixed;
  if (width == 1 || !x->value.isStatic())
    return x;
  bool fits = integerType.isUnsigned()
                  ? value >= 0 && (width == 64 || llvm::isUIntN(width, value))
                  : llvm::isIntN(width, value);
  return fits ? x : std::nullopt;
}

// ---- Whole ops.

/// Elements of operand `index` broadcast to the result's shape.
static std::optional<Contents> expand(Node &node, unsigned index,
                                      llvm::ArrayRef<int64_t> sizes) {
  const Info &info = node.in(index);
  if (!info.contents)
    return std::nullopt;
  llvm::SmallVector<int64_t> strides(sizes.size(), 0);
  int64_t stride = 1;
  for (size_t i = 0; i < info.shape.size(); ++i) {
    Dim dim = info.shape[info.shape.size() - 1 - i];
    if (i >= sizes.size() || !dim.isStatic())
      return std::nullopt;
    strides[sizes.size() - 1 - i] = dim.fixed == 1 ? 0 : stride;
    stride *= dim.fixed;
  }
  int64_t count = 1;
  for (int64_t size : sizes)
    count *= size;
  Contents result;
  for (int64_t at = 0; at < count; ++at) {
    int64_t rest = at, from = 0;
    for (size_t i = sizes.size(); i-- > 0; rest /= sizes[i])
      from += rest % sizes[i] * strides[i];
    result.push_back((*info.contents)[from]);
  }
  return result;
}

static std::optional<Contents>
evaluateElementwise(Node &node, llvm::StringRef name, const Info &out) {
  std::optional<llvm::SmallVector<int64_t>> sizes = smallShape(out.shape);
  if (!sizes)
    return std::nullopt;
  llvm::SmallVector<Contents> operands;
  for (unsigned i = 0; i < node.numInputs(); ++i) {
    std::optional<Contents> operand = expand(node, i, *sizes);
    if (!operand)
      return std::nullopt;
    operands.push_back(*operand);
  }
  Contents result;
  for (size_t i = 0; i < operands[0].size(); ++i) {
    const Element &a = operands[0][i];
    Known value;
    if (name == "Where")
      value = a.value.isStatic() ? Known(operands[a.value.fixed ? 1 : 2][i])
                                 : std::nullopt;
    else if (name == "Cast")
      value = cast(a, out.elementType);
    else if (operands.size() == 1)
      value = unary(name, a);
    else if (operands.size() == 2)
      value = binary(node, name, a, operands[1][i]);
    value = fit(value, out.elementType);
    if (!value)
      return std::nullopt;
    result.push_back(*value);
  }
  return result;
}

static std::optional<Contents> evaluateGather(Node &node) {
  const Info &data = node.in(0), &indices = node.in(1);
  if (!data.contents || !indices.contents || data.shape.size() != 1)
    return std::nullopt;
  int64_t size = data.contents->size();
  Contents result;
  for (const Element &index : *indices.contents) {
    int64_t at =
        index.value.fixed < 0 ? index.value.fixed + size : index.value.fixed;
    if (!index.value.isStatic() || at < 0 || at >= size)
      return std::nullopt;
    result.push_back((*data.contents)[at]);
  }
  return result;
}

static std::optional<Contents> evaluateConcat(Node &node) {
  Contents result;
  for (unsigned i = 0; i < node.numInputs(); ++i) {
    if (!node.in(i).contents || node.rank(i) != 1)
      return std::nullopt;
    result.append(*node.in(i).contents);
  }
  return result.size() <= size_t(kMaxKnown) ? std::optional(result)
                                            : std::nullopt;
}

/// A normalised Slice of rank 1.
static std::optional<Contents> evaluateSlice(Node &node, const Info &out) {
  const Info &data = node.in(0);
  if (!data.contents || data.shape.size() != 1 || !out.shape[0].isStatic())
    return std::nullopt;
  auto starts = getConstantInts(node.input(1));
  auto steps = getConstantInts(node.input(4));
  if (!starts || !steps)
    return std::nullopt;
  if (starts->empty())
    return data.contents;
  Contents result;
  for (int64_t i = 0; i < out.shape[0].fixed; ++i) {
    int64_t at = (*starts)[0] + i * (*steps)[0];
    if (at < 0 || at >= int64_t(data.contents->size()))
      return std::nullopt;
    result.push_back((*data.contents)[at]);
  }
  return result;
}

static std::optional<Contents> evaluateRange(Node &node, const Info &out) {
  if (!node.in(0).contents || !node.in(2).contents || !smallShape(out.shape))
    return std::nullopt;
  const Element &start = node.in(0).contents->front();
  const Element &delta = node.in(2).contents->front();
  if (start.isFloat || !start.value.isStatic())
    return std::nullopt;
  Contents result;
  for (int64_t i = 0; i < out.shape[0].fixed; ++i)
    result.push_back(integer(start.value.fixed + i * delta.value.fixed));
  return result;
}

/// Sums and products of all elements of a list.
static std::optional<Contents> evaluateReduce(Node &node,
                                              llvm::StringRef name) {
  const Info &data = node.in(0);
  if (!data.contents || data.shape.size() != 1 || data.contents->empty())
    return std::nullopt;
  llvm::StringRef op = llvm::StringSwitch<llvm::StringRef>(name)
                           .Case("ReduceProd", "Mul")
                           .Case("ReduceSum", "Add")
                           .Case("ReduceMax", "Max")
                           .Case("ReduceMin", "Min")
                           .Default("");
  Known result = data.contents->front();
  for (const Element &element : llvm::drop_begin(*data.contents)) {
    if (op.empty() || element.isFloat || !result)
      return std::nullopt;
    result =
        fit(integerBinary(op, result->value, element.value), data.elementType);
  }
  return result && !result->isFloat ? std::optional(Contents{*result})
                                    : std::nullopt;
}

static std::optional<Contents> evaluateConstant(Node &node, const Info &out) {
  if (!smallShape(out.shape))
    return std::nullopt;
  Contents result;
  Value value = node.op->getResult(0);
  if (auto integers = getConstantInts(value)) {
    for (int64_t element : *integers)
      result.push_back(integer(element));
    return result;
  }
  auto floats = getConstantFloats(value);
  if (!floats)
    return std::nullopt;
  for (double element : *floats)
    result.push_back(real(element));
  return result;
}

std::optional<Contents> hwgq::onnx::evaluateContents(Node &node) {
  llvm::StringRef name = node.entry.name;
  const Info &out = node.state.info(node.op->getResult(0));
  if (out.contents)
    return out.contents;
  if (name == "Constant")
    return evaluateConstant(node, out);
  if (name == "Gather")
    return evaluateGather(node);
  if (name == "Concat")
    return evaluateConcat(node);
  if (name == "Slice")
    return evaluateSlice(node, out);
  if (name == "Range")
    return evaluateRange(node, out);
  if (name.starts_with("Reduce"))
    return evaluateReduce(node, name);
  if (name == "Reshape" || (name == "Transpose" && out.shape.size() <= 1))
    return node.in(0).contents;
  if (name == "Expand") {
    std::optional<llvm::SmallVector<int64_t>> sizes = smallShape(out.shape);
    return sizes ? expand(node, 0, *sizes) : std::nullopt;
  }
  static const llvm::StringRef elementwise[] = {
      "Add",         "Sub",   "Mul",     "Div",  "Mod",
      "Min",         "Max",   "Neg",     "Abs",  "Cast",
      "Where",       "Equal", "Greater", "Less", "GreaterOrEqual",
      "LessOrEqual", "And",   "Or",      "Xor",  "Not",
      "Floor",       "Ceil",  "Round",   "Sqrt"};
  if (llvm::is_contained(elementwise, name) && node.numInputs() > 0)
    return evaluateElementwise(node, name, out);
  return std::nullopt;
}
