//===- Compiled.cpp - running what was compiled ---------------------------===//
#include "Eval.h"

using namespace llvm;
using namespace hwgq;
using namespace hwgq::eval;

static Port makePort(const hwgq_tensor &tensor) {
  Port port;
  port.name = tensor.name;
  port.dtype = tensor.dtype;
  port.shape.assign(tensor.dims, tensor.dims + tensor.rank);
  return port;
}

/// The batch that the arrays have; 1 where nothing depends on it.
static int64_t findBatch(ArrayRef<Port> ports, ArrayRef<Array> arrays) {
  for (auto [port, array] : zip(ports, arrays))
    for (size_t d = 0; d < port.shape.size(); ++d)
      if (port.shape[d] < 0)
        return array.dims[d] / -port.shape[d];
  return 1;
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

bool hwgq::eval::runCompiled(StringRef file, const InputOptions &options,
                             std::vector<Port> &ports,
                             std::vector<Array> &results) {
  auto check = [](hwgq_status status) {
    if (status != HWGQ_OK)
      fail("%s", hwgq_last_error());
    return status == HWGQ_OK;
  };
  Session session;
  if (!check(
          hwgq_module_open_memory(file.data(), file.size(), &session.module)))
    return false;
  std::vector<Port> inputPorts;
  for (size_t i = 0; i < hwgq_module_input_count(session.module); ++i)
    inputPorts.push_back(makePort(*hwgq_module_input(session.module, i)));
  auto inputs = readInputs(inputPorts, options);
  if (!inputs)
    return false;
  int64_t fixed = hwgq_module_batch(session.module);
  int64_t batch = fixed > 0 ? fixed : findBatch(inputPorts, *inputs);
  if (!check(hwgq_context_create(session.module, 0, batch, &session.context)))
    return false;
  std::vector<hwgq_input> from;
  for (const Array &array : *inputs)
    from.push_back({array.data, array.bytes});
  std::vector<hwgq_output> to;
  for (size_t i = 0; i < hwgq_module_output_count(session.module); ++i) {
    const hwgq_tensor *tensor = hwgq_module_output(session.module, i);
    ports.push_back(makePort(*tensor));
    Array &array = results.emplace_back();
    array.dtype = tensor->dtype;
    array.rank = tensor->rank;
    if (!check(hwgq_tensor_shape(tensor, batch, array.dims, nullptr)) ||
        array_allocate(&array, tensor->name) != 0)
      return false;
    to.push_back({array.data, array.bytes});
  }
  return check(hwgq_run(session.context, from.data(), from.size(), to.data(),
                        to.size(), batch));
}
