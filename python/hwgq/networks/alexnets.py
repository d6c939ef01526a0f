"""AlexNet and VGG networks of XNOR-Net, BNN, BinaryConnect/BWN, DoReFa-Net and Brevitas."""

from __future__ import annotations

import numpy as np

from .builder import Builder
from .graph import Tensor


def k_map(b: Builder, x: Tensor, name: str, k: int, s: int, p: int) -> Tensor:
    """XNOR-Net's K: mean |x| over the channels, then over each window of the convolution."""
    mean = b.graph.add("ReduceMean", b.graph.add("Abs", x), axes=[1], keepdims=1)
    window = b.graph.constant(np.full((1, 1, k, k), 1 / k**2, np.float32), f"{name}_window")
    return b.graph.add("Conv", mean, window, name=f"{name}_k", kernel_shape=[k, k], strides=[s, s], pads=[p] * 4)


def xnor_conv(b: Builder, x: Tensor, name: str, n: int, k: int, s: int = 1, p: int = 0, with_k: bool = False) -> Tensor:
    """BN - Sign - Conv with a bias; `with_k` multiplies the sums by K before the bias."""
    x = b.bn(x, f"{name}_bn", eps=1e-4)
    q = b.quant(x, f"{name}_quant")
    if not with_k:
        return b.conv(q, name, n, k, s, p, bias=b.bias(n, name))
    y = b.graph.add("Mul", b.conv(q, name, n, k, s, p), k_map(b, x, name, k, s, p))
    offset = b.rng(f"{name}_bias").normal(0, 0.1, (1, n, 1, 1)).astype(np.float32)
    return b.graph.add("Add", y, b.graph.constant(offset, f"{name}_bias"))


def xnor_linear(b: Builder, x: Tensor, name: str, n: int, with_k: bool) -> Tensor:
    """The same, fully connected; `with_k` multiplies by mean |x| of each row."""
    x = b.bn(x, f"{name}_bn", eps=1e-4)
    q = b.quant(x, f"{name}_quant")
    if not with_k:
        return b.linear(q, name, n, bias=b.bias(n, name))
    beta = b.graph.add("ReduceMean", b.graph.add("Abs", x), name=f"{name}_beta", axes=[1], keepdims=1)
    y = b.graph.add("Mul", b.linear(q, name, n), beta)
    return b.graph.add("Add", y, b.bias(n, name))


def xnor_alexnet(b: Builder, x: Tensor, with_k: bool = False) -> Tensor:
    c = b.channels
    x = b.conv(x, "conv1", c(96), 11, 4, weight=b.real, bias=b.bias(c(96), "conv1"))
    x = b.max_pool(b.relu(b.bn(x, "bn1", eps=1e-4), "relu1"), "pool1", 3)
    x = b.relu(xnor_conv(b, x, "conv2", c(256), 5, p=2, with_k=with_k), "relu2")
    x = b.max_pool(x, "pool2", 3)
    for name, n in (("conv3", 384), ("conv4", 384), ("conv5", 256)):
        x = b.relu(xnor_conv(b, x, name, c(n), 3, p=1, with_k=with_k), f"relu_{name}")
    x = b.graph.add("Flatten", b.max_pool(x, "pool5", 3), name="flat", axis=1)
    for name in ("fc6", "fc7"):
        x = b.relu(xnor_linear(b, x, name, c(4096), with_k), f"relu_{name}")
    return b.classifier(b.bn(x, "bn8", eps=1e-3), "fc8")


def xnor_alexnet_kmap(b: Builder, x: Tensor) -> Tensor:
    return xnor_alexnet(b, x, with_k=True)


