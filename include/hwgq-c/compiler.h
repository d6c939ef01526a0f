/*===- hwgq-c/compiler.h - the compiler's C interface ---------------------===*\
|*
|* C11, no LLVM and no C++ in it. What is compiled runs by hwgq/runtime.h.
|*
|*   hwgq_option options[] = {{"target", "x86-64-v3"}, {"batch", "dynamic"}};
|*   hwgq_model model = {.path = "model.onnx"};
|*   hwgq_result *result;
|*   if (!hwgq_compile(&model, options, 2, print, NULL, &result))
|*     return 1;
|*   fwrite(hwgq_result_data(result), 1, hwgq_result_size(result), file);
|*   hwgq_result_free(result);
|*
|* Errors: a function that fails returns false, has told why by at least one
|* diagnostic of severity HWGQ_ERROR, and leaves its result untouched.
|*
|* Threads: all functions may be called from several threads at once; a
|* diagnostic comes on the thread of the call that it belongs to.
\*===----------------------------------------------------------------------===*/
#ifndef HWGQ_C_COMPILER_H
#define HWGQ_C_COMPILER_H

#include <hwgq_abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hwgq_severity {
  HWGQ_ERROR = 0,
  HWGQ_WARNING = 1,
  HWGQ_REMARK = 2, /**< what was not optimised or chosen, and why */
  HWGQ_NOTE = 3    /**< belongs to another diagnostic */
} hwgq_severity;

/** What the compiler says of a network. Texts are "" where there is none, and
    live until the callback returns. */
typedef struct hwgq_diagnostic {
  hwgq_severity severity;
  const char *message;
  const char *node; /**< name of the ONNX node, or of what stands for it */
  const char *op;   /**< its operator, such as "Conv" */
  const char *file; /**< of the model, or where IR text was read */
  unsigned line;    /**< in IR text, from 1; 0 for none */
  unsigned column;
  size_t note_count;
  const struct hwgq_diagnostic *notes;
} hwgq_diagnostic;

typedef void (*hwgq_diagnostic_callback)(const hwgq_diagnostic *diagnostic,
                                         void *user);

/** A network: a file (MODEL.onnx, or MODULE.mlir at any phase), or, where
    `path` is NULL, the bytes of an ONNX model, which are copied. External data
    of a model in memory is looked for in `folder`; NULL refuses it. */
typedef struct hwgq_model {
  const char *path;
  const void *data;
  size_t size;
  const char *folder;
} hwgq_model;

/** An option of hwgq-compile, without its dashes: target, kernel, batch,
    straight-through, verify-folding ("true" or "false"), symbol-prefix,
    input, bind (NAME=FILE.npy), emit (not exe), to. input and bind may be
    given several times. */
typedef struct hwgq_option {
  const char *key;
  const char *value;
} hwgq_option;

/** A C-order array. Elements of 2 and 4 bits lie one in a byte. */
typedef struct hwgq_array {
  const char *name; /**< of the input; NULL: by position */
  uint32_t dtype;   /**< of enum hwgq_dtype */
  uint32_t rank;
  const int64_t *dims;
  const void *data; /**< exactly the bytes of type and sizes */
} hwgq_array;

typedef struct hwgq_result hwgq_result;

/** Compiles a network to the contents of a file of the kind `emit` (a shared
    library by default), or with `to` to the IR of that phase as text. `bound`
    are inputs, by name, that become constants. */
bool hwgq_compile(const hwgq_model *model, const hwgq_option *options,
                  size_t option_count, const hwgq_array *bound,
                  size_t bound_count, hwgq_diagnostic_callback callback,
                  void *user, hwgq_result **result);

/** Evaluates a network by the reference interpreter, as it stands or after
    the phase of option `to` (loops and target: compiled and executed). The
    arrays of the result are the outputs. */
bool hwgq_evaluate(const hwgq_model *model, const hwgq_option *options,
                   size_t option_count, const hwgq_array *bound,
                   size_t bound_count, const hwgq_array *inputs,
                   size_t input_count, hwgq_diagnostic_callback callback,
                   void *user, hwgq_result **result);

/** Runs a pass pipeline in the syntax of `hwgq-opt --pass-pipeline`, such as
    "builtin.module(hwgq-legalize-onnx)", over IR text and gives IR text. */
bool hwgq_run_passes(const char *text, size_t size, const char *pipeline,
                     hwgq_diagnostic_callback callback, void *user,
                     hwgq_result **result);

/** The bytes of a file or text; text is followed by a NUL. */
const char *hwgq_result_data(const hwgq_result *result);
size_t hwgq_result_size(const hwgq_result *result);

/** The compiler's report, one JSON object; "" but after a whole compilation. */
const char *hwgq_result_report(const hwgq_result *result);

/** The outputs of hwgq_evaluate, by position; they live in the result. */
size_t hwgq_result_array_count(const hwgq_result *result);
const hwgq_array *hwgq_result_array(const hwgq_result *result, size_t index);

/** Gives a result back; NULL is allowed. */
void hwgq_result_free(hwgq_result *result);

/** Version of the compiler, such as "0.1.0". */
const char *hwgq_compiler_version(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* HWGQ_C_COMPILER_H */
