//===- PackedMoves.cpp - relayout, pad and concat of packed codes ---------===//
#include "Patterns.h"

using namespace mlir;
using namespace hwgq;

namespace {

/// Copies of whole pixels: the words of a row of pixels lie side by side.
void copyPixels(LoopBuilder &b, const Image &from, Value fromAt,
                const Image &to, Value toAt, int64_t pixels) {
  b.copy(from.memory, fromAt, to.memory, toAt,
         b.index(pixels * to.pixelSize()));
}

/// Where code element `flat` (row-major, of the logical tensor) lies: the word
/// of plane 0, the bit, and words from plane to plane.
struct BitPlace {
  Value word, bit;
  int64_t planeStride;
};

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
    return {b.add(pixel, b.mul(word, image.planes)), bit, 1};
  }
  // Weights [K/block][taps][words][planes][block]; the taps are the rows of K.
  int64_t taps = type.getRank() == 2 ? 1
                                     : type.getNumElements() /
                                           type.getDimSize(0) / image.channels;
  Value k = b.div(row, taps), tap = b.rem(row, taps);
  Value at = b.add(b.mul(b.div(k, block), taps), tap);
  at = b.mul(b.add(b.mul(at, image.words), word), image.planes * block);
  return {b.add(at, b.rem(k, block)), bit, block};
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
    if (!blocks && in.channels == out.channels && in.height == out.height &&
        in.width == out.width)
      copyRows(b, in, out);
    else if (!blocks && in.channels % 64 == 0 && !in.hasHalo() &&
             !out.hasHalo() && out.channels % 64 == 0)
      copyAll(b, in, out);
    else
      moveBits(b, from, in, to, out, elements);
    return result;
  }

  static Image describeImage(RankedTensorType type) {
    Image image;
    ArrayRef<int64_t> shape = type.getShape();
    bitpack::LayoutAttr layout = bitpack::getLayout(type);
    image.code = cast<CodeType>(type.getElementType());
    image.planes = image.code.getBits();
    image.channels = shape.back();
    image.words = llvm::divideCeil(image.channels, 64);
    if (shape.size() == 4) {
      image.height = shape[1];
      image.width = shape[2];
      image.top = layout.getTop();
      image.left = layout.getLeft();
      image.bottom = layout.getBottom();
      image.right = layout.getRight();
    }
    return image;
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
        for (int64_t p = 0; p < in.planes; ++p) {
          Value bits =
              b.load(in.memory, b.add(source.word, p * source.planeStride));
          Value bit = b.andi(b.shr(bits, source.bit), b.i64(1));
          Value at = b.add(target.word, p * target.planeStride);
          b.store(b.ori(b.load(out.memory, at), b.shl(bit, target.bit)),
                  out.memory, at);
        }
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
    uint8_t code = out.code.toCode(op.getValue());
    int64_t lowC = low[rank - 1], highC = high[rank - 1];
    forEachRow(b, out, 2.0 * double(out.rowSize()), [&](Value n, Value y) {
      if (out.hasHalo())
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
    if (dim == rank - 1)
      channels(b, inputs, out);
    else
      positions(b, inputs, out, dim);
    return result;
  }

  static void channels(LoopBuilder &b, ArrayRef<Image> inputs,
                       const Image &out) {
    forEachRow(b, out, 2.0 * double(out.rowSize()), [&](Value n, Value y) {
      if (out.hasHalo())
        out.clearRow(b, n, y);
      b.loop(out.width, [&](Value x) {
        SmallVector<PixelPart> parts;
        for (const Image &in : inputs)
          parts.push_back(partOf(b, in, in.at(b, n, y, x)));
        storePixel(b, out, out.at(b, n, y, x), parts);
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
