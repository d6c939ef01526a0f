//===- Loops.h - building loops over packed and plain images ----*- C++ -*-===//
#ifndef HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_LOOPS_H
#define HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_LOOPS_H

#include "hwgq/Conversion/BitpackToLoops.h"
#include "hwgq/Dialect/Bitpack.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace hwgq {

using Values = llvm::SmallVector<mlir::Value>;

/// An op builder with one location, the target's options and short names for
/// what loops are made of. Arithmetic folds constants.
class LoopBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Body = llvm::function_ref<void(mlir::Value)>;
  using CarryBody = llvm::function_ref<Values(mlir::Value, mlir::ValueRange)>;

  LoopBuilder(mlir::Location loc, mlir::OpBuilder &builder,
              const LoopOptions &options)
      : ImplicitLocOpBuilder(loc, builder), options(options) {}

  const LoopOptions &options;

  mlir::Value index(int64_t value);
  mlir::Value i32(int64_t value);
  mlir::Value i64(uint64_t value);
  mlir::Value f32(float value);
  /// A vector (or scalar) of `type` with every element `value`.
  mlir::Value splat(mlir::Type type, int64_t value);
  mlir::Value splat(mlir::Type type, float value);
  mlir::Value broadcast(mlir::VectorType type, mlir::Value value);

  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value add(mlir::Value x, int64_t y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, int64_t y);
  mlir::Value div(mlir::Value x, int64_t y); // unsigned
  mlir::Value rem(mlir::Value x, int64_t y); // unsigned
  mlir::Value ceilDiv(mlir::Value x, int64_t y);
  mlir::Value min(mlir::Value x, mlir::Value y); // signed
  mlir::Value max(mlir::Value x, mlir::Value y); // signed
  mlir::Value andi(mlir::Value x, mlir::Value y);
  mlir::Value ori(mlir::Value x, mlir::Value y);
  mlir::Value xori(mlir::Value x, mlir::Value y);
  mlir::Value shl(mlir::Value x, mlir::Value y);
  mlir::Value shr(mlir::Value x, mlir::Value y); // logical
  mlir::Value select(mlir::Value c, mlir::Value x, mlir::Value y);
  mlir::Value cmp(mlir::arith::CmpIPredicate predicate, mlir::Value x,
                  mlir::Value y);
  mlir::Value toI64(mlir::Value x);   // from index or i32 (signed)
  mlir::Value toI32(mlir::Value x);   // from index or i64
  mlir::Value toIndex(mlir::Value x); // from i32 or i64
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z) {
    return createFma(*this, getLoc(), x, y, z, options);
  }

  /// for (i = low; i < high; i += step); none for no iterations, the body
  /// alone for one, where that is known.
  void loop(mlir::Value low, mlir::Value high, int64_t step, Body body);
  void loop(int64_t count, Body body) { loop(index(0), index(count), 1, body); }
  Values carry(mlir::Value low, mlir::Value high, int64_t step,
               mlir::ValueRange inits, CarryBody body);
  Values carry(int64_t count, mlir::ValueRange inits, CarryBody body) {
    return carry(index(0), index(count), 1, inits, body);
  }
  /// The same without a loop for at most `limit` iterations.
  Values unroll(int64_t count, int64_t limit, mlir::ValueRange inits,
                CarryBody body);
  /// if (condition) then() else otherwise(), with results.
  Values when(mlir::Value condition, mlir::TypeRange types,
              llvm::function_ref<Values()> then,
              llvm::function_ref<Values()> otherwise);
  void when(mlir::Value condition, llvm::function_ref<void()> then);
  /// Parallel tasks 0..count-1.
  void tasks(mlir::Value count, Body body);
  /// The same for body(begin, end), which does the tasks that a thread takes at
  /// a time.
  void chunks(mlir::Value count,
              llvm::function_ref<void(mlir::Value, mlir::Value)> body);

  mlir::Value load(mlir::Value memory, mlir::Value at);
  mlir::Value load(mlir::VectorType type, mlir::Value memory, mlir::Value at);
  void store(mlir::Value value, mlir::Value memory, mlir::Value at);
  /// The first `valid` elements of a vector that has more; 0 in the others.
  mlir::Value loadPart(mlir::VectorType type, mlir::Value memory,
                       mlir::Value at, int64_t valid);
  void storePart(mlir::Value vector, mlir::Value memory, mlir::Value at,
                 int64_t valid);
  mlir::Value slice(mlir::Value vector, int64_t at, int64_t count);
  /// Two vectors of one type side by side.
  mlir::Value join(mlir::Value low, mlir::Value high);
  /// Elements [at, at + count) of a flat memory become zero, or `value` where
  /// they are integers.
  void zero(mlir::Value memory, mlir::Value at, mlir::Value count) {
    fill(memory, at, count, 0);
  }
  void fill(mlir::Value memory, mlir::Value at, mlir::Value count,
            int64_t value);
  void copy(mlir::Value from, mlir::Value fromAt, mlir::Value to,
            mlir::Value toAt, mlir::Value count);

  /// The same memory with one dimension.
  mlir::Value flat(mlir::Value memory);
  /// The same memory with other dimensions; one may be dynamic.
  mlir::Value reshape(mlir::Value memory, llvm::ArrayRef<int64_t> shape,
                      mlir::Value dynamicSize);
  /// A constant of the element type of `values` in the module.
  mlir::Value constant(llvm::ArrayRef<int32_t> values);
  mlir::Value constant(llvm::ArrayRef<int16_t> values);
  mlir::Value constant(llvm::ArrayRef<float> values);
  mlir::Value constant(llvm::ArrayRef<uint8_t> values);
  mlir::Value constant(mlir::MemRefType type, mlir::ElementsAttr values);
  /// Memory of the module that is filled once when it is opened and only read
  /// by its runs, 64-byte aligned. `fill` writes all of `memory`; its loops run
  /// apart from the network, on one thread, and may use constants, prepared
  /// memory made before, and nothing else from outside.
  mlir::Value prepared(mlir::MemRefType type, Body fill);
  /// Memory of a task's own with any content, 64-byte aligned, on the stack: in
  /// the body of a task, for some 200 KB at most in all (hwgq_run promises what
  /// a run takes).
  mlir::Value local(mlir::MemRefType type);

  mlir::VectorType vec(int64_t lanes, mlir::Type element) {
    return mlir::VectorType::get(lanes, element);
  }

