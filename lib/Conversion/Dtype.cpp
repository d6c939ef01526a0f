//===- Dtype.cpp - element types of the binary interface ------------------===//
#include "hwgq/Conversion/Dtype.h"
#include "hwgq_abi.h"
#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;

uint32_t hwgq::getDtype(Type type, bool isUnsigned) {
  if (type.isF32())
    return HWGQ_F32;
  if (type.isF64())
    return HWGQ_F64;
  if (type.isF16())
    return HWGQ_F16;
  auto integer = dyn_cast<IntegerType>(type);
  if (!integer)
    return 0;
  isUnsigned |= integer.isUnsigned();
  switch (integer.getWidth()) {
  case 1:
    return HWGQ_BOOL;
  case 2:
  case 4:
  case 8:
    return isUnsigned ? HWGQ_U8 : HWGQ_I8;
  case 16:
    return isUnsigned ? HWGQ_U16 : HWGQ_I16;
  case 32:
    return isUnsigned ? HWGQ_U32 : HWGQ_I32;
  case 64:
    return isUnsigned ? HWGQ_U64 : HWGQ_I64;
  default:
    return 0;
  }
}
