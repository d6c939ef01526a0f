"""Legalisation keeps the meaning: single operators and small graphs evaluated as they stand
in the file and after the hwgq phase, at a fixed and at a dynamic batch."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import programs

try:  # the operator cases of the interpreter's own test
    from test_reference import CASES, make_model
except ImportError:
    CASES = []

rng = np.random.default_rng(11)


def close(actual, expected, exact=False):
    assert len(actual) == len(expected)
    for index, (a, b) in enumerate(zip(actual, expected)):
        assert a.shape == b.shape and a.dtype == b.dtype, f"output {index}: {a.dtype}{a.shape} against {b.dtype}{b.shape}"
        if exact or not np.issubdtype(b.dtype, np.floating):
            np.testing.assert_array_equal(a, b, err_msg=f"output {index}")
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=f"output {index}")


def both_phases(model, arrays, folder, *options):
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    before = programs.evaluate(path, arrays, folder / "import", "import", *options)
    after = programs.evaluate(path, arrays, folder / "hwgq", "hwgq", *options)
    return before, after


@pytest.mark.skipif(not CASES, reason="the operator cases are not there")
@pytest.mark.parametrize("values", [pytest.param(case.values, id=case.id) for case in CASES])
def test_operator(values, tmp_path):
    op, inputs, attributes, outputs, constants, exact = values[:6]
    model, arrays = make_model(op, inputs, attributes, outputs, constants)
    before, after = both_phases(model, arrays, tmp_path)
    close(after, before, exact)


def graph(nodes, inputs, outputs, constants, opset=18):
    model = helper.make_model(
        helper.make_graph(
            nodes, "small",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)], ir_version=8,
    )
    return model


def weights(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def batch_norm(name, channels):
    return {f"{name}{k}": v for k, v in (("g", weights(channels)), ("b", weights(channels)), ("m", weights(channels)), ("v", np.abs(weights(channels)) + 0.1))}


NORM = ("g", "b", "m", "v")


def residual_net():
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c0"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c0", *("n" + k for k in NORM)], ["b0"]),
        helper.make_node("Relu", ["b0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1", "bias"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c1", "b0"], ["a"]),
        helper.make_node("Concat", ["a", "r0"], ["k"], axis=1),
        helper.make_node("MaxPool", ["k"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w2"], ["m"]),
        helper.make_node("Softmax", ["m"], ["y"]),
    ]
    constants = {"w0": weights(4, 3, 3, 3), "w1": weights(4, 4, 3, 3), "bias": weights(4), "w2": weights(8 * 16, 5), **batch_norm("n", 4)}
    return nodes, [3, 8, 8], constants


def gate_net():
    """A squeeze-and-excite gate, and the K map of XNOR-Net."""
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Conv", ["g", "w1"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["s"]),
        helper.make_node("Mul", ["c", "s"], ["m"]),
        helper.make_node("Abs", ["m"], ["a"]),
        helper.make_node("ReduceMean", ["a", "one"], ["k"]),
        helper.make_node("Conv", ["k", "box"], ["kk"], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["m", "kk"], ["y"]),
    ]
    constants = {"w0": weights(6, 3, 3, 3), "w1": weights(6, 6, 1, 1), "box": np.full((1, 1, 3, 3), 1 / 9, np.float32), "one": np.array([1])}
    return nodes, [3, 8, 8], constants


def shuffle_net():
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c"], group=1, pads=[1, 1, 1, 1]),
        helper.make_node("Reshape", ["c", "s0"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["t", "s1"], ["u"]),
        helper.make_node("Conv", ["u", "w1"], ["d"], group=2),
        helper.make_node("DepthToSpace", ["d"], ["e"], blocksize=2),
        helper.make_node("Pad", ["e", "pads"], ["y"], mode="reflect"),
    ]
    constants = {
        "w0": weights(8, 3, 3, 3), "w1": weights(8, 4, 1, 1), "s0": np.array([0, 2, 4, 8, 8]), "s1": np.array([0, 8, 8, 8]),
        "pads": np.array([0, 0, 1, 2, 0, 0, 2, 1]),
    }
    return nodes, [3, 8, 8], constants


def line_net():
    """One spatial dimension, a batch norm between Unsqueeze and Squeeze, TopK."""
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c"], pads=[2, 1], strides=[2]),
        helper.make_node("AveragePool", ["c"], ["p"], kernel_shape=[2], count_include_pad=1, pads=[1, 0]),
        helper.make_node("ReduceMax", ["p", "two"], ["r"], keepdims=0),
        helper.make_node("Unsqueeze", ["r", "two"], ["u"]),
        helper.make_node("BatchNormalization", ["u", *("n" + k for k in NORM)], ["b"]),
        helper.make_node("Squeeze", ["b", "two"], ["s"]),
        helper.make_node("Gemm", ["s", "w1", "bias"], ["g"], transB=1),
        helper.make_node("TopK", ["g", "k"], ["y", "i"]),
    ]
    constants = {"w0": weights(6, 4, 3), "w1": weights(9, 6), "bias": weights(9), "two": np.array([2]), "k": np.array([3]), **batch_norm("n", 6)}
    return nodes, [4, 16], constants


NETS = {"residual": residual_net, "gate": gate_net, "shuffle": shuffle_net, "line": line_net}


@pytest.mark.parametrize("batch", ["n", 2])
@pytest.mark.parametrize("name", NETS)
def test_network(name, batch, tmp_path):
    nodes, shape, constants = NETS[name]()
    outputs = list(nodes[-1].output)
    model = graph(nodes, {"x": [batch, *shape]}, outputs, constants)
    x = weights(2, *shape)
    before, after = both_phases(model, {"x": x}, tmp_path)
    close(after, before)


@pytest.mark.parametrize("name", ["residual", "shuffle"])
def test_one_transpose_at_the_input(name, tmp_path):
    nodes, shape, constants = NETS[name]()
    model = graph(nodes, {"x": ["n", *shape]}, list(nodes[-1].output), constants)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    result = programs.run("hwgq-compile", path, "--emit=mlir", "--to=hwgq", "-o", tmp_path / "out.mlir")
    text = (tmp_path / "out.mlir").read_text()
    inside = text.count("linalg.transpose")
    # The shuffles themselves and the way back to the result's layout stay.
    assert inside <= {"residual": 1, "shuffle": 4}[name], f"{result}\n{text[:4000]}"



@pytest.mark.parametrize("mode", ["drop", "keep"])
def test_straight_through(mode, tmp_path):
    """(a - b) + b: a itself, or what float32 gives."""
    nodes = [
        helper.make_node("Mul", ["x", "three"], ["a"], name="a"),
        helper.make_node("Mul", ["x", "large"], ["b"], name="b"),
        helper.make_node("Sub", ["a", "b"], ["d"], name="d"),
        helper.make_node("Add", ["d", "b"], ["y"], name="sum"),
    ]
    model = graph(nodes, {"x": ["n", 4]}, ["y"], {"three": np.float32(3), "large": np.float32(1000.123)})
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    x = weights(3, 4)
    (y,) = programs.evaluate(path, {"x": x}, tmp_path / "out", "hwgq", f"--straight-through={mode}")
    a, b = x * np.float32(3), x * np.float32(1000.123)
    expected = a if mode == "drop" else (a - b) + b
    assert np.any(a != (a - b) + b)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("values", [[0.0, -0.0, 0.0], [np.nan, 1.0, -2.0], [np.inf, -np.inf, 7.0], [1e-45, 0.0, 3e-45], [-1e-45, 0.0, 3e-45]],
                         ids=["zeros", "nan", "inf", "denormal", "denormals"])  # fmt: skip
def test_quantised_edges(values, tmp_path):
    """What ONNX's texts leave open: a range of nothing, NaN and infinities. DynamicQuantizeLinear of zeros has ONNX's own
    reference's scale, 1 / 255; a NaN gives the least code."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["signed"]),
        helper.make_node("QuantizeLinear", ["x", "scale"], ["unsigned"]),
        helper.make_node("DequantizeLinear", ["signed", "scale", "zero"], ["real"]),
        helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "range", "centre"]),
    ]
    constants = {"scale": np.float32(0.5), "zero": np.int8(3)}
    model = graph(nodes, {"x": ["N", 3]}, ["signed", "unsigned", "real", "codes", "range", "centre"], constants)
    before, after = both_phases(model, {"x": np.array([values], np.float32)}, tmp_path)
    close(after, before, exact=True)
    if values[0] == 0:
        assert before[4] == np.float32(1) / np.float32(255) and before[5] == 0 and not before[3].any()
    if np.isnan(values[0]):
        assert before[0][0, 0] == -128 and before[1][0, 0] == 0 and before[2][0, 0] == -65.5
