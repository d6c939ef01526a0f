#!/usr/bin/env python3
"""The innermost loop that a kernel spends its time in, by static inspection.

Compiles MODEL for a target with one kernel to assembly, takes the innermost loop with most
of the instruction that the kernel is named after, and prints how many instructions it has of
each kind and, for each --cpu, its cycles an iteration by LLVM's scheduling model (llvm-mca).
For targets that no machine is at hand for: a count is no measurement.

    benchmarks/inner_loops.py examples/digits/model.onnx --target aarch64+i8mm --kernel dot8 \\
        --instruction usmmla --cpu neoverse-n2 neoverse-v2
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys

COMPILE = pathlib.Path(__file__).resolve().parents[1] / "build/bin/hwgq-compile"


def innermost(assembly, instruction):
    """The lines of the innermost loop with most of an instruction, or none; AArch64."""
    lines = assembly.splitlines()
    labels = {m[1]: i for i, line in enumerate(lines) if (m := re.match(r"(\.L\w+):", line))}
    loops = [(labels[m[1]], i) for i, line in enumerate(lines)
             if (m := re.match(r"\s+(?:b|cb|tb)[.\w]*\s.*?(\.L\w+)\s*$", line)) and labels.get(m[1], i) < i]
    inner = [a for a in loops if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    bodies = [[line for line in lines[a + 1:b + 1] if re.match(r"\s+[a-z]", line)] for a, b in inner]
    return max(bodies, key=lambda body: counts(body)[instruction], default=[])


def counts(body):
    """How many of each instruction."""
    return collections.Counter(line.split()[0] for line in body)


def cycles(body, cpu):
    """Cycles an iteration on a CPU, by llvm-mca; None where its model lacks an instruction."""
    result = subprocess.run(["llvm-mca-22", "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+sve,+i8mm,+dotprod",
                             "-iterations=200"], input="\n".join(body), capture_output=True, text=True)
    found = re.search(r"Total Cycles:\s+(\d+)", result.stdout)
    return int(found[1]) / 200 if result.returncode == 0 and found else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--target", required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--instruction", required=True)
    parser.add_argument("--cpu", nargs="*", default=[])
    parser.add_argument("--compiler", default=COMPILE)
    options = parser.parse_args()
    assembly = subprocess.run([options.compiler, options.model, "-o", "/dev/stdout", "--emit=asm",
                               f"--target={options.target}", f"--kernel={options.kernel}"],
                              capture_output=True, text=True, check=True).stdout
    body = innermost(assembly, options.instruction)
    if not counts(body)[options.instruction]:
        sys.exit(f"no innermost loop has {options.instruction}")
    print(len(body), "instructions:", ", ".join(f"{n} {name}" for name, n in counts(body).most_common()))
    for cpu in options.cpu:
        count = cycles(body, cpu)
        print(f"{cpu}:", "no model of these" if count is None else f"{count:.1f} cycles an iteration")


if __name__ == "__main__":
    main()
