"""Real networks, compiled for every target, kernel and batch, against the reference and
against what their makers computed.

By default each network takes as many of the combinations as it needs for every pair of
(network, target), (network, batch), (network, kernel), (target, batch) and (kernel, batch)
to occur; HWGQ_TEST_ALL=1 takes the product.
"""

import functools
import tempfile

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import models
import programs

TARGETS = ("x86-64-v2", "x86-64-v3", "host", "aarch64")
KERNELS = ("auto", "generic")
BATCHES = (1, 3, 64, "dynamic")

NETWORKS = models.networks()
IMPORTER = models.folder("importer")
needs_models = pytest.mark.skipif(not programs.MODELS.is_dir(), reason=f"{programs.MODELS} is absent")


def combinations():
    """(network, target, kernel, batch)."""
    for n, network in enumerate(NETWORKS):
        for t, target in enumerate(TARGETS):
            for k, kernel in enumerate(KERNELS):
                for b, batch in enumerate(BATCHES):
                    # A Latin square shifted by the network; each row alternates the kernels.
                    if programs.EXHAUSTIVE or ((n + t) % 4 == b and (n // 4 + t + b // 2) % 2 == k):
                        yield pytest.param(network, target, kernel, batch, id=f"{network}-{target}-{kernel}-{batch}")


def test_combinations_cover_pairs():
    chosen = [parameters.values for parameters in combinations()]
    pairs = lambda i, j: {(c[i], c[j]) for c in chosen}  # noqa: E731
    counts = (len(NETWORKS), len(TARGETS), len(KERNELS), len(BATCHES))
    for i in range(4):
        for j in range(i + 1, 4):
            if len(NETWORKS) > 4 or i > 0:
                assert len(pairs(i, j)) == counts[i] * counts[j], (i, j)


@functools.lru_cache(maxsize=None)
def scratch():
    return tempfile.TemporaryDirectory(prefix="hwgq-models-")


@functools.lru_cache(maxsize=None)
def reference(network, batch):
    """What `hwgq-eval --to=hwgq` gives for `batch` rows."""
    folder = f"{scratch().name}/{network}-{batch}"
    return programs.execute(
        "hwgq-eval", network.path, network.batch(batch), folder, "--to=hwgq", f"--batch={batch}", timeout=600
    )


def rows(batch):
    return [1, 3, 64] if batch == "dynamic" else [batch]


@pytest.mark.parametrize("network,target,kernel,batch", list(combinations()))
def test_same_bits_as_reference(network, target, kernel, batch, tmp_path):
    if target.startswith("x86") and not programs.host_has(target):
        pytest.skip(f"this machine is no {target}")
    limit = 3 if network.path.stem.startswith("qonnx_quant_model") and not programs.EXHAUSTIVE else 64
    module = programs.compile_model(
        network.path,
        tmp_path / "model.so",
        f"--target={target}",
        f"--kernel={kernel}",
        f"--batch={batch}",
        f"--report={tmp_path / 'report.json'}",
    )
    if target == "aarch64" and batch != "dynamic" and batch > limit:
        pytest.skip("compiled; takes minutes under emulation, --all runs it")
    for count in rows(batch):
        if batch == "dynamic" and count > limit:
            continue
        actual = programs.run_module(module, network.batch(count), tmp_path / "run", target=target)
        programs.assert_same_bits(actual, reference(network, count), f"batch {count}")


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_golden(network):
    """The outputs that the network's makers, or another program, computed."""
    if network.check is None:
        pytest.skip("nothing but the file is known of this network")
    network.check(reference(network, network.rows))


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_phases_agree(network, tmp_path):
    """Evaluation after each phase gives the same bits."""
    inputs = network.batch(2)
    expected = reference(network, 2)
    phases = ("bitpack", "kernel", "loops", "target") if programs.EXHAUSTIVE else ("bitpack", "kernel", "loops")
    for phase in phases:
        actual = programs.execute("hwgq-eval", network.path, inputs, tmp_path / phase, f"--to={phase}", "--batch=2")
        programs.assert_same_bits(actual, expected, phase)


def bits(kind):
    """Bits of a code type as the report prints it ("u2", "s4", "b1"), or None for floats."""
    return None if kind.startswith("f") else int("".join(c for c in kind if c.isdigit()))


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_quantised_layers_run_on_codes(network, tmp_path):
    report = tmp_path / "report.json"
    programs.compile_model(network.path, tmp_path / "model.so", f"--report={report}", "--verify-folding")
    contractions = [layer for layer in programs.read_json(report)["layers"] if layer["macs"]]
    assert contractions
    floats = [layer for layer in contractions if bits(layer["act"]) is None or bits(layer["weight"]) is None]
    for layer in floats:
        assert layer["reason"], f"no reason why {layer['name']} is not on codes"
    assert len(floats) <= len(list(unquantised_contractions(network.path))), floats


def unquantised_contractions(path):
    """Names of contractions of which an operand comes from no quantiser.

    Walks up from each operand over what moves, scales or folds values, and stops at a
    quantiser, an integer constant (MultiThreshold networks), or a contraction.
    """
    graph = onnx.load(path).graph
    producer = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].type == onnx.AttributeProto.TENSOR:
            constants[node.output[0]] = node.attribute[0].t
    quantisers = {"Quant", "IntQuant", "BipolarQuant", "MultiThreshold", "QuantizeLinear", "DequantizeLinear", "Sign", "Round"}
    quantisers |= {"Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
    transparent = {"Transpose", "Reshape", "Flatten", "MaxPool", "Identity", "Pad", "Squeeze", "Unsqueeze", "Dropout"}
    transparent |= {"Add", "Mul", "Sub", "Div", "Cast", "Where", "Clip", "Relu"}

    def quantised(name):
        if name in constants:
            values = numpy_helper.to_array(constants[name])
            return len(np.unique(values)) <= 256
        node = producer.get(name)
        if node is None:
            return False
        if node.op_type in quantisers:
            return True
        if node.op_type not in transparent:
            return False
        return any(quantised(operand) for operand in node.input if operand and np.size(operand) and not scalar(operand))

    def scalar(name):
        return name in constants and int(np.prod(constants[name].dims)) <= 1

    for node in graph.node:
        if node.op_type in ("Conv", "MatMul", "Gemm") and not all(quantised(name) for name in node.input[:2]):
            yield node.name


@needs_models
def test_every_folder_is_there():
    assert len(models.folder("trained")) == 12 and len(models.folder("exported")) == 8
    assert len(IMPORTER) == 65


@needs_models
@pytest.mark.parametrize("path", IMPORTER, ids=lambda path: path.stem)
def test_importer(path, tmp_path):
    """Small or odd files: compiled and equal to the reference, or refused with a reason."""
    if path.stem in models.REFUSED or not models.input_shapes(path):
        output = tmp_path / "model.so"
        says = models.REFUSED.get(path.stem, "empty|no nodes|no output")
        programs.refused("hwgq-compile", path, "-o", output, says=says, outputs=[output])
        return
    network = models.seeded(path, rows=1)
    if any(np.prod(x.shape, initial=1) == 0 for x in network.inputs.values()):
        pytest.fail(f"no input for {path}")
    module = programs.compile_model(path, tmp_path / "model.so", "--verify-folding")
    actual = programs.run_module(module, network.inputs, tmp_path / "run")
    programs.assert_same_bits(actual, programs.evaluate(path, network.inputs, tmp_path / "hwgq"))
    # Against the file itself: the reference at the ONNX level.
    imported = programs.evaluate(path, network.inputs, tmp_path / "import", phase="import")
    for a, b in zip(actual, imported):
        assert a.shape == b.shape and a.dtype == b.dtype
        close = np.abs(a - b) <= 1e-4 * np.maximum(1, np.abs(b))
        assert np.mean(close) > 0.98, f"{np.count_nonzero(~close)} of {close.size} differ"
