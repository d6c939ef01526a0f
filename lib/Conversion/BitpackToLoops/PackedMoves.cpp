//===- PackedMoves.cpp - relayout, pad and concat of packed codes ---------===//
#include "Patterns.h"

using namespace mlir;
using namespace hwgq;

namespace {

/// Copies of whole pixels: the memory of a row of pixels lies side by side.
void copyPixels(LoopBuilder &b, const Image &from, Value fromAt,
                const Image &to, Value toAt, int64_t pixels) {
  b.copy(from.memory, fromAt, to.memory, toAt,
         b.index(pixels * to.pixelSize()));
}

/// Whether pixels of one image are copied to the other as they are.
bool samePixels(const Image &x, const Image &y) {
  return x.isPlanes() == y.isPlanes() && x.pixelSize() == y.pixelSize();
}

/// Where a code lies in memory (bitpack::BitAddress at run time).
struct BitPlace {
  Value element, bit; // bit has the type of the elements
  int64_t planeStride;
  unsigned bitStride;
};

/// The place of code `flat` (row-major, of the logical tensor).
BitPlace placeOf(LoopBuilder &b, RankedTensorType type, const Image &image,
                 Value flat) {
  int64_t block = bitpack::getLayout(type).getBlock();
  Value channel = b.rem(flat, image.channels);
  Value row = b.div(flat, image.channels);
  Value word = b.div(channel, 64), bit = b.toI64(b.rem(channel, 64));
  if (!block) {
    Value x = b.rem(row, image.width), rest = b.div(row, image.width);
    Value pixel =
        image.at(b, b.div(rest, image.height), b.rem(rest, image.height), x);
    if (!image.isPlanes())
      return {b.add(pixel, channel), b.splat(b.getI8Type(), int64_t(0)), 0, 1};
    return {b.add(pixel, b.mul(word, image.planes)), bit, 1, 0};
  }
  // Weights [K/block][taps][words][planes][block]; the taps are the rows of K.
  int64_t taps = type.getRank() == 2 ? 1
                                     : type.getNumElements() /
                                           type.getDimSize(0) / image.channels;
  Value k = b.div(row, taps), tap = b.rem(row, taps);
  Value at = b.add(b.mul(b.div(k, block), taps), tap);
  at = b.mul(b.add(b.mul(at, image.words), word), image.planes * block);
  return {b.add(at, b.rem(k, block)), bit, block, 0};
}

/// Bit p of the code at a place, as i64.
Value loadBit(LoopBuilder &b, const Image &image, const BitPlace &at,
              int64_t p) {
  Value memory = b.load(image.memory, b.add(at.element, p * at.planeStride));
  Value shift = b.add(at.bit, b.splat(memory.getType(), p * at.bitStride));
  Value bit =
      b.andi(b.shr(memory, shift), b.splat(memory.getType(), int64_t(1)));
  if (image.isPlanes())
    return bit;
  return arith::ExtUIOp::create(b, b.getI64Type(), bit);
}

/// Sets bit p of the code at a place, which is 0, to a bit of i64.
void storeBit(LoopBuilder &b, const Image &image, const BitPlace &at, int64_t p,
              Value bit) {
  if (!image.isPlanes())
    bit = arith::TruncIOp::create(b, b.getI8Type(), bit);
  Value element = b.add(at.element, p * at.planeStride);
  Value shift = b.add(at.bit, b.splat(bit.getType(), p * at.bitStride));
  b.store(b.ori(b.load(image.memory, element), b.shl(bit, shift)), image.memory,
          element);
}

struct RelayoutPattern : LoopPattern<bitpack::RelayoutOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, bitpack::RelayoutOp op,
                        Adaptor adaptor) const override {
    RankedTensorType from = tensorType(op.getInput());
    RankedTensorType to = tensorType(op.getResult());
    Image in = viewImage(b, from, adaptor.getInput());
    // Pixels that the result has for each of the input, or the reverse.
    Value elements = b.mul(in.batch, in.height * in.width * in.channels);
    Image shape = describeImage(to);
    int64_t each = shape.height * shape.width * shape.channels;
    Value batch = b.div(elements, each), result;
    bool blocks = bitpack::getLayout(from).getBlock() ||
                  bitpack::getLayout(to).getBlock();
    if (blocks && !(from.hasStaticShape() && to.hasStaticShape()))
      return op.emitError("a layout with blocks needs a static shape");
    Image out;
    if (blocks) {
      auto type = getTypeConverter()->convertType<MemRefType>(to);
      result = memref::AllocOp::create(b, type, ValueRange(),
                                       b.getI64IntegerAttr(64));
      out = describeImage(to);
      out.memory = b.flat(result);
    } else {
      out = allocateImage(b, to, batch, result);
    }
    bool tight = !in.hasPadding() && !out.hasPadding() && !in.hasHalo() &&
                 !out.hasHalo() && in.channels % 64 == 0 &&
                 out.channels % 64 == 0;
    bool same = in.channels == out.channels && in.height == out.height &&
                in.width == out.width;
    bool form = in.isPlanes() == out.isPlanes();
    // Pixels without gaps may be taken as those of the other shape.
    if (!blocks && !same && in.channels == out.channels &&
        (!in.hasHalo() || !out.hasHalo())) {
      Image from = in.hasHalo() ? in : withShapeOf(in, out);
      Image to = in.hasHalo() ? withShapeOf(out, in) : out;
      samePixels(in, out) ? copyRows(b, from, to) : convertRows(b, from, to);
      return result;
    }
    if (!blocks && same && samePixels(in, out))
      copyRows(b, in, out);
    else if (!blocks && tight && form)
      copyAll(b, in, out);
    else if (!blocks && (same || tight))
      convertRows(b, in, same ? out : withShapeOf(out, in));
    else
      moveBits(b, from, in, to, out, elements);
    return result;
  }

  /// The memory of `image`, without gaps, as pixels of the shape of another.
  static Image withShapeOf(const Image &image, const Image &shape) {
    Image view = image;
    view.batch = shape.batch;
    view.height = shape.height;
    view.width = shape.width;
    view.channels = shape.channels;
    view.words = shape.words;
    return view;
  }

  /// Between forms, pixel by pixel.
  static void convertRows(LoopBuilder &b, const Image &in, const Image &out) {
    int64_t lanes = std::max<int64_t>(8, b.options.vectorBytes / 4);
    double cost = 0.1 * double(out.width * out.channels);
    forEachRow(b, out, cost, [&](Value n, Value y) {
      if (out.hasHalo() || out.hasPadding())
        out.clearRow(b, n, y);
      b.loop(out.width, [&](Value x) {
        Value source = in.at(b, n, y, x), target = out.at(b, n, y, x);
        forEachChunk(
            b, out.channels, lanes,
            [&](Value word, int64_t offset, int64_t size, int64_t valid) {
              Value codes = loadCodes(b, in, source, word, offset, size, valid);
              storeCodes(b, out, target, word, b.index(offset),
                         toPlanes(b, codes, out.planes), valid);
            });
      });
    });
  }

  static void copyRows(LoopBuilder &b, const Image &in, const Image &out) {
    forEachRow(b, out, double(out.rowSize()) / 4, [&](Value n, Value y) {
      if (out.hasHalo())
        out.clearRow(b, n, y);
      Value zero = b.index(0);
      copyPixels(b, in, in.at(b, n, y, zero), out, out.at(b, n, y, zero),
                 out.width);
    });
  }

  /// Whole words on both sides: the order of words stays.
  static void copyAll(LoopBuilder &b, const Image &in, const Image &out) {
    forEachRow(b, in, double(in.rowSize()) / 4, [&](Value n, Value y) {
      Value at = in.at(b, n, y, b.index(0));
      copyPixels(b, in, at, out, at, in.width);
    });
  }

  /// Bit by bit: clears, then sets, in one task for what shares words.
  static void moveBits(LoopBuilder &b, RankedTensorType from, const Image &in,
                       RankedTensorType to, const Image &out, Value elements) {
    bool blocks = bitpack::getLayout(from).getBlock() ||
                  bitpack::getLayout(to).getBlock();
    int64_t each = out.height * out.width * out.channels;
    Value images = blocks ? b.index(1) : out.batch;
    b.tasks(images, [&](Value n) {
      Value size = blocks ? Value() : b.index(out.imageSize());
      if (blocks) {
        int64_t total = 1;
        for (int64_t d : bitpack::getLayout(to).getPhysicalShape(to))
          total *= d;
        size = b.index(total);
      }
      Value base = blocks ? b.index(0) : b.mul(n, out.imageSize());
      b.zero(out.memory, base, size);
      Value first = blocks ? b.index(0) : b.mul(n, each);
      Value last = blocks ? elements : b.add(first, each);
      b.loop(first, last, 1, [&](Value element) {
        BitPlace source = placeOf(b, from, in, element);
        BitPlace target = placeOf(b, to, out, element);
        for (int64_t p = 0; p < in.planes; ++p)
          storeBit(b, out, target, p, loadBit(b, in, source, p));
      });
    });
  }
};

