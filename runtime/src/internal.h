/*===- internal.h - Shared by the runtime's files -------------------------===*/
#ifndef HWGQ_RUNTIME_INTERNAL_H
#define HWGQ_RUNTIME_INTERNAL_H

#include "hwgq/runtime.h"

#include <stdatomic.h>

/** Sets the text of hwgq_last_error and returns `status`. */
hwgq_status hwgq_fail(hwgq_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*===- record.c: what a module says of itself -----------------------------===*/

/** A checked copy of a record, with its tables resolved. */
struct hwgq_info {
  struct hwgq_record header;
  char *bytes; /**< the whole record */
  hwgq_tensor *tensors;
  size_t input_count;
  size_t output_count;
  const char **strings; /**< features, then layers */
  size_t feature_count;
  size_t layer_count;
};

/** Checks every offset, string, type and size of a record and copies it.
    `name` stands in error texts. */
hwgq_status hwgq_info_init(struct hwgq_info *info, const char *name,
                           const void *record, uint64_t size);
void hwgq_info_free(struct hwgq_info *info);

/** Finds the record in the bytes of a file; checks length, checksum and ABI
    version; then hwgq_info_init. */
hwgq_status hwgq_info_from_file(struct hwgq_info *info, const char *name,
                                const void *data, uint64_t size);

/** workspace_constant + batch * workspace_per_batch. */
hwgq_status hwgq_info_workspace(const struct hwgq_info *info, int64_t batch,
                                size_t *bytes);

/*===- features.c: what this machine can do -------------------------------===*/

/** Refuses a module for another architecture or with features that this CPU
    or system lacks. */
hwgq_status hwgq_check_machine(const struct hwgq_info *info, const char *name);

/** Asks the system for what must be asked for (AMX tiles). */
hwgq_status hwgq_request_features(const struct hwgq_info *info);

/*===- threads.c ----------------------------------------------------------===*/

struct hwgq_pool;

/** CPUs that this process may use, at least 1. */
int hwgq_cpu_count(void);

/** A pool of threads - 1 workers; NULL if they cannot be had. */
struct hwgq_pool *hwgq_pool_create(int threads);
void hwgq_pool_destroy(struct hwgq_pool *pool);

/** hwgq_frame::parallel_for; `pool` is a struct hwgq_pool. One thread at a
    time. */
void hwgq_pool_parallel_for(void *pool, hwgq_task fn, void *env, int64_t count);

/*===- module.c -----------------------------------------------------------===*/

struct hwgq_module {
  atomic_uint references;
  struct hwgq_info info;
  const struct hwgq_module_entry *entry; /**< NULL when only read */
  void *library;                         /**< of dlopen, or NULL */
  int file;     /**< keeps the name /proc/self/fd/N unique, or -1 */
  void *shared; /**< or NULL */
};

void hwgq_module_retain(hwgq_module *module);

#endif /* HWGQ_RUNTIME_INTERNAL_H */
