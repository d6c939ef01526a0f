"""The interpreter on single operators: against ONNX's own reference implementation, the
conformance cases of quantisation, and formulas for the operators that ONNX does not have."""

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import programs

NODES = programs.MODELS / "onnx_node_qdq"
OPSET = 21
rng = np.random.default_rng(7)


def floats(*shape, scale=1.0, dtype=np.float32):
    return (rng.standard_normal(shape) * scale).astype(dtype)


def grid(*shape, low=-8, high=8, dtype=np.float32):
    """Halves: sums and products of them are exact, and ties occur."""
    return (rng.integers(2 * low, 2 * high + 1, shape) / 2).astype(dtype)


def integers(*shape, low=-100, high=100, dtype=np.int64):
    return rng.integers(low, high, shape).astype(dtype)


SPECIAL = np.array([0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -1.5, -2.5, np.inf, -np.inf, np.nan, 1e-45, 3e38, -7.25], np.float32)


def i64(*values):
    return np.array(values, np.int64)


CASES = []


def case(op, *inputs, outputs=1, constants=(), tag="", exact=False, oracle="onnx", **attributes):
    """One operator on inputs (None: absent), of which `constants` are initialisers.

    The oracle is ONNX Runtime ("ort") where ONNX's reference implementation falls short of
    the specification: LRN beyond the first channels, integer pools, indices, groups.
    """
    CASES.append(pytest.param(op, inputs, attributes, outputs, set(constants), exact, oracle, id=f"{op}{tag}"))


for name in ("Abs", "Neg", "Relu", "Floor", "Ceil", "Round", "Sqrt", "Reciprocal"):
    case(name, SPECIAL, exact=True)
for name in ("Exp", "Tanh", "Sigmoid", "Erf", "Softplus", "Softsign", "Elu", "Selu", "Celu", "LeakyRelu", "HardSigmoid", "ThresholdedRelu", "HardSwish"):
    case(name, floats(3, 5, scale=3))
case("Log", np.abs(floats(3, 5)) + 0.1)
case("Sign", SPECIAL[:10], exact=True)
case("Sign", integers(7), tag="-int", exact=True)
case("Abs", integers(7, dtype=np.int32), tag="-int", exact=True)
case("IsNaN", SPECIAL, exact=True)
case("Not", np.array([True, False]), exact=True)
for name in ("Add", "Sub", "Mul", "Div", "Pow"):
    case(name, floats(2, 3, 4), np.abs(floats(3, 1)) + 0.5, exact=name != "Pow")
    case(name, integers(2, 4, low=1, high=9), integers(4, low=1, high=5), tag="-int", exact=True)
case("Div", i64(-7, 7, -7, 7), i64(2, 2, -2, -2), tag="-truncates", exact=True)
case("Add", floats(2, 3, dtype=np.float16), floats(3, dtype=np.float16), tag="-f16", exact=True)
case("Mul", floats(2, 3, dtype=np.float64), floats(3, dtype=np.float64), tag="-f64", exact=True)
case("Add", integers(4, low=0, high=255, dtype=np.uint8), integers(4, low=0, high=255, dtype=np.uint8), tag="-wraps", exact=True)
case("Mod", i64(-7, 7, -7, 7), i64(3, 3, -3, -3), exact=True)
case("Mod", floats(5), floats(5), fmod=1, tag="-fmod", exact=True)
for name in ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"):
    case(name, SPECIAL, np.float32(0.5), exact=True)
for name in ("And", "Or", "Xor"):
    case(name, np.array([[True], [False]]), np.array([True, False]), exact=True)
for name in ("Min", "Max"):
    case(name, grid(3, 4), grid(4), grid(3, 1), exact=True)
case("Sum", grid(3, 4), grid(4), grid(1), exact=True)
case("Mean", grid(3, 4), grid(4), exact=True)
case("Where", np.array([[True], [False]]), grid(2, 3), grid(3), exact=True)
case("PRelu", grid(2, 3, 4), grid(3, 1), exact=True)
case("Clip", grid(3, 5), np.float32(-2), np.float32(3.5), exact=True)
case("Clip", grid(3, 5), None, np.float32(1), tag="-max", exact=True)
case("Clip", integers(9, dtype=np.int8), np.int8(-20), np.int8(30), tag="-int8", exact=True)

