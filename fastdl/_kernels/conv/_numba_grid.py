"""Feature maps laid out so that a tap of a filter reads all its pixels one after another.

Maps are padded, and with a stride they are split into *phases*: of one phase are the rows and
columns that are alike modulo the stride. In such a phase neighbours are one stride apart, so
whatever the stride, padding and dilation, what a tap reads at output pixel (oh, ow) lies at
``offset + oh * pitch + ow``: the offset is the tap's, the pitch the length of a phase's rows.

That costs one copy of the maps, which is a small part of what im2col would write.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from .._numba_jit import const, const_flat, helper, parallel
from ..gemm._numba_tile import VECTOR_BYTES

_PIECE = 1 << 16                # elements that a thread copies at once


class Axis(NamedTuple):
    """One axis of a grid: position q of phase f is index ``(q + first) * stride + f``."""

    first: int
    stride: int
    phases: int
    length: int


class Grid(NamedTuple):
    """Maps (N, C, H, W) as (N, C, phases, rows, columns), flat, and how far apart those are."""

    data: np.ndarray
    image: int
    channel: int
    pitch: int


@helper
def _valid(offset, stride, size, count):
    """First and last + 1 of the ``q`` below `count` for which ``q * stride + offset`` is an index
    of something of length `size`.
    """
    first = min(count, max(0, -(offset // stride)))
    return first, max(first, min(count, -((offset - size) // stride)))


@helper
def _lay_out_row(source, w, stride, first, end, line):
    """Fill `line`: zeros, from `first` on every `stride`-th of `source`, from `end` on zeros."""
    line[:first] = 0
    line[end:] = 0
    inside = line[first:end]
    if stride == 1:
        run = source[w:w + inside.size]
        for j in range(inside.size):
            inside[j] = run[j]
    else:
        for j in range(inside.size):
            inside[j] = source[w + j * stride]


@parallel
def _lay_out(maps, data, rows, columns):
    """Fill `data` from `maps`; what is outside of them is zero. Parallel over the planes."""
    N, C, H, W = maps.shape
    row, row_stride, row_phases, length = rows
    column, column_stride, column_phases, pitch = columns
    for plane in prange(N * C):
        planes = maps.reshape(N * C, H, W)
        at = np.intp(plane) * row_phases * column_phases * length * pitch
        for fh in range(row_phases):
            for fw in range(column_phases):
                first, end = _valid(column * column_stride + fw, column_stride, W, pitch)
                w = (column + first) * column_stride + fw
                for q in range(length):
                    h, line = (q + row) * row_stride + fh, data[at:at + pitch]
                    if 0 <= h < H and first < end:
                        _lay_out_row(planes[plane, h], w, column_stride, first, end, line)
                    else:
                        line[:] = 0
                    at += pitch


@parallel
def _copy(source, target):
    for start in prange(-(-source.size // _PIECE)):
        first = np.intp(start) * _PIECE
        piece, out = source[first:first + _PIECE], target[first:first + _PIECE]
        for j in range(piece.size):
            out[j] = piece[j]


def lay_out(maps, rows, columns):
    """The grid of `maps` (N, C, H, W) for two axes."""
    N, C = maps.shape[:2]
    channel = rows.phases * columns.phases * rows.length * columns.length
    # Products are made in whole tiles, which may read on behind the last pixel.
    spare = columns.length + 2 * VECTOR_BYTES // maps.itemsize
    data = np.empty(N * C * channel + spare, maps.dtype)
    data[N * C * channel:] = 0
    if rows == (0, 1, 1, maps.shape[2]) and columns == (0, 1, 1, maps.shape[3]):
        _copy(const_flat(maps), data)               # they are their own grid
    else:
        _lay_out(const(maps), data, tuple(rows), tuple(columns))
    return Grid(const(data), C * channel, channel, columns.length)


def _forward_axis(taps, output, stride, padding, dilation):
    """The axis for what `output` windows read, and the phase and position of each tap."""
    stride = stride if output > 1 else 1            # a stride that is never taken may be any number
    reach = (taps - 1) * dilation
    # Padding in whole strides is a position; the rest of it shifts the taps.
    first, rest = divmod(-padding, stride)
    axis = Axis(first, stride, min(stride, rest + reach + 1), output + (rest + reach) // stride)
    places = rest + np.arange(taps) * (dilation if taps > 1 else 1)
    return axis, places % stride, places // stride


def forward_grid(x, kernel, stride, padding, dilation, output):
    """The grid of `x`, and the offset of each tap (C, KH, KW) for one image of C channels."""
    def offsets(C):
        cells = (phase_h[:, None] * columns.phases + phase_w) * rows.length * columns.length
        cells += h[:, None] * columns.length + w
        return (np.arange(C)[:, None] * grid.channel + cells.reshape(-1)).reshape(-1)

    (rows, phase_h, h), (columns, phase_w, w) = (
        _forward_axis(*axis) for axis in zip(kernel, output, stride, padding, dilation,
                                             strict=True))
    grid = lay_out(x, rows, columns)
    return grid, offsets


class Phase(NamedTuple):
    """Along one axis: the inputs ``start + i * stride``, and what flows back to them."""

    start: int
    length: int
    stride: int
    taps: np.ndarray                # the taps through which they were read
    places: np.ndarray              # where on the gradient's axis each tap finds that of input 0


def backward_axis(size, taps, output, stride, padding, dilation):
    """The axis for the gradient of the output, and the phases of the input."""
    stride = stride if output > 1 else 1
    reach = (taps - 1) * dilation
    # Tap t of the window at o reads input o * stride - padding + t * dilation.
    first = padding // stride - reach // stride
    last = (size - 1 + padding) // stride
    shifts = np.arange(taps) * (dilation if taps > 1 else 1)
    phases = []
    for f in range(stride):
        start = (f - padding) % stride
        if start < size:
            own = np.flatnonzero(shifts % stride == f)
            q = (start + padding) // stride
            phases.append(Phase(start, -(-(size - start) // stride), stride, own,
                                q - shifts[own] // stride - first))
    return Axis(first, 1, 1, last - first + 1), phases
