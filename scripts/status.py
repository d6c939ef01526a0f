#!/usr/bin/env python3
"""Prints the network tables of docs/Status.md: compiles each network with the folding verified and compares the
module with the reference interpreter bit for bit.

    .venv/bin/python scripts/status.py [MODEL.onnx ...]      default: examples/digits and the models beside the checkout
    .venv/bin/python scripts/status.py --networks [NAME[,ENCODING,WEIGHTS] ...]
                                    generated networks at full size; default: each in its first way of writing
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(os.environ.get("HWGQ_BUILD", os.path.join(ROOT, "build")), "bin")


class Failed(Exception):
    """A program refused what it was given."""


def run(program, *arguments):
    done = subprocess.run([f"{BIN}/{program}", *arguments], capture_output=True, text=True, timeout=1200)
    if done.returncode:
        raise Failed(f"{program}: " + done.stderr.strip().split("\n")[0].split("error: ")[-1])
    return done.stdout


def compile_measured(model, module, report):
    """CPU seconds and the peak memory in MB of a compilation, folding verified."""
    process = subprocess.Popen(
        [f"{BIN}/hwgq-compile", model, "-o", module, f"--report={report}", "--verify-folding"], stderr=subprocess.PIPE, text=True
    )
    message = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise Failed("refused: " + message.strip().split("\n")[0].split("error: ")[-1].replace(model + ": ", ""))
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def outputs(folder):
    """Names and bytes of all arrays in a folder."""
    files = sorted(os.listdir(folder))
    return [(name, open(os.path.join(folder, name), "rb").read()) for name in files]


def measure(model, inputs, folder):
    """The columns that both tables have, and (CPU seconds, MB) of the compilation."""
    module, report = os.path.join(folder, "m.so"), os.path.join(folder, "r.json")
    cost = compile_measured(model, module, report)
    run("hwgq-run", module, *inputs, "-o", f"{folder}/run")
    run("hwgq-eval", model, *inputs, "-o", f"{folder}/eval", "--to=hwgq")
    same = outputs(f"{folder}/run") == outputs(f"{folder}/eval")
    layers = json.load(open(report))["layers"]
    coded = [layer for layer in layers if layer["act"] != "f32" and layer["weight"] != "f32"]
    names = {layer["name"] for layer in layers}  # The planes of a layer are one.
    on_codes = {layer["name"] for layer in coded}
    folded, channels = sum(layer["channels_folded"] for layer in layers), sum(layer["channels"] for layer in coded)
    columns = f"{'yes' if same else 'NO'} | {len(on_codes)} of {len(names)} | {folded} of {channels}"
    return module, columns, cost


def file_row(model):
    """One line of the table of files, or why the model is refused."""
    name = os.path.basename(model).removesuffix(".onnx")
    name = "digits" if name == "model" else name
    with tempfile.TemporaryDirectory() as folder:
        try:
            module, columns, _ = measure(model, ["--random=1"], folder)
            timed = json.loads(run("hwgq-run", module, "--random=1", "--benchmark=0.3", "--threads=1", "--json"))
        except Failed as failure:
            return f"| {name} | {failure} | | | | |"
        sizes = f"{os.path.getsize(module) / 1024:.0f} / {os.path.getsize(model) / 1024:.0f}"
        return f"| {name} | {columns} | {sizes} | {timed['median_ms']:.4f} |"


def network_row(name, *ways):
    """One line of the table of generated networks. They are made by another process: the memory of this one would
    count as its children's."""
    options = [f"--{option}={value}" for option, value in zip(("encoding", "weights"), ways)]
    with tempfile.TemporaryDirectory() as folder:
        path, image = os.path.join(folder, "model.onnx"), os.path.join(folder, "in.npy")
        generator = [sys.executable, "-m", "hwgq.networks", name, *options, "-o", path, "--inputs", image]
        environment = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "python")}
        subprocess.run(generator, check=True, env=environment)
        try:
            module, columns, (seconds, peak) = measure(path, [image], folder)
        except Failed as failure:
            return f"| {name} | {', '.join(ways)} | {failure} | | | | | |"
        sizes = f"{os.path.getsize(module) / 2**20:.1f} / {os.path.getsize(path) / 2**20:.1f}"
        return f"| {name} | {', '.join(ways)} | {columns} | {sizes} | {seconds:.1f} | {peak:.0f} |"


def networks():
    """[name, encoding, weights] of each in its first way of writing."""
    generator = [sys.executable, "-m", "hwgq.networks", "--list"]
    environment = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "python")}
    lines = subprocess.run(generator, check=True, env=environment, capture_output=True, text=True).stdout.splitlines()
    columns = [re.split(r"  +", line) for line in lines[1:]]
    return [[name, encodings.split()[0], weights.split()[0]] for name, encodings, weights, _ in columns]


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--networks"]:
        print("| network | encoding, weights | equals the reference | layers on codes | channels folded | MiB module / ONNX | CPU s | MB |")
        print("|---|---|---|---|---|---|---|---|")
        for way in [name.split(",") for name in arguments[1:]] or networks():
            print(network_row(*way), flush=True)
        return
    if not arguments:
        beside = os.environ.get("HWGQ_MODELS", os.path.join(ROOT, "..", "shared", "models"))
        arguments = [os.path.join(ROOT, "examples", "digits", "model.onnx")]
        for folder in ("exported", "trained"):
            arguments += sorted(glob.glob(os.path.join(beside, folder, "*.onnx")))
    print("| network | equals the reference | layers on codes | channels folded | KiB module / ONNX | ms, one thread |")
    print("|---|---|---|---|---|---|")
    for model in arguments:
        print(file_row(model), flush=True)


if __name__ == "__main__":
    main()
