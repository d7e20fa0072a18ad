"""Convolution as it is taught: im2col, then one matrix product (Chellapilla et al., 2006).

Functions with the signatures of the convolution's kernels, made of other kernels: `kernel` gives
those by name, so this runs on every backend. All receptive fields are written out at once, which
takes KH * KW times the memory of the input (at stride 1); that is why it is not the default.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from ._arrays import Array, empty

Kernels: TypeAlias = Callable[[str], Callable[..., None]]
Size: TypeAlias = tuple[int, int]


def conv2d(kernel: Kernels, x: Array, w: Array, b: Array | None, residual: Array | None, y: Array,
           stride: Size, padding: Size, dilation: Size, groups: int, relu: bool,
           algorithm: str, moments: Array | None = None) -> None:
    """Fill `y`: the fields of each pixel times the filters."""
    col = _columns(kernel, x, w, stride, padding, dilation, y)
    filters, out = _as_matrix(w), empty((len(col), len(w)), y.dtype)
    if residual is not None:
        out[...] = _pixels(residual)
    for taps, oc in _groups(col, filters, groups):
        kernel("gemm")(col[:, taps], filters[oc], None if b is None else b[oc], None,
                       out[:, oc], False, True, 1.0, 0.0 if residual is None else 1.0, relu)
    _fill(y, out)
    if moments is not None:
        from .._kernels.conv.reference import fill_moments  # no kernel is loaded unasked

        fill_moments(y, moments)


def conv2d_backward_input(kernel: Kernels, dy: Array, w: Array, residual: Array | None,
                          gate: Array | None, dx: Array, stride: Size, padding: Size,
                          dilation: Size, groups: int, algorithm: str) -> None:
    """Fill `dx`: col2im of the filters times the gradient of each pixel."""
    pixels, filters = _pixels(dy), _as_matrix(w)
    col = empty((len(pixels), dx.shape[1] * w[0, 0].size), dx.dtype)
    for taps, oc in _groups(col, filters, groups):
        kernel("gemm")(pixels[:, oc], filters[oc], None, None, col[:, taps],
                       False, False, 1.0, 0.0, False)
    here = dx.flags.c_contiguous and residual is None
    sums = dx if here else empty(dx.shape, dx.dtype)
    kernel("col2im")(col, sums, w.shape[2:], stride, padding, dilation, dy.shape[2:], True)
    if residual is not None:
        np.add(sums, residual, out=dx)
    elif not here:
        dx[...] = sums
    if gate is not None:
        dx[gate <= 0] = 0


def conv2d_backward_weight(kernel: Kernels, dy: Array, x: Array, dw: Array, db: Array | None,
                           stride: Size, padding: Size, dilation: Size, groups: int,
                           algorithm: str) -> None:
    """Fill `dw`, the gradients of the pixels times their fields, and `db`."""
    col = _columns(kernel, x, dw, stride, padding, dilation, dy)
    pixels, filters = _pixels(dy), _as_matrix(dw)
    for taps, oc in _groups(col, filters, groups):
        kernel("gemm")(pixels[:, oc], col[:, taps], None, None, filters[oc],
                       True, False, 1.0, 0.0, False)
    if db is not None:
        kernel("column_sums")(pixels, db)


def _columns(kernel: Kernels, x: Array, w: Array, stride: Size, padding: Size, dilation: Size,
             y: Array) -> Array:
    """The fields that `y` is made of, (N * OH * OW, C * KH * KW)."""
    output, window = y.shape[2:], w.shape[2:]
    col = empty((x.shape[0] * output[0] * output[1], x.shape[1] * w[0, 0].size), x.dtype)
    kernel("im2col")(np.ascontiguousarray(x), col, window, stride, padding, dilation, output, True)
    return col


def _as_matrix(w: Array) -> Array:
    """(OC, C / groups, KH, KW) as (OC, C / groups * KH * KW)."""
    return w.reshape(len(w), w[0].size)


def _pixels(maps: Array) -> Array:
    """(N, C, H, W) as (N * H * W, C): a view of channels-last maps, a copy of others."""
    N, C, H, W = maps.shape
    return np.ascontiguousarray(maps.transpose(0, 2, 3, 1)).reshape(N * H * W, C)


def _fill(maps: Array, pixels: Array) -> None:
    """The way back of `_pixels`."""
    last = maps.transpose(0, 2, 3, 1)
    last[...] = pixels.reshape(last.shape)


def _groups(col: Array, filters: Array, groups: int) -> Iterator[tuple[slice, slice]]:
    """The columns of `col` and the filters of each group."""
    taps, oc = col.shape[1] // groups, len(filters) // groups
    for g in range(groups):
        yield slice(g * taps, (g + 1) * taps), slice(g * oc, (g + 1) * oc)
