//===- BitpackSelectKernels.cpp - kernels and forms of codes --------------===//
//
// Tensors of codes that must have one form (those that pools, pads and
// concatenations join) are a set; a form is chosen for each set, and a kernel
// for each contraction, so that the sum of predicted times is least: kernels,
// epilogues, other ops, and the relayouts where a kernel reads another form
// than the set has. Sets are changed one at a time until nothing gains, from
// all in planes and from what the best kernel of each reads. Of each kernel
// there is one candidate: that with as many groups of channels joined as cost
// least.
//
//===----------------------------------------------------------------------===//
#include "hwgq/Dialect/Kernels.h"
#include "hwgq/Passes.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"
#include <cmath>

namespace hwgq {
#define GEN_PASS_DEF_BITPACKSELECTKERNELS
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;
using namespace hwgq::bitpack;

namespace {

/// Codes that a network computes, as opposed to weights.
bool isActivation(Value value) {
  return isPacked(value.getType()) && !getLayout(value.getType()).getBlock();
}

/// Elements of a tensor at batch 1.
int64_t elementsOf(Value value) {
  int64_t product = 1;
  for (int64_t size : cast<RankedTensorType>(value.getType()).getShape())
    product *= ShapedType::isDynamic(size) ? 1 : size;
  return product;
}

/// Tensors of codes with one form.
struct CodeSet {
  SmallVector<Value> values;
  SetVector<Operation *> ops;    // that make or read one of them
  SetVector<LayoutAttr> layouts; // to choose from, without halo
  LayoutAttr layout;             // chosen
};

class Selection {
public:
  Selection(func::FuncOp function, const KernelTarget &target, StringRef forced)
      : function(function), target(target), forced(forced),
        planes(LayoutAttr::get(function.getContext(), "planes")) {}

  void run() {
    collectSets();
    function.walk([&](Operation *op) {
      if (std::optional<Contraction> c = Contraction::get(op))
        addCandidates(*c);
    });
    double best = descend();
    SmallVector<LayoutAttr> kept;
    for (CodeSet &set : sets)
      kept.push_back(std::exchange(set.layout, preferred(set)));
    if (descend() >= best)
      for (auto [set, layout] : llvm::zip(sets, kept))
        set.layout = layout;
    apply();
  }

  unsigned refused = 0, relayouts = 0;

private:
  //===--------------------------------------------------------------------===//
  // What there is to choose
  //===--------------------------------------------------------------------===//

  void collectSets() {
    llvm::EquivalenceClasses<void *> joined;
    SmallVector<Value> values;
    auto key = [](Value v) { return v.getAsOpaquePointer(); };
    function.walk([&](Operation *op) {
      for (Value result : op->getResults())
        if (isActivation(result)) {
          values.push_back(result);
          joined.insert(key(result));
        }
      if (isa<bitpack::MaxPoolOp, bitpack::PadOp, bitpack::ConcatOp>(op))
        for (Value operand : op->getOperands())
          joined.unionSets(key(op->getResult(0)), key(operand));
    });
    llvm::MapVector<void *, unsigned> numbers;
    for (Value value : values) {
      auto [it, fresh] =
          numbers.insert({joined.getLeaderValue(key(value)), sets.size()});
      if (fresh)
        sets.emplace_back();
      setOf[value] = it->second;
      CodeSet &set = sets[it->second];
      set.values.push_back(value);
      set.ops.insert(value.getDefiningOp());
      for (Operation *user : value.getUsers())
        set.ops.insert(user);
    }
    for (CodeSet &set : sets) {
      set.layout = planes;
      set.layouts.insert(planes);
    }
  }

  /// A constant is packed already.
  static bool isFixed(const CodeSet &set) {
    return llvm::any_of(set.values, [](Value value) {
      return isa<bitpack::ConstantOp>(value.getDefiningOp());
    });
  }

  /// A kernel, and the contraction with as many groups joined as suit it.
  struct Candidate {
    const Kernel *kernel;
    Contraction contraction;
    double cost;     // nanoseconds for one image
    double rank = 0; // what it counts as
  };

  /// Nothing, and a reason, where the kernel takes `c` with no groups joined.
  std::optional<Candidate> getCandidate(const Kernel &kernel,
                                        const Contraction &c,
                                        const char *&reason) const {
    std::optional<Candidate> best;
    for (int64_t count = 1; count <= c.groups; ++count) {
      if (c.groups % count)
        continue;
      std::optional<Contraction> joined = count == 1 ? c : c.join(count);
      if (!joined)
        break;
      const char *why = refusesOn(kernel, *joined, target);
      if (count == 1)
        reason = why;
      double cost = why ? 0 : kernel.cost(*joined, target);
      if (!why && (!best || cost < best->cost))
        best = {&kernel, *joined, cost};
    }
    return best;
  }

