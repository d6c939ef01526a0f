"""One-layer networks: every accumulator, tie and border, for every pair of quantisers."""

import functools

import numpy as np
import pytest

import programs
from onelayer import CHANNELS, FORMS, NETS, WEIGHTS, Branch, Layer, make_model

CASES = [(net, form, "binary") for net in NETS for form in FORMS]
CASES += [("conv", form, weights) for weights in WEIGHTS if weights != "binary" for form in ("sign_ge", "hwgq", "round_signed")]
CASES += [("matmul", "non_uniform", weights) for weights in WEIGHTS if weights != "binary"]
KERNELS = ("generic", "auto")


@functools.lru_cache(maxsize=None)
def case(net, form, weights):
    layer = Layer(net, form, weights)
    return layer, [Branch(layer, output) for output in FORMS]


def assert_equal(actual, expected, what):
    """Equal values: the sign of a zero is the only freedom."""
    assert len(actual) == len(expected)
    for output, a, b in zip(FORMS, actual, expected):
        assert a.shape == b.shape and a.dtype == b.dtype, (what, output)
        wrong = np.argwhere(a != b)
        assert not len(wrong), f"{what}, output quantiser {output}: {len(wrong)} differ, first {wrong[0]}: {a[tuple(wrong[0])]} is not {b[tuple(wrong[0])]}"


@pytest.mark.parametrize("net,form,weights", CASES)
def test_coverage(net, form, weights):
    """The inputs reach what they are meant to: the tests below stand on this."""
    layer, branches = case(net, form, weights)
    assert layer.reached() == layer.reachable()
    x = layer.inputs()
    assert {float(v) for v in np.unique(x)} >= {v for v, _ in FORMS[form].breakpoints}, "ties on the input"
    for branch in branches:
        breakpoints = FORMS[branch.output].breakpoints
        rising, falling = set(), set()
        for channel in range(6):
            hit = {branch.after_batch_norm(v, channel) for values in branch.sums[channel] for v in values}
            (rising if branch.slope[channel] > 0 else falling).update(hit)
            tie, total = branch.ties[channel]
            assert branch.after_batch_norm(total, channel) == tie
            codes = FORMS[branch.output].codes(np.array(sorted(hit)))
            assert len(set(codes)) > 1, "a channel that should change is constant"
        for value, _ in breakpoints:
            assert value in rising and value in falling, (branch.output, value)
        assert branch.slope[6] == 0 and branch.offset[6] in [v for v, _ in breakpoints]
        assert branch.slope[7] == 0 and branch.offset[7] not in [v for v, _ in breakpoints]


@pytest.mark.parametrize("net,form,weights", CASES)
def test_equals_onnx_runtime(net, form, weights, tmp_path):
    layer, branches = case(net, form, weights)
    model, x = make_model(layer, branches), layer.inputs()
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    expected = programs.onnxruntime_session(model).run(None, {"x": x})
    assert all(np.isfinite(y).all() for y in expected)
    number = CASES.index((net, form, weights))
    for kernel in KERNELS if programs.EXHAUSTIVE else [KERNELS[(number + number // len(FORMS)) % 2]]:
        report = tmp_path / "report.json"
        module = programs.compile_model(
            path, tmp_path / f"{kernel}.so", f"--kernel={kernel}", "--verify-folding", f"--report={report}"
        )
        assert_equal(programs.run_module(module, {None: x}, tmp_path / "run"), expected, f"--kernel={kernel}")
        contractions = [layer for layer in programs.read_json(report)["layers"] if layer["macs"]]
        assert len(contractions) >= len(FORMS)
        for entry in contractions:
            assert "f32" not in (entry["act"], entry["weight"]), entry
    few = slice(0, len(x) if programs.EXHAUSTIVE else 64)
    evaluated = programs.evaluate(path, {None: x[few]}, tmp_path / "eval")
    assert_equal(evaluated, [y[few] for y in expected], "hwgq-eval --to=hwgq")


@pytest.mark.parametrize("form,output", [(a, b) for i, a in enumerate(FORMS) for j, b in enumerate(FORMS) if (j - i) % len(FORMS) == 1])
def test_alone(form, output, tmp_path):
    """One pair in a file: nothing is shared with a neighbour."""
    layer = Layer("conv", form)
    model, x = make_model(layer, [Branch(layer, output)]), layer.inputs()
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    module = programs.compile_model(tmp_path / "model.onnx", tmp_path / "m.so")
    (actual,) = programs.run_module(module, {None: x}, tmp_path / "run")
    (expected,) = programs.onnxruntime_session(model).run(None, {"x": x})
    assert actual.shape == (len(x), CHANNELS, 3, 3)
    assert np.array_equal(actual, expected)