# Sums of halves are exact in float32 as well: any order gives the same bits.
case("Conv", grid(2, 4, 7, 6), grid(6, 2, 3, 2), grid(6), group=2, pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2], exact=True)
case("Conv", grid(2, 3, 9), grid(4, 3, 3), tag="-1d", exact=True)
case("Conv", grid(1, 2, 4, 5, 3), grid(2, 2, 2, 2, 2), tag="-3d", exact=True)
case("Conv", grid(1, 4, 8, 8), grid(4, 1, 3, 3), group=4, auto_pad="SAME_UPPER", strides=[2, 2], tag="-same", exact=True)
case("ConvTranspose", grid(1, 4, 3, 4), grid(4, 3, 3, 2), group=2, strides=[2, 1], pads=[1, 0, 0, 1], output_padding=[1, 0], tag="-group", exact=True, oracle="ort")
case("ConvTranspose", grid(1, 2, 3, 3), grid(2, 3, 3, 3), grid(3), exact=True)
for a, b in (((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,))):
    case("MatMul", grid(*a), grid(*b), tag=f"-{len(a)}d{len(b)}d", exact=True)
case("Gemm", grid(4, 3), grid(5, 4), grid(5), transA=1, transB=1, alpha=0.5, beta=2.0, exact=True)
case("Gemm", grid(3, 4), grid(4, 5), tag="-plain", exact=True)
case("ConvInteger", integers(1, 2, 5, 5, low=0, high=255, dtype=np.uint8), integers(3, 2, 3, 3, low=0, high=255, dtype=np.uint8), np.uint8(120), np.uint8(7), pads=[1, 1, 1, 1], exact=True)
case("MatMulInteger", integers(3, 4, dtype=np.int8), integers(4, 5, dtype=np.int8), np.int8(3), np.int8(-4), exact=True)

case("MaxPool", floats(2, 3, 8, 7), kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1], exact=True)
case("MaxPool", floats(1, 2, 7, 7), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, dilations=[1, 2], tag="-ceil", exact=True)
case("MaxPool", floats(1, 2, 9), kernel_shape=[4], outputs=2, tag="-indices", exact=True, oracle="ort")
case("MaxPool", integers(1, 2, 4, 4, dtype=np.int8), kernel_shape=[2, 2], tag="-int8", exact=True, oracle="ort")
case("AveragePool", floats(2, 3, 8, 7), kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
case("AveragePool", floats(2, 3, 8, 7), kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1], count_include_pad=1, tag="-pads")
case("AveragePool", floats(1, 1, 6, 6), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, tag="-ceil")
case("GlobalAveragePool", floats(2, 3, 4, 5))
case("GlobalMaxPool", floats(2, 3, 4, 5), exact=True)
case("LpPool", floats(1, 2, 6, 6), kernel_shape=[2, 2])

for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"):
    case(name, floats(2, 3, 4), i64(0, 2), constants=[1], keepdims=0)
    case(name, floats(2, 3, 4), tag="-all")
case("ReduceMax", integers(3, 4, dtype=np.int32), i64(1), constants=[1], tag="-int", exact=True)
case("ArgMax", grid(3, 4, 5), axis=1, exact=True)
case("ArgMax", grid(3, 9, low=-1, high=1), axis=-1, keepdims=0, select_last_index=1, tag="-last", exact=True)
case("ArgMin", grid(3, 4), axis=0, keepdims=0, exact=True)
case("TopK", floats(3, 7), i64(4), constants=[1], outputs=2, exact=True)
case("TopK", floats(5, 3), i64(2), constants=[1], outputs=2, axis=0, largest=0, tag="-smallest", exact=True)

case("Transpose", floats(2, 3, 4), perm=[2, 0, 1], exact=True)
case("Reshape", floats(2, 3, 4), i64(0, -1), constants=[1], exact=True)
case("Flatten", floats(2, 3, 4), axis=2, exact=True)
case("Squeeze", floats(2, 1, 4), i64(1), constants=[1], exact=True)
case("Unsqueeze", floats(2, 4), i64(0, -1), constants=[1], exact=True)
case("Concat", floats(2, 3), floats(2, 4), axis=-1, exact=True)
case("Split", floats(2, 7), i64(3, 4), constants=[1], outputs=2, axis=1, exact=True)
case("Slice", floats(6, 7), i64(4, 1), i64(0, 100), i64(0, 1), i64(-2, 3), constants=[1, 2, 3, 4], exact=True)
case("Gather", floats(5, 3), np.array([[0, -1], [2, 2]]), exact=True)
case("Gather", floats(2, 5), i64(4, 1), axis=1, constants=[1], tag="-axis", exact=True)
case("GatherElements", floats(3, 4), np.array([[0, 1, 2, 0], [2, 2, -1, 1]]), exact=True)
case("Tile", floats(2, 3), i64(2, 3), constants=[1], exact=True)
case("Expand", floats(3, 1), i64(2, 1, 4), constants=[1], exact=True)
for mode in ("constant", "edge", "reflect", "wrap"):
    case("Pad", floats(4, 5), i64(1, 2, 3, 0), constants=[1], mode=mode, tag=f"-{mode}", exact=True)
