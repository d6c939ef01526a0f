/*===- json.c - Just enough JSON to read a module's report ----------------===*/
#include "common.h"

#include <string.h>

#define MAX_DEPTH 64

static const struct json none = {NULL, NULL};

void json_print_string(FILE *to, const char *text) {
  fputc('"', to);
  for (; *text; ++text) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\')
      fprintf(to, "\\%c", c);
    else if (c < 0x20)
      fprintf(to, "\\u%04x", c);
    else
      fputc(c, to);
  }
  fputc('"', to);
}

static const char *skip_spaces(const char *at, const char *end) {
  while (at < end && strchr(" \t\r\n", *at) && *at)
    ++at;
  return at;
}

/** End of the string that starts at `at`, or NULL. */
static const char *string_end(const char *at, const char *end) {
  for (++at; at < end; ++at) {
    if (*at == '"')
      return at + 1;
    if (*at == '\\')
      ++at;
  }
  return NULL;
}

struct json json_value(const char *begin, const char *end) {
  int depth = 0;
  char open[MAX_DEPTH];
  begin = skip_spaces(begin, end);
  for (const char *at = begin; at < end;) {
    if (*at == '"') {
      if (!(at = string_end(at, end)))
        return none;
    } else if (*at == '{' || *at == '[') {
      if (depth == MAX_DEPTH)
        return none;
      open[depth++] = *at++;
      continue;
    } else if (*at == '}' || *at == ']') {
      if (depth == 0 || open[--depth] != (*at == '}' ? '{' : '['))
        return none;
      ++at;
    } else if (depth > 0) {
      ++at;
      continue;
    } else {
      while (at < end && *at && !strchr(" \t\r\n,]}:[{\"", *at))
        ++at;
      return at == begin ? none : (struct json){begin, at};
    }
    if (depth == 0)
      return (struct json){begin, at};
  }
  return none;
}

bool json_next(struct json container, const char **at, struct json *key,
               struct json *value) {
  if (!container.begin || !strchr("{[", *container.begin))
    return false;
  const char *end = container.end - 1;
  const char *next = *at;
  if (next == container.begin) {
    next = skip_spaces(next + 1, end);
  } else {
    next = skip_spaces(next, end);
    if (next == end || *next != ',')
      return false;
    ++next;
  }
  if (*container.begin == '{') {
    struct json name = json_value(next, end);
    if (!name.begin || *name.begin != '"')
      return false;
    next = skip_spaces(name.end, end);
    if (next == end || *next != ':')
      return false;
    ++next;
    if (key)
      *key = name;
  }
  *value = json_value(next, end);
  *at = value->end;
  return value->begin != NULL;
}

struct json json_member(struct json object, const char *name) {
  struct json key, value;
  size_t length = strlen(name);
  const char *at = object.begin;
  if (!object.begin || *object.begin != '{')
    return none;
  while (json_next(object, &at, &key, &value))
    if ((size_t)(key.end - key.begin) == length + 2 &&
        memcmp(key.begin + 1, name, length) == 0)
      return value;
  return none;
}

void json_text(struct json value, char *text, size_t size) {
  size_t length = 0;
  const char *at = value.begin, *end = value.end;
  if (at && *at == '"') {
    ++at;
    --end;
  }
  for (; at < end && length + 1 < size; ++at)
    text[length++] = *at;
  text[length] = 0;
}
