"""Quantisers whose scale the network computes: codes times, or by, a tensor that is the same for all terms of a sum."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import programs

node = helper.make_node
TOKENS, CHANNELS, OUTPUTS = 18, 70, 33


class Graph:
    def __init__(self, shape):
        self.nodes, self.constants, self.shape = [], {}, shape
        self.rng = np.random.default_rng(5)

    def constant(self, value, kind=np.float32):
        name = f"constant{len(self.constants)}"
        self.constants[name] = np.asarray(value, kind)
        return name

    def add(self, op, *inputs, **attributes):
        output = f"{op}{len(self.nodes)}"
        self.nodes.append(node(op, list(inputs), [output], name=output, **attributes))
        return output

    def ternary(self, *shape):
        return self.constant(self.rng.integers(-1, 2, shape) * np.float32(0.041))

    def model(self, output):
        self.nodes.append(node("Identity", [output], ["y"]))
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.shape])]
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "scales", inputs, [onnx.ValueInfoProto(name="y")], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    def absmax_codes(self, x, axes):
        """BitNet: s = 127 / max |x|, codes round(x s) in -128 .. 127; (codes, s)."""
        top = self.add("ReduceMax", self.add("Abs", x), *([self.constant(axes, np.int64)] if axes else []), keepdims=1)
        s = self.add("Div", self.constant(127), self.add("Clip", top, self.constant(1e-5)))
        codes = self.add("Clip", self.add("Round", self.add("Mul", x, s)), self.constant(-128), self.constant(127))
        return codes, s


def tokens(scale):
    """[N, tokens, channels], a scale for each token, a product of matrices."""
    g = Graph((TOKENS, CHANNELS))
    codes, s = g.absmax_codes("x", [2])
    return g.model(g.add("MatMul", scale(g, codes, s), g.ternary(CHANNELS, OUTPUTS)))


def divided():
    return tokens(lambda g, codes, s: g.add("Div", codes, s))


def multiplied():
    return tokens(lambda g, codes, s: g.add("Mul", g.add("Reciprocal", s), codes))


def twice():
    """A scale of each token, one of all, and a constant between them."""
    return tokens(lambda g, codes, s: g.add("Mul", g.add("Mul", g.add("Div", codes, s), g.constant(0.3)),
                                            g.add("ReduceMax", s, keepdims=1)))  # fmt: skip


def straight_through():
    return tokens(lambda g, codes, s: g.add("Add", "x", g.add("Sub", g.add("Div", codes, s), "x")))


def sign_of_rows():
    """XNOR-Net's fully connected layers: sign(x) times the mean of |x| of each row."""
    g = Graph((CHANNELS,))
    beta = g.add("ReduceMean", g.add("Abs", "x"), g.constant([1], np.int64), keepdims=1)
    ones = g.add("Where", g.add("GreaterOrEqual", "x", g.constant(0)), g.constant(1), g.constant(-1))
    return g.model(g.add("MatMul", g.add("Mul", ones, beta), g.ternary(CHANNELS, OUTPUTS)))


