"""What kernels of the device are written with."""

import math
from typing import Any, NamedTuple

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
    store2,
    store4,
    uint64,
    ulongs,
)
from ._driver import driver
from ._launch import THREADS, blocks_for, device, kernel

__all__ = ["ONE", "SIMULATED", "THREADS", "WARP", "WARPS", "ZERO", "ByRow", "access", "block_max",
           "block_sum", "blocks_for", "clamped", "cuda", "device", "divided", "erfc", "exchanged",
           "exp", "float32", "floats", "in_fours", "in_step", "inside", "int32", "int64", "ints",
           "kernel", "load4", "log", "log1p", "longs", "octets", "pointer_to_floats", "rectify",
           "sqrt", "store2", "store4", "tanh", "uint64", "ulongs", "warp_max", "warp_sum",
           "warps_for"]

# A number written as 0.0 is float64, and so is all that is computed with it.
ZERO, ONE = np.float32(0), np.float32(1)

# NumPy's give infinities where Python's raise.
_functions = np if SIMULATED else math
exp, log, log1p, sqrt, tanh = (getattr(_functions, name)
                               for name in ("exp", "log", "log1p", "sqrt", "tanh"))

erfc: Any = (lambda x: np.float32(math.erfc(x))) if SIMULATED else math.erfc

WARP = THREADS if SIMULATED else 32     # threads that run together, and can read one another
WARPS = THREADS // WARP
_STEPS = WARP.bit_length() - 1
_ALL = 0xFFFFFFFF


# ---- numbers ----

@device
def divided(a, b):
    """Quotient and remainder of numbers from 0 to 2**32 - 1, whose division is a short one."""
    a, b = np.uint32(a), np.uint32(b)
    return np.int64(a // b), np.int64(a % b)


@device
def inside(i, n):
    """Whether 0 <= i < n, by one comparison: without its sign, what is below 0 is large."""
    return np.uint32(i) < np.uint32(n)


@device
def clamped(i, n):
    """The nearest number from 0 to n - 1."""
    return np.int64(min(max(np.int32(i), np.int32(0)), np.int32(n - 1)))


# ---- memory ----

def access(width):
    """How to get and to put so many elements: 1 or 4."""
    @device
    def get(p, i):
        return load4(p, i) if width == 4 else (p[i], p[i], p[i], p[i])

    @device
    def put(p, i, v):
        if width == 4:
            store4(p, i, v)
        else:
            p[i] = v[0]

    return get, put


@device
def rectify(row, e, count, relu, gate, at, has_gate):
    """0 for what ReLU makes 0 of so many elements from `e` on, and where the gate is not above 0.

    The gate's elements lie from `at` on.
    """
    if relu:
        for q in range(e, e + count):
            row[q] = ZERO if row[q] <= ZERO else row[q]
    if has_gate:
        for q in range(count):
            row[e + q] = ZERO if gate[at + q] <= ZERO else row[e + q]


# ---- sums and maxima of the threads of a warp, and of a block; all of them must come here ----

if SIMULATED:
    @device
    def exchanged(value, distance):
        """The value of that thread of the warp whose number differs in this one bit."""
        cells = cuda.shared.array(THREADS, float32)
        t = cuda.threadIdx.x
        cells[t] = value
        cuda.syncthreads()
        value = cells[t ^ distance]
        cuda.syncthreads()              # before the next values come
        return value
else:
    @device
    def exchanged(value, distance):
        """The value of that thread of the warp whose number differs in this one bit."""
        return cuda.shfl_xor_sync(_ALL, value, distance)


@device
def _sum(a, b):
    return a + b


@device
def _larger(a, b):
    """NaN counts as the largest."""
    return a if a >= b or a != a else b


def _reductions(f):
    """The functions that put the values of a warp, or of a block, together; all threads get it."""
    @device
    def of_warp(value):
        for step in range(_STEPS):
            value = f(value, exchanged(value, 1 << step))
        return value

    @device
    def of_block(value):
        cells = cuda.shared.array(WARPS, float32)
        value = of_warp(value)
        cuda.syncthreads()              # the cells may still be read from the time before
        if cuda.threadIdx.x % WARP == 0:
            cells[cuda.threadIdx.x // WARP] = value
        cuda.syncthreads()
        value = cells[0]
        for warp in range(1, WARPS):
            value = f(value, cells[warp])
        return value

    return of_warp, of_block


warp_sum, block_sum = _reductions(_sum)
warp_max, block_max = _reductions(_larger)


# ---- who does what ----

def in_fours(n, *arrays):
    """Whether arrays, or rows of theirs, of n elements can be read and written in fours."""
    return n % 4 == 0 and not any(a is not None and a.address % 16 for a in arrays)


def warps_for(work):
    """Blocks for so many pieces of work, each of which a warp does."""
    return -(-work // WARPS)


def in_step(count, size):
    """Blocks for `count` equal pieces of work, and how many pieces they do at once.

    A piece takes `size` threads. A thread goes from one piece to another, always at the same place
    of it: what depends on the place is computed once, and the next address by an addition. The
    device is filled at least once, and up to four times where threads then still do four pieces.
    """
    blocks_for(count * size)            # or it is too large
    if not count or not size:
        return 0, 1
    full = 8 * driver().processors * THREADS
    most = max(1, min(max(full, count * size // 4), 4 * full) // size)
    at_once = -(-count // -(-count // most))
    return -(-at_once * size // THREADS), at_once


class Team(NamedTuple):
    """Who does a row of a matrix: the threads of a warp, or of a block.

    In a kernel, ``row, first = divided(cuda.grid(1), size)`` says which row a thread is at, and at
    which of its elements it begins; it goes on by `size`. All of a team must come to a sum.
    """

    size: int
    sum: Any
    max: Any


class ByRow:
    """A kernel for warps and one for blocks; ``kernel(rows, columns, *arguments)`` chooses.

    A warp has no barriers, and a short row leaves most of a block without work. Few long rows need
    many threads each.
    """

    def __init__(self, make):
        self._of_warp = make(Team(WARP, warp_sum, warp_max))
        self._of_block = make(Team(THREADS, block_sum, block_max))

    def __call__(self, rows, columns, *arguments):
        blocks_for(rows * WARP)         # or there are too many
        enough = rows >= 32 * driver().processors
        if columns <= (32 if enough else 4) * WARP:
            self._of_warp[warps_for(rows)](*arguments, rows, columns)
        else:
            self._of_block[rows](*arguments, rows, columns)