private:
  mlir::Block *task = nullptr; // the body of the tasks that are being built
};

/// The address of element `at` of flat memory, as i64.
mlir::Value emitAddress(LoopBuilder &b, mlir::Value memory, mlir::Value at);

/// A tensor in memory as rows of pixels: rank 4 is [N][H][W][C] (packed with
/// its halo), any other rank is N = all leading elements, H = W = 1.
struct Image {
  mlir::Value memory; // flat
  mlir::Value bytes;  // flat i8 of the same memory; only of results we made
  mlir::Value batch;  // N
  int64_t height = 1, width = 1, channels = 1;
  int64_t top = 0, left = 0, bottom = 0, right = 0;
  int64_t words = 0, planes = 0; // groups of 64 channels, bits; 0 when plain
  CodeType code;                 // null when plain
  bitpack::LayoutAttr layout;    // null when plain

  bool packed() const { return planes != 0; }
  bool isPlanes() const { return packed() && layout.isPlanes(); }
  bool hasHalo() const { return top || left || bottom || right; }
  /// Elements of memory of a pixel.
  int64_t pixelSize() const {
    return packed() ? layout.getPixelSize(channels, planes) : channels;
  }
  /// Whether a pixel has memory beyond its channels.
  bool hasPadding() const {
    return isPlanes() ? channels % 64 != 0 : pixelSize() != channels;
  }
  int64_t fullHeight() const { return height + top + bottom; }
  int64_t fullWidth() const { return width + left + right; }
  int64_t rowSize() const { return fullWidth() * pixelSize(); }
  int64_t imageSize() const { return fullHeight() * rowSize(); }

  /// The flat index of pixel (n, y, x); y and x may point into the halo, x into
  /// the left side of the next row, too.
  mlir::Value at(LoopBuilder &b, mlir::Value n, mlir::Value y,
                 mlir::Value x) const;
  /// Zeroes what is no code in row y, and above and below it in the first and
  /// the last: before the row is written, since it may zero all of it.
  void clearRow(LoopBuilder &b, mlir::Value n, mlir::Value y) const;
};

/// The image that a tensor of `type` is, without memory.
Image describeImage(mlir::RankedTensorType type, mlir::Value batch = {});

