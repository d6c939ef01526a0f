"""Compiles trained low-bit ONNX networks to exact native code.

    import hwgq

    module = hwgq.compile("model.onnx")          # for this CPU
    scores = module(images)                      # NumPy in, NumPy out
    module.save("model.so")                      # hwgq.Module.load, hwgq-run and C open it

Every result is exactly the network's: `evaluate(model, inputs, to="hwgq")`, the slow reference,
gives the same bits on any machine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._compiler import compile, evaluate, lower
    from ._core import __version__
    from ._diagnostics import CompileError, Diagnostic
    from ._module import Module, Tensor
    from ._passes import PassManager

# Loaded when first asked for: hwgq.networks does without the compiler.
_MODULES = {
    "CompileError": "_diagnostics",
    "Diagnostic": "_diagnostics",
    "Module": "_module",
    "PassManager": "_passes",
    "Tensor": "_module",
    "__version__": "_core",
    "compile": "_compiler",
    "evaluate": "_compiler",
    "lower": "_compiler",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'hwgq' has no attribute '{name}'")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
