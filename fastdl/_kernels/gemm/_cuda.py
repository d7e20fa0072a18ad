"""Matrix products on the device; reference.py says what they are.

`_plain` is the product as one would write it down, a thread for each element. `_product` makes
tiles of it (fastdl/cuda/_tile.py): of either factor, fours come along the terms of the sum or along
rows or columns of the result, whichever lies together in memory. Where cuBLASLt is installed and
faster, it makes the product (fastdl/cuda/_cublas.py).
"""

from functools import cache

import numpy as np

from ...cuda._array import empty
from ...cuda._cublas import Problem, are_apart, faster, library, prepared
from ...cuda._device import (
    SIMULATED,
    ZERO,
    blocks_for,
    cuda,
    device,
    float32,
    floats,
    int32,
    int64,
    kernel,
    rectify,
)
from ...cuda._driver import driver
from ...cuda._sums import EACH, SUMS, clear
from ...cuda._tile import part_of, tile_and_parts


@device
def _finish(row, e, count, out, biases, gate, at, gate_at, alpha, beta, has_gate, relu):
    """So many elements of a row from `e` on; they lie at `at` of the result."""
    for q in range(e, e + count):
        row[q] *= alpha
    if beta != ZERO:
        for q in range(count):
            row[e + q] += beta * out[at + q]
    for q in range(e, e + count):
        row[q] += biases[q]
    rectify(row, e, count, relu, gate, gate_at, has_gate)


@device
def _finish_one(value, out, bias, gate, i, j, pitch, gate_pitch, alpha, beta, has_bias, has_gate,
                relu):
    """And store it."""
    one, of_column = cuda.local.array(1, float32), cuda.local.array(1, float32)
    one[0], of_column[0] = value, bias[j] if has_bias else ZERO
    at = i * pitch + j
    _finish(one, 0, 1, out, of_column, gate, at, i * gate_pitch + j, alpha, beta, has_gate, relu)
    out[at] = one[0]


@kernel()
def _plain(a: floats, b: floats, bias: floats, gate: floats, out: floats, M: int32, N: int32,
           K: int32, a_row: int64, a_column: int64, b_row: int64, b_column: int64, pitch: int64,
           gate_pitch: int64, alpha: float32, beta: float32, has_bias: int32, has_gate: int32,
           relu: int32):
    """A thread for each element; a step along a row or a column is so many elements."""
    for i in range(cuda.blockIdx.y, M, cuda.gridDim.y):
        for j in range(cuda.grid(1), N, cuda.gridsize(1)):
            total = ZERO
            for k in range(K):
                total += a[i * a_row + k * a_column] * b[k * b_row + j * b_column]
            _finish_one(total, out, bias, gate, i, j, pitch, gate_pitch, alpha, beta, has_bias,
                        has_gate, relu)


# ---- in tiles ----

@cache
def _product(tile, a_along_terms, b_along_terms, aligned):
    """The kernel for factors that lie so; `aligned`: all fours begin at multiples of 16 bytes."""
    add_products = tile.sums_of(tile.brings(a_along_terms, aligned), tile.puts(a_along_terms),
                                tile.brings(b_along_terms, aligned), tile.puts(b_along_terms))
    side, corner, piece, gap = tile.side, tile.corner, tile.piece, tile.column_gap
    store_piece, together = tile.store_piece, tile.piece if aligned else 1

    @device
    def store_row(row, down, given):
        (out, base, i, column, M, N, pitch, biases, gate, gate_pitch, alpha, beta, has_gate,
         relu) = given
        i += down
        if i < M:
            for e in range(0, EACH, together):
                j = column + e // piece * gap + e % piece
                if j < N:
                    at = i * pitch + j
                    _finish(row, e, together, out, biases, gate, at, i * gate_pitch + j, alpha,
                            beta, has_gate, relu)
                    if aligned:
                        store_piece(out, base + at, row, e)
                    else:
                        out[base + at] = row[e]

    store_all = tile.each_row(store_row)

    @kernel(tile.threads, tile.blocks, (*tile.kind, a_along_terms, b_along_terms, aligned))
    def product(a: floats, b: floats, bias: floats, gate: floats, out: floats, M: int32, N: int32,
                K: int32, a_pitch: int64, b_pitch: int64, pitch: int64, gate_pitch: int64,
                part_terms: int32, part_size: int64, alpha: float32, beta: float32,
                has_bias: int32, has_gate: int32, relu: int32):
        sums = cuda.local.array(SUMS, float32)
        biases = cuda.local.array(EACH, float32)
        t = np.uint32(cuda.threadIdx.x)
        row, column = cuda.blockIdx.x * side, cuda.blockIdx.y * side
        first = cuda.blockIdx.z * part_terms
        last = min(first + part_terms, K)
        clear(sums)
        add_products((a, row * a_pitch if a_along_terms else row, a_pitch, M - row),
                     (b, column * b_pitch if b_along_terms else column, b_pitch, N - column),
                     first, last, t, sums)
        down, along = corner(t)
        row, column = row + down, column + along
        for e in range(EACH):
            j = column + e // piece * gap + e % piece
            biases[e] = bias[j] if has_bias and j < N else ZERO
        store_all(sums, (out, cuda.blockIdx.z * part_size, row, column, M, N, pitch, biases, gate,
                         gate_pitch, alpha, beta, has_gate, relu))

    return product


