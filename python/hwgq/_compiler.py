"""From models to modules, arrays and IR."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from . import _core
from ._arrays import DTYPES, checked
from ._diagnostics import CompileError, wrap
from ._module import Module

if TYPE_CHECKING:
    import onnx

    Model = Union[str, os.PathLike[str], bytes, onnx.ModelProto]


def _model(model: Model) -> str | bytes:
    if isinstance(model, (str, os.PathLike)):
        return os.fsdecode(model)
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model)
    if hasattr(model, "SerializeToString"):
        return model.SerializeToString()
    raise TypeError(f"a model is a path, bytes or an onnx.ModelProto, not {type(model).__name__}")


def _inputs(value: Mapping[str, str] | str | Iterable[str]) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}:{form}" for name, form in value.items()]
    return [value] if isinstance(value, str) else list(value)


def _options(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Options as hwgq-compile spells them; None leaves one out."""
    pairs: list[tuple[str, str]] = []
    for name, value in options.items():
        key = name.replace("_", "-")
        if value is None:
            continue
        if key == "input":
            pairs += [(key, text) for text in _inputs(value)]
        elif isinstance(value, bool):
            pairs.append((key, "true" if value else "false"))
        else:
            pairs.append((key, str(value)))
    return pairs


def _bound(bind: Mapping[str, Any] | None) -> list[tuple[str, np.ndarray]]:
    return [(name, checked(value, name)) for name, value in (bind or {}).items()]


def _compile(model: Model, bind: Mapping[str, Any] | None, options: Mapping[str, Any]):
    contents, _, diagnostics = _core.compile(_model(model), _options(options), _bound(bind))
    diagnostics = wrap(diagnostics)
    if contents is None:
        raise CompileError(diagnostics)
    return contents, diagnostics


def compile(
    model: Model,
    target: str = "host",
    *,
    batch: int | str | None = None,
    bind: Mapping[str, Any] | None = None,
    input: Mapping[str, str] | str | Iterable[str] | None = None,
    kernel: str | None = None,
    threads: int = 0,
    **options: Any,
) -> Module:
    """Compiles a network to native code.

    model    path of an ONNX or MLIR file, the bytes of an ONNX model, or an `onnx.ModelProto`
    target   "host", "x86-64-v3", an x86 CPU, "aarch64+dotprod", "neoverse-v2", ...: what hwgq-compile takes;
             a module for another machine can be saved, not called
    batch    a number or "dynamic", in place of the file's
    bind     arrays by name: inputs that become constants, such as shapes and axes
    input    {"data": "u8,nhwc,scale=255,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"}: the module
             takes images as they are, `x = ((u8 / scale) - mean) / std`, each step in float32
    kernel   a kernel family to force: "generic", "popcount", ...
    threads  threads of a call of the module; 0 is one for each CPU
    options  others of hwgq-compile: straight_through="keep", verify_folding=True, symbol_prefix="net"

    Raises CompileError, whose `diagnostics` name node and operator.
    """
    options = dict(target=target, batch=batch, input=input, kernel=kernel, **options)
    if "emit" in options or "to" in options:
        raise TypeError("compile gives modules; lower gives the IR of a phase")
    contents, diagnostics = _compile(model, bind, options)
    return Module(contents, threads=threads, diagnostics=diagnostics)


def lower(
    model: Model,
    to: str,
    *,
    target: str = "host",
    bind: Mapping[str, Any] | None = None,
    **options: Any,
) -> str:
    """The network after a phase ("import", "hwgq", "bitpack", "kernel", "loops", "target") as MLIR text.

    Options as for `compile`. `PassManager` takes the text further. Raises CompileError.
    """
    contents, _ = _compile(model, bind, dict(to=to, target=target, **options))
    return contents.decode()


def evaluate(
    model: Model,
    inputs: Mapping[str, Any] | Sequence[Any] | np.ndarray,
    to: str | None = None,
    *,
    bind: Mapping[str, Any] | None = None,
    **options: Any,
) -> np.ndarray | tuple[np.ndarray, ...]:
    """Evaluates a network by the reference interpreter: slow, obvious, exact.

    inputs   one array, a sequence in the order of the inputs, or a mapping by name; element types
             and shapes are those of the network
    to       evaluate as the file stands (None), or after the phase "hwgq", "bitpack" or "kernel"; "loops"
             and "target" compile and execute. From "hwgq" on all give the same bits.
    options  those of `compile`

    The result is one array, or a tuple where the network has several outputs. Raises CompileError, also
    for arrays that do not fit.
    """
    if isinstance(inputs, Mapping):
        given = [(name, checked(value, name)) for name, value in inputs.items()]
    else:
        arrays = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        given = [("", checked(value, str(i))) for i, value in enumerate(arrays)]
    outputs, diagnostics = _core.evaluate(_model(model), _options(dict(options, to=to)), _bound(bind), given)
    if outputs is None:
        raise CompileError(wrap(diagnostics))
    arrays = tuple(np.frombuffer(data, DTYPES[dtype]).reshape(shape) for _, dtype, shape, data in outputs)
    return arrays[0] if len(arrays) == 1 else arrays
