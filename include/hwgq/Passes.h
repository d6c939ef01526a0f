//===- Passes.h - all passes of hwgq ----------------------------*- C++ -*-===//
#ifndef HWGQ_PASSES_H
#define HWGQ_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace hwgq {

#define GEN_PASS_DECL
#include "hwgq/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "hwgq/Passes.h.inc"

} // namespace hwgq

#endif // HWGQ_PASSES_H
