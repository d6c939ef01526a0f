"""Einsum of one and two operands against NumPy, and what of it runs on codes or is refused."""

import numpy as np
import pytest
from onnx import TensorProto, helper

import programs
from test_blocks import Net

EQUATIONS = [
    ("ij->ji", [(3, 4)]),
    ("ij->i", [(3, 4)]),
    ("abc->b", [(2, 3, 4)]),
    ("kji", [(2, 3, 4)]),
    ("ba", [(3, 4)]),
    ("...ij->...ji", [(2, 3, 4, 5)]),
    ("i,i", [(5,), (5,)]),
    ("i,j->ij", [(5,), (4,)]),
    ("i , j -> j i", [(5,), (4,)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("bij,bkj->kbi", [(2, 3, 4), (2, 5, 4)]),
    ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ("bthd,bshd->bhts", [(2, 4, 3, 5), (2, 6, 3, 5)]),
    ("bhts,bshd->bthd", [(2, 3, 4, 6), (2, 6, 3, 5)]),
    ("abcd,cde->abe", [(2, 3, 4, 5), (4, 5, 6)]),
    ("abc,cd->abd", [(2, 3, 4), (4, 5)]),
    ("bij,bij->bij", [(2, 3, 4), (2, 3, 4)]),
    ("bij,bj->bi", [(2, 3, 4), (2, 4)]),
    ("bi,bj->bij", [(2, 3), (2, 4)]),
    ("bij,kl->bl", [(2, 3, 4), (5, 6)]),
    ("...ij,...jk->...ik", [(2, 3, 4, 5), (5, 6)]),
    ("...ij,...jk", [(2, 1, 4, 5), (3, 5, 6)]),
    ("bnij,bnjk->bnik", [(1, 2, 3, 4), (1, 2, 4, 3)]),
]


def make(tmp_path, equation, shapes, opset=12):
    names = [f"x{i}" for i in range(len(shapes))]
    node = helper.make_node("Einsum", names, ["y"], name="sum", equation=equation)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(names, shapes)]
    graph = helper.make_graph([node], "einsum", values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString())
    return path, names


@pytest.mark.parametrize("equation, shapes", EQUATIONS, ids=lambda v: v if isinstance(v, str) else "")
def test_einsum(tmp_path, equation, shapes):
    """Small whole numbers: every order of sums is exact."""
    rng = np.random.default_rng(len(equation))
    batched = equation.startswith(("bij,bjk", "bthd", "bi,")) and equation.count(",") == 1
    declared = [["N", *shape[1:]] if batched else shape for shape in shapes]
    model, names = make(tmp_path, equation, declared)
    inputs = {name: rng.integers(-8, 9, shape).astype(np.float32) for name, shape in zip(names, shapes)}
    expected = np.einsum(equation.replace(" ", ""), *inputs.values())
    module = programs.compile_model(model, tmp_path / "m.so")
    for actual in (programs.run_module(module, inputs, tmp_path / "run"), programs.evaluate(model, inputs, tmp_path / "import", "import")):
        assert actual[0].shape == expected.shape
        np.testing.assert_array_equal(actual[0], expected)


@pytest.mark.parametrize("equation, shapes, says", [
    ("ii->i", [(3, 3)], "'ii' has an index twice"),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)], "more than two operands"),
    ("ij,jk->ik", [(2, 3), (4, 5)], "sizes of one index differ: "),
    ("ij->k", [(2, 3)], "no operand has an index of the result"),
    ("ijk->i", [(2, 3)], "input 0, shape .*, does not fit 'ijk'"),
    ("i1->i", [(2,)], "is no list of indices"),
    ("ij->ij", [(2, 3), (2, 3)], "has 2 operands where 'ij->ij' names 1"),
    ("ij->->", [(2, 3)], "is no list of indices"),
    ("", [(2, 3)], "does not fit ''"),
])
def test_refused(tmp_path, equation, shapes, says):
    model, _ = make(tmp_path, equation, shapes)
    programs.refused("hwgq-compile", model, "-o", tmp_path / "m.so", says=f"sum.*Einsum.*{says}", outputs=[tmp_path / "m.so"])


def test_attention_on_codes(tmp_path):
    g = Net(seed=8)
    g.opset = 13
    x = {name: g.quant(name, 4, 0.5, 1) for name in "qkv"}
    s = g.quant(g.op("Einsum", x["q"], x["k"], equation="bthd,bshd->bhts"), 4, 1.0, 1)
    outputs = [g.op("Einsum", s, x["v"], equation="bhts,bshd->bthd")]
    shape = ["N", 7, 3, 16]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "qkv"]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(g.nodes, "attention", values, results, g.constants)
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model = tmp_path / "model.onnx"
    model.write_bytes(content.SerializeToString())
    module = programs.compile_model(model, tmp_path / "m.so", f"--report={tmp_path / 'report.json'}")
    assert [layer["kernel"] for layer in programs.read_json(tmp_path / "report.json")["layers"]] == ["dot8-pairs"] * 2
    inputs = {name: 2 * g.rng.standard_normal((2, *shape[1:])).astype(np.float32) for name in "qkv"}
    actual = programs.run_module(module, inputs, tmp_path / "run")
    programs.assert_same_bits(actual, programs.evaluate(model, inputs, tmp_path / "hwgq"), "module")
    np.testing.assert_array_equal(actual[0], programs.onnxruntime_session(content).run(None, inputs)[0])
