//===- Patterns.cpp - all patterns of packed ops --------------------------===//
#include "Patterns.h"

using namespace mlir;

void hwgq::populatePackedPatterns(RewritePatternSet &patterns,
                                  const TypeConverter &converter,
                                  const LoopOptions &options) {
  populatePackedElementwise(patterns, converter, options);
}
