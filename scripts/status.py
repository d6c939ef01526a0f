#!/usr/bin/env python3
"""Prints the network table of docs/Status.md: compiles each model, compares the module with the reference
interpreter bit for bit, and times it on one thread.

    .venv/bin/python scripts/status.py [MODEL.onnx ...]      default: examples/digits and the models beside the checkout
"""

import glob
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(os.environ.get("HWGQ_BUILD", os.path.join(ROOT, "build")), "bin")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def outputs(folder):
    """Names and bytes of all arrays in a folder."""
    files = sorted(os.listdir(folder))
    return [(name, open(os.path.join(folder, name), "rb").read()) for name in files]


def row(model):
    """One line of the table, or why the model is refused."""
    name = os.path.basename(model).removesuffix(".onnx")
    name = "digits" if name == "model" else name
    with tempfile.TemporaryDirectory() as folder:
        module, report = os.path.join(folder, "m.so"), os.path.join(folder, "r.json")
        compiled = run(f"{BIN}/hwgq-compile", model, "-o", module, f"--report={report}", "--verify-folding")
        if compiled.returncode:
            reason = compiled.stderr.strip().split("\n")[0].split("error: ")[-1]
            return f"| {name} | refused: {reason.replace(model + ': ', '')} | | | | |"
        for program, target, extra in (("hwgq-run", module, ()), ("hwgq-eval", model, ("--to=hwgq",))):
            done = run(f"{BIN}/{program}", target, "--random=1", "-o", os.path.join(folder, program), *extra)
            if done.returncode:
                return f"| {name} | {program}: {done.stderr.strip()} | | | | |"
        same = outputs(f"{folder}/hwgq-run") == outputs(f"{folder}/hwgq-eval")
        layers = json.load(open(report))["layers"]
        coded = [layer for layer in layers if layer["act"] != "f32" and layer["weight"] != "f32"]
        folded = sum(layer["channels_folded"] for layer in layers)
        channels = sum(layer["channels"] for layer in coded)
        timed = json.loads(run(f"{BIN}/hwgq-run", module, "--random=1", "--benchmark=0.3", "--threads=1", "--json").stdout)
        return (
            f"| {name} | {'yes' if same else 'NO'} | {len(coded)} of {len(layers)} | {folded} of {channels} | "
            f"{os.path.getsize(module) / 1024:.0f} / {os.path.getsize(model) / 1024:.0f} | {timed['median_ms']:.4f} |"
        )


def main():
    models = sys.argv[1:]
    if not models:
        beside = os.environ.get("HWGQ_MODELS", os.path.join(ROOT, "..", "shared", "models"))
        models = [os.path.join(ROOT, "examples", "digits", "model.onnx")]
        for folder in ("exported", "trained"):
            models += sorted(glob.glob(os.path.join(beside, folder, "*.onnx")))
    print("| network | equals the reference | layers on codes | channels folded | KiB module / ONNX | ms, one thread |")
    print("|---|---|---|---|---|---|")
    for model in models:
        print(row(model), flush=True)


if __name__ == "__main__":
    main()
