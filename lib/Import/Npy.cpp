//===- Npy.cpp - NumPy files as constants ---------------------------------===//
#include "Npy.h"
#include "hwgq/Dialect/OnnxOperators.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace hwgq;
using mlir::failure;
using mlir::FailureOr;

/// "'<f4'" and the like, without byte order.
static mlir::Type elementType(llvm::StringRef code, mlir::Builder &b) {
  return llvm::StringSwitch<mlir::Type>(code)
      .Case("f2", b.getF16Type())
      .Case("f4", b.getF32Type())
      .Case("f8", b.getF64Type())
      .Case("b1", b.getI1Type())
      .Case("i1", b.getIntegerType(8))
      .Case("i2", b.getIntegerType(16))
      .Case("i4", b.getIntegerType(32))
      .Case("i8", b.getIntegerType(64))
      .Case("u1", b.getIntegerType(8, false))
      .Case("u2", b.getIntegerType(16, false))
      .Case("u4", b.getIntegerType(32, false))
      .Case("u8", b.getIntegerType(64, false))
      .Default({});
}

/// The text of `key` in the header's dictionary, up to its end.
static llvm::StringRef valueOf(llvm::StringRef header, llvm::StringRef key) {
  size_t at = header.find(("'" + key + "'").str());
  if (at == llvm::StringRef::npos)
    return {};
  return header.substr(at + key.size() + 2).ltrim(": ");
}

FailureOr<mlir::ElementsAttr> hwgq::readNpy(llvm::StringRef path,
                                            mlir::Location loc) {
  auto bad = [&](const llvm::Twine &why) {
    mlir::emitError(loc) << path << ": " << why;
    return failure();
  };
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return bad("cannot be read: " + buffer.getError().message());
  llvm::StringRef bytes = (*buffer)->getBuffer();
  if (!bytes.consume_front("\x93NUMPY") || bytes.size() < 6)
    return bad("is not an NPY file");
  auto byte = [&](size_t i) { return size_t(uint8_t(bytes[i])); };
  bool wide = bytes[0] >= 2;
  size_t length = byte(2) | byte(3) << 8;
  if (wide)
    length |= byte(4) << 16 | byte(5) << 24;
  bytes = bytes.drop_front(wide ? 6 : 4);
  if (length > bytes.size())
    return bad("is cut short");
  llvm::StringRef header = bytes.take_front(length);
  bytes = bytes.drop_front(length);

  mlir::Builder builder(loc.getContext());
  llvm::StringRef descr = valueOf(header, "descr");
  if (!descr.consume_front("'") || descr.empty() || descr[0] == '>')
    return bad("has an element type that is not supported");
  descr = descr.take_until([](char c) { return c == '\''; });
  mlir::Type type = elementType(descr.drop_front(), builder);
  if (!type)
    return bad("has the element type " + descr + ", which is not supported");
  if (!valueOf(header, "fortran_order").starts_with("False"))
    return bad("is in Fortran order; write it with numpy.ascontiguousarray");
  llvm::StringRef list = valueOf(header, "shape");
  if (!list.consume_front("("))
    return bad("has no shape");
  llvm::SmallVector<llvm::StringRef> parts;
  list.take_until([](char c) { return c == ')'; })
      .split(parts, ',', -1, /*KeepEmpty=*/false);
  llvm::SmallVector<int64_t> shape;
  int64_t count = 1;
  for (llvm::StringRef part : parts) {
    int64_t size;
    if (part.trim().empty())
      continue;
    if (part.trim().getAsInteger(10, size) || size < 0 ||
        llvm::MulOverflow(count, size, count) || count > INT32_MAX)
      return bad("has a shape that is not possible");
    shape.push_back(size);
  }
  if (bytes.size() != size_t(count) * onnx::getElementBytes(type))
    return bad("has " + llvm::Twine(bytes.size()) +
               " bytes of data, which is not what its shape needs");
  return onnx::makeElements(mlir::RankedTensorType::get(shape, type),
                            {bytes.data(), bytes.size()});
}
