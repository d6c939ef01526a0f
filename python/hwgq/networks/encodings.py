"""Activation quantisers and the ways in which files write them.

`a`: sums of Greater, strict; `b`: MultiThreshold; `c`: Clip, Div, Round, Mul; `d`: QONNX Quant or
BipolarQuant. A quantiser that one of them cannot express refuses it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .graph import Graph, Tensor

ENCODINGS = ("a", "b", "c", "d")

# No quantiser: Relu in their places and latent weights, the float network of the same shape.
FLOAT = "float"

# The form in which the network's own training code exports its quantiser.
OWN = "own"


class NotExpressible(ValueError):
    """The encoding cannot say what the quantiser computes."""


def above(x: float) -> np.float32:
    """The next larger float32."""
    return np.nextafter(np.float32(x), np.float32(np.inf))


def below(x: float) -> np.float32:
    """The next smaller float32."""
    return np.nextafter(np.float32(x), np.float32(-np.inf))


def steps_of(function, levels: np.ndarray, low: float, high: float) -> np.ndarray:
    """The smallest float32 in [low, high], 0 <= low, at which the rising `function` reaches each level but the first."""
    found = []
    for level in levels[1:]:
        a, b = (int(np.float32(v).view(np.int32)) for v in (low, high))
        while a < b:
            middle = (a + b) // 2
            value = np.array([middle], np.int32).view(np.float32)
            a, b = (a, middle) if function(value)[0] >= level else (middle + 1, b)
        found.append(np.array([a], np.int32).view(np.float32)[0])
    return np.array(found, np.float32)


def sum_of_greater(graph: Graph, x: Tensor, bounds, levels, name: str) -> Tensor:
    """The level whose index is the number of bounds that x exceeds."""
    differences = np.diff(np.asarray(levels, np.float64)).astype(np.float32)
    uniform = np.all(differences == differences[0])
    total = None
    for bound, difference in zip(bounds, differences):
        step = graph.add("Cast", graph.add("Greater", x, graph.scalar(bound)), to=1)
        if not uniform:
            step = graph.add("Mul", step, graph.scalar(difference))
        total = step if total is None else graph.add("Add", total, step)
    if uniform and differences[0] != 1:
        total = graph.add("Mul", graph.scalar(differences[0]), total, name=None if levels[0] else name)
    if levels[0]:
        total = graph.add("Add", total, graph.scalar(levels[0]), name=name)
    return total


def multi_threshold(graph: Graph, x: Tensor, bounds, levels, name: str) -> Tensor:
    """The same with `>=`; levels that are not evenly spaced take one MultiThreshold a step."""
    differences = np.diff(np.asarray(levels, np.float64)).astype(np.float32)
    rows = [np.asarray(bounds, np.float32).reshape(1, -1)]
    if np.all(differences == differences[0]):
        thresholds = graph.constant(rows[0], f"{name}_thresholds")
        if set(map(float, levels)) == {-1.0, 1.0}:
            return graph.add("MultiThreshold", x, thresholds, name=name, out_dtype="BIPOLAR", out_scale=2.0, out_bias=-1.0)
        bits = len(bounds).bit_length()
        codes = graph.add("MultiThreshold", x, thresholds, out_dtype=f"UINT{bits}")
        scaled = graph.add("Mul", codes, graph.scalar(differences[0]), name=None if levels[0] else name)
        return graph.add("Add", scaled, graph.scalar(levels[0]), name=name) if levels[0] else scaled
    total = None
    for k, difference in enumerate(differences):
        thresholds = graph.constant(rows[0][:, k : k + 1], f"{name}_threshold{k}")
        step = graph.add("MultiThreshold", x, thresholds, out_dtype="BINARY")
        step = graph.add("Mul", step, graph.scalar(difference))
        total = step if total is None else graph.add("Add", total, step)
    return graph.add("Add", total, graph.scalar(levels[0]), name=name) if levels[0] else total


@dataclasses.dataclass(frozen=True)
class HalfWave:
    """HWGQ: levels 0, s, 2s, ...; Caffe's (a, b) steps at 0, 1.5s, 2.5s, ..., strictly above; PyTorch's (c, d)
    rounds half to even, so that its first step is at 0.5s."""

    bits: int = 2
    step: float = 0.538

    @property
    def count(self) -> int:
        return 2**self.bits

    def levels(self) -> np.ndarray:
        return np.arange(2**self.bits, dtype=np.float32) * np.float32(self.step)

    def bounds(self) -> list[np.float32]:
        """Caffe's, each strict."""
        return [np.float32(0)] + [np.float32((k + 0.5) * self.step) for k in range(1, 2**self.bits - 1)]

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        step = graph.scalar(self.step)
        if encoding == "a":
            return sum_of_greater(graph, x, self.bounds(), self.levels(), name)
        if encoding == "b":
            return multi_threshold(graph, x, [above(b) for b in self.bounds()], self.levels(), name)
        if encoding == "c":
            top = np.float32((2**self.bits - 1) * self.step)
            clipped = graph.add("Clip", x, graph.scalar(0), graph.scalar(top))
            return graph.add("Mul", graph.add("Round", graph.add("Div", clipped, step)), step, name=name)
        bits = graph.scalar(self.bits)
        return graph.add("Quant", x, step, graph.scalar(0), bits, name=name, signed=0, narrow=0, rounding_mode="ROUND")


@dataclasses.dataclass(frozen=True)
class Levels:
    """Any levels, each reached strictly above its bound (a, b)."""

    bounds: tuple[float, ...]
    levels: tuple[float, ...]

    @property
    def count(self) -> int:
        return len(self.levels)

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        if encoding == "a":
            return sum_of_greater(graph, x, self.bounds, self.levels, name)
        if encoding == "b":
            return multi_threshold(graph, x, [above(b) for b in self.bounds], self.levels, name)
        raise NotExpressible("levels that are not evenly spaced take encoding a or b")


@dataclasses.dataclass(frozen=True)
class Sign:
    """1 where x >= 0, else -1 (a, b, d)."""

    count = 2

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        if encoding == "a":  # x >= 0 is x > the largest negative float32.
            return sum_of_greater(graph, x, [below(0)], (-1, 1), name)
        if encoding == "b":
            return multi_threshold(graph, x, [np.float32(0)], (-1, 1), name)
        if encoding == "d":
            return graph.add("BipolarQuant", x, graph.scalar(1), name=name)
        raise NotExpressible("a sign is no rounding: take encoding a, b or d")
