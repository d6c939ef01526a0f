"""The ONNX graphs that every engine gets.

A chain is x -> quantiser -> (layer, batch norm, quantiser) * n, float32 in and float32 out.
`low_bit` is the file that hwgq compiles; `plain` is the same graph with ReLU where the
quantiser stands, the cheapest network that a float32 engine could be given for it; `int8` is
`plain` quantised by ONNX Runtime's own tool (QDQ, unsigned bytes, signed bytes per channel).
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STEP = 0.538  # of the 2-bit half-wave Gaussian quantiser
ALPHA = 0.05  # what a weight of +1 stands for
PLANES = {"1w1a": 1, "1w2a": 2}  # of the activation codes


@dataclass(frozen=True)
class Layer:
    """A layer of as many output as input channels; `size` is height and width, 0 of a
    fully connected one, and `kernel` the side of the filter."""

    channels: int
    size: int
    kernel: int = 3

    @property
    def name(self):
        if not self.size:
            return f"fc {self.channels}"
        return f"{self.kernel}x{self.kernel} {self.channels}@{self.size}²"

    def macs(self, batch=1, area=None):
        """Multiply-accumulates of one layer of `area` output pixels."""
        if not self.size:
            return batch * self.channels**2
        return batch * (self.size**2 if area is None else area) * self.channels**2 * self.kernel**2

    def input_shape(self, batch, size=None):
        size = self.size if size is None else size
        return [batch, self.channels] + ([size, size] if size else [])


THREE_BY_THREE = [Layer(64, 56), Layer(128, 28), Layer(256, 14), Layer(512, 7)]
LAYERS = THREE_BY_THREE + [Layer(256, 28, 1), Layer(512, 14, 1), Layer(4096, 0)]


class Graph:
    """Nodes and initialisers of one ONNX graph under construction."""

    def __init__(self):
        self.nodes, self.initializers, self.names = [], [], set()

    def const(self, name, array):
        if name not in self.names:
            self.names.add(name)
            self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def model(self, output, input_shape, output_shape):
        value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "layers", [value("x", input_shape)],
                                  [value(output, output_shape)], self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def quantise(graph, form, x, name):
    """Sign (+1 at 0), HWGQ with levels 0, s, 2s, 3s, or ReLU."""
    if form == "plain":
        return graph.add("Relu", [x], name)
    zero = graph.const("zero", np.float32(0))
    if form == "1w1a":
        graph.add("GreaterOrEqual", [x, zero], name + "_positive")
        one, minus = graph.const("one", np.float32(1)), graph.const("minus", np.float32(-1))
        return graph.add("Where", [name + "_positive", one, minus], name)
    step = graph.const("step", np.float32(STEP))
    graph.add("Div", [x, step], name + "_scaled")
    graph.add("Clip", [name + "_scaled", zero, graph.const("high", np.float32(3))], name + "_clipped")
    graph.add("Round", [name + "_clipped"], name + "_round")
    return graph.add("Mul", [name + "_round", step], name)


def moments(form):
    """Mean and mean square of the activations of a standard normal value."""
    if form == "1w1a":
        return 0.0, 1.0
    z = np.random.default_rng(7).standard_normal(1 << 20)
    levels = np.maximum(z, 0) if form == "plain" else np.round(np.clip(z / STEP, 0, 3)) * STEP
    return float(levels.mean()), float((levels**2).mean())


def weights(layer, count):
    """Signs and batch norm of each layer: the same for all forms."""
    rng = np.random.default_rng(1)
    shape = (layer.channels, layer.channels) + ((layer.kernel, layer.kernel) if layer.size else ())
    for _ in range(count):
        signs = rng.integers(0, 2, shape, np.int8) * np.int8(2) - np.int8(1)
        yield signs, rng.uniform(0.8, 1.2, layer.channels), rng.uniform(-0.2, 0.2, layer.channels)


def batch_norm(form, signs, scale, shift):
    """Parameters that keep the sums at mean 0 and variance 1, so that all codes are used."""
    mean, square = moments(form)
    sums, fan_in = signs.reshape(len(signs), -1).sum(1, np.int64), signs[0].size
    return {"scale": scale, "bias": shift, "mean": mean * sums * ALPHA,
            "var": np.full(len(signs), fan_in * (square - mean**2) * ALPHA**2)}


def chain(form, layer, count, batch=1, size=None, pad=True):
    """A chain of `count` layers in the form "1w1a", "1w2a" or "plain", on images of `size`."""
    graph = Graph()
    size = layer.size if size is None else size
    y = quantise(graph, form, "x", "q")
    for i, (signs, scale, shift) in enumerate(weights(layer, count)):
        weight = graph.const(f"w{i}", signs.astype(np.float32) * np.float32(ALPHA))
        if layer.size:
            y = graph.add("Conv", [y, weight], f"layer{i}", kernel_shape=[layer.kernel] * 2,
                          pads=[layer.kernel // 2 if pad else 0] * 4)
        else:
            y = graph.add("Gemm", [y, weight], f"layer{i}", transB=1)
        parameters = batch_norm(form, signs, scale, shift)
        inputs = [y] + [graph.const(f"{k}{i}", v.astype(np.float32)) for k, v in parameters.items()]
        y = quantise(graph, form, graph.add("BatchNormalization", inputs, f"bn{i}"), f"q{i}")
    left = size - (0 if pad else count * (layer.kernel - 1))
    return graph.model(y, layer.input_shape(batch, size), layer.input_shape(batch, left))


def stem():
    """A first layer: 7x7 convolution with stride 2 of 3 to 64 channels at 224², ReLU. A mean over
    the image follows, so that the layout in which an engine leaves the layer does not count."""
    graph = Graph()
    weight = np.random.default_rng(1).standard_normal((64, 3, 7, 7)) / 12
    y = graph.add("Conv", ["x", graph.const("w", weight.astype(np.float32))], "conv", kernel_shape=[7, 7],
                  pads=[3] * 4, strides=[2, 2])
    y = graph.add("GlobalAveragePool", [graph.add("Relu", [y], "relu")], "y")
    return graph.model(y, [1, 3, 224, 224], [1, 64, 1, 1])


def int8(model_path, out_path, x):
    """Writes the QDQ form of a float32 network: static, calibrated on x. Batch norms behind a
    convolution are folded into it; those elsewhere, and the softmax, stay in float32."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.registry import QDQRegistry
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self, name):
            self.batches = iter([{name: x}])

        def get_next(self):
            return next(self.batches, None)

    name = onnx.load(model_path, load_external_data=False).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        quant_pre_process(str(model_path), str(folded), skip_symbolic_shape=True)
        quantize_static(str(folded), str(out_path), Reader(name), quant_format=QuantFormat.QDQ, per_channel=True,
                        op_types_to_quantize=sorted(set(QDQRegistry) - {"BatchNormalization", "Softmax"}),
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
