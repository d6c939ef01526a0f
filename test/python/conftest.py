"""The tests' helpers, and the package that the build made."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
