"""The networks of the literature, generated, in every way of writing them.

At reduced size by default, all layers kept; HWGQ_TEST_ALL=1 takes every network, encoding
and form of weights, and every network at its full size.
"""

import time

import numpy as np
import onnx
import pytest

import netcases
import programs
from netcases import Case, networks


def cases():
    """Every network once; with --all in every encoding and in every form of weights; lenet-mnist in all pairs of them."""
    for name in netcases.names():
        network = networks.NETWORKS[name]
        for i, encoding in enumerate(network.encodings):
            for j, form in enumerate(network.forms):
                if i == j == 0 or name == "lenet-mnist" or (programs.EXHAUSTIVE and (i == 0 or j == 0)):
                    yield Case(name, encoding, form)


def full_cases():
    """Every network at full size."""
    return [Case(name, full=True) for name in networks.NETWORKS] if programs.EXHAUSTIVE else []


# Seconds that a compilation at full size may take on two CPUs; all take less than 4 GB.
SECONDS = {"resnet18": 30, "googlenet": 30, "resnet50": 45, "alexnet": 60, "vgg-variant": 60}
MEMORY = 4 << 30


@pytest.mark.parametrize("case", [*cases(), *full_cases()], ids=str)
def test_same_bits_and_on_codes(case, tmp_path):
    """Folding verified, the reference's bits, every layer of two quantised operands on codes, 1-bit weights packed."""
    report, module = tmp_path / "report.json", tmp_path / "model.so"
    path, start = case.path, time.monotonic()
    programs.compile_model(path, module, "--verify-folding", f"--report={report}", timeout=600, memory=MEMORY)
    if case.full and case.name in SECONDS:
        assert time.monotonic() - start <= SECONDS[case.name]
    inputs = case.inputs(1 if case.full else 2)
    actual = programs.run_module(module, inputs, tmp_path / "run", timeout=600)
    programs.assert_same_bits(actual, programs.evaluate(path, inputs, tmp_path / "reference", timeout=600))
    assert all(np.all(np.isfinite(array)) for array in actual)

    layers = programs.read_json(report)["layers"]
    assert_on_codes(layers, netcases.both_quantised(case.model))
    if case.name in SIGNS or (case.name in ONNX_SIGNS and case.encoding != "own"):
        assert {layer["act"] for layer in layers if layer["name"] != "conv0"} <= {"f32", "b1"}
    assert_packed(layers, netcases.weight_counts(case.model), case.full)
    if case.full:
        case.forget()


# Networks whose activations are +-1; ONNX's Sign has a third level, 0, in the form that its makers export.
SIGNS = {"alexnet-sign", "quicknet", "cnv-w1a1"}
ONNX_SIGNS = {"xnor-alexnet", "xnor-resnet18", "bnn-vgg", "birealnet18", "reactnet18", "dorefa-alexnet-w1a1"}


def assert_on_codes(layers, names):
    for name in names:
        found = [layer for layer in layers if layer["name"] == name]
        assert found, f"{name} is not in the report"
        for layer in found:
            assert layer["act"] != "f32" and layer["weight"] != "f32", f"{name}: {layer['reason']}"


def assert_packed(layers, counts, full):
    """1-bit weights take at most 1/30 of their float32 bytes: over the network where few channels are padded."""
    packed = {layer["name"]: layer["weight_bytes"] for layer in layers if layer["weight"] == "b1" and layer["name"] in counts}
    for name, size in packed.items():  # Never less than a bit each.
        assert counts[name] <= 8 * size
    if full and sum(counts[name] for name in packed) > 1e6:
        assert sum(packed.values()) * 30 <= 4 * sum(counts[name] for name in packed)


