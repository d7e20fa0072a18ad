"""Pooling in Numba: no padded copy, no array of windows; parallel over planes (image, channel).

Forward, a row of outputs takes in one cell of its windows at a time (`kh`, `kw`): the innermost
loop runs along the row, and the range that reads inside the image is known beforehand.
Backward, windows overlap, so a plane of `dx` is filled by one thread alone.
"""

import numpy as np
from numba import prange

from .._numba_jit import const, helper, parallel, planar, total
from ..im2col._numba import valid_range


def _planes(x):
    """(N, C, H, W) as (N * C, H, W)."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _rows(x):
    """(N, C, H, W) as (N * C, H * W)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2] * x.shape[3])


@helper
def _start_of_row(y, argmax, first_kh, end_kh, W, KW, SW, PW):
    """Let every window of a row begin with -inf, at its first cell inside the image, if any."""
    for ow in range(y.size):
        kw = max(0, PW - ow * SW)
        inside = first_kh < end_kh and kw < KW and ow * SW - PW + kw < W
        y[ow] = -np.inf
        argmax[ow] = first_kh * KW + kw if inside else 0


@helper
def _take_in(source, cell, y, argmax):
    """Let `source`, cell number `cell` of each window, replace the maxima it beats.

    That is what is not <= the maximum, NaN included, unless the maximum is NaN already. Written
    as choices between values, not as jumps, so that the loop vectorises.
    """
    for j in range(y.size):
        value, best, best_cell = source[j], y[j], argmax[j]
        value, value_cell = (best, best_cell) if value <= best else (value, cell)
        y[j] = value if best == best else best
        argmax[j] = value_cell if best == best else best_cell


@helper
def _max_pool_plane(x, y, argmax, KH, KW, SH, SW, PH, PW):
    H, W = x.shape
    OH, OW = y.shape
    for oh in range(OH):
        first_kh, end_kh = valid_range(oh * SH - PH, 1, H, KH)
        _start_of_row(y[oh], argmax[oh], first_kh, end_kh, W, KW, SW, PW)
        for kh in range(first_kh, end_kh):
            row = x[oh * SH - PH + kh]
            for kw in range(KW):
                first, end = valid_range(kw - PW, SW, W, OW)
                if first < end:
                    _take_in(row[first * SW + kw - PW::SW], argmax.dtype.type(kh * KW + kw),
                             y[oh, first:end], argmax[oh, first:end])


@parallel
def _max_pool2d(x, y, argmax, kernel, stride, padding):
    for plane in prange(y.shape[0]):
        _max_pool_plane(x[plane], y[plane], argmax[plane], kernel[0], kernel[1],
                        stride[0], stride[1], padding[0], padding[1])


@planar("y", "argmax")
def max_pool2d(x, y, argmax, kernel, stride, padding):
    if argmax is None:
        argmax = np.empty(y.shape, np.uint8 if kernel[0] * kernel[1] <= 256 else np.int32)
    _max_pool2d(const(_planes(x)), _planes(y), _planes(argmax), kernel, stride, padding)


@helper
def _max_pool_plane_backward(dy, argmax, y, dx, KH, KW, SH, SW, PH, PW):
    H, W = dx.shape
    OH, OW = dy.shape
    dx[:] = 0
    for oh in range(OH):
        for ow in range(OW):
            cell = np.int64(argmax[oh, ow])
            ih, iw = oh * SH - PH + cell // KW, ow * SW - PW + cell % KW
            closed = y.size > 0 and y[oh, ow] <= 0
            if 0 <= cell < KH * KW and 0 <= ih < H and 0 <= iw < W and not closed:
                dx[ih, iw] += dy[oh, ow]


@parallel
def _max_pool2d_backward(dy, argmax, y, dx, kernel, stride, padding):
    for plane in prange(dx.shape[0]):
        _max_pool_plane_backward(dy[plane], argmax[plane], y[plane % len(y)], dx[plane],
                                 kernel[0], kernel[1], stride[0], stride[1], padding[0],
                                 padding[1])


@planar("dx")
def max_pool2d_backward(dy, argmax, y, dx, kernel, stride, padding):
    given = np.empty((1, 0, 0), dy.dtype) if y is None else _planes(y)
    _max_pool2d_backward(const(_planes(dy)), const(_planes(argmax)), const(given), _planes(dx),
                         kernel, stride, padding)


@helper
def _window_length(o, size, kernel, stride, padding, count_include_pad):
    """Cells along one axis of window number `o` that its average divides by."""
    start = o * stride - padding
    end = min(start + kernel, size + padding)
    return end - start if count_include_pad else min(end, size) - max(start, 0)


