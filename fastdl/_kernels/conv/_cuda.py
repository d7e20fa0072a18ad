"""Convolution and its gradients on the device, on planes; reference.py says what they are.

Which of three ways is taken: products of matrices in tiles (_cuda_tiles.py) where groups have the
channels for it, the formulas (_cuda_plain.py) where they do not, and cuBLASLt for 1x1 convolutions
where it is faster.
"""

from itertools import product
from math import prod

import numpy as np

from ...cuda._array import empty
from ...cuda._cublas import Problem, are_apart, faster, library, prepared
from ...cuda._device import SIMULATED, THREADS, blocks_for, in_fours
from ...cuda._driver import driver
from ...cuda._tile import part_of, tile_and_parts
from ..batchnorm._cuda import fill_moments
from ..pool._cuda import max_pool2d, max_pool2d_backward
from ._cuda_plain import forward, to_bias, to_input, to_weight
from ._cuda_tiles import (
    MOST_TAPS,
    added_up,
    backward_axes,
    forward_axis,
    gathered_product,
    packing,
    table_of_pixels,
    weight_product,
)
from .reference import convolve_then_pool, unpooled

_FEWEST = 4 if SIMULATED else 16        # channels of a group, on both sides, for tiles


def _product(x, w, b, residual, gate, y, window, groups, to_x, relu):
    """Forward, or to x; `window`: stride, padding and dilation."""
    def in_tiles(y):
        _in_tiles(x, w, b, residual, gate, y, window, groups, to_x, relu)

    def by_library(y):
        _by_library(x, w, b, residual, gate, y, to_x, relu)

    compute = in_tiles
    if library() and _is_pointwise(x, w, y, window, groups) and are_apart(y, residual, gate):
        finish = [part is not None for part in (b, residual, gate)]
        problem = _of_images(x, w, y, to_x)[1]
        compute = faster(problem, f"conv2d {finish} relu={bool(relu)}", y, by_library, in_tiles)
    compute(y)