@pytest.mark.parametrize("name", netcases.names())
def test_statistics(name):
    """Each of n levels takes at least 1/(8n) of a quantiser's codes; few units are the same for 16 images."""
    case = Case(name)
    images = case.images(16, seed=7)
    levels = {output: count for _, output, count in netcases.properties(case.model)["quantisers"]}
    constant = units = 0
    for output, value in netcases.run_nodes(case.model, images):
        if output not in levels:
            continue
        found, counts = np.unique(value, return_counts=True)
        count = levels[output]
        if value.size >= 256 * count:  # Fewer codes say little of shares that small.
            assert len(found) >= count, f"{output}: {len(found)} of {count} levels"
            assert np.sort(counts)[-count] * 8 * count >= value.size, f"{output}: {counts / value.size}"
        constant += np.count_nonzero(np.all(value == value[:1], axis=0))
        units += value[0].size
    assert constant <= 0.05 * units


def shared_functions():
    """(network, its ways of being written that denote one function)."""
    ways = {
        "lenet-mnist": [[(e, f) for e in pair for f in networks.FORMS] for pair in ("ab", "cd")],
        "alexnet-2n": [[("a", "latent"), ("b", "plain")]],
        "alexnet-sign": [[("a", "latent"), ("b", "plain"), ("d", "chain")]],
        "speech1d": [[("a", "chain"), ("b", "latent")], [("c", "plain"), ("d", "latent")]],
        "ttq-resnet18": [[("a", "chain"), ("b", "plain")], [("c", "plain"), ("d", "chain")]],
        "twn-resnet18": [[("c", "chain"), ("d", "plain")]],
        "lsq-resnet18": [[("own", "chain"), ("d", "latent"), ("own", "plain")]],
        "lqnet-resnet18": [[("own", "chain"), ("a", "plain"), ("b", "chain")]],
        "dorefa-alexnet-w2a2": [[("own", "chain"), ("c", "plain"), ("b", "plain")]],
        "edmips-resnet18": [[("c", "chain"), ("d", "plain")]],
        "cnv-w2a2": [[("d", "latent"), ("b", "plain")]],
        "cnv-w1a1": [[("d", "latent"), ("a", "plain"), ("b", "latent")]],
    }
    if programs.EXHAUSTIVE:
        for name in ("alexnet", "resnet18", "resnet34", "resnet50", "googlenet", "darknet19", "cifar-vgg"):
            ways[name] = [[("a", "latent"), ("b", "plain"), ("a", "chain")], [("c", "latent"), ("d", "chain")]]
    for name, groups in ways.items():
        for group in groups:
            yield pytest.param(name, group, id=f"{name}-" + "-".join(e for e, _ in group))


@pytest.mark.parametrize("name,group", list(shared_functions()))
def test_same_function_same_bits(name, group, tmp_path):
    """However a function is written, the modules give the same bits."""
    results = []
    for encoding, form in group:
        case = Case(name, encoding, form)
        module = programs.compile_model(case.path, tmp_path / f"{case}.so")
        results.append(programs.run_module(module, case.inputs(3), tmp_path / str(case)))
        programs.assert_same_bits(results[-1], results[0], f"{case}")


def quantiser_and_sum(encoding, path):
    """x [N, 4] -> HWGQ -> the sum of all codes, as one filter of +1."""
    from hwgq.networks.builder import Builder, Options
    from hwgq.networks.encodings import HalfWave
    from hwgq.networks.graph import Graph

    graph = Graph("steps", {"x": np.zeros((1, 4), np.float32)})
    builder = Builder(graph, Options(encoding, "plain"), HalfWave(), None)
    ones = lambda shape, name: graph.constant(np.ones(shape, np.float32), name)  # noqa: E731
    onnx.save(graph.model([builder.linear(builder.quant(graph.inputs["x"], "q"), "sum", 1, ones)]), path)
    return path


