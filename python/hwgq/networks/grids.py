"""Weights of more than one bit, or with other scales than HWGQ's, in the forms `plain` (the values) and
`chain` (as exporters leave the quantiser on the float weights).

Each function takes (graph, random numbers, shape, form, name) and returns the weights.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .graph import Graph, Tensor
from .weights import latent, mean_magnitude

PLAIN_OR_CHAIN = ("chain", "plain")


def without_zeros(weights: np.ndarray) -> np.ndarray:
    """Where Sign(0) = 0 would make a third level."""
    return np.where(weights == 0, np.float32(1e-3), weights)


def sign(graph: Graph, rng, shape, form: str, name: str) -> Tensor:
    """BNN: sign(W), no scale; the chain is Div(1), Sign, Mul(1)."""
    weights = without_zeros(latent(rng, shape))
    values = np.sign(weights)
    if form == "plain":
        return graph.constant(values, name)
    source = graph.constant(weights, f"{name}_latent")
    if form == "latent":
        return graph.add("BipolarQuant", source, graph.scalar(1), name=name, value=values)
    scaled = graph.add("Div", source, graph.scalar(1), value=values)
    return graph.add("Mul", graph.add("Sign", scaled, value=values), graph.scalar(1), name=name, value=values)


def straight_through(graph: Graph, rng, shape, form: str, name: str) -> Tensor:
    """Bi-Real-Net: (alpha sign(W) - clip(W, -1, 1)) + clip(W, -1, 1), alpha by three nested means. `plain` is
    that sum in float32, within rounding of +-alpha."""
    weights = without_zeros(latent(rng, shape))
    values = np.where(weights > 0, mean_magnitude(weights), -mean_magnitude(weights))
    clipped = np.clip(weights, np.float32(-1), np.float32(1))
    if form == "plain":
        return graph.constant((values - clipped) + clipped, name)
    source = graph.constant(weights, f"{name}_latent")
    mean = graph.add("Abs", source, value=np.abs(weights))
    for axis in range(weights.ndim - 1, 0, -1):
        mean = graph.add("ReduceMean", mean, value=mean.value.mean(axis, keepdims=True), axes=[axis], keepdims=1)
    scaled = graph.add("Mul", mean, graph.add("Sign", source, value=values), value=values)
    clip = graph.add("Clip", source, graph.scalar(-1), graph.scalar(1), value=clipped)
    return graph.add("Add", graph.add("Sub", scaled, clip, value=values), clip, name=name, value=values)


@dataclasses.dataclass(frozen=True)
class DoReFa:
    """One bit: sign(W) mean|W| over the layer; else 2 round(n (tanh W / (2 max|tanh W|) + 1/2)) / n - 1, n = 2^bits - 1."""

    bits: int

    def __call__(self, graph: Graph, rng, shape, form: str, name: str) -> Tensor:
        weights = without_zeros(latent(rng, shape))
        return self._binary(graph, weights, form, name) if self.bits == 1 else self._grid(graph, weights, form, name)

    def _binary(self, graph: Graph, weights: np.ndarray, form: str, name: str) -> Tensor:
        mean = np.float32(np.cumsum(np.abs(weights), dtype=np.float64)[-1] / weights.size)
        values = np.where(weights > 0, mean, -mean)
        if form == "plain":
            return graph.constant(values, name)
        source = graph.constant(weights, f"{name}_latent")
        magnitude = graph.add("Abs", source, value=values)
        scale = graph.add("ReduceMean", magnitude, value=mean, keepdims=0)
        scaled = graph.add("Sign", graph.add("Div", source, scale, value=values), value=values)
        return graph.add("Mul", scaled, scale, name=name, value=values)

    def _grid(self, graph: Graph, weights: np.ndarray, form: str, name: str) -> Tensor:
        n = np.float32(2**self.bits - 1)

        def place(w):
            t = np.tanh(w)
            return (t / (np.float32(2) * np.abs(t).max()) + np.float32(0.5)) * n

        # Every tanh must round to the same level: weights next to a boundary move into the middle.
        edge = np.abs(place(weights) % 1 - np.float32(0.5)) < 1e-3
        weights = np.where(edge, weights * np.float32(1.05), weights)
        edge = np.abs(place(weights) % 1 - np.float32(0.5)) < 1e-3
        weights = np.where(edge, weights.max(), weights)
        values = np.float32(2) * (np.round(place(weights)) / n) - np.float32(1)
        if form == "plain":
            return graph.constant(values, name)
        tanh = graph.add("Tanh", graph.constant(weights, f"{name}_latent"), value=values)
        top = graph.add("ReduceMax", graph.add("Abs", tanh, value=values), value=values, keepdims=0)
        half = graph.add("Div", tanh, graph.add("Mul", graph.scalar(2), top, value=values), value=values)
        unit = graph.add("Mul", graph.add("Add", half, graph.scalar(0.5), value=values), graph.scalar(n), value=values)
        codes = graph.add("Div", graph.add("Round", unit, value=values), graph.scalar(n), value=values)
        double = graph.add("Mul", graph.scalar(2), codes, value=values)
        return graph.add("Sub", double, graph.scalar(1), name=name, value=values)


def twn(graph: Graph, rng, shape, form: str, name: str) -> Tensor:
    """TWN: alpha {-1, 0, 1} per filter, cut at 0.7 mean|W|, alpha the mean of what lies beyond; the chain is
    Sign(Sign(W + t) + Sign(W - t)) alpha with t and alpha as constants."""
    weights = latent(rng, shape)
    rows = weights.reshape(len(weights), -1)
    cut = np.float32(0.7) * np.abs(rows).mean(1, keepdims=True)
    beyond = np.abs(rows) > cut
    alpha = (np.abs(rows) * beyond).sum(1, keepdims=True) / beyond.sum(1, keepdims=True)
    spread = (-1, *[1] * (weights.ndim - 1))
    cut, alpha = cut.astype(np.float32).reshape(spread), alpha.astype(np.float32).reshape(spread)
    values = np.sign(np.sign(weights + cut) + np.sign(weights - cut)) * alpha
    if form == "plain":
        return graph.constant(values, name)
    source, bound = graph.constant(weights, f"{name}_latent"), graph.constant(cut, f"{name}_cut")
    signs = [graph.add("Sign", graph.add(op, source, bound, value=values), value=values) for op in ("Add", "Sub")]
    ternary = graph.add("Sign", graph.add("Add", *signs, value=values), value=values)
    return graph.add("Mul", ternary, graph.constant(alpha, f"{name}_alpha"), name=name, value=values)


def ttq(graph: Graph, rng, shape, form: str, name: str) -> Tensor:
    """TTQ: -a, 0, +b with one learned a and b for the layer; the chain is Where(W > t, b, Where(W < -t, -a, 0))."""
    weights = latent(rng, shape)
    cut = np.float32(0.7 * np.abs(weights).mean(dtype=np.float64))
    plus = np.float32(weights[weights > cut].mean() * rng.uniform(0.8, 1.2))
    minus = np.float32(weights[weights < -cut].mean() * rng.uniform(0.8, 1.2))
    values = np.where(weights > cut, plus, np.where(weights < -cut, minus, np.float32(0)))
    if form == "plain":
        return graph.constant(values, name)
    source = graph.constant(weights, f"{name}_latent")
    less = graph.add("Less", source, graph.scalar(-cut), value=values)
    low = graph.add("Where", less, graph.scalar(minus), graph.scalar(0), value=values)
    greater = graph.add("Greater", source, graph.scalar(cut), value=values)
    return graph.add("Where", greater, graph.scalar(plus), low, name=name, value=values)


@dataclasses.dataclass(frozen=True)
class Lsq:
    """LSQ: round(clip(W / s, -2^(bits-1), 2^(bits-1) - 1)) s; `latent` is the same as Quant."""

    bits: int = 2

    def __call__(self, graph: Graph, rng, shape, form: str, name: str) -> Tensor:
        weights = latent(rng, shape)
        low, high = -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
        step = np.float32(2 * np.abs(weights).mean(dtype=np.float64) / max(high, 1) ** 0.5 * 0.8)
        values = np.round(np.clip(weights / step, low, high)).astype(np.float32) * step
        if form == "plain":
            return graph.constant(values, name)
        source, scale = graph.constant(weights, f"{name}_latent"), graph.constant(step, f"{name}_step")
        if form == "latent":
            zero, bits = graph.scalar(0), graph.scalar(self.bits)
            kinds = dict(signed=1, narrow=0, rounding_mode="ROUND")
            return graph.add("Quant", source, scale, zero, bits, name=name, value=values, **kinds)
        scaled = graph.add("Div", source, scale, value=values)
        clipped = graph.add("Clip", scaled, graph.scalar(low), graph.scalar(high), value=values)
        return graph.add("Mul", graph.add("Round", clipped, value=values), scale, name=name, value=values)


def lqnet(graph: Graph, rng, shape, form: str, name: str) -> Tensor:
    """LQ-Net: +-v1 +-v2 with a learned basis per filter; the chain is v1 s1 + v2 s2 with signs by Where."""
    weights = latent(rng, shape)
    spread = (-1, *[1] * (weights.ndim - 1))
    deviation = weights.reshape(len(weights), -1).std(1).reshape(spread)
    v1, v2 = ((deviation * rng.uniform(*r, deviation.shape)).astype(np.float32) for r in ((0.4, 0.6), (0.9, 1.1)))
    outer = np.where(weights >= 0, np.float32(1), np.float32(-1))
    rest = weights - v2 * outer
    inner = np.where(rest >= 0, np.float32(1), np.float32(-1))
    values = v2 * outer + v1 * inner
    if form == "plain":
        return graph.constant(values, name)
    source = graph.constant(weights, f"{name}_latent")
    total, left = None, source
    for basis in (graph.constant(v2, f"{name}_v2"), graph.constant(v1, f"{name}_v1")):
        positive = graph.add("GreaterOrEqual", left, graph.scalar(0), value=values)
        term = graph.add("Mul", basis, graph.add("Where", positive, graph.scalar(1), graph.scalar(-1), value=values), value=values)
        left = graph.add("Sub", source, term, value=values) if total is None else left
        total = term if total is None else graph.add("Add", total, term, name=name, value=values)
    return total


@dataclasses.dataclass(frozen=True)
class Deviation:
    """EdMIPS: (round(W / s + 1/2) - 1/2) s within +-(2^(bits-1) - 1/2) s, s a multiple of the deviation; one bit: +-0.798 of it."""

    bits: int
    STEPS = {1: 1.596, 2: 0.996, 3: 0.586, 4: 0.336}

    def __call__(self, graph: Graph, rng, shape, form: str, name: str) -> Tensor:
        weights = without_zeros(latent(rng, shape))
        step = np.float32(self.STEPS[self.bits] * weights.std(ddof=1, dtype=np.float64))
        top = np.float32((2 ** (self.bits - 1) - 0.5) * step)
        half = np.float32(0.5)
        values = np.clip((np.round(weights / step + half) - half) * step, -top, top)
        if form == "plain":
            return graph.constant(values, name)
        scale = graph.constant(step, f"{name}_step")
        source = graph.constant(weights, f"{name}_latent")
        raised = graph.add("Add", graph.add("Div", source, scale, value=values), graph.scalar(0.5), value=values)
        codes = graph.add("Sub", graph.add("Round", raised, value=values), graph.scalar(0.5), value=values)
        scaled = graph.add("Mul", codes, scale, value=values)
        return graph.add("Clip", scaled, graph.scalar(-top), graph.scalar(top), name=name, value=values)


@dataclasses.dataclass(frozen=True)
class Brevitas:
    """BipolarQuant (1 bit) or Quant (2 bits, narrow) of float weights, scale 1 over weights drawn to match."""

    bits: int

    def __call__(self, graph: Graph, rng, shape, form: str, name: str) -> Tensor:
        weights = rng.standard_normal(shape, np.float32)
        values = np.where(weights >= 0, 1, -1) if self.bits == 1 else np.round(np.clip(weights, -1, 1))
        values = values.astype(np.float32)
        if form == "plain":
            return graph.constant(values, name)
        source, one = graph.constant(weights, f"{name}_latent"), graph.scalar(1)
        if self.bits == 1:
            return graph.add("BipolarQuant", source, one, name=name, value=values)
        kinds = dict(signed=1, narrow=1, rounding_mode="ROUND")
        return graph.add("Quant", source, one, graph.scalar(0), graph.scalar(self.bits), name=name, value=values, **kinds)
