#!/usr/bin/env python3
"""One other engine in a process of its own, so that its threads, its crashes and its choice of
instructions are its own affair. compare.py starts it; it reads one JSON request a line:

    {"load": KEY, "model": FILE.onnx, "x": IN.npy, "out": OUT.npy}   makes KEY ready, writes its output
    {"time": KEY, "seconds": S}                                      {"median_ms", "min_ms", "runs"}

and answers each with one JSON line: {"error"} on failure.
"""

import argparse
import ctypes
import errno
import json
import os
import statistics
import struct
import sys
import time
from pathlib import Path

import numpy as np


def deny_amx():
    """Refuses this process the use of AMX tiles, as on a machine without them: a seccomp filter
    answers arch_prctl(ARCH_REQ_XCOMP_PERM) with EPERM. Engines then take their other kernels. The flag
    keeps older kernels from slowing filtered processes down against speculative stores."""
    arch_prctl, req_xcomp_perm = 158, 0x1023
    load, jump_equal, leave = 0x20, 0x15, 0x06
    deny, allow = 0x00050000 | errno.EPERM, 0x7FFF0000
    code = [(load, 0, 0, 0), (jump_equal, 0, 3, arch_prctl), (load, 0, 0, 16),
            (jump_equal, 0, 1, req_xcomp_perm), (leave, 0, 0, deny), (leave, 0, 0, allow)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    header = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, set_filter, allow_speculation = 38, 317, 1, 4
    if (libc.prctl(no_new_privileges, 1, 0, 0, 0) != 0
            or libc.syscall(seccomp, set_filter, allow_speculation, header) != 0):
        raise OSError(ctypes.get_errno(), "AMX cannot be refused (seccomp)")


class OnnxRuntime:
    def __init__(self, threads):
        import onnxruntime

        self.ort, self.threads = onnxruntime, threads
        self.version = onnxruntime.__version__

    def load(self, model, x):
        options = self.ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        session = self.ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: x}
        return lambda: session.run(None, feed)[0]


class OpenVino:
    def __init__(self, threads):
        import openvino

        self.ov, self.core = openvino, openvino.Core()
        # Float layers in float32: on machines with AMX the default is bfloat16. The processors of a
        # turn are compare.py's choice: pinned by itself, one thread runs on the first one, however disturbed.
        self.config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
                       "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
        self.version = openvino.__version__.split("-")[0]

    def load(self, model, x):
        return self.compile(self.core.read_model(str(model)), x)

    def compile(self, model, x):
        request = self.core.compile_model(model, "CPU", self.config).create_infer_request()
        request.set_input_tensor(self.ov.Tensor(x))

        def run():
            request.infer()
            return request.get_output_tensor(0).data

        return run


class OpenVinoBinary(OpenVino):
    """The 1w1a chain without padding by BinaryConvolution, whose results are wrong with padding.
    Batch norm is scale and shift, which OpenVINO turns into the threshold of the next layer. The
    last sign is left to the reader of the output: OpenVINO 2026.4 crashes on it."""

    def load(self, model, x):
        import onnx
        import openvino.opset8 as op
        from onnx import numpy_helper

        graph = onnx.load(model).graph
        values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        nodes = {kind: [n for n in graph.node if n.op_type == kind] for kind in ("Conv", "BatchNormalization")}
        constant = lambda v: op.constant(np.asarray(v, np.float32).reshape(1, -1, 1, 1))
        self.bits = []  # the engine reads them where they are
        y = parameter = op.parameter(list(x.shape), self.ov.Type.f32, name="x")
        for conv, norm in zip(nodes["Conv"], nodes["BatchNormalization"]):
            y = op.fake_quantize(y, constant(0), constant(0), constant(0), constant(1), 2)
            weight = values[conv.input[1]]
            alpha = np.abs(weight).max()
            self.bits.append(np.packbits((weight > 0).reshape(-1), bitorder="little"))
            kernel = self.ov.op.Constant(self.ov.Tensor(self.bits[-1], self.ov.Shape(weight.shape), self.ov.Type.u1))
            y = op.binary_convolution(y, kernel, [1, 1], [0, 0], [0, 0], [1, 1], "xnor-popcount", 0.0)
            scale, shift, mean, var = (values[name].astype(np.float64) for name in norm.input[1:])
            slope = scale / np.sqrt(var + 1e-5)
            y = op.add(op.multiply(y, constant(slope * alpha)), constant(shift - mean * slope))
        return self.compile(self.ov.Model([op.result(y)], [parameter], "binary"), x)


class Iree:
    def __init__(self, threads):
        from importlib.metadata import version

        import iree.compiler.tools
        import iree.runtime

        self.iree, self.threads, self.version = iree, threads, version("iree-base-compiler")
        if threads > 1:
            iree.runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
        self.device = iree.runtime.get_device("local-sync" if threads == 1 else "local-task")

    def load(self, model, x):
        import subprocess
        import tempfile

        programs = Path(sys.executable).parent
        with tempfile.TemporaryDirectory() as folder:
            text, binary = Path(folder) / "x.mlir", Path(folder) / "x.vmfb"
            for command in (
                ["iree-import-onnx", model, "-o", text],
                ["iree-compile", text, "-o", binary, "--iree-hal-target-device=local", "--iree-opt-level=O3",
                 "--iree-hal-local-target-device-backends=llvm-cpu", "--iree-llvmcpu-target-cpu=host"],
            ):
                done = subprocess.run([programs / command[0], *command[1:]], capture_output=True, text=True, timeout=300)
                if done.returncode:
                    lines = [line for line in done.stderr.splitlines() if "error" in line]
                    raise RuntimeError(f"does not compile it: {(lines or [done.stderr.strip()])[0][:200]}")
            code = binary.read_bytes()
        runtime = self.iree.runtime
        config = runtime.Config(device=self.device)
        context = runtime.SystemContext(config=config)
        context.add_vm_module(runtime.VmModule.copy_buffer(context.instance, code))
        module = list(context.modules.values())[-1]
        function = module[[n for n in module.vm_module.function_names if not n.startswith("__") and "$" not in n][0]]
        array = runtime.asdevicearray(self.device, x)
        return lambda: function(array).to_host()


ENGINES = {"ort": OnnxRuntime, "openvino": OpenVino, "openvino-binary": OpenVinoBinary, "iree": Iree}


def measure(run, seconds):
    """Times of single runs, after one that warms up, as `hwgq-run --benchmark` does."""
    run()
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return {"median_ms": statistics.median(times), "min_ms": min(times), "runs": len(times)}


def serve(engine, requests, answers):
    ready = {}
    for line in requests:
        request, answer = json.loads(line), {}
        try:
            if "load" in request:
                run = engine.load(request["model"], np.load(request["x"]))
                np.save(request["out"], run())
                ready[request["load"]] = run
            else:
                answer = measure(ready[request["time"]], request["seconds"])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-amx", action="store_true", help="let the engine find no AMX")
    arguments = parser.parse_args()
    # Answers go through a copy of standard output: engines print, too.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        if arguments.no_amx:
            deny_amx()
        engine = ENGINES[arguments.engine](arguments.threads)
        greeting = {"version": engine.version}
    except ModuleNotFoundError as error:
        greeting = {"error": f"not installed ({error.name})"}
    except Exception as error:
        greeting = {"error": f"does not start: {error}".splitlines()[0]}
    answers.write(json.dumps(greeting) + "\n")
    answers.flush()
    if "error" not in greeting:
        serve(engine, sys.stdin, answers)


if __name__ == "__main__":
    main()
