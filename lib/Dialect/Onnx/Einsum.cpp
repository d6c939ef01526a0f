//===- Einsum.cpp - Einstein summation ------------------------------------===//
//
// Of two operands: indices of one alone that the result lacks are summed first.
// What is left of both is a batch (in the result), summed (not in it), or of
// one operand alone: MatMul on [batch.., rows, sums] and [batch.., sums,
// columns]; Mul where nothing is summed.
//
//===----------------------------------------------------------------------===//
#include "Node.h"

using namespace hwgq::onnx;
using llvm::is_contained;
using llvm::StringRef;
using mlir::failure;
using mlir::success;

namespace {

/// One for each dimension: a letter, or -1, -2, .. from the last dimension of
/// the ellipsis on.
using Indices = llvm::SmallVector<int>;

/// A value, what its dimensions are, and their sizes.
struct Term {
  Value value;
  Indices indices;
  Shape shape;
};

/// Lists one after another.
template <typename T>
T joined(std::initializer_list<llvm::ArrayRef<typename T::value_type>> parts) {
  T all;
  for (auto part : parts)
    llvm::append_range(all, part);
  return all;
}

class Einsum {
public:
  explicit Einsum(Node &node) : node(node) {}

  LogicalResult rewrite() {
    if (failed(parse()))
      return failure();
    for (Term &term : terms)
      sumAlone(term);
    FailureOr<Term> y = terms.size() == 1 ? terms[0] : combine();
    if (failed(y))
      return failure();
    return node.replace(ordered(*y, result).value);
  }

private:
  //===--------------------------------------------------------------------===//
  // The equation
  //===--------------------------------------------------------------------===//

  LogicalResult parse() {
    std::string equation = node.getString("equation").str();
    llvm::erase(equation, ' ');
    size_t arrow = StringRef(equation).find("->");
    llvm::SmallVector<StringRef> inputs;
    StringRef(equation).take_front(arrow).split(inputs, ',');
    if (inputs.size() != node.numInputs())
      return node.error() << "has " << node.numInputs() << " operands where '"
                          << equation << "' names " << inputs.size();
    if (inputs.size() > 2)
      return node.error() << "of more than two operands is not supported; "
                             "write it as several";
    for (auto [i, input] : llvm::enumerate(inputs))
      if (failed(parseInput(i, input)))
        return failure();
    if (arrow == StringRef::npos)
      return deduceResult(), success();
    FailureOr<Indices> indices =
        parseIndices(StringRef(equation).drop_front(arrow + 2), dots);
    if (failed(indices))
      return failure();
    result = *indices;
    for (int index : result)
      if (!sizes.count(index))
        return node.error()
               << "'" << equation << "': no operand has an index of the result";
    return success();
  }

  LogicalResult parseInput(unsigned i, StringRef text) {
    int64_t letters = llvm::count_if(text, llvm::isAlpha);
    int64_t hidden = node.rank(i) - letters;
    bool open = text.contains("...");
    if (hidden < 0 || (hidden > 0 && !open))
      return node.error() << "input " << i << ", shape "
                          << toString(node.shape(i)) << ", does not fit '"
                          << text << "'";
    FailureOr<Indices> indices = parseIndices(text, hidden);
    if (failed(indices))
      return failure();
    dots = std::max(dots, open ? hidden : 0);
    terms.push_back({node.input(i), *indices, node.shape(i)});
    for (auto [index, size] : llvm::zip(*indices, node.shape(i))) {
      auto [known, fresh] = sizes.insert({index, size});
      if (fresh || known->second == size)
        continue;
      if (index > 0 || (!known->second.is(1) && !size.is(1)))
        return node.error() << "sizes of one index differ: "
                            << toString({known->second, size});
      if (known->second.is(1))
        known->second = size;
    }
    return success();
  }

  FailureOr<Indices> parseIndices(StringRef text, int64_t hidden) {
    Indices indices;
    StringRef rest = text;
    while (!rest.empty()) {
      if (rest.consume_front("...")) {
        for (int64_t i = hidden; i > 0; --i)
          indices.push_back(-int(i));
        continue;
      }
      if (!llvm::isAlpha(rest.front()))
        return node.error() << "'" << text << "' is no list of indices",
               failure();
      indices.push_back(rest.front());
      rest = rest.drop_front();
    }
    llvm::SmallDenseSet<int> seen(indices.begin(), indices.end());
    if (seen.size() != indices.size())
      return node.error() << "'" << text
                          << "' has an index twice, which is not supported",
             failure();
    return indices;
  }

  /// Without an arrow: the ellipsis, then indices that occur once, sorted.
  void deduceResult() {
    for (auto &entry : sizes) {
      int index = entry.first;
      if (index < 0 || llvm::count_if(
                           terms,
                           [&](const Term &term) {
                             return is_contained(term.indices, index);
                           }) == 1)
        result.push_back(index);
    }
  }

