//===- VVbmi.h - tables of 64 entries in AVX-512 VBMI -----------*- C++ -*-===//
#ifndef HWGQ_BENCHMARKS_VVBMI_H
#define HWGQ_BENCHMARKS_VVBMI_H

#include "V512.h"

namespace hwgq::ceilings {
namespace {
struct VVbmi : V512 {
  static constexpr int tableBytes = 64;
  static Vec loadTable(const void *p) { return load(p); }
  static Vec lookup(Vec table, Vec index) {
    return _mm512_permutexvar_epi8(index, table);
  }
};
} // namespace
} // namespace hwgq::ceilings

#endif
