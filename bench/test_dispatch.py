"""What `fastdl.ops` costs over a kernel: validation, allocation, dispatch."""

import numpy as np
import pytest

import fastdl as fd


@pytest.mark.parametrize("member", ["kernel", "ops"])
def test_dispatch(member, benchmark):
    kernels = pytest.importorskip("fastdl._kernels.activation._cython",
                                  reason="the native kernels are not built")
    x = np.array([1.5], np.float32)
    y = np.empty_like(x)
    benchmark.group = "dispatch: relu of one element"
    if member == "kernel":
        benchmark(kernels.relu, x, y)
    else:
        benchmark(fd.ops.relu, x)
