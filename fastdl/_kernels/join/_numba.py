"""Sums and copies in Numba, parallel over elements, or parts of rows."""

import numpy as np
from numba import prange

from .._numba_jit import const, parallel

_PART = 1 << 14                 # elements of a row that are copied at once


@parallel
def _add(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] + b[i]


@parallel
def _copy(x, y):
    rows, columns = y.shape
    parts = -(-columns // _PART)
    for item in prange(rows * parts):
        row, first = np.intp(item) // parts, np.intp(item) % parts * _PART
        y[row, first:first + _PART] = x[row, first:first + _PART]


def add(a, b, y):
    if not y.flags.c_contiguous:            # channels-last, all of them
        a, b, y = (np.moveaxis(maps, 1, -1) for maps in (a, b, y))
    _add(const(a.reshape(-1)), const(b.reshape(-1)), y.reshape(-1))


def copy_matrix(x, y):
    _copy(const(x), y)
