"""What this machine can do at most: multiply, and move memory. Measured once, when first asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .. import cuda
from .._kernels import _dispatch
from ..backend import get_num_threads
from ..ops._arrays import Array, empty, on_device
from .step import Step


class Roofline(NamedTuple):
    """Limits with the present number of threads (Williams, Waterman & Patterson, 2009)."""

    flops: float        # floating-point operations a second, of a large matrix product
    bandwidth: float    # bytes a second, of ReLU over arrays beyond the caches

    def seconds(self, step: Step) -> float:
        """The least time of a step: computing or moving, whichever takes longer."""
        return max(step.flops / self.flops, step.bytes / self.bandwidth)


def timed(call: Callable[[], object], device: bool) -> float:
    """Seconds that it takes, by the clock of where the arrays lie."""
    if device:
        return cuda.seconds(call)
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@cache
def _measured(dtype: str, threads: int, device: bool) -> Roofline:
    size, large = (4096, 1 << 27) if device else (768, 1 << 23)
    if device and cuda.is_simulated():
        size, large = 16, 64
    a: Any = np.ones((size, size), dtype)
    x: Any = np.ones(large, dtype)
    if device:
        a, x = cuda.to_device(a), cuda.to_device(x)
    product, relu = empty(a.shape, a.dtype, a), _dispatch.kernel("relu", x)
    gemm, y = _dispatch.kernel("gemm", a), empty(x.shape, x.dtype, x)
    y[...] = 0

    def fastest(call: Callable[[], object]) -> float:
        return min(timed(call, device) for _ in range(5))

    arguments = a, a, None, None, product, False, False, 1.0, 0.0, False
    multiplied = fastest(lambda: gemm(*arguments))
    moved = fastest(lambda: relu(x, y))
    return Roofline(2 * size**3 / multiplied, 2 * x.nbytes / moved)


def roofline(like: Array) -> Roofline:
    """The limits, for arrays of this dtype, of this machine or of the device."""
    return _measured(like.dtype.name, get_num_threads(), on_device(like))