/// The words of a pixel put together from parts, each `channels` wide and
/// loaded by word(part, index, plane), one after the other.
struct PixelPart {
  int64_t channels;
  std::function<Value(int64_t, int64_t)> word;
};

void storePixel(LoopBuilder &b, const Image &out, Value pixel,
                ArrayRef<PixelPart> parts) {
  for (int64_t p = 0; p < out.planes; ++p) {
    Values words(out.words, Value());
    int64_t start = 0;
    auto put = [&](int64_t word, Value bits) {
      words[word] = words[word] ? b.ori(words[word], bits) : bits;
    };
    for (const PixelPart &part : parts) {
      for (int64_t j = 0; j * 64 < part.channels; ++j) {
        Value bits = part.word(j, p);
        int64_t at = start + j * 64, shift = at % 64;
        int64_t left = std::min<int64_t>(64, part.channels - j * 64);
        put(at / 64, b.shl(bits, b.i64(shift)));
        if (shift + left > 64)
          put(at / 64 + 1, b.shr(bits, b.i64(64 - shift)));
      }
      start += part.channels;
    }
    for (int64_t w = 0; w < out.words; ++w)
      b.store(words[w] ? words[w] : b.i64(0), out.memory,
              b.add(pixel, w * out.planes + p));
  }
}

