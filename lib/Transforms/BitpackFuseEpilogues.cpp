//===- BitpackFuseEpilogues.cpp - groups computed in one loop -------------===//
#include "hwgq/Conversion/TensorToLoops.h"
#include "hwgq/Dialect/Kernels.h"
#include "hwgq/Passes.h"
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace hwgq {
#define GEN_PASS_DEF_BITPACKFUSEEPILOGUES
#include "hwgq/Passes.h.inc"
} // namespace hwgq

using namespace mlir;
using namespace hwgq;

namespace {

using Group = SetVector<Operation *>;

ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

bool isElement(Type type) { return type.isF32() || type.isInteger(32); }

bool isContractionOrPool(Operation *op) {
  return isa<bitpack::Conv2DOp, bitpack::MatMulOp, bitpack::ProductOp,
             bitpack::AvgPoolOp, hwgq::MaxPoolOp, hwgq::AvgPoolOp>(op);
}

/// Also what an image of the user may hold.
bool isOperand(Type type) {
  return isElement(type) || type.isInteger(8) || type.isInteger(16);
}

/// Results are plain f32 or i32, so that element-wise ops may follow.
bool isRoot(Operation *op) {
  return isContractionOrPool(op) &&
         isElement(getElementTypeOrSelf(op->getResult(0).getType()));
}

/// A generic that computes each element of its results from the elements of
/// its inputs at the same place, broadcast along any dimensions.
bool isPointwise(linalg::GenericOp op) {
  if (op.getNumParallelLoops() != op.getNumLoops() || op.getNumLoops() == 0)
    return false;
  if (!llvm::all_of(
          op->getResultTypes(),
          [](Type t) { return isElement(getElementTypeOrSelf(t)); }) ||
      !llvm::all_of(TypeRange(op.getInputs()),
                    [](Type t) { return isOperand(getElementTypeOrSelf(t)); }))
    return false;
  int64_t rank = op.getNumLoops();
  for (OpOperand &init : op.getDpsInitsMutable())
    if (!op.getMatchingIndexingMap(&init).isIdentity() ||
        op.payloadUsesValueFromOperand(&init))
      return false;
  for (OpOperand *input : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(input);
    if (!isa<RankedTensorType>(input->get().getType()))
      return false;
    int64_t last = -1;
    for (auto [size, expr] :
         llvm::zip(shapeOf(input->get()), map.getResults())) {
      if (isa<AffineConstantExpr>(expr) && size == 1)
        continue;
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || int64_t(dim.getPosition()) <= last)
        return false;
      last = dim.getPosition();
    }
    // Of ranks that images fold, whole tensors and channels are read.
    if (rank != 4 && rank != 2 && !map.isIdentity() &&
        !(map.getNumResults() == 0 ||
          (map.getNumResults() == 1 && last == rank - 1)))
      return false;
    // Channels are the innermost dimension of what depends on them.
    if (last == rank - 1 && !isa<AffineDimExpr>(map.getResults().back()))
      return false;
  }
  return hasVectorBody(op);
}

/// Whether a task can compute a part of the only result of `op`: each element
/// by itself, of images or rows of static size.
bool isMadeInParts(linalg::GenericOp op) {
  if (op->getNumResults() != 1 || op.getNumLoops() < 2 ||
      op.getNumParallelLoops() != op.getNumLoops())
    return false;
  OpOperand *init = op.getDpsInitOperand(0);
  ArrayRef<int64_t> shape = shapeOf(op.getResult(0));
  return isElement(getElementTypeOrSelf(op.getResult(0))) &&
         op.getMatchingIndexingMap(init).isIdentity() &&
         !op.payloadUsesValueFromOperand(init) &&
         !ShapedType::isDynamicShape(shape.drop_front()) && hasVectorBody(op);
}

/// Whether rows of the result are what follows the first dimension.
bool keepsBatch(tensor::CollapseShapeOp op) {
  SmallVector<ReassociationIndices> groups = op.getReassociationIndices();
  return groups.size() == 2 &&
         llvm::all_of(ArrayRef(groups.front()).drop_front(), [&](int64_t d) {
           return op.getSrcType().getDimSize(d) == 1;
         });
}

