"""ResNet-18 of many makers, QuickNet, and a network of one-dimensional convolutions."""

from __future__ import annotations

import dataclasses

import numpy as np

from .alexnets import xnor_conv
from .builder import Builder
from .encodings import HalfWave
from .grids import Deviation
from .graph import Tensor

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # Width, stride of the first block.


def _stem(b: Builder, x: Tensor, relu: bool = True) -> Tensor:
    """conv 7x7/2 - BN - ReLU - pool."""
    x = b.bn(b.conv(x, "conv1", b.channels(64), 7, 2, 3, weight=b.real), "bn1")
    x = b.relu(x, "relu1") if relu else x
    return b.graph.add("MaxPool", x, name="maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)


def _end(b: Builder, x: Tensor) -> Tensor:
    return b.classifier(b.graph.add("GlobalAveragePool", x, name="avgpool"), "fc")


def _down(b: Builder, x: Tensor, name: str, n: int, stride: int, weight=None) -> Tensor:
    """The shortcut where the shape changes: 1x1 - BN."""
    return b.bn(b.conv(x, f"{name}_down", n, 1, stride, weight=weight), f"{name}_down_bn")


def torch_resnet18(b: Builder, x: Tensor) -> Tensor:
    """torchvision's ResNet-18 with a quantiser before every inner convolution (LSQ, PACT, LQ-Net, TWN, TTQ)."""
    x = _stem(b, x)
    for stage, (width, first) in enumerate(STAGES, 1):
        n = b.channels(width)
        for block in range(2):
            name, stride = f"layer{stage}_{block}", first if block == 0 else 1
            q = b.quant(x, f"{name}_quant1")
            y = b.relu(b.bn(b.conv(q, f"{name}_conv1", n, 3, stride, 1), f"{name}_bn1"), f"{name}_relu1")
            y = b.bn(b.conv(b.quant(y, f"{name}_quant2"), f"{name}_conv2", n, 3, p=1), f"{name}_bn2")
            shortcut = x if stride == 1 and x.shape[1] == n else _down(b, q, name, n, stride)
            x = b.relu(b.graph.add("Add", y, shortcut, name=f"{name}_sum"), f"{name}_relu2")
    return _end(b, x)


def edmips_resnet18(b: Builder, x: Tensor) -> Tensor:
    """The same with other widths at every layer, as a search over bits leaves it."""
    choices, quantizer, weight = _bits(b), b.quantizer, b.weight
    steps = {1: 0.799, 2: 0.538, 3: 0.3217, 4: 0.185}

    @dataclasses.dataclass
    class Mixed:
        count: int = 0

        def encode(self, graph, x, encoding, name):
            bits = choices(name, (1, 2, 3, 4))
            chosen = HalfWave(bits, steps[bits])
            self.count = chosen.count
            return chosen.encode(graph, x, encoding, name)

    b.quantizer = Mixed()
    b.weight = lambda graph, rng, shape, form, name: Deviation(choices(name, (1, 2, 3, 4)))(graph, rng, shape, form, name)
    try:
        return torch_resnet18(b, x)
    finally:
        b.quantizer, b.weight = quantizer, weight


def _bits(b: Builder):
    """A seeded choice for a layer's name."""
    return lambda name, among: int(b.rng(f"{name}_bits").choice(among))


def bwn_resnet18(b: Builder, x: Tensor) -> Tensor:
    """Binary weights, float activations: no quantiser."""
    x = _stem(b, x)
    for stage, (width, first) in enumerate(STAGES, 1):
        n = b.channels(width)
        for block in range(2):
            name, stride = f"layer{stage}_{block}", first if block == 0 else 1
            y = b.relu(b.bn(b.conv(x, f"{name}_conv1", n, 3, stride, 1), f"{name}_bn1"), f"{name}_relu1")
            y = b.bn(b.conv(y, f"{name}_conv2", n, 3, p=1), f"{name}_bn2")
            shortcut = x if stride == 1 and x.shape[1] == n else _down(b, x, name, n, stride)
            x = b.relu(b.graph.add("Add", y, shortcut, name=f"{name}_sum"), f"{name}_relu2")
    return _end(b, x)


def xnor_resnet18(b: Builder, x: Tensor, with_k: bool = False) -> Tensor:
    """Blocks of BN - Sign - Conv, twice, around a float stream."""
    x = _stem(b, x)
    for stage, (width, first) in enumerate(STAGES, 1):
        n = b.channels(width)
        for block in range(2):
            name, stride = f"layer{stage}_{block}", first if block == 0 else 1
            y = b.relu(xnor_conv(b, x, f"{name}_conv1", n, 3, stride, 1, with_k), f"{name}_relu1")
            y = xnor_conv(b, y, f"{name}_conv2", n, 3, p=1, with_k=with_k)
            shortcut = x if stride == 1 and x.shape[1] == n else xnor_conv(b, x, f"{name}_down", n, 1, stride, with_k=with_k)
            x = b.graph.add("Add", y, shortcut, name=f"{name}_sum")
    return _end(b, b.relu(b.bn(x, "bn_end"), "relu_end"))


def xnor_resnet18_kmap(b: Builder, x: Tensor) -> Tensor:
    return xnor_resnet18(b, x, with_k=True)


def _pooled(b: Builder, x: Tensor, name: str, n: int) -> Tensor:
    """Bi-Real-Net's shortcut: the mean of 2x2, then a float 1x1 - BN."""
    x = b.graph.add("AveragePool", x, name=f"{name}_pool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=x.shape[2] % 2)
    return _down(b, x, name, n, 1, b.real)


def birealnet18(b: Builder, x: Tensor, react: bool = False) -> Tensor:
    """A shortcut around every convolution; `react` adds ReActNet's learned shifts and PReLU."""
    x = _stem(b, x, relu=False)
    for stage, (width, first) in enumerate(STAGES, 1):
        n = b.channels(width)
        for block in range(4):
            name, stride = f"layer{stage}_{block}", first if block == 0 else 1
            q = b.quant(_shift(b, x, f"{name}_move0") if react else x, f"{name}_quant")
            y = b.bn(b.conv(q, f"{name}_conv", n, 3, stride, 1), f"{name}_bn")
            shortcut = x
            if stride == 2:
                shortcut = _pooled(b, x, name, n)
            elif x.shape[1] != n:
                shortcut = _down(b, x, name, n, 1, b.real)
            x = b.graph.add("Add", y, shortcut, name=f"{name}_sum")
            if react:
                x = _shift(b, _prelu(b, _shift(b, x, f"{name}_move1"), f"{name}_prelu"), f"{name}_move2")
    return _end(b, x)


def reactnet18(b: Builder, x: Tensor) -> Tensor:
    return birealnet18(b, x, react=True)


def _shift(b: Builder, x: Tensor, name: str) -> Tensor:
    """A learned bias; on a stream that is never negative it moves the mean to zero."""
    mean = x.value.mean((0, 2, 3), dtype=np.float64)
    offset = b.rng(name).normal(0, 0.05, x.shape[1]) - mean
    return b.graph.add("Add", x, b.graph.constant(offset.astype(np.float32).reshape(1, -1, 1, 1), f"{name}_bias"), name=name)


def _prelu(b: Builder, x: Tensor, name: str) -> Tensor:
    slope = b.rng(name).uniform(0.1, 0.4, (x.shape[1], 1, 1)).astype(np.float32)
    return b.graph.add("PRelu", x, b.graph.constant(slope, f"{name}_slope"), name=name)


class Nhwc:
    """Layers of a network whose tensors are NHWC: Transposes round every ONNX layer, as tf2onnx leaves them."""

    def __init__(self, b: Builder):
        self.b = b

    def wrap(self, x: Tensor, layer) -> Tensor:
        y = layer(self.b.graph.add("Transpose", x, perm=[0, 3, 1, 2]))
        return self.b.graph.add("Transpose", y, perm=[0, 2, 3, 1])

    def conv(self, x: Tensor, name: str, n: int, k: int, s: int = 1, weight=None, group: int = 1) -> Tensor:
        return self.wrap(x, lambda y: self.b.conv(y, name, n, k, s, k // 2, weight=weight, group=group))

    def bn(self, x: Tensor, name: str) -> Tensor:
        return self.wrap(x, lambda y: self.b.bn(y, name, eps=1e-3))


def quicknet(b: Builder, x: Tensor) -> Tensor:
    """Like Larq's QuickNet: NHWC, Sign - Add(0.1) - Sign, borders of +1 by Pad, ReLU - BN behind each binary convolution."""
    t, c = Nhwc(b), b.channels
    x = b.relu(t.bn(t.conv(x, "stem1", c(16), 3, 2, b.real), "stem1_bn"), "stem1_relu")
    x = t.conv(x, "stem2", x.shape[3], 3, 2, b.real, group=x.shape[3])
    x = t.bn(t.conv(t.bn(x, "stem2_bn"), "stem3", c(64), 1, 1, b.real), "stem3_bn")
    border = b.graph.constant(np.array([0, 1, 1, 0, 0, 1, 1, 0], np.int64), "border")
    for stage, width in enumerate((64, 128, 256, 512), 1):
        n = c(width)
        if stage > 1:
            pool = lambda y: b.graph.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])  # noqa: E731
            x = t.wrap(b.relu(x, f"transition{stage}_relu"), pool)
            x = t.bn(t.conv(x, f"transition{stage}", n, 1, 1, b.real), f"transition{stage}_bn")
        for block in range(4):
            name = f"block{stage}_{block}"
            q = b.graph.add("Pad", b.quant(x, f"{name}_quant"), border, b.graph.scalar(1))
            y = t.wrap(q, lambda y: b.conv(y, f"{name}_conv", n, 3))
            x = b.graph.add("Add", x, t.bn(b.relu(y, f"{name}_relu"), f"{name}_bn"), name=f"{name}_sum")
    x = b.graph.add("ReduceMean", b.relu(x, "relu_end"), name="mean", axes=[1, 2], keepdims=0)
    return b.classifier(x, "dense")


def speech1d(b: Builder, x: Tensor) -> Tensor:
    """One-dimensional convolutions over frames of speech features."""
    x = b.conv(x, "conv0", b.channels(128), 9, 2, 4, weight=b.real)
    for i, width in enumerate((128, 192, 256), 1):
        x = b.conv(b.bn_quant(x, str(i)), f"conv{i}", b.channels(width), 9, p=4)
        if i < 3:
            x = b.max_pool(x, f"pool{i}")
    x = b.relu(b.bn(x, "bn_end"), "relu_end")
    return b.classifier(b.graph.add("GlobalAveragePool", x, name="avgpool"), "fc", 12)