  //===--------------------------------------------------------------------===//
  // Nodes
  //===--------------------------------------------------------------------===//

  /// Sums over what only `term` has.
  void sumAlone(Term &term) {
    llvm::SmallVector<int64_t> axes;
    Term left;
    for (size_t axis = 0; axis < term.indices.size(); ++axis) {
      int index = term.indices[axis];
      bool stays =
          is_contained(result, index) ||
          llvm::any_of(terms, [&](const Term &other) {
            return &other != &term && is_contained(other.indices, index);
          });
      if (stays) {
        left.indices.push_back(index);
        left.shape.push_back(term.shape[axis]);
      } else {
        axes.push_back(axis);
      }
    }
    if (axes.empty())
      return;
    left.value = node.create("ReduceSum", {term.value, node.constantInts(axes)},
                             {node.attr("keepdims", int64_t(0))});
    term = left;
  }

  /// A term with its dimensions in another order.
  Term ordered(const Term &term, llvm::ArrayRef<int> order) {
    llvm::SmallVector<int64_t> perm;
    Term moved{term.value, Indices(order), {}};
    for (int index : order) {
      perm.push_back(llvm::find(term.indices, index) - term.indices.begin());
      moved.shape.push_back(term.shape[perm.back()]);
    }
    if (!llvm::is_sorted(perm))
      moved.value = node.transpose(term.value, perm);
    return moved;
  }

  Value reshaped(const Term &term, const Shape &shape) {
    return shape == term.shape ? term.value : node.reshape(term.value, shape);
  }

  FailureOr<Term> combine() {
    Indices batch, rows, columns, sums;
    auto has = [&](int term, int index) {
      return is_contained(terms[term].indices, index);
    };
    for (int index : result)
      (!has(1, index)  ? rows
       : has(0, index) ? batch
                       : columns)
          .push_back(index);
    for (int index : terms[0].indices)
      if (!is_contained(result, index))
        sums.push_back(index);
    Term x = ordered(terms[0], joined<Indices>({batch, rows, sums}));
    Term w = ordered(terms[1], joined<Indices>({batch, sums, columns}));
    Term y{{}, joined<Indices>({batch, rows, columns}), {}};
    for (int index : y.indices)
      y.shape.push_back(sizes[index]);
    auto both = [&](llvm::ArrayRef<Dim> xTail, llvm::ArrayRef<Dim> wTail) {
      size_t lead = batch.size();
      return llvm::SmallVector<Value>{
          reshaped(x, joined<Shape>(
                          {llvm::ArrayRef(x.shape).take_front(lead), xTail})),
          reshaped(w, joined<Shape>(
                          {llvm::ArrayRef(w.shape).take_front(lead), wTail}))};
    };
    auto xTail = llvm::ArrayRef(x.shape).drop_front(batch.size());
    auto wTail = llvm::ArrayRef(w.shape).drop_front(batch.size());
    if (sums.empty()) {
      y.value = node.create(
          "Mul", both(joined<Shape>({xTail, Shape(columns.size(), Dim(1))}),
                      joined<Shape>({Shape(rows.size(), Dim(1)), wTail})));
      return y;
    }
    auto xSums = xTail.drop_front(rows.size());
    auto wSums = wTail.take_front(sums.size());
    auto m = product(xTail.take_front(rows.size())), k = product(xSums),
         n = product(wTail.drop_front(sums.size()));
    if (!m || !k || !n || xSums != wSums)
      return node.error() << "has sizes that make no matrices: "
                          << toString(x.shape) << " and " << toString(w.shape),
             failure();
    Term flat{node.create("MatMul", both({*m, *k}, {*k, *n})), {}, {}};
    flat.shape = joined<Shape>(
        {llvm::ArrayRef(y.shape).take_front(batch.size()), {*m, *n}});
    y.value = reshaped(flat, y.shape);
    return y;
  }

  Node &node;
  llvm::SmallVector<Term> terms;
  Indices result;
  int64_t dots = 0;
  std::map<int, Dim> sizes; // of each index; the larger ones of an ellipsis
};

} // namespace

/// See the head of this file.
static LogicalResult upgradeEinsum(Node &node) {
  for (unsigned i = 1; i < node.numInputs(); ++i)
    if (failed(node.requireSameType(0, i)))
      return failure();
  return Einsum(node).rewrite();
}

void hwgq::onnx::addEinsum(std::vector<Operator> &table) {
  table.push_back({"Einsum",
                   {12},
                   {1, Operator::kVariadic},
                   {1, 1},
                   {required("equation", AttributeKind::String)},
                   nullptr,
                   upgradeEinsum});
}
