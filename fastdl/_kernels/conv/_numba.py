"""Convolution in Numba: the reference's matrix products, without ever storing all the columns.

A thread takes one tile of the product at a time and lays out only the columns that the tile needs,
in a block that stays in the cache; `multiply_add` of the matrix product does the rest. Pixels are
numbered through the whole batch, so small feature maps fill a tile as well as large ones do.

Parallel over: tiles of `y`; (images, channels) of `dx`, which one thread adds into alone; tiles of
`dw`, whose sum over the pixels is also cut into parts, added up at the end, where tiles are few.
"""

import numpy as np
from numba import get_num_threads, prange

from .._numba_jit import (
    add_products,
    add_row,
    const,
    fold,
    helper,
    new_lanes,
    optional,
    parallel,
    planar,
)
from ..gemm._numba import COLUMNS, DEPTH, ROWS, multiply_add, new_blocks, pack, tile_rows
from ..im2col._numba import gather_tap, scatter_tap, split_tap

_NARROW = 4                     # with fewer output channels per group, `dw` is made of dot products
_TASKS = 32                     # parts to cut the work on `dw` into, if its tiles are fewer


@helper
def _run_in_image(pixel, count, size):
    """Image and position of pixel number `pixel`, and how many of `count` are in that image."""
    n, position = pixel // size, pixel % size
    return n, position, min(size - position, count)


@helper
def _gather(x, c, tap, kernel, stride, padding, dilation, output, pixel, out):
    """Fill `out` with what a tap of the group whose first channel is `c` reads."""
    channel, kh, kw = split_tap(tap, kernel)
    gather_tap(x, c + channel, kh * dilation[0] - padding[0], kw * dilation[1] - padding[1],
               stride[0], stride[1], output[0], output[1], pixel, out)


@helper
def _read_pixels(maps, channel, pixel, out):
    """Fill `out` from one channel of `maps` (N, C, size), from pixel number `pixel` on."""
    done = 0
    while done < out.size:
        n, position, run = _run_in_image(pixel + done, out.size - done, maps.shape[2])
        out[done:done + run] = maps[n, channel, position:position + run]
        done += run


@helper
def _write_pixels(values, maps, channel, pixel, shift):
    """Write ``values + shift`` to one channel of `maps` (N, C, size)."""
    done = 0
    while done < values.size:
        n, position, run = _run_in_image(pixel + done, values.size - done, maps.shape[2])
        source, target = values[done:done + run], maps[n, channel, position:position + run]
        for j in range(run):
            target[j] = source[j] + shift
        done += run


