//===- Image.cpp - pixels, codes and thresholds in memory -----------------===//
#include "Loops.h"
#include "PopcountTile.h"
#include "ThresholdSearch.h"

using namespace mlir;
using namespace hwgq;

Value Image::at(LoopBuilder &b, Value n, Value y, Value x) const {
  Value row = b.add(b.mul(n, fullHeight()), b.add(y, top));
  Value pixel = b.add(b.mul(row, fullWidth()), b.add(x, left));
  return b.mul(pixel, pixelSize());
}

void Image::clearRow(LoopBuilder &b, Value n, Value y) const {
  if (packed() && hasPadding()) {
    Value start = at(b, n, y, b.index(-left));
    b.zero(memory, start, b.index(rowSize()));
  } else {
    b.zero(memory, at(b, n, y, b.index(-left)), b.index(left * pixelSize()));
    b.zero(memory, at(b, n, y, b.index(width)), b.index(right * pixelSize()));
  }
  auto border = [&](int64_t last, int64_t first, int64_t rows) {
    if (rows)
      b.when(b.cmp(arith::CmpIPredicate::eq, y, b.index(last)), [&] {
        b.zero(memory, at(b, n, b.index(first), b.index(-left)),
               b.index(rows * rowSize()));
      });
  };
  border(0, -top, top);
  border(height - 1, height, bottom);
}

/// Static product of the leading dimensions, dynamic where one is.
static int64_t leadingElements(ArrayRef<int64_t> shape) {
  int64_t product = 1;
  for (int64_t size : shape.drop_back()) {
    if (ShapedType::isDynamic(size))
      return ShapedType::kDynamic;
    product *= size;
  }
  return product;
}

Value hwgq::getBatch(LoopBuilder &b, RankedTensorType type, Value memory) {
  ArrayRef<int64_t> shape = type.getShape();
  auto size = [&](int64_t d) -> Value {
    if (type.isDynamicDim(d))
      return memref::DimOp::create(b, memory, d);
    return b.index(shape[d]);
  };
  if (shape.size() == 4)
    return size(0);
  Value product = b.index(1);
  for (int64_t d = 0; d + 1 < int64_t(shape.size()); ++d)
    product = b.mul(product, size(d));
  return product;
}

Image hwgq::describeImage(RankedTensorType type, Value batch) {
  Image image;
  image.batch = batch;
  ArrayRef<int64_t> shape = type.getShape();
  image.channels = shape.empty() ? 1 : shape.back();
  if (shape.size() == 4) {
    image.height = shape[1];
    image.width = shape[2];
  }
  if (bitpack::isPacked(type)) {
    bitpack::LayoutAttr layout = bitpack::getLayout(type);
    image.layout = layout;
    image.code = cast<CodeType>(type.getElementType());
    image.planes = image.code.getBits();
    image.words = llvm::divideCeil(image.channels, 64);
    image.top = layout.getTop();
    image.left = layout.getLeft();
    image.bottom = layout.getBottom();
    image.right = layout.getRight();
  }
  return image;
}

Image hwgq::viewImage(LoopBuilder &b, RankedTensorType type, Value memory) {
  Image image = describeImage(type, getBatch(b, type, memory));
  image.memory = b.flat(memory);
  return image;
}

