"""Tests of the device: on a GPU, or in numba's simulator (NUMBA_ENABLE_CUDASIM=1), or skipped.

`test_in_the_simulator` runs all of them there, in a process of its own.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd

sys.path.insert(0, str(Path(__file__).parents[1] / "kernels"))

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


@pytest.fixture(scope="session")
def device():
    """The module `fastdl.cuda`, where there is a device."""
    if reason := fd.cuda.why_not():
        pytest.skip(reason)
    return fd.cuda


@pytest.fixture(autouse=True)
def _quiet():
    """Nothing is said of NaN and infinities."""
    with np.errstate(all="ignore"):
        yield
