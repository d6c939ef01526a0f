/*===- outputs.c - Printing and writing results ---------------------------===*/
#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** DIR/<index>_<name>.npy, or the name that it has while being written. */
static void output_path(char *path, size_t size, const char *directory,
                        const struct job *job, size_t index, bool temporary) {
  const char *name = hwgq_module_output(job->module, index)->name;
  int at =
      snprintf(path, size, "%s/%s%zu_", directory, temporary ? "." : "", index);
  for (; *name && at >= 0 && (size_t)at + 1 < size; ++name)
    path[at++] = (*name >= 'A' && *name <= 'Z') ||
                         (*name >= 'a' && *name <= 'z') ||
                         (*name >= '0' && *name <= '9') || strchr("._-", *name)
                     ? *name
                     : '_';
  if (temporary)
    snprintf(path + at, size - (size_t)at, ".%ld.tmp", (long)getpid());
  else
    snprintf(path + at, size - (size_t)at, ".npy");
}

static int write_one(const char *path, const struct array *array) {
  FILE *file = fopen(path, "wb");
  if (!file)
    return fail("%s: %s", path, strerror(errno));
  int status = npy_write(file, path, array);
  if (fclose(file) != 0 && status == 0)
    status = fail("%s: %s", path, strerror(errno));
  return status;
}

/** Removes the folders of `path` that are longer than `kept` characters. */
static void remove_folders(char *path, size_t kept) {
  for (size_t end = strlen(path); end > kept; --end)
    if (path[end] == 0 || path[end] == '/') {
      path[end] = 0;
      rmdir(path);
    }
}

/** Makes a folder and those above it; `*kept` is the length of what was there.
 */
static int make_folders(char *path, size_t *kept) {
  size_t length = strlen(path);
  bool made = false;
  *kept = length;
  for (size_t at = 1, last = 0; at <= length; ++at) {
    char end = path[at];
    if (end != '/' && end != 0)
      continue;
    path[at] = 0;
    if (mkdir(path, 0777) == 0) {
      if (!made)
        *kept = last;
      made = true;
    } else if (errno != EEXIST) {
      int status = fail("%s: %s", path, strerror(errno));
      if (made)
        remove_folders(path, *kept);
      return status;
    }
    path[at] = end;
    last = at;
  }
  return 0;
}

int write_outputs(const struct job *job, const char *directory) {
  size_t room = strlen(directory) + 4096, written = 0, renamed = 0, kept;
  int status = 0;
  char *from = malloc(room), *to = malloc(room), *folder = strdup(directory);
  if (!from || !to || !folder) {
    status = fail("out of memory");
    goto done;
  }
  if ((status = make_folders(folder, &kept)) != 0)
    goto done;
  for (; status == 0 && written < job->output_count; ++written) {
    output_path(from, room, directory, job, written, true);
    status = write_one(from, &job->outputs[written]);
  }
  for (; status == 0 && renamed < job->output_count; ++renamed) {
    output_path(from, room, directory, job, renamed, true);
    output_path(to, room, directory, job, renamed, false);
    if (rename(from, to) != 0) {
      status = fail("%s: %s", to, strerror(errno));
      break;
    }
  }
  for (size_t i = 0; status != 0 && i < written; ++i) {
    output_path(from, room, directory, job, i, i >= renamed);
    unlink(from);
  }
  if (status != 0)
    remove_folders(folder, kept);
done:
  free(from);
  free(to);
  free(folder);
  return status;
}

static void output_type(const struct job *job, size_t i, char *text) {
  const struct array *array = &job->outputs[i];
  format_type(text, TYPE_TEXT, array->dtype, array->rank, array->dims);
}

void print_outputs(const struct job *job) {
  for (size_t i = 0; i < job->output_count; ++i) {
    const struct array *array = &job->outputs[i];
    size_t count = array_count(array);
    char type[TYPE_TEXT];
    output_type(job, i, type);
    printf("%s  %s\n ", hwgq_module_output(job->module, i)->name, type);
    for (size_t k = 0; k < count && k < 10; ++k) {
      putchar(' ');
      print_element(stdout, array, k);
    }
    printf("%s\n", count > 10 ? " ..." : "");
  }
}

/** JSON has no NaN and no infinities: null. */
static void print_json_element(const struct array *array, size_t i) {
  if (isfinite(array_number(array, i)))
    print_element(stdout, array, i);
  else
    printf("null");
}

void print_outputs_json(const struct job *job) {
  printf("\"outputs\": [");
  for (size_t i = 0; i < job->output_count; ++i) {
    const struct array *array = &job->outputs[i];
    printf("%s{\"name\": ", i ? ", " : "");
    json_print_string(stdout, hwgq_module_output(job->module, i)->name);
    printf(", \"type\": \"%s\", \"shape\": [", hwgq_dtype_name(array->dtype));
    for (uint32_t d = 0; d < array->rank; ++d)
      printf("%s%" PRId64, d ? ", " : "", array->dims[d]);
    printf("], \"first\": [");
    for (size_t k = 0; k < array_count(array) && k < 10; ++k) {
      if (k)
        printf(", ");
      print_json_element(array, k);
    }
    printf("]}");
  }
  printf("]");
}
