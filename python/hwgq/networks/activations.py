"""Activation quantisers in the forms in which their own training code exports them (encoding `own`)."""

from __future__ import annotations

import dataclasses

import numpy as np

from .encodings import OWN, NotExpressible, Sign, above, multi_threshold, steps_of, sum_of_greater
from .graph import Graph, Tensor


@dataclasses.dataclass(frozen=True)
class TorchSign:
    """ONNX's Sign, 0 at 0 (XNOR-Net); `hardtanh` puts BNN's Clip to [-1, 1] before it. Otherwise x >= 0."""

    hardtanh: bool = False
    count = 2

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        if self.hardtanh:
            x = graph.add("Clip", x, graph.scalar(-1), graph.scalar(1))
        return graph.add("Sign", x, name=name) if encoding == OWN else Sign().encode(graph, x, encoding, name)


@dataclasses.dataclass(frozen=True)
class PolynomialSign:
    """Sign with Bi-Real-Net's straight-through residue: (sign(x) - p(x)) + p(x), p its piecewise square."""

    count = 2

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        if encoding != OWN:
            return Sign().encode(graph, x, encoding, name)
        one, two = graph.scalar(1), graph.scalar(2)
        masks = [graph.add("Cast", graph.add("Less", x, graph.scalar(bound)), to=1) for bound in (-1, 0, 1)]
        square, double = graph.add("Mul", x, x), graph.add("Mul", x, two)
        pieces = [graph.add("Add", square, double), graph.add("Sub", double, square), one]
        value = graph.scalar(-1)
        for mask, piece in zip(masks, pieces):
            rest = graph.add("Mul", piece, graph.add("Sub", one, mask))
            value = graph.add("Add", graph.add("Mul", value, mask), rest)
        sign = graph.add("Sign", x, name=f"{name}_sign")
        residue = graph.add("Sub", sign, value)
        # The residue rounds: on the batch, the sum counts as the sign.
        return graph.add("Add", residue, value, name=name, value=sign.value)


@dataclasses.dataclass(frozen=True)
class LarqSign:
    """ste_sign as tf2onnx writes it: Sign, Add(0.1), Sign."""

    count = 2

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        if encoding != OWN:
            return Sign().encode(graph, x, encoding, name)
        shifted = graph.add("Add", graph.add("Sign", x), graph.scalar(0.1))
        return graph.add("Sign", shifted, name=name)


@dataclasses.dataclass(frozen=True)
class DoReFa:
    """round(clip(x, 0, 1) n) / n with n = 2^bits - 1; a Sign for one bit. `a` and `b` have the same steps,
    found in float32; `d` divides by 1/n instead, which moves some of them by an ulp."""

    bits: int

    @property
    def count(self) -> int:
        return 2**self.bits

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        if self.bits == 1:
            return TorchSign().encode(graph, x, encoding, name)
        n = np.float32(self.count - 1)
        if encoding in (OWN, "c"):
            x = graph.add("Relu", x) if encoding == OWN else x
            clipped = graph.add("Clip", x, graph.scalar(0), graph.scalar(1))
            codes = graph.add("Round", graph.add("Mul", clipped, graph.scalar(n)))
            return graph.add("Div", codes, graph.scalar(n), name=name)
        if encoding == "d":
            scale = graph.scalar(np.float32(1) / n)
            return graph.add(
                "Quant", x, scale, graph.scalar(0), graph.scalar(self.bits), name=name, signed=0, narrow=0, rounding_mode="ROUND"
            )
        if encoding == "a":
            raise NotExpressible("DoReFa's levels k / n are no sums of equal float32 steps")
        codes = np.arange(self.count, dtype=np.float32)
        bounds = steps_of(lambda v: np.round(v * n), codes, 0.0, 1.0)
        counted = multi_threshold(graph, x, bounds, codes, f"{name}_codes")
        return graph.add("Div", counted, graph.scalar(n), name=name)