case("Pad", floats(2, 3), i64(1, 0, 0, 1), np.float32(1.5), constants=[1, 2], tag="-value", exact=True)
case("Shape", floats(2, 3, 4), start=1, exact=True)
case("Size", floats(2, 3, 4), exact=True)
case("ConstantOfShape", i64(2, 3), constants=[0], value=numpy_helper.from_array(np.array([7], np.int32)), exact=True)
case("Range", np.float32(1), np.float32(4), np.float32(0.75), constants=[0, 1, 2], exact=True)
case("DepthToSpace", floats(1, 8, 2, 3), blocksize=2, mode="CRD", exact=True)
case("SpaceToDepth", floats(1, 2, 4, 6), blocksize=2, exact=True)
for to in (TensorProto.INT32, TensorProto.UINT8, TensorProto.BOOL, TensorProto.DOUBLE, TensorProto.FLOAT16):
    case("Cast", np.abs(floats(9, scale=40)), to=to, tag=f"-{to}", exact=True)
case("Cast", integers(9), to=TensorProto.FLOAT, tag="-from-int64", exact=True)

case("BatchNormalization", grid(2, 3, 4, 4), grid(3), grid(3), grid(3), np.abs(grid(3)) + 0.25, epsilon=1e-4)
case("InstanceNormalization", floats(2, 3, 4, 4), floats(3), floats(3))
case("LRN", floats(2, 6, 3, 3), size=3, alpha=0.2, beta=0.7, bias=1.5, oracle="ort")
case("Softmax", floats(3, 4, 5, scale=4), axis=1)
case("LogSoftmax", floats(3, 5, scale=4))

for dtype, axis in ((np.uint8, None), (np.int8, 0), (np.int16, 1), (np.uint16, None)):
    scale = np.float32(0.25) if axis is None else np.abs(grid(3 + axis)) + np.float32(0.25)
    zero = np.full(np.shape(scale), 3, dtype)
    attributes = {} if axis is None else {"axis": axis}
    case("QuantizeLinear", floats(3, 4, scale=60), scale, zero, constants=[1, 2], tag=f"-{np.dtype(dtype)}", exact=True, **attributes)
    case("DequantizeLinear", integers(3, 4, low=0, high=99, dtype=dtype), scale, zero, constants=[1, 2], tag=f"-{np.dtype(dtype)}", exact=True, **attributes)
case("DynamicQuantizeLinear", floats(3, 4), outputs=3, exact=True)

for mode, coordinates, nearest in (
    ("nearest", "half_pixel", "round_prefer_floor"),
    ("nearest", "asymmetric", "floor"),
    ("nearest", "align_corners", "ceil"),
    ("linear", "half_pixel", "round_prefer_floor"),
    ("linear", "align_corners", "round_prefer_floor"),
    ("linear", "pytorch_half_pixel", "round_prefer_floor"),
    ("cubic", "half_pixel", "round_prefer_floor"),
):
    for scales in ((1, 1, 2, 3), (1, 1, 0.5, 0.75)):
        case("Resize", floats(1, 2, 4, 4), None, np.array(scales, np.float32), constants=[2], tag=f"-{mode}-{coordinates}-{scales[2]}",
             mode=mode, coordinate_transformation_mode=coordinates, nearest_mode=nearest)
case("Resize", floats(1, 2, 3, 4), None, None, i64(1, 2, 5, 7), constants=[3], mode="linear", tag="-sizes")


