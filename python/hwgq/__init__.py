"""Compiles trained low-bit ONNX networks to exact native code.

    import hwgq

    module = hwgq.compile("model.onnx")          # for this CPU
    scores = module(images)                      # NumPy in, NumPy out
    module.save("model.so")                      # hwgq.Module.load, hwgq-run and C open it

Every result is exactly the network's: `evaluate(model, inputs, to="hwgq")`, the slow reference,
gives the same bits on any machine.
"""

from ._compiler import compile, evaluate, lower
from ._core import __version__
from ._diagnostics import CompileError, Diagnostic
from ._module import Module, Tensor
from ._passes import PassManager

__all__ = [
    "CompileError",
    "Diagnostic",
    "Module",
    "PassManager",
    "Tensor",
    "__version__",
    "compile",
    "evaluate",
    "lower",
]
