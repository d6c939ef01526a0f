"""hwgq.onnx_backend: ONNX's backend test suite, and what it does with sizes that are inputs."""

import fnmatch

import numpy as np
import onnx.backend.base
import pytest
from onnx import TensorProto, helper

import conformance
import hwgq
import hwgq.onnx_backend as backend
import networks


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in conformance.cases()])
def test_conformance(case):
    """A case passes, or is on the list of those that do not."""
    why = conformance.reason(case.name)
    if why is None:
        case.run()
        return
    try:
        case.run()
    except (AssertionError, ValueError, TypeError):
        return
    pytest.fail(f"passes now: take it off {conformance.LIST.name} ({why})")


def test_the_list_is_tight():
    """Every entry of the list stands for a case."""
    names = [case.name for case in conformance.cases()]
    for pattern, why in conformance.expected_failures():
        assert why, pattern
        if not pattern.startswith("debian/"):
            assert fnmatch.filter(names, pattern), f"{pattern} is no case"


def test_interface():
    """The functions of the module are those of a backend."""
    assert issubclass(backend.HwgqBackend, onnx.backend.base.Backend)
    assert backend.supports_device("CPU") and not backend.supports_device("CUDA")
    model = networks.two_inputs()
    a = networks.floats(2, 3)
    outputs = backend.run_model(model, [a, a])
    assert outputs["sum"] is outputs[0]
    np.testing.assert_array_equal(outputs.product, a * a)
    np.testing.assert_array_equal(backend.run_model(model, {"b": a, "a": a}).product, a * a)
    with pytest.raises(ValueError, match="CUDA"):
        backend.prepare(model, "CUDA")
    with pytest.raises(ValueError, match="'b' is missing"):
        backend.run_model(model, [a])
    with pytest.raises(ValueError, match="3 inputs are too many"):
        backend.run_model(model, [a, a, a])
    assert backend.is_compatible(model)
    model.graph.node[0].op_type = "Loop"
    assert not backend.is_compatible(model)
    with pytest.raises(hwgq.CompileError, match="Loop"):
        backend.prepare(model)


def test_run_node():
    node = helper.make_node("Concat", ["a", "b"], ["y"], axis=1)
    a, b = networks.floats(2, 3), networks.floats(2, 1)
    (y,) = backend.run_node(node, [a, b])
    np.testing.assert_array_equal(y, np.concatenate([a, b], 1))
    (y,) = backend.run_node(node, [a, b], outputs_info=[(np.float32, (2, 4))], opset_version=11)
    np.testing.assert_array_equal(y, np.concatenate([a, b], 1))


def test_sizes_as_inputs(monkeypatch):
    """A shape is bound; another shape compiles again, one of before does not."""
    compiled = []

    def compile(*arguments, bind=None, **options):
        compiled.append(bind)
        return hwgq.compile(*arguments, bind=bind, **options)

    monkeypatch.setattr(backend, "compile", compile)
    prepared = backend.prepare(networks.reshaped())
    assert not compiled
    x = networks.floats(2, 6)
    for shape in ([3, 4], [4, 3], [3, 4], [3, 4], [4, 3]):
        np.testing.assert_array_equal(prepared.run([x, np.array(shape)])[0], x.reshape(shape))
    assert [list(bind) for bind in compiled] == [["shape"], ["shape"]]


def test_sizes_computed_from_inputs():
    """What sizes are computed from is bound, too; the rest stays an input."""
    model = networks.model(
        [
            helper.make_node("Concat", ["rows", "columns"], ["shape"], axis=0),
            helper.make_node("Reshape", ["x", "shape"], ["r"]),
            helper.make_node("Mul", ["r", "k"], ["y"]),
        ],
        [
            ("x", TensorProto.FLOAT, [2, 6]),
            ("rows", TensorProto.INT64, [1]),
            ("columns", TensorProto.INT64, [1]),
            ("k", TensorProto.FLOAT, []),
        ],
        [("y", TensorProto.FLOAT, [None, None])],
    )
    prepared = backend.prepare(model)
    x = networks.floats(2, 6)
    for k in (2, 3):
        y = prepared.run([x, np.array([4]), np.array([3]), np.float32(k)])[0]
        np.testing.assert_array_equal(y, x.reshape(4, 3) * np.float32(k))
    assert len(prepared._modules) == 1


def test_open_sizes():
    """Sizes that the model leaves open are those of the arrays."""
    model = networks.model(
        [helper.make_node("Relu", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, ["n", "h", "w"])],
        [("y", TensorProto.FLOAT, ["n", "h", "w"])],
    )
    prepared = backend.prepare(model)
    for shape in ((2, 3, 4), (1, 1, 5)):
        x = networks.floats(*shape)
        np.testing.assert_array_equal(prepared.run([x])[0], np.maximum(x, 0))
