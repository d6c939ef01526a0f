"""Every kernel on odd shapes and all kinds of codes, against a plain NumPy oracle.

The programs start at the hwgq phase; outputs must have equal bits (any NaN equals any NaN)
for each kernel on each target that this machine runs.
"""

import itertools
import re

import numpy as np
import pytest

import programs
from kernelchecks import CHANNELS, OUTPUTS, TARGETS, can_run, check, code_conv, code_matmul, hash_of, random_window
from kernelnets import CODES, Program, Window, array, conv_codes, conv_floats


PAIRS = [code for code in CODES if programs.EXHAUSTIVE or code != "u8, -255, 2"]


@pytest.mark.parametrize("a", PAIRS)
def test_code_pairs(tmp_path, a):
    program = Program(hash_of(a))
    for w in PAIRS if programs.EXHAUSTIVE else program.rng.choice(PAIRS, 5, replace=False):
        code_conv(program, 2, (4, 5), 70, 9, a, w, Window((3, 2), (1, 1), (1, 0, 2, 1)),
                  out=program.rng.choice([None, "b1", "u2", "s4"]))
        code_matmul(program, 2, 67, 11, a, w)
    check(tmp_path, program)


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


@pytest.mark.parametrize("seed", range(3))
def test_even_thresholds(tmp_path, seed):
    """Many thresholds almost on a line, as 8-bit quantisers have, with always, never, falling and constant ones."""
    program = Program(800 + seed)
    rng = program.rng
    for out in ("u8", "s8", "u8"):
        x, xv = program.quantize(*program.input((2, 5, 6, 30)), "u8")
        window = Window((3, 3), (1, 1), (1, 1, 1, 1))
        k = int(rng.choice(OUTPUTS))
        weights = program.weights((k, 3, 3, 30), rng.choice(["s8", "b1", "s4"]))
        acc = conv_codes(xv, weights[1], window, 1)
        kinds = (program.code("u8"), weights_code(program))
        y = program.contraction((x, xv), weights, acc, kinds, "i32", window)
        program.output(*program.threshold(*y, out, even=True), program.code(out))
    check(tmp_path, program)


def weights_code(program):
    """The type of the last constant of a program."""
    return re.findall(r"!hwgq\.code<[^>]*>", [line for line in program.lines if "hwgq.constant" in line][-1])[-1]


@pytest.mark.parametrize("seed", range(4))
def test_grouped_conv(tmp_path, seed):
    program = Program(100 + seed)
    rng = program.rng
    for groups, c, k in [(2, 128, 16), (3, 192, 72), (2, 10, 6), (5, 5, 5), (4, 160, 64), (70, 70, 140)]:
        size = tuple(int(v) for v in rng.integers(3, 9, 2))
        a, w = rng.choice(["b1", "u2", "s2"]), rng.choice(["b1", "u2, -1, 1"])
        code_conv(program, 2, size, c, k, a, w, random_window(rng, size), groups, rng.choice([None, "u2"]))
    check(tmp_path, program)


@pytest.mark.parametrize("seed", range(4))
def test_narrow_groups(tmp_path, seed):
    """Groups that kernels take only together: of few channels, of no multiple of them, with several filters a channel."""
    program = Program(140 + seed)
    rng = program.rng
    shapes = [(32, 128, 128), (16, 128, 128), (8, 40, 40), (2, 96, 96), (6, 36, 24), (3, 240, 120), (24, 24, 48), (70, 70, 70)]
    for groups, c, k in shapes[seed % 2::2]:
        size = tuple(int(v) for v in rng.integers(3, 12, 2))
        a, w = rng.choice(list(CODES)), rng.choice(["b1", "b1", "s4", "u2, -3, 2", "u4, -15, 2", "u1, 3, 5", "u8, -255, 2"])
        code_conv(program, 2, size, c, k, a, w, random_window(rng, size), groups, rng.choice([None, "b1", "u2", "s4"]))
    check(tmp_path, program)