PixelPart partOf(LoopBuilder &b, const Image &in, Value pixel) {
  return {in.channels, [&b, &in, pixel](int64_t j, int64_t p) {
            return b.load(in.memory, b.add(pixel, j * in.planes + p));
          }};
}

/// `channels` times one code.
PixelPart constantPart(LoopBuilder &b, int64_t channels, uint8_t code) {
  return {channels, [&b, channels, code](int64_t j, int64_t p) {
            int64_t left = std::min<int64_t>(64, channels - j * 64);
            uint64_t ones =
                left == 64 ? ~uint64_t(0) : (uint64_t(1) << left) - 1;
            return b.i64((code >> p) & 1 ? ones : 0);
          }};
}

struct PadPattern : LoopPattern<bitpack::PadOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, bitpack::PadOp op,
                        Adaptor adaptor) const override {
    RankedTensorType from = tensorType(op.getInput());
    int64_t rank = from.getRank();
    ArrayRef<int64_t> low = op.getLow(), high = op.getHigh();
    if (rank != 4 && rank != 2)
      return op.emitError("packed codes are padded as images or matrices");
    Image in = viewImage(b, from, adaptor.getInput());
    Value result;
    Value batch = b.add(in.batch, low[0] + high[0]);
    Image out = allocateImage(b, tensorType(op.getResult()), batch, result);
    if (in.isPlanes() != out.isPlanes())
      return op.emitError("codes are padded in the form that they have");
    uint8_t code = out.code.toCode(op.getValue());
    int64_t lowC = low[rank - 1], highC = high[rank - 1];
    forEachRow(b, out, 2.0 * double(out.rowSize()), [&](Value n, Value y) {
      if (out.hasHalo() || out.hasPadding())
        out.clearRow(b, n, y);
      b.loop(out.width, [&](Value x) {
        Value pixel = out.at(b, n, y, x), inside;
        Values at = {n, y, x};
        int64_t sizes[] = {0, in.height, in.width};
        for (int64_t d = 0; d < rank - 1; ++d) {
          if (!low[d] && !high[d])
            continue;
          at[d] = b.sub(at[d], b.index(low[d]));
          Value size = d ? b.index(sizes[d]) : in.batch;
          Value ok = b.cmp(arith::CmpIPredicate::ult, at[d], size);
          inside = inside ? b.andi(inside, ok) : ok;
        }
        auto copied = [&] {
          Value source = in.at(b, at[0], at[1], at[2]);
          if (!out.isPlanes()) {
            b.fill(out.memory, pixel, b.index(lowC), int8_t(code));
            Value first = b.add(pixel, lowC);
            b.copy(in.memory, source, out.memory, first, b.index(in.channels));
            b.fill(out.memory, b.add(first, in.channels), b.index(highC),
                   int8_t(code));
            return Values();
          }
          storePixel(b, out, pixel,
                     {constantPart(b, lowC, code), partOf(b, in, source),
                      constantPart(b, highC, code)});
          return Values();
        };
        if (!inside) {
          copied();
          return;
        }
        b.when(inside, {}, copied, [&] {
          if (!out.isPlanes()) {
            b.fill(out.memory, pixel, b.index(out.channels), int8_t(code));
            return Values();
          }
          storePixel(b, out, pixel, {constantPart(b, out.channels, code)});
          return Values();
        });
      });
    });
    return result;
  }
};

