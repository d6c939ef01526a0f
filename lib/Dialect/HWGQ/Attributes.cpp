//===- Attributes.cpp - code type and step functions ----------------------===//
#include "hwgq/Dialect/HWGQ.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace hwgq;

#include "hwgq/HWGQDialect.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "hwgq/HWGQTypes.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "hwgq/HWGQAttrs.cpp.inc"

void HWGQDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "hwgq/HWGQTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "hwgq/HWGQAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "hwgq/HWGQOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// !hwgq.code
//===----------------------------------------------------------------------===//

LogicalResult CodeType::verify(function_ref<InFlightDiagnostic()> emitError,
                               unsigned bits, int32_t offset, int32_t stride) {
  if (bits < 1 || bits > 8) // C1
    return emitError() << "a code has 1 to 8 bits, not " << bits;
  if (stride < 1 || stride > 255) // C2
    return emitError() << "the stride must be in 1..255, not " << stride;
  int64_t last = int64_t(offset) + int64_t(stride) * ((1 << bits) - 1);
  if (std::abs(int64_t(offset)) > 255 || std::abs(last) > 255) // C3
    return emitError() << "n must lie in -255..255, not " << offset << ".."
                       << last;
  return success();
}

Type CodeType::parse(AsmParser &parser) {
  StringRef word;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseKeyword(&word))
    return {};
  unsigned bits = 0;
  if (word.size() < 2 || !StringRef("usb").contains(word[0]) ||
      word.drop_front().getAsInteger(10, bits) || bits > 8) {
    parser.emitError(loc, "expected a code such as u2, s4 or b1");
    return {};
  }
  int32_t offset = 0, stride = 1;
  if (word[0] == 's')
    offset = -(1 << (bits - 1));
  if (word[0] == 'b') {
    offset = -1;
    stride = 2;
  }
  if (word[0] == 'u' && succeeded(parser.parseOptionalComma()))
    if (parser.parseInteger(offset) || parser.parseComma() ||
        parser.parseInteger(stride))
      return {};
  if (parser.parseGreater())
    return {};
  if (word[0] == 'b' && bits != 1) {
    parser.emitError(loc, "the only code of form b is b1");
    return {};
  }
  return CodeType::getChecked([&] { return parser.emitError(loc); },
                              parser.getContext(), bits, offset, stride);
}

void CodeType::print(AsmPrinter &printer) const {
  unsigned bits = getBits();
  int32_t offset = getOffset(), stride = getStride();
  if (bits == 1 && offset == -1 && stride == 2)
    printer << "<b1>";
  else if (offset == 0 && stride == 1)
    printer << "<u" << bits << ">";
  else if (offset == -(1 << (bits - 1)) && stride == 1)
    printer << "<s" << bits << ">";
  else
    printer << "<u" << bits << ", " << offset << ", " << stride << ">";
}

//===----------------------------------------------------------------------===//
// #hwgq.step
//===----------------------------------------------------------------------===//

LogicalResult StepAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               DenseF32ArrayAttr breakpoints,
                               DenseBoolArrayAttr closed,
                               DenseI32ArrayAttr values, int32_t nan) {
  if (closed.size() != breakpoints.size() ||
      values.size() != breakpoints.size() + 1) // C2
    return emitError() << "needs one side per breakpoint and one more value "
                          "than breakpoints";
  if (breakpoints.size() > 255) // C3
    return emitError() << "more than 255 breakpoints";
  for (int64_t i = 0; i < breakpoints.size(); ++i) { // C1
    if (std::isnan(breakpoints[i]))
      return emitError() << "breakpoint " << i << " is NaN";
    if (i == 0)
      continue;
    bool sorted =
        breakpoints[i - 1] < breakpoints[i] ||
        (breakpoints[i - 1] == breakpoints[i] && (closed[i - 1] || !closed[i]));
    if (!sorted)
      return emitError() << "breakpoint " << i << " is out of order";
  }
  return success();
}

int32_t StepAttr::evaluate(float x) const {
  if (std::isnan(x))
    return getNan();
  // The first breakpoint that x has not passed.
  ArrayRef<float> points = getBreakpoints();
  ArrayRef<bool> closed = getClosed();
  size_t low = 0, high = points.size();
  while (low < high) {
    size_t middle = (low + high) / 2;
    bool passed = x > points[middle] || (closed[middle] && x == points[middle]);
    (passed ? low : high) = passed ? middle + 1 : middle;
  }
  return getValues()[low];
}

