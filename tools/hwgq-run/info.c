/*===- info.c - What a module is ------------------------------------------===*/
#include "common.h"

#include <inttypes.h>
#include <string.h>

static struct json report(const hwgq_module *module) {
  const char *text = hwgq_module_report(module);
  return json_value(text, text + strlen(text));
}

static size_t workspace(const hwgq_module *module) {
  size_t bytes = 0;
  int64_t batch = hwgq_module_batch(module);
  /* A module whose workspace at its batch does not fit is not opened. */
  (void)hwgq_module_workspace_bytes(module, batch < 1 ? 1 : batch, &bytes);
  return bytes;
}

/*===- JSON -----------------------------------------------------------------*/

static void tensor_json(const hwgq_tensor *tensor) {
  printf("{\"name\": ");
  json_print_string(stdout, tensor->name);
  printf(", \"type\": \"%s\", \"shape\": [", hwgq_dtype_name(tensor->dtype));
  for (uint32_t i = 0; i < tensor->rank; ++i)
    printf("%s%" PRId64, i ? ", " : "", tensor->dims[i]);
  printf("]}");
}

static void tensors_json(const hwgq_module *module) {
  printf(",\n \"inputs\": [");
  for (size_t i = 0; i < hwgq_module_input_count(module); ++i) {
    printf("%s", i ? ", " : "");
    tensor_json(hwgq_module_input(module, i));
  }
  printf("],\n \"outputs\": [");
  for (size_t i = 0; i < hwgq_module_output_count(module); ++i) {
    printf("%s", i ? ", " : "");
    tensor_json(hwgq_module_output(module, i));
  }
  printf("]");
}

/** Is it one of the members that are printed from the record itself? */
static bool is_own(struct json key) {
  static const char *const own[] = {"target",         "features", "batch",
                                    "file_bytes",     "inputs",   "outputs",
                                    "workspace_bytes"};
  size_t length = (size_t)(key.end - key.begin) - 2;
  for (size_t i = 0; i < sizeof own / sizeof own[0]; ++i)
    if (strlen(own[i]) == length && memcmp(own[i], key.begin + 1, length) == 0)
      return true;
  return false;
}

void print_info_json(const hwgq_module *module) {
  int64_t batch = hwgq_module_batch(module);
  printf("{\"target\": ");
  json_print_string(stdout, hwgq_module_target(module));
  printf(",\n \"triple\": ");
  json_print_string(stdout, hwgq_module_triple(module));
  printf(",\n \"features\": [");
  for (size_t i = 0; i < hwgq_module_feature_count(module); ++i) {
    printf("%s", i ? ", " : "");
    json_print_string(stdout, hwgq_module_feature(module, i));
  }
  printf("],\n \"batch\": ");
  if (batch > 0)
    printf("%" PRId64, batch);
  else
    printf("\"dynamic\"");
  printf(",\n \"file_bytes\": %" PRIu64 ",\n \"workspace_bytes\": %zu",
         hwgq_module_file_bytes(module), workspace(module));
  tensors_json(module);
  struct json all = report(module), key, value;
  const char *at = all.begin;
  if (at && *at == '{')
    while (json_next(all, &at, &key, &value))
      if (!is_own(key) && strncmp(key.begin, "\"triple\"", 8) != 0)
        printf(",\n %.*s: %.*s", (int)(key.end - key.begin), key.begin,
               (int)(value.end - value.begin), value.begin);
  printf("}\n");
}

/*===- Text -----------------------------------------------------------------*/

static void print_bytes(const char *what, uint64_t bytes) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB"};
  double value = (double)bytes;
  int unit = 0;
  while (value >= 1024 && unit < 3) {
    value /= 1024;
    ++unit;
  }
  printf("%-10s %.*f %s", what, unit ? 1 : 0, value, units[unit]);
}

static void print_tensor(const char *kind, const hwgq_tensor *tensor) {
  char type[TYPE_TEXT];
  format_type(type, sizeof type, tensor->dtype, tensor->rank, tensor->dims);
  printf("%-10s %s  %s\n", kind, tensor->name, type);
}

static void print_layers(const hwgq_module *module) {
  static const char *const columns[] = {
      "name", "op", "act", "weight", "out", "kernel", "weight_bytes"};
  static const int widths[] = {32, 12, 8, 8, 8, 10, 12};
  struct json layers = json_member(report(module), "layers"), layer, none;
  const char *at = layers.begin;
  if (!at || *at != '[' || !json_next(layers, &at, &none, &layer))
    return;
  at = layers.begin;
  printf("\n");
  for (int c = 0; c < 7; ++c)
    printf("%-*s ", widths[c], c == 6 ? "weight bytes" : columns[c]);
  printf("\n");
  while (json_next(layers, &at, &none, &layer)) {
    for (int c = 0; c < 7; ++c) {
      char text[128];
      struct json cell = json_member(layer, columns[c]);
      json_text(cell, text, sizeof text);
      printf("%-*s ", widths[c], cell.begin ? text : "-");
    }
    printf("\n");
  }
}

/** In lines of at most 80 columns. */
static void print_features(const hwgq_module *module) {
  size_t column = 80;
  for (size_t i = 0; i < hwgq_module_feature_count(module); ++i) {
    const char *feature = hwgq_module_feature(module, i);
    if (column + 1 + strlen(feature) > 80)
      column = (size_t)printf("\n%-10s", i ? "" : "features") - 1;
    column += (size_t)printf(" %s", feature);
  }
}

void print_info(const hwgq_module *module, const char *name) {
  int64_t batch = hwgq_module_batch(module);
  printf("%s\n", name);
  print_bytes("file", hwgq_module_file_bytes(module));
  printf("\n%-10s %s (%s)", "target", hwgq_module_target(module),
         hwgq_module_triple(module));
  print_features(module);
  if (batch > 0)
    printf("\n%-10s %" PRId64 "\n", "batch", batch);
  else
    printf("\n%-10s dynamic\n", "batch");
  print_bytes("workspace", workspace(module));
  printf(" at batch %" PRId64 "\n", batch < 1 ? 1 : batch);
  for (size_t i = 0; i < hwgq_module_input_count(module); ++i)
    print_tensor("input", hwgq_module_input(module, i));
  for (size_t i = 0; i < hwgq_module_output_count(module); ++i)
    print_tensor("output", hwgq_module_output(module, i));
  print_layers(module);
}
