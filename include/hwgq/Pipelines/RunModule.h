//===- RunModule.h - a compiled module on arrays ----------------*- C++ -*-===//
#ifndef HWGQ_PIPELINES_RUNMODULE_H
#define HWGQ_PIPELINES_RUNMODULE_H

#include "hwgq/Pipelines/Evaluate.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace hwgq {

/// The sizes and bytes of an array that somebody else owns.
struct ArrayView {
  llvm::ArrayRef<int64_t> shape;
  llvm::ArrayRef<char> bytes;
};

/// Opens the bytes of a module file and runs it once. `read` gives an array for
/// each input, which fits it; `allocate` takes an output, its sizes and bytes
/// and gives room for them. Both tell their errors themselves and give nothing
/// then; `fail` takes those of the runtime.
bool runModule(
    llvm::StringRef file,
    llvm::function_ref<
        std::optional<std::vector<ArrayView>>(llvm::ArrayRef<Port>)>
        read,
    llvm::function_ref<char *(const Port &, llvm::ArrayRef<int64_t>, size_t)>
        allocate,
    llvm::function_ref<void(const char *)> fail);

} // namespace hwgq

#endif // HWGQ_PIPELINES_RUNMODULE_H
