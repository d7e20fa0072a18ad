"""Layer, instance and group normalisation on the device; reference.py has the formulas.

A block goes over a group of an image, which lies together in memory, and then over it again.
"""

import numpy as np

from ...cuda._device import (
    ONE,
    ZERO,
    block_sum,
    cuda,
    divided,
    float32,
    floats,
    int32,
    kernel,
    sqrt,
)


@kernel()
def _forward(x: floats, weight: floats, bias: floats, y: floats, mean: floats, rstd: floats,
             G: int32, K: int32, L: int32, eps: float32):
    size = K * L
    base = np.int64(cuda.blockIdx.x) * size
    _, group = divided(cuda.blockIdx.x, G)
    total = ZERO
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        total += x[base + j]
    middle = block_sum(total) / np.float32(size)
    total = ZERO
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        distance = x[base + j] - middle
        total += distance * distance
    scale = ONE / sqrt(block_sum(total) / np.float32(size) + eps)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        k, _ = divided(j, L)
        y[base + j] = ((x[base + j] - middle) * scale * weight[group * K + k]
                       + bias[group * K + k])
    if cuda.threadIdx.x == 0:
        mean[cuda.blockIdx.x], rstd[cuda.blockIdx.x] = middle, scale


@kernel()
def _to_input(dy: floats, x: floats, weight: floats, mean: floats, rstd: floats, dx: floats,
              G: int32, K: int32, L: int32):
    size = K * L
    base = np.int64(cuda.blockIdx.x) * size
    _, group = divided(cuda.blockIdx.x, G)
    middle, scale = mean[cuda.blockIdx.x], rstd[cuda.blockIdx.x]
    first, second = ZERO, ZERO
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        k, _ = divided(j, L)
        g = dy[base + j] * weight[group * K + k]
        first += g
        second += g * ((x[base + j] - middle) * scale)
    first = block_sum(first) / np.float32(size)
    second = block_sum(second) / np.float32(size)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        k, _ = divided(j, L)
        g = dy[base + j] * weight[group * K + k]
        dx[base + j] = (g - first - (x[base + j] - middle) * scale * second) * scale


@kernel()
def _to_weight(dy: floats, x: floats, mean: floats, rstd: floats, dw: floats, db: floats, N: int32,
               G: int32, K: int32, L: int32):
    """A block for each channel."""
    group, _ = divided(cuda.blockIdx.x, K)
    total, product = ZERO, ZERO
    for j in range(cuda.threadIdx.x, np.int64(N) * L, cuda.blockDim.x):
        image, place = divided(j, L)
        i = (image * G * K + cuda.blockIdx.x) * L + place
        at = image * G + group
        total += dy[i]
        product += dy[i] * ((x[i] - mean[at]) * rstd[at])
    total, product = block_sum(total), block_sum(product)
    if cuda.threadIdx.x == 0:
        db[cuda.blockIdx.x], dw[cuda.blockIdx.x] = total, product


def group_norm(x, weight, bias, y, mean, rstd, eps):
    N, G, K, L = x.shape
    _forward[N * G](x, weight, bias, y, mean, rstd, G, K, L, eps)


def group_norm_backward(dy, x, weight, mean, rstd, dx, dw, db):
    N, G, K, L = x.shape
    _to_input[N * G](dy, x, weight, mean, rstd, dx, G, K, L)
    _to_weight[G * K](dy, x, mean, rstd, dw, db, N, G, K, L)
