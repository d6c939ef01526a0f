//===- Strided.cpp - moving elements between shapes -----------------------===//
#include "Handlers.h"

using namespace mlir;
using namespace hwgq::reference;

FailureOr<Tensor> hwgq::reference::makeTensor(Operation *op,
                                              ArrayRef<int64_t> shape,
                                              Type element) {
  if (!countElements(shape))
    return op->emitError("result is too large: more than 2^62 elements");
  return Tensor::allocate(op->getLoc(), RankedTensorType::get(shape, element));
}

SmallVector<int64_t> hwgq::reference::getStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (int64_t d = int64_t(shape.size()) - 2; d >= 0; --d)
    strides[d] = strides[d + 1] * std::max<int64_t>(shape[d + 1], 1);
  return strides;
}

void hwgq::reference::forEachIndex(ArrayRef<int64_t> shape,
                                   function_ref<void(ArrayRef<int64_t>)> body) {
  if (llvm::is_contained(shape, 0))
    return;
  SmallVector<int64_t> index(shape.size(), 0);
  while (true) {
    body(index);
    int64_t d = int64_t(shape.size()) - 1;
    while (d >= 0 && ++index[d] == shape[d])
      index[d--] = 0;
    if (d < 0)
      return;
  }
}

/// Calls row(linear offset, position) for every index of all but the last
/// dimension of a shape.
static void forEachRow(ArrayRef<int64_t> shape, ArrayRef<int64_t> strides,
                       int64_t offset,
                       function_ref<void(int64_t, int64_t)> row) {
  int64_t position = 0, length = shape.empty() ? 1 : shape.back();
  forEachIndex(shape.drop_back(shape.empty() ? 0 : 1),
               [&](ArrayRef<int64_t> index) {
                 int64_t at = offset;
                 for (size_t d = 0; d < index.size(); ++d)
                   at += index[d] * strides[d];
                 row(at, position);
                 position += length;
               });
}

/// Copies n elements of T with a stride on one side.
template <typename T>
static void copyRow(const char *from, int64_t fromStride, char *to,
                    int64_t toStride, int64_t n) {
  auto *source = reinterpret_cast<const T *>(from);
  auto *target = reinterpret_cast<T *>(to);
  for (int64_t i = 0; i < n; ++i)
    target[i * toStride] = source[i * fromStride];
}

static void copyRow(const char *from, int64_t fromStride, char *to,
                    int64_t toStride, int64_t n, unsigned width) {
  if (fromStride == 1 && toStride == 1) {
    std::memcpy(to, from, n * width);
    return;
  }
  switch (width) {
  case 1:
    return copyRow<uint8_t>(from, fromStride, to, toStride, n);
  case 2:
    return copyRow<uint16_t>(from, fromStride, to, toStride, n);
  case 4:
    return copyRow<uint32_t>(from, fromStride, to, toStride, n);
  default:
    return copyRow<uint64_t>(from, fromStride, to, toStride, n);
  }
}

FailureOr<Tensor> hwgq::reference::copyStrided(Operation *op,
                                               const Tensor &source,
                                               ArrayRef<int64_t> shape,
                                               ArrayRef<int64_t> strides,
                                               int64_t offset) {
  FailureOr<Tensor> result = makeTensor(op, shape, source.getElementType());
  if (failed(result) || result->size() == 0)
    return result;
  unsigned width = getStorageWidth(source.getElementType());
  const char *from = source.bytes().data();
  char *to = result->mutableBytes().data();
  int64_t length = shape.empty() ? 1 : shape.back();
  int64_t stride = shape.empty() ? 1 : strides.back();
  forEachRow(shape, strides, offset, [&](int64_t at, int64_t position) {
    copyRow(from + at * width, stride, to + position * width, 1, length, width);
  });
  return result;
}

void hwgq::reference::writeStrided(const Tensor &source, Tensor &target,
                                   ArrayRef<int64_t> strides, int64_t offset) {
  if (source.size() == 0)
    return;
  ArrayRef<int64_t> shape = source.getShape();
  unsigned width = getStorageWidth(source.getElementType());
  const char *from = source.bytes().data();
  char *to = target.mutableBytes().data();
  int64_t length = shape.empty() ? 1 : shape.back();
  int64_t stride = shape.empty() ? 1 : strides.back();
  forEachRow(shape, strides, offset, [&](int64_t at, int64_t position) {
    copyRow(from + position * width, 1, to + at * width, stride, length, width);
  });
}