@kernel()
def _added_up(parts: floats, bias: floats, gate: floats, out: floats, count: int32, M: int32,
              N: int32, pitch: int64, gate_pitch: int64, alpha: float32, beta: float32,
              has_bias: int32, has_gate: int32, relu: int32):
    """The sums of all parts, finished."""
    for i in range(cuda.blockIdx.y, M, cuda.gridDim.y):
        for j in range(cuda.grid(1), N, cuda.gridsize(1)):
            total = ZERO
            for part in range(count):
                total += parts[(np.int64(part) * M + i) * N + j]
            _finish_one(total, out, bias, gate, i, j, pitch, gate_pitch, alpha, beta, has_bias,
                        has_gate, relu)


def _pitch(matrix):
    """Elements from a row to the next."""
    return 0 if matrix is None else matrix.strides[0] // matrix.itemsize


def _has_fours(matrix):
    """Whether every four of a row begins at a multiple of 16 bytes, and rows end with one."""
    return not (matrix.address % 16 or _pitch(matrix) % 4 or matrix.shape[1] % 4)


PLAIN_BELOW = 200 if SIMULATED else 1 << 12     # multiplications; fewer are all overhead


def gemm(a, b, bias, gate, out, trans_a, trans_b, alpha, beta, relu):
    M, N = out.shape
    K = a.shape[0] if trans_a else a.shape[1]
    if M * N * K <= PLAIN_BELOW or K == 0:
        a_steps = (1, _pitch(a)) if trans_a else (_pitch(a), 1)
        b_steps = (1, _pitch(b)) if trans_b else (_pitch(b), 1)
        _plain[_grid(out)](a, b, bias, gate, out, M, N, K, *a_steps, *b_steps, _pitch(out),
                           _pitch(gate), alpha, beta, bias is not None, gate is not None, relu)
        return

    def tiles(out):
        in_tiles(a, b, bias, gate, out, trans_a, trans_b, alpha, beta, relu)

    def cublas(out):
        by_library(a, b, bias, gate, out, trans_a, trans_b, alpha, beta, relu)

    compute = tiles
    if library() and out.flags.c_contiguous and are_apart(out, gate):
        operation = f"gemm beta={beta != 0} gate={gate is not None} relu={bool(relu)}"
        compute = faster(Problem.of(a, b, out, trans_a, trans_b, bias), operation, out, cublas,
                         tiles)
    compute(out)


def in_tiles(a, b, bias, gate, out, trans_a, trans_b, alpha, beta, relu):
    """The product by the kernels here."""
    M, N = out.shape
    K = a.shape[0] if trans_a else a.shape[1]
    last = (alpha, beta, bias is not None, gate is not None, relu)
    tile, parts = tile_and_parts(M, N, K, driver().processors)
    aligned = all(map(_has_fours, (a, b, out)))
    run = _product(tile, not trans_a, bool(trans_b), aligned)
    blocks = -(-M // tile.side), -(-N // tile.side), parts
    terms = part_of(K, parts, tile)
    if parts == 1:
        run[blocks](a, b, bias, gate, out, M, N, K, _pitch(a), _pitch(b), _pitch(out), _pitch(gate),
                    terms, 0, *last)
        return
    apart = empty((parts, M, N))
    run[blocks](a, b, None, None, apart, M, N, K, _pitch(a), _pitch(b), N, 0, terms, M * N, 1.0,
                0.0, 0, 0, 0)
    _added_up[_grid(out)](apart, bias, gate, out, parts, M, N, _pitch(out), _pitch(gate), *last)


def by_library(a, b, bias, gate, out, trans_a, trans_b, alpha, beta, relu):
    """The product by cuBLASLt.

    ReLU and gate come afterwards, by a kernel here: the library may think otherwise of NaN.
    """
    M, N = out.shape
    multiply = prepared(Problem.of(a, b, out, trans_a, trans_b, bias))
    multiply(a, b, bias, out, alpha, beta)
    if relu or gate is not None:
        _added_up[_grid(out)](out, None, gate, out, 1, M, N, N, _pitch(gate), 1.0, 0.0, 0,
                              gate is not None, relu)


def _grid(out):
    M, N = out.shape
    return blocks_for(N), min(M, 32768)


# ---- sums of columns ----

@kernel()
def _columns(x: floats, sums: floats, M: int32, N: int32, part_rows: int32):
    """Threads go along a row; a block sums its part of the rows."""
    begin = cuda.blockIdx.y * part_rows
    for j in range(cuda.grid(1), N, cuda.gridsize(1)):
        total = ZERO
        for i in range(begin, min(begin + part_rows, M)):
            total += x[np.int64(i) * N + j]
        sums[cuda.blockIdx.y * N + j] = total


def column_sums(x, sums):
    M, N = x.shape
    parts = max(1, min(M // 32, 64))
    if parts == 1:
        _columns[blocks_for(N), 1](x, sums, M, N, M)
        return
    apart = empty((parts, N))
    _columns[blocks_for(N), parts](x, apart, M, N, -(-M // parts))
    _columns[blocks_for(N), 1](apart, sums, parts, N, parts)
