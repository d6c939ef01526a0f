"""Products of two activations: the op against NumPy, and networks with heads end to end."""

import numpy as np
import pytest
from onnx import TensorProto, helper

import programs
from kernelchecks import check, check_variants
from kernelnets import CODES, Program, array
from test_blocks import Net
from test_kernel_families import VARIANTS

INNER = [1, 3, 7, 8, 9, 16, 31, 33, 64, 65, 130]
SIZES = [1, 2, 5, 7, 8, 13, 16, 17, 31, 33, 49, 70]


class StaticProgram(Program):
    """All sizes are known."""

    @staticmethod
    def type(shape, kind, dynamic=True):
        return Program.type(shape, kind, False)

    def input(self, shape, wild=False):
        name, x = super().input(shape, wild)
        self.inputs[-1] = (name, list(shape), x)
        return name, x


def random_dims(rng, rank, dynamic, any_order):
    """What the dimensions of both operands are; a dynamic batch comes first everywhere."""
    m = int(rng.integers(1 if dynamic else 0, rank - 1))
    left = [d for d in range(rank - 1)]
    right = [d for d in range(rank - 1) if d != m]
    start = 1 if dynamic else 0
    rows, columns = left[:start], right[:start]
    rows += [int(d) for d in rng.permutation(left[start:])] + [rank]
    last = int(rng.choice([rank - 1, rank]))  # n or k
    columns += [int(d) for d in rng.permutation(right[start:] + [2 * rank - 1 - last])] + [last]
    if any_order:
        rows[start:] = [int(d) for d in rng.permutation(rows[start:])]
        columns[start:] = [int(d) for d in rng.permutation(columns[start:])]
    return m, rows, columns


def product(program, sizes, rows, columns, a, w, out=None):
    """sizes: of the dimensions of the result, and k."""
    rank = len(sizes) - 1
    x, xv = program.quantize(*program.input([sizes[d] for d in rows]), a)
    y, yv = program.quantize(*program.input([sizes[d] for d in columns]), w)
    acc = np.einsum(xv, rows, yv, columns, list(range(rank)))
    name = program.emit(f"hwgq.product {x}, {y} {{input_dims = {array(rows)}, weight_dims = {array(columns)}}} : "
                        f"{program.type(xv.shape, program.code(a))}, {program.type(yv.shape, program.code(w))}", acc.shape, "i32")
    if out:
        program.output(*program.threshold(name, acc, out), program.code(out))
    else:
        program.output(name, acc, "i32")


def random_product(program, rank, any_order=False):
    rng = program.rng
    dynamic = not isinstance(program, StaticProgram)
    m, rows, columns = random_dims(rng, rank, dynamic, any_order)
    sizes = [int(rng.integers(1, 4)) for _ in range(rank - 1)] + [int(rng.choice(SIZES)), int(rng.choice(INNER))]
    sizes[m] = int(rng.choice(SIZES))
    if dynamic:
        sizes[0] = 1 + program.seed % 3
    product(program, sizes, rows, columns, rng.choice(list(CODES)), rng.choice(list(CODES)), rng.choice([None, None, "b1", "u2", "s4", "u8"]))


@pytest.mark.parametrize("seed", range(40 if programs.EXHAUSTIVE else 8))
def test_product(tmp_path, seed):
    """Ranks, orders, forms and targets."""
    program = (Program if seed % 2 else StaticProgram)(3000 + seed)
    for rank in (3, 4, 5) if seed % 2 else (2, 3, 4, 5):
        random_product(program, rank, any_order=seed % 4 == 2)
    check(tmp_path, program)


@pytest.mark.parametrize("target", VARIANTS["dot8"])
def test_forms_of_products(tmp_path, target):
    """All ways to multiply bytes: rests of rows, columns and steps, signed, shifted and wide codes."""
    program = Program(3101 + 3 * VARIANTS["dot8"].index(target))  # of batch 3
    product(program, [3, 3, 17, 33, 9], [0, 2, 1, 4], [0, 3, 1, 4], "s4", "s4", "s4")
    product(program, [3, 2, 7, 70, 33], [0, 1, 2, 4], [0, 4, 1, 3], "u8", "s8")
    product(program, [3, 25, 16, 65], [0, 1, 3], [0, 2, 3], "b1", "b1", "b1")
    product(program, [3, 13, 21, 70], [0, 1, 3], [0, 3, 2], "u8", "u8", "u8")
    product(program, [3, 1, 49, 8, 3], [0, 1, 2, 4], [0, 1, 3, 4], "u4, -15, 2", "u8, -255, 2")
    random_product(program, 4)
    check_variants(tmp_path, program, "dot8-pairs", [target])


