"""Local response normalisation on the device; reference.py has the formulas.

A thread for each element sums over the channels around it, which the caches have for its
neighbours.
"""

from ...cuda._device import (
    ZERO,
    cuda,
    device,
    divided,
    exp,
    float32,
    floats,
    in_step,
    int32,
    kernel,
    log,
)


@device
def _power(base, beta):
    """base ** -beta, of numbers above 0: a third of the general power's instructions."""
    return exp(-beta * log(base))


@kernel()
def _forward(x: floats, y: floats, base: floats, N: int32, at_once: int32, has_base: int32,
             C: int32, L: int32, before: int32, after: int32, share: float32, beta: float32,
             k: float32):
    i = cuda.grid(1)
    plane, _ = divided(i, L)
    image, c = divided(plane, C)
    if image >= at_once:
        return
    first, last = min(before, c), min(after, C - 1 - c)
    while image < N:
        total, o = ZERO, i - first * L
        while o <= i + last * L:
            total += x[o] * x[o]
            o += L
        total = total * share + k
        if has_base:
            base[i] = total
        y[i] = x[i] * _power(total, beta)
        image, i = image + at_once, i + at_once * C * L


@kernel()
def _backward(dy: floats, x: floats, base: floats, dx: floats, N: int32, at_once: int32, C: int32,
              L: int32, before: int32, after: int32, factor: float32, beta: float32):
    i = cuda.grid(1)
    plane, _ = divided(i, L)
    image, c = divided(plane, C)
    if image >= at_once:
        return
    first, last = min(after, c), min(before, C - 1 - c)
    while image < N:
        around, o = ZERO, i - first * L
        while o <= i + last * L:
            around += dy[o] * _power(base[o], beta) * x[o] / base[o]
            o += L
        dx[i] = dy[i] * _power(base[i], beta) - x[i] * around * factor
        image, i = image + at_once, i + at_once * C * L


def local_response_norm(x, y, base, size, alpha, beta, k):
    N, C, L = x.shape
    blocks, at_once = in_step(N, C * L)
    _forward[blocks](x, y, base, N, at_once, base is not None, C, L, size // 2, (size - 1) // 2,
                     alpha / size, beta, k)


def local_response_norm_backward(dy, x, base, dx, size, alpha, beta):
    N, C, L = x.shape
    blocks, at_once = in_step(N, C * L)
    _backward[blocks](dy, x, base, dx, N, at_once, C, L, size // 2, (size - 1) // 2,
                      2 * alpha * beta / size, beta)
