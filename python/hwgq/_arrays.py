"""Arrays as the extension takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

DTYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "u8": np.dtype(np.uint8),
    "u16": np.dtype(np.uint16),
    "u32": np.dtype(np.uint32),
    "u64": np.dtype(np.uint64),
    "bool": np.dtype(np.bool_),
}


def plain(value: Any) -> np.ndarray:
    """The value as an array in C order and of native byte order: itself where it is one. Elements that
    NumPy does not know come as modules take them: of 2 and 4 bits as (u)int8, other floats as their bits.
    """
    array = np.asarray(value)
    name = array.dtype.name  # of ml_dtypes, which has one element in a byte
    if name in ("int2", "int4"):
        array = array.astype(np.int8)
    elif name in ("uint2", "uint4"):
        array = array.astype(np.uint8)
    elif name.startswith(("float8", "float4")):
        array = array.view(np.uint8)
    elif name == "bfloat16":
        array = array.view(np.uint16)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    array = np.asarray(array, order="C")
    return array if array.flags.aligned else array.copy()


def checked(value: Any, name: str) -> np.ndarray:
    """`plain`, of an element type that the compiler knows; else TypeError."""
    array = plain(value)
    if array.dtype not in DTYPES.values():
        raise TypeError(f"input '{name}': arrays of {array.dtype} are not supported")
    return array


def describe(dtype: str, shape: tuple[int, ...]) -> str:
    """"f32[?x3x32x32]", as the programs write it."""
    sizes = ("?" if size == -1 else f"{-size}*?" if size < 0 else str(size) for size in shape)
    return f"{dtype}[{'x'.join(sizes)}]"
