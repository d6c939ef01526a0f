"""All networks by name, and the function that makes one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import onnx

from . import activations, alexnets, grids, half_wave, residuals, statistics, weights
from .builder import Builder, Options
from .encodings import ENCODINGS, FLOAT, OWN, HalfWave, Levels, Sign
from .graph import Graph

# Means of blue, green and red that Caffe's networks subtract.
CAFFE = (104.0, 117.0, 123.0)


@dataclasses.dataclass(frozen=True)
class Network:
    """A network: how it is built, what it can be written with, and its images.

    An image of whole values 0..255 becomes `(image - mean) / scale`; the shape is (C, H, W), of
    `channels_last` networks (H, W, C), of signals (C, L). `affine` batch norms have gammas near `gain`.
    """

    build: Callable[..., object]
    quantizer: object = HalfWave()
    encodings: tuple[str, ...] = ENCODINGS
    forms: tuple[str, ...] = weights.FORMS
    weight: Callable[..., object] = weights.binarise
    shape: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = CAFFE
    scale: float = 1.0
    affine: bool = False
    gain: float = 1.0
    calibration: int = 16
    channels_last: bool = False

    def input_shape(self, size: int | None = None) -> tuple[int, ...]:
        """Of an image, channels first."""
        return (self.shape[0], *[size] * (len(self.shape) - 1)) if size else self.shape


CIFAR = dict(shape=(3, 32, 32), mean=(125.0, 123.0, 114.0))

# Means and deviation of torchvision's images.
TORCH = dict(affine=True, mean=(124.0, 116.0, 104.0), scale=58.0)
TORCH_SIGN = activations.TorchSign()
SIGN_ENCODINGS = (OWN, "a", "b", "d")
CHAIN = grids.PLAIN_OR_CHAIN


def dorefa(w: int, a: int) -> Network:
    """AlexNet with weights of w and activations of a bits."""
    encodings = SIGN_ENCODINGS if a == 1 else (OWN, "b", "c", "d")
    return Network(
        alexnets.dorefa_alexnet, activations.DoReFa(a), encodings, CHAIN, grids.DoReFa(w), shape=(3, 228, 228), **TORCH
    )


def cnv(w: int, a: int) -> Network:
    """Brevitas' CNV for images in [0, 1]."""
    encodings = ("d", "b", "a") if a == 1 else ("d", "b")
    weight = grids.Brevitas(w)
    return Network(
        alexnets.brevitas_cnv,
        activations.Brevitas(a),
        encodings,
        ("latent", "plain"),
        weight,
        (3, 32, 32),
        (0.0,),
        255.0,
        affine=True,
    )


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
    "xnor-alexnet": Network(alexnets.xnor_alexnet, TORCH_SIGN, SIGN_ENCODINGS, shape=(3, 227, 227), **TORCH),
    "xnor-alexnet-kmap": Network(alexnets.xnor_alexnet_kmap, TORCH_SIGN, SIGN_ENCODINGS, shape=(3, 227, 227), **TORCH),
    "xnor-resnet18": Network(residuals.xnor_resnet18, TORCH_SIGN, SIGN_ENCODINGS, **TORCH),
    "xnor-resnet18-kmap": Network(residuals.xnor_resnet18_kmap, TORCH_SIGN, SIGN_ENCODINGS, **TORCH),
    "bnn-vgg": Network(
        alexnets.bnn_vgg, activations.TorchSign(hardtanh=True), SIGN_ENCODINGS, weight=grids.sign, shape=(3, 32, 32), **TORCH
    ),
    "bwn-alexnet": Network(alexnets.bwn_alexnet, None, (OWN,), shape=(3, 227, 227), **TORCH),
    "bwn-resnet18": Network(residuals.bwn_resnet18, None, (OWN,), **TORCH),
    **{f"dorefa-alexnet-w{w}a{a}": dorefa(w, a) for w, a in ((1, 1), (1, 2), (1, 4), (2, 2), (4, 4), (8, 8))},
    "birealnet18": Network(
        residuals.birealnet18, activations.PolynomialSign(), SIGN_ENCODINGS, CHAIN, grids.straight_through, **TORCH
    ),
    "reactnet18": Network(
        residuals.reactnet18, activations.PolynomialSign(), SIGN_ENCODINGS, CHAIN, grids.straight_through, **TORCH
    ),
    "twn-resnet18": Network(residuals.torch_resnet18, forms=CHAIN, weight=grids.twn, **TORCH),
    "ttq-resnet18": Network(residuals.torch_resnet18, forms=CHAIN, weight=grids.ttq, **TORCH),
    "lsq-resnet18": Network(
        residuals.torch_resnet18, activations.Lsq(), (OWN, "d"), ("chain", "latent", "plain"), grids.Lsq(), **TORCH
    ),
    "pact-resnet18": Network(residuals.torch_resnet18, activations.Pact(), (OWN, "c"), CHAIN, grids.DoReFa(4), **TORCH),
    "lqnet-resnet18": Network(residuals.torch_resnet18, activations.LqNet(), (OWN, "a", "b"), CHAIN, grids.lqnet, **TORCH),
    "edmips-resnet18": Network(
        residuals.edmips_resnet18, None, ("c", "d", "a", "b"), CHAIN, grids.Deviation(1), gain=1.6, **TORCH
    ),
    "quicknet": Network(
        residuals.quicknet, activations.LarqSign(), SIGN_ENCODINGS, ("plain",), grids.sign, channels_last=True, **TORCH
    ),
    "cnv-w1a1": cnv(1, 1),
    "cnv-w1a2": cnv(1, 2),
    "cnv-w2a2": cnv(2, 2),
    "speech1d": Network(residuals.speech1d, shape=(40, 200), mean=(128.0,), scale=64.0),
}


def inputs(name: str, count: int, seed: int = 0, size: int | None = None) -> np.ndarray:
    """`count` seeded float32 images [count, C, H, W] as the network takes them."""
    network = NETWORKS[name]
    images = statistics.images(network.input_shape(size), count, seed)
    mean = np.float32(network.mean).reshape(-1, *[1] * (images.ndim - 2))
    scaled = ((images - mean) / np.float32(network.scale)).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(scaled, 1, -1)) if network.channels_last else scaled


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
    encoding, form = encoding or network.encodings[0], weights or network.forms[0]
    for what, value, known in (("encoding", encoding, network.encodings), ("weights", form, network.forms)):
        if value not in known and value != FLOAT:
            raise ValueError(f"{name} takes {what} {', '.join(known)}, not '{value}'")
    graph = Graph(name, {"image": inputs(name, network.calibration, seed + 1000, size)})
    builder = Builder(graph, Options(encoding, form, seed, width), network.quantizer, network.weight, network.affine, network.gain)
    return graph.model([network.build(builder, graph.inputs["image"])], batch)
