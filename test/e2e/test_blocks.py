"""Small networks of the blocks that quantised architectures are made of, in three ways of writing quantisers.

All scales are powers of two, so that float32 arithmetic is exact but for batch norms: the module must have the
bits of the hwgq phase, agree with the file as it stands, and run every layer with two quantised operands on codes.
"""

import numpy as np
import pytest
from onnx import TensorProto, helper

import programs
from onelayer import Graph

QONNX = "qonnx.custom_op.general"
SAME = {"kernel_shape": [3, 3], "pads": [1] * 4}


def limits(bits, signed):
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


class Net(Graph):
    """A graph with quantisers, seeded weights and batch norms."""

    def __init__(self, seed=0):
        super().__init__()
        self.rng, self.opset = np.random.default_rng(seed), 13

    def ints(self, *values):
        return self.constant(values, np.int64)

    def draw(self, shape, bits):
        """Weights on a grid of 1/4, narrow as in a sign-magnitude code."""
        values = self.rng.standard_normal(shape)
        if bits == 1:
            return np.where(values >= 0, 0.25, -0.25)
        most = 2 ** (bits - 1) - 1
        return np.clip(np.round(values * 4), -most, most) / 4

    def quant(self, x, bits=2, scale=0.5, signed=0):
        """round(x / scale), clipped to the integers of so many bits, times scale."""
        low, high = limits(bits, signed)
        y = self.op("Clip", self.op("Div", x, self.constant(scale)), self.constant(low), self.constant(high))
        return self.op("Mul", self.op("Round", y), self.constant(scale))

    def weights(self, shape, bits):
        return self.constant(self.draw(shape, bits))

    def bn(self, x, c):
        ranges = [(-1, 1.5), (-0.5, 0.5), (-1, 1), (0.5, 4)]
        return self.op("BatchNormalization", x, *(self.constant(self.rng.uniform(*r, c)) for r in ranges))

    def conv(self, x, shape, bits=1, **attributes):
        return self.op("Conv", x, self.weights(shape, bits), **{"kernel_shape": list(shape[2:]), **attributes})

    def block(self, x, shape, bits=1, scale=0.5, out=2, **attributes):
        """Convolution, batch norm, ReLU, quantiser."""
        y = self.bn(self.conv(x, shape, bits, **attributes), shape[0])
        return self.quant(self.op("Relu", y), out, scale)


class QonnxNet(Net):
    """Quant and BipolarQuant."""

    def custom(self, kind, *inputs, **attributes):
        return self.op(kind, *inputs, domain=QONNX, **attributes)

    def quant(self, x, bits=2, scale=0.5, signed=0):
        return self.custom("Quant", x, self.constant(scale), self.constant(0), self.constant(bits), signed=signed, narrow=0,
                           rounding_mode="ROUND")

    def weights(self, shape, bits):
        values, scale = self.constant(self.rng.standard_normal(shape)), self.constant(0.25)
        if bits == 1:
            return self.custom("BipolarQuant", values, scale)
        return self.custom("Quant", values, scale, self.constant(0), self.constant(bits), signed=1, narrow=1,
                           rounding_mode="ROUND")


class QcdqNet(Net):
    """QuantizeLinear, Clip and DequantizeLinear."""

    def quant(self, x, bits=2, scale=0.5, signed=0):
        kind = np.int8 if signed else np.uint8
        scale, zero = self.constant(scale), self.constant(0, kind)
        q = self.op("QuantizeLinear", x, scale, zero)
        if bits < 8:
            q = self.op("Clip", q, *(self.constant(limit, kind) for limit in limits(bits, signed)))
        return self.op("DequantizeLinear", q, scale, zero)

    def weights(self, shape, bits):
        scale, zero = np.full(shape[0], 0.25, np.float32), np.zeros(shape[0], np.int8)
        values = self.constant(self.draw(shape, bits) * 4, np.int8)
        return self.op("DequantizeLinear", values, self.constant(scale), self.constant(zero, np.int8), axis=0)


def mobilenet(g):
    """Depthwise and pointwise convolutions, an average pool and a quantiser behind it."""
    x = g.block(g.quant("x", 8, 1 / 128, 1), (16, 3, 3, 3), 8, 0.25, 4, strides=[2, 2], pads=[1] * 4)
    x = g.block(x, (16, 1, 3, 3), 4, 0.25, 4, group=16, pads=[1] * 4)
    x = g.block(x, (32, 16, 1, 1), 4, 0.25, 4)
    x = g.quant(g.op("AveragePool", x, kernel_shape=[8, 8]), 4, 0.25)
    x = g.op("Reshape", x, g.ints(-1, 32))
    return [g.op("Gemm", x, g.weights((10, 32), 4), transB=1)], [2, 3, 16, 16], 4


