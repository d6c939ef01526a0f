/*===- hwgq/runtime.h - Run compiled modules ------------------------------===*\
|*
|* The C interface of the hwgq runtime (C11, no LLVM, no C++).
|*
|*   hwgq_module *module;
|*   hwgq_context *context;
|*   if (hwgq_module_open("model.so", &module) != HWGQ_OK ||
|*       hwgq_context_create(module, 0, 1, &context) != HWGQ_OK)
|*     fprintf(stderr, "error: %s\n", hwgq_last_error());
|*   ...
|*   hwgq_run(context, inputs, 1, outputs, 1, 1);
|*
|* Threads: a module is immutable and may be used by all threads. A context may
|* be used by one thread at a time (a second one gets HWGQ_INVALID); several
|* contexts of one module run at the same time and share no lock.
|*
|* Errors: a function that fails returns a status other than HWGQ_OK, leaves
|* its results untouched and sets the text of hwgq_last_error() of the calling
|* thread.
|*
|* A module is code. The checks on opening guard against damage, a wrong machine
|* and a wrong version, not against malice: open only modules that you trust.
\*===----------------------------------------------------------------------===*/
#ifndef HWGQ_RUNTIME_H
#define HWGQ_RUNTIME_H

#include <hwgq_abi.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HWGQ_API __attribute__((visibility("default")))
#else
#define HWGQ_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hwgq_status {
  HWGQ_OK = 0,
  HWGQ_INVALID = 1,     /**< an argument is wrong */
  HWGQ_IO = 2,          /**< a file cannot be read */
  HWGQ_DAMAGED = 3,     /**< not a module, or not an intact one */
  HWGQ_UNSUPPORTED = 4, /**< for another machine, CPU or version */
  HWGQ_NO_MEMORY = 5    /**< memory or threads could not be had */
} hwgq_status;

typedef struct hwgq_module hwgq_module;
typedef struct hwgq_context hwgq_context;

/** Most threads of one context. */
#define HWGQ_MAX_THREADS 512

/** Text of the last failure on this thread, without "error:"; "" if there was
    none. Valid until the next failure on this thread. */
HWGQ_API const char *hwgq_last_error(void);

/** Version of the runtime, such as "0.1.0". */
HWGQ_API const char *hwgq_version(void);

/** HWGQ_ABI_VERSION of the runtime: modules need the same one. */
HWGQ_API uint32_t hwgq_abi_version(void);

/*===--------------------------------------------------------------------===*\
|* Modules
\*===--------------------------------------------------------------------===*/

/** Checks the file (ELF bounds, length, checksum, ABI version, architecture,
    CPU features) by reading, then loads it and prepares its shared memory. */
HWGQ_API hwgq_status hwgq_module_open(const char *path, hwgq_module **module);

/** The same for the bytes of a module file. They are copied. */
HWGQ_API hwgq_status hwgq_module_open_memory(const void *data, size_t size,
                                             hwgq_module **module);

/** Opens a module linked into this program (--emit=obj, --emit=header). */
HWGQ_API hwgq_status hwgq_module_open_static(
    const struct hwgq_module_entry *entry, hwgq_module **module);

/** Reads what a module says of itself and never loads it: any architecture
    and any CPU will do. Its contexts cannot be created. */
HWGQ_API hwgq_status hwgq_module_read(const char *path, hwgq_module **module);

/** The same for the bytes of a module file. */
HWGQ_API hwgq_status hwgq_module_read_memory(const void *data, size_t size,
                                             hwgq_module **module);

/** Gives a module back; NULL is allowed. Contexts may outlive this call: the
    code is unloaded with the last of them. */
HWGQ_API void hwgq_module_close(hwgq_module *module);

/** An input or output. The text lives as long as the module. */
typedef struct hwgq_tensor {
  const char *name;
  enum hwgq_dtype dtype;
  uint32_t rank;
  /** Sizes; -k stands for k * batch, so -1 for the batch itself. */
  int64_t dims[HWGQ_MAX_RANK];
} hwgq_tensor;

HWGQ_API size_t hwgq_module_input_count(const hwgq_module *module);
HWGQ_API size_t hwgq_module_output_count(const hwgq_module *module);

/** Input or output by index; NULL if there is none. */
HWGQ_API const hwgq_tensor *hwgq_module_input(const hwgq_module *module,
                                              size_t index);
HWGQ_API const hwgq_tensor *hwgq_module_output(const hwgq_module *module,
                                               size_t index);