/// A view of `memory`, the converted value of a tensor of `type`.
Image viewImage(LoopBuilder &b, mlir::RankedTensorType type,
                mlir::Value memory);

/// The number of leading elements of a tensor (see Image), as its batch.
mlir::Value getBatch(LoopBuilder &b, mlir::RankedTensorType type,
                     mlir::Value memory);

/// Memory for a result. `batch` is its number of leading elements; `memory`
/// gets the value that replaces the op's result.
Image allocateImage(LoopBuilder &b, mlir::RankedTensorType type,
                    mlir::Value batch, mlir::Value &memory);

/// Parallel tasks over the rows of an image; body(n, y) for each row.
/// `cost` estimates one row in nanoseconds.
void forEachRow(LoopBuilder &b, const Image &image, double cost,
                llvm::function_ref<void(mlir::Value, mlir::Value)> body);

/// Nanoseconds that a task should take at least: the price of a parallel loop
/// and of what a task does before its first result is small beside it.
constexpr double kTaskTime = 8e3;

/// Rows that a task should take so that it runs for kTaskTime.
int64_t rowsPerTask(double cost);

/// Codes of channels [word * 64 + offset, + lanes) of the pixel at `pixel` as
/// a vector of i32; offset and lanes lie in one word; 0 from `valid` on.
mlir::Value loadCodes(LoopBuilder &b, const Image &image, mlir::Value pixel,
                      mlir::Value word, int64_t offset, int64_t lanes,
                      int64_t valid);

/// The code (i32) of one channel.
mlir::Value loadCode(LoopBuilder &b, const Image &image, mlir::Value pixel,
                     mlir::Value channel);

/// The numbers n of codes, as i32.
mlir::Value toNumbers(LoopBuilder &b, CodeType code, mlir::Value codes);

/// The bits of codes (vector of i32) as vectors of i1, one a plane.
Values toPlanes(LoopBuilder &b, mlir::Value codes, int64_t bits);

/// Stores the codes of channels [word * 64 + offset, + lanes) of the pixel at
/// `pixel`, given as vectors of i1, one a plane; lanes is a multiple of 8.
/// Those from `valid` on are 0 and belong to no other task.
void storeCodes(LoopBuilder &b, const Image &image, mlir::Value pixel,
                mlir::Value word, mlir::Value offset, mlir::ValueRange planes,
                int64_t valid);

/// Calls body(word, offset, lanes, valid) for chunks of at most `lanes`
/// channels (a multiple of 8 that divides 64) that cover all channels; whole
/// words run in a loop. valid < lanes only at the end.
void forEachChunk(
    LoopBuilder &b, int64_t channels, int64_t lanes,
    llvm::function_ref<void(mlir::Value, int64_t, int64_t, int64_t)> body);

class ThresholdSearch;

/// Thresholds as tables: code = number of i with ((acc & keep) ^ flip) >= T_i.
/// A falling channel has flip = -1 and ~T; a constant channel keep = 0.
class ThresholdTable {
public:
  /// `lanes` is what `planes` will be asked for; rows are padded to it with
  /// channels that always give code 0. `accumulatorBits` is
  /// 32, or 16 where no accumulator is the largest i16.
  ThresholdTable(LoopBuilder &b, mlir::ElementsAttr thresholds,
                 llvm::ArrayRef<int8_t> direction, int64_t channels,
                 int64_t lanes, CodeType code, unsigned accumulatorBits = 32);

  /// The planes of the codes of accumulators (vector of integers) of channels
  /// [channel, channel + lanes).
  Values planes(LoopBuilder &b, mlir::Value acc, mlir::Value channel) const;
  /// The code (i32) of one accumulator.
  mlir::Value code(LoopBuilder &b, mlir::Value acc, mlir::Value channel) const;

private:
  mlir::Value row(LoopBuilder &b, mlir::Type type, mlir::Value table,
                  int64_t index, mlir::Value channel) const;
  mlir::Value adjust(LoopBuilder &b, mlir::Value acc,
                     mlir::Value channel) const;

  int64_t count, stride;
  unsigned bits, usedBits;
  mlir::Value table, keep, flip; // flat; keep and flip null without need
  std::shared_ptr<const ThresholdSearch> search; // null without one
};

} // namespace hwgq

#endif // HWGQ_LIB_CONVERSION_BITPACKTOLOOPS_LOOPS_H