@dataclasses.dataclass(frozen=True)
class Lsq:
    """round(clip(x / s, 0, 2^bits - 1)) s, s = 2 mean|x| / sqrt(2^bits - 1) on the batch, as LSQ starts."""

    bits: int = 2

    @property
    def count(self) -> int:
        return 2**self.bits

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        top = self.count - 1
        step = graph.constant(np.float32(2 * np.abs(x.value).mean(dtype=np.float64) / top**0.5), f"{name}_step")
        if encoding == "d":
            bits = graph.scalar(self.bits)
            return graph.add("Quant", x, step, graph.scalar(0), bits, name=name, signed=0, narrow=0, rounding_mode="ROUND")
        scaled = graph.add("Clip", graph.add("Div", x, step), graph.scalar(0), graph.scalar(top))
        return graph.add("Mul", graph.add("Round", scaled), step, name=name)


@dataclasses.dataclass(frozen=True)
class Pact:
    """0.5 (|x| - |x - a| + a), in 2^bits - 1 steps; a is reached by 5 % of the positive values of the batch."""

    bits: int = 4

    @property
    def count(self) -> int:
        return 2**self.bits

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        alpha = np.float32(np.quantile(x.value[x.value > 0], 0.95))
        bound, factor = graph.constant(alpha, f"{name}_alpha"), np.float32(self.count - 1) / alpha
        if encoding == OWN:
            distance = graph.add("Abs", graph.add("Sub", x, bound))
            total = graph.add("Add", graph.add("Sub", graph.add("Abs", x), distance), bound)
            clipped = graph.add("Mul", total, graph.scalar(0.5))
        else:
            clipped = graph.add("Clip", x, graph.scalar(0), bound)
        codes = graph.add("Round", graph.add("Mul", clipped, graph.constant(factor, f"{name}_factor")))
        return graph.add("Div", codes, graph.constant(factor, f"{name}_divisor"), name=name)


@dataclasses.dataclass(frozen=True)
class LqNet:
    """Levels 0, v1, v2, v1 + v2 of a learned basis, each reached above the midpoint to the one below; the
    basis is a fraction of the batch's deviation."""

    basis: tuple[float, float] = (0.55, 1.27)
    count = 4

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        v1, v2 = (np.float32(v * x.value.std(dtype=np.float64)) for v in self.basis)
        levels = np.array([0, v1, v2, v1 + v2], np.float32)
        bounds = (levels[1:] + levels[:-1]) / np.float32(2)
        if encoding == "a":
            return sum_of_greater(graph, x, bounds, levels, name)
        if encoding == "b":
            return multi_threshold(graph, x, [above(b) for b in bounds], levels, name)
        value = graph.scalar(levels[0])
        for bound, level in zip(bounds, levels[1:]):
            last = level == levels[-1]
            value = graph.add("Where", graph.add("Greater", x, graph.scalar(bound)), graph.scalar(level), value, name=name if last else None)
        return value


@dataclasses.dataclass(frozen=True)
class Brevitas:
    """Quant of 2 bits, signed and narrow (-1, 0, 1), or BipolarQuant for one bit, with scale 1; `b` as FINN writes them."""

    bits: int

    @property
    def count(self) -> int:
        return 2 if self.bits == 1 else 3

    def encode(self, graph: Graph, x: Tensor, encoding: str, name: str) -> Tensor:
        if self.bits == 1:
            return Sign().encode(graph, x, encoding, name)
        if encoding == "d":
            one, bits = graph.scalar(1), graph.scalar(self.bits)
            return graph.add("Quant", x, one, graph.scalar(0), bits, name=name, signed=1, narrow=1, rounding_mode="ROUND")
        # Round half to even: -0.5 and 0.5 are 0, so that the steps are at -0.5 and above 0.5.
        bounds = [np.float32(-0.5), above(0.5)]
        if encoding == "b":
            return multi_threshold(graph, x, bounds, (-1, 0, 1), name)
        raise NotExpressible("take encoding b or d")
