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
    store4,
)
from ...cuda._driver import driver
from ...cuda._tile import EACH, clear, part_of, row_of, tile_and_parts

_SUMS = EACH * EACH


@device
def _finished(value, out, bias, gate, i, j, pitch, gate_pitch, alpha, beta, has_bias, has_gate,
              relu):
    """An element of the result."""
    value *= alpha
    if beta != ZERO:
        value += beta * out[i * pitch + j]
    if has_bias:
        value += bias[j]
    if relu and value <= ZERO:
        value = ZERO
    if has_gate and gate[i * gate_pitch + j] <= ZERO:
        value = ZERO
    return value


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
            out[i * pitch + j] = _finished(total, out, bias, gate, i, j, pitch, gate_pitch, alpha,
                                           beta, has_bias, has_gate, relu)


# ---- in tiles ----

@cache
def _product(tile, a_along_terms, b_along_terms, aligned):
    """The kernel for factors that lie so; `aligned`: all fours begin at multiples of 16 bytes."""
    bring_a = tile.brings(a_along_terms, aligned)
    bring_b = tile.brings(b_along_terms, aligned)
    put_a = tile.put_along_terms if a_along_terms else tile.put_along_side
    put_b = tile.put_along_terms if b_along_terms else tile.put_along_side
    side, depth, multiply, corner = tile.side, tile.depth, tile.multiply, tile.corner
    stage, stages, brought = tile.stage, 2 * tile.stage, tile.brought
    row_gap, column_gap = tile.row_gap, tile.column_gap

    @kernel(tile.threads, tile.blocks, (*tile.kind, a_along_terms, b_along_terms, aligned))
    def product(a: floats, b: floats, bias: floats, gate: floats, out: floats, M: int32, N: int32,
                K: int32, a_pitch: int64, b_pitch: int64, pitch: int64, gate_pitch: int64,
                part_terms: int32, part_size: int64, alpha: float32, beta: float32,
                has_bias: int32, has_gate: int32, relu: int32):
        left = cuda.shared.array(stages, float32)
        right = cuda.shared.array(stages, float32)
        sums = cuda.local.array(_SUMS, float32)
        next_a = cuda.local.array(brought, float32)
        next_b = cuda.local.array(brought, float32)
        line = cuda.local.array(EACH, float32)
        t = cuda.threadIdx.x
        row, column = cuda.blockIdx.y * side, cuda.blockIdx.x * side
        first = cuda.blockIdx.z * part_terms
        last = min(first + part_terms, K)
        clear(sums)
        bring_a(a, a_pitch, M, last, row, first, t, next_a, 0)
        bring_b(b, b_pitch, N, last, column, first, t, next_b, 0)
        put_a(left, 0, t, next_a)
        put_b(right, 0, t, next_b)
        cuda.syncthreads()
        at = 0
        for k in range(first + depth, last + depth, depth):
            if k < last:
                bring_a(a, a_pitch, M, last, row, k, t, next_a, 0)
                bring_b(b, b_pitch, N, last, column, k, t, next_b, 0)
            multiply(left, right, at, t, sums)
            at = stage - at
            if k < last:
                put_a(left, at, t, next_a)
                put_b(right, at, t, next_b)
            cuda.syncthreads()
        base = cuda.blockIdx.z * part_size
        down, along = corner(t)
        for s in range(EACH):
            i = row + down + s // 4 * row_gap + s % 4
            row_of(sums, s, line)
            if i < M:
                for h in range(2):
                    j = column + along + h * column_gap
                    for q in range(4):
                        if j + q < N:
                            line[4 * h + q] = _finished(
                                line[4 * h + q], out, bias, gate, i, j + q, pitch, gate_pitch,
                                alpha, beta, has_bias, has_gate, relu)
                            if not aligned:
                                out[base + i * pitch + j + q] = line[4 * h + q]
                    if aligned and j < N:
                        store4(out, base + i * pitch + j, (line[4 * h], line[4 * h + 1],
                                                           line[4 * h + 2], line[4 * h + 3]))

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
            out[i * pitch + j] = _finished(total, out, bias, gate, i, j, pitch, gate_pitch, alpha,
                                           beta, has_bias, has_gate, relu)


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
    blocks = -(-N // tile.side), -(-M // tile.side), parts
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
