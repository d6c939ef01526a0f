//===- Tensors.cpp - TensorProto to attributes ----------------------------===//
#include "ModelFile.h"
#include "hwgq/Dialect/OnnxOperators.h"
#include "hwgq/Dialect/SmallFloats.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace hwgq;
using mlir::ElementsAttr;
using mlir::failure;
using mlir::FailureOr;
using mlir::Location;
using ::onnx_proto::TensorProto;

static constexpr int64_t kMaxElements = INT32_MAX;
/// Smaller tensors are copied into plain dense attributes.
static constexpr size_t kInlineBytes = 1024;
/// Sparse tensors are made dense up to this size.
static constexpr int64_t kMaxSparseElements = int64_t(1) << 26;

/// "the tensor 'w'"
static mlir::InFlightDiagnostic report(Location loc, const std::string &name) {
  return mlir::emitError(loc) << "the tensor '" << printable(name) << "' ";
}

/// The type of a tensor, its number of elements bounded.
static FailureOr<mlir::RankedTensorType>
readType(const google::protobuf::RepeatedField<int64_t> &dims, int64_t code,
         const std::string &name, Location loc) {
  mlir::Type element = onnx::getElementType(code, loc.getContext());
  if (!element || isSmallFloat(element)) {
    report(loc, name)
        << "is of type " << onnx::getDataTypeName(code)
        << ", which is not supported in a constant; floats of 16, 32 and 64 "
           "bits, integers of 2 to 64 bits and bool are";
    return failure();
  }
  int64_t count = 1;
  llvm::SmallVector<int64_t> shape(dims.begin(), dims.end());
  bool empty = llvm::is_contained(shape, 0);
  if (shape.size() > 64) {
    report(loc, name) << "has " << shape.size() << " dimensions";
    return failure();
  }
  for (int64_t dim : shape)
    if (dim < 0 || llvm::MulOverflow(count, empty ? 1 : dim, count) ||
        count > kMaxElements || dim > kMaxElements) {
      report(loc, name) << "has an impossible shape: a size is " << dim
                        << "; it may have up to 2147483647 elements";
      return failure();
    }
  return mlir::RankedTensorType::get(shape, element);
}

static std::string resourceName(llvm::StringRef name) {
  std::string text;
  for (char c : name.take_front(100))
    text += llvm::isAlnum(c) || c == '_' || c == '.' ? c : '_';
  return text.empty() || !llvm::isAlpha(text[0]) ? "t_" + text : text;
}

/// An attribute over `bytes`, which `owner` keeps alive.
static ElementsAttr wrap(mlir::RankedTensorType type, llvm::StringRef bytes,
                         std::shared_ptr<const void> owner,
                         const std::string &name) {
  unsigned size = onnx::getElementBytes(type.getElementType());
  llvm::ArrayRef<char> data(bytes.data(), bytes.size());
  bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % size == 0;
  if (bytes.size() <= kInlineBytes || !aligned)
    return onnx::makeElements(type, data);
  mlir::AsmResourceBlob blob(
      data, size, [owner](void *, size_t, size_t) mutable { owner.reset(); },
      /*dataIsMutable=*/false);
  return mlir::DenseResourceElementsAttr::get(type, resourceName(name),
                                              std::move(blob));
}

/// Values of 2 or 4 bits, the first in the lowest bits, to one a byte.
static std::vector<char> unpack(llvm::function_ref<uint8_t(size_t)> byteAt,
                                int64_t count, mlir::Type type) {
  unsigned width = type.getIntOrFloatBitWidth(), perByte = 8 / width;
  std::vector<char> bytes(count);
  for (int64_t i = 0; i < count; ++i) {
    unsigned value =
        byteAt(i / perByte) >> (i % perByte * width) & ((1u << width) - 1);
    if (!type.isUnsignedInteger() && value >> (width - 1))
      value |= 0xffu << width;
    bytes[i] = static_cast<char>(value);
  }
  return bytes;
}

/// The bytes that raw or external data has for `type`.
static size_t storedBytes(mlir::RankedTensorType type) {
  unsigned width = type.getElementType().getIntOrFloatBitWidth();
  size_t count = type.getNumElements();
  return width == 1  ? count
         : width < 8 ? llvm::divideCeil(count * width, 8)
                     : count * (width / 8);
}

static ElementsAttr fromRaw(mlir::RankedTensorType type, llvm::StringRef bytes,
                            std::shared_ptr<const void> owner,
                            const std::string &name) {
  mlir::Type element = type.getElementType();
  unsigned width = element.getIntOrFloatBitWidth();
  if (width == 2 || width == 4)
    return onnx::makeElements(
        type, unpack([&](size_t i) { return uint8_t(bytes[i]); },
                     type.getNumElements(), element));
  if (width == 1)
    return onnx::makeElements(type, {bytes.data(), bytes.size()});
  return wrap(type, bytes, std::move(owner), name);
}

