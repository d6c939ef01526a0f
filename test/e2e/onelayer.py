"""One-layer networks in which every accumulator, tie and border is reached.

    input -> quantiser -> matmul | convolution -> [max-pool] -> batch norm -> [max-pool] -> quantiser -> output

One file holds one input quantiser and, side by side, one such layer for each output
quantiser. Every number is a dyadic rational of few bits, so that float32 arithmetic is
exact in any order and ONNX Runtime (without graph optimisation) is an exact oracle.

    python onelayer.py --input hwgq --net conv [--output round] -o FOLDER

writes model.onnx and x.npy, for looking into a failure by hand.
"""

import argparse
import itertools
import pathlib
import zlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper

STEP = 0.5
EPSILON = 2.0**-10
CHANNELS = 10
NETS = ("matmul", "conv", "pool_bn", "bn_pool", "quant_pool")


class Graph:
    """Collects nodes and constants under unique names."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind, *inputs, **attributes):
        name = f"n{len(self.nodes)}_{kind}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name


class Form:
    """A quantiser: levels ascending, breakpoints (value, side), and the ONNX nodes for it.

    Side ">=": the breakpoint belongs to the level above it; ">": to the level below.
    """

    def __init__(self, levels, breakpoints, build):
        self.levels, self.breakpoints, self.build = levels, breakpoints, build

    def codes(self, x):
        """The index of the level of each value, by the definition."""
        code = np.zeros(np.shape(x), np.int64)
        for value, side in self.breakpoints:
            code += (x >= value) if side == ">=" else (x > value)
        return code

    def representatives(self, code):
        """Inputs that give a code: the ends of its interval that belong to it, and a middle."""
        low = self.breakpoints[code - 1] if code else None
        high = self.breakpoints[code] if code < len(self.breakpoints) else None
        if low and high and low[0] == high[0]:
            return [low[0], -low[0]]
        values = []
        if low and low[1] == ">=":
            values.append(low[0])
        if high and high[1] == ">":
            values.append(high[0])
        a = low[0] if low else high[0] - 4.0
        b = high[0] if high else low[0] + 4.0
        values += [(a + b) / 2, a if not low else b - 2.0**-8]
        if 0.0 in values:
            values.append(-0.0)
        return values


def _greater(g, x, value):
    return g.op("Cast", g.op("Greater", x, g.constant(value)), to=TensorProto.FLOAT)


def _sign_ge(g, x):
    return g.op("Where", g.op("GreaterOrEqual", x, g.constant(0)), g.constant(1), g.constant(-1))


def _sign_gt(g, x):
    return g.op("Sub", g.op("Mul", _greater(g, x, 0), g.constant(2)), g.constant(1))


def _larq(g, x):
    return g.op("Sign", g.op("Add", g.op("Sign", x), g.constant(0.1)))


def _hwgq(g, x):
    steps = g.op("Add", g.op("Add", _greater(g, x, 0), _greater(g, x, 1.5 * STEP)), _greater(g, x, 2.5 * STEP))
    return g.op("Mul", steps, g.constant(STEP))


# About 0, 0.453, 1.51. Their ratio is no fraction with both terms up to 255, so that no
# grid of integers holds them.
NON_UNIFORM = (0.0, 115 / 256, 387 / 256)


def _non_uniform(g, x):
    low = g.op("Mul", _greater(g, x, 0), g.constant(NON_UNIFORM[1]))
    high = g.op("Mul", _greater(g, x, 1.0), g.constant(NON_UNIFORM[2] - NON_UNIFORM[1]))
    return g.op("Add", low, high)


def _round(low, high):
    def build(g, x):
        clipped = g.op("Clip", x, g.constant(low * STEP), g.constant(high * STEP))
        return g.op("Mul", g.op("Round", g.op("Div", clipped, g.constant(STEP))), g.constant(STEP))

    return build


def _floor(g, x):
    moved = g.op("Add", g.op("Div", x, g.constant(STEP)), g.constant(0.5))
    return g.op("Mul", g.op("Floor", g.op("Clip", moved, g.constant(0), g.constant(3))), g.constant(STEP))


def _ceil(g, x):
    clipped = g.op("Clip", g.op("Div", x, g.constant(STEP)), g.constant(0), g.constant(3))
    return g.op("Mul", g.op("Ceil", clipped), g.constant(STEP))


def _qdq(g, x):
    scale, zero = g.constant(STEP), g.constant(0, np.uint8)
    codes = g.op("QuantizeLinear", x, scale, zero)
    clipped = g.op("Clip", codes, g.constant(0, np.uint8), g.constant(3, np.uint8))
    return g.op("DequantizeLinear", clipped, scale, zero)


UNSIGNED = (0.0, STEP, 2 * STEP, 3 * STEP)
HALF_EVEN = [(0.25, ">"), (0.75, ">="), (1.25, ">")]  # 0.5 -> 0, 1.5 -> 2, 2.5 -> 2
FORMS = {
    "sign_ge": Form((-1.0, 1.0), [(0.0, ">=")], _sign_ge),
    "sign_gt": Form((-1.0, 1.0), [(0.0, ">")], _sign_gt),
    "ternary_sign": Form((-1.0, 0.0, 1.0), [(0.0, ">="), (0.0, ">")], lambda g, x: g.op("Sign", x)),
    "larq": Form((-1.0, 1.0), [(0.0, ">=")], _larq),
    "hwgq": Form(UNSIGNED, [(0.0, ">"), (0.75, ">"), (1.25, ">")], _hwgq),
    "non_uniform": Form(NON_UNIFORM, [(0.0, ">"), (1.0, ">")], _non_uniform),
    "round": Form(UNSIGNED, HALF_EVEN, _round(0, 3)),
    "round_signed": Form((-1.0, -0.5, 0.0, 0.5), [(-0.75, ">"), (-0.25, ">="), (0.25, ">")], _round(-2, 1)),
    "floor": Form(UNSIGNED, [(0.25, ">="), (0.75, ">="), (1.25, ">=")], _floor),
    "ceil": Form(UNSIGNED, [(0.0, ">"), (0.5, ">"), (1.0, ">")], _ceil),
    "qdq": Form(UNSIGNED, HALF_EVEN, _qdq),
}


# Weight rows in units of the channel's alpha. The last kind lies on no grid of integers.
WEIGHTS = {"binary": (-1.0, 1.0), "ternary": (-1.0, 0.0, 1.0), "grid": (-3.0, -1.0, 0.0, 2.0), "unequal": (-371 / 512, 0.0, 1.0)}


def sums(levels, weights):
    """After each tap, the set of values that the sum so far can take."""
    reachable = [{0.0}]
    for weight in weights:
        reachable.append({a + level * weight for a in reachable[-1] for level in levels})
    return reachable


def pattern_for(value, levels, weights, reachable, rng):
    """Codes of the taps whose weighted sum of levels is `value`."""
    codes = [0] * len(weights)
    for tap in reversed(range(len(weights))):
        choices = [c for c, level in enumerate(levels) if value - level * weights[tap] in reachable[tap]]
        codes[tap] = int(rng.choice(choices))
        value -= levels[codes[tap]] * weights[tap]
    assert value == 0
    return codes


class Layer:
    """The geometry of a net: its taps per output position, and its inputs."""

    def __init__(self, net, form, weights="binary"):
        self.net, self.form = net, form
        self.rng = np.random.default_rng(zlib.crc32(f"{net} {form} {weights}".encode()))
        self.levels = FORMS[form].levels
        self.pooled = net not in ("matmul", "conv")
        side = 2 if self.pooled else 3
        self.shape = (13 if form == "non_uniform" or weights == "unequal" else 67,) if net == "matmul" else (1, side, side)
        taps = self.shape[0] if net == "matmul" else 9
        values = WEIGHTS[weights]
        self.signs = self.rng.choice(values, (CHANNELS, taps))
        self.signs[1], self.signs[2] = max(values), min(values)
        self.signs[:, 0] = values[0]  # no row without a weight
        self.patterns = self._patterns()

    def positions(self):
        """For each output position before pooling, pairs (index into the input, tap)."""
        if self.net == "matmul":
            return [[(k, k) for k in range(self.shape[0])]]
        _, height, width = self.shape
        result = []
        for y, x in itertools.product(range(height), range(width)):
            taps = itertools.product(range(3), range(3))
            inside = [(y + i - 1, x + j - 1, 3 * i + j) for i, j in taps]
            result.append([(h * width + w, t) for h, w, t in inside if 0 <= h < height and 0 <= w < width])
        return result

    def reachable(self):
        """[channel][position]: all values of the sum before alpha, bias and batch norm."""
        return [[sums(self.levels, [row[t] for _, t in taps])[-1] for taps in self.positions()] for row in self.signs]

    def reached(self):
        """The same sets, as the patterns give them."""
        levels = np.array(self.levels)[self.patterns]
        result = []
        for row in self.signs:
            result.append([set(levels[:, [i for i, _ in p]] @ row[[t for _, t in p]]) for p in self.positions()])
        return result

    def _patterns(self):
        size = int(np.prod(self.shape))
        if len(self.levels) ** size <= 4096:
            return np.array(list(itertools.product(range(len(self.levels)), repeat=size)))
        patterns = []
        for row in self.signs:
            for taps in self.positions():
                weights = [row[t] for _, t in taps]
                reachable = sums(self.levels, weights)
                for value in sorted(reachable[-1]):
                    pattern = self.rng.integers(0, len(self.levels), size)
                    pattern[[i for i, _ in taps]] = pattern_for(value, self.levels, weights, reachable, self.rng)
                    patterns.append(pattern)
        return np.unique(np.array(patterns), axis=0)

    def inputs(self):
        """Float inputs that the input quantiser turns into the patterns, ties included."""
        x = np.zeros(self.patterns.shape)
        for code in range(len(self.levels)):
            at = self.patterns == code
            x[at] = self.rng.choice(FORMS[self.form].representatives(code), np.count_nonzero(at))
        assert np.array_equal(FORMS[self.form].codes(x), self.patterns)
        return x.astype(np.float32).reshape(-1, *self.shape)


class Branch:
    """One layer with one output quantiser: its constants, chosen so that ties are reached.

    Channels 0-2 rise and 3-5 fall, each with a tie at a breakpoint of the output
    quantiser; 6 is constant at a breakpoint and 7 beside one; 8 never leaves the top
    level; 9 has a slope so small that only the batch norm's rounding sees it.
    """

    def __init__(self, layer, output):
        rng = np.random.default_rng(zlib.crc32(f"{layer.net} {layer.form} {output}".encode()))
        self.output = output
        order = rng.permutation(CHANNELS)
        self.alpha = rng.choice([0.25, 0.5, 1.0, 2.0], CHANNELS)
        self.rows = layer.signs[order]
        self.bias = rng.integers(-8, 9, CHANNELS) / 4 * (layer.net != "matmul")
        reachable = layer.reachable()
        self.sums = [[sorted(values) for values in reachable[row]] for row in order]
        self.slope, self.offset, self.ties = np.zeros(CHANNELS), np.zeros(CHANNELS), [None] * CHANNELS
        breakpoints = FORMS[output].breakpoints
        for channel in range(CHANNELS):
            tie = breakpoints[channel % 3 % len(breakpoints)][0]
            values = self.sums[channel][rng.integers(len(self.sums[channel]))]
            gap = min(np.diff(values)) * self.alpha[channel]
            # The largest power of two that keeps neighbouring sums within a quarter step.
            slope = 2.0 ** np.floor(np.log2(0.25 / gap)) if gap > 2**-6 else 1.0
            self.slope[channel] = [slope, slope, slope / 2, -slope, -slope, -slope / 2, 0, 0, slope, 2.0**-40][channel]
            at = values[len(values) // 2] * self.alpha[channel] + self.bias[channel]
            beside = {7: 2.0**-6, 8: 2.0**12}.get(channel, 0.0)
            self.offset[channel] = tie + beside - (at * self.slope[channel] if channel not in (8, 9) else 0.0)
            if channel < 6:
                self.ties[channel] = (tie, values[len(values) // 2])
        self.mean = rng.integers(-16, 17, CHANNELS) / 8
        self.deviation = rng.choice([0.5, 1.0, 2.0], CHANNELS)

    def after_batch_norm(self, total, channel):
        """What the batch norm makes of a sum; exact for channels 0-8."""
        return (total * self.alpha[channel] + self.bias[channel]) * self.slope[channel] + self.offset[channel]

    def build(self, g, net, x):
        weight = self.rows * self.alpha[:, None]
        if net == "matmul":
            y = g.op("MatMul", x, g.constant(weight.T))
        else:
            kernel = g.constant(weight.reshape(CHANNELS, 1, 3, 3))
            y = g.op("Conv", x, kernel, g.constant(self.bias), pads=[1, 1, 1, 1])

        def pool(y):
            return g.op("MaxPool", y, kernel_shape=[2, 2], strides=[1, 1], pads=[1, 1, 1, 1])

        y = pool(y) if net == "pool_bn" else y
        # y = slope * x + offset, with mean and variance that take part in it.
        gamma = self.slope * self.deviation
        beta = self.offset + self.slope * self.mean
        variance = self.deviation**2 - EPSILON
        y = g.op(
            "BatchNormalization", y, *map(g.constant, (gamma, beta, self.mean, variance)), epsilon=EPSILON
        )
        y = pool(y) if net == "bn_pool" else y
        y = FORMS[self.output].build(g, y)
        return pool(y) if net == "quant_pool" else y


def make_model(layer, branches):
    """The ONNX model: one output per branch, named after its output quantiser."""
    g = Graph()
    outputs = []
    for branch in branches:
        result = branch.build(g, layer.net, FORMS[layer.form].build(g, "x"))
        g.nodes[-1].output[0] = branch.output
        assert result == g.nodes[-1].name
        shape = ["n", CHANNELS] if layer.net == "matmul" else ["n", CHANNELS, None, None]
        outputs.append(helper.make_tensor_value_info(branch.output, TensorProto.FLOAT, shape))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *layer.shape])
    graph = helper.make_graph(g.nodes, f"{layer.net}_{layer.form}", [x], outputs, g.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", choices=FORMS, required=True)
    parser.add_argument("--output", choices=FORMS, help="only this output quantiser (default: all)")
    parser.add_argument("--net", choices=NETS, required=True)
    parser.add_argument("--weights", choices=WEIGHTS, default="binary")
    parser.add_argument("-o", type=pathlib.Path, required=True)
    args = parser.parse_args()
    layer = Layer(args.net, args.input, args.weights)
    branches = [Branch(layer, output) for output in ([args.output] if args.output else FORMS)]
    args.o.mkdir(parents=True, exist_ok=True)
    (args.o / "model.onnx").write_bytes(make_model(layer, branches).SerializeToString())
    np.save(args.o / "x.npy", layer.inputs())


if __name__ == "__main__":
    main()