def test_caffe_and_pytorch_quantisers_differ(tmp_path):
    """Strict steps at 0, 1.5 s, 2.5 s against rounding half to even: they differ on (0, s/2], and at 1.5 s and 2.5 s."""
    step = np.float32(0.538)
    ties = [step * np.float32(1.5), step * np.float32(2.5)]
    x = np.zeros((6, 4), np.float32)
    x[:, 0] = [0.1, 0.5 * step, 0.3, *ties, 0]
    results = {}
    for encoding in "abcd":
        path = quantiser_and_sum(encoding, tmp_path / f"{encoding}.onnx")
        module = programs.compile_model(path, tmp_path / f"{encoding}.so")
        (results[encoding],) = programs.run_module(module, {"x": x}, tmp_path / encoding)
    caffe, torch = (np.round(results[e][:, 0] / step) for e in "ac")
    assert np.array_equal(results["a"], results["b"]) and np.array_equal(results["c"], results["d"])
    assert caffe.tolist() == [1, 1, 1, 1, 2, 0]
    assert torch.tolist() == [0, 0, 1, 2, 2, 0]


def expressible():
    """Networks in encodings of ONNX's own operators; Brevitas' CNV quantises its image by a Quant node in all of them."""
    for name in netcases.names():
        if name.startswith("cnv"):
            continue
        network = networks.NETWORKS[name]
        form = next((f for f in ("chain", "plain") if f in network.forms), None)
        for encoding in network.encodings:
            if encoding in ("own", "a", "c") and form and (programs.EXHAUSTIVE or encoding == network.encodings[0]):
                yield Case(name, encoding, form)


@pytest.mark.parametrize("case", list(expressible()), ids=str)
def test_agrees_with_onnxruntime(case, tmp_path):
    """ONNX Runtime is given our codes at every quantiser. What it computes from them is ours within the rounding of
    float sums, and another code only where what it quantises lies that near to a threshold."""
    assert netcases.float_expressible(case.model)
    observed = tmp_path / "observed.onnx"
    onnx.save(netcases.with_codes_as_outputs(case.model), observed)
    inputs = case.inputs(4)
    module = programs.compile_model(observed, tmp_path / "model.so")
    ours, *codes = programs.run_module(module, inputs, tmp_path / "run")

    quantisers = netcases.properties(case.model)["quantisers"]
    session = programs.onnxruntime_session(netcases.with_codes_as_inputs(case.model))
    given = {f"given_{output}": array for (_, output, _), array in zip(quantisers, codes)}
    names = [output.name for output in session.get_outputs()]
    theirs = dict(zip(names, session.run(names, {**inputs, **given})))
    assert_near(ours, theirs[names[0]], 2e-3)
    for (before, after, _), code in zip(quantisers, codes):
        # Levels may differ by the rounding of their scale; codes by at least a level.
        flipped = np.abs(code - theirs[after]) > 1e-5 * np.max(np.abs(code))
        assert np.count_nonzero(flipped) <= 1e-3 * code.size, after
        if flipped.any():
            x = theirs[before]
            bound = np.float32(1e-4) * np.maximum(np.abs(x), np.std(x))
            quantise = netcases.quantiser_alone(case.model, before, after)
            ends = quantise(x - bound), quantise(x + bound)
            slack = 1e-5 * np.max(np.abs(code))
            within = (np.minimum(*ends) - slack <= code) & (code <= np.maximum(*ends) + slack)
            assert within[flipped].all(), f"{after}: codes differ away from a threshold"


def assert_near(ours, theirs, tolerance):
    """Within `tolerance` of the deviation of all outputs."""
    assert ours.shape == theirs.shape
    assert np.max(np.abs(ours - theirs)) <= tolerance * max(np.std(theirs), 1e-3), np.max(np.abs(ours - theirs))


