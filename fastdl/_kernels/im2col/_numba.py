"""im2col and col2im in Numba: no padded copy; what lies outside is known per row, not per cell.

For one kernel tap, the output columns that read inside the image are one range (`valid_range`), so
a row of output pixels is a run of zeros, a plain copy, and a run of zeros. im2col is parallel over
rows of `col`; col2im over the planes of `x`, each of which one thread fills alone.
"""

import numpy as np
from numba import prange

from .._numba_jit import const, helper, parallel


@helper
def valid_range(offset, stride, size, count):
    """Range (first, end) of the ``o`` below `count` for which ``o * stride + offset`` is an index.

    An index of something of length `size`, that is; where there is no such ``o``, first == end.
    """
    first = 0 if offset >= 0 else min(count, -(offset // stride))
    if (count - 1) * stride + offset < size:
        return first, count
    return first, max(first, -((offset - size) // stride))


@helper
def gather_tap(x, c, offset_h, offset_w, SH, SW, OH, OW, pixel, out):
    """Fill `out` with what one tap of channel `c` reads at output pixel `pixel` and those after it.

    Pixels are numbered through (N, OH, OW). The offset is the tap's place in the window less the
    padding.
    """
    H, W = x.shape[2:]
    row, ow, done = pixel // OW, pixel % OW, 0
    n, oh = row // OH, row % OH
    while done < out.size:
        run = min(OW - ow, out.size - done)
        segment = out[done:done + run]
        ih, iw = oh * SH + offset_h, ow * SW + offset_w
        if 0 <= ih < H:
            first, end = valid_range(iw, SW, W, run)
            segment[:first] = 0
            segment[end:] = 0
            inside, source = segment[first:end], x[n, c, ih, iw + first * SW::SW]
            for j in range(inside.size):
                inside[j] = source[j]
        else:
            segment[:] = 0
        done, ow, oh = done + run, 0, oh + 1
        if oh == OH:
            n, oh = n + 1, 0


@helper
def scatter_tap(values, dx, c, offset_h, offset_w, SH, SW, OH, OW, pixel):
    """Adjoint of `gather_tap`: add `values` to the cells that the tap reads."""
    H, W = dx.shape[2:]
    row, ow, done = pixel // OW, pixel % OW, 0
    n, oh = row // OH, row % OH
    while done < values.size:
        run = min(OW - ow, values.size - done)
        ih, iw = oh * SH + offset_h, ow * SW + offset_w
        if 0 <= ih < H:
            first, end = valid_range(iw, SW, W, run)
            segment = values[done + first:done + end]
            target = dx[n, c, ih, iw + first * SW::SW]
            for j in range(segment.size):
                target[j] += segment[j]
        done, ow, oh = done + run, 0, oh + 1
        if oh == OH:
            n, oh = n + 1, 0


@helper
def split_tap(tap, kernel):
    """Channel, row and column of tap number `tap` of (C, KH, KW)."""
    KH, KW = kernel
    return tap // (KH * KW), tap // KW % KH, tap % KW


@parallel
def _rows_of_taps(x, col, kernel, stride, padding, dilation, output):
    """col (N, C * KH * KW, OH * OW): parallel over the taps of each image."""
    taps, pixels = col.shape[1:]
    for row in prange(col.shape[0] * taps):
        n, tap = np.intp(row) // taps, np.intp(row) % taps
        c, kh, kw = split_tap(tap, kernel)
        gather_tap(x, c, kh * dilation[0] - padding[0], kw * dilation[1] - padding[1],
                   stride[0], stride[1], output[0], output[1], n * pixels, col[n, tap])


@helper
def _receptive_field(x, n, ih, iw, field, dilation):
    """Fill `field` (C, KH, KW) with the window whose first cell is (ih, iw)."""
    C, KH, KW = field.shape
    H, W = x.shape[2:]
    first_h, end_h = valid_range(ih, dilation[0], H, KH)
    first_w, end_w = valid_range(iw, dilation[1], W, KW)
    if end_h - first_h < KH or end_w - first_w < KW:
        field[:] = 0
    for c in range(C):
        for kh in range(first_h, end_h):
            for kw in range(first_w, end_w):
                field[c, kh, kw] = x[n, c, ih + kh * dilation[0], iw + kw * dilation[1]]


@parallel
def _rows_of_pixels(x, fields, stride, padding, dilation):
    """fields (N, OH, OW, C, KH, KW): parallel over the rows of output pixels."""
    N, OH, OW = fields.shape[:3]
    for row in prange(N * OH):
        n, oh = np.intp(row) // OH, np.intp(row) % OH
        for ow in range(OW):
            _receptive_field(x, n, oh * stride[0] - padding[0], ow * stride[1] - padding[1],
                             fields[n, oh, ow], dilation)


def im2col(x, col, kernel, stride, padding, dilation, output, transpose):
    if transpose:
        fields = col.reshape(x.shape[0], *output, x.shape[1], *kernel)
        _rows_of_pixels(const(x), fields, stride, padding, dilation)
    else:
        _rows_of_taps(const(x), col, kernel, stride, padding, dilation, output)


@parallel
def _from_rows_of_taps(col, x, kernel, stride, padding, dilation, output):
    N, C = x.shape[:2]
    KH, KW = kernel
    pixels = output[0] * output[1]
    for plane in prange(N * C):
        n, c = np.intp(plane) // C, np.intp(plane) % C
        x[n, c] = 0
        for kh in range(KH):
            for kw in range(KW):
                scatter_tap(col[n, (c * KH + kh) * KW + kw], x, c,
                            kh * dilation[0] - padding[0], kw * dilation[1] - padding[1],
                            stride[0], stride[1], output[0], output[1], n * pixels)


@helper
def _add_receptive_field(field, plane, ih, iw, dilation):
    """Add `field` (KH, KW) to the window of `plane` whose first cell is (ih, iw)."""
    first_h, end_h = valid_range(ih, dilation[0], plane.shape[0], field.shape[0])
    first_w, end_w = valid_range(iw, dilation[1], plane.shape[1], field.shape[1])
    for kh in range(first_h, end_h):
        for kw in range(first_w, end_w):
            plane[ih + kh * dilation[0], iw + kw * dilation[1]] += field[kh, kw]


@parallel
def _from_rows_of_pixels(fields, x, stride, padding, dilation):
    N, OH, OW, C = fields.shape[:4]
    for plane in prange(N * C):
        n, c = np.intp(plane) // C, np.intp(plane) % C
        x[n, c] = 0
        for oh in range(OH):
            for ow in range(OW):
                _add_receptive_field(fields[n, oh, ow, c], x[n, c], oh * stride[0] - padding[0],
                                     ow * stride[1] - padding[1], dilation)


def col2im(col, x, kernel, stride, padding, dilation, output, transpose):
    if transpose:
        fields = col.reshape(x.shape[0], *output, x.shape[1], *kernel)
        _from_rows_of_pixels(const(fields), x, stride, padding, dilation)
    else:
        _from_rows_of_taps(const(col), x, kernel, stride, padding, dilation, output)
