"""The networks of HWGQ as its Caffe files write them: binary inner layers, float first and last ones,
batch norms without parameters, a quantiser before every binary layer."""

from __future__ import annotations

from .builder import Builder
from .graph import Tensor


def alexnet(b: Builder, x: Tensor) -> Tensor:
    x = b.conv(x, "conv1", b.channels(96), 11, 4, weight=b.real)
    x = b.bn_quant(b.max_pool(x, "pool1", 3), "2")
    x = b.max_pool(b.conv(x, "conv2", b.channels(256), 5, p=2), "pool2", 3)
    x = b.conv(b.bn_quant(x, "3"), "conv3", b.channels(384), 3, p=1)
    x = b.conv(b.bn_quant(x, "4"), "conv4", b.channels(384), 3, p=1)
    x = b.conv(b.bn_quant(x, "5"), "conv5", b.channels(256), 3, p=1)
    x = b.bn_quant(b.max_pool(x, "pool5", 3), "6")
    x = b.linear(x, "fc6", b.channels(4096))
    x = b.linear(b.bn_quant(x, "7"), "fc7", b.channels(4096))
    return b.classifier(b.relu(b.bn(x, "bn8"), "relu8"), "fc8")


def _stem(b: Builder, x: Tensor) -> Tensor:
    x = b.conv(x, "conv1", b.channels(64), 7, 2, 3, weight=b.real, bias=b.bias(b.channels(64), "conv1"))
    return b.bn(b.max_pool(x, "pool1", 3), "bn1")


def _end(b: Builder, x: Tensor, name: str) -> Tensor:
    return b.scale(b.bn(x, f"bn{name}_end"), f"scale{name}_end")


def _shortcut(b: Builder, q: Tensor, name: str, n: int, stride: int) -> Tensor:
    x = b.bn(b.conv(q, f"res{name}_branch1", n, 1, stride), f"bn{name}_branch1")
    return b.scale(x, f"scale{name}_branch1")


def _basic(b: Builder, q: Tensor, name: str, n: int, stride: int) -> Tensor:
    x = b.conv(q, f"res{name}_branch2a", n, 3, stride, 1)
    x = b.conv(b.bn_quant(x, f"{name}_branch2b"), f"res{name}_branch2b", n, 3, p=1)
    return _end(b, x, f"{name}_branch2b")


