/*===- module.c - Opening modules -----------------------------------------===*/
#define _GNU_SOURCE
#include "float_state.h"
#include "internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/** How errors name a module that is no file. */
static const char memory_name[] = "module in memory";
static const char static_name[] = "static module";

static hwgq_status new_module(hwgq_module **module) {
  *module = calloc(1, sizeof **module);
  if (!*module)
    return hwgq_fail(HWGQ_NO_MEMORY, "out of memory");
  atomic_init(&(*module)->references, 1);
  (*module)->file = -1;
  return HWGQ_OK;
}

void hwgq_module_retain(hwgq_module *module) {
  atomic_fetch_add(&module->references, 1);
}

void hwgq_module_close(hwgq_module *module) {
  if (!module || atomic_fetch_sub(&module->references, 1) != 1)
    return;
  if (module->shared)
    munmap(module->shared, (size_t)module->info.header.shared_size);
  if (module->library)
    dlclose(module->library);
  if (module->file >= 0)
    close(module->file);
  hwgq_info_free(&module->info);
  free(module);
}

/*===- Loading --------------------------------------------------------------*/

/** Makes the shared memory, fills it and protects it. */
static hwgq_status prepare(hwgq_module *module, const char *name) {
  size_t bytes = (size_t)module->info.header.shared_size;
  if (bytes == 0)
    return HWGQ_OK;
  if (!module->entry->prepare)
    return hwgq_fail(HWGQ_DAMAGED, "%s: damaged: nothing fills its memory",
                     name);
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return hwgq_fail(HWGQ_NO_MEMORY, "%s: no %zu bytes for prepared weights",
                     name, bytes);
  madvise(memory, bytes, MADV_HUGEPAGE);
  module->shared = memory;
  struct hwgq_float_state before = hwgq_float_save();
  hwgq_float_set_exact();
  module->entry->prepare(memory);
  hwgq_float_restore(before);
  mprotect(memory, bytes, PROT_READ);
  return HWGQ_OK;
}

/** Loads the open file `module->file`, whose bytes were checked. The name
    /proc/self/fd/N is unique while the file is open; a path is not: dlopen
    would answer with an older library of that name. */
static hwgq_status load(hwgq_module *module, const char *name) {
  char path[64], symbol[512];
  snprintf(path, sizeof path, "/proc/self/fd/%d", module->file);
  module->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!module->library)
    return hwgq_fail(HWGQ_IO, "%s: cannot be loaded: %s", name, dlerror());
  int length = snprintf(symbol, sizeof symbol, "%s_hwgq_module",
                        hwgq_module_prefix(module));
  if (length < 0 || (size_t)length >= sizeof symbol)
    return hwgq_fail(HWGQ_DAMAGED, "%s: damaged: its prefix is too long", name);
  const struct hwgq_module_entry *entry = dlsym(module->library, symbol);
  if (!entry)
    return hwgq_fail(HWGQ_DAMAGED, "%s: damaged: symbol %s is missing", name,
                     symbol);
  /* The bytes contain the checksum: what was loaded is what was checked. */
  if (entry->abi_version != HWGQ_ABI_VERSION || !entry->run ||
      entry->metadata_size != module->info.header.record_size ||
      memcmp(entry->metadata, module->info.bytes,
             module->info.header.record_size) != 0)
    return hwgq_fail(HWGQ_DAMAGED, "%s: damaged: %s is not of this record",
                     name, symbol);
  module->entry = entry;
  return prepare(module, name);
}

/** Opens what `module->file` holds; takes the module over. */
static hwgq_status finish(hwgq_module *module, const char *name,
                          const void *data, size_t size, int only_read,
                          hwgq_module **result) {
  hwgq_status status = hwgq_info_from_file(&module->info, name, data, size);
  if (status == HWGQ_OK && !only_read) {
    status = hwgq_check_machine(&module->info, name);
    if (status == HWGQ_OK)
      status = load(module, name);
  }
  if (status == HWGQ_OK)
    *result = module;
  else
    hwgq_module_close(module);
  return status;
}

static hwgq_status open_file(const char *path, int only_read,
                             hwgq_module **result) {
  hwgq_module *module;
  struct stat info;
  if (!path || !result)
    return hwgq_fail(HWGQ_INVALID, "a path and a place for the module needed");
  hwgq_status status = new_module(&module);
  if (status != HWGQ_OK)
    return status;
  /* Not to wait for the writer of a pipe. */
  module->file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (module->file < 0 || fstat(module->file, &info) != 0) {
    status = hwgq_fail(HWGQ_IO, "%s: %s", path, strerror(errno));
  } else if (!S_ISREG(info.st_mode)) {
    status = hwgq_fail(HWGQ_IO, "%s: not a regular file", path);
  } else if (info.st_size < 64) {
    status =
        hwgq_fail(HWGQ_DAMAGED, "%s: not an ELF file, so not a module", path);
  } else {
    size_t size = (size_t)info.st_size;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, module->file, 0);
    if (data == MAP_FAILED) {
      status = hwgq_fail(HWGQ_IO, "%s: %s", path, strerror(errno));
    } else {
      status = finish(module, path, data, size, only_read, result);
      munmap(data, size);
      return status;
    }
  }
  hwgq_module_close(module);
  return status;
}

