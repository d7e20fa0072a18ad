"""Copies of feature maps in Numba, parallel over parts of the pixels of each image."""

import numpy as np
from numba import prange

from .._numba_jit import const, parallel
from ..gemm._numba_tile import copy_transposed

_PART = 1 << 13                 # elements that a thread copies at once


@parallel
def _to_pixels(planes, pixels, some):
    N, C, L = planes.shape
    parts = -(-L // some)
    for part in prange(N * parts):
        n, first = np.intp(part) // parts, np.intp(part) % parts * some
        copy_transposed(planes[n].reshape(-1), first, L, pixels[n, first:].reshape(-1), C,
                        min(some, L - first), C)


@parallel
def _to_planes(pixels, planes, some):
    N, L, C = pixels.shape
    parts = -(-L // some)
    for part in prange(N * parts):
        n, first = np.intp(part) // parts, np.intp(part) % parts * some
        copy_transposed(pixels[n, first:].reshape(-1), 0, C, planes[n].reshape(-1)[first:], L, C,
                        min(some, L - first))


def copy_maps(x, y):
    N, C = x.shape[:2]
    if not x.size:
        return
    some = max(64, _PART // C)
    if x.flags.c_contiguous == y.flags.c_contiguous:
        y[...] = x
    elif x.flags.c_contiguous:
        pixels = np.moveaxis(y, 1, -1).reshape(N, -1, C)
        _to_pixels(const(x.reshape(N, C, -1)), pixels, some)
    else:
        pixels = np.moveaxis(x, 1, -1).reshape(N, -1, C)
        _to_planes(const(pixels), y.reshape(N, C, -1), some)
