"""Random programs of the hwgq phase that reach every kernel, with a plain NumPy oracle.

A program is a few independent chains (input, quantiser, one op, output); `Program.text` is
MLIR, `Program.run` the same in NumPy. Integers are exact; float chains use an exactly
emulated fma, so that outputs must be equal bit for bit.
"""

import numpy as np

CODES = {  # bits, offset, stride
    "b1": (1, -1, 2), "u1": (1, 0, 1), "u2": (2, 0, 1), "u3": (3, 0, 1), "u8": (8, 0, 1),
    "s2": (2, -2, 1), "s4": (4, -8, 1), "s8": (8, -128, 1),
    "u2, -3, 2": (2, -3, 2), "u2, -1, 1": (2, -1, 1), "u4, -15, 2": (4, -15, 2), "u1, 3, 5": (1, 3, 5),
    "u8, -255, 2": (8, -255, 2),
}


def numbers(code):
    bits, offset, stride = CODES[code]
    return offset + stride * np.arange(1 << bits)


def pack(codes, bits):
    planes = (codes.reshape(-1, 1).astype(np.uint8) >> np.arange(bits)) & 1
    return np.packbits(planes.reshape(-1), bitorder="little")


def dense(values, kind):
    """An elements attribute as hexadecimal bytes; a splat is written as its element."""
    data = np.ascontiguousarray(values)
    shape = "x".join(map(str, data.shape))
    if data.size == 1 or (data.reshape(-1) == data.reshape(-1)[0]).all() and data.dtype.kind != "f":
        return f"dense<{data.reshape(-1)[0]}> : tensor<{shape}x{kind}>" if data.dtype.kind != "f" else \
            f'dense<"0x{data.tobytes().hex().upper()}"> : tensor<{shape}x{kind}>'
    return f'dense<"0x{data.tobytes().hex().upper()}"> : tensor<{shape}x{kind}>'


def fma(x, y, z):
    """fma on float32 arrays: the exact product, a sum rounded to odd, then one rounding."""
    with np.errstate(all="ignore"):
        p, c = x.astype(np.float64) * y, z.astype(np.float64)
        s = p + c
        t = s - p
        e = (p - (s - t)) + (c - t)
        bits = s.view(np.int64).copy()
        fix = np.isfinite(s) & np.isfinite(e) & (e != 0) & (bits & 1 == 0)
        up = np.signbit(e) == np.signbit(s)
        bits[fix & up] += 1
        bits[fix & ~up] -= 1
        return bits.view(np.float64).astype(np.float32)


def array(values):
    return f"array<i64: {', '.join(map(str, values))}>"


class Step:
    """A step function to all numbers of a code type, some repeated, with a value for NaN; 8-bit ones are almost even at times."""

    def __init__(self, rng, code):
        self.code = code
        ns = numbers(code)
        points = np.sort(rng.choice(np.arange(-400, 400), len(ns) - 1, replace=False)) / np.float32(128)
        self.points = points.astype(np.float32)
        self.closed = rng.integers(0, 2, len(points)).astype(bool)
        self.values = ns if rng.random() < 0.7 else rng.choice(ns, len(ns))
        self.nan = int(rng.choice(ns))
        if len(ns) == 256 and rng.random() < 0.6:
            even = (np.arange(-127, 128) + rng.uniform(-0.3, 0.3, 255)) * rng.choice([0.01, 0.03, 4])
            self.points, self.values = even.astype(np.float32), ns

    def text(self):
        points = ", ".join(f"{'ge' if c else 'gt'} {float(p)!r}" for p, c in zip(self.points, self.closed))
        return f"#hwgq.step<[{points}], values = [{', '.join(map(str, self.values))}], nan = {self.nan}>"

    def run(self, x):
        passed = np.where(self.closed, x[..., None] >= self.points, x[..., None] > self.points)
        n = np.asarray(self.values)[passed.sum(-1)]
        return np.where(np.isnan(x), self.nan, n).astype(np.int64)


