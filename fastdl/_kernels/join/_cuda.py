"""Sums and copies on the device; reference.py says what they are."""

import numpy as np

from ...cuda._device import (
    ZERO,
    block_sum,
    blocks_for,
    cuda,
    device,
    divided,
    floats,
    int32,
    int64,
    kernel,
)
from ...cuda._elementwise import elementwise


@elementwise(2, "add")
@device
def _add(a, b, _):
    return a + b


@elementwise(2, "multiply")
@device
def _multiply(a, b, _):
    return a * b


def add(a, b, y):
    _add(a, b, y, 0.0)


def multiply(a, b, y):
    _multiply(a, b, y, 0.0)


@kernel()
def _scale(x: floats, s: floats, y: floats, n: int64, L: int32):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        plane, _ = divided(i, L)
        y[i] = x[i] * s[plane]


@kernel()
def _products(dy: floats, x: floats, ds: floats, L: int32):
    """A block for each map."""
    total = ZERO
    for j in range(cuda.threadIdx.x, L, cuda.blockDim.x):
        i = np.int64(cuda.blockIdx.x) * L + j
        total += dy[i] * x[i]
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        ds[cuda.blockIdx.x] = total


def scale_maps(x, s, y):
    _scale[blocks_for(x.size)](x, s, y, x.size, x.shape[2])


def scale_maps_backward(dy, x, s, dx, ds):
    _products[s.size](dy, x, ds, x.shape[2])
    scale_maps(dy, s, dx)


@kernel()
def _copy_rows(x: floats, y: floats, x_pitch: int64, y_pitch: int64, rows: int32, columns: int32):
    # Blocks go along rows, so that neighbours touch neighbours.
    for i in range(cuda.blockIdx.y, rows, cuda.gridDim.y):
        for j in range(cuda.grid(1), columns, cuda.gridsize(1)):
            y[i * y_pitch + j] = x[i * x_pitch + j]


def copy_matrix(x, y):
    rows, columns = x.shape
    blocks = blocks_for(columns), min(rows, 4096)
    _copy_rows[blocks](x, y, x.strides[0] // x.itemsize, y.strides[0] // y.itemsize, rows, columns)
