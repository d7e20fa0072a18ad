"""Local response normalisation in Numba: to each plane, in parallel, others are added."""

import numpy as np
from numba import prange

from .._numba_jit import const, optional, parallel


@parallel
def _local_response_norm(x, y, base, size, scale, beta, k):
    N, C, L = x.shape
    for item in prange(N * C):
        n, c = np.intp(item) // C, np.intp(item) % C
        sums = np.zeros(L, x.dtype)
        for other in range(max(0, c - size // 2), min(C, c + (size - 1) // 2 + 1)):
            for i in range(L):
                sums[i] += x[n, other, i] * x[n, other, i]
        for i in range(L):
            power = sums[i] * scale + k
            if base.size:
                base[n, c, i] = power
            y[n, c, i] = x[n, c, i] * power ** -beta


def local_response_norm(x, y, base, size, alpha, beta, k):
    kind = x.dtype.type
    kept = optional(base, x.dtype).reshape(x.shape if base is not None else (0, 0, 0))
    _local_response_norm(const(x), y, kept, size, kind(alpha / size), kind(beta), kind(k))


@parallel
def _direct(dy, x, base, dx, ratio, beta):
    for i in prange(x.size):
        dx[i] = dy[i] * base[i] ** -beta
        ratio[i] = dx[i] * x[i] / base[i]


@parallel
def _around(x, ratio, dx, size, factor):
    N, C, L = x.shape
    for item in prange(N * C):
        n, c = np.intp(item) // C, np.intp(item) % C
        sums = np.zeros(L, x.dtype)
        for other in range(max(0, c - (size - 1) // 2), min(C, c + size // 2 + 1)):
            for i in range(L):
                sums[i] += ratio[n, other, i]
        for i in range(L):
            dx[n, c, i] -= x[n, c, i] * sums[i] * factor


def local_response_norm_backward(dy, x, base, dx, size, alpha, beta):
    kind, ratio = x.dtype.type, np.empty_like(x)
    _direct(const(dy.reshape(-1)), const(x.reshape(-1)), const(base.reshape(-1)), dx.reshape(-1),
            ratio.reshape(-1), kind(beta))
    _around(const(x), ratio, dx, size, kind(2 * alpha * beta / size))
