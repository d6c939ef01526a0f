//===- ModelFile.h - a parsed model and its tensors -------------*- C++ -*-===//
#ifndef HWGQ_LIB_IMPORT_MODELFILE_H
#define HWGQ_LIB_IMPORT_MODELFILE_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"
#include "mlir/Support/LLVM.h"
#include "onnx/onnx.pb.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>

namespace hwgq {

/// A model and what keeps its bytes alive.
struct ModelFile {
  std::shared_ptr<::onnx_proto::ModelProto> model;
  /// The folder that external data must lie in; "" when there is none.
  std::string folder;
};

/// Parses a file, or bytes; reports errors at `loc`.
mlir::FailureOr<std::shared_ptr<::onnx_proto::ModelProto>>
readModelFile(llvm::StringRef path, mlir::Location loc);
mlir::FailureOr<std::shared_ptr<::onnx_proto::ModelProto>>
readModelBytes(llvm::StringRef bytes, mlir::Location loc);

/// Turns TensorProtos into attributes, without a copy where the bytes lie as
/// they are needed.
class TensorReader {
public:
  TensorReader(const ModelFile &file) : file(file) {}

  /// `tensor` must belong to the file's model.
  mlir::FailureOr<mlir::ElementsAttr>
  read(const ::onnx_proto::TensorProto &tensor, mlir::Location loc);
  mlir::FailureOr<mlir::ElementsAttr>
  read(const ::onnx_proto::SparseTensorProto &tensor, mlir::Location loc);

private:
  mlir::FailureOr<llvm::StringRef>
  externalBytes(const ::onnx_proto::TensorProto &tensor, size_t expected,
                std::shared_ptr<llvm::MemoryBuffer> &owner, mlir::Location loc);
  mlir::FailureOr<std::shared_ptr<llvm::MemoryBuffer>>
  openExternal(llvm::StringRef location, mlir::Location loc);

  const ModelFile &file;
  /// Mapped external files by their location.
  llvm::StringMap<std::shared_ptr<llvm::MemoryBuffer>> mapped;
};

/// A readable form of a name of the file, for messages: no control characters,
/// of limited length.
std::string printable(llvm::StringRef name);

} // namespace hwgq

#endif // HWGQ_LIB_IMPORT_MODELFILE_H