@helper
def _window_sizes(oh, sizes, H, W, KH, KW, SH, SW, PH, PW, count_include_pad):
    """Fill `sizes` with the number of cells of each window of output row `oh`."""
    rows = _window_length(oh, H, KH, SH, PH, count_include_pad)
    for ow in range(sizes.size):
        sizes[ow] = rows * _window_length(ow, W, KW, SW, PW, count_include_pad)


@helper
def _avg_pool_plane(x, y, KH, KW, SH, SW, PH, PW, count_include_pad):
    H, W = x.shape
    OH, OW = y.shape
    sizes = np.empty(OW, y.dtype)
    for oh in range(OH):
        y[oh] = 0
        first_kh, end_kh = valid_range(oh * SH - PH, 1, H, KH)
        for kh in range(first_kh, end_kh):
            row = x[oh * SH - PH + kh]
            for kw in range(KW):
                first, end = valid_range(kw - PW, SW, W, OW)
                source, target = row[first * SW + kw - PW::SW], y[oh, first:end]
                for j in range(target.size):
                    target[j] += source[j]
        _window_sizes(oh, sizes, H, W, KH, KW, SH, SW, PH, PW, count_include_pad)
        for ow in range(OW):
            y[oh, ow] /= sizes[ow]


@parallel
def _avg_pool2d(x, y, kernel, stride, padding, count_include_pad):
    for plane in prange(y.shape[0]):
        _avg_pool_plane(x[plane], y[plane], kernel[0], kernel[1], stride[0], stride[1],
                        padding[0], padding[1], count_include_pad)


@planar("y")
def avg_pool2d(x, y, kernel, stride, padding, count_include_pad):
    _avg_pool2d(const(_planes(x)), _planes(y), kernel, stride, padding, bool(count_include_pad))


@helper
def _avg_pool_plane_backward(dy, dx, KH, KW, SH, SW, PH, PW, count_include_pad):
    H, W = dx.shape
    OH, OW = dy.shape
    share = np.empty(OW, dy.dtype)
    dx[:] = 0
    for oh in range(OH):
        _window_sizes(oh, share, H, W, KH, KW, SH, SW, PH, PW, count_include_pad)
        for ow in range(OW):
            share[ow] = dy[oh, ow] / share[ow]
        first_kh, end_kh = valid_range(oh * SH - PH, 1, H, KH)
        for kh in range(first_kh, end_kh):
            row = dx[oh * SH - PH + kh]
            for kw in range(KW):
                first, end = valid_range(kw - PW, SW, W, OW)
                target, source = row[first * SW + kw - PW::SW], share[first:end]
                for j in range(source.size):
                    target[j] += source[j]


@parallel
def _avg_pool2d_backward(dy, dx, kernel, stride, padding, count_include_pad):
    for plane in prange(dx.shape[0]):
        _avg_pool_plane_backward(dy[plane], dx[plane], kernel[0], kernel[1], stride[0], stride[1],
                                 padding[0], padding[1], count_include_pad)


@planar("dx")
def avg_pool2d_backward(dy, dx, kernel, stride, padding, count_include_pad):
    _avg_pool2d_backward(const(_planes(dy)), _planes(dx), kernel, stride, padding,
                         bool(count_include_pad))


@parallel
def _global_avg_pool2d(x, y):
    cells = x.dtype.type(x.shape[1])
    for plane in prange(x.shape[0]):
        y[plane, 0] = total(x[plane]) / cells


@planar("y")
def global_avg_pool2d(x, y):
    _global_avg_pool2d(const(_rows(x)), _rows(y))


@parallel
def _global_avg_pool2d_backward(dy, dx):
    cells = dx.dtype.type(dx.shape[1])
    for plane in prange(dx.shape[0]):
        dx[plane, :] = dy[plane, 0] / cells


@planar("dx")
def global_avg_pool2d_backward(dy, dx):
    _global_avg_pool2d_backward(const(_rows(dy)), _rows(dx))


@parallel
def _global_max_pool2d(x, y, argmax):
    for plane in prange(x.shape[0]):
        row = x[plane]
        best, cell = x.dtype.type(-np.inf), 0
        for j in range(row.size):
            if row[j] > best or row[j] != row[j]:
                best, cell = row[j], j
                if best != best:
                    break
        y[plane, 0], argmax[plane, 0] = best, cell


@planar("y", "argmax")
def global_max_pool2d(x, y, argmax):
    if argmax is None:
        argmax = np.empty(y.shape, np.int32)
    _global_max_pool2d(const(_rows(x)), _rows(y), _rows(argmax))


@parallel
def _global_max_pool2d_backward(dy, argmax, dx):
    for plane in prange(dx.shape[0]):
        row, cell = dx[plane], argmax[plane, 0]
        row[:] = 0
        if 0 <= cell < row.size:
            row[cell] = dy[plane, 0]


@planar("dx")
def global_max_pool2d_backward(dy, argmax, dx):
    _global_max_pool2d_backward(const(_rows(dy)), const(_rows(argmax)), _rows(dx))
