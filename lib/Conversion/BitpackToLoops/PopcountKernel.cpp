//===- PopcountKernel.cpp - contractions of codes on bit planes -----------===//
//
// P comes from register tiles of popcounts, S (see Accumulator.h) once per
// pixel from scalar popcounts.
//
//===----------------------------------------------------------------------===//
#include "../PackConstant.h"
#include "Accumulator.h"
#include "Epilogue.h"
#include "PopcountTile.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace hwgq;

namespace {

class PopcountKernel {
public:
  PopcountKernel(LoopBuilder &b, ConvLoops &conv)
      : b(b), conv(conv), in(conv.input), out(conv.output), a(conv.inputCode()),
        w(conv.weightCode()),
        target(getPopcountTarget(b.options.vectorBytes,
                                 b.options.vectorRegisters,
                                 b.options.vectorPopcount)) {}

  FailureOr<Value> emit() {
    auto constant = conv.op.weight.getDefiningOp<bitpack::ConstantOp>();
    auto codes = constant
                     ? unpackConstant(conv.op.weightType(), constant.getWords())
                     : std::nullopt;
    if (!codes)
      return conv.op.op->emitError("the weights have no readable values");
    chooseTile();
    packWeights(*codes);
    int64_t covered = blocksOfGroup * tile.block;
    accumulator.emplace(b, conv, *codes, covered * conv.groups);
    epilogue.emplace(b, conv, tile.block, covered);
    acts = viewRows(b, conv, in);
    Tasking tasking(b, conv, blocksOfGroup, cost());
    bool sums = accumulator->needsSums();
    if (sums) {
      lineSize = conv.kw == 1 ? 0 : columns();
      taskSize = lineSize + tasking.pixels(conv);
      scratch = memref::AllocOp::create(
          b, MemRefType::get({ShapedType::kDynamic}, b.getI32Type()),
          ValueRange{b.mul(tasking.bound, taskSize)}, b.getI64IntegerAttr(64));
    }
    forEachTask(b, conv, tasking, [&](const Task &task) {
      if (sums)
        windowSums(task);
      b.loop(task.block0, task.block1, 1,
             [&](Value block) { emitBlock(task, block); });
    });
    return conv.result;
  }

private:
  /// Nanoseconds of one output row of all channels (or of one pixel).
  double cost() {
    double macs = double(conv.op.macs()) * a.getBits() * w.getBits();
    double rate = target.countsWords ? 600 : 40.0 * double(target.lanes);
    return macs / (conv.op.isMatMul ? 1 : std::max<int64_t>(1, out.height)) /
           rate;
  }

  void chooseTile() {
    tile.block = getPopcountBlock(target, conv.groupOut);
    if (conv.groups > 1) // blocks end where groups end, and lie in one word
      while (conv.groupOut % tile.block || 64 % tile.block)
        tile.block = llvm::bit_floor(uint64_t(tile.block - 1));
    tile.planesA = a.getBits();
    tile.planesW = w.getBits();
    tile.kh = conv.kh;
    tile.kw = conv.kw;
    tile.words = llvm::divideCeil(conv.groupIn, 64);
    tile.pixelStep = conv.strideX * in.pixelSize();
    tile.tapStepX = conv.dilationX * in.pixelSize();
    tile.tapStepY = conv.dilationY;
    int64_t width = conv.op.isMatMul ? (conv.op.inputType().isDynamicDim(0)
                                            ? target.maxPixels
                                            : conv.op.inputType().getDimSize(0))
                                     : out.width;
    pixels = getPopcountPixels(target, tile, std::max<int64_t>(1, width));
    blocksOfGroup = llvm::divideCeil(conv.groupOut, tile.block);
  }

  void packWeights(ArrayRef<uint8_t> codes) {
    auto layout = bitpack::LayoutAttr::get(b.getContext(), "planes",
                                           {0, 0, 0, 0}, tile.block);
    RankedTensorType old = conv.op.weightType();
    auto type =
        RankedTensorType::get(old.getShape(), old.getElementType(), layout);
    weights = b.constant(
        MemRefType::get({blocksOfGroup * conv.groups, conv.kh,
                         conv.kw * tile.words, tile.planesW * tile.block},
                        b.getI64Type()),
        packConstant(type, codes));
  }

  //===--------------------------------------------------------------------===//
  // Window sums
  //===--------------------------------------------------------------------===//

  /// Columns of the input that a row of outputs reads.
  int64_t columns() const {
    return (out.width - 1) * conv.strideX + (conv.kw - 1) * conv.dilationX + 1;
  }

  Value groupWord(const Task &task) {
    return b.mul(task.group, tile.words * in.planes);
  }