/// Breakpoints 0, 1.5 s, 2.5 s, ...: Caffe's half-wave quantiser.
static StepAttr getHalfWave(MLIRContext *context, float step, unsigned bits) {
  SmallVector<float> points;
  SmallVector<int32_t> values = {0};
  for (int i = 0; i < (1 << bits) - 1; ++i) {
    points.push_back(i == 0 ? 0.0f : float((i + 0.5) * double(step)));
    values.push_back(i + 1);
  }
  SmallVector<bool> closed(points.size(), false);
  return StepAttr::get(context, DenseF32ArrayAttr::get(context, points),
                       DenseBoolArrayAttr::get(context, closed),
                       DenseI32ArrayAttr::get(context, values), 0);
}

/// -1 and 1 around 0; NaN compares false.
static StepAttr getSign(MLIRContext *context, bool closed) {
  return StepAttr::get(context, DenseF32ArrayAttr::get(context, {0.0f}),
                       DenseBoolArrayAttr::get(context, {closed}),
                       DenseI32ArrayAttr::get(context, {-1, 1}), -1);
}

/// round_half_even(x * (2^k - 1)) clamped to 0..2^k - 1, the product in f32.
static StepAttr getDorefa(MLIRContext *context, unsigned bits) {
  float n = float((1 << bits) - 1);
  SmallVector<float> points;
  SmallVector<bool> closed;
  SmallVector<int32_t> values = {0};
  for (int i = 0; i < (1 << bits) - 1; ++i) {
    // The smallest x whose f32 product rounds to at least i + 1.
    float x = float((i + 0.5) / n);
    auto above = [&](float v) { return std::nearbyintf(v * n) >= i + 1; };
    while (above(x))
      x = std::nextafterf(x, -1.0f);
    while (!above(x))
      x = std::nextafterf(x, 2.0f);
    points.push_back(x);
    closed.push_back(true);
    values.push_back(i + 1);
  }
  return StepAttr::get(context, DenseF32ArrayAttr::get(context, points),
                       DenseBoolArrayAttr::get(context, closed),
                       DenseI32ArrayAttr::get(context, values), 0);
}

static ParseResult parseFloat(AsmParser &parser, float &value) {
  // Infinities and values without a short decimal are written as bits.
  uint64_t bits;
  if (succeeded(parser.parseOptionalKeyword("bits"))) {
    if (parser.parseLParen() || parser.parseInteger(bits) ||
        parser.parseRParen())
      return failure();
    value = llvm::bit_cast<float>(uint32_t(bits));
    return success();
  }
  double parsed;
  if (parser.parseFloat(parsed))
    return failure();
  value = float(parsed);
  return success();
}

static void printFloat(AsmPrinter &printer, float value) {
  if (std::isfinite(value)) {
    std::string text = llvm::formatv("{0:e8}", double(value)).str();
    for (int digits = 1; digits < 9; ++digits) {
      std::string shorter;
      llvm::raw_string_ostream(shorter)
          << llvm::format("%.*e", digits, double(value));
      if (float(std::strtod(shorter.c_str(), nullptr)) == value) {
        text = shorter;
        break;
      }
    }
    if (float(std::strtod(text.c_str(), nullptr)) == value) {
      printer << text;
      return;
    }
  }
  printer << "bits(" << llvm::bit_cast<uint32_t>(value) << ")";
}

/// `<step, bits>` of #hwgq.half_wave.
static Attribute parseHalfWave(DialectAsmParser &parser) {
  float step;
  unsigned bits;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parseFloat(parser, step) || parser.parseComma() ||
      parser.parseInteger(bits) || parser.parseGreater())
    return {};
  if (bits < 1 || bits > 8 || !(step > 0) || !std::isfinite(step * 256)) {
    parser.emitError(loc, "half_wave takes a positive step and 1 to 8 bits");
    return {};
  }
  return getHalfWave(parser.getContext(), step, bits);
}

static Attribute parseSign(DialectAsmParser &parser) {
  std::string side;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseString(&side) || parser.parseGreater())
    return {};
  if (side != ">" && side != ">=") {
    parser.emitError(loc, "sign takes \">\" or \">=\"");
    return {};
  }
  return getSign(parser.getContext(), side == ">=");
}

