//===- WindowSums.cpp - sums of codes over windows ------------------------===//
#include "WindowSums.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace hwgq;

WindowSums::WindowSums(LoopBuilder &b, const ConvLoops &conv,
                       const Tasking &tasking, Value acts)
    : conv(conv), in(conv.input), acts(acts),
      span(in.isPlanes()     ? llvm::divideCeil(conv.groupIn, 64) * in.planes
           : conv.groups > 1 ? conv.groupIn
                             : in.pixelSize()),
      lanes(b.options.vectorBytes / 4),
      width(
          llvm::alignTo(std::max(columns(), conv.output.width + lanes +
                                                (conv.kw - 1) * conv.dilationX),
                        lanes)),
      lineSize(conv.kw == 1 ? 0 : (ring() + 1) * width),
      taskSize(lineSize + llvm::alignTo(tasking.pixels(conv) + lanes, lanes)) {
  scratch = memref::AllocOp::create(
      b, MemRefType::get({ShapedType::kDynamic}, b.getI32Type()),
      ValueRange{b.mul(tasking.bound, taskSize)}, b.getI64IntegerAttr(64));
}

/// Columns of the input that a row of outputs reads.
int64_t WindowSums::columns() const {
  return (conv.output.width - 1) * conv.strideX +
         (conv.kw - 1) * conv.dilationX + 1;
}

/// Rows of the input that a row of outputs reads, with those between taps.
int64_t WindowSums::ring() const { return (conv.kh - 1) * conv.dilationY + 1; }

Value WindowSums::groupStart(LoopBuilder &b, const Task &task) const {
  return b.mul(task.group, span);
}

/// `sum` (i64) and those of the words of planes from `at` on.
Value WindowSums::wordsSum(LoopBuilder &b, Value n, Value row, Value at,
                           Value sum) const {
  return b.unroll(span / in.planes, 4, {sum}, [&](Value word, ValueRange part) {
    Value total = part[0];
    for (int64_t p = 0; p < in.planes; ++p) {
      Value x = b.add(b.add(at, b.mul(word, in.planes)), p);
      Value bits = memref::LoadOp::create(b, acts, ValueRange{n, row, x});
      Value ones = math::CtPopOp::create(b, bits);
      total = b.add(total, b.shl(ones, b.i64(p)));
    }
    return Values{total};
  })[0];
}

/// `sum` (a vector of i32) and the bytes from `at` on.
Value WindowSums::bytesSum(LoopBuilder &b, Value n, Value row, Value at,
                           Value sum) const {
  auto type = cast<VectorType>(sum.getType());
  int64_t lanes = type.getNumElements();
  return b.carry(
      b.index(0), b.index(span), lanes, {sum}, [&](Value i, ValueRange part) {
        Value codes =
            vector::LoadOp::create(b, b.vec(lanes, b.getI8Type()), acts,
                                   ValueRange{n, row, b.add(at, i)});
        return Values{b.add(part[0], arith::ExtUIOp::create(b, type, codes))};
      })[0];
}

/// Sum of all channels (of the group) over `taps` rows at `at`, from image row
/// y on.
Value WindowSums::columnSum(LoopBuilder &b, Value n, Value y, Value at,
                            int64_t taps) const {
  bool planes = in.isPlanes();
  int64_t count = std::min<int64_t>(lanes, span & -span);
  Value zero =
      planes ? b.i64(0) : b.splat(b.vec(count, b.getI32Type()), int64_t(0));
  Value sum = b.unroll(taps, 4, {zero}, [&](Value ky, ValueRange s) {
    Value row = b.add(b.mul(ky, conv.dilationY), y);
    return Values{planes ? wordsSum(b, n, row, at, s[0])
                         : bytesSum(b, n, row, at, s[0])};
  })[0];
  if (planes)
    return b.toI32(sum);
  return vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum);
}

