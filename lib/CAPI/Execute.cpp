//===- Execute.cpp - arrays through the interpreter and modules -----------===//
#include "Internal.h"
#include "hwgq/Pipelines/RunModule.h"
#include "hwgq/runtime.h"

using namespace hwgq;
using namespace hwgq::capi;

static llvm::ArrayRef<int64_t> getShape(const hwgq_array &array) {
  return {array.dims, array.rank};
}

std::optional<llvm::ArrayRef<char>> capi::getBytes(const hwgq_array &array) {
  int64_t bytes = hwgq_dtype_size(array.dtype);
  if (!bytes || array.rank > Port::kMaxRank || (array.rank && !array.dims))
    return std::nullopt;
  for (int64_t size : getShape(array))
    if (size < 0 || llvm::MulOverflow(bytes, size, bytes))
      return std::nullopt;
  if (bytes > reference::Tensor::kMaxBytes || (bytes && !array.data))
    return std::nullopt;
  return llvm::ArrayRef(static_cast<const char *>(array.data), bytes);
}

/// The index of the port that an array is for, or -1 after an error.
static int findPort(llvm::ArrayRef<Port> ports,
                    llvm::ArrayRef<const hwgq_array *> taken,
                    const hwgq_array &array, const Reporter &reporter) {
  std::string names;
  for (auto [i, port] : llvm::enumerate(ports)) {
    if (array.name ? port.name == array.name : !taken[i])
      return int(i);
    names += (i ? ", " : "") + port.name;
  }
  if (array.name)
    reporter.fail("the network has no input '" + llvm::Twine(array.name) +
                  "'; its inputs are: " + names);
  else
    reporter.fail("too many arrays; the network has " +
                  llvm::Twine(ports.size()) + " inputs: " + names);
  return -1;
}

std::optional<std::vector<const hwgq_array *>>
capi::matchInputs(llvm::ArrayRef<Port> ports, llvm::ArrayRef<hwgq_array> inputs,
                  const Reporter &reporter) {
  std::vector<const hwgq_array *> arrays(ports.size());
  int64_t batch = 0;
  for (const hwgq_array &array : inputs) {
    int index = findPort(ports, arrays, array, reporter);
    if (index < 0)
      return std::nullopt;
    const Port &port = ports[index];
    std::string what = "input '" + port.name + "' ";
    auto bytes = getBytes(array);
    if (arrays[index])
      reporter.fail(what + "is given twice");
    else if (!bytes)
      reporter.fail(what +
                    "is not an array: its type, sizes or data are wrong");
    else if (!port.fits(array.dtype, getShape(array), batch))
      reporter.fail(what + "needs " + port.describe() + ", the array is " +
                    describeArray(array.dtype, getShape(array)));
    else if (!port.inRange(*bytes))
      reporter.fail(what + "has values beyond its " + llvm::Twine(port.bits) +
                    " bits");
    else {
      arrays[index] = &array;
      continue;
    }
    return std::nullopt;
  }
  for (auto [port, array] : llvm::zip(ports, arrays))
    if (!array) {
      reporter.fail("input '" + port.name + "', " + port.describe() +
                    ", is missing");
      return std::nullopt;
    }
  return arrays;
}

/// Room for an output; null after an error.
static char *addOutput(hwgq_result &result, const Port &port,
                       llvm::ArrayRef<int64_t> shape, size_t bytes,
                       const Reporter &reporter) {
  char *data = result.addArray(port.name, port.dtype, shape, bytes);
  if (!data)
    reporter.fail("output '" + llvm::Twine(port.name) +
                  "' does not fit into memory");
  return data;
}

bool capi::interpret(mlir::ModuleOp module, llvm::ArrayRef<hwgq_array> given,
                     const Reporter &reporter, hwgq_result &result) {
  auto inputPorts = getPorts(module, /*outputs=*/false);
  auto outputPorts = getPorts(module, /*outputs=*/true);
  if (failed(inputPorts) || failed(outputPorts))
    return false;
  auto arrays = matchInputs(*inputPorts, given, reporter);
  if (!arrays)
    return false;
  std::vector<std::pair<llvm::ArrayRef<int64_t>, llvm::ArrayRef<char>>> inputs;
  for (const hwgq_array *array : *arrays)
    inputs.push_back({getShape(*array), *getBytes(*array)});
  auto values = evaluateMain(module, inputs);
  if (failed(values))
    return false;
  for (auto [port, value] : llvm::zip(*outputPorts, *values)) {
    char *data = addOutput(result, port, value.getShape(), value.bytes().size(),
                           reporter);
    if (!data)
      return false;
    llvm::copy(value.bytes(), data);
  }
  result.finish();
  return true;
}

bool capi::execute(llvm::StringRef file, llvm::ArrayRef<hwgq_array> given,
                   const Reporter &reporter, hwgq_result &result) {
  auto read =
      [&](llvm::ArrayRef<Port> ports) -> std::optional<std::vector<ArrayView>> {
    auto arrays = matchInputs(ports, given, reporter);
    if (!arrays)
      return std::nullopt;
    std::vector<ArrayView> views;
    for (const hwgq_array *array : *arrays)
      views.push_back({getShape(*array), *getBytes(*array)});
    return views;
  };
  auto allocate = [&](const Port &port, llvm::ArrayRef<int64_t> shape,
                      size_t bytes) {
    return addOutput(result, port, shape, bytes, reporter);
  };
  bool done = runModule(file, read, allocate,
                        [&](const char *text) { reporter.fail(text); });
  result.finish();
  return done;
}
