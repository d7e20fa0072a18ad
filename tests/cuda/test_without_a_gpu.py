"""The tests of the device without one, in processes of their own: each is chosen beforehand.

In numba's simulator, and on the machine that executes PTX.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import MACHINE, SIMULATED
from on_device import why_no_compiler

HERE = Path(__file__).parent


@pytest.mark.skipif(SIMULATED or MACHINE, reason="this is one of them")
@pytest.mark.parametrize(("name", "value"), [
    ("NUMBA_ENABLE_CUDASIM", "1"), ("FASTDL_TEST_DEVICE", "machine")],
    ids=["simulator", "machine"])
def test_everything(name, value):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    if value == "machine" and (reason := why_no_compiler((9, 0))):
        pytest.skip(reason)
    # The threads that stand for the GPU's know nothing of this process's np.errstate.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
         "-W", "ignore::RuntimeWarning", str(HERE)],
        env={**os.environ, name: value}, capture_output=True, text=True, timeout=900,
        cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout


@pytest.mark.skipif(not SIMULATED, reason="of the simulator")
def test_a_block_has_one_shared_array(monkeypatch):
    """Also when its threads ask for it at the same moment."""
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    from fastdl.cuda._compat import float32

    block, arrays, together, empty = FakeCUDAShared(0), [], threading.Barrier(8), np.empty

    def slow_empty(*arguments):
        time.sleep(0.01)
        return empty(*arguments)

    def ask():
        together.wait()
        arrays.append(block.array(8, float32))

    monkeypatch.setattr(np, "empty", slow_empty)
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(arrays) == 8
    assert len(set(map(id, arrays))) == 1
