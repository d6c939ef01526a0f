"""Compiles, runs and interprets programs of kernelnets.py, and compares bits."""

import itertools
import re

import programs
from kernelnets import Window, conv_codes

TARGETS = ["host", "x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"]
FORMS = ["bytes", "bytes, align = 16", "bytes, align = 64"]
CHANNELS = [1, 3, 63, 64, 65, 128, 200]
OUTPUTS = [1, 7, 8, 9, 16, 31, 32, 33, 40, 64, 72, 130]


def runs(program, kernels, targets):
    """(target, kernel) pairs: all of them, or the host and one other target in turn."""
    if programs.EXHAUSTIVE:
        return list(itertools.product(targets, kernels))
    other = targets[1 + program.seed % (len(targets) - 1)]
    return [(targets[0], kernels[0]), (other, kernels[0])] + [(targets[0], kernel) for kernel in kernels[1:]]


def can_run(target):
    return target == "host" or target.startswith("aarch64") or programs.host_has(target)


def check(tmp_path, program, kernels=("auto", "generic"), targets=TARGETS):
    """Compiled for each target and kernel, and interpreted after a phase in turn."""
    source = tmp_path / "net.mlir"
    source.write_text(program.text())
    inputs = {name[1:]: values for name, _, values in program.inputs}
    for target, kernel in runs(program, kernels, targets):
        if not can_run(target):
            continue
        module = tmp_path / f"{target}-{kernel}.so"
        programs.run("hwgq-compile", source, "-o", module, f"--target={target}", f"--kernel={kernel}")
        actual = programs.run_module(module, inputs, tmp_path / f"{target}-{kernel}", target=target)
        programs.assert_same_bits(actual, program.expected, f"{target} {kernel} of {source}")
    check_forms(tmp_path, program, source, inputs)
    phase = ("hwgq", "bitpack", "kernel")[program.seed % 3]
    actual = programs.evaluate(source, inputs, tmp_path / phase, phase)
    programs.assert_same_bits(actual, program.expected, f"{phase} of {source}")


def check_forms(tmp_path, program, source, inputs):
    """The kernel phase with all codes in another form, compiled and interpreted."""
    kernels = tmp_path / "kernel.mlir"
    programs.run("hwgq-compile", source, "-o", kernels, "--to=kernel", "--kernel=generic")
    text = kernels.read_text()
    forms = FORMS if programs.EXHAUSTIVE else [FORMS[program.seed % 3]]
    for number, form in enumerate(forms):
        changed = re.sub(r"layout<planes((, halo = [^<>]*)?)>", lambda m: f"layout<{form.replace(',', m[1] + ',', 1)}>"
                         if "," in form else f"layout<{form}{m[1]}>", text)
        if changed == text:
            return
        path = tmp_path / f"form{number}.mlir"
        path.write_text(changed)
        others = TARGETS[1:] if programs.EXHAUSTIVE else TARGETS[1:4]
        for target in filter(can_run, ["host", others[(program.seed + number) % len(others)]]):
            module = tmp_path / f"form{number}-{target}.so"
            programs.run("hwgq-compile", path, "-o", module, f"--target={target}")
            actual = programs.run_module(module, inputs, tmp_path / f"form{number}-{target}", target=target)
            programs.assert_same_bits(actual, program.expected, f"{form} on {target} of {source}")
        actual = programs.evaluate(path, inputs, tmp_path / f"form{number}", "kernel")
        programs.assert_same_bits(actual, program.expected, f"{form} of {source}")


def random_window(rng, size):
    while True:
        kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
        window = Window(kernel, tuple(int(v) for v in rng.integers(1, 4, 2)),
                        tuple(int(v) for v in rng.integers(0, 3, 4)),
                        tuple(int(v) for v in rng.integers(1, 3, 2)))
        if min(window.output(s, d) for d, s in enumerate(size)) >= 1:
            return window


def code_conv(program, batch, size, c, k, a, w, window, groups=1, out=None):
    y = conv_of(program, program.quantize(*program.input((batch, *size, c)), a), k, a, w, window, groups)
    if out:
        program.output(*program.threshold(*y, out), program.code(out))
    else:
        program.output(*y, "i32")


def conv_of(program, x, k, a, w, window, groups=1):
    """The sums of a convolution of codes `x` of type `a`."""
    weights = program.weights((k, *window.kernel, x[1].shape[3] // groups), w)
    acc = conv_codes(x[1], weights[1], window, groups)
    return program.contraction(x, weights, acc, (program.code(a), program.code(w)), "i32", window, groups)


def code_matmul(program, m, c, k, a, w, out=None):
    x, xv = program.quantize(*program.input((m, c)), a)
    weights = program.weights((k, c), w)
    acc = xv @ weights[1].T
    y = program.contraction((x, xv), weights, acc, (program.code(a), program.code(w)), "i32")
    if out:
        program.output(*program.threshold(*y, out), program.code(out))
    else:
        program.output(*y, "i32")


def hash_of(text):
    return sum((i + 1) * ord(ch) for i, ch in enumerate(str(text)))


def check_variants(tmp_path, program, kernel, targets):
    """A kernel as each target has it, emulated, and natively where this machine is one."""
    source = tmp_path / "net.mlir"
    source.write_text(program.text())
    inputs = {name[1:]: values for name, _, values in program.inputs}
    for target in targets:
        module = tmp_path / f"{target}-{kernel}.so"
        options = [source, "-o", module, f"--target={target}", f"--kernel={kernel}"]
        programs.run("hwgq-compile", *options, f"--emulate-intrinsics={programs.EMULATION}")
        actual = programs.run_module(module, inputs, tmp_path / f"{target}-{kernel}-emulated")
        programs.assert_same_bits(actual, program.expected, f"{target} {kernel} emulated, of {source}")
        programs.KERNELS_RUN["emulated"] += 1
        if target.startswith("aarch64") and not programs.EXHAUSTIVE:
            continue  # the emulator of AArch64 is slow
        programs.run("hwgq-compile", *options)
        if not programs.can_open(module, target):
            continue
        actual = programs.run_module(module, inputs, tmp_path / f"{target}-{kernel}", target=target)
        programs.assert_same_bits(actual, program.expected, f"{target} {kernel} of {source}")
        programs.KERNELS_RUN["natively"] += 1


def check_forced(tmp_path, program, kernel, target):
    """The program with one kernel for every contraction; its instructions emulated where this machine lacks them."""
    source, module, report = tmp_path / "net.mlir", tmp_path / "net.so", tmp_path / "report.json"
    source.write_text(program.text())
    native = can_run(target)
    emulate = [] if native else [f"--emulate-intrinsics={programs.BUILD / 'test/emulation.o'}"]
    programs.run("hwgq-compile", source, "-o", module, f"--target={target}", f"--kernel={kernel}",
                 f"--report={report}", *emulate)
    assert {layer["kernel"] for layer in programs.read_json(report)["layers"]} == {kernel}
    inputs = {name[1:]: values for name, _, values in program.inputs}
    actual = programs.run_module(module, inputs, tmp_path / "out", target=target if native else "host")
    programs.assert_same_bits(actual, program.expected, f"{target} {kernel} of {source}")