  /// Sum of ca of all channels (of the group) over kh taps at `at` of image
  /// row y.
  Value columnSum(Value n, Value y, Value at) {
    Value sum = b.unroll(conv.kh, 4, {b.i64(0)}, [&](Value ky, ValueRange s) {
      Value row = b.add(b.mul(ky, conv.dilationY), y);
      return b.unroll(tile.words, 4, s, [&](Value word, ValueRange part) {
        Value total = part[0];
        for (int64_t p = 0; p < in.planes; ++p) {
          Value x = b.add(b.add(at, b.mul(word, in.planes)), p);
          Value bits = memref::LoadOp::create(b, acts, ValueRange{n, row, x});
          Value ones = math::CtPopOp::create(b, bits);
          total = b.add(total, b.shl(ones, b.i64(p)));
        }
        return Values{total};
      });
    })[0];
    return b.toI32(sum);
  }

  void windowSums(const Task &task) {
    Value line = b.mul(task.number, taskSize), sums = b.add(line, lineSize);
    Value group = groupWord(task), zero = b.index(0);
    if (conv.op.isMatMul) {
      b.loop(task.x0, task.x1, 1, [&](Value x) {
        Value at = b.add(b.mul(x, in.pixelSize()), group);
        b.store(columnSum(zero, zero, at), scratch,
                b.add(sums, b.sub(x, task.x0)));
      });
      return;
    }
    b.loop(task.row0, task.row1, 1, [&](Value row) {
      Value n = b.div(row, out.height), y = firstRow(b.rem(row, out.height));
      Value target = b.add(sums, b.mul(b.sub(row, task.row0), out.width));
      auto column = [&](Value x) {
        return b.add(b.mul(b.add(x, in.left - conv.left), in.pixelSize()),
                     group);
      };
      if (conv.kw == 1) {
        b.loop(out.width, [&](Value x) {
          b.store(columnSum(n, y, column(b.mul(x, conv.strideX))), scratch,
                  b.add(target, x));
        });
        return;
      }
      b.loop(columns(), [&](Value x) {
        b.store(columnSum(n, y, column(x)), scratch, b.add(line, x));
      });
      b.loop(out.width, [&](Value x) {
        Value first = b.add(line, b.mul(x, conv.strideX));
        Value sum =
            b.unroll(conv.kw, 8, {b.i32(0)}, [&](Value kx, ValueRange s) {
              Value at = b.add(first, b.mul(kx, conv.dilationX));
              return Values{b.add(s[0], b.load(scratch, at))};
            })[0];
        b.store(sum, scratch, b.add(target, x));
      });
    });
  }

  //===--------------------------------------------------------------------===//
  // Tiles
  //===--------------------------------------------------------------------===//

  /// The row of `acts` of the first tap of output row y.
  Value firstRow(Value y) {
    return b.add(b.mul(y, conv.strideY), in.top - conv.top);
  }

  void emitBlock(const Task &task, Value block) {
    Value group = groupWord(task);
    Value sums =
        scratch ? b.add(b.mul(task.number, taskSize), lineSize) : Value();
    forEachTile(
        b, conv, task, pixels, [&](Value n, Value y, Value x, int64_t count) {
          PopcountTile part = tile;
          part.pixels = count;
          Value column =
              b.add(b.mul(b.add(b.mul(x, conv.strideX), in.left - conv.left),
                          in.pixelSize()),
                    group);
          Values accs = emitPopcountTile(b, b.getLoc(), target, part, acts, n,
                                         firstRow(y), column, weights, block);
          Value at;
          if (sums && conv.op.isMatMul)
            at = b.add(sums, b.sub(x, task.x0));
          else if (sums)
            at = b.add(sums, b.add(b.mul(b.sub(b.add(b.mul(n, out.height), y),
                                               task.row0),
                                         out.width),
                                   x));
          for (int64_t p = 0; p < count; ++p)
            finish(accs[p], sums ? b.load(scratch, b.add(at, p)) : Value(), n,
                   y, b.add(x, p), block);
        });
  }

  /// From P to the result of one pixel and block.
  void finish(Value acc, Value sum, Value n, Value y, Value x, Value block) {
    Value channel = b.mul(block, tile.block);
    acc = accumulator->get(b, acc, sum, y, x, channel);
    epilogue->finish(b, acc, n, y, x, channel);
  }

  LoopBuilder &b;
  ConvLoops &conv;
  const Image &in, &out;
  CodeType a, w;
  PopcountTarget target;
  PopcountTile tile;
  int64_t pixels = 1, blocksOfGroup = 1;
  int64_t lineSize = 0, taskSize = 0; // of scratch
  Value weights, acts, scratch;
  std::optional<Accumulator> accumulator;
  std::optional<Epilogue> epilogue;
};

} // namespace

FailureOr<Value> hwgq::emitPopcountKernel(LoopBuilder &b, ConvLoops &conv) {
  return PopcountKernel(b, conv).emit();
}
