"""Runs the programs of hwgq for the end-to-end tests.

Every call has a time limit, and whatever a program does, it must end by itself with status
0 or 1: a signal, an assertion, a sanitizer's report or a stack dump fails the test that
caused it.
"""

import functools
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import subprocess

import numpy as np
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HWGQ_BUILD", ROOT / "build")).resolve()
BIN = BUILD / "bin"
MODELS = pathlib.Path(os.environ.get("HWGQ_MODELS", ROOT.parent / "shared" / "models"))
DIGITS = ROOT / "examples" / "digits"
EXHAUSTIVE = os.environ.get("HWGQ_TEST_ALL", "") == "1"
TIMEOUT = 3600 if EXHAUSTIVE else 180

# Built with sanitizers: slower, and their shadow memory is no memory that programs use.
SANITIZED = os.environ.get("HWGQ_SANITIZED", "") == "1"

# The root of the libraries that qemu gives to AArch64 programs.
AARCH64_ROOT = "/usr/aarch64-linux-gnu"

DUMPS = re.compile(
    r"Stack dump|PLEASE submit a bug report|Assertion .* failed|Sanitizer|runtime error:"
    r"|terminate called|UNREACHABLE executed|LLVM ERROR",
)


class Result:
    def __init__(self, command, status, stdout, stderr):
        self.command, self.status, self.stdout, self.stderr = command, status, stdout, stderr

    def __str__(self):
        return f"$ {' '.join(map(str, self.command))}\nstatus {self.status}\n{self.stdout[-4000:]}\n{self.stderr[-4000:]}"


