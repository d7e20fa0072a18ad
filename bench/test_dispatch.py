"""What `fastdl.ops` costs over a kernel: validation, allocation, dispatch."""

from functools import partial

import numpy as np
import pytest

import fastdl as fd
from fastdl.benchmark import interleaved, seconds_per_call

from .replay import clock, record

GROUP = "dispatch: relu of one element"


@pytest.fixture(scope="module")
def relu_seconds(turns):
    kernels = pytest.importorskip("fastdl._kernels.activation._cython",
                                  reason="the native kernels are not built")
    x = np.array([1.5], np.float32)
    y = np.empty_like(x)
    kernels.relu(x, y)
    assert fd.ops.relu(x, backend="cython") == y == x
    return interleaved({"kernel": partial(seconds_per_call, lambda: kernels.relu(x, y)),
                        "ops": partial(seconds_per_call, lambda: fd.ops.relu(x))},
                       turns.rounds, turns.block)


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("member", ["kernel", "ops"])
def test_dispatch(member, benchmark, relu_seconds):
    record(benchmark, relu_seconds[member], GROUP, member=member)
