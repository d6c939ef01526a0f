"""Every kernel on odd shapes and all kinds of codes, against a plain NumPy oracle.

The programs start at the hwgq phase; outputs must have equal bits (any NaN equals any NaN)
for each kernel on each target that this machine runs.
"""

import itertools

import numpy as np
import pytest

import programs
from kernelnets import CODES, Program, Window, conv_codes, conv_floats

TARGETS = ["host", "x86-64-v2", "x86-64-v3", "x86-64-v4"]


def check(tmp_path, program, kernels=("auto", "generic"), targets=TARGETS):
    source = tmp_path / "net.mlir"
    source.write_text(program.text())
    inputs = []
    for name, _, values in program.inputs:
        np.save(tmp_path / f"{name[1:]}.npy", values)
        inputs.append(f"{name[1:]}={tmp_path / (name[1:] + '.npy')}")
    ran = 0
    for target, kernel in itertools.product(targets, kernels):
        module, out = tmp_path / f"{target}-{kernel}.so", tmp_path / f"{target}-{kernel}"
        programs.run("hwgq-compile", source, "-o", module, f"--target={target}", f"--kernel={kernel}")
        done = programs.run("hwgq-run", module, *inputs, "-o", out, status=None)
        if done.status == 1 and "feature" in done.stderr:
            continue
        assert done.status == 0, done
        ran += 1
        for i, expected in enumerate(program.expected):
            actual = np.load(out / f"{i}_y{i}.npy")
            assert actual.shape == expected.shape
            same = (actual.view(np.int32) == expected.view(np.int32)) | (np.isnan(actual) & np.isnan(expected))
            assert same.all(), (
                f"{target} {kernel} y{i}: {(~same).sum()} of {same.size} differ, first at "
                f"{np.argwhere(~same)[0]}: {actual[~same][0]!r}, not {expected[~same][0]!r}\n{source}")
    assert ran >= len(kernels)


def random_window(rng, size):
    while True:
        kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
        window = Window(kernel, tuple(int(v) for v in rng.integers(1, 4, 2)),
                        tuple(int(v) for v in rng.integers(0, 3, 4)),
                        tuple(int(v) for v in rng.integers(1, 3, 2)))
        if min(window.output(s, d) for d, s in enumerate(size)) >= 1:
            return window