class Thresholds:
    """Random thresholds of one row or one a channel: rising, falling, constant; `even` ones lie on a line."""

    def __init__(self, rng, acc, code, even=False):
        bits, self.offset, self.stride = CODES[code]
        self.code = code
        channels = acc.shape[-1]
        rows = 1 if rng.random() < 0.3 else channels
        count = int(rng.integers(1, 1 << bits)) if rng.random() < 0.5 else (1 << bits) - 1
        self.direction = np.ones(rows, np.int8) if rng.random() < 0.3 else rng.integers(-1, 2, rows).astype(np.int8)
        self.table = np.zeros((rows, count), np.int32)
        for r in range(rows):
            seen = acc.reshape(-1, channels)[:, r] if rows > 1 else acc.reshape(-1)
            row = np.sort(rng.choice(seen, count) + rng.integers(-1, 2, count))
            if self.direction[r] == 0:
                row = rng.integers(0, 1 << bits, 1).repeat(count)
            self.table[r] = row[::-1] if self.direction[r] < 0 else row
            if even:
                low, high = np.sort(rng.choice(seen, 2, replace=False))
                row = low + np.floor(np.arange(count) * rng.uniform(0.4, 1.1) * (high - low) / count).astype(np.int64)
                row[:rng.integers(0, 3)], row[count - rng.integers(0, 3):] = -(2**31), 2**31 - 1
                self.table[r] = (row if self.direction[r] > 0 else row[::-1]) if self.direction[r] else rng.integers(0, 1 << bits)
        if not even and count > 1 and self.direction[0] > 0 and rng.random() < 0.3:
            self.table[0, -1] = 2**31 - 1  # never
            self.table[0, 0] = -(2**31)  # always

    def text(self):
        return f"thresholds = {dense(self.table, 'i32')}, direction = array<i8: {', '.join(map(str, self.direction))}>"

    def run(self, acc):
        n, table = acc[..., None], self.table
        rising, falling = (n >= table).sum(-1), (n <= table).sum(-1)
        code = np.where(self.direction > 0, rising, np.where(self.direction < 0, falling, table[:, 0]))
        return self.offset + self.stride * code


class Window:
    def __init__(self, kernel, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1)):
        self.kernel, self.strides, self.pads, self.dilations = kernel, strides, pads, dilations

    def attributes(self):
        return f"strides = {array(self.strides)}, pads = {array(self.pads)}, dilations = {array(self.dilations)}"

    def output(self, size, d):
        span = size + self.pads[d] + self.pads[d + 2] - (self.kernel[d] - 1) * self.dilations[d] - 1
        return span // self.strides[d] + 1

    def taps(self, x, fill, outputs=None):
        """(kh, kw) -> the input of every output at that tap, `fill` out of bounds."""
        n, h, w, c = x.shape
        oh, ow = outputs or (self.output(h, 0), self.output(w, 1))
        high = [max(0, (o - 1) * s + (k - 1) * d - p + 1 - z) for o, s, k, d, p, z in
                zip((oh, ow), self.strides, self.kernel, self.dilations, self.pads, (h, w))]
        padded = np.pad(x, ((0, 0), (self.pads[0], high[0]), (self.pads[1], high[1]), (0, 0)), constant_values=fill)
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                y0, x0 = ky * self.dilations[0], kx * self.dilations[1]
                yield ky, kx, padded[:, y0:y0 + (oh - 1) * self.strides[0] + 1:self.strides[0],
                                     x0:x0 + (ow - 1) * self.strides[1] + 1:self.strides[1]]


