"""Casts to float8, float4 and bfloat16: the interpreter and the compiled code against ml_dtypes, on every code, every tie and
what lies next to it."""

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

import hwgq
import networks

FORMS = {
    TensorProto.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
    TensorProto.FLOAT8E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
    TensorProto.FLOAT8E5M2: ml_dtypes.float8_e5m2,
    TensorProto.FLOAT8E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
    TensorProto.FLOAT4E2M1: ml_dtypes.float4_e2m1fn,
    TensorProto.BFLOAT16: ml_dtypes.bfloat16,
}


def cast(kind, to, count, **attributes):
    return networks.model(
        [helper.make_node("Cast", ["x"], ["y"], to=to, **attributes)],
        [("x", kind, [count])],
        [("y", to, [count])],
        opset=23,
    )


def codes(dtype):
    """Every code of a type, as its bits."""
    if dtype is ml_dtypes.bfloat16:
        return np.arange(1 << 16, dtype=np.uint16)
    return np.arange(16 if dtype is ml_dtypes.float4_e2m1fn else 256, dtype=np.uint8)


def everywhere(model, x):
    """The result of the compiled module, which the interpreter gives at each level, too."""
    results = [hwgq.evaluate(model, x), hwgq.evaluate(model, x, to="hwgq")]
    results += [hwgq.compile(model, target)(x) for target in ("host", "x86-64-v3")]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    return results[0]


@pytest.mark.parametrize("to", [TensorProto.FLOAT, TensorProto.FLOAT16], ids=["f32", "f16"])
@pytest.mark.parametrize("kind", FORMS, ids=TensorProto.DataType.Name)
def test_decode(kind, to):
    bits = codes(FORMS[kind])
    result = everywhere(cast(kind, to, len(bits)), bits)
    with np.errstate(over="ignore"):
        expected = bits.view(FORMS[kind]).astype(np.float32).astype(result.dtype)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(np.signbit(result[expected == 0]), np.signbit(expected[expected == 0]))


@pytest.mark.parametrize("saturate", [1, 0])
@pytest.mark.parametrize("kind", FORMS, ids=TensorProto.DataType.Name)
def test_encode(kind, saturate):
    """Ties go to even; what is too large saturates, or becomes infinity or NaN."""
    dtype = FORMS[kind]
    values = np.unique(codes(dtype).view(dtype).astype(np.float32))
    if kind == TensorProto.BFLOAT16:
        values = np.concatenate([values[:200], values[::97], values[-200:]])
    values = values[np.isfinite(values)]
    ties = ((values[1:].astype(np.float64) + values[:-1]) / 2).astype(np.float32)
    with np.errstate(over="ignore"):
        beyond = values[-1] * np.float32([1, 1.01, 1.03125, 1.0625, 1.07, 1.125, 1.25, 2])
    x = np.concatenate([values, ties, beyond, np.float32([np.inf, np.nan, 0, 1e-45, 1e-38, 3e38, 3.4028235e38])])
    with np.errstate(over="ignore"):
        x = np.concatenate([x, np.nextafter(x, np.float32(np.inf)), np.nextafter(x, np.float32(-np.inf))])
    x = np.concatenate([x, -x])
    result = everywhere(cast(TensorProto.FLOAT, kind, len(x), saturate=saturate), x)
    with np.errstate(all="ignore"):
        expected = x.astype(dtype)
        if saturate and kind != TensorProto.BFLOAT16:
            largest = dtype(values[-1])
            wrong = ~np.isfinite(expected.astype(np.float32)) & ~np.isnan(x)
            expected[wrong] = np.where(np.signbit(x[wrong]), -largest, largest)
    actual = result.view(dtype).astype(np.float32)
    np.testing.assert_array_equal(actual, expected.astype(np.float32))
    numbers = ~np.isnan(x)
    np.testing.assert_array_equal(np.signbit(actual[numbers & ~np.isnan(actual)]), np.signbit(expected.astype(np.float32)[numbers & ~np.isnan(actual)]))


def test_inside_a_network():
    """bfloat16 between float operators is rounded at each of them."""
    model = networks.model(
        [
            helper.make_node("Cast", ["x"], ["b"], to=TensorProto.BFLOAT16),
            helper.make_node("Mul", ["b", "b"], ["s"]),
            helper.make_node("Relu", ["s"], ["r"]),
            helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT),
        ],
        [("x", TensorProto.FLOAT, [300])],
        [("y", TensorProto.FLOAT, [300])],
    )
    x = networks.floats(300)
    narrow = x.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(everywhere(model, x), (narrow * narrow).astype(ml_dtypes.bfloat16).astype(np.float32))


def test_refused():
    """Other operators on float8, and float64 into it, are refused by name."""
    model = cast(TensorProto.FLOAT8E5M2, TensorProto.FLOAT, 4)
    model.graph.node.insert(0, helper.make_node("Add", ["x", "x"], ["s"]))
    model.graph.node[1].input[0] = "s"
    with pytest.raises(hwgq.CompileError, match="is not supported"):
        hwgq.compile(model)
    with pytest.raises(hwgq.CompileError, match="a cast of float64 to FLOAT8E5M2 is not supported; cast to float32 first"):
        hwgq.compile(cast(TensorProto.DOUBLE, TensorProto.FLOAT8E5M2, 4))
