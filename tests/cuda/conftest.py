"""Tests of the device: on a GPU, in numba's simulator, on a machine in Python, or skipped.

The simulator (NUMBA_ENABLE_CUDASIM=1) executes the kernels' Python, the machine
(FASTDL_TEST_DEVICE=machine) the PTX that they are compiled to, with FASTDL_TEST_ALL=1 on as many
arrays as a GPU. `test_without_a_gpu` runs all tests in both, in processes of their own.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd

sys.path.insert(0, str(Path(__file__).parents[1] / "kernels"))

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
MACHINE = os.environ.get("FASTDL_TEST_DEVICE") == "machine"
ALL = os.environ.get("FASTDL_TEST_ALL") == "1"

if MACHINE:
    from machine.for_tests import install

    install()


@pytest.fixture(scope="session")
def device():
    """The module `fastdl.cuda`, where there is a device."""
    if reason := fd.cuda.why_not():
        pytest.skip(reason)
    return fd.cuda


@pytest.fixture(params=["as here"] if SIMULATED else ["large", "small"])
def tiles(device, monkeypatch, request):
    """Tiles for products of all sizes: large ones, or small ones, whose sums are cut into parts.

    Which it is depends on how many multiprocessors there are to be kept busy.
    """
    from fastdl._kernels.conv import _cuda as conv
    from fastdl._kernels.gemm import _cuda as gemm
    from fastdl.cuda._driver import driver

    monkeypatch.setattr(gemm, "PLAIN_BELOW", 0)
    monkeypatch.setattr(conv, "_FEWEST", min(conv._FEWEST, 4))
    if request.param != "as here":
        monkeypatch.setattr(driver(), "processors", 1 if request.param == "large" else 1000)


@pytest.fixture(autouse=True)
def _quiet():
    """Nothing is said of NaN and infinities."""
    with np.errstate(all="ignore"):
        yield
