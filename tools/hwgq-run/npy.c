/*===- npy.c - NumPy's array files ----------------------------------------===*\
|* Format: numpy.lib.format, versions 1.0, 2.0 and 3.0. Nothing in the header
|* is trusted: sizes are checked against the file before memory is taken.
\*===----------------------------------------------------------------------===*/
#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_HEADER (1u << 20)

static const struct {
  const char *code;
  uint32_t dtype;
} codes[] = {{"f4", HWGQ_F32}, {"f8", HWGQ_F64}, {"f2", HWGQ_F16},
             {"i1", HWGQ_I8},  {"i2", HWGQ_I16}, {"i4", HWGQ_I32},
             {"i8", HWGQ_I64}, {"u1", HWGQ_U8},  {"u2", HWGQ_U16},
             {"u4", HWGQ_U32}, {"u8", HWGQ_U64}, {"b1", HWGQ_BOOL}};

struct header {
  bool has_type, has_order, has_shape;
  bool fortran, swapped;
};

/** Text of the header's dictionary, read from the front. */
struct cursor {
  const char *at;
  const char *end;
};

static void skip_spaces(struct cursor *cursor) {
  while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at))
    ++cursor->at;
}

/** Takes a character (after spaces) if it comes next. */
static bool take(struct cursor *cursor, char c) {
  skip_spaces(cursor);
  if (cursor->at == cursor->end || *cursor->at != c)
    return false;
  ++cursor->at;
  return true;
}

static bool take_word(struct cursor *cursor, const char *word) {
  size_t length = strlen(word);
  skip_spaces(cursor);
  if ((size_t)(cursor->end - cursor->at) < length ||
      memcmp(cursor->at, word, length) != 0)
    return false;
  cursor->at += length;
  return true;
}

/** A quoted string of less than `size` characters without escapes. */
static bool take_string(struct cursor *cursor, char *text, size_t size) {
  char quote = take(cursor, '\'') ? '\'' : take(cursor, '"') ? '"' : 0;
  size_t length = 0;
  if (!quote)
    return false;
  while (cursor->at < cursor->end && *cursor->at != quote && length + 1 < size)
    text[length++] = *cursor->at++;
  text[length] = 0;
  return take(cursor, quote);
}

static bool take_size(struct cursor *cursor, int64_t *size) {
  bool any = false;
  *size = 0;
  skip_spaces(cursor);
  while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
    if (__builtin_mul_overflow(*size, 10, size) ||
        __builtin_add_overflow(*size, *cursor->at - '0', size))
      return false;
    ++cursor->at;
    any = true;
  }
  if (any && cursor->at < cursor->end && *cursor->at == 'L')
    ++cursor->at; /* Python 2 */
  return any;
}

static bool take_shape(struct cursor *cursor, struct array *array) {
  if (!take(cursor, '('))
    return false;
  while (!take(cursor, ')')) {
    if (array->rank == MAX_NPY_RANK ||
        !take_size(cursor, &array->dims[array->rank]))
      return false;
    ++array->rank;
    if (!take(cursor, ','))
      return take(cursor, ')');
  }
  return true;
}

static int set_type(const char *path, const char *descr, struct array *array,
                    struct header *header) {
  if (descr[0] != 0 && strchr("<>|=", descr[0]))
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; ++i)
      if (strcmp(descr + 1, codes[i].code) == 0) {
        array->dtype = codes[i].dtype;
        header->swapped = descr[0] == '>';
        return 0;
      }
  return fail("%s: element type '%s' is not supported; supported are f32 f64 "
              "f16, i8 to i64, u8 to u64 and bool",
              path, descr);
}

static int parse_entry(const char *path, struct cursor *cursor,
                       struct array *array, struct header *header, bool *ok) {
  char key[32], descr[32];
  *ok = take_string(cursor, key, sizeof key) && take(cursor, ':');
  if (!*ok)
    return 0;
  if (strcmp(key, "descr") == 0 && !header->has_type) {
    skip_spaces(cursor);
    if (cursor->at < cursor->end && *cursor->at == '[')
      return fail("%s: arrays of records are not supported", path);
    header->has_type = *ok = take_string(cursor, descr, sizeof descr);
    return *ok ? set_type(path, descr, array, header) : 0;
  }
  if (strcmp(key, "fortran_order") == 0 && !header->has_order) {
    header->fortran = take_word(cursor, "True");
    header->has_order = *ok = header->fortran || take_word(cursor, "False");
    return 0;
  }
  header->has_shape = *ok = strcmp(key, "shape") == 0 && !header->has_shape &&
                            take_shape(cursor, array);
  return 0;
}

static int parse_header(const char *path, struct cursor cursor,
                        struct array *array, struct header *header) {
  bool ok = take(&cursor, '{');
  while (ok && !take(&cursor, '}')) {
    if (parse_entry(path, &cursor, array, header, &ok) != 0)
      return 1;
    if (ok && !take(&cursor, ',')) {
      ok = take(&cursor, '}');
      break;
    }
  }
  if (ok)
    skip_spaces(&cursor);
  if (!ok || cursor.at != cursor.end || !header->has_type ||
      !header->has_order || !header->has_shape)
    return fail("%s: its header is no array description of NumPy's", path);
  return 0;
}