/// The sums of the pixels of rows, of which a ring is kept, those of columns of
/// the window, and those of windows.
void WindowSums::sumRow(LoopBuilder &b, const Task &task, Value row) const {
  const Image &out = conv.output;
  Value line = b.mul(task.number, taskSize);
  Value n = b.div(row, out.height), yOut = b.rem(row, out.height);
  Value y = conv.firstRow(b, yOut);
  Value to =
      b.add(b.add(line, lineSize), b.mul(b.sub(row, task.row0), out.width));
  Value group = groupStart(b, task);
  auto column = [&](Value x) {
    return b.add(b.mul(b.add(x, in.left - conv.left), in.pixelSize()), group);
  };
  if (conv.kw == 1)
    return b.loop(out.width, [&](Value x) {
      Value at = column(b.mul(x, conv.strideX));
      b.store(columnSum(b, n, y, at, conv.kh), scratch, b.add(to, x));
    });
  auto rowLine = [&](Value at) {
    return b.add(line, b.mul(b.rem(at, ring()), width));
  };
  auto equal = arith::CmpIPredicate::eq;
  Value fresh =
      b.ori(b.cmp(equal, row, task.row0), b.cmp(equal, yOut, b.index(0)));
  int64_t kept = std::max<int64_t>(0, ring() - conv.strideY);
  b.loop(b.select(fresh, b.index(0), b.index(kept)), b.index(ring()), 1,
         [&](Value r) {
           Value at = b.add(y, r), memory = rowLine(at);
           b.loop(columns(), [&](Value x) {
             b.store(columnSum(b, n, at, column(x), 1), scratch,
                     b.add(memory, x));
           });
         });
  VectorType type = b.vec(lanes, b.getI32Type());
  Value sums = b.add(line, ring() * width);
  b.loop(b.index(0), b.index(columns()), lanes, [&](Value x) {
    Value zero = b.splat(type, int64_t(0));
    Value sum = b.unroll(conv.kh, 8, {zero}, [&](Value ky, ValueRange s) {
      Value at = rowLine(b.add(y, b.mul(ky, conv.dilationY)));
      return Values{b.add(s[0], b.load(type, scratch, b.add(at, x)))};
    })[0];
    b.store(sum, scratch, b.add(sums, x));
  });
  // Vectors of windows side by side; lanes behind the row are of the next one.
  bool dense = conv.strideX == 1;
  Type part = dense ? Type(type) : b.getI32Type();
  b.loop(b.index(0), b.index(out.width), dense ? lanes : 1, [&](Value x) {
    Value first = b.add(sums, b.mul(x, conv.strideX));
    Value zero = b.splat(part, int64_t(0));
    Value sum = b.unroll(conv.kw, 8, {zero}, [&](Value kx, ValueRange s) {
      Value at = b.add(first, b.mul(kx, conv.dilationX));
      Value next = dense ? b.load(type, scratch, at) : b.load(scratch, at);
      return Values{b.add(s[0], next)};
    })[0];
    b.store(sum, scratch, b.add(to, x));
  });
}

void WindowSums::compute(LoopBuilder &b, const Task &task) const {
  if (!conv.op.isMatMul)
    return b.loop(task.row0, task.row1, 1,
                  [&](Value row) { sumRow(b, task, row); });
  Value sums = b.add(b.mul(task.number, taskSize), lineSize);
  Value group = groupStart(b, task), zero = b.index(0);
  b.loop(task.x0, task.x1, 1, [&](Value x) {
    Value at = b.add(b.mul(x, in.pixelSize()), group);
    b.store(columnSum(b, zero, zero, at, 1), scratch,
            b.add(sums, b.sub(x, task.x0)));
  });
}

Value WindowSums::get(LoopBuilder &b, const Task &task, Value n, Value y,
                      Value x) const {
  const Image &out = conv.output;
  Value sums = b.add(b.mul(task.number, taskSize), lineSize);
  Value row = b.sub(b.add(b.mul(n, out.height), y), task.row0);
  Value at =
      conv.op.isMatMul ? b.sub(x, task.x0) : b.add(b.mul(row, out.width), x);
  return b.load(scratch, b.add(sums, at));
}