struct ConcatPattern : LoopPattern<bitpack::ConcatOp> {
  using LoopPattern::LoopPattern;

  FailureOr<Value> emit(LoopBuilder &b, bitpack::ConcatOp op,
                        Adaptor adaptor) const override {
    int64_t rank = tensorType(op.getResult()).getRank(), dim = op.getDim();
    if (rank != 4 && rank != 2)
      return op.emitError("packed codes are put together as images or "
                          "matrices");
    SmallVector<Image> inputs;
    for (auto [value, memory] : llvm::zip(op.getInputs(), adaptor.getInputs()))
      inputs.push_back(viewImage(b, tensorType(value), memory));
    Value batch = inputs.front().batch;
    if (dim == 0)
      for (const Image &in : ArrayRef(inputs).drop_front())
        batch = b.add(batch, in.batch);
    Value result;
    Image out = allocateImage(b, tensorType(op.getResult()), batch, result);
    for (const Image &in : inputs)
      if (in.isPlanes() != out.isPlanes() ||
          (dim < rank - 1 && !samePixels(in, out)))
        return op.emitError(
            "codes are put together in the form that they have");
    if (dim == rank - 1)
      channels(b, inputs, out);
    else
      positions(b, inputs, out, dim);
    return result;
  }

  static void channels(LoopBuilder &b, ArrayRef<Image> inputs,
                       const Image &out) {
    forEachRow(b, out, 2.0 * double(out.rowSize()), [&](Value n, Value y) {
      if (out.hasHalo() || out.hasPadding())
        out.clearRow(b, n, y);
      b.loop(out.width, [&](Value x) {
        Value to = out.at(b, n, y, x);
        if (!out.isPlanes()) {
          for (const Image &in : inputs) {
            b.copy(in.memory, in.at(b, n, y, x), out.memory, to,
                   b.index(in.channels));
            to = b.add(to, in.channels);
          }
          return;
        }
        SmallVector<PixelPart> parts;
        for (const Image &in : inputs)
          parts.push_back(partOf(b, in, in.at(b, n, y, x)));
        storePixel(b, out, to, parts);
      });
    });
  }

  /// Along batch, rows or columns: rows of pixels are copied, input by input.
  static void positions(LoopBuilder &b, ArrayRef<Image> inputs,
                        const Image &out, int64_t dim) {
    if (out.hasHalo())
      forEachRow(b, out, double(out.rowSize()) / 4,
                 [&](Value n, Value y) { out.clearRow(b, n, y); });
    Value start = b.index(0);
    for (const Image &in : inputs) {
      forEachRow(b, in, double(in.rowSize()) / 4, [&](Value n, Value y) {
        Values at = {n, y, b.index(0)};
        Value from = in.at(b, n, y, b.index(0));
        at[dim] = b.add(at[dim], start);
        copyPixels(b, in, from, out, out.at(b, at[0], at[1], at[2]), in.width);
      });
      int64_t sizes[] = {0, in.height, in.width};
      start = b.add(start, dim ? b.index(sizes[dim]) : in.batch);
    }
  }
};

} // namespace

void hwgq::populatePackedMoves(RewritePatternSet &patterns,
                               const TypeConverter &converter,
                               const LoopOptions &options) {
  patterns.add<RelayoutPattern, PadPattern, ConcatPattern>(
      converter, patterns.getContext(), options);
}
