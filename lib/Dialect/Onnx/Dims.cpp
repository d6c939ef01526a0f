//===- Dims.cpp - sizes that are affine in the batch ----------------------===//
#include "Node.h"
#include "llvm/Support/raw_ostream.h"

using namespace hwgq::onnx;

std::optional<Dim> hwgq::onnx::add(Dim a, Dim b) {
  Dim r;
  if (llvm::AddOverflow(a.batch, b.batch, r.batch) ||
      llvm::AddOverflow(a.fixed, b.fixed, r.fixed))
    return std::nullopt;
  return r;
}

std::optional<Dim> hwgq::onnx::sub(Dim a, Dim b) {
  Dim r;
  if (llvm::SubOverflow(a.batch, b.batch, r.batch) ||
      llvm::SubOverflow(a.fixed, b.fixed, r.fixed))
    return std::nullopt;
  return r;
}

std::optional<Dim> hwgq::onnx::mul(Dim a, Dim b) {
  if (!a.isStatic())
    std::swap(a, b);
  if (!a.isStatic())
    return std::nullopt;
  Dim r;
  if (llvm::MulOverflow(a.fixed, b.batch, r.batch) ||
      llvm::MulOverflow(a.fixed, b.fixed, r.fixed))
    return std::nullopt;
  return r;
}

std::optional<Dim> hwgq::onnx::divExact(Dim a, Dim b) {
  if (b.isStatic()) {
    if (b.fixed <= 0 || a.batch % b.fixed || a.fixed % b.fixed)
      return std::nullopt;
    return Dim(a.batch / b.fixed, a.fixed / b.fixed);
  }
  // (k*b) / b = k.
  if (b.batch <= 0 || a.batch % b.batch)
    return std::nullopt;
  std::optional<Dim> whole = mul(b, a.batch / b.batch);
  if (!whole || *whole != a)
    return std::nullopt;
  return Dim(a.batch / b.batch);
}

std::optional<Dim> hwgq::onnx::product(llvm::ArrayRef<Dim> dims) {
  std::optional<Dim> r = Dim(1);
  for (Dim dim : dims)
    if (!(r = mul(*r, dim)))
      return std::nullopt;
  return r;
}

std::optional<Dim> hwgq::onnx::broadcast(Dim a, Dim b) {
  if (a == b || b.is(1))
    return a;
  if (a.is(1))
    return b;
  return std::nullopt;
}

std::string hwgq::onnx::toString(llvm::ArrayRef<Dim> dims) {
  std::string text;
  llvm::raw_string_ostream os(text);
  auto print = [&](Dim dim) {
    if (dim.isStatic()) {
      os << dim.fixed;
      return;
    }
    if (dim.batch != 1)
      os << dim.batch << '*';
    os << "batch";
    if (dim.fixed)
      os << (dim.fixed > 0 ? "+" : "") << dim.fixed;
  };
  os << '[';
  llvm::interleaveComma(dims, os, print);
  os << ']';
  return text;
}

int64_t NormalizeState::getSize(Dim dim) const {
  if (dim.isStatic())
    return dim.fixed;
  if (!options.batch)
    return mlir::ShapedType::kDynamic;
  std::optional<Dim> size = mul(Dim(*options.batch), Dim(dim.batch));
  if (!size || !(size = add(*size, Dim(dim.fixed))))
    return -1;
  return size->fixed;
}

mlir::RankedTensorType NormalizeState::getType(const Info &info) const {
  llvm::SmallVector<int64_t> sizes;
  for (Dim dim : info.shape)
    sizes.push_back(getSize(dim));
  return mlir::RankedTensorType::get(sizes, info.elementType);
}
