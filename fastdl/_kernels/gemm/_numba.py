"""Matrix product in Numba: cut into blocks that stay in the cache, multiplied in register tiles.

Threads take whole blocks of `out`. For each step along K a thread copies its block of op(a), whose
elements are read one by one, and its block of op(b), which is read in vectors; where b is stored
the other way it is transposed on the way. With very few rows nothing is copied: then each element
of b is read once whatever is done, and memory sets the pace.
"""

import numpy as np
from numba import get_num_threads, prange

from .._numba_jit import add_products, const, fold, helper, new_lanes, optional, parallel
from ._numba_tile import (
    COLUMNS,
    DEPTH,
    ROWS,
    TILE_ROWS,
    copy,
    copy_transposed,
    multiply,
    tile_columns,
)

FEW_ROWS = 4                    # with no more of them, a tile would be mostly empty

_SUMS_BLOCK = 64                # columns that a thread sums up at once

# Rows of a block of b begin in different sets of the first-level cache.
_LINE = COLUMNS + 16


@helper
def cut(size, most, unit, parts):
    """Length of the pieces of `size`: all alike, whole units, no more than `most`.

    There are at least `parts` pieces if there are as many units.
    """
    pieces = max(parts, -(-size // most), 1)
    return max(unit, -(-size // (pieces * unit)) * unit)


@helper
def new_blocks(dtype):
    """Room for a block of a, in rows or in columns, and for sums."""
    return np.zeros(ROWS * DEPTH, dtype), np.empty(ROWS * COLUMNS, dtype)


@helper
def clear(sums, rows, columns):
    """Zero the sums of a block."""
    for i in range(rows):
        sums[i * COLUMNS:i * COLUMNS + columns] = 0


@helper
def _few_products(a, a_step, trans_a, b, b_step, trans_b, K, row, column, sums, rows, columns):
    """Add a block of the product to `sums`, from the factors where they are."""
    zero = sums.dtype.type(0)
    if trans_b:
        line, lanes = np.empty(K, a.dtype), new_lanes(1, K, a.dtype)[0]
        for i in range(rows):
            for k in range(K):
                line[k] = a[k * a_step + row + i] if trans_a else a[(row + i) * a_step + k]
            for j in range(columns):
                start = (column + j) * b_step
                add_products(lanes, line, b[start:start + K], zero, zero)
                sums[i * COLUMNS + j] += fold(lanes)
        return
    for k in range(K):
        line = b[k * b_step + column:]
        for i in range(rows):
            factor = a[k * a_step + row + i] if trans_a else a[(row + i) * a_step + k]
            target = sums[i * COLUMNS:]
            for j in range(columns):
                target[j] += factor * line[j]


@helper
def _many_products(a, a_step, trans_a, b, b_step, trans_b, K, row, column, sums, rows, columns,
                   a_block, b_block, offsets):
    """The same in tiles, from copies of the factors."""
    for k in range(0, K, DEPTH):
        depth = min(DEPTH, K - k)
        if trans_a:
            copy(a, k * a_step + row, a_step, a_block, ROWS, depth, rows)
        else:
            copy(a, row * a_step + k, a_step, a_block, DEPTH, rows, depth)
        if trans_b:
            copy_transposed(b, column * b_step + k, b_step, b_block, _LINE, depth, columns)
        else:
            copy(b, k * b_step + column, b_step, b_block, _LINE, depth, columns)
        multiply(a_block, trans_a, b_block, 0, offsets, depth, sums, 0, rows, columns)


@helper
def _store(sums, bias, gate, gate_step, out, out_step, row, column, rows, columns, alpha, beta,
           relu):
    """Write a block of `out`; `out` is read only when beta is not 0."""
    zero = sums.dtype.type(0)
    for i in range(rows):
        start = (row + i) * out_step + column
        s, target = sums[i * COLUMNS:], out[start:start + columns]
        if beta != 0:
            for j in range(columns):
                s[j] = alpha * s[j] + beta * target[j]
        elif alpha != 1:
            for j in range(columns):
                s[j] *= alpha
        if bias.size:
            for j in range(columns):
                s[j] += bias[column + j]
        if relu:
            for j in range(columns):
                s[j] = zero if s[j] < 0 else s[j]
        if gate.size:
            line = gate[(row + i) * gate_step + column:]
            for j in range(columns):
                s[j] = zero if line[j] <= zero else s[j]
        for j in range(columns):
            target[j] = s[j]


@helper
def _blocks(a, a_step, trans_a, b, b_step, trans_b, bias, gate, gate_step, out, out_step, shape,
            alpha, beta, relu, thread, threads):
    """The blocks of one thread: every `threads`-th of them."""
    M, N, K = shape
    few = M <= FEW_ROWS
    width = cut(N, COLUMNS, tile_columns(out), threads if few else 1)
    across = -(-N // width)
    height = cut(M, ROWS, TILE_ROWS, -(-threads // max(1, across)))
    a_block, sums = new_blocks(out.dtype)
    b_block = np.empty(DEPTH * _LINE, out.dtype)
    offsets = np.arange(DEPTH) * _LINE
    for block in range(thread, across * -(-M // height), threads):
        row, column = block // across * height, block % across * width
        rows, columns = min(height, M - row), min(width, N - column)
        clear(sums, rows, columns)
        if few:
            _few_products(a, a_step, trans_a, b, b_step, trans_b, K, row, column, sums, rows,
                          columns)
        else:
            _many_products(a, a_step, trans_a, b, b_step, trans_b, K, row, column, sums, rows,
                           columns, a_block, b_block, offsets)
        _store(sums, bias, gate, gate_step, out, out_step, row, column, rows, columns, alpha,
               beta, relu)


@parallel
def _gemm(a, a_step, trans_a, b, b_step, trans_b, bias, gate, gate_step, out, out_step, shape,
          alpha, beta, relu, threads):
    for thread in prange(threads):
        _blocks(a, a_step, trans_a, b, b_step, trans_b, bias, gate, gate_step, out, out_step,
                shape, alpha, beta, relu, np.intp(thread), threads)


def _flat(matrix):
    """`matrix` as one row, and the distance of its rows in it."""
    if matrix.flags.c_contiguous:
        return matrix.reshape(-1), matrix.shape[1]
    rows, columns = matrix.shape
    step = matrix.strides[0] // matrix.itemsize
    return np.lib.stride_tricks.as_strided(
        matrix, ((rows - 1) * step + columns,), (matrix.itemsize,)), step


def gemm(a, b, bias, gate, out, trans_a, trans_b, alpha, beta, relu):
    if not out.size:
        return
    real, K = out.dtype.type, a.shape[0] if trans_a else a.shape[1]
    (a, a_step), (b, b_step), (out, out_step), shape = _flat(a), _flat(b), _flat(out), out.shape
    gate, gate_step = _flat(np.empty((0, 0), out.dtype) if gate is None else gate)
    _gemm(const(a), a_step, bool(trans_a), const(b), b_step, bool(trans_b),
          const(optional(bias, out.dtype)), const(gate), gate_step, out, out_step, (*shape, K),
          real(alpha), real(beta), bool(relu), get_num_threads())


@parallel
def _column_sums(x, sums):
    for block in prange(-(-sums.size // _SUMS_BLOCK)):
        first = np.intp(block) * _SUMS_BLOCK
        total = sums[first:first + _SUMS_BLOCK]
        total[:] = 0
        for i in range(x.shape[0]):
            row = x[i, first:first + _SUMS_BLOCK]
            for j in range(total.size):
                total[j] += row[j]


def column_sums(x, sums):
    _column_sums(const(x), sums)