@pytest.mark.parametrize("name", ["lenet-mnist", "speech1d", "cnv-w2a2", "edmips-resnet18"])
def test_batches(name, tmp_path):
    """One module of dynamic batch, and modules of batch 1 and 8, give the same rows."""
    case = Case(name)
    inputs = case.inputs(8)
    dynamic = programs.compile_model(case.path, tmp_path / "dynamic.so")
    (expected,) = programs.run_module(dynamic, inputs, tmp_path / "dynamic")
    fixed = programs.compile_model(case.path, tmp_path / "eight.so", "--batch=8")
    programs.assert_same_bits(programs.run_module(fixed, inputs, tmp_path / "eight"), [expected])
    single = programs.compile_model(case.path, tmp_path / "one.so", "--batch=1")
    for module in (dynamic, single):
        row = {case.input_name: inputs[case.input_name][5:6]}
        programs.assert_same_bits(programs.run_module(module, row, tmp_path / "one"), [expected[5:6]])


def small_network(layers, path):
    """x [N, 8, 6, 6] through `layers`, a function of the graph and of x, with seeded numbers."""
    from hwgq.networks.graph import Graph

    rng = np.random.default_rng(11)
    graph = Graph("small", {"x": rng.standard_normal((4, 8, 6, 6)).astype(np.float32)})
    model = graph.model([layers(graph, graph.inputs["x"], rng)])
    onnx.save(model, path)
    return model


def quant(graph, x, scale, bits, signed, **options):
    kinds = dict(signed=signed, narrow=0, rounding_mode="ROUND")
    return graph.add("Quant", x, graph.constant(np.float32(scale), "scale"), graph.scalar(0), graph.scalar(bits), **kinds, **options)


def conv(graph, x, weight, **options):
    return graph.add("Conv", x, weight, kernel_shape=[3, 3], pads=[1, 1, 1, 1], **options)


def per_channel_thresholds(graph, x, rng):
    """Thresholds of each channel on its own, some channels constant, behind a float tensor and behind a convolution."""
    for width in (8, 16):
        rows = np.sort(rng.normal(0, x.value.std(), (x.shape[1], 3)), axis=1).astype(np.float32)
        rows[0] = np.inf
        rows[1, 0] = -np.inf
        x = graph.add("MultiThreshold", x, graph.constant(rows, "thresholds"), out_dtype="UINT2")
        x = graph.add("Mul", x, graph.scalar(0.5))
        signs = rng.choice(np.float32([-0.25, 0.25]), (width, x.shape[1], 3, 3))
        x = conv(graph, x, graph.constant(signs, "weight"), name=f"conv{width}")
    return x


def per_channel_scales(graph, x, rng):
    """A step for each input channel in front of a depthwise convolution; weights of 2, 3 and 4 bits with a step a filter."""
    y = quant(graph, x, rng.uniform(0.3, 0.9, (1, 8, 1, 1)), 2, 0)
    signs = rng.choice(np.float32([-0.5, 0.5]), (8, 1, 3, 3))
    y = conv(graph, y, graph.constant(signs, "depthwise_weight"), name="depthwise", group=8)
    for bits in (2, 3, 4):
        y = quant(graph, y, y.value.std() / 2, 3, 0)
        weight = graph.constant(rng.standard_normal((8, 8, 3, 3)).astype(np.float32), "latent")
        weight = quant(graph, weight, rng.uniform(0.3, 0.6, (8, 1, 1, 1)), bits, 1)
        y = conv(graph, y, weight, name=f"conv{bits}")
    return y


@pytest.mark.parametrize("layers", [per_channel_thresholds, per_channel_scales], ids=lambda f: f.__name__)
def test_per_channel(layers, tmp_path):
    """Everything on codes, the reference's bits, and what the operators say."""
    model = small_network(layers, tmp_path / "model.onnx")
    report = tmp_path / "report.json"
    module = programs.compile_model(tmp_path / "model.onnx", tmp_path / "model.so", "--verify-folding", f"--report={report}")
    x = np.random.default_rng(12).standard_normal((5, 8, 6, 6)).astype(np.float32)
    (actual,) = programs.run_module(module, {"x": x}, tmp_path / "run")
    programs.assert_same_bits([actual], programs.evaluate(tmp_path / "model.onnx", {"x": x}, tmp_path / "reference"))
    named = programs.read_json(report)["layers"]
    assert_on_codes(named, [layer["name"] for layer in named])
    assert_near(actual, list(netcases.run_nodes(model, x))[-1][1], 1e-4)


