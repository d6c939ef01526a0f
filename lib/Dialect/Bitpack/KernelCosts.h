//===- KernelCosts.h - what kernels are predicted to take -------*- C++ -*-===//
#ifndef HWGQ_LIB_DIALECT_BITPACK_KERNELCOSTS_H
#define HWGQ_LIB_DIALECT_BITPACK_KERNELCOSTS_H

#include "hwgq/Dialect/Kernels.h"

namespace hwgq::bitpack {

// One function a kernel: nanoseconds, as Kernel::cost tells.
double threadPopcountCost(const Contraction &c, const KernelTarget &target);
double popcountCost(const Contraction &c, const KernelTarget &target);
double lookupCost(const Contraction &c, const KernelTarget &target);
double amxCost(const Contraction &c, const KernelTarget &target);
double dot8Cost(const Contraction &c, const KernelTarget &target);
double pairsCost(const Contraction &c, const KernelTarget &target);
double f32Cost(const Contraction &c, const KernelTarget &target);
double depthwiseCost(const Contraction &c, const KernelTarget &target);
double genericCost(const Contraction &c, const KernelTarget &target);

// And as Kernel::ceiling tells.
double popcountCeiling(const Contraction &c, const KernelTarget &target);
double lookupCeiling(const Contraction &c, const KernelTarget &target);
double amxCeiling(const Contraction &c, const KernelTarget &target);
double dot8Ceiling(const Contraction &c, const KernelTarget &target);
double f32Ceiling(const Contraction &c, const KernelTarget &target);

} // namespace hwgq::bitpack

#endif // HWGQ_LIB_DIALECT_BITPACK_KERNELCOSTS_H