/** A file in memory with these bytes, or -1. */
static int memory_file(const void *data, size_t size) {
  const char *bytes = data;
  int file = memfd_create("hwgq", MFD_CLOEXEC);
  while (file >= 0 && size > 0) {
    ssize_t written = write(file, bytes, size);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0) {
      close(file);
      return -1;
    }
    bytes += written;
    size -= (size_t)written;
  }
  return file;
}

static hwgq_status open_memory(const void *data, size_t size, int only_read,
                               hwgq_module **result) {
  hwgq_module *module;
  if (!data || !result)
    return hwgq_fail(HWGQ_INVALID, "bytes and a place for the module needed");
  hwgq_status status = new_module(&module);
  if (status != HWGQ_OK)
    return status;
  if (!only_read && (module->file = memory_file(data, size)) < 0) {
    status = hwgq_fail(HWGQ_NO_MEMORY, "%s: no memory for a copy: %s",
                       memory_name, strerror(errno));
    hwgq_module_close(module);
    return status;
  }
  return finish(module, memory_name, data, size, only_read, result);
}

hwgq_status hwgq_module_open(const char *path, hwgq_module **module) {
  return open_file(path, 0, module);
}

hwgq_status hwgq_module_read(const char *path, hwgq_module **module) {
  return open_file(path, 1, module);
}

hwgq_status hwgq_module_open_memory(const void *data, size_t size,
                                    hwgq_module **module) {
  return open_memory(data, size, 0, module);
}

hwgq_status hwgq_module_read_memory(const void *data, size_t size,
                                    hwgq_module **module) {
  return open_memory(data, size, 1, module);
}

hwgq_status hwgq_module_open_static(const struct hwgq_module_entry *entry,
                                    hwgq_module **result) {
  hwgq_module *module;
  if (!entry || !result)
    return hwgq_fail(HWGQ_INVALID,
                     "an entry and a place for the module needed");
  if (entry->abi_version != HWGQ_ABI_VERSION)
    return hwgq_fail(HWGQ_UNSUPPORTED,
                     "%s: module has interface version %" PRIu32
                     ", this runtime (version %s) needs %u",
                     static_name, entry->abi_version, hwgq_version(),
                     HWGQ_ABI_VERSION);
  hwgq_status status = new_module(&module);
  if (status != HWGQ_OK)
    return status;
  module->entry = entry;
  status = hwgq_info_init(&module->info, static_name, entry->metadata,
                          entry->metadata_size);
  if (status == HWGQ_OK && !entry->run)
    status = hwgq_fail(HWGQ_DAMAGED, "%s: it has no code", static_name);
  if (status == HWGQ_OK)
    status = hwgq_check_machine(&module->info, static_name);
  if (status == HWGQ_OK)
    status = prepare(module, static_name);
  if (status == HWGQ_OK)
    *result = module;
  else
    hwgq_module_close(module);
  return status;
}

/*===- Queries --------------------------------------------------------------*/

static const char *text(const hwgq_module *module, struct hwgq_span span) {
  return module->info.bytes + span.offset;
}

size_t hwgq_module_input_count(const hwgq_module *module) {
  return module->info.input_count;
}

size_t hwgq_module_output_count(const hwgq_module *module) {
  return module->info.output_count;
}

const hwgq_tensor *hwgq_module_input(const hwgq_module *module, size_t index) {
  return index < module->info.input_count ? &module->info.tensors[index] : NULL;
}

const hwgq_tensor *hwgq_module_output(const hwgq_module *module, size_t index) {
  return index < module->info.output_count
             ? &module->info.tensors[module->info.input_count + index]
             : NULL;
}

int64_t hwgq_module_batch(const hwgq_module *module) {
  return module->info.header.batch;
}

const char *hwgq_module_report(const hwgq_module *module) {
  return text(module, module->info.header.report);
}

const char *hwgq_module_options(const hwgq_module *module) {
  return text(module, module->info.header.options);
}

const char *hwgq_module_triple(const hwgq_module *module) {
  return text(module, module->info.header.triple);
}

const char *hwgq_module_target(const hwgq_module *module) {
  return text(module, module->info.header.target);
}

const char *hwgq_module_prefix(const hwgq_module *module) {
  return text(module, module->info.header.prefix);
}

size_t hwgq_module_feature_count(const hwgq_module *module) {
  return module->info.feature_count;
}

const char *hwgq_module_feature(const hwgq_module *module, size_t index) {
  return index < module->info.feature_count ? module->info.strings[index]
                                            : NULL;
}

size_t hwgq_module_layer_count(const hwgq_module *module) {
  return module->info.layer_count;
}

const char *hwgq_module_layer(const hwgq_module *module, size_t index) {
  return index < module->info.layer_count
             ? module->info.strings[module->info.feature_count + index]
             : NULL;
}

uint64_t hwgq_module_file_bytes(const hwgq_module *module) {
  return module->info.header.file_size;
}

uint64_t hwgq_module_shared_bytes(const hwgq_module *module) {
  return module->info.header.shared_size;
}

hwgq_status hwgq_module_workspace_bytes(const hwgq_module *module,
                                        int64_t batch, size_t *bytes) {
  return hwgq_info_workspace(&module->info, batch, bytes);
}
