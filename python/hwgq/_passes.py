"""Passes over IR text."""

from __future__ import annotations

from . import _core
from ._diagnostics import CompileError, wrap


class PassManager:
    """A pipeline of passes, as `hwgq-opt --pass-pipeline` takes it.

        PassManager("builtin.module(hwgq-legalize-onnx)").run(text)

    `builtin.module(...)` may be left out. docs/Passes.md lists the passes.
    """

    def __init__(self, pipeline: str):
        text = pipeline.strip()
        self.pipeline = text if text.startswith(("builtin.module(", "any(")) else f"builtin.module({text})"

    def run(self, text: str) -> str:
        """Runs the passes over a module of MLIR text and gives the text of the result.

        Raises CompileError for text that does not parse, a pipeline that names what is not
        there, and passes that fail.
        """
        result, diagnostics = _core.run_passes(text, self.pipeline)
        if result is None:
            raise CompileError(wrap(diagnostics))
        return result

    def __repr__(self) -> str:
        return f"hwgq.PassManager({self.pipeline!r})"