// ---- Typed fields.

template <typename T>
static llvm::StringRef
bytesOf(const google::protobuf::RepeatedField<T> &values) {
  return {reinterpret_cast<const char *>(values.data()),
          values.size() * sizeof(T)};
}

/// int32_data or uint64_data with narrower elements: low bytes of each value.
template <typename T>
static FailureOr<ElementsAttr>
narrow(mlir::RankedTensorType type,
       const google::protobuf::RepeatedField<T> &values,
       const std::string &name, Location loc) {
  mlir::Type element = type.getElementType();
  unsigned width = element.getIntOrFloatBitWidth();
  unsigned size = onnx::getElementBytes(element);
  unsigned bits = width == 1 ? 1 : width < 8 ? 8 : width;
  for (T value : values)
    if (!(llvm::isIntN(bits, value) || llvm::isUIntN(bits, uint64_t(value)))) {
      report(loc, name) << "holds " << int64_t(value)
                        << ", which its type does not";
      return failure();
    }
  if (width == 2 || width == 4)
    return onnx::makeElements(
        type, unpack([&](size_t i) { return uint8_t(values[i]); },
                     type.getNumElements(), element));
  std::vector<char> bytes;
  bytes.reserve(values.size() * size);
  for (T value : values) {
    const char *word = reinterpret_cast<const char *>(&value);
    bytes.insert(bytes.end(), word, word + size);
  }
  return onnx::makeElements(type, bytes);
}

static FailureOr<ElementsAttr> fromTyped(const TensorProto &tensor,
                                         mlir::RankedTensorType type,
                                         std::shared_ptr<const void> owner,
                                         Location loc) {
  int64_t count = type.getNumElements();
  unsigned width = type.getElementType().getIntOrFloatBitWidth();
  auto check = [&](int64_t found) -> mlir::LogicalResult {
    int64_t wanted =
        width == 2 || width == 4 ? llvm::divideCeil(count * width, 8) : count;
    if (found == wanted)
      return mlir::success();
    return report(loc, tensor.name())
           << "has " << found << " values, but its shape needs " << wanted;
  };
  const std::string &name = tensor.name();
  switch (tensor.data_type()) {
  case TensorProto::FLOAT:
    if (failed(check(tensor.float_data_size())))
      return failure();
    return wrap(type, bytesOf(tensor.float_data()), owner, name);
  case TensorProto::DOUBLE:
    if (failed(check(tensor.double_data_size())))
      return failure();
    return wrap(type, bytesOf(tensor.double_data()), owner, name);
  case TensorProto::INT64:
    if (failed(check(tensor.int64_data_size())))
      return failure();
    return wrap(type, bytesOf(tensor.int64_data()), owner, name);
  case TensorProto::UINT64:
    if (failed(check(tensor.uint64_data_size())))
      return failure();
    return wrap(type, bytesOf(tensor.uint64_data()), owner, name);
  case TensorProto::UINT32:
    if (failed(check(tensor.uint64_data_size())))
      return failure();
    return narrow(type, tensor.uint64_data(), name, loc);
  case TensorProto::INT32:
    if (failed(check(tensor.int32_data_size())))
      return failure();
    return wrap(type, bytesOf(tensor.int32_data()), owner, name);
  default:
    if (failed(check(tensor.int32_data_size())))
      return failure();
    return narrow(type, tensor.int32_data(), name, loc);
  }
}

// ---- External data.

