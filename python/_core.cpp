//===- _core.cpp - the C interfaces of hwgq for Python --------------------===//
//
// Plain data in and out; checks, names and classes are hwgq/__init__.py's.
// Arrays come as objects with the buffer protocol, C-contiguous.
//
//===----------------------------------------------------------------------===//
#include "hwgq-c/compiler.h"
#include "hwgq/runtime.h"
#include <cstring>
#include <memory>
#include <mutex>
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <optional>
#include <unistd.h>

namespace nb = nanobind;

namespace {

//===----------------------------------------------------------------------===//
// Arrays
//===----------------------------------------------------------------------===//

/// A view of an object's memory; the object stays as it is while it lives.
class Buffer {
public:
  Buffer(nb::handle object, bool writable) {
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT;
    if (PyObject_GetBuffer(object.ptr(), &view,
                           writable ? flags | PyBUF_WRITABLE : flags))
      throw nb::python_error();
  }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer() { PyBuffer_Release(&view); }

  void *data() const { return view.buf; }
  size_t size() const { return size_t(view.len); }

  /// The array for the compiler; `name` may be null and must outlive it.
  hwgq_array describe(const char *name) {
    dims.assign(view.shape, view.shape + view.ndim);
    return {name, getDtype(), uint32_t(view.ndim), dims.data(), view.buf};
  }

private:
  hwgq_dtype getDtype() const {
    const char *format = view.format ? view.format : "B";
    unsigned width = 8 * unsigned(view.itemsize);
    switch (format[std::strspn(format, "@=<")]) {
    case 'f':
      return HWGQ_F32;
    case 'd':
      return HWGQ_F64;
    case 'e':
      return HWGQ_F16;
    case '?':
      return HWGQ_BOOL;
    case 'b':
    case 'h':
    case 'i':
    case 'l':
    case 'q':
      return width == 8    ? HWGQ_I8
             : width == 16 ? HWGQ_I16
             : width == 32 ? HWGQ_I32
                           : HWGQ_I64;
    case 'B':
    case 'H':
    case 'I':
    case 'L':
    case 'Q':
      return width == 8    ? HWGQ_U8
             : width == 16 ? HWGQ_U16
             : width == 32 ? HWGQ_U32
                           : HWGQ_U64;
    default:
      throw nb::type_error("arrays of this element type are not supported");
    }
  }

  Py_buffer view;
  std::vector<int64_t> dims;
};

/// Arrays with names ("" for none) as the compiler takes them.
class Arrays {
public:
  explicit Arrays(const nb::list &pairs) {
    names.reserve(nb::len(pairs));
    for (nb::handle pair : pairs) {
      names.push_back(nb::cast<std::string>(pair[0]));
      buffers.push_back(std::make_unique<Buffer>(pair[1], false));
      arrays.push_back(buffers.back()->describe(
          names.back().empty() ? nullptr : names.back().c_str()));
    }
  }
  const hwgq_array *data() const { return arrays.data(); }
  size_t size() const { return arrays.size(); }

private:
  std::vector<std::string> names;
  std::vector<std::unique_ptr<Buffer>> buffers;
  std::vector<hwgq_array> arrays;
};

//===----------------------------------------------------------------------===//
// The compiler
//===----------------------------------------------------------------------===//

/// A diagnostic that outlives the callback.
struct Diagnostic {
  int severity;
  std::string message, node, op, file;
  unsigned line, column;
  std::vector<Diagnostic> notes;

  explicit Diagnostic(const hwgq_diagnostic &from)
      : severity(from.severity), message(from.message), node(from.node),
        op(from.op), file(from.file), line(from.line), column(from.column),
        notes(from.notes, from.notes + from.note_count) {}

