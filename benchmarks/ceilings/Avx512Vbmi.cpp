//===- Avx512Vbmi.cpp - lookup in tables of 64 entries --------------------===//

#include "VVbmi.h"

namespace hwgq::ceilings {
namespace {
const Variant table[] = {HWGQ_VARIANT(tableTile, VVbmi, 4, 1, 1, tableDepth),
                         HWGQ_VARIANT(tableTile, VVbmi, 7, 1, 1, tableDepth),
                         HWGQ_VARIANT(tableTile, VVbmi, 4, 2, 1, tableDepth)};
} // namespace

const Loop avx512VbmiLoops[1] = {
    {"lookup vpermb 512", "avx512vbmi", Kind::Table64, table, count(table)}};

} // namespace hwgq::ceilings
