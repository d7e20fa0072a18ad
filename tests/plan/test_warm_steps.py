"""What a warm step of a plan does not do: make arrays, touch fresh memory."""

import sys
import tracemalloc

import numpy as np
import pytest

import fastdl as fd

PAGES = 32 * 2 * 16 * 28 * 28 * 4 // 4096       # of the first two maps of a step, for 32 images
SMALL = 1 << 13         # bytes: numbers, tuples, the predicted classes of a batch; no feature map


@pytest.fixture
def step(rng):
    """A step of DeepConvNet, warm."""
    trainer = fd.Trainer(fd.models.create("deep_convnet"))
    x, t = rng.standard_normal((32, 1, 28, 28)).astype("float32"), rng.integers(0, 10, 32)
    for _ in range(3):
        trainer.step(x, t)
    return lambda: trainer.step(x, t)


def test_no_arrays(step, need_backend):
    need_backend("cython")
    tracemalloc.start()
    try:
        step()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < SMALL


@pytest.mark.skipif(sys.platform != "linux", reason="faults are counted as Linux does")
def test_no_page_faults(step, need_backend):
    import resource

    need_backend("cython")
    for _ in range(5):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        step()
    # The interpreter and the system may want some now and then; fresh maps would be 20 times PAGES.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < PAGES / 4


def test_a_trace_sees_arrays():
    """NumPy's arrays are traced, or the first test could not fail."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        array = np.empty(2 * SMALL, np.uint8)
        assert tracemalloc.get_traced_memory()[0] - before > SMALL
        del array
    finally:
        tracemalloc.stop()
