//===- ModuleTool.cpp - Makes the hand-written modules of the tests -------===//
//   module-tool record NAME ARCH OUT.inc    the record as C, for modules/NAME.c
//   module-tool finish FILE.so              its length and checksum
//   module-tool append PROGRAM FILE.so OUT  a program that carries a module
//===----------------------------------------------------------------------===//
#include "RecordBuilder.h"

#include <cstdio>
#include <fstream>
#include <iterator>

using namespace hwgq::test;

static Description describe(const std::string &name, bool arm) {
  Description what;
  what.arch = arm ? HWGQ_ARCH_AARCH64 : HWGQ_ARCH_X86_64;
  what.triple = arm ? "aarch64-unknown-linux-gnu" : "x86_64-unknown-linux-gnu";
  what.target = arm ? "aarch64" : "x86-64-v2";
  what.features = {arm ? "+neon" : "+sse2"};
  what.prefix = name;
  what.options = "written by hand";
  what.report = "{\"layers\": []}";
  if (name == "scale") {
    what.batch = HWGQ_BATCH_DYNAMIC;
    what.tensors = {{"x", HWGQ_F32, false, {-1, 4, 8}},
                    {"out/y:0", HWGQ_F32, true, {-1, 4, 8}},
                    {"state", HWGQ_F32, true, {4}},
                    {"rows", HWGQ_I64, true, {}},
                    {"pairs", HWGQ_U8, true, {-2}}};
    what.workspacePerBatch = 4 * (8 + 2) * 4;
    what.workspaceConstant = 64;
    what.sharedSize = 64;
    what.layers = {"multiply", "add"};
    what.report =
        "{\"target\": \"other\", \"layers\": [{\"name\": \"multiply\", "
        "\"op\": \"mul\", \"kernel\": \"f32\", \"weight_bytes\": 4}, "
        "{\"name\": \"add \\\"}\", \"op\": \"add\", \"act\": null}], "
        "\"folded\": 3}";
  } else if (name == "fixed") {
    what.batch = 2;
    what.tensors = {{"a", HWGQ_U8, false, {2, 3}},
                    {"b=c", HWGQ_I64, false, {2, 3}},
                    {"sum", HWGQ_I64, true, {2}},
                    {"positive", HWGQ_BOOL, true, {2}}};
  } else if (name == "types") {
    for (bool output : {false, true})
      for (uint32_t type = HWGQ_F32; type <= HWGQ_BOOL; ++type)
        what.tensors.push_back(
            {(output ? "out_" : "in_") + std::string(hwgq_dtype_name(type)),
             type,
             output,
             {2, 3, 5}});
  }
  return what;
}

static bool read(const char *path, std::string &bytes) {
  std::ifstream file(path, std::ios::binary);
  bytes.assign(std::istreambuf_iterator<char>(file), {});
  return bool(file);
}

static bool write(const char *path, const std::string &bytes) {
  std::ofstream file(path, std::ios::binary);
  return bool(file.write(bytes.data(), std::streamsize(bytes.size())).flush());
}

static bool writeRecord(const char *name, const char *arch, const char *path) {
  std::string record = buildRecord(describe(name, arch[0] == 'a'));
  std::string size = std::to_string(record.size());
  std::string text = "static const struct {\n  struct hwgq_note note;\n"
                     "  unsigned char record[" +
                     size +
                     "];\n} noted __attribute__((section(\".note.hwgq\"), "
                     "used, aligned(4))) = {{5, " +
                     size + ", HWGQ_NOTE_TYPE, HWGQ_NOTE_NAME}, {";
  for (unsigned char c : record)
    text += std::to_string(c) + ",";
  return write(path, text + "}};\n");
}

static bool append(const char *program, const char *module, const char *out) {
  std::string bytes, tail;
  if (!read(program, bytes) || !read(module, tail))
    return false;
  hwgq_trailer trailer = {bytes.size(), tail.size(), HWGQ_TRAILER_MAGIC};
  bytes += tail;
  bytes.append(reinterpret_cast<const char *>(&trailer), sizeof trailer);
  return write(out, bytes);
}

int main(int argc, char **argv) {
  std::string verb = argc > 1 ? argv[1] : "", bytes;
  bool done = false;
  if (verb == "record" && argc == 5)
    done = writeRecord(argv[2], argv[3], argv[4]);
  else if (verb == "finish" && argc == 3)
    done = read(argv[2], bytes) && finishModule(bytes) && write(argv[2], bytes);
  else if (verb == "append" && argc == 5)
    done = append(argv[2], argv[3], argv[4]);
  if (!done)
    fprintf(stderr, "error: module-tool %s failed\n", verb.c_str());
  return done ? 0 : 1;
}
