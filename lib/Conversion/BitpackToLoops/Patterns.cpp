//===- Patterns.cpp - all patterns of packed ops --------------------------===//
#include "Patterns.h"

using namespace mlir;

void hwgq::populatePackedPatterns(RewritePatternSet &patterns,
                                  const TypeConverter &converter,
                                  const LoopOptions &options) {
  populatePackedElementwise(patterns, converter, options);
  populatePackedMoves(patterns, converter, options);
  populatePackedPools(patterns, converter, options);
  populatePlainPools(patterns, converter, options);
}
