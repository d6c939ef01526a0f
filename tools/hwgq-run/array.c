/*===- array.c - Arrays of any element type -------------------------------===*/
#include "common.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t array_count(const struct array *array) {
  return array->bytes / hwgq_dtype_size(array->dtype);
}

int array_allocate(struct array *array, const char *name) {
  size_t bytes = hwgq_dtype_size(array->dtype);
  bool fits = true;
  for (uint32_t i = 0; i < array->rank; ++i)
    fits = fits && array->dims[i] >= 0 &&
           !__builtin_mul_overflow(bytes, (size_t)array->dims[i], &bytes);
  if (!fits || bytes > SIZE_MAX / 4)
    return fail("%s: its size does not fit into memory", name);
  size_t room = (bytes + 64) / 64 * 64;
  array->data = aligned_alloc(64, room);
  if (!array->data)
    return fail("%s: no memory for %zu bytes", name, bytes);
  memset(array->data, 0, room);
  array->bytes = bytes;
  return 0;
}

void array_free(struct array *array) {
  free(array->data);
  array->data = NULL;
}

bool is_integer(uint32_t dtype) {
  return dtype != HWGQ_F32 && dtype != HWGQ_F64 && dtype != HWGQ_F16;
}

static double half_to_double(uint16_t bits) {
  int exponent = bits >> 10 & 31;
  double fraction = bits & 1023;
  double value = exponent == 31  ? (fraction != 0 ? NAN : INFINITY)
                 : exponent == 0 ? ldexp(fraction, -24)
                                 : ldexp(fraction + 1024, exponent - 25);
  return bits >> 15 ? -value : value;
}

/** The half of k / 1024 for |k| <= 1024, exactly. */
static uint16_t half_of_grid(int k) {
  unsigned magnitude = (unsigned)(k < 0 ? -k : k);
  int exponent = 15;
  if (magnitude == 0)
    return 0;
  while (magnitude < 1024) {
    magnitude *= 2;
    --exponent;
  }
  return (uint16_t)((k < 0 ? 0x8000u : 0u) | (unsigned)exponent << 10 |
                    (magnitude - 1024));
}

int64_t array_integer(const struct array *array, size_t i) {
  switch (array->dtype) {
  case HWGQ_I8:
    return ((const int8_t *)array->data)[i];
  case HWGQ_I16:
    return ((const int16_t *)array->data)[i];
  case HWGQ_I32:
    return ((const int32_t *)array->data)[i];
  case HWGQ_I64:
    return ((const int64_t *)array->data)[i];
  case HWGQ_U16:
    return ((const uint16_t *)array->data)[i];
  case HWGQ_U32:
    return ((const uint32_t *)array->data)[i];
  case HWGQ_U64: {
    uint64_t value = ((const uint64_t *)array->data)[i];
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
  }
  default:
    return ((const uint8_t *)array->data)[i];
  }
}

double array_number(const struct array *array, size_t i) {
  switch (array->dtype) {
  case HWGQ_F32:
    return (double)((const float *)array->data)[i];
  case HWGQ_F64:
    return ((const double *)array->data)[i];
  case HWGQ_F16:
    return half_to_double(((const uint16_t *)array->data)[i]);
  case HWGQ_U64:
    return (double)((const uint64_t *)array->data)[i];
  default:
    return (double)array_integer(array, i);
  }
}

void print_element(FILE *to, const struct array *array, size_t i) {
  if (array->dtype == HWGQ_U64)
    fprintf(to, "%" PRIu64, ((const uint64_t *)array->data)[i]);
  else if (is_integer(array->dtype))
    fprintf(to, "%" PRId64, array_integer(array, i));
  else
    fprintf(to, "%.*g", array->dtype == HWGQ_F16 ? 5 : 7,
            array_number(array, i));
}

/** splitmix64. */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

static void set_random(struct array *array, size_t i, uint64_t bits) {
  int grid = (int)(bits & 2047) - 1024;
  char *at = (char *)array->data + i * hwgq_dtype_size(array->dtype);
  float single = (float)grid / 1024;
  double wide = (double)grid / 1024;
  uint16_t half = half_of_grid(grid);
  uint64_t integer = bits & 255; /* little-endian: its first bytes */
  switch (array->dtype) {
  case HWGQ_F32:
    memcpy(at, &single, sizeof single);
    return;
  case HWGQ_F64:
    memcpy(at, &wide, sizeof wide);
    return;
  case HWGQ_F16:
    memcpy(at, &half, sizeof half);
    return;
  case HWGQ_BOOL:
    *at = (char)(bits & 1);
    return;
  default:
    memcpy(at, &integer, hwgq_dtype_size(array->dtype));
  }
}

void array_randomise(struct array *array, uint64_t seed) {
  size_t count = array_count(array);
  for (size_t i = 0; i < count; ++i)
    set_random(array, i, next_random(&seed) >> 20);
}

void format_type(char *text, size_t size, uint32_t dtype, uint32_t rank,
                 const int64_t *dims) {
  int at = snprintf(text, size, "%s[", hwgq_dtype_name(dtype));
  for (uint32_t i = 0; i < rank && at >= 0 && (size_t)at < size; ++i) {
    const char *by = i ? "x" : "";
    char *to = text + at;
    size_t left = size - (size_t)at;
    if (dims[i] >= 0)
      at += snprintf(to, left, "%s%" PRId64, by, dims[i]);
    else if (dims[i] == -1)
      at += snprintf(to, left, "%s?", by);
    else
      at += snprintf(to, left, "%s%" PRId64 "*?", by, -dims[i]);
  }
  if (at >= 0 && (size_t)at < size)
    snprintf(text + at, size - (size_t)at, "]");
}