def make_model(op, inputs, attributes, outputs, constants, domain="", opsets=None):
    names = ["" if value is None else f"x{i}" for i, value in enumerate(inputs)]
    arrays = {name: np.asarray(value) for name, value in zip(names, inputs) if name}
    fixed = {name for i, name in enumerate(names) if i in constants and name}
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], name="the_node", domain=domain, **attributes)
    declare = lambda name: helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(arrays[name].dtype), arrays[name].shape)
    graph = helper.make_graph(
        [node], "one", [declare(name) for name in arrays if name not in fixed],
        [onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs)],
        [numpy_helper.from_array(arrays[name], name) for name in fixed],
    )
    model = helper.make_model(graph, opset_imports=opsets or [helper.make_opsetid("", OPSET)], ir_version=10)
    return model, {name: array for name, array in arrays.items() if name not in fixed}


def evaluate(model, inputs, folder):
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return programs.evaluate(path, inputs, folder / "out", "import")


def check(actual, expected, exact, where=""):
    assert len(actual) == len(expected)
    for index, (a, b) in enumerate(zip(actual, expected)):
        b = np.asarray(b)
        assert a.shape == b.shape and a.dtype == b.dtype, f"{where} output {index}: {a.dtype}{a.shape} against {b.dtype}{b.shape}"
        if exact or not np.issubdtype(b.dtype, np.floating):
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=3e-6, atol=3e-6)


def run_oracle(model, arrays, oracle):
    if oracle == "onnx":
        with np.errstate(all="ignore"):
            return onnx.reference.ReferenceEvaluator(model).run(None, arrays)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    inferred = onnx.shape_inference.infer_shapes(model)
    return onnxruntime.InferenceSession(inferred.SerializeToString(), options).run(None, arrays)


@pytest.mark.parametrize("op,inputs,attributes,outputs,constants,exact,oracle", CASES)
def test_operator(op, inputs, attributes, outputs, constants, exact, oracle, tmp_path):
    model, arrays = make_model(op, inputs, attributes, outputs, constants)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model))
    check(evaluate(model, arrays, tmp_path), run_oracle(model, arrays, oracle), exact)


def test_lrn_even_size(tmp_path):
    """One channel before and two after: floor and ceil of (size - 1) / 2."""
    x = floats(2, 6, 2, 2)
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (1, 2), (0, 0), (0, 0)))
    total = sum(squares[:, i : i + 6] for i in range(4))
    model, arrays = make_model("LRN", [x], {"size": 4, "alpha": 0.2, "beta": 0.7, "bias": 1.5}, 1, ())
    check(evaluate(model, arrays, tmp_path), [(x / (1.5 + 0.2 / 4 * total) ** 0.7).astype(np.float32)], False)


X23 = floats(2, 3)
OPSET_1 = [
    ("Cast", [X23], {"to": "INT32"}, X23.astype(np.int32)),
    ("Reshape", [X23], {"shape": [3, 2]}, X23.reshape(3, 2)),
    ("Pad", [X23], {"paddings": [0, 1, 0, 2]}, np.pad(X23, ((0, 0), (1, 2)))),
    ("Concat", [X23, X23], {}, np.concatenate([X23, X23], 1)),
    ("Relu", [X23], {"consumed_inputs": [0]}, np.maximum(X23, 0)),
    ("Add", [X23, floats(2)], {"broadcast": 1, "axis": 0, "consumed_inputs": [0, 0]}, None),
    ("TopK", [floats(2, 4)], {"k": 1, "axis": 0}, None),
]


@pytest.mark.parametrize("op,inputs,attributes,expected", OPSET_1, ids=[case[0] for case in OPSET_1])
def test_opset_1(op, inputs, attributes, expected, tmp_path):
    """Forms that nobody writes any more."""
    outputs = 2 if op == "TopK" else 1
    model, arrays = make_model(op, inputs, attributes, outputs, (), opsets=[helper.make_opsetid("", 1)])
    if op == "Add":
        expected = inputs[0] + inputs[1][:, None]
    actual = evaluate(model, arrays, tmp_path)
    if op == "TopK":
        np.testing.assert_array_equal(actual[0], inputs[0].max(0, keepdims=True))
        expected = inputs[0].argmax(0)[None]
    np.testing.assert_array_equal(actual[-1], expected)


# ---- QONNX: the formulas of its documentation, in NumPy's float32.

