"""Matrix product in Numba: cut into tiles, each built from packed blocks that stay in the cache.

Threads take whole tiles of `out`. For each block of K a thread copies ("packs") its rows of op(a)
and its columns of op(b), whichever way they are stored, and adds their product to the tile's sums.
There, four rows and four steps of K are handled at once, so a value loaded is used four times, and
the innermost loop runs along the columns, where it vectorises with no sum being reordered.
"""

import numpy as np
from numba import get_num_threads, prange

from .._numba_jit import const, helper, optional, parallel

# A tile and its blocks: 64 + 128 + 128 KiB in float32, for a second-level cache.
ROWS, COLUMNS, DEPTH = 128, 128, 256
_VECTOR = 16                    # column loops run in whole vectors, over unused columns if need be
_STRIP = 16                     # of a transposed copy: as many rows as fill one cache line


@helper
def new_blocks(rows, columns, depth, dtype):
    """Room for a block of a, a block of b, and the sums of a tile."""
    rows, depth = min(rows, ROWS), min(depth, DEPTH)
    columns = -(-min(columns, COLUMNS) // _VECTOR) * _VECTOR
    return (np.empty((rows, depth), dtype), np.empty((depth, columns), dtype),
            np.empty((rows, columns), dtype))


@helper
def tile_rows(rows, tiles_across, threads):
    """Rows of a tile: ROWS, or fewer where some threads would go without a tile."""
    share = -(-rows * tiles_across // threads)
    return max(1, min(rows, ROWS, max(16, -(-share // 4) * 4)))


@helper
def pack(matrix, transposed, row, column, block, rows, columns):
    """Copy ``op(matrix)[row:row + rows, column:column + columns]`` into `block`."""
    if not transposed:
        for i in range(rows):
            block[i, :columns] = matrix[row + i, column:column + columns]
        return
    for strip in range(0, rows, _STRIP):
        for j in range(columns):
            source = matrix[column + j, row:row + rows]
            for i in range(strip, min(strip + _STRIP, rows)):
                block[i, j] = source[i]


@helper
def multiply_add(a, b, sums, rows, depth, columns):
    """Add ``a[:rows, :depth] @ b[:depth, :columns]`` to `sums`.

    Cells of `sums` right of `columns`, up to a whole vector, end up with anything.
    """
    width = -(-columns // _VECTOR) * _VECTOR
    full_rows, full_depth = rows // 4 * 4, depth // 4 * 4
    for i in range(0, full_rows, 4):
        s0, s1, s2, s3 = sums[i], sums[i + 1], sums[i + 2], sums[i + 3]
        for k in range(0, full_depth, 4):
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            for j in range(width):
                v0, v1, v2, v3 = b0[j], b1[j], b2[j], b3[j]
                s0[j] += a00 * v0 + a01 * v1 + a02 * v2 + a03 * v3
                s1[j] += a10 * v0 + a11 * v1 + a12 * v2 + a13 * v3
                s2[j] += a20 * v0 + a21 * v1 + a22 * v2 + a23 * v3
                s3[j] += a30 * v0 + a31 * v1 + a32 * v2 + a33 * v3
    # What is left: the last steps of K for those rows, all of K for the last rows.
    for i in range(rows):
        s = sums[i]
        for k in range(full_depth if i < full_rows else 0, depth):
            a_ik, b_k = a[i, k], b[k]
            for j in range(width):
                s[j] += a_ik * b_k[j]


@helper
def _store(sums, bias, out, rows, columns, row, column, alpha, beta):
    """Write a tile of `out`; `out` is read only when beta is not 0."""
    for i in range(rows):
        s, target = sums[i], out[row + i, column:column + columns]
        if beta != 0:
            for j in range(columns):
                target[j] = alpha * s[j] + beta * target[j]
        else:
            for j in range(columns):
                target[j] = alpha * s[j]
        if bias.size:
            for j in range(columns):
                target[j] += bias[column + j]


@helper
def _tiles(a, b, bias, out, trans_a, trans_b, alpha, beta, thread, threads):
    """The tiles of one thread: every `threads`-th of them."""
    M, N = out.shape
    K = a.shape[0] if trans_a else a.shape[1]
    across = -(-N // COLUMNS)
    height = tile_rows(M, across, threads)
    a_block, b_block, sums = new_blocks(height, N, K, out.dtype)
    for tile in range(thread, across * -(-M // height), threads):
        row, column = tile // across * height, tile % across * COLUMNS
        rows, columns = min(height, M - row), min(COLUMNS, N - column)
        sums[:rows] = 0
        for k in range(0, K, DEPTH):
            depth = min(DEPTH, K - k)
            pack(a, trans_a, row, k, a_block, rows, depth)
            pack(b, trans_b, k, column, b_block, depth, columns)
            multiply_add(a_block, b_block, sums, rows, depth, columns)
        _store(sums, bias, out, rows, columns, row, column, alpha, beta)


@parallel
def _gemm(a, b, bias, out, trans_a, trans_b, alpha, beta, threads):
    for thread in prange(threads):
        _tiles(a, b, bias, out, trans_a, trans_b, alpha, beta, np.intp(thread), threads)


def gemm(a, b, bias, out, trans_a, trans_b, alpha, beta, relu):
    real, whole = out.dtype.type, np.ascontiguousarray(out)
    _gemm(const(np.ascontiguousarray(a)), const(np.ascontiguousarray(b)),
          const(optional(bias, out.dtype)), whole,
          bool(trans_a), bool(trans_b), real(alpha), real(beta),
          get_num_threads())
    if relu:
        np.maximum(whole, 0, out=whole)
    if whole is not out:
        out[...] = whole