@pytest.mark.parametrize("seed", range(2))
def test_depthwise_conv(tmp_path, seed):
    program = Program(150 + seed)
    rng = program.rng
    for c in [1, 7, 8, 17, 64, 70, 130]:
        size = tuple(int(v) for v in rng.integers(3, 12, 2))
        a, w = rng.choice(list(CODES)), rng.choice(["b1", "s4", "s8", "u2, -1, 1"])
        code_conv(program, 2, size, c, c, a, w, random_window(rng, size), c, rng.choice([None, "u2", "s4"]))
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
    code_matmul(program, 2, 64 * 4200, 8, "u1", "b1")
    code_conv(program, 2, (3, 3), 64 * 33, 8, "u2", "b1", Window((3, 3), pads=(1, 1, 1, 1)))
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


def float_matmul(program, rows, c, k, code, wild=False):
    x = program.input((rows, c), wild)
    w = program.weights((k, c), code) if code else program.float_weights((k, c))
    y = conv_floats(x[1][:, None, None], w[1].astype(np.float32)[:, None, None], Window((1, 1)), 1)[:, 0, 0]
    kinds = ("f32", program.code(code) if code else "f32")
    program.output(*program.contraction(x, w, y, kinds, "f32"), "f32")


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_float_matmul(tmp_path, rows):
    program = Program(500 + rows)
    for c, k, code in itertools.product([1, 40, 130], [1, 10, 64, 100], [None, "b1", "u2, -1, 1"]):
        float_matmul(program, rows, c, k, code, wild=c == 40)
    check(tmp_path, program)


def test_parts_of_chains(tmp_path):
    """Packed and many weights of float layers: parts of chains with a rest, wide rows, groups, single outputs."""
    program = Program(570)
    same = Window((3, 3), pads=(1, 1, 1, 1))
    float_conv(program, 2, (5, 7), 67, 64, same, 1, "b1")
    float_conv(program, 2, (14, 9), 40, 16, Window((3, 3), (2, 2), (1, 1, 1, 1), (2, 2)), 1, "u2, -1, 1", wild=True)
    float_conv(program, 2, (3, 300), 3, 64, Window((1, 1)), 1, "b1")
    float_conv(program, 2, (1, 2100), 2, 64, Window((1, 3)), 1, "b1")
    float_conv(program, 2, (8, 8), 24, 160, same, 2, "b1", wild=True)
    float_conv(program, 2, (3, 3), 20, 130, Window((3, 3)), 1, "b1")
    float_conv(program, 2, (6, 6), 9, 24, same, 1, "s4")
    float_conv(program, 2, (4, 5), 150, 64, same)
    check(tmp_path, program, kernels=("auto",))


@pytest.mark.parametrize("rows", [1, 2, 3, 40])
def test_float_matmul_of_fixed_rows(tmp_path, rows):
    """Tiles of few rows are wider."""
    program = Program(580)
    for c, k, code in [(300, 64, "b1"), (300, 200, "b1"), (300, 40, "u2, -1, 1"), (1100, 64, None)]:
        float_matmul(program, rows, c, k, code)
    source = tmp_path / "net.mlir"
    source.write_text(program.text())
    inputs = {name[1:]: values for name, _, values in program.inputs}
    for target in filter(can_run, TARGETS):
        module = tmp_path / f"{target}.so"
        programs.run("hwgq-compile", source, "-o", module, f"--target={target}", f"--batch={rows}")
        actual = programs.run_module(module, inputs, tmp_path / target, target=target)
        programs.assert_same_bits(actual, program.expected, f"{target} of {source}")