Image hwgq::allocateImage(LoopBuilder &b, RankedTensorType type, Value batch,
                          Value &memory) {
  Image image = describeImage(type, batch);
  ArrayRef<int64_t> shape = type.getShape();
  Values sizes;
  if (!type.hasStaticShape()) { // the first dimension
    int64_t others = 1;
    if (shape.size() != 4)
      for (int64_t size : shape.drop_front().drop_back())
        others *= size;
    sizes.push_back(b.div(batch, others));
  }
  IntegerAttr align = b.getI64IntegerAttr(64);
  if (!image.packed()) {
    memory = memref::AllocOp::create(
        b, MemRefType::get(shape, type.getElementType()), sizes, align);
    image.memory = b.flat(memory);
    return image;
  }
  int64_t pixels = shape.size() == 4 ? shape[0] : leadingElements(shape);
  bool dynamic = ShapedType::isDynamic(pixels);
  Type element = image.layout.getElementType();
  int64_t size = image.imageSize() * element.getIntOrFloatBitWidth() / 8;
  int64_t bytes = dynamic ? ShapedType::kDynamic : pixels * size;
  Values byteCount;
  if (dynamic)
    byteCount.push_back(b.mul(batch, size));
  image.bytes = memref::AllocOp::create(
      b, MemRefType::get({bytes}, b.getI8Type()), byteCount, align);
  auto physical = MemRefType::get(image.layout.getPhysicalShape(type), element);
  memory = memref::ViewOp::create(b, physical, image.bytes, b.index(0), sizes);
  image.memory = b.flat(memory);
  return image;
}

int64_t hwgq::rowsPerTask(double cost) {
  return std::clamp<int64_t>(
      int64_t(std::ceil(kTaskTime / std::max(cost, 0.1))), 1, 4096);
}

void hwgq::forEachRow(LoopBuilder &b, const Image &image, double cost,
                      llvm::function_ref<void(Value, Value)> body) {
  int64_t size = rowsPerTask(cost);
  Value rows = b.mul(image.batch, image.height);
  b.tasks(b.ceilDiv(rows, size), [&](Value task) {
    Value first = b.mul(task, size);
    b.loop(first, b.min(b.add(first, size), rows), 1, [&](Value row) {
      body(b.div(row, image.height), b.rem(row, image.height));
    });
  });
}

Value hwgq::loadCodes(LoopBuilder &b, const Image &image, Value pixel,
                      Value word, int64_t offset, int64_t lanes,
                      int64_t valid) {
  if (!image.isPlanes()) {
    // Bytes of the padding are 0.
    if (image.pixelSize() >= int64_t(llvm::alignTo(image.channels, lanes)))
      valid = lanes;
    Value at = b.add(pixel, b.add(b.mul(word, 64), offset));
    return arith::ExtUIOp::create(
        b, b.vec(lanes, b.getI32Type()),
        b.loadPart(b.vec(lanes, b.getI8Type()), image.memory, at, valid));
  }
  Type part = b.getIntegerType(lanes);
  VectorType mask = b.vec(lanes, b.getI1Type());
  VectorType result = b.vec(lanes, b.getI32Type());
  Value base = b.add(pixel, b.mul(word, image.planes)), codes;
  for (int64_t p = 0; p < image.planes; ++p) {
    Value bits = b.shr(b.load(image.memory, b.add(base, p)), b.i64(offset));
    if (lanes < 64)
      bits = arith::TruncIOp::create(b, part, bits);
    Value lane = vector::BitCastOp::create(
        b, mask, b.broadcast(VectorType::get({1}, part), bits));
    Value value = b.select(lane, b.splat(result, int64_t(1) << p),
                           b.splat(result, int64_t(0)));
    codes = codes ? b.ori(codes, value) : value;
  }
  return codes;
}

Value hwgq::loadCode(LoopBuilder &b, const Image &image, Value pixel,
                     Value channel) {
  if (!image.isPlanes())
    return arith::ExtUIOp::create(b, b.getI32Type(),
                                  b.load(image.memory, b.add(pixel, channel)));
  Value word = b.add(pixel, b.mul(b.div(channel, 64), image.planes));
  Value bit = b.toI64(b.rem(channel, 64)), code = b.i64(0);
  for (int64_t p = 0; p < image.planes; ++p) {
    Value bits = b.shr(b.load(image.memory, b.add(word, p)), bit);
    code = b.ori(code, b.shl(b.andi(bits, b.i64(1)), b.i64(p)));
  }
  return b.toI32(code);
}

Value hwgq::toNumbers(LoopBuilder &b, CodeType code, Value codes) {
  Type type = codes.getType();
  if (code.getStride() != 1)
    codes = b.mul(codes, b.splat(type, int64_t(code.getStride())));
  if (code.getOffset() != 0)
    codes = b.add(codes, b.splat(type, int64_t(code.getOffset())));
  return codes;
}

