//===- PieceAnalysis.cpp - directions of one piece of the line ------------===//
//
// Rounding to nearest is monotone, so that a correctly rounded op moves as the
// real function does; the rules below are those of the real functions, with
// infinities kept apart where they could make a NaN.
//
//===----------------------------------------------------------------------===//
#include "PieceAnalysis.h"

using namespace mlir;
using namespace hwgq;

static Direction flip(Direction d) {
  return d == Direction::Rising    ? Direction::Falling
         : d == Direction::Falling ? Direction::Rising
                                   : d;
}

static int sign(double value) { return value > 0 ? 1 : value < 0 ? -1 : 0; }

/// By value where both are integers, which float64 cannot always tell apart.
static int order(const Scalar &a, const Scalar &b) {
  if (a.kind == Scalar::Kind::Int && b.kind == Scalar::Kind::Int)
    return a.i < b.i ? -1 : a.i > b.i;
  return sign(toDouble(a) - toDouble(b)) ? sign(toDouble(a) - toDouble(b))
         : toDouble(a) < toDouble(b)     ? -1
                                         : toDouble(a) > toDouble(b);
}

static bool isInfinite(const Fact &fact) {
  return std::isinf(toDouble(fact.low)) || std::isinf(toDouble(fact.high));
}

//===----------------------------------------------------------------------===//
// Splitting
//===----------------------------------------------------------------------===//

int64_t PieceAnalysis::bisect(llvm::function_ref<int(int64_t)> classAt) {
  int64_t same = first, other = last;
  int reference = classAt(first);
  while (other - same > 1) {
    int64_t middle = same + (other - same) / 2;
    (classAt(middle) == reference ? same : other) = middle;
  }
  return other;
}

std::optional<int>
PieceAnalysis::classify(unsigned node,
                        llvm::function_ref<int(const Scalar &)> classOf) {
  const Fact &fact = facts[node];
  int low = classOf(fact.low);
  if (fact.isConstant() || low == classOf(fact.high))
    return low;
  split = bisect([&](int64_t index) {
    return classOf(function.evaluate(domain.at(index), row, node));
  });
  return std::nullopt;
}

std::optional<int> PieceAnalysis::compare(unsigned a, unsigned b) {
  int low = order(facts[a].low, facts[b].low);
  if (low == order(facts[a].high, facts[b].high))
    return low;
  split = bisect([&](int64_t index) {
    Scalar x = domain.at(index);
    return order(function.evaluate(x, row, a), function.evaluate(x, row, b));
  });
  return std::nullopt;
}

std::optional<int> PieceAnalysis::signOf(unsigned node) {
  return classify(node, [](const Scalar &v) { return sign(toDouble(v)); });
}

std::optional<int> PieceAnalysis::magnitudeClass(unsigned node) {
  return classify(node, [](const Scalar &v) {
    double d = toDouble(v);
    return 2 + sign(d) * (std::isinf(d) ? 2 : 1);
  });
}

PieceAnalysis::Rule PieceAnalysis::combine(Direction a, Direction b) {
  if (a == b || b == Direction::Constant)
    return a;
  if (a == Direction::Constant)
    return b;
  return fail("two operands move the result in opposite directions");
}

//===----------------------------------------------------------------------===//
// Float arithmetic
//===----------------------------------------------------------------------===//

PieceAnalysis::Rule PieceAnalysis::add(unsigned a, unsigned b, bool negateB) {
  // Only opposite infinities make a NaN.
  if (isInfinite(facts[a]) && isInfinite(facts[b])) {
    std::optional<int> ca = magnitudeClass(a), cb;
    if (!ca || !(cb = magnitudeClass(b)))
      return std::nullopt;
    bool infinite = (*ca == 0 || *ca == 4) && (*cb == 0 || *cb == 4);
    if (infinite)
      return Direction::Constant;
  }
  Direction db = facts[b].direction;
  return combine(facts[a].direction, negateB ? flip(db) : db);
}

