"""Sums, products and copies in Numba, parallel over elements, maps, or parts of rows."""

import numpy as np
from numba import prange

from .._numba_jit import add_products, const, fold, new_lanes, parallel, planar

_PART = 1 << 14                 # elements of a row that are copied at once


@parallel
def _add(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] + b[i]


@parallel
def _multiply(a, b, y):
    for i in prange(y.size):
        y[i] = a[i] * b[i]


@parallel
def _scale(x, s, y):
    for i in prange(s.size):
        for j in range(x.shape[1]):
            y[i, j] = x[i, j] * s[i]


@parallel
def _scale_backward(dy, x, s, dx, ds):
    zero = dy.dtype.type(0)
    for i in prange(s.size):
        lanes = new_lanes(1, x.shape[1], x.dtype)[0]
        add_products(lanes, dy[i], x[i], zero, zero)
        ds[i] = fold(lanes)
        for j in range(x.shape[1]):
            dx[i, j] = dy[i, j] * s[i]


@parallel
def _copy(x, y):
    rows, columns = y.shape
    parts = -(-columns // _PART)
    for item in prange(rows * parts):
        row, first = np.intp(item) // parts, np.intp(item) % parts * _PART
        y[row, first:first + _PART] = x[row, first:first + _PART]


def _flat(a, b, y):
    if not y.flags.c_contiguous:            # channels-last, all of them
        a, b, y = (np.moveaxis(maps, 1, -1) for maps in (a, b, y))
    return const(a.reshape(-1)), const(b.reshape(-1)), y.reshape(-1)


def add(a, b, y):
    _add(*_flat(a, b, y))


def multiply(a, b, y):
    _multiply(*_flat(a, b, y))


def _rows(*maps):
    return [m.reshape(m.shape[0] * m.shape[1], m.shape[2]) for m in maps]


@planar("y")
def scale_maps(x, s, y):
    x, y = _rows(x, y)
    _scale(const(x), const(s.reshape(-1)), y)


@planar("dx", "ds")
def scale_maps_backward(dy, x, s, dx, ds):
    dy, x, dx = _rows(dy, x, dx)
    _scale_backward(const(dy), const(x), const(s.reshape(-1)), dx, ds.reshape(-1))


def copy_matrix(x, y):
    _copy(const(x), y)
