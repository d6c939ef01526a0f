//===- TargetIntrinsicsTest.cpp - the table against LLVM and the machine --===//
//
// Every row is an intrinsic that LLVM knows with these types, and its C
// function gives what the instruction gives where this machine has it.
//
//===----------------------------------------------------------------------===//

#include "hwgq/Conversion/TargetIntrinsics.h"
#include "../../emulation/intrinsics.h"
#include "Jit.h"

#include "mlir/Target/LLVMIR/TypeToLLVM.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/LLVMContext.h"

#include <gtest/gtest.h>

#include <random>

#ifdef __x86_64__
#include <immintrin.h>
#endif

using namespace mlir;
using namespace hwgq;

namespace {

TEST(TargetIntrinsicsTest, LLVMKnowsEveryRow) {
  JitContext context;
  llvm::LLVMContext llvmContext;
  LLVM::TypeToLLVMIRTranslator translate(llvmContext);
  for (const TargetIntrinsic &row : getTargetIntrinsics()) {
    SCOPED_TRACE(row.name.str());
    EXPECT_EQ(findTargetIntrinsic(row.name), &row);
    llvm::Intrinsic::ID id = llvm::Intrinsic::lookupIntrinsicID(row.llvmName);
    ASSERT_NE(id, llvm::Intrinsic::not_intrinsic);
    SmallVector<llvm::Type *> operands;
    for (Type type : row.getOperandTypes(&context))
      operands.push_back(translate.translateType(type));
    Type result = row.getResultType(&context);
    auto *type =
        llvm::FunctionType::get(result ? translate.translateType(result)
                                       : llvm::Type::getVoidTy(llvmContext),
                                operands, false);
    SmallVector<llvm::Intrinsic::IITDescriptor> table;
    getIntrinsicInfoTableEntries(id, table);
    ArrayRef<llvm::Intrinsic::IITDescriptor> rest = table;
    SmallVector<llvm::Type *> overloads;
    EXPECT_EQ(llvm::Intrinsic::matchIntrinsicSignature(type, rest, overloads),
              llvm::Intrinsic::MatchIntrinsicTypes_Match);
    EXPECT_TRUE(rest.empty());
  }
}

#ifdef __x86_64__
/// Random bytes with many extremes.
struct Operand {
  alignas(64) uint8_t bytes[64];
  explicit Operand(std::mt19937 &rng) {
    for (uint8_t &byte : bytes)
      byte = rng() % 3 ? rng() : "\0\x7f\x80\xff"[rng() % 4];
  }
};

template <typename Native>
void compare(const char *feature, hwgq_emulate_2 *emulate, Native native) {
  if (!__builtin_cpu_supports("avx512bw"))
    GTEST_SKIP() << "no AVX-512 here";
  std::mt19937 rng(1);
  for (int i = 0; i < 200; ++i) {
    Operand a(rng), b(rng), expected(rng), actual(rng);
    native(expected.bytes, a.bytes, b.bytes);
    emulate(actual.bytes, a.bytes, b.bytes);
    ASSERT_EQ(memcmp(expected.bytes, actual.bytes, 64), 0) << feature;
  }
}

#define NATIVE(features, expression)                                           \
  [](void *out, const void *x, const void *y)                                  \
      __attribute__((target(features))) {                                      \
        __m512i a = _mm512_loadu_si512(x), b = _mm512_loadu_si512(y);          \
        (void)a, (void)b;                                                      \
        _mm512_storeu_si512(out, expression);                                  \
      }

TEST(TargetIntrinsicsTest, BytesAsTheMachine) {
  compare("pmaddubsw", hwgq_emulate_pmaddubsw512,
          NATIVE("avx512bw", _mm512_maddubs_epi16(a, b)));
  compare("pmaddwd", hwgq_emulate_pmaddwd512,
          NATIVE("avx512bw", _mm512_madd_epi16(a, b)));
  compare("pshufb", hwgq_emulate_pshufb512,
          NATIVE("avx512bw", _mm512_shuffle_epi8(a, b)));
  compare("paddusb", hwgq_emulate_paddusb512,
          NATIVE("avx512bw", _mm512_adds_epu8(a, b)));
}

TEST(TargetIntrinsicsTest, VpermbAsTheMachine) {
  if (!__builtin_cpu_supports("avx512vbmi"))
    GTEST_SKIP() << "no VBMI here";
  compare("vpermb", hwgq_emulate_vpermb512,
          NATIVE("avx512vbmi,avx512bw", _mm512_permutexvar_epi8(b, a)));
  compare(
      "vpmultishiftqb",
      [](void *out, const void *a, const void *b) {
        hwgq_emulate_vpmultishiftqb256(out, a, b);
        hwgq_emulate_vpmultishiftqb256((char *)out + 32, (const char *)a + 32,
                                       (const char *)b + 32);
      },
      NATIVE("avx512vbmi,avx512bw", _mm512_multishift_epi64_epi8(a, b)));
}

TEST(TargetIntrinsicsTest, VpdpbusdAsTheMachine) {
  if (!__builtin_cpu_supports("avx512vnni"))
    GTEST_SKIP() << "no VNNI here";
  compare(
      "vpdpbusd",
      [](void *out, const void *a, const void *b) {
        hwgq_emulate_vpdpbusd512(out, b, a, b);
      },
      NATIVE("avx512vnni,avx512bw", _mm512_dpbusd_epi32(b, a, b)));
}
#endif

/// Tiles of odd sizes against the sum itself.
TEST(TargetIntrinsicsTest, Tiles) {
  hwgq_tiles tiles = {};
  uint8_t config[64] = {1};
  const int rows = 5, columns = 7, depth = 3; // C 5x7, A 5x12, B 3x28
  const uint16_t bytes[3] = {4 * columns, 4 * depth, 4 * columns};
  const uint8_t heights[3] = {rows, rows, depth};
  memcpy(config + 16, bytes, sizeof bytes);
  memcpy(config + 48, heights, sizeof heights);
  hwgq_emulate_ldtilecfg(&tiles, config);
  std::mt19937 rng(1);
  Operand a(rng), b(rng), b2(rng);
  uint8_t aBytes[rows * 16], bBytes[depth * 32];
  for (uint8_t &byte : aBytes)
    byte = rng();
  for (uint8_t &byte : bBytes)
    byte = rng();
  int32_t out[rows][columns];
  hwgq_emulate_tilezero(&tiles, 0);
  hwgq_emulate_tileloadd(&tiles, 1, aBytes, 16);
  hwgq_emulate_tileloadd(&tiles, 2, bBytes, 32);
  hwgq_emulate_tdpbusd(&tiles, 0, 1, 2);
  hwgq_emulate_tdpbusd(&tiles, 0, 1, 2);
  hwgq_emulate_tilestored(&tiles, 0, out, sizeof out[0]);
  for (int m = 0; m < rows; ++m)
    for (int n = 0; n < columns; ++n) {
      int sum = 0;
      for (int k = 0; k < 4 * depth; ++k)
        sum += aBytes[16 * m + k] * int8_t(bBytes[k / 4 * 32 + 4 * n + k % 4]);
      EXPECT_EQ(out[m][n], 2 * sum);
    }
}

TEST(TargetIntrinsicsDeathTest, TilesThatAreNotConfigured) {
  hwgq_tiles tiles = {};
  EXPECT_DEATH(hwgq_emulate_tilezero(&tiles, 0), "");
  uint8_t config[64] = {1};
  config[16] = 64; // bytes to a row, but no rows
  EXPECT_DEATH(hwgq_emulate_ldtilecfg(&tiles, config), "");
}

} // namespace
