//===- Compiled.cpp - running what was compiled ---------------------------===//
#include "Eval.h"
#include "hwgq/Pipelines/RunModule.h"

using namespace llvm;
using namespace hwgq;
using namespace hwgq::eval;

bool hwgq::eval::runCompiled(StringRef file, const InputOptions &options,
                             std::vector<Port> &ports,
                             std::vector<Array> &results) {
  std::optional<std::vector<Array>> inputs;
  auto read =
      [&](ArrayRef<Port> inputPorts) -> std::optional<std::vector<ArrayView>> {
    inputs = readInputs(inputPorts, options);
    if (!inputs)
      return std::nullopt;
    std::vector<ArrayView> views;
    for (const Array &array : *inputs)
      views.push_back({array.shape(),
                       ArrayRef(static_cast<char *>(array.data), array.bytes)});
    return views;
  };
  auto allocate = [&](const Port &port, ArrayRef<int64_t> shape,
                      size_t) -> char * {
    ports.push_back(port);
    Array &array = results.emplace_back();
    array.dtype = port.dtype;
    array.rank = shape.size();
    copy(shape, array.dims);
    bool failed = array_allocate(&array, port.name.c_str()) != 0;
    return failed ? nullptr : static_cast<char *>(array.data);
  };
  return runModule(file, read, allocate,
                   [](const char *text) { fail("%s", text); });
}