/// Bytes of a tensor of 32-bit elements.
double bytesOf(ArrayRef<int64_t> shape) {
  double bytes = 4;
  for (int64_t size : shape)
    bytes *= double(size);
  return bytes;
}

/// Whether memory of a task holds `rows` times the dimensions `row`.
bool fitsTask(int64_t rows, ArrayRef<int64_t> row) {
  return double(rows) * bytesOf(row) <= double(bitpack::kTaskBytes);
}

/// Whether the `f32` kernel computes a contraction.
bool hasFloatKernel(Operation *op) {
  auto kernel = op->getAttrOfType<StringAttr>("kernel");
  return kernel && kernel.getValue() == "f32";
}

/// An image turned to channels last, from rows of its width.
bool isTurnedImage(linalg::GenericOp op) {
  if (op.getNumLoops() != 4 || !isMadeInParts(op) ||
      !fitsTask(1, shapeOf(op.getResult(0)).take_back(2)))
    return false;
  bool turned = false;
  for (OpOperand *input : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(input);
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return false;
    bool reads = map.isFunctionOfDim(3) && map.getNumResults() > 1;
    if (!reads || map.getResult(map.getNumResults() - 1).isFunctionOfDim(3))
      continue;
    if (!map.getResult(map.getNumResults() - 1).isFunctionOfDim(2))
      return false;
    turned = true;
  }
  return turned;
}

/// Whether `op` works element by element on tensors of `shape`.
bool isPointwise(Operation *op, ArrayRef<int64_t> shape) {
  if (op->getNumResults() == 0 ||
      !isa<RankedTensorType>(op->getResult(0).getType()) ||
      shapeOf(op->getResult(0)) != shape || // of a known number of channels
      (!shape.empty() && ShapedType::isDynamic(shape.back())))
    return false;
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return isPointwise(generic);
  if (isa<hwgq::AffineOp, bitpack::ThresholdOp>(op))
    return isElement(getElementTypeOrSelf(op->getOperand(0).getType()));
  return isa<bitpack::QuantizeOp>(op);
}

class Fuser {
public:
  explicit Fuser(Block &block) : block(block) {
    for (auto [i, op] : llvm::enumerate(block))
      position[&op] = i;
  }

  void run() {
    for (Operation &op : block)
      if (auto dim = dyn_cast<tensor::DimOp>(op))
        askEarlier(dim);
    SmallVector<Operation *> roots, others;
    for (Operation &op : block)
      (isRoot(&op) ? roots : others).push_back(&op);
    for (Operation *op : llvm::concat<Operation *>(roots, others))
      if (!groupOf.contains(op) &&
          (isRoot(op) || (op->getNumResults() == 1 && isSeed(op))))
        grow(op);
    SmallVector<bitpack::FusedOp> fused;
    for (auto [group, inner] : llvm::zip(groups, innerOf))
      fused.push_back(fuse(group, inner ? fused[*inner] : nullptr));
    sortTopologically(&block);
  }

  unsigned numGroups = 0, numMembers = 0;

private:
  /// Takes a batch from the first tensor of a chain that has it, so that nobody
  /// needs a value in the middle of a group for its size.
  static void askEarlier(tensor::DimOp dim) {
    std::optional<int64_t> index = dim.getConstantIndex();
    auto keepsSize = [&](Operation *op) {
      return op && (isa<hwgq::AffineOp>(op) ||
                    (isContractionOrPool(op) && index == 0));
    };
    Value source = dim.getSource();
    while (keepsSize(source.getDefiningOp()))
      source = source.getDefiningOp()->getOperand(0);
    dim.getSourceMutable().assign(source);
  }

