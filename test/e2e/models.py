"""The networks that the end-to-end tests compile: their inputs and what they must give."""

import functools
import pathlib

import numpy as np
import onnx

import programs

GOLDEN = programs.MODELS / "golden"

# Files of importer/ that must be refused, and what the error must name.
REFUSED = {
    "finn_tfc_w1_a1_after_conv_to_hls_e65a00": "StreamingFCLayer",
    "qonnx_qonnx_act_weight_fp8_990678": "FloatQuant",
}


class Network:
    """A model file with its inputs {name: array}; `check` compares outputs with what the
    file's makers computed and is None where nothing is known."""

    def __init__(self, path, inputs, check=None):
        self.path, self.inputs, self.check = pathlib.Path(path), inputs, check
        self.rows = len(next(iter(inputs.values())))

    def __str__(self):
        return self.path.stem

    def batch(self, count):
        """The inputs with `count` rows: the first ones, again from the start where needed."""
        return {name: np.resize(x, (count, *x.shape[1:])) for name, x in self.inputs.items()}


def digits():
    labels = np.load(programs.DIGITS / "test_labels.npy")

    def check(outputs):
        assert np.mean(outputs[0].argmax(1) == labels[: len(outputs[0])]) > 0.96

    return Network(programs.DIGITS / "model.onnx", {"image": np.load(programs.DIGITS / "test_images.npy")[:64]}, check)


def exported(path):
    """x, y, labels lie beside the file; a near-tie may flip a code against y on two rows."""
    data = np.load(path.with_suffix(".npz"))

    def check(outputs):
        expected = data["y"]
        (actual,) = outputs
        assert actual.shape == expected.shape
        near = np.all(np.abs(actual - expected) <= 1e-3 * np.maximum(1, np.abs(expected)), axis=1)
        assert np.count_nonzero(near) >= 62, f"only {np.count_nonzero(near)} of 64 rows are within 1e-3"
        assert np.array_equal(actual.argmax(1)[near], expected.argmax(1)[near])
        accuracy = [np.mean(rows.argmax(1) == data["labels"]) for rows in (actual, expected)]
        assert accuracy[0] >= accuracy[1], f"accuracy {accuracy[0]} below the framework's {accuracy[1]}"

    return Network(path, {input_names(path)[0]: data["x"]}, check)


def mnist(path):
    """Five digits: the zoo files take them divided by 255, FINN's takes them as they are."""
    data = np.load(GOLDEN / "mnist5" / "expected.npz")
    x, expected = data["input_0_255"], data[path.stem]
    if path.stem.startswith("zoo"):
        x = (x / np.float32(255)).astype(np.float32)

    def check(outputs):
        (actual,) = outputs
        if np.issubdtype(expected.dtype, np.integer):
            assert np.array_equal(actual, expected.astype(actual.dtype))
            return
        assert np.all(np.abs(actual - expected) <= 1e-5 * np.abs(expected)), np.max(np.abs(actual - expected))
        assert np.array_equal(actual.argmax(1), expected.argmax(1))

    return Network(path, {input_names(path)[0]: x}, check)


def input_shapes(path):
    """{name: (element type, shape)} of the inputs that are no initialisers."""
    graph = onnx.load(path, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    return {
        value.name: (
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
            [dim.dim_value if dim.HasField("dim_value") else 1 for dim in value.type.tensor_type.shape.dim],
        )
        for value in graph.input
        if value.name not in constants
    }


def input_names(path):
    return list(input_shapes(path))


def seeded(path, rows=3):
    """Inputs from a fixed seed, `rows` times the file's own first dimension."""
    rng = np.random.default_rng(20)
    inputs = {}
    for name, (dtype, shape) in input_shapes(path).items():
        shape = [shape[0] * rows, *shape[1:]] if shape else []
        inputs[name] = rng.normal(0, 1.5, shape).astype(dtype)
    return Network(path, inputs)


def trained(path):
    if path.stem.startswith(("zoo", "finn")):
        return mnist(path)
    return seeded(path, rows=2 if "qonnx_quant_model" in path.stem else 5)


def folder(name):
    return sorted((programs.MODELS / name).glob("*.onnx"))


@functools.lru_cache(maxsize=None)
def networks():
    """Those whose every quantised layer must run on codes: ours, trained, exported."""
    return [digits(), *map(trained, folder("trained")), *map(exported, folder("exported"))]