/** Sizes and bytes of a tensor at a batch >= 1. Fails when the bytes do not
    fit into memory. `dims` and `bytes` may be NULL. */
HWGQ_API hwgq_status hwgq_tensor_shape(const hwgq_tensor *tensor, int64_t batch,
                                       int64_t dims[HWGQ_MAX_RANK],
                                       size_t *bytes);

/** The fixed batch, or HWGQ_BATCH_DYNAMIC (-1). */
HWGQ_API int64_t hwgq_module_batch(const hwgq_module *module);

/** The compiler's report, one JSON object. */
HWGQ_API const char *hwgq_module_report(const hwgq_module *module);
/** The compiler's options. */
HWGQ_API const char *hwgq_module_options(const hwgq_module *module);
/** LLVM's triple, such as "x86_64-unknown-linux-gnu". */
HWGQ_API const char *hwgq_module_triple(const hwgq_module *module);
/** The value of --target. */
HWGQ_API const char *hwgq_module_target(const hwgq_module *module);
/** The prefix of the entry symbol. */
HWGQ_API const char *hwgq_module_prefix(const hwgq_module *module);

/** CPU features that the module needs, LLVM's names; NULL past the end. */
HWGQ_API size_t hwgq_module_feature_count(const hwgq_module *module);
HWGQ_API const char *hwgq_module_feature(const hwgq_module *module,
                                         size_t index);

/** Layers as a profile counts them; NULL past the end. */
HWGQ_API size_t hwgq_module_layer_count(const hwgq_module *module);
HWGQ_API const char *hwgq_module_layer(const hwgq_module *module, size_t index);

/** Bytes of the module file; 0 for a static module. */
HWGQ_API uint64_t hwgq_module_file_bytes(const hwgq_module *module);

/** Bytes of prepared weights, shared by all contexts. */
HWGQ_API uint64_t hwgq_module_shared_bytes(const hwgq_module *module);

/** Bytes of workspace that one context needs at this batch. */
HWGQ_API hwgq_status hwgq_module_workspace_bytes(const hwgq_module *module,
                                                 int64_t batch, size_t *bytes);

/*===--------------------------------------------------------------------===*\
|* Contexts
\*===--------------------------------------------------------------------===*/

/**
 * Makes what a run needs besides the module: workspace and threads.
 * `threads` counts the calling thread, too; 0 takes one for each CPU that this
 * process may use. `max_batch` is the largest batch that will be run, for a
 * module with dynamic batch; a fixed batch ignores it.
 */
HWGQ_API hwgq_status hwgq_context_create(hwgq_module *module, int threads,
                                         int64_t max_batch,
                                         hwgq_context **context);

/** Gives a context back; NULL is allowed. */
HWGQ_API void hwgq_context_destroy(hwgq_context *context);

/** Makes room for larger batches. Never shrinks. */
HWGQ_API hwgq_status hwgq_context_reserve(hwgq_context *context,
                                          int64_t max_batch);

/** Changes the number of threads, as in hwgq_context_create. */
HWGQ_API hwgq_status hwgq_context_set_threads(hwgq_context *context,
                                              int threads);

/** Threads of a run, the caller's included. */
HWGQ_API int hwgq_context_threads(const hwgq_context *context);

typedef struct hwgq_input {
  const void *data;
  size_t bytes;
} hwgq_input;

typedef struct hwgq_output {
  void *data;
  size_t bytes;
} hwgq_output;

/**
 * Runs the network once. Arrays are C-order, aligned to their element's size,
 * and hold exactly the bytes of hwgq_tensor_shape at `batch`; outputs overlap
 * nothing. `batch` is at most the reserve of the context; for a fixed batch it
 * is that batch. Allocates nothing. The calling thread works, too, with at
 * most 384 KiB of its stack, and gets its floating-point state back; all work
 * is done in round-to-nearest without FTZ and DAZ.
 */
HWGQ_API hwgq_status hwgq_run(hwgq_context *context, const hwgq_input *inputs,
                              size_t input_count, const hwgq_output *outputs,
                              size_t output_count, int64_t batch);

/** Starts (and zeroes) or ends the measurement of each layer's time. */
HWGQ_API hwgq_status hwgq_context_set_profiling(hwgq_context *context, int on);

/** Nanoseconds that a layer took in all runs since profiling started; 0 if
    there is no such layer. */
HWGQ_API uint64_t hwgq_context_layer_nanoseconds(const hwgq_context *context,
                                                 size_t layer);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* HWGQ_RUNTIME_H */
