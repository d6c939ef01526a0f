//===- Attributes.cpp - layouts of packed tensors -------------------------===//
#include "hwgq/Dialect/Bitpack.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace hwgq;
using namespace hwgq::bitpack;

#include "bitpack/BitpackDialect.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "bitpack/BitpackAttrs.cpp.inc"

void BitpackDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "bitpack/BitpackAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "bitpack/BitpackOps.cpp.inc"
      >();
}

LogicalResult LayoutAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringAttr form, int64_t block,
                                 DenseI64ArrayAttr halo, int64_t align) {
  if (form != "planes" && form != "bytes") // C1
    return emitError() << "unknown form " << form << "; planes or bytes";
  constexpr int64_t kLimit = 1 << 20;
  if (halo.size() != 4 || llvm::any_of(halo.asArrayRef(), [](int64_t h) {
        return h < 0 || h > kLimit;
      })) // C3
    return emitError() << "the halo has 4 entries that are not negative";
  bool hasHalo = llvm::any_of(halo.asArrayRef(), [](int64_t h) { return h; });
  bool planes = form == "planes";
  if (block < 0 || block % 8 || (block && (hasHalo || !planes))) // C2
    return emitError() << "a block is a multiple of 8 and has no halo";
  constexpr int64_t kMostAlign = 4096;
  if (align < 1 || align > kMostAlign || !llvm::isPowerOf2_64(align) ||
      (planes && align > 1)) // C4
    return emitError() << "align is a power of two up to " << kMostAlign
                       << ", for bytes";
  return success();
}

Attribute LayoutAttr::parse(AsmParser &parser, Type) {
  StringRef form;
  int64_t block = 0, align = 1;
  SmallVector<int64_t> halo = {0, 0, 0, 0};
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseKeyword(&form))
    return {};
  while (succeeded(parser.parseOptionalComma())) {
    StringRef key;
    if (parser.parseKeyword(&key) || parser.parseEqual())
      return {};
    int64_t *number = llvm::StringSwitch<int64_t *>(key)
                          .Case("block", &block)
                          .Case("align", &align)
                          .Default(nullptr);
    if (number) {
      if (parser.parseInteger(*number))
        return {};
    } else if (key == "halo") {
      halo.clear();
      if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
            return parser.parseInteger(halo.emplace_back());
          }))
        return {};
    } else {
      parser.emitError(loc) << "unknown layout parameter " << key;
      return {};
    }
  }
  if (parser.parseGreater())
    return {};
  MLIRContext *context = parser.getContext();
  return LayoutAttr::getChecked([&] { return parser.emitError(loc); }, context,
                                StringAttr::get(context, form), block,
                                DenseI64ArrayAttr::get(context, halo), align);
}

void LayoutAttr::print(AsmPrinter &printer) const {
  printer << "<" << getForm().getValue();
  if (hasHalo()) {
    printer << ", halo = [";
    llvm::interleaveComma(getHalo().asArrayRef(), printer);
    printer << "]";
  }
  if (getBlock())
    printer << ", block = " << getBlock();
  if (getAlign() != 1)
    printer << ", align = " << getAlign();
  printer << ">";
}

LayoutAttr LayoutAttr::withHalo(ArrayRef<int64_t> halo) const {
  return get(getContext(), getForm(), getBlock(),
             DenseI64ArrayAttr::get(getContext(), halo), getAlign());
}

int64_t LayoutAttr::getPixelSize(int64_t channels, int64_t bits) const {
  if (isPlanes())
    return llvm::divideCeil(channels, 64) * bits;
  return llvm::alignTo(channels, getAlign());
}

Type LayoutAttr::getElementType() const {
  return IntegerType::get(getContext(), isPlanes() ? 64 : 8);
}

SmallVector<int64_t> LayoutAttr::getPhysicalShape(RankedTensorType type) const {
  SmallVector<int64_t> shape(type.getShape());
  int64_t bits = cast<CodeType>(type.getElementType()).getBits();
  if (getBlock()) { // weights [K,(KH,KW,)C]
    SmallVector<int64_t> result = {
        int64_t(llvm::divideCeil(shape.front(), getBlock()))};
    if (shape.size() == 2)
      result.append({1, 1});
    result.append(shape.begin() + 1, shape.end());
    result.back() = llvm::divideCeil(result.back(), 64);
    result.append({bits, getBlock()});
    return result;
  }
  if (shape.size() == 4) {
    shape[1] += getTop() + getBottom();
    shape[2] += getLeft() + getRight();
  }
  if (isPlanes()) {
    shape.back() = llvm::divideCeil(shape.back(), 64);
    shape.push_back(bits);
  } else {
    shape.back() = getPixelSize(shape.back(), bits);
  }
  return shape;
}

BitAddress bitpack::getBitAddress(RankedTensorType type,
                                  ArrayRef<int64_t> shape,
                                  ArrayRef<int64_t> index) {
  LayoutAttr layout = getLayout(type);
  int64_t bits = cast<CodeType>(type.getElementType()).getBits();
  int64_t words = llvm::divideCeil(shape.back(), 64);
  int64_t channel = index.back();
  if (int64_t block = layout.getBlock()) {
    int64_t flat = index.front() / block;
    for (size_t d = 1; d + 1 < index.size(); ++d)
      flat = flat * shape[d] + index[d];
    flat = (flat * words + channel / 64) * bits * block;
    return {flat + index.front() % block, unsigned(channel % 64), block, 0};
  }
  int64_t flat = 0;
  for (size_t d = 0; d + 1 < index.size(); ++d) {
    int64_t size = shape[d], at = index[d];
    if (index.size() == 4 && d == 1) {
      size += layout.getTop() + layout.getBottom();
      at += layout.getTop();
    } else if (index.size() == 4 && d == 2) {
      size += layout.getLeft() + layout.getRight();
      at += layout.getLeft();
    }
    flat = flat * size + at;
  }
  flat *= layout.getPixelSize(shape.back(), bits);
  if (layout.isPlanes())
    return {flat + channel / 64 * bits, unsigned(channel % 64), 1, 0};
  return {flat + channel, 0, 0, 1};
}
