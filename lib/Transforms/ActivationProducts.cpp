//===- ActivationProducts.cpp - products of two activations ---------------===//
#include "ActivationProducts.h"
#include "hwgq/Dialect/TensorBuilder.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace hwgq;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// Of floats
//===----------------------------------------------------------------------===//

static bool isPosZero(Attribute value) {
  auto number = dyn_cast_or_null<FloatAttr>(value);
  return number && number.getValue().isPosZero();
}

/// Whether every element of a tensor is +0.
static bool isZero(Value value) {
  SplatElementsAttr splat;
  if (matchPattern(value, m_Constant(&splat)))
    return isPosZero(splat.getSplatValue<Attribute>());
  auto fill = value.getDefiningOp<linalg::FillOp>();
  Attribute element;
  return fill && matchPattern(fill.value(), m_Constant(&element)) &&
         isPosZero(element);
}

/// Whether the body is one fma of the operands on the result, from +0 on.
static bool isChain(linalg::GenericOp op) {
  Block &body = *op.getBody();
  auto fma = dyn_cast<math::FmaOp>(body.front());
  return fma && body.getOperations().size() == 2 &&
         llvm::equal(fma->getOperands(), body.getArguments()) &&
         body.getTerminator()->getOperand(0) == fma &&
         isZero(op.getDpsInits()[0]);
}

std::optional<ProductDims> hwgq::matchProduct(Operation *op) {
  auto product = dyn_cast<linalg::GenericOp>(op);
  if (!product || product.getNumDpsInputs() != 2 ||
      product.getNumDpsInits() != 1 || product.getNumReductionLoops() != 1 ||
      product->getNumResults() != 1 || !isChain(product))
    return std::nullopt;
  SmallVector<AffineMap> maps = product.getIndexingMapsArray();
  for (AffineMap map : maps)
    if (!map.isProjectedPermutation())
      return std::nullopt;
  int64_t rank = maps[2].getNumResults();
  if (int64_t(maps[2].getNumDims()) != rank + 1)
    return std::nullopt;
  SmallVector<int64_t> place(rank + 1, rank); // of a loop in the result, k
  for (int64_t d = 0; d < rank; ++d)
    place[maps[2].getDimPosition(d)] = d;
  ProductDims dims;
  for (auto [map, list] :
       {std::pair(maps[0], &dims.input), {maps[1], &dims.weight}})
    for (unsigned d = 0; d < map.getNumResults(); ++d)
      list->push_back(place[map.getDimPosition(d)]);
  // What the loops run along, as hwgq.product wants it.
  auto has = [](ArrayRef<int64_t> list, int64_t d) {
    return llvm::is_contained(list, d);
  };
  bool fits = int64_t(dims.input.size()) == rank &&
              int64_t(dims.weight.size()) == rank && has(dims.input, rank) &&
              has(dims.weight, rank) && has(dims.weight, rank - 1) &&
              !has(dims.input, rank - 1);
  return fits ? std::optional(dims) : std::nullopt;
}

bool hwgq::hasKnownSizes(Operation *product) {
  return llvm::all_of(product->getOperandTypes(), [](Type type) {
    ArrayRef<int64_t> shape = cast<RankedTensorType>(type).getShape();
    return shape[0] != 0 && llvm::all_of(shape.drop_front(), [](int64_t size) {
             return !ShapedType::isDynamic(size) && size > 0;
           });
  });
}

//===----------------------------------------------------------------------===//
// Of codes
//===----------------------------------------------------------------------===//

/// The source of the transposes that make `codes`, whose dimensions `dims`
/// takes over; only its first one may be dynamic.
static Value beforeTransposes(Value codes, SmallVector<int64_t> &dims) {
  while (auto transpose = codes.getDefiningOp<linalg::TransposeOp>()) {
    RankedTensorType type = typeOf(transpose.getInput());
    if (llvm::any_of(type.getShape().drop_front(), ShapedType::isDynamic))
      break;
    SmallVector<int64_t> after = dims;
    for (auto [d, from] : llvm::enumerate(transpose.getPermutation()))
      dims[from] = after[d];
    codes = transpose.getInput();
  }
  return codes;
}

/// `codes` with dimension k last.
static Value innerLast(OpBuilder &builder, Location loc, Value codes,
                       SmallVector<int64_t> &dims) {
  int64_t rank = dims.size(), at = getInnerDim(dims);
  auto perm = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  perm.erase(perm.begin() + at);
  perm.push_back(at);
  dims.erase(dims.begin() + at);
  dims.push_back(rank);
  return TensorBuilder(builder, loc).transpose(codes, perm);
}

Value hwgq::createProduct(OpBuilder &builder, Location loc, ProductDims dims,
                          Value input, Value weight) {
  int64_t k = dims.input.size(), n = k - 1;
  input = beforeTransposes(input, dims.input);
  weight = beforeTransposes(weight, dims.weight);
  // Kernels read rows, or on the right columns, too.
  if (dims.input.back() != k)
    input = innerLast(builder, loc, input, dims.input);
  if (dims.weight.back() < n)
    weight = innerLast(builder, loc, weight, dims.weight);
  return ProductOp::create(builder, loc, input, weight,
                           builder.getDenseI64ArrayAttr(dims.input),
                           builder.getDenseI64ArrayAttr(dims.weight));
}
