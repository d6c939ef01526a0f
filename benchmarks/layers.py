#!/usr/bin/env python3
"""Times 3x3 convolution layers of hwgq and of ONNX Runtime in one run.

A layer's time is (a chain of five - a chain of one) / 4, so that neither the
quantisation of the float32 input nor the float32 output counts; the time of
the chain of one stands beside it. One thread. The ceiling of the popcount loop
is measured in the same run by hwgq-ceilings.

    benchmarks/layers.py [--target=host] [--kernel=popcount] [--json=FILE]
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent
SHAPES = [(64, 56), (128, 28), (256, 14), (512, 7)]  # channels, height = width
FORMS = {"1w1a": 1, "1w2a": 2}  # planes of the activation codes
STEP = 0.538  # of the 2-bit half-wave Gaussian quantiser
CHAIN = 5

# The popcount loop of hwgq-ceilings that a target can use, best first.
POPCOUNT_LOOPS = [
    ("popcount vpopcntq 512", ("host", "sapphirerapids", "icelake-server", "znver4")),
    ("popcount pshufb 512", ("host", "x86-64-v4", "skylake-avx512")),
    ("popcount pshufb 256", ("host", "x86-64-v3")),
    ("popcount pshufb 128", ("host", "x86-64-v2")),
    ("popcount cnt 128", ("host", "aarch64")),
]


class Graph:
    """Nodes and initialisers of one ONNX graph under construction."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def const(self, name, array):
        if name not in (i.name for i in self.initializers):
            self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def model(self, output, shape):
        value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "layers", [value("x")], [value(output)], self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def quantise(graph, form, x, name):
    """Sign (+1 at 0), or HWGQ with levels 0, s, 2s, 3s."""
    if form == "1w1a":
        zero = graph.const("zero", np.float32(0))
        graph.add("GreaterOrEqual", [x, zero], name + "_positive")
        one, minus = graph.const("one", np.float32(1)), graph.const("minus", np.float32(-1))
        return graph.add("Where", [name + "_positive", one, minus], name)
    step, low = graph.const("step", np.float32(STEP)), graph.const("low", np.float32(0))
    graph.add("Div", [x, step], name + "_scaled")
    graph.add("Clip", [name + "_scaled", low, graph.const("high", np.float32(3))], name + "_clipped")
    graph.add("Round", [name + "_clipped"], name + "_round")
    return graph.add("Mul", [name + "_round", step], name)


def moments(form):
    """Mean and mean square of the levels of a standard normal value."""
    if form == "1w1a":
        return 0.0, 1.0
    z = np.random.default_rng(7).standard_normal(1 << 20)
    levels = np.round(np.clip(z / STEP, 0, 3)) * STEP
    return float(levels.mean()), float((levels**2).mean())


def signs(rng, channels):
    return rng.choice(np.float32([-1, 1]), (channels, channels, 3, 3))


def low_bit_chain(form, channels, size, layers):
    """x -> quantiser -> (conv, batch norm, quantiser) * layers, all codes in use."""
    rng, graph = np.random.default_rng(1), Graph()
    mean_level, mean_square = moments(form)
    y = quantise(graph, form, "x", "q")
    for i in range(layers):
        w = signs(rng, channels)
        bn = {
            "scale": rng.uniform(0.8, 1.2, channels),
            "bias": rng.uniform(-0.2, 0.2, channels),
            "mean": mean_level * w.sum((1, 2, 3)) * 0.05,
            "var": np.full(channels, 9 * channels * (mean_square - mean_level**2) * 0.05**2),
        }
        weight = graph.const(f"w{i}", w * np.float32(0.05))
        y = graph.add("Conv", [y, weight], f"conv{i}", kernel_shape=[3, 3], pads=[1] * 4)
        inputs = [y] + [graph.const(f"{k}{i}", v.astype(np.float32)) for k, v in bn.items()]
        y = graph.add("BatchNormalization", inputs, f"bn{i}")
        y = quantise(graph, form, y, f"q{i}")
    return graph.model(y, [1, channels, size, size])


def float_chain(channels, size, layers):
    """x -> (conv, ReLU) * layers: the float32 peer does no quantiser."""
    rng, graph, y = np.random.default_rng(1), Graph(), "x"
    for i in range(layers):
        weight = graph.const(f"w{i}", signs(rng, channels) * np.float32(0.05))
        y = graph.add("Conv", [y, weight], f"conv{i}", kernel_shape=[3, 3], pads=[1] * 4)
        y = graph.add("Relu", [y], f"relu{i}")
    return graph.model(y, [1, channels, size, size])