PieceAnalysis::Rule PieceAnalysis::multiply(unsigned a, unsigned b,
                                            bool reciprocalB) {
  auto plain = [&](unsigned x) { // a finite constant other than 0
    double v = toDouble(facts[x].low);
    return facts[x].isConstant() && std::isfinite(v) && v != 0;
  };
  auto scaled = [&](unsigned x, unsigned factor) {
    Direction d = facts[x].direction;
    return toDouble(facts[factor].low) < 0 ? flip(d) : d;
  };
  if (plain(b))
    return scaled(a, b);
  if (plain(a) && !reciprocalB)
    return scaled(b, a);
  std::optional<int> ca = magnitudeClass(a), cb;
  if (!ca || !(cb = magnitudeClass(b)))
    return std::nullopt;
  // 0 and infinity leave only signs and NaN.
  if (reciprocalB && *cb == 2 && !facts[b].isConstant())
    return fail("a division by 0 of changing sign");
  auto moving = [](int c) { return c == 1 || c == 3; };
  if (!moving(*ca) || !moving(*cb))
    return Direction::Constant;
  Direction ma = *ca == 1 ? flip(facts[a].direction) : facts[a].direction;
  Direction mb = *cb == 1 ? flip(facts[b].direction) : facts[b].direction;
  Rule magnitude = combine(ma, reciprocalB ? flip(mb) : mb);
  if (!magnitude)
    return std::nullopt;
  return *ca == *cb ? *magnitude : flip(*magnitude);
}

PieceAnalysis::Rule PieceAnalysis::extremum(unsigned a, unsigned b,
                                            bool maximum) {
  const Fact &fa = facts[a], &fb = facts[b];
  if (fa.isConstant() || fb.isConstant() || fa.direction == fb.direction)
    return combine(a, b);
  std::optional<int> c = compare(a, b);
  if (!c)
    return std::nullopt;
  return facts[(*c > 0) == maximum ? a : b].direction;
}

PieceAnalysis::Rule PieceAnalysis::absolute(unsigned a) {
  auto c = classify(a, [](const Scalar &v) { return toDouble(v) < 0; });
  if (!c)
    return std::nullopt;
  return *c ? flip(facts[a].direction) : facts[a].direction;
}

PieceAnalysis::Rule PieceAnalysis::copySign(unsigned magnitude, unsigned s) {
  auto negative = classify(
      s, [](const Scalar &v) { return int(std::signbit(toDouble(v))); });
  if (!negative)
    return std::nullopt;
  Rule d = absolute(magnitude);
  if (!d)
    return std::nullopt;
  return *negative ? flip(*d) : *d;
}

/// Whether a predicate holds of (less, equal, greater); nothing for those that
/// look at NaN only.
static std::optional<std::array<bool, 3>>
outcomes(arith::CmpFPredicate predicate) {
  using P = arith::CmpFPredicate;
  switch (predicate) {
  case P::OEQ:
  case P::UEQ:
    return {{false, true, false}};
  case P::OGT:
  case P::UGT:
    return {{false, false, true}};
  case P::OGE:
  case P::UGE:
    return {{false, true, true}};
  case P::OLT:
  case P::ULT:
    return {{true, false, false}};
  case P::OLE:
  case P::ULE:
    return {{true, true, false}};
  case P::ONE:
  case P::UNE:
    return {{true, false, true}};
  default:
    return std::nullopt;
  }
}

PieceAnalysis::Rule PieceAnalysis::compareFloats(arith::CmpFPredicate predicate,
                                                 unsigned a, unsigned b) {
  auto outcome = outcomes(predicate);
  if (!outcome || isNaN(facts[a].low) || isNaN(facts[b].low))
    return Direction::Constant; // operands that move are not NaN
  Rule difference = combine(facts[a].direction, flip(facts[b].direction));
  if (!difference)
    return std::nullopt;
  bool less = (*outcome)[0], equal = (*outcome)[1], greater = (*outcome)[2];
  if (less == greater && less != equal) {
    if (!compare(a, b))
      return std::nullopt;
    return Direction::Constant;
  }
  return greater ? *difference : flip(*difference);
}

PieceAnalysis::Rule PieceAnalysis::select(unsigned condition, unsigned a,
                                          unsigned b) {
  const Fact &c = facts[condition], &fa = facts[a], &fb = facts[b];
  if (c.isConstant())
    return facts[c.low.i ? a : b].direction;
  bool plain =
      fa.isConstant() && fb.isConstant() && !isNaN(fa.low) && !isNaN(fb.low);
  if (!plain) {
    classify(condition, [](const Scalar &v) { return int(v.i != 0); });
    return std::nullopt;
  }
  int difference = order(fa.low, fb.low);
  if (difference == 0)
    return Direction::Constant;
  return difference > 0 ? c.direction : flip(c.direction);
}

