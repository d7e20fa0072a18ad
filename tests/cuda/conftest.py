"""Tests of the device: on a GPU, or in numba's simulator (NUMBA_ENABLE_CUDASIM=1), or skipped."""

import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd

sys.path.insert(0, str(Path(__file__).parents[1] / "kernels"))


@pytest.fixture(scope="session")
def device():
    """The module `fastdl.cuda`, where there is a device."""
    if reason := fd.cuda.why_not():
        pytest.skip(reason)
    return fd.cuda


@pytest.fixture(autouse=True)
def _quiet():
    """Of NaN and infinities nothing is said; the simulator's threads have settings of their own."""
    with pytest.warns() if False else np.errstate(all="ignore"):
        yield
