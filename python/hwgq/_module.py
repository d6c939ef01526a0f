"""Compiled networks."""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import os
import stat
from typing import Any

import numpy as np

from . import _core
from ._arrays import DTYPES, describe, plain
from ._diagnostics import Diagnostic


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output of a module."""

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...]
    """Sizes; None is the batch where it is dynamic."""
    _sizes: tuple[int, ...] = dataclasses.field(repr=False, compare=False, default=())


def _tensor(name: str, dtype: str, sizes: tuple[int, ...]) -> Tensor:
    shape = tuple(None if size < 0 else size for size in sizes)
    return Tensor(name, DTYPES[dtype], shape, sizes)


class Module:
    """A compiled network: call it with arrays.

    `module(x)`, `module(x, y)` by position, `module(x=..., y=...)` by name. An input must have
    exactly the element type and shape of `inputs`; a dynamic batch is whatever the arrays have.
    C-contiguous arrays are read where they lie, others are copied once. The result is one new
    array, or a tuple of them where the network has several outputs.

    Calls from several threads run at the same time, without the GIL; each has `threads` threads
    of its own. TypeError for a wrong element type or argument, ValueError for a wrong shape,
    RuntimeError for a module of another machine.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    report: dict[str, Any]
    """The compiler's report: target, features, sizes, and of each layer its code types, kernel and storage."""
    threads: int
    """Threads of a call, the caller's among them; 0 is one for each CPU."""
    diagnostics: tuple[Diagnostic, ...]
    """Warnings and remarks of its compilation; empty for a loaded module."""

    def __init__(self, file: bytes, *, threads: int = 0, diagnostics: tuple[Diagnostic, ...] = ()):
        """A module from the contents of its file. RuntimeError where they are damaged.

        A module is code: open only those that you trust.
        """
        self._file = file
        self._core = _core.Module(file)
        self.inputs = tuple(_tensor(*tensor) for tensor in self._core.describe(False))
        self.outputs = tuple(_tensor(*tensor) for tensor in self._core.describe(True))
        self.report = json.loads(self._core.report)
        self.threads = threads
        self.diagnostics = diagnostics

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, threads: int = 0) -> Module:
        """Opens a file of `save` or hwgq-compile. OSError, or RuntimeError where it is damaged."""
        with open(path, "rb") as file:
            if not _is_regular(path):
                raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
            return cls(file.read(), threads=threads)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the module, a shared library that `load`, hwgq-run and the C runtime open."""
        if os.path.exists(path) and not _is_regular(path):  # /dev/stdout is written to, not replaced
            with open(path, "wb") as file:
                file.write(self._file)
            return
        temporary = f"{os.fspath(path)}.{os.getpid()}.tmp"
        try:
            with open(temporary, "wb") as file:
                file.write(self._file)
            os.replace(temporary, path)
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise

    @property
    def batch(self) -> int | None:
        """The batch that it was compiled for; None where it is dynamic."""
        return None if self._core.batch < 0 else self._core.batch

    @property
    def target(self) -> str:
        """The value of `target` that it was compiled with."""
        return self._core.target

    def __call__(self, *arrays: Any, **named: Any) -> np.ndarray | tuple[np.ndarray, ...]:
        inputs = [plain(value) for value in self._arrange(arrays, named)]
        batch = self.batch or 0
        for tensor, array in zip(self.inputs, inputs):
            batch = _check(tensor, array, batch)
        batch = batch or 1
        outputs = [
            np.empty([size if size >= 0 else -size * batch for size in tensor._sizes], tensor.dtype)
            for tensor in self.outputs
        ]
        self._core.run(inputs, outputs, batch, self.threads)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _arrange(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        """The arguments in the order of the inputs."""
        names = [tensor.name for tensor in self.inputs]
        given = dict(zip(names, arrays))
        unknown = [name for name in named if name not in names]
        twice = [name for name in named if name in given]
        given |= named
        missing = [name for name in names if name not in given]
        takes = "; the inputs are " + (", ".join(map(repr, names)) or "none")
        if len(arrays) > len(names):
            raise TypeError(f"{len(arrays)} arrays are too many" + takes)
        if unknown:
            raise TypeError(f"there is no input {unknown[0]!r}" + takes)
        if twice:
            raise TypeError(f"input {twice[0]!r} is given twice")
        if missing:
            raise TypeError(f"input {missing[0]!r} is missing" + takes)
        return [given[name] for name in names]

    def __reduce__(self):
        make = functools.partial(Module, threads=self.threads, diagnostics=self.diagnostics)
        return make, (self._file,)

    def __repr__(self) -> str:
        def text(tensors: tuple[Tensor, ...]) -> str:
            return ", ".join(f"{tensor.name}: {_text(tensor)}" for tensor in tensors)

        return f"<hwgq.Module {self.target} ({text(self.inputs)}) -> ({text(self.outputs)})>"


def _is_regular(path: str | os.PathLike[str]) -> bool:
    return stat.S_ISREG(os.stat(path).st_mode)


def _text(tensor: Tensor) -> str:
    name = next(name for name, dtype in DTYPES.items() if dtype == tensor.dtype)
    return describe(name, tensor._sizes)


def _check(tensor: Tensor, array: np.ndarray, batch: int) -> int:
    """The batch, once `array` fits `tensor` (0 where it is open still)."""
    if array.dtype != tensor.dtype:
        raise TypeError(f"input {tensor.name!r} takes {tensor.dtype} arrays, not {array.dtype}")
    fits = len(array.shape) == len(tensor._sizes)
    for size, actual in zip(tensor._sizes, array.shape):
        if size < 0 and not batch and actual > 0 and actual % -size == 0:
            batch = actual // -size
        fits = fits and actual == (size if size >= 0 else -size * batch)
    if not fits or 0 in array.shape and any(size < 0 for size in tensor._sizes):
        shape = "x".join(map(str, array.shape))
        raise ValueError(f"input {tensor.name!r} takes {_text(tensor)}, not an array of shape [{shape}]")
    return batch