  /// A kernel counts as its time; where the batch is dynamic, as the mean over
  /// one image and many of how often it takes the time of the best.
  void rank(MutableArrayRef<Candidate> list) const {
    constexpr int64_t kMany = 64;
    double leastOfMany = HUGE_VAL, least = HUGE_VAL;
    for (Candidate &candidate : list) {
      Contraction many = candidate.contraction;
      many.images = kMany;
      candidate.rank = candidate.kernel->cost(many, target);
      leastOfMany = std::min(leastOfMany, candidate.rank);
      least = std::min(least, candidate.cost);
    }
    double scale = leastOfMany > 0 ? least / leastOfMany : 0;
    for (Candidate &candidate : list)
      candidate.rank = (candidate.cost + candidate.rank * scale) / 2;
  }

  void addCandidates(const Contraction &c) {
    SmallVector<Candidate, 0> &list = candidates[c.op];
    const char *why = nullptr;
    for (bool any : {false, true}) {
      for (const Kernel &kernel : getKernels()) {
        if (!any && forced != "auto" && !kernel.answersTo(forced))
          continue;
        const char *reason = nullptr;
        if (auto candidate = getCandidate(kernel, c, reason))
          list.push_back(*candidate);
        else if (!why)
          why = reason;
      }
      if (!list.empty())
        break;
      ++refused;
      c.op->emitRemark("kernel ") << forced << " not chosen: " << why;
    }
    rank(list);
    // What has a kernel of the GPU stays there.
    auto onGpu = [](const Candidate &candidate) {
      return llvm::is_contained(candidate.kernel->features, "nvptx");
    };
    if (llvm::any_of(list, onGpu))
      llvm::erase_if(list,
                     [&](const Candidate &other) { return !onGpu(other); });
    for (OpOperand *operand : c.activations()) {
      auto set = setOf.find(operand->get());
      if (set == setOf.end() || isFixed(sets[set->second]))
        continue;
      for (const Candidate &candidate : list)
        if (LayoutAttr layout = candidate.kernel->reads(c))
          sets[set->second].layouts.insert(layout);
    }
  }

  //===--------------------------------------------------------------------===//
  // What it costs
  //===--------------------------------------------------------------------===//

  LayoutAttr layoutOf(Value value) const {
    auto found = setOf.find(value);
    return found == setOf.end() ? LayoutAttr() : sets[found->second].layout;
  }

  RankedTensorType typeWith(Value value, LayoutAttr layout) const {
    auto type = cast<RankedTensorType>(value.getType());
    if (!layout)
      return type;
    return RankedTensorType::get(
        type.getShape(), type.getElementType(),
        layout.withHalo(getLayout(type).getHalo().asArrayRef()));
  }

  struct Choice {
    const Candidate *candidate = nullptr;
    double kernelCost = 0, cost = 0; // the latter with relayout and epilogue
  };

  Choice choose(const Contraction &c) const {
    Choice best;
    for (const Candidate &candidate : candidates.find(c.op)->second) {
      LayoutAttr wanted = candidate.kernel->reads(c);
      double all = candidate.rank;
      for (OpOperand *operand : c.activations())
        if (LayoutAttr have = layoutOf(operand->get());
            have && wanted && wanted != have)
          all += relayoutCost(elementsOf(operand->get()), target);
      if (!best.candidate || all < best.cost)
        best = {&candidate, candidate.cost, all};
    }
    auto thresholds =
        c.thresholds ? cast<ShapedType>(c.thresholds.getType()).getDimSize(1)
                     : 0;
    double after = epilogueCost(typeWith(c.result, layoutOf(c.result)),
                                thresholds, elementsOf(c.result), target);
    best.kernelCost += after;
    best.cost += after;
    return best;
  }

  double costOf(Operation *op) const {
    if (std::optional<Contraction> c = Contraction::get(op))
      return choose(*c).cost;
    double vectors = 4.0 / double(target.vectorBytes);
    double cost = 0;
    for (Value operand : op->getOperands())
      if (LayoutAttr layout = layoutOf(operand))
        cost += double(elementsOf(operand)) * vectors *
                (layout.isPlanes() ? 1 : 0.7);
    for (Value result : op->getResults())
      if (LayoutAttr layout = layoutOf(result))
        cost += double(elementsOf(result)) * vectors *
                (layout.isPlanes() ? 1 : 0.9);
    return cost;
  }

  double localCost(const CodeSet &set) const {
    double sum = 0;
    for (Operation *op : set.ops)
      sum += costOf(op);
    return sum;
  }

