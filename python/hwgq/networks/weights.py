"""Seeded latent weights and the forms in which files hold their binarised values.

`latent`: float weights through BipolarQuant; `plain`: the two values of each filter as a constant;
`chain`: Abs, ReduceMean, GreaterOrEqual, Where and Mul on the float weights, as exporters leave them.
"""

from __future__ import annotations

import zlib

import numpy as np

from .graph import Graph, Tensor

FORMS = ("latent", "plain", "chain")


def generator(seed: int, name: str) -> np.random.Generator:
    """Random numbers that depend on the seed and the layer alone."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def latent(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal weights as training leaves them: about 1/sqrt(fan-in) large, a few exactly zero."""
    fan_in = int(np.prod(shape[1:]))
    weights = rng.standard_normal(shape, np.float32) * np.float32(fan_in**-0.5)
    flat = weights.reshape(-1)
    zeros = rng.integers(0, flat.size, 1 + flat.size // 4096)
    flat[zeros] = np.where(zeros % 2, np.float32(0), np.float32(-0.0))
    return weights


def mean_magnitude(weights: np.ndarray) -> np.ndarray:
    """mean|W| of each filter as the reference computes a ReduceMean: a double sum in index order,
    one division, one rounding; with the shape of the weights, all dimensions but the first 1."""
    rows = np.abs(weights.reshape(len(weights), -1))
    means = np.empty(len(rows), np.float64)
    for i, row in enumerate(rows):
        means[i] = np.cumsum(row, dtype=np.float64)[-1] / row.size
    return means.astype(np.float32).reshape(-1, *[1] * (weights.ndim - 1))


def binarise(graph: Graph, rng: np.random.Generator, shape: tuple[int, ...], form: str, name: str) -> Tensor:
    """alpha * sign(W) with sign(0) = +1 and alpha = mean|W| of each filter."""
    weights = latent(rng, shape)
    alpha = mean_magnitude(weights)
    values = np.where(weights >= 0, alpha, -alpha)
    if form == "plain":
        return graph.constant(values, name)
    source = graph.constant(weights, f"{name}_latent")
    if form == "latent":
        return graph.add("BipolarQuant", source, graph.constant(alpha, f"{name}_alpha"), name=name, value=values)
    axes = list(range(1, weights.ndim))
    magnitude = graph.add("Abs", source, name=f"{name}_abs", value=values)
    mean = graph.add("ReduceMean", magnitude, name=f"{name}_mean", value=alpha, axes=axes, keepdims=1)
    positive = graph.add("GreaterOrEqual", source, graph.scalar(0), name=f"{name}_positive", value=values)
    sign = graph.add("Where", positive, graph.scalar(1), graph.scalar(-1), name=f"{name}_sign", value=values)
    return graph.add("Mul", sign, mean, name=name, value=values)
