"""What this machine can do at most: multiply, and move memory. Measured once, when first asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from .._kernels import _dispatch
from ..backend import get_num_threads
from .step import Step


class Roofline(NamedTuple):
    """Limits with the present number of threads (Williams, Waterman & Patterson, 2009)."""

    flops: float        # floating-point operations a second, of a large matrix product
    bandwidth: float    # bytes a second, of ReLU over arrays beyond the caches

    def seconds(self, step: Step) -> float:
        """The least time of a step: computing or moving, whichever takes longer."""
        return max(step.flops / self.flops, step.bytes / self.bandwidth)


def _fastest(call: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


@cache
def _measured(dtype: str, threads: int) -> Roofline:
    size, large = 768, 1 << 23
    a, x = np.ones((size, size), dtype), np.ones(large, dtype)
    product, relu = np.empty_like(a), _dispatch.kernel("relu", x)
    gemm, y = _dispatch.kernel("gemm", a), np.zeros_like(x)
    arguments = a, a, None, None, product, False, False, 1.0, 0.0, False
    multiplied = _fastest(lambda: gemm(*arguments), 5)
    moved = _fastest(lambda: relu(x, y), 5)
    return Roofline(2 * size**3 / multiplied, 2 * x.nbytes / moved)


def roofline(dtype: np.dtype) -> Roofline:
    """The limits of this machine for arrays of `dtype`."""
    return _measured(dtype.name, get_num_threads())
