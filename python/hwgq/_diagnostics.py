"""What the compiler says of a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

_SEVERITIES = ("error", "warning", "remark", "note")


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """One message of the compiler. Strings are "" where there is none."""

    severity: str
    """"error", "warning", "remark" (what was not optimised, and why) or "note"."""
    message: str
    node: str = ""
    """Name of the ONNX node that it is about."""
    op: str = ""
    """The node's operator, such as "Conv"."""
    file: str = ""
    """The model's path, or where IR text was read, then with line and column from 1."""
    line: int = 0
    column: int = 0
    notes: tuple[Diagnostic, ...] = ()

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: " if self.file else ""
        node = f"node '{self.node}': " if self.node else ""
        lines = [f"{self.severity}: {place}{node}{self.message}"]
        lines += ["  " + line for note in self.notes for line in str(note).splitlines()]
        return "\n".join(lines)


def wrap(raw: Sequence[tuple]) -> tuple[Diagnostic, ...]:
    """Diagnostics out of the extension's tuples."""
    return tuple(Diagnostic(_SEVERITIES[severity], *rest, notes=wrap(notes)) for severity, *rest, notes in raw)


class CompileError(ValueError):
    """A network that is refused; the text is that of the errors."""

    diagnostics: tuple[Diagnostic, ...]
    """Everything that was said, errors among it."""

    def __init__(self, diagnostics: Sequence[Diagnostic]):
        self.diagnostics = tuple(diagnostics)
        errors = [str(diagnostic) for diagnostic in self.diagnostics if diagnostic.severity == "error"]
        super().__init__("\n".join(errors) or "compilation failed")

    def __reduce__(self):
        return CompileError, (self.diagnostics,)