def conv_codes(x, w, window, groups):
    k, cg = w.shape[0], w.shape[3]
    parts = []
    for g in range(groups):
        acc = 0
        for ky, kx, tap in window.taps(x[..., g * cg:(g + 1) * cg], 0):
            acc = acc + tap @ w[g * (k // groups):(g + 1) * (k // groups), ky, kx].T
        parts.append(acc)
    return np.concatenate(parts, -1)


def conv_floats(x, w, window, groups):
    k, cg = w.shape[0], w.shape[3]
    parts = []
    for g in range(groups):
        ws = w[g * (k // groups):(g + 1) * (k // groups)]
        acc = None
        for ky, kx, tap in window.taps(x[..., g * cg:(g + 1) * cg], np.float32(0)):
            if acc is None:
                acc = np.zeros(tap.shape[:-1] + (k // groups,), np.float32)
            for c in range(cg):
                acc = fma(*np.broadcast_arrays(tap[..., c:c + 1], ws[:, ky, kx, c], acc))
        parts.append(acc)
    return np.concatenate(parts, -1)


class Program:
    def __init__(self, seed):
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.lines, self.inputs, self.outputs, self.expected = [], [], [], []
        self.count = 0

    def name(self):
        self.count += 1
        return f"%v{self.count}"

    def input(self, shape, wild=False):
        """A float input; the first size is the batch."""
        x = (self.rng.integers(-512, 513, shape) / 128).astype(np.float32)
        if wild:
            x = self.rng.standard_normal(shape).astype(np.float32)
            special = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-40, -1e-45, 3e38], np.float32)
            spots = self.rng.random(shape) < 0.02
            x[spots] = self.rng.choice(special, int(spots.sum()))
        name = f"%x{len(self.inputs)}"
        self.inputs.append((name, ["?", *shape[1:]], x))
        return name, x

    def emit(self, text, shape, kind):
        name = self.name()
        self.lines.append(f"{name} = {text} -> {self.type(shape, kind)}" if "->" not in text else f"{name} = {text}")
        return name

    @staticmethod
    def type(shape, kind, dynamic=True):
        sizes = ["?", *shape[1:]] if dynamic else shape
        return f"tensor<{'x'.join(map(str, sizes))}x{kind}>"

    @staticmethod
    def code(code):
        return f"!hwgq.code<{code}>"

    def quantize(self, name, x, code):
        step = Step(self.rng, code)
        y = self.emit(f"hwgq.quantize {name} {{step = {step.text()}}} : {self.type(x.shape, 'f32')}",
                      x.shape, self.code(code))
        return y, step.run(x)

    def weights(self, shape, code):
        ns = numbers(code)
        picks = self.rng.integers(0, len(ns), shape)
        bits = CODES[code][0]
        name = self.name()
        self.lines.append(f"{name} = hwgq.constant {dense(pack(picks, bits), 'i8')} as "
                          f"{self.type(shape, self.code(code), False)}")
        return name, ns[picks]

    def float_weights(self, shape, wild=False):
        w = self.rng.standard_normal(shape).astype(np.float32)
        if wild:
            spots = self.rng.random(shape) < 0.01
            w[spots] = self.rng.choice(np.array([np.inf, -0.0, np.nan, 1e-42], np.float32), int(spots.sum()))
        name = self.name()
        self.lines.append(f"{name} = arith.constant {dense(w, 'f32')}")
        return name, w

    def contraction(self, x, w, values, kinds, result, window=None, groups=1):
        (xn, xv), (wn, wv) = x, w
        op = "hwgq.matmul" if window is None else "hwgq.conv2d"
        attributes = "" if window is None else f" {{{window.attributes()}, groups = {groups} : i64}}"
        return self.emit(f"{op} {xn}, {wn}{attributes} : {self.type(xv.shape, kinds[0])}, "
                         f"{self.type(wv.shape, kinds[1], False)}", values.shape, result), values

    def threshold(self, name, acc, code, source="i32", even=False):
        t = Thresholds(self.rng, acc, code, even)
        y = self.emit(f"hwgq.threshold {name} {{{t.text()}}} : {self.type(acc.shape, source)}", acc.shape, self.code(code))
        return y, t.run(acc)

    def output(self, name, values, kind):
        """Integers leave through an affine."""
        if kind != "f32":
            size = self.rng.choice([1, values.shape[-1]])
            scale = self.rng.standard_normal(size).astype(np.float32)
            texts = ", ".join(f"{float(s)!r}" for s in scale)
            out = self.name()
            self.lines.append(f"{out} = hwgq.affine {name} {{scale = array<f32: {texts}>}} : "
                              f"{self.type(values.shape, kind)}")
            name, values = out, values.astype(np.float32) * scale
        self.outputs.append((name, values.shape))
        self.expected.append(values.astype(np.float32))

    def text(self):
        arguments = ", ".join(f"{n}: tensor<{'x'.join(map(str, s))}xf32> {{hwgq.name = \"{n[1:]}\"}}"
                              for n, s, _ in self.inputs)
        results = ", ".join(f"{self.type(s, 'f32')} {{hwgq.name = \"y{i}\"}}" for i, (_, s) in enumerate(self.outputs))
        names = ", ".join(n for n, _ in self.outputs)
        types = ", ".join(self.type(s, "f32") for _, s in self.outputs)
        body = "\n  ".join(self.lines)
        return f"func.func @main({arguments}) -> ({results}) {{\n  {body}\n  return {names} : {types}\n}}\n"
