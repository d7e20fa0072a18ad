"""What the Numba kernels share: their two decorators, and sums that are fast and accurate.

Floating-point rules are the standard ones (no fastmath): NaN, infinities and rounding behave as in
NumPy. The compiler may therefore not reorder a sum, and a plain ``s += v[i]`` runs one addition
at a time. The sums here keep many partial sums side by side ("lanes") instead: the loop over the
lanes vectorises as written, and adding the halves of the lanes at the end loses less precision.

Numba's threads have limits that a user should not meet.

- They do not survive `os.fork`, and GNU OpenMP kills a child that tries to use them: there, each
  kernel runs as a serial twin.
- The layer "workqueue" aborts the process when two Python threads call kernels at once: with it,
  calls take turns.
- They know nothing of OMP_NUM_THREADS, threadpoolctl and `fastdl.set_num_threads`: each call asks
  the native kernels how many threads there may be.
"""

import contextlib
import functools
import inspect
import os
import threading
import types
from typing import Any

import numba
import numpy as np

_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
_HELPER_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy",
                                   "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

# ---- threads ----

# Started here and in a thread of its own, because starting them sets OpenMP's number of threads
# for the thread that does it, and with that the number that native kernels called there would use.
_starter = threading.Thread(target=numba.get_num_threads)
_starter.start()
_starter.join()

_turn = threading.Lock() if numba.threading_layer() == "workqueue" else contextlib.nullcontext()

_lost = False                   # whether this is a child made by fork, which has no threads


def _after_fork_in_child():
    global _lost
    _lost = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

try:
    from .native._native import get_num_threads as _allowed_threads
except ImportError:             # a build without native kernels
    _allowed_threads = numba.get_num_threads


def _call(function, args):
    """Call a compiled function with no more threads than are allowed now."""
    usual, allowed = numba.get_num_threads(), _allowed_threads()
    if allowed >= usual:
        return function(*args)
    numba.set_num_threads(allowed)
    try:
        return function(*args)
    finally:
        numba.set_num_threads(usual)


# ---- decorators ----

def _serial_twin(function):
    """`function` compiled without threads, under another name: the cache on disk goes by name."""
    twin = types.FunctionType(function.__code__, function.__globals__)
    twin.__qualname__ = f"{function.__qualname__}_serial"
    return numba.njit(**_OPTIONS)(twin)


def parallel(function):
    """Compile `function`, one version per dtype, with threads in its `prange` loops."""
    threaded, serial = numba.njit(parallel=True, **_OPTIONS)(function), _serial_twin(function)

    @functools.wraps(function)
    def kernel(*args):
        if _lost:
            return serial(*args)
        with _turn:
            return _call(threaded, args)

    return kernel


# A function that only compiled functions call: compiled into them, so never cached by itself.
# Nothing else calls it, so it gets no wrappers, which take time to compile.
helper = numba.njit(**_HELPER_OPTIONS)


# ---- arguments, and sums in lanes ----

_LANES = 128                    # a power of two
_SHORT_ROW = 32


def const(array):
    """Read-only view of an input: read-only and writable arrays then share one compiled version."""
    view = array.view()
    view.flags.writeable = False
    return view


def const_flat(array):
    """The same as one row."""
    return const(array.reshape(-1))


def planar(*outputs):
    """For a kernel that knows only C-contiguous maps: channels-last ones are copied.

    The parameters named `outputs` are copied back.
    """
    def decorate(kernel):
        names = tuple(inspect.signature(kernel).parameters)

        @functools.wraps(kernel)
        def of_any_layout(*args):
            if all(a.flags.c_contiguous for a in args if isinstance(a, np.ndarray)):
                kernel(*args)
                return
            own = [np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for a in args]
            kernel(*own)
            for name, given, copy in zip(names, args, own, strict=False):   # some may be left out
                if name in outputs and copy is not given:
                    given[...] = copy

        return of_any_layout

    return decorate


def optional(array, dtype):
    """`array`, or an empty one that stands for None."""
    return np.empty(0, dtype) if array is None else array


@helper
def new_lanes(rows, size, dtype):
    """Zeroed lanes, one row of them for each sum; no more of them than a sum has terms."""
    width = 1
    while width < min(size, _LANES):
        width *= 2
    return np.zeros((rows, width), dtype)


@helper
def add_row(lanes, row):
    """Add `row` into the lanes."""
    for start in range(0, row.size, lanes.size):
        chunk = row[start:start + lanes.size]
        for j in range(chunk.size):
            lanes[j] += chunk[j]


@helper
def add_products(lanes, u, v, u_shift, v_shift):
    """Add ``(u - u_shift) * (v - v_shift)`` into the lanes."""
    for start in range(0, u.size, lanes.size):
        u_chunk = u[start:start + lanes.size]
        v_chunk = v[start:start + lanes.size]
        for j in range(u_chunk.size):
            lanes[j] += (u_chunk[j] - u_shift) * (v_chunk[j] - v_shift)


@helper
def fold(lanes):
    """Sum of the lanes, by halves; leaves all of them 0 for the next sum."""
    width = lanes.size // 2
    while width > 0:
        low, high = lanes[:width], lanes[width:2 * width]
        for j in range(width):
            low[j] += high[j]
        width //= 2
    result = lanes[0]
    lanes[:] = 0
    return result


@helper
def total(row):
    """Sum of a row."""
    if row.size > _SHORT_ROW:
        lanes = new_lanes(1, row.size, row.dtype)[0]
        add_row(lanes, row)
        return fold(lanes)
    result = row.dtype.type(0)
    for j in range(row.size):
        result += row[j]
    return result