Values hwgq::toPlanes(LoopBuilder &b, Value codes, int64_t bits) {
  Type type = codes.getType();
  Values planes;
  for (int64_t p = 0; p < bits; ++p)
    planes.push_back(b.cmp(arith::CmpIPredicate::ne,
                           b.andi(codes, b.splat(type, int64_t(1) << p)),
                           b.splat(type, int64_t(0))));
  return planes;
}

/// Bytes of the codes whose bits are masks.
static Value bytesOfPlanes(LoopBuilder &b, ValueRange planes) {
  int64_t lanes = cast<VectorType>(planes[0].getType()).getNumElements();
  // Masks choose bytes where they are registers of their own; elsewhere they
  // are as wide as what was compared.
  bool masks = b.options.vectorBytes == 64;
  Type element = masks ? b.getI8Type() : b.getI32Type();
  VectorType type = b.vec(lanes, element);
  Value codes;
  for (auto [p, plane] : llvm::enumerate(planes)) {
    int64_t one = masks ? int64_t(int8_t(1 << p)) : int64_t(1) << p;
    Value bit = b.select(plane, b.splat(type, one), b.splat(type, int64_t(0)));
    codes = codes ? b.ori(codes, bit) : bit;
  }
  if (masks)
    return codes;
  return arith::TruncIOp::create(b, b.vec(lanes, b.getI8Type()), codes);
}

void hwgq::storeCodes(LoopBuilder &b, const Image &image, Value pixel,
                      Value word, Value offset, ValueRange planes,
                      int64_t valid) {
  if (!image.isPlanes()) {
    Value at = b.add(pixel, b.add(b.mul(word, 64), offset));
    b.storePart(bytesOfPlanes(b, planes), image.memory, at, valid);
    return;
  }
  Value base = b.add(b.mul(b.add(pixel, b.mul(word, image.planes)), 8),
                     b.div(offset, 8));
  for (auto [p, plane] : llvm::enumerate(planes))
    emitStoreMask(b, b.getLoc(), plane, image.bytes,
                  b.add(base, int64_t(p) * 8));
}

void hwgq::forEachChunk(
    LoopBuilder &b, int64_t channels, int64_t lanes,
    llvm::function_ref<void(Value, int64_t, int64_t, int64_t)> body) {
  int64_t whole = channels / 64;
  b.loop(whole, [&](Value word) {
    for (int64_t offset = 0; offset < 64; offset += lanes)
      body(word, offset, lanes, lanes);
  });
  Value last = b.index(whole);
  for (int64_t offset = 0, left = channels % 64; left > 0;) {
    int64_t size = std::min<int64_t>(lanes, llvm::alignTo(left, 8));
    while (!llvm::isPowerOf2_64(size))
      size -= 8;
    body(last, offset, size, std::min(size, left));
    offset += size;
    left -= size;
  }
}

//===----------------------------------------------------------------------===//
// Thresholds
//===----------------------------------------------------------------------===//

/// Values of accumulators, cut to those of 16 bits.
static Value accumulatorConstant(LoopBuilder &b, ArrayRef<int32_t> values,
                                 unsigned accumulatorBits) {
  if (accumulatorBits == 32)
    return b.constant(values);
  std::vector<int16_t> cut;
  for (int32_t value : values)
    cut.push_back(std::clamp<int32_t>(value, INT16_MIN, INT16_MAX));
  return b.constant(ArrayRef<int16_t>(cut));
}

