/*===- record.c - Reading a module's record without trusting it -----------===*/
#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static hwgq_status damaged(const char *name, const char *what) {
  return hwgq_fail(HWGQ_DAMAGED, "%s: damaged: %s", name, what);
}

static int span_fits(const struct hwgq_info *info, struct hwgq_span span) {
  return span.offset <= info->header.record_size &&
         span.size <= info->header.record_size - span.offset;
}

/** The string of a span, or NULL: inside the record, no NUL but the last. */
static const char *string_at(const struct hwgq_info *info,
                             struct hwgq_span span) {
  const char *text;
  if (!span_fits(info, span) ||
      span.size == info->header.record_size - span.offset)
    return NULL;
  text = info->bytes + span.offset;
  return memchr(text, 0, (size_t)span.size + 1) == text + span.size ? text
                                                                    : NULL;
}

/** Bytes of a table of elements of `size` bytes; 0 for a bad one. */
static int table_fits(const struct hwgq_info *info, struct hwgq_span span,
                      size_t size) {
  return span_fits(info, span) && span.size % size == 0;
}

static hwgq_status read_strings(struct hwgq_info *info, const char *name) {
  struct hwgq_span tables[2] = {info->header.features, info->header.layers};
  size_t sizes[2], next = 0;
  for (int t = 0; t < 2; ++t) {
    if (!table_fits(info, tables[t], sizeof(struct hwgq_span)))
      return damaged(name, "a list of names lies outside of the record");
    sizes[t] = tables[t].size / sizeof(struct hwgq_span);
  }
  info->feature_count = sizes[0];
  info->layer_count = sizes[1];
  info->strings = calloc(sizes[0] + sizes[1] + 1, sizeof *info->strings);
  if (!info->strings)
    return hwgq_fail(HWGQ_NO_MEMORY, "%s: out of memory", name);
  for (int t = 0; t < 2; ++t)
    for (size_t i = 0; i < sizes[t]; ++i) {
      struct hwgq_span span;
      memcpy(&span, info->bytes + tables[t].offset + i * sizeof span,
             sizeof span);
      const char *text = string_at(info, span);
      if (!text)
        return damaged(name, "a name lies outside of the record");
      info->strings[next++] = t == 0 && text[0] == '+' ? text + 1 : text;
    }
  return HWGQ_OK;
}

static hwgq_status read_tensor(const struct hwgq_info *info, const char *name,
                               const struct hwgq_tensor_record *record,
                               hwgq_tensor *tensor) {
  tensor->name = string_at(info, record->name);
  if (!tensor->name)
    return damaged(name, "a tensor's name lies outside of the record");
  if (hwgq_dtype_size(record->dtype) == 0 || record->rank > HWGQ_MAX_RANK ||
      record->is_output > 1)
    return damaged(name, "a tensor has no valid type or rank");
  tensor->dtype = (enum hwgq_dtype)record->dtype;
  tensor->rank = record->rank;
  for (uint32_t i = 0; i < record->rank; ++i) {
    tensor->dims[i] = record->dims[i];
    if (record->dims[i] < 0 && info->header.batch != HWGQ_BATCH_DYNAMIC)
      return damaged(name, "a tensor of a fixed batch has a dynamic size");
  }
  if (hwgq_tensor_shape(tensor, info->header.batch < 1 ? 1 : info->header.batch,
                        NULL, NULL) != HWGQ_OK)
    return damaged(name, "a tensor does not fit into memory");
  return HWGQ_OK;
}

static hwgq_status read_tensors(struct hwgq_info *info, const char *name) {
  struct hwgq_span table = info->header.tensors;
  struct hwgq_tensor_record record;
  if (!table_fits(info, table, sizeof record))
    return damaged(name, "the list of tensors lies outside of the record");
  size_t count = table.size / sizeof record;
  info->tensors = calloc(count + 1, sizeof *info->tensors);
  if (!info->tensors)
    return hwgq_fail(HWGQ_NO_MEMORY, "%s: out of memory", name);
  for (size_t i = 0; i < count; ++i) {
    memcpy(&record, info->bytes + table.offset + i * sizeof record,
           sizeof record);
    hwgq_status status = read_tensor(info, name, &record, &info->tensors[i]);
    if (status != HWGQ_OK)
      return status;
    if (record.is_output)
      ++info->output_count;
    else if (info->output_count != 0)
      return damaged(name, "an input follows an output");
    else
      ++info->input_count;
  }
  return HWGQ_OK;
}

static hwgq_status check_header(struct hwgq_info *info, const char *name,
                                uint64_t size) {
  const struct hwgq_record *header = &info->header;
  if (memcmp(header->magic, HWGQ_RECORD_MAGIC, sizeof header->magic) != 0)
    return damaged(name, "its record has no magic number");
  if (header->abi_version != HWGQ_ABI_VERSION)
    return hwgq_fail(HWGQ_UNSUPPORTED,
                     "%s: module has interface version %" PRIu32
                     ", this runtime (version %s) needs %u; compile the model "
                     "again with the matching hwgq-compile",
                     name, header->abi_version, hwgq_version(),
                     HWGQ_ABI_VERSION);
  if (header->header_size != sizeof *header || header->record_size > size ||
      header->record_size < sizeof *header)
    return damaged(name, "its record has a wrong length");
  if (header->batch < 1 && header->batch != HWGQ_BATCH_DYNAMIC)
    return damaged(name, "its batch is neither positive nor dynamic");
  return HWGQ_OK;
}