def int8_chain(channels, size, layers):
    """x -> (QuantizeLinear, DequantizeLinear, conv) * layers -> Q, DQ; the
    unsigned bytes cut at zero, so that the quantiser is the ReLU."""
    rng, graph, y = np.random.default_rng(1), Graph(), "x"
    scale, point = graph.const("s", np.float32(0.02)), graph.const("z", np.uint8(0))
    weight_scale, weight_point = graph.const("ws", np.float32(0.05 / 127)), graph.const("wz", np.int8(0))
    for i in range(layers):
        graph.add("QuantizeLinear", [y, scale, point], f"q{i}")
        graph.add("DequantizeLinear", [f"q{i}", scale, point], f"dq{i}")
        weight = graph.const(f"w{i}", (signs(rng, channels) * 127).astype(np.int8))
        graph.add("DequantizeLinear", [weight, weight_scale, weight_point], f"dw{i}")
        y = graph.add("Conv", [f"dq{i}", f"dw{i}"], f"conv{i}", kernel_shape=[3, 3], pads=[1] * 4)
    graph.add("QuantizeLinear", [y, scale, point], "q")
    return graph.model(graph.add("DequantizeLinear", ["q", scale, point], "y"), [1, channels, size, size])


def time_onnxruntime(model, x, seconds):
    """Median and minimum in milliseconds, optimised, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for _ in range(3):
        session.run(None, {"x": x})
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        session.run(None, {"x": x})
        times.append((time.perf_counter() - start) * 1e3)
    return {"median_ms": statistics.median(times), "min_ms": min(times)}


class Hwgq:
    """Compiles and times with the programs of a build folder."""

    def __init__(self, bin_dir, target, kernel, folder):
        self.bin, self.target, self.kernel, self.folder = bin_dir, target, kernel, folder

    def call(self, program, *arguments):
        done = subprocess.run([str(self.bin / program), *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"error: {program} failed: {done.stderr.strip()}")
        return done.stdout

    def compile(self, name, model):
        onnx.save(model, self.folder / f"{name}.onnx")
        out = self.folder / f"{name}.so"
        self.call("hwgq-compile", self.folder / f"{name}.onnx", "-o", out,
                  f"--target={self.target}", f"--kernel={self.kernel}")
        return out

    def check(self, name, x):
        """The module's outputs must be the reference's, bit for bit."""
        folders = {"run": self.folder / f"{name}.run", "eval": self.folder / f"{name}.eval"}
        np.save(self.folder / f"{name}.npy", x)
        self.call("hwgq-run", self.folder / f"{name}.so", self.folder / f"{name}.npy", "-o", folders["run"])
        self.call("hwgq-eval", self.folder / f"{name}.onnx", self.folder / f"{name}.npy", "--to=hwgq",
                  "-o", folders["eval"])
        run, reference = (np.load(next(f.glob("0_*.npy"))) for f in folders.values())
        if run.shape != reference.shape or run.tobytes() != reference.tobytes():
            sys.exit(f"error: {name}: the module's output is not the reference's")

    def time(self, module, x_file, seconds):
        return json.loads(self.call("hwgq-run", module, x_file, "--threads=1",
                                    f"--benchmark={seconds}", "--json"))


def per_layer(one, chain):
    """The time of one layer inside a chain, for each statistic."""
    return {k: (chain[k] - one[k]) / (CHAIN - 1) for k in ("median_ms", "min_ms")}


def peers(channels, size, x, seconds):
    """ONNX Runtime's layer times of one shape."""
    rows = {}
    for name, build in (("ort_f32", float_chain), ("ort_int8", int8_chain)):
        one, chain = (time_onnxruntime(build(channels, size, n), x, seconds) for n in (1, CHAIN))
        rows[name] = {"one": one, "layer": per_layer(one, chain)}
    return rows


def measure(hwgq, form, channels, size, x, seconds, check):
    """Our layer time of one form and shape."""
    names = [f"{form}_{channels}_{n}" for n in (1, CHAIN)]
    modules = [hwgq.compile(name, low_bit_chain(form, channels, size, n)) for name, n in zip(names, (1, CHAIN))]
    if check:
        for name in names:
            hwgq.check(name, x)
    np.save(hwgq.folder / "x.npy", x)
    one, chain = (hwgq.time(m, hwgq.folder / "x.npy", seconds) for m in modules)
    return {"one": one, "layer": per_layer(one, chain)}