def images(axes, kernel):
    g = Graph((20, 9, 7))
    codes, s = g.absmax_codes("x", axes)
    w = g.ternary(24, 20, kernel, kernel)
    y = g.add("Conv", g.add("Div", codes, s), w, g.constant(np.linspace(-1, 1, 24)), pads=[kernel // 2] * 4)
    return g.model(g.add("Relu", y))


def of_an_image():
    return images([1, 2, 3], 3)


def of_all():
    return images([], 3)


def of_a_pixel():
    return images([1], 1)


def of_flattened():
    g = Graph((4, 5, 3))
    codes, s = g.absmax_codes("x", [1, 2, 3])
    return g.model(g.add("MatMul", g.add("Flatten", g.add("Div", codes, s)), g.ternary(60, OUTPUTS)))


def of_turned_tokens():
    """Heads put together behind an attention: the transpose ends up between codes and product."""
    g = Graph((3, 10, 16))
    x = g.add("Reshape", g.add("Transpose", "x", perm=[0, 2, 1, 3]), g.constant([0, 10, 48], np.int64))
    codes, s = g.absmax_codes(x, [2])
    return g.model(g.add("MatMul", g.add("Div", codes, s), g.ternary(48, OUTPUTS)))


def causal():
    """A mask in front of the scale of a token (Trilu), and of a column, which two transposes make rows."""
    g = Graph((TOKENS, TOKENS))
    codes, s = g.absmax_codes(g.add("Trilu", g.add("Transpose", "x", perm=[0, 2, 1]), g.constant(1, np.int64), upper=0), [1])
    turned = g.add("Transpose", g.add("Div", codes, s), perm=[0, 2, 1])
    return g.model(g.add("MatMul", turned, g.ternary(TOKENS, OUTPUTS)))


def zero_points():
    """What ONNX Runtime's dynamic quantisation writes: a scale and a zero point of all inputs."""
    g = Graph((TOKENS, CHANNELS))
    g.nodes.append(node("DynamicQuantizeLinear", ["x"], ["codes", "scale", "zero"]))
    w = g.constant(g.rng.integers(-127, 128, (CHANNELS, OUTPUTS)), np.int8)
    acc = g.add("MatMulInteger", "codes", w, "zero", g.constant(0, np.int8))
    return g.model(g.add("Mul", g.add("Cast", acc, to=TensorProto.FLOAT), g.add("Mul", "scale", g.constant(0.01))))


FORMS = [divided, multiplied, twice, straight_through, sign_of_rows, of_an_image, of_all, of_a_pixel, of_flattened, of_turned_tokens, causal,
         zero_points]


def reports_codes(path):
    (layer,) = [layer for layer in programs.read_json(path)["layers"] if layer["macs"]]
    return layer["act"] != "f32" and layer["weight"] != "f32"


@pytest.mark.parametrize("batch", [1, 3, "dynamic"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_on_codes(tmp_path, form, batch):
    model, path, report = form(), tmp_path / "model.onnx", tmp_path / "report.json"
    onnx.save(model, path)
    rows = 3 if batch == "dynamic" else batch
    shape = [d.dim_value or rows for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(8).standard_normal(shape).astype(np.float32)
    x[0, ..., 0] = 0  # a zero, and a number in the middle between two codes
    options = (f"--batch={batch}",)
    expected = programs.evaluate(path, {"x": x}, tmp_path / "reference", "hwgq", *options)
    for target in ("host", "x86-64-v2", "aarch64") if batch == "dynamic" else ("host",):
        module = programs.compile_model(path, tmp_path / "model.so", "--verify-folding", f"--report={report}",
                                        f"--target={target}", *options)  # fmt: skip
        assert reports_codes(report)
        actual = programs.run_module(module, {"x": x}, tmp_path / target, target=target)
        programs.assert_same_bits(actual, expected, target)
    (theirs,) = programs.onnxruntime_session(model).run(None, {"x": x})
    assert np.allclose(expected[0], theirs, rtol=1e-4, atol=1e-5)


def test_scale_of_a_channel(tmp_path):
    """A scale that changes along the sum stays where it is."""
    g = Graph((CHANNELS,))
    codes, s = g.absmax_codes("x", [0])
    path = tmp_path / "model.onnx"
    onnx.save(g.model(g.add("MatMul", g.add("Div", codes, s), g.ternary(CHANNELS, OUTPUTS))), path)
    x = np.random.default_rng(8).standard_normal((5, CHANNELS)).astype(np.float32)
    module = programs.compile_model(path, tmp_path / "model.so", f"--report={tmp_path / 'report.json'}")
    assert not reports_codes(tmp_path / "report.json")
    actual = programs.run_module(module, {"x": x}, tmp_path / "run")
    programs.assert_same_bits(actual, programs.evaluate(path, {"x": x}, tmp_path / "reference"))


@pytest.mark.parametrize("rows, columns", [(37, 16), (16, 17), (64, 40), (18, 100), (7, 33), (20, 9)])
def test_reductions_of_rows(tmp_path, rows, columns):
    """Many rows at a time, each in the order of its elements: sums, products, NaN, infinities, signs of zero."""
    g = Graph((rows, columns))
    axis = g.constant([2], np.int64)
    outputs = [g.add(op, "x", axis, keepdims=0) for op in
               ("ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean", "ReduceProd", "ReduceL2", "ReduceLogSumExp")]  # fmt: skip
    outputs += [g.add("Softmax", "x", axis=2), g.add("ReduceMax", g.add("Abs", "x"), axis, keepdims=1)]
    ones, zeros = g.constant(np.linspace(0.5, 2, columns)), g.constant(np.linspace(-1, 1, columns))
    outputs.append(g.add("LayerNormalization", "x", ones, zeros, axis=-1))
    model = g.model(outputs[0])
    del model.graph.node[-1], model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    x = np.random.default_rng(rows).standard_normal((2, rows, columns)).astype(np.float32)
    x[0, 1, 3], x[0, 2, -1], x[0, 4, :], x[1, 5, ::2], x[1, 6, 0] = np.nan, -np.inf, -0.0, 0.0, np.inf
    expected = programs.evaluate(path, {"x": x}, tmp_path / "reference")
    for target in ("host", "x86-64-v3", "aarch64"):
        module = programs.compile_model(path, tmp_path / "model.so", f"--target={target}")
        actual = programs.run_module(module, {"x": x}, tmp_path / target, target=target)
        programs.assert_same_bits(actual, expected, target)
