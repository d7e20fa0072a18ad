"""What kernels of the device are written with."""

import math
from typing import Any

import numpy as np

from ._compat import (
    SIMULATED,
    cuda,
    float32,
    floats,
    int32,
    int64,
    ints,
    load4,
    longs,
    octets,
    pointer_to_floats,
    store4,
    uint64,
    ulongs,
)
from ._launch import THREADS, blocks_for, device, kernel

__all__ = ["ONE", "SIMULATED", "THREADS", "ZERO", "block_max", "block_sum", "blocks_for", "cuda",
           "device", "divided", "erfc", "exp", "float32", "floats", "int32", "int64", "ints",
           "kernel", "load4", "log", "log1p", "longs", "octets", "pointer_to_floats", "power",
           "sqrt", "store4", "tanh", "uint64", "ulongs"]

# A number written as 0.0 is float64, and so is all that is computed with it.
ZERO, ONE = np.float32(0), np.float32(1)

# NumPy's give infinities where Python's raise.
_functions = np if SIMULATED else math
exp, log, log1p, sqrt, tanh = (getattr(_functions, name)
                               for name in ("exp", "log", "log1p", "sqrt", "tanh"))

power: Any = np.power if SIMULATED else math.pow
erfc: Any = (lambda x: np.float32(math.erfc(x))) if SIMULATED else math.erfc

_HALF = THREADS // 2


@device
def divided(a, b):
    """Quotient and remainder of numbers from 0 to 2**32 - 1, whose division is a short one."""
    a, b = np.uint32(a), np.uint32(b)
    return np.int64(a // b), np.int64(a % b)


@device
def block_sum(value):
    """The sum of all threads' values, in every thread; all of them must come here."""
    cells = cuda.shared.array(THREADS, float32)
    t = cuda.threadIdx.x
    cuda.syncthreads()                  # the cells may still be read from the time before
    cells[t] = value
    cuda.syncthreads()
    width = _HALF
    while width > 0:
        if t < width:
            cells[t] += cells[t + width]
        cuda.syncthreads()
        width //= 2
    return cells[0]


@device
def block_max(value):
    """The largest of all threads' values, in every thread; NaN counts as the largest."""
    cells = cuda.shared.array(THREADS, float32)
    t = cuda.threadIdx.x
    cuda.syncthreads()
    cells[t] = value
    cuda.syncthreads()
    width = _HALF
    while width > 0:
        if t < width and not cells[t] >= cells[t + width] and cells[t] == cells[t]:
            cells[t] = cells[t + width]
        cuda.syncthreads()
        width //= 2
    return cells[0]
