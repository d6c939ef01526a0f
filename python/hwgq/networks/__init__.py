"""Low-bit networks of the literature as ONNX files, with seeded weights and measured batch norms.

`generate` makes one; `python -m hwgq.networks --list` names them.
"""

from __future__ import annotations

from .builder import Options
from .catalog import NETWORKS, Network, generate, inputs
from .encodings import ENCODINGS, FLOAT, OWN, NotExpressible
from .weights import FORMS

__all__ = ["ENCODINGS", "FLOAT", "FORMS", "NETWORKS", "Network", "OWN", "NotExpressible", "Options", "generate", "inputs"]
