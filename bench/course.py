"""The plain NumPy code of courses: layers, networks and optimizers of tests/dropin/plain.

One home for what drop-in modules and networks are measured beside, and held to by the tests.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "dropin"))

from plain import layers, networks, optimizers

__all__ = ["layers", "networks", "optimizers"]