ThresholdTable::ThresholdTable(LoopBuilder &b, ElementsAttr thresholds,
                               ArrayRef<int8_t> direction, int64_t channels,
                               int64_t lanes, CodeType code,
                               unsigned accumulatorBits)
    : bits(code.getBits()) {
  auto values = getElementValues<int32_t>(thresholds);
  int64_t rows = direction.size();
  int64_t given = values ? int64_t(values->size()) / rows : 0;
  int64_t levelsNeeded = given;
  for (int64_t r = 0; r < rows; ++r)
    if (direction[r] == 0)
      levelsNeeded = std::max<int64_t>(levelsNeeded, (*values)[r * given]);
  usedBits = llvm::Log2_64_Ceil(levelsNeeded + 1);
  count = (int64_t(1) << usedBits) - 1;
  stride = llvm::alignTo(channels, lanes);
  // Channels beyond the last are constant 0.
  bool uniform = rows == 1 && direction[0] == 1 && stride == channels;
  if (uniform)
    stride = 0;
  int64_t width = std::max<int64_t>(stride, 1);
  std::vector<int32_t> levels(count * width,
                              std::numeric_limits<int32_t>::max());
  std::vector<int32_t> keeps(width, -1), flips(width, 0);
  for (int64_t c = 0; c < width; ++c) {
    int64_t r = rows == 1 ? 0 : c;
    int8_t dir = c < channels ? direction[r] : 0;
    if (dir == 0) {
      keeps[c] = 0;
      int32_t constant = c < channels ? (*values)[r * given] : 0;
      for (int64_t i = 0; i < count; ++i)
        levels[i * width + c] = i < constant ? 0 : 1;
      continue;
    }
    flips[c] = dir < 0 ? -1 : 0;
    for (int64_t i = 0; i < given; ++i)
      levels[i * width + c] = (*values)[r * given + i] ^ flips[c];
  }
  if (accumulatorBits == 32)
    if (auto found = ThresholdSearch::get(b, levels, keeps, width))
      search = std::make_shared<ThresholdSearch>(*found);
  table = accumulatorConstant(b, levels, accumulatorBits);
  if (llvm::any_of(keeps, [](int32_t k) { return k != -1; }))
    keep = accumulatorConstant(b, keeps, accumulatorBits);
  if (llvm::any_of(flips, [](int32_t f) { return f != 0; }))
    flip = accumulatorConstant(b, flips, accumulatorBits);
}

Value ThresholdTable::row(LoopBuilder &b, Type type, Value from, int64_t index,
                          Value channel) const {
  auto vector = dyn_cast<VectorType>(type);
  if (stride == 0) {
    Value value = b.load(from, b.index(index));
    return vector ? b.broadcast(vector, value) : value;
  }
  Value at = b.add(channel, index * stride);
  return vector ? b.load(vector, from, at) : b.load(from, at);
}

Value ThresholdTable::adjust(LoopBuilder &b, Value acc, Value channel) const {
  if (keep)
    acc = b.andi(acc, row(b, acc.getType(), keep, 0, channel));
  if (flip)
    acc = b.xori(acc, row(b, acc.getType(), flip, 0, channel));
  return acc;
}

Values ThresholdTable::planes(LoopBuilder &b, Value acc, Value channel) const {
  acc = adjust(b, acc, channel);
  if (search)
    return toPlanes(b, search->codes(b, acc, channel), bits);
  Values rows;
  for (int64_t i = 0; i < count; ++i)
    rows.push_back(row(b, acc.getType(), table, i, channel));
  Values result = emitThresholdPlanes(b, b.getLoc(), acc, rows);
  int64_t lanes = cast<VectorType>(acc.getType()).getNumElements();
  while (result.size() < bits)
    result.push_back(b.splat(b.vec(lanes, b.getI1Type()), int64_t(0)));
  return result;
}

Value ThresholdTable::code(LoopBuilder &b, Value acc, Value channel) const {
  acc = adjust(b, acc, channel);
  return b.unroll(count, 3, {b.i32(0)}, [&](Value i, ValueRange sum) {
    Value at = stride == 0 ? i : b.add(b.mul(i, stride), channel);
    Value reached = b.cmp(arith::CmpIPredicate::sge, acc, b.load(table, at));
    return Values{
        b.add(sum[0], arith::ExtUIOp::create(b, b.getI32Type(), reached))};
  })[0];
}