def bwn_alexnet(b: Builder, x: Tensor) -> Tensor:
    """Binary weights, float activations."""
    c = b.channels
    x = b.relu(b.bn(b.conv(x, "conv1", c(96), 11, 4, weight=b.real), "bn1"), "relu1")
    x = b.max_pool(x, "pool1", 3)
    for name, n, k in (("conv2", 256, 5), ("conv3", 384, 3), ("conv4", 384, 3), ("conv5", 256, 3)):
        x = b.relu(b.bn(b.conv(x, name, c(n), k, p=k // 2), f"bn_{name}"), f"relu_{name}")
        if name in ("conv2", "conv5"):
            x = b.max_pool(x, f"pool_{name}", 3)
    for name in ("fc6", "fc7"):
        x = b.relu(b.bn(b.linear(x, name, c(4096)), f"bn_{name}"), f"relu_{name}")
    return b.classifier(x, "fc8")


def bnn_vgg(b: Builder, x: Tensor) -> Tensor:
    """BinaryNet's VGG for CIFAR-10: binary first and last layers, too; Hardtanh and Sign on every input but the image."""
    for i, width in enumerate((128, 128, 256, 256, 512, 512), 1):
        q = b.quant(x, f"quant{i}") if i > 1 else x
        n = b.channels(width)
        x = b.conv(q, f"conv{i}", n, 3, p=1, bias=b.bias(n, f"conv{i}"))
        x = b.bn(b.max_pool(x, f"pool{i}") if i % 2 == 0 else x, f"bn{i}")
    x = b.graph.add("Flatten", x, name="flat", axis=1)
    for i, width in enumerate((1024, 1024, 10), 7):
        n = width if width == 10 else b.channels(width)
        x = b.bn(b.linear(b.quant(x, f"quant{i}"), f"fc{i}", n, bias=b.bias(n, f"fc{i}")), f"bn{i}")
    return b.graph.add("LogSoftmax", x, name="scores", axis=1)


def dorefa_alexnet(b: Builder, x: Tensor) -> Tensor:
    """DoReFa-Net's AlexNet: 12 x 12 first filters, convolutions in two groups."""
    c = b.channels
    x = b.bn(b.conv(x, "conv0", c(96), 12, 4, weight=b.real), "bn0")
    x = b.conv(b.quant(x, "quant0"), "conv1", c(256), 5, p=2, group=2)
    x = b.bn_quant(b.max_pool(x, "pool1", 3), "1")
    x = b.bn_quant(b.max_pool(b.conv(x, "conv2", c(384), 3, p=1), "pool2", 3), "2")
    x = b.bn_quant(b.conv(x, "conv3", c(384), 3, p=1, group=2), "3")
    x = b.max_pool(b.conv(x, "conv4", c(256), 3, p=1, group=2), "pool4", 3)
    x = b.bn_quant(b.linear(b.bn_quant(x, "4"), "fc0", c(4096)), "fc0")
    x = b.bn(b.linear(x, "fc1", c(4096)), "bnfc1")
    x = b.graph.add("Clip", x, b.graph.scalar(0), b.graph.scalar(1), name="nonlinear")
    return b.classifier(x, "fct")


def brevitas_cnv(b: Builder, x: Tensor) -> Tensor:
    """Brevitas' CNV: convolutions without padding, pools behind quantisers, TensorNorm at the end."""
    one, two = b.graph.scalar(1), b.graph.scalar(2)
    x = b.graph.add("Sub", b.graph.add("Mul", x, two), one)
    step, bits = b.graph.scalar(2.0**-7), b.graph.scalar(8)
    x = b.graph.add("Quant", x, step, b.graph.scalar(0), bits, name="image_quant", signed=1, narrow=0, rounding_mode="ROUND")
    for i, width in enumerate((64, 64, 128, 128, 256, 256)):
        x = b.bn(b.conv(x, f"conv{i}", b.channels(width), 3), f"bn{i}", eps=1e-4)
        x = b.quant(x, f"quant{i}")
        if i in (1, 3):
            x = b.max_pool(x, f"pool{i}")
    for i, width in enumerate((512, 512)):
        x = b.bn_quant(b.linear(x, f"fc{i}", b.channels(width)), f"fc{i}")
    x = b.linear(x, "fc2", 10)
    mean, deviation = (b.graph.scalar(v) for v in (x.value.mean(), x.value.std()))
    return b.graph.add("Div", b.graph.add("Sub", x, mean), deviation, name="scores")