def _in_tiles(x, w, b, residual, gate, y, window, groups, to_x, relu):
    (N, C, H, W), (_, OC, YH, YW), (_, G, KH, KW) = x.shape, y.shape, w.shape
    inner, outer, L = C // groups, OC // groups, YH * YW
    by_rows, by_columns = (
        (backward_axes if to_x else forward_axis)(*sizes)
        for sizes in zip((KH, KW), (YH, YW), *window, strict=True))
    pitch = -(-outer // 4) * 4
    pointwise = _is_pointwise(x, w, y, window) and in_fours(L, x)
    columns = N * by_rows[0].rows * by_columns[0].rows
    terms = inner * max(a.taps for a in by_rows) * max(a.taps for a in by_columns)
    tile, parts = tile_and_parts(outer, columns, terms, max(1, driver().processors // groups))
    whole = y if parts == 1 else empty((parts, *y.shape))
    run = gathered_product(tile, pointwise, len(by_rows) * len(by_columns) == 1
                           and in_fours(L, whole))
    finish = b is not None, residual is not None, gate is not None, relu
    at_once = (b, residual, gate, whole) if parts == 1 else (None, None, None, whole)
    for rows, others in product(by_rows, by_columns):
        taps, first_taps, tap_steps, starts, steps, dilations, made, first_made, row_steps = zip(
            rows, others, strict=True)
        terms, count = prod(taps) * inner, prod(made)
        part_terms = part_of(terms, parts, tile)
        packed = empty((groups * terms * pitch,))
        table = empty((parts * part_terms or tile.depth,), np.int64)
        packing(tile.rounded, tile.kind[0])[blocks_for(max(packed.size, table.size))](
            w, packed, table, packed.size, G, w.shape[0] // groups, pitch, KH, KW, to_x, table.size,
            H, W, *taps, *first_taps, *tap_steps, *dilations)
        blocks = -(-N * count // tile.side), -(-outer // tile.side), groups * parts
        run[blocks](x, packed, table, *at_once, N * count, inner, outer, pitch, groups, H, W, L, YW,
                    *taps, *steps, *starts, *dilations, count, made[1], *first_made, *row_steps,
                    parts, part_terms, y.size, *(finish if parts == 1 else (0, 0, 0, 0)))
    if parts > 1:
        added_up[blocks_for(y.size)](whole, b, residual, gate, y, y.size, parts, *finish, OC, L)


# ---- 1x1 convolutions, by NVIDIA's library: a product for each image ----

def _is_pointwise(x, w, y, window, groups=1):
    """Whether y is a matrix times each image."""
    stride, padding, _ = window
    return (groups == 1 and w.shape[2:] == (1, 1) and x.shape[2:] == y.shape[2:]
            and tuple(stride) == (1, 1) and tuple(padding) == (0, 0))


def _of_images(x, w, y, to_x):
    """Filters, the first image and its result as matrices, and their product."""
    matrices = w.reshape(w.shape[:2]), x[0].reshape(x.shape[1], -1), y[0].reshape(y.shape[1], -1)
    steps = 0, matrices[1].size, matrices[2].size
    return matrices, Problem.of(*matrices, trans_a=to_x, batch=len(x), steps=steps)


def _by_library(x, w, b, residual, gate, y, to_x, relu):
    (filters, image, result), problem = _of_images(x, w, y, to_x)
    prepared(problem)(filters, image, None, result)
    finish = b is not None, residual is not None, gate is not None, relu
    if any(finish):
        added_up[blocks_for(y.size)](y, b, residual, gate, y, y.size, 1, *finish, *result.shape)


def _uses_tiles(w, groups, *maps):
    OC, G, KH, KW = w.shape
    return (OC // groups >= _FEWEST and G * KH * KW >= _FEWEST and max(KH, KW) <= MOST_TAPS
            and all(0 < array.size < 1 << 31 for array in maps))


def _sizes(x, w, y, groups, stride, padding, dilation):
    return (x.shape[1], w.shape[1], y.shape[1], y.shape[1] // groups, *x.shape[2:], *y.shape[2:],
            *w.shape[2:], *stride, *padding, *dilation)


def conv2d(x, w, b, residual, y, stride, padding, dilation, groups, relu, algorithm,
           moments=None):
    _convolve(x, w, b, residual, y, stride, padding, dilation, groups, relu)
    if moments is not None:
        fill_moments(y.reshape(*y.shape[:2], -1), moments)


def conv2d_max_pool2d(x, w, b, y, argmax, stride, padding, dilation, relu, algorithm):
    convolve_then_pool(conv2d, max_pool2d, x, w, b, y, argmax, (stride, padding, dilation), relu,
                       algorithm, empty)


def _convolve(x, w, b, residual, y, stride, padding, dilation, groups, relu):
    if _uses_tiles(w, groups, x, y):
        window = stride, padding, dilation
        _product(x, w, b, residual, None, y, window, groups, False, relu)
        return
    forward[blocks_for(y.size)](x, w, b, residual, y, y.size, b is not None, residual is not None,
                                 relu, *_sizes(x, w, y, groups, stride, padding, dilation))


def conv2d_backward_input(dy, w, residual, gate, dx, stride, padding, dilation, groups, algorithm,
                          argmax=None):
    dy = unpooled(dy, argmax, dx, w, (stride, padding, dilation), max_pool2d_backward, empty)
    if _uses_tiles(w, groups, dy, dx):
        window = stride, padding, dilation
        _product(dy, w, None, residual, gate, dx, window, groups, True, False)
        return
    to_input[blocks_for(dx.size)](dy, w, residual, gate, dx, dx.size, residual is not None,
                                   gate is not None,
                                   *_sizes(dx, w, dy, groups, stride, padding, dilation))


def conv2d_backward_weight(dy, x, dw, db, stride, padding, dilation, groups, algorithm,
                           argmax=None):
    dy = unpooled(dy, argmax, x, dw, (stride, padding, dilation), max_pool2d_backward, empty)
    N = len(dy)
    if db is not None:
        _bias_gradient(dy, db)
    if not _uses_tiles(dw, groups, dy, x):
        to_weight[dw.size](dy, x, dw, N, *_sizes(x, dw, dy, groups, stride, padding, dilation))
        return

    def in_tiles(dw):
        _to_weight_in_tiles(dy, x, dw, stride, padding, dilation, groups)

    def by_library(dw):
        _to_weight_by_library(dy, x, dw)

    compute, window = in_tiles, (stride, padding, dilation)
    if library() and _is_pointwise(x, dw, dy, window, groups) and (
            N * dw.size <= x.size + dy.size):
        problem = _of_gradients(dy, x, dw.reshape(dw.shape[:2]))[1]
        compute = faster(problem, "conv2d to w", dw, by_library, in_tiles)
    compute(dw)


def _to_weight_in_tiles(dy, x, dw, stride, padding, dilation, groups):
    (N, OC, OH, OW), (_, C, H, W) = dy.shape, x.shape
    G, KH, KW = dw.shape[1:]
    rows, columns, terms = OC // groups, G * KH * KW, N * OH * OW
    tile, parts = tile_and_parts(rows, columns, terms, max(1, driver().processors // groups))
    part_terms = part_of(terms, parts, tile)
    all_pixels = parts * part_terms
    table = empty((2 * all_pixels,), np.int64)
    table_of_pixels[blocks_for(all_pixels)](table, all_pixels, N, C, OC, H, W, OH, OW, KH, KW,
                                             *stride, *padding, *dilation)
    whole = dw if parts == 1 else empty((parts, *dw.shape))
    blocks = -(-columns // tile.side), -(-rows // tile.side), groups * parts
    weight_product(tile)[blocks](dy, x, table, whole, terms, rows, G, H, W, OH * OW, KH, KW,
                                  *dilation, parts, part_terms, dw.size)
    if parts > 1:
        _sum_of_parts(whole, dw)


def _of_gradients(dy, x, result):
    """The first image of dy and of x as matrices, and their product into a matrix like `result`."""
    matrices = dy[0].reshape(dy.shape[1], -1), x[0].reshape(x.shape[1], -1), result
    steps = [matrix.size for matrix in matrices]
    return matrices, Problem.of(*matrices, trans_b=True, batch=len(x), steps=steps)


def _to_weight_by_library(dy, x, dw):
    """A product for each image; then their sum."""
    whole = empty((len(x), *dw.shape[:2]))
    (of_dy, of_x, result), problem = _of_gradients(dy, x, whole[0])
    prepared(problem)(of_dy, of_x, None, result)
    _sum_of_parts(whole, dw)


def _sum_of_parts(whole, result):
    """Over the first axis."""
    n = result.size
    added_up[blocks_for(n)](whole, None, None, None, result, n, len(whole), 0, 0, 0, 0, 1, 1)


def _bias_gradient(dy, db):
    N, OC, OH, OW = dy.shape
    count = max(1, min(N * OH * OW // (16 * THREADS), 2 * driver().processors // max(OC, 1)))
    sums = db if count == 1 else empty((count, OC))
    to_bias[count, OC](dy, sums, N, OC, OH * OW)
    if count > 1:
        _sum_of_parts(sums, db)