/** Reads magic, version and header text; leaves the file at the data. */
static int read_header(FILE *file, const char *path, struct array *array,
                       struct header *header) {
  unsigned char start[12];
  uint32_t length;
  if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6) != 0)
    return fail("%s: not a .npy file", path);
  if (start[6] < 1 || start[6] > 3)
    return fail("%s: .npy version %d is not supported; supported are 1 to 3",
                path, start[6]);
  if (start[6] == 1)
    length = hwgq_load16(start + 8);
  else if (fread(start + 10, 1, 2, file) == 2)
    length = hwgq_load32(start + 8);
  else
    return fail("%s: cut short in its header", path);
  if (length > MAX_HEADER)
    return fail("%s: a header of %" PRIu32 " bytes is too long", path, length);
  char *text = malloc(length + 1u);
  if (!text)
    return fail("%s: no memory", path);
  int status = 0;
  if (fread(text, 1, length, file) != length)
    status = fail("%s: cut short in its header", path);
  else
    status =
        parse_header(path, (struct cursor){text, text + length}, array, header);
  free(text);
  return status;
}

static void swap_bytes(struct array *array) {
  size_t size = hwgq_dtype_size(array->dtype);
  unsigned char *at = array->data, *end = at + array->bytes;
  for (; at < end; at += size)
    for (size_t i = 0; i < size / 2; ++i) {
      unsigned char low = at[i];
      at[i] = at[size - 1 - i];
      at[size - 1 - i] = low;
    }
}

/** Turns first-index-fastest data into C order. */
static int from_fortran(struct array *array, const char *path) {
  struct array result = *array;
  size_t size = hwgq_dtype_size(array->dtype), count = array_count(array);
  int64_t index[MAX_NPY_RANK] = {0};
  if (array->rank < 2)
    return 0;
  if (array_allocate(&result, path) != 0)
    return 1;
  for (size_t from = 0; from < count; ++from) {
    size_t to = 0;
    for (uint32_t d = 0; d < array->rank; ++d)
      to = to * (size_t)array->dims[d] + (size_t)index[d];
    memcpy((char *)result.data + to * size, (char *)array->data + from * size,
           size);
    for (uint32_t d = 0; d < array->rank && ++index[d] == array->dims[d]; ++d)
      index[d] = 0;
  }
  array_free(array);
  *array = result;
  return 0;
}

/** Checks what the header claims against the bytes that are left. */
static int check_length(FILE *file, const char *path,
                        const struct array *array) {
  struct stat info;
  int64_t at = ftello(file);
  uint64_t needed = hwgq_dtype_size(array->dtype);
  if (at < 0 || fstat(fileno(file), &info) != 0)
    return fail("%s: %s", path, strerror(errno));
  for (uint32_t i = 0; i < array->rank; ++i)
    if (__builtin_mul_overflow(needed, (uint64_t)array->dims[i], &needed))
      return fail("%s: its size does not fit into memory", path);
  uint64_t left = info.st_size > at ? (uint64_t)(info.st_size - at) : 0;
  if (left != needed)
    return fail("%s: %s: its header tells of %" PRIu64
                " bytes of data, and %" PRIu64 " follow",
                path, left < needed ? "cut short" : "too long", needed, left);
  return 0;
}

static int read_data(FILE *file, const char *path, struct array *array,
                     const struct header *header) {
  if (check_length(file, path, array) != 0 || array_allocate(array, path) != 0)
    return 1;
  if (fread(array->data, 1, array->bytes, file) != array->bytes)
    return fail("%s: cannot be read", path);
  if (header->swapped)
    swap_bytes(array);
  if (array->dtype == HWGQ_BOOL)
    for (size_t i = 0; i < array->bytes; ++i)
      ((uint8_t *)array->data)[i] = ((uint8_t *)array->data)[i] != 0;
  return header->fortran ? from_fortran(array, path) : 0;
}

int npy_read(const char *path, struct array *array) {
  struct header header = {0};
  struct stat info;
  memset(array, 0, sizeof *array);
  FILE *file = NULL;
  if (stat(path, &info) != 0)
    return fail("%s: %s", path, strerror(errno));
  if (!S_ISREG(info.st_mode))
    return fail("%s: not a regular file", path);
  if (!(file = fopen(path, "rb")))
    return fail("%s: %s", path, strerror(errno));
  int status = read_header(file, path, array, &header);
  if (status == 0)
    status = read_data(file, path, array, &header);
  fclose(file);
  if (status != 0)
    array_free(array);
  return status;
}

int npy_write(FILE *to, const char *path, const struct array *array) {
  char shape[MAX_NPY_RANK * 24] = "", header[1024];
  const char *code = "";
  size_t at = 0;
  for (uint32_t i = 0; i < array->rank; ++i)
    at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%" PRId64 "%s",
                           i ? ", " : "", array->dims[i],
                           array->rank == 1 ? "," : "");
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; ++i)
    if (codes[i].dtype == array->dtype)
      code = codes[i].code;
  int length =
      snprintf(header, sizeof header,
               "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }",
               hwgq_dtype_size(array->dtype) == 1 ? '|' : '<', code, shape);
  /* Spaces and a newline up to a multiple of 64 bytes. */
  int padded = (10 + length + 1 + 63) / 64 * 64 - 10;
  unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
  start[8] = (unsigned char)(padded & 255);
  start[9] = (unsigned char)(padded >> 8);
  if (fwrite(start, 1, 10, to) != 10 ||
      fprintf(to, "%-*s\n", padded - 1, header) != padded ||
      fwrite(array->data, 1, array->bytes, to) != array->bytes ||
      fflush(to) != 0)
    return fail("%s: %s", path, strerror(errno));
  return 0;
}
