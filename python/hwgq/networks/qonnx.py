"""The QONNX operators that networks are written with, on arrays (float32, as their files mean them)."""

from __future__ import annotations

import numpy as np

DOMAIN = "qonnx.custom_op.general"


def quant(x, scale, zeropt, bitwidth, signed=1, narrow=0, rounding_mode=b"ROUND"):
    """Quant: x / scale + zeropt, clamped, rounded half to even, and back."""
    assert rounding_mode in (b"ROUND", "ROUND")
    bits, y = int(bitwidth), x / scale + zeropt
    if bits == 1 and signed:
        codes = np.where(y >= 0, np.float32(1), np.float32(-1))
    else:
        low = -(2 ** (bits - 1)) + narrow if signed else 0
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
        codes = np.round(np.clip(y, np.float32(low), np.float32(high)))
    return ((codes - zeropt) * scale).astype(np.float32)


def bipolar_quant(x, scale):
    """BipolarQuant: scale where x >= 0, else -scale."""
    return np.where(x >= 0, scale, -scale).astype(np.float32)


def multi_threshold(x, thresholds, out_dtype=b"", out_scale=1.0, out_bias=0.0, data_layout=b"NCHW"):
    """MultiThreshold: how many thresholds x reaches, times out_scale, plus out_bias."""
    last = data_layout in (b"NHWC", b"NC", "NHWC", "NC")
    shape = (-1,) if last else (-1, *[1] * (x.ndim - 2))
    count = np.zeros(x.shape, np.float32)
    for column in thresholds.T:
        count += x >= column.reshape(shape)
    return np.float32(out_scale) * count + np.float32(out_bias)


OPERATORS = {"Quant": quant, "BipolarQuant": bipolar_quant, "MultiThreshold": multi_threshold}