def elementwise(program, name, values):
    """(x * scale[channel] + residual) * pixel scale, in one or two ops; both sums are outputs or only the last is."""
    rng, shape, rank = program.rng, values.shape, values.ndim
    dims = [f"d{d}" for d in range(rank)]

    def generic(x, operands, body):
        maps = ", ".join(f"affine_map<({', '.join(dims)}) -> ({', '.join(m)})>" for _, _, m in operands)
        names, types = ", ".join(n for n, _, _ in operands), ", ".join(t for _, t, _ in operands)
        kind, parallel = program.type(shape, "f32"), ", ".join(['"parallel"'] * rank)
        args = ", ".join(f"%a{i}: f32" for i in range(len(operands)))
        return program.emit(
            f"linalg.generic {{indexing_maps = [{maps}, affine_map<({', '.join(dims)}) -> ({', '.join(dims)})>], "
            f"iterator_types = [{parallel}]}} ins({names} : {types}) outs({x} : {kind}) "
            f"{{\n ^bb0({args}, %o: f32):\n {body}\n }} -> {kind}", shape, "f32")

    whole = program.type(shape, "f32")
    scale, sv = program.float_weights((shape[-1],))
    residual, rv = program.input(shape)
    y = generic(name, [(name, whole, dims), (scale, f"tensor<{shape[-1]}xf32>", dims[-1:]), (residual, whole, dims)],
                "%p = arith.mulf %a0, %a1 : f32\n %s = arith.addf %p, %a2 : f32\n linalg.yield %s : f32")
    values = values * sv + rv
    if rng.random() < 0.5:
        program.output(y, values, "f32")
    if rng.random() < 0.5:
        return y, values
    pixel, pv = program.input(shape[:-1])
    y = generic(y, [(y, whole, dims), (pixel, program.type(shape[:-1], "f32"), dims[:-1])],
                "%p = arith.mulf %a0, %a1 : f32\n linalg.yield %p : f32")
    return y, values * pv[..., None]


def affine(program, name, values):
    scale = (2.0 ** program.rng.integers(-9, -5, program.rng.choice([1, values.shape[-1]]))).astype(np.float32)
    y = program.name()
    program.lines.append(f"{y} = hwgq.affine {name} {{scale = array<f32: {', '.join(repr(float(s)) for s in scale)}>}} "
                         f": {program.type(values.shape, 'i32')}")
    return y, values.astype(np.float32) * scale