def attention(g, codes, heads, tokens, size):
    """Heads of quantised queries, keys and values; the quantised product of scores and values as an output, too."""
    bits, signed = {"b1": (1, 1), "u2": (2, 0), "s4": (4, 1), "u8": (8, 0)}[codes]

    def quant(x, scale):
        if bits > 1:
            return g.quant(x, bits, scale, signed)
        positive = g.op("Cast", g.op("GreaterOrEqual", x, g.constant(0)), to=TensorProto.FLOAT)
        return g.op("Sub", g.op("Mul", positive, g.constant(2 * scale)), g.constant(scale))

    def split(x, perm):
        return g.op("Transpose", g.op("Reshape", x, g.ints(0, tokens, heads, size)), perm=perm)

    q, k, v = (quant(name, 0.5) for name in ("q", "k", "v"))
    s = g.op("MatMul", split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1]))
    p = quant(g.op("Mul", s, g.constant(0.25)), 0.25)
    y = g.op("MatMul", p, split(v, [0, 2, 1, 3]))
    y = g.op("Reshape", g.op("Transpose", y, perm=[0, 2, 1, 3]), g.ints(0, tokens, heads * size))
    return [s, y, g.quant(g.op("Mul", y, g.constant(1 if codes == "b1" else 1 / 8)), 4, 0.5, 1)]


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("codes, heads, tokens, size", [("b1", 2, 7, 64), ("u2", 3, 17, 9), ("s4", 2, 33, 20), ("u8", 4, 5, 16)])
def test_heads(tmp_path, codes, heads, tokens, size, batch):
    """Exact in float32: what the file says, bit for bit, on codes, with no code moved as a float."""
    g = Net(seed=tokens)
    outputs = attention(g, codes, heads, tokens, size)
    shape = [tokens, heads * size]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape]) for name in "qkv"]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(g.nodes, "attention", values, results, g.constants)
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model = tmp_path / "model.onnx"
    model.write_bytes(content.SerializeToString())
    report = tmp_path / "report.json"
    module = tmp_path / "m.so"
    done = programs.run("hwgq-compile", model, "-o", module, f"--report={report}", "--verify-folding", "--remarks")
    assert "moves codes as floats" not in done.stderr
    layers = programs.read_json(report)["layers"]
    assert [(layer["op"], layer["kernel"], layer["macs"]) for layer in layers] == \
        [("product", "dot8-pairs", heads * tokens * tokens * size)] * 2
    assert all(layer["act"] == layer["weight"] and layer["weight_bytes"] == 0 for layer in layers)
    for count in (1, 3) if batch == "N" else (1,):
        inputs = {name: 2 * g.rng.standard_normal((count, *shape)).astype(np.float32) for name in "qkv"}
        expected = programs.evaluate(model, inputs, tmp_path / "hwgq")
        programs.assert_same_bits(programs.run_module(module, inputs, tmp_path / "run"), expected, "module")
        for reference in (programs.evaluate(model, inputs, tmp_path / "import", "import"),
                          programs.onnxruntime_session(content).run(None, inputs)):
            for name, actual, wanted in zip(outputs, expected, reference):
                np.testing.assert_array_equal(actual, wanted, err_msg=name)
                assert np.ptp(actual) > 0, name


@pytest.mark.parametrize("batch", [1, "N"])
def test_joined_heads(tmp_path, batch):
    """Queries, keys and values of one tensor, quantised once it is split into heads."""
    g = Net(seed=4)
    y = g.op("Transpose", g.op("Reshape", "x", g.ints(0, 5, 3, 2, 12)), perm=[2, 0, 3, 1, 4])
    q, k, v = (g.op("Gather", g.quant(y, 4, 0.5, 1), g.constant(i, np.int64), axis=0) for i in range(3))
    s = g.quant(g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2])), 8, 0.5, 1)
    outputs = [g.op("MatMul", s, v)]
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 5, 72])]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(g.nodes, "attention", values, results, g.constants)
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model = tmp_path / "model.onnx"
    model.write_bytes(content.SerializeToString())
    module = programs.compile_model(model, tmp_path / "m.so", f"--report={tmp_path / 'report.json'}", "--verify-folding")
    assert [layer["op"] for layer in programs.read_json(tmp_path / "report.json")["layers"]] == ["product"] * 2
    inputs = {"x": 2 * g.rng.standard_normal((3 if batch == "N" else 1, 5, 72)).astype(np.float32)}
    actual = programs.run_module(module, inputs, tmp_path / "run")
    programs.assert_same_bits(actual, programs.evaluate(model, inputs, tmp_path / "hwgq"), "module")
    np.testing.assert_array_equal(actual[0], programs.onnxruntime_session(content).run(None, inputs)[0])
    assert np.ptp(actual[0]) > 0
