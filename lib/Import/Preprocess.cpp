//===- Preprocess.cpp - images as people have them ------------------------===//
#include "hwgq/Import/Preprocess.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include <cmath>

using namespace mlir;
using namespace hwgq;

/// "0.5" or "0.485/0.456/0.406".
static llvm::Error parseFloats(StringRef text, std::vector<float> &values) {
  SmallVector<StringRef> parts;
  text.split(parts, '/');
  for (StringRef part : parts) {
    double value;
    if (part.getAsDouble(value) || !std::isfinite(float(value)))
      return llvm::createStringError("input: '" + part +
                                     "' is not a finite number");
    values.push_back(float(value));
  }
  return llvm::Error::success();
}

llvm::Expected<Preprocessing> Preprocessing::parse(StringRef text) {
  Preprocessing result;
  auto [name, rest] = text.split(':');
  result.input = name.str();
  SmallVector<StringRef> parts;
  rest.split(parts, ',', -1, /*KeepEmpty=*/false);
  if (name.empty() || parts.empty())
    return llvm::createStringError(
        "input takes NAME:u8,nhwc,scale=S,mean=A/B/C,std=D/E/F, not '" + text +
        "'");
  for (StringRef part : parts) {
    auto [key, value] = part.split('=');
    if (part == "u8" || part == "f32")
      result.bytes = part == "u8";
    else if (part == "nhwc" || part == "nchw")
      result.nhwc = part == "nhwc";
    else if (key == "scale" || key == "mean" || key == "std") {
      auto &target = key == "scale"  ? result.scale
                     : key == "mean" ? result.mean
                                     : result.std;
      if (llvm::Error error = parseFloats(value, target))
        return std::move(error);
      if (key != "mean" && llvm::is_contained(target, 0.0f))
        return llvm::createStringError("input: " + key + " must not be 0");
    } else {
      return llvm::createStringError(
          "input: unknown part '" + part +
          "'; u8, f32, nhwc, nchw, scale=, mean=, std=");
    }
  }
  return result;
}

/// The argument of @main that is called `name`.
static std::optional<unsigned> findInput(func::FuncOp main, StringRef name) {
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    if (auto attr = main.getArgAttrOfType<StringAttr>(i, "hwgq.name");
        attr && attr.getValue() == name)
      return i;
  return std::nullopt;
}

LogicalResult hwgq::applyPreprocessing(ModuleOp module,
                                       const Preprocessing &preprocessing) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  std::optional<unsigned> index;
  if (!main || !(index = findInput(main, preprocessing.input)))
    return module.emitError("--input: the network has no input called '")
           << preprocessing.input << "'";
  BlockArgument argument = main.getArgument(*index);
  Location loc = argument.getLoc();
  auto type = dyn_cast<RankedTensorType>(argument.getType());
  if (!type || type.getRank() != 4 || !type.getElementType().isF32())
    return emitError(loc, "--input is for images of type f32[N,C,H,W], not ")
           << argument.getType();
  int64_t channels = type.getDimSize(1);
  for (const auto *values :
       {&preprocessing.scale, &preprocessing.mean, &preprocessing.std})
    if (values->size() > 1 && int64_t(values->size()) != channels)
      return emitError(loc, "--input: ")
             << values->size() << " values for " << channels << " channels";

  OpBuilder builder = OpBuilder::atBlockBegin(&main.front());
  SmallVector<int64_t> shape(type.getShape());
  if (preprocessing.nhwc)
    shape = {shape[0], shape[2], shape[3], shape[1]};
  Type element = preprocessing.bytes
                     ? Type(IntegerType::get(module.getContext(), 8,
                                             IntegerType::Unsigned))
                     : Type(builder.getF32Type());
  auto inputType = RankedTensorType::get(shape, element);
  auto create = [&](StringRef op, ValueRange operands, RankedTensorType result,
                    ArrayRef<NamedAttribute> attributes) -> Value {
    OperationState state(loc, ("onnx." + op).str());
    state.addOperands(operands);
    state.addTypes(result);
    state.addAttributes(attributes);
    return builder.create(state)->getResult(0);
  };
  SmallPtrSet<Operation *, 8> made;
  Value value = argument;
  auto keep = [&](Value v) {
    made.insert(v.getDefiningOp());
    return v;
  };
  if (preprocessing.nhwc)
    value = keep(create(
        "Transpose", value, RankedTensorType::get(type.getShape(), element),
        builder.getNamedAttr("perm",
                             builder.getDenseI64ArrayAttr({0, 3, 1, 2}))));
  if (preprocessing.bytes) // 1: FLOAT
    value =
        keep(create("Cast", value, type,
                    builder.getNamedAttr("to", builder.getI64IntegerAttr(1))));
  auto apply = [&](StringRef op, ArrayRef<float> values) {
    if (values.empty())
      return;
    auto constantType = RankedTensorType::get({int64_t(values.size()), 1, 1},
                                              builder.getF32Type());
    Value constant =
        keep(create("Constant", {}, constantType,
                    builder.getNamedAttr("value", DenseElementsAttr::get(
                                                      constantType, values))));
    value = keep(create(op, {value, constant}, type, {}));
  };
  apply("Div", preprocessing.scale);
  apply("Sub", preprocessing.mean);
  apply("Div", preprocessing.std);
  argument.replaceAllUsesExcept(value, made);
  argument.setType(inputType);
  SmallVector<Type> inputs(main.getArgumentTypes());
  inputs[*index] = inputType;
  main.setFunctionType(builder.getFunctionType(inputs, main.getResultTypes()));
  return success();
}
