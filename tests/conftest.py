"""What all tests share: random numbers, a dispatch without a past, and other Python processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import fastdl
from fastdl._kernels import _dispatch

HERE = Path(__file__).parent
PURE = os.environ.get("FASTDL_PURE") == "1"

# The same examples every time, whatever the machine and however busy it is.
settings.register_profile("fastdl", derandomize=True, deadline=None, database=None)
settings.load_profile("fastdl")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def quiet():
    """NumPy says nothing about NaN and infinities; warnings are errors in this suite."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture
def fresh_dispatch(monkeypatch):
    """Dispatch as a new process has it: nothing asked for, nothing selected, nothing warned of."""
    monkeypatch.delenv("FASTDL_BACKEND", raising=False)
    monkeypatch.setattr(_dispatch, "_selected", {})
    monkeypatch.setattr(_dispatch, "_warned", set())
    monkeypatch.setattr(_dispatch, "_global_wish", None)
    return _dispatch


@pytest.fixture
def need_backend():
    """``need_backend(name)``: go on only where that backend can run.

    Numba is optional, so its tests are skipped without it. The native kernels are not: a build
    without them is a failure, unless FASTDL_PURE=1 says that it was meant.
    """

    def need(name):
        if name == "numba":
            pytest.importorskip("numba", reason="numba is not installed")
        if name == "cuda":
            pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
        if name == "cython":
            if PURE:
                pytest.skip("FASTDL_PURE=1: native kernels are not built")
            import fastdl._kernels.native._native  # noqa: F401

    return need


@pytest.fixture
def run_python():
    """``run_python(code, **environment)`` runs `code` in a new process and returns what it printed.

    A process that dies (a signal, an error) or hangs fails the test.
    """

    def run(code, **environment):
        paths = [str(Path(fastdl.__file__).parents[1]), str(HERE), str(HERE / "kernels")]
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
            env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(paths)})
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