def ceilings(bin_dir):
    out = subprocess.run([str(bin_dir / "hwgq-ceilings"), "--json"], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def popcount_ceiling(measured, target):
    """The loop and rate, in 1e9 bit-MAC/s, that popcount kernels of `target` are held against."""
    base = target.split("+")[0]
    rates = {c["name"]: c["best"] for c in measured["ceilings"] if c["present"]}
    for name, targets in POPCOUNT_LOOPS:
        if base in targets and name in rates:
            return name, rates[name]
    sys.exit(f"error: no popcount loop of hwgq-ceilings belongs to --target={target} on this machine")


def cpu_flags():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    flags = next((l.split(":")[1].split() for l in lines if l.startswith(("flags", "Features"))), [])
    return [f for f in flags if f.startswith(("ssse3", "avx", "amx", "fma", "asimd", "sve"))]


def print_table(rows, statistic, ceiling):
    number = lambda value, form: format("-" if value is None else format(value, form), f">{form.split('.')[0]}")
    print(f"one thread, {statistic}, ms a layer; share of {ceiling[0]} = {ceiling[1]:.0f} G bit-MAC/s")
    print(f"{'layer':>9} {'form':>5} {'hwgq':>7} {'one':>7} {'G MAC/s':>8} {'share':>6} "
          f"{'ORT f32':>8} {'ORT int8':>8} {'x f32':>6} {'x int8':>6}")
    for r in rows:
        print(f"{r['channels']:>4}@{r['size']:<4} {r['form']:>5} {r['hwgq']['layer'][statistic]:7.3f} "
              f"{r['hwgq']['one'][statistic]:7.3f} {number(r['rate'], '8.0f')} {number(r['share'], '6.0%')} "
              f"{r['ort_f32']['layer'][statistic]:8.3f} {r['ort_int8']['layer'][statistic]:8.3f} "
              f"{number(r['times_f32'], '6.1f')} {number(r['times_int8'], '6.2f')}")


def finish(row, ceiling, statistic):
    """Adds rate, share of the ceiling and speed against the peers; none of them
    where noise left no difference between the chains."""
    row.update(dict.fromkeys(("rate", "share", "times_f32", "times_int8")))
    time_ms = row["hwgq"]["layer"][statistic]
    if time_ms <= 0:
        return row
    bit_macs = 9 * row["channels"] ** 2 * row["size"] ** 2 * FORMS[row["form"]]
    row["rate"] = bit_macs / time_ms * 1e-6
    row["share"] = row["rate"] / ceiling[1]
    row["times_f32"] = row["ort_f32"]["layer"][statistic] / time_ms
    row["times_int8"] = row["ort_int8"]["layer"][statistic] / time_ms
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build folder")
    parser.add_argument("--target", default="host")
    parser.add_argument("--kernel", default="popcount")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--statistic", choices=("median", "min"), default="median")
    parser.add_argument("--channels", type=int, nargs="*", help="only these of 64 128 256 512")
    parser.add_argument("--no-check", action="store_true", help="do not compare outputs with hwgq-eval first")
    parser.add_argument("--json", metavar="FILE", help="write everything measured; - is standard output")
    args = parser.parse_args()
    statistic, bin_dir = args.statistic + "_ms", args.build / "bin"
    measured = ceilings(bin_dir)
    ceiling = popcount_ceiling(measured, args.target)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        hwgq = Hwgq(bin_dir, args.target, args.kernel, Path(folder))
        for channels, size in SHAPES:
            if args.channels and channels not in args.channels:
                continue
            x = np.random.default_rng(3).standard_normal((1, channels, size, size), np.float32)
            ort = peers(channels, size, x, args.seconds)
            for form in FORMS:
                ours = measure(hwgq, form, channels, size, x, args.seconds, not args.no_check)
                row = {"channels": channels, "size": size, "form": form, "hwgq": ours, **ort}
                rows.append(finish(row, ceiling, statistic))
    report = {"date": time.strftime("%Y-%m-%d"), "machine": platform.machine(), "cpu": measured["cpu"],
              "flags": cpu_flags(), "target": args.target, "kernel": args.kernel, "statistic": statistic,
              "popcount_ceiling": {"loop": ceiling[0], "rate": ceiling[1]},
              "ceilings": measured["ceilings"], "layers": rows}
    if args.json == "-":
        print(json.dumps(report, indent=1))
        return
    print_table(rows, statistic, ceiling)
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
