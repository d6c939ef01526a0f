//===- Arrays.cpp - inputs and outputs as NPY files -----------------------===//
#include "Eval.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"

#include <cinttypes>
#include <cstdarg>
#include <unistd.h>

using namespace llvm;
using namespace hwgq;
using namespace hwgq::eval;

int fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fflush(stdout);
  fputs("error: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  return 1;
}

/// Splits NAME=FILE; the port, or the first one without array, or -1.
static int findPort(ArrayRef<Port> ports, ArrayRef<Array> arrays,
                    StringRef argument, std::string &path) {
  for (auto [i, port] : enumerate(ports))
    if (argument.starts_with(port.name + "=")) {
      path = argument.drop_front(port.name.size() + 1).str();
      return int(i);
    }
  path = argument.str();
  if (argument.contains('=') && !sys::fs::exists(argument)) {
    std::string names;
    for (const Port &port : ports)
      names += (names.empty() ? "" : ", ") + port.name;
    fail("%s: the network has no input of that name; its inputs are: %s",
         path.c_str(), names.c_str());
    return -1;
  }
  for (size_t i = 0; i < ports.size(); ++i)
    if (!arrays[i].data)
      return int(i);
  fail("%s: too many arrays; the network has %zu inputs", path.c_str(),
       ports.size());
  return -1;
}

static bool loadFiles(ArrayRef<Port> ports, const InputOptions &options,
                      std::vector<Array> &arrays, int64_t &batch) {
  for (const std::string &argument : options.files) {
    std::string path;
    int index = findPort(ports, arrays, argument, path);
    if (index < 0)
      return false;
    const Port &port = ports[index];
    Array &array = arrays[index];
    if (array.data) {
      fail("%s: input '%s' is given twice", path.c_str(), port.name.c_str());
      return false;
    }
    if (npy_read(path.c_str(), &array) != 0)
      return false;
    if (!port.fits(array.dtype, array.shape(), batch)) {
      fail("%s: input '%s' needs %s, the array is %s%s", path.c_str(),
           port.name.c_str(), port.describe().c_str(),
           describeArray(array.dtype, array.shape()).c_str(),
           array.rank == port.shape.size() && array.dtype == port.dtype
               ? "; for another batch give --batch=N or --batch=dynamic"
               : "");
      return false;
    }
    if (!port.inRange({static_cast<const char *>(array.data), array.bytes})) {
      fail("%s: input '%s' has values beyond its %u bits", path.c_str(),
           port.name.c_str(), port.bits);
      return false;
    }
  }
  return true;
}

/// Brings random bytes into the range of elements of 2 and 4 bits.
static void narrow(const Port &port, Array &array) {
  if (port.bits == 0 || port.bits >= 8 || port.dtype == HWGQ_BOOL)
    return;
  int shift = 8 - int(port.bits);
  for (size_t i = 0; i < array_count(&array); ++i) {
    auto *byte = static_cast<uint8_t *>(array.data) + i;
    *byte = port.dtype == HWGQ_I8 ? uint8_t(int8_t(*byte << shift) >> shift)
                                  : uint8_t(*byte << shift) >> shift;
  }
}

std::optional<std::vector<Array>>
hwgq::eval::readInputs(ArrayRef<Port> ports, const InputOptions &options) {
  std::vector<Array> arrays(ports.size());
  int64_t batch = 0;
  if (!loadFiles(ports, options, arrays, batch))
    return std::nullopt;
  if (batch == 0)
    batch = options.batch ? options.batch : 1;
  for (auto [i, port] : enumerate(ports)) {
    Array &array = arrays[i];
    if (array.data)
      continue;
    if (!options.random) {
      fail("input '%s' is missing: give %s=FILE.npy of type %s, or --random",
           port.name.c_str(), port.name.c_str(), port.describe().c_str());
      return std::nullopt;
    }
    array.dtype = port.dtype;
    array.rank = port.shape.size();
    for (size_t d = 0; d < port.shape.size(); ++d)
      array.dims[d] =
          port.shape[d] < 0 ? -port.shape[d] * batch : port.shape[d];
    if (array_allocate(&array, port.name.c_str()) != 0)
      return std::nullopt;
    array_randomise(&array, options.seed + i);
    narrow(port, array);
  }
  return arrays;
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

static std::string outputPath(const std::string &directory, size_t index,
                              StringRef name, bool temporary) {
  std::string file = std::to_string(index) + "_";
  for (char c : name)
    file += isAlnum(c) || c == '.' || c == '_' || c == '-' ? c : '_';
  return directory +
         (temporary ? "/." + file + "." + std::to_string(getpid()) + ".tmp"
                    : "/" + file + ".npy");
}

static bool writeOne(const std::string &path, const Array &array) {
  FILE *file = fopen(path.c_str(), "wb");
  if (!file) {
    fail("%s: %s", path.c_str(), strerror(errno));
    return false;
  }
  bool written = npy_write(file, path.c_str(), &array) == 0;
  if (fclose(file) != 0 && written) {
    fail("%s: %s", path.c_str(), strerror(errno));
    return false;
  }
  return written;
}

bool hwgq::eval::writeOutputs(ArrayRef<Port> ports, ArrayRef<Array> arrays,
                              const std::string &directory) {
  bool existed = sys::fs::exists(directory);
  if (std::error_code error = sys::fs::create_directory(
          directory, /*IgnoreExisting=*/true, sys::fs::all_all)) {
    fail("%s: %s", directory.c_str(), error.message().c_str());
    return false;
  }
  size_t written = 0, renamed = 0;
  bool ok = true;
  for (; ok && written < ports.size(); ++written)
    ok = writeOne(outputPath(directory, written, ports[written].name, true),
                  arrays[written]);
  for (; ok && renamed < ports.size(); ++renamed) {
    std::string to = outputPath(directory, renamed, ports[renamed].name, false);
    std::string from =
        outputPath(directory, renamed, ports[renamed].name, true);
    if (rename(from.c_str(), to.c_str()) != 0) {
      fail("%s: %s", to.c_str(), strerror(errno));
      ok = false;
      break;
    }
  }
  if (ok)
    return true;
  for (size_t i = 0; i < written; ++i)
    unlink(outputPath(directory, i, ports[i].name, i >= renamed).c_str());
  if (!existed)
    rmdir(directory.c_str());
  return false;
}

/// As many digits as tell floats apart.
static void printElement(const Array &array, size_t i) {
  if (is_integer(array.dtype))
    return print_element(stdout, &array, i);
  int digits = array.dtype == HWGQ_F32 ? 9 : array.dtype == HWGQ_F16 ? 5 : 17;
  printf("%.*g", digits, array_number(&array, i));
}

void hwgq::eval::printOutputs(ArrayRef<Port> ports, ArrayRef<Array> arrays) {
  for (auto [i, port] : enumerate(ports)) {
    const Array &array = arrays[i];
    printf("%s: %s =", port.name.c_str(),
           describeArray(array.dtype, array.shape()).c_str());
    for (size_t k = 0; k < array_count(&array); ++k) {
      putchar(' ');
      printElement(array, k);
    }
    putchar('\n');
  }
}