PieceAnalysis::Rule PieceAnalysis::visitFloat(Operation *op,
                                              ArrayRef<unsigned> x) {
  auto nan = [&](unsigned i) { return isNaN(facts[x[i]].low); };
  if (isa<arith::MaxNumFOp, arith::MinNumFOp>(op) && (nan(0) || nan(1)))
    return facts[x[nan(0) ? 1 : 0]].direction;
  for (unsigned i = 0; i < x.size(); ++i)
    if (!isa<arith::SelectOp, arith::CmpFOp, math::CopySignOp>(op) && nan(i))
      return Direction::Constant; // NaN, whatever the others are
  using R = Rule;
  return llvm::TypeSwitch<Operation *, R>(op)
      .Case([&](arith::AddFOp) { return add(x[0], x[1], false); })
      .Case([&](arith::SubFOp) { return add(x[0], x[1], true); })
      .Case([&](arith::MulFOp) { return multiply(x[0], x[1], false); })
      .Case([&](arith::DivFOp) { return multiply(x[0], x[1], true); })
      .Case<arith::MaximumFOp, arith::MaxNumFOp>(
          [&](auto) { return extremum(x[0], x[1], true); })
      .Case<arith::MinimumFOp, arith::MinNumFOp>(
          [&](auto) { return extremum(x[0], x[1], false); })
      .Case([&](arith::NegFOp) { return R(flip(facts[x[0]].direction)); })
      .Case<math::FloorOp, math::CeilOp, math::RoundEvenOp, math::RoundOp,
            math::TruncOp, arith::ExtFOp, arith::TruncFOp>(
          [&](auto) { return R(facts[x[0]].direction); })
      .Case([&](math::AbsFOp) { return absolute(x[0]); })
      .Case([&](math::CopySignOp) { return copySign(x[0], x[1]); })
      .Case([&](math::SqrtOp) -> R {
        auto c =
            classify(x[0], [](const Scalar &v) { return toDouble(v) < 0; });
        if (!c)
          return std::nullopt;
        return *c ? Direction::Constant : facts[x[0]].direction;
      })
      .Case([&](arith::CmpFOp compare) {
        return compareFloats(compare.getPredicate(), x[0], x[1]);
      })
      .Default([&](Operation *) {
        return fail("'" + op->getName().getStringRef() +
                    "' is not known to be monotone");
      });
}

//===----------------------------------------------------------------------===//
// Integers and casts
//===----------------------------------------------------------------------===//

PieceAnalysis::Rule
PieceAnalysis::compareIntegers(arith::CmpIPredicate predicate, unsigned a,
                               unsigned b) {
  using P = arith::CmpIPredicate;
  if (predicate >= P::ult) { // by the top bit first
    std::optional<int> sa, sb;
    auto negative = [](const Scalar &v) { return int(v.i < 0); };
    if (!(sa = classify(a, negative)) || !(sb = classify(b, negative)))
      return std::nullopt;
    if (*sa != *sb)
      return Direction::Constant;
  }
  Rule difference = combine(facts[a].direction, flip(facts[b].direction));
  if (!difference)
    return std::nullopt;
  switch (predicate) {
  case P::eq:
  case P::ne:
    if (!compare(a, b))
      return std::nullopt;
    return Direction::Constant;
  case P::sgt:
  case P::sge:
  case P::ugt:
  case P::uge:
    return *difference;
  default:
    return flip(*difference);
  }
}

PieceAnalysis::Rule PieceAnalysis::integerArithmetic(Operation *op, unsigned a,
                                                     unsigned b) {
  // Without wrapping anywhere on the piece: the corners bound the result.
  unsigned width =
      getElementTypeOrSelf(op->getResult(0).getType()).getIntOrFloatBitWidth();
  __int128 limit = __int128(1) << (width - 1);
  for (const Scalar &x : {facts[a].low, facts[a].high})
    for (const Scalar &y : {facts[b].low, facts[b].high}) {
      __int128 v = isa<arith::AddIOp>(op)   ? __int128(x.i) + y.i
                   : isa<arith::SubIOp>(op) ? __int128(x.i) - y.i
                                            : __int128(x.i) * y.i;
      if (width == 1 || v < -limit || v >= limit)
        return fail("integer arithmetic that may wrap");
    }
  if (isa<arith::MulIOp>(op))
    return multiply(a, b, false);
  Direction db = facts[b].direction;
  return combine(facts[a].direction, isa<arith::SubIOp>(op) ? flip(db) : db);
}

