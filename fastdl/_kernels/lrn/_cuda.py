"""Local response normalisation on the device; reference.py has the formulas.

A thread for each element sums over the channels around it, which the caches have for its
neighbours.
"""

from ...cuda._device import (
    ZERO,
    blocks_for,
    cuda,
    divided,
    float32,
    floats,
    int32,
    int64,
    kernel,
    power,
)


@kernel()
def _forward(x: floats, y: floats, base: floats, n: int64, has_base: int32, C: int32, L: int32,
             before: int32, after: int32, share: float32, beta: float32, k: float32):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        plane, _ = divided(i, L)
        _, c = divided(plane, C)
        total = ZERO
        for other in range(max(c - before, 0), min(c + after + 1, C)):
            value = x[i + (other - c) * L]
            total += value * value
        total = total * share + k
        if has_base:
            base[i] = total
        y[i] = x[i] * power(total, -beta)


@kernel()
def _backward(dy: floats, x: floats, base: floats, dx: floats, n: int64, C: int32, L: int32,
              before: int32, after: int32, factor: float32, beta: float32):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        plane, _ = divided(i, L)
        _, c = divided(plane, C)
        around = ZERO
        for other in range(max(c - after, 0), min(c + before + 1, C)):
            o = i + (other - c) * L
            around += dy[o] * power(base[o], -beta) * x[o] / base[o]
        dx[i] = dy[i] * power(base[i], -beta) - x[i] * around * factor


def local_response_norm(x, y, base, size, alpha, beta, k):
    _forward[blocks_for(x.size)](x, y, base, x.size, base is not None, *x.shape[1:], size // 2,
                                 (size - 1) // 2, alpha / size, beta, k)


def local_response_norm_backward(dy, x, base, dx, size, alpha, beta):
    _backward[blocks_for(x.size)](dy, x, base, dx, x.size, *x.shape[1:], size // 2,
                                  (size - 1) // 2, 2 * alpha * beta / size, beta)