def run(program, *arguments, status=0, timeout=TIMEOUT, memory=None, cwd=None, prefix=()):
    """Runs a program of build/bin; `status` is what it must end with (None: 0 or 1).

    `memory` limits the data that the program may allocate, in bytes.
    """
    command = [*prefix, str(BIN / program), *map(str, arguments)]

    def limit():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory is not None and not SANITIZED:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))

    done = subprocess.run(
        command, capture_output=True, timeout=timeout * (5 if SANITIZED else 1), cwd=cwd, preexec_fn=limit, stdin=subprocess.DEVNULL
    )
    result = Result(command, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    assert done.returncode in (0, 1), f"ended by signal or odd status\n{result}"
    assert not DUMPS.search(result.stderr) and not DUMPS.search(result.stdout), f"a dump was printed\n{result}"
    if status is not None:
        assert done.returncode == status, f"status {status} expected\n{result}"
    return result


def refused(program, *arguments, says=None, outputs=(), **options):
    """Runs what must be refused: status 1, `error:`, and none of `outputs` written."""
    result = run(program, *arguments, status=1, **options)
    assert "error:" in result.stderr, f"no error: on stderr\n{result}"
    if says is not None:
        assert re.search(says, result.stderr), f"/{says}/ is not in the message\n{result}"
    for output in outputs:
        assert not leftovers(output), f"half-written: {leftovers(output)}\n{result}"
    return result


def leftovers(path):
    """Files at `path` or beside it under a temporary name that begins with its name."""
    path = pathlib.Path(path)
    if path.is_dir():
        return sorted(path.iterdir())
    return sorted(path.parent.glob(path.name + "*")) if path.parent.is_dir() else []


def compile_model(model, output, *options, **kwargs):
    run("hwgq-compile", model, "-o", output, *options, **kwargs)
    assert pathlib.Path(output).stat().st_size > 0
    return output


def result_files(folder):
    """{index: (name, array)} of the <index>_<name>.npy in a folder."""
    found = {}
    for path in sorted(pathlib.Path(folder).iterdir()):
        match = re.fullmatch(r"(\d+)_([A-Za-z0-9._-]*)\.npy", path.name)
        assert match, f"unexpected file {path.name}"
        found[int(match[1])] = (match[2], np.load(path))
    return found


def outputs_of(folder):
    found = result_files(folder)
    assert sorted(found) == list(range(len(found))), sorted(found)
    return [found[i][1] for i in range(len(found))]


def save_inputs(inputs, folder):
    """Writes arrays as NAME=FILE arguments; a name of None gives a plain FILE."""
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    arguments = []
    for index, (name, array) in enumerate(inputs.items()):
        path = pathlib.Path(folder) / f"in{index}.npy"
        np.save(path, array)
        arguments.append(f"{name}={path}" if name is not None else str(path))
    return arguments


def execute(program, subject, inputs, folder, *options, **kwargs):
    """hwgq-run or hwgq-eval of a file on {name: array}; the list of outputs."""
    out = pathlib.Path(folder)
    shutil.rmtree(out, ignore_errors=True)
    arguments = save_inputs(inputs, str(out) + ".in")
    run(program, subject, *arguments, "-o", out, *options, **kwargs)
    return outputs_of(out)


def evaluate(model, inputs, folder, phase="hwgq", *options, **kwargs):
    return execute("hwgq-eval", model, inputs, folder, f"--to={phase}", *options, **kwargs)


def run_module(module, inputs, folder, *options, target="host", cpu="max", **kwargs):
    """Runs a module built for `target`, under emulation (as qemu's `cpu`) where that is another machine."""
    if target.startswith("aarch64") and platform.machine() != "aarch64":
        kwargs["prefix"] = ("qemu-aarch64", "-cpu", cpu, "-L", AARCH64_ROOT)
        return execute(AARCH64_RUN, module, inputs, folder, *options, **kwargs)
    return execute("hwgq-run", module, inputs, folder, *options, **kwargs)


# hwgq-run, built for AArch64 against Debian's cross C library.
AARCH64_RUN = os.environ.get("HWGQ_RUN_AARCH64", "aarch64/hwgq-run")


@functools.cache
def host_has(target):
    """Whether this machine can run modules of an x86-64 level."""
    if platform.machine() != "x86_64":
        return False
    flags = set(re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    needed = {
        "x86-64-v2": {"popcnt", "sse4_2", "ssse3"},
        "x86-64-v3": {"avx2", "bmi2", "fma"},
        "x86-64-v4": {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"},
        "icelake-server": {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd", "avx512vbmi", "avx512_vbmi2",
                           "avx512_vnni", "avx512_vpopcntdq", "avx512_bitalg", "gfni", "vaes", "vpclmulqdq", "sha_ni"},
    }
    return needed[target] <= flags


# What stands for the instructions of other machines, and how often kernels ran on which.
EMULATION = BUILD / "test" / "emulation.o"
KERNELS_RUN = {"natively": 0, "emulated": 0}


def can_open(module, target):
    """Whether this machine has all that a module needs; any other refusal is an error."""
    if target.startswith("aarch64"):
        return True  # natively, or under qemu
    if platform.machine() != "x86_64":
        return False
    result = run("hwgq-run", module, "--random", "--batch=1", status=None)
    if result.status == 0:
        return True
    assert re.search("this CPU lacks|does not permit AMX", result.stderr), result
    return False


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def assert_same_bits(actual, expected, what=""):
    """Equal shape, type and values; any NaN equals any NaN, and -0 differs from +0."""
    assert len(actual) == len(expected), what
    for index, (a, b) in enumerate(zip(actual, expected)):
        where = f"{what} output {index}"
        assert a.dtype == b.dtype and a.shape == b.shape, f"{where}: {a.dtype}{a.shape} against {b.dtype}{b.shape}"
        same = a == b
        if np.issubdtype(a.dtype, np.floating):
            same = (same & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))
        if not np.all(same):
            first = tuple(int(i) for i in np.argwhere(~same)[0])
            raise AssertionError(
                f"{where}: {np.count_nonzero(~same)} of {a.size} differ, first at {first}: {a[first]!r} against {b[first]!r}"
            )


def onnxruntime_session(model):
    """ONNX Runtime without its graph optimisations, which change quantised results."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
