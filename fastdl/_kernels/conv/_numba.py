"""Convolution in Numba: products of tiles whose columns are read from the maps, never written out.

The maps are laid out once as a grid on which a tap reads its pixels side by side (see
`_numba_grid`); the tile of the matrix product then reads a tap as if it were a row of im2col. The
gradient of the input is the same with the gradient of the output as maps: one product for each
place modulo stride. The gradient of the weight sums over pixels, and has its rows copied.

Parallel over: planes of maps to lay out; blocks of `y` and of `dx`; blocks of `dw`, whose sum over
the pixels is also cut into parts, added up at the end, where blocks are few.
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
from ..gemm._numba import FEW_ROWS, clear, cut, new_blocks
from ..gemm._numba_tile import (
    COLUMNS,
    DEPTH,
    ROWS,
    TILE_ROWS,
    copy,
    copy_transposed,
    multiply,
    tile_columns,
)
from ..pool._numba import max_pool2d, max_pool2d_backward
from ._numba_grid import backward_axis, forward_grid, lay_out
from .reference import convolve_then_pool, fill_moments, unpooled

_TASKS = 32                     # parts to cut the work on `dw` into, if its blocks are fewer


# ---- forward, and backward to the input ----

@helper
def _few_products(w, row, grid, base, offsets, sums, sums_at, rows, columns):
    """Add what `rows` filters make of the pixels from `base` on: four taps at a time."""
    K = offsets.size
    for i in range(rows):
        target = sums[i * COLUMNS + sums_at:]
        factors = w[(row + i) * K:]
        for k in range(0, K // 4 * 4, 4):
            f0, f1, f2, f3 = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
            v0, v1 = grid[base + offsets[k]:], grid[base + offsets[k + 1]:]
            v2, v3 = grid[base + offsets[k + 2]:], grid[base + offsets[k + 3]:]
            for j in range(columns):
                target[j] += f0 * v0[j] + f1 * v1[j] + f2 * v2[j] + f3 * v3[j]
        for k in range(K // 4 * 4, K):
            f0, v0 = factors[k], grid[base + offsets[k]:]
            for j in range(columns):
                target[j] += f0 * v0[j]


@helper
def _store_row(sums, bias, residual, gate, out, at, step, relu):
    """Write what belongs into one row of pixels."""
    zero = sums.dtype.type(0)
    for j in range(sums.size):
        sums[j] += bias
    if residual.size:
        line = residual[at:]
        for j in range(sums.size):
            sums[j] += line[j * step]
    if relu:
        for j in range(sums.size):
            sums[j] = zero if sums[j] < 0 else sums[j]
    if gate.size:
        line = gate[at:]
        for j in range(sums.size):
            sums[j] = zero if line[j * step] <= zero else sums[j]
    if step == 1:
        target = out[at:at + sums.size]
        for j in range(sums.size):
            target[j] = sums[j]
    else:
        for j in range(sums.size):
            out[at + j * step] = sums[j]


@helper
def _store(sums, bias, residual, gate, out, at, row_step, column_step, pitch, OW, pixel, columns,
           relu):
    """Write the pixels of one channel of one image; those between the rows are left out."""
    done = 0
    while done < columns:
        row, ow = (pixel + done) // pitch, (pixel + done) % pitch
        run = min(columns - done, pitch - ow)
        if ow < OW:
            _store_row(sums[done:done + min(run, OW - ow)], bias, residual, gate, out,
                       at + row * row_step + ow * column_step, column_step, relu)
        done += run


@helper
def _blocks(grid, grid_steps, w, offsets, bias, residual, gate, out, out_steps, shape, relu,
            thread, threads):
    """Blocks of (filters of a group, pixels on the grid); small images are taken together."""
    N, groups, R, OH, OW = shape
    image, group, pitch = grid_steps
    start, out_image, out_channel, row_step, column_step = out_steps
    pixels, K = (OH - 1) * pitch + OW, offsets.size
    width = cut(pixels, COLUMNS, tile_columns(out), 1)
    pieces = -(-pixels // width)
    together = min(N, COLUMNS // width) if pieces == 1 else 1
    across = -(-N // together) * pieces
    few = R <= FEW_ROWS
    height = cut(R, ROWS, TILE_ROWS, -(-threads // (across * groups)))
    down = -(-R // height)
    block, sums = new_blocks(out.dtype)
    for task in range(thread, groups * down * across, threads):
        g, row = task // across // down, task // across % down * height
        n, pixel = task % across // pieces * together, task % across % pieces * width
        rows, columns = min(height, R - row), min(width, pixels - pixel)
        images = min(together, N - n)
        first = n * image + g * group + pixel
        clear(sums, rows, images * width)
        if few:
            for m in range(images):
                _few_products(w, g * R + row, grid, first + m * image, offsets, sums, m * width,
                              rows, columns)
        else:
            for k in range(0, K, DEPTH):
                depth = min(DEPTH, K - k)
                copy(w, (g * R + row) * K + k, K, block, DEPTH, rows, depth)
                for m in range(images):
                    multiply(block, False, grid, first + m * image, offsets[k:], depth, sums,
                             m * width, rows, columns)
        for i in range(rows):
            channel = g * R + row + i
            shift = bias[channel] if bias.size else out.dtype.type(0)
            for m in range(images):
                at = i * COLUMNS + m * width
                _store(sums[at:at + columns], shift, residual, gate, out,
                       start + (n + m) * out_image + channel * out_channel, row_step, column_step,
                       pitch, OW, pixel, columns, relu)


@parallel
def _correlate(grid, grid_steps, w, offsets, bias, residual, gate, out, out_steps, shape, relu,
               threads):
    for thread in prange(threads):
        _blocks(grid, grid_steps, w, offsets, bias, residual, gate, out, out_steps, shape, relu,
                np.intp(thread), threads)


def _optional_maps(maps, dtype):
    return const(optional(None if maps is None else maps.reshape(-1), dtype))


@planar("y")
def conv2d(x, w, b, residual, y, stride, padding, dilation, groups, relu, algorithm,
           moments=None):
    N, OC, OH, OW = y.shape
    if not N:
        return
    grid, offsets = forward_grid(x, w.shape[2:], stride, padding, dilation, (OH, OW))
    _correlate(grid.data, (grid.image, w.shape[1] * grid.channel, grid.pitch),
               const(w.reshape(-1)), offsets(w.shape[1]), const(optional(b, y.dtype)),
               _optional_maps(residual, y.dtype), _optional_maps(None, y.dtype), y.reshape(-1),
               (0, OC * OH * OW, OH * OW, OW, 1), (N, groups, OC // groups, OH, OW), bool(relu),
               get_num_threads())
    if moments is not None:
        fill_moments(y, moments)


def conv2d_max_pool2d(x, w, b, y, argmax, stride, padding, dilation, relu, algorithm):
    convolve_then_pool(conv2d, max_pool2d, x, w, b, y, argmax, (stride, padding, dilation), relu,
                       algorithm)


@parallel
def _turn(w, turned, taps_h, taps_w):
    """Fill turned (groups, C, OC, taps) from w (groups, OC, C, KH, KW), for some of the taps."""
    groups, C, OC = turned.shape[:3]
    for row in prange(groups * C):
        g, c = np.intp(row) // C, np.intp(row) % C
        for oc in range(OC):
            for i in range(taps_h.size):
                for j in range(taps_w.size):
                    turned[g, c, oc, i * taps_w.size + j] = w[g, oc, c, taps_h[i], taps_w[j]]


@planar("dx")
def conv2d_backward_input(dy, w, residual, gate, dx, stride, padding, dilation, groups, algorithm,
                          argmax=None):
    dy = unpooled(dy, argmax, dx, w, (stride, padding, dilation), max_pool2d_backward)
    N, C, H, W = dx.shape
    OC, c, KH, KW = w.shape
    if not N:
        return
    (rows, phases_h), (columns, phases_w) = (
        backward_axis(*axis) for axis in zip((H, W), (KH, KW), dy.shape[2:], stride, padding,
                                             dilation, strict=True))
    grid, oc = lay_out(dy, rows, columns), OC // groups
    residual, gate = _optional_maps(residual, dx.dtype), _optional_maps(gate, dx.dtype)
    channels = np.arange(oc)[:, None, None] * grid.channel
    for h in phases_h:
        for v in phases_w:
            turned = np.empty((groups, c, oc, h.taps.size * v.taps.size), w.dtype)
            _turn(const(w.reshape(groups, oc, c, KH, KW)), turned, h.taps, v.taps)
            offsets = channels + h.places[:, None] * grid.pitch + v.places
            _correlate(grid.data, (grid.image, oc * grid.channel, grid.pitch),
                       const(turned.reshape(-1)), offsets.reshape(-1),
                       _optional_maps(None, dx.dtype), residual, gate, dx.reshape(-1),
                       (h.start * W + v.start, C * H * W, H * W, h.stride * W, v.stride),
                       (N, groups, c, h.length, v.length), False, get_num_threads())


# ---- backward to the weight ----

@helper
def _next_run(pixel, count, OH, OW):
    """Image, row and column of pixel number `pixel`, and how many of `count` are in that row."""
    row, ow = pixel // OW, pixel % OW
    return row // OH, row % OH, ow, min(OW - ow, count)


@helper
def _copy_taps(grid, grid_steps, group, offsets, tap, block, rows, pixel, depth, OH, OW):
    """Fill `block` with what `rows` taps read at `depth` pixels."""
    image, pitch = grid_steps
    done = 0
    while done < depth:
        n, oh, ow, run = _next_run(pixel + done, depth - done, OH, OW)
        base = n * image + group + oh * pitch + ow
        for i in range(rows):
            start, target = base + offsets[tap + i], i * DEPTH + done
            source, line = grid[start:start + run], block[target:target + run]
            for j in range(run):
                line[j] = source[j]
        done += run


@parallel
def _turn_pixels(dy, turned):
    """Fill turned (N, groups, pixels, whole tiles of channels) from dy (N, groups, OC, pixels)."""
    N, groups, OC, pixels = dy.shape
    for part in prange(N * groups):
        n, g = np.intp(part) // groups, np.intp(part) % groups
        target = turned[n, g].reshape(-1)
        copy_transposed(dy[n, g].reshape(-1), 0, pixels, target, turned.shape[3], pixels, OC)


@helper
def _add_dots(block, dy, at, sums, rows, columns, done, run, step):
    """Add to `sums` the products of a run of pixels, for few channels `step` apart in `dy`."""
    zero = sums.dtype.type(0)
    lanes = new_lanes(1, run, sums.dtype)[0]
    for i in range(rows):
        line = block[i * DEPTH + done:i * DEPTH + done + run]
        for j in range(columns):
            start = at + j * step
            add_products(lanes, line, dy[start:start + run], zero, zero)
            sums[i * COLUMNS + j] += fold(lanes)


@helper
def _weight_blocks(grid, grid_steps, dy, offsets, dw, shape, few, thread, threads):
    """Blocks of (part, taps, output channels of a group).

    dw (parts, groups, OC, K). The pixels are cut into pieces of DEPTH; part p takes every parts-th
    of them. dy is flat: (N, groups, OC, pixels) if the channels are few, else turned.
    """
    N, OH, OW, line = shape
    image, group, pitch = grid_steps
    parts, groups, OC, K = dw.shape
    pixels, steps = OH * OW, np.arange(DEPTH) * line
    height, width = cut(K, ROWS, TILE_ROWS, 1), cut(OC, COLUMNS, tile_columns(dw), 1)
    down, across = -(-K // height), -(-OC // width)
    block, sums = new_blocks(dw.dtype)
    for task in range(thread, parts * groups * down * across, threads):
        part, tile = task % parts, task // parts
        g, tap = tile // across // down, tile // across % down * height
        column = tile % across * width
        rows, columns = min(height, K - tap), min(width, OC - column)
        clear(sums, rows, width)
        for piece in range(part * DEPTH, N * pixels, parts * DEPTH):
            depth, done = min(DEPTH, N * pixels - piece), 0
            _copy_taps(grid, (image, pitch), g * group, offsets, tap, block, rows, piece, depth,
                       OH, OW)
            while done < depth:                     # image by image
                n, position = (piece + done) // pixels, (piece + done) % pixels
                run = min(depth - done, pixels - position)
                if few:
                    at = ((n * groups + g) * OC + column) * pixels + position
                    _add_dots(block, dy, at, sums, rows, columns, done, run, pixels)
                else:
                    at = ((n * groups + g) * pixels + position) * line + column
                    multiply(block[done:], False, dy, at, steps, run, sums, 0, rows, columns)
                done += run
        for j in range(columns):
            for i in range(rows):
                dw[part, g, column + j, tap + i] = sums[i * COLUMNS + j]


@parallel
def _backward_weight(grid, grid_steps, dy, offsets, dw, shape, few, threads):
    for thread in prange(threads):
        _weight_blocks(grid, grid_steps, dy, offsets, dw, shape, few, np.intp(thread), threads)


@parallel
def _backward_bias(dy, db):
    for oc in prange(db.size):
        lanes = new_lanes(1, dy.shape[2], dy.dtype)[0]
        for n in range(dy.shape[0]):
            add_row(lanes, dy[n, oc])
        db[oc] = fold(lanes)


def _parts(OC, K, pixels, groups):
    """How many parts to cut the sum over the pixels into; the same for any number of threads."""
    blocks = groups * -(-K // ROWS) * -(-OC // COLUMNS)
    return max(1, min(-(-_TASKS // blocks), pixels // DEPTH))


@planar()
def conv2d_backward_weight(dy, x, dw, db, stride, padding, dilation, groups, algorithm,
                           argmax=None):
    dy = unpooled(dy, argmax, x, dw, (stride, padding, dilation), max_pool2d_backward)
    N, OC, OH, OW = dy.shape
    oc, pixels, K = OC // groups, OH * OW, dw[0].size
    if db is not None:
        _backward_bias(const(dy.reshape(N, OC, pixels)), db)
    if not N:
        dw[...] = 0
        return
    grid, offsets = forward_grid(x, dw.shape[2:], stride, padding, dilation, (OH, OW))
    few, gradient, line = oc <= FEW_ROWS, dy.reshape(N, groups, oc, pixels), 0
    if not few:
        unit = tile_columns.py_func(dy)
        line = -(-oc // unit) * unit
        turned = np.zeros((N, groups, pixels, line), dy.dtype)
        _turn_pixels(const(gradient), turned)
        gradient = turned
    parts = _parts(oc, K, N * pixels, groups)
    own = dw.reshape(1, groups, oc, K)
    partial = own if parts == 1 else np.empty((parts, groups, oc, K), dw.dtype)
    _backward_weight(grid.data, (grid.image, dw.shape[1] * grid.channel, grid.pitch),
                     const(gradient.reshape(-1)), offsets(dw.shape[1]), partial,
                     (N, OH, OW, line), few, get_num_threads())
    if parts > 1:
        partial.sum(axis=0, out=own[0])