PieceAnalysis::Rule PieceAnalysis::unsignedExtremum(unsigned a, unsigned b,
                                                    bool maximum) {
  std::optional<int> sa, sb;
  auto negative = [](const Scalar &v) { return int(v.i < 0); };
  if (!(sa = classify(a, negative)) || !(sb = classify(b, negative)))
    return std::nullopt;
  if (*sa != *sb) // the negative one is the larger unsigned number
    return facts[(*sa != 0) == maximum ? a : b].direction;
  return extremum(a, b, maximum);
}

PieceAnalysis::Rule PieceAnalysis::visitInteger(Operation *op,
                                                ArrayRef<unsigned> x) {
  auto isBool = [&] {
    return getElementTypeOrSelf(op->getResult(0).getType()).isInteger(1);
  };
  using R = Rule;
  return llvm::TypeSwitch<Operation *, R>(op)
      .Case<arith::AddIOp, arith::SubIOp, arith::MulIOp>(
          [&](auto) { return integerArithmetic(op, x[0], x[1]); })
      .Case([&](arith::MaxSIOp) { return extremum(x[0], x[1], true); })
      .Case([&](arith::MinSIOp) { return extremum(x[0], x[1], false); })
      .Case([&](arith::MaxUIOp) { return unsignedExtremum(x[0], x[1], true); })
      .Case([&](arith::MinUIOp) { return unsignedExtremum(x[0], x[1], false); })
      .Case([&](arith::CmpIOp compare) {
        return compareIntegers(compare.getPredicate(), x[0], x[1]);
      })
      .Case<arith::AndIOp, arith::OrIOp>([&](auto) -> R {
        return isBool() ? combine(x[0], x[1])
                        : fail("bitwise arithmetic on integers");
      })
      .Case([&](arith::XOrIOp) -> R {
        if (!isBool())
          return fail("bitwise arithmetic on integers");
        unsigned fixed = facts[x[0]].isConstant() ? 0 : 1;
        auto bit =
            classify(x[fixed], [](const Scalar &v) { return int(v.i != 0); });
        if (!bit)
          return std::nullopt;
        Direction d = facts[x[1 - fixed]].direction;
        return *bit ? flip(d) : d;
      })
      .Case<arith::DivSIOp, arith::FloorDivSIOp, arith::CeilDivSIOp>(
          [&](auto) -> R {
            if (!facts[x[1]].isConstant() || facts[x[1]].low.i == -1)
              return fail("an integer division that may wrap");
            Direction d = facts[x[0]].direction;
            return facts[x[1]].low.i < 0 ? flip(d) : d;
          })
      .Case([&](arith::ShRSIOp) -> R {
        if (!facts[x[1]].isConstant())
          return fail("a shift by a value that moves");
        return facts[x[0]].direction;
      })
      .Case([&](math::AbsIOp) { return absolute(x[0]); })
      .Default([&](Operation *) {
        return fail("'" + op->getName().getStringRef() +
                    "' is not known to be monotone");
      });
}