  /// Element-wise work that no contraction or pool precedes; its loops are
  /// those of an operand, or a turned or a flattened image begins it.
  static bool isSeed(Operation *op) {
    if (isa<hwgq::AffineOp>(op))
      return isPointwise(op, shapeOf(op->getResult(0)));
    if (auto flat = dyn_cast<tensor::CollapseShapeOp>(op))
      return keepsBatch(flat) && isElement(flat.getSrcType().getElementType());
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic || !isPointwise(op, shapeOf(op->getResult(0))))
      return generic && isTurnedImage(generic);
    return llvm::any_of(generic.getInputs(), [&](Value input) {
      return shapeOf(input) == shapeOf(op->getResult(0));
    });
  }

  void grow(Operation *first) {
    ArrayRef<int64_t> shape = shapeOf(first->getResult(0));
    Group group;
    group.insert(first);
    for (size_t i = 0; i < group.size(); ++i) { // grows
      SetVector<Operation *> users(group[i]->user_begin(),
                                   group[i]->user_end());
      SmallVector<Operation *> order(users.begin(), users.end());
      llvm::sort(order, [&](Operation *a, Operation *b) {
        return position.lookup(a) < position.lookup(b);
      });
      for (Operation *user : order)
        if (user->getBlock() == &block && !groupOf.contains(user) &&
            !group.contains(user) && isPointwise(user, shape) &&
            readsNothingBehind(user, group))
          group.insert(user);
    }
    SmallVector<Operation *> producer = findProducer(first);
    std::optional<unsigned> inner = findPooled(first);
    bool flat = isa<tensor::CollapseShapeOp>(first);
    if (flat && (producer.empty() || group.size() < 2))
      return;
    group.insert(producer.begin(), producer.end());
    if (group.size() < 2 && !inner)
      return;
    for (Operation *op : group)
      groupOf[op] = groups.size();
    unsigned last = 0;
    for (Operation *op : group)
      last = std::max(last, position.lookup(op));
    lastOf.push_back(last);
    innerOf.push_back(inner);
    groups.push_back(std::move(group));
  }

  /// The group of a convolution of floats that a pool reads, and nobody else,
  /// where its result would have left the near caches before it is read.
  std::optional<unsigned> findPooled(Operation *pool) {
    constexpr double kNear = 1 << 20; // bytes
    if (!isa<hwgq::MaxPoolOp, hwgq::AvgPoolOp>(pool))
      return std::nullopt;
    Operation *last = pool->getOperand(0).getDefiningOp();
    auto found = last ? groupOf.find(last) : groupOf.end();
    if (found == groupOf.end() || !last->hasOneUse())
      return std::nullopt;
    const Group &group = groups[found->second];
    if (!isa<bitpack::Conv2DOp>(group.front()) ||
        !hasFloatKernel(group.front()))
      return std::nullopt;
    auto isInside = [&](Operation *user) { return group.contains(user); };
    for (Operation *op : group)
      if (op != last && !llvm::all_of(op->getUsers(), isInside))
        return std::nullopt;
    if (bytesOf(shapeOf(last->getResult(0)).drop_front()) <= kNear)
      return std::nullopt;
    return found->second;
  }

  /// The element-wise op that makes the input of a contraction or pool of
  /// floats, or of a flattening, and nothing else, and what flattens it.
  SmallVector<Operation *> findProducer(Operation *root) {
    SmallVector<Operation *> ops;
    Value input = root->getOperand(0);
    if (auto flat = input.getDefiningOp<tensor::CollapseShapeOp>();
        flat && isa<bitpack::MatMulOp>(root) && keepsBatch(flat)) {
      ops.push_back(flat);
      input = flat.getSrc();
    }
    auto producer = input.getDefiningOp<linalg::GenericOp>();
    if (!producer || !isMadeInParts(producer) || !takesParts(root, producer))
      return {};
    ops.push_back(producer);
    for (Operation *op : ops)
      if (op->getBlock() != &block || groupOf.contains(op) ||
          !op->getResult(0).hasOneUse())
        return {};
    return ops;
  }

  /// Whether tasks of `root` can make what they read of its input, and little
  /// of it twice; convolutions may make all of it first.
  static bool takesParts(Operation *root, linalg::GenericOp producer) {
    constexpr size_t kFewOps = 8;
    ArrayRef<int64_t> shape = shapeOf(producer.getResult(0));
    bool floats = hasFloatKernel(root);
    if (isa<tensor::CollapseShapeOp>(root))
      return fitsTask(1, shape.drop_front());
    if (isa<bitpack::Conv2DOp>(root))
      return floats && shape.size() == 4;
    if (producer.getBody()->getOperations().size() > kFewOps)
      return false;
    if (isa<bitpack::MatMulOp>(root))
      return floats && fitsTask(1, shape.drop_front());
    return llvm::TypeSwitch<Operation *, bool>(root)
        .Case<hwgq::MaxPoolOp, hwgq::AvgPoolOp>([&](auto pool) {
          int64_t rows = (pool.getKernel()[0] - 1) * pool.getDilations()[0] + 1;
          return (rows <= 2 * pool.getStrides()[0] ||
                  shapeOf(pool.getResult())[1] == 1) &&
                 fitsTask(rows, shape.take_back(2));
        })
        .Default(false);
  }

  /// Whether `op`, or the group that it is in, may depend on ops from position
  /// `first` on.
  bool reaches(Operation *op, unsigned first) const {
    auto found = groupOf.find(op);
    return position.lookup(op) >= first ||
           (found != groupOf.end() && lastOf[found->second] >= first);
  }

  /// No operand of `op` from outside the group depends on the group.
  bool readsNothingBehind(Operation *op, const Group &group) {
    unsigned first = position.lookup(group.front());
    SmallVector<Operation *> worklist;
    DenseSet<Operation *> seen;
    auto visit = [&](Operation *user) {
      user->walk([&](Operation *inner) {
        for (Value operand : inner->getOperands()) {
          Operation *def = operand.getDefiningOp();
          if (!def || def->getBlock() != &block || !reaches(def, first) ||
              (user == op && group.contains(def)))
            continue;
          if (seen.insert(def).second)
            worklist.push_back(def);
        }
      });
    };
    visit(op);
    while (!worklist.empty()) {
      Operation *def = worklist.pop_back_val();
      if (group.contains(def))
        return false;
      visit(def);
      // What a group computes, it computes at once.
      if (auto found = groupOf.find(def); found != groupOf.end())
        for (Operation *member : groups[found->second])
          if (seen.insert(member).second)
            worklist.push_back(member);
    }
    return true;
  }

  /// Makes an op of a group, and of the one whose result its pool reads.
  bitpack::FusedOp fuse(Group &group, bitpack::FusedOp inner) {
    SmallVector<Operation *> members(group.begin(), group.end());
    if (inner)
      members.push_back(inner);
    llvm::sort(members, [&](Operation *a, Operation *b) {
      return position.lookup(a) < position.lookup(b);
    });
    SmallVector<Value> results;
    for (Operation *op : members)
      for (Value result : op->getResults())
        if (llvm::any_of(result.getUsers(), [&](Operation *user) {
              return !group.contains(user);
            }))
          results.push_back(result);
    OpBuilder b(members.back());
    Location loc = inner ? inner.getLoc() : group.front()->getLoc();
    auto fused =
        bitpack::FusedOp::create(b, loc, TypeRange(ValueRange(results)));
    Block *body = b.createBlock(&fused.getBody());
    for (auto [value, result] : llvm::zip(results, fused.getResults()))
      value.replaceUsesWithIf(result, [&](OpOperand &use) {
        return !group.contains(use.getOwner());
      });
    for (Operation *op : members)
      op->moveBefore(body, body->end());
    b.setInsertionPointToEnd(body);
    bitpack::YieldOp::create(b, loc, results);
    position[fused] = position.lookup(members.back());
    ++numGroups;
    numMembers += members.size();
    return fused;
  }

  Block &block;
  DenseMap<Operation *, unsigned> position;
  DenseMap<Operation *, unsigned> groupOf; // of finished groups
  SmallVector<Group> groups;
  SmallVector<unsigned> lastOf; // position of each group's last op
  SmallVector<std::optional<unsigned>> innerOf; // groups that they pool
};

struct BitpackFuseEpilogues
    : hwgq::impl::BitpackFuseEpiloguesBase<BitpackFuseEpilogues> {
  void runOnOperation() override {
    if (!llvm::hasSingleElement(getOperation().getBody()))
      return;
    Fuser fuser(getOperation().getBody().front());
    fuser.run();
    groups += fuser.numGroups;
    members += fuser.numMembers;
  }
};

} // namespace