ROUNDINGS = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda y: np.sign(y) * np.ceil(np.abs(y)),
    "DOWN": np.trunc,
    "HALF_UP": lambda y: np.sign(y) * np.floor(np.abs(y) + np.float32(0.5)),
    "HALF_DOWN": lambda y: np.sign(y) * np.ceil(np.abs(y) - np.float32(0.5)),
}
QONNX = [helper.make_opsetid("", OPSET), helper.make_opsetid("qonnx.custom_op.general", 1)]
STEPS = np.arange(-24, 25, dtype=np.float32) / 4


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize("bits,signed,narrow", [(1, 1, 0), (1, 0, 0), (2, 1, 1), (2, 1, 0), (2, 0, 0), (3, 0, 1), (4, 1, 0)])
def test_quant(mode, bits, signed, narrow, tmp_path):
    scale, zero = np.float32(0.5), np.float32(0 if signed else 1)
    low = -(2 ** (bits - 1)) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    y = STEPS / scale + zero
    q = np.where(y >= 0, 1, -1) if bits == 1 and signed else ROUNDINGS[mode](np.clip(y, np.float32(low), np.float32(high)))
    expected = ((q - zero) * scale).astype(np.float32)
    model, arrays = make_model(
        "Quant", [STEPS, scale, zero, np.float32(bits)], {"signed": signed, "narrow": narrow, "rounding_mode": mode}, 1, {1, 2, 3},
        "qonnx.custom_op.general", QONNX,
    )
    check(evaluate(model, arrays, tmp_path), [expected], True)


def test_bipolar_quant(tmp_path):
    x = np.array([0.0, -0.0, 1e-45, -1e-45, np.nan, 3.0], np.float32)
    model, arrays = make_model("BipolarQuant", [x, np.float32(0.75)], {}, 1, {1}, "qonnx.custom_op.general", QONNX)
    check(evaluate(model, arrays, tmp_path), [np.float32([0.75, 0.75, 0.75, -0.75, -0.75, 0.75])], True)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_multi_threshold(layout, tmp_path):
    x = grid(2, 3, 4, 3)
    thresholds = np.sort(grid(3, 5, low=-4, high=4), axis=1)
    shaped = thresholds.reshape((1, 3, 1, 1, 5) if layout == "NCHW" else (1, 1, 1, 3, 5))
    expected = (np.sum(x[..., None] >= shaped, axis=-1).astype(np.float32) * np.float32(0.5) + np.float32(-1)).astype(np.float32)
    model, arrays = make_model(
        "MultiThreshold", [x, thresholds], {"out_dtype": "INT4", "out_scale": 0.5, "out_bias": -1.0, "data_layout": layout}, 1, {1},
        "qonnx.custom_op.general", QONNX,
    )
    check(evaluate(model, arrays, tmp_path), [expected], True)


@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL"])
def test_trunc(mode, tmp_path):
    x = np.arange(-20, 21, dtype=np.float32) * np.float32(0.5)
    parameters = [np.float32(0.5), np.float32(0), np.float32(8), np.float32(6)]
    expected = ROUNDINGS[mode](np.rint(x / np.float32(0.5)) / np.float32(4)) * np.float32(0.5)
    model, arrays = make_model("Trunc", [x, *parameters], {"rounding_mode": mode}, 1, {1, 2, 3, 4}, "qonnx.custom_op.general", QONNX)
    check(evaluate(model, arrays, tmp_path), [expected.astype(np.float32)], True)


# ---- The conformance cases of quantisation.

REFUSED = ("e4m3fn", "e5m2", "float4e2m1", "blocked")


def read_tensor(path):
    array = numpy_helper.to_array(onnx.load_tensor(path))
    if array.dtype.name in ("int4", "int2"):
        return array.astype(np.int8)
    return array.astype(np.uint8) if array.dtype.name in ("uint4", "uint2") else array


@pytest.mark.skipif(not NODES.is_dir(), reason="the public models are not there")
@pytest.mark.parametrize("name", sorted(p.name for p in NODES.iterdir()) if NODES.is_dir() else [])
def test_conformance(name, tmp_path):
    folder = NODES / name
    model = onnx.load(folder / "model.onnx")
    data = folder / "test_data_set_0"
    if any(word in name for word in REFUSED):
        programs.refused("hwgq-eval", folder / "model.onnx", "--random", "--to=import", "-o", tmp_path / "out", outputs=[tmp_path / "out"])
        return
    arrays = {value.name: read_tensor(data / f"input_{i}.pb") for i, value in enumerate(model.graph.input)}
    expected = [read_tensor(path) for path in sorted(data.glob("output_*.pb"))]
    actual = programs.evaluate(folder / "model.onnx", arrays, tmp_path / "out", "import")
    check(actual, expected, True, name)