  nb::object toPython() const {
    nb::list list;
    for (const Diagnostic &note : notes)
      list.append(note.toPython());
    return nb::make_tuple(severity, text(message), text(node), text(op),
                          text(file), line, column, list);
  }

private:
  /// Names in a model may be any bytes.
  static nb::object text(const std::string &bytes) {
    return nb::steal(
        PyUnicode_DecodeUTF8(bytes.data(), bytes.size(), "replace"));
  }
};

using Diagnostics = std::vector<Diagnostic>;

void collect(const hwgq_diagnostic *diagnostic, void *user) {
  static_cast<Diagnostics *>(user)->emplace_back(*diagnostic);
}

nb::list toPython(const Diagnostics &diagnostics) {
  nb::list list;
  for (const Diagnostic &diagnostic : diagnostics)
    list.append(diagnostic.toPython());
  return list;
}

struct ResultDeleter {
  void operator()(hwgq_result *result) const { hwgq_result_free(result); }
};
using Result = std::unique_ptr<hwgq_result, ResultDeleter>;

/// A model, a path (str) or bytes, and options.
class Request {
public:
  Request(nb::object model, const nb::list &pairs) : bytes(std::move(model)) {
    if (nb::isinstance<nb::str>(bytes)) {
      path = nb::cast<std::string>(bytes);
      this->model = {path.c_str(), nullptr, 0, nullptr};
    } else {
      buffer.emplace(bytes, false);
      this->model = {nullptr, buffer->data(), buffer->size(), nullptr};
    }
    texts.reserve(2 * nb::len(pairs));
    for (nb::handle pair : pairs) {
      texts.push_back(nb::cast<std::string>(pair[0]));
      texts.push_back(nb::cast<std::string>(pair[1]));
      options.push_back({texts.rbegin()[1].c_str(), texts.back().c_str()});
    }
  }
  hwgq_model model;
  std::vector<hwgq_option> options;

private:
  nb::object bytes;
  std::optional<Buffer> buffer;
  std::string path;
  std::vector<std::string> texts;
};

/// (contents or None, report, diagnostics)
nb::tuple compile(nb::object model, nb::list options, nb::list bound) {
  Request request(std::move(model), options);
  Arrays arrays(bound);
  Diagnostics diagnostics;
  Result result;
  {
    nb::gil_scoped_release release;
    hwgq_result *made = nullptr;
    hwgq_compile(&request.model, request.options.data(), request.options.size(),
                 arrays.data(), arrays.size(), collect, &diagnostics, &made);
    result.reset(made);
  }
  if (!result)
    return nb::make_tuple(nb::none(), "", toPython(diagnostics));
  return nb::make_tuple(
      nb::bytes(hwgq_result_data(result.get()), hwgq_result_size(result.get())),
      hwgq_result_report(result.get()), toPython(diagnostics));
}

size_t countBytes(const hwgq_array &array) {
  size_t bytes = hwgq_dtype_size(array.dtype);
  for (uint32_t d = 0; d < array.rank; ++d)
    bytes *= size_t(array.dims[d]);
  return bytes;
}

nb::tuple makeShape(const int64_t *dims, uint32_t rank) {
  nb::list shape;
  for (uint32_t d = 0; d < rank; ++d)
    shape.append(dims[d]);
  return nb::tuple(shape);
}

/// ([(name, type, shape, bytearray)] or None, diagnostics)
nb::tuple evaluate(nb::object model, nb::list options, nb::list bound,
                   nb::list inputs) {
  Request request(std::move(model), options);
  Arrays arrays(bound), given(inputs);
  Diagnostics diagnostics;
  Result result;
  {
    nb::gil_scoped_release release;
    hwgq_result *made = nullptr;
    hwgq_evaluate(&request.model, request.options.data(),
                  request.options.size(), arrays.data(), arrays.size(),
                  given.data(), given.size(), collect, &diagnostics, &made);
    result.reset(made);
  }
  if (!result)
    return nb::make_tuple(nb::none(), toPython(diagnostics));
  nb::list outputs;
  for (size_t i = 0; i < hwgq_result_array_count(result.get()); ++i) {
    const hwgq_array &array = *hwgq_result_array(result.get(), i);
    outputs.append(
        nb::make_tuple(array.name, hwgq_dtype_name(array.dtype),
                       makeShape(array.dims, array.rank),
                       nb::bytearray(static_cast<const char *>(array.data),
                                     countBytes(array))));
  }
  return nb::make_tuple(outputs, toPython(diagnostics));
}

/// (text or None, diagnostics)
nb::tuple runPasses(const std::string &text, const std::string &pipeline) {
  Diagnostics diagnostics;
  Result result;
  {
    nb::gil_scoped_release release;
    hwgq_result *made = nullptr;
    hwgq_run_passes(text.data(), text.size(), pipeline.c_str(), collect,
                    &diagnostics, &made);
    result.reset(made);
  }
  if (!result)
    return nb::make_tuple(nb::none(), toPython(diagnostics));
  return nb::make_tuple(
      nb::str(hwgq_result_data(result.get()), hwgq_result_size(result.get())),
      toPython(diagnostics));
}

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

void check(hwgq_status status) {
  if (status == HWGQ_NO_MEMORY)
    throw std::bad_alloc();
  if (status != HWGQ_OK)
    throw std::runtime_error(hwgq_last_error());
}

/// An opened module and contexts that wait for a run: each run takes one, so
/// that threads never share one.
class Module {
public:
  explicit Module(const nb::bytes &file) {
    const void *data = file.c_str();
    size_t size = file.size();
    nb::gil_scoped_release release;
    if (hwgq_module_open_memory(data, size, &module) == HWGQ_OK)
      return;
    refusal = hwgq_last_error();
    hwgq_status status = hwgq_module_read_memory(data, size, &module);
    if (status != HWGQ_OK)
      throw std::runtime_error(hwgq_last_error());
  }
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;
  ~Module() {
    for (hwgq_context *context : waiting)
      hwgq_context_destroy(context);
    hwgq_module_close(module);
  }