PieceAnalysis::Rule PieceAnalysis::visitCast(Operation *op,
                                             ArrayRef<unsigned> x) {
  Direction d = facts[x[0]].direction;
  unsigned width =
      getElementTypeOrSelf(op->getResult(0).getType()).getIntOrFloatBitWidth();
  bool fromBool =
      getElementTypeOrSelf(op->getOperand(0).getType()).isInteger(1);
  if (isa<arith::SIToFPOp, arith::ExtSIOp>(op)) // a set i1 is -1
    return fromBool ? flip(d) : d;
  if (isa<arith::UIToFPOp, arith::ExtUIOp>(op)) {
    if (!classify(x[0], [](const Scalar &v) { return int(v.i < 0); }))
      return std::nullopt;
    return d;
  }
  if (isa<arith::FPToSIOp>(op)) // saturates, NaN apart
    return isNaN(facts[x[0]].low) || width > 1
               ? Rule(isNaN(facts[x[0]].low) ? Direction::Constant : d)
               : fail("a cast to one bit");
  if (isa<arith::FPToUIOp>(op)) {
    if (isNaN(facts[x[0]].low))
      return Direction::Constant;
    // The top bit makes the signed form of the number negative.
    double top = std::ldexp(1.0, int(width) - 1);
    if (width == 1)
      return d;
    if (!classify(x[0], [&](const Scalar &v) { return toDouble(v) >= top; }))
      return std::nullopt;
    return d;
  }
  // arith.trunci
  int64_t limit = int64_t(1) << (width - 1);
  auto fits = [&](const Scalar &v) { return v.i >= -limit && v.i < limit; };
  if (width > 1 && fits(facts[x[0]].low) && fits(facts[x[0]].high))
    return d;
  return fail("an integer cast that may wrap");
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

PieceAnalysis::Rule PieceAnalysis::visitOp(Operation *op,
                                           ArrayRef<unsigned> x) {
  if (llvm::all_of(x, [&](unsigned i) { return facts[i].isConstant(); }))
    return Direction::Constant;
  if (isa<arith::SelectOp>(op))
    return select(x[0], x[1], x[2]);
  if (isa<arith::SIToFPOp, arith::UIToFPOp, arith::FPToSIOp, arith::FPToUIOp,
          arith::ExtSIOp, arith::ExtUIOp, arith::TruncIOp>(op))
    return visitCast(op, x);
  bool floats =
      isa<FloatType>(getElementTypeOrSelf(op->getOperands().back().getType()));
  return floats ? visitFloat(op, x) : visitInteger(op, x);
}

PieceAnalysis::Rule PieceAnalysis::step(StepAttr attr, unsigned a) {
  ArrayRef<int32_t> values = attr.getValues();
  Direction d = facts[a].direction;
  if (llvm::is_sorted(values))
    return d;
  if (llvm::is_sorted(values, std::greater<>()))
    return flip(d);
  if (!classify(a, [&](const Scalar &v) {
        // The index of the plateau, found by the step's own comparison.
        int passed = 0;
        for (auto [point, closed] :
             llvm::zip(attr.getBreakpoints().asArrayRef(),
                       attr.getClosed().asArrayRef()))
          passed += v.f32 > point || (closed && v.f32 == point);
        return passed;
      }))
    return std::nullopt;
  return Direction::Constant;
}

PieceAnalysis::Rule PieceAnalysis::visit(const ElementFunction::Node &node) {
  using NodeKind = ElementFunction::NodeKind;
  switch (node.kind) {
  case NodeKind::Source:
    return first == last ? Direction::Constant : Direction::Rising;
  case NodeKind::Constant:
    return Direction::Constant;
  case NodeKind::Affine: {
    float scale = node.scale[node.scale.size() == 1 ? 0 : row];
    Direction d = facts[node.operands[0]].direction;
    return scale == 0 ? Direction::Constant : scale < 0 ? flip(d) : d;
  }
  case NodeKind::Step:
    return facts[node.operands[0]].isConstant()
               ? Direction::Constant
               : step(node.step, node.operands[0]);
  case NodeKind::Operation:
    return visitOp(node.op, node.operands);
  }
  return std::nullopt;
}

bool PieceAnalysis::run(unsigned last_node) {
  facts.clear();
  for (unsigned i = 0; i <= last_node; ++i) {
    const ElementFunction::Node &node = function.getNodes()[i];
    Fact fact;
    Rule direction = visit(node);
    if (!direction)
      return false;
    fact.direction = *direction;
    auto value = [&](bool high) {
      if (node.kind == ElementFunction::NodeKind::Source)
        return domain.at(high ? last : first);
      SmallVector<Scalar, 3> operands;
      for (unsigned operand : node.operands)
        operands.push_back(high ? facts[operand].high : facts[operand].low);
      return function.apply(i, operands, row);
    };
    fact.low = value(false);
    fact.high = value(true);
    // One value at both ends is one value between.
    if (sameValue(fact.low, fact.high))
      fact.direction = Direction::Constant;
    if (!fact.isConstant() && (isNaN(fact.low) || isNaN(fact.high))) {
      reason = "a NaN within a piece that moves";
      return false;
    }
    facts.push_back(fact);
  }
  return true;
}
