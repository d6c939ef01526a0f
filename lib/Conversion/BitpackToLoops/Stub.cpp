//===- Stub.cpp - delete this file when the patterns arrive ---------------===//
#include "hwgq/Conversion/BitpackToLoops.h"
void hwgq::populateContractionPatterns(mlir::RewritePatternSet &, const mlir::TypeConverter &, const LoopOptions &) {}
void hwgq::populatePackedPatterns(mlir::RewritePatternSet &, const mlir::TypeConverter &, const LoopOptions &) {}
