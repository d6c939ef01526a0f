//===- Contraction.cpp - matrix products ----------------------------------===//
#include "Node.h"

using namespace hwgq::onnx;
using mlir::failure;
using mlir::success;

using Kind = AttributeKind;

/// The shape of numpy.matmul(a, b).
static FailureOr<Shape> matmul(Node &node, unsigned ia, unsigned ib) {
  Shape a = node.shape(ia), b = node.shape(ib);
  auto mismatch = [&]() -> FailureOr<Shape> {
    node.error() << "the shapes " << toString(node.shape(ia)) << " and "
                 << toString(node.shape(ib)) << " cannot be multiplied";
    return failure();
  };
  if (a.empty() || b.empty())
    return mismatch();
  bool vectorA = a.size() == 1, vectorB = b.size() == 1;
  if (vectorA)
    a.insert(a.begin(), Dim(1));
  if (vectorB)
    b.push_back(Dim(1));
  if (a.back() != b[b.size() - 2])
    return mismatch();
  Shape result;
  size_t rank = std::max(a.size(), b.size());
  for (size_t i = 0; i + 2 < rank; ++i) {
    auto at = [&](const Shape &s) {
      return i + s.size() < rank ? Dim(1) : s[i + s.size() - rank];
    };
    std::optional<Dim> dim = broadcast(at(a), at(b));
    if (!dim)
      return mismatch();
    result.push_back(*dim);
  }
  if (!vectorA)
    result.push_back(a[a.size() - 2]);
  if (!vectorB)
    result.push_back(b.back());
  return result;
}

static LogicalResult inferMatMul(Node &node) {
  if (failed(node.requireNumber(0)) || failed(node.requireSameType(0, 1)))
    return failure();
  FailureOr<Shape> shape = matmul(node, 0, 1);
  if (failed(shape))
    return failure();
  return node.result(node.elementType(0), *shape);
}

static LogicalResult inferMatMulInteger(Node &node) {
  if (failed(node.requireInteger(0)) || failed(node.requireInteger(1)))
    return failure();
  FailureOr<Shape> shape = matmul(node, 0, 1);
  if (failed(shape))
    return failure();
  for (unsigned i : {0u, 1u}) {
    if (!node.has(i + 2))
      node.setInput(i + 2, node.scalar(node.elementType(i), 0));
    if (failed(node.requireSameType(i, i + 2)))
      return failure();
    // A zero point for each row of A, or each column of B, or for all.
    const Shape &zero = node.shape(i + 2), &x = node.shape(i);
    std::optional<Dim> count = product(zero);
    Dim lines = i == 0 && x.size() > 1 ? x[x.size() - 2] : x.back();
    if (!count || !(count->is(1) || (zero.size() == 1 && *count == lines)))
      return node.error() << "the zero point, shape " << toString(zero)
                          << ", must have one element, or one a "
                          << (i == 0 ? "row of A" : "column of B");
  }
  return node.result(node.builder.getI32Type(), *shape);
}

static LogicalResult inferQLinearMatMul(Node &node) {
  for (unsigned i : {0u, 3u, 7u})
    if (failed(node.requireInteger(i)))
      return failure();
  for (unsigned i : {1u, 4u, 6u})
    if (failed(node.requireFloat(i)))
      return failure();
  if (failed(node.requireSameType(0, 2)) || failed(node.requireSameType(3, 5)))
    return failure();
  FailureOr<Shape> shape = matmul(node, 0, 3);
  if (failed(shape))
    return failure();
  for (unsigned i : {1u, 2u, 4u, 5u, 6u, 7u}) {
    // One element; or one a row of A (and of Y), one a column of B.
    const Shape &given = node.shape(i);
    bool right = i == 4 || i == 5;
    const Shape &x = right ? node.shape(3) : node.shape(0);
    Dim lines = !right && x.size() > 1 ? x[x.size() - 2] : x.back();
    std::optional<Dim> count = product(given);
    if (!count || !(count->is(1) || *count == lines))
      return node.error() << "input " << i << ", shape " << toString(given)
                          << ", must have one element, or one a "
                          << (right ? "column of B" : "row of A");
  }
  return node.result(node.elementType(7), *shape);
}

static LogicalResult inferGemm(Node &node) {
  if (failed(node.requireNumber(0)) || failed(node.requireSameType(0, 1)) ||
      failed(node.requireRank(0, 2, "A")) ||
      failed(node.requireRank(1, 2, "B")))
    return failure();
  bool ta = node.getInt("transA"), tb = node.getInt("transB");
  const Shape &a = node.shape(0), &b = node.shape(1);
  if (a[ta ? 0 : 1] != b[tb ? 1 : 0])
    return node.error() << "the shapes " << toString(a) << " and "
                        << toString(b)
                        << " cannot be multiplied (transA = " << ta
                        << ", transB = " << tb << ")";
  Shape result = {a[ta ? 1 : 0], b[tb ? 0 : 1]};
  if (node.has(2)) {
    if (failed(node.requireSameType(0, 2)))
      return failure();
    const Shape &c = node.shape(2);
    bool fits = c.size() <= 2;
    for (size_t i = 0; fits && i < c.size(); ++i) {
      Dim dim = c[c.size() - 1 - i];
      fits = dim.is(1) || dim == result[1 - i];
    }
    if (!fits)
      return node.error() << "C, shape " << toString(c)
                          << ", cannot be broadcast to " << toString(result);
  }
  return node.result(node.elementType(0), result);
}

static LogicalResult upgradeGemm(Node &node) {
  node.dropAttr("broadcast");
  return success();
}

void hwgq::onnx::addContraction(std::vector<Operator> &table) {
  table.push_back({"MatMul", {1, 9, 13}, {2, 2}, {1, 1}, {}, inferMatMul});
  table.push_back(
      {"MatMulInteger", {10}, {2, 4}, {1, 1}, {}, inferMatMulInteger});
  table.push_back(
      {"QLinearMatMul", {10, 21}, {8, 8}, {1, 1}, {}, inferQLinearMatMul});
  table.push_back(
      {"Gemm",
       {1, 6, 7, 9, 11, 13},
       {2, 3},
       {1, 1},
       {floatAttr("alpha", 1), floatAttr("beta", 1), intAttr("transA", 0),
        intAttr("transB", 0), legacy("broadcast", Kind::Int)},
       inferGemm,
       upgradeGemm});
}
