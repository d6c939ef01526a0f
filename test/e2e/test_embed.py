"""examples/embed with real modules: the runtime is installed, found by find_package(hwgq),
and two networks are linked into one program from --emit=obj and --emit=header."""

import re
import subprocess

import numpy as np
import programs


def must(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"$ {command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_embed(tmp_path):
    for part in ("runtime", "tools/hwgq-run"):
        must("cmake", "--install", programs.BUILD / part, "--prefix", tmp_path / "installed")
    cache = (programs.BUILD / "CMakeCache.txt").read_text()
    sanitize = re.search(r"^HWGQ_SANITIZE:\w+=(.*)$", cache, re.M)
    flags = f"-fsanitize={sanitize[1]}" if sanitize and sanitize[1] else ""
    build = tmp_path / "build"
    must(
        "cmake", "-S", programs.ROOT / "examples" / "embed", "-B", build, "-G", "Ninja",
        "-DCMAKE_C_COMPILER=clang-22", f"-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror {flags}",
        f"-DCMAKE_PREFIX_PATH={tmp_path / 'installed'}", f"-DHWGQ_COMPILE={programs.BIN / 'hwgq-compile'}",
    )  # fmt: skip
    must("cmake", "--build", build)

    model = programs.DIGITS / "model.onnx"
    module = programs.compile_model(model, tmp_path / "digits.so")
    (scores,) = programs.run_module(module, {None: np.zeros((1, 1, 8, 8), np.float32)}, tmp_path / "run")
    line = "scores (f32): " + " ".join(f"{value:g}" for value in scores.ravel().tolist())
    assert must(build / "run_module", module).splitlines() == [line]
    assert must(build / "two_modules").splitlines() == ["first", line, "second", line]