def code_conv(program, batch, size, c, k, a, w, window, groups=1, out=None):
    x, xv = program.quantize(*program.input((batch, *size, c)), a)
    weights = program.weights((k, *window.kernel, c // groups), w)
    acc = conv_codes(xv, weights[1], window, groups)
    y = program.contraction((x, xv), weights, acc, (program.code(a), program.code(w)), "i32", window, groups)
    if out:
        program.output(*program.threshold(*y, out), program.code(out))
    else:
        program.output(*y, "i32")


def code_matmul(program, m, c, k, a, w, out=None):
    x, xv = program.quantize(*program.input((m, c)), a)
    weights = program.weights((k, c), w)
    acc = xv @ weights[1].T
    y = program.contraction((x, xv), weights, acc, (program.code(a), program.code(w)), "i32")
    if out:
        program.output(*program.threshold(*y, out), program.code(out))
    else:
        program.output(*y, "i32")


@pytest.mark.parametrize("a", CODES)
def test_code_pairs(tmp_path, a):
    program = Program(hash_of(a))
    for w in CODES:
        code_conv(program, 2, (4, 5), 70, 9, a, w, Window((3, 2), (1, 1), (1, 0, 2, 1)),
                  out=program.rng.choice([None, "b1", "u2", "s4"]))
        code_matmul(program, 2, 67, 11, a, w)
    check(tmp_path, program, targets=["host", "x86-64-v3"])


def hash_of(text):
    return sum((i + 1) * ord(ch) for i, ch in enumerate(str(text)))


CHANNELS = [1, 3, 63, 64, 65, 128, 200]
OUTPUTS = [1, 7, 8, 9, 16, 31, 32, 33, 40, 64, 72, 130]


@pytest.mark.parametrize("seed", range(10))
def test_conv_shapes(tmp_path, seed):
    program = Program(seed)
    rng = program.rng
    batch = int(rng.choice([1, 3]))
    for _ in range(8):
        size = tuple(int(v) for v in rng.integers(3, 12, 2))
        c, k = int(rng.choice(CHANNELS)), int(rng.choice(OUTPUTS))
        a, w = rng.choice(["b1", "u1", "u2", "s2", "u2, -1, 1"]), rng.choice(["b1", "b1", "u2, -1, 1", "s2"])
        code_conv(program, batch, size, c, k, a, w, random_window(rng, size),
                  out=rng.choice([None, "b1", "u1", "u2", "u3", "s2"]))
    check(tmp_path, program)


@pytest.mark.parametrize("seed", range(4))
def test_grouped_conv(tmp_path, seed):
    program = Program(100 + seed)
    rng = program.rng
    for groups, c, k in [(2, 128, 16), (3, 192, 72), (2, 10, 6), (5, 5, 5), (4, 160, 64), (70, 70, 140)]:
        size = tuple(int(v) for v in rng.integers(3, 9, 2))
        a, w = rng.choice(["b1", "u2", "s2"]), rng.choice(["b1", "u2, -1, 1"])
        code_conv(program, 2, size, c, k, a, w, random_window(rng, size), groups, rng.choice([None, "u2"]))
    check(tmp_path, program)


@pytest.mark.parametrize("rows", [1, 2, 5, 33])
def test_matmul_shapes(tmp_path, rows):
    program = Program(200 + rows)
    for c, k in itertools.product([1, 64, 100, 2100], [1, 10, 64, 100]):
        a, w = program.rng.choice(["b1", "u2", "s4"]), program.rng.choice(["b1", "u2, -1, 1"])
        code_matmul(program, rows, c, k, a, w, program.rng.choice([None, "b1", "u2", "u8"]))
    check(tmp_path, program)


def test_long_sums(tmp_path):
    """More words than 8- and 16-bit counts hold."""
    program = Program(300)
    code_matmul(program, 2, 64 * 40, 9, "b1", "b1")
    code_matmul(program, 1, 64 * 4200, 8, "u1", "b1")
    code_conv(program, 1, (3, 3), 64 * 33, 8, "u2", "b1", Window((3, 3), pads=(1, 1, 1, 1)))
    check(tmp_path, program, kernels=("auto",))


def float_conv(program, batch, size, c, k, window, groups=1, code=None, wild=False):
    x = program.input((batch, *size, c), wild)
    shape = (k, *window.kernel, c // groups)
    w = program.weights(shape, code) if code else program.float_weights(shape, wild)
    y = conv_floats(x[1], w[1].astype(np.float32), window, groups)
    kinds = ("f32", program.code(code) if code else "f32")
    program.output(*program.contraction(x, w, y, kinds, "f32", window, groups), "f32")


@pytest.mark.parametrize("seed", range(6))
def test_float_conv(tmp_path, seed):
    program = Program(400 + seed)
    rng = program.rng
    batch = int(rng.choice([1, 2]))
    for code in [None, None, None, "b1", "b1", "u2, -1, 1", "s4"]:
        size = tuple(int(v) for v in rng.integers(3, 10, 2))
        c, k = int(rng.choice([1, 3, 8, 17])), int(rng.choice(OUTPUTS))
        float_conv(program, batch, size, c, k, random_window(rng, size), 1, code, wild=rng.random() < 0.5)
    for groups, c, k in [(2, 6, 10), (7, 7, 14), (3, 48, 96)]:
        size = tuple(int(v) for v in rng.integers(3, 7, 2))
        float_conv(program, batch, size, c, k, random_window(rng, size), groups, rng.choice([None, "b1"]))
    check(tmp_path, program)


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_float_matmul(tmp_path, rows):
    program = Program(500 + rows)
    for c, k, code in itertools.product([1, 40, 130], [1, 10, 64, 100], [None, "b1", "u2, -1, 1"]):
        x = program.input((rows, c), wild=c == 40)
        w = program.weights((k, c), code) if code else program.float_weights((k, c))
        y = conv_floats(x[1][:, None, None], w[1].astype(np.float32)[:, None, None], Window((1, 1)), 1)[:, 0, 0]
        kinds = ("f32", program.code(code) if code else "f32")
        program.output(*program.contraction(x, w, y, kinds, "f32"), "f32")
    check(tmp_path, program)


@pytest.mark.parametrize("code", CODES)
def test_quantize(tmp_path, code):
    """Quantisers of all code types, NaN and infinities included, and thresholds on codes."""
    program = Program(600 + hash_of(code))
    for shape in [(3, 3), (3, 64), (3, 130), (3, 3, 2, 5), (3, 2, 3, 72)]:
        y, n = program.quantize(*program.input(shape, wild=True), code)
        program.output(y, n, program.code(code))
        program.output(*program.threshold(y, n, "u2", program.code(code)), program.code("u2"))
    check(tmp_path, program, kernels=("auto",))
