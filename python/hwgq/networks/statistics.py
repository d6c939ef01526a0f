"""Images to measure on, and batch norm with the statistics measured."""

from __future__ import annotations

import numpy as np

from .graph import Graph, Tensor
from .weights import generator

NEGATED = 0.06
TINY = 0.02


def images(shape: tuple[int, ...], count: int, seed: int) -> np.ndarray:
    """`count` float32 images of `shape` (C, H, W), or signals (C, L), with whole values 0..255: blurred noise of several
    scales whose brightness, contrast and colour vary from image to image."""
    channels, *sizes = shape
    rng = np.random.default_rng([seed, count, 1])
    result = np.empty((count, *shape), np.float32)
    for image in result:
        field = np.zeros(shape, np.float32)
        for cells in (2, 5, 14, 56):
            coarse = rng.standard_normal((channels, *[cells + 1] * len(sizes)), np.float32)
            for axis, size in enumerate(sizes, 1):
                coarse = _stretch(coarse, size, axis)
            field += coarse * rng.uniform(0.3, 1.5)
        field += rng.standard_normal((1, *sizes), np.float32) * rng.uniform(0.1, 0.6)
        contrast, light = rng.uniform(15, 60), rng.uniform(80, 170, (channels, *[1] * len(sizes)))
        image[:] = np.clip(np.round(field * contrast + light), 0, 255)
    return result


def _stretch(array: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Linear interpolation of one axis to `size` points."""
    place = np.linspace(0, array.shape[axis] - 1, size, dtype=np.float32)
    low = np.minimum(place.astype(int), array.shape[axis] - 2)
    part = (place - low).reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    return np.take(array, low, axis) * (1 - part) + np.take(array, low + 1, axis) * part


def batch_norm(graph: Graph, x: Tensor, name: str, seed: int, affine: bool, gain: float, eps: float) -> Tensor:
    """BatchNormalization of a tensor of rank 2 to 4 whose output has, on the batch, mean beta and deviation |gamma|.

    gamma is 1 and beta 0 without `affine`, else near `gain` and 0. About 6 % of the gammas are negated, which keeps the
    mean; 2 % of the variances are so small that eps swallows them, and gamma as small to match.
    """
    rng, channels = generator(seed, name), x.shape[1]
    others = (0, *range(2, x.value.ndim))
    mean = x.value.mean(others, dtype=np.float64)
    variance = x.value.var(others, dtype=np.float64)
    gamma = gain * rng.uniform(0.7, 1.3, channels) if affine else np.ones(channels)
    beta = rng.normal(0, 0.1, channels) if affine else np.zeros(channels)
    gamma[rng.random(channels) < NEGATED] *= -1
    tiny = rng.random(channels) < TINY
    small = 10.0 ** rng.uniform(-44, -8, channels)
    gamma = np.where(tiny, gamma * np.sqrt((small + eps) / (variance + eps)), gamma)
    values = dict(scale=gamma, bias=beta, mean=mean, var=np.where(tiny, small, variance))
    constants = [graph.constant(v.astype(np.float32), f"{name}_{key}") for key, v in values.items()]
    return graph.add("BatchNormalization", x, *constants, name=name, epsilon=eps)