def residual(g):
    """Sums of a quantised shortcut and a quantised branch, requantised."""
    x = g.block(g.quant("x", 8, 1 / 128, 1), (16, 3, 3, 3), 8, 0.25, 4, pads=[1] * 4)
    for _ in range(2):
        y = g.block(x, (16, 16, 3, 3), 4, 0.25, 4, pads=[1] * 4)
        y = g.quant(g.bn(g.conv(y, (16, 16, 3, 3), 4, pads=[1] * 4), 16), 5, 0.25, 1)
        x = g.quant(g.op("Relu", g.op("Add", x, y)), 4, 0.25)
    x = g.quant(g.op("Flatten", g.op("GlobalAveragePool", x)), 6, 1 / 16)
    return [g.op("MatMul", x, g.op("Transpose", g.weights((10, 16), 4), perm=[1, 0]))], ["N", 3, 8, 8], 6


def decoder(g):
    """Concatenations of branches with different scales, nearest resizing, transposed convolutions."""
    a = g.block(g.quant("x", signed=1), (24, 3, 3, 3), pads=[1] * 4)
    joined = g.op("Concat", g.block(a, (40, 24, 3, 3), pads=[1] * 4), g.block(a, (8, 24, 5, 5), scale=0.25, pads=[2] * 4), axis=1)
    d = g.block(joined, (16, 48, 3, 3), 2, 0.5, 3, pads=[1] * 4)
    sizes = g.constant([1, 1, 2, 2])
    up = g.op("Resize", d, "", sizes, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    t = g.op("ConvTranspose", d, g.weights((16, 4, 2, 2), 4), kernel_shape=[2, 2], strides=[2, 2])
    u = g.op("ConvTranspose", d, g.weights((16, 4, 3, 3), 1), kernel_shape=[3, 3], strides=[2, 3], pads=[1, 0, 1, 2])
    return [g.op("Sigmoid", g.conv(up, (4, 16, 1, 1), 4)), t, u], [1, 3, 9, 11], 7


def tokens(g):
    """Matrices of three dimensions, the batch unknown."""
    x = g.quant("x", 4, 0.25, 1)
    y = g.op("MatMul", x, g.op("Transpose", g.weights((48, 32), 2), perm=[1, 0]))
    y = g.quant(g.op("Relu", y), 4)
    y = g.op("MatMul", y, g.op("Transpose", g.weights((32, 48), 2), perm=[1, 0]))
    return [g.op("Add", y, g.constant(np.arange(32)))], ["N", 7, 32], 2


def attention(g):
    """Products of two activations beside those with weights."""
    x = g.quant("x", 4, 0.25, 1)
    q, k, v = (g.quant(g.op("MatMul", x, g.weights((32, 32), 4)), 4, 0.5, 1) for _ in range(3))
    s = g.op("Softmax", g.op("MatMul", q, g.op("Transpose", k, perm=[0, 2, 1])), axis=-1)
    return [g.op("MatMul", g.quant(s, 4, 1 / 16), v)], [2, 7, 32], 5


def attention_alone(g):
    """One sample: products of two matrices of activations."""
    outputs, (_, *shape), _ = attention(g)
    return outputs, [1, *shape], 5


def shuffle(g):
    """Grouped convolutions with a channel shuffle, a split, half of it convolved."""
    x = g.block(g.quant("x", signed=1), (24, 4, 3, 3), 2, pads=[1] * 4)
    y = g.block(x, (24, 8, 1, 1), group=3)
    y = g.op("Transpose", g.op("Reshape", y, g.ints(0, 3, 8, 8, 8)), perm=[0, 2, 1, 3, 4])
    y = g.op("Reshape", y, g.ints(0, 24, 8, 8))
    y = g.quant(g.bn(g.conv(y, (24, 1, 3, 3), 2, group=24, pads=[1] * 4), 24), signed=1)
    halves = helper.make_node("Split", [y, g.ints(12, 12)], ["left", "right"], axis=1)
    g.nodes.append(halves)
    z = g.op("ReduceMean", g.op("Relu", g.op("Concat", "right", g.conv("left", (12, 12, 1, 1), 2), axis=1)), axes=[2, 3], keepdims=0)
    bias = g.constant(np.arange(5))
    return [g.op("Gemm", g.quant(z, 4, 0.25), g.weights((24, 5), 4), bias, alpha=0.5, beta=2.0)], ["N", 4, 8, 8], 5


def squeeze_excitation(g):
    """Channels scaled by what a small branch computes of them; codes as an output."""
    x = g.block(g.quant("x", 4, 0.25, 1), (32, 3, 3, 3), 2, 0.25, 4, pads=[1] * 4)
    s = g.quant(g.op("GlobalAveragePool", x), 4, 0.25)
    s = g.quant(g.op("Relu", g.conv(s, (8, 32, 1, 1), 4)), 4, 0.25)
    y = g.quant(g.op("Mul", x, g.op("Sigmoid", g.conv(s, (32, 8, 1, 1), 4))), 4, 0.25)
    y = g.quant(g.op("HardSigmoid", g.bn(g.conv(y, (16, 32, 3, 3), 2, pads=[1] * 4), 16)), 3, 0.125)
    return [g.conv(y, (4, 16, 1, 1), 4), y], ["N", 3, 7, 6], 5


def one_dimension(g):
    """1-D convolutions, a concatenation, a pad of its own and a pool."""
    x = g.block(g.quant("x", 4, 0.25, 1), (40, 6, 5), pads=[2, 2])
    y = g.block(x, (40, 40, 3), pads=[2, 0])
    y = g.op("Pad", g.op("Concat", x, y, axis=1), g.ints(0, 0, 1, 0, 0, 2), mode="constant")
    y = g.op("MaxPool", y, kernel_shape=[2], strides=[2])
    y = g.op("Flatten", g.block(y, (16, 80, 3), 2, strides=[2]))
    return [g.op("Gemm", y, g.weights((5, 16 * 8), 2), transB=1)], ["N", 6, 32], 4


def inner_outputs(g):
    """A code tensor that convolutions, pools, pads and an output share; a weight that two layers share."""
    q = g.block(g.quant("x", signed=1), (70, 4, 3, 3), pads=[1] * 4)
    w = g.weights((9, 70, 3, 3), 1)
    b = g.op("Conv", q, w, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    c = g.op("Conv", q, w, kernel_shape=[3, 3], pads=[0, 1, 2, 0])
    largest = g.op("MaxPool", q, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    mean = g.op("AveragePool", q, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1)
    d = g.conv(g.quant(mean, 2, 0.25), (8, 70, 1, 1), 4)
    padded = g.op("Pad", q, g.ints(0, 0, 1, 1, 0, 0, 1, 1), g.constant(0.5), mode="constant")
    return [q, b, c, largest, d, g.conv(padded, (6, 70, 3, 3))], [2, 4, 9, 10], 5


def channels_last(g):
    """Transposes around layers, depth to space and back."""
    x = g.quant(g.op("Transpose", "x", perm=[0, 3, 1, 2]), signed=1)
    x = g.quant(g.bn(g.conv(x, (64, 3, 3, 3), pads=[1] * 4), 64), signed=1)
    x = g.op("Mul", g.op("Transpose", x, perm=[0, 2, 3, 1]), g.constant(2))
    x = g.op("Transpose", x, perm=[0, 3, 1, 2])
    y = g.conv(g.op("DepthToSpace", x, blocksize=2), (10, 16, 3, 3))
    z = g.conv(g.op("SpaceToDepth", x, blocksize=2), (5, 256, 1, 1))
    return [g.op("Transpose", y, perm=[0, 2, 3, 1]), z], ["N", 6, 4, 3], 3


def sums_of_codes(g):
    """Sums and differences of codes at two resolutions, quantised again."""
    a = g.block(g.quant("x", signed=1), (16, 3, 3, 3), pads=[1] * 4)
    b = g.block(a, (16, 16, 3, 3), pads=[1] * 4, strides=[2, 2])
    up = g.op("Resize", b, "", g.constant([1, 1, 2, 2]), mode="nearest", coordinate_transformation_mode="half_pixel")
    s = g.quant(g.op("Add", a, up), 3)
    t = g.op("Sub", s, g.constant(1.0))
    return [g.conv(s, (8, 16, 3, 3), pads=[1] * 4), g.conv(t, (8, 16, 3, 3))], [1, 3, 8, 8], 4


def few_values(g):
    """Tensors that take few values without a quantiser of their own: sums of codes, pools, a truncation, a table's rows."""
    a = g.block(g.quant("x", signed=1), (16, 3, 3, 3), pads=[1] * 4)
    b = g.block(a, (16, 16, 3, 3), pads=[1] * 4)
    both = g.op("Add", a, b)
    mean = g.op("AveragePool", a, kernel_shape=[2, 2], strides=[2, 2])
    border = g.op("AveragePool", a, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    cut = g.op("Floor", g.op("Div", g.op("Mul", g.op("GlobalAveragePool", a), g.constant(64)), g.constant(8)))
    rows = g.op("Gather", g.weights((20, 16), 2), g.op("ArgMax", g.op("Flatten", "x"), axis=1), axis=0)
    rows = g.op("MatMul", rows, g.op("Transpose", g.weights((5, 16), 2), perm=[1, 0]))
    return [g.conv(both, (8, 16, 3, 3), pads=[1] * 4), g.conv(mean, (8, 16, 1, 1), 4), g.conv(border, (8, 16, 1, 1), 2),
            g.conv(cut, (8, 16, 1, 1), 2), rows], [1, 3, 4, 4], 7  # fmt: skip


def joined_scales(g):
    """Concatenations whose parts have scales that no grid holds together, behind a pool and a border, in a dense block."""
    a = g.block(g.quant("x", 4, 0.25, 1), (12, 3, 3, 3), scale=0.1875, out=4, pads=[1] * 4)
    b = g.block(a, (20, 12, 3, 3), scale=91 / 128, out=4, pads=[1] * 4)
    c = g.op("Concat", a, b, axis=1)
    pooled = g.op("MaxPool", c, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    d = g.block(c, (8, 32, 3, 3), 2, 0.3125, 3, pads=[2] * 4, dilations=[2, 2])
    all_three = g.op("Pad", g.op("Concat", c, d, axis=1), g.ints(0, 0, 1, 1, 0, 0, 0, 0))
    return [g.conv(pooled, (5, 32, 1, 1), 4), g.conv(all_three, (6, 40, 3, 3), 1)], ["N", 3, 7, 8], 9


def transformer(g):
    """A layer of a transformer over several heads, its norms and activation as single operators; a norm of whole samples."""
    g.opset = 21
    draw = lambda *shape: [g.constant(g.rng.uniform(0.5, 1.5, shape)) for _ in range(2)]  # noqa: E731
    x = g.quant(g.op("LayerNormalization", "x", *draw(32)), 4, 0.25, 1)
    q, k, v = (
        g.op("Transpose", g.op("Reshape", y, g.ints(0, 7, 2, 16)), perm=[0, 2, 1, 3])
        for y in (g.quant(g.op("MatMul", x, g.weights((32, 32), 4)), 4, 0.5, 1) for _ in range(3))
    )
    s = g.op("Softmax", g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2])), axis=-1)
    y = g.op("Transpose", g.op("MatMul", g.quant(s, 4, 1 / 16), v), perm=[0, 2, 1, 3])
    y = g.op("MatMul", g.quant(g.op("Reshape", y, g.ints(0, 7, 32)), 4, 0.25, 1), g.weights((32, 32), 4))
    y = g.op("Add", "x", y)
    z = g.op("Gelu", g.op("MatMul", g.quant(y, 4, 0.25, 1), g.weights((32, 32), 4)))
    whole = g.op("LayerNormalization", z, *draw(7, 32), axis=1)
    return [whole, g.op("Mish", y), g.op("GroupNormalization", z, *draw(7), num_groups=1)], ["N", 7, 32], 7


NETS = [mobilenet, residual, decoder, tokens, attention, attention_alone, shuffle, squeeze_excitation, one_dimension,
        inner_outputs, channels_last, sums_of_codes, few_values, joined_scales, transformer]  # fmt: skip


@pytest.mark.parametrize("form", [Net, QonnxNet, QcdqNet], ids=["chain", "qonnx", "qcdq"])
@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_block(tmp_path, net, form):
    g = form()
    outputs, shape, layers = net(g)
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(g.nodes, net.__name__, values, results, g.constants)
    model = tmp_path / "model.onnx"
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", g.opset), helper.make_opsetid(QONNX, 1)], ir_version=8)
    model.write_bytes(content.SerializeToString())
    report = tmp_path / "report.json"
    module = programs.compile_model(model, tmp_path / "m.so", f"--report={report}", "--verify-folding")
    coded = [layer for layer in programs.read_json(report)["layers"] if layer["act"] != "f32" and layer["weight"] != "f32"]
    assert len(coded) == layers, [layer["name"] for layer in coded]
    inputs = {"x": g.rng.standard_normal([3 if size == "N" else size for size in shape]).astype(np.float32)}
    actual = programs.run_module(module, inputs, tmp_path / "run")
    programs.assert_same_bits(actual, programs.evaluate(model, inputs, tmp_path / "hwgq"), net.__name__)
    written = programs.evaluate(model, inputs, tmp_path / "import", "import")
    executors = [written] if form is QonnxNet else [written, programs.onnxruntime_session(content).run(None, inputs)]
    for expected in executors:
        for name, values, wanted in zip(outputs, actual, expected):
            np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-5, err_msg=name)
            assert np.ptp(values) > 0, name
