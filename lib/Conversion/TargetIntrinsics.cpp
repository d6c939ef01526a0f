//===- TargetIntrinsics.cpp - the table of target instructions ------------===//
#include "hwgq/Conversion/TargetIntrinsics.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace hwgq;

ArrayRef<TargetIntrinsic> hwgq::getTargetIntrinsics() {
  static const TargetIntrinsic table[] = {
      // Sums of products of bytes, u8 x s8, into i32 lanes.
      {"vpdpbusd512", "llvm.x86.avx512.vpdpbusd.512", "16xi32",
       "16xi32 64xi8 64xi8", "avx512vnni"},
      {"vpdpbusd256", "llvm.x86.avx512.vpdpbusd.256", "8xi32",
       "8xi32 32xi8 32xi8", "avxvnni|avx512vnni,avx512vl"},
      // Pairs of products of bytes, u8 x s8, saturated to i16.
      {"pmaddubsw512", "llvm.x86.avx512.pmaddubs.w.512", "32xi16",
       "64xi8 64xi8", "avx512bw"},
      {"pmaddubsw256", "llvm.x86.avx2.pmadd.ub.sw", "16xi16", "32xi8 32xi8",
       "avx2"},
      {"pmaddubsw128", "llvm.x86.ssse3.pmadd.ub.sw.128", "8xi16", "16xi8 16xi8",
       "ssse3"},
      // Pairs of products of i16.
      {"pmaddwd512", "llvm.x86.avx512.pmaddw.d.512", "16xi32", "32xi16 32xi16",
       "avx512bw"},
      {"pmaddwd256", "llvm.x86.avx2.pmadd.wd", "8xi32", "16xi16 16xi16",
       "avx2"},
      {"pmaddwd128", "llvm.x86.sse2.pmadd.wd", "4xi32", "8xi16 8xi16", "sse2"},
      // Lookup of bytes: table, index.
      {"pshufb512", "llvm.x86.avx512.pshuf.b.512", "64xi8", "64xi8 64xi8",
       "avx512bw"},
      {"pshufb256", "llvm.x86.avx2.pshuf.b", "32xi8", "32xi8 32xi8", "avx2"},
      {"pshufb128", "llvm.x86.ssse3.pshuf.b.128", "16xi8", "16xi8 16xi8",
       "ssse3"},
      {"vpermb512", "llvm.x86.avx512.permvar.qi.512", "64xi8", "64xi8 64xi8",
       "avx512vbmi"},
      // Eight bits from each of eight places of a 64-bit lane: places, lanes.
      {"vpmultishiftqb256", "llvm.x86.avx512.pmultishift.qb.256", "32xi8",
       "32xi8 32xi8", "avx512vbmi,avx512vl"},
      // Sums of bytes that stop at 255. Intel adds them on the one port that
      // 512-bit shuffles leave free, other sums on both.
      {"paddusb512", "llvm.uadd.sat", "64xi8", "64xi8 64xi8", "avx512bw"},
      // Tiles of AMX. Tile numbers are immediates; memory, bytes to a row.
      {"ldtilecfg", "llvm.x86.ldtilecfg", "", "ptr", "amx-tile", true},
      {"tilerelease", "llvm.x86.tilerelease", "", "", "amx-tile", true},
      {"tilezero", "llvm.x86.tilezero", "", "i8", "amx-tile", true},
      {"tileloadd", "llvm.x86.tileloadd64", "", "i8 ptr i64", "amx-tile", true},
      {"tilestored", "llvm.x86.tilestored64", "", "i8 ptr i64", "amx-tile",
       true},
      {"tdpbusd", "llvm.x86.tdpbusd", "", "i8 i8 i8", "amx-int8", true},
      // NEON: sums of four products of bytes, s8 x s8 and u8 x s8.
      {"sdot", "llvm.aarch64.neon.sdot", "4xi32", "4xi32 16xi8 16xi8",
       "dotprod"},
      {"usdot", "llvm.aarch64.neon.usdot", "4xi32", "4xi32 16xi8 16xi8",
       "i8mm"},
      // 2x8 times 8x2 bytes, u8 x s8.
      {"usmmla", "llvm.aarch64.neon.usmmla", "4xi32", "4xi32 16xi8 16xi8",
       "i8mm"},
      {"tbl", "llvm.aarch64.neon.tbl1", "16xi8", "16xi8 16xi8", "neon"},
  };
  return table;
}

static Type parseCode(MLIRContext *context, StringRef code) {
  if (code == "ptr")
    return LLVM::LLVMPointerType::get(context);
  if (code.contains('x'))
    return parseType(("vector<" + code + ">").str(), context);
  return parseType(code, context);
}

Type TargetIntrinsic::getResultType(MLIRContext *context) const {
  return result.empty() ? Type() : parseCode(context, result);
}

SmallVector<Type> TargetIntrinsic::getOperandTypes(MLIRContext *context) const {
  SmallVector<Type> types;
  for (StringRef code : llvm::split(operands, ' '))
    if (!code.empty())
      types.push_back(parseCode(context, code));
  return types;
}

bool TargetIntrinsic::isAvailable(
    const llvm::StringSet<> &targetFeatures) const {
  return llvm::any_of(llvm::split(features, '|'), [&](StringRef alternative) {
    return llvm::all_of(llvm::split(alternative, ','), [&](StringRef feature) {
      return targetFeatures.contains(feature);
    });
  });
}

const TargetIntrinsic *hwgq::findTargetIntrinsic(StringRef name) {
  for (const TargetIntrinsic &row : getTargetIntrinsics())
    if (row.name == name)
      return &row;
  return nullptr;
}

const TargetIntrinsic *hwgq::findTargetIntrinsic(Operation *call) {
  auto op = dyn_cast<LLVM::CallIntrinsicOp>(call);
  if (!op)
    return nullptr;
  MLIRContext *context = op.getContext();
  for (const TargetIntrinsic &row : getTargetIntrinsics()) {
    if (row.llvmName != op.getIntrin())
      continue;
    Type result = op.getNumResults() ? op->getResult(0).getType() : Type();
    if (row.getResultType(context) == result &&
        llvm::equal(row.getOperandTypes(context), op.getArgs().getTypes()))
      return &row;
  }
  return nullptr;
}

Value hwgq::createTargetIntrinsic(OpBuilder &builder, Location loc,
                                  StringRef name, ValueRange operands) {
  const TargetIntrinsic *row = findTargetIntrinsic(name);
  assert(row && "a row of the table");
  assert(llvm::equal(row->getOperandTypes(builder.getContext()),
                     operands.getTypes()) &&
         "operands of the types in the table");
  auto intrinsic = builder.getStringAttr(row->llvmName);
  if (Type result = row->getResultType(builder.getContext()))
    return LLVM::CallIntrinsicOp::create(builder, loc, result, intrinsic,
                                         operands)
        ->getResult(0);
  LLVM::CallIntrinsicOp::create(builder, loc, intrinsic, operands);
  return Value();
}
