"""What is measured: hwgq through its programs, and each peer in a process of its own (peer.py).

Both offer a `prepare(model, x)` that checks the engine's output against `hwgq-eval` on the graph
that the engine gets, and returns a timer: seconds -> {"median_ms", "min_ms", "runs"}.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SPIN = 0.06  # seconds; idle threads of a pool wait awake for work, and would slow the next turn (ONNX Runtime's for 46 ms)


class Unavailable(Exception):
    """An engine that is not there, or does not run a graph; the text says why."""


class Reference:
    """hwgq-eval, each graph and input evaluated once."""

    def __init__(self, bin_dir, folder):
        self.bin, self.folder = bin_dir, folder

    def evaluate(self, model, x, phase=None):
        key = hashlib.sha256(f"{model}{phase}".encode()).hexdigest()[:16]
        out = self.folder / f"eval-{key}"
        if not out.exists():
            command = ["hwgq-eval", model, x, "-o", out] + ([f"--to={phase}"] if phase else [])
            call(self.bin, *command)
        return np.load(next(out.glob("0_*.npy")))


def call(bin_dir, program, *arguments):
    """Standard output of a program of hwgq; Unavailable with its error otherwise."""
    done = subprocess.run([str(bin_dir / program), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Unavailable(f"{program}: {lines[0]}")
    return done.stdout


class Hwgq:
    """Compiles for one target with one kernel family, and times by hwgq-run."""

    def __init__(self, bin_dir, folder, reference, target="host", kernel="auto", threads=1):
        self.bin, self.folder, self.reference = bin_dir, folder, reference
        self.target, self.kernel, self.threads = target, kernel, threads

    def module(self, model):
        return self.folder / f"{model.stem}-{self.target}-{self.kernel}.so"

    def compile(self, model):
        """The module and its report, compiled once."""
        out = self.module(model)
        report = out.with_suffix(".json")
        if not out.exists():
            call(self.bin, "hwgq-compile", model, "-o", out, f"--report={report}",
                 f"--target={self.target}", f"--kernel={self.kernel}")
        return out, json.loads(report.read_text())

    def prepare(self, model, x):
        """The timer and the report of a checked module."""
        module, report = self.compile(model)
        out = module.with_suffix(".run")
        call(self.bin, "hwgq-run", module, x, "-o", out, f"--threads={self.threads}")
        ours, reference = np.load(next(out.glob("0_*.npy"))), self.reference.evaluate(model, x, "hwgq")
        if ours.shape != reference.shape or ours.tobytes() != reference.tobytes():
            raise Unavailable(f"{module.name}: its output is not that of hwgq-eval --to=hwgq")
        return (lambda seconds: json.loads(call(self.bin, "hwgq-run", module, x, f"--threads={self.threads}",
                                                f"--benchmark={seconds}", "--json"))), report

    def profile(self, model, x, seconds):
        """Milliseconds of each layer by name, summed over its parts."""
        module, _ = self.compile(model)
        out = json.loads(call(self.bin, "hwgq-run", module, x, f"--threads={self.threads}",
                              f"--benchmark={seconds}", "--profile", "--json"))
        times = {}
        for layer in out["layers"]:
            times[layer["name"]] = times.get(layer["name"], 0) + layer["ms"]
        return times


def worst_relative(ours, reference):
    return float(np.abs(ours - reference).max() / max(np.abs(reference).max(), 1e-30))


def share_of_other_signs(ours, reference):
    return float((np.where(ours >= 0, 1, -1) != reference).mean())


def lost_correlation(ours, reference):
    return 1 - float(np.corrcoef(ours.ravel(), reference.ravel())[0, 1])


@dataclass(frozen=True)
class Kind:
    """One column of the tables: an engine, the graph that it gets, and how far its output may be
    from the reference: rounding for floats. Engines round int8 sums differently, the low-bit file in
    floats flips codes whose sums stand next to a breakpoint, and deep networks spread that."""

    name: str
    engine: str
    graph: str
    distance: object
    tolerance: float
    note: str


KINDS = [
    Kind("ORT f32", "ort", "plain", worst_relative, 1e-3, "ONNX Runtime, float32, ReLU as quantiser"),
    Kind("OV f32", "openvino", "plain", worst_relative, 1e-3, "OpenVINO, float32, ReLU as quantiser"),
    Kind("IREE f32", "iree", "plain", worst_relative, 1e-3, "IREE llvm-cpu, float32, ReLU as quantiser"),
    Kind("ORT file", "ort", "file", lost_correlation, 0.2, "ONNX Runtime, float32, the file as it is"),
    Kind("ORT int8", "ort", "int8", lost_correlation, 0.1, "ONNX Runtime, int8 QDQ"),
    Kind("OV int8", "openvino", "int8", lost_correlation, 0.1, "OpenVINO, int8 QDQ"),
    Kind("OV bin", "openvino-binary", "file", share_of_other_signs, 0.001,
         "OpenVINO BinaryConvolution, 1w1a, chains without padding"),
]
FLOAT, INT8 = ("ORT f32", "OV f32", "IREE f32", "ORT file"), ("ORT int8", "OV int8")


class Peer:
    """A process that runs one engine."""

    def __init__(self, kind, folder, reference, threads=1, amx=True):
        self.kind, self.folder, self.reference, self.loaded = kind, folder, reference, 0
        self.threads = threads
        command = [sys.executable, HERE / "peer.py", kind.engine, f"--threads={threads}"]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        self.process = subprocess.Popen(list(map(str, command)) + ([] if amx else ["--no-amx"]), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, env=environment)
        self.version = self.answer().get("version")

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Unavailable(f"crashed (status {self.process.wait()})")
        answer = json.loads(line)
        if "error" in answer:
            raise Unavailable(answer["error"])
        return answer

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.answer()

    def prepare(self, model, x):
        """The timer of a checked graph; `None` in place of a report."""
        out, key, self.loaded = self.folder / f"peer-{id(self)}.npy", self.loaded, self.loaded + 1
        self.ask(load=key, model=str(model), x=str(x), out=str(out))
        distance = self.kind.distance(np.load(out).astype(np.float64),
                                      self.reference.evaluate(model, x, "hwgq" if self.kind.graph == "file" else None))
        if not distance <= self.kind.tolerance:
            raise Unavailable(f"wrong output ({self.kind.distance.__name__} {distance:.3g} > {self.kind.tolerance:g})")
        return (lambda seconds: self.time(key, seconds)), None

    def time(self, key, seconds):
        """One turn, on the processors of this process; ends when the peer's threads sleep."""
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(ProcessLookupError):  # a thread that has ended
                os.sched_setaffinity(int(task.name), os.sched_getaffinity(0))
        answer = self.ask(time=key, seconds=seconds)
        time.sleep(SPIN if self.threads > 1 else 0)
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()
