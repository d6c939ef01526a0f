//===- BitpackOps.cpp - ops on packed tensors -----------------------------===//
//
// Packed operands are read through their layout, bit by bit, and results are
// written through theirs; between, the arithmetic is that of hwgq. A bit in a
// halo or beyond the channels is an error.
//
//===----------------------------------------------------------------------===//
#include "HwgqOps.h"
#include "hwgq/Dialect/Bitpack.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::reference;
using bitpack::isPacked;

static RankedTensorType withShape(RankedTensorType type,
                                  ArrayRef<int64_t> shape) {
  return RankedTensorType::get(shape, type.getElementType(),
                               type.getEncoding());
}

/// Calls `body(element of memory, bit of it, plane, code)` for every bit of
/// every code.
template <typename F> static void forEachBit(RankedTensorType type, F &&body) {
  unsigned bits = cast<CodeType>(type.getElementType()).getBits();
  int64_t flat = 0;
  forEachIndex(type.getShape(), [&](ArrayRef<int64_t> index) {
    bitpack::BitAddress at =
        bitpack::getBitAddress(type, type.getShape(), index);
    for (unsigned p = 0; p < bits; ++p)
      body(at.element + p * at.planeStride, at.bit + p * at.bitStride, p, flat);
    ++flat;
  });
}

static LogicalResult checkLayout(Operation *op, RankedTensorType type) {
  if (type.getRank() < 1)
    return op->emitError("the layout of ") << type << " cannot be evaluated";
  return success();
}

/// ORs the bits of `memory` into `codes`; false where others are set.
template <typename T>
static bool readBits(RankedTensorType type, ArrayRef<T> memory,
                     MutableArrayRef<uint8_t> codes) {
  forEachBit(type,
             [&](int64_t element, unsigned bit, unsigned plane, int64_t i) {
               codes[i] |= ((memory[element] >> bit) & 1) << plane;
             });
  int64_t stored = 0, read = 0;
  for (T element : memory)
    stored += llvm::popcount(element);
  for (uint8_t code : codes)
    read += llvm::popcount(code);
  return stored == read;
}

template <typename T>
static void writeBits(RankedTensorType type, ArrayRef<uint8_t> codes,
                      MutableArrayRef<T> memory) {
  forEachBit(type,
             [&](int64_t element, unsigned bit, unsigned plane, int64_t i) {
               memory[element] |= T((codes[i] >> plane) & 1) << bit;
             });
}

/// The codes of a packed tensor, without encoding.
static FailureOr<Tensor> unpack(Operation *op, const Tensor &packed) {
  RankedTensorType type = packed.getType();
  if (failed(checkLayout(op, type)))
    return failure();
  FailureOr<Tensor> codes =
      makeTensor(op, type.getShape(), type.getElementType());
  if (failed(codes))
    return failure();
  MutableArrayRef<uint8_t> out = codes->asMutable<uint8_t>();
  bool clean = bitpack::getLayout(type).isPlanes()
                   ? readBits(type, packed.as<uint64_t>(), out)
                   : readBits(type, packed.as<uint8_t>(), out);
  if (!clean)
    return op->emitError("an operand of type ")
           << type << " has bits in its halo or beyond its channels";
  return codes;
}

/// The codes under the layout of `type`, whose shape may be dynamic.
static FailureOr<Tensor> pack(Operation *op, const Tensor &codes,
                              RankedTensorType type) {
  type = withShape(type, codes.getShape());
  if (failed(checkLayout(op, type)))
    return failure();
  FailureOr<Tensor> packed = Tensor::allocate(op->getLoc(), type);
  if (failed(packed))
    return failure();
  ArrayRef<uint8_t> in = codes.as<uint8_t>();
  if (bitpack::getLayout(type).isPlanes())
    writeBits(type, in, packed->asMutable<uint64_t>());
  else
    writeBits(type, in, packed->asMutable<uint8_t>());
  return packed;
}

/// Evaluates an op on unpacked operands and packs its result where its type
/// asks for that.
using Body = FailureOr<Tensor> (*)(Operation *op, Operands in);
template <Body body>
static LogicalResult through(Operation *op, Operands in, Results &out) {
  SmallVector<Tensor> operands;
  for (const Tensor &operand : in) {
    if (!isPacked(operand.getType())) {
      operands.push_back(operand);
      continue;
    }
    FailureOr<Tensor> codes = unpack(op, operand);
    if (failed(codes))
      return failure();
    operands.push_back(*codes);
  }
  FailureOr<Tensor> result = body(op, operands);
  if (failed(result))
    return failure();
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  if (isPacked(type))
    result = pack(op, *result, type);
  if (failed(result))
    return failure();
  out.push_back(std::move(*result));
  return success();
}

static CodeType resultCode(Operation *op) {
  return cast<CodeType>(getElementTypeOrSelf(op->getResult(0).getType()));
}

/// The thresholds of a contraction, where it has some.
template <typename OpTy>
static FailureOr<Tensor> finish(OpTy op, FailureOr<Tensor> acc) {
  if (failed(acc) || !op.getThresholds())
    return acc;
  return applyThresholds(op, *acc, *op.getThresholds(), *op.getDirection(),
                         resultCode(op));
}

