//===- Preprocess.h - images as people have them ------------------*- C++
//-*-===//
#ifndef HWGQ_IMPORT_PREPROCESS_H
#define HWGQ_IMPORT_PREPROCESS_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace hwgq {

/// How one image input arrives, `NAME:u8,nhwc,scale=S,mean=A/B/C,std=D/E/F`:
/// `x = f32(f32(f32(u8 / scale) - mean) / std)` per channel.
struct Preprocessing {
  std::string input;
  bool bytes = false;                  ///< u8 instead of f32
  bool nhwc = false;                   ///< channels last instead of NCHW
  std::vector<float> scale, mean, std; ///< empty: absent; 1 or one per channel

  static llvm::Expected<Preprocessing> parse(llvm::StringRef text);
};

/// Puts preprocessing in front of an input of @main at the import phase.
mlir::LogicalResult applyPreprocessing(mlir::ModuleOp module,
                                       const Preprocessing &preprocessing);

} // namespace hwgq

#endif // HWGQ_IMPORT_PREPROCESS_H
