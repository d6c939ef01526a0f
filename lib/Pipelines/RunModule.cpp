//===- RunModule.cpp - a compiled module on arrays ------------------------===//
#include "hwgq/Pipelines/RunModule.h"
#include "hwgq/runtime.h"

using namespace llvm;
using namespace hwgq;

static Port makePort(const hwgq_tensor &tensor) {
  Port port;
  port.name = tensor.name;
  port.dtype = tensor.dtype;
  port.shape.assign(tensor.dims, tensor.dims + tensor.rank);
  return port;
}

/// The batch that the arrays have; 1 where nothing depends on it.
static int64_t findBatch(ArrayRef<Port> ports, ArrayRef<ArrayView> arrays) {
  for (auto [port, array] : zip(ports, arrays))
    for (auto [d, size] : enumerate(port.shape))
      if (size < 0)
        return array.shape[d] / -size;
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

bool hwgq::runModule(
    StringRef file,
    function_ref<std::optional<std::vector<ArrayView>>(ArrayRef<Port>)> read,
    function_ref<char *(const Port &, ArrayRef<int64_t>, size_t)> allocate,
    function_ref<void(const char *)> fail) {
  auto check = [&](hwgq_status status) {
    if (status != HWGQ_OK)
      fail(hwgq_last_error());
    return status == HWGQ_OK;
  };
  Session session;
  if (!check(
          hwgq_module_open_memory(file.data(), file.size(), &session.module)))
    return false;
  std::vector<Port> ports;
  for (size_t i = 0; i < hwgq_module_input_count(session.module); ++i)
    ports.push_back(makePort(*hwgq_module_input(session.module, i)));
  auto arrays = read(ports);
  if (!arrays)
    return false;
  int64_t fixed = hwgq_module_batch(session.module);
  int64_t batch = fixed > 0 ? fixed : findBatch(ports, *arrays);
  if (!check(hwgq_context_create(session.module, 0, batch, &session.context)))
    return false;
  std::vector<hwgq_input> from;
  for (const ArrayView &array : *arrays)
    from.push_back({array.bytes.data(), array.bytes.size()});
  std::vector<hwgq_output> to;
  for (size_t i = 0; i < hwgq_module_output_count(session.module); ++i) {
    const hwgq_tensor *tensor = hwgq_module_output(session.module, i);
    int64_t dims[HWGQ_MAX_RANK];
    size_t bytes;
    if (!check(hwgq_tensor_shape(tensor, batch, dims, &bytes)))
      return false;
    char *data = allocate(makePort(*tensor), {dims, tensor->rank}, bytes);
    if (!data)
      return false;
    to.push_back({data, bytes});
  }
  return check(hwgq_run(session.context, from.data(), from.size(), to.data(),
                        to.size(), batch));
}
