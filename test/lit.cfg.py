"""The lit tests: one folder a dialect, phase or pass.

Substitutions beside lit's own: %examples, the folder examples/. Programs of build/bin and
LLVM's FileCheck, not, split-file and count are on the path.
"""

import os
import sys

import lit.formats

config.name = "hwgq"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "e2e", "unit", "python", "CMakeLists.txt", "lit.cfg.py"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.hwgq_build, "test")

path = [os.path.join(config.hwgq_build, "bin"), config.llvm_tools, config.environment.get("PATH", "")]
config.environment["PATH"] = os.pathsep.join(path)
config.environment["HOME"] = os.environ.get("HOME", "/")
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

config.substitutions.append(("%examples", os.path.join(config.hwgq_source, "examples")))
config.substitutions.append(("%python", sys.executable))
# %encode: a ModelProto in protobuf's text form to an ONNX file, stdin to stdout.
config.substitutions.append(
    ("%encode", "protoc --encode=onnx_proto.ModelProto --proto_path="
     + os.path.join(config.hwgq_build, "onnx-proto") + " onnx/onnx.proto"))
if config.sanitize:
    config.available_features.add("sanitizer")