static FailureOr<Tensor> conv(Operation *op, Operands in) {
  auto c = cast<bitpack::Conv2DOp>(op);
  return finish(c, convolve(op, in[0], in[1],
                            {c.getStrides(), c.getPads(), c.getDilations(),
                             int64_t(c.getGroups())}));
}

static FailureOr<Tensor> matmul(Operation *op, Operands in) {
  return finish(cast<bitpack::MatMulOp>(op), multiply(op, in[0], in[1]));
}

static FailureOr<Tensor> product(Operation *op, Operands in) {
  auto p = cast<bitpack::ProductOp>(op);
  return finish(
      p, multiplyPairs(op, in[0], in[1], p.getInputDims(), p.getWeightDims()));
}

static FailureOr<Tensor> quantize(Operation *op, Operands in) {
  return applyStep(op, in[0], cast<bitpack::QuantizeOp>(op).getStep(),
                   resultCode(op));
}

static FailureOr<Tensor> threshold(Operation *op, Operands in) {
  auto t = cast<bitpack::ThresholdOp>(op);
  return applyThresholds(op, in[0], t.getThresholds(), t.getDirection(),
                         resultCode(op));
}

template <typename OpTy> static Window windowOf(OpTy op) {
  return {SmallVector<int64_t, 2>(op.getKernel()),
          SmallVector<int64_t, 2>(op.getStrides()),
          SmallVector<int64_t, 2>(op.getDilations()),
          SmallVector<int64_t, 4>(op.getPads())};
}

static ArrayRef<int64_t> outputSizeOf(Operation *op) {
  return cast<RankedTensorType>(op->getResult(0).getType())
      .getShape()
      .slice(1, 2);
}

static FailureOr<Tensor> maxPool(Operation *op, Operands in) {
  auto pool = cast<bitpack::MaxPoolOp>(op);
  return poolMax(op, in[0], windowOf(pool), outputSizeOf(op),
                 pool.getFalling());
}

static FailureOr<Tensor> avgPool(Operation *op, Operands in) {
  auto pool = cast<bitpack::AvgPoolOp>(op);
  return poolAverage(op, in[0], windowOf(pool), outputSizeOf(op),
                     pool.getCountIncludePad(),
                     pool.getScale().convertToFloat());
}

static FailureOr<Tensor> affine(Operation *op, Operands in) {
  return applyAffine(op, in[0], cast<bitpack::AffineOp>(op).getScale());
}

static FailureOr<Tensor> relayout(Operation *op, Operands in) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  // At most the batch is dynamic: it takes what the other sizes leave.
  SmallVector<int64_t> shape(type.getShape());
  int64_t known = 1;
  for (int64_t size : shape)
    known *= ShapedType::isDynamic(size) ? 1 : size;
  for (int64_t &size : shape)
    if (ShapedType::isDynamic(size))
      size = known ? in[0].size() / known : 0;
  if (type.getNumDynamicDims() > 1 || countElements(shape) != in[0].size())
    return op->emitError("cannot give ")
           << in[0].getType() << " the shape [" << shape << "]";
  return in[0].withType(RankedTensorType::get(shape, type.getElementType()));
}

static FailureOr<Tensor> pad(Operation *op, Operands in) {
  auto p = cast<bitpack::PadOp>(op);
  return padTensor(op, in[0], p.getLow(), p.getHigh(), p.getValueAttr());
}

static FailureOr<Tensor> concat(Operation *op, Operands in) {
  return concatTensors(op, in, cast<bitpack::ConcatOp>(op).getDim());
}

/// The ops of the region one after the other.
static LogicalResult fused(Operation *op, Operands in, Results &out) {
  DenseMap<Value, Tensor> values;
  for (auto [value, tensor] : llvm::zip(getInputValues(op), in))
    values[value] = tensor;
  for (Operation &inner : op->getRegion(0).front()) {
    SmallVector<Tensor> operands;
    for (Value value : getInputValues(&inner))
      operands.push_back(values.lookup(value));
    if (isa<bitpack::YieldOp>(inner)) {
      out.append(operands.begin(), operands.end());
      return success();
    }
    FailureOr<SmallVector<Tensor>> results = evaluateOp(&inner, operands);
    if (failed(results))
      return failure();
    for (auto [value, tensor] : llvm::zip(inner.getResults(), *results))
      values[value] = std::move(tensor);
  }
  return op->emitError("does not yield");
}

void hwgq::reference::registerBitpackOps(Registry &r) {
  r["bitpack.conv2d"] = through<conv>;
  r["bitpack.matmul"] = through<matmul>;
  r["bitpack.product"] = through<product>;
  r["bitpack.quantize"] = through<quantize>;
  r["bitpack.threshold"] = through<threshold>;
  r["bitpack.max_pool"] = through<maxPool>;
  r["bitpack.avg_pool"] = through<avgPool>;
  r["bitpack.affine"] = through<affine>;
  r["bitpack.relayout"] = through<relayout>;
  r["bitpack.pad"] = through<pad>;
  r["bitpack.concat"] = through<concat>;
  r["bitpack.fused"] = fused;
}