def test_scale_of_each_input_channel_is_refused_on_codes(tmp_path):
    """One sum of products has one scale: such a layer is computed on floats, and the report says why."""

    def layers(graph, x, rng):
        y = quant(graph, x, rng.uniform(0.3, 0.9, (1, 8, 1, 1)), 2, 0)
        return conv(graph, y, graph.constant(rng.choice(np.float32([-0.5, 0.5]), (4, 8, 3, 3)), "weight"), name="dense")

    model = small_network(layers, tmp_path / "model.onnx")
    report = tmp_path / "report.json"
    module = programs.compile_model(tmp_path / "model.onnx", tmp_path / "model.so", f"--report={report}")
    (layer,) = programs.read_json(report)["layers"]
    assert layer["act"] == "f32" and "scale per channel" in layer["reason"]
    x = np.random.default_rng(12).standard_normal((5, 8, 6, 6)).astype(np.float32)
    (actual,) = programs.run_module(module, {"x": x}, tmp_path / "run")
    assert_near(actual, list(netcases.run_nodes(model, x))[-1][1], 1e-4)


TARGETS = ("x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", netcases.names() if programs.EXHAUSTIVE else ["speech1d", "cnv-w2a2"])
def test_other_targets(name, target, tmp_path):
    """Modules for other machines give the host's bits."""
    if target.startswith("x86") and not programs.host_has(target):
        pytest.skip(f"this machine is no {target}")
    case = Case(name)
    inputs = case.inputs(1)
    expected = programs.evaluate(case.path, inputs, tmp_path / "reference")
    module = programs.compile_model(case.path, tmp_path / "model.so", f"--target={target}")
    programs.assert_same_bits(programs.run_module(module, inputs, tmp_path / "run", target=target, timeout=600), expected)


# Convolutions with 1-bit weights, fully connected ones, quantisers, batch norms; millions of low-bit weights.
PUBLISHED = {
    "alexnet": (4, 2, 6, 7, 58.24),
    "resnet18": (19, 0, 16, 27, 11.16),
    "resnet34": (35, 0, 32, 51, 21.26),
    "resnet50": (52, 0, 48, 68, 23.45),
    "vgg-variant": (9, 2, 11, 12, 133.91),
    "googlenet": (47, 0, 29, 30, 11.22),
    "darknet19": (17, 0, 17, 18, 30.62),
}


@pytest.mark.parametrize("name", list(PUBLISHED) if programs.EXHAUSTIVE else ["resnet18"])
def test_published_layers(name):
    """The generator's networks have the layers of the published ones."""
    convolutions, matrices, quantisers, norms, weights = PUBLISHED[name]
    model = Case(name, full=name in ("alexnet", "vgg-variant"), width=1.0).model
    counts = netcases.weight_counts(model)
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert sum(kinds[layer] == "Conv" for layer in counts) == convolutions
    assert sum(kinds[layer] == "Gemm" for layer in counts) == matrices
    assert len(netcases.properties(model)["quantisers"]) == quantisers
    assert sum(kind == "BatchNormalization" for kind in kinds.values()) == norms
    assert sum(counts.values()) / 1e6 == pytest.approx(weights, abs=0.01)


def test_unknown_names_and_forms_are_refused():
    for arguments, says in (
        (("resnet19",), "no network 'resnet19'"),
        (("alexnet-sign", "c"), "takes encoding a, b, d, not 'c'"),
        (("quicknet", "own", "latent"), "takes weights plain, not 'latent'"),
    ):
        with pytest.raises(ValueError, match=says):
            networks.generate(*arguments)
