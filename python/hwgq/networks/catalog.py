"""All networks by name, and the function that makes one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import onnx

from . import half_wave, statistics, weights
from .builder import Builder, Options
from .encodings import ENCODINGS, FLOAT, HalfWave, Levels, Sign
from .graph import Graph

# Means of blue, green and red that Caffe's networks subtract.
CAFFE = (104.0, 117.0, 123.0)


@dataclasses.dataclass(frozen=True)
class Network:
    """A network: how it is built, what it can be written with, and its images.

    An image of whole values 0..255 becomes `(image - mean) / scale`; the shape is (C, H, W).
    """

    build: Callable[..., object]
    quantizer: object = HalfWave()
    encodings: tuple[str, ...] = ENCODINGS
    weights: tuple[str, ...] = weights.FORMS
    shape: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = CAFFE
    scale: float = 1.0
    affine: bool = False
    calibration: int = 16

    def input_shape(self, size: int | None = None) -> tuple[int, int, int]:
        return (self.shape[0], size, size) if size else self.shape


CIFAR = dict(shape=(3, 32, 32), mean=(125.0, 123.0, 114.0))

NETWORKS: dict[str, Network] = {
    "alexnet": Network(half_wave.alexnet, shape=(3, 227, 227)),
    "alexnet-sign": Network(half_wave.alexnet, Sign(), ("a", "b", "d"), shape=(3, 227, 227)),
    "alexnet-2n": Network(half_wave.alexnet, Levels((0.0, 0.9815), (0.0, 0.453, 1.51)), ("a", "b"), shape=(3, 227, 227)),
    "resnet18": Network(half_wave.resnet18),
    "resnet34": Network(half_wave.resnet34),
    "resnet50": Network(half_wave.resnet50),
    "vgg-variant": Network(half_wave.vgg_variant),
    "googlenet": Network(half_wave.googlenet),
    "darknet19": Network(half_wave.darknet19),
    "lenet-mnist": Network(half_wave.lenet_mnist, shape=(1, 28, 28), mean=(0.0,), scale=256.0),
    "cifar-vgg": Network(half_wave.cifar_vgg, **CIFAR),
}


def inputs(name: str, count: int, seed: int = 0, size: int | None = None) -> np.ndarray:
    """`count` seeded float32 images [count, C, H, W] as the network takes them."""
    network = NETWORKS[name]
    images = statistics.images(network.input_shape(size), count, seed)
    return ((images - np.float32(network.mean).reshape(-1, 1, 1)) / np.float32(network.scale)).astype(np.float32)


def generate(
    name: str,
    encoding: str | None = None,
    weights: str | None = None,
    seed: int = 0,
    size: int | None = None,
    width: float = 1.0,
    batch: int | str = "N",
) -> onnx.ModelProto:
    """The network `name` with seeded weights.

    `encoding` and `weights` default to the first that the network has; "float" leaves the quantisers
    out (Relu in their places, float weights); `size` is the height and
    width of the images, `width` the fraction of channels of inner layers, `batch` the first
    dimension. Raises ValueError for what the network cannot be written with.
    """
    if name not in NETWORKS:
        raise ValueError(f"no network '{name}': there are {', '.join(NETWORKS)}")
    network = NETWORKS[name]
    encoding, form = encoding or network.encodings[0], weights or network.weights[0]
    for what, value, known in (("encoding", encoding, network.encodings), ("weights", form, network.weights)):
        if value not in known and value != FLOAT:
            raise ValueError(f"{name} takes {what} {', '.join(known)}, not '{value}'")
    graph = Graph(name, {"image": inputs(name, network.calibration, seed + 1000, size)})
    builder = Builder(graph, Options(encoding, form, seed, width), network.quantizer, network.affine)
    return graph.model([network.build(builder, graph.inputs["image"])], batch)
