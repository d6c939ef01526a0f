//===- Chunks.cpp - elements in the form they are computed in -------------===//
#include "Chunks.h"

using namespace mlir;
using namespace hwgq::reference;
using Kind = Scalar::Kind;

float hwgq::reference::halfToFloat(uint16_t bits) {
  return float(llvm::bit_cast<_Float16>(bits));
}
uint16_t hwgq::reference::floatToHalf(float value) {
  return llvm::bit_cast<uint16_t>(_Float16(value));
}
float hwgq::reference::bfloatToFloat(uint16_t bits) {
  return llvm::bit_cast<float>(uint32_t(bits) << 16);
}
uint16_t hwgq::reference::floatToBfloat(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return uint16_t(bits >> 16) | 0x40;
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// f64 to f16 and bf16 in one rounding: to odd in f32 first, which keeps
/// enough bits to round correctly.
static float roundToOdd(double value) {
  float rounded = float(value);
  if (double(rounded) == value || std::isnan(value) || std::isinf(value))
    return rounded;
  if (std::isinf(rounded)) // beyond f32: stays beyond the narrower types
    return rounded;
  uint32_t bits = llvm::bit_cast<uint32_t>(rounded);
  if (std::fabs(double(rounded)) > std::fabs(value))
    bits -= 1; // toward zero
  return llvm::bit_cast<float>(bits | 1);
}

namespace {
/// How an element lies in memory, as a type and its conversions.
enum class Storage { F16, BF16, F32, F64, I8, U8, I16, U16, I32, U32, I64 };
} // namespace

static Storage getStorage(Type element) {
  if (element.isF32())
    return Storage::F32;
  if (element.isF64())
    return Storage::F64;
  if (element.isF16())
    return Storage::F16;
  if (element.isBF16())
    return Storage::BF16;
  bool isUnsigned = element.isUnsignedInteger() || !element.isIntOrIndex();
  switch (getStorageWidth(element)) {
  case 1:
    return isUnsigned ? Storage::U8 : Storage::I8;
  case 2:
    return isUnsigned ? Storage::U16 : Storage::I16;
  case 4:
    return isUnsigned ? Storage::U32 : Storage::I32;
  default:
    return Storage::I64;
  }
}

/// Calls `f(pointer to stored type, load, store)` for the element type, where
/// `load` gives the number in its own kind and `store` takes any number.
template <typename F> static void withStorage(const Tensor &t, F &&f) {
  char *data = const_cast<char *>(t.bytes().data());
  Type element = t.getElementType();
  unsigned width =
      isa<IntegerType>(element) ? element.getIntOrFloatBitWidth() : 64;
  bool isUnsigned = element.isUnsignedInteger();
  auto integer = [&](auto *p) {
    using S = std::remove_pointer_t<decltype(p)>;
    f(
        p, [](S v) { return int64_t(v); },
        [=](auto v) {
          int64_t i = int64_t(v);
          return S(isUnsigned ? int64_t(toUnsigned(i, width))
                              : wrapInteger(i, width));
        });
  };
  switch (getStorage(element)) {
  case Storage::F32:
    return f(
        reinterpret_cast<float *>(data), [](float v) { return v; },
        [](auto v) { return float(v); });
  case Storage::F64:
    return f(
        reinterpret_cast<double *>(data), [](double v) { return v; },
        [](auto v) { return double(v); });
  case Storage::F16:
    return f(reinterpret_cast<uint16_t *>(data), halfToFloat,
             [](auto v) { return floatToHalf(roundToOdd(double(v))); });
  case Storage::BF16:
    return f(reinterpret_cast<uint16_t *>(data), bfloatToFloat,
             [](auto v) { return floatToBfloat(roundToOdd(double(v))); });
  case Storage::I8:
    return integer(reinterpret_cast<int8_t *>(data));
  case Storage::U8:
    return integer(reinterpret_cast<uint8_t *>(data));
  case Storage::I16:
    return integer(reinterpret_cast<int16_t *>(data));
  case Storage::U16:
    return integer(reinterpret_cast<uint16_t *>(data));
  case Storage::I32:
    return integer(reinterpret_cast<int32_t *>(data));
  case Storage::U32:
    return integer(reinterpret_cast<uint32_t *>(data));
  case Storage::I64:
    return integer(reinterpret_cast<int64_t *>(data));
  }
}

/// The member of a chunk that holds numbers of type T.
template <typename T> static T *member(Chunk &chunk) {
  return reinterpret_cast<T *>(&chunk);
}

const void *hwgq::reference::loadChunk(const Tensor &tensor, int64_t first,
                                       int64_t n, Chunk &scratch) {
  const void *result = &scratch;
  withStorage(tensor, [&](auto *data, auto load, auto) {
    using S = std::remove_pointer_t<decltype(data)>;
    using V = decltype(load(*data));
    if constexpr (std::is_same_v<S, V>) {
      result = data + first;
    } else {
      for (int64_t i = 0; i < n; ++i)
        member<V>(scratch)[i] = load(data[first + i]);
    }
  });
  return result;
}

void hwgq::reference::storeChunk(Tensor &tensor, int64_t first, int64_t n,
                                 const void *values) {
  withStorage(tensor, [&](auto *data, auto load, auto store) {
    using V = decltype(load(*data));
    auto *from = static_cast<const V *>(values);
    for (int64_t i = 0; i < n; ++i)
      data[first + i] = store(from[i]);
  });
}

void hwgq::reference::gatherChunk(const Tensor &tensor, const int64_t *offsets,
                                  int64_t n, Chunk &chunk) {
  withStorage(tensor, [&](auto *data, auto load, auto) {
    using V = decltype(load(*data));
    for (int64_t i = 0; i < n; ++i)
      member<V>(chunk)[i] = load(data[offsets[i]]);
  });
}

void hwgq::reference::scatterChunk(Tensor &tensor, const int64_t *offsets,
                                   int64_t n, const Chunk &chunk) {
  withStorage(tensor, [&](auto *data, auto load, auto store) {
    using V = decltype(load(*data));
    auto *from = reinterpret_cast<const V *>(&chunk);
    for (int64_t i = 0; i < n; ++i)
      data[offsets[i]] = store(from[i]);
  });
}

template <typename T>
std::vector<T> hwgq::reference::toVector(const Tensor &tensor) {
  std::vector<T> result(tensor.size());
  bool wide = tensor.getElementType().isUnsignedInteger(64);
  withStorage(tensor, [&](auto *data, auto load, auto) {
    for (size_t i = 0; i < result.size(); ++i) {
      auto value = load(data[i]);
      result[i] = wide ? T(uint64_t(value)) : T(value);
    }
  });
  return result;
}

template <typename T>
void hwgq::reference::fromVector(ArrayRef<T> values, Tensor &tensor,
                                 int64_t first) {
  withStorage(tensor, [&](auto *data, auto, auto store) {
    for (size_t i = 0; i < values.size(); ++i)
      data[first + i] = store(values[i]);
  });
}

template std::vector<float> hwgq::reference::toVector(const Tensor &);
template std::vector<double> hwgq::reference::toVector(const Tensor &);
template std::vector<int64_t> hwgq::reference::toVector(const Tensor &);
template void hwgq::reference::fromVector(ArrayRef<float>, Tensor &, int64_t);
template void hwgq::reference::fromVector(ArrayRef<double>, Tensor &, int64_t);
template void hwgq::reference::fromVector(ArrayRef<int64_t>, Tensor &, int64_t);
