"""compile, lower, evaluate, PassManager and their errors."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import hwgq
import networks


def test_forms_of_a_model(tmp_path):
    """A path, bytes and a ModelProto are the same network."""
    proto = networks.two_inputs()
    path = tmp_path / "two.onnx"
    onnx.save(proto, path)
    a, b = networks.floats(2, 3), networks.floats(2, 3, seed=1)
    results = [hwgq.compile(model)(a, b)[0].tobytes() for model in (path, str(path), path.read_bytes(), proto)]
    assert len(set(results)) == 1
    text = tmp_path / "two.mlir"
    text.write_text(hwgq.lower(proto, "bitpack"))
    assert hwgq.compile(text)(a, b)[0].tobytes() == results[0]
    with pytest.raises(TypeError, match="path, bytes or an onnx.ModelProto, not int"):
        hwgq.compile(3)


def test_external_data(tmp_path):
    """Tensors beside a file are found; those of bytes are refused."""
    weights = networks.floats(64, 64)
    proto = networks.model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", TensorProto.FLOAT, [1, 64])],
        [("y", TensorProto.FLOAT, [1, 64])],
        [("w", weights)],
    )
    path = tmp_path / "external.onnx"
    onnx.save(proto, path, save_as_external_data=True, size_threshold=0)
    x = networks.floats(1, 64)
    np.testing.assert_allclose(hwgq.compile(path)(x), x @ weights, rtol=1e-4, atol=1e-4)
    with pytest.raises(hwgq.CompileError, match="external"):
        hwgq.compile(path.read_bytes())


def test_diagnostics_name_node_and_operator(tmp_path):
    """An error is data: severity, message, node, operator, file."""
    proto = networks.model(
        [helper.make_node("Softmax", ["x"], ["y"], name="bad axis", axis=7)],
        [("x", TensorProto.FLOAT, [1, 3])],
        [("y", TensorProto.FLOAT, [1, 3])],
    )
    path = tmp_path / "bad.onnx"
    onnx.save(proto, path)
    with pytest.raises(hwgq.CompileError) as caught:
        hwgq.compile(path)
    errors = [diagnostic for diagnostic in caught.value.diagnostics if diagnostic.severity == "error"]
    assert [(error.node, error.op, error.file) for error in errors] == [("bad axis", "Softmax", str(path))]
    assert "axis" in errors[0].message
    assert str(caught.value) == f"error: {path}: node 'bad axis': {errors[0].message}"
    proto.graph.node[0].op_type = "Loop"
    with pytest.raises(hwgq.CompileError) as caught:
        hwgq.compile(proto)
    assert caught.value.diagnostics[0].op == "Loop"
    with pytest.raises(hwgq.CompileError, match="cannot be opened"):
        hwgq.compile(tmp_path / "none.onnx")
    with pytest.raises(hwgq.CompileError, match="damaged or cut short"):
        hwgq.compile(b"\xff" * 40)
    with pytest.raises(hwgq.CompileError, match="not an ONNX model|no graph|empty"):
        hwgq.compile(b"")


def test_remarks_are_kept():
    """A compiled module knows the remarks, such as a kernel that was not chosen."""
    module = hwgq.compile(networks.DIGITS / "model.onnx", kernel="generic")
    assert all(diagnostic.severity in ("warning", "remark") for diagnostic in module.diagnostics)


@pytest.mark.parametrize(
    "options, text",
    [
        (dict(target="z80"), "target"),
        (dict(batch=0), "batch takes a number from 1 to 1048576, or dynamic, not '0'"),
        (dict(kernel="nope"), "no kernel is named"),
        (dict(straight_through="maybe"), "straight-through takes drop or keep"),
        (dict(symbol_prefix="1x"), "symbol-prefix takes a C identifier"),
        (dict(verify_folding="perhaps"), "verify-folding takes true or false"),
        (dict(colour="red"), "there is no option 'colour'"),
        (dict(bind={"shape": np.zeros(2, np.int64)}), "there is no input 'shape'"),
        (dict(input={"a": "u8,nhwc"}), "for images of type"),
        (dict(input={"a": "u8,sideways"}), "unknown part 'sideways'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_options(options, text):
    with pytest.raises(hwgq.CompileError, match=text):
        hwgq.compile(networks.two_inputs(), **options)


def test_options_of_a_module():
    module = hwgq.compile(networks.two_inputs(), symbol_prefix="two", verify_folding=True, straight_through="keep")
    a = networks.floats(1, 3)
    assert module(a, a)[0].shape == (1, 3)
    with pytest.raises(TypeError, match="lower gives"):
        hwgq.compile(networks.two_inputs(), to="hwgq")


def test_bind():
    """A bound input is a constant, and no input any more."""
    x = networks.floats(2, 6)
    with pytest.raises(hwgq.CompileError, match="bind"):
        hwgq.compile(networks.reshaped())
    for shape in ([3, 4], [4, -1]):
        module = hwgq.compile(networks.reshaped(), bind={"shape": np.array(shape)})
        assert [tensor.name for tensor in module.inputs] == ["x"]
        np.testing.assert_array_equal(module(x), x.reshape(shape))
        np.testing.assert_array_equal(hwgq.evaluate(networks.reshaped(), x, bind={"shape": np.array(shape)}), x.reshape(shape))
    with pytest.raises(hwgq.CompileError, match="not of the input's type"):
        hwgq.compile(networks.reshaped(), bind={"shape": np.array([3.0, 4.0])})
    with pytest.raises(TypeError, match="arrays of .* are not supported"):
        hwgq.compile(networks.reshaped(), bind={"shape": np.array(["3", "4"])})


@pytest.mark.parametrize("to", [None, "import", "hwgq", "bitpack", "kernel", "loops", "target"])
def test_evaluate(to):
    a, b = networks.floats(2, 3), networks.floats(2, 3, seed=1)
    for inputs in ([a, b], (a, b), {"b": b, "a": a}):
        sums, products = hwgq.evaluate(networks.two_inputs(), inputs, to=to)
        np.testing.assert_array_equal(sums, (a + a) + b)
        np.testing.assert_array_equal(products, a * b)
    for wrong, text in (
        ([a], "input 'b', f32\\[\\?x3\\], is missing"),
        ([a, b, a], "too many arrays"),
        ({"a": a, "c": b}, "no input 'c'"),
        ([a, b[:1]], "needs f32"),
        ([a, b.astype(np.float64)], "the array is f64"),
    ):
        with pytest.raises(hwgq.CompileError, match=text):
            hwgq.evaluate(networks.two_inputs(), wrong, to=to)


def test_evaluate_an_unknown_phase():
    with pytest.raises(hwgq.CompileError, match="to takes import, hwgq"):
        hwgq.evaluate(networks.two_inputs(), [], to="nowhere")


def test_pass_manager():
    """The phases as a pipeline over text, and what is wrong with text and pipelines."""
    text = hwgq.lower(networks.two_inputs(), "import")
    assert "onnx.Mul" in text
    legal = hwgq.PassManager("hwgq-legalize-onnx").run(text)
    assert "onnx." not in legal and "arith.mulf" in legal
    assert hwgq.PassManager("builtin.module(canonicalize, cse)").run(legal)
    with pytest.raises(hwgq.CompileError, match="nope"):
        hwgq.PassManager("nope").run(text)
    with pytest.raises(hwgq.CompileError) as caught:
        hwgq.PassManager("cse").run("func.func @f( {\n}")
    assert (caught.value.diagnostics[0].file, caught.value.diagnostics[0].line) == ("<string>", 1)
    with pytest.raises(hwgq.CompileError):
        hwgq.PassManager("func.func(cse").run(text)


def test_documentation():
    """Everything public says what it is, and has annotations."""
    for name in hwgq.__all__:
        if name != "__version__":
            assert getattr(hwgq, name).__doc__, name
    for function in (hwgq.compile, hwgq.evaluate, hwgq.lower, hwgq.Module.load, hwgq.Module.save, hwgq.PassManager.run):
        assert "return" in function.__annotations__, function
