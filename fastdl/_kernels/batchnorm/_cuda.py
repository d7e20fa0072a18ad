"""Batch normalisation on the device, per channel of planes; reference.py has the formulas.

Statistics are made in two steps. Blocks go over parts of a channel, each thread with sums of the
distances from its own first element, which do not cancel; means and squared distances of the parts
are then put together (Chan et al., 1979). Everything else is one pass over memory.
"""

import math

import numpy as np

from ...cuda._array import empty
from ...cuda._device import (
    ONE,
    THREADS,
    ZERO,
    block_sum,
    blocks_for,
    cuda,
    device,
    divided,
    float32,
    floats,
    int32,
    int64,
    kernel,
    load4,
    sqrt,
    store4,
)
from ...cuda._driver import driver

_HALF = THREADS // 2


def _parts(x):
    """Blocks for each channel: enough of them for the whole device, with work for each thread."""
    N, C, L = x.shape
    wanted = -(-4 * driver().processors // max(C, 1))
    return max(1, min(wanted, N * L // (4 * THREADS)))


# ---- what the passes do to an element ----

@device
def _clipped(value, has_cap, cap):
    if has_cap:
        if value <= ZERO:
            return ZERO
        if value >= cap:
            return cap
    return value


@device
def _gated(dy, y, has_cap, cap):
    """What passes of a gradient: `has_cap` is 2 where the cap stops it too."""
    if has_cap and (y <= ZERO or (has_cap > 1 and y >= cap)):
        return ZERO
    return dy


@device
def _merged(n, mean, spread, other_n, other_mean, other_spread):
    """Number, mean and sum of squared distances from it, of two sets together."""
    total = n + other_n
    if other_n == ZERO:
        return n, mean, spread
    delta, share = other_mean - mean, other_n / total
    return total, mean + delta * share, spread + other_spread + delta * delta * n * share


# ---- sums over channels ----

@kernel()
def _statistics(x: floats, parts: floats, N: int32, C: int32, L: int32):
    """Of each part of a channel: number, mean, and sum of squared distances from it."""
    c, count = cuda.blockIdx.y, np.int64(N) * L
    n, shift, total, squares = ZERO, ZERO, ZERO, ZERO
    for j in range(cuda.grid(1), count, cuda.gridsize(1)):
        image, place = divided(j, L)
        value = x[(image * C + c) * L + place]
        if n == ZERO:
            shift = value
        n += ONE
        distance = value - shift
        total += distance
        squares += distance * distance
    mean, spread = shift, ZERO
    if n > ZERO:
        mean, spread = shift + total / n, squares - total * total / n
    ns = cuda.shared.array(THREADS, float32)
    means = cuda.shared.array(THREADS, float32)
    spreads = cuda.shared.array(THREADS, float32)
    t = cuda.threadIdx.x
    ns[t], means[t], spreads[t] = n, mean, spread
    cuda.syncthreads()
    width = _HALF
    while width > 0:
        if t < width:
            o = t + width
            ns[t], means[t], spreads[t] = _merged(ns[t], means[t], spreads[t], ns[o], means[o],
                                                  spreads[o])
        cuda.syncthreads()
        width //= 2
    if t == 0:
        at = 3 * (c * cuda.gridDim.x + cuda.blockIdx.x)
        parts[at], parts[at + 1], parts[at + 2] = ns[0], means[0], spreads[0]


@device
def _put_together(parts, c, count):
    """All parts of a channel as one."""
    n, middle, spread = ZERO, ZERO, ZERO
    for part in range(count):
        at = 3 * (c * count + part)
        if parts[at] > ZERO:
            if n == ZERO:
                n, middle, spread = parts[at], parts[at + 1], parts[at + 2]
            else:
                n, middle, spread = _merged(n, middle, spread, parts[at], parts[at + 1],
                                            parts[at + 2])
    return n, middle, spread


@kernel()
def _finish_statistics(parts: floats, count: int32, C: int32, mean: floats, rstd: floats,
                       running_mean: floats, running_var: floats, has_running: int32,
                       momentum: float32, eps: float32):
    for c in range(cuda.grid(1), C, cuda.gridsize(1)):
        n, middle, spread = _put_together(parts, c, count)
        mean[c] = middle
        rstd[c] = ONE / sqrt(spread / n + eps)
        if has_running:
            running_mean[c] += momentum * (middle - running_mean[c])
            running_var[c] += momentum * (spread / (n - ONE) - running_var[c])


@kernel()
def _as_part(moments: floats, parts: floats, C: int32, n: float32):
    """Mean and variance of each channel as what `_statistics` gives for one part."""
    for c in range(cuda.grid(1), C, cuda.gridsize(1)):
        parts[3 * c], parts[3 * c + 1], parts[3 * c + 2] = n, moments[c], moments[C + c] * n


@kernel()
def _as_moments(parts: floats, count: int32, C: int32, moments: floats):
    """The other way, of any number of parts."""
    for c in range(cuda.grid(1), C, cuda.gridsize(1)):
        n, middle, spread = _put_together(parts, c, count)
        moments[c], moments[C + c] = middle, spread / n


@kernel()
def _gradient_sums(dy: floats, x: floats, y: floats, mean: floats, rstd: floats, parts: floats,
                   N: int32, C: int32, L: int32, has_cap: int32, cap: float32):
    """Of each part of a channel: the sums of dy, and of dy times the normalised x."""
    c, count = cuda.blockIdx.y, np.int64(N) * L
    middle, scale = mean[c], rstd[c]
    total, product = ZERO, ZERO
    for j in range(cuda.grid(1), count, cuda.gridsize(1)):
        image, place = divided(j, L)
        i = (image * C + c) * L + place
        g = dy[i]
        if has_cap:
            g = _gated(g, y[i], has_cap, cap)
        total += g
        product += g * ((x[i] - middle) * scale)
    total, product = block_sum(total), block_sum(product)
    if cuda.threadIdx.x == 0:
        at = 2 * (c * cuda.gridDim.x + cuda.blockIdx.x)
        parts[at], parts[at + 1] = total, product


@kernel()
def _finish_gradients(parts: floats, count: int32, C: int32, dw: floats, db: floats):
    for c in range(cuda.grid(1), C, cuda.gridsize(1)):
        total, product = ZERO, ZERO
        for part in range(count):
            total += parts[2 * (c * count + part)]
            product += parts[2 * (c * count + part) + 1]
        db[c], dw[c] = total, product


# ---- passes over all elements ----

def _passes(width):
    """The kernels that take so many elements of one channel at a time: 1 or 4."""
    @device
    def get(p, i):
        return load4(p, i) if width == 4 else (p[i], p[i], p[i], p[i])

    @device
    def put(p, i, v):
        if width == 4:
            store4(p, i, v)
        else:
            p[i] = v[0]

    @kernel(constants=(width,))
    def forward(x: floats, residual: floats, mean: floats, rstd: floats, weight: floats,
                bias: floats, y: floats, n: int64, C: int32, L: int32, has_residual: int32,
                has_cap: int32, cap: float32, variance_eps: float32):
        for q in range(cuda.grid(1), n, cuda.gridsize(1)):
            i = q * width
            plane, _ = divided(i, L)
            _, c = divided(plane, C)
            scale = rstd[c]
            if variance_eps >= ZERO:            # rstd is a variance
                scale = ONE / sqrt(scale + variance_eps)
            middle, scale, shift = mean[c], scale * weight[c], bias[c]
            a = get(x, i)
            v0, v1 = (a[0] - middle) * scale + shift, (a[1] - middle) * scale + shift
            v2, v3 = (a[2] - middle) * scale + shift, (a[3] - middle) * scale + shift
            if has_residual:
                r = get(residual, i)
                v0, v1, v2, v3 = v0 + r[0], v1 + r[1], v2 + r[2], v3 + r[3]
            put(y, i, (_clipped(v0, has_cap, cap), _clipped(v1, has_cap, cap),
                       _clipped(v2, has_cap, cap), _clipped(v3, has_cap, cap)))

    @kernel(constants=(width,))
    def backward(dy: floats, x: floats, y: floats, mean: floats, rstd: floats, weight: floats,
                 dw: floats, db: floats, dx: floats, dresidual: floats, n: int64, C: int32,
                 L: int32, has_dresidual: int32, has_cap: int32, cap: float32, share: float32):
        for q in range(cuda.grid(1), n, cuda.gridsize(1)):
            i = q * width
            plane, _ = divided(i, L)
            _, c = divided(plane, C)
            middle, normal = mean[c], rstd[c]
            scale, less, slope = weight[c] * normal, db[c] * share, dw[c] * share
            a, g = get(x, i), get(dy, i)
            g0, g1, g2, g3 = g
            if has_cap:
                o = get(y, i)
                g0, g1 = _gated(g0, o[0], has_cap, cap), _gated(g1, o[1], has_cap, cap)
                g2, g3 = _gated(g2, o[2], has_cap, cap), _gated(g3, o[3], has_cap, cap)
            if has_dresidual:
                put(dresidual, i, (g0, g1, g2, g3))
            if share > ZERO:
                g0 = g0 - less - (a[0] - middle) * normal * slope
                g1 = g1 - less - (a[1] - middle) * normal * slope
                g2 = g2 - less - (a[2] - middle) * normal * slope
                g3 = g3 - less - (a[3] - middle) * normal * slope
            put(dx, i, (g0 * scale, g1 * scale, g2 * scale, g3 * scale))

    return forward, backward


_by_one, _by_four = _passes(1), _passes(4)


def _width(L, *arrays):
    """How many elements a thread takes at once."""
    return 1 if L % 4 or any(a is not None and a.address % 16 for a in arrays) else 4


def _cap(cap):
    """Whether there is one (2: one that values reach), and its value."""
    if cap is None:
        return 0, 0.0
    return (2 if math.isfinite(cap) else 1), cap


def _forward(x, residual, mean, rstd, weight, bias, y, cap, variance_eps):
    C, L = x.shape[1:]
    width = _width(L, x, residual, y)
    run = (_by_four if width == 4 else _by_one)[0]
    n = x.size // width
    run[blocks_for(n)](x, residual, mean, rstd, weight, bias, y, n, C, L, residual is not None,
                       *_cap(cap), variance_eps)


def batch_norm(x, weight, bias, residual, running_mean, running_var, y, mean, rstd, momentum, eps,
               cap, moments=None):
    N, C, L = x.shape
    parts, count = _of_parts(x) if moments is None else (_of_moments(moments, N * L), 1)
    _finish_statistics[blocks_for(C)](parts, count, C, mean, rstd, running_mean, running_var,
                                      running_mean is not None, momentum, eps)
    _forward(x, residual, mean, rstd, weight, bias, y, cap, -1.0)


def _of_parts(x):
    """Number, mean and squared distances of the parts of each channel, and how many parts."""
    C, count = x.shape[1], _parts(x)
    parts = empty((C, count, 3))
    _statistics[count, C](x, parts, *x.shape)
    return parts, count


def _of_moments(moments, n):
    C = moments.shape[1]
    parts = empty((C, 1, 3))
    _as_part[blocks_for(C)](moments, parts, C, n)
    return parts


def fill_moments(y, moments):
    """Fill `moments` (2, C) with mean and variance of the channels of `y` (N, C, L)."""
    parts, count = _of_parts(y)
    _as_moments[blocks_for(y.shape[1])](parts, count, y.shape[1], moments)


def batch_norm_inference(x, weight, bias, mean, var, residual, y, eps, cap):
    _forward(x, residual, mean, var, weight, bias, y, cap, eps)


def batch_norm_backward(dy, x, y, weight, mean, rstd, dx, dresidual, dw, db, training, cap):
    N, C, L = x.shape
    count = _parts(x)
    parts = empty((C, count, 2))
    gate = _cap(cap if y is not None else None)
    _gradient_sums[count, C](dy, x, y, mean, rstd, parts, N, C, L, *gate)
    _finish_gradients[blocks_for(C)](parts, count, C, dw, db)
    width = _width(L, dy, x, y, dx, dresidual)
    run = (_by_four if width == 4 else _by_one)[1]
    n = x.size // width
    run[blocks_for(n)](dy, x, y, mean, rstd, weight, dw, db, dx, dresidual, n, C, L,
                       dresidual is not None, *gate, 1 / (N * L) if training and N * L else 0.0)
