"""Generated networks for the end-to-end tests: models, inputs, and what of them is quantised."""

import functools
import json
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

import programs

built = programs.BUILD / "python"
sys.path.append(str(built if (built / "hwgq" / "networks").is_dir() else programs.ROOT / "python"))

from hwgq import networks  # noqa: E402
from hwgq.networks.graph import evaluate  # noqa: E402

# Deep networks of the same layers as others: their full number of layers only with --all.
DEEP = {"resnet34", "resnet50", "googlenet", "darknet19", "xnor-resnet18-kmap", "dorefa-alexnet-w8a8"}


def names():
    return [name for name in networks.NETWORKS if programs.EXHAUSTIVE or name not in DEEP]


def reduced(name):
    """Size and width at which a network compiles in seconds, with all its layers."""
    shape = networks.NETWORKS[name].shape
    if name == "lenet-mnist":
        return {}
    if shape[-1] < 64 or len(shape) == 2:
        return {"width": 0.5}
    return {"width": 0.25, "size": {228: 100, 227: 99}.get(shape[-1], 64)}


class Case:
    """A network written in one way, at reduced size unless `full`."""

    def __init__(self, name, encoding=None, form=None, full=False, **options):
        network = networks.NETWORKS[name]
        self.name, self.full = name, full
        self.encoding, self.form = encoding or network.encodings[0], form or network.forms[0]
        self.options = ({} if full else reduced(name)) | options

    def __str__(self):
        return f"{self.name}-{self.encoding}-{self.form}" + ("-full" if self.full else "")

    @functools.cached_property
    def model(self):
        return networks.generate(self.name, self.encoding, self.form, **self.options)

    @functools.cached_property
    def path(self):
        path = f"{scratch().name}/{self}.onnx"
        onnx.save(self.model, path)
        return path

    def forget(self):
        """Drops the model, which may be half a gigabyte, and its file."""
        os.remove(self.path)
        del self.__dict__["path"], self.__dict__["model"]

    @property
    def input_name(self):
        return self.model.graph.input[0].name

    def images(self, count, seed=3):
        return networks.inputs(self.name, count, seed, self.options.get("size"))

    def inputs(self, count, seed=3):
        return {self.input_name: self.images(count, seed)}


@functools.lru_cache(maxsize=None)
def scratch():
    return tempfile.TemporaryDirectory(prefix="hwgq-networks-")


def properties(model):
    """The JSON properties that the generator leaves."""
    return {p.key: json.loads(p.value) for p in model.metadata_props}


def both_quantised(model):
    """Names of the layers with low-bit weights whose input is a quantiser's output, moved at most."""
    said = properties(model)
    codes = {output for _, output, _ in said["quantisers"]}
    producer = {name: node for node in model.graph.node for name in node.output}

    def coded(name):
        node = producer.get(name)
        return name in codes or (
            node is not None and node.op_type in ("MaxPool", "Flatten", "Pad", "Transpose") and coded(node.input[0])
        )

    return [name for name in said["low_bit"] if coded(producer[name].input[0])]


def weight_counts(model):
    """{layer: number of weights} of Conv and Gemm with low-bit weights; any initialiser of a weight's chain has its size."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    producer = {name: node for node in model.graph.node for name in node.output}

    def size(name):
        if name in constants:
            return int(np.prod(constants[name].dims))
        return max((size(i) for i in producer[name].input), default=0)

    return {name: size(producer[name].input[1]) for name in properties(model)["low_bit"]}


def float_expressible(model):
    return not any(node.domain for node in model.graph.node)


def float_value(name):
    return onnx.ValueInfoProto(name=name, type=helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None))


def with_codes_as_outputs(model):
    """The same network; the outputs of all its quantisers are outputs, too."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.graph.output.extend(float_value(output) for _, output, _ in properties(model)["quantisers"])
    return result


def with_codes_as_inputs(model):
    """The network cut at its quantisers: what each would get and give are outputs, what its users take is the input
    `given_NAME`."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    quantisers = properties(model)["quantisers"]
    given = {output: f"given_{output}" for _, output, _ in quantisers}
    for node in result.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = given.get(name, name)
    result.graph.input.extend(map(float_value, given.values()))
    outputs = dict.fromkeys(name for before, after, _ in quantisers for name in (before, after))
    result.graph.output.extend(float_value(name) for name in outputs)
    return result


def quantiser_alone(model, before, after):
    """The nodes between a quantiser's input and its output, as a function of arrays."""
    producer = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    def apply(x):
        values = {before: x}

        def value(name):
            if name not in values:
                values[name] = constants[name] if name in constants else evaluate(producer[name], list(map(value, producer[name].input)))
            return values[name]

        return value(after)

    return apply


def run_nodes(model, x):
    """Yields (name, value) of each node's output; values are dropped behind their last use."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    values[model.graph.input[0].name] = x
    last = {name: index for index, node in enumerate(model.graph.node) for name in node.input}
    for index, node in enumerate(model.graph.node):
        values[node.output[0]] = evaluate(node, [values[name] for name in node.input])
        yield node.output[0], values[node.output[0]]
        for name in node.input:
            if last[name] == index:
                values.pop(name, None)