@pytest.mark.parametrize("seed", range(6))
def test_groups(tmp_path, seed):
    """Element-wise ops and quantisers behind contractions, pools and inputs."""
    program = Program(1000 + seed)
    rng = program.rng
    for root in ["codes", "codes", "groups", "rows", "floats", "float groups", "max", "avg", "none"]:
        size = tuple(int(v) for v in rng.integers(3, 9, 2))
        c, k = int(rng.choice(CHANNELS)), int(rng.choice(OUTPUTS))
        a, w, groups, window = rng.choice(["b1", "u2", "s4"]), rng.choice(["b1", "u2, -1, 1"]), 1, random_window(rng, size)
        if root == "groups":
            groups, c, k = [(2, 128, 80), (3, 9, 15), (37, 37, 37), (8, 32, 32)][rng.integers(4)]
        if root == "float groups":
            groups, c, k = 3, 6, 12
        if root in ("codes", "groups"):
            x = program.quantize(*program.input((2, *size, c)), a)
            weights = program.weights((k, *window.kernel, c // groups), w)
            acc = conv_codes(x[1], weights[1], window, groups)
            y = affine(program, *program.contraction(x, weights, acc, (program.code(a), program.code(w)), "i32", window,
                                                     groups))
        elif root == "rows":
            x = program.quantize(*program.input((2, c)), a)
            weights = program.weights((k, c), w)
            y = affine(program, *program.contraction(x, weights, x[1] @ weights[1].T, (program.code(a), program.code(w)),
                                                     "i32"))
        elif root in ("floats", "float groups"):
            x = program.input((2, *size, c))
            weights = program.float_weights((k, *window.kernel, c // groups))
            y = program.contraction(x, weights, conv_floats(*x[1:], weights[1], window, groups), ("f32", "f32"), "f32",
                                    window, groups)
        else:
            y = program.input((2, *size, k))
            if root != "none":
                window, outputs = pool_window(rng, size, 0)
                extra = "" if root == "max" else ", count_include_pad = true, scale = 1.0 : f32"
                values = y[1]
                shape = (2, *outputs, k)
                name = program.emit(f"hwgq.{root}_pool {y[0]} {pool_attributes(window, extra)} : "
                                    f"{program.type(values.shape, 'f32')}", shape, "f32")
                if root == "max":
                    values = max_pool(values, window, outputs, np.zeros(k, bool))
                else:
                    total, count = np.float32(0), 0
                    ones = np.ones((1, *(s + window.pads[d] + window.pads[d + 2] for d, s in enumerate(size)), 1))
                    unpadded = Window(window.kernel, window.strides, (0, 0, 0, 0), window.dilations)
                    for (_, _, tap), (_, _, one) in zip(window.taps(values, np.float32(0), outputs),
                                                        unpadded.taps(ones, 0, outputs)):
                        total, count = total + tap, count + one
                    values = total / count.astype(np.float32)
                y = name, values
        y = elementwise(program, *y)
        code = rng.choice(["b1", "u2", "u3", "s4"])
        if rng.random() < 0.3:
            program.output(*y, "f32")
        program.output(*program.quantize(*y, code), program.code(code))
    check(tmp_path, program)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_few_channels(tmp_path, channels):
    """Element-wise work on images whose channels do not fill a vector, and from channels first."""
    program = Program(1100 + channels)
    for width in (3, 8, 16, 21, 37, 64):
        y = elementwise(program, *program.input((2, 3, width, channels)))
        program.output(*y, "f32")
        x, xv = program.input((2, channels, 3, width))
        scale, sv = program.float_weights((channels,))
        values = xv.transpose(0, 2, 3, 1)
        kind = program.type(values.shape, "f32")
        dims = "(d0, d1, d2, d3)"
        y = program.emit(
            f"linalg.generic {{indexing_maps = [affine_map<{dims} -> (d0, d3, d1, d2)>, affine_map<{dims} -> (d3)>, "
            f'affine_map<{dims} -> {dims}>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}} '
            f"ins({x}, {scale} : {program.type(xv.shape, 'f32')}, tensor<{channels}xf32>) outs({y[0]} : {kind}) "
            f"{{\n ^bb0(%a: f32, %s: f32, %o: f32):\n %p = arith.divf %a, %s : f32\n linalg.yield %p : f32\n }} "
            f"-> {kind}", values.shape, "f32")
        program.output(y, values / sv, "f32")
    check(tmp_path, program, kernels=("auto",))


def test_transposes(tmp_path):
    """Element-wise work on transposed operands: whole tiles of vectors, ends of rows and less than a vector."""
    program = Program(1200)
    for shape, permutation in [((2, 5, 19, 37), (0, 3, 1, 2)), ((2, 3, 16, 16), (0, 3, 1, 2)), ((2, 21, 4, 33), (0, 2, 3, 1)),
                               ((2, 17, 4, 19), (0, 3, 2, 1)), ((2, 40, 23), (0, 2, 1)), ((2, 3, 15, 3), (0, 3, 1, 2))]:
        x, xv = program.input(shape)
        moved = xv.transpose(permutation)
        z, zv = program.input(moved.shape)
        dims = [f"d{i}" for i in range(len(shape))]
        source = ", ".join(dims[permutation.index(i)] for i in range(len(shape)))
        result = f"affine_map<({', '.join(dims)}) -> ({', '.join(dims)})>"
        kind = program.type(moved.shape, "f32")
        parallel = ", ".join(['"parallel"'] * len(shape))
        y = program.emit(
            f"linalg.generic {{indexing_maps = [affine_map<({', '.join(dims)}) -> ({source})>, {result}, {result}], "
            f"iterator_types = [{parallel}]}} "
            f"ins({x}, {z} : {program.type(shape, 'f32')}, {kind}) outs({z} : {kind}) "
            f"{{\n ^bb0(%a: f32, %s: f32, %o: f32):\n %p = arith.subf %a, %s : f32\n linalg.yield %p : f32\n }} "
            f"-> {kind}", moved.shape, "f32")
        program.output(y, moved - zv, "f32")
    check(tmp_path, program, kernels=("auto",))


@pytest.mark.parametrize("code", CODES)
def test_quantize(tmp_path, code):
    """Quantisers of all code types, NaN and infinities included, and thresholds on codes."""
    program = Program(600 + hash_of(code))
    for shape in [(3, 3), (3, 64), (3, 130), (3, 3, 2, 5), (3, 2, 3, 72)]:
        y, n = program.quantize(*program.input(shape, wild=True), code)
        program.output(y, n, program.code(code))
        program.output(*program.threshold(y, n, "u2", program.code(code)), program.code("u2"))
    check(tmp_path, program, kernels=("auto",))


def pool_attributes(window, extra=""):
    return f"{{kernel = {array(window.kernel)}, {window.attributes()}{extra}}}"


def pool_window(rng, size, ceil):
    """A window whose pads are smaller than its kernel, and its output size."""
    while True:
        kernel = tuple(int(v) for v in rng.integers(1, 4, 2))
        dilations = tuple(int(v) for v in rng.integers(1, 3, 2))
        pads = tuple(int(rng.integers(0, (kernel[d % 2] - 1) * dilations[d % 2] + 1)) for d in range(4))
        window = Window(kernel, tuple(int(v) for v in rng.integers(1, 4, 2)), pads, dilations)
        outputs = [window.output(s, d) for d, s in enumerate(size)]
        if min(outputs) < 1:
            continue
        grown = [o + ceil if (o * window.strides[d] - pads[d]) < size[d] else o for d, o in enumerate(outputs)]
        last_taps = [any(0 <= (o - 1) * window.strides[d] - pads[d] + k * dilations[d] < size[d]
                         for k in range(kernel[d])) for d, o in enumerate(grown)]
        first_taps = [any(0 <= y * window.strides[d] - pads[d] + k * dilations[d] < size[d] for k in range(kernel[d]))
                      for d, o in enumerate(grown) for y in range(o)]
        if all(last_taps) and all(first_taps):
            return window, tuple(grown)


def max_pool(x, window, outputs, falling):
    """Maximum, or minimum of falling channels, over the taps in bounds."""
    if x.dtype.kind == "f":
        high, low = np.float32(np.inf), np.float32(-np.inf)
    else:
        high, low = 2**31 - 1, -(2**31)
    best_high = best_low = None

    def maximum(a, b):  # NaN stays, -0 < +0
        with np.errstate(invalid="ignore", over="ignore"):
            return np.where((a == 0) & (b == 0), a + b, np.maximum(a, b))

    for (_, _, a), (_, _, b) in zip(window.taps(x, low, outputs), window.taps(x, high, outputs)):
        best_high = a if best_high is None else maximum(best_high, a)
        best_low = b if best_low is None else -maximum(-best_low, -b)
    return np.where(falling, best_low, best_high)


@pytest.mark.parametrize("seed", range(3))
def test_max_pool(tmp_path, seed):
    program = Program(700 + seed)
    rng = program.rng
    for code, c in [("b1", 5), ("u2", 64), ("s4", 70), ("u8", 130), ("f32", 3), ("f32", 37), ("f32", 70), ("i32", 20)]:
        size = tuple(int(v) for v in rng.integers(3, 9, 2))
        window, outputs = pool_window(rng, size, int(rng.integers(0, 2)))
        falling = rng.integers(0, 2, c).astype(bool) if rng.random() < 0.5 else np.zeros(c, bool)
        name, values = program.input((2, *size, c), wild=code == "f32")
        kind = code
        if code == "i32":
            name, values = program.quantize(name, values, "s8")
            w, wv = program.weights((c, 1, 1, c), "b1")
            acc = conv_codes(values, wv, Window((1, 1)), 1)
            name, values = program.contraction((name, values), (w, wv), acc, (program.code("s8"), program.code("b1")),
                                               "i32", Window((1, 1)))
        elif code != "f32":
            name, values = program.quantize(name, values, code)
            kind = program.code(code)
        extra = f", falling = array<i1: {', '.join(str(bool(f)).lower() for f in falling)}>" if falling.any() else ""
        shape = (2, *outputs, c)
        y = program.emit(f"hwgq.max_pool {name} {pool_attributes(window, extra)} : {program.type(values.shape, kind)}",
                         shape, kind)
        program.output(y, max_pool(values, window, outputs, falling), kind)
    check(tmp_path, program, kernels=("auto",))


@pytest.mark.parametrize("target", TARGETS)
def test_max_pool_of_specials(tmp_path, target):
    """NaNs of both signs, zeros of both signs and infinities in all places of a window, minima included."""
    if not can_run(target):
        pytest.skip("this machine does not run it")
    program = Program(750)
    rng = program.rng
    negative_nan = np.array([0xFFC00001], np.uint32).view(np.float32)[0]
    kinds = [[0.0, -0.0], [-0.0, -1.0, -np.inf], [0.0, -0.0, np.nan], [-0.0, negative_nan, -1e-45], [-np.inf, np.inf, 1e-45],
             [-np.inf, -3e38], [-np.inf, np.nan, negative_nan, -0.0], [1.0, 2.0, -3.0, negative_nan]]
    for c, window in [(70, Window((3, 3), (2, 2), (1, 1, 1, 1))), (19, Window((3, 3), (1, 1), (0, 2, 1, 0), (1, 2))),
                      (33, Window((2, 9), (1, 2), (0, 3, 1, 4))), (3, Window((1, 1), (2, 3)))]:
        size = (7, 19)
        name, x = program.input((4, *size, c))
        for n, i in itertools.product(range(4), range(c)):
            x[n, ..., i] = rng.choice(np.array(kinds[(n + i) % len(kinds)], np.float32), size)
        outputs = [window.output(s, d) for d, s in enumerate(size)]
        for falling in (np.zeros(c, bool), rng.integers(0, 2, c).astype(bool)):
            extra = f", falling = array<i1: {', '.join(str(bool(f)).lower() for f in falling)}>"
            y = program.emit(f"hwgq.max_pool {name} {pool_attributes(window, extra)} : {program.type(x.shape, 'f32')}",
                             (4, *outputs, c), "f32")
            program.output(y, max_pool(x, window, outputs, falling), "f32")
    check(tmp_path, program, kernels=("auto",), targets=[target, target])


def channels_last(program, name, values):
    """An op that turns channels first to last, as images come."""
    n, c, h, w = values.shape
    dims = "(d0, d1, d2, d3)"
    kind = program.type((n, h, w, c), "f32")
    like, _ = program.input((n, h, w, c))
    y = program.emit(f"linalg.generic {{indexing_maps = [affine_map<{dims} -> (d0, d3, d1, d2)>, affine_map<{dims} -> {dims}>], "
                     f'iterator_types = ["parallel", "parallel", "parallel", "parallel"]}} '
                     f"ins({name} : {program.type(values.shape, 'f32')}) outs({like} : {kind}) "
                     f"{{\n ^bb0(%a: f32, %o: f32):\n linalg.yield %a : f32\n }} -> {kind}", (n, h, w, c), "f32")
    return y, values.transpose(0, 2, 3, 1)


@pytest.mark.parametrize("case", [
    ("max", (28, 300), 40, Window((3, 3), (1, 1), (1, 1, 1, 1)), Window((3, 3), (2, 2), (0, 0, 1, 1))),
    ("max", (13, 520), 48, Window((1, 1)), Window((2, 2), (1, 1), (0, 1, 2, 0), (2, 1))),
    ("max", (64, 602), 33, Window((2, 2), (2, 2)), Window((2, 3), (3, 2), (1, 0, 0, 0))),
    ("avg", (32, 300), 32, Window((1, 2)), Window((5, 3), (1, 1), (2, 1, 3, 0)))])
@pytest.mark.parametrize("first, whole", [(True, False), (False, False), (True, True)])
def test_pooled_convolution(tmp_path, case, first, whole):
    """Pools behind convolutions of floats, whose tasks pool the rows that they made; images with channels first and last;
    the whole result of the convolution as an output."""
    root, size, k, conv, pool = case
    program = Program(770 + len(root) * size[0] + first)
    y = channels_last(program, *program.input((2, 3, *size))) if first else program.input((2, *size, 3))
    weights = program.float_weights((k, *conv.kernel, 3))
    values = conv_floats(y[1], weights[1], conv, 1)
    y = program.contraction(y, weights, values, ("f32", "f32"), "f32", conv)
    bias, bv = program.float_weights((k,))
    kind, dims = program.type(values.shape, "f32"), "(d0, d1, d2, d3)"
    name = program.emit(f"linalg.generic {{indexing_maps = [affine_map<{dims} -> {dims}>, affine_map<{dims} -> (d3)>, "
                        f'affine_map<{dims} -> {dims}>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}} '
                        f"ins({y[0]}, {bias} : {kind}, tensor<{k}xf32>) outs({y[0]} : {kind}) "
                        f"{{\n ^bb0(%a: f32, %b: f32, %o: f32):\n %s = arith.addf %a, %b : f32\n linalg.yield %s : f32\n }} "
                        f"-> {kind}", values.shape, "f32")
    y = name, values + bv
    if whole:
        program.output(*y, "f32")
    outputs = [pool.output(s, d) for d, s in enumerate(values.shape[1:3])]
    extra = "" if root == "max" else ", count_include_pad = true, scale = 1.0 : f32"
    name = program.emit(f"hwgq.{root}_pool {y[0]} {pool_attributes(pool, extra)} : {program.type(y[1].shape, 'f32')}",
                        (2, *outputs, k), "f32")
    if root == "max":
        y = name, max_pool(y[1], pool, outputs, np.zeros(k, bool))
    else:
        total = np.float32(0)
        for _, _, tap in pool.taps(y[1], np.float32(0), outputs):
            total = total + tap
        y = name, total / np.float32(np.prod(pool.kernel))
    program.output(*y, "f32")
    program.output(*program.quantize(*y, "u2"), program.code("u2"))
    check(tmp_path, program, kernels=("auto",))


@pytest.mark.parametrize("seed", range(3))
def test_avg_pool(tmp_path, seed):
    program = Program(800 + seed)
    rng = program.rng
    for code, c in [("b1", 5), ("u2", 64), ("s4", 70), ("f32", 3), ("f32", 37)]:
        size = tuple(int(v) for v in rng.integers(3, 9, 2))
        window, outputs = pool_window(rng, size, int(rng.integers(0, 2)))
        include = bool(rng.integers(0, 2))
        scale = np.float32(1 if code == "f32" else rng.standard_normal())
        name, values = program.input((2, *size, c))
        kind = "f32" if code == "f32" else program.code(code)
        if code != "f32":
            name, values = program.quantize(name, values, code)
        extra = f", count_include_pad = {str(include).lower()}, scale = {float(scale)!r} : f32"
        y = program.emit(f"hwgq.avg_pool {name} {pool_attributes(window, extra)} : {program.type(values.shape, kind)}",
                         (2, *outputs, c), "f32")
        total, count = 0, 0
        padded = [(window.pads[d], size[d] + window.pads[d + 2]) for d in (0, 1)]
        for ky, kx, tap in window.taps(values, values.dtype.type(0), outputs):
            total = total + tap
            inside = []
            for d, k in ((0, ky), (1, kx)):
                at = np.arange(outputs[d]) * window.strides[d] + k * window.dilations[d] - window.pads[d]
                low, high = (-padded[d][0], padded[d][1]) if include else (0, size[d])
                inside.append((at >= low) & (at < high))
            count = count + np.outer(*inside)[None, :, :, None]
        if code == "f32":
            expected = total / count.astype(np.float32)
        else:
            expected = total.astype(np.float32) * (np.float64(scale) / count).astype(np.float32)
        program.output(y, expected, "f32")
    check(tmp_path, program, kernels=("auto",))


def test_moves(tmp_path):
    """Pads, concatenations, reshapes, transposes and slices of codes, and pads of floats."""
    program = Program(900)
    rng = program.rng
    for code, c, lows, highs in [("b1", 64, (0, 1, 2, 0), (0, 0, 1, 0)), ("u2", 70, (0, 0, 1, 3), (0, 2, 0, 60)),
                                 ("f32", 5, (0, 1, 0, 2), (0, 1, 3, 1))]:
        name, values = program.input((2, 3, 4, c))
        kind, value = "f32", 0.5
        if code != "f32":
            name, values = program.quantize(name, values, code)
            kind, value = program.code(code), int(rng.choice([1]))
        padded = np.pad(values, list(zip(lows, highs)), constant_values=value)
        suffix = "f32" if code == "f32" else "i32"
        y = program.emit(f"hwgq.pad {name} {{low = {array(lows)}, high = {array(highs)}, value = {value} : {suffix}}} : "
                         f"{program.type(values.shape, kind)}", padded.shape, kind)
        program.output(y, padded, kind)
    kind = program.code("u2")
    for dim, sizes in [(3, [(3, 4, 64), (3, 4, 30), (3, 4, 100)]), (1, [(2, 4, 70), (3, 4, 70)]),
                       (2, [(2, 1, 9), (2, 5, 9)]), (1, [(70,), (10,)])]:
        parts = [program.quantize(*program.input((2, *size)), "u2") for size in sizes]
        joined = np.concatenate([v for _, v in parts], dim)
        types = ", ".join(program.type(v.shape, kind) for _, v in parts)
        y = program.emit(f"tensor.concat dim({dim}) {', '.join(n for n, _ in parts)} : ({types}) -> "
                         f"{program.type(joined.shape, kind)}", joined.shape, kind)
        program.output(y, joined, kind)
    for c in (7, 64, 70):  # other pixels of the same channels
        name, values = program.quantize(*program.input((2, 3, 5, c)), "u2")
        y = program.emit(f"tensor.collapse_shape {name} [[0], [1, 2], [3]] : {program.type(values.shape, kind)} into "
                         f"{program.type((2, 15, c), kind)} // ->", (2, 15, c), kind)
        program.output(y, values.reshape(2, 15, c), kind)
    for shape, flat in [((2, 2, 3, 64), (2, 384)), ((2, 3, 5, 7), (2, 105))]:
        name, values = program.quantize(*program.input(shape), "u2")
        y = program.emit(f"tensor.collapse_shape {name} [[0], [1, 2, 3]] : {program.type(shape, kind)} into "
                         f"{program.type(flat, kind)} // ->", flat, kind)
        program.output(y, values.reshape(flat), kind)
        w, wv = program.weights((9, flat[1]), "b1")
        acc = values.reshape(flat) @ wv.T
        program.output(*program.contraction((y, values.reshape(flat)), (w, wv), acc, (kind, program.code("b1")), "i32"),
                       "i32")
    check(tmp_path, program, kernels=("auto",))
