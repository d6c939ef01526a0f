//===- Execute.cpp - arrays through the interpreter and modules -----------===//
#include "Internal.h"
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
    char *data = result.addArray(port.name, port.dtype, value.getShape(),
                                 value.bytes().size());
    if (!data)
      return reporter.fail("output '" + port.name +
                           "' does not fit into memory");
    llvm::copy(value.bytes(), data);
  }
  result.finish();
  return true;
}

namespace {
/// A module and its context.
struct Session {
  hwgq_module *module = nullptr;
  hwgq_context *context = nullptr;
  ~Session() {
    hwgq_context_destroy(context);
    hwgq_module_close(module);
  }
};
} // namespace

/// The batch that the arrays have; 1 where nothing depends on it.
static int64_t findBatch(llvm::ArrayRef<Port> ports,
                         llvm::ArrayRef<const hwgq_array *> arrays) {
  for (auto [port, array] : llvm::zip(ports, arrays))
    for (auto [d, size] : llvm::enumerate(port.shape))
      if (size < 0)
        return array->dims[d] / -size;
  return 1;
}

bool capi::runModule(llvm::StringRef file, llvm::ArrayRef<hwgq_array> given,
                     const Reporter &reporter, hwgq_result &result) {
  auto check = [&](hwgq_status status) {
    return status == HWGQ_OK || reporter.fail(hwgq_last_error());
  };
  Session session;
  if (!check(
          hwgq_module_open_memory(file.data(), file.size(), &session.module)))
    return false;
  std::vector<Port> ports;
  for (size_t i = 0; i < hwgq_module_input_count(session.module); ++i) {
    const hwgq_tensor *tensor = hwgq_module_input(session.module, i);
    Port &port = ports.emplace_back();
    port.name = tensor->name;
    port.dtype = tensor->dtype;
    port.shape.assign(tensor->dims, tensor->dims + tensor->rank);
  }
  auto arrays = matchInputs(ports, given, reporter);
  if (!arrays)
    return false;
  int64_t fixed = hwgq_module_batch(session.module);
  int64_t batch = fixed > 0 ? fixed : findBatch(ports, *arrays);
  if (!check(hwgq_context_create(session.module, 0, batch, &session.context)))
    return false;
  std::vector<hwgq_input> from;
  for (const hwgq_array *array : *arrays)
    from.push_back({array->data, getBytes(*array)->size()});
  std::vector<hwgq_output> to;
  for (size_t i = 0; i < hwgq_module_output_count(session.module); ++i) {
    const hwgq_tensor *tensor = hwgq_module_output(session.module, i);
    int64_t dims[HWGQ_MAX_RANK];
    size_t bytes;
    if (!check(hwgq_tensor_shape(tensor, batch, dims, &bytes)))
      return false;
    char *data = result.addArray(tensor->name, tensor->dtype,
                                 {dims, tensor->rank}, bytes);
    if (!data)
      return reporter.fail("output '" + llvm::Twine(tensor->name) +
                           "' does not fit into memory");
    to.push_back({data, bytes});
  }
  result.finish();
  return check(hwgq_run(session.context, from.data(), from.size(), to.data(),
                        to.size(), batch));
}
