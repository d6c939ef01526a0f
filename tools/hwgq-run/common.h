/*===- common.h - What the files of hwgq-run share ------------------------===*/
#ifndef HWGQ_RUN_COMMON_H
#define HWGQ_RUN_COMMON_H

#include "hwgq/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Functions that can fail return 0, or 1 after printing "error: ...". */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*===- array.c --------------------------------------------------------------*/

#define MAX_NPY_RANK 32

/** A C-order array that owns its data, 64-byte aligned. */
struct array {
  uint32_t dtype; /**< enum hwgq_dtype */
  uint32_t rank;
  int64_t dims[MAX_NPY_RANK];
  size_t bytes;
  void *data;
};

/** Elements of an array. */
size_t array_count(const struct array *array);
/** Data for type and sizes, zeroed; sets bytes. */
int array_allocate(struct array *array, const char *name);
void array_free(struct array *array);

/** Element i as a double (64-bit integers rounded). */
double array_number(const struct array *array, size_t i);
/** Element i of an integer array; unsigned 64-bit ones saturate. */
int64_t array_integer(const struct array *array, size_t i);
bool is_integer(uint32_t dtype);
/** Prints element i with as many digits as its type needs. */
void print_element(FILE *to, const struct array *array, size_t i);

/** Fills with values of a seed: floats in [-1, 1) on a grid of 2^-10, 8-bit
    integers over their range, wider ones in [0, 256). */
void array_randomise(struct array *array, uint64_t seed);

/** Writes "f32[2x3]", negative sizes as "?" or "k*?". */
void format_type(char *text, size_t size, uint32_t dtype, uint32_t rank,
                 const int64_t *dims);
#define TYPE_TEXT 768

/*===- npy.c ----------------------------------------------------------------*/

/** Reads versions 1 to 3; Fortran order and the other byte order are
    converted. */
int npy_read(const char *path, struct array *array);
/** Writes version 1.0 to an open file. */
int npy_write(FILE *to, const char *path, const struct array *array);

/*===- json.c ---------------------------------------------------------------*/

/** A piece of JSON text; NULL for none. */
struct json {
  const char *begin;
  const char *end;
};

/** Prints a string with quotes and escapes. */
void json_print_string(FILE *to, const char *text);
/** The value at the start of the text, or none where it is malformed. */
struct json json_value(const char *begin, const char *end);
/** Steps through an object or an array: `*at` starts as container.begin;
    false at the end. `key` (with its quotes) may be NULL for an array. */
bool json_next(struct json container, const char **at, struct json *key,
               struct json *value);
/** Member of an object by name, or none. */
struct json json_member(struct json object, const char *name);
/** Copies a string's or number's text without quotes, cut to size. */
void json_text(struct json value, char *text, size_t size);

/*===- options.c ------------------------------------------------------------*/

struct options {
  const char *module; /**< NULL in an executable that carries its own */
  char **inputs;
  int input_count;
  const char *directory; /**< NULL: print */
  const char *labels;
  bool random;
  uint64_t seed;
  bool info, json, profile, benchmark;
  double seconds;
  int threads;
  int64_t batch; /**< of random input; 0: not given */
  bool done;     /**< --help or --version was printed */
};

int options_parse(struct options *options, int argc, char **argv,
                  bool carries_module);

/*===- inputs.c -------------------------------------------------------------*/

struct job {
  hwgq_module *module;
  hwgq_context *context;
  int64_t batch;
  size_t input_count, output_count;
  struct array *inputs;
  struct array *outputs;
  hwgq_input *input_views;
  hwgq_output *output_views;
};

/** Loads or makes all inputs, finds the batch and allocates the outputs. */
int job_prepare(struct job *job, const struct options *options);
int job_run(struct job *job);
void job_free(struct job *job);

/*===- outputs.c ------------------------------------------------------------*/

/** Writes DIR/<index>_<name>.npy for all outputs, or none of them. */
int write_outputs(const struct job *job, const char *directory);
void print_outputs(const struct job *job);
/** The members "outputs": [...] of a JSON object. */
void print_outputs_json(const struct job *job);

/*===- info.c ---------------------------------------------------------------*/

void print_info(const hwgq_module *module, const char *name);
void print_info_json(const hwgq_module *module);

/*===- measure.c ------------------------------------------------------------*/

struct timing {
  double median_ms, min_ms;
  int64_t runs;
  double *layer_ms; /**< medians of a profile; the caller frees it */
};

double milliseconds(void);
/** Runs again and again for some seconds. */
int measure(struct job *job, double seconds, bool profile,
            struct timing *timing);
void print_profile(const struct job *job, const double *layer_ms);
void print_profile_json(const struct job *job, const double *layer_ms);

/*===- labels.c -------------------------------------------------------------*/

struct score {
  int64_t count, top1, top5;
  bool has_top5;
};

/** Compares output 0 with the labels. */
int score_labels(const struct job *job, const char *path, struct score *score);
/** Class that output 0 gives to a sample. */
int64_t predicted(const struct array *output, int64_t sample);

#endif /* HWGQ_RUN_COMMON_H */