  /// [(name, type, shape)], a size of -k for k times the batch.
  nb::list describe(bool outputs) const {
    nb::list list;
    size_t count = outputs ? hwgq_module_output_count(module)
                           : hwgq_module_input_count(module);
    for (size_t i = 0; i < count; ++i) {
      const hwgq_tensor *tensor = outputs ? hwgq_module_output(module, i)
                                          : hwgq_module_input(module, i);
      list.append(nb::make_tuple(tensor->name, hwgq_dtype_name(tensor->dtype),
                                 makeShape(tensor->dims, tensor->rank)));
    }
    return list;
  }

  int64_t batch() const { return hwgq_module_batch(module); }
  std::string report() const { return hwgq_module_report(module); }
  std::string target() const { return hwgq_module_target(module); }

  /// Arrays have been checked against the module and the batch.
  void run(nb::list inputs, nb::list outputs, int64_t batch, int threads) {
    if (!refusal.empty())
      throw std::runtime_error(refusal);
    std::vector<std::unique_ptr<Buffer>> views;
    std::vector<hwgq_input> from;
    std::vector<hwgq_output> to;
    for (nb::handle input : inputs) {
      views.push_back(std::make_unique<Buffer>(input, false));
      from.push_back({views.back()->data(), views.back()->size()});
    }
    for (nb::handle output : outputs) {
      views.push_back(std::make_unique<Buffer>(output, true));
      to.push_back({views.back()->data(), views.back()->size()});
    }
    nb::gil_scoped_release release;
    Lease lease(*this, threads, batch);
    check(hwgq_run(lease.context, from.data(), from.size(), to.data(),
                   to.size(), batch));
  }

private:
  /// A context for the time of one run.
  struct Lease {
    Lease(Module &module, int threads, int64_t batch)
        : module(module), context(module.take()) {
      if (!context) {
        check(hwgq_context_create(module.module, threads, batch, &context));
        return;
      }
      hwgq_status status = hwgq_context_set_threads(context, threads);
      if (status == HWGQ_OK)
        status = hwgq_context_reserve(context, batch);
      if (status != HWGQ_OK) {
        hwgq_context_destroy(context);
        check(status);
      }
    }
    ~Lease() {
      std::lock_guard<std::mutex> lock(module.mutex);
      module.waiting.push_back(context);
    }
    Module &module;
    hwgq_context *context;
  };

  /// A context that waits, or null.
  hwgq_context *take() {
    std::lock_guard<std::mutex> lock(mutex);
    if (owner != getpid()) { // after a fork: their threads are gone
      for (hwgq_context *context : waiting)
        hwgq_context_destroy(context);
      waiting.clear();
      owner = getpid();
    }
    if (waiting.empty())
      return nullptr;
    hwgq_context *context = waiting.back();
    waiting.pop_back();
    return context;
  }

  hwgq_module *module = nullptr;
  std::string refusal; ///< Why the module cannot run here; "" if it can.
  std::mutex mutex;
  std::vector<hwgq_context *> waiting;
  pid_t owner = getpid();
};

} // namespace

NB_MODULE(_core, module) {
  using namespace nb::literals;
  module.attr("__version__") = hwgq_compiler_version();
  module.def("compile", compile, "model"_a, "options"_a, "bound"_a);
  module.def("evaluate", evaluate, "model"_a, "options"_a, "bound"_a,
             "inputs"_a);
  module.def("run_passes", runPasses, "text"_a, "pipeline"_a);
  nb::class_<Module>(module, "Module")
      .def(nb::init<const nb::bytes &>(), "file"_a)
      .def("describe", &Module::describe, "outputs"_a)
      .def("run", &Module::run, "inputs"_a, "outputs"_a, "batch"_a, "threads"_a)
      .def_prop_ro("batch", &Module::batch)
      .def_prop_ro("report", &Module::report)
      .def_prop_ro("target", &Module::target);
}
