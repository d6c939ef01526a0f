"""Standard quantised ONNX, compiled: scales, zero points and weights are inputs of the module."""

import os
import pathlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hwgq
import hwgq.onnx_backend as backend
import networks

MODELS = pathlib.Path(os.environ.get("HWGQ_MODELS", networks.ROOT.parent / "shared" / "models"))
NODES = MODELS / "onnx_node_qdq"
FLOAT8 = ("e4m3fn", "e5m2", "float4e2m1")


def names():
    return sorted(path.name for path in NODES.iterdir()) if NODES.is_dir() else []


def load(folder, kind):
    paths = sorted(folder.glob(f"{kind}_*.pb"), key=lambda path: int(path.stem.split("_")[1]))
    return [numpy_helper.to_array(onnx.load_tensor(path)) for path in paths]


@pytest.mark.skipif(not NODES.is_dir(), reason="the public models are not there")
@pytest.mark.parametrize("name", names())
def test_public_case(name):
    """Right to the last bit; float8, float4 and blocks are refused, with node and reason."""
    model = onnx.load(NODES / name / "model.onnx")
    refused = "block_size" if "blocked" in name else "FLOAT[84]" if any(form in name for form in FLOAT8) else None
    if refused:
        with pytest.raises(hwgq.CompileError, match=f"node '.*': .*{refused}.* not supported"):
            backend.prepare(model)
        return
    prepared = backend.prepare(model, threads=1)
    for folder in sorted((NODES / name).glob("test_data_set_*")):
        for result, expected in zip(prepared.run(load(folder, "input")), load(folder, "output"), strict=True):
            assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
            np.testing.assert_array_equal(result.astype(np.float64), expected.astype(np.float64))


def node(op, inputs, output, opset=21, **attributes):
    """One operator; inputs are (type, shape) named x0, x1, ...; output is a type."""
    names = [f"x{i}" for i in range(len(inputs))]
    return networks.model(
        [helper.make_node(op, names, ["y"], **attributes)],
        [(name, *value) for name, value in zip(names, inputs)],
        [("y", output, None)],
        opset=opset,
    )


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize(
    "kind, dtype, low, high",
    [
        (TensorProto.INT8, np.int8, -128, 127),
        (TensorProto.UINT8, np.uint8, 0, 255),
        (TensorProto.INT4, np.int8, -8, 7),
        (TensorProto.UINT4, np.uint8, 0, 15),
        (TensorProto.INT2, np.int8, -2, 1),
        (TensorProto.UINT2, np.uint8, 0, 3),
    ],
    ids=["int8", "uint8", "int4", "uint4", "int2", "uint2"],
)
def test_quantise_and_back(kind, dtype, low, high, axis):
    """saturate(round_half_even(x / scale) + zero point) and back, per tensor and per channel, ties included."""
    shape = (3, 257)
    per = () if axis is None else (shape[axis],)
    rng = np.random.default_rng(3)
    scale = (2.0 ** rng.integers(-3, 3, per)).astype(np.float32)
    zero = rng.integers(low, high + 1, per).astype(dtype)
    x = (rng.integers(4 * (low - 2), 4 * (high + 3), shape) / 4).astype(np.float32)
    wide = [slice(None) if d == axis else None for d in range(2)]
    along = (lambda array: array) if axis is None else (lambda array: array[tuple(wide)])
    x *= along(scale)
    attributes = {} if axis is None else {"axis": axis}
    values = [(TensorProto.FLOAT, shape), (TensorProto.FLOAT, per), (kind, per)]
    codes = hwgq.compile(node("QuantizeLinear", values, kind, opset=25, **attributes))(x, scale, zero)
    expected = np.clip(np.rint(x / along(scale)) + along(zero).astype(np.int64), low, high)
    np.testing.assert_array_equal(codes, expected)
    assert codes.dtype == dtype
    values[0] = (kind, shape)
    back = hwgq.compile(node("DequantizeLinear", values, TensorProto.FLOAT, opset=25, **attributes))(codes, scale, zero)
    np.testing.assert_array_equal(back, (expected - along(zero)).astype(np.float32) * along(scale))


@pytest.mark.parametrize("op", ["QuantizeLinear", "DequantizeLinear"])
def test_blocks_are_refused(op):
    kinds = (TensorProto.FLOAT, TensorProto.INT8) if op == "QuantizeLinear" else (TensorProto.INT8, TensorProto.FLOAT)
    values = [(kinds[0], (4, 8)), (TensorProto.FLOAT, (4, 2)), (TensorProto.INT8, (4, 2))]
    with pytest.raises(hwgq.CompileError, match="block_size is not supported; scales per tensor and per axis are"):
        hwgq.compile(node(op, values, kinds[1], axis=1, block_size=4))
