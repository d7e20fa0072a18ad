"""What a warm step of a plan does not do: make arrays, touch fresh memory."""

import mmap
import sys
import tracemalloc

import numpy as np
import pytest

import fastdl as fd

FRESH = 64              # pages: 256 KiB, no huge page
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
    need_backend("cython")
    for _ in range(5):
        step()
    # Other threads and the system (moving pages, a fork's copies) fault now and then; a step that
    # maps memory would fault every time.
    assert min(faults(step) for _ in range(20)) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="faults are counted as Linux does")
def test_a_count_sees_fresh_memory():
    """Maps of a feature map's size fault, or the test above could not fail."""
    def fresh():
        with mmap.mmap(-1, FRESH * mmap.PAGESIZE) as memory:
            for page in range(FRESH):
                memory[page * mmap.PAGESIZE] = 1

    assert min(faults(fresh) for _ in range(20)) > 0


def faults(call):
    """The page faults of this process while ``call`` ran."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


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