FailureOr<std::shared_ptr<llvm::MemoryBuffer>>
TensorReader::openExternal(llvm::StringRef location, Location loc) {
  auto known = mapped.find(location);
  if (known != mapped.end())
    return known->second;
  auto refuse = [&](const llvm::Twine &why) {
    mlir::emitError(loc) << "the external data '" << printable(location) << "' "
                         << why;
    return failure();
  };
  if (file.folder.empty())
    return refuse("cannot be read: a model in memory has no folder");
  if (location.empty() || location.contains('\0') ||
      llvm::sys::path::is_absolute(location) ||
      llvm::is_contained(llvm::make_range(llvm::sys::path::begin(location),
                                          llvm::sys::path::end(location)),
                         ".."))
    return refuse("must be a path below the model's folder");
  llvm::SmallString<256> path(file.folder), real, root;
  llvm::sys::path::append(path, location);
  if (llvm::sys::fs::real_path(file.folder, root) ||
      llvm::sys::fs::real_path(path, real))
    return refuse("cannot be found");
  if (!llvm::StringRef(real).starts_with(root) ||
      (real.size() > root.size() && root.back() != '/' &&
       real[root.size()] != '/'))
    return refuse("lies outside of the model's folder");
  if (!llvm::sys::fs::is_regular_file(real))
    return refuse("is not a file");
  auto buffer = llvm::MemoryBuffer::getFile(real, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return refuse("cannot be read: " + buffer.getError().message());
  std::shared_ptr<llvm::MemoryBuffer> shared = std::move(*buffer);
  mapped[location] = shared;
  return shared;
}

FailureOr<llvm::StringRef>
TensorReader::externalBytes(const TensorProto &tensor, size_t expected,
                            std::shared_ptr<llvm::MemoryBuffer> &owner,
                            Location loc) {
  llvm::StringRef location;
  uint64_t offset = 0, length = expected;
  for (const auto &entry : tensor.external_data()) {
    llvm::StringRef key = entry.key(), value = entry.value();
    bool bad = false;
    if (key == "location")
      location = value;
    else if (key == "offset")
      bad = value.getAsInteger(10, offset);
    else if (key == "length")
      bad = value.getAsInteger(10, length);
    if (bad) {
      report(loc, tensor.name())
          << "has the external " << printable(key) << " '" << printable(value)
          << "', which is not a number";
      return failure();
    }
  }
  auto buffer = openExternal(location, loc);
  if (failed(buffer))
    return failure();
  owner = *buffer;
  llvm::StringRef bytes = owner->getBuffer();
  if (length != expected || offset > bytes.size() ||
      bytes.size() - offset < expected) {
    report(loc, tensor.name())
        << "needs " << expected << " bytes of external data from offset "
        << offset << "; length says " << length << ", and the file has "
        << bytes.size();
    return failure();
  }
  return bytes.substr(offset, expected);
}

// ---- Entry points.

FailureOr<ElementsAttr> TensorReader::read(const TensorProto &tensor,
                                           Location loc) {
  auto type = readType(tensor.dims(), tensor.data_type(), tensor.name(), loc);
  if (failed(type))
    return failure();
  if (tensor.has_segment()) {
    report(loc, tensor.name()) << "is a segment, which is not supported";
    return failure();
  }
  size_t expected = storedBytes(*type);
  if (tensor.data_location() == TensorProto::EXTERNAL) {
    std::shared_ptr<llvm::MemoryBuffer> owner;
    auto bytes = externalBytes(tensor, expected, owner, loc);
    if (failed(bytes))
      return failure();
    return fromRaw(*type, *bytes, owner, tensor.name());
  }
  if (!tensor.has_raw_data())
    return fromTyped(tensor, *type, file.model, loc);
  llvm::StringRef raw = tensor.raw_data();
  if (raw.size() != expected) {
    report(loc, tensor.name())
        << "has " << raw.size() << " bytes of data, but its shape needs "
        << expected;
    return failure();
  }
  return fromRaw(*type, raw, file.model, tensor.name());
}

/// Values at linear indices [n], or at coordinates [n, rank]; zeros elsewhere.
FailureOr<ElementsAttr>
TensorReader::read(const ::onnx_proto::SparseTensorProto &tensor,
                   Location loc) {
  const std::string &name = tensor.values().name();
  auto type = readType(tensor.dims(), tensor.values().data_type(), name, loc);
  auto values = failed(type) ? FailureOr<ElementsAttr>(failure())
                             : read(tensor.values(), loc);
  auto indices = failed(values) ? FailureOr<ElementsAttr>(failure())
                                : read(tensor.indices(), loc);
  if (failed(indices))
    return failure();
  auto bad = [&](llvm::StringRef why) {
    report(loc, name) << "(sparse) " << why;
    return failure();
  };
  int64_t count = values->getNumElements(), rank = type->getRank();
  llvm::ArrayRef<int64_t> shape = indices->getShapedType().getShape();
  bool linear = shape.size() == 1 && shape[0] == count;
  bool coordinates = shape.size() == 2 && shape[0] == count && shape[1] == rank;
  if (!indices->getElementType().isSignlessInteger(64) ||
      !(linear || coordinates))
    return bad("has indices that do not fit its values");
  if (type->getNumElements() > kMaxSparseElements)
    return bad("is too large; it may have up to 2^26 elements");
  auto data = onnx::getElementsBytes(*values);
  auto places = onnx::getElementsBytes(*indices);
  if (failed(data) || failed(places))
    return bad("cannot be read");
  unsigned size = onnx::getElementBytes(type->getElementType());
  std::vector<char> bytes(type->getNumElements() * size, 0);
  const char *next = places->data();
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = 0;
    for (int64_t axis = 0; axis < (linear ? 1 : rank); ++axis, next += 8) {
      int64_t index;
      std::memcpy(&index, next, 8);
      int64_t limit = linear ? type->getNumElements() : type->getDimSize(axis);
      if (index < 0 || index >= limit)
        return bad("has an index outside of its shape");
      at = linear ? index : at * limit + index;
    }
    std::memcpy(bytes.data() + at * size, data->data() + i * size, size);
  }
  return onnx::makeElements(*type, bytes);
}