@helper
def _forward_tiles(x, w, b, y, kernel, stride, padding, dilation, output, groups, thread, threads):
    """Tiles of (output channels of a group, pixels): w (OC, K) times columns (K, pixels)."""
    OC, K = w.shape
    C, rows_of_group = x.shape[1] // groups, OC // groups
    pixels = y.shape[0] * y.shape[2]
    across = -(-pixels // COLUMNS)
    height = tile_rows(rows_of_group, across * groups, threads)
    down = -(-rows_of_group // height)
    w_block, x_block, sums = new_blocks(height, pixels, K, y.dtype)
    for tile in range(thread, groups * down * across, threads):
        g, row = tile // across // down, tile // across % down * height
        pixel = tile % across * COLUMNS
        rows, columns = min(height, rows_of_group - row), min(COLUMNS, pixels - pixel)
        oc = g * rows_of_group + row
        sums[:rows] = 0
        for k in range(0, K, DEPTH):
            depth = min(DEPTH, K - k)
            pack(w, False, oc, k, w_block, rows, depth)
            for i in range(depth):
                _gather(x, g * C, k + i, kernel, stride, padding, dilation, output, pixel,
                        x_block[i, :columns])
            multiply_add(w_block, x_block, sums, rows, depth, columns)
        for i in range(rows):
            _write_pixels(sums[i, :columns], y, oc + i, pixel,
                          b[oc + i] if b.size else y.dtype.type(0))


@parallel
def _forward(x, w, b, y, kernel, stride, padding, dilation, output, groups, threads):
    for thread in prange(threads):
        _forward_tiles(x, w, b, y, kernel, stride, padding, dilation, output, groups,
                       np.intp(thread), threads)


def _as_matrix(w):
    return w.reshape(w.shape[0], w[:1].size)


def _as_maps(y):
    return y.reshape(*y.shape[:2], y.shape[2] * y.shape[3])


@planar("y")
def conv2d(x, w, b, residual, y, stride, padding, dilation, groups, relu, algorithm):
    _forward(const(x), const(_as_matrix(w)), const(optional(b, y.dtype)), _as_maps(y),
             w.shape[2:], stride, padding, dilation, y.shape[2:], groups, get_num_threads())
    if residual is not None:
        y += residual
    if relu:
        np.maximum(y, 0, out=y)


@helper
def _add_to_images(dy, w, dx, g, n, images, c, channels, kernel, stride, padding, dilation, output,
                   groups, w_block, dy_block, sums):
    """Add to `channels` channels of `images` images all that flows back to them."""
    KH, KW = kernel
    rows_of_group = w.shape[0] // groups
    first_tap, end_tap = c * KH * KW, (c + channels) * KH * KW
    end_pixel = (n + images) * dy.shape[2]
    for pixel in range(n * dy.shape[2], end_pixel, COLUMNS):
        columns = min(COLUMNS, end_pixel - pixel)
        for tap in range(first_tap, end_tap, ROWS):
            taps = min(ROWS, end_tap - tap)
            sums[:taps] = 0
            for k in range(0, rows_of_group, DEPTH):
                depth = min(DEPTH, rows_of_group - k)
                oc = g * rows_of_group + k
                pack(w, True, tap, oc, w_block, taps, depth)
                for i in range(depth):
                    _read_pixels(dy, oc + i, pixel, dy_block[i, :columns])
                multiply_add(w_block, dy_block, sums, taps, depth, columns)
            for i in range(taps):
                channel, kh, kw = split_tap(tap + i, kernel)
                scatter_tap(sums[i, :columns], dx, g * (dx.shape[1] // groups) + channel,
                            kh * dilation[0] - padding[0], kw * dilation[1] - padding[1],
                            stride[0], stride[1], output[0], output[1], pixel)


@helper
def _backward_input_tasks(dy, w, dx, kernel, stride, padding, dilation, output, groups,
                          thread, threads):
    """Tasks of (images, group, channels): no other task touches that part of `dx`."""
    N, C = dx.shape[0], dx.shape[1] // groups
    size, taps = dy.shape[2], kernel[0] * kernel[1]
    images, channels = max(1, COLUMNS // max(1, size)), max(1, ROWS // max(1, taps))
    down, across = -(-N // images), -(-C // channels)
    w_block, dy_block, sums = new_blocks(channels * taps, images * size, w.shape[0] // groups,
                                         dx.dtype)
    for task in range(thread, down * groups * across, threads):
        n, g = task // across // groups * images, task // across % groups
        c = task % across * channels
        end_n, end_c = min(n + images, N), min(c + channels, C)
        dx[n:end_n, g * C + c:g * C + end_c] = 0
        _add_to_images(dy, w, dx, g, n, end_n - n, c, end_c - c, kernel, stride, padding, dilation,
                       output, groups, w_block, dy_block, sums)


@parallel
def _backward_input(dy, w, dx, kernel, stride, padding, dilation, output, groups, threads):
    for thread in prange(threads):
        _backward_input_tasks(dy, w, dx, kernel, stride, padding, dilation, output, groups,
                              np.intp(thread), threads)


@planar("dx")
def conv2d_backward_input(dy, w, dx, stride, padding, dilation, groups, algorithm):
    _backward_input(const(_as_maps(dy)), const(_as_matrix(w)), dx,
                    w.shape[2:], stride, padding, dilation, dy.shape[2:], groups, get_num_threads())


@helper
def _pack_pixels(dy, oc, channels, pixel, block, depth):
    """Fill `block` (pixels, channels) from dy (N, C, size)."""
    done = 0
    while done < depth:
        n, position, run = _run_in_image(pixel + done, depth - done, dy.shape[2])
        pack(dy[n], True, position, oc, block[done:], run, channels)
        done += run


@helper
def _add_dots(taps, dy_rows, sums, rows, columns, depth):
    """``sums[i, j] += taps[i] . dy_rows[j]``: vectorises where a tile is too narrow to."""
    zero = sums.dtype.type(0)
    lanes = new_lanes(1, depth, sums.dtype)[0]
    for i in range(rows):
        for j in range(columns):
            add_products(lanes, taps[i, :depth], dy_rows[j, :depth], zero, zero)
            sums[i, j] += fold(lanes)


@helper
def _backward_weight_tasks(dy, x, dw, kernel, stride, padding, dilation, output, groups,
                           thread, threads):
    """Tasks of (part, taps, output channels of a group): columns (K, pixels) times dy (pixels, OC).

    dw (parts, OC, K). The pixels are cut into blocks of DEPTH; part p takes every parts-th of them.
    """
    parts, OC, K = dw.shape
    C, columns_of_group = x.shape[1] // groups, OC // groups
    pixels = dy.shape[0] * dy.shape[2]
    down, across = -(-K // ROWS), -(-columns_of_group // COLUMNS)
    narrow = columns_of_group < _NARROW
    x_block, dy_block, sums = new_blocks(K, columns_of_group, pixels, dw.dtype)
    dy_rows = np.empty((_NARROW if narrow else 0, x_block.shape[1]), dw.dtype)
    for task in range(thread, parts * groups * down * across, threads):
        part, tile = task % parts, task // parts
        g, tap = tile // across // down, tile // across % down * ROWS
        column = tile % across * COLUMNS
        rows, columns = min(ROWS, K - tap), min(COLUMNS, columns_of_group - column)
        oc = g * columns_of_group + column
        sums[:rows] = 0
        for pixel in range(part * DEPTH, pixels, parts * DEPTH):
            depth = min(DEPTH, pixels - pixel)
            for i in range(rows):
                _gather(x, g * C, tap + i, kernel, stride, padding, dilation, output, pixel,
                        x_block[i, :depth])
            if narrow:
                for j in range(columns):
                    _read_pixels(dy, oc + j, pixel, dy_rows[j, :depth])
                _add_dots(x_block, dy_rows, sums, rows, columns, depth)
            else:
                _pack_pixels(dy, oc, columns, pixel, dy_block, depth)
                multiply_add(x_block, dy_block, sums, rows, depth, columns)
        for j in range(columns):
            for i in range(rows):
                dw[part, oc + j, tap + i] = sums[i, j]


@parallel
def _backward_weight(dy, x, dw, kernel, stride, padding, dilation, output, groups, threads):
    for thread in prange(threads):
        _backward_weight_tasks(dy, x, dw, kernel, stride, padding, dilation, output, groups,
                               np.intp(thread), threads)


@parallel
def _backward_bias(dy, db):
    for oc in prange(db.size):
        lanes = new_lanes(1, dy.shape[2], dy.dtype)[0]
        for n in range(dy.shape[0]):
            add_row(lanes, dy[n, oc])
        db[oc] = fold(lanes)


def _parts(OC, K, pixels, groups):
    """How many parts to cut the sum over the pixels into; the same for any number of threads."""
    tiles = groups * -(-K // ROWS) * -(-(OC // groups) // COLUMNS)
    return max(1, min(-(-_TASKS // tiles), pixels // DEPTH))


@planar()
def conv2d_backward_weight(dy, x, dw, db, stride, padding, dilation, groups, algorithm):
    dy_maps, dw_matrix = const(_as_maps(dy)), _as_matrix(dw)
    OC, K = dw_matrix.shape
    parts = _parts(OC, K, dy_maps.shape[0] * dy_maps.shape[2], groups)
    partial = dw_matrix[None] if parts == 1 else np.empty((parts, OC, K), dw.dtype)
    _backward_weight(dy_maps, const(x), partial, dw.shape[2:], stride, padding, dilation,
                     dy.shape[2:], groups, get_num_threads())
    if parts > 1:
        partial.sum(axis=0, out=dw_matrix)
    if db is not None:
        _backward_bias(dy_maps, db)