static hwgq_status read_record(struct hwgq_info *info, const char *name) {
  const struct hwgq_record *header = &info->header;
  struct hwgq_span texts[5] = {header->triple, header->target, header->prefix,
                               header->options, header->report};
  size_t bytes;
  for (int i = 0; i < 5; ++i)
    if (!string_at(info, texts[i]))
      return damaged(name, "a text lies outside of the record");
  hwgq_status status = read_strings(info, name);
  if (status == HWGQ_OK)
    status = read_tensors(info, name);
  if (status == HWGQ_OK && header->shared_size > SIZE_MAX / 2)
    status = damaged(name, "its shared memory does not fit");
  if (status == HWGQ_OK &&
      hwgq_info_workspace(info, header->batch < 1 ? 1 : header->batch,
                          &bytes) != HWGQ_OK)
    status = damaged(name, "its workspace does not fit");
  return status;
}

hwgq_status hwgq_info_init(struct hwgq_info *info, const char *name,
                           const void *record, uint64_t size) {
  memset(info, 0, sizeof *info);
  if (!record || size < sizeof info->header)
    return damaged(name, "its record is too short");
  memcpy(&info->header, record, sizeof info->header);
  hwgq_status status = check_header(info, name, size);
  if (status != HWGQ_OK)
    return status;
  info->bytes = malloc(info->header.record_size);
  if (!info->bytes)
    return hwgq_fail(HWGQ_NO_MEMORY, "%s: out of memory", name);
  memcpy(info->bytes, record, info->header.record_size);
  status = read_record(info, name);
  if (status != HWGQ_OK)
    hwgq_info_free(info);
  return status;
}

void hwgq_info_free(struct hwgq_info *info) {
  free(info->bytes);
  free(info->tensors);
  free(info->strings);
  memset(info, 0, sizeof *info);
}

hwgq_status hwgq_info_from_file(struct hwgq_info *info, const char *name,
                                const void *data, uint64_t size) {
  const unsigned char *file = data;
  uint64_t at = 0, record_size = 0;
  struct hwgq_record header;
  const char *why = hwgq_locate_record(data, size, &at, &record_size);
  if (why)
    return hwgq_fail(HWGQ_DAMAGED, "%s: %s", name, why);
  memcpy(&header, file + at, sizeof header);
  if (header.file_size != size)
    return hwgq_fail(HWGQ_DAMAGED,
                     "%s: cut short or damaged: %" PRIu64
                     " bytes, and its record tells of %" PRIu64,
                     name, size, header.file_size);
  if (hwgq_checksum(data, size,
                    at + offsetof(struct hwgq_record, file_checksum)) !=
      header.file_checksum)
    return damaged(name, "its checksum does not match its content");
  hwgq_status status = hwgq_info_init(info, name, file + at, record_size);
  if (status != HWGQ_OK)
    return status;
  if (hwgq_load16(file + 18) == header.arch)
    return HWGQ_OK;
  hwgq_info_free(info);
  return damaged(name, "its record and its ELF header disagree on the machine");
}

hwgq_status hwgq_info_workspace(const struct hwgq_info *info, int64_t batch,
                                size_t *bytes) {
  uint64_t total;
  if (batch < 1)
    return hwgq_fail(HWGQ_INVALID, "the batch must be at least 1, not %" PRId64,
                     batch);
  if (__builtin_mul_overflow(info->header.workspace_per_batch, (uint64_t)batch,
                             &total) ||
      __builtin_add_overflow(total, info->header.workspace_constant, &total) ||
      total > SIZE_MAX / 2)
    return hwgq_fail(
        HWGQ_NO_MEMORY,
        "the workspace of batch %" PRId64 " does not fit into memory", batch);
  *bytes = (size_t)total;
  return HWGQ_OK;
}

hwgq_status hwgq_tensor_shape(const hwgq_tensor *tensor, int64_t batch,
                              int64_t dims[HWGQ_MAX_RANK], size_t *bytes) {
  int64_t shape[HWGQ_MAX_RANK] = {0};
  int64_t total;
  if (!tensor || batch < 1)
    return hwgq_fail(HWGQ_INVALID, "the batch must be at least 1, not %" PRId64,
                     batch);
  total = hwgq_dtype_size(tensor->dtype);
  for (uint32_t i = 0; i < tensor->rank; ++i) {
    shape[i] = tensor->dims[i];
    if ((shape[i] < 0 && (__builtin_mul_overflow(shape[i], batch, &shape[i]) ||
                          __builtin_sub_overflow(0, shape[i], &shape[i]))) ||
        __builtin_mul_overflow(total, shape[i], &total) ||
        (uint64_t)total > SIZE_MAX / 2)
      return hwgq_fail(HWGQ_NO_MEMORY,
                       "tensor '%s' of batch %" PRId64
                       " does not fit into memory",
                       tensor->name, batch);
  }
  if (dims)
    memcpy(dims, shape, sizeof shape);
  if (bytes)
    *bytes = (size_t)total;
  return HWGQ_OK;
}
