//===- ModelFile.cpp - parses models --------------------------------------===//
#include "ModelFile.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/FileSystem.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <unistd.h>

using namespace hwgq;
using mlir::failure;
using mlir::FailureOr;

using Model = std::shared_ptr<::onnx_proto::ModelProto>;

/// Messages nest at most so deep: graphs in attributes, types in types.
static constexpr int kMaxNesting = 100;

namespace {
/// Reads a file descriptor, so that a large file is in memory once.
class FileStream : public google::protobuf::io::CopyingInputStream {
public:
  explicit FileStream(int descriptor) : descriptor(descriptor) {}
  int Read(void *buffer, int size) override {
    ssize_t got;
    do
      got = ::read(descriptor, buffer, size);
    while (got < 0 && errno == EINTR);
    failed |= got < 0;
    return static_cast<int>(got);
  }
  bool failed = false;

private:
  int descriptor;
};
} // namespace

std::string hwgq::printable(llvm::StringRef name) {
  std::string text;
  for (char c : name.take_front(200))
    text += c >= 32 && c < 127 ? c : '?';
  if (name.size() > 200)
    text += "...";
  return text;
}

/// protobuf prints to stderr by itself, which our own message replaces.
static void silence() {
  static const bool once = [] {
    google::protobuf::SetLogHandler(nullptr);
    return true;
  }();
  (void)once;
}

static FailureOr<Model> parse(google::protobuf::io::CodedInputStream &stream,
                              mlir::Location loc) {
  silence();
  stream.SetRecursionLimit(kMaxNesting);
  auto model = std::make_shared<::onnx_proto::ModelProto>();
  if (!model->MergeFromCodedStream(&stream) ||
      !stream.ConsumedEntireMessage()) {
    mlir::emitError(loc) << "this is not an ONNX model: the protobuf is "
                            "damaged or cut short";
    return failure();
  }
  return model;
}

FailureOr<Model> hwgq::readModelFile(llvm::StringRef path, mlir::Location loc) {
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(path, status)) {
    mlir::emitError(loc) << "cannot be opened: " << error.message();
    return failure();
  }
  if (!llvm::sys::fs::is_regular_file(status)) {
    mlir::emitError(loc) << "is not a file";
    return failure();
  }
  if (status.getSize() > INT_MAX) {
    mlir::emitError(loc) << "is larger than 2 GB, which protobuf does not "
                            "allow; store the tensors as external data";
    return failure();
  }
  int descriptor = ::open(path.str().c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    mlir::emitError(loc) << "cannot be opened: " << std::strerror(errno);
    return failure();
  }
  FailureOr<Model> model = failure();
  {
    FileStream file(descriptor);
    google::protobuf::io::CopyingInputStreamAdaptor adaptor(&file, 1 << 20);
    google::protobuf::io::CodedInputStream stream(&adaptor);
    model = parse(stream, loc);
  }
  ::close(descriptor);
  return model;
}

FailureOr<Model> hwgq::readModelBytes(llvm::StringRef bytes,
                                      mlir::Location loc) {
  if (bytes.size() > INT_MAX) {
    mlir::emitError(loc) << "a model of more than 2 GB must store its tensors "
                            "as external data";
    return failure();
  }
  google::protobuf::io::CodedInputStream stream(
      reinterpret_cast<const uint8_t *>(bytes.data()),
      static_cast<int>(bytes.size()));
  return parse(stream, loc);
}