  //===--------------------------------------------------------------------===//
  // The choice
  //===--------------------------------------------------------------------===//

  /// The layout that the fastest kernel of the set's readers takes.
  LayoutAttr preferred(const CodeSet &set) const {
    LayoutAttr best = planes;
    double most = 0;
    for (Operation *op : set.ops) {
      std::optional<Contraction> c = Contraction::get(op);
      if (!c || llvm::none_of(c->activations(), [&](OpOperand *operand) {
            return llvm::is_contained(set.values, operand->get());
          }))
        continue;
      const Candidate &fastest =
          *llvm::min_element(candidates.find(op)->second,
                             [](auto &a, auto &b) { return a.rank < b.rank; });
      LayoutAttr layout = fastest.kernel->reads(*c);
      if (fastest.rank >= most && set.layouts.contains(layout)) {
        most = fastest.rank;
        best = layout;
      }
    }
    return best;
  }

  /// Changes sets one at a time while that gains; the cost of all ops.
  double descend() {
    constexpr unsigned kRounds = 8;
    bool changed = true;
    for (unsigned round = 0; changed && round < kRounds; ++round) {
      changed = false;
      for (CodeSet &set : sets)
        changed |= improve(set);
    }
    double sum = 0;
    function.walk([&](Operation *op) {
      if (isa<BitpackDialect>(op->getDialect()))
        sum += costOf(op);
    });
    return sum;
  }

  bool improve(CodeSet &set) {
    if (set.layouts.size() < 2)
      return false;
    LayoutAttr before = set.layout, best = before;
    double least = localCost(set);
    for (LayoutAttr layout : set.layouts) {
      set.layout = layout;
      if (double cost = localCost(set); cost < least) {
        least = cost;
        best = layout;
      }
    }
    set.layout = best;
    return best != before;
  }

  void apply() {
    SmallVector<std::pair<Contraction, Choice>, 0> choices;
    function.walk([&](Operation *op) {
      if (std::optional<Contraction> c = Contraction::get(op))
        choices.push_back({*c, choose(*c)});
    });
    for (CodeSet &set : sets)
      for (Value value : set.values)
        value.setType(typeWith(value, set.layout));
    OpBuilder b(function.getContext());
    DenseMap<std::pair<Value, Attribute>, Value> made;
    for (auto &[c, choice] : choices) {
      const auto &[kernel, computed, cost, rank] = *choice.candidate;
      c.op->setAttr("kernel", b.getStringAttr(kernel->name));
      if (computed.joined > 1)
        c.op->setAttr("joined", b.getI64IntegerAttr(computed.joined));
      c.op->setAttr("hwgq.predicted_ns", b.getF64FloatAttr(choice.kernelCost));
      c.op->setAttr("hwgq.ceiling",
                    b.getF64FloatAttr(kernel->ceiling(computed, target)));
      LayoutAttr wanted = kernel->reads(c);
      if (!c.inputCode() || !wanted)
        continue;
      for (OpOperand *operand : c.activations()) {
        Value codes = operand->get();
        RankedTensorType type = typeWith(codes, wanted);
        if (type == codes.getType())
          continue;
        Value &other = made[{codes, wanted}];
        if (!other) {
          ++relayouts;
          b.setInsertionPointAfterValue(codes);
          other = RelayoutOp::create(b, c.op->getLoc(), type, codes);
        }
        operand->set(other);
      }
    }
  }

  func::FuncOp function;
  const KernelTarget &target;
  StringRef forced;
  LayoutAttr planes;
  SmallVector<CodeSet> sets;
  DenseMap<Value, unsigned> setOf;
  DenseMap<Operation *, SmallVector<Candidate, 0>> candidates;
};

struct BitpackSelectKernels
    : hwgq::impl::BitpackSelectKernelsBase<BitpackSelectKernels> {
  using Base::Base;

  void runOnOperation() override {
    auto named = [&](const Kernel &known) { return known.answersTo(kernel); };
    if (kernel != "auto" && llvm::none_of(getKernels(), named)) {
      InFlightDiagnostic error = getOperation().emitError("no kernel is named ")
                                 << kernel << "; there are auto";
      for (const Kernel &known : getKernels())
        error << ", " << known.name;
      return signalPassFailure();
    }
    std::string forced = kernel;
    KernelTarget target = KernelTarget::get(
        SmallVector<std::string>(targetFeatures.begin(), targetFeatures.end()));
    Selection selection(getOperation(), target, forced);
    selection.run();
    refused += selection.refused;
    relayouts += selection.relayouts;
  }
};

} // namespace
