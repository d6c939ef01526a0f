//===- Eval.h - what the files of hwgq-eval share ---------------*- C++ -*-===//
#ifndef HWGQ_TOOLS_EVAL_H
#define HWGQ_TOOLS_EVAL_H

#include "hwgq/Pipelines/Evaluate.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"

extern "C" {
#include "common.h"
}

#include <optional>
#include <string>
#include <vector>

namespace hwgq::eval {

/// An array that frees its data.
struct Array : ::array {
  Array() : ::array{} {}
  Array(const Array &) = delete;
  Array(Array &&other) : ::array(other) { other.data = nullptr; }
  Array &operator=(Array &&other) {
    std::swap(static_cast<::array &>(*this), static_cast<::array &>(other));
    return *this;
  }
  ~Array() { array_free(this); }
  llvm::ArrayRef<int64_t> shape() const { return {dims, rank}; }
};

/// Where inputs come from.
struct InputOptions {
  std::vector<std::string> files; ///< [NAME=]FILE.npy
  bool random = false;
  uint64_t seed = 0;
  int64_t batch = 0; ///< Of random inputs; 0 when not given.
};

/// Reads or makes an array for every port. Errors have been printed.
std::optional<std::vector<Array>> readInputs(llvm::ArrayRef<Port> ports,
                                             const InputOptions &options);

/// Writes DIR/<index>_<name>.npy for all outputs, or none of them.
bool writeOutputs(llvm::ArrayRef<Port> ports, llvm::ArrayRef<Array> arrays,
                  const std::string &directory);

/// Prints every element of every output: `name: f32[2x3] = 1 2 3 4 5 6`.
void printOutputs(llvm::ArrayRef<Port> ports, llvm::ArrayRef<Array> arrays);

/// Runs a compiled module on inputs made by `options`.
bool runCompiled(llvm::StringRef module, const InputOptions &options,
                 std::vector<Port> &ports, std::vector<Array> &results);

} // namespace hwgq::eval

#endif // HWGQ_TOOLS_EVAL_H
