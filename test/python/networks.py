"""Small networks of the tests."""

import os
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
BUILD = ROOT / os.environ.get("HWGQ_BUILD", "build")


def model(nodes, inputs, outputs, constants=(), opset=21):
    """A model of nodes; inputs and outputs are (name, type, shape), constants (name, array)."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def two_inputs(batch="N"):
    """sum = 2a + b and product = a * b of f32[batch, 3]."""
    shape = [batch, 3]
    return model(
        [
            helper.make_node("Add", ["a", "a"], ["twice"]),
            helper.make_node("Add", ["twice", "b"], ["sum"]),
            helper.make_node("Mul", ["a", "b"], ["product"]),
        ],
        [("a", TensorProto.FLOAT, shape), ("b", TensorProto.FLOAT, shape)],
        [("sum", TensorProto.FLOAT, shape), ("product", TensorProto.FLOAT, shape)],
    )


def floats(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def reshaped():
    """y = x of the shape that an input holds, [2, 6] to any."""
    return model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [("x", TensorProto.FLOAT, [2, 6]), ("shape", TensorProto.INT64, [2])],
        [("y", TensorProto.FLOAT, [None, None])],
    )


def load_digits():
    return onnx.load(DIGITS / "model.onnx"), np.load(DIGITS / "test_images.npy"), np.load(DIGITS / "test_labels.npy")