def _bottleneck(b: Builder, q: Tensor, name: str, n: int, stride: int) -> Tensor:
    x = b.conv(q, f"res{name}_branch2a", n // 4, 1, stride)
    x = b.conv(b.bn_quant(x, f"{name}_branch2b"), f"res{name}_branch2b", n // 4, 3, p=1)
    x = b.conv(b.bn_quant(x, f"{name}_branch2c"), f"res{name}_branch2c", n, 1)
    return _end(b, x, f"{name}_branch2c")


def _resnet(b: Builder, x: Tensor, blocks: tuple[int, ...], branch, widths: tuple[int, ...]) -> Tensor:
    r = _stem(b, x)
    for stage, (count, width) in enumerate(zip(blocks, widths), 2):
        n = b.channels(width)
        for block in range(count):
            name = f"{stage}{chr(ord('a') + block)}"
            stride = 2 if stage > 2 and block == 0 else 1
            first = stage == 2 and block == 0  # bn1 stands before it.
            q = b.quant(r if first else b.bn(r, f"bn{name}"), f"qt{name}")
            shortcut = r if r.shape[1] == n and stride == 1 else _shortcut(b, q, name, n, stride)
            r = b.graph.add("Add", shortcut, branch(b, q, name, n, stride), name=f"res{name}")
    x = b.average_pool(b.relu(r, "relu5"), "pool5")
    return b.classifier(x, "fc1000")


def resnet18(b: Builder, x: Tensor) -> Tensor:
    return _resnet(b, x, (2, 2, 2, 2), _basic, (64, 128, 256, 512))


def resnet34(b: Builder, x: Tensor) -> Tensor:
    return _resnet(b, x, (3, 4, 6, 3), _basic, (64, 128, 256, 512))


def resnet50(b: Builder, x: Tensor) -> Tensor:
    return _resnet(b, x, (3, 4, 6, 3), _bottleneck, (256, 512, 1024, 2048))


def vgg_variant(b: Builder, x: Tensor) -> Tensor:
    x = b.relu(b.conv(x, "conv1", b.channels(96), 7, 2, 3, weight=b.real), "relu1")
    x = b.bn_quant(b.max_pool(x, "pool1"), "1")
    for stage, width in ((2, 256), (3, 512), (4, 512)):
        for layer in (1, 2, 3):
            name = f"{stage}_{layer}"
            x = b.conv(x, f"conv{name}", b.channels(width), 3, p=1)
            x = b.bn_quant(b.max_pool(x, f"pool{stage}") if layer == 3 else x, name)
    x = b.bn_quant(b.linear(x, "fc5", b.channels(4096)), "5")
    x = b.bn(b.linear(x, "fc6", b.channels(4096)), "bn6")
    return b.classifier(b.relu(x, "relu6"), "fc7")


INCEPTIONS = {
    "3a": (96, 128, 32),
    "3b": (192, 192, 96),
    "4a": (256, 208, 48),
    "4b": (224, 224, 64),
    "4c": (192, 256, 64),
    "4d": (176, 288, 64),
    "4e": (384, 320, 128),
    "5a": (384, 320, 128),
    "5b": (512, 384, 128),
}


def _inception(b: Builder, x: Tensor, name: str) -> Tensor:
    one, three, five = map(b.channels, INCEPTIONS[name])
    name = f"inception_{name}"
    q = b.quant(x, f"{name}/qt")
    branches = [b.conv(q, f"{name}/1x1", one, 1)]
    for k, n in ((3, three), (5, five)):
        y = b.bn_quant(b.conv(q, f"{name}/{k}x{k}_reduce", n, 1), f"{name}/{k}x{k}")
        branches.append(b.conv(y, f"{name}/{k}x{k}", n, k, p=k // 2))
    return b.graph.add("Concat", *branches, name=f"{name}/output", axis=1)


def googlenet(b: Builder, x: Tensor) -> Tensor:
    x = b.conv(x, "conv1/7x7_s2", b.channels(64), 7, 2, 3, weight=b.real)
    x = b.bn_quant(b.max_pool(x, "pool1/3x3_s2", 3), "pool1")
    x = b.bn_quant(b.conv(x, "conv2/3x3_reduce", b.channels(192), 1), "conv2")
    x = b.conv(x, "conv2/3x3", b.channels(192), 3, p=1)
    x = b.bn(b.max_pool(x, "pool2/3x3_s2", 3), "pool2/bn_3x3")
    for name in INCEPTIONS:
        x = _inception(b, x, name)
        if name in ("3b", "4e"):
            x = b.max_pool(x, f"pool_{name}", 3)
        x = b.bn(x, f"inception_{name}/bn_output")
    x = b.relu(b.scale(x, "scale5"), "relu5")
    return b.classifier(b.average_pool(x, "pool5/7x7_s1"), "loss3/classifier")


def darknet19(b: Builder, x: Tensor) -> Tensor:
    x = b.conv(x, "conv1", b.channels(32), 3, p=1, weight=b.real)
    x = b.max_pool(x, "pool1")
    stages = ((64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))
    count = 1
    for stage, widths in enumerate(stages, 2):
        for i, width in enumerate(widths):
            q = b.bn_quant(x, str(count))
            count += 1
            x = b.conv(q, f"conv{count}", b.channels(width), 3, p=1)
            if i == len(widths) - 1 and stage < 6:
                x = b.max_pool(x, f"pool{stage}")
    x = b.relu(b.scale(b.bn(x, "bn_end"), "scale_end"), "relu_end")
    return b.classifier(b.average_pool(x, "pool6"), "fc7")


def lenet_mnist(b: Builder, x: Tensor) -> Tensor:
    x = b.max_pool(b.conv(x, "conv1", b.channels(20), 5), "pool1")
    x = b.max_pool(b.conv(b.bn_quant(x, "1"), "conv2", b.channels(50), 5), "pool2")
    x = b.bn_quant(b.linear(b.bn_quant(x, "2"), "ip1", b.channels(500)), "3")
    return b.graph.add("Softmax", b.linear(x, "ip2", 10, bias=b.bias(10, "ip2")), name="prob", axis=1)


def cifar_vgg(b: Builder, x: Tensor) -> Tensor:
    x = b.conv(x, "conv1_1", b.channels(128), 3, p=1, weight=b.real)
    for stage, width in ((1, 128), (2, 256), (3, 512)):
        for layer in (1, 2) if stage > 1 else (2,):
            x = b.bn_quant(x, f"{stage}_{layer}")
            x = b.conv(x, f"conv{stage}_{layer}", b.channels(width), 3, p=1)
        if stage < 3:
            x = b.max_pool(x, f"pool{stage}")
    x = b.relu(b.scale(b.bn(x, "bn3_2_end"), "scale3_2"), "relu3_2")
    return b.classifier(b.max_pool(x, "pool3"), "fc4", 10)
