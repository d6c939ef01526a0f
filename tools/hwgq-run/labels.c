/*===- labels.c - Accuracy ------------------------------------------------===*/
#include "common.h"

#include <inttypes.h>
#include <math.h>

/** Scores that output 0 gives to each sample; 1 means that it gives the class
    itself. */
static int64_t class_count(const struct array *output) {
  int64_t samples = output->dims[0];
  return samples ? (int64_t)array_count(output) / samples : 0;
}

/** Classes that come before `label`: a higher score, or the same score and a
    lower index. NaN is below all scores. */
static int64_t rank_of(const struct array *output, int64_t sample,
                       int64_t classes, int64_t label) {
  size_t row = (size_t)(sample * classes);
  double own = array_number(output, row + (size_t)label);
  int64_t before = 0;
  for (int64_t c = 0; c < classes; ++c) {
    double other = array_number(output, row + (size_t)c);
    bool same = other == own || (isnan(other) && isnan(own));
    before +=
        other > own || (isnan(own) && !isnan(other)) || (same && c < label);
  }
  return before;
}

int64_t predicted(const struct array *output, int64_t sample) {
  int64_t classes = class_count(output);
  if (classes == 1)
    return (int64_t)array_number(output, (size_t)sample);
  for (int64_t c = 0; c < classes; ++c)
    if (rank_of(output, sample, classes, c) == 0)
      return c;
  return -1;
}

static int check(const struct array *output, const struct array *labels,
                 const char *path) {
  char type[TYPE_TEXT];
  format_type(type, sizeof type, labels->dtype, labels->rank, labels->dims);
  if (!is_integer(labels->dtype))
    return fail("%s: labels are class numbers of an integer type, the array is "
                "%s; convert it in Python: array.astype(numpy.int64)",
                path, type);
  if (output->rank < 1 || output->dims[0] < 1)
    return fail("%s: labels need an output with a batch", path);
  if ((int64_t)array_count(labels) != output->dims[0])
    return fail("%s: %zu labels for %" PRId64 " samples", path,
                array_count(labels), output->dims[0]);
  return 0;
}

static int count(const struct array *output, const struct array *labels,
                 const char *path, struct score *score) {
  int64_t classes = class_count(output);
  *score = (struct score){.count = output->dims[0], .has_top5 = classes > 5};
  for (int64_t i = 0; i < score->count; ++i) {
    int64_t label = array_integer(labels, (size_t)i);
    if (classes == 1) {
      score->top1 += predicted(output, i) == label;
      continue;
    }
    if (label < 0 || label >= classes)
      return fail("%s: label %" PRId64 " of sample %" PRId64
                  " is none of %" PRId64 " classes",
                  path, label, i, classes);
    int64_t rank = rank_of(output, i, classes, label);
    score->top1 += rank == 0;
    score->top5 += rank < 5;
  }
  return 0;
}

int score_labels(const struct job *job, const char *path, struct score *score) {
  struct array labels;
  if (job->output_count == 0)
    return fail("%s: the module has no output", path);
  if (npy_read(path, &labels) != 0)
    return 1;
  int status = check(&job->outputs[0], &labels, path);
  if (status == 0)
    status = count(&job->outputs[0], &labels, path, score);
  array_free(&labels);
  return status;
}
