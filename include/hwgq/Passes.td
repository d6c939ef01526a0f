//===- Passes.td - all passes, in pipeline order --------------*- tablegen -*-===//

#ifndef HWGQ_PASSES
#define HWGQ_PASSES

include "mlir/Pass/PassBase.td"

// ---- lib/Transforms and lib/Conversion, in the order of the pipeline.
// Each pass: name = flag = file = lit test = docs anchor.

#endif // HWGQ_PASSES
