"""The tests of the device, in numba's simulator, which must be chosen before numba is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SIMULATED

HERE = Path(__file__).parent


@pytest.mark.skipif(SIMULATED, reason="this is the simulator")
def test_everything_in_the_simulator():
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    # The threads that stand for the GPU's know nothing of this process's np.errstate.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
         "-W", "ignore::RuntimeWarning", str(HERE)],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True,
        timeout=600, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
