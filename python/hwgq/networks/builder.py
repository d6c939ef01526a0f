"""Layers that several architectures share, added to a graph."""

from __future__ import annotations

import dataclasses

import numpy as np

from . import statistics, weights
from .encodings import FLOAT
from .graph import Graph, Tensor


@dataclasses.dataclass(frozen=True)
class Options:
    """How a network is written: encoding of activations, form of weights, seed, width as a fraction."""

    encoding: str
    weights: str
    seed: int = 0
    width: float = 1.0


class Builder:
    """Adds layers to a graph; their random numbers depend on the seed and on the layer's name only."""

    def __init__(self, graph: Graph, options: Options, quantizer, weight, affine: bool = False, gain: float = 1.0):
        self.graph, self.options, self.quantizer, self.weight = graph, options, quantizer, weight
        self.affine, self.gain = affine, gain

    def rng(self, name: str) -> np.random.Generator:
        return weights.generator(self.options.seed, name)

    def channels(self, count: int) -> int:
        """`count` at the chosen width: whole multiples of 8, where it is one."""
        if self.options.width == 1:
            return count
        return max(8, int(count * self.options.width) // 8 * 8)

    def bias(self, count: int, name: str) -> Tensor:
        return self.graph.constant(self.rng(f"{name}_bias").normal(0, 0.1, count).astype(np.float32), f"{name}_bias")

    def low_bit(self, shape: tuple[int, ...], name: str) -> Tensor:
        """The network's quantised weights in the chosen form."""
        if self.options.encoding == FLOAT:
            return self.real(shape, name)
        self.graph.low_bit.append(name)
        return self.weight(self.graph, self.rng(name), shape, self.options.weights, f"{name}_weight")

    def real(self, shape: tuple[int, ...], name: str) -> Tensor:
        """Float weights."""
        return self.graph.constant(weights.latent(self.rng(name), shape), f"{name}_weight")

    def conv(
        self, x: Tensor, name: str, n: int, k: int, s: int = 1, p: int = 0, weight=None, bias: Tensor | None = None, group: int = 1
    ) -> Tensor:
        """A convolution with n filters of k in every dimension, stride s, padding p; `weight` (a method) makes
        them low-bit by default."""
        make, dims = weight or self.low_bit, x.value.ndim - 2
        inputs = [x, make((n, x.shape[1] // group, *[k] * dims), name)] + ([bias] if bias else [])
        return self.graph.add(
            "Conv", *inputs, name=name, kernel_shape=[k] * dims, strides=[s] * dims, pads=[p] * 2 * dims, group=group
        )

    def linear(self, x: Tensor, name: str, n: int, weight=None, bias: Tensor | None = None) -> Tensor:
        """A fully connected layer with n units; inputs of rank 4 are flattened first."""
        if x.value.ndim > 2:
            x = self.graph.add("Flatten", x, name=f"{name}_flat", axis=1)
        make = weight or self.low_bit
        inputs = [x, make((n, x.shape[1]), name)] + ([bias] if bias else [])
        return self.graph.add("Gemm", *inputs, name=name, transB=1)

    def max_pool(self, x: Tensor, name: str, k: int = 2, s: int = 2, p: int = 0) -> Tensor:
        """Caffe rounds sizes up."""
        ceil = int((x.shape[2] + 2 * p - k) % s != 0)
        dims = x.value.ndim - 2
        return self.graph.add(
            "MaxPool", x, name=name, kernel_shape=[k] * dims, strides=[s] * dims, pads=[p] * 2 * dims, ceil_mode=ceil
        )

    def average_pool(self, x: Tensor, name: str) -> Tensor:
        """Over the whole image."""
        return self.graph.add("AveragePool", x, name=name, kernel_shape=list(x.shape[2:]))

    def bn(self, x: Tensor, name: str, affine: bool | None = None, eps: float = 1e-5) -> Tensor:
        affine = self.affine if affine is None else affine
        return statistics.batch_norm(self.graph, x, name, self.options.seed, affine, self.gain, eps)

    def scale(self, x: Tensor, name: str) -> Tensor:
        """Caffe's Scale with a bias; some factors are negative."""
        rng, shape = self.rng(name), (1, x.shape[1], 1, 1)
        factor = rng.uniform(0.5, 1.5, shape) * np.where(rng.random(shape) < statistics.NEGATED, -1, 1)
        y = self.graph.add("Mul", x, self.graph.constant(factor.astype(np.float32), f"{name}_factor"), name=f"{name}_mul")
        offset = rng.normal(0, 0.1, shape).astype(np.float32)
        return self.graph.add("Add", y, self.graph.constant(offset, f"{name}_offset"), name=name)

    def quant(self, x: Tensor, name: str) -> Tensor:
        if self.options.encoding == FLOAT:
            return self.relu(x, name)
        codes = self.quantizer.encode(self.graph, x, self.options.encoding, name)
        self.graph.quantisers.append((x.name, codes.name, self.quantizer.count))
        return codes

    def bn_quant(self, x: Tensor, name: str) -> Tensor:
        return self.quant(self.bn(x, f"{name}_bn"), f"{name}_quant")

    def relu(self, x: Tensor, name: str) -> Tensor:
        return self.graph.add("Relu", x, name=name)

    def classifier(self, x: Tensor, name: str, classes: int = 1000) -> Tensor:
        """A float layer with a bias, and Softmax. The logits deviate by 2 on the batch, around small biases."""
        features = x.value.reshape(len(x.value), -1)
        weights_of = weights.latent(self.rng(name), (classes, features.shape[1]))
        logits = features @ weights_of.T
        mean = logits.mean(0, keepdims=True)
        factor = 2 / np.std(logits - mean)
        bias = self.rng(f"{name}_bias").normal(0, 0.1, classes) - mean[0] * factor

        def constant(_shape, _name):
            return self.graph.constant((weights_of * factor).astype(np.float32), f"{name}_weight")

        y = self.linear(x, name, classes, constant, bias=self.graph.constant(bias.astype(np.float32), f"{name}_bias"))
        return self.graph.add("Softmax", y, name="prob", axis=1)
