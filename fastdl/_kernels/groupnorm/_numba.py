"""Layer, instance and group normalisation in Numba, parallel over groups of images, or channels."""

import numpy as np
from numba import prange

from .._numba_jit import add_products, add_row, const, fold, new_lanes, parallel


@parallel
def _group_norm(x, weight, bias, y, mean, rstd, eps):
    N, G, K, L = x.shape
    zero = x.dtype.type(0)
    for item in prange(N * G):
        n, g = np.intp(item) // G, np.intp(item) % G
        row = x[n, g].reshape(-1)
        lanes = new_lanes(1, row.size, np.float64)[0]
        for j in range(row.size):
            lanes[j % lanes.size] += row[j]
        m = x.dtype.type(fold(lanes) / row.size)
        for j in range(row.size):
            lanes[j % lanes.size] += (row[j] - m) * (row[j] - m)
        r = x.dtype.type(1 / np.sqrt(fold(lanes) / row.size + eps))
        mean[n, g], rstd[n, g] = m, r
        for k in range(K):
            w, b = weight[g, k] + zero, bias[g, k] + zero
            for i in range(L):
                y[n, g, k, i] = (x[n, g, k, i] - m) * r * w + b


def group_norm(x, weight, bias, y, mean, rstd, eps):
    _group_norm(const(x), const(weight), const(bias), y, mean, rstd, float(eps))


@parallel
def _input_gradient(dy, x, weight, mean, rstd, dx):
    N, G, K, L = x.shape
    zero = x.dtype.type(0)
    for item in prange(N * G):
        n, g = np.intp(item) // G, np.intp(item) % G
        m, r = mean[n, g], rstd[n, g]
        lanes = new_lanes(1, L, x.dtype)[0]
        first, second = zero, zero
        for k in range(K):
            add_row(lanes, dy[n, g, k])
            first += fold(lanes) * weight[g, k]
            add_products(lanes, dy[n, g, k], x[n, g, k], zero, m)
            second += fold(lanes) * weight[g, k]
        count = x.dtype.type(K * L)
        first, second = first / count, second * r * r / count
        for k in range(K):
            w = weight[g, k]
            for i in range(L):
                dx[n, g, k, i] = (dy[n, g, k, i] * w - first
                                  - (x[n, g, k, i] - m) * second) * r


@parallel
def _parameter_gradients(dy, x, mean, rstd, dw, db):
    N, G, K, L = x.shape
    zero = x.dtype.type(0)
    for item in prange(G * K):
        g, k = np.intp(item) // K, np.intp(item) % K
        lanes = new_lanes(1, L, x.dtype)[0]
        first, second = zero, zero
        for n in range(N):
            add_row(lanes, dy[n, g, k])
            first += fold(lanes)
            add_products(lanes, dy[n, g, k], x[n, g, k], zero, mean[n, g])
            second += fold(lanes) * rstd[n, g]
        db[g, k], dw[g, k] = first, second


def group_norm_backward(dy, x, weight, mean, rstd, dx, dw, db):
    dy, x, mean, rstd = const(dy), const(x), const(mean), const(rstd)
    _input_gradient(dy, x, const(weight), mean, rstd, dx)
    _parameter_gradients(dy, x, mean, rstd, dw, db)
