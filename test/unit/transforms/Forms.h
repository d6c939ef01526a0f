//===- Forms.h - the quantisers that exporters write ------------*- C++ -*-===//
#ifndef HWGQ_TEST_UNIT_TRANSFORMS_FORMS_H
#define HWGQ_TEST_UNIT_TRANSFORMS_FORMS_H

#include "Ir.h"

namespace hwgq::test {

/// A quantiser as a chain on one tensor; its levels are exact in float32.
struct Form {
  const char *name;
  std::string (*build)(ChainText &chain, std::string x);
  /// Whether it is a step function of a float, too, by the rules.
  bool onFloats = true;
};

inline std::string signOf(ChainText &c, std::string x) {
  std::string zero = c.splat(0);
  return c.op("arith.subf",
              {c.compare("ogt", x, zero), c.compare("olt", x, zero)});
}

/// Rounds with `op` behind a division by 0.5.
inline std::string rounded(ChainText &c, std::string x, const char *op,
                           double shift) {
  std::string y = c.op("arith.divf", {x, c.splat(0.5)});
  if (shift != 0)
    y = c.op("arith.addf", {y, c.splat(shift)});
  y = c.op(op, {c.clip(y, 0, 3)});
  return c.op("arith.mulf", {y, c.splat(0.5)});
}

/// sign(y) * op(|y| + shift) clamped to -2..1.
inline std::string awayFromZero(ChainText &c, std::string x, const char *op,
                                double shift) {
  std::string y = c.clip(c.op("arith.divf", {x, c.splat(0.25)}), -2, 1);
  std::string m = c.op("math.absf", {y});
  if (shift != 0)
    m = c.op("arith.addf", {m, c.splat(shift)});
  m = c.op(op, {m});
  return c.op("arith.mulf",
              {c.op("arith.mulf", {signOf(c, y), m}), c.splat(0.25)});
}

inline std::vector<Form> allForms() {
  using C = ChainText;
  using S = std::string;
  return {
      {"sign >=",
       [](C &c, S x) {
         return c.select("oge", x, c.splat(0), c.splat(1), c.splat(-1));
       }},
      {"sign >",
       [](C &c, S x) {
         return c.select("ogt", x, c.splat(0), c.splat(1), c.splat(-1));
       }},
      {"2 * (x > 0) - 1",
       [](C &c, S x) {
         S y =
             c.op("arith.mulf", {c.compare("ogt", x, c.splat(0)), c.splat(2)});
         return c.op("arith.subf", {y, c.splat(1)});
       }},
      {"ternary sign", [](C &c, S x) { return signOf(c, x); }},
      {"sign, add, sign",
       [](C &c, S x) {
         return signOf(c, c.op("arith.addf", {signOf(c, x), c.splat(0.1)}));
       }},
      {"sign, zeros to one",
       [](C &c, S x) {
         S s = signOf(c, x);
         return c.select("oeq", s, c.splat(0), c.splat(1), s);
       }},
      {"sum of comparisons",
       [](C &c, S x) {
         S y = c.op("arith.addf", {c.compare("ogt", x, c.splat(0)),
                                   c.compare("ogt", x, c.splat(0.75))});
         y = c.op("arith.addf", {y, c.compare("ogt", x, c.splat(1.25))});
         return c.op("arith.mulf", {c.splat(0.5), y});
       }},
      {"where chain, levels apart",
       [](C &c, S x) {
         S y = c.select("ogt", x, c.splat(0.25), c.splat(0.5), c.splat(0));
         return c.select("oge", x, c.splat(1), c.splat(2), y);
       }},
      {"round", [](C &c, S x) { return rounded(c, x, "math.roundeven", 0); }},
      {"floor", [](C &c, S x) { return rounded(c, x, "math.floor", 0.5); }},
      {"ceil", [](C &c, S x) { return rounded(c, x, "math.ceil", -0.5); }},
      {"half up",
       [](C &c, S x) { return awayFromZero(c, x, "math.floor", 0.5); }},
      {"half down",
       [](C &c, S x) { return awayFromZero(c, x, "math.ceil", -0.5); }},
      {"up", [](C &c, S x) { return awayFromZero(c, x, "math.ceil", 0); }},
      {"down", [](C &c, S x) { return awayFromZero(c, x, "math.floor", 0); }},
      {"falling",
       [](C &c, S x) {
         return rounded(c, c.op("arith.negf", {x}), "math.roundeven", 0);
       }},
      {"not monotone",
       [](C &c, S x) {
         S m = c.op("arith.subf", {c.op("math.absf", {x}), c.splat(0.75)});
         return c.select("oge", m, c.splat(0), c.splat(1), c.splat(0));
       }},
      {"thresholds per channel",
       [](C &c, S x) {
         S y = c.op("arith.addf",
                    {c.compare("oge", x, c.perChannel("[0.0, 0.5, -1.0]")),
                     c.compare("oge", x, c.perChannel("[1.0, 0.5, 0.25]"))});
         return c.op("arith.mulf", {y, c.splat(0.25)});
       }},
      {"pact",
       [](C &c, S x) {
         S d = c.op("math.absf", {c.op("arith.subf", {x, c.splat(1.5)})});
         S y = c.op("arith.subf", {c.op("math.absf", {x}), d});
         y = c.op("arith.mulf",
                  {c.splat(0.5), c.op("arith.addf", {y, c.splat(1.5)})});
         y = c.op("math.roundeven", {c.op("arith.divf", {y, c.splat(0.5)})});
         return c.op("arith.mulf", {y, c.splat(0.5)});
       },
       false},
  };
}

} // namespace hwgq::test

#endif // HWGQ_TEST_UNIT_TRANSFORMS_FORMS_H
