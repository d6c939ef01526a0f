//===- RecordBuilder.h - Module records for tests ---------------*- C++ -*-===//
// Builds the metadata record of hwgq_abi.h from a description, without the
// compiler, and finishes module files.
//===----------------------------------------------------------------------===//
#ifndef HWGQ_TEST_RECORDBUILDER_H
#define HWGQ_TEST_RECORDBUILDER_H

#include "hwgq_abi.h"

#include <string>
#include <vector>

namespace hwgq::test {

struct Tensor {
  std::string name;
  uint32_t dtype;
  bool isOutput;
  std::vector<int64_t> dims;
};

struct Description {
  uint32_t arch = HWGQ_ARCH_X86_64;
  int64_t batch = 1;
  uint64_t workspaceConstant = 0;
  uint64_t workspacePerBatch = 0;
  uint64_t sharedSize = 0;
  std::vector<Tensor> tensors;
  std::vector<std::string> features;
  std::vector<std::string> layers;
  std::string triple, target, prefix, options, report;
};

/// The record's bytes, a multiple of 4.
inline std::string buildRecord(const Description &what) {
  std::string bytes(sizeof(hwgq_record), '\0');
  auto add = [&](const void *data, size_t size) {
    bytes.resize((bytes.size() + 3) / 4 * 4);
    hwgq_span span = {uint32_t(bytes.size()), uint32_t(size)};
    bytes.append(static_cast<const char *>(data), size);
    return span;
  };
  auto addText = [&](const std::string &text) {
    hwgq_span span = add(text.c_str(), text.size() + 1);
    span.size -= 1;
    return span;
  };
  auto addTexts = [&](const std::vector<std::string> &texts) {
    std::vector<hwgq_span> spans;
    for (const std::string &text : texts)
      spans.push_back(addText(text));
    return add(spans.data(), spans.size() * sizeof(hwgq_span));
  };
  hwgq_record record = {};
  memcpy(record.magic, HWGQ_RECORD_MAGIC, sizeof record.magic);
  record.abi_version = HWGQ_ABI_VERSION;
  record.header_size = sizeof record;
  record.arch = what.arch;
  record.batch = what.batch;
  record.workspace_constant = what.workspaceConstant;
  record.workspace_per_batch = what.workspacePerBatch;
  record.shared_size = what.sharedSize;
  std::vector<hwgq_tensor_record> tensors;
  for (const Tensor &tensor : what.tensors) {
    hwgq_tensor_record entry = {};
    entry.name = addText(tensor.name);
    entry.dtype = tensor.dtype;
    entry.is_output = tensor.isOutput;
    entry.rank = uint32_t(tensor.dims.size());
    for (size_t i = 0; i < tensor.dims.size(); ++i)
      entry.dims[i] = tensor.dims[i];
    tensors.push_back(entry);
  }
  record.tensors =
      add(tensors.data(), tensors.size() * sizeof(hwgq_tensor_record));
  record.features = addTexts(what.features);
  record.layers = addTexts(what.layers);
  record.triple = addText(what.triple);
  record.target = addText(what.target);
  record.prefix = addText(what.prefix);
  record.options = addText(what.options);
  record.report = addText(what.report);
  bytes.resize((bytes.size() + 3) / 4 * 4);
  record.record_size = uint32_t(bytes.size());
  memcpy(&bytes[0], &record, sizeof record);
  return bytes;
}

/// Writes length and checksum into a linked library. False: it has no record.
inline bool finishModule(std::string &file) {
  uint64_t at = 0, size = 0;
  if (hwgq_locate_record(file.data(), file.size(), &at, &size))
    return false;
  uint64_t length = file.size();
  memcpy(&file[at + offsetof(hwgq_record, file_size)], &length, 8);
  uint64_t field = at + offsetof(hwgq_record, file_checksum);
  uint64_t sum = hwgq_checksum(file.data(), file.size(), field);
  memcpy(&file[field], &sum, 8);
  return true;
}

} // namespace hwgq::test

#endif // HWGQ_TEST_RECORDBUILDER_H