static Attribute parseDorefa(DialectAsmParser &parser) {
  unsigned bits;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseInteger(bits) || parser.parseGreater())
    return {};
  if (bits < 1 || bits > 8) {
    parser.emitError(loc, "dorefa takes 1 to 8 bits");
    return {};
  }
  return getDorefa(parser.getContext(), bits);
}

Attribute StepAttr::parse(AsmParser &parser, Type) {
  SmallVector<float> points;
  SmallVector<bool> closed;
  SmallVector<int32_t> values;
  int32_t nan;
  SMLoc loc = parser.getCurrentLocation();
  auto parsePoint = [&]() -> ParseResult {
    StringRef side;
    SMLoc at = parser.getCurrentLocation();
    if (parser.parseKeyword(&side))
      return failure();
    if (side != "gt" && side != "ge")
      return parser.emitError(at, "expected gt or ge before a breakpoint");
    closed.push_back(side == "ge");
    return parseFloat(parser, points.emplace_back());
  };
  auto parseValue = [&]() {
    return parser.parseInteger(values.emplace_back());
  };
  if (parser.parseLess() ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square,
                                     parsePoint) ||
      parser.parseComma() || parser.parseKeyword("values") ||
      parser.parseEqual() ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square,
                                     parseValue) ||
      parser.parseComma() || parser.parseKeyword("nan") ||
      parser.parseEqual() || parser.parseInteger(nan) || parser.parseGreater())
    return {};
  MLIRContext *context = parser.getContext();
  return StepAttr::getChecked([&] { return parser.emitError(loc); }, context,
                              DenseF32ArrayAttr::get(context, points),
                              DenseBoolArrayAttr::get(context, closed),
                              DenseI32ArrayAttr::get(context, values), nan);
}

void StepAttr::print(AsmPrinter &printer) const {
  printer << "<[";
  for (int64_t i = 0; i < getBreakpoints().size(); ++i) {
    printer << (i ? ", " : "") << (getClosed()[i] ? "ge " : "gt ");
    printFloat(printer, getBreakpoints()[i]);
  }
  printer << "], values = [";
  llvm::interleaveComma(getValues().asArrayRef(), printer);
  printer << "], nan = " << getNan() << ">";
}

/// Prints the short form of a step function that has one.
static bool printShortForm(StepAttr step, DialectAsmPrinter &printer) {
  MLIRContext *context = step.getContext();
  for (bool closed : {false, true})
    if (step == getSign(context, closed)) {
      printer << "sign<\"" << (closed ? ">=" : ">") << "\">";
      return true;
    }
  unsigned levels = step.getValues().size();
  if (levels < 4 || !llvm::isPowerOf2_32(levels))
    return false;
  unsigned bits = llvm::Log2_32(levels);
  if (step == getDorefa(context, bits)) {
    printer << "dorefa<" << bits << ">";
    return true;
  }
  float scale = float(double(step.getBreakpoints()[1]) / 1.5);
  for (float s :
       {scale, std::nextafterf(scale, 0.0f), std::nextafterf(scale, 2 * scale)})
    if (s > 0 && std::isfinite(s * 256) &&
        step == getHalfWave(context, s, bits)) {
      printer << "half_wave<";
      printFloat(printer, s);
      printer << ", " << bits << ">";
      return true;
    }
  return false;
}

Attribute HWGQDialect::parseAttribute(DialectAsmParser &parser,
                                      Type type) const {
  StringRef mnemonic;
  SMLoc loc = parser.getCurrentLocation();
  Attribute attr;
  OptionalParseResult result =
      generatedAttributeParser(parser, &mnemonic, type, attr);
  if (result.has_value())
    return attr;
  if (mnemonic == "half_wave")
    return parseHalfWave(parser);
  if (mnemonic == "sign")
    return parseSign(parser);
  if (mnemonic == "dorefa")
    return parseDorefa(parser);
  parser.emitError(loc) << "unknown attribute #hwgq." << mnemonic;
  return {};
}

void HWGQDialect::printAttribute(Attribute attr,
                                 DialectAsmPrinter &printer) const {
  if (auto step = dyn_cast<StepAttr>(attr);
      step && printShortForm(step, printer))
    return;
  (void)generatedAttributePrinter(attr, printer);
}
